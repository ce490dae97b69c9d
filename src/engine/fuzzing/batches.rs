//! Any bytes as a batch, as it stands in a record of a log.

use crate::engine::batch::{WriteBatch, decode};
use crate::key::{KEY_BYTES_MAX, Kind, VALUE_BYTES_MAX};

/// Reads `bytes` as a batch. Whether they are one that could be written.
///
/// What was read is the same batch when it is written again.
pub(crate) fn read_batch(bytes: &[u8]) -> bool {
    let mut batch = WriteBatch::new();
    let mut read = Vec::new();
    for entry in decode(bytes, 1) {
        let Some(entry) = entry else { return false };
        let fits = entry.key.len() <= KEY_BYTES_MAX && entry.value.len() <= VALUE_BYTES_MAX;
        let is_range = entry.kind != Kind::RangeTombstone
            || (entry.key < entry.value && entry.value.len() <= KEY_BYTES_MAX);
        let expires = entry.kind == Kind::Value || entry.expires_at == 0;
        if !fits || !is_range || !expires {
            return false;
        }
        let added = match entry.kind {
            Kind::Value => batch.put_expiring(entry.key, entry.value, entry.expires_at),
            Kind::Tombstone => batch.delete(entry.key),
            _ => batch.delete_range(entry.key, entry.value),
        };
        added.expect("its key and its value are short enough");
        read.push(entry);
    }
    let again: Vec<_> = decode(batch.encoded(), 1).map(|entry| entry.expect("it was just written")).collect();
    assert_eq!(again, read);
    assert_eq!((batch.len(), batch.entries().count()), (read.len(), read.len()));
    !read.is_empty()
}
