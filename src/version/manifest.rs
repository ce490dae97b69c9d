//! The manifest: the log of version edits, and CURRENT, which names the manifest that counts.
//!
//! Invariant: CURRENT always names a manifest whose first edit, a snapshot of everything, is durable. Both change
//! by write, sync, rename, directory sync, so a crash leaves the old state or the new one. Every edit is synced
//! before the next is written, so only the last one can be torn; damage before it is `Corruption`.
//! The byte layouts stand in docs/format/log.md.
#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::Arc;

pub(crate) use super::edit::{CleanEnd, TableMeta, VersionEdit};
use super::file_name::{FileKind, current_path, manifest_path, parse};
use crate::error::{Code, Error, Result};
use crate::fs::{File, FileSystem};
use crate::wal::{HeaderState, LogKind, LogReader, LogWriter, SegmentHeader, Tail};

/// More than any CURRENT that we write; a longer file is not read.
const CURRENT_BYTES_MAX: usize = 64;

/// The manifest that counts, open for more edits.
pub(crate) struct Manifest {
    log: LogWriter,
    file: Arc<dyn File>,
    failure: Option<Error>,
}

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ManifestState {
    /// At least one: the snapshot that the manifest began with, then what changed.
    pub(crate) edits: Vec<VersionEdit>,
    /// The manifest's own number.
    pub(crate) number: u64,
    /// Whether a torn edit was cut from its end.
    pub(crate) torn: bool,
}

impl Manifest {
    /// Writes manifest `number`, which begins with `snapshot`, and makes it the one that counts: when this
    /// returns, both it and CURRENT are durable. The number must be new, after a failure too.
    ///
    /// # Errors
    ///
    /// `Io`; then CURRENT names the manifest of before, or this one: both say the same.
    pub(crate) fn create(
        fs: &dyn FileSystem,
        dir: &Path,
        number: u64,
        snapshot: &VersionEdit,
    ) -> Result<Self> {
        let header = SegmentHeader { kind: LogKind::Manifest, number, previous: None, first_seqno: 1 };
        let log = LogWriter::create(fs, &manifest_path(dir, number), header)?;
        let file = log.sync_handle();
        let mut manifest = Self { log, file, failure: None };
        manifest.append(snapshot)?;
        set_current(fs, dir, number)?;
        Ok(manifest)
    }

    /// Makes `edit` durable.
    ///
    /// # Errors
    ///
    /// `Io`; then whether the edit is in the file is not known, and every later call gives `Poisoned`. A new
    /// manifest with a snapshot of the version that is in force settles it.
    pub(crate) fn append(&mut self, edit: &VersionEdit) -> Result<()> {
        if let Some(failure) = &self.failure {
            let message = format!("{}: an earlier edit failed", self.file.path().display());
            return Err(failure.wrap(Code::Poisoned, message));
        }
        let written = self.write(edit);
        if let Err(error) = &written {
            self.failure = Some(error.clone());
        }
        written
    }

    fn write(&mut self, edit: &VersionEdit) -> Result<()> {
        let index = self.log.next_seqno();
        self.log.append(index, index - 1, 1, &edit.encode())?;
        self.file.sync()
    }

    /// The number of the manifest's file.
    pub(crate) fn number(&self) -> u64 {
        self.log.number()
    }

    /// The size of the manifest, for the decision to begin a new one.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.log.end_offset()
    }

    /// Reads the manifest that counts, or `None` where `dir` holds no database: nothing of ours, or what a crash
    /// during the first [`create`](Self::create) left. Those leftovers have spent their numbers; a new database
    /// starts above them and may remove them.
    ///
    /// # Errors
    ///
    /// `Corruption` where CURRENT or the manifest is damaged or missing while the rest of a database is there;
    /// `Version` where a newer FlowDB wrote it.
    pub(crate) fn read(fs: &dyn FileSystem, dir: &Path) -> Result<Option<ManifestState>> {
        if !fs.exists(&current_path(dir))? {
            check_without_current(fs, dir)?;
            return Ok(None);
        }
        let number = read_current(fs, dir)?;
        let path = manifest_path(dir, number);
        if !fs.exists(&path)? {
            return Err(Error::corruption(&path, "CURRENT names this manifest, but it is missing"));
        }
        let state = read_manifest(fs, dir, number)?;
        match state.filter(|state| !state.edits.is_empty()) {
            Some(state) => Ok(Some(state)),
            None => Err(Error::corruption(&path, "CURRENT names this manifest, but it has no whole edit")),
        }
    }
}

