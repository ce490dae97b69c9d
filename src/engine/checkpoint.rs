//! A copy of the database at one moment, made while writing goes on.
//!
//! The tables of a version hold everything up to some commit, since memtables are flushed oldest first. So a
//! manifest over links to them and to their value files is a database, without a log. The version is held until the last link is made: no
//! compaction removes a table of it.
//!
//! Invariant: CURRENT comes last, when all that it leads to is durable. Whatever is cut short before is no database.
#![forbid(unsafe_code)]

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::destroy::remove_database;
use super::shared::{Shared, whole_of};
use super::upkeep::{GoOn, always};
use crate::error::{Code, Error, Result};
use crate::fs::FileSystem;
use crate::version::{FileKind, Manifest, Version, VersionEdit, lock_path, parse, table_path, values_path};

impl Shared {
    /// Makes `dir` a database that holds what the tables do now, for as long as `go_on` lets it.
    pub(crate) fn checkpoint(&self, dir: &Path, go_on: GoOn<'_>) -> Result<()> {
        let fs = self.fs.as_ref();
        fs.create_dir_all(dir)?;
        check_target(fs, dir)?;
        // Against another checkpoint to the same place, and against whoever opens it before it is whole.
        let lock = fs.lock(&lock_path(dir))?;
        check_empty_but_lock(fs, dir)?;
        let version = Arc::clone(&self.view().version);
        let written = self.write_checkpoint(dir, &version, go_on);
        if written.is_err() {
            // What can't be removed now has no CURRENT, or a CURRENT that leads to a whole copy.
            let _ = remove_database(dir, fs, &always);
        }
        drop(lock);
        if written.is_err() {
            let _ = fs.remove(&lock_path(dir));
        }
        written
    }

    fn write_checkpoint(&self, dir: &Path, version: &Version, go_on: GoOn<'_>) -> Result<()> {
        let fs = self.fs.as_ref();
        // Read behind the version, so that no entry of its tables has a higher one.
        let last_seqno = self.snapshots.visible();
        for (_, table) in version.tables() {
            self.check_open()?;
            go_on()?;
            let number = table.meta().number;
            fs.hard_link(&table_path(&self.dir, number), &table_path(dir, number))?;
        }
        for (file, _) in version.values().files() {
            self.check_open()?;
            go_on()?;
            let number = file.meta().number;
            fs.hard_link(&values_path(&self.dir, number), &values_path(dir, number))?;
        }
        let number = self.next_number();
        let next_file_number = number + 1;
        let whole = VersionEdit {
            // The log is yet to come.
            log_number: Some(next_file_number),
            next_file_number: Some(next_file_number),
            last_seqno: Some(last_seqno),
            ..whole_of(version)
        };
        // Syncs the directory, and with it the names of the tables, before it writes CURRENT.
        Manifest::create(fs, dir, number, &whole)?;
        Ok(())
    }
}

/// Checks that `dir` is missing or empty.
pub(crate) fn check_target(fs: &dyn FileSystem, dir: &Path) -> Result<()> {
    if !fs.exists(dir)? {
        return Ok(());
    }
    let names = fs.list(dir).map_err(|error| match error.io_cause().map(std::io::Error::kind) {
        Some(ErrorKind::NotADirectory) => occupied(dir, "it is not a directory"),
        _ => error,
    })?;
    match names.first() {
        None => Ok(()),
        Some(name) => Err(occupied(dir, &format!("it holds {name}"))),
    }
}

fn check_empty_but_lock(fs: &dyn FileSystem, dir: &Path) -> Result<()> {
    match fs.list(dir)?.iter().find(|name| parse(name) != Some(FileKind::Lock)) {
        None => Ok(()),
        Some(name) => Err(occupied(dir, &format!("it holds {name}"))),
    }
}

fn occupied(dir: &Path, why: &str) -> Error {
    let message =
        format!("a checkpoint can't be made in {}: {why}; name an empty or new directory", dir.display());
    Error::new(Code::InvalidArgument, message)
}
