//! Commands on keys, whatever they hold: whether they are there, when they expire, what they are called.
#![forbid(unsafe_code)]

use super::Type;
use super::access::Step;
use super::header::Header;
use super::rows::{everything, header_key, headers, headers_beside};
use super::transaction::StructureTransaction;
use crate::engine::Direction;
use crate::error::{Code, Error, Result};

/// A moment in time, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// So long after now.
    In(i64),
    /// Since 1970.
    At(i64),
}

impl Moment {
    /// In milliseconds since 1970. 0 and less are before any key was written.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` where 64 bits don't hold it.
    pub(super) fn resolve(self, now_ms: u64) -> Result<i64> {
        match self {
            Self::At(at) => Ok(at),
            Self::In(after) => {
                let now = i64::try_from(now_ms).ok();
                now.and_then(|now| now.checked_add(after)).ok_or_else(invalid_expiry)
            }
        }
    }
}

pub(super) fn invalid_expiry() -> Error {
    Error::new(Code::InvalidArgument, "invalid expire time")
}

/// Under which conditions a key gets an expiry. All that are set must hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExpireOptions {
    /// It has none.
    pub nx: bool,
    /// It has one.
    pub xx: bool,
    /// It would expire later than it does; one without an expiry never does.
    pub gt: bool,
    /// It would expire sooner than it does.
    pub lt: bool,
}

impl ExpireOptions {
    fn check(self) -> Result<()> {
        if self.nx && (self.xx || self.gt || self.lt) {
            let message = "NX and XX, GT or LT options at the same time are not compatible";
            return Err(Error::new(Code::InvalidArgument, message));
        }
        if self.gt && self.lt {
            let message = "GT and LT options at the same time are not compatible";
            return Err(Error::new(Code::InvalidArgument, message));
        }
        Ok(())
    }

    fn allow(self, old: u64, new: i64) -> bool {
        let old = i64::try_from(old).ok().filter(|old| *old > 0);
        (!self.nx || old.is_none())
            && (!self.xx || old.is_some())
            && (!self.gt || old.is_some_and(|old| new > old))
            && (!self.lt || old.is_none_or(|old| new < old))
    }
}

/// How long a key has to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    /// There is no such key.
    Missing,
    /// It stays.
    Lasting,
    /// So many milliseconds.
    Ms(u64),
}

impl Ttl {
    /// As Redis says it: -2 for no key, -1 for one that stays.
    #[must_use]
    pub fn as_ms(self) -> i64 {
        match self {
            Self::Missing => -2,
            Self::Lasting => -1,
            Self::Ms(ms) => i64::try_from(ms).unwrap_or(i64::MAX),
        }
    }
}

impl StructureTransaction {
    /// How many of `keys` are there; one that is named twice counts twice. Cost: one for each.
    ///
    /// # Errors
    ///
    /// `InvalidKey` for a key of more than [`super::STRUCTURE_KEY_BYTES_MAX`] bytes, `Closed`, and what reading gives
    /// (`Io`, `Corruption`). So does every command.
    pub fn exists(&mut self, keys: &[&[u8]]) -> Result<u64> {
        let mut count = 0;
        for key in keys {
            count += u64::from(self.header(key)?.is_some());
        }
        Ok(count)
    }

    /// Whether `key` is there and holds a structure of this type. Cost: one.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::exists`].
    pub fn exists_as(&mut self, kind: Type, key: &[u8]) -> Result<bool> {
        Ok(self.header(key)?.is_some_and(|header| header.kind == kind))
    }

    /// Deletes keys, and returns how many there were. Cost: one for each, and for structures of up to 1,024 members one for
    /// each of these.
    ///
    /// # Errors
    ///
    /// `ReadOnly` in a transaction that only reads, `InvalidArgument` where it has written all that it may
    /// ([`crate::jsondb::TRANSACTION_BYTES_MAX`]), and as for [`StructureTransaction::exists`]. So does every command
    /// that writes.
    pub fn delete(&mut self, keys: &[&[u8]]) -> Result<u64> {
        self.whole(|tx| {
            let mut count = 0;
            for key in keys {
                if let Some(header) = tx.header(key)? {
                    tx.drop_key(key, &header)?;
                    count += 1;
                }
            }
            Ok(count)
        })
    }

    /// Deletes `key`, which holds a structure of this type, and says whether it was there. Cost: as for
    /// [`StructureTransaction::delete`].
    ///
    /// # Errors
    ///
    /// `WrongType`, and as for [`StructureTransaction::delete`].
    pub fn delete_as(&mut self, kind: Type, key: &[u8]) -> Result<bool> {
        self.whole(|tx| {
            let Some(header) = tx.find(key, kind)? else { return Ok(false) };
            tx.drop_key(key, &header).map(|()| true)
        })
    }

    /// What `key` holds, or `None` where it is not there. Cost: one.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::exists`].
    pub fn type_of(&mut self, key: &[u8]) -> Result<Option<Type>> {
        Ok(self.header(key)?.map(|header| header.kind))
    }

    /// Has `key` expire at `when`, if `options` let it; at a moment that has passed it is deleted. Says whether that was
    /// done. Cost: one, however large its structure is.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a time beyond 64 bits and for options that exclude each other, and as for
    /// [`StructureTransaction::delete`].
    pub fn expire(&mut self, key: &[u8], when: Moment, options: ExpireOptions) -> Result<bool> {
        options.check()?;
        self.whole(|tx| {
            let header = tx.header(key)?;
            header.map_or(Ok(false), |header| tx.expire_header(key, &header, when, options))
        })
    }

