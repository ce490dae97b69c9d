//! Any bytes as the payload of a block whose checksum was right, and as the keys of a filter.

use crate::coding::Choices;
use crate::key::{EntryRef, KEY_BYTES_MAX, SEQNO_MAX, compare_internal, hash_key};
use crate::range_tombstone::RangeTombstones;
use crate::sstable::block::{DataBlockBuilder, find_packed, unpack};
use crate::sstable::data_block::DataBlock;
use crate::sstable::filter::{
    FilterPage, KeyHashes, LINE_BYTES, PAGE_LINES, PROBES_MAX, build, line_of, lines_for, probes_for,
};
use crate::sstable::footer::{FOOTER_BYTES, Footer};
use crate::sstable::index::{IndexBlock, IndexBlockBuilder};
use crate::sstable::properties::Properties;
use crate::sstable::reader::decode_range_tombstones;

/// Reads all but the first byte of `bytes`, which says what they are. Whether they are that.
pub(crate) fn read_block(bytes: &[u8]) -> bool {
    let mut choices = Choices::new(bytes);
    let kind = choices.byte() % 5;
    let payload = choices.rest();
    let read = match kind {
        0 => read_data(payload),
        1 => read_index(payload),
        2 => read_properties(payload),
        3 => read_tombstones(payload),
        _ => read_footer(payload),
    };
    read.is_some()
}

/// What was unpacked is the same once it is packed and unpacked again; and where the bytes are those that we would write,
/// a search of them finds what one of the unpacked block does.
fn read_data(payload: &[u8]) -> Option<()> {
    let _ = find_packed(payload, b"key", SEQNO_MAX);
    let block = unpack(payload).ok()?;
    let entries: Vec<EntryRef<'_>> = (0..block.len()).map(|at| block.entry(at)).collect();
    assert!(entries.iter().all(|entry| entry.key.len() <= KEY_BYTES_MAX));
    let is_sorted = entries.is_sorted_by(|a, b| compare_internal((a.key, a.seqno), (b.key, b.seqno)).is_lt());
    let mut builder = DataBlockBuilder::default();
    let mut last_key: &[u8] = b"";
    for entry in &entries {
        builder.add(last_key, entry);
        last_key = entry.key;
    }
    let packed = builder.finish();
    let again = unpack(packed).expect("it has just been packed");
    let same = (0..again.len()).map(|at| again.entry(at)).eq(entries.iter().copied());
    assert!(same, "what was packed is another block");
    if is_sorted {
        entries.iter().take(64).for_each(|entry| is_found(packed, &again, entry));
        for key in [&b""[..], b"key", b"\xff"] {
            is_found(packed, &again, &EntryRef { key, seqno: SEQNO_MAX, ..entries[0] });
        }
    }
    Some(())
}

/// Whether there is a version of the key at or below the seqno, both ways of searching say the same.
fn is_found(packed: &[u8], block: &DataBlock, wanted: &EntryRef<'_>) {
    let found = find_packed(packed, wanted.key, wanted.seqno).expect("it has just been packed");
    let at = block.get(wanted.key, wanted.seqno);
    assert_eq!(found.as_ref().map(|found| found.entry(0)), at.map(|at| block.entry(at)));
    let from = block.find(wanted.key, wanted.seqno);
    assert!(at.is_none_or(|at| at == from), "found at {at:?}, and from {from} on");
}

fn read_index(payload: &[u8]) -> Option<()> {
    let index = IndexBlock::new(payload.to_vec()).ok()?;
    for wanted in [&b""[..], b"key", b"\xff"] {
        assert!(index.find(wanted, 1).map_or(true, |at| at <= index.len()));
    }
    let mut builder = IndexBlockBuilder::default();
    for at in 0..index.len() {
        let _ = index.handle(at);
        let entry = index.entry(at).ok()?.expect("it is not behind the last");
        builder.add(&entry, index.times(at).ok()?);
    }
    let again = IndexBlock::new(builder.finish()).expect("it has just been built");
    let same =
        (0..index.len()).all(|at| again.entry(at) == index.entry(at) && again.times(at) == index.times(at));
    assert!(same && again.len() == index.len(), "what was built is another index");
    Some(())
}

fn read_properties(payload: &[u8]) -> Option<()> {
    let properties = Properties::decode(payload).ok()?;
    assert_eq!(Properties::decode(&properties.encode()), Ok(properties));
    Some(())
}

fn read_tombstones(payload: &[u8]) -> Option<()> {
    let tombstones = decode_range_tombstones(payload).ok()?;
    let all = RangeTombstones::new(&tombstones);
    for asked in tombstones.iter().take(16) {
        for key in [&asked.start, &asked.end] {
            let covers = |seqno| {
                tombstones.iter().any(|other| other.seqno == seqno && other.start <= *key && *key < other.end)
            };
            let newest = tombstones
                .iter()
                .filter(|other| other.start <= *key && *key < other.end)
                .map(|other| other.seqno)
                .max();
            assert_eq!(all.covering(key, SEQNO_MAX), newest, "{key:?} of {tombstones:?}");
            assert!(all.covering(key, asked.seqno).is_none_or(|seqno| seqno <= asked.seqno && covers(seqno)));
        }
    }
    Some(())
}

fn read_footer(payload: &[u8]) -> Option<()> {
    let footer = Footer::unchecked(payload.get(..FOOTER_BYTES)?)?;
    let path = std::path::Path::new("/000007.tbl");
    let (offset, number) = (footer.properties.end(), footer.number);
    let again = Footer::decode(&footer.encode(offset), number, offset, path).ok()?;
    assert_eq!(again, footer);
    assert!(again.filter.probes <= PROBES_MAX && again.filter.end() == again.range_tombstones.offset);
    Some(())
}

/// Makes a filter of keys in `bytes`, and takes the rest for the lines of another one. Whether there were keys.
///
/// No key of a filter is missing from it.
pub(crate) fn read_filter(bytes: &[u8]) -> bool {
    let mut choices = Choices::new(bytes);
    let bits_per_key = 1 + choices.byte() % 32;
    let count = choices.below(1 << 12);
    let mut hashes = KeyHashes::default();
    let mut kept = Vec::new();
    for _ in 0..count {
        let hash = hash_key(choices.piece(16));
        hashes.push(hash);
        kept.push(hash);
    }
    let (lines, probes) = (lines_for(hashes.len(), bits_per_key), probes_for(bits_per_key));
    let filter = build(&hashes, lines, probes);
    let pages: Vec<FilterPage> = filter
        .chunks(PAGE_LINES * LINE_BYTES)
        .map(|page| FilterPage::new(page.to_vec(), page.len() / LINE_BYTES).expect("it has so many lines"))
        .collect();
    for hash in kept {
        let line = line_of(hash, lines);
        let page = &pages[line / PAGE_LINES];
        page.fetch(line % PAGE_LINES);
        assert!(page.may_contain(line % PAGE_LINES, hash, probes), "a key is missing from its filter");
    }
    let (lines, probes) = (choices.below(PAGE_LINES), u32::from(choices.byte()) % (PROBES_MAX + 1));
    let hash = choices.number();
    let rest = choices.rest();
    match FilterPage::new(rest.to_vec(), lines) {
        Ok(page) => assert!(lines == 0 || page.may_contain(lines, hash, probes), "a line that is not there"),
        Err(_) => assert_ne!(rest.len(), lines * LINE_BYTES),
    }
    count > 0
}
