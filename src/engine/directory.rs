//! The directory of a database before it is locked: whether one is in it, and creating it.
//!
//! Invariant: where CURRENT is, the directory's own name is durable. Whoever wrote CURRENT had created the directory by
//! [`create_dir`], and no step between them is left out.
#![forbid(unsafe_code)]

use std::path::Path;

use crate::error::{Code, Error, Result, shown_path};
use crate::fs::FileSystem;
use crate::version::{Manifest, current_path, lock_path};

/// Creates `dir` durably, unless there is a database in it already: then nothing is synced.
pub(crate) fn create_dir(fs: &dyn FileSystem, dir: &Path) -> Result<()> {
    if fs.exists(&current_path(dir))? { Ok(()) } else { fs.create_dir_all(dir) }
}

/// Checks that there is a database to be read, before anything is locked: `LOCK` is created where it is missing, and
/// where there is no database nothing is to be created.
pub(super) fn check_exists(fs: &dyn FileSystem, dir: &Path) -> Result<()> {
    if !fs.exists(dir)? {
        return Err(no_database(dir));
    }
    // Whoever creates a database has the lock: with that in hand it will be seen what there is.
    if fs.exists(&lock_path(dir))? || Manifest::read(fs, dir)?.is_some() {
        return Ok(());
    }
    Err(no_database(dir))
}

/// Checks that no database of LevelDB's gets a `LOCK` of ours. Where it has one of its own, reading CURRENT tells.
pub(super) fn check_lockable(fs: &dyn FileSystem, dir: &Path) -> Result<()> {
    if fs.exists(&lock_path(dir))? { Ok(()) } else { Manifest::check_not_foreign(fs, dir) }
}

pub(super) fn no_database(dir: &Path) -> Error {
    let message = format!("{} holds no database, and none was to be created", shown_path(dir));
    Error::new(Code::NotFound, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::SimFs;
    use crate::version::VersionEdit;

    #[test]
    fn the_name_of_a_directory_is_synced_until_there_is_a_database_in_it() {
        let (disk, dir) = (SimFs::new(), Path::new("/above/db"));
        create_dir(&disk, dir).unwrap();
        for _ in 0..2 {
            let before = disk.operations();
            create_dir(&disk, dir).unwrap();
            assert!(disk.operations() > before, "a crash may have kept an earlier call from it");
        }
        Manifest::create(&disk, dir, 1, &VersionEdit::default()).unwrap();
        let before = disk.operations();

        create_dir(&disk, dir).unwrap();

        assert_eq!(disk.operations(), before);
    }
}
