//! What a damaged table still holds: every data block whose checksum is right, found by the index where that is whole,
//! and else by looking for blocks from front to back.
//!
//! A block says nothing of its own length, but its checksum covers the number of its file, its offset and its bytes; so
//! a run of bytes that has the right checksum behind it is a block that was written at this place of this file, and
//! nothing else can be taken for one. What a block is, is told by what it decodes to: the handles of an index block
//! follow each other without a gap, and the entries of a data block are in order.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::block::unpack;
use super::data_block::DataBlock;
use super::footer::{FOOTER_BYTES, Footer};
use super::frame::{self, TRAILER_BYTES};
use super::index::{IndexBlock, IndexBlockBuilder};
use super::reader::decode_range_tombstones;
use super::{Damage, Decoded, Handle, Properties};
use crate::error::{Code, Error, Result};
use crate::fs::File;
use crate::iter::InternalIterator;
use crate::key::{EntryRef, Kind, NEVER_EXPIRES, SeqNo, compare_internal};
use crate::range_tombstone::RangeTombstone;

/// A block behind damaged bytes is looked for up to this length; the blocks of an index have any.
const SEARCHED_BLOCK_BYTES_MAX: usize = 64 << 10;

/// So much is tried in one table before the rest of it is given up, in checksums compared.
const SEARCH_STEPS_MAX: u64 = 200_000_000;

/// What is left of a table.
pub(crate) struct Salvage {
    file: Arc<dyn File>,
    number: u64,
    /// The data blocks, in the order of their entries.
    blocks: Vec<Handle>,
    /// How many point entries they hold.
    pub(crate) entries: u64,
    /// How many point entries the table had, where its properties are whole.
    pub(crate) stated_entries: Option<u64>,
    pub(crate) tombstones: Vec<RangeTombstone>,
    /// The bytes that belong to no part that is whole.
    pub(crate) lost_bytes: u64,
}

impl Salvage {
    /// Looks through table `number` in `file`.
    ///
    /// # Errors
    ///
    /// `Io`, and `Version` where a newer FlowDB wrote the table.
    pub(crate) fn of(file: Arc<dyn File>, number: u64) -> Result<Self> {
        let bytes = read_whole(&*file)?;
        let mut search = Search { number, bytes: &bytes, ..Search::default() };
        let footer = footer_of(&bytes, number, &*file)?;
        if let Some(footer) = &footer {
            search.follow(footer);
        }
        search.search_gaps(footer.as_ref());
        let (blocks, entries) = search.in_order();
        let kept: u64 = blocks.iter().map(|handle| u64::from(handle.len)).sum();
        let others: u64 = search.others.values().map(|&len| u64::from(len)).sum();
        let lost_bytes = (bytes.len() as u64).saturating_sub(kept + others);
        let (stated_entries, tombstones) = (search.stated_entries, search.tombstones.unwrap_or_default());
        Ok(Self { blocks, entries, stated_entries, tombstones, lost_bytes, number, file })
    }

    /// The point entries that are left, forwards.
    pub(crate) fn iter(&self) -> SalvageIterator<'_> {
        SalvageIterator { salvage: self, next: 0, block: None, at: 0 }
    }
}

fn read_whole(file: &dyn File) -> Result<Vec<u8>> {
    let len = usize::try_from(file.len()?)
        .map_err(|_| Error::corruption(file.path(), "the file is larger than what memory can hold"))?;
    let mut bytes = vec![0; len];
    file.read_exact_at(0, &mut bytes)?;
    Ok(bytes)
}

