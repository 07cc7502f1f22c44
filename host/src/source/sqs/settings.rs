//! The section `[source]` of a queue.

use serde::{Deserialize, Serialize};

use crate::{
    config::Problems,
    source::{
        layout::{is_account, is_region},
        notification::Trust,
    },
    text::shown,
};

/// The least time for which a message stays invisible: its lease is extended at half of it.
pub(super) const LEAST_VISIBILITY_S: u32 = 2;

/// Configuration of the queue and the buckets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address of the queue, as `aws sqs get-queue-url` prints it. Required.
    pub queue_url: String,
    /// Address of a second queue in the same region, of historical or redriven notifications, which are
    /// taken with what the first leaves. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill_queue_url: Option<String>,
    /// Region of the queue, and of each bucket that names none. Required.
    pub region: String,
    /// Another address for both services, such as a VPC endpoint or a test server; S3 is then asked
    /// path-style. Default: AWS's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    /// The buckets that may be read. What a message announces elsewhere is refused. At least one.
    pub buckets: Vec<BucketSettings>,
    /// How long one call waits for messages, in seconds. Default 20, range 0 to 20.
    #[serde(default = "default_wait_s")]
    pub wait_s: u32,
    /// How long a message stays invisible without a sign of life, in seconds. Default: the queue's own;
    /// range 2 to 43200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility_timeout_s: Option<u32>,
    /// What becomes of a message that fails again and again. Default `leave-to-queue`.
    #[serde(default)]
    pub poison: Poison,
    /// How often such a message is tried with `poison = "dead-letter"`. Default 50, range 2 to 1000.
    #[serde(default = "default_poison_after")]
    pub poison_after: u32,
}

/// What becomes of a message that fails again and again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Poison {
    /// It comes back until the queue sets it aside by its own redrive policy, or until it expires.
    #[default]
    LeaveToQueue,
    /// After so many tries its objects become dead letters, with what was wrong the last time.
    DeadLetter,
}

/// A bucket that may be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketSettings {
    /// Name; no ARN, no access point. Required.
    pub name: String,
    /// Account that owns it, twelve digits: S3 refuses us should the name ever belong to somebody else.
    /// Required.
    pub owner: String,
    /// Region, where it is not the queue's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// ARN of a role that is assumed to read it, where the host's own may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// What the role's trust policy demands as `sts:ExternalId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
}

impl BucketSettings {
    /// A bucket in the queue's region that the host's own role may read.
    #[must_use]
    pub fn new(name: impl Into<String>, owner: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            owner: owner.into(),
            region: None,
            role_arn: None,
            external_id: None,
        }
    }
}

fn default_wait_s() -> u32 {
    20
}

fn default_poison_after() -> u32 {
    50
}

impl Settings {
    /// What has to be said, and the defaults of everything else.
    #[must_use]
    pub fn new(
        queue_url: impl Into<String>,
        region: impl Into<String>,
        buckets: Vec<BucketSettings>,
    ) -> Self {
        Self {
            queue_url: queue_url.into(),
            backfill_queue_url: None,
            region: region.into(),
            endpoint_url: None,
            buckets,
            wait_s: default_wait_s(),
            visibility_timeout_s: None,
            poison: Poison::default(),
            poison_after: default_poison_after(),
        }
    }

    /// Reports every value that cannot be right.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        validate_url(&format!("{at}.queue_url"), &self.queue_url, problems);
        if let Some(url) = &self.backfill_queue_url {
            validate_url(&format!("{at}.backfill_queue_url"), url, problems);
            if *url == self.queue_url {
                problems.push(format!(
                    "{at}.backfill_queue_url must be another queue than {at}.queue_url"
                ));
            }
        }
        if let Some(url) = &self.endpoint_url {
            validate_url(&format!("{at}.endpoint_url"), url, problems);
        }
        validate_region(&format!("{at}.region"), &self.region, problems);
        problems.range(&format!("{at}.wait_s"), self.wait_s, 0..=20);
        if let Some(timeout) = self.visibility_timeout_s {
            problems.range(
                &format!("{at}.visibility_timeout_s"),
                timeout,
                LEAST_VISIBILITY_S..=43_200,
            );
        }
        problems.range(&format!("{at}.poison_after"), self.poison_after, 2..=1_000);
        if self.buckets.is_empty() {
            problems.push(format!("{at}.buckets must name at least one bucket"));
        }
        for (position, bucket) in self.buckets.iter().enumerate() {
            let at = format!("{at}.buckets[{position}]");
            bucket.validate(&at, problems);
            if self.buckets[..position]
                .iter()
                .any(|earlier| earlier.name == bucket.name)
            {
                problems.push(format!(
                    "{at}.name must be named once, got {} again",
                    shown(&bucket.name)
                ));
            }
        }
    }

    /// What a notification may announce.
    #[must_use]
    pub fn trust(&self) -> Trust {
        Trust::new(self.buckets.iter().map(|bucket| bucket.name.as_str()))
    }
}

