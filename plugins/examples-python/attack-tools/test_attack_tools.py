import unittest
from typing import Any

from attack_tools import AttackTools
from sluicegate_plugin import Severity
from sluicegate_plugin.testing import Kit, Refused

KALI = "aws-cli/2.9.19 Python/3.11.2 Linux/6.6.9-kali1-amd64 botocore/2.0.0"
ALICE = "arn:aws:iam::123456789012:user/alice"


def event(agent: str, **more: Any) -> dict[str, Any]:
    return {
        "eventName": "GetCallerIdentity",
        "userIdentity": {"arn": ALICE},
        "sourceIPAddress": "203.0.113.7",
        "userAgent": agent,
    } | more


class TestAttackTools(unittest.TestCase):
    def test_a_tool_is_found_and_said_of_whom(self) -> None:
        seen = Kit(AttackTools).run([event("Boto3/1.35"), event(KALI)])
        self.assertEqual(seen.rules(0), [])
        (finding,) = seen.findings(1)
        self.assertEqual((finding.rule, finding.entity), ("attack-tool", [ALICE, "kali"]))
        self.assertEqual((finding.severity, finding.window_s), (Severity.HIGH, 3600))
        self.assertEqual(
            finding.attributes,
            [("tool", "kali"), ("user-agent", KALI), ("source-ip", "203.0.113.7"), ("call", "GetCallerIdentity")],
        )

    def test_a_word_counts_where_it_stands_alone(self) -> None:
        for agent, found in [
            ("S3 Browser/11.6.7 (https://s3browser.com)", True),
            ("stratus-red-team_4d2f", True),
            ("[RCLONE/v1.65]", True),
            ("Pacu", True),
            ("kalibrate/2.0", False),
            ("unparrot", False),
            ("aws-sdk-go-v2/1.30.4", False),
            ("ſ3 browser", False),
            ("x" * 1000 + " kali", True),
        ]:
            self.assertEqual(bool(Kit(AttackTools).run([event(agent)]).rules(0)), found, agent)

    def test_events_without_a_user_agent_are_not_even_seen(self) -> None:
        seen = Kit(AttackTools).run([{"eventName": "x"}, {"userAgent": None}, {"userAgent": 5}, {"userAgent": "kali"}])
        self.assertEqual(seen.matched, [2, 3])
        self.assertEqual(seen.findings(3)[0].entity, ["unknown", "kali"])

    def test_the_operator_adds_words_and_allows_principals(self) -> None:
        kit = Kit(AttackTools, {"also": {"Terraform": "low"}, "allowed": [ALICE]})
        seen = kit.run([event("Terraform/1.9.5", userIdentity={"arn": "arn:x"}), event(KALI)])
        self.assertEqual(seen.findings(0)[0].severity, Severity.LOW)
        self.assertEqual(seen.rules(1), [])
        with self.assertRaisesRegex(Refused, "`also` must hold words of 3 characters or more, got `a`"):
            Kit(AttackTools, {"also": {"a": "low"}})
        with self.assertRaisesRegex(Refused, "`also.terraform` must be one of low, medium, high, got a text"):
            Kit(AttackTools, {"also": {"terraform": "severe"}})


if __name__ == "__main__":
    unittest.main()
