//! What every command does with rows: looks them up, walks over them, writes them; and with headers.
//!
//! Invariants: whatever is read is recorded for the check at the commit. A header, its row in the list of expiries, and the
//! rows of its structure change together. A structure without anything in it has no header.
#![forbid(unsafe_code)]

use std::ops::ControlFlow;

use super::header::Header;
use super::rows::{check_name, expiry_key, header_key, rows_of};
use super::transaction::StructureTransaction;
use super::{Type, rows};
use crate::engine::Direction;
use crate::error::{Code, Error, Result};
use crate::jsondb::{Mode, RowRange, Value, View, successor};

/// Of a structure with up to so many rows of a kind each is deleted for itself. A deleted range costs little to write, and
/// whoever reads a memtable with many of them pays for each.
const ROWS_DELETED_EACH_MAX: usize = 1024;

/// Whether a walk goes on.
pub(super) type Step = ControlFlow<()>;

impl StructureTransaction {
    /// Runs a command that writes. Where it fails, what it has written is taken back.
    pub(super) fn whole<T>(&mut self, command: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.mode == Mode::ReadOnly {
            let message = "writing in a transaction that only reads: begin one that writes";
            return Err(Error::new(Code::ReadOnly, message));
        }
        let place = self.view.overlay.save();
        let done = command(self);
        if done.is_err() {
            self.view.overlay.roll_back(place);
        }
        self.view.overlay.release();
        done
    }

    /// The row at `row`, if it is there.
    pub(super) fn row(&mut self, row: &[u8]) -> Result<Option<Value>> {
        self.db.check_open()?;
        let View { base, overlay, reads } = &mut self.view;
        base.read_value(overlay, reads, row)
    }

