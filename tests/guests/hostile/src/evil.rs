//! Behaviour that the host must survive.

use std::hint::black_box;

use serde::Deserialize;

use crate::{
    bindings::sluicegate::plugin::{
        log::{Level, write},
        types::{Addition, Batch, Column, Mask, Outcome},
    },
    good::found,
    nothing,
};

#[derive(Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Act {
    /// Panics in `configure`.
    TrapInConfigure,
    /// Never returns from `configure`.
    LoopInConfigure,
    /// Takes no configuration.
    RefuseConfigure,
    /// Panics.
    Trap,
    /// Never returns.
    Loop,
    /// Never returns, and calls the host all the time.
    LoopInHost,
    /// Calls itself until the stack ends.
    Recurse,
    /// Asks for this much at once.
    Allocate { bytes: usize },
    /// Asks for more and more.
    AllocateBySteps,
    /// Keeps this much of each batch.
    Leak { bytes: usize },
    /// Keeps this much of each row, and does what it is for all the same: it reports each row.
    LeakAndFind { bytes: usize },
    /// Says it cannot.
    Refuse,
    /// Says it cannot, and what it stumbled over: all that it was shown.
    RefuseInWordsOfTheEvent,
    /// Reports a row that does not exist.
    RowOutOfRange,
    /// Returns a column whose offsets lie.
    LyingOffsets,
    /// Returns a column of bytes that are no text.
    InvalidColumn,
    /// Returns a string that is none.
    InvalidString,
    /// Uses a list that is none of its kind's.
    ForeignList,
    /// Reports as often, each time at such length.
    Findings { count: usize, bytes: usize },
    /// Writes so many lines.
    LogLines { count: usize },
    /// Writes one line of so many bytes, with control characters.
    LogBytes { bytes: usize },
}

impl Act {
    pub(crate) fn configure(&self) -> Result<(), String> {
        match self {
            Self::TrapInConfigure => panic!("as told"),
            Self::LoopInConfigure => forever(),
            Self::RefuseConfigure => Err("does not like it\n".to_owned()),
            _ => Ok(()),
        }
    }

    pub(crate) fn process(&self, name: &str, batch: &Batch) -> Result<Outcome, String> {
        let mut outcome = nothing();
        match self {
            Self::TrapInConfigure | Self::LoopInConfigure | Self::RefuseConfigure => (),
            Self::Trap => panic!("as told"),
            Self::Loop => forever(),
            Self::LoopInHost => loop {
                write(Level::Debug, "again");
            },
            Self::Recurse => outcome.drops.push(recurse(1)),
            Self::Allocate { bytes } => drop(black_box(vec![1_u8; *bytes])),
            Self::AllocateBySteps => loop {
                Vec::leak(black_box(vec![1_u8; 1 << 20]));
            },
            Self::Leak { bytes } => drop(Vec::leak(black_box(vec![1_u8; *bytes]))),
            Self::LeakAndFind { bytes } => {
                for row in 0..batch.rows {
                    let _ = Vec::leak(black_box(vec![1_u8; *bytes]));
                    outcome.findings.push(found("r", 0, row, "e"));
                }
            }
            Self::Refuse => return Err("cannot\x1b[31m".to_owned()),
            Self::RefuseInWordsOfTheEvent => {
                let shown = batch.columns.iter().flat_map(|column| &column.data);
                let shown: Vec<u8> = shown.copied().collect();
                return Err(String::from_utf8_lossy(&shown).into_owned());
            }
            Self::RowOutOfRange => outcome.findings.push(found("r", 0, batch.rows, "")),
            Self::LyingOffsets => {
                outcome
                    .additions
                    .push(column(name, batch, |rows| (vec![u32::MAX; rows + 1], b"x")));
            }
            Self::InvalidColumn => {
                let ends = |rows| [vec![0], vec![2; rows]].concat();
                outcome
                    .additions
                    .push(column(name, batch, |rows| (ends(rows), b"\xff\xfe")));
            }
            Self::InvalidString => {
                let mut lie = found("r", 0, 0, "e");
                lie.title = not_text();
                outcome.findings.push(lie);
            }
            Self::ForeignList => {
                outcome.masks.push(Mask {
                    row: 0,
                    path: "/eventName".to_owned(),
                    detector: "d".to_owned(),
                });
                outcome.drops.push(0);
            }
            Self::Findings { count, bytes } => {
                let long = "x".repeat(*bytes);
                outcome
                    .findings
                    .extend((0..*count).map(|_| found("r", 0, 0, &long)));
            }
            Self::LogLines { count } => {
                (0..*count).for_each(|line| write(Level::Info, &format!("line {line}")));
            }
            Self::LogBytes { bytes } => {
                write(Level::Warn, &format!("\x1b[31m{}", "y".repeat(*bytes)));
            }
        }
        Ok(outcome)
    }
}

fn forever() -> ! {
    loop {
        black_box(());
    }
}

#[allow(unconditional_recursion, reason = "the very point")]
fn recurse(depth: u32) -> u32 {
    black_box(recurse(black_box(depth.wrapping_add(1)))).wrapping_add(1)
}

fn column(name: &str, batch: &Batch, lie: impl Fn(usize) -> (Vec<u32>, &'static [u8])) -> Addition {
    let rows = batch.rows as usize;
    let (offsets, data) = lie(rows);
    let values = Column {
        kinds: vec![2; rows],
        offsets,
        data: data.to_vec(),
    };
    Addition {
        path: format!("/sluicegate/{name}/lie"),
        values,
    }
}

#[allow(
    unsafe_code,
    reason = "breaks the promise of a string on purpose, inside the sandbox"
)]
fn not_text() -> String {
    // SAFETY: none; the bytes are handed to the host and looked at by nobody here.
    unsafe { String::from_utf8_unchecked(vec![0xff, 0xfe]) }
}
