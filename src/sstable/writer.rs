//! Writes one table, front to back: entries in internal order and range tombstones in, a synced file out.
//!
//! Invariant: nothing written is ever changed, and the footer goes last, so that a file without its end is no table.
#![forbid(unsafe_code)]

use std::cmp::Ordering;
use std::sync::Arc;

use super::block::DataBlockBuilder;
use super::expiry::ExpiryHistogram;
use super::filter::{self, KeyHashes, LINE_BYTES, PAGE_LINES};
use super::footer::{FOOTER_BYTES, FilterPlace, Footer};
use super::frame::{self, FrameOutput, Packing};
use super::index::{self, IndexBlockBuilder, IndexEntry};
use super::{Effort, Handle, Properties};
use crate::coding::{put_prefixed, put_varint};
use crate::config::{Compression, Config};
use crate::error::{Code, Error, Result};
use crate::fs::File;
use crate::key::{
    EntryRef, KEY_BYTES_MAX, Kind, NEVER_EXPIRES, SEQNO_MAX, SeqNo, VALUE_BYTES_MAX, compare_internal,
    hash_key,
};
use crate::range_tombstone::RangeTombstone;
use crate::times::{Times, time_of, union};

/// An index partition is closed at this size. A lookup in a cold table reads one of them.
const PARTITION_BYTES: usize = 16 << 10;

/// A partition has at least so many entries, however long the keys: so the top index stays far smaller.
const PARTITION_ENTRIES_MIN: usize = 16;

/// How tables are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TableOptions {
    /// A data block is closed before it grows beyond this many bytes; one larger entry has a block of its own.
    pub(crate) block_size: usize,
    pub(crate) compression: Compression,
    pub(crate) effort: Effort,
    /// 0 writes no filter.
    pub(crate) bloom_bits_per_key: u8,
}

impl TableOptions {
    /// As `config` says.
    pub(crate) fn new(config: &Config, effort: Effort) -> Self {
        Self {
            block_size: config.block_size,
            compression: config.compression,
            effort,
            bloom_bits_per_key: config.bloom_bits_per_key,
        }
    }
}

/// What has been written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableSummary {
    /// The length of the file, in bytes.
    pub(crate) size: u64,
    /// Point entries, tombstones among them.
    pub(crate) entries: u64,
    pub(crate) tombstones: u64,
    pub(crate) range_tombstones: u64,
    /// The least user key of any point entry or range tombstone.
    pub(crate) smallest: Vec<u8>,
    /// The greatest user key of any point entry or range tombstone.
    pub(crate) largest: Vec<u8>,
    /// `largest` is the end of a range tombstone, and so the first key that the table says nothing of.
    pub(crate) largest_is_exclusive: bool,
    pub(crate) seqno_min: SeqNo,
    pub(crate) seqno_max: SeqNo,
    /// Point entries that expire, and the latest moment that one does (0 when none does).
    pub(crate) expiring: u64,
    pub(crate) largest_expiry: u64,
    /// Point entries that are older versions of a key that the table has a newer one of.
    pub(crate) superseded: u64,
    /// A moment by which a quarter of the table's bytes has expired, those in other files included, or 0.
    pub(crate) quarter_expired_at: u64,
}

/// A table in the making. Dropped before [`TableWriter::finish`], it leaves a file that is no table.
pub(crate) struct TableWriter {
    out: FrameOutput,
    options: TableOptions,
    block: DataBlockBuilder,
    /// The data block that was written but isn't in the index yet: its separator depends on the key that follows.
    unindexed: Option<(Handle, Option<Times>)>,
    /// The times of the records in the data block at hand.
    times: Option<Times>,
    index: IndexBuilder,
    last: Option<(Vec<u8>, SeqNo)>,
    smallest: Vec<u8>,
    hashes: KeyHashes,
    range_tombstones: Vec<RangeTombstone>,
    properties: Properties,
    superseded: u64,
    /// What the entries have in other files.
    separated_bytes: u64,
    expiries: ExpiryHistogram,
    scratch: Vec<u8>,
}

