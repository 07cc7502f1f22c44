//! However redaction fails, no byte of the event it failed on leaves the process: not as an event, a
//! finding or a dead letter, and not in its logs at their most talkative.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{fs, path::Path};

use serde_json::{Value, json};
use sluicegate_tests::{host::root, process::Program, shelf::gzip};

const KEY: &str = "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/22/123456789012_CloudTrail_eu-west-1_20261122T1000Z_0000000000000000.json.gz";
const SECRET: &str = "s3cr3t/\"wörd\"";
/// What tells the event that redaction fails on from the others.
const PARTS: [&str; 4] = ["s3cr3t", "wörd", "id-of-poison", "user/poison"];
const GOOD: usize = 20;

fn event(name: &str, token: &str) -> Value {
    json!({
        "eventVersion": "1.11",
        "eventTime": "2026-11-22T10:00:00Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": name,
        "eventID": format!("id-of-{name}"),
        "userIdentity": { "type": "IAMUser", "arn": format!("arn:aws:iam::123456789012:user/{name}") },
        "requestParameters": { "token": token },
    })
}

/// A program whose redaction does this with the poisoned event, and whose detection repeats its secret.
fn program(does: &str) -> Program {
    let program = Program::new(|folder| {
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
[plugins.hostile-detect]
path = "{guests}/hostile-detect.wasm"
configuration = {{ fields = ["/requestParameters/token"], when = "s3cr3t", do = {{ good = {{ find = {{ rule = "r", window_s = 60 }} }} }} }}
[plugins.hostile-redact]
path = "{guests}/hostile-redact.wasm"
configuration = {{ fields = ["/eventName", "/requestParameters/token"], when = "poison", do = {does} }}
limits.start_ms = 20000
"#,
            folder = folder.display(),
            guests = root().join("dist/guests").canonicalize().unwrap().display(),
        )
    });
    let mut events: Vec<Value> = (0..GOOD)
        .map(|number| event(&format!("Good{number}"), "none"))
        .collect();
    events.insert(7, event("poison", SECRET));
    let object = program.folder().join("in").join(KEY);
    fs::create_dir_all(object.parent().unwrap()).unwrap();
    fs::write(object, gzip(json!({ "Records": events }).to_string())).unwrap();
    program
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

/// Runs it to its end: all that it has written, and its events and findings.
async fn run(program: Program) -> (String, String, String) {
    let (code, said, errors) = program.run(&["run", "--log", "trace"]).await;
    assert_eq!(code, 0, "{errors}");
    let out = program.folder().join("out");
    let read = |stem: &str| fs::read_to_string(out.join(stem).with_extension("ndjson"));
    let (events, findings) = (read("events").unwrap(), read("findings").unwrap());
    // What it was given; the rest it has written.
    fs::remove_dir_all(program.folder().join("in")).unwrap();
    fs::remove_file(program.configuration()).unwrap();
    let mut all = [said.as_bytes(), errors.as_bytes()].concat();
    gather(program.folder(), &mut all);
    (String::from_utf8_lossy(&all).into_owned(), events, findings)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_byte_of_an_event_leaves_that_redaction_failed_on() {
    let (all, events, _) = run(program("{ good = \"nothing\" }")).await;
    assert_eq!(events.lines().count(), GOOD + 1);
    for part in PARTS {
        assert!(all.contains(part), "{part} is found where nothing fails");
    }
    for act in [
        "\"trap\"",
        "\"loop\"",
        "\"recurse\"",
        "\"allocate_by_steps\"",
        "\"refuse\"",
        "\"refuse_in_words_of_the_event\"",
        "\"foreign_list\"",
        "\"invalid_string\"",
        "{ findings = { count = 5000, bytes = 1 } }",
    ] {
        let (all, events, findings) = run(program(&format!("{{ evil = {act} }}"))).await;
        for part in PARTS {
            assert!(!all.contains(part), "{act}: {part} has left");
        }
        assert_eq!(
            events.lines().count(),
            GOOD,
            "{act}: the others are delivered"
        );
        assert!(
            all.contains("plugin failed on events"),
            "{act}: and the log says so"
        );
        assert!(
            findings.lines().count() == 1 && findings.contains("plugin-blind"),
            "{act}: {findings}"
        );
    }
}
