//! The tools for those who write plugins, as processes in an empty folder.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{ffi::OsString, fs, os::unix::fs::PermissionsExt as _};

use sluicegate_tests::{
    authoring::{Ended, Workshop, end},
    host::root,
    shelf::gzip,
};

/// Path of a component of ours.
fn dist(path: &str) -> String {
    let path = root().join("dist").join(path);
    assert!(
        path.exists(),
        "{}: run `make plugins guests`",
        path.display()
    );
    path.canonicalize().unwrap().display().to_string()
}

/// Runs cases on a component of ours.
fn cases(component: &str, cases: &str) -> Ended {
    let shop = Workshop::new();
    shop.write("cases.yaml", cases);
    shop.plugin(&["test", "--component", &dist(component), "cases.yaml"])
}

/// Holds each part to stand in a text.
fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn a_new_plugin_is_built_tested_inspected_and_measured() {
    let shop = Workshop::new();
    let made = shop.plugin(&["new", "secret-reads", "--lang", "rust"]);
    assert_eq!(made.code, 0, "{}", made.errors);
    holds(&made.said, &["wrote plugin secret-reads"]);

    let built = shop.plugin(&["build", "secret-reads"]);
    assert_eq!(built.code, 0, "{}", built.errors);
    holds(
        &built.said,
        &[
            "plugin  secret-reads 0.1.0 (detect)",
            "path    secret-reads/dist/secret-reads.wasm",
        ],
    );
    let component = "secret-reads/dist/secret-reads.wasm";
    assert!(shop.folder().join(component).is_file());

    let first = shop.plugin(&["test", "secret-reads"]);
    assert_eq!(first.code, 0, "{}{}", first.said, first.errors);
    holds(&first.said, &["ok      a user who reads", "4 cases passed"]);
    let digest = |text: &str| {
        text.lines()
            .find(|line| line.starts_with("sha256"))
            .map(str::to_owned)
    };
    let again = shop.plugin(&[
        "test",
        "--component",
        component,
        "secret-reads/tests/cases.yaml",
    ]);
    assert_eq!(first.said, again.said, "fuel repeats");

    let inspected = shop.plugin(&["inspect", component]);
    assert_eq!(inspected.code, 0, "{}", inspected.errors);
    assert_eq!(digest(&inspected.said), digest(&built.said));
    holds(
        &inspected.said,
        &[
            "kind    detect",
            "made for sluicegate:plugin@0.1.0; this host speaks 0.1.0",
            "may     do nothing but answer",
            "\"description\": \"ARNs of users who may read secrets.\"",
            "\"maximum\": 86400",
            "\"additionalProperties\": false",
        ],
    );

    let measured = shop.plugin(&["bench", "--component", component]);
    assert_eq!(measured.code, 0, "{}", measured.errors);
    holds(
        &measured.said,
        &[
            "ns an event",
            "an event that reaches it",
            "bytes an instance",
            "to compile and start",
        ],
    );
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let shop = Workshop::new();
    shop.write("mine/notes", "mine");
    let made = shop.plugin(&["new", "mine"]);
    assert_eq!(made.code, 64);
    holds(&made.errors, &["mine is not empty"]);
    assert_eq!(fs::read_dir(shop.folder().join("mine")).unwrap().count(), 1);

    let named = shop.plugin(&["new", "Not_A_Name"]);
    assert_eq!(named.code, 64);
    holds(&named.errors, &["name must be 1 to 64 of a-z, 0-9 and -"]);
    let language = shop.plugin(&["new", "other", "--lang", "cobol"]);
    assert_eq!(language.code, 64);
    assert!(!shop.folder().join("other").exists());
}

#[test]
fn a_folder_that_is_no_project_is_not_built() {
    let shop = Workshop::new();
    let built = shop.plugin(&["build"]);
    assert_eq!(built.code, 1);
    holds(
        &built.errors,
        &[
            "found no Cargo.toml and no main.py in .",
            "sluicegate plugin new",
        ],
    );
}