    /// As [`StructureTransaction::expire`], of a key that holds a structure of this type.
    ///
    /// # Errors
    ///
    /// `WrongType`, and as for [`StructureTransaction::expire`].
    pub fn expire_as(
        &mut self,
        kind: Type,
        key: &[u8],
        when: Moment,
        options: ExpireOptions,
    ) -> Result<bool> {
        options.check()?;
        self.whole(|tx| {
            let header = tx.find(key, kind)?;
            header.map_or(Ok(false), |header| tx.expire_header(key, &header, when, options))
        })
    }

    fn expire_header(
        &mut self,
        key: &[u8],
        old: &Header,
        when: Moment,
        options: ExpireOptions,
    ) -> Result<bool> {
        let now_ms = self.view.base.now_ms();
        let at = when.resolve(now_ms)?;
        if !options.allow(old.expires_at, at) {
            return Ok(false);
        }
        match u64::try_from(at) {
            Ok(expires_at) if expires_at > now_ms => {
                self.keep(key, Some(old), &Header { expires_at, ..old.clone() })?;
            }
            _ => self.drop_key(key, old)?,
        }
        Ok(true)
    }

    /// How long `key` has to live. Cost: one.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::exists`].
    pub fn ttl(&mut self, key: &[u8]) -> Result<Ttl> {
        let header = self.header(key)?;
        Ok(self.time_left(header.as_ref()))
    }

    /// As [`StructureTransaction::ttl`], of a key that holds a structure of this type.
    ///
    /// # Errors
    ///
    /// `WrongType`, and as for [`StructureTransaction::ttl`].
    pub fn ttl_as(&mut self, kind: Type, key: &[u8]) -> Result<Ttl> {
        let header = self.find(key, kind)?;
        Ok(self.time_left(header.as_ref()))
    }

    fn time_left(&self, header: Option<&Header>) -> Ttl {
        match header {
            None => Ttl::Missing,
            Some(header) if header.expires_at == 0 => Ttl::Lasting,
            Some(header) => Ttl::Ms(header.expires_at.saturating_sub(self.view.base.now_ms())),
        }
    }

    /// Has `key` stay, and says whether it would have expired. Cost: one.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::delete`].
    pub fn persist(&mut self, key: &[u8]) -> Result<bool> {
        self.whole(|tx| {
            let Some(old) = tx.header(key)?.filter(|header| header.expires_at > 0) else { return Ok(false) };
            tx.keep(key, Some(&old), &Header { expires_at: 0, ..old.clone() })?;
            Ok(true)
        })
    }

    /// Gives what `key` holds the name `to`, with its expiry, in the place of what that held. Cost: one, and that of
    /// deleting what was there.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no `key`, and as for [`StructureTransaction::delete`].
    pub fn rename(&mut self, key: &[u8], to: &[u8]) -> Result<()> {
        self.whole(|tx| tx.move_key(key, to, true).map(drop))
    }

    /// As [`StructureTransaction::rename`], unless there is something under `to`. Says whether it was done.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::rename`].
    pub fn rename_nx(&mut self, key: &[u8], to: &[u8]) -> Result<bool> {
        self.whole(|tx| tx.move_key(key, to, false))
    }

    fn move_key(&mut self, key: &[u8], to: &[u8], replaces: bool) -> Result<bool> {
        let header = self.header(key)?.ok_or_else(|| Error::new(Code::NotFound, "no such key"))?;
        let replaced = self.header(to)?;
        if replaced.is_some() && !replaces {
            return Ok(false);
        }
        if key == to {
            return Ok(true);
        }
        if let Some(replaced) = replaced {
            self.drop_key(to, &replaced)?;
        }
        self.remove_header(key, &header)?;
        self.keep(to, None, &header)?;
        Ok(true)
    }

    /// How many keys the database has. Cost: one for each of them; there is no counter, for which all that write would have
    /// to wait.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::exists`].
    pub fn db_size(&mut self) -> Result<u64> {
        let mut count = 0;
        self.walk(&headers(self.database), Direction::Forward, |_, _| {
            count += 1;
            Ok(Step::Continue(()))
        })?;
        Ok(count)
    }

    /// Deletes every key of the database. Cost: little where no other database has keys; otherwise that of deleting each.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::delete`].
    pub fn flush_db(&mut self) -> Result<()> {
        self.whole(|tx| {
            let mut is_alone = true;
            for range in headers_beside(tx.database) {
                is_alone &= tx.first_row(&range, Direction::Forward)?.is_none();
            }
            if is_alone { tx.clear_everything() } else { tx.drop_each_key() }
        })
    }

    fn drop_each_key(&mut self) -> Result<()> {
        let range = headers(self.database);
        let prefix_len = header_key(self.database, &[]).len();
        let mut keys = Vec::new();
        self.walk(&range, Direction::Forward, |row, _| {
            keys.push(row[prefix_len..].to_vec());
            Ok(Step::Continue(()))
        })?;
        for key in keys {
            if let Some(header) = self.header(&key)? {
                self.drop_key(&key, &header)?;
            }
        }
        Ok(())
    }

    /// Deletes every key of every database, however many they are, by one small write.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::delete`].
    pub fn flush_all(&mut self) -> Result<()> {
        self.whole(Self::clear_everything)
    }

    fn clear_everything(&mut self) -> Result<()> {
        let range = everything();
        // Read, too: who has written anywhere meanwhile comes before or after all of it.
        self.view.base.walked(&self.view.overlay, &mut self.view.reads, range.clone());
        self.view.overlay.clear(range);
        Ok(())
    }
}
