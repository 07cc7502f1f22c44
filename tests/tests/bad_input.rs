//! Bad objects, bad events and bad plugins, through the whole pipeline: what is good is delivered, what
//! is bad is kept with its cause, and the sums agree.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};
use sluicegate::deadletter::{Cause, DeadLetter, Subject};
use sluicegate_tests::{
    host::{Drained, Setup, component, engine, plugins, root},
    shelf::{BUCKET, OpenFault, Shelf, gzip},
};

fn event(name: &str) -> String {
    json!({
        "eventVersion": "1.11",
        "eventTime": "2026-11-22T10:00:00Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": name,
        "awsRegion": "eu-west-1",
        "recipientAccountId": "123456789012",
        "userIdentity": { "type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/alice" },
    })
    .to_string()
}

fn document(events: &[String]) -> String {
    format!("{{\"Records\":[{}]}}", events.join(","))
}

fn host(shelf: &Arc<Shelf>) -> Setup {
    let source: Arc<Shelf> = Arc::clone(shelf);
    Setup::new(source, BUCKET).file()
}

/// Events as they arrived, by object and position; the `sluicegate` member as a tree beside each.
fn arrived(drained: &Drained) -> Vec<(String, Value)> {
    let taken = |line: &String| {
        let at = line
            .rfind(",\"sluicegate\":{\"id\"")
            .or_else(|| line.rfind("{\"sluicegate\":{\"id\""))
            .unwrap();
        // Not the whole line: a lone surrogate is valid JSON, but not for every reader.
        let member = &line[line[at..].find(':').unwrap() + at + 1..];
        let member = serde_json::Deserializer::from_str(member)
            .into_iter()
            .next();
        (format!("{}}}", &line[..at]), member.unwrap().unwrap())
    };
    drained.lines("events").iter().map(taken).collect()
}

/// Causes with what they are about: ranges of events, or where the object broke.
async fn causes(drained: &Drained) -> BTreeMap<Cause, Vec<(u32, u32)>> {
    let mut causes: BTreeMap<Cause, Vec<(u32, u32)>> = BTreeMap::new();
    for letter in drained.dead_letters().await {
        let about = match letter.subject {
            Subject::Events { ranges, .. } => ranges,
            Subject::Object { from_index, .. } => vec![(from_index.unwrap_or(0), u32::MAX)],
            other => panic!("{other:?}"),
        };
        causes.entry(letter.cause).or_default().extend(about);
    }
    causes
}

/// Runs one stored object through a host; what arrived and what was kept.
async fn run(stored: Vec<u8>) -> (usize, BTreeMap<Cause, Vec<(u32, u32)>>) {
    let shelf = Arc::new(Shelf::default());
    shelf.put("object", stored);
    let drained = host(&shelf).start().finish().await;
    assert_eq!(shelf.settled(), (1, 0), "the message is done");
    drained.sums_agree();
    (arrived(&drained).len(), causes(&drained).await)
}

