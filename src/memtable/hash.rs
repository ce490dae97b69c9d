//! The index for point reads: from the hash of a key to its record, by open addressing.
//!
//! The table is cut into segments by the first bits of the hash. Each grows alone, by filling a table of twice
//! the size and publishing it, so an insert never pays for more than one segment and readers never wait. The old
//! table stays as it is: whoever still reads it finds every key that was there when they began.
//!
//! A slot keeps 32 bits of the hash, and its position follows from them in ascending order. Growing therefore
//! runs through both tables in order and touches no key.
#![forbid(unsafe_code)]

use super::arena::{Arena, AtomicSlots, Bump, Ref, SlotsRef};
use super::record::KeyRecord;
use crate::key::hash_key;

/// The binary logarithm of the number of segments.
const SEGMENT_BITS: u32 = 6;

/// The binary logarithm of the slots in the first table of a segment: one cache line.
const SLOT_BITS_MIN: u32 = 3;

/// The bits of a tag that tell slots of a segment apart.
const SLOT_BITS_MAX: u32 = u32::BITS - SEGMENT_BITS;

/// The hash index of one memtable.
pub(super) struct HashIndex {
    segments: [AtomicSlots<KeyRecord>; 1 << SEGMENT_BITS],
}

/// What the only writer remembers of each segment: how many keys are in it.
pub(super) struct HashWriter {
    counts: [u32; 1 << SEGMENT_BITS],
}

impl HashWriter {
    pub(super) fn new() -> Self {
        Self { counts: [0; 1 << SEGMENT_BITS] }
    }
}

/// The part of a key's hash that the index uses.
#[derive(Clone, Copy, Default)]
pub(super) struct Tag(u32);

impl Tag {
    pub(super) fn of(key: &[u8]) -> Self {
        Self::of_hash(hash_key(key))
    }

    pub(super) fn of_hash(hash: u64) -> Self {
        Self((hash >> 32) as u32)
    }

    fn segment(self) -> usize {
        (self.0 >> SLOT_BITS_MAX) as usize
    }

    /// Where the search for the key begins in a table of `2^bits` slots.
    fn slot(self, bits: u32) -> usize {
        ((self.0 << SEGMENT_BITS) >> (u32::BITS - bits)) as usize
    }
}

impl HashIndex {
    pub(super) fn new() -> Self {
        Self { segments: std::array::from_fn(|_| AtomicSlots::new()) }
    }

    /// The record of `key`, whose tag is `tag`.
    pub(super) fn find(&self, arena: &Arena, tag: Tag, key: &[u8]) -> Option<Ref<KeyRecord>> {
        let table = self.segments[tag.segment()].load()?;
        let slots = arena.slots(table);
        let mut at = tag.slot(table.bits());
        loop {
            // A table is never full, so the search ends at an empty slot.
            let (other, record) = slots[at].load()?;
            if other == tag.0 && arena.bytes(record) == key {
                return Some(record);
            }
            at = (at + 1) & (slots.len() - 1);
        }
    }

    /// Lets the processor fetch the slot where the search for a key begins.
    pub(super) fn prefetch(&self, arena: &Arena, tag: Tag) {
        if let Some(table) = self.segments[tag.segment()].load() {
            arena.prefetch_slot(table, tag.slot(table.bits()));
        }
    }

    /// Adds a key that is not there.
    pub(super) fn insert(
        &self,
        arena: &Arena,
        bump: &mut Bump,
        writer: &mut HashWriter,
        tag: Tag,
        record: Ref<KeyRecord>,
    ) {
        let segment = &self.segments[tag.segment()];
        let count = &mut writer.counts[tag.segment()];
        let table = match segment.load() {
            // At most five slots of eight are taken, which keeps a miss at about four slots.
            Some(table) if u64::from(*count) * 8 < 5 << table.bits() => table,
            Some(table) => {
                let larger = grown(arena, bump, table);
                segment.store(larger);
                larger
            }
            None => {
                let first = bump.push_slots(SLOT_BITS_MIN);
                segment.store(first);
                first
            }
        };
        place(arena, table, tag, record);
        *count += 1;
    }
}

/// A table of twice the size with the keys of `table`.
fn grown(arena: &Arena, bump: &mut Bump, table: SlotsRef<KeyRecord>) -> SlotsRef<KeyRecord> {
    let bits = table.bits() + 1;
    assert!(bits <= SLOT_BITS_MAX, "the arena has no room for so many keys");
    let larger = bump.push_slots(bits);
    for (tag, record) in arena.slots(table).iter().filter_map(|slot| slot.load()) {
        place(arena, larger, Tag(tag), record);
    }
    larger
}

/// Stores a key in the first free slot of its run.
fn place(arena: &Arena, table: SlotsRef<KeyRecord>, tag: Tag, record: Ref<KeyRecord>) {
    let slots = arena.slots(table);
    let mut at = tag.slot(table.bits());
    while slots[at].load().is_some() {
        at = (at + 1) & (slots.len() - 1);
    }
    slots[at].store(tag.0, record);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Kind;
    use crate::memtable::record::{VersionRef, push_key};

    const FIRST: VersionRef<'_> = VersionRef { seqno: 1, kind: Kind::Value, expires_at: 0, value: b"" };

    #[test]
    fn every_key_is_found_while_the_tables_grow_and_no_other() {
        let (arena, mut bump) = Arena::new();
        let (index, mut writer) = (HashIndex::new(), HashWriter::new());
        let key = |number: u32| number.to_be_bytes();

        for number in 0..20_000u32 {
            let record = push_key(&mut bump, &key(number), FIRST);
            index.insert(&arena, &mut bump, &mut writer, Tag::of(&key(number)), record);
            let probe = number / 2;
            let found = index.find(&arena, Tag::of(&key(probe)), &key(probe));
            assert_eq!(found.map(|at| arena.bytes(at)), Some(key(probe).as_slice()));
        }

        for number in 0..20_000u32 {
            assert!(index.find(&arena, Tag::of(&key(number)), &key(number)).is_some());
            let absent = key(number + 20_000);
            assert!(index.find(&arena, Tag::of(&absent), &absent).is_none());
        }
    }

    #[test]
    fn keys_of_one_tag_are_told_apart() {
        let (arena, mut bump) = Arena::new();
        let (index, mut writer) = (HashIndex::new(), HashWriter::new());
        let tag = Tag(u32::MAX);

        for number in 0..100u8 {
            let record = push_key(&mut bump, &[number], FIRST);
            index.insert(&arena, &mut bump, &mut writer, tag, record);
        }

        for number in 0..100u8 {
            let found = index.find(&arena, tag, &[number]);
            assert_eq!(found.map(|at| arena.bytes(at)), Some([number].as_slice()));
        }
        assert!(index.find(&arena, tag, &[100]).is_none());
    }
}
