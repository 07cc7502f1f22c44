//! Buffers that a thread uses again, of batches that it has dropped. A batch takes more than a MiB: to give that
//! back to the system and to ask for it again would cost as much as checking the events.

use std::cell::RefCell;

use crate::{event::Span, json::Outline};

/// Batches whose buffers a thread keeps: one is filled while another is judged.
const KEPT: usize = 2;
/// Larger ones, of larger events, are not kept, in bytes.
const MOST: usize = 4 << 20;

/// What a batch is made of. All of it is empty, and has room.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub(crate) data: Vec<u8>,
    pub(crate) outline: Outline,
    pub(crate) events: Vec<Span>,
}

thread_local! {
    static SPARE: RefCell<Vec<Buffers>> = const { RefCell::new(Vec::new()) };
}

/// Buffers of this thread, or new ones.
pub(crate) fn take() -> Buffers {
    let spare = SPARE.try_with(|spare| spare.borrow_mut().pop());
    spare.ok().flatten().unwrap_or_default()
}

/// Keeps buffers for this thread, as far as it has not enough.
pub(crate) fn give(mut buffers: Buffers) {
    let room = buffers.data.capacity();
    if room == 0 || room > MOST {
        return;
    }
    buffers.data.clear();
    buffers.outline.clear();
    buffers.events.clear();
    // A thread that ends keeps nothing.
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < KEPT {
            spare.push(buffers);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffers(bytes: usize) -> Buffers {
        Buffers {
            data: vec![1; bytes],
            ..Buffers::default()
        }
    }

    #[test]
    fn a_thread_keeps_two_that_are_not_too_large_and_empties_them() {
        for bytes in [0, MOST + 1, 10, 20, 30] {
            give(buffers(bytes));
        }
        let kept = [take(), take(), take()].map(|buffers| {
            assert!(buffers.data.is_empty());
            buffers.data.capacity()
        });
        assert_eq!(kept, [20, 10, 0]);
    }
}