#[tokio::test]
async fn every_bad_object_is_kept_with_its_cause_and_its_good_events_are_delivered() {
    let (a, b) = (event("A"), event("B"));
    let good = document(&[a.clone(), b.clone()]);
    let stored = gzip(&good);
    let rest = |cause, from| BTreeMap::from([(cause, vec![(from, u32::MAX)])]);
    let nothing = BTreeMap::new();
    for (what, stored, delivered, kept) in [
        ("a good object", stored.clone(), 2, nothing.clone()),
        (
            "truncated gzip",
            stored[..stored.len() - 6].to_vec(),
            2,
            rest(Cause::CorruptGzip, 2),
        ),
        (
            "not gzip",
            good.clone().into_bytes(),
            0,
            rest(Cause::CorruptGzip, 0),
        ),
        ("empty", Vec::new(), 0, rest(Cause::CorruptGzip, 0)),
        (
            "a second member",
            [stored.clone(), stored.clone()].concat(),
            2,
            rest(Cause::TrailingBytes, 2),
        ),
        (
            "trailing bytes",
            [stored.clone(), b"\0x".to_vec()].concat(),
            2,
            rest(Cause::TrailingBytes, 2),
        ),
        (
            "no Records",
            gzip("{\"foo\":1}"),
            0,
            rest(Cause::NoRecords, 0),
        ),
        (
            "Records is no array",
            gzip(format!("{{\"Records\":{{\"0\":{a}}}}}")),
            0,
            rest(Cause::NoRecords, 0),
        ),
        ("no events", gzip("{\"Records\":[]}"), 0, nothing.clone()),
        (
            "a trailing comma",
            gzip(format!("{{\"Records\":[{a},]}}")),
            1,
            rest(Cause::NotJson, 1),
        ),
        (
            "cut short",
            gzip(&good[..good.len() - 40]),
            1,
            rest(Cause::NotJson, 1),
        ),
        (
            "a bomb",
            gzip(format!("{{\"Records\":[{}]}}", " ".repeat(50 << 20))),
            0,
            rest(Cause::InflatesTooLarge, 0),
        ),
    ] {
        let (got, causes) = run(stored).await;
        assert_eq!((got, causes), (delivered, kept), "{what}");
    }
}

#[tokio::test]
async fn one_bad_event_is_kept_alone() {
    let (a, b) = (event("A"), event("B"));
    let one = |cause| BTreeMap::from([(cause, vec![(1, 2)])]);
    let deep = format!("{{\"a\":{}1{}}}", "{\"a\":".repeat(5000), "}".repeat(5000));
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(8 << 20));
    // Eight megabytes of one letter are more than 200 times their size: noise keeps the ratio down.
    let noise: String = (0..1 << 18)
        .map(|_| char::from(fastrand::alphanumeric() as u8))
        .collect();
    let large = large.replace(&"x".repeat(1 << 20), &noise);
    for (bad, cause) in [
        ("42".to_owned(), Cause::EventNotObject),
        ("null".to_owned(), Cause::EventNotObject),
        ("[[]]".to_owned(), Cause::EventNotObject),
        ("{\"a\":tru}".to_owned(), Cause::EventInvalid),
        (deep, Cause::EventTooDeep),
        (large, Cause::EventTooLarge),
    ] {
        let (delivered, causes) = run(gzip(document(&[a.clone(), bad, b.clone()]))).await;
        assert_eq!((delivered, causes), (2, one(cause)), "{cause}");
    }
    let mut document = document(&[a.clone(), "{\"a\":\"?\"}".into(), b.clone()]).into_bytes();
    let at = document.iter().position(|byte| *byte == b'?').unwrap();
    document[at] = 0xff;
    assert_eq!(run(gzip(document)).await, (2, one(Cause::EventInvalid)));
}

#[tokio::test]
async fn odd_but_valid_events_leave_as_they_came() {
    let events: Vec<String> = [
        "{}".to_owned(),
        "{\"eventName\":null,\"userIdentity\":null}".to_owned(),
        "{\"eventName\":\"Decoy\",\"eventName\":\"Real\"}".to_owned(),
        "{\"userAgent\":\"\\ud800 lone\"}".to_owned(),
        "{\"n\":18446744073709551617,\"d\":1e400,\"f\":0.1000000000000000055511151231257827}"
            .to_owned(),
        "{ \"spaced\" : [ 1 , 2 ] }".to_owned(),
        format!("{{\"large\":\"{}\"}}", "y".repeat(1 << 20)),
        event("Ümläut"),
    ]
    .to_vec();
    let shelf = Arc::new(Shelf::default());
    shelf.put("object", gzip(document(&events)));
    // The largest is more than the default ratio allows for so few stored bytes.
    let host = host(&shelf)
        .settings(|settings| settings.objects.max_ratio = 1100)
        .plugins(plugins(&engine()))
        .start();
    let drained = host.finish().await;
    drained.sums_agree();
    let lines = drained.lines("events");
    assert_eq!(lines.len(), events.len());
    for (index, original) in events.iter().enumerate() {
        // Batches may overtake each other.
        let line = lines
            .iter()
            .find(|line| line.contains(&format!(".{index}\"")))
            .unwrap();
        serde_json::from_str::<serde::de::IgnoredAny>(line)
            .unwrap_or_else(|error| panic!("{error}: {line:.80}"));
        let inside = &original[..original.len() - 1];
        assert!(line.starts_with(inside), "{line:.80}");
    }
}

