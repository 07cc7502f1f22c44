//! A hostile plugin costs its own batch and nothing else. Each guest does as its configuration says
//! (`tests/guests/hostile`), but only to batches with the word `poison` in them, so that the next batch
//! shows whether the host and a fresh instance are well.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sluicegate::plugin::{
    CallError, Component, Denied, Engine, Grants, Instance, Limits, LoadError, Terms,
    abi::{Batch, Column, Kind, Outcome, Severity},
};

const HEALTHY: [&str; 3] = ["GetObject", "", "DeleteBücket"];
const POISONED: [&str; 3] = ["GetObject", "poison", "DeleteBucket"];

fn wasm(guest: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let path: PathBuf = root.join("dist/guests").join(guest).with_extension("wasm");
    fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run `make plugins`", path.display()))
}

fn limits() -> Limits {
    Limits {
        memory_bytes: 8 << 20,
        output_bytes: 256 << 10,
        start_ms: 500,
        ..Limits::default()
    }
}

fn load_on(
    engine: &Engine,
    guest: &str,
    act: &Value,
    limits: Limits,
) -> Result<Component, LoadError> {
    let configuration = json!({ "when": "poison", "do": act });
    let terms = Terms {
        configuration: configuration.as_object().unwrap().clone(),
        limits,
        ..Terms::default()
    };
    Component::load(engine, guest, &wasm(guest), &terms)
}

fn load(guest: &str, act: &Value) -> Result<Component, LoadError> {
    load_on(&engine(), guest, act, limits())
}

/// An engine of a test's own. Compiling is most of what these tests do, so what was compiled is kept.
fn engine() -> Engine {
    Engine::new(Some(
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin-cache"),
    ))
    .unwrap()
}

fn evil(kind: &str, act: &Value) -> Component {
    load(&format!("hostile-{kind}"), &json!({ "evil": act })).unwrap()
}

fn good(kind: &str, act: &Value) -> Component {
    load(&format!("hostile-{kind}"), &json!({ "good": act })).unwrap()
}

/// One column of these texts.
fn batch(texts: &[&str]) -> Batch {
    let ends = texts.iter().scan(0, |end, text| {
        *end += u32::try_from(text.len()).unwrap();
        Some(*end)
    });
    let column = Column {
        kinds: vec![2; texts.len()],
        offsets: [0].into_iter().chain(ends).collect(),
        data: texts.concat().into_bytes(),
    };
    Batch {
        rows: u32::try_from(texts.len()).unwrap(),
        now_ms: 1_700_000_000_000,
        columns: vec![column],
    }
}

fn process(component: &Component, texts: &[&str]) -> Result<Outcome, CallError> {
    component.instantiate().unwrap().process(&batch(texts))
}

/// How a poisoned batch ends. The instance must be spent and say so when it is used all the same, and a
/// fresh one must be well.
fn poisoned(component: &Component) -> CallError {
    let mut instance = component.instantiate().unwrap();
    instance.process(&batch(&HEALTHY)).unwrap();
    assert!(!instance.is_spent());
    let error = instance.process(&batch(&POISONED)).unwrap_err();
    assert!(instance.is_spent(), "after {error}");
    drop(instance);
    well(component);
    error
}

fn well(component: &Component) {
    let mut next = component.instantiate().unwrap();
    for _ in 0..3 {
        next.process(&batch(&HEALTHY)).unwrap();
    }
    assert!(!next.is_spent());
}

fn bad_output(kind: &str, act: &Value) -> String {
    match poisoned(&evil(kind, act)) {
        CallError::BadOutput(what) => what,
        error => panic!("not bad output: {error}"),
    }
}

#[test]
fn a_panic_is_a_trap() {
    let error = poisoned(&evil("detect", &json!("trap")));
    assert_eq!(
        error.to_string(),
        "trapped: wasm `unreachable` instruction executed"
    );
}

#[test]
fn after_a_trap_an_instance_is_never_entered_again() {
    let mut instance = evil("detect", &json!("trap")).instantiate().unwrap();
    instance.process(&batch(&POISONED)).unwrap_err();
    let again = instance.process(&batch(&HEALTHY)).unwrap_err();
    assert_eq!(
        again.to_string(),
        "trapped: an earlier call of this instance failed"
    );
}

#[test]
fn a_loop_ends_at_its_deadline() {
    let component = evil("redact", &json!("loop"));
    let start = Instant::now();
    let error = poisoned(&component);
    // Three rows get the least there is, a fifth of 50 ms.
    assert_eq!(error, CallError::Deadline(Duration::from_millis(10)));
    assert_eq!(error.to_string(), "exceeded 10 ms");
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "took {:?}",
        start.elapsed()
    );
}

