//! The ordered index: a B+tree of key records with links to the right (Lehman and Yao's), one writer, and readers
//! that take no lock.
//!
//! Invariant: at every moment each key that was inserted is reachable from the root by going down and right. A
//! split publishes the new right node through the left one before the parent learns of it; nodes are never
//! merged, moved or freed. A reader therefore never starts over: it validates one node at a time and goes on from
//! there.
#![forbid(unsafe_code)]

use super::arena::{Arena, AtomicRef, Bump, Ref};
use super::node::{Content, FANOUT, LeafCopy, Node, NodeEntry, Place, Prefix};
use super::record::KeyRecord;
use crate::sync::atomic::{AtomicUsize, Ordering};

/// After this many appends in a row a full node is split at its end, which leaves it full: keys that come in order
/// (of one or a few sequences) would otherwise leave every node half empty.
const APPENDS_MIN: u32 = 8;

/// The ordered index of one memtable.
pub(super) struct Tree {
    root: AtomicRef<Node>,
    /// How many inner nodes there are from the root to a leaf. For a reader it may not belong to the root it sees.
    inner_levels: AtomicUsize,
    first_leaf: Ref<Node>,
}

/// What the only writer remembers from one insert to the next.
pub(super) struct TreeWriter {
    /// The leaf of the last insert.
    leaf: Ref<Node>,
    /// How many inserts in a row went to the end of a leaf.
    appends: u32,
    /// The inner nodes on the way down and the child that was taken in each; kept for its memory.
    path: Vec<(Ref<Node>, usize)>,
    /// The leaves that were split since the last [`TreeWriter::begin_window`].
    split: Vec<Ref<Node>>,
}

impl TreeWriter {
    /// Hints that are given from here on stay good until the next call.
    pub(super) fn begin_window(&mut self) {
        self.split.clear();
    }

    /// Whether the last inserts were at the end of a leaf, as where keys come in order. One alone may be chance.
    pub(super) fn is_appending(&self) -> bool {
        self.appends > 1
    }
}

/// Which leaf a reader looks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Aim {
    /// The leaf whose range holds the key.
    At,
    /// The leaf that holds the last key below the key.
    Before,
}

/// Where a reader goes from a node.
enum Step<R> {
    /// To another node, which the key record bounds the search in; see `descend`.
    To(Ref<Node>, Option<Ref<KeyRecord>>),
    Arrived(R),
}

impl Tree {
    pub(super) fn new(arena: &Arena, bump: &mut Bump) -> (Self, TreeWriter) {
        let empty = Content { prefix: Prefix::NONE, next: None, high: None, entries: &[] };
        let leaf = bump.push(Node::new(arena, None, None, &empty));
        let tree =
            Self { root: AtomicRef::new(Some(leaf)), inner_levels: AtomicUsize::new(0), first_leaf: leaf };
        (tree, TreeWriter { leaf, appends: 0, path: Vec::new(), split: Vec::new() })
    }

    fn root(&self) -> Ref<Node> {
        self.root.load().expect("a tree has a root from the beginning")
    }

    /// A copy of the first leaf.
    pub(super) fn first(&self, arena: &Arena) -> LeafCopy {
        self.leaf(arena, self.first_leaf)
    }

    /// A copy of the leaf at `at`.
    pub(super) fn leaf(&self, arena: &Arena, at: Ref<Node>) -> LeafCopy {
        arena.get(at).read(|node| Some(node.copy()))
    }

    /// A copy of the last leaf.
    pub(super) fn last(&self, arena: &Arena) -> LeafCopy {
        let mut at = self.root();
        loop {
            let step = arena.get(at).read(|node| {
                if let Some(next) = node.next() {
                    return Some(Step::To(next, None));
                }
                if node.children().is_none() {
                    return Some(Step::Arrived(node.copy()));
                }
                Some(Step::To(node.child(arena, node.count().checked_sub(1)?)?, None))
            });
            match step {
                Step::To(node, _) => at = node,
                Step::Arrived(copy) => return copy,
            }
        }
    }

    /// A copy of the leaf that `key` belongs to, and the place in it of the first key at or after `key`. The place
    /// may be behind the last key of the leaf; what follows is then the first key of the next leaf.
    pub(super) fn seek(&self, arena: &Arena, key: &[u8]) -> (LeafCopy, Place) {
        self.descend(arena, key, Aim::At)
    }

