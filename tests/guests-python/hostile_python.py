"""A guest in Python that does as its configuration says to batches with the word `poison` in them."""

import datetime
import os
import random
import re
import socket
import sys
import time
from dataclasses import dataclass
from typing import Literal

from sluicegate_plugin import Batch, Finding, Kind, Output, Plugin, Row, Severity, Subscription, export, setting

Act = Literal[
    "nothing",
    "find",
    "raise",
    "loop",
    "loop_in_regex",
    "allocate",
    "allocate_by_steps",
    "recurse",
    "recurse_without_limit",
    "print",
    "flood",
    "exit",
    "clock",
    "calendar",
    "sleep",
    "file",
    "environment",
    "socket",
    "import_late",
    "entropy",
    "chance",
    "row_out_of_range",
    "not_a_row",
]


@dataclass
class Config:
    do: Act = setting("What it does.")


class Hostile(Plugin[Config]):
    name = "hostile-python"
    version = "1.0.0"
    kind = Kind.DETECT
    config = Config

    def configure(self, config: Config, wanted: Subscription) -> None:
        self.act = config.do
        self.call = wanted.field("eventName")

    def process(self, batch: Batch, out: Output) -> None:
        for row in batch:
            if row.string(self.call) == "poison":
                getattr(self, self.act)(row, out)

    def nothing(self, row: Row, out: Output) -> None:
        pass

    def find(self, row: Row, out: Output, title: str = "found") -> None:
        out.find(row, Finding("r", title, Severity.LOW).entity("e"))

    def raise_(self, row: Row, out: Output) -> None:
        raise KeyError("s3cr3t")

    def loop(self, row: Row, out: Output) -> None:
        while True:
            pass

    def loop_in_regex(self, row: Row, out: Output) -> None:
        re.match(r"(a+)+$", "a" * 64 + "b")

    def allocate(self, row: Row, out: Output) -> None:
        bytearray(1 << 30)

    def allocate_by_steps(self, row: Row, out: Output) -> None:
        kept = []
        while True:
            kept.append(bytearray(1 << 20))

    def recurse(self, row: Row, out: Output) -> None:
        self.recurse(row, out)

    def recurse_without_limit(self, row: Row, out: Output) -> None:
        sys.setrecursionlimit(1 << 30)
        self.recurse(row, out)

    def print(self, row: Row, out: Output) -> None:
        print("printed\x1b[31m")
        print("complained", file=sys.stderr)
        self.find(row, out)

    def flood(self, row: Row, out: Output) -> None:
        for line in range(1_000):
            print(line)
        self.find(row, out)

    def exit(self, row: Row, out: Output) -> None:
        sys.exit(0)

    def clock(self, row: Row, out: Output) -> None:
        time.time()

    def calendar(self, row: Row, out: Output) -> None:
        datetime.datetime.now()

    def sleep(self, row: Row, out: Output) -> None:
        time.sleep(0.001)

    def file(self, row: Row, out: Output) -> None:
        with open("/etc/passwd") as file:
            self.find(row, out, file.read())

    def environment(self, row: Row, out: Output) -> None:
        self.find(row, out, f"{sorted(os.environ)} {sys.argv}")

    def socket(self, row: Row, out: Output) -> None:
        socket.create_connection(("127.0.0.1", 80))

    def import_late(self, row: Row, out: Output) -> None:
        import http.client

        http.client.HTTPConnection("127.0.0.1")

    def entropy(self, row: Row, out: Output) -> None:
        os.urandom(1)

    def chance(self, row: Row, out: Output) -> None:
        self.find(row, out, str(random.random()))

    def row_out_of_range(self, row: Row, out: Output) -> None:
        row.index = 1 << 20
        self.find(row, out)

    def not_a_row(self, row: Row, out: Output) -> None:
        row.index = "x"  # type: ignore[assignment]
        self.find(row, out)


setattr(Hostile, "raise", Hostile.raise_)
WitWorld = export(Hostile)
