"""What a plugin wants to see: fields, and which events."""

from __future__ import annotations

from . import wit
from .batch import Field


def pointer(path: str) -> str:
    """The JSON Pointer of a path.

    One that starts with ``/``, and the empty one, are pointers already; any other is split at its dots. A
    name that itself has a dot in it needs the pointer.
    """
    if not path or path.startswith("/"):
        return path
    names = (name.replace("~", "~0").replace("/", "~1") for name in path.split("."))
    return "".join(f"/{name}" for name in names)


class Clause:
    """Conditions that must hold together. A null counts as absent, and values are compared as text."""

    def __init__(self) -> None:
        self._conditions: list[wit.Condition] = []

    def one_of(self, path: str, *values: str) -> Clause:
        """The field is one of these."""
        return self._push(path, wit.Test_OneOf(list(values)))

    def starts_with(self, path: str, *values: str) -> Clause:
        """The field starts with one of these."""
        return self._push(path, wit.Test_StartsWith(list(values)))

    def present(self, path: str) -> Clause:
        """The event has the field."""
        return self._push(path, wit.Test_Present())

    def absent(self, path: str) -> Clause:
        """The event does not have the field."""
        return self._push(path, wit.Test_Absent())

    def _push(
        self, path: str, test: wit.Test_OneOf | wit.Test_StartsWith | wit.Test_Present | wit.Test_Absent
    ) -> Clause:
        self._conditions.append(wit.Condition(pointer(path), test))
        return self


class Subscription:
    """The fields a plugin reads and the events it wants. Without a clause it gets every event."""

    def __init__(self) -> None:
        self._fields: list[str] = []
        self._clauses: list[Clause] = []

    def field(self, path: str) -> Field:
        """Asks for a field, by JSON Pointer or dotted path (see `pointer`). Twice the same is one column."""
        path = pointer(path)
        if path not in self._fields:
            self._fields.append(path)
        return Field(self._fields.index(path))

    def clause(self) -> Clause:
        """Starts another clause. An event is wanted when all conditions of any one clause hold."""
        self._clauses.append(Clause())
        return self._clauses[-1]

    def into_raw(self) -> wit.RawSubscription:
        """As the host takes it."""
        return wit.RawSubscription(list(self._fields), [list(clause._conditions) for clause in self._clauses])
