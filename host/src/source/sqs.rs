//! The queue: long polls, leases, batched deletions and releases; S3 for the objects.
//!
//! Nothing here decides about a message. The pipeline does, and calls one of three verbs. The SDK's own
//! retries are off: a failed receive or read is told to the pipeline, which waits and asks again, so
//! that there is one back-off and not two inside each other.

mod deletes;
mod lease;
pub mod set_aside;
mod settings;

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::Context;
use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client,
    config::IdentityCache,
    error::{DisplayErrorContext, ProvideErrorMetadata},
    types::{MessageSystemAttributeName, QueueAttributeName},
};

pub use self::settings::{BucketSettings, Poison, Settings};
use self::{deletes::Deletes, lease::Extended, settings::LEAST_VISIBILITY_S};
use super::{
    Announcement, Lease, Message, NeedsMending, OpenError, OpenObject, Priority, Source,
    credentials::Renewing,
    object::{Objects, has_expired},
};
use crate::{event::ObjectRef, text::shown};

/// SQS hands out no more messages in one call.
const MAX_RECEIVED: usize = 10;
/// A message stays invisible no longer than this after it was received, whatever is asked for.
const CEILING: Duration = Duration::from_hours(12);
const FIRST_DELAY_S: u32 = 10;
const LONGEST_DELAY_S: u32 = 900;

/// The SQS source.
#[derive(Debug)]
pub struct Sqs {
    client: Client,
    live: Queue,
    backfill: Option<Queue>,
    wait_s: u32,
    poison_after: Option<u32>,
    objects: Objects,
    /// Where they can be looked for anew.
    credentials: Option<Arc<Renewing>>,
}

/// One of the source's queues. What is done about a message is done at the queue it came from.
#[derive(Debug)]
struct Queue {
    priority: Priority,
    url: String,
    visibility_s: u32,
    deletes: Deletes,
}

impl Queue {
    async fn connect(
        client: &Client,
        settings: &Settings,
        (priority, url): (Priority, &str),
    ) -> anyhow::Result<Self> {
        let visibility_s = match settings.visibility_timeout_s {
            Some(seconds) => seconds,
            None => visibility_of(client, url).await?,
        };
        Ok(Self {
            priority,
            url: url.to_owned(),
            visibility_s,
            deletes: Deletes::start(client.clone(), url.to_owned()),
        })
    }

    fn message(&self, message: aws_sdk_sqs::types::Message) -> Option<Message> {
        let id = message.message_id.unwrap_or_default();
        let Some(receipt) = message.receipt_handle else {
            tracing::warn!(message = %shown(&id), queue = %self.url, "a message without a receipt cannot be worked on");
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
            priority: self.priority,
            announcement: Announcement::Notification(message.body.unwrap_or_default()),
            receives,
            received: tokio::time::Instant::now().into_std(),
        })
    }
}

impl Sqs {
    /// Connects with credentials from the environment, as every AWS tool finds them.
    ///
    /// # Errors
    /// When the queue does not tell its visibility timeout.
    pub async fn connect(settings: &Settings) -> anyhow::Result<Self> {
        let credentials = Renewing::of_the_environment(&settings.region);
        let config = config_with(settings, Some(&credentials)).await;
        Self::with_parts(settings, &config, Some(credentials)).await
    }

    /// The same with the caller's own credentials and HTTP client.
    ///
    /// # Errors
    /// When the queue does not tell its visibility timeout.
    pub async fn with_config(settings: &Settings, config: &SdkConfig) -> anyhow::Result<Self> {
        Self::with_parts(settings, config, None).await
    }

    async fn with_parts(
        settings: &Settings,
        config: &SdkConfig,
        credentials: Option<Arc<Renewing>>,
    ) -> anyhow::Result<Self> {
        let client = Client::new(config);
        let live = (Priority::Live, settings.queue_url.as_str());
        let live = Queue::connect(&client, settings, live).await?;
        let backfill = match &settings.backfill_queue_url {
            Some(url) => Some(Queue::connect(&client, settings, (Priority::Backfill, url)).await?),
            None => None,
        };
        Ok(Self {
            live,
            backfill,
            objects: Objects::new(settings, config, credentials.as_ref()),
            poison_after: (settings.poison == Poison::DeadLetter).then_some(settings.poison_after),
            credentials,
            wait_s: settings.wait_s,
            client,
        })
    }

