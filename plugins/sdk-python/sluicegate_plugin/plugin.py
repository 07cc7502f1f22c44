"""A plugin: what it is, what it wants to see, and what it says of what it saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from . import wit
from .batch import Batch
from .output import Output
from .subscription import Subscription

Config = TypeVar("Config")


@dataclass(frozen=True)
class NoConfig:
    """The configuration of a plugin that has none."""


class Plugin(Generic[Config]):
    """The base of every plugin.

    The host keeps one instance a worker and may replace it at any time, so nothing that is learnt from one
    batch can be relied on in the next.
    """

    name: ClassVar[str]
    """In lower case with hyphens; what the plugin adds to events stands under ``/sluicegate/<name>``."""

    version: ClassVar[str]
    """The plugin's own, such as ``1.0.0``."""

    kind: ClassVar[wit.Kind]
    """When it runs and what it may do: enrich adds, detect finds, redact masks and finds, filter drops."""

    config: ClassVar[type[Any]] = NoConfig
    """A dataclass: what the operator may set. Its JSON Schema is made from it."""

    def configure(self, config: Config, wanted: Subscription) -> None:
        """Takes the configuration and says what the plugin wants to see.

        Raises `ValueError` with what is wrong with the configuration, for the operator to read.
        """
        raise NotImplementedError

    def process(self, batch: Batch, out: Output) -> None:
        """Looks at a batch of events.

        Whatever it raises fails this batch; the host then finds the event at fault. The operator is told
        the exception's type and place, never its text, for that may hold values of events.
        """
        raise NotImplementedError
