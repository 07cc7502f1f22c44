//! What is known of the work on a message: whether it has begun, and what was wrong with it. What was wrong
//! with messages that come again is remembered for those that never stop coming.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::text::shown;

/// Messages whose last fault is remembered.
const REMEMBERED: usize = 4_096;

/// The work on one message.
#[derive(Debug, Default)]
pub(crate) struct Work {
    begun: AtomicBool,
    fault: Mutex<Option<String>>,
}

impl Work {
    /// The first bytes are about to be read.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Why the message will have to come again; the first reason counts.
    pub(crate) fn failed(&self, why: &str) {
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        fault.get_or_insert_with(|| shown(why));
    }

    pub(crate) fn fault(&self) -> Option<String> {
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        fault.clone()
    }
}

/// What was wrong with messages the last time, by their identifiers. The oldest are forgotten.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    by_message: HashMap<String, String>,
    order: VecDeque<String>,
}

impl Faults {
    pub(crate) fn remember(&self, message: &str, fault: String) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.by_message.insert(message.to_owned(), fault).is_none() {
            known.order.push_back(message.to_owned());
        }
        if known.order.len() > REMEMBERED
            && let Some(oldest) = known.order.pop_front()
        {
            known.by_message.remove(&oldest);
        }
    }

    /// What was wrong with this message.
    pub(crate) fn of(&self, message: &str) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.by_message.get(message).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_fault_of_a_message_is_known_and_the_oldest_are_forgotten() {
        let faults = Faults::default();
        faults.remember("first", "a".to_owned());
        faults.remember("first", "b".to_owned());
        assert_eq!(faults.of("first").as_deref(), Some("b"));
        for number in 0..REMEMBERED {
            faults.remember(&number.to_string(), String::new());
        }
        assert_eq!(faults.of("first"), None);
        let known = faults.0.lock().expect("no test thread panics here");
        assert_eq!(known.by_message.len(), REMEMBERED);
        assert_eq!(known.order.len(), REMEMBERED);
    }

    #[test]
    fn the_first_reason_counts_and_is_fit_to_be_shown() {
        let work = Work::default();
        assert_eq!(work.fault(), None);
        work.failed("\u{1b}é");
        work.failed("second");
        assert_eq!(work.fault().as_deref(), Some("\\u{1b}é"));
    }
}
