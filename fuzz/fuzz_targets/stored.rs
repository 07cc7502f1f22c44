//! What comes back from the store and the ledger: references as `Store` reads them, and findings as both
//! ledgers keep them. Somebody may have written there, or a disk have failed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate::{
    deadletter::{DeadLetter, Subject},
    finding::Finding,
};

fuzz_target!(|input: &[u8]| {
    if let Ok(letter) = serde_json::from_slice::<DeadLetter>(input) {
        round_trips(&letter);
        if let Ok(pending) = letter.to_pending() {
            assert_eq!(pending.sink, letter.sink);
            assert_eq!(pending.cause, letter.cause);
            // What becomes pending can be made pending again, and is the same then.
            assert_eq!(pending.to_pending().as_ref(), Ok(&pending));
            assert!(!matches!(pending.subject, Subject::Message { .. }));
        }
    }
    if let Ok(finding) = serde_json::from_slice::<Finding>(input) {
        round_trips(&finding);
    }
});

fn round_trips<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(
    value: &T,
) {
    let written = serde_json::to_vec(value).expect("what was read can be written");
    let read: T = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(&read, value);
}
