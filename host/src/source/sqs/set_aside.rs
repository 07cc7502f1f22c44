//! SQS's own dead-letter queue: where it sets messages aside that were received too often.
//!
//! A message is looked at by receiving it, so that it is invisible for a while; what was only looked at is
//! given back. One is sent on before it is deleted here: whatever interrupts that leads to a message
//! that is there twice, and the ledger makes the second one cheap.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use anyhow::Context as _;
use aws_config::SdkConfig;
use aws_sdk_sqs::{
    Client,
    types::{MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName},
};
use futures_util::{StreamExt as _, stream};

use super::{MAX_RECEIVED, Settings, sdk_config, settings::check_url, told};
use crate::text::shown;

/// How long what was received is out of sight; all that is looked at has to be given back within it.
const INVISIBLE: Duration = Duration::from_mins(15);
const WAIT: Duration = Duration::from_secs(2);
/// Answers without anything new, in a row, after which the queue counts as looked through.
const EMPTY: u32 = 2;
/// Messages that are kept out of sight at the same time, at the most.
const MOST_HELD: usize = 50_000;
const AT_ONCE: usize = 10;

/// A queue of messages that were set aside.
#[derive(Debug)]
pub struct SetAside {
    client: Client,
    queue_url: String,
    visibility: Duration,
    seen: HashSet<String>,
    empty: u32,
}

/// One message that was set aside.
#[derive(Debug)]
pub struct Letter {
    /// The queue's identifier.
    pub id: String,
    /// What it says.
    pub body: String,
    /// How often it has been received here, this time included.
    pub receives: u32,
    /// When it was sent, milliseconds since 1970.
    pub sent_ms: Option<i64>,
    /// When it was received for the first time, milliseconds since 1970.
    pub first_received_ms: Option<i64>,
    receipt: String,
    attributes: Option<HashMap<String, MessageAttributeValue>>,
}

impl SetAside {
    /// Connects with credentials from the environment, as every AWS tool finds them.
    ///
    /// # Errors
    /// When the address is none, or that of the source's queue.
    pub async fn connect(settings: &Settings, queue_url: &str) -> anyhow::Result<Self> {
        Self::with_config(settings, queue_url, &sdk_config(settings).await)
    }

    /// The same with the caller's own credentials and HTTP client.
    ///
    /// # Errors
    /// When the address is none, or that of the source's queue.
    pub fn with_config(
        settings: &Settings,
        queue_url: &str,
        config: &SdkConfig,
    ) -> anyhow::Result<Self> {
        check_url(queue_url)?;
        anyhow::ensure!(
            queue_url != settings.queue_url,
            "{} is the queue of the source; its dead-letter queue is meant",
            shown(queue_url)
        );
        Ok(Self {
            client: Client::new(config),
            queue_url: queue_url.to_owned(),
            visibility: INVISIBLE,
            seen: HashSet::new(),
            empty: 0,
        })
    }

    /// Keeps what it receives out of sight for so long.
    #[must_use]
    pub fn invisible_for(mut self, visibility: Duration) -> Self {
        self.visibility = visibility;
        self
    }

    /// About how many messages are visible.
    ///
    /// # Errors
    /// When the queue cannot be asked.
    pub async fn depth(&self) -> anyhow::Result<u64> {
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let request = self.client.get_queue_attributes();
        let request = request
            .queue_url(&self.queue_url)
            .attribute_names(name.clone());
        let answer = request.send().await.map_err(|error| told(&error));
        let answer = answer.with_context(|| {
            let queue = shown(&self.queue_url);
            format!(
                "failed to read the attributes of queue {queue} (sqs:GetQueueAttributes is needed)"
            )
        })?;
        let attributes = answer.attributes.unwrap_or_default();
        let count = attributes.get(&name).and_then(|count| count.parse().ok());
        Ok(count.unwrap_or_default())
    }

    /// The next messages that were not received before. `None` when there are no more.
    ///
    /// # Errors
    /// When the queue cannot be asked, or more messages are held than should be.
    pub async fn next(&mut self) -> anyhow::Result<Option<Vec<Letter>>> {
        anyhow::ensure!(
            self.seen.len() < MOST_HELD,
            "{MOST_HELD} messages were looked at; narrow what is meant, and run it again for the rest"
        );
        while self.empty < EMPTY {
            let letters = self.receive().await?;
            let new: Vec<_> = letters
                .into_iter()
                .filter(|letter| self.seen.insert(letter.id.clone()))
                .collect();
            if !new.is_empty() {
                self.empty = 0;
                return Ok(Some(new));
            }
            self.empty += 1;
        }
        Ok(None)
    }

