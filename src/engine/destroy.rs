//! Removing a database that nobody has open.
#![forbid(unsafe_code)]

use std::path::Path;

use super::upkeep::{GoOn, always};
use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::fs::{DiskFs, FileSystem};
use crate::version::{FileKind, Manifest, lock_path, parse};

/// Removes the files of the database that `config` describes. Files that are not ours stay, and so does the directory.
///
/// # Errors
///
/// `Locked` while anybody has the database open, this process included; `ReadOnly` where the settings say that nothing is
/// to be changed; `Unsupported` where the database is one of LevelDB's; `Io`. What has been removed by then is gone.
pub fn destroy(config: &Config) -> Result<()> {
    destroy_while(config, &always)
}

/// As [`destroy`], for as long as `go_on` lets it. What is left then is no database any more, and can be removed by
/// another call.
pub(crate) fn destroy_while(config: &Config, go_on: GoOn<'_>) -> Result<()> {
    if config.read_only {
        let message = "a database that is to be read only can't be removed: leave read_only out";
        return Err(Error::new(Code::ReadOnly, message));
    }
    if config.in_memory {
        return Ok(());
    }
    destroy_on(&config.data_dir, &DiskFs, go_on)
}

fn destroy_on(dir: &Path, fs: &dyn FileSystem, go_on: GoOn<'_>) -> Result<()> {
    if !fs.exists(dir)? {
        return Ok(());
    }
    Manifest::check_not_foreign(fs, dir)?;
    let lock = fs.lock(&lock_path(dir))?;
    remove_database(dir, fs, go_on)?;
    drop(lock);
    // Last, because Windows does not remove a file that is open.
    fs.remove(&lock_path(dir))?;
    fs.sync_dir(dir)
}

