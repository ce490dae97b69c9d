//! The numbers of structures: each is given once, also after a crash.
//!
//! They are given from memory, out of blocks that a small commit of its own reserves. The log has that commit before
//! anything that uses a number of its block, so a database that lost it lost those, too. What was not used of a block when
//! the database was closed is left out. A repair of damaged files may have lost the row that says what is reserved, or have
//! found an older one; so what is in use is looked at, too. So nobody who makes a structure waits for another, and none of them conflict.
#![forbid(unsafe_code)]

use super::header::id_in;
use super::rows::{IDS_MAX, META_KEY, damaged, id_of, names, rows_of_any};
use crate::coding::{put_varint, take_varint};
use crate::config::SyncMode;
use crate::engine::{CommitOptions, Direction, Engine, Scan, ScanRange, WriteBatch};
use crate::error::{Code, Error, Result};
use crate::fs::nowait;
use crate::jsondb::RowRange;
use crate::sync::Mutex;

/// So many numbers are reserved at a time.
const BLOCK: u64 = 1 << 16;

/// The version of the rows that this build writes.
const ROWS_VERSION: u64 = 1;

const FIRST_ID: u64 = 1;

/// What all handles of one database share.
#[derive(Default)]
pub(super) struct Ids(Mutex<Option<Block>>);

/// The numbers that are reserved and not given.
#[derive(Clone, Copy)]
struct Block {
    next: u64,
    end: u64,
}

impl Ids {
    /// Reads the row that says which number comes next, unless that was done before.
    ///
    /// # Errors
    ///
    /// `Version` for rows of a newer format, `Corruption`, `Io`, `Closed`.
    pub(super) fn load(&self, engine: &Engine) -> Result<()> {
        loaded(&mut self.0.lock(), engine).map(drop)
    }

    /// A number that nobody has or had.
    ///
    /// # Errors
    ///
    /// `Busy` in a thread that must not wait, where a block would have to be reserved; what a commit gives.
    pub(super) fn next(&self, engine: &Engine) -> Result<u64> {
        let mut block = self.0.lock();
        let block = loaded(&mut block, engine)?;
        if block.next == block.end {
            reserve(block, engine)?;
        }
        block.next += 1;
        Ok(block.next - 1)
    }
}

fn loaded<'a>(block: &'a mut Option<Block>, engine: &Engine) -> Result<&'a mut Block> {
    if block.is_none() {
        let next = first_free(engine)?;
        *block = Some(Block { next, end: next });
    }
    Ok(block.as_mut().expect("it was put there just now"))
}

/// A number from which on none was given.
fn first_free(engine: &Engine) -> Result<u64> {
    let listed = engine.get(META_KEY, None)?.map(|meta| decode_meta(&meta.bytes)).transpose()?;
    let mut highest = 0;
    for range in rows_of_any() {
        let mut rows = scan(engine, range, Direction::Reverse)?;
        if rows.advance()? {
            highest = highest.max(id_of(rows.key()).unwrap_or(0));
        }
    }
    match listed {
        Some(listed) if highest < listed => Ok(listed),
        // Structures of which only the header is left have no rows that would say their number.
        _ => Ok(highest_named(engine)?.max(highest) + 1),
    }
}

/// The highest number that a header or an expiry row names.
fn highest_named(engine: &Engine) -> Result<u64> {
    let mut rows = scan(engine, names(), Direction::Forward)?;
    let mut highest = 0;
    while rows.advance()? {
        highest = highest.max(id_in(rows.value()).unwrap_or(0));
    }
    Ok(highest)
}

fn scan(engine: &Engine, range: RowRange, direction: Direction) -> Result<Scan> {
    engine.scan(ScanRange::between(range.start, range.end), direction, None)
}

fn reserve(block: &mut Block, engine: &Engine) -> Result<()> {
    if !nowait::may_wait() {
        return Err(nowait::refusal(&engine.config().data_dir));
    }
    let end = block.end + BLOCK;
    if end > IDS_MAX {
        return Err(Error::new(Code::InvalidArgument, "a database has had all the structures that it takes"));
    }
    let mut batch = WriteBatch::new();
    batch.put(META_KEY, &encode_meta(end))?;
    // Whoever uses a number of the block asks for a sync where he wants one, and that has this in it.
    let options = CommitOptions { sync: Some(SyncMode::Never), check: None };
    engine.commit(batch, options)?;
    block.end = end;
    Ok(())
}

fn encode_meta(next: u64) -> Vec<u8> {
    let mut value = Vec::new();
    put_varint(&mut value, ROWS_VERSION);
    put_varint(&mut value, next);
    value
}

