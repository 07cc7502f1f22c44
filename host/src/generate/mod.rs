//! Makes CloudTrail objects that look real: for the demonstration, for tests and for benchmarks.
//!
//! The same [`Plan`] makes the same bytes. The calls, their fields and the order of the fields follow
//! what CloudTrail writes; every name, number and secret is invented. What was planted is returned as
//! [`Truth`], so that a test can prove that each attack was found and that no secret got out.

mod account;
mod attack;
mod call;
mod event;
mod object;
mod secret;
mod tree;

pub use attack::Attack;
pub use object::{Written, write_object};
pub use secret::{Kind as SecretKind, Place as SecretPlace};
pub use tree::write_tree;

use crate::event::ObjectKind;

/// What is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Everything random follows from it.
    pub seed: u64,
    /// AWS accounts, at least 1.
    pub accounts: usize,
    /// Log objects, at least 1.
    pub objects: usize,
    /// Ordinary events in a log object, on average; at least 2.
    pub events_per_object: usize,
    /// When the first object was delivered, in seconds since 1970.
    pub start_s: i64,
    /// How often each kind of [`Attack`] happens.
    pub attacks: usize,
    /// How many events carry a planted secret.
    pub secrets: usize,
    /// Whether an Insight object and a digest object are written too.
    pub companions: bool,
}

impl Default for Plan {
    /// Two hundred objects of two accounts, one round of attacks, sixty planted secrets.
    fn default() -> Self {
        Self {
            seed: 1,
            accounts: 2,
            objects: 200,
            events_per_object: 100,
            start_s: 1_772_323_200,
            attacks: 1,
            secrets: 60,
            companions: true,
        }
    }
}

/// What was made, and what a correct host must find in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// Every object, in the order of writing.
    pub objects: Vec<MadeObject>,
    /// Every attack.
    pub attacks: Vec<MadeAttack>,
    /// Every secret: the planted ones, and the session tokens that CloudTrail itself shows.
    pub secrets: Vec<MadeSecret>,
}

impl Truth {
    /// Events of all objects together.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.objects.iter().map(|object| object.events).sum()
    }
}

/// One object that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeObject {
    /// Key in the bucket, which is also the path below the folder.
    pub key: String,
    /// What the key says it holds.
    pub kind: ObjectKind,
    /// Events in it; 0 for a digest.
    pub events: u64,
    /// Bytes before compression.
    pub inflated_bytes: u64,
    /// Bytes as stored.
    pub stored_bytes: u64,
    /// SHA-256 of the inflated bytes.
    pub sha256: [u8; 32],
}

/// One attack that was played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeAttack {
    /// What was done.
    pub attack: Attack,
    /// In which account.
    pub account: String,
    /// ARN of who did it.
    pub principal: String,
    /// The object that shows it.
    pub key: String,
    /// Positions of its events in the object.
    pub indexes: Vec<u32>,
}

/// One secret in one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeSecret {
    /// What it is.
    pub kind: SecretKind,
    /// Where in the event it stands.
    pub place: SecretPlace,
    /// The characters that must not leave; without line feeds and without anything JSON escapes.
    pub value: String,
    /// The object that holds it.
    pub key: String,
    /// Position of the event in the object.
    pub index: u32,
}