    async fn receive(&self) -> anyhow::Result<Vec<Letter>> {
        let request = self
            .client
            .receive_message()
            .queue_url(&self.queue_url)
            .max_number_of_messages(i32::try_from(MAX_RECEIVED).unwrap_or(1))
            .wait_time_seconds(seconds(WAIT))
            .visibility_timeout(seconds(self.visibility))
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All");
        let answer = request.send().await.map_err(|error| told(&error));
        let answer = answer.with_context(|| {
            let queue = shown(&self.queue_url);
            format!("failed to receive from queue {queue} (sqs:ReceiveMessage is needed)")
        })?;
        let messages = answer.messages.unwrap_or_default();
        Ok(messages.into_iter().filter_map(letter).collect())
    }

    /// Makes messages visible again that were only looked at. One that cannot be becomes visible by itself.
    pub async fn give_back(&self, letters: Vec<Letter>) {
        let one = |letter: Letter| async move {
            let request = self.client.change_message_visibility();
            let request = request
                .queue_url(&self.queue_url)
                .receipt_handle(letter.receipt)
                .visibility_timeout(0);
            request.send().await.is_ok()
        };
        let given = stream::iter(letters.into_iter().map(one)).buffer_unordered(AT_ONCE);
        let kept = given
            .fold(0, async |kept, given| kept + u32::from(!given))
            .await;
        if kept > 0 {
            tracing::warn!(
                messages = kept,
                visible_in_s = self.visibility.as_secs(),
                "messages could not be given back (sqs:ChangeMessageVisibility is needed); they become visible by themselves"
            );
        }
    }

    /// Sends messages to another queue, and deletes each here once it is there. Returns how many were sent,
    /// and the first error; what was not sent stays.
    pub async fn send_on(&self, to: &str, letters: Vec<Letter>) -> (u64, anyhow::Result<()>) {
        let one = |letter: Letter| self.send_one(to, letter);
        let mut sending = stream::iter(letters.into_iter().map(one)).buffer_unordered(AT_ONCE);
        let (mut sent, mut first) = (0, Ok(()));
        while let Some((was_sent, result)) = sending.next().await {
            sent += u64::from(was_sent);
            first = first.and(result);
        }
        (sent, first)
    }

    /// Whether the message was sent, and what went wrong then or afterwards.
    async fn send_one(&self, to: &str, letter: Letter) -> (bool, anyhow::Result<()>) {
        let (id, receipt) = (letter.id.clone(), letter.receipt.clone());
        let request = self.client.send_message();
        let request = request
            .queue_url(to)
            .message_body(&letter.body)
            .set_message_attributes(letter.attributes.clone());
        if let Err(error) = request.send().await {
            let error = told(&error).context(format!(
                "failed to send message {} to queue {} (sqs:SendMessage is needed)",
                shown(&id),
                shown(to)
            ));
            self.give_back(vec![letter]).await;
            return (false, Err(error));
        }
        let request = self.client.delete_message();
        let request = request.queue_url(&self.queue_url).receipt_handle(receipt);
        let deleted = request.send().await.map(drop).map_err(|error| told(&error));
        let deleted = deleted.with_context(|| {
            format!(
                "message {} was sent, and is still in queue {} too (sqs:DeleteMessage is needed)",
                shown(&id),
                shown(&self.queue_url)
            )
        });
        (true, deleted)
    }
}

fn letter(message: aws_sdk_sqs::types::Message) -> Option<Letter> {
    let system = message.attributes.unwrap_or_default();
    let number = |name: MessageSystemAttributeName| system.get(&name)?.parse::<i64>().ok();
    let receives = number(MessageSystemAttributeName::ApproximateReceiveCount);
    Some(Letter {
        id: message.message_id.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        receives: receives
            .and_then(|count| count.try_into().ok())
            .unwrap_or(1),
        sent_ms: number(MessageSystemAttributeName::SentTimestamp),
        first_received_ms: number(MessageSystemAttributeName::ApproximateFirstReceiveTimestamp),
        receipt: message.receipt_handle?,
        attributes: message.message_attributes,
    })
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}
