//! The memtable: the newest entries, in memory, with one writer at a time and readers that never wait.
//!
//! A key is one record in the arena and stands in two indexes: a hash table, which answers point reads, and a
//! B+tree, which keeps the order. All versions of the key hang off its record, newest first, so that overwriting
//! touches neither index. Nothing is freed before the memtable is, which is what lets readers go without locks.
//!
//! The caller decides what is visible: an entry may be read as soon as it is inserted, and readers ask with the
//! seqno of their snapshot. Whatever was inserted before a snapshot was taken, every reader of it finds.
// `arena` is the only file with unsafe code; a `forbid` here would reach into it, and the crate's `deny` holds here.

mod arena;
mod hash;
mod iter;
mod node;
mod record;
mod tombstones;
mod tree;

use std::sync::Arc;

use crate::key::{EntryRef, Kind, NEVER_EXPIRES, SeqNo, hash_key};
use crate::range_tombstone::{RangeTombstone, RangeTombstones};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};
use arena::{Arena, Bump, Ref};
use hash::{HashIndex, HashWriter, Tag};
use node::Node;
use tombstones::TombstoneList;
use tree::{Tree, TreeWriter};

pub(crate) use iter::MemtableIterator;
pub(crate) use record::VersionRef;

/// For so many inserts ahead the memory that they touch is fetched.
const WINDOW: usize = 32;

/// A multi-version map from user keys to entries. The arena behind it takes 16 GiB at least ([`arena`]).
pub(crate) struct Memtable {
    arena: Arena,
    hash: HashIndex,
    tree: Tree,
    tombstones: TombstoneList,
    entries: Apart<Counts>,
    writer: Apart<Mutex<WriterState>>,
}

/// How many entries were inserted, and how many of them delete something or expire.
#[derive(Default)]
struct Counts {
    all: AtomicU64,
    fading: AtomicU64,
}

/// A value in cache lines of its own: the writer changes it with every entry, and readers on other processors
/// should not lose the lines of its neighbours each time. (Two lines, as processors fetch them in pairs.)
#[repr(align(128))]
struct Apart<T>(T);

/// What only the writer needs.
struct WriterState {
    bump: Bump,
    hash: HashWriter,
    tree: TreeWriter,
}

/// What is known of a key before its insert.
#[derive(Clone, Copy, Default)]
struct Hint {
    tag: Tag,
    /// The leaf that it goes to, where it is new.
    leaf: Option<Ref<Node>>,
}

/// The right to write to a memtable. There is one at a time.
pub(crate) struct MemtableWriter<'a> {
    memtable: &'a Memtable,
    state: MutexGuard<'a, WriterState>,
}

impl Memtable {
    pub(crate) fn new() -> Self {
        let (arena, mut bump) = Arena::new();
        let (tree, tree_writer) = Tree::new(&arena, &mut bump);
        let state = WriterState { bump, hash: HashWriter::new(), tree: tree_writer };
        Self {
            arena,
            hash: HashIndex::new(),
            tree,
            tombstones: TombstoneList::new(),
            entries: Apart(Counts::default()),
            writer: Apart(Mutex::new(state)),
        }
    }