fn footer_of(bytes: &[u8], number: u64, file: &dyn File) -> Result<Option<Footer>> {
    let Some(at) = bytes.len().checked_sub(FOOTER_BYTES) else { return Ok(None) };
    match Footer::decode(bytes.get(at..).unwrap_or_default(), number, at as u64, file.path()) {
        Ok(footer) => Ok(Some(footer)),
        Err(error) if error.code() == Code::Corruption => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where the entries of a data block lie, and how many they are.
struct Found {
    len: u32,
    entries: u64,
    first: (Vec<u8>, SeqNo),
    last: (Vec<u8>, SeqNo),
}

/// What has been found so far.
#[derive(Default)]
struct Search<'a> {
    number: u64,
    bytes: &'a [u8],
    /// Data blocks that are whole, by their offset.
    data: BTreeMap<u64, Found>,
    /// Places that an index names and where no whole block is.
    damaged: BTreeMap<u64, u32>,
    tombstones: Option<Vec<RangeTombstone>>,
    stated_entries: Option<u64>,
    /// Where the index begins, as far as is known: data blocks lie before it.
    index_at: Option<u64>,
    has_top: bool,
    /// Whole parts that are no data blocks.
    others: BTreeMap<u64, u32>,
    steps: u64,
}

impl Search<'_> {
    fn payload(&self, handle: Handle) -> Option<Vec<u8>> {
        let start = usize::try_from(handle.offset).ok()?;
        let frame = self.bytes.get(start..start.checked_add(handle.len as usize)?)?;
        frame::open(self.number, handle.offset, frame).ok()
    }

    /// Goes from the footer to the parts that it names.
    fn follow(&mut self, footer: &Footer) {
        self.others.insert(self.bytes.len().saturating_sub(FOOTER_BYTES) as u64, FOOTER_BYTES as u32);
        if let Some(payload) = self.payload(footer.properties)
            && let Ok(properties) = Properties::decode(&payload)
        {
            self.take_other(footer.properties);
            self.stated_entries = Some(properties.entries);
        }
        if footer.range_tombstones.len > 0
            && let Some(payload) = self.payload(footer.range_tombstones)
            && let Ok(tombstones) = decode_range_tombstones(&payload)
        {
            self.take_other(footer.range_tombstones);
            self.tombstones = Some(tombstones);
        }
        for page in 0..footer.filter.pages() {
            let (handle, _) = footer.filter.page(page);
            if self.payload(handle).is_some() {
                self.take_other(handle);
            }
        }
        let Some(top) = self.payload(footer.top_index) else { return };
        self.take_other(footer.top_index);
        for partition in index_handles(&top, footer.top_index.offset).unwrap_or_default() {
            self.index_begins(partition.offset);
            self.take_partition(partition);
        }
    }

    /// Takes the data blocks that the partition at `handle` names; false where it is damaged.
    fn take_partition(&mut self, handle: Handle) -> bool {
        let Some(payload) = self.payload(handle) else { return false };
        let Some(blocks) = index_handles(&payload, handle.offset) else { return false };
        self.index_begins(handle.offset);
        self.take_other(handle);
        for block in blocks {
            let is_data = self.payload(block).is_some_and(|payload| self.take_data(block, &payload));
            if !is_data && !self.data.contains_key(&block.offset) {
                self.damaged.insert(block.offset, block.len);
            }
        }
        true
    }

    fn take_other(&mut self, handle: Handle) {
        self.others.insert(handle.offset, handle.len);
    }

    fn index_begins(&mut self, offset: u64) {
        self.index_at = Some(self.index_at.map_or(offset, |at| at.min(offset)));
    }

    fn take_data(&mut self, handle: Handle, payload: &[u8]) -> bool {
        let Ok(found) = data_block(payload, handle.len) else { return false };
        self.data.insert(handle.offset, found);
        true
    }

    /// Looks for blocks wherever no whole index says where they are.
    fn search_gaps(&mut self, footer: Option<&Footer>) {
        let end = footer.map_or(self.bytes.len() as u64, |footer| footer.filter.offset);
        let mut known: Vec<(u64, u64)> =
            self.data.iter().map(|(&at, found)| (at, u64::from(found.len))).collect();
        known.extend(self.damaged.iter().chain(&self.others).map(|(&at, &len)| (at, u64::from(len))));
        known.sort_unstable();
        let mut at = 0;
        for (start, len) in known.into_iter().chain([(end, 0)]) {
            if at < start {
                self.search_gap(at as usize, start.min(end) as usize);
            }
            at = at.max(start.saturating_add(len));
        }
    }

    /// Looks for blocks between two offsets, at the first of which one begins.
    fn search_gap(&mut self, start: usize, end: usize) {
        let Some(region) = self.bytes.get(..end) else { return };
        let (mut at, mut is_boundary) = (start, true);
        while at + TRAILER_BYTES < end && self.steps < SEARCH_STEPS_MAX {
            let len_max = if is_boundary { usize::MAX } else { SEARCHED_BLOCK_BYTES_MAX };
            let rest = region.get(at..).unwrap_or_default();
            let rest = rest.get(..len_max.min(rest.len())).unwrap_or_default();
            match frame::find_end(self.number, at as u64, rest, &mut self.steps) {
                Some(len)
                    if self.take_unnamed(Handle { offset: at as u64, len: len as u32 }, is_boundary) =>
                {
                    at += len;
                    is_boundary = true;
                }
                _ => {
                    at += 1;
                    is_boundary = false;
                }
            }
        }
    }

    /// Takes a whole block that was found by looking for it; false where it is none. At a boundary a right checksum is proof
    /// enough. From everywhere else so many runs of bytes are tried that one in some tables has the right checksum by
    /// chance, and with it all blocks within it would be passed over: there it must be something that we write.
    fn take_unnamed(&mut self, handle: Handle, is_boundary: bool) -> bool {
        if self.data.contains_key(&handle.offset) {
            return true;
        }
        let Some(payload) = self.payload(handle) else { return false };
        if let Some(below) = index_handles(&payload, handle.offset) {
            // The top index stands behind the partitions, and names what was an index itself.
            self.has_top |= below.first().is_some_and(|&first| {
                self.payload(first).is_some_and(|payload| index_handles(&payload, first.offset).is_some())
            });
            if self.has_top {
                self.take_other(handle);
            } else {
                self.take_partition(handle);
            }
            return true;
        }
        let is_before_index = self.index_at.is_none_or(|at| handle.offset < at);
        if is_before_index && self.take_data(handle, &payload) {
            return true;
        }
        let may_be_tombstones = !self.has_top && (!is_before_index || handle.offset == 0);
        let tombstones = decode_range_tombstones(&payload).ok().filter(|tombstones| !tombstones.is_empty());
        let is_known = tombstones.is_some() || Properties::decode(&payload).is_ok();
        if may_be_tombstones && self.tombstones.is_none() {
            self.tombstones = tombstones;
        }
        if is_known || is_boundary {
            self.take_other(handle);
        }
        is_known || is_boundary
    }

    /// The data blocks whose entries follow each other, and how many entries they have.
    fn in_order(&self) -> (Vec<Handle>, u64) {
        let (mut blocks, mut entries) = (Vec::new(), 0);
        let mut last: Option<&(Vec<u8>, SeqNo)> = None;
        for (&offset, found) in &self.data {
            let follows = last.is_none_or(|(key, seqno)| {
                compare_internal((key, *seqno), (&found.first.0, found.first.1)).is_lt()
            });
            if follows {
                blocks.push(Handle { offset, len: found.len });
                entries += found.entries;
                last = Some(&found.last);
            }
        }
        (blocks, entries)
    }
}