#[test]
fn what_this_machine_lacks_is_named_with_the_command_that_brings_it() {
    let shop = Workshop::new();
    shop.write("Cargo.toml", "[package]\nname = \"a\"\n");
    let nothing = shop.plugin_on(&["build"], Some("/nowhere".into()));
    assert_eq!(nothing.code, 1);
    holds(
        &nothing.errors,
        &["failed to run rustc: install Rust with rustup"],
    );

    shop.write("bin/rustc", "#!/bin/sh\necho /nowhere\n");
    let rustc = shop.folder().join("bin/rustc");
    fs::set_permissions(&rustc, fs::Permissions::from_mode(0o755)).unwrap();
    let path = || Some(shop.folder().join("bin").into());
    let target = shop.plugin_on(&["build"], path());
    assert_eq!(target.code, 1);
    holds(
        &target.errors,
        &["run `rustup target add wasm32-unknown-unknown`"],
    );

    let sysroot = shop.folder().join("lib/rustlib/wasm32-unknown-unknown");
    fs::create_dir_all(&sysroot).unwrap();
    shop.write(
        "bin/rustc",
        format!("#!/bin/sh\necho {}\n", shop.folder().display()),
    );
    let cargo = shop.plugin_on(&["build"], path());
    assert_eq!(cargo.code, 1);
    holds(
        &cargo.errors,
        &["failed to run cargo: install Rust with rustup"],
    );
}

#[test]
fn a_project_that_makes_no_plugin_is_told_what_it_lacks() {
    let shop = Workshop::new();
    let manifest = |library: &str| {
        format!(
            "[package]\nname = \"no-plugin\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n{library}"
        )
    };
    shop.write("Cargo.toml", manifest(""));
    shop.write("src/lib.rs", "");
    let no_module = shop.plugin(&["build"]);
    assert_eq!(no_module.code, 1);
    holds(
        &no_module.errors,
        &["it makes no module", "crate-type = [\"cdylib\"]"],
    );

    shop.write("Cargo.toml", manifest("[lib]\ncrate-type = [\"cdylib\"]\n"));
    let no_plugin = shop.plugin(&["build"]);
    assert_eq!(no_plugin.code, 1);
    holds(
        &no_plugin.errors,
        &["failed to run what . makes: does not fit the interface"],
    );

    shop.write("src/lib.rs", "fn broken(");
    let broken = shop.plugin(&["build"]);
    assert_eq!(broken.code, 1);
    holds(
        &broken.errors,
        &["unclosed delimiter", "failed to build .: cargo ended with"],
    );
    assert!(!shop.folder().join("dist").exists());
}

#[test]
fn what_differs_is_shown_with_its_place() {
    let ended = cases(
        "plugins/detect-cloudtrail.wasm",
        r#"cases:
- name: a deleted bucket
  events:
  - {eventSource: s3.amazonaws.com, eventName: DeleteBucket, userIdentity: {arn: "arn:a"}, requestParameters: {bucketName: logs}}
  - {eventSource: cloudtrail.amazonaws.com, eventName: StopLogging, userIdentity: {arn: "arn:b"}}
  expect:
    findings:
    - {event: 0, rule: s3-bucket-deleted, severity: high, attributes: {bucket: other}}
    - {event: 1, rule: root-used}
- name: nothing at all
  events: [{eventName: ListBuckets}]
"#,
    );
    assert_eq!(ended.code, 1);
    holds(&ended.errors, &["1 of 2 cases failed"]);
    holds(
        &ended.said,
        &[
            "FAILED  a deleted bucket (cases.yaml:2)\n",
            "event 0: finding s3-bucket-deleted: expected severity high, got medium; expected attribute bucket \"other\", got \"logs\"\n",
            "event 1: finding root-used: expected it, got none\n",
            "event 1: finding cloudtrail-tampered: got it unexpectedly, with severity critical, entity [\"arn:b\"]",
            "ok      nothing at all\n",
        ],
    );
}

#[test]
fn a_budget_of_fuel_that_is_passed_fails_the_case() {
    let with = |budget: u64| {
        let text = format!(
            "cases:\n- name: root\n  events: [{{userIdentity: {{type: Root}}}}]\n  expect: {{findings: [{{event: 0, rule: root-used}}]}}\n  max_fuel_per_event: {budget}\n"
        );
        cases("plugins/detect-cloudtrail.wasm", &text)
    };
    let passed = with(1_000);
    assert_eq!(passed.code, 1);
    holds(&passed.said, &["fuel an event, max_fuel_per_event is 1000"]);
    let kept = with(1_000_000);
    assert_eq!(kept.code, 0, "{}{}", kept.said, kept.errors);
    assert_eq!(kept.said, with(1_000_000).said, "fuel repeats");
}

