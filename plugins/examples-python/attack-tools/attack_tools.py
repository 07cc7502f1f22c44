"""Finds calls whose user agent names a tool or a system that attackers work with.

Most tools do not hide what they are: penetration test distributions show in the operating system's version
("Linux/6.6.9-kali1-amd64"), others in the first word. A word counts where it stands alone: not within a
longer word, and what follows may be a version.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from sluicegate_plugin import Batch, Finding, Kind, Output, Plugin, Severity, Subscription, export, setting

Level = Literal["low", "medium", "high"]

TOOLS: dict[str, Level] = {
    # Distributions made for penetration tests.
    "kali": "high",
    "parrot": "high",
    "pentoo": "high",
    "blackarch": "high",
    # Tools that try out attacks or stolen keys.
    "pacu": "high",
    "stratus-red-team": "high",
    "trufflehog": "high",
    # Tools that list everything there is.
    "scoutsuite": "medium",
    "cloudfox": "medium",
    "prowler": "medium",
    # Tools that carry off data, and that many use for good.
    "s3 browser": "low",
    "rclone": "low",
}

SEVERITIES = {"low": Severity.LOW, "medium": Severity.MEDIUM, "high": Severity.HIGH}

# What is longer is looked at each time, so that a flood of long texts cannot fill the memory.
MAX_REMEMBERED = 512


@dataclass
class Config:
    also: dict[str, Level] = setting(
        "More words to look for in user agents, each with its severity.", default={}, maximum=200
    )
    allowed: list[str] = setting("ARNs of principals that may use such tools.", default=[], maximum=1000)


class AttackTools(Plugin[Config]):
    name = "attack-tools"
    version = "0.1.0"
    kind = Kind.DETECT
    config = Config

    def configure(self, config: Config, wanted: Subscription) -> None:
        if short := [word for word in config.also if len(word) < 3]:
            raise ValueError(f"`also` must hold words of 3 characters or more, got `{short[0]}`")
        self.levels = TOOLS | {word.lower(): level for word, level in config.also.items()}
        self.allowed = frozenset(config.allowed)
        words = "|".join(map(re.escape, self.levels))
        # ASCII alone: letters beyond it have no part in the names of tools, but can look like them.
        self.pattern = re.compile(rf"(?<![a-z0-9])(?:{words})(?![a-z])", re.IGNORECASE | re.ASCII)
        self.remembered = lru_cache(maxsize=2048)(self.tool)
        self.agent = wanted.field("userAgent")
        self.arn = wanted.field("userIdentity.arn")
        self.ip = wanted.field("sourceIPAddress")
        self.call = wanted.field("eventName")
        wanted.clause().present("userAgent")

    def tool(self, agent: str) -> str | None:
        """The tool that a user agent names."""
        match = self.pattern.search(agent)
        return match[0].lower() if match else None

    def process(self, batch: Batch, out: Output) -> None:
        for index, agent in enumerate(batch.strings(self.agent)):
            if agent is None:
                continue
            tool = self.remembered(agent) if len(agent) <= MAX_REMEMBERED else self.tool(agent)
            if tool is None:
                continue
            row = batch.row(index)
            arn = row.string(self.arn) or "unknown"
            if arn in self.allowed:
                continue
            out.find(
                row,
                Finding("attack-tool", "A tool that attackers work with was used", SEVERITIES[self.levels[tool]])
                .description("The user agent of the principal's calls names the tool. The count says how many.")
                .entity(arn, tool)
                .window_s(3600)
                .attribute("tool", tool)
                .attribute("user-agent", agent)
                .attribute("source-ip", row.string(self.ip))
                .attribute("call", row.string(self.call)),
            )


WitWorld = export(AttackTools)
