//! The program while its queue, its buckets and its credentials fail.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use sluicegate_tests::{
    aws::{Aws, Wired},
    aws_proxy::{Answer, AwsProxy},
    process::{Program, Running},
    servers::Splunk,
    shelf::gzip,
};

const ACCOUNT: &str = "123456789012";

/// A queue, a bucket and a collector, with the proxy before the first two.
struct Site {
    aws: Aws,
    proxy: AwsProxy,
    wired: Wired,
    splunk: Splunk,
}

impl Site {
    async fn new(name: &str) -> Self {
        Self::before(Aws::start().await, name).await
    }

    async fn before(aws: Aws, name: &str) -> Self {
        let (proxy, splunk) = (AwsProxy::start(aws.url()).await, Splunk::start().await);
        let wired = aws.wire("none", name).await;
        Self {
            aws,
            proxy,
            wired,
            splunk,
        }
    }

    /// The program with more keys in its `[source]` and in its bucket.
    fn program(&self, source: &str, bucket: &str) -> Program {
        Program::new(|folder| {
            let token = folder.join("token");
            std::fs::write(&token, self.splunk.token()).unwrap();
            format!(
                "[source]\ntype = \"sqs\"\nqueue_url = \"{}\"\nregion = \"eu-west-1\"\nendpoint_url = \"{}\"\nwait_s = 1\n\
                 visibility_timeout_s = 10\n{source}\n\
                 [[source.buckets]]\nname = \"{}\"\nowner = \"{}\"\n{bucket}\n\
                 [limits]\nretry_pending_s = 1\n\
                 [sinks.splunk]\ntype = \"splunk_hec\"\nendpoint = \"{}\"\ntoken_file = \"{}\"\naccept = [\"events\"]\n\
                 delivery = {{ linger_ms = 50 }}\n",
                self.wired.queue_url,
                self.proxy.url(),
                self.wired.bucket,
                self.wired.owner,
                self.splunk.url(),
                token.display(),
            )
        })
        .variable("AWS_ENDPOINT_URL_STS", self.proxy.url())
    }

    fn key(number: usize) -> String {
        format!(
            "AWSLogs/{ACCOUNT}/CloudTrail/eu-west-1/2026/11/22/{ACCOUNT}_CloudTrail_eu-west-1_20261122T1000Z_{number:016}.json.gz"
        )
    }

    fn announcement(&self, number: usize) -> String {
        serde_json::json!({ "s3Bucket": self.wired.bucket, "s3ObjectKey": [Self::key(number)] })
            .to_string()
    }

