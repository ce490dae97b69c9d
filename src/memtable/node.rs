//! A node of the ordered index, and how it is read while it is being written.
//!
//! Every field that changes is an atomic. The writer makes `sequence` odd, changes them, and makes it even again;
//! a reader computes what it wants from whatever it sees and throws that away if `sequence` moved meanwhile. A
//! torn view can't do harm: references in a node always lead to whole records, and a missing one ends the attempt.
//!
//! Invariant: a node holds the keys from `low` (inclusive) to `high` (exclusive); `low` never changes and `high`
//! only falls, when the upper part moves to a new node to which `next` then leads. So a reader that comes for a
//! key that has moved away finds it by going right. The first key of a node other than the leftmost is `low`.
//!
//! All keys of a node share the `skip` first bytes; `heads` are the eight bytes after those as big-endian numbers,
//! short keys padded with zeros, so that most comparisons touch no key. Where `low` and `high` share these bytes too,
//! so does every key of the range. Elsewhere, as in the root, only the keys that are there do: then `sample` is a key
//! that begins with them, a search compares with that first, and a key that comes in and differs makes `skip` fall.
//! The heads of unused entries are the largest, so that a search needs no count, and that of the first entry of an
//! inner node is the least, since no search goes before it.
#![forbid(unsafe_code)]

use std::hint;

use super::arena::{Arena, AtomicRef, Ref};
use super::record::KeyRecord;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use crate::sync::thread;

/// The largest number of entries in a node.
pub(super) const FANOUT: usize = 64;

/// The heads that one cache line holds.
const LINE: usize = 8;

/// How often a reader looks again at a node that is being written before it lets another thread run.
const SPINS_MAX: u32 = 64;

#[repr(align(64))]
struct Heads([AtomicU64; FANOUT]);

/// The children of an inner node, one for each of its keys.
pub(super) type Children = [AtomicRef<Node>; FANOUT];

/// A leaf, whose keys are all the keys of its range, or an inner node, whose keys are the `low` of its children.
#[repr(C, align(64))]
pub(super) struct Node {
    sequence: AtomicU64,
    count: AtomicU32,
    skip: AtomicU32,
    sample: AtomicRef<KeyRecord>,
    next: AtomicRef<Node>,
    high: AtomicRef<KeyRecord>,
    low: Option<Ref<KeyRecord>>,
    children: Option<Ref<Children>>,
    heads: Heads,
    keys: [AtomicRef<KeyRecord>; FANOUT],
}

/// Where a key is in a node, or where it would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) index: usize,
    pub(super) found: bool,
}

/// An entry of a node. The key of the first entry of a leftmost inner node is missing: it lies below all keys.
#[derive(Clone, Copy)]
pub(super) struct NodeEntry {
    pub(super) key: Option<Ref<KeyRecord>>,
    pub(super) child: Option<Ref<Node>>,
    /// The head of the key in the node that it is in.
    pub(super) head: u64,
}

/// Which bytes the heads of a node leave out.
#[derive(Clone, Copy)]
pub(super) struct Prefix {
    pub(super) skip: usize,
    /// A key that begins with these bytes, where the bounds of the node don't prove that all of its range do.
    pub(super) sample: Option<Ref<KeyRecord>>,
}

/// What the writer fills a node with; the heads of the entries leave out `prefix`.
pub(super) struct Content<'a> {
    pub(super) prefix: Prefix,
    pub(super) next: Option<Ref<Node>>,
    pub(super) high: Option<Ref<KeyRecord>>,
    pub(super) entries: &'a [NodeEntry],
}

/// The keys of a leaf as they were at one moment.
#[derive(Clone, Copy)]
pub(super) struct LeafCopy {
    pub(super) keys: [Option<Ref<KeyRecord>>; FANOUT],
    pub(super) count: usize,
    pub(super) next: Option<Ref<Node>>,
}

