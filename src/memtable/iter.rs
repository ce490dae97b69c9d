//! Walking a memtable in both directions while it is being written.
//!
//! The iterator walks a copy of one leaf at a time. What comes into a leaf after it was copied may be missed; no
//! snapshot that is older than the iterator sees that. What was there before is found: going right from a copy
//! leads past splits that came later, and going left begins anew at the root.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::Memtable;
use super::arena::Ref;
use super::node::LeafCopy;
use super::record::{self, KeyRecord, VersionRecord};
use crate::error::Result;
use crate::iter::InternalIterator;
use crate::key::{EntryRef, SeqNo};

/// A position among the entries of a memtable, which it keeps alive.
pub(crate) struct MemtableIterator {
    memtable: Arc<Memtable>,
    leaf: LeafCopy,
    /// Where the key of the position is in `leaf`.
    index: usize,
    position: Option<Position>,
    /// The versions of the key that are newer than the position, newest first, once a step back has asked.
    newer: Vec<Ref<VersionRecord>>,
    newer_is_known: bool,
}

#[derive(Clone, Copy)]
struct Position {
    key: Ref<KeyRecord>,
    version: Ref<VersionRecord>,
}

impl MemtableIterator {
    pub(super) fn new(memtable: Arc<Memtable>) -> Self {
        Self {
            memtable,
            leaf: LeafCopy::empty(),
            index: 0,
            position: None,
            newer: Vec::new(),
            newer_is_known: false,
        }
    }

    fn stand(&mut self, position: Option<Position>) {
        self.position = position;
        self.newer_is_known = false;
    }

    /// Stands on the newest version of the key at `index`, which may be behind the last key of the leaf.
    fn enter_forward(&mut self, index: usize) {
        self.index = index;
        while self.index >= self.leaf.count {
            let Some(next) = self.leaf.next else { return self.stand(None) };
            self.leaf = self.memtable.tree.leaf(&self.memtable.arena, next);
            self.index = 0;
        }
        let arena = &self.memtable.arena;
        let position =
            self.leaf.keys[self.index].map(|key| Position { key, version: record::newest(arena, key) });
        self.stand(position);
    }

    /// Stands on the oldest version of the key before `index`, or off the start if `index` is zero.
    fn enter_backward(&mut self, index: usize) {
        self.index = index.saturating_sub(1);
        let key = if index == 0 { None } else { self.leaf.keys[self.index] };
        let arena = &self.memtable.arena;
        // The newer versions are collected when a step goes there; who wants one of them may seek it instead.
        self.stand(key.map(|key| Position { key, version: record::oldest(arena, key) }));
    }

    /// Collects the versions above `position`, of which it is not yet known what they are.
    fn collect_newer(&mut self, position: Position) {
        self.newer.clear();
        let arena = &self.memtable.arena;
        let mut version = Some(record::newest(arena, position.key));
        while let Some(at) = version.filter(|&at| at != position.version) {
            self.newer.push(at);
            version = record::older(arena, at);
        }
        self.newer_is_known = true;
    }

    fn current(&self) -> Position {
        self.position.expect("the contract asks for a valid iterator")
    }
}

impl InternalIterator for MemtableIterator {
    fn is_valid(&self) -> bool {
        self.position.is_some()
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.leaf = self.memtable.tree.first(&self.memtable.arena);
        self.enter_forward(0);
        Ok(())
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.leaf = self.memtable.tree.last(&self.memtable.arena);
        self.enter_backward(self.leaf.count);
        Ok(())
    }

    fn seek(&mut self, key: &[u8], seqno: SeqNo) -> Result<()> {
        let arena = &self.memtable.arena;
        // A seek inside of the key at hand, or from it to the next key, needs no way down the tree.
        let mut found = self.position.map(|position| position.key).filter(|&at| arena.bytes(at) == key);
        if found.is_none() {
            let (leaf, place) = self.memtable.tree.seek(arena, key);
            (self.leaf, self.index) = (leaf, place.index);
            if !place.found {
                self.enter_forward(place.index);
                return Ok(());
            }
            found = self.leaf.keys[place.index];
        }
        let position = found.and_then(|key| {
            let version = record::version_at(&self.memtable.arena, key, seqno)?;
            Some(Position { key, version })
        });
        match position {
            Some(_) => self.stand(position),
            None => self.enter_forward(self.index + 1),
        }
        Ok(())
    }

    fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        let (leaf, end) = self.memtable.tree.seek_before(&self.memtable.arena, key);
        self.leaf = leaf;
        self.enter_backward(end);
        Ok(())
    }

    fn next(&mut self) -> Result<()> {
        let position = self.current();
        match record::older(&self.memtable.arena, position.version) {
            Some(version) => self.stand(Some(Position { version, ..position })),
            None => self.enter_forward(self.index + 1),
        }
        Ok(())
    }

    fn prev(&mut self) -> Result<()> {
        let position = self.current();
        if !self.newer_is_known {
            self.collect_newer(position);
        }
        if let Some(version) = self.newer.pop() {
            self.position = Some(Position { version, ..position });
        } else if self.index > 0 {
            self.enter_backward(self.index);
        } else {
            let arena = &self.memtable.arena;
            let (leaf, end) = self.memtable.tree.seek_before(arena, arena.bytes(position.key));
            self.leaf = leaf;
            self.enter_backward(end);
        }
        Ok(())
    }

    fn next_user_key(&mut self) -> Result<()> {
        self.enter_forward(self.index + 1);
        Ok(())
    }

    fn is_only_version(&self) -> bool {
        let arena = &self.memtable.arena;
        self.position.is_some_and(|position| {
            record::newest(arena, position.key) == record::oldest(arena, position.key)
        })
    }

    fn entry(&self) -> EntryRef<'_> {
        let Position { key, version } = self.current();
        let arena = &self.memtable.arena;
        let version = record::read_version(arena, version);
        EntryRef {
            key: arena.bytes(key),
            seqno: version.seqno,
            kind: version.kind,
            expires_at: version.expires_at,
            value: version.value,
        }
    }
}
