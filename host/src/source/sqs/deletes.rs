//! Deletions, ten in a call. Whoever deletes waits until the queue has answered, so that a drain does
//! not end before its last deletions.

use std::{future::Future, time::Duration};

use aws_sdk_sqs::{Client, types::DeleteMessageBatchRequestEntry};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout_at},
};

use super::told;
use crate::text::shown;

const BATCH: usize = 10;
const LINGER: Duration = Duration::from_millis(50);
const ATTEMPTS: u32 = 4;
const TELL_EVERY: Duration = Duration::from_mins(1);
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The way to the task that deletes.
#[derive(Debug)]
pub(super) struct Deletes {
    sender: mpsc::Sender<Deletion>,
}

#[derive(Debug)]
struct Deletion {
    id: String,
    receipt: String,
    done: oneshot::Sender<()>,
}

/// An entry that the queue did not delete.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    position: usize,
    ours: bool,
    reason: String,
}

impl Deletes {
    /// Starts the task; it ends, after what it was given, when this is dropped.
    pub(super) fn start(client: Client, queue_url: String) -> Self {
        Self::with_queue(move |receipts| call(client.clone(), queue_url.clone(), receipts))
    }

    fn with_queue<F, R>(queue: F) -> Self
    where
        F: Fn(Vec<String>) -> R + Send + Sync + 'static,
        R: Future<Output = anyhow::Result<Vec<Failure>>> + Send,
    {
        let (sender, mut receiver) = mpsc::channel(BATCH * 4);
        tokio::spawn(async move {
            let mut kept = Kept::default();
            while let Some(batch) = next_batch(&mut receiver).await {
                delete_all(&queue, batch, &mut kept).await;
                kept.tell();
            }
        });
        Self { sender }
    }

    /// Deletes a message. Should the queue not do it, the message comes again; what was delivered is
    /// known to the ledger then.
    pub(super) async fn delete(&self, id: String, receipt: String) {
        let (done, answered) = oneshot::channel();
        if self
            .sender
            .send(Deletion { id, receipt, done })
            .await
            .is_ok()
        {
            // An error means that the task is gone with its runtime: nobody is left to be told.
            let _ = answered.await;
        }
    }
}

async fn next_batch(receiver: &mut mpsc::Receiver<Deletion>) -> Option<Vec<Deletion>> {
    let mut batch = vec![receiver.recv().await?];
    let end = Instant::now() + LINGER;
    while batch.len() < BATCH {
        match timeout_at(end, receiver.recv()).await {
            Ok(Some(deletion)) => batch.push(deletion),
            Ok(None) | Err(_) => break,
        }
    }
    Some(batch)
}

/// Messages that could not be deleted. Their number is told once a minute: receipts expire by the hundred
/// where work takes longer than the queue's visibility timeout.
#[derive(Debug, Default)]
struct Kept {
    count: u64,
    reason: String,
    told: Option<Instant>,
}

impl Kept {
    fn add(&mut self, reason: &str) {
        self.count += 1;
        reason.clone_into(&mut self.reason);
    }

    fn tell(&mut self) {
        let lately = self.told.is_some_and(|told| told.elapsed() < TELL_EVERY);
        if self.count == 0 || lately {
            return;
        }
        tracing::warn!(
            messages = self.count,
            reason = self.reason,
            "messages could not be deleted; they come again, and the ledger knows who has what"
        );
        *self = Self {
            told: Some(Instant::now()),
            ..Self::default()
        };
    }
}

async fn delete_all<F, R>(queue: &F, mut batch: Vec<Deletion>, kept: &mut Kept)
where
    F: Fn(Vec<String>) -> R,
    R: Future<Output = anyhow::Result<Vec<Failure>>>,
{
    for attempt in 1..=ATTEMPTS {
        let receipts = batch
            .iter()
            .map(|deletion| deletion.receipt.clone())
            .collect();
        let failures = match queue(receipts).await {
            Ok(failures) => failures,
            Err(error) => every_entry_failed(&batch, &error),
        };
        batch = unsettled(batch, &failures, attempt == ATTEMPTS, kept);
        if batch.is_empty() {
            return;
        }
        sleep(FIRST_PAUSE * (1 << (attempt - 1))).await;
    }
}

fn every_entry_failed(batch: &[Deletion], error: &anyhow::Error) -> Vec<Failure> {
    let failure = |position| Failure {
        position,
        ours: false,
        reason: format!("{error:#}"),
    };
    (0..batch.len()).map(failure).collect()
}

