"""The types of the interface, ``wit/plugin.wit``.

In a component they are what componentize-py generates; under CPython the same by hand, as far as the SDK
makes or reads them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import Enum

IN_COMPONENT = sys.platform == "wasi"

if IN_COMPONENT:
    from componentize_py_types import Err
    from wit_world.imports.log import Level, write
    from wit_world.imports.manifest import (
        Condition,
        Description,
        Kind,
        Test_Absent,
        Test_OneOf,
        Test_Present,
        Test_StartsWith,
    )
    from wit_world.imports.manifest import Subscription as RawSubscription
    from wit_world.imports.types import Addition, Batch, Column, Finding, Mask, Outcome, Severity
else:

    class Err(Exception):  # type: ignore[no-redef]
        """The error of a result."""

        def __init__(self, value: str) -> None:
            super().__init__(value)
            self.value = value

    class Level(Enum):  # type: ignore[no-redef]
        """How much a log line matters."""

        DEBUG = 0
        INFO = 1
        WARN = 2
        ERROR = 3

    class Kind(Enum):  # type: ignore[no-redef]
        """The stage of a plugin, and what its failure means."""

        ENRICH = 0
        DETECT = 1
        REDACT = 2
        FILTER = 3

    class Severity(Enum):  # type: ignore[no-redef]
        """How bad a finding is."""

        INFORMATIONAL = 0
        LOW = 1
        MEDIUM = 2
        HIGH = 3
        CRITICAL = 4

    @dataclass
    class Description:  # type: ignore[no-redef]
        """What a plugin is."""

        name: str
        version: str
        kind: Kind
        configuration: str

    @dataclass
    class Test_OneOf:  # type: ignore[no-redef]
        """The text is one of these."""

        value: list[str]

    @dataclass
    class Test_StartsWith:  # type: ignore[no-redef]
        """The text starts with one of these."""

        value: list[str]

    @dataclass
    class Test_Present:  # type: ignore[no-redef]
        """There is a value."""

    @dataclass
    class Test_Absent:  # type: ignore[no-redef]
        """There is no value."""

    @dataclass
    class Condition:  # type: ignore[no-redef]
        """A test on one path."""

        path: str
        test: Test_OneOf | Test_StartsWith | Test_Present | Test_Absent

    @dataclass
    class RawSubscription:  # type: ignore[no-redef]
        """Fields and clauses."""

        fields: list[str]
        matches: list[list[Condition]]

    @dataclass
    class Column:  # type: ignore[no-redef]
        """One field of every row of a batch."""

        kinds: bytes
        offsets: list[int]
        data: bytes

    @dataclass
    class Batch:  # type: ignore[no-redef]
        """Events as columns."""

        rows: int
        now_ms: int
        columns: list[Column]

    @dataclass
    class Finding:  # type: ignore[no-redef]
        """A match of a rule."""

        row: int
        rule: str
        title: str
        description: str
        severity: Severity
        entity: list[str]
        window_s: int
        attributes: list[tuple[str, str]]

    @dataclass
    class Addition:  # type: ignore[no-redef]
        """A new member for many rows."""

        path: str
        values: Column

    @dataclass
    class Mask:  # type: ignore[no-redef]
        """A leaf to be masked."""

        row: int
        path: str
        detector: str

    @dataclass
    class Outcome:  # type: ignore[no-redef]
        """All that a plugin says of a batch."""

        additions: list[Addition]
        findings: list[Finding]
        masks: list[Mask]
        drops: list[int]

    written: list[tuple[Level, str]] = []
    """What was logged; the test kit reads it."""

    def write(level: Level, message: str) -> None:
        """Keeps a line for the test kit."""
        written.append((level, message))