fn decode_meta(mut value: &[u8]) -> Result<u64> {
    match take_varint(&mut value) {
        Some(ROWS_VERSION) => {}
        Some(version) if version > ROWS_VERSION => {
            let message = format!(
                "the structures are in format {version}, this build reads up to {ROWS_VERSION}: use a newer one"
            );
            return Err(Error::new(Code::Version, message));
        }
        _ => return Err(damaged(META_KEY, "its format version is not one")),
    }
    match take_varint(&mut value) {
        Some(next) if value.is_empty() && (FIRST_ID..=IDS_MAX).contains(&next) => Ok(next),
        _ => Err(damaged(META_KEY, "it does not hold a number")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Type;
    use super::super::header::Header;
    use super::super::rows::{expiry_key, header_key, member_key, place_key};
    use super::*;
    use crate::config::Config;
    use crate::fs::nowait::without_waiting;
    use crate::fs::{CrashOutcome, SimFs};

    fn open(disk: &SimFs) -> Engine {
        Engine::open_on(Config { auto_background: false, ..Config::new("/db") }, Arc::new(disk.clone()))
            .unwrap()
    }

    /// Puts a row under the number, as a structure would have it, durably.
    fn used(engine: &Engine, id: u64) {
        let mut batch = WriteBatch::new();
        batch.put(&id.to_be_bytes(), b"").unwrap();
        engine.commit(batch, CommitOptions { sync: Some(SyncMode::Always), check: None }).unwrap();
    }

    #[test]
    fn no_number_is_given_twice_after_a_crash() {
        let disk = SimFs::new();
        let engine = open(&disk);
        let ids = Ids::default();
        let last = (0..3).map(|_| ids.next(&engine).unwrap()).max().unwrap();
        used(&engine, last);

        let engine = open(&disk.after_crash(CrashOutcome::LoseUnsynced));

        assert!(engine.get(&last.to_be_bytes(), None).unwrap().is_some());
        assert_eq!(last, 3);
        assert!(Ids::default().next(&engine).unwrap() > last);
    }

    /// As after a repair, which has lost the row with what was reserved, or found an older one.
    #[test]
    fn a_number_that_is_in_use_is_not_given_whatever_the_row_says() {
        let header = Header { count: 1, ..Header::empty(Type::Set, 900) };
        let in_use = [
            (member_key(900, b"m"), Vec::new()),
            (place_key(900, 7), Vec::new()),
            (header_key(3, b"k"), header.encode()),
            (expiry_key(5, 3, b"k"), header.encode_expiry()),
        ];
        for (at, (row, value)) in in_use.into_iter().enumerate() {
            let engine = Engine::open(Config::in_memory()).unwrap();
            let mut batch = WriteBatch::new();
            batch.put(&row, &value).unwrap();
            if at < 2 {
                batch.put(META_KEY, &encode_meta(5)).unwrap();
            }
            engine.commit(batch, CommitOptions::default()).unwrap();
            assert_eq!(Ids::default().next(&engine).unwrap(), 901, "case {at}");
        }
    }

    #[test]
    fn a_block_that_is_used_up_is_followed_by_another() {
        let engine = Engine::open(Config::in_memory()).unwrap();
        let ids = Ids::default();
        let given: Vec<u64> = (0..BLOCK + 2).map(|_| ids.next(&engine).unwrap()).collect();

        assert!(given.is_sorted_by(|a, b| a < b));
        assert_eq!(Ids::default().next(&engine).unwrap(), FIRST_ID + 2 * BLOCK);
    }

    #[test]
    fn a_thread_that_must_not_wait_reserves_nothing() {
        let engine = Engine::open(Config::in_memory()).unwrap();
        let ids = Ids::default();

        assert_eq!(without_waiting(|| ids.next(&engine)).unwrap(), None);
        assert_eq!(engine.get(META_KEY, None).unwrap(), None);
        ids.next(&engine).unwrap();
        assert_eq!(without_waiting(|| ids.next(&engine)).unwrap(), Some(FIRST_ID + 1));
    }

    #[test]
    fn rows_of_a_newer_version_and_damaged_ones_are_refused() {
        for (value, code) in [
            (&[2u8, 9][..], Code::Version),
            (&[0, 9], Code::Corruption),
            (&[1, 0], Code::Corruption),
            (&[1, 9, 9], Code::Corruption),
            (&[1], Code::Corruption),
        ] {
            let engine = Engine::open(Config::in_memory()).unwrap();
            let mut batch = WriteBatch::new();
            batch.put(META_KEY, value).unwrap();
            engine.commit(batch, CommitOptions::default()).unwrap();
            assert_eq!(Ids::default().load(&engine).unwrap_err().code(), code, "{value:?}");
        }
    }
}
