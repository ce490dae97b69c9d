//! The value files of a version, and how much of each its tables need.
//!
//! Invariant: the live bytes of a file are the sum of what the tables of the version have there, and no file is
//! without any. So nothing counts garbage: what no table of the version leads to is garbage.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{TableMeta, TableSource, ValueFileHandle, ValueFileMeta, ValueShare, values_path};
use crate::error::{Code, Error, Result};

/// A value file of which less than one in so many bytes is needed is worth being emptied.
const SPARSE_SHARE: u64 = 2;

/// The value files of a version by their numbers.
#[derive(Default, Clone)]
pub(crate) struct ValueSet(BTreeMap<u64, Member>);

#[derive(Clone)]
struct Member {
    handle: Arc<ValueFileHandle>,
    live_bytes: u64,
}

impl ValueSet {
    /// Every value file with its live bytes.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Arc<ValueFileHandle>, u64)> {
        self.0.values().map(|member| (&member.handle, member.live_bytes))
    }

    /// The value file `number`.
    ///
    /// # Errors
    ///
    /// `Corruption` where the version has none: its tables name no such file.
    pub(crate) fn file(&self, number: u64) -> Result<&Arc<ValueFileHandle>> {
        let member = self.0.get(&number);
        member.map(|member| &member.handle).ok_or_else(|| {
            let message = format!(
                "an entry of a table leads to value file {number:06}.val, which the manifest does not name"
            );
            Error::new(Code::Corruption, message)
        })
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the version has value file `number`.
    pub(crate) fn contains(&self, number: u64) -> bool {
        self.0.contains_key(&number)
    }

    /// Whether less than half of value file `number` is needed.
    pub(crate) fn is_sparse(&self, number: u64) -> bool {
        self.0.get(&number).is_some_and(|member| {
            member.live_bytes.saturating_mul(SPARSE_SHARE) < member.handle.record_bytes()
        })
    }

    pub(super) fn add(&mut self, meta: ValueFileMeta, source: &Arc<TableSource>) -> Result<()> {
        let handle = Arc::new(ValueFileHandle::new(meta, Arc::clone(source)));
        match self.0.insert(meta.number, Member { handle, live_bytes: 0 }) {
            None => Ok(()),
            Some(_) => {
                Err(damaged(source, meta.number, "a version edit adds this value file for a second time"))
            }
        }
    }

    /// A table joins that has these shares.
    pub(super) fn count(&mut self, table: &TableMeta, source: &TableSource) -> Result<()> {
        for &ValueShare { file, bytes } in &table.values {
            let grown = self.0.get_mut(&file).and_then(|member| {
                let live = member.live_bytes.checked_add(bytes)?;
                member.live_bytes = live;
                (live <= member.handle.record_bytes()).then_some(())
            });
            grown.ok_or_else(|| {
                let what = format!(
                    "table {} needs {bytes} bytes of this value file, which it can't have",
                    table.number
                );
                damaged(source, file, &what)
            })?;
        }
        Ok(())
    }

    /// A table leaves that had these shares.
    pub(super) fn discount(&mut self, table: &TableMeta) {
        for share in &table.values {
            if let Some(member) = self.0.get_mut(&share.file) {
                member.live_bytes = member.live_bytes.saturating_sub(share.bytes);
            }
        }
    }

    /// The files that nobody needs leave.
    pub(super) fn drop_dead(&mut self) {
        self.0.retain(|_, member| member.live_bytes > 0);
    }
}

fn damaged(source: &TableSource, number: u64, what: &str) -> Error {
    let path = values_path(Path::new(&source.dir), number);
    Error::corruption(&path, what)
}