#[test]
fn a_loop_that_calls_the_host_ends_at_its_deadline() {
    let error = poisoned(&evil("filter", &json!("loop_in_host")));
    assert!(matches!(error, CallError::Deadline(_)), "{error}");
}

#[test]
fn a_recursion_without_end_is_a_trap() {
    let error = poisoned(&evil("filter", &json!("recurse")));
    assert_eq!(error.to_string(), "trapped: call stack exhausted");
}

#[test]
fn memory_is_bounded_at_once_and_by_steps() {
    for act in [
        json!({ "allocate": { "bytes": 1 << 30 } }),
        json!("allocate_by_steps"),
    ] {
        let error = poisoned(&evil("detect", &act));
        assert_eq!(
            error,
            CallError::OutOfMemory(Denied::Memory(8 << 20)),
            "{act}"
        );
        assert_eq!(
            error.to_string(),
            "wanted more than 8388608 bytes of memory"
        );
    }
}

#[test]
fn memory_that_all_plugins_share_is_bounded_and_comes_back() {
    let engine = engine().with_memory_budget(6 << 20);
    let act = json!({ "evil": "allocate_by_steps" });
    let component = load_on(&engine, "hostile-detect", &act, limits()).unwrap();
    let error = poisoned(&component);
    assert_eq!(error, CallError::OutOfMemory(Denied::Shared(6 << 20)));
    assert_eq!(engine.memory_bytes(), 0, "every instance is gone");
}

#[test]
fn a_plugin_that_starts_with_more_memory_than_it_may_have_is_not_loaded() {
    let little = Limits {
        memory_bytes: 64 << 10,
        ..limits()
    };
    let act = json!({ "good": "nothing" });
    let error = load_on(&engine(), "hostile-detect", &act, little).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to instantiate: wanted more than 65536 bytes of memory"
    );
}

#[test]
fn a_table_larger_than_allowed_is_not_made() {
    let little = Limits {
        table_elements: 1,
        ..limits()
    };
    let act = json!({ "good": "nothing" });
    let error = load_on(&engine(), "hostile-detect", &act, little).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to instantiate: wanted more than 1 table elements"
    );
}

#[test]
fn an_instance_that_leaks_is_replaced_before_it_runs_out() {
    let component = evil("detect", &json!({ "leak": { "bytes": 1 << 20 } }));
    let mut instance = component.instantiate().unwrap();
    let calls = (1..100).find(|_| {
        instance.process(&batch(&POISONED)).unwrap();
        instance.is_spent()
    });
    assert!(
        calls.is_some_and(|calls| calls < 8),
        "spent after {calls:?} batches"
    );
    well(&component);
}

#[test]
fn an_instance_is_replaced_after_the_batches_it_drew() {
    let few = Limits {
        recycle_batches_min: 2,
        recycle_batches_max: 2,
        ..limits()
    };
    let act = json!({ "good": "nothing" });
    let component = load_on(&engine(), "hostile-detect", &act, few).unwrap();
    let mut instance = component.instantiate().unwrap();
    instance.process(&batch(&HEALTHY)).unwrap();
    assert!(!instance.is_spent());
    instance.process(&batch(&HEALTHY)).unwrap();
    assert!(instance.is_spent());
}

#[test]
fn a_plugin_that_merely_refuses_is_kept() {
    let mut instance = evil("detect", &json!("refuse")).instantiate().unwrap();
    let error = instance.process(&batch(&POISONED)).unwrap_err();
    assert_eq!(error.to_string(), "refused: cannot\\u{1b}[31m");
    assert!(!instance.is_spent());
    instance.process(&batch(&HEALTHY)).unwrap();
}

#[test]
fn the_words_in_which_redaction_refuses_are_not_passed_on() {
    let act = json!("refuse_in_words_of_the_event");
    let mut instance = evil("redact", &act).instantiate().unwrap();
    let error = instance.process(&batch(&POISONED)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "refused: for a reason that is not shown, it may hold secrets"
    );
    assert!(!instance.is_spent());
}

#[test]
fn a_mask_outside_of_what_is_granted_is_bad_output() {
    let mask = |path: &str, act: &str| {
        let does = json!({ "when": "poison", "do": { "good": { "mask": { "path": path, "detector": act } } } });
        let terms = Terms {
            configuration: does.as_object().unwrap().clone(),
            limits: limits(),
            grants: Grants {
                mask: vec!["/requestParameters".to_owned()],
                ..Grants::default()
            },
            ..Terms::default()
        };
        Component::load(&engine(), "hostile-redact", &wasm("hostile-redact"), &terms).unwrap()
    };
    let granted = process(&mask("/requestParameters/a", "d"), &POISONED).unwrap();
    assert_eq!(granted.masks.len(), 1);
    for path in ["/eventName", "/requestParametersX", "/sluicegate/a", ""] {
        let error = poisoned(&mask(path, "d"));
        assert!(matches!(error, CallError::BadOutput(_)), "{path}: {error}");
    }
    assert_eq!(
        poisoned(&mask("/eventName", "d")).to_string(),
        "returned bad output: a mask of `/eventName`, which it is not granted to mask"
    );
    let detector = poisoned(&mask("/requestParameters/a", "a>b"));
    assert!(detector.to_string().contains("a mask by the detector"));
}