/// Removes our files in `dir` but its lock, which the caller holds, for as long as `go_on` lets it.
pub(crate) fn remove_database(dir: &Path, fs: &dyn FileSystem, go_on: GoOn<'_>) -> Result<()> {
    let ours: Vec<FileKind> = fs.list(dir)?.iter().filter_map(|name| parse(name)).collect();
    // Without CURRENT the other files are nothing, so a destruction that is cut short leaves no half a database.
    if ours.contains(&FileKind::Current) {
        fs.remove(&FileKind::Current.path(dir))?;
        fs.sync_dir(dir)?;
    }
    for kind in ours.iter().filter(|kind| !matches!(kind, FileKind::Current | FileKind::Lock)) {
        go_on()?;
        fs.remove(&kind.path(dir))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::{CommitOptions, Engine, WriteBatch, repair_on};
    use crate::fs::SimFs;

    fn database(fs: &SimFs) -> Engine {
        let config = Config { auto_background: false, ..Config::new("/db") };
        let engine = Engine::open_on(config, Arc::new(fs.clone())).unwrap();
        let mut batch = WriteBatch::new();
        batch.put(b"key", b"value").unwrap();
        engine.commit(batch, CommitOptions::default()).unwrap();
        engine.flush().unwrap();
        engine
    }

    #[test]
    fn only_files_of_ours_are_removed() {
        let fs = SimFs::in_memory();
        database(&fs).close().unwrap();
        fs.create(Path::new("/db/notes.txt")).unwrap();

        destroy_on(Path::new("/db"), &fs, &always).unwrap();

        assert_eq!(fs.list(Path::new("/db")).unwrap(), ["notes.txt"]);
    }

    /// CURRENT, LOCK and the manifest have the same names there.
    #[test]
    fn a_database_of_leveldb_is_neither_opened_nor_repaired_nor_removed() {
        let files = ["000003.log", "CURRENT", "LOCK", "MANIFEST-000002"];
        for has_lock in [true, false] {
            let fs = SimFs::in_memory();
            let dir = Path::new("/db");
            fs.create_dir_all(dir).unwrap();
            let there: Vec<&str> = files.into_iter().filter(|name| has_lock || *name != "LOCK").collect();
            for name in &there {
                let content: &[u8] = if *name == "CURRENT" { b"MANIFEST-000002\n" } else { b"theirs" };
                fs.create(&dir.join(name)).unwrap().append(content).unwrap();
            }
            let before: Vec<_> = there.iter().map(|name| fs.read_file(dir.join(name))).collect();
            let config = Config::new("/db");
            let open = |config: Config| Engine::open_on(config, Arc::new(fs.clone())).map(drop);
            let repair = || repair_on(&config, Arc::new(fs.clone())).map(drop);

            for (what, result) in [
                ("open", open(config.clone())),
                ("open to read", open(Config { read_only: true, ..config.clone() })),
                ("salvage", open(Config { salvage: true, ..config.clone() })),
                ("repair", repair()),
                ("destroy", destroy_on(dir, &fs, &always)),
            ] {
                let error = result.expect_err(what);
                assert_eq!(error.code(), Code::Unsupported, "{what}: {error}");
                assert!(error.to_string().contains("a database of LevelDB stands here"), "{what}: {error}");
            }

            assert_eq!(fs.list(dir).unwrap(), there);
            let after: Vec<_> = there.iter().map(|name| fs.read_file(dir.join(name))).collect();
            assert_eq!(after, before);
        }
    }

    /// That is when somebody repairs one, or wants to be rid of it.
    #[test]
    fn a_database_of_leveldb_whose_current_is_gone_or_damaged_is_neither_repaired_nor_removed() {
        for current in [None, Some(&b""[..]), Some(&b"MANIFEST-00"[..]), Some(&b"\0\0\0\0"[..])] {
            let fs = SimFs::in_memory();
            let dir = Path::new("/db");
            fs.create_dir_all(dir).unwrap();
            let mut files = vec![
                ("000003.log", &b"theirs"[..]),
                ("000005.ldb", b"theirs"),
                ("MANIFEST-000002", b"theirs"),
            ];
            files.extend(current.map(|content| ("CURRENT", content)));
            for (name, content) in &files {
                fs.create(&dir.join(name)).unwrap().append(content).unwrap();
            }
            let before = fs.list(dir).unwrap();

            let repaired = repair_on(&Config::new("/db"), Arc::new(fs.clone())).map(drop);
            for result in [repaired, destroy_on(dir, &fs, &always)] {
                assert_eq!(result.unwrap_err().code(), Code::Unsupported, "{current:?}");
            }

            assert_eq!(fs.list(dir).unwrap(), before, "{current:?}");
        }
    }

    /// One that has lost its second line reads as that of LevelDB.
    #[test]
    fn a_database_whose_current_is_cut_is_still_ours() {
        let fs = SimFs::in_memory();
        database(&fs).close().unwrap();
        let current = Path::new("/db/CURRENT");
        let line =
            fs.read_file(current).unwrap().split_inclusive(|byte| *byte == b'\n').next().unwrap().to_vec();
        fs.remove(current).unwrap();
        fs.create(current).unwrap().append(&line).unwrap();
        let config = Config::new("/db");
        let open = || Engine::open_on(config.clone(), Arc::new(fs.clone()));
        assert_eq!(open().map(drop).unwrap_err().code(), Code::Corruption);

        repair_on(&config, Arc::new(fs.clone())).unwrap();

        assert!(open().unwrap().get(b"key", None).unwrap().is_some());
        destroy_on(Path::new("/db"), &fs, &always).unwrap();
    }

    #[test]
    fn what_is_to_be_read_only_is_not_removed() {
        let config = Config { read_only: true, ..Config::new("nowhere") };
        assert_eq!(destroy(&config).unwrap_err().code(), Code::ReadOnly);
    }

    #[test]
    fn an_open_database_is_not_destroyed() {
        let fs = SimFs::in_memory();
        let engine = database(&fs);

        assert_eq!(destroy_on(Path::new("/db"), &fs, &always).unwrap_err().code(), Code::Locked);
        assert!(engine.get(b"key", None).unwrap().is_some());
    }

    #[test]
    fn what_a_stopped_removal_leaves_is_no_database_and_can_be_removed() {
        let fs = SimFs::in_memory();
        database(&fs).close().unwrap();
        let stop = || Err(Error::new(Code::Closed, "stopped"));

        assert_eq!(destroy_on(Path::new("/db"), &fs, &stop).unwrap_err().code(), Code::Closed);

        assert!(!fs.exists(Path::new("/db/CURRENT")).unwrap());
        destroy_on(Path::new("/db"), &fs, &always).unwrap();
        assert!(fs.list(Path::new("/db")).unwrap().is_empty());
    }
}