/// The handles in the index block at `offset`, if the payload is one: it is what would be written for its entries, whose
/// handles follow each other up to somewhere before it.
fn index_handles(payload: &[u8], offset: u64) -> Option<Vec<Handle>> {
    let block = IndexBlock::new(payload.to_vec()).ok()?;
    let mut again = IndexBlockBuilder::default();
    let mut handles: Vec<Handle> = Vec::new();
    let mut at = 0;
    while let Some(entry) = block.entry(at).ok()? {
        let follows = handles.last().is_none_or(|last| last.end() == entry.handle.offset);
        if !follows || entry.handle.len as usize <= TRAILER_BYTES || entry.handle.end() > offset {
            return None;
        }
        again.add(&entry, block.times(at).ok()?);
        handles.push(entry.handle);
        at += 1;
    }
    (!handles.is_empty() && again.finish() == payload).then_some(handles)
}

/// Checks that the payload is a data block from its first entry to its last.
fn data_block(payload: &[u8], len: u32) -> Decoded<Found> {
    const DAMAGE: Damage = Damage("its entries are out of order");
    let block = unpack(payload)?;
    for at in 0..block.len() {
        let entry = block.entry(at);
        let follows = at == 0 || {
            let last = block.entry(at - 1);
            compare_internal((last.key, last.seqno), (entry.key, entry.seqno)).is_lt()
        };
        if entry.kind == Kind::RangeTombstone || !follows {
            return Err(DAMAGE);
        }
    }
    let place = |at: usize| (block.entry(at).key.to_vec(), block.entry(at).seqno);
    Ok(Found { len, entries: block.len() as u64, first: place(0), last: place(block.len() - 1) })
}

