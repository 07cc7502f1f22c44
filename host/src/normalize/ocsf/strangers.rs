//! The names of members that the mapping does not know: what CloudTrail has learned since.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use super::names::Slot;
use crate::{json, text::shown};

/// Names that are kept; what comes after is counted together.
const MOST: usize = 256;
/// Characters of a name that are kept.
const LONGEST: usize = 64;

/// How often each name was seen. Values are never kept.
#[derive(Debug, Default)]
pub struct Strangers {
    seen: Mutex<BTreeMap<String, u64>>,
}

impl Strangers {
    /// Counts names, each with the member that holds it. Where another thread is counting, these go
    /// uncounted: no event waits for a report.
    pub(super) fn count<'n>(&self, names: impl Iterator<Item = (Slot, &'n [u8])>) {
        let mut names = names.peekable();
        if names.peek().is_none() {
            return;
        }
        let Ok(mut seen) = self.seen.try_lock() else {
            return;
        };
        for (parent, name) in names {
            let name = String::from_utf8_lossy(&json::unescape(name)).into_owned();
            let name: String = shown(&name).chars().take(LONGEST).collect();
            let path = match parent {
                Slot::Root => name,
                Slot::UserIdentity => format!("userIdentity.{name}"),
                Slot::Additional => format!("additionalEventData.{name}"),
                Slot::TlsDetails => format!("tlsDetails.{name}"),
                Slot::TimeWindow => format!("timeWindow.{name}"),
                _ => format!("userIdentity.….{name}"),
            };
            if let Some(count) = seen.get_mut(&path) {
                *count += 1;
            } else if seen.len() < MOST {
                tracing::debug!(member = path, "unknown member of an event, left unmapped");
                seen.insert(path, 1);
            }
        }
    }

    /// Names and counts, by name.
    #[must_use]
    pub fn counts(&self) -> Vec<(String, u64)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter()
            .map(|(name, count)| (name.clone(), *count))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_counted_up_to_a_bound() {
        let strangers = Strangers::default();
        for round in 0..1000 {
            let name = format!("n{round}");
            strangers.count([(Slot::Root, name.as_bytes()), (Slot::TlsDetails, b"x")].into_iter());
        }
        let counts = strangers.counts();
        assert_eq!(counts.len(), MOST);
        assert!(counts.contains(&("tlsDetails.x".to_owned(), 1000)));
    }
}
