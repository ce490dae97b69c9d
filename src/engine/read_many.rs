//! Point reads of many keys, as of one moment and without waiting for a device.
//!
//! A read of what lies in memory spends most of its time waiting for memory: for a line of the filter, for the spot of
//! the block, for the block, for the entry. Here the keys of a window take each of these steps together, so that a processor
//! fetches them side by side.
#![forbid(unsafe_code)]

use super::TryGet;
use super::read::ValueRef;
use super::shared::{Shared, View};
use super::value::TRY_GET_BYTES_MAX;
use crate::error::Result;
use crate::fs::nowait;
use crate::key::{SeqNo, hash_key};
use crate::sstable::Near;

/// So many keys go side by side: about as many fetches as a processor has under way.
const WINDOW: usize = 16;

impl Shared {
    /// As [`Shared::try_get_with`] for each of `count` keys, all as of now: gives what there is of each to `read`, in their
    /// order. No key is as of another moment than the others.
    pub(crate) fn try_get_many_with<'k>(
        &self,
        count: usize,
        key: impl Fn(usize) -> &'k [u8],
        mut read: impl FnMut(usize, TryGet<ValueRef<'_>>),
    ) -> Result<()> {
        self.check_open()?;
        let view = self.view.load();
        let moment = self.snapshots.visible();
        for first in (0..count).step_by(WINDOW) {
            let window = first..count.min(first + WINDOW);
            let mut asked: [Asked<'_, 'k>; WINDOW] = std::array::from_fn(|_| Asked::default());
            for (asked, index) in asked.iter_mut().zip(window.clone()) {
                *asked = Asked::new(key(index));
            }
            let asked = &mut asked[..window.len()];
            fetch_all(&view, asked, moment);
            for (index, Asked { key, hash, near }) in window.zip(asked) {
                let mut was_given = false;
                let is_known = nowait::without_waiting(|| {
                    self.lookup_in(&view, (*key, *hash), near.take(), moment, TRY_GET_BYTES_MAX, |value| {
                        was_given = true;
                        read(index, TryGet::Found(value));
                    })
                })?;
                match is_known {
                    _ if was_given => {}
                    Some(true) => read(index, TryGet::Missing),
                    _ => read(index, TryGet::NeedsIo),
                }
            }
        }
        Ok(())
    }
}

/// A key on its way.
#[derive(Default)]
struct Asked<'v, 'k> {
    key: &'k [u8],
    hash: u64,
    near: Option<Near<'v>>,
}

impl<'k> Asked<'_, 'k> {
    fn new(key: &'k [u8]) -> Self {
        Self { key, hash: hash_key(key), near: None }
    }
}

/// Has everything fetched that lookups of the keys in `view` will read, as far as it is foreseen.
fn fetch_all<'v>(view: &'v View, asked: &mut [Asked<'v, '_>], moment: SeqNo) {
    if asked.len() < 2 {
        return;
    }
    for memtable in view.memtables().filter(|memtable| !memtable.is_empty()) {
        asked.iter().for_each(|asked| memtable.prefetch_slot(asked.hash));
    }
    for asked in asked.iter() {
        let tables = view.version.tables_with(asked.key).filter_map(|handle| handle.opened());
        tables.for_each(|table| table.fetch_filter(asked.hash));
    }
    for Asked { key, hash, near } in asked.iter_mut() {
        let mut tables = view.version.tables_with(key).filter_map(|handle| handle.opened());
        *near = tables.find_map(|table| table.approach(key, *hash, moment));
    }
    asked.iter().filter_map(|asked| asked.near.as_ref()).for_each(Near::fetch_block);
    for Asked { key, near, .. } in asked.iter_mut() {
        if let Some(near) = near {
            near.fetch_entry(key);
        }
    }
}
