//! The image that a component's memories start from.
//!
//! On Linux wasmtime writes it into an anonymous file and seals that against writing. The kernel refuses the
//! seal with `EBUSY` while anything else holds one of the file's pages; on a machine short of memory that
//! is the kernel itself, which moves pages about, and it lasts for moments. A plugin must not stay out of
//! its chain for that, so the image is made before the first instance, and made again after `EBUSY`.

use std::{io, thread, time::Duration};

/// How often the image is tried. The kernel itself waits for some 75 ms before it refuses.
const ATTEMPTS: u32 = 20;

/// How long to leave the kernel alone between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// Makes the image, if the component has none yet.
///
/// # Errors
/// What wasmtime says, when it is not `EBUSY`, or still is after a second and more.
pub(super) fn make(component: &wasmtime::component::Component) -> wasmtime::Result<()> {
    while_busy(|| component.initialize_copy_on_write_image())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the kernel is waited for, and compiling blocks its thread already"
)]
fn while_busy(mut attempt: impl FnMut() -> wasmtime::Result<()>) -> wasmtime::Result<()> {
    for _ in 1..ATTEMPTS {
        match attempt() {
            Err(error) if is_busy(&error) => thread::sleep(PAUSE),
            answer => return answer,
        }
    }
    attempt()
}

fn is_busy(error: &wasmtime::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::ResourceBusy)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    /// Fails with these codes, one after the other, and then no more. Says how often it was called.
    fn failing(codes: &[i32]) -> (wasmtime::Result<()>, usize) {
        let mut calls = 0;
        let answer = while_busy(|| {
            calls += 1;
            match codes.get(calls - 1) {
                Some(&code) => {
                    let cause = io::Error::from_raw_os_error(code);
                    Err(wasmtime::Error::new(cause).context("cannot add seals"))
                }
                None => Ok(()),
            }
        });
        (answer, calls)
    }

    const EBUSY: i32 = 16;
    const ENOSPC: i32 = 28;

    #[test]
    fn a_busy_page_is_waited_for_and_nothing_else() {
        let (answer, calls) = failing(&[EBUSY, EBUSY]);
        answer.unwrap();
        assert_eq!(calls, 3);
        let (answer, calls) = failing(&[EBUSY, ENOSPC]);
        assert!(!is_busy(&answer.unwrap_err()));
        assert_eq!(calls, 2);
    }

    #[test]
    fn a_page_that_stays_busy_is_given_up() {
        let (answer, calls) = failing(&[EBUSY; 100]);
        assert!(is_busy(&answer.unwrap_err()));
        assert_eq!(calls, 20);
    }
}
