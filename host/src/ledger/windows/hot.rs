//! The entries of the keys that have many, as the store has them: an observation of such a key costs
//! reading all of them otherwise.

use std::collections::HashMap;

use super::series::Points;

/// Keys with fewer entries are read each time.
const LEAST_ENTRIES: u32 = 200;

/// How much memory all of them may take, about: some sixteen full keys.
const MOST_BYTES: usize = 16 << 20;

/// See the module. It belongs to one state of the file: whoever works on it takes it, and puts it back
/// when the file has what he did.
#[derive(Debug)]
pub(super) struct Hot {
    least: u32,
    keys: HashMap<i64, Kept>,
    bytes: usize,
    /// How often something was kept so far.
    turn: u64,
    /// Of the file, which changes when somebody else writes to it.
    version: i64,
}

#[derive(Debug)]
struct Kept {
    points: Points,
    bytes: usize,
    turn: u64,
}

impl Default for Hot {
    fn default() -> Self {
        Self::of_at_least(LEAST_ENTRIES)
    }
}

impl Hot {
    /// Only keys with so many entries are kept.
    pub(super) fn of_at_least(least: u32) -> Self {
        Self {
            least,
            keys: HashMap::new(),
            bytes: 0,
            turn: 0,
            version: 0,
        }
    }

    /// Takes all of it, and leaves an empty one.
    pub(super) fn take_all(&mut self) -> Self {
        let empty = Self::of_at_least(self.least);
        std::mem::replace(self, empty)
    }

    /// Forgets everything where the file has another version.
    pub(super) fn see(&mut self, version: i64) {
        if self.version != version {
            self.take_all();
            self.version = version;
        }
    }

    /// Whether a key with so many entries is kept.
    pub(super) fn wants(&self, entries: u32) -> bool {
        entries >= self.least
    }

    /// The entries of a key. Who changes them puts them back.
    pub(super) fn take(&mut self, key: i64) -> Option<Points> {
        let kept = self.keys.remove(&key)?;
        self.bytes -= kept.bytes;
        Some(kept.points)
    }

    /// Keeps all entries of a key, and lets go those that were needed least lately.
    pub(super) fn put(&mut self, key: i64, points: Points) {
        let bytes = points.bytes();
        if points.is_stale() || bytes > MOST_BYTES {
            return;
        }
        self.turn += 1;
        self.bytes += bytes;
        let turn = self.turn;
        self.keys.insert(
            key,
            Kept {
                points,
                bytes,
                turn,
            },
        );
        while self.bytes > MOST_BYTES {
            let oldest = self.keys.iter().min_by_key(|(_, kept)| kept.turn);
            let Some(key) = oldest.map(|(key, _)| *key) else {
                break;
            };
            self.take(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(count: u32) -> Points {
        let mut points = Points::default();
        for number in 0..count {
            let mut identity = [0; 16];
            identity[..4].copy_from_slice(&number.to_be_bytes());
            points.insert(number.into(), identity, "m", 1.0, number.into());
        }
        points
    }

    #[test]
    fn those_needed_least_lately_go_when_there_is_no_room() {
        let mut hot = Hot::default();
        let each = points(5_000).bytes();
        let fit = i64::try_from(MOST_BYTES / each).unwrap_or_default();
        assert!(fit > 8, "{each} bytes a key");
        for key in 0..fit {
            hot.put(key, points(5_000));
        }
        let first = hot.take(0).expect("there is room for all");
        hot.put(0, first);
        hot.put(fit, points(5_000));
        assert!(hot.take(1).is_none(), "the second is the oldest now");
        assert_eq!(hot.take(0).map(|points| points.len()), Some(5_000));
    }

    #[test]
    fn nothing_holds_in_a_file_that_somebody_else_wrote_to() {
        let mut hot = Hot::default();
        hot.see(7);
        hot.put(1, points(3));
        hot.see(7);
        let kept = hot.take(1).expect("it is the same file");
        hot.put(1, kept);
        hot.see(8);
        assert!(hot.take(1).is_none());
    }

    #[test]
    fn names_that_have_gone_are_not_kept_for_ever() {
        let mut points = points(2_000);
        assert!(!points.is_stale());
        points.forget(1_500);
        assert!(points.is_stale());
        let mut hot = Hot::default();
        hot.put(1, points);
        assert!(hot.take(1).is_none(), "the next will read it anew");
    }
}
