//! The example in Python finds in the sandbox what it finds under `CPython`, and what the same rule in Rust
//! finds; and what that costs.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use cpu_time::ThreadTime;
use serde_json::{Value, json};
use sluicegate::{
    event::{EventBatch, Object, ObjectKind, ObjectRef},
    generate::{Plan, write_tree},
    mask::Masker,
    plugin::{
        ChainWorker, Component, Engine, Limits, LoadError, PluginChain, Terms,
        abi::{Batch, Column},
        script::Script,
    },
    source::records::{self, Decoder, Step},
};
use sluicegate_tests::{
    host::{engine, root},
    shelf::BUCKET,
};

/// Runs the example from its source.
const RUNNER: &str = "runners/python-runner";
const NOW_MS: u64 = 1_700_000_000_000;

/// Compiling takes long: the first test does it, and the others find it done.
fn load(guest: &str, terms: &Terms) -> Result<Component, LoadError> {
    static LOADING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    Component::load(&engine(), "attack-tools", &wasm(guest), terms)
}

fn wasm(guest: &str) -> Vec<u8> {
    let path = root().join("dist").join(guest).with_extension("wasm");
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run `make guests`", path.display()))
}

#[test]
fn the_defaults_are_room_enough_for_a_python_plugin() {
    let component = load(
        "guests/attack-tools-python",
        &Terms {
            limits: Limits {
                start_ms: 10_000,
                ..Limits::default()
            },
            ..Terms::default()
        },
    )
    .unwrap();
    let instance = component.instantiate().unwrap();
    assert!(
        instance.memory_bytes() < 16 << 20,
        "{}",
        instance.memory_bytes()
    );
    assert!(
        component.schema().contains("\"allowed\""),
        "{}",
        component.schema()
    );
    assert_eq!(component.version(), "0.1.0");
}

#[test]
fn a_configuration_in_error_is_refused_in_the_plugins_own_words() {
    let configuration = json!({ "also": { "x": "low" }, "allow": [] });
    let terms = Terms {
        configuration: configuration.as_object().unwrap().clone(),
        ..Terms::default()
    };
    let error = load("guests/attack-tools-python", &terms).unwrap_err();
    assert_eq!(
        error.to_string(),
        "refused its configuration: `allow` is not a setting (known: also, allowed)"
    );
}

/// The generated events, batch by batch.
fn generated(plan: &Plan) -> Vec<EventBatch> {
    let folder = tempfile::tempdir().unwrap();
    let truth = write_tree(folder.path(), plan).unwrap();
    let mut batches = Vec::new();
    for made in &truth.objects {
        let reference = ObjectRef {
            bucket: BUCKET.into(),
            key: made.key.clone(),
            version: None,
        };
        let object = Arc::new(Object::new(reference, "1".into(), ObjectKind::Log));
        let mut decoder = Decoder::new(object, records::Limits::default());
        decoder.feed(fs::read(folder.path().join(&made.key)).unwrap().into());
        decoder.finish();
        loop {
            match decoder.step() {
                Step::Batch(batch) => batches.push(batch),
                Step::End(_) => break,
                step => panic!("{step:?}"),
            }
        }
    }
    batches
}

/// Terraform and the console are no tools of attackers; that many events match makes a better test.
fn wide() -> Value {
    json!({
        "also": { "Terraform": "low", "lang/python": "medium", "S3Console": "high" },
        "allowed": ["arn:aws:iam::123456789012:user/alice"],
    })
}

/// What the runner is given.
fn script(guest: &str) -> Option<Script> {
    let source = "plugins/examples-python/attack-tools/attack_tools.py";
    (guest == RUNNER).then(|| Script {
        file: "attack_tools.py".to_owned(),
        source: fs::read_to_string(root().join(source)).unwrap(),
    })
}

/// What a component says of each batch, as the native run writes it.
fn found_by(guest: &str, batches: Vec<EventBatch>) -> Value {
    let terms = Terms {
        script: script(guest),
        configuration: wide().as_object().unwrap().clone(),
        limits: Limits {
            deadline_ms: 5_000,
            start_ms: 10_000,
            ..Limits::default()
        },
        ..Terms::default()
    };
    let component = load(guest, &terms).unwrap();
    let masker = Masker::with_key("k1", &[7; 32]).unwrap();
    let chain = PluginChain::new(vec![component], &[&[]], masker).unwrap();
    let mut worker = ChainWorker::new(Arc::new(chain));
    let found = batches.into_iter().map(|batch| {
        let processed = worker.process(batch, NOW_MS.try_into().unwrap());
        let found = processed.sightings.iter().map(|(row, found)| {
            json!({
                "row": row, "rule": found.rule, "title": found.title, "description": found.description,
                "severity": found.severity.as_str(), "entity": found.entity, "window_s": found.window_s,
                "attributes": found.attributes,
            })
        });
        found.collect::<Value>()
    });
    found.collect()
}

/// Runs the interpreter with the SDK, in a folder; returns what it wrote to standard output.
fn python(folder: &Path, arguments: &[&str], input: String) -> Vec<u8> {
    let root = root().canonicalize().unwrap();
    let paths = ["plugins/sdk-python", "plugins/examples-python/attack-tools"];
    let paths = std::env::join_paths(paths.map(|path| root.join(path))).unwrap();
    let mut python = Command::new(root.join(".venv/bin/python"))
        .args(arguments)
        .current_dir(folder)
        .env("PYTHONPATH", paths)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = python.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    output.stdout
}

