//! `{{name}}`: a user reads a secret with keys or a password of their own, where a role should.

use sluicegate_plugin::{
    Batch, Field, Finding, Output, Process, Severity, Subscription, configuration, plugin,
};

/// What the operator may set.
#[configuration]
#[serde(default)]
pub struct Config {
    /// ARNs of users who may read secrets.
    pub allowed: Vec<String>,
    /// What one user reads within so many seconds is one finding.
    #[schemars(range(min = 60, max = 86400))]
    pub window_s: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allowed: Vec::new(),
            window_s: 3600,
        }
    }
}

/// The plugin: its configuration, and the fields it reads.
#[plugin(detect)]
pub struct SecretReads {
    #[config]
    config: Config,
    #[field("/userIdentity/arn")]
    user: Field,
    #[field("/requestParameters/secretId")]
    secret: Field,
}

impl Process for SecretReads {
    fn configure(&mut self, wanted: &mut Subscription) -> Result<(), String> {
        let window_s = self.config.window_s;
        if !(60..=86_400).contains(&window_s) {
            return Err(format!("window_s must be between 60 and 86400, got {window_s}"));
        }
        // Only these events reach the plugin; the host finds them by an index.
        wanted
            .clause()
            .one_of("/eventSource", &["secretsmanager.amazonaws.com"])
            .one_of("/eventName", &["GetSecretValue", "BatchGetSecretValue"])
            .one_of("/userIdentity/type", &["IAMUser", "Root"])
            .absent("/errorCode");
        Ok(())
    }

    fn process(&self, batch: &Batch<'_>, out: &mut Output) -> Result<(), String> {
        for row in batch.rows() {
            let user = row.str(self.user).unwrap_or("unknown");
            if self.config.allowed.iter().any(|arn| arn == user) {
                continue;
            }
            let finding = Finding::new(
                "secret-read-by-user",
                "A user read a secret",
                Severity::Medium,
            )
            .description("Programs read secrets by roles. A user who does may be somebody with stolen keys.")
            .entity(user)
            .window_s(self.config.window_s)
            .attribute("secret", row.str(self.secret).unwrap_or_default())
            .attribute("technique", "T1555.006");
            out.find(row, finding);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_plugin::testing::Kit;

    use super::SecretReads;

    #[test]
    fn only_what_the_plugin_asked_for_reaches_it() {
        let seen = Kit::<SecretReads>::new("{}").run(&[
            r#"{"eventSource":"secretsmanager.amazonaws.com","eventName":"ListSecrets","userIdentity":{"type":"IAMUser"}}"#,
            r#"{"eventSource":"secretsmanager.amazonaws.com","eventName":"GetSecretValue","userIdentity":{"type":"AssumedRole"}}"#,
            r#"{"eventSource":"secretsmanager.amazonaws.com","eventName":"GetSecretValue","userIdentity":{"type":"IAMUser"}}"#,
        ]);
        assert_eq!(seen.matched(), [2]);
        assert_eq!(seen.rules(2), ["secret-read-by-user"]);
    }
}