impl TableWriter {
    /// A writer of table `number` to `file`, which must be empty.
    pub(crate) fn new(file: Arc<dyn File>, number: u64, options: TableOptions) -> Self {
        Self {
            out: FrameOutput::new(file, number),
            options,
            block: DataBlockBuilder::default(),
            unindexed: None,
            times: None,
            index: IndexBuilder::default(),
            last: None,
            smallest: Vec::new(),
            hashes: KeyHashes::default(),
            range_tombstones: Vec::new(),
            properties: Properties::default(),
            superseded: 0,
            separated_bytes: 0,
            expiries: ExpiryHistogram::default(),
            scratch: Vec::new(),
        }
    }

    /// Adds the entry that follows those added so far.
    ///
    /// # Errors
    ///
    /// `Internal` when the entry is out of order, or no point entry, or beyond a limit. `Io` from the file.
    pub(crate) fn add(&mut self, entry: EntryRef<'_>) -> Result<()> {
        self.add_weighing(entry, 0)
    }

    /// As [`TableWriter::add`], for an entry that has so many bytes in another file. They go when it goes, and count
    /// for when how much of the table has expired.
    pub(crate) fn add_weighing(&mut self, entry: EntryRef<'_>, separated_bytes: u64) -> Result<()> {
        let new_key = self.check(&entry)?;
        if !self.block.is_empty() && self.block.len_with(&entry) > self.options.block_size {
            self.close_block()?;
        }
        let (last_key, last_seqno) = self.last.get_or_insert_with(|| {
            self.smallest.extend_from_slice(entry.key);
            (Vec::new(), SEQNO_MAX)
        });
        if let Some((handle, times)) = self.unindexed.take() {
            let separator = if new_key {
                (index::shortest_separator(last_key, entry.key, &mut self.scratch), 0)
            } else {
                (&last_key[..], *last_seqno)
            };
            self.index.add(separator, handle, times);
        }
        self.times = union(self.times, time_of(entry.key).map(Times::at));
        self.block.add(last_key, &entry);
        if new_key && self.options.bloom_bits_per_key > 0 {
            self.hashes.push(hash_key(entry.key));
        }
        last_key.clear();
        last_key.extend_from_slice(entry.key);
        *last_seqno = entry.seqno;
        self.properties.count(&entry);
        self.superseded += u64::from(!new_key);
        self.separated_bytes += separated_bytes;
        if entry.expires_at != NEVER_EXPIRES {
            let bytes = (entry.key.len() + entry.value.len()) as u64 + separated_bytes;
            self.expiries.add(entry.expires_at, bytes);
        }
        Ok(())
    }

    /// Adds a deletion of a range of keys; they may overlap and come in any order, at any time before the end.
    /// One that deletes nothing is left out.
    pub(crate) fn add_range_tombstone(&mut self, tombstone: RangeTombstone) -> Result<()> {
        if tombstone.start.len().max(tombstone.end.len()) > KEY_BYTES_MAX || tombstone.seqno > SEQNO_MAX {
            return Err(self.refusal("a range tombstone is beyond a limit"));
        }
        if tombstone.start < tombstone.end {
            self.range_tombstones.push(tombstone);
        }
        Ok(())
    }

    /// Whether nothing has been added that a table could hold.
    pub(crate) fn is_empty(&self) -> bool {
        self.last.is_none() && self.range_tombstones.is_empty()
    }

    /// About how long the file would be if it ended here, in bytes.
    pub(crate) fn size_estimate(&self) -> u64 {
        let filter_bytes = self.hashes.len() * usize::from(self.options.bloom_bits_per_key) / 8;
        let tombstone_bytes: usize = self
            .range_tombstones
            .iter()
            .map(|tombstone| tombstone.start.len() + tombstone.end.len() + 10)
            .sum();
        self.out.offset()
            + (self.block.len() + self.index.len() + filter_bytes + tombstone_bytes + FOOTER_BYTES) as u64
    }

