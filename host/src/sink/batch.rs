//! Packing: parcels in, batches out, as full as a sink takes them. Pure: no clock, no input or output.
//!
//! Bytes are never copied: a batch refers to its parcels. Cutting a part in two makes one more share
//! of its acknowledgement.

use std::sync::Arc;

use super::{Batch, Limits, Parcel, Part};
use crate::ack::{Ack, Outcome};

/// What became of parcels that were pushed.
#[derive(Debug, Default)]
pub struct Packed {
    /// Batches that are full, in order.
    pub full: Vec<Batch>,
    /// Entries that no request of this sink can hold, one a part.
    pub too_large: Vec<Part>,
}

/// Fills batches with the entries of parcels, in order.
#[derive(Debug)]
pub struct Packer {
    limits: Limits,
    max_entries: usize,
    max_bytes: usize,
    open: Batch,
    entries: usize,
    bytes: usize,
}

impl Packer {
    /// A packer that fills batches as far as the sink's limits allow.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            max_entries: limits.max_entries.max(1),
            max_bytes: limits.max_bytes,
            open: Batch::default(),
            entries: 0,
            bytes: limits.frame_bytes,
        }
    }

    /// Makes batches smaller than the sink would allow. An entry larger than `max_bytes` goes in a
    /// batch of its own.
    #[must_use]
    pub fn aiming_at(mut self, max_entries: usize, max_bytes: usize) -> Self {
        self.max_entries = self.max_entries.min(max_entries.max(1));
        self.max_bytes = self.max_bytes.min(max_bytes);
        self
    }

    /// Adds a parcel's entries. The parts stand for the acknowledgement from here on.
    pub fn push(&mut self, parcel: Parcel, ack: Ack) -> Packed {
        let mut packed = Packed::default();
        let parcel = Arc::new(parcel);
        let mut run = 0;
        for position in 0..parcel.entries.len() {
            let size = parcel.entry(position).len();
            if !self.ever_fits(size) {
                self.add(&parcel, run..position, &ack);
                packed
                    .too_large
                    .push(part(&parcel, position..position + 1, &ack));
                run = position + 1;
                continue;
            }
            if !self.fits(size) {
                self.add(&parcel, run..position, &ack);
                packed.full.extend(self.take());
                run = position;
            }
            self.entries += 1;
            self.bytes += size
                + if self.entries > 1 {
                    self.limits.separator_bytes
                } else {
                    0
                };
        }
        self.add(&parcel, run..parcel.entries.len(), &ack);
        if self.is_full() {
            packed.full.extend(self.take());
        }
        ack.settle(Outcome::Delivered);
        packed
    }

    /// What has been added since the last full batch, if anything.
    pub fn take(&mut self) -> Option<Batch> {
        self.entries = 0;
        self.bytes = self.limits.frame_bytes;
        Some(std::mem::take(&mut self.open)).filter(|batch| !batch.is_empty())
    }

    /// Whether nothing waits for more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn add(&mut self, parcel: &Arc<Parcel>, entries: std::ops::Range<usize>, ack: &Ack) {
        if !entries.is_empty() {
            self.open.parts.push(part(parcel, entries, ack));
        }
    }

    fn ever_fits(&self, size: usize) -> bool {
        size <= self.limits.max_entry_bytes
            && self.limits.frame_bytes + size <= self.limits.max_bytes
    }

    fn fits(&self, size: usize) -> bool {
        self.entries == 0
            || self.entries < self.max_entries
                && self.bytes + self.limits.separator_bytes + size <= self.max_bytes
    }

    /// Whether not even an empty entry would fit.
    fn is_full(&self) -> bool {
        self.entries > 0 && !self.fits(1)
    }
}

fn part(parcel: &Arc<Parcel>, entries: std::ops::Range<usize>, ack: &Ack) -> Part {
    Part {
        parcel: Arc::clone(parcel),
        entries,
        ack: ack.clone(),
    }
}

/// Cuts a batch before the entry at this position.
#[must_use]
fn split(batch: Batch, position: usize) -> (Batch, Batch) {
    let (mut head, mut tail) = (Batch::default(), Batch::default());
    let mut before = 0;
    for mut part in batch.parts {
        let length = part.entries.len();
        let keep = position.saturating_sub(before).min(length);
        before += length;
        if keep == 0 {
            tail.parts.push(part);
        } else if keep == length {
            head.parts.push(part);
        } else {
            let cut = part.entries.start + keep;
            tail.parts
                .push(self::part(&part.parcel, cut..part.entries.end, &part.ack));
            part.entries.end = cut;
            head.parts.push(part);
        }
    }
    (head, tail)
}

