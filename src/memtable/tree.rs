//! The ordered index: a B+tree of key records with links to the right (Lehman and Yao's), one writer, and readers
//! that take no lock.
//!
//! Invariant: at every moment each key that was inserted is reachable from the root by going down and right. A
//! split publishes the new right node through the left one before the parent learns of it; nodes are never
//! merged, moved or freed. A reader therefore never starts over: it validates one node at a time and goes on from
//! there.
#![forbid(unsafe_code)]

use super::arena::{Arena, AtomicRef, Bump, Ref};
use super::node::{Content, FANOUT, LeafCopy, Node, NodeEntry, Place};
use super::record::KeyRecord;

/// After this many appends in a row a full node is split at its end, which leaves it full: keys that come in order
/// (of one or a few sequences) would otherwise leave every node half empty.
const APPENDS_MIN: u32 = 8;

/// The ordered index of one memtable.
pub(super) struct Tree {
    root: AtomicRef<Node>,
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
    /// How many inner nodes there were on the last way down, and the root then.
    inner_levels: usize,
    root: Option<Ref<Node>>,
    /// The leaves that were split since the last [`TreeWriter::begin_window`].
    split: Vec<Ref<Node>>,
}

impl TreeWriter {
    /// Hints that are given from here on stay good until the next call.
    pub(super) fn begin_window(&mut self) {
        self.split.clear();
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
        let empty = Content { skip: 0, next: None, high: None, entries: &[] };
        let leaf = bump.push(Node::new(arena, None, None, &empty));
        let tree = Self { root: AtomicRef::new(Some(leaf)), first_leaf: leaf };
        (
            tree,
            TreeWriter { leaf, appends: 0, path: Vec::new(), inner_levels: 0, root: None, split: Vec::new() },
        )
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
        if writer.appends > 0 && append(arena, writer.leaf, key, record) {
            writer.appends = writer.appends.saturating_add(1);
            return;
        }
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
        let entry = NodeEntry { key: Some(record), child: None };
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

    /// Lets the processor fetch the leaf that `key`, which is new, will go to, and returns it: the inner nodes are few
    /// and near, the leaf is what an insert would wait for. Keys that come in order go to the leaf of the last one.
    pub(super) fn prefetch(&self, arena: &Arena, writer: &TreeWriter, key: &[u8]) -> Option<Ref<Node>> {
        if writer.appends > 0 || writer.inner_levels == 0 {
            return None;
        }
        let mut at = self.root();
        for _ in 0..writer.inner_levels {
            let node = arena.get(at);
            let place = node.find(arena, key)?;
            at = node.child(arena, place.index.checked_sub(1)?)?;
        }
        arena.prefetch(at);
        // Since the last way down the root may have been split: then this is an inner node, and no leaf to insert into.
        (writer.root == Some(self.root())).then_some(at)
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
                writer.inner_levels = writer.path.len();
                writer.root = Some(self.root());
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
            let entry = NodeEntry { key: arena.get(added).low(), child: Some(added) };
            let node = arena.get(parent);
            if node.count() < FANOUT {
                node.insert(arena, index + 1, entry);
                return leaf;
            }
            added = split(arena, bump, parent, index + 1, entry, in_order);
        }
        let entries = [
            NodeEntry { key: None, child: Some(self.root()) },
            NodeEntry { key: arena.get(added).low(), child: Some(added) },
        ];
        let content = Content { skip: 0, next: None, high: None, entries: &entries };
        let children = bump.push([const { AtomicRef::empty() }; FANOUT]);
        self.root.store(Some(bump.push(Node::new(arena, None, Some(children), &content))));
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

/// Puts a key at the end of `leaf` if it belongs there and there is room.
fn append(arena: &Arena, leaf: Ref<Node>, key: &[u8], record: Ref<KeyRecord>) -> bool {
    let leaf = arena.get(leaf);
    let count = leaf.count();
    let fits = count > 0
        && count < FANOUT
        && leaf.key(count - 1).is_some_and(|last| arena.bytes(last) < key)
        && leaf.high().is_none_or(|high| key < arena.bytes(high));
    if fits {
        leaf.insert(arena, count, NodeEntry { key: Some(record), child: None });
    }
    fits
}

/// Splits a full node while inserting `entry` at `index`, and returns the new right node, which is not yet known
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
    let (below, above) = entries.split_at(middle);
    let (low, high) = (above[0].key, node.high());
    let upper = Content { skip: shared_prefix(arena, low, high), next: node.next(), high, entries: above };
    let children = node.children().map(|_| bump.push([const { AtomicRef::empty() }; FANOUT]));
    let right = bump.push(Node::new(arena, low, children, &upper));
    let skip = shared_prefix(arena, node.low(), low);
    node.replace(arena, &Content { skip, next: Some(right), high: low, entries: below });
    right
}

/// How many first bytes all keys from `low` to `high` share. A missing bound shares none.
fn shared_prefix(arena: &Arena, low: Option<Ref<KeyRecord>>, high: Option<Ref<KeyRecord>>) -> usize {
    let (Some(low), Some(high)) = (low, high) else { return 0 };
    arena.bytes(low).iter().zip(arena.bytes(high)).take_while(|(low, high)| low == high).count()
}
