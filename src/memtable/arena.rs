//! The memory of a memtable: append-only chunks, addressed by 32-bit references.
//!
//! Invariant: what a [`Ref`] points to was written whole before the reference was made, never moves, and is
//! freed only when the last holder of the arena is gone. Afterwards only the atomics in it change. A reference
//! reaches another thread only through the cells of this file ([`AtomicRef`], [`Slot`], [`AtomicSlots`]), whose
//! stores release and whose loads acquire, so a reader never sees a record before its bytes.
//!
//! References are typed and can't be made elsewhere, so safe code can't confuse two kinds of record. They carry
//! no mark of their arena: each memtable keeps its references to itself. Beside the memory of the chunks, this is the
//! only file of the memtable with unsafe code.
//!
//! Limit: 16,384 chunks, each at least half full or as large as the one record in it, which holds 16 GiB in the
//! worst case and 32 GiB in the usual one.
#![expect(
    unsafe_code,
    reason = "records of different kinds share chunks of raw memory and are read without locks"
)]

use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;

use super::Apart;
use crate::chunk::{CHUNK_ALIGN, CHUNK_BYTES, Chunk, recycle};
use crate::prefetch;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Records above this get a chunk of their own, so that a shared chunk is closed at least half full.
const SHARED_BYTES_MAX: usize = CHUNK_BYTES / 2;

/// How many chunks a reference can tell apart.
const CHUNKS_MAX: usize = 1 << (32 - UNIT_BITS);

/// A reference is the number of a chunk above this many bits that count units in the chunk.
const UNIT_BITS: u32 = 18;

/// Every record starts at a multiple of this, in bytes.
const UNIT_BYTES: usize = 8;

/// The size of a line of the processor's caches, as far as it matters here.
const LINE_BYTES: usize = 64;

/// The first bytes of a chunk stay unused, so that no reference is zero.
const CHUNK_START: usize = CHUNK_ALIGN;

/// Where a `T` lies in an arena.
pub(super) struct Ref<T> {
    raw: NonZeroU32,
    of: PhantomData<fn() -> T>,
}

impl<T> Ref<T> {
    fn new(raw: NonZeroU32) -> Self {
        Self { raw, of: PhantomData }
    }
}

impl<T> Clone for Ref<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ref<T> {}

impl<T> PartialEq for Ref<T> {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl<T> Eq for Ref<T> {}

/// A cell that holds a reference or none.
pub(super) struct AtomicRef<T> {
    raw: AtomicU32,
    of: PhantomData<fn() -> T>,
}

impl<T> AtomicRef<T> {
    pub(super) const fn empty() -> Self {
        Self { raw: AtomicU32::new(0), of: PhantomData }
    }

    pub(super) fn new(value: Option<Ref<T>>) -> Self {
        Self { raw: AtomicU32::new(value.map_or(0, |value| value.raw.get())), of: PhantomData }
    }

    pub(super) fn load(&self) -> Option<Ref<T>> {
        NonZeroU32::new(self.raw.load(Ordering::Acquire)).map(Ref::new)
    }

    pub(super) fn store(&self, value: Option<Ref<T>>) {
        self.raw.store(value.map_or(0, |value| value.raw.get()), Ordering::Release);
    }
}

/// A cell of a hash table: a tag and a reference in one word, or nothing.
pub(super) struct Slot<T> {
    raw: AtomicU64,
    of: PhantomData<fn() -> T>,
}

impl<T> Slot<T> {
    pub(super) fn load(&self) -> Option<(u32, Ref<T>)> {
        let raw = self.raw.load(Ordering::Acquire);
        NonZeroU32::new(raw as u32).map(|low| ((raw >> 32) as u32, Ref::new(low)))
    }

    pub(super) fn store(&self, tag: u32, value: Ref<T>) {
        self.raw.store(u64::from(tag) << 32 | u64::from(value.raw.get()), Ordering::Release);
    }
}

/// Where an array of `2^bits` slots lies.
pub(super) struct SlotsRef<T> {
    first: Ref<Slot<T>>,
    bits: u32,
}

impl<T> Clone for SlotsRef<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for SlotsRef<T> {}

impl<T> SlotsRef<T> {
    /// The binary logarithm of the number of slots.
    pub(super) fn bits(self) -> u32 {
        self.bits
    }
}

/// A cell that holds the place of an array of slots or none.
pub(super) struct AtomicSlots<T> {
    raw: AtomicU64,
    of: PhantomData<fn() -> T>,
}

impl<T> AtomicSlots<T> {
    pub(super) fn new() -> Self {
        Self { raw: AtomicU64::new(0), of: PhantomData }
    }

