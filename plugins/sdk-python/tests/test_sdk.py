"""The SDK under CPython: what a plugin sees, says and is told."""

import json
import random
import unittest
from dataclasses import dataclass, field
from typing import Literal, Optional

from sluicegate_plugin import (
    Batch,
    Finding,
    Kind,
    NoConfig,
    Output,
    Plugin,
    Severity,
    Subscription,
    ValueKind,
    export,
    log,
    pointer,
    setting,
    wit,
)
from sluicegate_plugin.settings import parse, schema_text
from sluicegate_plugin.testing import NOW_MS, Kit, Refused, logged


class Probe(Plugin[NoConfig]):
    """Exercises every part of the interface at once."""

    name = "probe"
    version = "1.0.0"
    kind = Kind.ENRICH

    def configure(self, config: NoConfig, wanted: Subscription) -> None:
        self.who = wanted.field("a.name")
        self.size = wanted.field("/size")
        self.all = wanted.field("list.*.x")
        self.flag = wanted.field("flag")
        wanted.clause().one_of("kind", "wanted", "5").absent("no")
        wanted.clause().starts_with("kind", "also")

    def process(self, batch: Batch, out: Output) -> None:
        size = out.addition("size.next")
        out.addition("nothing")
        assert batch.strings(self.who) == [row.string(self.who) for row in batch]
        for row in batch:
            if row.kind(self.who) == ValueKind.NUMBER:
                raise RuntimeError("secret")
            value = row.integer(self.size)
            if value is not None:
                size.set(row, value + 1)
            if row.has(self.all):
                out.find(row, Finding("list", "A list", Severity.LOW).attribute("x", str(row.json(self.all))))
            if row.boolean(self.flag):
                out.drop(row)
            log.info(row.string(self.who) or "nobody")
            out.mask(row, "a.name", "d")


