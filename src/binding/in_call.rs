//! Reads that are answered in the call that asks for them, on the thread of JavaScript.
//!
//! That thread must not wait for a device, and must not be held for long. So what is tried here reads from memory and from
//! what the system has in its page cache, and takes a bounded number of steps; a page is cut to a size that keeps within
//! them, and goes on as every cursor does. What would take more, or fails, is not answered: the same operation goes to the
//! pool then, and its answer or its error comes from there.
//!
//! Invariant: what was tried and not answered has left nothing behind.
#![forbid(unsafe_code)]

use crate::effort::{self, Attempt};
use crate::error::Result;
use crate::fs::nowait::without_waiting;

use super::bulk_packing::BulkVerb;
use super::database::Database;
use super::execute::{Snapshots, execute, guarded};
use super::keyspace;
use super::packing::{Answer, Answers, Operation, PageSize, Verb, read_one};
use super::query_packing::QueryVerb;
use super::series_packing::SeriesVerb;

/// What is tried takes so many steps at most: a millisecond or less.
const STEPS_MAX: i64 = 2_000;

/// Pages of documents as they lie have so many rows at most …
const ROWS_MAX: u32 = 1_000;
/// … and others so many, which take no more steps than there are where each row leads to a document.
const LEADING_ROWS_MAX: u32 = 400;

/// Pages have about so many bytes at most.
const BYTES_MAX: u32 = 160 << 10;

/// What came of an operation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tried {
    /// The answer is packed, and has the steps that it took in the place of its request.
    Answered,
    /// A device would have to be waited for, or it is none of the operations that are tried, or it fails.
    NotAtHand,
    /// It comes to too much.
    TooMuch,
}

/// Tries to do the one operation of `run`, and to pack its answer into `answers`, where it may take `room` bytes.
pub(crate) fn answer(database: &Database, run: &[u8], answers: &mut Answers, room: usize) -> Tried {
    let Some(mut operation) = read_one(run) else { return Tried::NotAtHand };
    if !prepare(&mut operation) {
        return Tried::NotAtHand;
    }
    let tried = match attempt(database, &operation) {
        Ok(Attempt::Done(Some(answer), steps)) => {
            answers.push(u32::try_from(steps).unwrap_or_default().max(1), Ok(answer));
            if answers.len() <= room { Tried::Answered } else { Tried::TooMuch }
        }
        Ok(Attempt::TooMuch) => Tried::TooMuch,
        Ok(Attempt::Done(None, _)) | Err(_) => Tried::NotAtHand,
    };
    if tried != Tried::Answered {
        forget_cursor(database, &operation);
    }
    tried
}

fn attempt(database: &Database, operation: &Operation<'_>) -> Result<Attempt<Option<Answer>>> {
    effort::within(STEPS_MAX, || {
        without_waiting(|| guarded(|| execute(database, operation, &mut Snapshots::default())))
    })
}

/// Makes the operation one that is soon done; false for one that is not tried.
fn prepare(operation: &mut Operation<'_>) -> bool {
    if operation.transaction != 0 {
        return false;
    }
    match &mut operation.verb {
        Verb::GetEntry { .. }
        | Verb::Count { .. }
        | Verb::Bulk(BulkVerb::GetKey { .. } | BulkVerb::GetStamped { .. } | BulkVerb::GetTimeLeft { .. })
        | Verb::Query(QueryVerb::Count(_))
        | Verb::Series(SeriesVerb::Latest(..)) => true,
        Verb::OpenCursor { size, scan, .. } => {
            *size = cut(*size, if scan.index.is_none() { ROWS_MAX } else { LEADING_ROWS_MAX });
            true
        }
        Verb::Keyspace(verb) => keyspace::prepare_for_call(verb, |size| cut(size, ROWS_MAX)),
        Verb::Query(QueryVerb::Open { size, .. })
        | Verb::Series(SeriesVerb::Range { size, .. } | SeriesVerb::Windows { size, .. }) => {
            *size = cut(*size, LEADING_ROWS_MAX);
            true
        }
        _ => false,
    }
}

fn cut(PageSize { rows, bytes, is_all }: PageSize, rows_max: u32) -> PageSize {
    PageSize { rows: rows.min(rows_max), bytes: bytes.min(BYTES_MAX), is_all: is_all && rows <= rows_max }
}