/// What the same plugin says of them under `CPython`, without a host.
fn found_natively(batches: &[EventBatch]) -> Value {
    let text = |batch: &EventBatch| -> Value {
        let rows = 0..batch.events.len();
        rows.map(|row| String::from_utf8(batch.event(row).to_vec()).unwrap())
            .collect()
    };
    let asked =
        json!({ "configuration": wide(), "batches": batches.iter().map(text).collect::<Value>() });
    let found = python(&root(), &["tests/python/native.py"], asked.to_string());
    serde_json::from_slice(&found).unwrap()
}

#[test]
fn the_template_of_a_new_plugin_passes_its_own_tests() {
    let template = root().join("host/src/cli/plugin/templates/python");
    let folder = tempfile::tempdir().unwrap();
    for file in ["main.py", "test_main.py"] {
        let text = fs::read_to_string(template.join(file)).unwrap();
        fs::write(
            folder.path().join(file),
            text.replace("{{name}}", "secret-reads"),
        )
        .unwrap();
    }
    python(folder.path(), &["-m", "unittest", "--quiet"], String::new());
}

#[test]
fn the_example_finds_in_the_sandbox_what_it_finds_under_cpython_and_what_rust_finds() {
    let plan = Plan {
        objects: 12,
        events_per_object: 250,
        companions: false,
        ..Plan::default()
    };
    let native = found_natively(&generated(&plan));
    let count: usize = native
        .as_array()
        .unwrap()
        .iter()
        .map(|batch| batch.as_array().unwrap().len())
        .sum();
    assert!(count > 300, "{count} findings");
    assert!(found_by("guests/attack-tools-python", generated(&plan)) == native);
    assert!(found_by(RUNNER, generated(&plan)) == native);
    assert!(found_by("guests/attack-tools", generated(&plan)) == native);
}

/// The same events as the plugin is handed them.
fn columns(batch: &EventBatch) -> Batch {
    let fields = [
        "/userAgent",
        "/userIdentity/arn",
        "/sourceIPAddress",
        "/eventName",
    ];
    let rows: Vec<Value> = (0..batch.events.len())
        .map(|row| serde_json::from_slice(batch.event(row)).unwrap())
        .collect();
    let column = |field: &&str| {
        let texts: Vec<_> = rows
            .iter()
            .map(|event| event.pointer(field).and_then(Value::as_str))
            .collect();
        let ends = texts.iter().scan(0, |end, text| {
            *end += u32::try_from(text.unwrap_or_default().len()).unwrap();
            Some(*end)
        });
        Column {
            kinds: texts
                .iter()
                .map(|text| if text.is_some() { 2 } else { 0 })
                .collect(),
            offsets: [0].into_iter().chain(ends).collect(),
            data: texts.iter().flatten().copied().collect::<String>().into(),
        }
    };
    Batch {
        rows: u32::try_from(rows.len()).unwrap(),
        now_ms: NOW_MS,
        columns: fields.iter().map(column).collect(),
    }
}

/// Nanoseconds of processor time that an event takes from the host's call to its answer: the best of some
/// rounds.
fn cost_of_an_event(component: &Component, batches: &[Batch]) -> f64 {
    let events: u32 = batches.iter().map(|batch| batch.rows).sum();
    let mut instance = component.instantiate().unwrap();
    let rounds = (0..7).map(|_| {
        let start = ThreadTime::now();
        for batch in batches {
            instance.process(batch).unwrap();
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(events)
    });
    rounds.fold(f64::INFINITY, f64::min)
}

/// Bytes of memory that this process has, as the system counts them.
fn resident() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
#[allow(clippy::print_stdout, reason = "numbers for a person")]
#[ignore = "measures, and compiles twice; run it alone"]
fn what_python_costs() {
    let plan = Plan {
        objects: 20,
        events_per_object: 1_600,
        companions: false,
        ..Plan::default()
    };
    let batches: Vec<_> = generated(&plan).iter().map(columns).collect();
    let folder = tempfile::tempdir().unwrap();
    for guest in ["guests/attack-tools-python", RUNNER, "guests/attack-tools"] {
        let bytes = wasm(guest);
        let terms = Terms {
            script: script(guest),
            ..Terms::default()
        };
        let cache = folder.path().join(guest);
        let load =
            |engine: &Engine| Component::load(engine, "attack-tools", &bytes, &terms).unwrap();
        let start = Instant::now();
        load(&Engine::new(Some(cache.clone())).unwrap());
        let cold = start.elapsed();
        let engine = Engine::new(Some(cache.clone())).unwrap();
        let start = Instant::now();
        let component = load(&engine);
        let again = start.elapsed();

        let before = resident();
        let start = Instant::now();
        let mut instances: Vec<_> = (0..10).map(|_| component.instantiate().unwrap()).collect();
        let each = start.elapsed() / 10;
        let linear = engine.memory_bytes() / instances.len();
        for instance in &mut instances {
            instance.process(&batches[0]).unwrap();
        }
        let real = resident().saturating_sub(before) / instances.len();
        drop(instances);

        let compiled = fs::read_dir(&cache).unwrap().next().unwrap().unwrap();
        let compiled = compiled.metadata().unwrap().len();
        let event = cost_of_an_event(&component, &batches);
        println!(
            "{guest}: component {} bytes, compiled {compiled} bytes; load {cold:.1?}, from the cache {again:.1?}; \
             instance {each:.1?}, {linear} bytes of linear memory, {real} resident after a batch; {event:.0} ns an event",
            bytes.len()
        );
        assert!(again < cold && event > 0.0, "what is measured makes sense");
    }
}