#[test]
fn a_plugin_that_asks_to_see_more_than_is_granted_is_not_loaded() {
    let does = json!({ "fields": ["/requestParameters/password", "/eventName"], "do": { "good": "nothing" } });
    let terms = Terms {
        configuration: does.as_object().unwrap().clone(),
        limits: limits(),
        grants: Grants {
            see: vec!["/eventName".to_owned()],
            ..Grants::default()
        },
        ..Terms::default()
    };
    let wasm = wasm("hostile-detect");
    let error = Component::load(&engine(), "hostile-detect", &wasm, &terms).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"asks for more than `grants` allows: see "/requestParameters/password""#
    );
}

#[test]
fn a_row_out_of_range_is_bad_output() {
    assert_eq!(
        bad_output("detect", &json!("row_out_of_range")),
        "row 3 of a batch of 3"
    );
}

#[test]
fn a_column_that_lies_is_bad_output() {
    let lie = "addition `/sluicegate/hostile-enrich/lie`: ";
    let text = bad_output("enrich", &json!("lying_offsets"));
    assert_eq!(text, format!("{lie}offsets that do not divide the data"));
    let text = bad_output("enrich", &json!("invalid_column"));
    assert_eq!(text, format!("{lie}data that is not UTF-8"));
}

#[test]
fn a_string_that_is_no_text_is_bad_output() {
    assert!(bad_output("detect", &json!("invalid_string")).contains("invalid utf-8"));
}

#[test]
fn a_list_of_another_kind_is_bad_output() {
    assert_eq!(
        bad_output("detect", &json!("foreign_list")),
        "masks from a plugin of kind detect"
    );
    assert_eq!(
        bad_output("enrich", &json!("foreign_list")),
        "masks from a plugin of kind enrich"
    );
    assert_eq!(
        bad_output("redact", &json!("foreign_list")),
        "drops from a plugin of kind redact"
    );
}

#[test]
fn findings_are_bounded_in_number_and_in_bytes() {
    let megabyte = json!({ "findings": { "count": 100, "bytes": 10_000 } });
    assert_eq!(
        bad_output("detect", &megabyte),
        "more bytes than it may hand over in one call"
    );
    let few = Limits {
        findings: 10,
        ..limits()
    };
    let act = json!({ "evil": { "findings": { "count": 11, "bytes": 1 } } });
    let component = load_on(&engine(), "hostile-detect", &act, few).unwrap();
    assert_eq!(
        poisoned(&component).to_string(),
        "returned bad output: 11 findings, at most 10 a batch"
    );
}

#[test]
fn a_flood_of_log_lines_costs_the_plugin_nothing_but_its_lines() {
    for act in [
        json!({ "log_lines": { "count": 1_000 } }),
        json!({ "log_bytes": { "bytes": 10_000 } }),
    ] {
        let component = evil("detect", &act);
        process(&component, &POISONED).unwrap();
        well(&component);
    }
}

#[test]
fn a_log_line_larger_than_any_output_is_an_error() {
    let component = evil("detect", &json!({ "log_bytes": { "bytes": 1 << 20 } }));
    let error = poisoned(&component);
    assert!(
        error
            .to_string()
            .contains("more bytes than it may hand over in one call"),
        "{error}"
    );
}

#[test]
fn whatever_goes_wrong_at_the_start_is_named_with_its_step() {
    let start = |act: &str| {
        load("hostile-detect", &json!({ "evil": act }))
            .unwrap_err()
            .to_string()
    };
    assert!(start("trap_in_configure").starts_with("failed to configure: trapped: "));
    assert_eq!(
        start("loop_in_configure"),
        "failed to configure: exceeded 500 ms"
    );
    assert_eq!(
        start("refuse_configure"),
        "refused its configuration: does not like it\\u{a}"
    );
    let describe = load("traps-in-describe", &json!(null))
        .unwrap_err()
        .to_string();
    assert!(
        describe.starts_with("failed to describe: trapped: "),
        "{describe}"
    );
}

#[test]
fn a_component_under_another_name_is_not_loaded() {
    let engine = engine();
    let wasm = wasm("hostile-detect");
    let error = Component::load(&engine, "mine", &wasm, &Terms::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "describes itself wrongly: the component calls itself `hostile-detect`: use that name"
    );
}

