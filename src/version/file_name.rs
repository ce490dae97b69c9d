//! The names of the files in a database's directory, all in one place.
//!
//! Numbers are drawn from one counter and never reused. A name that [`parse`] doesn't know is not ours and is
//! never removed.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

/// What a file in the directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum FileKind {
    /// Names the manifest that counts.
    Current,
    /// The next CURRENT before its rename; of no use after a crash.
    CurrentTemporary,
    /// Carries the lock of the process that has the database open.
    Lock,
    Manifest(u64),
    /// A segment of the WAL.
    Log(u64),
    Table(u64),
    /// A value file.
    Values(u64),
}

impl FileKind {
    /// The number in the name.
    pub(crate) fn number(self) -> Option<u64> {
        match self {
            Self::Current | Self::CurrentTemporary | Self::Lock => None,
            Self::Manifest(number) | Self::Log(number) | Self::Table(number) | Self::Values(number) => {
                Some(number)
            }
        }
    }

    /// The file's name: the one that [`parse`] takes for this.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Current => "CURRENT".to_owned(),
            Self::CurrentTemporary => "CURRENT.tmp".to_owned(),
            Self::Lock => "LOCK".to_owned(),
            Self::Manifest(number) => format!("MANIFEST-{number:06}"),
            Self::Log(number) => format!("{number:06}.wal"),
            Self::Table(number) => format!("{number:06}.tbl"),
            Self::Values(number) => format!("{number:06}.val"),
        }
    }

    /// The file's path in `dir`.
    pub(crate) fn path(self, dir: &Path) -> PathBuf {
        dir.join(self.name())
    }
}

/// What the file called `name` is, or `None` where it is not ours. Only the exact spelling counts.
pub(crate) fn parse(name: &str) -> Option<FileKind> {
    let kind = match name {
        "CURRENT" => FileKind::Current,
        "CURRENT.tmp" => FileKind::CurrentTemporary,
        "LOCK" => FileKind::Lock,
        _ => parse_numbered(name)?,
    };
    (kind.name() == name && kind.number() != Some(0)).then_some(kind)
}

fn parse_numbered(name: &str) -> Option<FileKind> {
    if let Some(number) = name.strip_prefix("MANIFEST-") {
        return number.parse().ok().map(FileKind::Manifest);
    }
    if let Some(number) = name.strip_suffix(".wal") {
        return number.parse().ok().map(FileKind::Log);
    }
    if let Some(number) = name.strip_suffix(".val") {
        return number.parse().ok().map(FileKind::Values);
    }
    name.strip_suffix(".tbl")?.parse().ok().map(FileKind::Table)
}

/// The path of CURRENT.
pub(crate) fn current_path(dir: &Path) -> PathBuf {
    FileKind::Current.path(dir)
}

/// The path of LOCK.
pub(crate) fn lock_path(dir: &Path) -> PathBuf {
    FileKind::Lock.path(dir)
}

/// The path of manifest `number`.
pub(crate) fn manifest_path(dir: &Path, number: u64) -> PathBuf {
    FileKind::Manifest(number).path(dir)
}

/// The path of WAL segment `number`.
pub(crate) fn log_path(dir: &Path, number: u64) -> PathBuf {
    FileKind::Log(number).path(dir)
}

/// The path of table `number`.
pub(crate) fn table_path(dir: &Path, number: u64) -> PathBuf {
    FileKind::Table(number).path(dir)
}

/// The path of value file `number`.
pub(crate) fn values_path(dir: &Path, number: u64) -> PathBuf {
    FileKind::Values(number).path(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_parsed_back_to_what_it_names() {
        for number in [1, 999_999, 1_000_000, u64::MAX] {
            let (table, values) = (FileKind::Table(number), FileKind::Values(number));
            for kind in [FileKind::Manifest(number), FileKind::Log(number), table, values] {
                assert_eq!(parse(&kind.name()), Some(kind));
            }
        }
        for kind in [FileKind::Current, FileKind::CurrentTemporary, FileKind::Lock] {
            assert_eq!(parse(&kind.name()), Some(kind));
        }
    }

    #[test]
    fn a_name_that_we_would_not_have_written_is_not_ours() {
        for name in [
            "",
            "current",
            "CURRENT.old",
            "MANIFEST-",
            "MANIFEST-1",
            "MANIFEST-0000001",
            "MANIFEST-000000",
            "MANIFEST-+00001",
            "000001.log",
            "1.wal",
            "000000.wal",
            "+00001.wal",
            "-00001.tbl",
            "000001.tbl.tmp",
            "99999999999999999999.tbl",
            "000001.TBL",
            "holiday.tbl",
            "holiday.val",
            "1.val",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
