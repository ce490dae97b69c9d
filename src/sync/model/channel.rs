//! A bounded queue between threads, as crossbeam's channel is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::{Condvar, Mutex};

pub(crate) use crossbeam_channel::{RecvTimeoutError, TryRecvError, TrySendError};

struct Queue<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
    max: usize,
}

struct State<T> {
    waiting: VecDeque<T>,
    has_sender: bool,
}

/// The side that things come in by. There is one.
pub(crate) struct Sender<T>(Arc<Queue<T>>);

pub(crate) struct Receiver<T>(Arc<Queue<T>>);

pub(crate) fn bounded<T>(max: usize) -> (Sender<T>, Receiver<T>) {
    let state = Mutex::new(State { waiting: VecDeque::new(), has_sender: true });
    let queue = Arc::new(Queue { state, arrived: Condvar::new(), max });
    (Sender(Arc::clone(&queue)), Receiver(queue))
}

impl<T> Sender<T> {
    pub(crate) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let mut state = self.0.state.lock();
        if state.waiting.len() >= self.0.max {
            return Err(TrySendError::Full(value));
        }
        state.waiting.push_back(value);
        drop(state);
        self.0.arrived.notify_one();
        Ok(())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.state.lock().has_sender = false;
        self.0.arrived.notify_all();
    }
}

impl<T> Receiver<T> {
    pub(crate) fn len(&self) -> usize {
        self.0.state.lock().waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
        self.0.state.lock().waiting.pop_front().ok_or(TryRecvError::Empty)
    }

    pub(crate) fn recv_timeout(&self, duration: Duration) -> Result<T, RecvTimeoutError> {
        let mut state = self.0.state.lock();
        loop {
            if let Some(value) = state.waiting.pop_front() {
                return Ok(value);
            }
            if !state.has_sender {
                return Err(RecvTimeoutError::Disconnected);
            }
            if self.0.arrived.wait_for(&mut state, duration).timed_out() {
                // Without a last look: what came at the same moment may be too late.
                return Err(RecvTimeoutError::Timeout);
            }
        }
    }
}
