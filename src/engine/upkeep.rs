//! Long work that somebody asks for and waits for: compactions, verifications and checkpoints.
//!
//! Whoever waits may have to go, so each of them also comes as `…_while`: it asks between its steps whether it may go
//! on, and an error there ends it as any failure would, leaving nothing half done.
#![forbid(unsafe_code)]

use std::ops::Bound;
use std::path::Path;

use super::{Engine, checkpoint, verify};
use crate::error::{Code, Error, Result};

/// Is asked between the steps of long work; an error ends the work, which gives it on. Must be cheap, and after its first
/// error give errors only.
pub(crate) type GoOn<'a> = &'a dyn Fn() -> Result<()>;

/// Lets work go on to its end.
pub(crate) fn always() -> Result<()> {
    Ok(())
}

impl Engine {
    /// Merges all tables into one level, dropping everything that nobody can see. Takes time and disk space in
    /// proportion to the whole database; reads and writes go on meanwhile.
    ///
    /// # Errors
    ///
    /// `Io`, `Corruption`, `Poisoned`, `ReadOnly`, `Closed`, or `Aborted` where another thread closes the database meanwhile.
    pub fn compact_all(&self) -> Result<()> {
        self.compact_range(Bound::Unbounded, Bound::Unbounded)
    }

    /// As [`Engine::compact_all`], but for the tables with keys between `start` and `end` only, each as a whole.
    ///
    /// # Errors
    ///
    /// `Io`, `Corruption`, `Poisoned`, `ReadOnly`, `Closed`, or `Aborted` where another thread closes the database meanwhile.
    pub fn compact_range(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Result<()> {
        self.compact_range_while(start, end, &always)
    }

    /// As [`Engine::compact_range`], for as long as `go_on` lets it.
    pub(crate) fn compact_range_while(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        go_on: GoOn<'_>,
    ) -> Result<()> {
        self.flush()?;
        self.shared().compact_within((start, end), go_on)
    }

    /// Reads every table and value file whole and checks all that it says: checksums, order, indexes, filters and
    /// counts, and that tables and value files agree. Takes time in proportion to the database; reads and writes go on
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// `Corruption` for the first damage that is found, `Io` or `Closed`.
    pub fn verify(&self) -> Result<()> {
        self.verify_while(&always)
    }

    /// As [`Engine::verify`], for as long as `go_on` lets it.
    pub(crate) fn verify_while(&self, go_on: GoOn<'_>) -> Result<()> {
        let shared = self.shared();
        shared.check_open()?;
        verify::verify(&shared.view().version, go_on)
    }

    /// Makes `dir` a database of its own that holds what this one does at a moment during the call: at least
    /// everything that was visible when it began. Reads and writes go on meanwhile.
    ///
    /// What is in memory is flushed; the tables are then linked, so that the copy takes next to no room and time
    /// until compaction has replaced them here, or copied where `dir` is on another volume. When this returns, the
    /// copy is durable. `dir` is created where it is missing. After a failure its files are removed again; after a
    /// crash it may hold files, but never a database that is not whole.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` where `dir` is not an empty directory, `Unsupported` for a database in memory, `Locked`
    /// where somebody else is writing a database to `dir`, `Io`, `Poisoned`, `ReadOnly` or `Closed`.
    pub fn checkpoint(&self, dir: &Path) -> Result<()> {
        self.checkpoint_while(dir, &always)
    }

    /// As [`Engine::checkpoint`], for as long as `go_on` lets it.
    pub(crate) fn checkpoint_while(&self, dir: &Path, go_on: GoOn<'_>) -> Result<()> {
        if self.shared().config.in_memory {
            let message = "a database in memory has no files that a checkpoint could be made of";
            return Err(Error::new(Code::Unsupported, message));
        }
        self.shared().check_open()?;
        checkpoint::check_target(self.shared().fs.as_ref(), dir)?;
        self.flush()?;
        self.shared().checkpoint(dir, go_on)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use super::*;
    use crate::config::{Compression, Config};
    use crate::engine::{CommitOptions, WriteBatch, repair_while};
    use crate::fs::{FileSystem, SimFs};

    fn config() -> Config {
        Config {
            auto_background: false,
            // Compaction asks after so many bytes, too.
            compression: Compression::None,
            table_size_bytes: 128 << 10,
            value_threshold_bytes: 1 << 10,
            ..Config::new("/db")
        }
    }

    /// A database of several tables, and a value file.
    fn database(disk: &SimFs) -> Engine {
        let engine = Engine::open_on(config(), Arc::new(disk.clone())).unwrap();
        for key in 0..300u32 {
            let mut batch = WriteBatch::new();
            let len = if key % 50 == 0 { 2_000 } else { 900 };
            batch.put(&key.to_be_bytes(), &vec![key as u8; len]).unwrap();
            engine.commit(batch, CommitOptions::default()).unwrap();
            if key % 100 == 0 {
                engine.flush().unwrap();
            }
        }
        engine.flush().unwrap();
        engine
    }

    /// Ends `work` at its first question, its second, and so on, until it comes to its end. After each, `check` is called.
    fn end_everywhere(work: impl Fn(GoOn<'_>) -> Result<()>, check: impl Fn()) {
        let mut ended = 0;
        loop {
            let left = Cell::new(ended);
            let go_on = || match left.get() {
                0 => Err(Error::new(Code::Closed, "nobody waits any more")),
                more => {
                    left.set(more - 1);
                    Ok(())
                }
            };
            match work(&go_on) {
                Ok(()) => break,
                Err(error) => assert_eq!(error.code(), Code::Closed, "{error:?}"),
            }
            check();
            // Work that asks at every entry is not ended at each of them.
            ended += 1 + ended / 8;
        }
        assert!(ended > 2, "it asked {ended} times");
    }

    #[test]
    fn a_compaction_that_is_ended_leaves_everything_and_no_files() {
        let disk = SimFs::new();
        let engine = database(&disk);
        let files = || {
            let names = disk.list(Path::new("/db")).unwrap();
            names.into_iter().filter(|name| name.ends_with(".tbl")).collect::<Vec<_>>()
        };
        end_everywhere(
            |go_on| engine.compact_range_while(Bound::Unbounded, Bound::Unbounded, go_on),
            || {
                engine.verify().unwrap();
                let tables: u64 = engine.stats().level_tables.iter().sum();
                assert_eq!(files().len() as u64, tables);
            },
        );
        assert!(engine.get(&299u32.to_be_bytes(), None).unwrap().is_some());
    }

    #[test]
    fn a_verification_can_be_ended() {
        let engine = database(&SimFs::new());
        end_everywhere(|go_on| engine.verify_while(go_on), || {});
    }

    #[test]
    fn a_checkpoint_that_is_ended_leaves_nothing() {
        let disk = SimFs::new();
        let engine = database(&disk);
        let copy = Path::new("/copy");
        end_everywhere(
            |go_on| engine.checkpoint_while(copy, go_on),
            || assert!(disk.list(copy).unwrap().is_empty()),
        );
        let copy = Engine::open_on(Config { auto_background: false, ..Config::new(copy) }, Arc::new(disk));
        copy.unwrap().verify().unwrap();
    }

    #[test]
    fn a_repair_that_is_ended_can_be_done_again() {
        let disk = SimFs::new();
        database(&disk).close().unwrap();
        disk.remove(Path::new("/db/CURRENT")).unwrap();
        end_everywhere(
            |go_on| repair_while(&config(), Arc::new(disk.clone()), go_on).map(|_| ()),
            || assert!(!disk.exists(Path::new("/db/CURRENT")).unwrap()),
        );
        let engine = Engine::open_on(config(), Arc::new(disk)).unwrap();
        for key in 0..300u32 {
            assert!(engine.get(&key.to_be_bytes(), None).unwrap().is_some(), "key {key}");
        }
    }
}