class TestEvents(unittest.TestCase):
    def test_rows_are_found_again_as_the_events_they_were(self) -> None:
        logged()
        seen = Kit(Probe).run(
            [
                {"kind": "other"},
                '{"kind":"wanted","a":{"name":"J\\u00fcrgen"}}',
                {"kind": "also this", "size": 41, "list": [{"x": 1}, {"y": 2}, {"x": "3"}]},
                {"kind": "wanted", "no": True},
                '{"kind":5,"no":null,"size":7,"size":9,"flag":"true"}',
            ]
        )
        self.assertEqual(seen.matched, [1, 2, 4])
        self.assertEqual(seen.added(2, "/sluicegate/probe/size/next"), 42)
        self.assertEqual(seen.added(4, "/sluicegate/probe/size/next"), 10)
        for event in (0, 1):
            with self.assertRaises(KeyError):
                seen.added(event, "/sluicegate/probe/size/next")
        self.assertEqual(len(seen.outcome.additions), 1, "one without any value is left out")
        self.assertEqual(seen.findings(2)[0].attributes, [("x", "[1, '3']")])
        self.assertEqual(seen.rules(1), [])
        self.assertEqual(seen.masks(4), [("/a/name", "d")])
        self.assertTrue(seen.dropped(4))
        self.assertFalse(seen.dropped(2))
        self.assertEqual(logged(), ["Jürgen", "nobody", "nobody"])

    def test_a_failure_names_type_and_place_and_no_value(self) -> None:
        with self.assertRaisesRegex(Refused, r"^RuntimeError in process \(test_sdk\.py, line \d+\)$"):
            Kit(Probe).run([{"kind": "wanted", "a": {"name": 5}}])

    def test_running_out_of_memory_is_left_to_the_host(self) -> None:
        class Hungry(Plugin[NoConfig]):
            name, version, kind = "hungry", "1", Kind.DETECT

            def configure(self, config: NoConfig, wanted: Subscription) -> None:
                pass

            def process(self, batch: Batch, out: Output) -> None:
                raise MemoryError

        with self.assertRaises(MemoryError):
            Kit(Hungry).run([{}])

    def test_values_come_by_path_as_pythons_own(self) -> None:
        got: list[object] = []

        class Reader(Plugin[NoConfig]):
            name, version, kind = "reader", "1", Kind.DETECT

            def configure(self, config: NoConfig, wanted: Subscription) -> None:
                for path in ("a", "b.0", "/c~1d", "e"):
                    wanted.field(path)

            def process(self, batch: Batch, out: Output) -> None:
                row = batch.row(0)
                got.extend([row.get("a"), row.get("b.0"), row.get("/c~1d"), row.get("e")])
                with unittest.TestCase().assertRaisesRegex(KeyError, "was not asked for"):
                    row.get("other")
                with unittest.TestCase().assertRaisesRegex(IndexError, "row 1 of a batch of 1"):
                    batch.row(1)

        Kit(Reader).run(['{"a":"ä","b":[1.50],"c/d":{"x":[null,true]},"e":null}'])
        self.assertEqual(got, ["ä", 1.5, {"x": [None, True]}, None])

    def test_chance_depends_on_the_batch_alone(self) -> None:
        drawn: list[float] = []

        class Chance(Plugin[NoConfig]):
            name, version, kind = "chance", "1", Kind.DETECT

            def configure(self, config: NoConfig, wanted: Subscription) -> None:
                pass

            def process(self, batch: Batch, out: Output) -> None:
                drawn.append(random.random())

        kit = Kit(Chance)
        kit.run([{}])
        kit.run([{}])
        kit.run([{}], now_ms=NOW_MS + 1)
        self.assertEqual(drawn[0], drawn[1])
        self.assertNotEqual(drawn[1], drawn[2])

    def test_what_can_be_added_is_what_json_has(self) -> None:
        class Adds(Plugin[NoConfig]):
            name, version, kind = "adds", "1", Kind.ENRICH
            value: object = None

            def configure(self, config: NoConfig, wanted: Subscription) -> None:
                pass

            def process(self, batch: Batch, out: Output) -> None:
                out.addition("v").set(batch.row(0), Adds.value)

        for value in ("ä", True, 1, -2.5, [1, "x"], {"a": None}, None):
            Adds.value = value
            self.assertEqual(Kit(Adds).run([{}]).added(0, "/sluicegate/adds/v"), value)
        for wrong in (float("nan"), object()):
            Adds.value = wrong
            with self.assertRaisesRegex(Refused, "Error in "):
                Kit(Adds).run([{}])

    def test_dotted_paths_and_pointers_name_the_same(self) -> None:
        self.assertEqual(pointer("userIdentity.arn"), "/userIdentity/arn")
        self.assertEqual(pointer("a/b.c~d"), "/a~1b/c~0d")
        self.assertEqual((pointer("/a.b"), pointer("")), ("/a.b", ""))
        wanted = Subscription()
        self.assertEqual(wanted.field("a.b"), wanted.field("/a/b"))
        self.assertEqual(wanted.into_raw().fields, ["/a/b"])

    def test_the_host_meets_a_plugin_through_three_functions(self) -> None:
        world = export(Probe)()
        self.assertEqual(world.describe().name, "probe")
        batch = wit.Batch(0, NOW_MS, [])
        with self.assertRaisesRegex(wit.Err, "before configure"):
            world.process(batch)
        self.assertEqual(world.configure("").fields, ["/a/name", "/size", "/list/*/x", "/flag"])
        with self.assertRaisesRegex(wit.Err, "got 0 columns for 4 fields"):
            world.process(batch)

    def test_what_is_printed_goes_to_the_log_line_by_line(self) -> None:
        logged()
        stream = log.Stream(wit.Level.WARN)
        print("one", "two", file=stream)
        print("rest", end="", file=stream)
        self.assertEqual(logged(), ["one two"])
        stream.flush()
        self.assertEqual(logged(), ["rest"])


