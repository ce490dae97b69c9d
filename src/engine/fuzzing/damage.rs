//! Any bytes as damage to the files of a database: right data or `Corruption`, and a repair that ends.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::{Entry, State, scanned, tiny_config};
use crate::coding::Choices;
use crate::config::Config;
use crate::engine::{CommitOptions, Direction, Engine, ScanRange, WriteBatch, repair_on};
use crate::error::{Code, Error, Result};
use crate::fs::SimFs;

const DAMAGES_MAX: usize = 8;

/// What a damage adds to a file at most.
const PIECE_BYTES_MAX: usize = 64;

/// Damages the files of a small database as `bytes` say, opens and repairs it. Whether it could be opened as it was.
///
/// What can be opened has what there was after some batch; of what is damaged everything that can be read was there
/// once; and what was repaired can be opened.
pub(crate) fn open_damaged(bytes: &[u8]) -> bool {
    let mut choices = Choices::new(bytes);
    let made = &made()[choices.below(2)];
    let mut files = made.files.clone();
    for _ in 0..DAMAGES_MAX {
        if choices.is_empty() || files.is_empty() {
            break;
        }
        damage(&mut files, &mut choices);
    }
    let is_whole = read(&tiny_config(), &disk_of(&files), made);
    read(&Config { salvage: true, ..tiny_config() }, &disk_of(&files), made);
    read(&Config { read_only: true, ..tiny_config() }, &disk_of(&files), made);
    repair(&disk_of(&files), made);
    is_whole
}

type Files = Vec<(PathBuf, Vec<u8>)>;

struct Made {
    files: Files,
    /// After each batch. Those before `durable` can't be what is left.
    states: Vec<State>,
    durable: usize,
}

/// A database whose machine went down, and the same one closed.
fn made() -> &'static [Made; 2] {
    static MADE: OnceLock<[Made; 2]> = OnceLock::new();
    MADE.get_or_init(|| make().expect("nothing fails in memory"))
}

fn make() -> Result<[Made; 2]> {
    let disk = SimFs::in_memory();
    let engine = Engine::open_on(tiny_config(), Arc::new(disk.clone()))?;
    let mut states = vec![State::new()];
    let mut durable = 0;
    for round in 0..9u8 {
        let mut batch = WriteBatch::new();
        let mut state = states.last().cloned().unwrap_or_default();
        for at in 0..6u8 {
            let (key, len) =
                (format!("key{:02}", (round * 3 + at) % 24).into_bytes(), [9, 20, 220][usize::from(at % 3)]);
            let value = vec![round ^ at; len];
            batch.put(&key, &value)?;
            state.insert(key, (value, 0));
        }
        batch.delete(b"key03")?;
        state.remove(&b"key03"[..]);
        if round % 3 == 1 {
            batch.delete_range(b"key10", b"key13")?;
            state.retain(|key, _| key[..] < b"key10"[..] || key[..] >= b"key13"[..]);
        }
        engine.commit(batch, CommitOptions::default())?;
        states.push(state);
        if round % 3 == 1 {
            engine.flush()?;
            durable = states.len() - 1;
        }
        if round == 4 {
            engine.compact_all()?;
            durable = states.len() - 1;
        }
    }
    let crashed = Made { files: files_of(&disk), states: states.clone(), durable };
    engine.close()?;
    let durable = states.len() - 1;
    Ok([crashed, Made { files: files_of(&disk), states, durable }])
}

fn files_of(disk: &SimFs) -> Files {
    let paths = disk.files().into_iter().filter(|path| !path.ends_with("LOCK"));
    paths.map(|path| (path.clone(), disk.read_file(&path).unwrap_or_default())).collect()
}

fn disk_of(files: &Files) -> SimFs {
    let disk = SimFs::in_memory();
    let in_place = crate::fs::FileSystem::create_dir_all(&disk, "/db".as_ref());
    in_place.expect("nothing fails in memory");
    files.iter().for_each(|(path, bytes)| disk.write_file(path, bytes));
    disk
}