/// Walks what is left of a table, once, forwards.
pub(crate) struct SalvageIterator<'a> {
    salvage: &'a Salvage,
    /// The block behind the one that the iterator stands in.
    next: usize,
    block: Option<DataBlock>,
    at: usize,
}

impl SalvageIterator<'_> {
    /// Moves to the first entry of the next block, or off the end.
    fn enter(&mut self) -> Result<()> {
        self.block = None;
        let Some(&handle) = self.salvage.blocks.get(self.next) else { return Ok(()) };
        let file = &self.salvage.file;
        let mut frame = vec![0; handle.len as usize];
        file.read_exact_at(handle.offset, &mut frame)?;
        let block = frame::open_with(self.salvage.number, handle.offset, &frame, unpack)
            .map_err(|damage| damage.at(file.path(), "the data block", handle.offset))?;
        (self.next, self.at, self.block) = (self.next + 1, 0, Some(block));
        Ok(())
    }
}

impl InternalIterator for SalvageIterator<'_> {
    fn is_valid(&self) -> bool {
        self.block.is_some()
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.next = 0;
        self.enter()
    }

    fn next(&mut self) -> Result<()> {
        self.at += 1;
        if self.block.as_ref().is_some_and(|block| self.at < block.len()) { Ok(()) } else { self.enter() }
    }

    fn seek_to_last(&mut self) -> Result<()> {
        Err(forwards_only())
    }

    fn seek(&mut self, _: &[u8], _: SeqNo) -> Result<()> {
        Err(forwards_only())
    }

    fn seek_before(&mut self, _: &[u8]) -> Result<()> {
        Err(forwards_only())
    }

    fn prev(&mut self) -> Result<()> {
        Err(forwards_only())
    }

    fn entry(&self) -> EntryRef<'_> {
        const NONE: EntryRef<'_> =
            EntryRef { key: &[], seqno: 0, kind: Kind::Tombstone, expires_at: NEVER_EXPIRES, value: &[] };
        self.block.as_ref().map_or(NONE, |block| block.entry(self.at))
    }
}