/// Eight bytes of `key` after the first `skip`, as a number that compares as they do.
fn head_of(key: &[u8], skip: usize) -> u64 {
    let rest = key.get(skip..).unwrap_or(&[]);
    if let Some(head) = rest.first_chunk::<8>() {
        return u64::from_be_bytes(*head);
    }
    let mut head = [0; 8];
    head[..rest.len()].copy_from_slice(rest);
    u64::from_be_bytes(head)
}

/// How many first bytes the keys `a` and `b` share.
fn shared_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

impl Prefix {
    /// Nothing is left out.
    pub(super) const NONE: Self = Self { skip: 0, sample: None };

    /// What every key between the bounds begins with, if there are two.
    fn of_range(arena: &Arena, low: Option<Ref<KeyRecord>>, high: Option<Ref<KeyRecord>>) -> Option<Self> {
        let skip = shared_len(arena.bytes(low?), arena.bytes(high?));
        Some(Self { skip, sample: None })
    }

    /// What the keys of `entries`, which stand in order, begin with.
    pub(super) fn of_keys(arena: &Arena, entries: &[NodeEntry]) -> Self {
        let first = entries.first().and_then(|entry| entry.key);
        let last = entries.last().and_then(|entry| entry.key);
        let Some((first, last)) = first.zip(last) else { return Self::NONE };
        match shared_len(arena.bytes(first), arena.bytes(last)) {
            0 => Self::NONE,
            skip => Self { skip, sample: Some(first) },
        }
    }

    /// The prefix for a node from `low` to `high` that gets `entries`, whose heads leave out `self` until now and the
    /// result from now on. As long as the heads tell the keys apart, they stay, and no key is touched: the keys of a
    /// node lie all over the memory.
    pub(super) fn fit(
        self,
        arena: &Arena,
        (low, high): (Option<Ref<KeyRecord>>, Option<Ref<KeyRecord>>),
        is_inner: bool,
        entries: &mut [NodeEntry],
    ) -> Self {
        let (bound, keys) = entries.split_at_mut(usize::from(is_inner).min(entries.len()));
        bound.iter_mut().for_each(|entry| entry.head = 0);
        if keys.is_sorted_by(|a, b| a.head < b.head) {
            let is_proven = self.sample.is_some()
                && Self::of_range(arena, low, high).is_some_and(|proven| proven.skip >= self.skip);
            return if is_proven { Self { sample: None, ..self } } else { self };
        }
        let prefix = Self::of_range(arena, low, high).unwrap_or_else(|| Self::of_keys(arena, keys));
        for entry in keys {
            entry.head = entry.key.map_or(0, |key| head_of(arena.bytes(key), prefix.skip));
        }
        prefix
    }
}

impl LeafCopy {
    /// A leaf without keys.
    pub(super) fn empty() -> Self {
        Self { keys: [None; FANOUT], count: 0, next: None }
    }
}

impl Node {
    /// A node that no one knows yet.
    pub(super) fn new(
        arena: &Arena,
        low: Option<Ref<KeyRecord>>,
        children: Option<Ref<Children>>,
        content: &Content<'_>,
    ) -> Self {
        let node = Self {
            sequence: AtomicU64::new(0),
            count: AtomicU32::new(0),
            skip: AtomicU32::new(0),
            sample: AtomicRef::empty(),
            next: AtomicRef::new(None),
            high: AtomicRef::new(None),
            low,
            children,
            heads: Heads([const { AtomicU64::new(u64::MAX) }; FANOUT]),
            keys: [const { AtomicRef::empty() }; FANOUT],
        };
        node.replace(arena, content);
        node
    }

