//! Claims: who works on what, so that nobody else does the same work at the same time.

use std::collections::HashMap;

use crate::event::ObjectId;

/// No claim runs for longer than this from when it was last taken. One that says so was written by a
/// host whose clock is wrong, and does not count.
pub(super) const LONGEST_MS: i64 = 15 * 60_000;

/// One owner's claim to one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What is claimed: bucket and key, for the revision is not known before the object is open.
    pub place: ObjectId,
    /// Who claims it; different for every message that is worked on, on whatever host.
    pub owner: String,
}

impl Claim {
    /// This owner's claim to whatever lies under a key.
    #[must_use]
    pub fn new(bucket: &str, key: &str, owner: &str) -> Self {
        Self {
            place: ObjectId::of(bucket, key, ""),
            owner: owner.to_owned(),
        }
    }
}

/// The claims of one process.
#[derive(Debug, Default)]
pub(super) struct Claims(HashMap<ObjectId, (String, i64)>);

impl Claims {
    pub(super) fn take(&mut self, claim: &Claim, now_ms: i64, until_ms: i64) -> bool {
        if let Some((owner, until)) = self.0.get(&claim.place)
            && *owner != claim.owner
            && *until > now_ms
            && *until <= now_ms.saturating_add(LONGEST_MS)
        {
            return false;
        }
        self.0.insert(claim.place, (claim.owner.clone(), until_ms));
        true
    }

    pub(super) fn release(&mut self, claim: &Claim) {
        if self
            .0
            .get(&claim.place)
            .is_some_and(|(owner, _)| *owner == claim.owner)
        {
            self.0.remove(&claim.place);
        }
    }
}