    pub(super) fn load(&self) -> Option<SlotsRef<T>> {
        let raw = self.raw.load(Ordering::Acquire);
        NonZeroU32::new(raw as u32).map(|low| SlotsRef { first: Ref::new(low), bits: (raw >> 32) as u32 })
    }

    pub(super) fn store(&self, slots: SlotsRef<T>) {
        self.raw.store(u64::from(slots.bits) << 32 | u64::from(slots.first.raw.get()), Ordering::Release);
    }
}

/// The fixed part of a record of variable size.
pub(super) trait Header: Send + Sync {
    /// The header of the records that the link of such a record may lead to.
    type Linked: Header;
}

/// A record of variable size: a link that may change, a header that may not, and bytes.
#[repr(C)]
pub(super) struct Record<H: Header> {
    pub(super) link: AtomicRef<Record<H::Linked>>,
    /// Private, because [`Arena::bytes`] trusts it.
    len: u32,
    pub(super) header: H,
}

/// The memory itself, shared by the one that appends and all who read.
struct Chunks {
    /// The start of each chunk; null for those to come.
    starts: Box<[AtomicPtr<u8>]>,
    /// Those who own them, in the order of `starts`.
    owned: Mutex<Vec<Chunk>>,
    used_bytes: Apart<AtomicUsize>,
}

impl Drop for Chunks {
    fn drop(&mut self) {
        recycle(std::mem::take(self.owned.get_mut()));
    }
}

impl Chunks {
    fn new() -> Self {
        // Memory that comes zeroed from the system costs nothing until a part of it is used.
        let starts: Box<[*mut u8]> = vec![ptr::null_mut(); CHUNKS_MAX].into_boxed_slice();
        // SAFETY: an atomic pointer is in memory what a pointer is, and the box is owned and not yet shared.
        let starts = unsafe { Box::from_raw(Box::into_raw(starts) as *mut [AtomicPtr<u8>]) };
        Self { starts, owned: Mutex::new(Vec::new()), used_bytes: Apart(AtomicUsize::new(0)) }
    }

    /// Adds a chunk and returns its number.
    fn add_chunk(&self, size_bytes: usize) -> usize {
        let mut owned = self.owned.lock();
        let number = owned.len();
        assert!(
            number < CHUNKS_MAX,
            "a memtable outgrew its address space of 16 GiB; it must be sealed earlier"
        );
        // A small memtable has one chunk and should not take a large page for it.
        let chunk = Chunk::new(size_bytes, number > 0);
        self.starts[number].store(chunk.start(), Ordering::Release);
        owned.push(chunk);
        number
    }

    /// The address that `raw` stands for, in a chunk that exists.
    fn address(&self, raw: NonZeroU32) -> *mut u8 {
        let number = (raw.get() >> UNIT_BITS) as usize;
        let offset = (raw.get() & ((1 << UNIT_BITS) - 1)) as usize * UNIT_BYTES;
        let start = self.starts[number].load(Ordering::Relaxed);
        // SAFETY: references are made by `Bump::allocate` alone, which places them inside of the chunk they
        // name; whoever holds one got it through an acquiring load, so the start of the chunk is visible too.
        unsafe { start.add(offset) }
    }
}

/// The readers' side of the memory.
pub(super) struct Arena {
    chunks: Arc<Chunks>,
}

impl Arena {
    /// An empty arena and the one who may append to it.
    pub(super) fn new() -> (Self, Bump) {
        let chunks = Arc::new(Chunks::new());
        let bump = Bump { chunks: Arc::clone(&chunks), number: 0, offset: 0, end: 0 };
        (Self { chunks }, bump)
    }

    /// How many bytes were handed out, padding included. Never falls.
    pub(super) fn used_bytes(&self) -> usize {
        self.chunks.used_bytes.0.load(Ordering::Relaxed)
    }

    /// The record at `at`.
    pub(super) fn get<T>(&self, at: Ref<T>) -> &T {
        let address = self.chunks.address(at.raw).cast::<T>();
        // SAFETY: a `Ref<T>` is made only after a `T` was written there, aligned; nothing writes to it again but
        // through its own atomics, and the chunk lives as long as `self` holds it.
        unsafe { &*address }
    }

