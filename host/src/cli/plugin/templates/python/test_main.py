import unittest
from typing import Any

from main import SecretReads
from sluicegate_plugin.testing import Kit, Refused

ALICE = "arn:aws:iam::123456789012:user/alice"


def read(**more: Any) -> dict[str, Any]:
    return {
        "eventSource": "secretsmanager.amazonaws.com",
        "eventName": "GetSecretValue",
        "userIdentity": {"type": "IAMUser", "arn": ALICE},
        "requestParameters": {"secretId": "orders/database"},
    } | more


class TestSecretReads(unittest.TestCase):
    def test_a_user_who_reads_a_secret_is_found(self) -> None:
        (finding,) = Kit(SecretReads).run([read()]).findings(0)
        self.assertEqual((finding.rule, finding.entity), ("secret-read-by-user", [ALICE]))
        self.assertIn(("secret", "orders/database"), finding.attributes)

    def test_other_calls_do_not_even_reach_the_plugin(self) -> None:
        seen = Kit(SecretReads).run(
            [
                read(eventName="ListSecrets"),
                read(userIdentity={"type": "AssumedRole"}),
                read(errorCode="AccessDenied"),
                read(),
            ]
        )
        self.assertEqual(seen.matched, [3])

    def test_a_user_who_is_allowed_reads_in_peace(self) -> None:
        self.assertEqual(Kit(SecretReads, {"allowed": [ALICE]}).run([read()]).rules(0), [])

    def test_a_window_that_is_too_short_is_refused(self) -> None:
        with self.assertRaisesRegex(Refused, "`window_s` must be between 60 and 86400, got 5"):
            Kit(SecretReads, {"window_s": 5})


if __name__ == "__main__":
    unittest.main()
