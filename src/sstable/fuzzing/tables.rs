//! Any bytes as a table: as they are, and with every checksum that a reader will look at made right.

use std::path::Path;
use std::sync::Arc;

use crate::coding::Choices;
use crate::error::{Result, undamaged};
use crate::frame::{TRAILER_BYTES, open};
use crate::fs::{FileSystem, SimFs};
use crate::iter::InternalIterator;
use crate::key::{SEQNO_MAX, hash_key};
use crate::sstable::footer::{FOOTER_BYTES, Footer};
use crate::sstable::index::IndexBlock;
use crate::sstable::{BlockCache, Handle, Salvage, Table};

/// The number of the frozen tables that the corpus begins with.
const NUMBER: u64 = 7;

/// Under right checksums a few bytes may be many entries; so many are looked at.
const STEPS_MAX: usize = 5_000;

/// Looking for blocks takes time that grows with the square of the file.
const SALVAGED_BYTES_MAX: usize = 1 << 10;

/// Reads `bytes` as a table, in each way. Whether it was one without damage.
///
/// What can be read is read, everything else says that it is damaged, and every walk ends.
pub(crate) fn read_table(bytes: &[u8]) -> bool {
    let mut choices = Choices::new(bytes);
    let is_sealed = choices.byte() % 2 == 1;
    let mut file = choices.rest().to_vec();
    if is_sealed {
        seal(&mut file);
    }
    let (fs, path) = (SimFs::in_memory(), Path::new("/000007.tbl"));
    fs.write_file(path, &file);
    if file.len() <= SALVAGED_BYTES_MAX {
        walk_salvaged(&fs, path);
    }
    let opened = fs.open(path).expect("it has just been written");
    let cache = Arc::new(BlockCache::new(1 << 20));
    let Some(table) = undamaged(Table::open(opened, NUMBER, file.len() as u64, cache)) else { return false };
    let mut is_whole = true;
    for forward in [true, false] {
        is_whole &= undamaged(walk(&table, forward)).is_some();
    }
    for wanted in [&b""[..], b"a", b"key", b"\xff"] {
        is_whole &= undamaged(table.get(wanted, hash_key(wanted), SEQNO_MAX)).is_some();
        is_whole &= undamaged(table.offset_of(wanted, SEQNO_MAX)).is_some();
        let mut rows = table.iter();
        is_whole &= undamaged(rows.seek(wanted, SEQNO_MAX)).is_some();
        is_whole &= undamaged(rows.seek_before(wanted)).is_some();
    }
    is_whole & undamaged(table.verify()).is_some()
}

/// Walks over the rows and gets the first ones by their keys.
fn walk(table: &Arc<Table>, forward: bool) -> Result<()> {
    let (mut rows, mut steps) = (table.iter(), 0);
    if forward {
        rows.seek_to_first()?;
    } else {
        rows.seek_to_last()?;
    }
    while rows.is_valid() && steps < STEPS_MAX {
        if steps < 16 {
            let (key, seqno) = (rows.entry().key.to_vec(), rows.entry().seqno);
            table.get(&key, hash_key(&key), seqno)?;
        }
        if forward {
            rows.next()?;
        } else {
            rows.prev()?;
        }
        steps += 1;
    }
    Ok(())
}

fn walk_salvaged(fs: &SimFs, path: &Path) {
    let file = fs.open(path).expect("it has just been written");
    let Some(salvage) = undamaged(Salvage::of(file, NUMBER)) else { return };
    let (mut rows, mut steps) = (salvage.iter(), 0);
    let mut stands = undamaged(rows.seek_to_first());
    while stands.is_some() && rows.is_valid() && steps < STEPS_MAX {
        stands = undamaged(rows.next());
        steps += 1;
    }
}

/// Makes the checksums right of the footer and of every block that it leads to.
fn seal(file: &mut [u8]) {
    let Some(at) = file.len().checked_sub(FOOTER_BYTES) else { return };
    let Some(footer) = seal_footer(file, at) else { return };
    seal_block(file, footer.properties);
    seal_block(file, footer.range_tombstones);
    for page in 0..footer.filter.pages().min(16) {
        seal_block(file, footer.filter.page(page).0);
    }
    for partition in sealed_index(file, footer.top_index) {
        for block in sealed_index(file, partition) {
            seal_block(file, block);
        }
    }
}

/// The footer with the right number, version and checksum.
fn seal_footer(file: &mut [u8], at: usize) -> Option<Footer> {
    let footer = Footer { number: NUMBER, ..Footer::unchecked(&file[at..])? };
    file[at..].copy_from_slice(&footer.encode(at as u64));
    Some(footer)
}

fn seal_block(file: &mut [u8], handle: Handle) -> Option<()> {
    let start = usize::try_from(handle.offset).ok()?;
    let frame = file.get_mut(start..start.checked_add(handle.len as usize)?)?;
    let (stored, trailer) = frame.split_last_chunk_mut::<TRAILER_BYTES>()?;
    let packing =
        if trailer[0].is_multiple_of(2) { crate::frame::Packing::Raw } else { crate::frame::Packing::Lz4 };
    *trailer = crate::frame::trailer(NUMBER, handle.offset, stored, packing);
    Some(())
}

/// The blocks that the index at `handle` leads to; the index itself is sealed.
fn sealed_index(file: &mut [u8], handle: Handle) -> Vec<Handle> {
    let start = handle.offset as usize;
    let payload = seal_block(file, handle).and_then(|()| {
        let frame = file.get(start..start + handle.len as usize)?;
        open(NUMBER, handle.offset, frame).ok()
    });
    let index = payload.and_then(|payload| IndexBlock::new(payload).ok());
    let handles =
        |index: IndexBlock| (0..index.len().min(64)).filter_map(|at| index.handle(at).ok()?).collect();
    index.map(handles).unwrap_or_default()
}