#[test]
fn additions_masks_drops_and_failures_are_held_too() {
    let enriched = cases(
        "plugins/enrich-context.wasm",
        r"cases:
- name: root from outside
  events: [{userIdentity: {type: Root}, sourceIPAddress: 203.0.113.7}]
  expect: {additions: [{event: 0, set: {actor: {kind: root, name: root}, network: {class: public}}}]}
- name: not said
  events: [{userIdentity: {type: Root}, sourceIPAddress: 203.0.113.7}]
  expect: {additions: [{event: 0, set: {actor: {kind: human}}}]}
",
    );
    assert_eq!(enriched.code, 1);
    holds(
        &enriched.said,
        &[
            "ok      root from outside",
            "event 0: addition /actor/kind: expected \"human\", got \"root\"\n",
            "event 0: addition /network: expected nothing, got {\"class\":\"public\"}\n",
        ],
    );
    let redacted = cases(
        "plugins/redaction-check.wasm",
        "cases:\n- name: a key\n  events: [{eventName: X, requestParameters: {masterUserPassword: hunter33hunter, password: hunter22hunter}}]\n  expect: {masks: [{event: 0, path: /requestParameters/password}]}\n",
    );
    holds(
        &redacted.said,
        &["event 0: mask of /requestParameters/masterUserPassword: got it unexpectedly"],
    );
    assert!(
        !redacted
            .said
            .contains("mask of /requestParameters/password"),
        "{}",
        redacted.said
    );

    let filtered = cases(
        "guests/hostile-filter.wasm",
        "cases:\n- name: a drop\n  configuration: {when: noise, do: {good: drop}}\n  events: [{eventName: noise}, {eventName: news}]\n  expect: {drops: [0]}\n- name: not expected\n  configuration: {do: {good: drop}}\n  events: [{eventName: noise}]\n",
    );
    holds(
        &filtered.said,
        &["ok      a drop", "event 0: drop: got it unexpectedly"],
    );

    let failing = r"cases:
- name: a trap
  configuration: {when: poison, do: {evil: trap}}
  events: [{eventName: well}, {eventName: poison}]
  expect: {failures: [{event: 1, error: trapped}]}
- name: the same, not expected
  configuration: {when: poison, do: {evil: trap}}
  events: [{eventName: well}, {eventName: poison}]
";
    for kind in ["detect", "enrich", "filter", "redact"] {
        let failed = cases(&format!("guests/hostile-{kind}.wasm"), failing);
        assert_eq!(failed.code, 1, "{kind}");
        holds(
            &failed.said,
            &[
                "ok      a trap",
                "event 1: the plugin failed: trapped: wasm `unreachable`",
            ],
        );
    }
}

#[test]
fn a_plugin_that_should_be_refused_must_be() {
    let ended = cases(
        "plugins/detect-cloudtrail.wasm",
        "cases:\n- name: refused\n  configuration: {window_s: 5}\n  expect: {error: window_s must be}\n- name: for another reason\n  configuration: {speed: 5}\n  expect: {error: window_s must be}\n- name: taken\n  expect: {error: window_s}\n- name: not expected\n  configuration: {window_s: 5}\n",
    );
    assert_eq!(ended.code, 1);
    holds(
        &ended.said,
        &[
            "ok      refused",
            "expected an error with `window_s must be` in it, got: refused its configuration",
            "unknown field `speed`",
            "expected an error with `window_s` in it, but the plugin started",
            "expected the plugin to start, got: refused its configuration: window_s must be between",
        ],
    );
    holds(&ended.errors, &["3 of 4 cases failed"]);
}