    /// The bytes of the record at `at`.
    pub(super) fn bytes<H: Header>(&self, at: Ref<Record<H>>) -> &[u8] {
        let address = self.chunks.address(at.raw);
        // SAFETY: `push_record` wrote the record there, as in `get`, and `len` bytes after it; neither `len` nor
        // the bytes change afterwards. The address keeps the provenance of the whole chunk.
        unsafe {
            let len = (*address.cast::<Record<H>>()).len as usize;
            slice::from_raw_parts(address.add(size_of::<Record<H>>()), len)
        }
    }

    /// Lets the processor fetch the `T` at `at` into its caches while other work goes on. Changes nothing else.
    pub(super) fn prefetch<T>(&self, at: Ref<T>) {
        let address = self.chunks.address(at.raw).cast_const();
        for offset in (0..size_of::<T>()).step_by(LINE_BYTES) {
            prefetch::line(address.wrapping_add(offset));
        }
    }

    /// As [`Arena::prefetch`], for slot `index` of an array.
    pub(super) fn prefetch_slot<T>(&self, at: SlotsRef<T>, index: usize) {
        let first = self.chunks.address(at.first.raw).cast_const();
        prefetch::line(first.wrapping_add(index * size_of::<Slot<T>>()));
    }

    /// The array of slots at `at`.
    pub(super) fn slots<T>(&self, at: SlotsRef<T>) -> &[Slot<T>] {
        let address = self.chunks.address(at.first.raw).cast::<Slot<T>>();
        // SAFETY: `push_slots` made the reference after it wrote that many slots there; slots are atomics.
        unsafe { slice::from_raw_parts(address, 1 << at.bits) }
    }
}

/// The writer's side of the memory. There is one for each arena, and appending takes it exclusively.
pub(super) struct Bump {
    chunks: Arc<Chunks>,
    /// The shared chunk that is being filled, and what of it is free.
    number: usize,
    offset: usize,
    end: usize,
}

impl Bump {
    /// Appends `value`, which must have nothing to drop, because nothing will.
    pub(super) fn push<T: Send + Sync>(&mut self, value: T) -> Ref<T> {
        const { assert!(!std::mem::needs_drop::<T>()) };
        let (address, raw) = self.allocate(size_of::<T>(), align_of::<T>());
        // SAFETY: the place is large enough and aligned for a `T`, and no one else knows it yet.
        unsafe { address.cast::<T>().write(value) };
        Ref::new(raw)
    }

    /// Appends a record with its bytes.
    pub(super) fn push_record<H: Header>(
        &mut self,
        link: Option<Ref<Record<H::Linked>>>,
        header: H,
        bytes: &[u8],
    ) -> Ref<Record<H>> {
        const { assert!(!std::mem::needs_drop::<H>()) };
        let len = u32::try_from(bytes.len()).expect("keys and values are far below 4 GiB");
        let fixed = size_of::<Record<H>>();
        let (address, raw) = self.allocate(fixed + bytes.len(), align_of::<Record<H>>());
        // SAFETY: the place is large enough for the record and the bytes after it, aligned for the record, and no
        // one else knows it yet, so it can't overlap `bytes`.
        unsafe {
            address.cast::<Record<H>>().write(Record { link: AtomicRef::new(link), len, header });
            ptr::copy_nonoverlapping(bytes.as_ptr(), address.as_ptr().add(fixed), bytes.len());
        }
        Ref::new(raw)
    }

    /// Appends `2^bits` empty slots.
    pub(super) fn push_slots<T>(&mut self, bits: u32) -> SlotsRef<T> {
        let (address, raw) = self.allocate(size_of::<Slot<T>>() << bits, CHUNK_ALIGN);
        // SAFETY: the place is large enough and aligned for the slots, no one else knows it yet, and a slot of
        // all zero bytes is an empty one.
        unsafe { address.cast::<Slot<T>>().write_bytes(0, 1 << bits) };
        SlotsRef { first: Ref::new(raw), bits }
    }