    /// Writes the rest of the table and syncs the file. Its name is durable once its directory is synced.
    ///
    /// # Errors
    ///
    /// `Internal` when nothing was added. `Io` from the file, which must be discarded then.
    pub(crate) fn finish(mut self) -> Result<TableSummary> {
        if self.is_empty() {
            return Err(self.refusal("a table must not be empty"));
        }
        self.close_block()?;
        if let (Some((key, _)), Some((handle, times))) = (&self.last, self.unindexed.take()) {
            self.index.add((key, 0), handle, times);
        }
        self.prepare_properties();
        let packing = (&self.options, &mut self.scratch);
        let top = self.index.write_partitions(&mut self.out, packing)?;
        let filter = self.write_filter()?;
        let range_tombstones = self.write_range_tombstones()?;
        let top_index = block(&mut self.out, &top, Packing::Raw)?;
        let properties = block(&mut self.out, &self.properties.encode(), Packing::Raw)?;
        let footer = Footer { top_index, range_tombstones, properties, filter, number: self.out.number() };
        let footer = footer.encode(self.out.offset());
        self.out.append(&footer)?;
        let size = self.out.finish()?;
        Ok(self.summary(size))
    }

    /// Checks an entry against the limits and the order, and returns whether its key is new.
    fn check(&self, entry: &EntryRef<'_>) -> Result<bool> {
        if entry.kind == Kind::RangeTombstone {
            return Err(self.refusal("a range tombstone was added as a point entry"));
        }
        if entry.key.len() > KEY_BYTES_MAX || entry.value.len() > VALUE_BYTES_MAX || entry.seqno > SEQNO_MAX {
            return Err(self.refusal("an entry is beyond a limit"));
        }
        match &self.last {
            None => Ok(true),
            Some((key, seqno)) => match compare_internal((key, *seqno), (entry.key, entry.seqno)) {
                Ordering::Less => Ok(key != entry.key),
                _ => Err(self.refusal("an entry is out of order")),
            },
        }
    }

    fn close_block(&mut self) -> Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let payload = self.block.finish();
        let handle = packed(&mut self.out, payload, &self.options, &mut self.scratch)?;
        self.block.clear();
        self.unindexed = Some((handle, self.times.take()));
        self.properties.data_blocks += 1;
        Ok(())
    }

    fn prepare_properties(&mut self) {
        self.range_tombstones.sort_unstable();
        self.range_tombstones.dedup();
        for tombstone in &self.range_tombstones {
            self.properties.count_range_tombstone(tombstone);
        }
        if let Some((largest, _)) = &self.last {
            self.properties.point_keys = Some((self.smallest.clone(), largest.clone()));
        }
    }

    fn write_filter(&mut self) -> Result<FilterPlace> {
        let offset = self.out.offset();
        let bits_per_key = self.options.bloom_bits_per_key;
        let lines = filter::lines_for(self.hashes.len(), bits_per_key);
        if lines == 0 {
            return Ok(FilterPlace { offset, ..FilterPlace::default() });
        }
        let probes = filter::probes_for(bits_per_key);
        let bytes = filter::build(&self.hashes, lines, probes);
        for page in bytes.chunks(PAGE_LINES * LINE_BYTES) {
            block(&mut self.out, page, Packing::Raw)?;
        }
        Ok(FilterPlace { offset, lines, probes })
    }

    fn write_range_tombstones(&mut self) -> Result<Handle> {
        if self.range_tombstones.is_empty() {
            return Ok(Handle { offset: self.out.offset(), len: 0 });
        }
        let mut payload = Vec::new();
        for tombstone in &self.range_tombstones {
            put_prefixed(&mut payload, &tombstone.start);
            put_prefixed(&mut payload, &tombstone.end);
            put_varint(&mut payload, tombstone.seqno);
        }
        block(&mut self.out, &payload, Packing::Raw)
    }

    fn summary(self, size: u64) -> TableSummary {
        let properties = self.properties;
        let deleted_from = self.range_tombstones.first().map(|tombstone| &tombstone.start);
        let deleted_to = self.range_tombstones.iter().map(|tombstone| &tombstone.end).max();
        let (first, last) = match &properties.point_keys {
            Some((first, last)) => (Some(first), Some(last)),
            None => (None, None),
        };
        // `None` is below every key, and an end equal to the last key covers less than the key itself.
        let largest_is_exclusive = deleted_to > last;
        let largest = if largest_is_exclusive { deleted_to } else { last };
        let smallest = first.into_iter().chain(deleted_from).min();
        let bytes = properties.raw_key_bytes + properties.raw_value_bytes + self.separated_bytes;
        let quarter = bytes.div_ceil(4);
        TableSummary {
            size,
            entries: properties.entries,
            tombstones: properties.tombstones,
            range_tombstones: properties.range_tombstones,
            smallest: smallest.cloned().unwrap_or_default(),
            largest: largest.cloned().unwrap_or_default(),
            largest_is_exclusive,
            seqno_min: properties.seqno_min,
            seqno_max: properties.seqno_max,
            expiring: properties.expiring,
            largest_expiry: properties.largest_expiry,
            superseded: self.superseded,
            quarter_expired_at: self.expiries.expired_by(quarter.max(1)),
        }
    }

    fn refusal(&self, what: &str) -> Error {
        let path = self.out.path().display();
        Error::new(Code::Internal, format!("writing table {path}: {what}: this is a defect of FlowDB"))
    }
}