#[test]
fn cases_that_cannot_be_understood_are_no_failure_of_the_plugin() {
    let wrong = |text: &str, parts: &[&str]| {
        let ended = cases("plugins/detect-cloudtrail.wasm", text);
        assert_eq!(ended.code, 64, "{}", ended.errors);
        holds(&ended.errors, parts);
        assert_eq!(ended.said, "");
    };
    wrong(
        "cases:\n- name: a\n  evnts: []\n",
        &["cases.yaml", "evnts", "line 3"],
    );
    wrong("cases: [\n", &["cases.yaml", "line"]);
    wrong("cases: []\n", &["have none"]);
    wrong(
        "cases:\n- name: a\n  events: [{a: 1}]\n  expect: {drops: [1]}\n",
        &[
            "cases.yaml:2",
            "expects something of event 1, but has 1 events",
        ],
    );
    wrong(
        "cases:\n- name: a\n  events_file: missing.json\n",
        &["cases.yaml:2", "failed to read missing.json"],
    );
    wrong(
        "cases:\n- name: a\n  events: [{a: 1}]\n  events_file: b.json\n",
        &["both events and events_file"],
    );
    let shop = Workshop::new();
    let detect = dist("plugins/detect-cloudtrail.wasm");
    let none = shop.plugin(&["test", "--component", &detect]);
    assert_eq!(none.code, 64);
    holds(&none.errors, &["name files with cases beside --component"]);
    let empty = shop.plugin(&["test"]);
    assert_eq!(empty.code, 64);
    holds(&empty.errors, &["found no cases: write ./tests/*.yaml"]);
    shop.write("cases.yaml", "cases: [{name: a}]");
    let missing = shop.plugin(&["test", "--component", "no.wasm", "cases.yaml"]);
    assert_eq!(missing.code, 64);
    holds(&missing.errors, &["failed to read no.wasm"]);
}