    /// A copy of the leaf with the last key below `key`, and the place after that key, which is zero only if
    /// there is none.
    pub(super) fn seek_before(&self, arena: &Arena, key: &[u8]) -> (LeafCopy, usize) {
        let (copy, place) = self.descend(arena, key, Aim::Before);
        (copy, place.index)
    }

    fn descend(&self, arena: &Arena, key: &[u8], aim: Aim) -> (LeafCopy, Place) {
        let mut at = self.root();
        // The key record that `key` is known to lie below (before a key: not above); none lies above all keys. A
        // node that ends there needs no comparison.
        let mut bound = None;
        loop {
            let step = arena.get(at).read(|node| {
                let high = node.high();
                // Seldom true: only for a split that the parent doesn't know yet, or didn't when it was read.
                if high != bound
                    && let Some(high) = high
                    && is_beyond(arena, high, key, aim)
                {
                    return Some(Step::To(node.next()?, bound));
                }
                let place = node.find(arena, key)?;
                if node.children().is_none() {
                    return Some(Step::Arrived((node.copy(), place)));
                }
                let child = if place.found && aim == Aim::At { place.index } else { place.index - 1 };
                let above = if child + 1 < node.count() { Some(node.key(child + 1)?) } else { high };
                Some(Step::To(node.child(arena, child)?, above))
            });
            match step {
                Step::To(node, above) => (at, bound) = (node, above),
                Step::Arrived(result) => return result,
            }
        }
    }

    /// Whether `key` belongs behind the last key of the leaf of the last insert, which was behind the last one too. Then
    /// it is new: nothing stands between that key and the end of the leaf's range.
    pub(super) fn is_next(&self, arena: &Arena, writer: &TreeWriter, key: &[u8]) -> bool {
        if writer.appends == 0 {
            return false;
        }
        let leaf = arena.get(writer.leaf);
        let count = leaf.count();
        count < FANOUT
            && count
                .checked_sub(1)
                .and_then(|last| leaf.key(last))
                .is_some_and(|last| arena.bytes(last) < key)
            && leaf.high().is_none_or(|high| key < arena.bytes(high))
    }

    /// Adds a key of which [`Tree::is_next`] was true just before.
    pub(super) fn append(&self, arena: &Arena, writer: &mut TreeWriter, record: Ref<KeyRecord>) {
        let leaf = arena.get(writer.leaf);
        leaf.insert(arena, leaf.count(), leaf.entry_for(arena, record, None));
        writer.appends = writer.appends.saturating_add(1);
    }

    /// Adds a key that is not there. `writer` belongs to this tree; `hint` is what [`Tree::prefetch`] gave for the key.
    pub(super) fn insert(
        &self,
        arena: &Arena,
        bump: &mut Bump,
        writer: &mut TreeWriter,
        record: Ref<KeyRecord>,
        hint: Option<Ref<Node>>,
    ) {
        let key = arena.bytes(record);
        // A leaf that has been split may have lost the key's range; one that is full needs the way to it.
        let usable = hint.filter(|leaf| !writer.split.contains(leaf) && arena.get(*leaf).count() < FANOUT);
        let place = match usable {
            Some(leaf) => {
                writer.leaf = leaf;
                arena.get(leaf).find(arena, key).expect("the only writer never sees a torn node")
            }
            None => self.find_leaf(arena, writer, key),
        };
        let leaf = arena.get(writer.leaf);
        let appends = place.index == leaf.count();
        writer.appends = if appends { writer.appends.saturating_add(1) } else { 0 };
        let entry = leaf.entry_for(arena, record, None);
        if leaf.count() < FANOUT {
            leaf.insert(arena, place.index, entry);
        } else {
            writer.split.push(writer.leaf);
            let right = self.insert_splitting(arena, bump, writer, place.index, entry);
            if appends {
                writer.leaf = right;
            }
        }
    }

    /// As [`Tree::prefetch_leaf`], for the writer, which gets the leaf as a hint for its insert. Keys that come in order
    /// go to the leaf of the last one.
    pub(super) fn prefetch(&self, arena: &Arena, writer: &TreeWriter, key: &[u8]) -> Option<Ref<Node>> {
        if writer.is_appending() || self.inner_levels.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.prefetch_leaf(arena, key)
    }

