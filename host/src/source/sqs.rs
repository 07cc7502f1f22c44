//! The queue: long polls, leases, batched deletions and releases; S3 for the objects.
//!
//! Nothing here decides about a message. The pipeline does, and calls one of three verbs. The SDK's own
//! retries are off: a failed receive or read is told to the pipeline, which waits and asks again, so
//! that there is one back-off and not two inside each other.

mod deletes;
mod lease;

use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client,
    error::{DisplayErrorContext, ProvideErrorMetadata},
    types::{MessageSystemAttributeName, QueueAttributeName},
};
use serde::{Deserialize, Serialize};

use self::{deletes::Deletes, lease::Extended};
use super::{
    Announcement, Lease, Message, OpenError, OpenObject, Source,
    layout::{is_account, is_region},
    notification::Trust,
    object::Objects,
};
use crate::{config::Problems, event::ObjectRef, text::shown};

/// SQS hands out no more messages in one call.
const MAX_RECEIVED: usize = 10;
/// A message stays invisible no longer than this after it was received, whatever is asked for.
const CEILING: Duration = Duration::from_hours(12);
const FIRST_DELAY_S: u32 = 10;
const LONGEST_DELAY_S: u32 = 900;

/// Configuration of the queue and the buckets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address of the queue, as `aws sqs get-queue-url` prints it. Required.
    pub queue_url: String,
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
    /// range 10 to 43200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility_timeout_s: Option<u32>,
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
}

fn default_wait_s() -> u32 {
    20
}

impl Settings {
    /// Reports every value that cannot be right.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        validate_url(&format!("{at}.queue_url"), &self.queue_url, problems);
        if let Some(url) = &self.endpoint_url {
            validate_url(&format!("{at}.endpoint_url"), url, problems);
        }
        validate_region(&format!("{at}.region"), &self.region, problems);
        problems.range(&format!("{at}.wait_s"), self.wait_s, 0..=20);
        if let Some(timeout) = self.visibility_timeout_s {
            problems.range(&format!("{at}.visibility_timeout_s"), timeout, 10..=43_200);
        }
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
    }
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
    let host = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    if host.is_none_or(|host| host.is_empty() || host.starts_with('/')) {
        problems.push(format!(
            "{key} must be an address that begins with https://, got {}",
            shown(url)
        ));
    }
}

/// The SQS source.
#[derive(Debug)]
pub struct Sqs {
    client: Client,
    queue_url: String,
    wait_s: u32,
    visibility_s: u32,
    deletes: Deletes,
    objects: Objects,
}

impl Sqs {
    /// Connects with credentials from the environment, as every AWS tool finds them.
    ///
    /// # Errors
    /// When the queue does not tell its visibility timeout.
    pub async fn connect(settings: &Settings) -> anyhow::Result<Self> {
        Self::with_config(settings, &sdk_config(settings).await).await
    }

    /// The same with the caller's own credentials and HTTP client.
    ///
    /// # Errors
    /// When the queue does not tell its visibility timeout.
    pub async fn with_config(settings: &Settings, config: &SdkConfig) -> anyhow::Result<Self> {
        let client = Client::new(config);
        let visibility_s = match settings.visibility_timeout_s {
            Some(seconds) => seconds,
            None => visibility_of(&client, &settings.queue_url).await?,
        };
        Ok(Self {
            deletes: Deletes::start(client.clone(), settings.queue_url.clone()),
            objects: Objects::new(settings, config),
            queue_url: settings.queue_url.clone(),
            wait_s: settings.wait_s,
            visibility_s,
            client,
        })
    }

    fn message(&self, message: aws_sdk_sqs::types::Message) -> Option<Message> {
        let id = message.message_id.unwrap_or_default();
        let Some(receipt) = message.receipt_handle else {
            tracing::warn!(message = %shown(&id), queue = %self.queue_url, "a message without a receipt cannot be worked on");
            return None;
        };
        let receives = message
            .attributes
            .as_ref()
            .and_then(|all| all.get(&MessageSystemAttributeName::ApproximateReceiveCount))
            .and_then(|count| count.parse().ok())
            .unwrap_or(1);
        Some(Message {
            id,
            receipt,
            announcement: Announcement::Notification(message.body.unwrap_or_default()),
            receives,
            received: tokio::time::Instant::now().into_std(),
        })
    }
}

/// What [`Sqs::connect`] uses: the credentials and proxies that every AWS tool finds, no retries, and
/// time limits that leave room for a long poll.
pub async fn sdk_config(settings: &Settings) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .read_timeout(Duration::from_secs(u64::from(settings.wait_s) + 15))
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(settings.region.clone()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    if let Some(url) = &settings.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    loader.load().await
}

async fn visibility_of(client: &Client, queue_url: &str) -> anyhow::Result<u32> {
    let name = QueueAttributeName::VisibilityTimeout;
    let answer = client
        .get_queue_attributes()
        .queue_url(queue_url)
        .attribute_names(name.clone())
        .send()
        .await
        .map_err(|error| told(&error))
        .with_context(|| {
            format!(
                "failed to read the attributes of queue {}",
                shown(queue_url)
            )
        })?;
    let seconds = answer
        .attributes
        .as_ref()
        .and_then(|all| all.get(&name))
        .and_then(|text| text.parse().ok());
    seconds.filter(|seconds| *seconds >= 10).with_context(|| {
        format!(
            "the visibility timeout of queue {} must be 10 s or more",
            shown(queue_url)
        )
    })
}

