"""Lines for the operator. The host cuts, counts and limits them; no values of events belong here."""

from __future__ import annotations

from . import wit


def debug(message: str) -> None:
    """For whoever writes the plugin."""
    wit.write(wit.Level.DEBUG, message)


def info(message: str) -> None:
    """Worth knowing once."""
    wit.write(wit.Level.INFO, message)


def warn(message: str) -> None:
    """Something is not as it should be, and the plugin goes on."""
    wit.write(wit.Level.WARN, message)


def error(message: str) -> None:
    """The plugin could not do what it is for."""
    wit.write(wit.Level.ERROR, message)


class Stream:
    """What ``print`` writes to in a component: each line goes to the plugin's log."""

    encoding = "utf-8"

    def __init__(self, level: wit.Level) -> None:
        self._level = level
        self._line = ""

    def write(self, text: str) -> int:
        """Logs whole lines and keeps the rest, cut where it grows beyond what the host shows."""
        *lines, rest = (self._line + text).split("\n")
        self._line = rest[:4096]
        for line in lines:
            wit.write(self._level, line)
        return len(text)

    def flush(self) -> None:
        """Logs what is left of a line."""
        if self._line:
            line, self._line = self._line, ""
            wit.write(self._level, line)
