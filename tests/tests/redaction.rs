//! No planted secret leaves the process, whatever it is and however it is written: not as an event, a
//! finding or a dead letter, and not in its logs at their most talkative.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{fs, path::Path, sync::Arc};

use serde_json::json;
use sluicegate::{
    generate::{Plan, write_tree},
    guard::Mode,
};
use sluicegate_tests::{
    host::{Setup, component, engine, root},
    planted::{self, KINDS, Planted, WRITINGS},
    process::Program,
    servers::{Datadog, SecurityHub, Splunk},
    shelf::{BUCKET, Shelf, gzip},
};

const KEY: &str = "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/22/123456789012_CloudTrail_eu-west-1_20261122T1000Z_0000000000000000.json.gz";

/// Secrets of each kind in each writing; other ones than those that the plugin's own test counts.
const EACH: std::ops::Range<u64> = 50_000..50_004;

fn planted() -> Vec<Planted> {
    let writings = KINDS
        .into_iter()
        .flat_map(|kind| WRITINGS.map(|writing| (kind, writing)));
    writings
        .flat_map(|(kind, writing)| EACH.map(move |number| planted::event(kind, writing, number)))
        .collect()
}

/// A program with all plugins, redaction in this mode, that is given these events.
fn program(mode: &str, events: &[Planted]) -> Program {
    let program = empty_program(mode);
    let events: Vec<&str> = events.iter().map(|one| one.event.as_str()).collect();
    let object = program.folder().join("in").join(KEY);
    fs::create_dir_all(object.parent().unwrap()).unwrap();
    let text = format!("{{\"Records\":[{}]}}", events.join(","));
    fs::write(object, gzip(text)).unwrap();
    program
}

fn empty_program(mode: &str) -> Program {
    Program::new(|folder| {
        format!(
            r#"
[source]
type = "directory"
path = "{folder}/in"
once = true
[sinks.archive]
type = "file"
directory = "{folder}/out"
gzip = false
# What the plugin leaves is to be seen here, and not what the guard would mend.
egress_guard = "count"
[plugins.enrich-context]
path = "{plugins}/enrich-context.wasm"
[plugins.detect-cloudtrail]
path = "{plugins}/detect-cloudtrail.wasm"
[plugins.redaction-check]
path = "{plugins}/redaction-check.wasm"
configuration = {{ mode = "{mode}" }}
limits.deadline_ms = 5000
limits.start_ms = 20000
"#,
            folder = folder.display(),
            plugins = root()
                .join("dist/plugins")
                .canonicalize()
                .unwrap()
                .display(),
        )
    })
}

/// Everything under a folder, with its names.
fn gather(folder: &Path, all: &mut Vec<u8>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        all.extend(path.as_os_str().as_encoded_bytes());
        if path.is_dir() {
            gather(&path, all);
        } else {
            all.extend(fs::read(path).unwrap());
        }
    }
}

/// What it has written: events, findings, and everything together.
struct Written {
    events: String,
    findings: String,
    all: String,
}

async fn run(program: Program, level: &str) -> Written {
    let (code, said, errors) = program.run(&["run", "--log", level]).await;
    assert_eq!(code, 0, "{errors}");
    let out = program.folder().join("out");
    // The sink begins new files as they grow.
    let read = |stem: &str| {
        let mut text = String::new();
        for entry in fs::read_dir(&out).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name().to_string_lossy().starts_with(stem) {
                text += &fs::read_to_string(entry.path()).unwrap();
            }
        }
        text
    };
    let (events, findings) = (read("events"), read("findings"));
    // What it was given; the rest it has written.
    fs::remove_dir_all(program.folder().join("in")).unwrap();
    let mut all = [said.as_bytes(), errors.as_bytes()].concat();
    gather(program.folder(), &mut all);
    Written {
        events,
        findings,
        all: String::from_utf8_lossy(&all).into_owned(),
    }
}

/// How many of the secrets show, each in the words it was planted in.
fn leaked<'a>(text: &str, planted: &'a [Planted]) -> Vec<&'a str> {
    let needles = planted.iter().flat_map(|one| &one.needles);
    needles
        .filter(|needle| memchr::memmem::find(text.as_bytes(), needle.as_bytes()).is_some())
        .map(String::as_str)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_planted_byte_leaves_where_secrets_are_masked() {
    let planted = planted();
    let written = run(program("mask", &planted), "trace").await;
    assert_eq!(written.events.lines().count(), planted.len());
    assert_eq!(leaked(&written.all, &planted), Vec::<&str>::new());
    let told = written.findings.matches("secret-in-event").count();
    assert!(told >= KINDS.len(), "{told} findings");
}

/// Base64 of a text that begins at the first, second and third byte of three: what stands in a longer text
/// has one of these in it.
fn in_base64(text: &str) -> [String; 3] {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    [0, 1, 2].map(|shift| {
        let bits: Vec<bool> = text
            .bytes()
            .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1))
            .collect();
        // The letters that are made of bits of this text alone.
        let own = &bits[(6 - shift * 8 % 6) % 6..];
        own.as_chunks::<6>()
            .0
            .iter()
            .map(|six| {
                let index = six
                    .iter()
                    .fold(0, |index, bit| index << 1 | usize::from(*bit));
                char::from(LETTERS[index])
            })
            .collect()
    })
}

