"""What a plugin is handed: events as rows, of which each declared field is a column."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from typing import Any

from . import wit


@dataclass(frozen=True, slots=True)
class Field:
    """A field that was asked for in `configure`; what rows are read by."""

    column: int


class ValueKind(IntEnum):
    """What a value is; the numbers are those of the interface."""

    ABSENT = 0
    NULL = 1
    STRING = 2
    NUMBER = 3
    BOOLEAN = 4
    OBJECT = 5
    ARRAY = 6


_STRING, _NUMBER, _BOOLEAN, _OBJECT = 2, 3, 4, 5


class _Column:
    """One field of all rows. It is decoded as a whole when it is first read: one call for all rows."""

    __slots__ = ("_data", "_offsets", "_text", "kinds")

    def __init__(self, raw: wit.Column) -> None:
        self.kinds = raw.kinds
        self._offsets = raw.offsets
        self._data = raw.data
        text = raw.data.decode()
        # Where each character is one byte, the offsets hold for the text too.
        self._text = text if len(text) == len(raw.data) else None

    def text(self, row: int) -> str:
        start, end = self._offsets[row], self._offsets[row + 1]
        if self._text is not None:
            return self._text[start:end]
        return self._data[start:end].decode()

    def strings(self) -> list[str | None]:
        ends = islice(self._offsets, 1, None)
        spans = zip(self.kinds, self._offsets, ends, strict=False)
        text, data = self._text, self._data
        if text is not None:
            return [text[start:end] if kind == _STRING else None for kind, start, end in spans]
        return [data[start:end].decode() if kind == _STRING else None for kind, start, end in spans]


class Batch:
    """The events of one object that the plugin subscribed to, in the object's order."""

    def __init__(self, raw: wit.Batch, fields: list[str]) -> None:
        self._raw = raw
        self._fields = fields
        self._columns: list[_Column | None] = [None] * len(raw.columns)

    def __len__(self) -> int:
        return self._raw.rows

    def __iter__(self) -> Iterator[Row]:
        return (Row(self, index) for index in range(self._raw.rows))

    @property
    def now_ms(self) -> int:
        """The only clock: milliseconds since 1970, UTC."""
        return self._raw.now_ms

    def strings(self, field: Field) -> list[str | None]:
        """The strings of a field, a value a row; `None` where there is none. Quicker than row by row."""
        return self._column(field.column).strings()

    def row(self, index: int) -> Row:
        """The event at a position."""
        if not 0 <= index < self._raw.rows:
            raise IndexError(f"row {index} of a batch of {self._raw.rows}")
        return Row(self, index)

    def _column(self, position: int) -> _Column:
        column = self._columns[position]
        if column is None:
            column = self._columns[position] = _Column(self._raw.columns[position])
        return column


class Row:
    """One event. What was not asked for, does not exist or is null, is `None` here."""

    __slots__ = ("_batch", "index")

    def __init__(self, batch: Batch, index: int) -> None:
        self._batch = batch
        self.index = index

    def kind(self, field: Field) -> ValueKind:
        """What the field is."""
        return ValueKind(self._batch._column(field.column).kinds[self.index])

    def has(self, field: Field) -> bool:
        """Whether the event has the field, and not as null."""
        return self._batch._column(field.column).kinds[self.index] >= _STRING

    def string(self, field: Field) -> str | None:
        """The text of a string, unescaped."""
        return self._text(field, _STRING, _STRING)

    def boolean(self, field: Field) -> bool | None:
        """A boolean; also a string of ``true`` or ``false``, for CloudTrail writes many so."""
        column = self._batch._column(field.column)
        if column.kinds[self.index] not in (_BOOLEAN, _STRING):
            return None
        return {"true": True, "false": False}.get(column.text(self.index))

    def integer(self, field: Field) -> int | None:
        """A number that is whole."""
        text = self._text(field, _NUMBER, _NUMBER)
        try:
            return None if text is None else int(text)
        except ValueError:
            return None

    def json(self, field: Field) -> Any:
        """An object or an array, parsed."""
        text = self._text(field, _OBJECT, 6)
        return None if text is None else json.loads(text)

    def get(self, path: str) -> Any:
        """Whatever stands at a path that was asked for, as Python's own; for where speed does not matter."""
        from .subscription import pointer

        try:
            position = self._batch._fields.index(pointer(path))
        except ValueError:
            raise KeyError(f"{path} was not asked for in configure") from None
        column = self._batch._column(position)
        kind, text = column.kinds[self.index], column.text(self.index)
        if kind < _STRING:
            return None
        return text if kind == _STRING else json.loads(text)

    def _text(self, field: Field, low: int, high: int) -> str | None:
        column = self._batch._column(field.column)
        return column.text(self.index) if low <= column.kinds[self.index] <= high else None
