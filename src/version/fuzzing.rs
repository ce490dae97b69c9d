//! Any bytes as version edits, and as a manifest of them.

use std::path::Path;
use std::sync::Arc;

use super::manifest::Manifest;
use super::{TableSource, Version, VersionEdit};
use crate::coding::Choices;
use crate::error::{Code, Result, undamaged};
use crate::fs::{FileSystem, SimFs};
use crate::sstable::BlockCache;
use crate::wal::{LogKind, LogWriter, SegmentHeader};

/// Reads `bytes` as the edits of a manifest, one behind the other. Whether each of them is one, and makes a version.
///
/// A manifest of them gives what was decoded, or says that it is damaged; a repair takes those before the damage; and
/// what was decoded means the same when it is encoded again.
pub(crate) fn read_manifest(bytes: &[u8]) -> bool {
    let mut choices = Choices::new(bytes);
    let mut bodies = Vec::new();
    while !choices.is_empty() {
        bodies.push(choices.piece(1 << 16));
    }
    let path = Path::new("/db/MANIFEST-000001");
    let decoded: Vec<Option<VersionEdit>> =
        bodies.iter().map(|body| undamaged(VersionEdit::decode(body, path))).collect();
    let whole: Vec<VersionEdit> = decoded.iter().cloned().map_while(|edit| edit).collect();
    for edit in &whole {
        let again = VersionEdit::decode(&edit.encode(), path).expect("it has just been encoded");
        assert_eq!(again, *edit);
    }

    let fs = SimFs::in_memory();
    manifest_of(&fs, &bodies).expect("nothing fails in memory");
    let state = undamaged(Manifest::read(&fs, Path::new("/db"))).flatten();
    let is_whole = whole.len() == decoded.len() && !whole.is_empty();
    assert_eq!(state.map(|state| state.edits), is_whole.then(|| whole.clone()));
    if let Some((state, loss)) = undamaged(Manifest::salvage(&fs, Path::new("/db"))) {
        assert!(loss.is_none() && state.edits == whole, "no record is damaged");
    }
    let is_newer = bodies
        .iter()
        .any(|body| VersionEdit::decode(body, path).is_err_and(|error| error.code() == Code::Version));
    if let Some(known) = undamaged(Manifest::known(&fs, Path::new("/db"))) {
        assert!(is_newer || known.map_or_else(Vec::new, |known| known.edits) == whole);
    }
    is_whole && makes_versions(&whole)
}

/// Whether each edit fits the version that those before it make.
fn makes_versions(edits: &[VersionEdit]) -> bool {
    let (fs, cache) = (SimFs::in_memory(), Arc::new(BlockCache::new(0)));
    let source = Arc::new(TableSource { fs: Arc::new(fs), dir: "/db".into(), cache });
    let version = edits.iter().try_fold(Version::default(), |version, edit| version.apply(edit, &source));
    undamaged(version).is_some()
}

/// A manifest with `bodies` for edits, and CURRENT, which names it.
fn manifest_of(fs: &SimFs, bodies: &[&[u8]]) -> Result<()> {
    let dir = Path::new("/db");
    fs.create_dir_all(dir)?;
    drop(Manifest::create(fs, dir, 1, &VersionEdit::default())?);
    fs.remove(&dir.join("MANIFEST-000001"))?;
    let header = SegmentHeader { kind: LogKind::Manifest, number: 1, previous: None, first_seqno: 1 };
    let mut log = LogWriter::create(fs, &dir.join("MANIFEST-000001"), header)?;
    for body in bodies {
        let index = log.next_seqno();
        log.append(index, index - 1, 1, body)?;
    }
    Ok(())
}