    /// Takes `size` bytes, aligned to `align`, and returns their address and their reference.
    fn allocate(&mut self, size: usize, align: usize) -> (NonNull<u8>, NonZeroU32) {
        assert!(align <= CHUNK_ALIGN, "chunks are not aligned to more");
        let size = size.next_multiple_of(UNIT_BYTES);
        let align = align.max(UNIT_BYTES);
        let (number, offset) = if size > SHARED_BYTES_MAX {
            (self.chunks.add_chunk(CHUNK_START + size), CHUNK_START)
        } else {
            if self.end - self.offset.next_multiple_of(align).min(self.end) < size {
                self.number = self.chunks.add_chunk(CHUNK_BYTES);
                (self.offset, self.end) = (CHUNK_START, CHUNK_BYTES);
            }
            let offset = self.offset.next_multiple_of(align);
            self.offset = offset + size;
            (self.number, offset)
        };
        let used = self.chunks.used_bytes.0.load(Ordering::Relaxed) + size;
        self.chunks.used_bytes.0.store(used, Ordering::Relaxed);
        let raw = (number as u32) << UNIT_BITS | (offset / UNIT_BYTES) as u32;
        let raw = NonZeroU32::new(raw).expect("the first units of a chunk are not handed out");
        let address =
            NonNull::new(self.chunks.address(raw)).expect("the chunk was just added or is being filled");
        (address, raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Header for u64 {
        type Linked = u64;
    }

    type Blob = Record<u64>;

    #[test]
    fn records_keep_their_bytes_across_chunks() {
        let (arena, mut bump) = Arena::new();
        let sizes =
            [0, 1, 7, 8, 9, 1000, 70_000, SHARED_BYTES_MAX - 16, SHARED_BYTES_MAX, CHUNK_BYTES, 3 << 20];
        let mut pushed: Vec<(Ref<Blob>, Vec<u8>, u64)> = Vec::new();
        for round in 0..40u64 {
            for (index, &size) in sizes.iter().enumerate() {
                if size > 100_000 && round % 10 != 0 {
                    continue;
                }
                let bytes = vec![(round as u8).wrapping_mul(31).wrapping_add(index as u8); size];
                let at = bump.push_record(None, round, &bytes);
                pushed.push((at, bytes, round));
            }
        }

        for (at, bytes, round) in &pushed {
            assert!(arena.bytes(*at) == bytes.as_slice());
            assert_eq!(arena.get(*at).header, *round);
            assert!(arena.get(*at).link.load().is_none());
        }
        assert!(arena.used_bytes() >= pushed.iter().map(|(_, bytes, _)| bytes.len()).sum());
    }

    #[test]
    fn an_empty_arena_gives_back_an_empty_record() {
        let (arena, mut bump) = Arena::new();

        let at: Ref<Blob> = bump.push_record(None, 7, b"");

        assert_eq!(arena.bytes(at), b"");
        assert_eq!(arena.get(at).header, 7);
    }

    #[test]
    fn slots_start_empty_and_keep_tag_and_reference() {
        let (arena, mut bump) = Arena::new();
        let key = bump.push(5u64);
        for bits in [0, 3, if cfg!(miri) { 9 } else { 17 }] {
            let at = bump.push_slots::<u64>(bits);
            let slots = arena.slots(at);
            assert_eq!(slots.len(), 1 << bits);
            assert!(slots.iter().all(|slot| slot.load().is_none()));

            slots[slots.len() - 1].store(u32::MAX, key);

            let (tag, found) = slots[slots.len() - 1].load().expect("a slot that was stored");
            assert_eq!((tag, *arena.get(found)), (u32::MAX, 5));
        }
    }

    #[test]
    fn references_outlive_the_writer() {
        let (arena, mut bump) = Arena::new();
        let at: Ref<Blob> = bump.push_record(None, 1, b"kept");
        drop(bump);

        assert_eq!(arena.bytes(at), b"kept");
    }

    #[test]
    fn the_last_chunk_can_be_addressed() {
        let (arena, mut bump) = Arena::new();
        for _ in 0..CHUNKS_MAX - 1 {
            arena.chunks.add_chunk(CHUNK_ALIGN);
        }

        let at: Ref<Blob> = bump.push_record(None, 1, &[5; CHUNK_BYTES / 4]);
        let end = bump.push(9u64);

        assert_eq!(arena.bytes(at), [5; CHUNK_BYTES / 4]);
        assert_eq!(*arena.get(end), 9);
    }

    #[test]
    #[should_panic(expected = "address space")]
    fn a_chunk_past_the_address_space_is_refused() {
        let (arena, _bump) = Arena::new();
        for _ in 0..=CHUNKS_MAX {
            arena.chunks.add_chunk(CHUNK_ALIGN);
        }
    }
}
