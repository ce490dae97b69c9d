//! A database of LevelDB, or of what descends from it, in the place of one of ours.
//!
//! `CURRENT`, `LOCK` and manifests have the same names there. So what removes or replaces files asks here first.
#![forbid(unsafe_code)]

use std::path::Path;

use super::file_name::{FileKind, parse};
use crate::error::{Code, Error, Result, shown_path};
use crate::fs::FileSystem;
use crate::wal::LogKind;

/// Checks that `dir`, whose CURRENT is `current` and so none of ours, does not hold a database of LevelDB.
///
/// A CURRENT of ours that has lost its second line reads like one of LevelDB, and either may be damaged or gone. So any file
/// that only we can have written says that it is ours, and else those that only LevelDB writes say that it is theirs.
///
/// # Errors
///
/// `Unsupported`; `Io`.
pub(super) fn check_current(fs: &dyn FileSystem, dir: &Path, current: &[u8]) -> Result<()> {
    let names = fs.list(dir)?;
    if !is_of_leveldb(current) && !names.iter().any(|name| is_only_theirs(name)) {
        return Ok(());
    }
    for kind in names.iter().filter_map(|name| parse(name)) {
        if is_only_ours(fs, dir, kind)? {
            return Ok(());
        }
    }
    let message =
        format!("a database of LevelDB stands here: choose another directory than {}", shown_path(dir));
    Err(Error::new(Code::Unsupported, message))
}

/// Whether it is the name of a log or table of LevelDB's.
fn is_only_theirs(name: &str) -> bool {
    let parts = name.split_once('.');
    parts.is_some_and(|(number, kind)| {
        ["log", "ldb", "sst"].contains(&kind)
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Whether it is the name of a manifest on a line, and nothing else.
fn is_of_leveldb(current: &[u8]) -> bool {
    let number = current.strip_prefix(b"MANIFEST-").and_then(|rest| rest.strip_suffix(b"\n"));
    number.is_some_and(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
}

fn is_only_ours(fs: &dyn FileSystem, dir: &Path, kind: FileKind) -> Result<bool> {
    match kind {
        FileKind::Log(_) | FileKind::Table(_) | FileKind::Values(_) => Ok(true),
        FileKind::Manifest(_) => {
            let magic = LogKind::Manifest.magic();
            let mut start = [0; 8];
            let len = fs.open(&kind.path(dir))?.read_at(0, &mut start)?;
            Ok(start[..len] == magic)
        }
        FileKind::Current | FileKind::CurrentTemporary | FileKind::Lock => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_a_manifest_on_a_line_is_of_leveldb() {
        for current in ["MANIFEST-000002\n", "MANIFEST-1\n", "MANIFEST-18446744073709551616\n"] {
            assert!(is_of_leveldb(current.as_bytes()), "{current:?}");
        }
        for current in [
            "",
            "MANIFEST-000002",
            "MANIFEST-\n",
            "MANIFEST-00000x\n",
            "MANIFEST-000002\n\n",
            "MANIFEST-000002\n0badcafe\n",
            "notes\n",
        ] {
            assert!(!is_of_leveldb(current.as_bytes()), "{current:?}");
        }
    }
}