/// Answers those that are deleted or never will be; gives back the others.
fn unsettled(
    batch: Vec<Deletion>,
    failures: &[Failure],
    last: bool,
    kept: &mut Kept,
) -> Vec<Deletion> {
    let mut again = Vec::new();
    for (position, deletion) in batch.into_iter().enumerate() {
        match failures.iter().find(|failure| failure.position == position) {
            Some(failure) if !failure.ours && !last => again.push(deletion),
            outcome => {
                if let Some(failure) = outcome {
                    tracing::debug!(
                        message = %shown(&deletion.id),
                        reason = %failure.reason,
                        "failed to delete a message; it will come again"
                    );
                    kept.add(&failure.reason);
                }
                // Whoever asked may have been dropped meanwhile.
                let _ = deletion.done.send(());
            }
        }
    }
    again
}

async fn call(
    client: Client,
    queue_url: String,
    receipts: Vec<String>,
) -> anyhow::Result<Vec<Failure>> {
    let entries = receipts
        .into_iter()
        .enumerate()
        .map(|(position, receipt)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(position.to_string())
                .receipt_handle(receipt)
                .build()
        })
        .collect::<Result<Vec<_>, _>>()?;
    let request = client
        .delete_message_batch()
        .queue_url(queue_url)
        .set_entries(Some(entries));
    let answer = request.send().await.map_err(|error| told(&error))?;
    let failure = |failed: aws_sdk_sqs::types::BatchResultErrorEntry| {
        let position = failed.id.parse().ok()?;
        let message = failed.message.unwrap_or_default();
        Some(Failure {
            position,
            ours: failed.sender_fault,
            reason: shown(&format!("{}: {message}", failed.code)),
        })
    };
    Ok(answer.failed.into_iter().filter_map(failure).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures_util::future::join_all;

    use super::*;

    type Calls = Arc<Mutex<Vec<Vec<String>>>>;

    /// A queue that answers call `n` with `answer(n, receipts)`.
    fn queue(
        answer: impl Fn(usize, &[String]) -> anyhow::Result<Vec<Failure>> + Send + Sync + 'static,
    ) -> (Deletes, Calls) {
        let calls = Calls::default();
        let seen = Arc::clone(&calls);
        let deletes = Deletes::with_queue(move |receipts| {
            let mut seen = seen.lock().unwrap();
            let result = answer(seen.len(), &receipts);
            seen.push(receipts);
            std::future::ready(result)
        });
        (deletes, calls)
    }

    async fn delete(deletes: &Deletes, receipts: impl IntoIterator<Item = u32>) {
        let all = receipts
            .into_iter()
            .map(|receipt| deletes.delete("m".to_owned(), receipt.to_string()));
        join_all(all).await;
    }

    fn sizes(calls: &Calls) -> Vec<usize> {
        calls.lock().unwrap().iter().map(Vec::len).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn ten_go_in_a_call_and_the_rest_after_a_moment() {
        let (deletes, calls) = queue(|_, _| Ok(vec![]));
        delete(&deletes, 0..23).await;
        assert_eq!(sizes(&calls), [10, 10, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_that_failed_is_tried_again_alone() {
        let (deletes, calls) = queue(|call, _| {
            let failure = Failure {
                position: 1,
                ours: false,
                reason: "InternalError".to_owned(),
            };
            Ok(if call == 0 { vec![failure] } else { vec![] })
        });
        delete(&deletes, 0..3).await;
        assert_eq!(
            *calls.lock().unwrap(),
            [
                vec!["0".to_owned(), "1".into(), "2".into()],
                vec!["1".to_owned()]
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn our_own_fault_is_not_tried_again() {
        let (deletes, calls) = queue(|_, receipts| {
            let failure = |position| Failure {
                position,
                ours: true,
                reason: "ReceiptHandleIsInvalid".to_owned(),
            };
            Ok((0..receipts.len()).map(failure).collect())
        });
        delete(&deletes, 0..2).await;
        assert_eq!(sizes(&calls), [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_deleted_is_told_once_a_minute() {
        let mut kept = Kept::default();
        let mut left = Vec::new();
        for _ in 0..3 {
            (0..100).for_each(|_| kept.add("ReceiptHandleIsInvalid"));
            kept.tell();
            left.push(kept.count);
            tokio::time::advance(TELL_EVERY / 2).await;
        }
        assert_eq!(left, [0, 100, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_never_answers_is_given_up_and_nobody_waits_for_ever() {
        let (deletes, calls) = queue(|_, _| Err(anyhow::anyhow!("no answer")));
        delete(&deletes, 0..2).await;
        assert_eq!(sizes(&calls), vec![2; ATTEMPTS as usize]);
    }
}