#[tokio::test]
async fn a_bucket_that_denies_is_tried_again_and_nothing_is_doubled() {
    let shelf = Arc::new(Shelf::default());
    shelf.put("object", gzip(document(&[event("A")])));
    shelf.fail("object", [OpenFault::Denied, OpenFault::Denied]);
    shelf.keep_open();
    let host = host(&shelf).start();
    host.until("the event has arrived", |counted| {
        counted.sinks["file"].delivered == 1
    })
    .await;
    assert_eq!(
        shelf.settled(),
        (1, 0),
        "the message did not wait for the bucket"
    );
    host.owes_nothing("pipeline").await;
    let drained = host.drain().await;
    assert_eq!(arrived(&drained).len(), 1);
    drained.sums_agree();
}

#[tokio::test]
async fn an_object_that_is_gone_is_kept_and_one_that_breaks_off_comes_again() {
    let shelf = Arc::new(Shelf::default());
    shelf.put("gone", gzip(document(&[event("A")])));
    shelf.fail("gone", [OpenFault::Missing]);
    shelf.put("flaky", gzip(document(&[event("B")])));
    shelf.fail(
        "flaky",
        [OpenFault::Unavailable, OpenFault::Interrupted(30)],
    );
    let drained = host(&shelf).start().finish().await;
    assert_eq!(shelf.settled(), (2, 1));
    assert_eq!(
        causes(&drained).await,
        BTreeMap::from([(Cause::ObjectMissing, vec![(0, u32::MAX)])])
    );
    assert_eq!(arrived(&drained).len(), 1);
}

#[tokio::test]
async fn an_object_announced_twice_is_delivered_once() {
    let shelf = Arc::new(Shelf::default());
    let body = gzip(document(&[event("A")]));
    shelf.put("object", body.clone());
    shelf.keep_open();
    let host = host(&shelf).start();
    host.until("the event has arrived", |counted| {
        counted.messages_deleted == 1
    })
    .await;
    shelf.put("object", body);
    shelf.close();
    let drained = host.finish().await;
    assert_eq!(
        (arrived(&drained).len(), drained.counted.objects_skipped),
        (1, 1)
    );
}

const SECRET: &str = "s3cr3t/\"wörd\"";

fn events_with_a_secret(names: &[&str]) -> Vec<String> {
    let with = |name: &&str| {
        let mut tree: Value = serde_json::from_str(&event(name)).unwrap();
        tree["requestParameters"] = json!({ "token": SECRET });
        tree.to_string()
    };
    names.iter().map(with).collect()
}

fn leaked(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    ["s3cr3t", "wörd", "w%C3%B6rd"]
        .iter()
        .any(|part| text.contains(part))
}