/// The secrets in the words they were planted in, escaped as JSON, and in base64.
fn in_every_form(planted: &[Planted]) -> Vec<String> {
    let needles = planted.iter().flat_map(|one| &one.needles);
    let forms = needles.flat_map(|needle| {
        let escaped = |text: &str| {
            let quoted = json!(text).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        };
        let (once, twice) = (escaped(needle), escaped(&escaped(needle)));
        // Of a few bytes the letters are so few that any text may have them by chance.
        let base64 = in_base64(needle).into_iter().filter(|form| form.len() >= 8);
        [needle.clone(), once, twice].into_iter().chain(base64)
    });
    forms.collect()
}

fn is_in(text: &[u8], forms: &[String]) -> Vec<String> {
    let found = forms
        .iter()
        .filter(|form| memchr::memmem::find(text, form.as_bytes()).is_some());
    found.cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_planted_byte_reaches_a_server_or_a_file() {
    let planted = planted();
    let forms = in_every_form(&planted);
    let events: Vec<&str> = planted.iter().map(|one| one.event.as_str()).collect();
    let object = format!("{{\"Records\":[{}]}}", events.join(","));
    // Every secret is in what goes in, in one form at least.
    for one in &planted {
        let own = in_every_form(std::slice::from_ref(one));
        assert!(!is_in(object.as_bytes(), &own).is_empty(), "{}", one.path);
    }
    let (splunk, datadog, hub) = (
        Splunk::start().await,
        Datadog::start().await,
        SecurityHub::start().await,
    );
    let shelf = Arc::new(Shelf::default());
    shelf.put("object-00001", gzip(object));
    let engine = engine();
    let plugins = ["enrich-context", "detect-cloudtrail", "redaction-check"];
    let plugins = plugins.map(|name| component(&engine, "plugins", name, &json!({})));
    let host = Setup::new(Arc::clone(&shelf) as Arc<_>, BUCKET)
        .plugins(plugins.into())
        .splunk(&splunk)
        .datadog(&datadog)
        .security_hub(&hub)
        .file()
        // What the plugin leaves is to be seen here, and not what the guard would mend.
        .egress_guard(Mode::Count)
        .start();
    let drained = host.finish().await;
    drained.sums_agree();

    let left = [
        ("splunk", format!("{:?}", splunk.received()).into_bytes()),
        ("datadog", format!("{:?}", datadog.received()).into_bytes()),
        ("security hub", format!("{:?}", hub.received()).into_bytes()),
        ("files", drained.everything_written()),
    ];
    for (place, text) in &left {
        assert!(!text.is_empty(), "{place} got something");
        assert_eq!(is_in(text, &forms), [""; 0], "{place}");
    }
    assert!(splunk.received().len() > planted.len());
    assert!(!hub.received().is_empty());
    for violations in [splunk.violations(), datadog.violations(), hub.violations()] {
        assert_eq!(violations, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_with_a_secret_is_withheld_alone_where_that_is_asked_for() {
    let mut planted = planted();
    planted.truncate(100);
    let clean = planted::clean(7);
    planted.insert(50, clean.clone());
    let written = run(program("block", &planted), "trace").await;
    assert_eq!(written.events.lines().count(), 1, "only the clean one left");
    assert_eq!(leaked(&written.all, &planted), Vec::<&str>::new());
    assert!(written.all.contains("event withheld: "), "the log says why");
    assert!(written.findings.contains("plugin-blind"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_stay_and_are_told_where_only_reports_are_asked_for() {
    let planted = planted();
    let written = run(program("report", &planted), "trace").await;
    assert_eq!(written.events.lines().count(), planted.len());
    assert!(!written.events.contains("<masked:"));
    assert!(!leaked(&written.events, &planted).is_empty());
    assert_eq!(leaked(&written.findings, &planted), Vec::<&str>::new());
    assert!(written.findings.contains("secret-in-event"));
}

/// Generated events without secrets, but for the tokens that CloudTrail itself shows: how many there are,
/// and the masks that are no such token.
async fn masks_in_clean(objects: usize) -> (usize, Vec<String>) {
    let program = empty_program("mask");
    let plan = Plan {
        seed: 7,
        objects,
        events_per_object: 1_000,
        attacks: 0,
        secrets: 0,
        companions: false,
        ..Plan::default()
    };
    let truth = write_tree(&program.folder().join("in"), &plan).unwrap();
    let issued = truth.secrets.len();
    let written = run(program, "warn").await;
    let mut tokens = 0;
    let mut others = Vec::new();
    for line in written.events.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        for mask in event["sluicegate"]["masked"]
            .as_array()
            .into_iter()
            .flatten()
        {
            if mask["detector"] == "issued-session-token" {
                tokens += 1;
            } else {
                others.push(format!("{} {mask}", event["eventName"]));
            }
        }
    }
    assert_eq!(tokens, issued, "every token that was issued is masked");
    (written.events.lines().count(), others)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hardly_anything_is_masked_in_clean_events() {
    let (events, others) = masks_in_clean(3).await;
    assert!(events > 2_000, "{events}");
    assert_eq!(others, Vec::<String>::new());
}

#[ignore = "takes minutes"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_most_ten_masks_are_wrong_in_a_hundred_thousand_clean_events() {
    let (events, others) = masks_in_clean(100).await;
    eprintln!("{events} events, {} masks: {others:?}", others.len());
    assert!(events >= 90_000, "{events}");
    assert!(others.len() <= 10);
}
