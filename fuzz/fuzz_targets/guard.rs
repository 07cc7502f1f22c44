//! The egress guard: whatever the text, it ends, what it finds lies apart and in order, after masking there is
//! nothing left to find, and JSON stays JSON.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use sluicegate::{
    guard::{Finder, Guard, Mode},
    mask::Masker,
    sink::Entry,
};

/// Made once: the automata of a guard cost more than most inputs.
static GUARDS: LazyLock<[Guard; 3]> = LazyLock::new(|| {
    [Mode::Count, Mode::DeadLetter, Mode::Mask]
        .map(|mode| Guard::new(mode, Arc::new(Masker::default())))
});
static FINDER: LazyLock<Finder> = LazyLock::new(Finder::default);

/// What is left of one entry.
fn inspected(guard: &Guard, text: &[u8]) -> (Option<Vec<u8>>, usize) {
    let mut data = text.to_vec();
    let mut entries = vec![Entry {
        start: 0,
        end: u32::try_from(text.len()).expect("input is short"),
        index: 7,
    }];
    let caught = guard.inspect(&mut data, &mut entries);
    assert!(caught.iter().all(|caught| caught.index == 7));
    let left = entries.first().map(|entry| data[entry.range()].to_vec());
    (left, caught.len())
}

fn look(text: &[u8]) {
    let finder = &*FINDER;
    let [count, dead_letter, mask] = &*GUARDS;
    let hits = finder.find(text);
    for pair in hits.windows(2) {
        assert!(pair[0].range.end <= pair[1].range.start);
    }
    assert!(hits.iter().all(|hit| !hit.range.is_empty() && hit.range.end <= text.len()));

    let (left, caught) = inspected(count, text);
    assert_eq!((left.as_deref(), caught), (Some(text), usize::from(!hits.is_empty())));
    let (left, _) = inspected(dead_letter, text);
    assert_eq!(left.is_none(), !hits.is_empty());
    let (Some(left), _) = inspected(mask, text) else {
        return;
    };
    assert_eq!(finder.find(&left), []);
    if serde_json::from_slice::<&serde_json::value::RawValue>(text).is_ok() {
        serde_json::from_slice::<&serde_json::value::RawValue>(&left).expect("JSON stays JSON");
    }
}

fuzz_target!(|input: &[u8]| {
    look(input);
    // The same as a string of JSON, and as one inside another.
    let mut text = String::from_utf8_lossy(input).into_owned();
    for _ in 0..2 {
        text = serde_json::to_string(&text).expect("a string");
        look(text.as_bytes());
    }
});
