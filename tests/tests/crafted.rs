//! Guests written instruction by instruction, which lie where compilers do not: about addresses, about
//! room, about what they are. Each is met with a plain error, and a fresh instance is well.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::{Duration, Instant};

use sluicegate::plugin::{
    CallError, Component, Denied, Engine, Limits, LoadError, MAX_COMPONENT_BYTES, Terms,
    abi::{Batch, Outcome},
};
use sluicegate_tests::crafted::Module;

fn limits() -> Limits {
    Limits {
        start_ms: 500,
        ..Limits::default()
    }
}

fn load(wasm: &[u8]) -> Result<Component, LoadError> {
    let terms = Terms {
        limits: limits(),
        ..Terms::default()
    };
    Component::load(&Engine::new(None).unwrap(), "crafted", wasm, &terms)
}

fn rows(rows: u32) -> Batch {
    Batch {
        rows,
        now_ms: 1_700_000_000_000,
        columns: Vec::new(),
    }
}

/// How a batch of 13 rows ends; batches before and after are judged.
fn judged(module: Module<'_>) -> Result<Outcome, CallError> {
    let component = load(&module.component()).unwrap();
    let mut instance = component.instantiate().unwrap();
    instance.process(&rows(1)).unwrap();
    let answer = instance.process(&rows(13));
    assert_eq!(instance.is_spent(), answer.is_err());
    let mut next = component.instantiate().unwrap();
    next.process(&rows(1)).unwrap();
    assert!(!next.is_spent());
    answer
}

fn ends(evil: &str) -> CallError {
    let module = Module {
        evil,
        ..Module::default()
    };
    judged(module).unwrap_err()
}

/// The text of the error with which a module is not loaded.
fn refused(module: Module<'_>) -> String {
    load(&module.component()).unwrap_err().to_string()
}

#[test]
fn a_crafted_plugin_that_behaves_is_a_plugin_as_any_other() {
    assert!(judged(Module::default()).unwrap().findings.is_empty());
    let logs = Module {
        fields: r#"(import "sluicegate:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#,
        evil: "(call $log (i32.const 1) (i32.const 16) (i32.const 7)) (i32.const 128)",
        ..Module::default()
    };
    judged(logs).unwrap();
}

#[test]
fn a_table_that_grows_is_bounded_and_the_guest_is_told() {
    let grow = |refused: &str| {
        format!(
            "(loop $more (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)))) {refused}"
        )
    };
    let judged = |evil: &str| {
        judged(Module {
            fields: "(table $t 1 funcref)",
            evil,
            ..Module::default()
        })
    };
    judged(&grow("(i32.const 128)")).unwrap();
    let error = judged(&grow("unreachable")).unwrap_err();
    assert_eq!(error, CallError::OutOfMemory(Denied::Table(20_000)));
    assert_eq!(error.to_string(), "wanted more than 20000 table elements");
}

#[test]
fn memory_that_grows_at_once_or_by_pages_is_bounded_and_the_guest_is_told() {
    for pages in [1, 60_000] {
        let grow = |refused: &str| {
            format!(
                "(loop $more (br_if $more (i32.ne (memory.grow (i32.const {pages})) (i32.const -1)))) {refused}"
            )
        };
        let started = |evil: &str| {
            let module = Module {
                evil,
                ..Module::default()
            };
            load(&module.component()).unwrap().instantiate().unwrap()
        };
        let limit = limits().memory_bytes;
        let mut instance = started(&grow("(i32.const 128)"));
        instance.process(&rows(13)).unwrap();
        assert!(instance.memory_bytes() <= limit);
        assert_eq!(
            instance.is_spent(),
            pages == 1,
            "what has grown is replaced"
        );
        let mut instance = started(&grow("unreachable"));
        assert_eq!(
            instance.process(&rows(13)).unwrap_err(),
            CallError::OutOfMemory(Denied::Memory(limit))
        );
    }
}

#[test]
fn instructions_that_move_much_memory_at_once_end_at_their_deadline() {
    let size = 60 << 20;
    for instruction in [
        format!("(memory.fill (i32.const 4096) (i32.const 7) (i32.const {size}))"),
        format!("(memory.copy (i32.const 8192) (i32.const 4096) (i32.const {size}))"),
        "(table.fill $t (i32.const 0) (ref.null func) (i32.const 19000))".to_owned(),
        "(table.copy $t $t (i32.const 1) (i32.const 0) (i32.const 18000))".to_owned(),
    ] {
        let evil = format!("(loop $again {instruction} (br $again)) unreachable");
        let module = Module {
            fields: "(table $t 19000 funcref)",
            pages: 1_000,
            evil: &evil,
            ..Module::default()
        };
        let start = Instant::now();
        let error = judged(module).unwrap_err();
        assert_eq!(
            error,
            CallError::Deadline(Duration::from_millis(10)),
            "{instruction}"
        );
        assert!(start.elapsed() < Duration::from_secs(10), "{instruction}");
    }
}