    /// Computes something from the node as it was at one moment. `view` may be called on a torn node and again;
    /// it returns none only if it saw one.
    pub(super) fn read<R>(&self, view: impl Fn(&Self) -> Option<R>) -> R {
        let mut spins = 0;
        loop {
            let before = self.sequence.load(Ordering::Acquire);
            if before & 1 == 0 {
                let result = view(self);
                fence(Ordering::Acquire);
                if let Some(result) = result
                    && self.sequence.load(Ordering::Relaxed) == before
                {
                    return result;
                }
            }
            spins += 1;
            if spins < SPINS_MAX {
                hint::spin_loop();
            } else {
                // The writer itself may be waiting for this processor.
                thread::yield_now();
            }
        }
    }

    /// Lets `change` change the node. Only the one writer may call it, and `change` must not panic.
    fn write(&self, change: impl FnOnce()) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(sequence + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        change();
        self.sequence.store(sequence + 2, Ordering::Release);
    }

    pub(super) fn count(&self) -> usize {
        (self.count.load(Ordering::Relaxed) as usize).min(FANOUT)
    }

    pub(super) fn next(&self) -> Option<Ref<Self>> {
        self.next.load()
    }

    pub(super) fn low(&self) -> Option<Ref<KeyRecord>> {
        self.low
    }

    pub(super) fn high(&self) -> Option<Ref<KeyRecord>> {
        self.high.load()
    }

    /// The array of the children, which a leaf doesn't have.
    pub(super) fn children(&self) -> Option<Ref<Children>> {
        self.children
    }

    pub(super) fn key(&self, index: usize) -> Option<Ref<KeyRecord>> {
        self.keys.get(index)?.load()
    }

    pub(super) fn child(&self, arena: &Arena, index: usize) -> Option<Ref<Self>> {
        arena.get(self.children?).get(index)?.load()
    }

    /// The place of the first key at or after `key`, which must lie in the range of the node; none if the node is
    /// torn.
    pub(super) fn find(&self, arena: &Arena, key: &[u8]) -> Option<Place> {
        // The first key of an inner node is the lower bound of its range (or missing), so no search goes there.
        let first = usize::from(self.children.is_some());
        let count = self.count().max(first);
        let skip = self.skip();
        if let Some(sample) = self.sample.load() {
            let start = arena.bytes(sample);
            match key[..skip.min(key.len())].cmp(&start[..skip.min(start.len())]) {
                std::cmp::Ordering::Less => return Some(Place { index: first, found: false }),
                std::cmp::Ordering::Equal => {}
                std::cmp::Ordering::Greater => return Some(Place { index: count, found: false }),
            }
        }
        let head = head_of(key, skip);
        let mut from = self.heads_below(head).clamp(first, count);
        if from == count || self.heads.0[from].load(Ordering::Relaxed) != head {
            return Some(Place { index: from, found: false });
        }
        let mut to = head.checked_add(1).map_or(count, |above| self.heads_below(above).clamp(from, count));
        while from < to {
            let middle = (from + to) / 2;
            match arena.bytes(self.key(middle)?).cmp(key) {
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Equal => return Some(Place { index: middle, found: true }),
                std::cmp::Ordering::Greater => to = middle,
            }
        }
        Some(Place { index: from, found: false })
    }

    /// How many heads are below `head`.
    fn heads_below(&self, head: u64) -> usize {
        let below = |index: usize| usize::from(self.heads.0[index].load(Ordering::Relaxed) < head);
        // One head of each line first: the loads don't depend on each other, so their cache misses overlap.
        let lines: usize = (0..FANOUT / LINE).map(|line| below(line * LINE + LINE - 1)).sum();
        if lines == FANOUT / LINE {
            return FANOUT;
        }
        lines * LINE + (0..LINE - 1).map(|index| below(lines * LINE + index)).sum::<usize>()
    }

    /// A copy of the keys of a leaf.
    pub(super) fn copy(&self) -> LeafCopy {
        let count = self.count();
        let mut keys = [None; FANOUT];
        for (copy, key) in keys.iter_mut().zip(&self.keys).take(count) {
            *copy = key.load();
        }
        LeafCopy { keys, count, next: self.next() }
    }