#[tokio::test]
async fn a_masked_value_is_masked_wherever_a_plugin_repeats_it() {
    let engine = engine();
    let token = "/requestParameters/token";
    let shelf = Arc::new(Shelf::default());
    shelf.put("object", gzip(document(&events_with_a_secret(&["A"]))));
    let host = host(&shelf)
        .plugins(vec![
            component(&engine, "guests", "hostile-enrich", &json!({ "fields": [token], "do": { "good": { "copy": { "member": "seen" } } } })),
            component(&engine, "guests", "hostile-detect", &json!({ "fields": [token], "do": { "good": { "find": { "rule": "r", "window_s": 60 } } } })),
            component(&engine, "guests", "hostile-redact", &json!({ "do": { "good": { "mask": { "path": token, "detector": "token" } } } })),
        ])
        .start();
    let drained = host.finish().await;
    let (event, member) = arrived(&drained).remove(0);
    let marker = serde_json::from_str::<Value>(&event).unwrap()["requestParameters"]["token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(marker.starts_with("<masked:token:k1:"), "{marker}");
    assert_eq!(member["hostile-enrich"]["seen"], marker);
    assert_eq!(
        member["masked"],
        json!([{ "path": token, "detector": "token" }])
    );
    let finding: Value = serde_json::from_str(&drained.lines("findings")[0]).unwrap();
    assert!(finding.to_string().contains(&marker), "{finding}");
    assert!(
        !leaked(&drained.everything_written()),
        "the secret is nowhere"
    );
}

#[tokio::test]
async fn redaction_that_traps_lets_nothing_of_that_event_leave() {
    let engine = engine();
    let shelf = Arc::new(Shelf::default());
    let mut events = events_with_a_secret(&["poison"]);
    events.extend((0..40).map(|number| event(&format!("Good{number}"))));
    shelf.put("object", gzip(document(&events)));
    let host = host(&shelf)
        .plugins(vec![
            component(&engine, "guests", "hostile-detect", &json!({ "fields": ["/requestParameters/token"], "when": "s3cr3t", "do": { "good": { "find": { "rule": "r", "window_s": 60 } } } })),
            component(&engine, "guests", "hostile-redact", &json!({ "when": "poison", "do": { "evil": "trap" } })),
        ])
        .start();
    let drained = host.finish().await;
    drained.sums_agree();
    assert_eq!(arrived(&drained).len(), 40, "the others are delivered");
    let letters: Vec<DeadLetter> = drained.dead_letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].cause, Cause::RedactionFailed);
    assert!(
        letters[0]
            .plugin
            .as_deref()
            .unwrap()
            .starts_with("hostile-redact@sha256:")
    );
    assert!(matches!(&letters[0].subject, Subject::Events { ranges, .. } if *ranges == [(0, 1)]));
    let findings = drained.lines("findings");
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].contains("plugin-blind") && findings[0].contains("s3://shelf/object"));
    let written = drained.everything_written();
    assert!(!leaked(&written) && !String::from_utf8_lossy(&written).contains("user/alice\",\"x"));
}

#[tokio::test]
async fn redaction_that_fails_on_everything_keeps_everything_pending() {
    let engine = engine();
    let shelf = Arc::new(Shelf::default());
    shelf.put(
        "object",
        gzip(document(&events_with_a_secret(&[
            "A", "B", "C", "D", "E", "F",
        ]))),
    );
    shelf.keep_open();
    let host = host(&shelf)
        .plugins(vec![component(
            &engine,
            "guests",
            "hostile-redact",
            &json!({ "do": { "evil": "trap" } }),
        )])
        .start();
    host.until("the message is done", |counted| {
        counted.messages_deleted == 1
    })
    .await;
    let drained = host.drain().await;
    assert!(arrived(&drained).is_empty());
    let pending = drained.pending("pipeline").await;
    assert!(
        matches!(&pending[0].subject, Subject::Events { ranges, .. } if *ranges == [(0, 6)]),
        "{pending:?}"
    );
    assert!(!leaked(&drained.everything_written()));
}

#[tokio::test]
async fn enrichment_and_detection_fail_open_and_the_event_says_so() {
    let engine = engine();
    let shelf = Arc::new(Shelf::default());
    shelf.put("object", gzip(document(&[event("poison"), event("B")])));
    let trap = json!({ "when": "poison", "do": { "evil": "trap" } });
    let host = host(&shelf)
        .plugins(
            ["hostile-enrich", "hostile-detect", "hostile-filter"]
                .map(|name| component(&engine, "guests", name, &trap))
                .to_vec(),
        )
        .start();
    let drained = host.finish().await;
    let arrived = arrived(&drained);
    assert_eq!(
        arrived[0].1["failed"],
        json!(["hostile-detect", "hostile-enrich", "hostile-filter"])
    );
    assert_eq!(arrived[1].1.get("failed"), None);
    let findings = drained.lines("findings");
    assert!(
        findings.len() == 1 && findings[0].contains("plugin-blind"),
        "{findings:?}"
    );
    assert!(findings[0].contains("user/alice"), "folded per principal");
}