#[test]
fn what_moves_memory_out_of_bounds_traps() {
    let error = ends("(memory.fill (i32.const 4096) (i32.const 7) (i32.const -1)) (i32.const 128)");
    assert_eq!(error.to_string(), "trapped: out of bounds memory access");
}

#[test]
fn an_answer_that_lies_elsewhere_is_bad_output() {
    for (address, what) in [
        ("0x7ffffff0", "an address beyond the memory"),
        ("-4", "an address at the end of all addresses"),
        ("0x1fffc", "an answer half beyond the memory"),
        ("129", "an address that is not aligned"),
    ] {
        let error = ends(&format!("(i32.const {address})"));
        assert!(
            matches!(error, CallError::BadOutput(_)),
            "{what}: {error:?}"
        );
    }
}

#[test]
fn a_list_that_claims_more_than_there_is_costs_the_host_nothing() {
    // Of the four lists of an outcome the second, at 12, is the findings.
    for (pointer, length) in [
        ("4096", "-1"),
        ("4096", "0x10000000"),
        ("4096", "3000"),
        ("-8", "1"),
    ] {
        let error = ends(&format!(
            "(i32.store (i32.const 140) (i32.const {pointer})) (i32.store (i32.const 144) (i32.const {length})) (i32.const 128)"
        ));
        assert!(
            matches!(error, CallError::BadOutput(_)),
            "{length}: {error:?}"
        );
    }
    // Zeroes are findings without a rule: they are read, and found wanting.
    let error = ends(
        "(i32.store (i32.const 140) (i32.const 4096)) (i32.store (i32.const 144) (i32.const 1)) (i32.const 128)",
    );
    assert_eq!(
        error.to_string(),
        "returned bad output: a rule identifier of 0 bytes, wanted 1 to 128"
    );
}

#[test]
fn an_answer_that_is_neither_good_nor_bad_is_bad_output() {
    let error = ends("(i32.store8 (i32.const 128) (i32.const 7)) (i32.const 128)");
    assert!(matches!(error, CallError::BadOutput(_)), "{error:?}");
}

#[test]
fn room_that_is_none_is_not_written_to() {
    for realloc in ["(i32.const 0x7ffffff0)", "(i32.const -1)", "unreachable"] {
        let text = refused(Module {
            realloc,
            ..Module::default()
        });
        assert!(
            text.starts_with("failed to configure: "),
            "{realloc}: {text}"
        );
    }
    let text = refused(Module {
        realloc: "(loop $again (br $again)) unreachable",
        ..Module::default()
    });
    assert_eq!(text, "failed to configure: exceeded 500 ms");
}

#[test]
fn code_that_runs_before_it_is_called_has_the_limits_too() {
    let start = |body: &str| {
        let fields = format!("(func $start {body}) (start $start)");
        refused(Module {
            fields: &fields,
            ..Module::default()
        })
    };
    assert_eq!(
        start("(loop $again (br $again))"),
        "failed to instantiate: exceeded 500 ms"
    );
    assert_eq!(
        start("unreachable"),
        "failed to instantiate: trapped: wasm `unreachable` instruction executed"
    );
}

#[test]
fn a_memory_that_is_too_large_from_the_start_is_not_made() {
    let text = refused(Module {
        pages: 2_000,
        ..Module::default()
    });
    assert_eq!(
        text,
        "failed to instantiate: wanted more than 67108864 bytes of memory"
    );
}

#[test]
fn code_that_runs_after_the_answer_has_the_limits_too() {
    for (body, ending) in [
        ("(loop $again (br $again))", "exceeded 10 ms"),
        (
            "unreachable",
            "trapped: wasm `unreachable` instruction executed",
        ),
    ] {
        let fields = format!(
            r#"(func (export "cabi_post_process") (param i32)
                 (if (i32.eq (local.get 0) (i32.const 512)) (then {body})))"#
        );
        let error = judged(Module {
            fields: &fields,
            evil: "(i32.const 512)",
            ..Module::default()
        })
        .unwrap_err();
        assert_eq!(error.to_string(), ending);
    }
}