    /// Waits for the other writers and keeps them out while the result lives.
    pub(crate) fn writer(&self) -> MemtableWriter<'_> {
        MemtableWriter { memtable: self, state: self.writer.0.lock() }
    }

    /// As [`Memtable::writer`], unless there is another writer.
    pub(crate) fn try_writer(&self) -> Option<MemtableWriter<'_>> {
        Some(MemtableWriter { memtable: self, state: self.writer.0.try_lock()? })
    }

    /// Lets the processor fetch where a key with this [`hash_key`] stands among the others, if it is there.
    pub(crate) fn prefetch_slot(&self, hash: u64) {
        self.hash.prefetch(&self.arena, Tag::of_hash(hash));
    }

    /// Lets the processor fetch what an insert of `key` will touch, best when its slot has come. Takes no lock.
    pub(crate) fn prefetch_insert(&self, key: &[u8], hash: u64) {
        if self.hash.find(&self.arena, Tag::of_hash(hash), key).is_none() {
            self.tree.prefetch_leaf(&self.arena, key);
        }
    }

    /// Inserts one entry; see [`MemtableWriter::insert`].
    #[cfg(test)]
    pub(crate) fn insert(&self, key: &[u8], seqno: SeqNo, kind: Kind, expires_at: u64, value: &[u8]) {
        self.writer().insert(key, seqno, kind, expires_at, value);
    }

    /// Deletes the keys from `start` (inclusive) to `end` (exclusive) whose entries are older than `seqno`.
    #[cfg(test)]
    pub(crate) fn insert_range_tombstone(&self, start: &[u8], end: &[u8], seqno: SeqNo) {
        self.writer().insert_range_tombstone(start, end, seqno);
    }

    /// The newest version of `key` at or below `seqno`. Range tombstones are not consulted.
    pub(crate) fn get(&self, key: &[u8], seqno: SeqNo) -> Option<VersionRef<'_>> {
        self.get_hashed(key, hash_key(key), seqno)
    }

    /// As [`Memtable::get`], for a caller who has the key's [`hash_key`].
    #[inline]
    pub(crate) fn get_hashed(&self, key: &[u8], hash: u64, seqno: SeqNo) -> Option<VersionRef<'_>> {
        let record = self.hash.find(&self.arena, Tag::of_hash(hash), key)?;
        let version = record::version_at(&self.arena, record, seqno)?;
        Some(record::read_version(&self.arena, version))
    }

    /// The seqno of the newest version of `key`, visible or not. Range tombstones are not consulted.
    #[cfg(test)]
    pub(crate) fn newest_seqno(&self, key: &[u8]) -> Option<SeqNo> {
        let record = self.hash.find(&self.arena, Tag::of(key), key)?;
        Some(record::seqno(&self.arena, record::newest(&self.arena, record)))
    }

    /// An iterator over the point entries, which stands nowhere until it is seeked.
    pub(crate) fn iter(self: &Arc<Self>) -> MemtableIterator {
        MemtableIterator::new(Arc::clone(self))
    }

    /// How many bytes the entries and their indexes take. Never falls.
    pub(crate) fn size_bytes(&self) -> usize {
        self.arena.used_bytes() + self.tombstones.used_bytes()
    }

    /// How many entries were inserted, range tombstones included.
    pub(crate) fn entries(&self) -> u64 {
        self.entries.0.all.load(Ordering::Acquire)
    }

    /// How many of the entries delete something or expire, and so lead to space that can be given back.
    pub(crate) fn fading(&self) -> u64 {
        self.entries.0.fading.load(Ordering::Relaxed)
    }

    /// Whether nothing was inserted.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries() == 0
    }

    /// Whether [`Memtable::range_tombstones`] has any; costs one atomic load.
    pub(crate) fn has_range_tombstones(&self) -> bool {
        self.tombstones.used_bytes() > 0
    }

    /// All range tombstones so far. Those above a snapshot are in it too.
    pub(crate) fn range_tombstones(&self) -> Arc<RangeTombstones> {
        self.tombstones.fragmented()
    }
}