@dataclass
class Hours:
    start: int = setting("first hour of work", default=8, minimum=0, maximum=23)


@dataclass
class Config:
    mode: Literal["quiet", "loud"] = setting("how loud")
    share: float = setting("a share", default=0.5, minimum=0, maximum=1)
    words: list[str] = setting("words", default=["a"], maximum=2)
    levels: dict[str, int] = field(default_factory=dict)
    hours: Hours = setting("hours", default=Hours())
    note: Optional[str] = setting("a note", default=None, maximum=3)
    on: bool = True


class TestConfiguration(unittest.TestCase):
    def wrong(self, **settings: object) -> str:
        with self.assertRaises(ValueError) as raised:
            parse(Config, json.dumps({"mode": "quiet"} | settings))
        return str(raised.exception)

    def test_what_is_not_set_has_its_default(self) -> None:
        self.assertEqual(
            parse(Config, '{"mode":"loud","share":1,"hours":{"start":9},"levels":{"x":-1}}'),
            Config("loud", 1.0, ["a"], {"x": -1}, Hours(9), None, True),
        )
        self.assertEqual(parse(NoConfig, ""), NoConfig())

    def test_every_mistake_is_named_with_its_place(self) -> None:
        self.assertEqual(
            self.wrong(share=1.5, words=["a", 1], hours={"start": 24, "end": 1}),
            "`share` must be between 0 and 1, got 1.5; `words[1]` must be a text, got a whole number; "
            "`hours.end` is not a setting (known: start); `hours.start` must be between 0 and 23, got 24",
        )
        self.assertEqual(self.wrong(words="a"), "`words` must be a list, got a text")
        self.assertEqual(self.wrong(words=["a"] * 3), "`words` must have at most 2 entries, got 3")
        self.assertEqual(self.wrong(note="long"), "`note` must have at most 3 characters, got 4")
        self.assertEqual(self.wrong(levels={"x": True}), "`levels.x` must be a whole number, got true or false")
        self.assertEqual(self.wrong(on=1), "`on` must be true or false, got a whole number")
        self.assertEqual(self.wrong(mode="soft"), "`mode` must be one of quiet, loud, got a text")
        self.assertEqual(self.wrong(hours=None), "`hours` must be a table, got null")

    def test_what_is_no_configuration_at_all_is_refused(self) -> None:
        for text, what in [
            ("{}", "`mode` is missing"),
            ("[]", "`configuration` must be a table, got a list"),
            ('{"mode":"loud","mode":"quiet"}', "`mode` is set twice"),
            ('{"mode":NaN}', "NaN is not a number"),
            ('{"mode"', "failed to read the configuration"),
        ]:
            with self.assertRaisesRegex(ValueError, what.replace("[", r"\[")):
                parse(Config, text)
        with self.assertRaisesRegex(Refused, "is not a setting"):
            Kit(Probe, {"speed": 1})

    def test_the_schema_says_what_may_stand_there(self) -> None:
        schema = json.loads(schema_text(Config))
        self.assertEqual(schema["required"], ["mode"])
        self.assertFalse(schema["additionalProperties"])
        members = schema["properties"]
        self.assertEqual(members["mode"], {"enum": ["quiet", "loud"], "description": "how loud"})
        self.assertEqual(
            members["share"],
            {"type": "number", "minimum": 0, "maximum": 1, "description": "a share", "default": 0.5},
        )
        self.assertEqual(members["words"]["items"], {"type": "string"})
        self.assertEqual(members["hours"]["default"], {"start": 8})
        self.assertEqual(members["note"]["anyOf"], [{"type": "string", "maxLength": 3}, {"type": "null"}])

    def test_a_type_that_json_does_not_have_is_the_authors_mistake(self) -> None:
        @dataclass
        class Wrong:
            when: complex = 1j

        with self.assertRaisesRegex(TypeError, "a setting cannot be"):
            schema_text(Wrong)


if __name__ == "__main__":
    unittest.main()
