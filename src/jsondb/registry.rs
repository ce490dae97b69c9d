//! Who has which directory open: all openers of one directory in this process share one database.
//!
//! Invariant: a directory's place is locked while its database is being opened or closed. So an opener that comes
//! while the last handle is being closed waits, and never finds the directory locked by its own process.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

use super::ledger::Database;
use crate::config::Config;
use crate::engine::{Engine, create_dir};
use crate::error::{Code, Error, Result, shown_path};
use crate::fs::{DiskFs, FileSystem};

/// The places by the one absolute path of their directory.
static PLACES: LazyLock<Mutex<HashMap<PathBuf, Arc<Place>>>> = LazyLock::new(Mutex::default);

/// A directory that is open, or is being opened or closed.
struct Place {
    path: PathBuf,
    occupant: Mutex<Option<Occupant>>,
}

struct Occupant {
    database: Arc<Database>,
    /// The settings of the first opener.
    config: Config,
    handles: usize,
}

/// One handle's share in a directory that is open.
pub(super) struct Share(Arc<Place>);

/// Opens the database in the directory that `config` names, or joins those who have it open.
pub(super) fn open_shared(config: Config) -> Result<(Arc<Database>, Share)> {
    let dir = &config.data_dir;
    if config.create_if_missing && !config.read_only {
        create_dir(&DiskFs, dir)?;
    } else if !DiskFs.exists(dir)? {
        let message =
            format!("opening {}: there is no such directory, and it was not to be created", shown_path(dir));
        return Err(Error::new(Code::NotFound, message));
    }
    let path = DiskFs.canonicalize(dir)?;
    let share = Share(place_of(path));
    let mut occupant = share.0.occupant.lock();
    let database = match &mut *occupant {
        Some(open) => {
            check_joins(&open.config, &config)?;
            open.handles += 1;
            Arc::clone(&open.database)
        }
        None => {
            let database = Database::start(Engine::open(config.clone())?)?;
            *occupant = Some(Occupant { database: Arc::clone(&database), config, handles: 1 });
            database
        }
    };
    drop(occupant);
    Ok((database, share))
}

impl Share {
    /// Gives the share back; the last one closes the database.
    pub(super) fn close(&self) -> Result<()> {
        let mut place = self.0.occupant.lock();
        let Some(occupant) = &mut *place else { return Ok(()) };
        occupant.handles -= 1;
        if occupant.handles > 0 {
            return Ok(());
        }
        let closed = occupant.database.close();
        *place = None;
        closed
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // Under the lock nobody takes another share, so that what is counted here stays true until the end.
        let mut places = PLACES.lock();
        let is_last = Arc::strong_count(&self.0) == 2;
        if is_last && self.0.occupant.try_lock().is_some_and(|occupant| occupant.is_none()) {
            places.remove(&self.0.path);
        }
    }
}

fn place_of(path: PathBuf) -> Arc<Place> {
    let mut places = PLACES.lock();
    let new = |path: &PathBuf| Arc::new(Place { path: path.clone(), occupant: Mutex::new(None) });
    Arc::clone(places.entry(path).or_insert_with_key(new))
}

/// A later opener gets the database as the first one set it up. Only what would break a promise is compared: an opener
/// that asked for `Always` and silently got less could lose what it was promised, one that asked for `read_only` and
/// got a writer's database would see it change, and one that wants to write can't where the other may only read.
fn check_joins(open: &Config, config: &Config) -> Result<()> {
    let (is, wanted) = if open.read_only != config.read_only {
        let how = |read_only| String::from(if read_only { "for reading only" } else { "for writing" });
        (how(open.read_only), how(config.read_only))
    } else if open.wal_sync_mode != config.wal_sync_mode && !open.read_only {
        let how = |mode| format!("with durability {mode}");
        (how(open.wal_sync_mode), how(config.wal_sync_mode))
    } else {
        return Ok(());
    };
    let dir = config.data_dir.display();
    let message = format!("opening {dir}: it is open in this process {is}, and {wanted} was asked for");
    Err(Error::new(Code::InvalidArgument, message))
}
