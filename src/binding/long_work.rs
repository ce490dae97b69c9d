//! Long work on a whole database that waits for a thread: compactions, verifications, checkpoints, repairs, removals.
//!
//! It has threads of its own, so that it holds up neither reads nor the lane. Who asks for what somebody waits for
//! already gets the answer to that: a run that begins later than both were asked for is right for both.
//!
//! Invariant: for everything that waits here a job is on its way to a thread.
#![forbid(unsafe_code)]

use std::collections::VecDeque;

use crate::error::Result;
use crate::sync::Mutex;

use super::keyspace_packing::KeyspaceVerb;
use super::packing::{Operation, Verb, fields_of};

/// What waits, in the order in which it was asked for. The queue of the pool limits how much it can be.
#[derive(Default)]
pub(crate) struct LongWork {
    waiting: Mutex<VecDeque<Waiting>>,
}

/// One operation, and the requests that wait for it.
pub(crate) struct Waiting {
    /// A run of one operation.
    pub(crate) run: Vec<u8>,
    pub(crate) requests: Vec<u32>,
}

impl LongWork {
    /// Adds the operation of `run`. Calls `schedule` where it is not one that waits already.
    ///
    /// # Errors
    ///
    /// That of `schedule`; nothing is added then.
    pub(crate) fn add(
        &self,
        run: &[u8],
        operation: &Operation<'_>,
        schedule: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let mut waiting = self.waiting.lock();
        if can_be_shared(&operation.verb) {
            let same = waiting.iter_mut().find(|other| fields_of(&other.run) == fields_of(run));
            if let Some(same) = same {
                same.requests.push(operation.request);
                return Ok(());
            }
        }
        schedule()?;
        waiting.push_back(Waiting { run: run.to_vec(), requests: vec![operation.request] });
        Ok(())
    }

    /// What was asked for first. From now on nobody joins it.
    pub(crate) fn take(&self) -> Option<Waiting> {
        self.waiting.lock().pop_front()
    }
}

/// Whether one run does for all who wait for it. It has to answer with nothing.
fn can_be_shared(verb: &Verb<'_>) -> bool {
    matches!(verb, Verb::Compact { .. } | Verb::Verify | Verb::Keyspace(KeyspaceVerb::Compact(..)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binding::packing::read_run;
    use crate::error::{Code, Error};

    /// An operation without fields.
    fn run(verb: u8, request: u8) -> [u8; 9] {
        [verb, request, 0, 0, 0, 0, 0, 0, 0]
    }

    fn compaction_of(store: &str, request: u8) -> Vec<u8> {
        let mut run = run(37, request).to_vec();
        run.extend_from_slice(&(store.len() as u32).to_le_bytes());
        run.extend_from_slice(store.as_bytes());
        // The range of everything.
        run.push(0);
        run
    }

    fn add(work: &LongWork, run: &[u8]) -> bool {
        let mut is_scheduled = false;
        let schedule = || {
            is_scheduled = true;
            Ok(())
        };
        work.add(run, &read_run(run).unwrap()[0], schedule).unwrap();
        is_scheduled
    }

    #[test]
    fn who_asks_for_the_same_shares_it_until_it_has_begun() {
        let work = LongWork::default();

        assert!(add(&work, &compaction_of("a", 1)));
        assert!(add(&work, &compaction_of("b", 2)));
        assert!(!add(&work, &compaction_of("a", 3)));
        assert_eq!(work.take().unwrap().requests, [1, 3]);
        assert!(add(&work, &compaction_of("a", 4)), "that of before began without it");
        assert_eq!(work.take().unwrap().requests, [2]);
        assert_eq!(work.take().unwrap().requests, [4]);
        assert!(work.take().is_none());
    }

    #[test]
    fn what_can_be_done_only_once_is_not_shared() {
        let work = LongWork::default();

        assert!(add(&work, &run(39, 1)));
        assert!(add(&work, &run(39, 2)));
    }

    #[test]
    fn what_no_thread_will_come_for_does_not_wait() {
        let work = LongWork::default();
        let run = run(34, 1);
        let full = || Err(Error::new(Code::Busy, "full"));

        assert!(work.add(&run, &read_run(&run).unwrap()[0], full).is_err());

        assert!(work.take().is_none());
    }
}
