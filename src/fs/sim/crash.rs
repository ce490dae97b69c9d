//! What a crash leaves of the simulated disk.
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::node::{Contents, Node, Overwritten};
use super::random::Random;
use super::tree::{Entry, Names, Tree};

/// The unit in which the page cache writes: of unsynced bytes, a power loss keeps or takes whole pages.
const PAGE_BYTES: u64 = 4096;

/// How the machine or the process went down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashOutcome {
    /// The process died and the machine ran on: everything written is there, though no more durable than before.
    ProcessOnly,
    /// Power was lost, and nothing that had not been synced reached the disk.
    LoseUnsynced,
    /// Power was lost just after everything had reached the disk.
    KeepUnsynced,
    /// Power was lost, and any part of what had not been synced reached the disk, in any order. The seed decides.
    Random(u64),
}

/// The tree that a machine finds when it comes back.
pub(super) fn tree_after(tree: &Tree, outcome: CrashOutcome) -> Tree {
    let tracked = tree.is_tracked();
    match outcome {
        _ if !tracked => tree.deep_copy(),
        CrashOutcome::ProcessOnly => tree.deep_copy(),
        CrashOutcome::LoseUnsynced => {
            settle(tree.names_without_pending(), |contents| Contents::durable(&surely_kept(contents)))
        }
        CrashOutcome::KeepUnsynced => settle(tree.names(), Contents::settled),
        CrashOutcome::Random(seed) => {
            let mut random = Random::new(seed);
            let names = tree.names_with_some_pending(&mut random);
            settle(names, |contents| Contents::durable(&randomly_kept(contents, &mut random)))
        }
    }
}

/// Gives each file of which something is unsure the contents that `survivors` says, durable from now on.
fn settle(names: Names, mut survivors: impl FnMut(&Contents) -> Contents) -> Tree {
    // A file with several names has one fate.
    let mut survived: HashMap<*const Node, Arc<Node>> = HashMap::new();
    let settled = names.into_iter().map(|(path, entry)| match entry {
        Entry::Directory => (path, Entry::Directory),
        Entry::File(node) => {
            let settle_node = || {
                let contents = node.contents.read();
                let survivor = if contents.is_settled() { contents.settled() } else { survivors(&contents) };
                Arc::new(Node::of(survivor))
            };
            (path, Entry::File(Arc::clone(survived.entry(Arc::as_ptr(&node)).or_insert_with(settle_node))))
        }
    });
    Tree::from_durable(settled.collect(), true)
}

fn surely_kept(contents: &Contents) -> Vec<u8> {
    let unsure = contents.unsure();
    let mut bytes = contents.to_vec();
    for old in contents.overwritten().iter().rev() {
        restore(&mut bytes, old, old.offset..old.end());
    }
    for range in &unsure {
        lose(&mut bytes, range);
    }
    bytes.truncate(sure_end(contents.len(), &unsure) as usize);
    bytes
}

/// Keeps or loses each unsure page, and perhaps tears the last append. A lost page reads as zeros; behind the last
/// byte kept, the file may end or go on with zeros, as the length is written on its own.
fn randomly_kept(contents: &Contents, random: &mut Random) -> Vec<u8> {
    let unsure = contents.unsure();
    let mut bytes = contents.to_vec();
    undo_some(contents, &mut bytes, random);
    let mut kept_end = sure_end(contents.len(), &unsure);
    let mood = random.below(4);
    for piece in unsure.iter().flat_map(pages) {
        let kept = match mood {
            0 => true,
            1 => false,
            _ => random.coin(),
        };
        if kept {
            kept_end = kept_end.max(piece.end);
        } else {
            lose(&mut bytes, &piece);
        }
    }
    if random.coin() {
        kept_end = tear_last_append(contents, &mut bytes, &unsure, kept_end, random);
    }
    if random.coin() {
        bytes.truncate(kept_end as usize);
    }
    bytes
}

/// Brings back some of what was overwritten: each page goes back to any earlier state of its own, or stays as it is, and
/// the last write may be torn at any byte.
fn undo_some(contents: &Contents, bytes: &mut [u8], random: &mut Random) {
    let mood = random.below(4);
    let mut settled = HashSet::new();
    for (index, old) in contents.overwritten().iter().rev().enumerate() {
        for piece in pages(&(old.offset..old.end())) {
            let page = piece.start / PAGE_BYTES;
            if settled.contains(&page) {
                continue;
            }
            let kept = match mood {
                0 => true,
                1 => false,
                _ => random.coin(),
            };
            if !kept {
                restore(bytes, old, piece);
                continue;
            }
            settled.insert(page);
            if index == 0 && random.coin() {
                let torn = piece.start + random.below(piece.end - piece.start + 1);
                restore(bytes, old, torn..piece.end);
            }
        }
    }
}

/// Puts the part of `old` that lay in `range` back.
fn restore(bytes: &mut [u8], old: &Overwritten, range: Range<u64>) {
    let from = (range.start - old.offset) as usize..(range.end - old.offset) as usize;
    if let Some(place) = bytes.get_mut(range.start as usize..range.end as usize) {
        place.copy_from_slice(&old.bytes[from]);
    }
}

/// Loses the last append from any byte on, and returns where the kept bytes end now.
fn tear_last_append(
    contents: &Contents,
    bytes: &mut [u8],
    unsure: &[Range<u64>],
    kept_end: u64,
    random: &mut Random,
) -> u64 {
    let Some(tail) = unsure.last().filter(|range| range.end == contents.len()) else { return kept_end };
    let start = contents.last_append().max(tail.start);
    let torn = start + random.below(tail.end - start + 1)..tail.end;
    lose(bytes, &torn);
    kept_end.min(torn.start)
}

/// Where the last byte that is surely kept ends.
fn sure_end(len: u64, unsure: &[Range<u64>]) -> u64 {
    unsure.iter().rev().fold(len, |end, range| if range.end == end { range.start } else { end })
}

fn lose(bytes: &mut [u8], range: &Range<u64>) {
    if let Some(lost) = bytes.get_mut(range.start as usize..range.end as usize) {
        lost.fill(0);
    }
}

/// The parts of `range` that lie in one page each.
fn pages(range: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let range = range.clone();
    (range.start / PAGE_BYTES..range.end.div_ceil(PAGE_BYTES)).map(move |page| {
        let start = range.start.max(page * PAGE_BYTES);
        start..range.end.min((page + 1) * PAGE_BYTES)
    })
}