#[tokio::test]
async fn a_filter_drops_but_never_what_carries_a_finding() {
    let engine = engine();
    let shelf = Arc::new(Shelf::default());
    shelf.put(
        "object",
        gzip(document(&[event("A"), event("Found"), event("C")])),
    );
    let host = host(&shelf)
        .plugins(vec![
            component(&engine, "guests", "hostile-detect", &json!({ "when": "Found", "do": { "good": { "find": { "rule": "r", "window_s": 60 } } } })),
            component(&engine, "guests", "hostile-filter", &json!({ "events": ["A", "Found"], "do": { "good": "drop" } })),
        ])
        .start();
    let drained = host.finish().await;
    drained.sums_agree();
    assert_eq!(arrived(&drained).len(), 2);
    let counted = &drained.counted.sinks["file"];
    // Two events, and the finding.
    assert_eq!((counted.dropped, counted.delivered), (1, 3));
}

#[tokio::test]
async fn the_hostile_corpus_loses_nothing() {
    let corpus = std::env::var("SLUICEGATE_CORPUS")
        .map_or_else(|_| root().join("../shared/data"), Into::into);
    let generator = corpus.join("../tools/gen_corpus.py");
    if !generator.exists() {
        eprintln!("SKIPPED: no corpus generator at {}", generator.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let status = std::process::Command::new("python3")
        .arg(generator)
        .args([
            "--events",
            "2000",
            "--hostile",
            "20",
            "--seed",
            "3",
            "--out",
        ])
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(status.success());
    let manifest = std::fs::read_to_string(folder.path().join("manifest.ndjson")).unwrap();
    let shelf = Arc::new(Shelf::default());
    let mut good = 0;
    let mut objects = 0;
    for line in manifest.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let key = entry["key"].as_str().unwrap();
        shelf.put(key, std::fs::read(folder.path().join(key)).unwrap());
        good += entry["events"].as_u64().unwrap_or(0);
        objects += 1;
    }
    let drained = host(&shelf)
        .plugins(plugins(&engine()))
        .start()
        .finish()
        .await;
    drained.sums_agree();
    assert_eq!(shelf.settled(), (objects, 0));
    let mut delivered: BTreeMap<String, u64> = BTreeMap::new();
    for (_, member) in arrived(&drained) {
        let object = member["id"]
            .as_str()
            .unwrap()
            .split('.')
            .next()
            .unwrap()
            .to_owned();
        *delivered.entry(object).or_default() += 1;
    }
    let letters = drained.dead_letters().await;
    let mut from_good = 0;
    for line in manifest.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let (key, kind) = (
            entry["key"].as_str().unwrap(),
            entry["kind"].as_str().unwrap(),
        );
        let id = sluicegate::event::ObjectId::of(BUCKET, key, "1").to_string();
        let got = delivered.get(&id).copied().unwrap_or(0);
        let kept: Vec<_> = letters
            .iter()
            .filter(|letter| about(letter) == key)
            .map(|letter| letter.cause)
            .collect();
        if kind == "ok" {
            from_good += got;
            assert!(kept.is_empty(), "{key}: {kept:?}");
        } else {
            let harmless = ["hostile:empty_records"];
            assert!(
                got > 0 || !kept.is_empty() || harmless.contains(&kind),
                "{kind}: nothing came of it"
            );
        }
    }
    assert_eq!(from_good, good);
}

fn about(letter: &DeadLetter) -> &str {
    match &letter.subject {
        Subject::Object { object, .. } | Subject::Events { object, .. } => &object.key,
        Subject::Message { .. } | Subject::Finding { .. } => "",
    }
}