    /// Writes an object of one event.
    async fn write(&self, number: usize) {
        let body = gzip(format!(r#"{{"Records":[{{"eventName":"E{number}"}}]}}"#));
        self.aws
            .put_object(&self.wired.bucket, &Self::key(number), body)
            .await;
    }

    /// Writes an object of one event, and announces it.
    async fn put(&self, number: usize) {
        self.write(number).await;
        let announcement = self.announcement(number);
        self.aws
            .send_message(&self.wired.queue_url, &announcement)
            .await;
    }

    /// A queue beside that of the source.
    async fn queue(&self, name: &str) -> String {
        let made = self.aws.sqs().create_queue().queue_name(name);
        made.send().await.unwrap().queue_url.unwrap()
    }

    /// Events that arrived, each as often as it did, in the order of their numbers.
    fn arrived(&self) -> Vec<String> {
        let received = self.splunk.received();
        let mut names: Vec<_> = received
            .iter()
            .map(|event| {
                let name = event.event.split(r#""eventName":""#).nth(1).unwrap();
                name.split('"').next().unwrap().to_owned()
            })
            .collect();
        names.sort();
        names
    }

    async fn all_settled(&self) {
        for _ in 0..600 {
            let depth = self.aws.depth(&self.wired.queue_url).await;
            if depth.visible + depth.in_flight == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{:?}", self.aws.depth(&self.wired.queue_url).await);
    }
}

/// Ends the program; its log.
async fn end(running: Running) -> String {
    let output = running.terminate().await;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{log}");
    log
}

async fn run(program: &Program, arguments: &[&str]) -> Vec<String> {
    let (code, said, errors) = program.run(arguments).await;
    assert_eq!((code, errors.as_str()), (0, ""), "{said}");
    let words = said
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    words.collect()
}

async fn set_aside_messages_come_back(aws: Aws) {
    let site = Site::before(aws, "aside").await;
    let dead = site.queue("aside-dead").await;
    let program = site.program("", "");
    for number in 0..12 {
        site.write(number).await;
        site.aws
            .send_message(&dead, &site.announcement(number))
            .await;
    }
    site.aws.send_message(&dead, "no envelope").await;
    let waiting = async || site.aws.depth(&dead).await.visible;

    let list = run(&program, &["dead-letters", "list", "--queue", &dead]).await;
    assert_eq!(list.len(), 13, "{list:?}");
    let first = list.iter().find(|line| line.contains(&Site::key(0)));
    let first = first.unwrap();
    assert!(first.contains("received 1 times, first 20"), "{first}");
    assert_eq!(waiting().await, 13, "what is only listed is given back");

    let id = first.split(' ').nth(1).unwrap();
    let shown = run(&program, &["dead-letters", "show", id, "--queue", &dead]).await;
    assert!(shown.join(" ").contains("\"receives\": 2"), "{shown:?}");

    let bucket = &site.wired.bucket;
    let stats = run(&program, &["dead-letters", "stats", "--queue", &dead]).await;
    let expected = [
        "1 not understood".to_owned(),
        format!("12 objects of s3://{bucket}"),
        "13 in all".to_owned(),
    ];
    assert_eq!(stats, expected);

    let redrive = ["dead-letters", "redrive", "--queue", &dead];
    let some = format!("s3://{bucket}/{}", Site::key(3));
    let some = [&redrive[..], &["--object", &some]].concat();
    let dry = run(&program, &[&some[..], &["--dry-run"]].concat()).await;
    assert!(dry[0].starts_with("1 would be sent to "), "{dry:?}");
    assert_eq!(waiting().await, 13);
    let done = run(&program, &some).await;
    assert!(
        done[0].starts_with("1 are sent to ") && done[1] == "12 stay",
        "{done:?}"
    );
    assert_eq!(waiting().await, 12);
    assert_eq!(site.aws.depth(&site.wired.queue_url).await.visible, 1);

    // What was sent and could not be deleted is told, stays, and is sent once more.
    site.proxy
        .answer("DeleteMessage", Answer::Error(400, "ServiceUnavailable"));
    let (code, said, errors) = program.run(&redrive).await;
    assert_eq!(code, 1, "{said}{errors}");
    assert!(
        errors.contains("was sent, and is still in queue"),
        "{errors}"
    );
    site.proxy.heal();
    let twice = site.aws.depth(&site.wired.queue_url).await.visible;
    assert!((2..=13).contains(&twice), "{twice}");
    // They are there again when the visibility of a redrive ends; a test does not wait for that.
    for _ in 0..twice {
        let received = site.aws.sqs().receive_message().queue_url(&dead);
        received.visibility_timeout(0).send().await.unwrap();
    }
    let (code, _, errors) = program
        .run(&["dead-letters", "redrive", "--queue", &site.wired.queue_url])
        .await;
    assert!(
        code == 1 && errors.contains("is the queue of the source"),
        "{errors}"
    );
    let (code, _, errors) = program
        .run(&[&redrive[..], &["--sink", "splunk"]].concat())
        .await;
    assert!(
        code == 1 && errors.contains("--cause and --sink"),
        "{errors}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_moto_set_aside_come_back() {
    set_aside_messages_come_back(Aws::start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_ministack_set_aside_come_back() {
    set_aside_messages_come_back(Aws::start_ministack().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redrive_that_was_killed_is_finished_by_the_next() {
    use sluicegate::source::sqs::set_aside::SetAside;
    let site = Site::new("resumed").await;
    let dead = site.queue("resumed-dead").await;
    for number in 0..25 {
        site.write(number).await;
        site.aws
            .send_message(&dead, &site.announcement(number))
            .await;
    }
    let settings = site.aws.settings(&site.wired);
    let queue = || {
        let queue = SetAside::with_config(&settings, &dead, site.aws.config()).unwrap();
        queue.invisible_for(Duration::from_secs(2))
    };
    // Ten are sent, and one of ten more; the rest of them is with the killed one.
    let mut killed = queue();
    let first = killed.next().await.unwrap().unwrap();
    let mut second = killed.next().await.unwrap().unwrap();
    second.truncate(1);
    for letters in [first, second] {
        let count = letters.len() as u64;
        let (sent, result) = killed.send_on(&settings.queue_url, letters).await;
        result.unwrap();
        assert_eq!(sent, count);
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut next = queue();
    while let Some(letters) = next.next().await.unwrap() {
        next.send_on(&settings.queue_url, letters).await.1.unwrap();
    }
    site.aws.queue_is_empty(&dead).await;
    assert_eq!(site.aws.depth(&settings.queue_url).await.visible, 25);
    let program = site.program("", "");
    let running = program.start();
    site.splunk.wait_for(25).await;
    site.all_settled().await;
    end(running).await;
    let mut expected: Vec<_> = (0..25).map(|number| format!("E{number}")).collect();
    expected.sort();
    assert_eq!(site.arrived(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_message_becomes_a_dead_letter_with_its_last_fault() {
    let site = Site::new("poison").await;
    let program = site.program("poison = \"dead-letter\"\npoison_after = 2", "");
    site.put(1).await;
    site.proxy.answer("s3:GET", Answer::Error(503, "SlowDown"));
    let running = program.start();
    site.all_settled().await;
    let log = end(running).await;
    assert_eq!(
        site.proxy.count("s3:GET"),
        8,
        "two receives, four tries each: {log}"
    );
    let list = run(
        &program,
        &["dead-letters", "list", "--cause", "poison-message"],
    )
    .await;
    assert_eq!(list.len(), 1, "{list:?}");
    let name = list[0].split(' ').nth(1).unwrap();
    let letter = run(&program, &["dead-letters", "show", name])
        .await
        .join(" ");
    assert!(letter.contains("received 2 times"), "{letter}");
    assert!(letter.contains("SlowDown"), "{letter}");

    site.proxy.heal();
    run(&program, &["dead-letters", "redrive"]).await;
    let running = program.start();
    site.splunk.wait_for(1).await;
    end(running).await;
    assert_eq!(site.arrived(), ["E1"]);
    assert_eq!(
        run(&program, &["dead-letters", "stats"]).await,
        ["0 in all"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_ends_the_host_is_not_tried_for_ever() {
    let site = Site::new("deadly").await;
    let program = site.program("poison = \"dead-letter\"\npoison_after = 2", "");
    site.put(1).await;
    for _ in 0..2 {
        let received = site.aws.sqs().receive_message();
        let received = received.queue_url(&site.wired.queue_url);
        let received = received.visibility_timeout(0).send().await.unwrap();
        assert_eq!(received.messages().len(), 1);
    }
    let running = program.start();
    site.all_settled().await;
    end(running).await;
    assert_eq!(site.proxy.count("s3:GET"), 0, "it was not tried");
    let list = run(&program, &["dead-letters", "list"]).await;
    let name = list[0].split(' ').nth(1).unwrap();
    let letter = run(&program, &["dead-letters", "show", name])
        .await
        .join(" ");
    assert!(
        letter.contains("received 3 times; the last time: not known to this host"),
        "{letter}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_says_when_the_queue_would_be_there_before_us() {
    let site = Site::new("first").await;
    let dead = site.queue("first-dead").await;
    let arn = QueueAttributeName::QueueArn;
    let asked = site.aws.sqs().get_queue_attributes().queue_url(&dead);
    let answer = asked.attribute_names(arn.clone()).send().await.unwrap();
    let arn = &answer.attributes.unwrap()[&arn];
    let policy = serde_json::json!({ "deadLetterTargetArn": arn, "maxReceiveCount": 50 });
    let set = site.aws.sqs().set_queue_attributes();
    set.queue_url(&site.wired.queue_url)
        .attributes(QueueAttributeName::RedrivePolicy, policy.to_string())
        .send()
        .await
        .unwrap();
    let check = ["check", "--online"];
    let left = site.program("", "").run(&check).await;
    assert!(
        left.0 == 0 && left.1.contains("reaches after 50 receives"),
        "{left:?}"
    );
    let first = site.program("poison = \"dead-letter\"\npoison_after = 49", "");
    assert_eq!(first.run(&check).await.0, 0);
    let late = site.program("poison = \"dead-letter\"", "");
    let (code, _, errors) = late.run(&check).await;
    assert_eq!(code, 64);
    assert!(errors.contains("source.poison_after = 50"), "{errors}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_is_read_with_its_role() {
    let site = Site::new("role").await;
    let role = "role_arn = \"arn:aws:iam::123456789012:role/reader\"\nexternal_id = \"e:1\"";
    let program = site.program("", role);
    site.put(1).await;
    site.put(2).await;
    let running = program.start();
    site.splunk.wait_for(2).await;
    site.all_settled().await;
    end(running).await;
    let asked = site.proxy.asked();
    let by = |operation: &str| -> Vec<&str> {
        let asked = asked.iter().filter(|asked| asked.operation == operation);
        asked.map(|asked| asked.access_key.as_str()).collect()
    };
    assert_eq!(by("AssumeRole"), ["test"], "once, and kept");
    assert!(
        by("s3:GET").len() == 2 && !by("s3:GET").contains(&"test"),
        "{asked:?}"
    );
    assert!(by("ReceiveMessage").iter().all(|key| *key == "test"));

    site.proxy
        .answer("AssumeRole", Answer::Error(403, "AccessDenied"));
    let (code, _, errors) = program.run(&["check", "--online"]).await;
    assert_eq!(code, 64);
    for part in [
        "role/reader",
        &site.wired.bucket,
        "sts:AssumeRole is needed",
        "AccessDenied",
    ] {
        assert!(errors.contains(part), "{part} in {errors}");
    }
    // A role that is refused keeps its objects pending, and they come when it is not any more.
    site.put(3).await;
    let running = program.start();
    site.all_settled().await;
    site.proxy.heal();
    site.splunk.wait_for(3).await;
    end(running).await;
    assert_eq!(
        run(&program, &["dead-letters", "stats"]).await,
        ["0 in all"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_that_have_expired_cost_little_and_say_little() {
    let site = Site::new("receipts").await;
    let failed: Vec<_> = (0..10)
        .map(|id| format!(r#"{{"Id":"{id}","Code":"ReceiptHandleIsInvalid","SenderFault":true,"Message":"expired"}}"#))
        .collect();
    let body = format!(r#"{{"Successful":[],"Failed":[{}]}}"#, failed.join(","));
    site.proxy
        .answer("DeleteMessageBatch", Answer::Body(body.leak()));
    for number in 0..30 {
        site.put(number).await;
    }
    let program = site.program("", "");
    let running = program.start();
    site.splunk.wait_for(30).await;
    // The visibility timeout is 10 s: all of them come again, and nobody is sent anything.
    tokio::time::sleep(Duration::from_secs(13)).await;
    site.proxy.heal();
    site.all_settled().await;
    let log = end(running).await;
    assert_eq!(site.splunk.received().len(), 30, "the ledger knows");
    assert!(site.proxy.count("ReceiveMessage") > 3);
    let told = log.matches("messages could not be deleted").count();
    assert_eq!(told, 1, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_vanishes_holds_intake_until_it_is_back() {
    let site = Site::new("vanishes").await;
    let program = site.program("", "");
    let running = program.start();
    site.put(1).await;
    site.splunk.wait_for(1).await;
    site.proxy
        .answer("", Answer::Error(400, "QueueDoesNotExist"));
    tokio::time::sleep(Duration::from_secs(8)).await;
    site.put(2).await;
    site.proxy.heal();
    site.splunk.wait_for(2).await;
    site.all_settled().await;
    let log = end(running).await;
    assert_eq!(
        log.matches("no messages can be received until").count(),
        1,
        "{log}"
    );
    assert_eq!(
        log.matches("messages can be received again").count(),
        1,
        "{log}"
    );
    assert!(log.contains("mend source.queue_url"), "{log}");
    assert_eq!(site.arrived(), ["E1", "E2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_expire_are_replaced() {
    let site = Site::new("expired").await;
    let program = site.program("", "");
    let file = program.folder().join("credentials");
    let keys =
        |key: &str| format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = test\n");
    std::fs::write(&file, keys("OLD")).unwrap();
    let program = program
        .variable("AWS_ACCESS_KEY_ID", "")
        .variable("AWS_SECRET_ACCESS_KEY", "")
        .variable("AWS_SHARED_CREDENTIALS_FILE", &file.display().to_string());
    let running = program.start();
    site.put(1).await;
    site.splunk.wait_for(1).await;
    site.proxy
        .answer_key("OLD", Answer::Error(403, "ExpiredToken"));
    for number in 2..8 {
        site.put(number).await;
    }
    // Longer than what was found is kept, and nobody has written new ones yet.
    tokio::time::sleep(Duration::from_secs(12)).await;
    std::fs::write(&file, keys("NEW")).unwrap();
    site.splunk.wait_for(7).await;
    site.all_settled().await;
    end(running).await;
    assert!(
        site.proxy
            .asked()
            .iter()
            .any(|asked| asked.access_key == "NEW")
    );
    assert_eq!(site.arrived().len(), 7);
    assert_eq!(
        run(&program, &["dead-letters", "stats"]).await,
        ["0 in all"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttling_and_kms_hold_and_an_archived_object_is_told() {
    let site = Site::new("slow").await;
    let program = site.program("", "");
    let half = [Answer::Error(503, "SlowDown")];
    site.proxy.answer_share("s3:GET", 0.5, &half);
    site.proxy.answer_share(
        "ReceiveMessage",
        0.5,
        &[Answer::Error(400, "ThrottlingException")],
    );
    for number in 0..10 {
        site.put(number).await;
    }
    let running = program.start();
    site.splunk.wait_for(10).await;
    site.all_settled().await;

    site.proxy.heal();
    site.proxy
        .answer("s3:GET", Answer::Error(400, "KMS.DisabledException"));
    site.put(10).await;
    site.all_settled().await;
    assert_eq!(site.splunk.received().len(), 10);
    site.proxy.heal();
    site.splunk.wait_for(11).await;

    site.proxy
        .answer("s3:GET", Answer::Error(403, "InvalidObjectState"));
    site.put(11).await;
    site.all_settled().await;
    end(running).await;
    assert_eq!(site.splunk.received().len(), 11);
    let list = run(&program, &["dead-letters", "list"]).await;
    assert!(
        list.len() == 1 && list[0].contains("object-archived"),
        "{list:?}"
    );
    let name = list[0].split(' ').nth(1).unwrap();
    let letter = run(&program, &["dead-letters", "show", name])
        .await
        .join(" ");
    assert!(letter.contains("aws s3api restore-object"), "{letter}");
}

/// Without marks a killed host would send everything once more that it had sent of the object.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_object_goes_on_behind_its_last_mark_after_a_kill() {
    const EVENTS: usize = 24_000;
    let site = Site::new("large").await;
    let program = site.program("", "");
    // 2,000 events a second, so that the object takes twelve.
    let text = std::fs::read_to_string(program.configuration()).unwrap();
    let slow =
        "delivery = { linger_ms = 50, max_events = 100, requests_per_second = 20, burst = 1 }";
    let text = text.replace("delivery = { linger_ms = 50 }", slow);
    std::fs::write(program.configuration(), text).unwrap();
    let events: Vec<_> = (0..EVENTS)
        .map(|number| {
            format!(
                r#"{{"eventName":"E{number:05}","filler":"{}"}}"#,
                "x".repeat(200)
            )
        })
        .collect();
    let body = gzip(format!(r#"{{"Records":[{}]}}"#, events.join(",")));
    site.aws
        .put_object(&site.wired.bucket, &Site::key(1), body)
        .await;
    site.aws
        .send_message(&site.wired.queue_url, &site.announcement(1))
        .await;
    let killed = program.start();
    site.splunk.wait_for(12_000).await;
    drop(killed);
    let before = site.splunk.received().len();
    assert!((12_000..20_000).contains(&before), "{before}");
    let running = program.start();
    site.all_settled().await;
    end(running).await;
    let mut arrived = site.arrived();
    let all = arrived.len();
    arrived.dedup();
    assert_eq!(arrived.len(), EVENTS, "nothing is lost");
    let twice = all - EVENTS;
    eprintln!("{before} were there at the kill, {twice} came twice");
    // Two seconds between marks, and the parcels of 1,000 events that were being sent.
    assert!(twice < 7_000, "{twice} of {before} came twice");
}