impl MemtableWriter<'_> {
    /// Inserts entries in their order; range tombstones may be among them. The entries of one key must come in with
    /// rising seqnos. What the inserts will touch is fetched for many of them at once, where each would have to wait
    /// for its own.
    pub(crate) fn insert_all(&mut self, entries: &[EntryRef<'_>]) {
        for window in entries.chunks(WINDOW) {
            let hints = self.prefetch(window);
            for (entry, hint) in window.iter().zip(hints) {
                match entry.kind {
                    Kind::RangeTombstone => {
                        self.insert_range_tombstone(entry.key, entry.value, entry.seqno);
                    }
                    _ => self.insert_hinted(entry, hint),
                }
            }
        }
    }

    /// Inserts one entry; see [`MemtableWriter::insert_all`].
    pub(crate) fn insert_one(&mut self, entry: &EntryRef<'_>) {
        self.state.tree.begin_window();
        match entry.kind {
            Kind::RangeTombstone => self.insert_range_tombstone(entry.key, entry.value, entry.seqno),
            _ => self.insert_hinted(entry, Hint { tag: Tag::of(entry.key), leaf: None }),
        }
    }

    /// Fetches what the inserts of a window will touch, and returns the leaf of each key that is new.
    fn prefetch(&mut self, window: &[EntryRef<'_>]) -> [Hint; WINDOW] {
        let Memtable { arena, hash, tree, .. } = self.memtable;
        let mut hints = [Hint::default(); WINDOW];
        self.state.tree.begin_window();
        for (hint, entry) in hints.iter_mut().zip(window) {
            hint.tag = Tag::of(entry.key);
            hash.prefetch(arena, hint.tag);
        }
        // Keys that come in order go to the leaf of the last one, and need no look at their slots beforehand.
        if window.len() > 1 && !self.state.tree.is_appending() {
            for (hint, entry) in hints.iter_mut().zip(window) {
                if hash.find(arena, hint.tag, entry.key).is_none() {
                    hint.leaf = tree.prefetch(arena, &self.state.tree, entry.key);
                }
            }
        }
        hints
    }

    fn insert_hinted(&mut self, entry: &EntryRef<'_>, hint: Hint) {
        let Memtable { arena, hash, tree, .. } = self.memtable;
        let WriterState { bump, hash: hash_writer, tree: tree_writer } = &mut *self.state;
        let EntryRef { key, seqno, kind, expires_at, value } = *entry;
        debug_assert!(kind != Kind::RangeTombstone, "range tombstones don't stand among point entries");
        let version = VersionRef { seqno, kind, expires_at, value };
        if tree.is_next(arena, tree_writer, key) {
            let record = record::push_key(bump, key, version);
            tree.append(arena, tree_writer, record);
            hash.insert(arena, bump, hash_writer, hint.tag, record);
        } else if let Some(record) = hash.find(arena, hint.tag, key) {
            record::push_version(arena, bump, record, version);
        } else {
            let record = record::push_key(bump, key, version);
            tree.insert(arena, bump, tree_writer, record, hint.leaf);
            hash.insert(arena, bump, hash_writer, hint.tag, record);
        }
        self.count_one(kind == Kind::Tombstone || expires_at != NEVER_EXPIRES);
    }

    /// Inserts one entry. The entries of one key must come in with rising seqnos.
    #[cfg(test)]
    pub(crate) fn insert(&mut self, key: &[u8], seqno: SeqNo, kind: Kind, expires_at: u64, value: &[u8]) {
        self.insert_one(&EntryRef { key, seqno, kind, expires_at, value });
    }

    /// Deletes the keys from `start` (inclusive) to `end` (exclusive) whose entries are older than `seqno`.
    pub(crate) fn insert_range_tombstone(&mut self, start: &[u8], end: &[u8], seqno: SeqNo) {
        let tombstone = RangeTombstone { start: start.to_vec(), end: end.to_vec(), seqno };
        self.memtable.tombstones.add(tombstone);
        self.count_one(true);
    }

    fn count_one(&mut self, is_fading: bool) {
        let Counts { all, fading } = &self.memtable.entries.0;
        // No other writer is here, so this needs no read-modify-write.
        if is_fading {
            fading.store(fading.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
        all.store(all.load(Ordering::Relaxed) + 1, Ordering::Release);
    }
}

#[cfg(all(test, schedules))]
mod schedules;
#[cfg(test)]
mod stress_tests;
#[cfg(test)]
mod tests;