/// Writes a block of `payload`, compressed where that is asked for and worth it.
fn packed(
    out: &mut FrameOutput,
    payload: &[u8],
    options: &TableOptions,
    scratch: &mut Vec<u8>,
) -> Result<Handle> {
    let compressed = match options.compression {
        Compression::None => None,
        Compression::Lz4 => frame::compress(payload, options.effort, scratch),
    };
    match compressed {
        Some(stored) => block(out, stored, Packing::Lz4),
        None => block(out, payload, Packing::Raw),
    }
}

/// Writes a block of `stored` bytes with its trailer.
fn block(out: &mut FrameOutput, stored: &[u8], packing: Packing) -> Result<Handle> {
    let offset = out.offset();
    let len = out.frame(stored, packing)?;
    Ok(Handle { offset, len })
}

/// The index partitions, which are kept until the data blocks are written.
#[derive(Default)]
struct IndexBuilder {
    closed: Vec<Partition>,
    closed_bytes: usize,
    open: IndexBlockBuilder,
    last_separator: (Vec<u8>, SeqNo),
    /// The times of the records below the open partition.
    times: Option<Times>,
}

/// A partition that is full, with its last separator.
struct Partition {
    payload: Vec<u8>,
    key: Vec<u8>,
    seqno: SeqNo,
    times: Option<Times>,
}

impl IndexBuilder {
    fn add(&mut self, (key, seqno): (&[u8], SeqNo), handle: Handle, times: Option<Times>) {
        if self.open.len() >= PARTITION_BYTES && self.open.entries() >= PARTITION_ENTRIES_MIN {
            self.close_partition();
        }
        self.open.add(&IndexEntry { key, seqno, handle }, times);
        self.times = union(self.times, times);
        self.last_separator.0.clear();
        self.last_separator.0.extend_from_slice(key);
        self.last_separator.1 = seqno;
    }

    fn len(&self) -> usize {
        self.closed_bytes + self.open.len()
    }

    fn close_partition(&mut self) {
        let payload = std::mem::take(&mut self.open).finish();
        self.closed_bytes += payload.len();
        let (key, seqno) = self.last_separator.clone();
        let times = self.times.take();
        self.closed.push(Partition { payload, key, seqno, times });
    }

    /// Writes the partitions and returns the payload of the top index.
    fn write_partitions(
        &mut self,
        out: &mut FrameOutput,
        (options, scratch): (&TableOptions, &mut Vec<u8>),
    ) -> Result<Vec<u8>> {
        if self.open.entries() > 0 {
            self.close_partition();
        }
        let mut top = IndexBlockBuilder::default();
        for Partition { payload, key, seqno, times } in &self.closed {
            let handle = packed(out, payload, options, scratch)?;
            top.add(&IndexEntry { key, seqno: *seqno, handle }, *times);
        }
        Ok(top.finish())
    }
}
