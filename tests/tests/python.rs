//! Plugins in Python: the same sandbox, the same limits and the same interface as for all others. A guest
//! that does as its configuration says shows what becomes of everything that Python programs do elsewhere.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::json;
use sluicegate::plugin::{
    CallError, Component, Denied, Instance, Limits, Terms,
    abi::{Batch, Column, Outcome},
};
use sluicegate_tests::{
    host::{Setup, engine, root},
    logs::caught,
    shelf::{BUCKET, Shelf, gzip},
};

const HEALTHY: [&str; 2] = ["GetObject", "DeleteBücket"];
const POISONED: [&str; 2] = ["GetObject", "poison"];
static LOADING: Mutex<()> = Mutex::new(());
const NOW_MS: u64 = 1_700_000_000_000;

fn wasm(guest: &str) -> Vec<u8> {
    let path = root()
        .join("dist/guests")
        .join(guest)
        .with_extension("wasm");
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run `make guests`", path.display()))
}

/// The guest that does this to batches with the word `poison` in them. The machine may be busy.
fn hostile(act: &str) -> Component {
    let terms = Terms {
        configuration: json!({ "do": act }).as_object().unwrap().clone(),
        limits: Limits {
            deadline_ms: 5_000,
            start_ms: 10_000,
            ..Limits::default()
        },
        ..Terms::default()
    };
    // Compiling takes long: the first test does it, and the others find it done.
    let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    Component::load(&engine(), "hostile-python", &wasm("hostile-python"), &terms).unwrap()
}

fn batch(texts: &[&str], now_ms: u64) -> Batch {
    let ends = texts.iter().scan(0, |end, text| {
        *end += u32::try_from(text.len()).unwrap();
        Some(*end)
    });
    Batch {
        rows: u32::try_from(texts.len()).unwrap(),
        now_ms,
        columns: vec![Column {
            kinds: vec![2; texts.len()],
            offsets: [0].into_iter().chain(ends).collect(),
            data: texts.concat().into_bytes(),
        }],
    }
}

fn process(instance: &mut Instance, texts: &[&str]) -> Result<Outcome, CallError> {
    instance.process(&batch(texts, NOW_MS))
}

/// How a poisoned batch ends, and whether the instance is then spent. Healthy batches before and after are
/// judged, the one after by a fresh instance where the first is spent.
fn poisoned(act: &str) -> (Result<Outcome, CallError>, bool) {
    let component = hostile(act);
    let mut instance = component.instantiate().unwrap();
    process(&mut instance, &HEALTHY).unwrap();
    let answer = process(&mut instance, &POISONED);
    let spent = instance.is_spent();
    if spent {
        instance = component.instantiate().unwrap();
    }
    process(&mut instance, &HEALTHY).unwrap();
    (answer, spent)
}

/// The error of a poisoned batch that ends the instance.
fn ended(act: &str) -> CallError {
    let (answer, spent) = poisoned(act);
    assert!(spent, "{act}");
    answer.unwrap_err()
}

/// The error of a poisoned batch that the plugin caught, so that the instance goes on.
fn refused(act: &str) -> String {
    let (answer, spent) = poisoned(act);
    assert!(!spent, "{act}");
    match answer.unwrap_err() {
        CallError::Refused(reason) => reason,
        error => panic!("{act}: {error}"),
    }
}

fn title(act: &str) -> String {
    let (answer, _) = poisoned(act);
    answer.unwrap().findings.remove(0).title
}