/// Reads manifest `number`; `None` where its creation did not get as far as its header.
fn read_manifest(fs: &dyn FileSystem, dir: &Path, number: u64) -> Result<Option<ManifestState>> {
    let path = manifest_path(dir, number);
    let mut log = match LogReader::open(fs, &path, LogKind::Manifest, number, None)? {
        HeaderState::Torn => return Ok(None),
        HeaderState::Whole(log) => log,
    };
    let mut edits = Vec::new();
    while let Some(record) = log.next()? {
        edits.push(VersionEdit::decode(record.body, &path)?);
    }
    let torn = log.finish()? != Tail::Clean;
    Ok(Some(ManifestState { edits, number, torn }))
}

/// Checks that a directory without CURRENT holds nothing but what a crash during creation leaves: manifests of
/// at most one edit, the snapshot of an empty database, since CURRENT comes next and logs and tables after it.
fn check_without_current(fs: &dyn FileSystem, dir: &Path) -> Result<()> {
    for name in fs.list(dir)? {
        let is_leftover = match parse(&name) {
            Some(FileKind::Log(_) | FileKind::Table(_)) => false,
            Some(FileKind::Manifest(number)) => {
                read_manifest(fs, dir, number)?.is_none_or(|state| says_nothing(&state.edits))
            }
            _ => true,
        };
        if !is_leftover {
            let what = format!("CURRENT is missing, but {name} says that there was a database");
            return Err(Error::corruption(&current_path(dir), what));
        }
    }
    Ok(())
}

/// Whether the edits are at most the snapshot of a database that has just been created.
fn says_nothing(edits: &[VersionEdit]) -> bool {
    edits.len() <= 1
        && edits.iter().all(|edit| {
            edit.added.is_empty() && edit.clean_end.is_none() && edit.last_seqno.is_none_or(|last| last == 0)
        })
}

/// Makes manifest `number` the one that counts.
fn set_current(fs: &dyn FileSystem, dir: &Path, number: u64) -> Result<()> {
    let temporary = FileKind::CurrentTemporary.path(dir);
    if fs.exists(&temporary)? {
        fs.remove(&temporary)?;
    }
    let file = fs.create(&temporary)?;
    file.append(current_content(number).as_bytes())?;
    file.sync()?;
    drop(file);
    fs.rename(&temporary, &current_path(dir))?;
    fs.sync_dir(dir)
}

/// The manifest's name on a line, then the checksum of that line, in eight hexadecimal digits, on another.
fn current_content(number: u64) -> String {
    let line = format!("{}\n", FileKind::Manifest(number).name());
    let crc = crc32fast::hash(line.as_bytes());
    format!("{line}{crc:08x}\n")
}

fn read_current(fs: &dyn FileSystem, dir: &Path) -> Result<u64> {
    let path = current_path(dir);
    let file = fs.open(&path)?;
    let mut buffer = [0; CURRENT_BYTES_MAX];
    let len = file.read_at(0, &mut buffer)?;
    parse_current(&buffer[..len])
        .ok_or_else(|| Error::corruption(&path, "not a manifest's name and checksum"))
}

/// The number of the manifest that `bytes` name. The only content that passes is the one that we would write.
fn parse_current(bytes: &[u8]) -> Option<u64> {
    let content = std::str::from_utf8(bytes).ok()?;
    let (name, _) = content.split_once('\n')?;
    let Some(FileKind::Manifest(number)) = parse(name) else { return None };
    (content == current_content(number)).then_some(number)
}
