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
//! All keys of a node share the `skip` first bytes that `low` and `high` share; `heads` are the eight bytes
//! after those as big-endian numbers, short keys padded with zeros, so that most comparisons touch no key. The
//! heads of unused entries are the largest, so that a search needs no count.
#![forbid(unsafe_code)]

use std::hint;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::thread;

use super::arena::{Arena, AtomicRef, Ref};
use super::record::KeyRecord;

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
}

/// What the writer fills a node with.
pub(super) struct Content<'a> {
    pub(super) skip: usize,
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
        let head = head_of(key, self.skip.load(Ordering::Relaxed) as usize);
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

    /// The entry at `index`, for the writer.
    pub(super) fn entry(&self, arena: &Arena, index: usize) -> NodeEntry {
        NodeEntry { key: self.key(index), child: self.child(arena, index) }
    }

    /// Puts an entry into a node that has room. Only for the one writer.
    pub(super) fn insert(&self, arena: &Arena, index: usize, entry: NodeEntry) {
        let count = self.count();
        assert!(index <= count && count < FANOUT, "the writer splits a full node");
        let skip = self.skip.load(Ordering::Relaxed) as usize;
        let head = entry.key.map_or(0, |key| head_of(arena.bytes(key), skip));
        let children = self.children.map(|children| arena.get(children));
        self.write(|| {
            for at in (index..count).rev() {
                self.heads.0[at + 1].store(self.heads.0[at].load(Ordering::Relaxed), Ordering::Relaxed);
                self.keys[at + 1].store(self.keys[at].load());
            }
            self.heads.0[index].store(head, Ordering::Relaxed);
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
        // The keys may be far away in memory; no reader should wait for them.
        let mut heads = [u64::MAX; FANOUT];
        for (head, entry) in heads.iter_mut().zip(content.entries) {
            *head = entry.key.map_or(0, |key| head_of(arena.bytes(key), content.skip));
        }
        let children = self.children.map(|children| arena.get(children));
        self.write(|| {
            for (cell, head) in self.heads.0.iter().zip(heads) {
                cell.store(head, Ordering::Relaxed);
            }
            for (cell, entry) in self.keys.iter().zip(content.entries) {
                cell.store(entry.key);
            }
            for (cell, entry) in children.into_iter().flatten().zip(content.entries) {
                cell.store(entry.child);
            }
            self.skip.store(content.skip as u32, Ordering::Relaxed);
            self.next.store(content.next);
            self.high.store(content.high);
            self.count.store(content.entries.len() as u32, Ordering::Relaxed);
        });
    }
}
