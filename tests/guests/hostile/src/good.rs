//! Behaviour as it should be, one for each list of an outcome.

use serde::Deserialize;

use crate::{
    bindings::sluicegate::plugin::types::{
        Addition, Batch, Column, Finding, Mask, Outcome, Severity,
    },
    nothing, value,
};

#[derive(Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Act {
    /// Says nothing.
    Nothing,
    /// Sets a string under a member of its own.
    Set { member: String, value: String },
    /// Copies the first column, a string, to a member of its own.
    Copy { member: String },
    /// Reports each row; the first column is the entity.
    Find { rule: String, window_s: u32 },
    /// Masks one path, and reports it.
    Mask { path: String, detector: String },
    /// Drops the rows.
    Drop,
}

impl Act {
    pub(crate) fn process(&self, name: &str, batch: &Batch, rows: &[u32]) -> Outcome {
        let mut outcome = nothing();
        match self {
            Self::Nothing => (),
            Self::Set { member, value } => {
                outcome
                    .additions
                    .push(add(name, member, batch, rows, |_| value));
            }
            Self::Copy { member } => {
                outcome
                    .additions
                    .push(add(name, member, batch, rows, |row| value(batch, 0, row)));
            }
            Self::Find { rule, window_s } => {
                let report = |row: &u32| found(rule, *window_s, *row, value(batch, 0, *row));
                outcome.findings.extend(rows.iter().map(report));
            }
            Self::Mask { path, detector } => {
                let (path, detector) = (path.clone(), detector.clone());
                outcome.masks.extend(rows.iter().map(|row| Mask {
                    row: *row,
                    path: path.clone(),
                    detector: detector.clone(),
                }));
            }
            Self::Drop => outcome.drops.extend(rows),
        }
        outcome
    }
}

fn add<'a>(
    name: &str,
    member: &str,
    batch: &Batch,
    rows: &[u32],
    text: impl Fn(u32) -> &'a str,
) -> Addition {
    let mut values = Column {
        kinds: Vec::new(),
        offsets: vec![0],
        data: Vec::new(),
    };
    for row in 0..batch.rows {
        let acts = rows.contains(&row);
        values.kinds.push(if acts { 2 } else { 0 });
        if acts {
            values.data.extend_from_slice(text(row).as_bytes());
        }
        values
            .offsets
            .push(u32::try_from(values.data.len()).unwrap_or(u32::MAX));
    }
    Addition {
        path: format!("/sluicegate/{name}/{member}"),
        values,
    }
}

pub(crate) fn found(rule: &str, window_s: u32, row: u32, entity: &str) -> Finding {
    Finding {
        row,
        rule: rule.to_owned(),
        title: format!("{rule} matched"),
        description: format!("{entity} did it"),
        severity: Severity::Medium,
        entity: vec![entity.to_owned()],
        window_s,
        attributes: vec![("entity".to_owned(), entity.to_owned())],
    }
}