fn forwards_only() -> Error {
    Error::new(Code::Internal, "what is left of a table is read forwards only: this is a defect of FlowDB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Compression;
    use crate::fs::{FileSystem, SimFs};
    use crate::sstable::testing::{NUMBER, Random, Row, TestTable, options};

    fn salvage(bytes: &[u8]) -> Salvage {
        let fs = SimFs::in_memory();
        fs.write_file(TestTable::path(), bytes);
        Salvage::of(fs.open(&TestTable::path()).unwrap(), NUMBER).unwrap()
    }

    fn rows_of(salvage: &Salvage) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut entries = salvage.iter();
        entries.seek_to_first().unwrap();
        while entries.is_valid() {
            rows.push(Row::from(entries.entry()));
            entries.next().unwrap();
        }
        assert_eq!(rows.len() as u64, salvage.entries);
        rows
    }

    fn rows(random: &mut Random, count: u64) -> Vec<Row> {
        (0..count)
            .flat_map(|number| {
                let key = format!("key {number:05}");
                let newer = Row::value(key.clone(), number + 10_000, vec![b'a' + (number % 26) as u8; 30]);
                let older = random.one_in(4).then(|| Row::tombstone(key, number + 1));
                std::iter::once(newer).chain(older)
            })
            .collect()
    }

    fn tombstones() -> Vec<RangeTombstone> {
        vec![RangeTombstone { start: b"key 00003".to_vec(), end: b"key 00009".to_vec(), seqno: 77 }]
    }

    /// Which rows lie in which bytes: read from the whole table, whose index is right.
    fn places(test: &TestTable) -> Vec<(std::ops::Range<usize>, Vec<Row>)> {
        let whole = salvage(&test.bytes);
        whole
            .blocks
            .iter()
            .map(|&handle| {
                let one = Salvage {
                    file: Arc::clone(&whole.file),
                    number: NUMBER,
                    blocks: vec![handle],
                    entries: 0,
                    stated_entries: None,
                    tombstones: Vec::new(),
                    lost_bytes: 0,
                };
                let mut entries = one.iter();
                entries.seek_to_first().unwrap();
                let mut rows = Vec::new();
                while entries.is_valid() {
                    rows.push(Row::from(entries.entry()));
                    entries.next().unwrap();
                }
                (handle.offset as usize..handle.end() as usize, rows)
            })
            .collect()
    }

    #[test]
    fn everything_is_left_of_a_whole_table() {
        let random = &mut Random::from_env();
        let rows = rows(random, 400);
        for compression in [Compression::None, Compression::Lz4] {
            let test = TestTable::write(options(200, compression, 10), &rows, &tombstones());

            let salvage = salvage(&test.bytes);

            assert_eq!(rows_of(&salvage), rows);
            assert_eq!(salvage.tombstones, tombstones());
            assert_eq!((salvage.lost_bytes, salvage.stated_entries), (0, Some(rows.len() as u64)));
        }
    }

    #[test]
    fn without_its_end_a_table_still_gives_every_block_and_its_range_tombstones() {
        let random = &mut Random::from_env();
        let rows = rows(random, 3000);
        let test = TestTable::write(options(200, Compression::Lz4, 10), &rows, &tombstones());
        let mut bytes = test.bytes.clone();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;

        let salvage = salvage(&bytes);

        assert_eq!(rows_of(&salvage), rows);
        assert_eq!(salvage.tombstones, tombstones());
        assert_eq!(salvage.stated_entries, None);
    }

    /// The keys of the rows that are not among `others`.
    fn without(rows: &[Row], others: &[Row]) -> Vec<String> {
        let others: std::collections::HashSet<_> = others.iter().map(|row| (&row.key, row.seqno)).collect();
        let is_extra = |row: &&Row| !others.contains(&(&row.key, row.seqno));
        rows.iter().filter(is_extra).map(|row| String::from_utf8_lossy(&row.key).into_owned()).collect()
    }

    /// Whatever is destroyed, every data block that was not touched is found, and nothing else is.
    #[test]
    fn every_block_that_is_whole_is_left_and_nothing_that_was_not_there() {
        let random = &mut Random::from_env();
        let rows = rows(random, 1500);
        for compression in [Compression::None, Compression::Lz4] {
            let test = TestTable::write(options(200, compression, 10), &rows, &tombstones());
            let places = places(&test);
            for _ in 0..60 {
                let mut bytes = test.bytes.clone();
                let mut touched = Vec::new();
                for _ in 0..=random.below(4) {
                    let at = random.below(bytes.len() as u64) as usize;
                    // Near the end, where the index and the footer are, as often as anywhere.
                    let at = if random.one_in(2) { bytes.len() - 1 - at % 2500 } else { at };
                    let len = (1 + random.below(300) as usize).min(bytes.len() - at);
                    bytes[at..at + len].iter_mut().for_each(|byte| *byte ^= 1 + (random.next() % 255) as u8);
                    touched.push(at..at + len);
                }
                if random.one_in(4) {
                    bytes.truncate(random.below(bytes.len() as u64) as usize);
                }
                let is_whole = |place: &std::ops::Range<usize>| {
                    place.end <= bytes.len()
                        && touched.iter().all(|hit| hit.end <= place.start || place.end <= hit.start)
                };

                let left = rows_of(&salvage(&bytes));

                let expected: Vec<Row> = places
                    .iter()
                    .filter(|(place, _)| is_whole(place))
                    .flat_map(|(_, rows)| rows.iter().cloned())
                    .collect();
                let (extra, missing) = (without(&left, &expected), without(&expected, &left));
                assert!(
                    left == expected,
                    "{compression:?}, {touched:?}, {} bytes: too many {extra:?}, too few {missing:?}",
                    bytes.len()
                );
            }
        }
    }

    #[test]
    fn a_table_of_range_tombstones_only_gives_them() {
        let test = TestTable::write(options(200, Compression::None, 10), &[], &tombstones());
        let mut bytes = test.bytes.clone();
        assert_eq!(salvage(&bytes).tombstones, tombstones());
        let last = bytes.len() - 1;
        bytes[last] ^= 1;

        assert_eq!(salvage(&bytes).tombstones, tombstones());
    }

    #[test]
    fn bytes_that_are_no_table_give_nothing_and_end() {
        for bytes in [vec![], vec![0; 100_000], vec![7; 100_000], vec![1; 5]] {
            let salvage = salvage(&bytes);

            assert_eq!((salvage.entries, salvage.tombstones.len()), (0, 0));
            assert_eq!(salvage.lost_bytes, bytes.len() as u64);
        }
    }
}
