//! A position in a data block that moves both ways.
//!
//! Going forward, the key is rebuilt in place from the one before it. Going backward, a whole restart interval is
//! decoded once and then walked, so that a step back costs about as much as a step forward.
#![forbid(unsafe_code)]

use super::block::{DataBlock, Slot};
use super::{Damage, Decoded};
use crate::key::{EntryRef, SEQNO_MAX, SeqNo};

/// A position in a data block. The caller passes the same block to every call until the next seek.
#[derive(Default)]
pub(crate) struct Cursor {
    /// The entry that the cursor stands on; `None` when it is off either end.
    slot: Option<Slot>,
    /// The whole user key of that entry.
    key: Vec<u8>,
    /// The entries of the interval before and at the cursor, with where their keys end in `keys`; only kept
    /// while the cursor moves backward.
    behind: Vec<(Slot, usize)>,
    keys: Vec<u8>,
}

impl Cursor {
    /// Whether the cursor stands on an entry.
    pub(crate) fn is_valid(&self) -> bool {
        self.slot.is_some()
    }

    /// Where the entry under the cursor begins.
    pub(crate) fn at(&self) -> Option<usize> {
        self.slot.map(|slot| slot.at)
    }

    /// Leaves the block.
    pub(crate) fn clear(&mut self) {
        self.slot = None;
        self.behind.clear();
    }

    /// The entry under the cursor.
    pub(crate) fn entry<'a>(&'a self, block: &'a DataBlock) -> Option<EntryRef<'a>> {
        let slot = self.slot.as_ref()?;
        Some(EntryRef {
            key: &self.key,
            seqno: slot.seqno,
            kind: slot.kind,
            expires_at: slot.expires_at,
            value: block.value(slot),
        })
    }

    /// Moves to the first entry.
    pub(crate) fn seek_to_first(&mut self, block: &DataBlock) -> Decoded<()> {
        self.clear();
        self.key.clear();
        self.step_to(block, 0)
    }

    /// Moves to the last entry.
    pub(crate) fn seek_to_last(&mut self, block: &DataBlock) -> Decoded<()> {
        self.clear();
        self.step_before(block, block.entries_end())
    }

    /// Moves to the first entry at or after `(key, seqno)`, or off the end.
    pub(crate) fn seek(&mut self, block: &DataBlock, key: &[u8], seqno: SeqNo) -> Decoded<()> {
        self.clear();
        if let Some(slot) = block.find(key, seqno)? {
            let shared = key.get(..slot.shared).ok_or(Damage("an entry shares more than there is"))?;
            self.key.clear();
            self.key.extend_from_slice(shared);
            self.key.extend_from_slice(block.suffix(&slot));
            self.slot = Some(slot);
        }
        Ok(())
    }

    /// Moves to the last entry whose user key is below `key`, or off the start.
    pub(crate) fn seek_before(&mut self, block: &DataBlock, key: &[u8]) -> Decoded<()> {
        self.clear();
        let at = block.find(key, SEQNO_MAX)?.map_or(block.entries_end(), |slot| slot.at);
        self.step_before(block, at)
    }

    /// Moves to the following entry, or off the end.
    pub(crate) fn next(&mut self, block: &DataBlock) -> Decoded<()> {
        self.behind.clear();
        match self.slot.take() {
            Some(slot) => self.step_to(block, slot.end),
            None => Ok(()),
        }
    }

    /// Moves to the preceding entry, or off the start.
    pub(crate) fn prev(&mut self, block: &DataBlock) -> Decoded<()> {
        let Some(slot) = self.slot.take() else { return Ok(()) };
        self.behind.pop();
        if self.behind.is_empty() {
            return self.step_before(block, slot.at);
        }
        self.take_behind();
        Ok(())
    }

    /// Moves to the entry at `at`, which follows the one whose key is in `self.key`.
    fn step_to(&mut self, block: &DataBlock, at: usize) -> Decoded<()> {
        if at < block.entries_end() {
            let slot = block.slot(at)?;
            if slot.shared > self.key.len() {
                return Err(Damage("an entry shares more than there is"));
            }
            self.key.truncate(slot.shared);
            self.key.extend_from_slice(block.suffix(&slot));
            self.slot = Some(slot);
        }
        Ok(())
    }

    /// Moves to the entry before the offset `end`: decodes its interval from the restart point on.
    fn step_before(&mut self, block: &DataBlock, end: usize) -> Decoded<()> {
        self.behind.clear();
        self.keys.clear();
        let Some(mut at) = block.restart_before(end)? else { return Ok(()) };
        let mut last = 0;
        while at < end {
            let slot = block.slot(at)?;
            if slot.shared > self.keys.len() - last {
                return Err(Damage("an entry shares more than there is"));
            }
            let start = self.keys.len();
            self.keys.extend_from_within(last..last + slot.shared);
            self.keys.extend_from_slice(block.suffix(&slot));
            self.behind.push((slot, self.keys.len()));
            (last, at) = (start, slot.end);
        }
        self.take_behind();
        Ok(())
    }

    /// Stands on the last of the entries behind.
    fn take_behind(&mut self) {
        let before = self.behind.len().checked_sub(2).and_then(|index| self.behind.get(index));
        let start = before.map_or(0, |&(_, end)| end);
        if let Some(&(slot, end)) = self.behind.last() {
            self.key.clear();
            self.key.extend_from_slice(&self.keys[start..end]);
            self.slot = Some(slot);
        }
    }
}
