"""What a plugin says of a batch: additions, findings, masks, drops."""

from __future__ import annotations

import json
from typing import Any

from . import wit
from .batch import Row
from .subscription import pointer


class Finding:
    """A finding in the making."""

    def __init__(self, rule: str, title: str, severity: wit.Severity) -> None:
        """`rule` identifies the rule within the plugin for ever; the title is for people."""
        self._raw = wit.Finding(0, rule, title, "", severity, [], 0, [])

    def description(self, text: str) -> Finding:
        """What it means, in a sentence or two."""
        self._raw.description = text
        return self

    def entity(self, *parts: str) -> Finding:
        """Whom or what it is about; all parts together."""
        self._raw.entity.extend(parts)
        return self

    def window_s(self, seconds: int) -> Finding:
        """Matches with the same rule and entity within so many seconds of event time are one finding."""
        self._raw.window_s = seconds
        return self

    def attribute(self, name: str, value: str | None) -> Finding:
        """Something else worth showing; an empty value is left out."""
        if value:
            self._raw.attributes.append((name, value))
        return self


class Addition:
    """Values of one new member, a value a row; rows without one get nothing."""

    def __init__(self, path: str, rows: int) -> None:
        self._path = path
        self._values: list[tuple[int, bytes]] = [(0, b"")] * rows

    def set(self, row: Row, value: Any) -> None:
        """Sets the value of an event: text, number, truth value, `None` (a null), list or dictionary."""
        self._values[row.index] = _encoded(value)

    def into_raw(self) -> wit.Addition | None:
        """As the host takes it; nothing where no row has a value."""
        if not any(kind for kind, _ in self._values):
            return None
        offsets = [0]
        for _, text in self._values:
            offsets.append(offsets[-1] + len(text))
        kinds = bytes(kind for kind, _ in self._values)
        return wit.Addition(self._path, wit.Column(kinds, offsets, b"".join(text for _, text in self._values)))


def _encoded(value: Any) -> tuple[int, bytes]:
    match value:
        case None:
            return 1, b""
        case str():
            return 2, value.encode()
        case bool():
            return 4, b"true" if value else b"false"
        case int() | float():
            return 3, json.dumps(value, allow_nan=False).encode()
        case dict():
            return 5, json.dumps(value, allow_nan=False).encode()
        case list() | tuple():
            return 6, json.dumps(value, allow_nan=False).encode()
    raise TypeError(f"an addition cannot be a {type(value).__name__}")


class Output:
    """Collects what a plugin has to say. Its kind decides what of it the host will take."""

    def __init__(self, plugin: str, rows: int) -> None:
        self._plugin = plugin
        self._rows = rows
        self._additions: list[Addition] = []
        self._findings: list[wit.Finding] = []
        self._masks: list[wit.Mask] = []
        self._drops: list[int] = []

    def addition(self, path: str) -> Addition:
        """Starts a new member of the events of this batch.

        The path (pointer or dotted) lies under the plugin's own place: ``actor.kind`` becomes
        ``/sluicegate/<plugin>/actor/kind``.
        """
        self._additions.append(Addition(f"/sluicegate/{self._plugin}{pointer(path)}", self._rows))
        return self._additions[-1]

    def find(self, row: Row, finding: Finding) -> None:
        """Reports a finding about an event."""
        finding._raw.row = row.index
        self._findings.append(finding._raw)

    def mask(self, row: Row, path: str, detector: str) -> None:
        """Has the host put its marker in the place of one leaf of the event (pointer or dotted)."""
        self._masks.append(wit.Mask(row.index, pointer(path), detector))

    def drop(self, row: Row) -> None:
        """Keeps the event from every sink."""
        self._drops.append(row.index)

    def into_raw(self) -> wit.Outcome:
        """As the host takes it."""
        additions = [raw for addition in self._additions if (raw := addition.into_raw()) is not None]
        return wit.Outcome(additions, self._findings, self._masks, self._drops)
