"""Runs the Python example under CPython: batches of events in, its findings out, both as JSON."""

import json
import sys

from attack_tools import AttackTools
from sluicegate_plugin.testing import Kit

asked = json.load(sys.stdin)
kit = Kit(AttackTools, asked["configuration"])
found = []
for events in asked["batches"]:
    seen = kit.run(events)
    found.append(
        [
            {
                "row": seen.matched[finding.row],
                "rule": finding.rule,
                "title": finding.title,
                "description": finding.description,
                "severity": finding.severity.name.lower(),
                "entity": finding.entity,
                "window_s": finding.window_s,
                "attributes": finding.attributes,
            }
            for finding in seen.findings()
        ]
    )
json.dump(found, sys.stdout)