    fn skip(&self) -> usize {
        self.skip.load(Ordering::Relaxed) as usize
    }

    /// Which bytes the heads leave out, for the writer.
    pub(super) fn prefix(&self) -> Prefix {
        Prefix { skip: self.skip(), sample: self.sample.load() }
    }

    /// The entry at `index`, for the writer.
    pub(super) fn entry(&self, arena: &Arena, index: usize) -> NodeEntry {
        let head = self.heads.0[index].load(Ordering::Relaxed);
        NodeEntry { key: self.key(index), child: self.child(arena, index), head }
    }

    /// An entry for a key of the node's range that is to come in, with its head. Where the key doesn't begin as the
    /// others do, the heads of all are made to leave out less. Only for the one writer.
    pub(super) fn entry_for(
        &self,
        arena: &Arena,
        record: Ref<KeyRecord>,
        child: Option<Ref<Self>>,
    ) -> NodeEntry {
        let key = arena.bytes(record);
        if let Some(sample) = self.sample.load() {
            let start = arena.bytes(sample);
            if !key.starts_with(&start[..self.skip()]) {
                self.leave_out(arena, shared_len(start, key));
            }
        }
        NodeEntry { key: Some(record), child, head: head_of(key, self.skip()) }
    }

    /// Makes the heads leave out only `skip` bytes, fewer than now.
    fn leave_out(&self, arena: &Arena, skip: usize) {
        let first = usize::from(self.children.is_some());
        let mut heads = [0; FANOUT];
        let changed = first..self.count();
        for at in changed.clone() {
            heads[at] = self.key(at).map_or(0, |key| head_of(arena.bytes(key), skip));
        }
        self.write(|| {
            for at in changed {
                self.heads.0[at].store(heads[at], Ordering::Relaxed);
            }
            self.skip.store(skip as u32, Ordering::Relaxed);
            if skip == 0 {
                self.sample.store(None);
            }
        });
    }

    /// Puts an entry that [`Node::entry_for`] made into a node that has room. Only for the one writer.
    pub(super) fn insert(&self, arena: &Arena, index: usize, entry: NodeEntry) {
        let count = self.count();
        assert!(index <= count && count < FANOUT, "the writer splits a full node");
        let children = self.children.map(|children| arena.get(children));
        self.write(|| {
            for at in (index..count).rev() {
                self.heads.0[at + 1].store(self.heads.0[at].load(Ordering::Relaxed), Ordering::Relaxed);
                self.keys[at + 1].store(self.keys[at].load());
            }
            self.heads.0[index].store(entry.head, Ordering::Relaxed);
            self.keys[index].store(entry.key);
            if let Some(children) = children {
                for at in (index..count).rev() {
                    children[at + 1].store(children[at].load());
                }
                children[index].store(entry.child);
            }
            self.count.store(count as u32 + 1, Ordering::Relaxed);
        });
    }

    /// Gives the node a new content. Only for the one writer.
    pub(super) fn replace(&self, arena: &Arena, content: &Content<'_>) {
        let children = self.children.map(|children| arena.get(children));
        self.write(|| {
            let (used, unused) = self.heads.0.split_at(content.entries.len());
            for ((head, key), entry) in used.iter().zip(&self.keys).zip(content.entries) {
                head.store(entry.head, Ordering::Relaxed);
                key.store(entry.key);
            }
            unused.iter().for_each(|head| head.store(u64::MAX, Ordering::Relaxed));
            for (cell, entry) in children.into_iter().flatten().zip(content.entries) {
                cell.store(entry.child);
            }
            self.skip.store(content.prefix.skip as u32, Ordering::Relaxed);
            self.sample.store(content.prefix.sample);
            self.next.store(content.next);
            self.high.store(content.high);
            self.count.store(content.entries.len() as u32, Ordering::Relaxed);
        });
    }
}