#[test]
fn events_come_from_files_in_every_form() {
    let shop = Workshop::new();
    let event = r#"{"eventSource":"s3.amazonaws.com","eventName":"DeleteBucket","eventName":"DeleteBucket"}"#;
    shop.write(
        "a/1.ndjson",
        format!("{event}\n{{\"eventName\":\"ListBuckets\"}}\n"),
    );
    shop.write("a/b/2.json", format!("{{\"Records\":[{event}]}}"));
    shop.write("a/b/3.json.gz", gzip(format!("{{\"Records\":[{event}]}}")));
    shop.write(
        "cases.yaml",
        "cases:\n- name: a folder\n  events_file: a\n  expect:\n    findings:\n    - {event: 0, rule: s3-bucket-deleted}\n    - {event: 2, rule: s3-bucket-deleted}\n    - {event: 3, rule: s3-bucket-deleted}\n",
    );
    let detect = dist("plugins/detect-cloudtrail.wasm");
    let tested = shop.plugin(&["test", "--component", &detect, "cases.yaml"]);
    assert_eq!(tested.code, 0, "{}{}", tested.said, tested.errors);

    let bench = ["bench", "--component", &detect, "--events", "a"];
    let measured = shop.plugin(&[&bench[..], &["--configuration", r#"{"window_s": 60}"#]].concat());
    assert_eq!(measured.code, 0, "{}", measured.errors);
    holds(&measured.said, &["events  4, of which 3 reach it"]);
    let refused = shop.plugin(&[&bench[..], &["--configuration", r#"{"window_s": 6}"#]].concat());
    assert_eq!(refused.code, 1);
    holds(
        &refused.errors,
        &["window_s must be between 60 and 86400, got 6"],
    );
    let text = shop.plugin(&[&bench[..], &["--configuration", "6"]].concat());
    assert_eq!(text.code, 64);
    holds(
        &text.errors,
        &["failed to read --configuration as a JSON object"],
    );

    shop.write("none/x.ndjson", r#"{"eventName":"ListBuckets"}"#);
    let none = shop.plugin(&["bench", "--component", &detect, "--events", "none"]);
    assert_eq!(none.code, 0, "{}", none.errors);
    holds(
        &none.said,
        &["time    not measured: name events that reach the plugin with --events"],
    );
    shop.write("none/y.ndjson", "{}\nnonsense\n");
    let wrong = shop.plugin(&["bench", "--component", &detect, "--events", "none"]);
    assert_eq!(wrong.code, 64);
    holds(
        &wrong.errors,
        &["none/y.ndjson: line 2: is not a JSON object"],
    );
}

#[test]
fn a_plugin_that_fails_is_not_measured() {
    let shop = Workshop::new();
    let trap = r#"{"do": {"evil": "trap"}}"#;
    let guest = dist("guests/hostile-enrich.wasm");
    let measured = shop.plugin(&["bench", "--component", &guest, "--configuration", trap]);
    assert_eq!(measured.code, 1);
    holds(
        &measured.errors,
        &["failed to measure", "first on event 0: trapped"],
    );
}

#[test]
fn a_component_of_another_abi_is_inspected_and_refused_with_what_to_upgrade() {
    let shop = Workshop::new();
    shop.write("cases.yaml", "cases: [{name: a}]");
    let next = dist("guests/next-abi.wasm");
    let inspected = shop.plugin(&["inspect", &next]);
    assert_eq!(inspected.code, 0, "{}", inspected.errors);
    let advice = "made for sluicegate:plugin@0.2.0, this host offers 0.1.0: upgrade the host";
    holds(
        &inspected.said,
        &[
            "made for sluicegate:plugin@0.2.0; this host speaks 0.1.0",
            "log       write lines",
            advice,
        ],
    );
    for command in [
        &["test", "--component", &next, "cases.yaml"][..],
        &["bench", "--component", &next],
    ] {
        let ended = shop.plugin(command);
        assert_eq!(ended.code, 1);
        holds(&ended.errors, &[advice]);
    }
}

#[test]
fn what_a_component_may_do_is_told_and_what_it_may_not_ends_in_an_error() {
    let shop = Workshop::new();
    let log = shop.plugin(&["inspect", &dist("guests/hostile-detect.wasm")]);
    assert_eq!(log.code, 0, "{}", log.errors);
    holds(&log.said, &["log       write lines for the operator"]);
    let files = shop.plugin(&["inspect", &dist("guests/wants-files.wasm")]);
    assert_eq!(files.code, 1);
    holds(&files.said, &["wasi      call wasi:"]);
    holds(&files.errors, &["failed to inspect", "not offered"]);
    let trap = shop.plugin(&["inspect", &dist("guests/traps-in-describe.wasm")]);
    assert_eq!(trap.code, 1);
    holds(&trap.errors, &["failed to describe: trapped"]);
}

#[test]
fn what_is_no_component_is_named_for_what_it_is() {
    let shop = Workshop::new();
    shop.write("cases.yaml", "cases: [{name: a}]");
    shop.write("module.wasm", b"\0asm\x01\0\0\0");
    shop.write("garbage.wasm", b"\x7fELF and so on");
    for (file, what) in [
        (
            "module.wasm",
            "is a core WebAssembly module, not a component",
        ),
        ("garbage.wasm", "is not WebAssembly"),
    ] {
        for command in [
            &["inspect", file][..],
            &["test", "--component", file, "cases.yaml"],
            &["bench", "--component", file],
        ] {
            let ended = shop.plugin(command);
            assert_eq!(ended.code, 1, "{command:?}");
            holds(&ended.errors, &[what]);
        }
    }
    let missing = shop.plugin(&["inspect", "missing.wasm"]);
    assert_eq!(missing.code, 64);
    holds(&missing.errors, &["failed to read missing.wasm"]);
}

/// A `PATH` on which the tool that builds plugins in Python is found, or is not.
fn path_with_python(tool: bool) -> OsString {
    let own = root().join(".venv/bin").canonicalize().unwrap();
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let others = std::env::split_paths(&inherited);
    let mut paths: Vec<_> = others.filter(|path| *path != own).collect();
    if tool {
        paths.insert(0, own);
    }
    std::env::join_paths(paths).unwrap()
}

#[test]
fn a_project_in_python_passes_its_own_tests_as_it_is_written() {
    let shop = Workshop::new();
    let new = shop.plugin(&["new", "secret-reads", "--lang", "python"]);
    assert_eq!(new.code, 0, "{}", new.errors);

    let mut unit = shop.command("python3");
    unit.args(["-m", "unittest"])
        .current_dir(shop.folder().join("secret-reads"))
        .env("PYTHONPATH", "sdk");
    let unit = end(&mut unit);
    assert_eq!(unit.code, 0, "{}", unit.errors);

    let without = shop.plugin_on(&["build", "secret-reads"], Some(path_with_python(false)));
    assert_eq!(without.code, 1);
    let advice = ".venv/bin/pip install -r requirements.txt";
    assert!(without.errors.contains(advice), "{}", without.errors);

    let path = path_with_python(true);
    let test = shop.plugin_on(&["test", "secret-reads"], Some(path.clone()));
    assert_eq!(test.code, 0, "{}{}", test.said, test.errors);
    assert!(test.said.contains("4 cases passed"), "{}", test.said);
    let inspect = shop.plugin(&["inspect", "secret-reads/dist/secret-reads.wasm"]);
    assert_eq!(inspect.code, 0, "{}", inspect.errors);

    shop.write("secret-reads/main.py", "this is no Python");
    let broken = shop.plugin_on(&["build", "secret-reads"], Some(path));
    assert_eq!(broken.code, 1);
    assert!(
        broken.errors.contains("its reasons stand above"),
        "{}",
        broken.errors
    );
}
