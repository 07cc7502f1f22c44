"""{{name}}: a user reads a secret with keys or a password of their own, where a role should."""

from dataclasses import dataclass

from sluicegate_plugin import Batch, Finding, Kind, Output, Plugin, Severity, Subscription, export, setting


@dataclass
class Config:
    """What the operator may set."""

    allowed: list[str] = setting("ARNs of users who may read secrets.", default=[], maximum=1000)
    window_s: int = setting(
        "What one user reads within so many seconds is one finding.", default=3600, minimum=60, maximum=86400
    )


class SecretReads(Plugin[Config]):
    """The plugin: what it is, and the fields it reads."""

    name = "{{name}}"
    version = "0.1.0"
    kind = Kind.DETECT
    config = Config

    def configure(self, config: Config, wanted: Subscription) -> None:
        self.settings = config
        self.user = wanted.field("userIdentity.arn")
        self.secret = wanted.field("requestParameters.secretId")
        # Only these events reach the plugin; the host finds them by an index.
        wanted.clause().one_of("eventSource", "secretsmanager.amazonaws.com").one_of(
            "eventName", "GetSecretValue", "BatchGetSecretValue"
        ).one_of("userIdentity.type", "IAMUser", "Root").absent("errorCode")

    def process(self, batch: Batch, out: Output) -> None:
        for row in batch:
            user = row.string(self.user) or "unknown"
            if user in self.settings.allowed:
                continue
            out.find(
                row,
                Finding("secret-read-by-user", "A user read a secret", Severity.MEDIUM)
                .description("Programs read secrets by roles. A user who does may be somebody with stolen keys.")
                .entity(user)
                .window_s(self.settings.window_s)
                .attribute("secret", row.string(self.secret))
                .attribute("technique", "T1555.006"),
            )


WitWorld = export(SecretReads)