    /// Lets the processor fetch the leaf that `key`, which is new, will go to, and returns it: the inner nodes are few
    /// and near, the leaf is what an insert would wait for. Anybody but the writer may get another node, or none.
    pub(super) fn prefetch_leaf(&self, arena: &Arena, key: &[u8]) -> Option<Ref<Node>> {
        let mut at = self.root();
        for _ in 0..self.inner_levels.load(Ordering::Relaxed) {
            let node = arena.get(at);
            let place = node.find(arena, key)?;
            at = node.child(arena, place.index.checked_sub(1)?)?;
        }
        arena.prefetch(at);
        Some(at)
    }

    /// Goes down to the leaf of `key` and notes it and the way to it in `writer`.
    fn find_leaf(&self, arena: &Arena, writer: &mut TreeWriter, key: &[u8]) -> Place {
        writer.path.clear();
        let mut at = self.root();
        loop {
            let node = arena.get(at);
            let place = node.find(arena, key).expect("the only writer never sees a torn node");
            if node.children().is_none() {
                writer.leaf = at;
                return place;
            }
            // The key is new, so it is no child's lowest key and belongs to the child before the place.
            let index = place.index - 1;
            writer.path.push((at, index));
            at = node.child(arena, index).expect("an inner node has a child for each key");
        }
    }

    /// Inserts into the full leaf of `writer`, splitting it and every full node above. Returns the new leaf.
    fn insert_splitting(
        &self,
        arena: &Arena,
        bump: &mut Bump,
        writer: &mut TreeWriter,
        index: usize,
        entry: NodeEntry,
    ) -> Ref<Node> {
        let in_order = writer.appends >= APPENDS_MIN;
        let mut added = split(arena, bump, writer.leaf, index, entry, in_order);
        let leaf = added;
        while let Some((parent, index)) = writer.path.pop() {
            let node = arena.get(parent);
            let low = arena.get(added).low().expect("a node that came by a split has a lower bound");
            let entry = node.entry_for(arena, low, Some(added));
            if node.count() < FANOUT {
                node.insert(arena, index + 1, entry);
                return leaf;
            }
            added = split(arena, bump, parent, index + 1, entry, in_order);
        }
        let entries = [
            NodeEntry { key: None, child: Some(self.root()), head: 0 },
            NodeEntry { key: arena.get(added).low(), child: Some(added), head: 0 },
        ];
        // One key begins with itself; those to come will say what they all begin with.
        let prefix = Prefix::of_keys(arena, &entries[1..]);
        let content = Content { prefix, next: None, high: None, entries: &entries };
        let children = bump.push([const { AtomicRef::empty() }; FANOUT]);
        self.root.store(Some(bump.push(Node::new(arena, None, Some(children), &content))));
        self.inner_levels.store(self.inner_levels.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        leaf
    }
}

/// Whether what `aim` asks for lies to the right of a node that ends at `high`.
fn is_beyond(arena: &Arena, high: Ref<KeyRecord>, key: &[u8], aim: Aim) -> bool {
    match aim {
        Aim::At => key >= arena.bytes(high),
        Aim::Before => key > arena.bytes(high),
    }
}

/// Splits a full node while inserting `entry`, which the node has made, at `index`, and returns the new right node, which is not yet known
/// to the parent.
fn split(
    arena: &Arena,
    bump: &mut Bump,
    left: Ref<Node>,
    index: usize,
    entry: NodeEntry,
    in_order: bool,
) -> Ref<Node> {
    let node = arena.get(left);
    let mut entries = [entry; FANOUT + 1];
    for at in 0..FANOUT {
        entries[at + usize::from(at >= index)] = node.entry(arena, at);
    }
    let middle = if in_order && index == FANOUT { FANOUT } else { FANOUT / 2 };
    let (below, above) = entries.split_at_mut(middle);
    let (low, high) = (above[0].key, node.high());
    let is_inner = node.children().is_some();
    let prefix = node.prefix().fit(arena, (low, high), is_inner, above);
    let upper = Content { prefix, next: node.next(), high, entries: above };
    let children = node.children().map(|_| bump.push([const { AtomicRef::empty() }; FANOUT]));
    let right = bump.push(Node::new(arena, low, children, &upper));
    let prefix = node.prefix().fit(arena, (node.low(), low), is_inner, below);
    node.replace(arena, &Content { prefix, next: Some(right), high: low, entries: below });
    right
}
