//! Two queues: live messages first, and a backfill with what they leave.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use sluicegate_tests::{
    aws::{Aws, Wired},
    process::Program,
    servers::Splunk,
    shelf::gzip,
};

struct Site {
    aws: Aws,
    live: Wired,
    backfill: Wired,
    splunk: Splunk,
}

impl Site {
    async fn new() -> Self {
        let aws = Aws::start().await;
        Self {
            live: aws.wire("sqs", "live").await,
            backfill: aws.wire("sqs", "backfill").await,
            splunk: Splunk::start().await,
            aws,
        }
    }

    fn program(&self) -> Program {
        let (live, backfill) = (&self.live, &self.backfill);
        Program::new(|folder| {
            let token = folder.join("token");
            std::fs::write(&token, self.splunk.token()).unwrap();
            format!(
                "[source]\ntype = \"sqs\"\nqueue_url = \"{}\"\nbackfill_queue_url = \"{}\"\n\
                 region = \"eu-west-1\"\nendpoint_url = \"{}\"\nwait_s = 1\n\
                 [[source.buckets]]\nname = \"{}\"\nowner = \"{}\"\n\
                 [[source.buckets]]\nname = \"{}\"\nowner = \"{}\"\n\
                 [sinks.splunk]\ntype = \"splunk_hec\"\nendpoint = \"{}\"\ntoken_file = \"{}\"\n\
                 accept = [\"events\"]\ndelivery = {{ linger_ms = 50 }}\n",
                live.queue_url,
                backfill.queue_url,
                self.aws.url(),
                live.bucket,
                live.owner,
                backfill.bucket,
                backfill.owner,
                self.splunk.url(),
                token.display(),
            )
        })
    }

    /// Writes so many objects of one event, which the bucket announces on its queue.
    async fn put(&self, wired: &Wired, name: &str, count: usize) {
        for number in 0..count {
            let key = format!(
                "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/22/123456789012_CloudTrail_eu-west-1_20261122T1000Z_{number:016}.json.gz"
            );
            let body = gzip(format!(r#"{{"Records":[{{"eventName":"{name}"}}]}}"#));
            self.aws.put_object(&wired.bucket, &key, body).await;
        }
    }

    /// Whether each event that arrived is live, in the order of arrival.
    fn arrived(&self) -> Vec<bool> {
        let received = self.splunk.received();
        let live = received
            .iter()
            .map(|event| event.event.contains("\"Live\""));
        live.collect()
    }

    async fn arrive(&self, count: usize) {
        for _ in 0..600 {
            if self.arrived().len() >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{} of {count} arrived", self.arrived().len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_messages_come_first_and_the_backfill_gets_the_rest() {
    let site = Site::new().await;
    site.put(&site.live, "Live", 400).await;
    site.put(&site.backfill, "Old", 200).await;
    let program = site.program();
    let running = program.start();
    site.arrive(600).await;

    // While both queues are full; what is in flight when live ends is not counted.
    let arrived = site.arrived();
    let last = arrived.iter().rposition(|live| *live).unwrap();
    let live = arrived[..300].iter().filter(|live| **live).count();
    eprintln!("{live} of the first 300 are live; the last of them is number {last} of 600");
    assert!(live >= 255, "{live} of the first 300 are live");
    assert!(live < 300, "the backfill does not stand still");

    // Without live messages it gets everything; and each is deleted where it came from.
    site.put(&site.backfill, "Old", 100).await;
    site.arrive(700).await;
    for wired in [&site.live, &site.backfill] {
        site.aws.queue_is_empty(&wired.queue_url).await;
    }
    let (_, told, _) = program.run(&["check", "--online"]).await;
    assert!(told.contains("backfill queue"), "{told}");
    let output = running.terminate().await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(site.arrived().len(), 700, "each once");
}
