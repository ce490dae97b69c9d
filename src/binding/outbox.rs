//! Answers waiting for the JavaScript thread.
//!
//! Workers put answers in and wake the thread once; it takes everything that has gathered, many answers to a
//! crossing. JavaScript takes rather than being given, so that it can stop between two takes and let its event loop
//! turn. A call that must not return before its answer is there waits for that one alone, and leaves the others.
//!
//! Invariant: while answers wait, a wake-up is under way or JavaScript has promised to come back (it has not yet
//! been told that nothing is left).
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::packing::answer_at;
use crate::sync::{Condvar, Mutex};

/// One take gives so many bytes, unless a single chunk is larger: about a thousand small answers, whose
/// promises JavaScript settles in a few milliseconds.
const TAKE_BYTES: usize = 16 * 1024;

/// Wakes the JavaScript thread.
pub(crate) type Wake = Arc<dyn Fn() + Send + Sync>;

/// The queue of packed answers.
#[derive(Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// Told of answers while the JavaScript thread waits for one.
    published: Condvar,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Vec<u8>>,
    awake: bool,
    /// `None` before the environment has said how, and after it has gone.
    wake: Option<Wake>,
    /// The answer that is waited for is in none of the first so many chunks.
    searched: usize,
    is_awaited: bool,
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
            if state.is_awaited {
                self.published.notify_one();
            }
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
            state.searched = state.searched.saturating_sub(1);
        }
        if filled > 0 {
            return Taken::Bytes(filled);
        }
        state.awake = false;
        Taken::Nothing
    }

    /// Says that the answer that will be waited for is that to a request which has not been submitted yet. So what
    /// waits already, which may be much, need not be searched for it.
    pub(crate) fn expect(&self) {
        let mut state = self.state.lock();
        state.searched = state.chunks.len();
    }

    /// Says that the answer that will be waited for may be here already.
    pub(crate) fn expect_any(&self) {
        self.state.lock().searched = 0;
    }

    /// Takes the answer to `request` out, as soon as it is there; `None` when it has not come within `limit`. The
    /// others stay, in their order, for [`Outbox::take`].
    ///
    /// For the JavaScript thread only, which takes nothing meanwhile.
    pub(crate) fn wait_for(&self, request: u32, limit: Duration) -> Option<Vec<u8>> {
        let deadline = Instant::now() + limit;
        let mut state = self.state.lock();
        loop {
            if let Some(answer) = state.take_answer(request) {
                return Some(answer);
            }
            state.is_awaited = true;
            let is_late = self.published.wait_until(&mut state, deadline).timed_out();
            state.is_awaited = false;
            if is_late {
                return state.take_answer(request);
            }
        }
    }
}

impl State {
    /// Takes out the answer to `request` if it is in a chunk that has not been searched yet.
    fn take_answer(&mut self, request: u32) -> Option<Vec<u8>> {
        while let Some(chunk) = self.chunks.get_mut(self.searched) {
            if let Some(place) = place_of(request, chunk) {
                let answer = chunk.drain(place).collect();
                if chunk.is_empty() {
                    self.chunks.remove(self.searched);
                }
                return Some(answer);
            }
            self.searched += 1;
        }
        None
    }
}

/// Where in packed answers that to `request` is.
fn place_of(request: u32, chunk: &[u8]) -> Option<Range<usize>> {
    let mut start = 0;
    while let Some((number, length)) = answer_at(chunk.get(start..)?) {
        if number == request {
            return Some(start..start + length);
        }
        start += length;
    }
    None
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

    /// A packed answer with a payload of `length` bytes.
    fn answer(request: u32, length: u32) -> Vec<u8> {
        let mut packed = [&request.to_le_bytes()[..], &[6], &length.to_le_bytes()].concat();
        packed.extend(std::iter::repeat_n(b'x', length as usize));
        packed
    }

    #[test]
    fn the_answer_that_is_waited_for_is_taken_out_from_between_others() {
        let (outbox, _) = counted();
        outbox.publish(answer(1, 3));
        outbox.expect();
        outbox.publish([answer(2, 0), answer(3, 5), answer(4, 1)].concat());

        assert_eq!(outbox.wait_for(3, Duration::ZERO), Some(answer(3, 5)));
        assert_eq!(outbox.wait_for(1, Duration::ZERO), None, "it came before anybody waited");
        outbox.expect_any();
        assert_eq!(outbox.wait_for(1, Duration::ZERO), Some(answer(1, 3)));

        let mut out = [0; 64];
        let rest = [answer(2, 0), answer(4, 1)].concat();
        assert_eq!(outbox.take(&mut out), Taken::Bytes(rest.len()));
        assert_eq!(out[..rest.len()], rest);
        assert_eq!(outbox.take(&mut out), Taken::Nothing);
    }

    #[test]
    fn who_waits_is_woken_by_the_answer_and_else_by_the_limit() {
        let (outbox, _) = counted();
        let outbox = Arc::new(outbox);
        outbox.expect();
        assert_eq!(outbox.wait_for(7, Duration::from_millis(1)), None);
        let worker = std::thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || {
                outbox.publish(answer(6, 2));
                outbox.publish(answer(7, 2));
            }
        });

        assert_eq!(outbox.wait_for(7, Duration::from_secs(600)), Some(answer(7, 2)));

        worker.join().unwrap();
        assert_eq!(outbox.take(&mut [0; 64]), Taken::Bytes(11));
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
