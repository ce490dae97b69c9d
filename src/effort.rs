//! How much an attempt may do: a bound on the rows that a thread walks over and looks up.
//!
//! It is a mode of the thread, so that whatever reads below (a page, a count, a query) is in it without knowing. What came
//! to too much is done again by somebody who has the time: an attempt changes nothing that would be in the way of that.
//!
//! Invariant: an attempt that came to too much gives no result, also where what ran in it has put up with that.
#![forbid(unsafe_code)]

use std::cell::Cell;

use crate::error::{Code, Error, Result};

/// What a thread has left that is in no attempt: more than anything takes.
const UNBOUNDED: i64 = i64::MAX;

crate::sync::thread_local! {
    static LEFT: Cell<i64> = const { Cell::new(UNBOUNDED) };
}

/// What came of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Attempt<T> {
    /// It is done, and took so many steps.
    Done(T, i64),
    /// It would have taken more steps than it had.
    TooMuch,
}

/// Puts back what was left outside of the attempt, also where that panics.
struct Restored(i64);

impl Drop for Restored {
    fn drop(&mut self) {
        LEFT.with(|cell| cell.set(self.0));
    }
}

/// Runs `attempt`, which may take so many steps.
///
/// # Errors
///
/// What `attempt` gives, unless it came to too much.
pub(crate) fn within<T>(steps: i64, attempt: impl FnOnce() -> Result<T>) -> Result<Attempt<T>> {
    let restored = Restored(LEFT.with(|cell| cell.replace(steps)));
    let result = attempt();
    let left = LEFT.with(Cell::get);
    drop(restored);
    if left < 0 { Ok(Attempt::TooMuch) } else { Ok(Attempt::Done(result?, steps - left)) }
}

/// What it costs, beside other steps, to look at a value of so many bytes.
#[inline]
pub(crate) fn steps_of(bytes: usize) -> i64 {
    (bytes >> 8).cast_signed() as i64
}

/// Takes steps: one for a row that is walked over, more for what costs more.
///
/// # Errors
///
/// `Busy` where the attempt that the thread is in has none left. Nobody sees that error.
#[inline]
pub(crate) fn spend(steps: i64) -> Result<()> {
    let left = LEFT.with(Cell::get) - steps;
    LEFT.with(|cell| cell.set(left));
    if left < 0 { Err(too_much()) } else { Ok(()) }
}

/// How many steps are left.
#[inline]
pub(crate) fn left() -> u64 {
    LEFT.with(Cell::get).max(0).cast_unsigned()
}

#[cold]
fn too_much() -> Error {
    Error::new(Code::Busy, "an attempt came to more than it may do")
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn an_attempt_says_what_it_took() {
        let attempt = within(10, || spend(3).and_then(|()| spend(4)));
        assert_eq!(attempt.unwrap(), Attempt::Done((), 7));
    }

    #[test]
    fn an_attempt_that_puts_up_with_having_no_steps_left_gives_nothing() {
        let attempt = within(10, || {
            assert_eq!(spend(11).unwrap_err().code(), Code::Busy);
            Ok(7)
        });
        assert_eq!(attempt.unwrap(), Attempt::TooMuch);
    }

    #[test]
    fn who_is_in_no_attempt_may_do_anything_also_after_one_has_panicked() {
        let panicked = catch_unwind(AssertUnwindSafe(|| within::<()>(1, || panic!("of the test"))));
        assert!(panicked.is_err());
        for _ in 0..1_000 {
            spend(i64::from(u32::MAX)).unwrap();
        }
    }
}