    /// An error of a receive; what does not pass by itself is marked as such.
    fn refused(
        &self,
        error: &(impl ProvideErrorMetadata + std::error::Error + 'static),
        priority: Priority,
    ) -> anyhow::Error {
        let code = code_of(error);
        if has_expired(code) {
            self.credentials.as_ref().inspect(|own| own.forget());
        }
        match mending(code, priority) {
            Some(mending) => told(error).context(mending),
            None => told(error),
        }
    }

    /// What becomes of messages that always fail, where the queue sets them aside after so many receives.
    ///
    /// # Errors
    /// When the queue would be there before us.
    fn redrive(&self, most_receives: Option<u32>) -> anyhow::Result<String> {
        let always = "a message that always fails";
        Ok(match (most_receives, self.poison_after) {
            (Some(most), Some(ours)) => {
                anyhow::ensure!(
                    most > ours,
                    "the queue sets a message aside after {most} receives (maxReceiveCount), before \
                     source.poison_after = {ours} makes it a dead letter: raise the one or lower the other"
                );
                format!("{always} becomes a dead letter after {ours} receives")
            }
            (None, Some(ours)) => format!("{always} becomes a dead letter after {ours} receives"),
            (Some(most), None) => {
                format!("has a dead-letter queue that {always} reaches after {most} receives")
            }
            (None, None) => {
                format!("has no dead-letter queue ({always} comes back until it expires)")
            }
        })
    }

    /// Where a message came from.
    fn queue_of(&self, message: &Message) -> &Queue {
        let backfill = self.backfill.as_ref();
        let backfill = backfill.filter(|_| message.priority == Priority::Backfill);
        backfill.unwrap_or(&self.live)
    }

    async fn receive_from(&self, queue: &Queue, max: usize) -> anyhow::Result<Vec<Message>> {
        let max = i32::try_from(max.clamp(1, MAX_RECEIVED)).unwrap_or(1);
        let answer = self
            .client
            .receive_message()
            .queue_url(&queue.url)
            .max_number_of_messages(max)
            .wait_time_seconds(self.wait_s.cast_signed())
            .visibility_timeout(queue.visibility_s.cast_signed())
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .send()
            .await
            .map_err(|error| self.refused(&error, queue.priority))
            .with_context(|| format!("failed to receive from queue {}", shown(&queue.url)))?;
        let messages = answer.messages.unwrap_or_default();
        Ok(messages
            .into_iter()
            .filter_map(|message| queue.message(message))
            .collect())
    }

    /// What there is to tell about a queue.
    async fn check_queue(&self, queue: &Queue) -> anyhow::Result<String> {
        let all = QueueAttributeName::All;
        let attributes = attributes_of(&self.client, &queue.url, all).await?;
        let waiting = attributes
            .get(&QueueAttributeName::ApproximateNumberOfMessages)
            .map_or("an unknown number of", String::as_str);
        let policy = attributes.get(&QueueAttributeName::RedrivePolicy);
        let redrive = self
            .redrive(policy.and_then(|policy| most_receives(policy)))
            .with_context(|| format!("queue {} cannot be used", shown(&queue.url)))?;
        Ok(format!(
            "queue {}: {} messages wait, visibility {} s, {redrive}",
            shown(&queue.url),
            shown(waiting),
            queue.visibility_s
        ))
    }
}

/// What [`Sqs::connect`] uses: the credentials and proxies that every AWS tool finds, no retries, and
/// time limits that leave room for a long poll.
pub async fn sdk_config(settings: &Settings) -> SdkConfig {
    config_with(settings, None).await
}

async fn config_with(settings: &Settings, credentials: Option<&Arc<Renewing>>) -> SdkConfig {
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
    if let Some(credentials) = credentials {
        loader = loader
            .credentials_provider(credentials.shared())
            .identity_cache(IdentityCache::no_cache());
    }
    loader.load().await
}

async fn attributes_of(
    client: &Client,
    queue_url: &str,
    name: QueueAttributeName,
) -> anyhow::Result<HashMap<QueueAttributeName, String>> {
    let request = client.get_queue_attributes().queue_url(queue_url);
    let answer = request.attribute_names(name).send().await;
    let answer = answer.map_err(|error| told(&error)).with_context(|| {
        format!(
            "failed to read the attributes of queue {}",
            shown(queue_url)
        )
    })?;
    Ok(answer.attributes.unwrap_or_default())
}

async fn visibility_of(client: &Client, queue_url: &str) -> anyhow::Result<u32> {
    let name = QueueAttributeName::VisibilityTimeout;
    let attributes = attributes_of(client, queue_url, name.clone()).await?;
    let seconds = attributes.get(&name).and_then(|text| text.parse().ok());
    let enough = seconds.filter(|seconds| *seconds >= LEAST_VISIBILITY_S);
    enough.with_context(|| {
        format!(
            "the visibility timeout of queue {} must be {LEAST_VISIBILITY_S} s or more",
            shown(queue_url)
        )
    })
}

/// `maxReceiveCount` of a redrive policy; AWS writes it as a number, and some stand-ins as a text.
fn most_receives(policy: &str) -> Option<u32> {
    let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
    let count = policy.get("maxReceiveCount")?;
    match count.as_str() {
        Some(text) => text.parse().ok(),
        None => count.as_u64()?.try_into().ok(),
    }
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
        self.receive_from(&self.live, max).await.map(Some)
    }

