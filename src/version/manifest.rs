//! The manifest: the log of version edits, and CURRENT, which names the manifest that counts.
//!
//! Invariant: CURRENT always names a manifest whose first edit, a snapshot of everything, is durable. Both change
//! by write, sync, rename, directory sync, so a crash leaves the old state or the new one. Every edit is synced
//! before the next is written, so only the last one can be torn; damage before it is `Corruption`.
//! The byte layouts stand in docs/format/log.md.
#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::Arc;

use super::edit::VersionEdit;
use super::file_name::{FileKind, current_path, manifest_path, parse};
use super::foreign;
use crate::error::{Code, Error, Result};
use crate::fs::{File, FileSystem};
use crate::wal::{HeaderState, LogKind, LogReader, LogSalvage, LogWriter, SegmentHeader, Tail};

/// More than any CURRENT that we write; a longer file is not read.
const CURRENT_BYTES_MAX: usize = 64;

/// The manifest that counts, open for more edits.
pub(crate) struct Manifest {
    log: LogWriter,
    file: Arc<dyn File>,
    failure: Option<Error>,
}

/// What was cut from a manifest to read the rest.
#[derive(Debug, Clone)]
pub(crate) struct ManifestLoss {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    pub(crate) reason: Error,
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
    /// `Version` where a newer FlowDB wrote it; `Unsupported` where LevelDB did.
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
        let state = read_manifest(fs, dir, number, &mut None)?;
        match state.filter(|state| !state.edits.is_empty()) {
            Some(state) => Ok(Some(state)),
            None => Err(Error::corruption(&path, "CURRENT names this manifest, but it has no whole edit")),
        }
    }

    /// Checks that the files in `dir` are not those of a database of LevelDB's, for what is about to change them.
    ///
    /// # Errors
    ///
    /// `Unsupported`; `Io`.
    pub(crate) fn check_not_foreign(fs: &dyn FileSystem, dir: &Path) -> Result<()> {
        let current = if fs.exists(&current_path(dir))? { current_bytes(fs, dir)? } else { Vec::new() };
        if parse_current(&current).is_some() { Ok(()) } else { foreign::check_current(fs, dir, &current) }
    }

    /// As [`read`](Self::read), but what lies behind the first damaged edit is left out, and told.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), but for that.
    pub(crate) fn salvage(fs: &dyn FileSystem, dir: &Path) -> Result<(ManifestState, Option<ManifestLoss>)> {
        let number = read_current(fs, dir)?;
        let path = manifest_path(dir, number);
        let mut loss = Some(None);
        let state = read_manifest(fs, dir, number, &mut loss)?;
        match state.filter(|state| !state.edits.is_empty()) {
            Some(state) => Ok((state, loss.flatten())),
            None => Err(Error::corruption(&path, "CURRENT names this manifest, but it has no whole edit")),
        }
    }
}

/// What can be known of the tables of a damaged database.
pub(crate) struct Known {
    pub(crate) edits: Vec<VersionEdit>,
    /// Whether these are all edits that there were, for sure.
    pub(crate) is_whole: bool,
}

impl Manifest {
    /// What the manifest that CURRENT names says, or the newest one that says anything, up to where it is damaged; `None`
    /// where none does.
    ///
    /// # Errors
    ///
    /// `Io`, `Version` where a newer FlowDB wrote a manifest, and `Unsupported` where LevelDB wrote CURRENT.
    pub(crate) fn known(fs: &dyn FileSystem, dir: &Path) -> Result<Option<Known>> {
        let named = match fs.exists(&current_path(dir))? {
            true => but_damaged(read_current(fs, dir))?,
            false => None,
        };
        let mut numbers: Vec<u64> = fs.list(dir)?.iter().filter_map(|name| manifest_number(name)).collect();
        // Older ones than the one named were replaced by it.
        numbers.retain(|&number| number >= named.unwrap_or(0));
        numbers.sort_unstable_by_key(|&number| (Some(number) != named, std::cmp::Reverse(number)));
        let mut is_newest = true;
        for number in numbers {
            let whole = but_damaged(read_manifest(fs, dir, number, &mut None))?.flatten();
            if let Some(state) = whole.filter(|state| !state.edits.is_empty()) {
                return Ok(Some(Known { edits: state.edits, is_whole: is_newest && !state.torn }));
            }
            let edits = first_edits(fs, &manifest_path(dir, number), number)?;
            if !edits.is_empty() {
                return Ok(Some(Known { edits, is_whole: false }));
            }
            is_newest = false;
        }
        Ok(None)
    }
}