/// Cuts a batch in the middle; the first half is the larger one where the number is odd.
#[must_use]
pub fn halve(batch: Batch) -> (Batch, Batch) {
    let middle = batch.len().div_ceil(2);
    split(batch, middle)
}

/// Takes out the entries at these positions, which ascend and lie within the batch. Returns what was
/// taken, in order, one batch an entry, and the rest.
#[must_use]
pub fn extract(mut batch: Batch, positions: &[usize]) -> (Vec<Batch>, Batch) {
    let mut rest = Batch::default();
    let mut taken = Vec::with_capacity(positions.len());
    let mut before = 0;
    for &position in positions {
        let (head, tail) = split(batch, position - before);
        let (one, tail) = split(tail, 1);
        rest.parts.extend(head.parts);
        taken.push(one);
        before = position + 1;
        batch = tail;
    }
    rest.parts.extend(batch.parts);
    (taken, rest)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        ack::{self, Finalizer},
        sink::{Entry, Origin},
    };

    /// A parcel whose entries have these sizes and are numbered from `first` in their index.
    fn parcel(first: u32, sizes: &[usize]) -> Parcel {
        let mut data = Vec::new();
        let mut entries = Vec::new();
        for (index, size) in (first..).zip(sizes) {
            let start = u32::try_from(data.len()).unwrap();
            data.resize(data.len() + size, b'x');
            entries.push(Entry {
                start,
                end: u32::try_from(data.len()).unwrap(),
                index,
            });
        }
        Parcel {
            origin: Origin::Finding("f".into()),
            data: data.into(),
            entries,
            budget: None,
        }
    }

    fn indices(batch: &Batch) -> Vec<u32> {
        let of = |part: &Part| {
            part.parcel.entries[part.entries.clone()]
                .iter()
                .map(|e| e.index)
                .collect::<Vec<_>>()
        };
        batch.parts.iter().flat_map(of).collect()
    }

    const LIMITS: Limits = Limits {
        max_entries: 3,
        max_bytes: 20,
        max_entry_bytes: 12,
        frame_bytes: 2,
        separator_bytes: 1,
    };

    /// Packs parcels of these sizes; returns the batches, what was too large, and the end to wait at.
    fn pack(limits: Limits, parcels: &[Vec<usize>]) -> (Vec<Batch>, Vec<Part>, Finalizer) {
        let (ack, finalizer) = ack::channel();
        let mut packer = Packer::new(limits);
        let (mut batches, mut too_large, mut first) = (Vec::new(), Vec::new(), 0);
        for sizes in parcels {
            let filled = packer.push(parcel(first, sizes), ack.clone());
            batches.extend(filled.full);
            too_large.extend(filled.too_large);
            first += u32::try_from(sizes.len()).unwrap();
        }
        batches.extend(packer.take());
        ack.settle(Outcome::Delivered);
        (batches, too_large, finalizer)
    }

    fn settle(batches: Vec<Batch>, outcome: Outcome) {
        batches
            .into_iter()
            .flat_map(|batch| batch.parts)
            .for_each(|part| part.ack.settle(outcome));
    }

    #[test]
    fn small_parcels_share_a_request() {
        let (batches, _, _) = pack(LIMITS, &[vec![1], vec![1, 1], vec![1]]);
        assert_eq!(
            batches.iter().map(indices).collect::<Vec<_>>(),
            [vec![0, 1, 2], vec![3]]
        );
    }

    #[test]
    fn bytes_are_counted_with_frame_and_separators() {
        let (exact, _, _) = pack(LIMITS, &[vec![8, 9]]);
        assert_eq!(exact.len(), 1, "2 + 8 + 1 + 9 = 20");
        let (over, _, _) = pack(LIMITS, &[vec![9, 9]]);
        assert_eq!(over.len(), 2);
    }

    #[test]
    fn an_entry_that_fits_nowhere_is_set_aside_and_its_neighbours_go() {
        let (batches, too_large, finalizer) = pack(LIMITS, &[vec![4, 13, 4]]);
        assert_eq!(indices(&batches[0]), [0, 2]);
        assert_eq!(
            too_large[0].parcel.entries[too_large[0].entries.start].index,
            1
        );
        settle(batches, Outcome::Delivered);
        for part in too_large {
            part.ack.settle(Outcome::DeadLettered);
        }
        assert_eq!(
            finalizer.outcome().now_or_never(),
            Some(Outcome::DeadLettered)
        );
    }

    #[test]
    fn an_entry_above_the_aim_but_within_the_limit_goes_alone() {
        let (ack, _finalizer) = ack::channel();
        let mut packer = Packer::new(LIMITS).aiming_at(2, 8);
        let filled = packer.push(parcel(0, &[1, 12, 1, 1, 1]), ack);
        assert!(filled.too_large.is_empty());
        assert_eq!(
            filled.full.iter().map(indices).collect::<Vec<_>>(),
            [vec![0], vec![1], vec![2, 3]]
        );
        assert_eq!(indices(&packer.take().unwrap()), [4]);
    }

    #[test]
    fn a_parcel_without_entries_is_delivered() {
        let (batches, _, finalizer) = pack(LIMITS, &[vec![]]);
        assert!(batches.is_empty());
        assert_eq!(finalizer.outcome().now_or_never(), Some(Outcome::Delivered));
    }

    #[test]
    fn one_lost_half_fails_the_message() {
        let (mut batches, _, finalizer) = pack(LIMITS, &[vec![1, 1, 1]]);
        let (head, tail) = halve(batches.remove(0));
        assert_eq!((head.len(), tail.len()), (2, 1));
        settle(vec![head], Outcome::Delivered);
        drop(tail);
        assert_eq!(finalizer.outcome().now_or_never(), Some(Outcome::Failed));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_doubled_or_reordered_and_no_limit_is_passed(
            parcels in prop::collection::vec(prop::collection::vec(1_usize..30, 0..12), 0..8),
            max_entries in 1_usize..6,
            max_bytes in 4_usize..60,
            max_entry_bytes in 1_usize..30,
        ) {
            let limits = Limits { max_entries, max_bytes, max_entry_bytes, frame_bytes: 2, separator_bytes: 1 };
            let (batches, too_large, finalizer) = pack(limits, &parcels);
            for batch in &batches {
                prop_assert!(batch.len() <= max_entries && !batch.is_empty());
                let body = batch.body(b"[", b",", b"]");
                prop_assert!(body.len() <= max_bytes);
                prop_assert!(batch.entries().all(|entry| entry.len() <= max_entry_bytes));
            }
            for pair in batches.windows(2) {
                let joined = pair[0].body(b"[", b",", b"]").len() + 1 + pair[1].entries().next().unwrap().len();
                prop_assert!(pair[0].len() == max_entries || joined > max_bytes, "a batch was closed early");
            }
            let sizes: Vec<usize> = parcels.concat();
            let fits = |size: usize| size <= max_entry_bytes && size + 2 <= max_bytes;
            let expected: Vec<u32> = (0..).zip(&sizes).filter(|(_, size)| fits(**size)).map(|(i, _)| i).collect();
            prop_assert_eq!(batches.iter().flat_map(indices).collect::<Vec<_>>(), expected);
            prop_assert_eq!(too_large.len(), sizes.iter().filter(|size| !fits(**size)).count());
            settle(batches, Outcome::Delivered);
            for part in too_large {
                part.ack.settle(Outcome::Delivered);
            }
            prop_assert_eq!(finalizer.outcome().now_or_never(), Some(Outcome::Delivered));
        }

        #[test]
        fn extracting_leaves_the_others_in_order(
            parcels in prop::collection::vec(prop::collection::vec(Just(1_usize), 1..6), 1..5),
            picks in prop::collection::vec(any::<bool>(), 30),
        ) {
            let wide = Limits { max_entries: 100, max_bytes: 1_000, ..LIMITS };
            let (mut batches, _, finalizer) = pack(wide, &parcels);
            let batch = batches.remove(0);
            let positions: Vec<usize> = (0..batch.len()).filter(|position| picks[*position]).collect();
            let all = indices(&batch);
            let (taken, rest) = extract(batch, &positions);
            prop_assert!(taken.iter().all(|one| one.len() == 1));
            prop_assert_eq!(
                taken.iter().flat_map(indices).collect::<Vec<_>>(),
                positions.iter().map(|position| all[*position]).collect::<Vec<_>>()
            );
            let kept: Vec<u32> = all.iter().enumerate().filter(|(p, _)| !picks[*p]).map(|(_, i)| *i).collect();
            prop_assert_eq!(indices(&rest), kept);
            settle(taken, Outcome::Delivered);
            settle(vec![rest], Outcome::Delivered);
            prop_assert_eq!(finalizer.outcome().now_or_never(), Some(Outcome::Delivered));
        }
    }
}