    fn has_backfill(&self) -> bool {
        self.backfill.is_some()
    }

    async fn receive_backfill(&self, max: usize) -> anyhow::Result<Option<Vec<Message>>> {
        match &self.backfill {
            Some(queue) => self.receive_from(queue, max).await.map(Some),
            None => Ok(None),
        }
    }

    fn lease(&self, message: &Message) -> Lease {
        let queue = self.queue_of(message);
        let (client, queue_url, receipt) = (
            self.client.clone(),
            queue.url.clone(),
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
        let visibility = Duration::from_secs(queue.visibility_s.into());
        let kept = lease::keep(
            extend,
            visibility,
            message.received.into(),
            message.id.clone(),
        );
        Lease::kept_by(tokio::spawn(kept))
    }

    async fn delete(&self, message: Message) {
        let deletes = &self.queue_of(&message).deletes;
        deletes.delete(message.id, message.receipt).await;
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
            .queue_url(&self.queue_of(&message).url)
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

    fn poison_after(&self) -> Option<u32> {
        self.poison_after
    }

    async fn check(&self) -> anyhow::Result<String> {
        let mut report = self.check_queue(&self.live).await?;
        if let Some(backfill) = &self.backfill {
            report += "; backfill ";
            report += &self.check_queue(backfill).await?;
        }
        let buckets = self.objects.check().await?;
        Ok(format!("{report}; {buckets}"))
    }
}

/// The code of an error; SQS writes some of them in a longer form too.
fn code_of(error: &impl ProvideErrorMetadata) -> &str {
    let code = error.code().unwrap_or_default();
    code.strip_prefix("AWS.SimpleQueueService.").unwrap_or(code)
}

/// What to do about a code that does not pass by itself.
fn mending(code: &str, priority: Priority) -> Option<NeedsMending> {
    Some(NeedsMending(match code {
        "QueueDoesNotExist" | "NonExistentQueue" => match priority {
            Priority::Live => "the queue does not exist: make it again, or mend source.queue_url",
            Priority::Backfill => {
                "the queue does not exist: make it again, or mend source.backfill_queue_url"
            }
        },
        "AccessDenied" | "AccessDeniedException" => {
            "access is denied: sqs:ReceiveMessage, DeleteMessage, ChangeMessageVisibility and GetQueueAttributes are needed"
        }
        "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "InvalidSecurity"
        | "SignatureDoesNotMatch" => "AWS does not know the credentials: mend them",
        code if code.starts_with("Kms") || code.starts_with("KMS") => {
            "the key of the queue refuses: kms:Decrypt is needed"
        }
        code if has_expired(code) => "the credentials have expired, and others are looked for",
        _ => return None,
    }))
}

/// Whether the receipt no longer names a message that is ours.
fn is_gone(error: &impl ProvideErrorMetadata) -> bool {
    matches!(
        code_of(error),
        "ReceiptHandleIsInvalid"
            | "MessageNotInflight"
            | "InvalidParameterValue"
            | "QueueDoesNotExist"
            | "NonExistentQueue"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_failed_rests_longer_each_time() {
        let delays: Vec<_> = [0, 1, 2, 3, 7, 8, u32::MAX]
            .into_iter()
            .map(delay_s)
            .collect();
        assert_eq!(delays, [10, 10, 20, 40, 640, 900, 900]);
    }

    #[test]
    fn the_count_of_a_redrive_policy_is_a_number_or_a_text() {
        let count = |policy| most_receives(policy);
        assert_eq!(count(r#"{"maxReceiveCount":5}"#), Some(5));
        assert_eq!(count(r#"{"maxReceiveCount":"100"}"#), Some(100));
        for none in ["", "{}", r#"{"maxReceiveCount":-1}"#, "[]"] {
            assert_eq!(count(none), None, "{none}");
        }
    }
}
