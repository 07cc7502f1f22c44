"""A stand-in for the host in unit tests.

It picks the events a plugin subscribed to, extracts its fields, runs it, and shows what it said::

    seen = Kit(Deletions).run([{"eventSource": "s3.amazonaws.com", "eventName": "DeleteBucket"}])
    assert seen.rules(0) == ["bucket-deleted"]

An event is a dictionary, or the text of a JSON object where its spelling matters.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from . import wit
from .guest import Configured, describe
from .plugin import Plugin

NOW_MS = 1_704_067_200_000
"""The clock of every batch unless told otherwise: 2024-01-01T00:00:00Z."""

Event = dict[str, Any] | str


def logged() -> list[str]:
    """What plugins logged since the last call."""
    lines = [message for _, message in wit.written]
    wit.written.clear()
    return lines


class Refused(Exception):
    """What the operator would read: the configuration, or the batch, was refused."""


class Kit:
    """A configured plugin."""

    def __init__(self, plugin: type[Plugin[Any]], configuration: dict[str, Any] | None = None) -> None:
        """Configures the plugin; raises `Refused` where it does not take the configuration."""
        self.description = describe(plugin)
        try:
            self._configured = Configured(plugin, json.dumps(configuration or {}))
        except wit.Err as error:
            raise Refused(error.value) from None

    @property
    def subscription(self) -> wit.RawSubscription:
        """What the plugin wants to see."""
        return self._configured.subscription

    def run(self, events: Sequence[Event], now_ms: int = NOW_MS) -> Seen:
        """Runs events as one batch; raises `Refused` where the plugin fails on it."""
        texts = [event if isinstance(event, str) else json.dumps(event, ensure_ascii=False) for event in events]
        parsed = [_parse(text) for text in texts]
        rows = [index for index, event in enumerate(parsed) if _wanted(event, self.subscription.matches)]
        columns = [
            _column(_project(parsed[row], path) for row in rows) for path in self.subscription.fields
        ]
        try:
            outcome = self._configured.process(wit.Batch(len(rows), now_ms, columns))
        except wit.Err as error:
            raise Refused(error.value) from None
        return Seen(outcome, rows)


class Seen:
    """What a plugin said of some events, which are named by their position among them all."""

    def __init__(self, outcome: wit.Outcome, events: list[int]) -> None:
        self.outcome = outcome
        self.matched = events
        """Positions of the events that the plugin got."""

    def findings(self, event: int | None = None) -> list[wit.Finding]:
        """All findings, or those of one event, in the plugin's order."""
        return [
            finding for finding in self.outcome.findings if event is None or self.matched[finding.row] == event
        ]

    def rules(self, event: int) -> list[str]:
        """Rules that found something in an event."""
        return [finding.rule for finding in self.findings(event)]

    def masks(self, event: int) -> list[tuple[str, str]]:
        """Masks of an event: path and detector."""
        return [(mask.path, mask.detector) for mask in self.outcome.masks if self.matched[mask.row] == event]

    def added(self, event: int, path: str) -> Any:
        """What was added to an event at a full path, as Python's own; `KeyError` where nothing was."""
        values = next((of.values for of in self.outcome.additions if of.path == path), None)
        if values is None or event not in self.matched or values.kinds[self.matched.index(event)] == 0:
            raise KeyError(path)
        row = self.matched.index(event)
        text = values.data[values.offsets[row] : values.offsets[row + 1]].decode()
        kind = values.kinds[row]
        return None if kind == 1 else text if kind == 2 else json.loads(text)

    def dropped(self, event: int) -> bool:
        """Whether the event was dropped."""
        return any(self.matched[row] == event for row in self.outcome.drops)


class _Number(str):
    """A number as it is spelt in the event."""


def _parse(text: str) -> Any:
    # The host shows numbers as they are spelt, so they are not turned into Python's.
    return json.loads(text, parse_float=_Number, parse_int=_Number, parse_constant=_Number)


def _wanted(event: Any, clauses: list[list[wit.Condition]]) -> bool:
    return not clauses or any(all(_holds(event, condition) for condition in clause) for clause in clauses)


def _holds(event: Any, condition: wit.Condition) -> bool:
    kind, data = _project(event, condition.path)
    text = data.decode()
    match condition.test:
        case wit.Test_Present():
            return kind > 1
        case wit.Test_Absent():
            return kind <= 1
        case wit.Test_OneOf(values):
            return kind > 1 and text in values
        case wit.Test_StartsWith(values):
            return kind > 1 and text.startswith(tuple(values))
    raise AssertionError("a condition has one of four tests")


def _project(event: Any, path: str) -> tuple[int, bytes]:
    """Kind and column text of what stands at a path."""
    names = [name.replace("~1", "/").replace("~0", "~") for name in path.split("/")[1:]]
    found = list(_collect(event, names))
    if "*" in names:
        return (6, f"[{','.join(map(_spelt, found))}]".encode()) if found else (0, b"")
    if not found:
        return 0, b""
    value = found[0]
    if isinstance(value, str) and not isinstance(value, _Number):
        return 2, value.encode(errors="replace")
    if value is None:
        return 1, b""
    kinds: list[tuple[type, int]] = [(_Number, 3), (bool, 4), (dict, 5), (list, 6)]
    return next(kind for of, kind in kinds if isinstance(value, of)), _spelt(value).encode()


def _collect(value: Any, names: list[str]) -> Iterable[Any]:
    if not names:
        yield value
        return
    name, rest = names[0], names[1:]
    members: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list):
        members = ((str(index), element) for index, element in enumerate(value))
    for key, member in members:
        if name in ("*", key):
            yield from _collect(member, rest)


def _spelt(value: Any) -> str:
    """JSON of a parsed value, with its numbers as they were."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return "{%s}" % ",".join(f"{json.dumps(name)}:{_spelt(member)}" for name, member in value.items())
    if isinstance(value, list):
        return "[%s]" % ",".join(map(_spelt, value))
    return json.dumps(value)


def _column(values: Iterable[tuple[int, bytes]]) -> wit.Column:
    kinds, data, offsets = bytearray(), bytearray(), [0]
    for kind, text in values:
        kinds.append(kind)
        data += text
        offsets.append(len(data))
    return wit.Column(bytes(kinds), offsets, bytes(data))
