//! The numbers that an auto-increment store gives to documents without a key.
//!
//! A number is taken from memory the moment it is handed out, so that no two transactions ever get the same one,
//! and is skipped when its transaction does not commit. Every commit into the store persists how far it got.
#![forbid(unsafe_code)]

use crate::sync::Mutex;

/// The largest number a generator gives: above it, not every integer is a double. As in IndexedDB.
pub(crate) const GENERATED_KEY_MAX: u64 = 1 << 53;

/// The first number a generator gives.
pub(crate) const GENERATED_KEY_FIRST: u64 = 1;

/// Hands out rising numbers to any number of threads.
#[derive(Debug)]
pub(crate) struct Generator(Mutex<State>);

#[derive(Debug)]
struct State {
    next: u64,
    /// Behind every number that was given as a key.
    passed: u64,
}

impl Generator {
    /// A generator whose first number is `next`.
    pub(crate) fn new(next: u64) -> Self {
        Self(Mutex::new(State { next, passed: 0 }))
    }

    /// Takes the next number; `None` once all are used up.
    pub(crate) fn take(&self) -> Option<u64> {
        let mut state = self.0.lock();
        let number = (state.next <= GENERATED_KEY_MAX).then_some(state.next)?;
        state.next += 1;
        Some(number)
    }

    /// Takes back the numbers from `first` to `last`, which the caller has taken and nobody has seen, unless others have
    /// been taken since. Those that were given as keys meanwhile don't come again.
    pub(crate) fn give_back(&self, first: u64, last: u64) {
        let mut state = self.0.lock();
        if state.next == last + 1 {
            state.next = first.max(state.passed);
        }
    }

    /// Moves the generator behind a number that was given as a key, as IndexedDB does.
    pub(crate) fn pass(&self, key: f64) {
        if key >= GENERATED_KEY_FIRST as f64 {
            // The cast saturates at 2^53, above which there is nothing left to give.
            let next = key.min(GENERATED_KEY_MAX as f64).floor() as u64 + 1;
            let mut state = self.0.lock();
            state.passed = state.passed.max(next);
            state.next = state.next.max(next);
        }
    }

    /// The number that comes next.
    pub(crate) fn next(&self) -> u64 {
        self.0.lock().next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_given_as_key_is_never_generated_again() {
        let generator = Generator::new(GENERATED_KEY_FIRST);

        assert_eq!(generator.take(), Some(1));
        generator.pass(7.9);
        assert_eq!(generator.take(), Some(8));
        generator.pass(3.0);
        generator.pass(-12.0);
        generator.pass(f64::NEG_INFINITY);
        assert_eq!(generator.take(), Some(9));
    }

    #[test]
    fn numbers_that_were_given_back_come_again_unless_others_were_taken_since() {
        let generator = Generator::new(GENERATED_KEY_FIRST);
        let (first, last) = (generator.take().unwrap(), generator.take().unwrap());

        generator.give_back(first, last);
        assert_eq!((generator.take(), generator.take(), generator.take()), (Some(1), Some(2), Some(3)));
        generator.give_back(1, 2);
        assert_eq!(generator.take(), Some(4));
    }

    #[test]
    fn a_number_that_was_given_as_key_does_not_come_again_where_others_are_given_back() {
        let generator = Generator::new(GENERATED_KEY_FIRST);
        let numbers: Vec<u64> = (0..5).filter_map(|_| generator.take()).collect();

        generator.pass(3.0);
        generator.give_back(numbers[0], numbers[4]);

        assert_eq!(generator.take(), Some(4));
    }

    #[test]
    fn a_generator_ends_where_integers_stop_being_exact() {
        let generator = Generator::new(GENERATED_KEY_FIRST);

        generator.pass((GENERATED_KEY_MAX - 1) as f64);
        assert_eq!(generator.take(), Some(GENERATED_KEY_MAX));
        assert_eq!(generator.take(), None);
        generator.pass(f64::INFINITY);
        assert_eq!(generator.take(), None);
    }
}