#[test]
fn a_guest_cannot_call_out_while_the_host_is_calling_in() {
    let log = r#"(import "sluicegate:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;
    let call = "(call $log (i32.const 1) (i32.const 16) (i32.const 7))";
    let text = refused(Module {
        fields: log,
        realloc: &format!("{call} (i32.const 1024)"),
        ..Module::default()
    });
    assert!(
        text.starts_with("failed to configure: ") && text.contains("cannot leave component"),
        "{text}"
    );
    let fields = format!(
        r#"{log} (func (export "cabi_post_process") (param i32)
             (if (i32.eq (local.get 0) (i32.const 512)) (then {call})))"#
    );
    let error = judged(Module {
        fields: &fields,
        evil: "(i32.const 512)",
        ..Module::default()
    })
    .unwrap_err();
    assert!(
        error.to_string().contains("cannot leave component"),
        "{error}"
    );
}

#[test]
fn a_configuration_that_recurses_without_end_is_a_trap() {
    let text = refused(Module {
        fields: "(func $down (call $down))",
        configure: "(call $down)",
        ..Module::default()
    });
    assert_eq!(text, "failed to configure: trapped: call stack exhausted");
}

#[test]
fn what_the_engine_was_told_to_do_without_is_not_compiled() {
    for (what, module) in [
        ("memory of 64 bits", "(memory i64 1)"),
        ("several memories", "(memory 1) (memory 1)"),
        ("shared memory", "(memory 1 2 shared)"),
        (
            "relaxed vectors",
            "(func (param v128 v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 1)))",
        ),
        ("tail calls", "(func $f (return_call $f))"),
        ("exceptions", "(tag $e)"),
        ("garbage collection", "(type (struct (field i32)))"),
    ] {
        let component = format!("(component (core module {module}))");
        let text = load(&wat::parse_str(component).unwrap())
            .unwrap_err()
            .to_string();
        assert!(
            text.starts_with("failed to compile component: "),
            "{what}: {text}"
        );
    }
}

#[test]
fn every_import_but_our_own_is_refused_by_name() {
    for import in [
        "wasi:sockets/tcp@0.2.9",
        "wasi:filesystem/preopens@0.2.9",
        "wasi:cli/environment@0.2.9",
        "wasi:random/random@0.2.9",
        "wasi:http/outgoing-handler@0.2.9",
    ] {
        let component =
            format!(r#"(component (import "{import}" (instance (export "f" (func)))))"#);
        assert_eq!(
            load(&wat::parse_str(component).unwrap())
                .unwrap_err()
                .to_string(),
            format!(
                "imports `{import}`: not offered; a plugin may import only log, state, lookup of sluicegate:plugin@0.1.0"
            )
        );
    }
    let bare = wat::parse_str(r#"(component (import "run" (func)))"#).unwrap();
    assert!(
        load(&bare)
            .unwrap_err()
            .to_string()
            .starts_with("imports `run`: not offered")
    );
}

#[test]
fn a_component_of_a_hundred_megabytes_is_refused_before_it_is_compiled() {
    let mut wasm = Module::default().component();
    // A custom section, which may hold anything: identifier 0, length in five bytes, an empty name.
    let length: u32 = 100 << 20;
    wasm.push(0);
    wasm.extend((0..5).map(|byte| {
        let seven = u8::try_from(length >> (7 * byte) & 0x7f).unwrap();
        if byte < 4 { seven | 0x80 } else { seven }
    }));
    wasm.resize(wasm.len() + length as usize, 0);
    let start = Instant::now();
    let text = load(&wasm).unwrap_err().to_string();
    assert_eq!(
        text,
        format!(
            "component has {} bytes, at most {MAX_COMPONENT_BYTES} are loaded",
            wasm.len()
        )
    );
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_damaged_component_is_refused_or_runs_and_never_harms_the_host() {
    let whole = Module::default().component();
    load(&whole).unwrap();
    for length in (0..whole.len()).step_by(37) {
        load(&whole[..length]).unwrap_err();
    }
    let mut random = fastrand::Rng::with_seed(7);
    let mut loaded = 0;
    for _ in 0..400 {
        let mut damaged = whole.clone();
        let at = random.usize(8..damaged.len());
        damaged[at] ^= 1 << random.u32(0..8);
        // Whatever it says: the host comes back.
        if let Ok(component) = load(&damaged) {
            loaded += 1;
            if let Ok(mut instance) = component.instantiate() {
                let _ = instance.process(&rows(13));
            }
        }
    }
    assert!(loaded > 0 && loaded < 400, "{loaded} loaded");
}