fn manifest_number(name: &str) -> Option<u64> {
    match parse(name)? {
        FileKind::Manifest(number) => Some(number),
        _ => None,
    }
}

/// `None` for damage; other errors stay what they are.
fn but_damaged<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.code() == Code::Corruption => Ok(None),
        Err(error) => Err(error),
    }
}

/// The edits before the first damage. The first edit is all that there was, and each later one needs those before it.
fn first_edits(fs: &dyn FileSystem, path: &Path, number: u64) -> Result<Vec<VersionEdit>> {
    let mut log = LogSalvage::open(fs, path, LogKind::Manifest, number, None)?;
    let mut edits = Vec::new();
    while let Some(record) = log.next()? {
        let is_next = record.first_seqno == edits.len() as u64 + 1;
        match but_damaged(VersionEdit::decode(record.body, path))?.filter(|_| is_next) {
            Some(edit) => edits.push(edit),
            None => break,
        }
    }
    Ok(edits)
}

/// Reads manifest `number`; `None` where its creation did not get as far as its header. Where `loss` has a place for
/// one, damage ends the manifest and is noted there.
fn read_manifest(
    fs: &dyn FileSystem,
    dir: &Path,
    number: u64,
    loss: &mut Option<Option<ManifestLoss>>,
) -> Result<Option<ManifestState>> {
    let path = manifest_path(dir, number);
    let mut log = match LogReader::open(fs, &path, LogKind::Manifest, number, None)? {
        HeaderState::Torn => return Ok(None),
        HeaderState::Whole(log) => log,
    };
    let mut edits = Vec::new();
    while let Some(record) = log.next()? {
        edits.push(VersionEdit::decode(record.body, &path)?);
    }
    let torn = match (log.finish(), loss) {
        (Err(reason), Some(loss)) if reason.code() == Code::Corruption => {
            *loss = Some(ManifestLoss { offset: log.offset(), bytes: log.bytes_behind(), reason });
            true
        }
        (tail, _) => tail? != Tail::Clean,
    };
    Ok(Some(ManifestState { edits, number, torn }))
}