/// Lets go of the cursor that the operation has opened, if any.
fn forget_cursor(database: &Database, operation: &Operation<'_>) {
    match &operation.verb {
        Verb::OpenCursor { cursor, .. }
        | Verb::Query(QueryVerb::Open { cursor, .. })
        | Verb::Series(SeriesVerb::Range { cursor, .. } | SeriesVerb::Windows { cursor, .. }) => {
            database.forget_cursor(*cursor);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::packing::put_bytes;
    use super::super::pool::Pool;
    use super::*;
    use crate::config::Config;
    use crate::jsondb::{Document, Format, StoreOptions};

    const ROOM: usize = 128 << 10;

    /// A database with so many documents of so many bytes.
    fn database(documents: i64, bytes: usize) -> Database {
        let (pool, long_work_pool) = (Arc::new(Pool::new()), Arc::new(Pool::new()));
        let database = Database::new(Config::in_memory(), Arc::default(), pool, long_work_pool);
        database.open(None).unwrap();
        let json = database.json().unwrap();
        json.create_object_store("s", StoreOptions { key_path: None, auto_increment: false }).unwrap();
        json.update(&["s"], None, |transaction| {
            for key in 0..documents {
                let document = Document { format: Format::Raw, bytes: vec![b'x'; bytes] };
                transaction.put("s", Some(key.into()), document)?;
            }
            Ok(())
        })
        .unwrap();
        database
    }

    fn operation(verb: u8, transaction: u8) -> Vec<u8> {
        vec![verb, 0, 0, 0, 0, transaction, 0, 0, 0]
    }

    /// A count of all that is below some key that nothing has, which is walked.
    fn count() -> Vec<u8> {
        let mut run = operation(9, 0);
        put_bytes(&mut run, b"s");
        run.extend(u32::MAX.to_le_bytes());
        run.push(4);
        put_bytes(&mut run, crate::jsondb::Key::from(1_000_000).as_bytes());
        run
    }

    /// Opens cursor 7 over everything.
    fn open_cursor(rows: u32, bytes: u32) -> Vec<u8> {
        let mut run = operation(10, 0);
        run.extend(7u32.to_le_bytes());
        put_bytes(&mut run, b"s");
        run.extend(u32::MAX.to_le_bytes());
        run.extend([0, 0]);
        run.extend(0u64.to_le_bytes());
        run.push(2);
        run.extend(rows.to_le_bytes());
        run.extend(bytes.to_le_bytes());
        run
    }

    fn u32_at(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(*bytes[at..].first_chunk().unwrap())
    }

    fn is_kept(database: &Database) -> bool {
        database.read_cursor(7, PageSize { rows: 1, bytes: 1, is_all: false }).is_ok()
    }

    #[test]
    fn a_small_read_is_answered_with_the_steps_that_it_took() {
        let mut answers = Answers::default();

        assert_eq!(answer(&database(100, 10), &count(), &mut answers, ROOM), Tried::Answered);

        let packed = answers.as_slice();
        assert!((90..=120).contains(&u32_at(packed, 0)), "{} steps for 100 rows", u32_at(packed, 0));
        assert_eq!(packed[4..], [&[4, 8, 0, 0, 0][..], &100f64.to_le_bytes()].concat());
    }

    #[test]
    fn a_read_of_more_rows_or_more_bytes_than_there_are_steps_for_is_not_answered() {
        for (documents, bytes) in [(STEPS_MAX + 100, 10), (100, 10_000)] {
            let mut answers = Answers::default();
            let database = database(documents, bytes);
            assert_eq!(
                answer(&database, &count(), &mut answers, ROOM),
                Tried::TooMuch,
                "{documents} of {bytes}"
            );
            assert_eq!(answers.len(), 0);
        }
    }

    #[test]
    fn a_page_is_cut_to_what_is_soon_read_and_goes_on() {
        let database = database(5_000, 10);
        let mut answers = Answers::default();

        let tried = answer(&database, &open_cursor(u32::MAX, u32::MAX), &mut answers, ROOM);

        assert_eq!(tried, Tried::Answered);
        let packed = answers.as_slice();
        assert_eq!((packed[4], packed[9], u32_at(packed, 10)), (5, 1, ROWS_MAX));
        assert!(is_kept(&database));
    }

    #[test]
    fn a_page_with_all_the_rows_that_were_asked_for_leaves_no_cursor() {
        let database = database(5_000, 10);
        let mut answers = Answers::default();
        assert_eq!(answer(&database, &open_cursor(100, u32::MAX), &mut answers, ROOM), Tried::Answered);
        assert_eq!((answers.as_slice()[9], u32_at(answers.as_slice(), 10)), (0, 100));
        assert!(!is_kept(&database));
    }

    #[test]
    fn an_answer_without_room_leaves_no_cursor() {
        let database = database(5_000, 10);
        let mut answers = Answers::default();
        assert_eq!(answer(&database, &open_cursor(u32::MAX, u32::MAX), &mut answers, 50), Tried::TooMuch);
        assert!(!is_kept(&database));
    }

    #[test]
    fn writes_reads_in_transactions_and_what_fails_are_not_answered() {
        let database = database(1, 1);
        let mut clear = operation(8, 0);
        put_bytes(&mut clear, b"s");
        let mut in_transaction = count();
        in_transaction[5] = 1;
        let mut elsewhere = count();
        elsewhere[13] = b'?';
        let two = [count(), count()].concat();
        for run in [clear, in_transaction, elsewhere, two, count()[..20].to_vec(), Vec::new()] {
            let mut answers = Answers::default();
            assert_eq!(answer(&database, &run, &mut answers, ROOM), Tried::NotAtHand, "{run:?}");
            assert_eq!(answers.len(), 0);
        }
        assert_eq!(answer(&database, &count(), &mut Answers::default(), ROOM), Tried::Answered);
    }
}
