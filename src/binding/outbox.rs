//! Answers waiting for the JavaScript thread.
//!
//! Workers put answers in and wake the thread once; it takes everything that has gathered, many answers to a
//! crossing. JavaScript takes rather than being given, so that it can stop between two takes and let its event loop
//! turn.
//!
//! Invariant: while answers wait, a wake-up is under way or JavaScript has promised to come back (it has not yet
//! been told that nothing is left).
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

/// One take gives so many bytes, unless a single chunk is larger: about a thousand small answers, whose
/// promises JavaScript settles in a few milliseconds.
const TAKE_BYTES: usize = 16 * 1024;

/// Wakes the JavaScript thread.
pub(crate) type Wake = Arc<dyn Fn() + Send + Sync>;

/// The queue of packed answers.
#[derive(Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Vec<u8>>,
    awake: bool,
    /// `None` before the environment has said how, and after it has gone.
    wake: Option<Wake>,
}

/// What a take came to.
#[derive(Debug, PartialEq)]
pub(crate) enum Taken {
    /// So many bytes of whole answers; there may be more.
    Bytes(usize),
    /// Nothing is left: the next answer will wake the thread.
    Nothing,
    /// The next answers need room for so many bytes.
    NeedsRoom(usize),
}

impl Outbox {
    /// Says how to wake the JavaScript thread.
    pub(crate) fn connect(&self, wake: Wake) {
        self.state.lock().wake = Some(wake);
    }

    /// Drops what waits and everything that comes after.
    pub(crate) fn disconnect(&self) {
        let mut state = self.state.lock();
        state.wake = None;
        state.chunks.clear();
    }

    /// Adds packed answers.
    pub(crate) fn publish(&self, answers: Vec<u8>) {
        if answers.is_empty() {
            return;
        }
        let wake = {
            let mut state = self.state.lock();
            let Some(wake) = state.wake.clone() else { return };
            state.chunks.push_back(answers);
            if std::mem::replace(&mut state.awake, true) {
                return;
            }
            wake
        };
        wake();
    }

    /// Moves answers into `out`, oldest first, as many as fit and JavaScript settles in one go.
    pub(crate) fn take(&self, out: &mut [u8]) -> Taken {
        let mut state = self.state.lock();
        let mut filled = 0;
        while let Some(chunk) = state.chunks.front() {
            if filled > 0 && filled + chunk.len() > TAKE_BYTES {
                break;
            }
            let Some(room) = out.get_mut(filled..filled + chunk.len()) else {
                return if filled > 0 { Taken::Bytes(filled) } else { Taken::NeedsRoom(chunk.len()) };
            };
            room.copy_from_slice(chunk);
            filled += chunk.len();
            state.chunks.pop_front();
        }
        if filled > 0 {
            return Taken::Bytes(filled);
        }
        state.awake = false;
        Taken::Nothing
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn counted() -> (Outbox, Arc<AtomicUsize>) {
        let outbox = Outbox::default();
        let wakes = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&wakes);
        outbox.connect(Arc::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        }));
        (outbox, wakes)
    }

    #[test]
    fn many_answers_need_one_wake_up() {
        let (outbox, wakes) = counted();
        for byte in 0..10 {
            outbox.publish(vec![byte; 3]);
        }
        let mut out = [0; 64];

        assert_eq!(outbox.take(&mut out), Taken::Bytes(30));
        assert_eq!(outbox.take(&mut out), Taken::Nothing);
        assert_eq!(wakes.load(Ordering::SeqCst), 1);
        outbox.publish(vec![1]);
        assert_eq!(wakes.load(Ordering::SeqCst), 2, "nobody would come for an answer after the last take");
    }

    #[test]
    fn an_answer_larger_than_the_room_says_what_it_needs_and_stays() {
        let (outbox, _) = counted();
        outbox.publish(vec![1; 10]);
        outbox.publish(vec![2; 100]);

        assert_eq!(outbox.take(&mut [0; 64]), Taken::Bytes(10));
        assert_eq!(outbox.take(&mut [0; 64]), Taken::NeedsRoom(100));
        assert_eq!(outbox.take(&mut [0; 100]), Taken::Bytes(100));
    }

    #[test]
    fn answers_after_the_environment_has_gone_are_dropped() {
        let (outbox, wakes) = counted();
        outbox.disconnect();

        outbox.publish(vec![1]);

        assert_eq!(outbox.take(&mut [0; 64]), Taken::Nothing);
        assert_eq!(wakes.load(Ordering::SeqCst), 0);
    }
}