/// Checks that a directory without CURRENT holds nothing but what a crash during creation leaves: manifests of
/// at most one edit, the snapshot of an empty database, since CURRENT comes next and logs and tables after it.
fn check_without_current(fs: &dyn FileSystem, dir: &Path) -> Result<()> {
    for name in fs.list(dir)? {
        let is_leftover = match parse(&name) {
            Some(FileKind::Log(_) | FileKind::Table(_) | FileKind::Values(_)) => false,
            Some(FileKind::Manifest(number)) => {
                read_manifest(fs, dir, number, &mut None)?.is_none_or(|state| says_nothing(&state.edits))
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
    let content = current_bytes(fs, dir)?;
    if let Some(number) = parse_current(&content) {
        return Ok(number);
    }
    foreign::check_current(fs, dir, &content)?;
    Err(Error::corruption(&current_path(dir), "not a manifest's name and checksum"))
}

fn current_bytes(fs: &dyn FileSystem, dir: &Path) -> Result<Vec<u8>> {
    let mut buffer = vec![0; CURRENT_BYTES_MAX];
    let len = fs.open(&current_path(dir))?.read_at(0, &mut buffer)?;
    buffer.truncate(len);
    Ok(buffer)
}

/// The number of the manifest that `bytes` name. The only content that passes is the one that we would write.
fn parse_current(bytes: &[u8]) -> Option<u64> {
    let content = std::str::from_utf8(bytes).ok()?;
    let (name, _) = content.split_once('\n')?;
    let Some(FileKind::Manifest(number)) = parse(name) else { return None };
    (content == current_content(number)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::super::edit::tests::table;
    use super::super::file_name::{log_path, table_path, values_path};
    use super::*;
    use crate::fs::{CrashOutcome, Fault, SimFs};
    use crate::version::CleanEnd;
    use crate::wal::SEGMENT_HEADER_BYTES;

    fn dir() -> &'static Path {
        Path::new("/db")
    }

    fn disk() -> SimFs {
        let fs = SimFs::new();
        fs.create_dir_all(dir()).unwrap();
        fs
    }

    fn empty_database() -> VersionEdit {
        VersionEdit { next_file_number: Some(2), last_seqno: Some(0), ..VersionEdit::default() }
    }

    fn edit(number: u64) -> VersionEdit {
        VersionEdit { added: vec![(0, table(number))], log_number: Some(number), ..VersionEdit::default() }
    }

    /// A disk with manifest 1: the snapshot of an empty database, then three edits. And those four.
    fn disk_with_edits() -> (SimFs, Vec<VersionEdit>) {
        let fs = disk();
        let mut manifest = Manifest::create(&fs, dir(), 1, &empty_database()).unwrap();
        let mut edits = vec![empty_database()];
        for number in 3..6 {
            manifest.append(&edit(number)).unwrap();
            edits.push(edit(number));
        }
        assert_eq!(manifest.size_bytes(), fs.read_file("/db/MANIFEST-000001").unwrap().len() as u64);
        (fs, edits)
    }

    fn read(fs: &SimFs) -> Result<Option<ManifestState>> {
        Manifest::read(fs, dir())
    }

    #[track_caller]
    fn assert_corruption(fs: &SimFs, context: impl std::fmt::Display) {
        match read(fs) {
            Err(error) => assert_eq!(error.code(), Code::Corruption, "{context}"),
            Ok(state) => panic!("{context}: {state:?}"),
        }
    }

    /// All ways in which a test machine goes down.
    fn outcomes() -> impl Iterator<Item = CrashOutcome> {
        let sure = [CrashOutcome::ProcessOnly, CrashOutcome::LoseUnsynced, CrashOutcome::KeepUnsynced];
        let seeds = match std::env::var("FLOWDB_SEED") {
            Ok(seed) => {
                let seed = seed.parse().expect("FLOWDB_SEED is a number");
                seed..seed + 1
            }
            Err(_) => 0..40,
        };
        sure.into_iter().chain(seeds.map(CrashOutcome::Random))
    }

    /// Runs `work` with a crash in each of its operations, and gives `check` whether it finished and what is left.
    fn crash_everywhere(
        before: &SimFs,
        work: impl Fn(&SimFs) -> bool,
        mut check: impl FnMut(bool, SimFs, &str),
    ) {
        for outcome in outcomes() {
            for crash_after in 0.. {
                let fs = before.deep_copy();
                fs.crash_at(fs.operations() + crash_after);
                let finished = work(&fs);
                check(finished, fs.after_crash(outcome), &format!("{outcome:?}, crash after {crash_after}"));
                if finished {
                    break;
                }
            }
        }
    }

    #[test]
    fn edits_come_back_in_order() {
        let (fs, edits) = disk_with_edits();

        assert_eq!(read(&fs).unwrap(), Some(ManifestState { edits, number: 1, torn: false }));
    }

    #[test]
    fn the_newest_manifest_counts() {
        let (fs, _) = disk_with_edits();

        let manifest = Manifest::create(&fs, dir(), 12, &edit(5)).unwrap();

        assert_eq!(manifest.number(), 12);
        assert_eq!(read(&fs).unwrap(), Some(ManifestState { edits: vec![edit(5)], number: 12, torn: false }));
    }

    #[test]
    fn a_directory_without_anything_of_ours_holds_no_database() {
        let fs = disk();
        assert_eq!(read(&fs).unwrap(), None);
        for name in ["LOCK", "CURRENT.tmp", "notes.txt", "MANIFEST", "1.wal", "000001.log"] {
            fs.write_file(dir().join(name), b"anything");
        }

        assert_eq!(read(&fs).unwrap(), None);
    }

    #[test]
    fn a_database_without_current_is_corruption() {
        for path in [log_path(dir(), 2), table_path(dir(), 3), values_path(dir(), 4)] {
            let fs = disk();
            fs.write_file(&path, b"");
            assert_corruption(&fs, path.display());
        }
        let snapshots = [
            edit(3),
            VersionEdit { last_seqno: Some(1), ..VersionEdit::default() },
            VersionEdit {
                clean_end: Some(CleanEnd { log_number: 2, end_offset: 52, last_seqno: 0 }),
                ..VersionEdit::default()
            },
        ];
        for snapshot in snapshots {
            let fs = disk();
            Manifest::create(&fs, dir(), 1, &snapshot).unwrap();
            fs.remove(&current_path(dir())).unwrap();
            assert_corruption(&fs, format!("{snapshot:?}"));
        }
        let fs = disk();
        Manifest::create(&fs, dir(), 1, &empty_database()).unwrap().append(&VersionEdit::default()).unwrap();
        fs.remove(&current_path(dir())).unwrap();
        assert_corruption(&fs, "a manifest with more than its snapshot");
    }

    #[test]
    fn a_current_that_is_changed_in_any_bit_or_cut_is_corruption() {
        let (fs, _) = disk_with_edits();
        let path = current_path(dir());
        let content = fs.read_file(&path).unwrap();
        for at in 0..content.len() {
            fs.write_file(&path, &content[..at]);
            assert_corruption(&fs, format!("cut at {at}"));
            for bit in 0..8 {
                let mut changed = content.clone();
                changed[at] ^= 1 << bit;
                fs.write_file(&path, &changed);
                assert_corruption(&fs, format!("byte {at}, bit {bit}"));
            }
        }
        for more in [1, 1_000] {
            fs.write_file(&path, &[&content[..], &vec![b'\n'; more]].concat());
            assert_corruption(&fs, format!("{more} bytes more"));
        }
    }

    #[test]
    fn a_manifest_that_current_names_and_that_is_missing_or_empty_is_corruption() {
        let (fs, _) = disk_with_edits();
        let path = manifest_path(dir(), 1);
        let bytes = fs.read_file(&path).unwrap();
        for len in 0..=SEGMENT_HEADER_BYTES + 5 {
            fs.write_file(&path, &bytes[..len]);
            assert_corruption(&fs, format!("cut at {len}"));
        }
        fs.remove(&path).unwrap();
        assert_corruption(&fs, "missing");
    }

    #[test]
    fn a_flipped_bit_costs_at_most_the_last_edit_and_else_is_corruption() {
        let (fs, edits) = disk_with_edits();
        let path = manifest_path(dir(), 1);
        let bytes = fs.read_file(&path).unwrap();
        let last_len = Manifest::create(&disk(), dir(), 1, &edit(5)).unwrap().size_bytes();
        let last_start = bytes.len() - (last_len as usize - SEGMENT_HEADER_BYTES);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                fs.write_file(&path, &changed);
                if at < last_start {
                    assert_corruption(&fs, format!("byte {at}, bit {bit}"));
                } else {
                    let state = read(&fs).unwrap().unwrap();
                    assert_eq!((&state.edits[..], state.torn), (&edits[..3], true), "byte {at}, bit {bit}");
                }
            }
        }
    }

    #[test]
    fn a_torn_edit_is_cut() {
        let (fs, edits) = disk_with_edits();
        let path = manifest_path(dir(), 1);
        let bytes = fs.read_file(&path).unwrap();
        let mut found = Vec::new();
        for len in 0..=bytes.len() {
            fs.write_file(&path, &bytes[..len]);
            let Ok(state) = read(&fs) else { continue };
            let state = state.unwrap();
            assert!(edits.starts_with(&state.edits), "cut at {len}");
            if !state.torn {
                found.push(state.edits.len());
            }
        }
        assert_eq!(found, [1, 2, 3, 4], "each edit was whole once");
    }

    #[test]
    fn a_whole_edit_that_makes_no_sense_is_not_cut() {
        for (body, code) in [(&[1u8, 0][..], Code::Corruption), (&[99], Code::Version)] {
            let (fs, _) = disk_with_edits();
            let header = SegmentHeader { kind: LogKind::Manifest, number: 9, previous: None, first_seqno: 1 };
            let mut log = LogWriter::create(&fs, &manifest_path(dir(), 9), header).unwrap();
            log.append(1, 0, 1, &empty_database().encode()).unwrap();
            log.append(2, 1, 1, body).unwrap();
            fs.write_file(current_path(dir()), current_content(9).as_bytes());

            assert_eq!(read(&fs).unwrap_err().code(), code);
        }
    }

    #[test]
    fn a_crash_during_creation_leaves_no_database_or_an_empty_one_and_never_corruption() {
        let create = |fs: &SimFs, number| Manifest::create(fs, dir(), number, &empty_database()).is_ok();
        let is_empty = |state: &ManifestState| state.edits == [empty_database()] && !state.torn;
        crash_everywhere(
            &disk(),
            |fs| create(fs, 1),
            |finished, fs, context| {
                match read(&fs).unwrap_or_else(|error| panic!("{context}: {error:?}")) {
                    Some(state) => assert!(is_empty(&state), "{context}: {state:?}"),
                    None => assert!(!finished, "{context}: a created database is gone"),
                }
                // The leftovers don't keep a later attempt, with a number of its own, from succeeding.
                assert!(create(&fs, 2), "{context}");
                let state = read(&fs).unwrap().unwrap();
                assert!(is_empty(&state) && state.number == 2, "{context}");
            },
        );
    }

    #[test]
    fn a_second_crash_during_creation_does_no_harm_either() {
        let first = disk();
        // Manifest 1 is there with its snapshot, and a CURRENT that was never renamed.
        first.fail_at(first.operations() + 8, Fault::once(std::io::ErrorKind::Other));
        assert!(Manifest::create(&first, dir(), 1, &empty_database()).is_err());
        first.heal();
        assert!(first.exists(&FileKind::CurrentTemporary.path(dir())).unwrap());
        assert!(!first.exists(&current_path(dir())).unwrap());
        let create = |fs: &SimFs| Manifest::create(fs, dir(), 2, &empty_database()).is_ok();

        crash_everywhere(&first, create, |finished, fs, context| {
            let state = read(&fs).unwrap_or_else(|error| panic!("{context}: {error:?}"));
            assert!(state.is_some() || !finished, "{context}");
        });
    }

    #[test]
    fn a_crash_during_a_change_of_manifest_leaves_the_old_one_or_the_new_one() {
        let (fs, edits) = disk_with_edits();
        let create = |fs: &SimFs| Manifest::create(fs, dir(), 7, &edit(6)).is_ok();

        crash_everywhere(&fs, create, |finished, fs, context| {
            let state = read(&fs).unwrap_or_else(|error| panic!("{context}: {error:?}")).unwrap();
            assert!(!state.torn, "{context}");
            match state.number {
                7 => assert_eq!(state.edits, [edit(6)], "{context}"),
                _ => assert!(state.edits == edits && !finished, "{context}: {state:?}"),
            }
        });
    }

    #[test]
    fn a_crash_during_an_edit_leaves_every_edit_that_was_acknowledged() {
        for outcome in outcomes() {
            for crash_after in 0..12 {
                let fs = disk();
                let mut manifest = Manifest::create(&fs, dir(), 1, &empty_database()).unwrap();
                fs.crash_at(fs.operations() + crash_after);
                let mut edits = vec![empty_database()];
                let mut acknowledged = 1;
                for number in 3..12 {
                    edits.push(edit(number));
                    if manifest.append(&edit(number)).is_err() {
                        break;
                    }
                    acknowledged += 1;
                }
                drop(manifest);

                let state = read(&fs.after_crash(outcome)).unwrap().unwrap();

                assert!(edits.starts_with(&state.edits), "{outcome:?}, {crash_after}");
                assert!(state.edits.len() >= acknowledged, "{outcome:?}, {crash_after}");
            }
        }
    }

    #[test]
    fn after_a_failed_write_or_sync_only_a_new_manifest_takes_edits() {
        for failing in [0, 1] {
            let fs = disk();
            let mut manifest = Manifest::create(&fs, dir(), 1, &empty_database()).unwrap();
            fs.fail_at(fs.operations() + failing, Fault::once(std::io::ErrorKind::StorageFull));

            assert_eq!(manifest.append(&edit(3)).unwrap_err().code(), Code::Io);

            let operations = fs.operations();
            let refused = manifest.append(&edit(3)).unwrap_err();
            assert_eq!(refused.code(), Code::Poisoned);
            assert_eq!(refused.cause().map(Error::code), Some(Code::Io));
            assert_eq!(fs.operations(), operations, "a failed sync is never tried again");
            let mut next = Manifest::create(&fs, dir(), 4, &empty_database()).unwrap();
            next.append(&edit(5)).unwrap();
            assert_eq!(read(&fs).unwrap().unwrap().edits, [empty_database(), edit(5)]);
        }
    }

    #[test]
    fn errors_of_the_disk_are_not_called_damage() {
        let (fs, _) = disk_with_edits();
        fs.fail_reads(true);

        assert_eq!(read(&fs).unwrap_err().code(), Code::Io);
    }

    /// The worked example of docs/format/log.md.
    #[test]
    fn the_format_of_current_is_frozen() {
        assert_eq!(current_content(1), "MANIFEST-000001\n90ea72be\n");
    }
}