/// The whole chain of an SDK error as one text, made fit to be shown.
fn told(error: &(dyn std::error::Error + 'static)) -> anyhow::Error {
    anyhow::anyhow!("{}", shown(&DisplayErrorContext(error).to_string()))
}

/// How long a message rests after it failed, by how often it was received: 10 s, 20 s, … 15 min.
pub(super) fn delay_s(receives: u32) -> u32 {
    let doublings = receives.saturating_sub(1).min(16);
    (FIRST_DELAY_S << doublings).min(LONGEST_DELAY_S)
}

#[async_trait]
impl Source for Sqs {
    async fn receive(&self, max: usize) -> anyhow::Result<Option<Vec<Message>>> {
        let max = i32::try_from(max.clamp(1, MAX_RECEIVED)).unwrap_or(1);
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.queue_url)
            .max_number_of_messages(max)
            .wait_time_seconds(self.wait_s.cast_signed())
            .visibility_timeout(self.visibility_s.cast_signed())
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .send()
            .await
            .map_err(|error| told(&error))
            .with_context(|| format!("failed to receive from queue {}", shown(&self.queue_url)))?;
        let messages = answer.messages.unwrap_or_default();
        Ok(Some(
            messages
                .into_iter()
                .filter_map(|message| self.message(message))
                .collect(),
        ))
    }

    fn lease(&self, message: &Message) -> Lease {
        let (client, queue_url, receipt) = (
            self.client.clone(),
            self.queue_url.clone(),
            message.receipt.clone(),
        );
        let extend = move |seconds: u32| {
            let request = client
                .change_message_visibility()
                .queue_url(&queue_url)
                .receipt_handle(&receipt)
                .visibility_timeout(seconds.cast_signed());
            async move {
                match request.send().await {
                    Ok(_) => Ok(Extended::Yes),
                    Err(error) if is_gone(&error) => Ok(Extended::Gone),
                    Err(error) => Err(told(&error)),
                }
            }
        };
        let visibility = Duration::from_secs(self.visibility_s.into());
        let kept = lease::keep(
            extend,
            visibility,
            message.received.into(),
            message.id.clone(),
        );
        Lease::kept_by(tokio::spawn(kept))
    }

    async fn delete(&self, message: Message) {
        self.deletes.delete(message.id, message.receipt).await;
    }

    async fn release(&self, message: Message, started: bool) {
        let delay = if started {
            delay_s(message.receives)
        } else {
            0
        };
        let answer = self
            .client
            .change_message_visibility()
            .queue_url(&self.queue_url)
            .receipt_handle(&message.receipt)
            .visibility_timeout(delay.cast_signed())
            .send()
            .await;
        if let Err(error) = answer {
            // It comes again by itself, when its visibility ends.
            let error = told(&error);
            tracing::warn!(message = %shown(&message.id), error = %error, "failed to release a message");
        }
    }

    async fn open(&self, reference: &ObjectRef) -> Result<OpenObject, OpenError> {
        self.objects.open(reference).await
    }

    async fn check(&self) -> anyhow::Result<String> {
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(&self.queue_url)
            .attribute_names(QueueAttributeName::All)
            .send()
            .await
            .map_err(|error| told(&error))
            .with_context(|| {
                format!(
                    "failed to read the attributes of queue {}",
                    shown(&self.queue_url)
                )
            })?;
        let attributes = answer.attributes.unwrap_or_default();
        let waiting = attributes
            .get(&QueueAttributeName::ApproximateNumberOfMessages)
            .map_or("an unknown number of", String::as_str);
        let redrive = if attributes.contains_key(&QueueAttributeName::RedrivePolicy) {
            "has a dead-letter queue"
        } else {
            "has no dead-letter queue (a message that always fails comes back until it expires)"
        };
        let buckets = self.objects.check().await?;
        Ok(format!(
            "queue {}: {} messages wait, visibility {} s, {redrive}; {buckets}",
            shown(&self.queue_url),
            shown(waiting),
            self.visibility_s
        ))
    }
}

/// Whether the receipt no longer names a message that is ours.
fn is_gone(error: &impl ProvideErrorMetadata) -> bool {
    error.code().is_some_and(|code| {
        let code = code.strip_prefix("AWS.SimpleQueueService.").unwrap_or(code);
        matches!(
            code,
            "ReceiptHandleIsInvalid"
                | "MessageNotInflight"
                | "InvalidParameterValue"
                | "QueueDoesNotExist"
        )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            queue_url: "https://sqs.eu-west-1.amazonaws.com/123456789012/q".to_owned(),
            region: "eu-west-1".to_owned(),
            endpoint_url: None,
            buckets: vec![BucketSettings {
                name: "leanda-ng-cloudtrail-test-123456789012".to_owned(),
                owner: "123456789012".to_owned(),
                region: None,
            }],
            wait_s: 20,
            visibility_timeout_s: None,
        }
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
            settings.region = "eu-west-1.example.com".to_owned();
            settings.wait_s = 21;
            settings.visibility_timeout_s = Some(5);
            settings.buckets[0].name = "arn:aws:s3:::b".to_owned();
            settings.buckets[0].owner = "12345".to_owned();
        });
        let keys: Vec<_> = found
            .iter()
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        let expected = [
            "queue_url",
            "region",
            "wait_s",
            "visibility_timeout_s",
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
    fn a_message_that_failed_rests_longer_each_time() {
        let delays: Vec<_> = [0, 1, 2, 3, 7, 8, u32::MAX]
            .into_iter()
            .map(delay_s)
            .collect();
        assert_eq!(delays, [10, 10, 20, 40, 640, 900, 900]);
    }
}
