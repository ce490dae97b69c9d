//! Opening a database whose process has died with 300,000 entries in its log.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use super::writes::{FIRST, load};
use super::{Context, Line, Miss, fill, rate, same};
use crate::clock::milliseconds;
use crate::data::{head, key};
use crate::stores::{self, Seen, Setup};

const REPLAY: Line = rate("reopen with a full log", "entries");

pub const LINES: &[&Line] = &[&REPLAY];

const ENTRIES: u64 = 300_000;

/// So that all of it fits into one memtable of every engine, with its overhead.
const VALUE_BYTES: usize = 128;

const SETUP: Setup = Setup { cache_bytes: 512 << 20, synced: false, ascending: false, short_cache: false };

pub fn run(context: &Context) {
    context.measure(&REPLAY, || {
        let dir = context.dir.join("replay");
        let _ = std::fs::remove_dir_all(&dir);
        let program = std::env::current_exe().expect("this program");
        let died = Command::new(program).args(["--die", &context.engine]).arg(&dir).status();
        let signal = died.expect("a process that writes").signal();
        assert_eq!(signal, Some(9), "the process that writes has failed");
        let (ms, store) = milliseconds(|| stores::open(&context.engine, &dir, SETUP));
        if !store.has_log() {
            return Err(Miss::Lacking("it has no log"));
        }
        fill::check_count(store.as_ref(), ENTRIES)?;
        let expected = Seen { bytes: VALUE_BYTES, head: head(7, FIRST) };
        same("a read after the replay", &store.reader().get(&key(7)), &Some(expected))?;
        store.close();
        Ok(ENTRIES as f64 / ms * 1e3)
    });
}

/// Writes what is to be replayed, and ends the process without closing anything.
pub fn write_and_die(engine: &str, dir: &Path) -> ! {
    let store = stores::open(engine, dir, SETUP);
    load(store.as_ref(), ENTRIES, VALUE_BYTES);
    // SIGKILL, as no exit handler may tidy up.
    let killed = Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
    unreachable!("it was killed: {killed:?}")
}
