//! What is fuzzed of the binding: packed operations, from their bytes to the answers. The target is in `fuzz/`, its corpus
//! in `fuzz/corpus/operations`; the test below tries changes of the corpus in every run.
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

/// Reads `bytes` as a run and does what it asks for, in a database of its own in memory, which it has to open.
pub(crate) fn run_operations(bytes: &[u8]) {
    let Ok(operations) = read_run(bytes) else { return };
    if operations.iter().any(|operation| matches!(operation.verb, Verb::Checkpoint { .. })) {
        // It would write files wherever the bytes say.
        return;
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::fs::split_mix;

    const CHANGES: u64 = 3_000;

    fn corpus() -> Vec<Vec<u8>> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/operations");
        let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| std::fs::read(file).unwrap()).collect()
    }

    /// A run of the corpus, or two of them, with some bytes changed, left out, or put in.
    fn changed(corpus: &[Vec<u8>], below: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
        let mut bytes = corpus[below(corpus.len())].clone();
        if below(2) == 0 {
            bytes.extend_from_slice(&corpus[below(corpus.len())]);
        }
        for _ in 0..=below(4) {
            let at = below(bytes.len());
            match below(4) {
                0 => bytes[at] ^= 1 << below(8),
                1 => bytes[at] = [0, 1, 0x7f, 0xff][below(4)],
                2 if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, below(256) as u8),
            }
        }
        bytes
    }

    #[test]
    fn every_run_of_the_corpus_can_be_read() {
        let corpus = corpus();
        assert!(corpus.len() > 50, "there are {}", corpus.len());
        for bytes in &corpus {
            assert!(read_run(bytes).is_ok_and(|operations| !operations.is_empty()), "{bytes:?}");
            run_operations(bytes);
        }
    }

    #[test]
    fn no_bytes_make_the_binding_panic_or_forget_a_request() {
        let given = std::env::var("FLOWDB_SEED").ok().map(|seed| seed.parse().unwrap());
        let mut seed = given.unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64);
        println!("FLOWDB_SEED={seed}");
        let mut below = |bound: usize| (split_mix(&mut seed) % bound as u64) as usize;
        let corpus = corpus();
        for _ in 0..CHANGES {
            run_operations(&changed(&corpus, &mut below));
        }
    }
}