    /// The bytes of the row at `row`, if it is there.
    pub(super) fn bytes(&mut self, row: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.row(row)?.map(|value| value.bytes))
    }

    /// Whether there is a row at `row`.
    pub(super) fn has_row(&mut self, row: &[u8]) -> Result<bool> {
        self.db.check_open()?;
        let View { base, overlay, reads } = &mut self.view;
        Ok(base.lend(overlay, reads, row, |_| ())?.is_some())
    }

    /// Gives each row in `range` to `visit`, in order, until that has seen enough.
    pub(super) fn walk(
        &mut self,
        range: &RowRange,
        direction: Direction,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<Step>,
    ) -> Result<()> {
        self.db.check_open()?;
        let View { base, overlay, reads } = &mut self.view;
        let mut walked = range.clone();
        let mut rows = base.rows(overlay, range, direction)?;
        while rows.advance()? {
            let Some((key, value)) = rows.row() else { break };
            if visit(key, value)?.is_break() {
                match direction {
                    Direction::Forward => walked.end = successor(key),
                    Direction::Reverse => walked.start = key.to_vec(),
                }
                break;
            }
        }
        drop(rows);
        base.walked(overlay, reads, walked);
        Ok(())
    }

    /// The first row in `range`, from one end or the other.
    pub(super) fn first_row(
        &mut self,
        range: &RowRange,
        direction: Direction,
    ) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let mut first = None;
        self.walk(range, direction, |key, value| {
            first = Some((key.to_vec(), value.to_vec()));
            Ok(Step::Break(()))
        })?;
        Ok(first)
    }

    /// Sets a row that stays.
    pub(super) fn put(&mut self, row: Vec<u8>, bytes: Vec<u8>) -> Result<()> {
        self.put_expiring(row, bytes, 0)
    }

    fn put_expiring(&mut self, row: Vec<u8>, bytes: Vec<u8>, expires_at: u64) -> Result<()> {
        self.view.overlay.check_room([(&row[..], bytes.len())].into_iter())?;
        self.view.overlay.write(row, Some(Value { bytes, expires_at }));
        Ok(())
    }

    /// Deletes a row.
    pub(super) fn remove(&mut self, row: Vec<u8>) -> Result<()> {
        self.view.overlay.check_room([(&row[..], 0)].into_iter())?;
        self.view.overlay.write(row, None);
        Ok(())
    }

    /// Deletes every row in `range`: each for itself where they are few.
    pub(super) fn remove_all(&mut self, range: RowRange) -> Result<()> {
        let mut keys = Vec::new();
        self.walk(&range, Direction::Forward, |key, _| {
            keys.push(key.to_vec());
            Ok(if keys.len() > ROWS_DELETED_EACH_MAX { Step::Break(()) } else { Step::Continue(()) })
        })?;
        if keys.len() <= ROWS_DELETED_EACH_MAX {
            return keys.into_iter().try_for_each(|key| self.remove(key));
        }
        // Whoever has written in it meanwhile comes before or after all of it.
        self.view.base.walked(&self.view.overlay, &mut self.view.reads, range.clone());
        self.view.overlay.clear(range);
        Ok(())
    }

    /// The header of a key, whatever that holds.
    pub(super) fn header(&mut self, key: &[u8]) -> Result<Option<Header>> {
        check_name("key", key)?;
        let row = header_key(self.database, key);
        let Some(value) = self.row(&row)? else { return Ok(None) };
        if value.expires_at > 0 && self.view.overlay.get(&row).is_none() {
            self.holds_until = self.holds_until.min(value.expires_at);
        }
        Header::decode(&value.bytes, value.expires_at, &row).map(Some)
    }

    /// The header of a key that holds a structure of this type.
    ///
    /// # Errors
    ///
    /// `WrongType` where it holds another.
    pub(super) fn find(&mut self, key: &[u8], kind: Type) -> Result<Option<Header>> {
        let header = self.header(key)?;
        if header.as_ref().is_some_and(|header| header.kind != kind) {
            let message = "Operation against a key holding the wrong kind of value";
            return Err(Error::new(Code::WrongType, message));
        }
        Ok(header)
    }

    /// The header of a structure that is to be filled.
    pub(super) fn new_header(&mut self, kind: Type) -> Result<Header> {
        Ok(Header::empty(kind, self.ids.next(self.db.engine())?))
    }

    /// As [`StructureTransaction::find`], or a new one: what there was, and what is to be changed.
    pub(super) fn find_or_new(&mut self, key: &[u8], kind: Type) -> Result<(Option<Header>, Header)> {
        let old = self.find(key, kind)?;
        let header = match &old {
            Some(header) => header.clone(),
            None => self.new_header(kind)?,
        };
        Ok((old, header))
    }

    /// Writes the header of a key that had `old`, or deletes it where nothing is left in its structure.
    pub(super) fn keep(&mut self, key: &[u8], old: Option<&Header>, header: &Header) -> Result<()> {
        if header.count == 0 && header.kind != Type::String {
            return old.map_or(Ok(()), |old| self.remove_header(key, old));
        }
        if old == Some(header) {
            return Ok(());
        }
        self.list_expiry(key, old, Some(header))?;
        self.put_expiring(header_key(self.database, key), header.encode(), header.expires_at)
    }

    /// Deletes a header, whose structure goes elsewhere or is gone.
    pub(super) fn remove_header(&mut self, key: &[u8], header: &Header) -> Result<()> {
        self.list_expiry(key, Some(header), None)?;
        self.remove(header_key(self.database, key))
    }

    /// Has the list of expiries say what the new header of a key says, where it said what the old one does.
    fn list_expiry(&mut self, key: &[u8], old: Option<&Header>, new: Option<&Header>) -> Result<()> {
        let listed = |header: &&Header| header.expires_at > 0;
        let as_listed = |header: &Header| (header.expires_at, header.encode_expiry());
        let (old, new) = (old.filter(listed).map(as_listed), new.filter(listed).map(as_listed));
        if old == new {
            return Ok(());
        }
        if let Some((expires_at, _)) = old {
            self.remove(expiry_key(expires_at, self.database, key))?;
        }
        match new {
            Some((expires_at, structure)) => self.put(expiry_key(expires_at, self.database, key), structure),
            None => Ok(()),
        }
    }

    /// Deletes a key and everything in its structure.
    pub(super) fn drop_key(&mut self, key: &[u8], header: &Header) -> Result<()> {
        self.drop_structure(header)?;
        self.remove_header(key, header)
    }

    /// Deletes everything in a structure.
    pub(super) fn drop_structure(&mut self, header: &Header) -> Result<()> {
        if header.id == 0 {
            return Ok(());
        }
        if header.kind == Type::String {
            return self.remove(rows::member_key(header.id, &[]));
        }
        self.drop_rows(header.kind, header.id)
    }

    /// Deletes what there is of a structure of which no more is known.
    pub(super) fn drop_rows(&mut self, kind: Type, id: u64) -> Result<()> {
        rows_of(kind, id).into_iter().try_for_each(|range| self.remove_all(range))
    }
}