#[test]
fn an_import_that_is_not_offered_is_refused_by_name() {
    let error = load("wants-files", &json!(null)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "imports `wasi:filesystem/types@0.2.0`: not offered; a plugin may import only log, state, lookup of sluicegate:plugin@0.1.0"
    );
}

#[test]
fn a_plugin_for_a_later_interface_says_what_to_upgrade() {
    let error = load("next-abi", &json!(null)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "made for sluicegate:plugin@0.2.0, this host offers 0.1.0: upgrade the host"
    );
}

#[test]
fn one_bad_plugin_does_not_disturb_another_on_the_same_engine() {
    let engine = engine();
    let bad = load_on(
        &engine,
        "hostile-redact",
        &json!({ "evil": "loop" }),
        limits(),
    )
    .unwrap();
    let find = json!({ "good": { "find": { "rule": "r", "window_s": 60 } } });
    let other = load_on(&engine, "hostile-detect", &find, limits()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..5).for_each(|_| drop(process(&bad, &POISONED).unwrap_err())));
        scope.spawn(|| {
            let mut instance = other.instantiate().unwrap();
            (0..2_000).for_each(|_| drop(instance.process(&batch(&POISONED)).unwrap()));
        });
    });
}

#[test]
fn a_component_says_what_it_is_and_what_it_wants() {
    let component = good("detect", &json!("nothing"));
    assert_eq!(
        (component.name(), component.version()),
        ("hostile-detect", "1.0.0")
    );
    assert_eq!((component.kind(), component.schema()), (Kind::Detect, "{}"));
    assert_eq!(component.digest().len(), 64);
    assert_eq!(component.subscription().fields, ["/eventName"]);
    assert!(component.subscription().matches.is_empty());
}

#[test]
fn each_kind_hands_back_what_it_may() {
    let set = good("enrich", &json!({ "copy": { "member": "name" } }));
    let outcome = process(&set, &POISONED).unwrap();
    assert_eq!(outcome.additions[0].path, "/sluicegate/hostile-enrich/name");
    assert_eq!(outcome.additions[0].values.kinds, [0, 2, 0]);
    assert_eq!(outcome.additions[0].values.data, b"poison");

    let find = good(
        "detect",
        &json!({ "find": { "rule": "r", "window_s": 60 } }),
    );
    let outcome = process(&find, &POISONED).unwrap();
    assert_eq!((outcome.findings.len(), outcome.findings[0].row), (1, 1));
    assert_eq!(outcome.findings[0].entity, ["poison"]);
    assert_eq!(outcome.findings[0].severity, Severity::Medium);

    let mask = good(
        "redact",
        &json!({ "mask": { "path": "/a", "detector": "d" } }),
    );
    assert_eq!(process(&mask, &POISONED).unwrap().masks[0].path, "/a");

    let drop = good("filter", &json!("drop"));
    assert_eq!(process(&drop, &POISONED).unwrap().drops, [1]);
}

#[test]
fn an_empty_batch_is_no_special_case() {
    let component = good(
        "detect",
        &json!({ "find": { "rule": "r", "window_s": 60 } }),
    );
    assert_eq!(process(&component, &[]).unwrap().findings, []);
}

#[test]
fn a_cached_component_is_loaded_again_and_a_damaged_one_compiled_anew() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let find = json!({ "good": { "find": { "rule": "r", "window_s": 60 } } });
    let load = || {
        let engine = Engine::new(Some(cache.clone())).unwrap();
        let component = load_on(&engine, "hostile-detect", &find, limits()).unwrap();
        assert_eq!(process(&component, &POISONED).unwrap().findings.len(), 1);
        let files = fs::read_dir(&cache)
            .unwrap()
            .map(|file| file.unwrap().path());
        files.collect::<Vec<_>>()
    };
    let files = load();
    assert_eq!(files.len(), 1, "{files:?}");
    let written = fs::metadata(&files[0]).unwrap().modified().unwrap();
    assert_eq!(load(), files);
    assert_eq!(
        fs::metadata(&files[0]).unwrap().modified().unwrap(),
        written,
        "was not compiled again"
    );

    let mut code = fs::read(&files[0]).unwrap();
    let middle = code.len() / 2;
    code[middle] ^= 1;
    fs::write(&files[0], &code).unwrap();
    load();
    code[middle] ^= 1;
    assert!(
        fs::read(&files[0]).unwrap() == code,
        "the damaged file was replaced"
    );
}

#[test]
fn an_instance_can_be_handed_to_another_thread() {
    fn moves(_: impl Send) {}
    let component = good("detect", &json!("nothing"));
    let instance: Instance = component.instantiate().unwrap();
    moves(instance);
}
