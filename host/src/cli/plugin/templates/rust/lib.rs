//! `{{name}}`: somebody makes an access key for another user, and so can act as that user from then on.

use sluicegate_plugin::{
    Batch, Field, Finding, Output, Process, Severity, Subscription, configuration, plugin,
};

/// What the operator may set.
#[configuration]
#[serde(default)]
pub struct Config {
    /// ARNs of those who make keys for others as their work.
    pub allowed: Vec<String>,
    /// Keys that one principal makes within so many seconds are one finding.
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
pub struct KeysForOthers {
    #[config]
    config: Config,
    #[field("userIdentity.arn")]
    principal: Field,
    #[field("userIdentity.userName")]
    principal_name: Field,
    #[field("requestParameters.userName")]
    owner: Field,
}

impl Process for KeysForOthers {
    fn configure(&mut self, wanted: &mut Subscription) -> Result<(), String> {
        let window_s = self.config.window_s;
        if !(60..=86_400).contains(&window_s) {
            return Err(format!("window_s must be between 60 and 86400, got {window_s}"));
        }
        wanted
            .clause()
            .one_of("eventSource", &["iam.amazonaws.com"])
            .one_of("eventName", &["CreateAccessKey"])
            .absent("errorCode");
        Ok(())
    }

    fn process(&self, batch: &Batch<'_>, out: &mut Output) -> Result<(), String> {
        for row in batch.rows() {
            // Who names no user makes a key of their own.
            let Some(owner) = row.str(self.owner) else {
                continue;
            };
            let principal = row.str(self.principal).unwrap_or("unknown");
            let own = row.str(self.principal_name) == Some(owner);
            if own || self.config.allowed.iter().any(|arn| arn == principal) {
                continue;
            }
            let finding = Finding::new(
                "access-key-for-another-user",
                "An access key was made for another user",
                Severity::Medium,
            )
            .description("Whoever made the key can act as that user, until the key is deleted.")
            .entity(principal)
            .window_s(self.config.window_s)
            .attribute("user", owner)
            .attribute("technique", "T1098.001");
            out.find(row, finding);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_plugin::testing::Kit;

    use super::KeysForOthers;

    #[test]
    fn only_what_the_plugin_asked_for_reaches_it() {
        let seen = Kit::<KeysForOthers>::new("{}").run(&[
            r#"{"eventSource":"iam.amazonaws.com","eventName":"ListUsers"}"#,
            r#"{"eventSource":"iam.amazonaws.com","eventName":"CreateAccessKey","errorCode":"AccessDenied"}"#,
            r#"{"eventSource":"iam.amazonaws.com","eventName":"CreateAccessKey","requestParameters":{"userName":"bob"}}"#,
        ]);
        assert_eq!(seen.matched(), [2]);
        assert_eq!(seen.rules(2), ["access-key-for-another-user"]);
    }
}