impl BucketSettings {
    fn validate(&self, at: &str, problems: &mut Problems) {
        if !is_bucket_name(&self.name) {
            problems.push(format!(
                "{at}.name must be a bucket's name (3 to 63 of a-z, 0-9, `-` and `.`; no ARN), got {}",
                shown(&self.name)
            ));
        }
        if !is_account(&self.owner) {
            problems.push(format!(
                "{at}.owner must be an account of twelve digits, got {}",
                shown(&self.owner)
            ));
        }
        if let Some(region) = &self.region {
            validate_region(&format!("{at}.region"), region, problems);
        }
        if let Some(role) = &self.role_arn
            && !is_role(role)
        {
            problems.push(format!(
                "{at}.role_arn must be a role such as arn:aws:iam::123456789012:role/reader, got {}",
                shown(role)
            ));
        }
        if let Some(id) = &self.external_id {
            if !is_external_id(id) {
                problems.push(format!(
                    "{at}.external_id must be 2 to 1224 of A-Z, a-z, 0-9 and +=,.@:/-_, got {}",
                    shown(id)
                ));
            }
            if self.role_arn.is_none() {
                problems.push(format!("{at}.external_id needs {at}.role_arn"));
            }
        }
    }
}

/// `arn:<partition>:iam::<account>:role/<path and name>`.
fn is_role(arn: &str) -> bool {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (arn, partition, service, region, account, resource) =
        (next(), next(), next(), next(), next(), next());
    let name = resource.strip_prefix("role/").unwrap_or_default();
    let in_name = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-/".contains(c);
    arn == "arn"
        && partition.starts_with("aws")
        && service == "iam"
        && region.is_empty()
        && is_account(account)
        && (1..=576).contains(&name.len())
        && name.chars().all(in_name)
}

fn is_external_id(id: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "+=,.@:/-_".contains(c);
    (2..=1_224).contains(&id.len()) && id.chars().all(allowed)
}

fn is_bucket_name(name: &str) -> bool {
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (3..=63).contains(&name.len())
        && name.chars().all(|c| ends(c) || c == '-' || c == '.')
        && name.starts_with(ends)
        && name.ends_with(ends)
}

fn validate_region(key: &str, region: &str, problems: &mut Problems) {
    if !is_region(region) {
        problems.push(format!(
            "{key} must be a region such as eu-west-1, got {}",
            shown(region)
        ));
    }
}

fn validate_url(key: &str, url: &str, problems: &mut Problems) {
    if let Err(error) = check_url(url) {
        problems.push(format!("{key} {error}"));
    }
}

/// Whether this can be an address, and why not.
pub(super) fn check_url(url: &str) -> anyhow::Result<()> {
    let host = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    anyhow::ensure!(
        host.is_some_and(|host| !host.is_empty() && !host.starts_with('/')),
        "must be an address that begins with https://, got {}",
        shown(url)
    );
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let bucket = BucketSettings::new("leanda-ng-cloudtrail-test-123456789012", "123456789012");
        let queue = "https://sqs.eu-west-1.amazonaws.com/123456789012/q";
        Settings::new(queue, "eu-west-1", vec![bucket])
    }

    fn problems(change: impl FnOnce(&mut Settings)) -> Vec<String> {
        let mut settings = settings();
        change(&mut settings);
        let mut problems = Problems::default();
        settings.validate("source", &mut problems);
        problems.lines().to_vec()
    }

    #[test]
    fn good_settings_have_no_problem() {
        assert!(problems(|_| ()).is_empty());
    }

    #[test]
    fn every_bad_value_is_named() {
        let found = problems(|settings| {
            settings.queue_url = "sqs".to_owned();
            settings.backfill_queue_url = Some("sqs".to_owned());
            settings.region = "eu-west-1.example.com".to_owned();
            settings.wait_s = 21;
            settings.visibility_timeout_s = Some(1);
            settings.buckets[0].name = "arn:aws:s3:::b".to_owned();
            settings.buckets[0].owner = "12345".to_owned();
            settings.poison_after = 1;
        });
        let keys: Vec<_> = found
            .iter()
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        let expected = [
            "queue_url",
            "backfill_queue_url",
            "backfill_queue_url",
            "region",
            "wait_s",
            "visibility_timeout_s",
            "poison_after",
            "buckets[0].name",
            "buckets[0].owner",
        ];
        assert_eq!(keys, expected.map(|key| format!("source.{key}")));
    }

    #[test]
    fn a_bucket_is_needed_and_named_once() {
        assert!(problems(|settings| settings.buckets.clear())[0].contains("at least one"));
        assert!(
            problems(|settings| settings.buckets.push(settings.buckets[0].clone()))[0]
                .contains("again")
        );
    }

    #[test]
    fn a_role_is_one_and_an_external_id_needs_it() {
        let with = |role: Option<&str>, id: Option<&str>| {
            problems(|settings| {
                settings.buckets[0].role_arn = role.map(Into::into);
                settings.buckets[0].external_id = id.map(Into::into);
            })
        };
        let role = "arn:aws-us-gov:iam::123456789012:role/team/cloudtrail-reader";
        assert!(with(Some(role), None).is_empty());
        assert!(with(Some(role), Some("a:b")).is_empty());
        for wrong in [
            "reader",
            "arn:aws:iam::123456789012:user/u",
            "arn:aws:iam:eu-west-1:123456789012:role/r",
            "arn:aws:iam::1:role/r",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/a b",
        ] {
            assert!(
                with(Some(wrong), None)[0].starts_with("source.buckets[0].role_arn must be"),
                "{wrong}"
            );
        }
        assert!(with(Some(role), Some("a"))[0].contains("external_id must be"));
        assert!(with(None, Some("ab"))[0].contains("external_id needs"));
    }
}
