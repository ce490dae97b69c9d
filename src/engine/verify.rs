//! Checking everything on the disk: every table, every value file, and what the one says of the other.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use super::upkeep::GoOn;
use crate::error::{Code, Error, Result};
use crate::iter::InternalIterator;
use crate::key::Kind;
use crate::value_file::ValuePointer;
use crate::version::{TableHandle, ValueShare, Version};

/// Verifies every file of `version`, for as long as `go_on` lets it.
pub(super) fn verify(version: &Version, go_on: GoOn<'_>) -> Result<()> {
    for (_, table) in version.tables() {
        table.open()?.verify_while(go_on)?;
        verify_pointers(version, table, go_on)?;
    }
    version.values().files().try_for_each(|(file, _)| file.open()?.verify_while(go_on))
}

/// Checks that every entry of `table` that leads to a value file leads to a value there, and that the manifest
/// knows how much it has in each.
fn verify_pointers(version: &Version, table: &TableHandle, go_on: GoOn<'_>) -> Result<()> {
    let mut found: BTreeMap<u64, u64> = BTreeMap::new();
    let mut entries = table.open()?.iter_uncached();
    entries.seek_to_first()?;
    while entries.is_valid() {
        go_on()?;
        let entry = entries.entry();
        if entry.kind == Kind::Separated {
            let damaged =
                |what: &str| damaged(table, &format!("an entry that leads to a value file: {what}"));
            let pointer = ValuePointer::decode(entry.value).map_err(|damage| damaged(damage.0))?;
            version.values().file(pointer.file)?.open()?.directory(&pointer)?;
            *found.entry(pointer.file).or_default() += pointer.record_len;
        }
        entries.next()?;
    }
    let found: Vec<ValueShare> = found.into_iter().map(|(file, bytes)| ValueShare { file, bytes }).collect();
    if found != table.meta().values {
        return Err(damaged(table, "the manifest is wrong about what it has in value files"));
    }
    Ok(())
}

fn damaged(table: &TableHandle, what: &str) -> Error {
    Error::new(Code::Corruption, format!("table {}: {what}", table.meta().number))
}