fn damage(files: &mut Files, choices: &mut Choices<'_>) {
    let (kind, file) = (choices.byte() % 9, choices.below(files.len()));
    if kind == 0 {
        files.remove(file);
        return;
    }
    let other = files[choices.below(files.len())].1.clone();
    let bytes = &mut files[file].1;
    let at = choices.below(bytes.len().clamp(1, 1 << 16)).min(bytes.len());
    let piece = choices.piece(PIECE_BYTES_MAX);
    let len_max = bytes.len() + PIECE_BYTES_MAX;
    let end = (at + piece.len()).min(bytes.len());
    match kind {
        1 => bytes.truncate(at),
        2 => bytes[at..end].copy_from_slice(&piece[..end - at]),
        3 => bytes[at..end].fill(0),
        4 => bytes.extend_from_slice(piece),
        5 => *bytes = other,
        6 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= piece.first().copied().unwrap_or(1)),
        7 => {
            let from = at.min(other.len());
            bytes.truncate(from);
            bytes.extend_from_slice(&other[from..]);
        }
        _ => drop(bytes.splice(at..end, [])),
    }
    // Repair looks for blocks in time that grows with the square of a table: none takes the length of a log.
    bytes.truncate(len_max);
}

/// Opens and reads everything. Whether nothing was damaged.
fn read(config: &Config, disk: &SimFs, made: &Made) -> bool {
    // Where nothing is left, a new database is made.
    let is_new = disk.files().is_empty();
    let engine = match Engine::open_on(config.clone(), Arc::new(disk.clone())) {
        Ok(engine) => engine,
        Err(error) => {
            assert_is_told(&error);
            return false;
        }
    };
    let rows = read_all(&engine, &made.states);
    if let Some(rows) = &rows {
        let of_then = if config.salvage || is_new { &made.states[..] } else { &made.states[made.durable..] };
        assert!(of_then.iter().any(|state| state.iter().map(owned).eq(rows.iter().cloned())), "{:?}", rows);
    }
    let verified = engine.verify();
    verified.iter().for_each(|()| assert!(rows.is_some(), "what can't be read was found whole"));
    let is_whole = verified.map_err(|error| assert_is_told(&error)).is_ok();
    let _ = engine.close();
    is_whole && rows.is_some()
}

/// Everything, or `None` where some of it is damaged; what can be read was there once.
fn read_all(engine: &Engine, states: &[State]) -> Option<Vec<Entry>> {
    let was_there =
        |key: &Vec<u8>, value: &(Vec<u8>, u64)| states.iter().any(|state| state.get(key) == Some(value));
    let mut whole = None;
    for direction in [Direction::Reverse, Direction::Forward] {
        let (rows, read) = scanned(engine, ScanRange::all(), direction, None);
        assert!(rows.iter().all(|(key, value)| was_there(key, value)), "{rows:?}");
        whole = read.map_err(|error| assert_is_told(&error)).is_ok().then_some(rows);
    }
    for number in 0..24 {
        let key = format!("key{number:02}").into_bytes();
        match engine.get(&key, None) {
            Ok(Some(value)) => assert!(was_there(&key, &(value.bytes, value.expires_at)), "{key:?}"),
            Ok(None) => {}
            Err(error) => {
                assert_is_told(&error);
                whole = None;
            }
        }
    }
    whole
}

fn repair(disk: &SimFs, made: &Made) {
    if let Err(error) = repair_on(&tiny_config(), Arc::new(disk.clone())) {
        assert!(matches!(error.code(), Code::NotFound | Code::Version), "{error}");
        return;
    }
    let opened = Engine::open_on(tiny_config(), Arc::new(disk.clone()));
    let engine = opened.unwrap_or_else(|error| panic!("what was repaired can't be opened: {error}"));
    assert!(read_all(&engine, &made.states).is_some(), "what was repaired can't be read");
    engine.verify().unwrap_or_else(|error| panic!("what was repaired is damaged: {error}"));
    let _ = engine.close();
}

fn owned((key, value): (&Vec<u8>, &(Vec<u8>, u64))) -> Entry {
    (key.clone(), value.clone())
}

fn assert_is_told(error: &Error) {
    let is_told = matches!(error.code(), Code::Corruption | Code::Version | Code::NotFound);
    assert!(is_told, "{error}");
}
