//! Any bytes as packed operations, from their bytes to the answers.
//!
//! Invariant, whatever the bytes are: a run that can be read gets one answer for each of its requests, and nothing
//! panics. What a run says of transactions, cursors and watches that are not there is an answer, too.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::Arc;

use super::database::Database;
use super::execute::run_in_order;
use super::outbox::{Outbox, Taken};
use super::packing::{Operation, Verb, answer_at, read_run};
use super::pool::Pool;
use crate::config::Config;

/// Reads `bytes` as a run and does what it asks for, in a database of its own in memory, which it has to open. Whether
/// they were a run.
pub(crate) fn run_operations(bytes: &[u8]) -> bool {
    let Ok(operations) = read_run(bytes) else { return false };
    if operations.iter().any(|operation| matches!(operation.verb, Verb::Checkpoint { .. })) {
        // It would write files wherever the bytes say.
        return true;
    }
    let (outbox, pool) = (Arc::<Outbox>::default(), Arc::new(Pool::new()));
    outbox.connect(Arc::new(|| {}));
    let database = Database::new(Config::in_memory(), Arc::clone(&outbox), Arc::clone(&pool), pool);
    run_in_order(&database, &operations);
    let answered = answered(&outbox);
    for (request, count) in requested(&operations) {
        let of_request = |operation: &&Operation<'_>| operation.request == request;
        let beginning = |operation: &Operation<'_>| format!("{:.60}", format!("{:?}", operation.verb));
        let asked = || operations.iter().filter(of_request).map(beginning).collect::<Vec<_>>();
        assert_eq!(answered.get(&request), Some(&count), "answers to request {request} of {:?}", asked());
    }
    !operations.is_empty()
}

/// How many operations carry each request.
fn requested(operations: &[Operation<'_>]) -> HashMap<u32, usize> {
    let mut counts = HashMap::new();
    for operation in operations.iter().filter(|operation| operation.request != 0) {
        *counts.entry(operation.request).or_insert(0) += 1;
    }
    counts
}

/// How many answers there are to each request.
fn answered(outbox: &Outbox) -> HashMap<u32, usize> {
    let mut counts = HashMap::new();
    let mut out = vec![0; 1 << 16];
    loop {
        let mut answers = match outbox.take(&mut out) {
            Taken::Nothing => return counts,
            Taken::NeedsRoom(room) => {
                out.resize(room, 0);
                continue;
            }
            Taken::Bytes(len) => &out[..len],
        };
        while let Some((request, len)) = answer_at(answers) {
            *counts.entry(request).or_insert(0) += 1;
            assert!(!is_of_a_defect(&answers[..len]), "{}", String::from_utf8_lossy(&answers[..len]));
            answers = &answers[len..];
        }
        assert!(answers.is_empty(), "an answer is cut short");
    }
}

/// A panic becomes such an answer.
fn is_of_a_defect(answer: &[u8]) -> bool {
    const SAYS: &[u8] = b"a defect in FlowDB";
    answer.windows(SAYS.len()).any(|window| window == SAYS)
}