/// The names that a component imports, read from its outermost import sections.
fn imports(wasm: &[u8]) -> Vec<String> {
    fn number(wasm: &[u8], at: &mut usize) -> usize {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = usize::from(wasm[*at]);
            *at += 1;
            value |= (byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }
    let (mut names, mut at) = (Vec::new(), 8);
    while at < wasm.len() {
        let section = wasm[at];
        at += 1;
        let end = number(wasm, &mut at) + at;
        if section == 10 {
            for _ in 0..number(wasm, &mut at) {
                at += 1;
                let length = number(wasm, &mut at);
                names.push(String::from_utf8(wasm[at..at + length].to_vec()).unwrap());
                at += length;
                // What it is: a type is told by how it is bounded, then all by a number.
                at += if wasm[at] == 3 { 2 } else { 1 };
                number(wasm, &mut at);
            }
        }
        at = end;
    }
    names
}

#[test]
fn components_made_of_python_import_the_log_and_types_alone() {
    let types = ["types@0.1.0", "manifest@0.1.0"].map(|name| format!("sluicegate:plugin/{name}"));
    for guest in ["attack-tools-python", "hostile-python"] {
        let mut imports = imports(&wasm(guest));
        // What the interface's functions are written with: types that stand for themselves.
        imports.retain(|name| name.contains(':') && !types.contains(name));
        assert_eq!(imports, ["sluicegate:plugin/log@0.1.0"], "{guest}");
    }
}

#[test]
fn an_exception_is_a_refusal_with_type_and_place_and_nothing_of_the_event() {
    let reason = refused("raise");
    assert!(
        reason.starts_with("KeyError in raise_ (hostile_python.py, line "),
        "{reason}"
    );
    assert!(refused("recurse").starts_with("RecursionError in recurse (hostile_python.py"));
    assert!(refused("exit").starts_with("SystemExit in exit (hostile_python.py"));
    assert!(refused("import_late").starts_with("ModuleNotFoundError in find_spec (guest.py"));
}

#[test]
fn a_loop_ends_at_its_deadline_in_python_and_in_c() {
    for act in ["loop", "loop_in_regex"] {
        assert_eq!(
            ended(act),
            CallError::Deadline(Duration::from_secs(1)),
            "{act}"
        );
    }
}

#[test]
fn memory_is_bounded_at_once_and_by_steps() {
    for act in ["allocate", "allocate_by_steps"] {
        let limit = Limits::default().memory_bytes;
        assert_eq!(
            ended(act),
            CallError::OutOfMemory(Denied::Memory(limit)),
            "{act}"
        );
    }
}

#[test]
fn a_recursion_that_python_does_not_stop_is_stopped_by_the_host() {
    let error = ended("recurse_without_limit");
    let known = [
        CallError::Trap("call stack exhausted".to_owned()),
        CallError::OutOfMemory(Denied::Memory(Limits::default().memory_bytes)),
        CallError::Deadline(Duration::from_secs(1)),
    ];
    assert!(known.contains(&error), "{error}");
}

#[test]
fn there_is_no_clock_no_file_no_network_and_no_chance_from_outside() {
    for act in ["clock", "calendar", "sleep", "file", "entropy"] {
        let error = ended(act);
        assert_eq!(
            error.to_string(),
            "trapped: wasm `unreachable` instruction executed",
            "{act}"
        );
    }
    let (answer, _) = poisoned("socket");
    assert!(answer.is_err(), "{answer:?}");
    assert_eq!(title("environment"), "[] []");
}

#[test]
fn chance_depends_on_the_batch_and_on_nothing_else() {
    let component = hostile("chance");
    let title = |instance: &mut Instance, now_ms| {
        let outcome = instance.process(&batch(&POISONED, now_ms)).unwrap();
        outcome.findings[0].title.clone()
    };
    let (mut one, mut other) = (
        component.instantiate().unwrap(),
        component.instantiate().unwrap(),
    );
    let first = title(&mut one, NOW_MS);
    assert_ne!(title(&mut one, NOW_MS + 1), first);
    assert_eq!(title(&mut other, NOW_MS), first);
    assert_eq!(title(&mut one, NOW_MS), first);
}

#[test]
fn what_is_printed_is_logged_and_a_flood_is_cut() {
    let (_, logged) = caught(|| poisoned("print"));
    assert!(
        logged.contains(" INFO ")
            && logged.contains(r#"plugin="hostile-python" printed\u{1b}[31m"#),
        "{logged}"
    );
    assert!(
        logged.contains(" WARN ") && logged.contains(r#"plugin="hostile-python" complained"#),
        "{logged}"
    );

    let (_, logged) = caught(|| poisoned("flood"));
    let lines = logged
        .lines()
        .filter(|line| line.contains(" INFO "))
        .count();
    assert_eq!(lines, 100, "as many as a call may write");
    assert!(logged.contains("lines dropped"), "{logged}");
}

#[test]
fn rows_that_do_not_exist_are_bad_output_in_python_too() {
    assert_eq!(
        ended("row_out_of_range").to_string(),
        "returned bad output: row 1048576 of a batch of 2"
    );
    assert!(matches!(ended("not_a_row"), CallError::Trap(_)));
}

fn event(name: &str) -> String {
    json!({
        "eventTime": "2026-11-22T10:00:00Z",
        "eventName": name,
        "userIdentity": { "type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/alice" },
    })
    .to_string()
}

#[tokio::test]
async fn an_exception_fails_the_one_event_at_fault() {
    let shelf = Arc::new(Shelf::default());
    let mut events: Vec<String> = (0..40)
        .map(|number| event(&format!("Good{number}")))
        .collect();
    events.insert(17, event("poison"));
    shelf.put(
        "object",
        gzip(format!("{{\"Records\":[{}]}}", events.join(","))),
    );
    let plugin = hostile("raise");
    let source: Arc<Shelf> = Arc::clone(&shelf);
    let drained = Setup::new(source, BUCKET)
        .file()
        .plugins(vec![plugin])
        .start()
        .finish()
        .await;
    drained.sums_agree();
    let lines = drained.lines("events");
    let failed: Vec<_> = lines
        .iter()
        .filter(|line| line.contains(r#""failed":["hostile-python"]"#))
        .collect();
    assert_eq!((lines.len(), failed.len()), (41, 1));
    assert!(failed[0].contains("poison"), "{}", failed[0]);
    let findings = drained.lines("findings");
    assert!(
        findings.len() == 1 && findings[0].contains("plugin-blind"),
        "{findings:?}"
    );
    let written = drained.everything_written();
    assert!(
        !String::from_utf8_lossy(&written).contains("s3cr3t"),
        "the exception's text stays inside"
    );
}
