//! Strings, and the numbers that they hold.
#![forbid(unsafe_code)]

use super::Type;
use super::header::{Header, SHORT_BYTES_MAX};
use super::keys::{Moment, invalid_expiry};
use super::number::{
    add_floats, add_integers, format_float, not_a_float, not_an_integer, parse_float, parse_integer,
};
use super::rows::{damaged, header_key, member_key};
use super::transaction::StructureTransaction;
use crate::error::{Code, Error, Result};

/// The longest string, value of a field and element of a list, in bytes.
pub const STRING_BYTES_MAX: usize = 512 << 20;

/// When what is set expires.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Expiry {
    /// Never, whatever was there before.
    #[default]
    Never,
    /// When what was there before would have.
    Keep,
    /// At this moment.
    Moment(Moment),
}

/// How a string is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SetOptions {
    /// Only where there is no such key.
    pub nx: bool,
    /// Only where there is one.
    pub xx: bool,
    /// Give what was there before, which must be a string.
    pub get: bool,
    /// When it expires.
    pub expiry: Expiry,
}

/// What came of setting a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetReply {
    /// Whether it was set.
    pub is_set: bool,
    /// What was there before, where that was asked for.
    pub previous: Option<Vec<u8>>,
}

impl StructureTransaction {
    /// Sets `key` to a string, whatever it held before. Cost: one.
    ///
    /// # Errors
    ///
    /// `WrongType` where the string before is asked for and there was none but another structure, `InvalidValue` for more
    /// than [`STRING_BYTES_MAX`] bytes, `InvalidArgument` for options that exclude each other and for a time that is not
    /// positive, and as for [`StructureTransaction::delete`].
    pub fn set(&mut self, key: &[u8], value: &[u8], options: &SetOptions) -> Result<SetReply> {
        if options.nx && options.xx {
            return Err(Error::new(Code::InvalidArgument, "NX and XX exclude each other"));
        }
        let expires_at = self.expiry_of(options.expiry)?;
        self.whole(|tx| {
            let old = if options.get { tx.find(key, Type::String)? } else { tx.header(key)? };
            let previous = match &old {
                Some(old) if options.get => Some(tx.text_of(key, old)?),
                _ => None,
            };
            let is_set = !(options.nx && old.is_some() || options.xx && old.is_none());
            if is_set {
                let kept = old.as_ref().map_or(0, |old| old.expires_at);
                tx.put_text(key, old.as_ref(), value.to_vec(), expires_at.unwrap_or(kept))?;
            }
            Ok(SetReply { is_set, previous })
        })
    }

    /// As [`StructureTransaction::set`], with an expiry. Cost: one.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::set`].
    pub fn set_ex(&mut self, key: &[u8], when: Moment, value: &[u8]) -> Result<()> {
        let options = SetOptions { expiry: Expiry::Moment(when), ..SetOptions::default() };
        self.set(key, value, &options).map(drop)
    }

    /// `None` where the expiry stays as it is.
    fn expiry_of(&self, expiry: Expiry) -> Result<Option<u64>> {
        match expiry {
            Expiry::Never => Ok(Some(0)),
            Expiry::Keep => Ok(None),
            Expiry::Moment(Moment::In(..=0) | Moment::At(..=0)) => Err(invalid_expiry()),
            Expiry::Moment(moment) => {
                let at = moment.resolve(self.view.base.now_ms())?;
                u64::try_from(at).map(Some).map_err(|_| invalid_expiry())
            }
        }
    }

    /// The string under `key`. Cost: one, and two of more than 1,024 bytes.
    ///
    /// # Errors
    ///
    /// `WrongType`, and as for [`StructureTransaction::exists`].
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let header = self.find(key, Type::String)?;
        header.map(|header| self.text_of(key, &header)).transpose()
    }

    /// As [`StructureTransaction::get`] for each of `keys`; `None` also for what is no string. Cost: as for each.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::exists`].
    pub fn m_get(&mut self, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
        let get = |key: &&[u8]| {
            let header = self.header(key)?.filter(|header| header.kind == Type::String);
            header.map(|header| self.text_of(key, &header)).transpose()
        };
        keys.iter().map(get).collect()
    }

    /// As [`StructureTransaction::set`] for each pair of a key and a string. Cost: as for each.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::set`]; then none of them is set.
    pub fn m_set(&mut self, pairs: &[(&[u8], &[u8])]) -> Result<()> {
        self.whole(|tx| {
            pairs.iter().try_for_each(|(key, value)| tx.set(key, value, &SetOptions::default()).map(drop))
        })
    }

    /// Sets `key` to a string and gives the one that was there. Cost: as for both.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::set`].
    pub fn get_set(&mut self, key: &[u8], value: &[u8]) -> Result<Option<Vec<u8>>> {
        let options = SetOptions { get: true, ..SetOptions::default() };
        Ok(self.set(key, value, &options)?.previous)
    }

    /// Gives the string under `key`, and deletes it. Cost: as for both.
    ///
    /// # Errors
    ///
    /// `WrongType`, and as for [`StructureTransaction::delete`].
    pub fn get_del(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.whole(|tx| {
            let Some(header) = tx.find(key, Type::String)? else { return Ok(None) };
            let text = tx.text_of(key, &header)?;
            tx.drop_key(key, &header)?;
            Ok(Some(text))
        })
    }

    /// Adds to the integer under `key`, which is 0 where there is none, and returns the sum. Keeps the expiry. Cost: one.
    ///
    /// # Errors
    ///
    /// `WrongType`, `InvalidValue` for what is no integer of 64 bits before or after, and as for
    /// [`StructureTransaction::delete`].
    pub fn incr_by(&mut self, key: &[u8], by: i64) -> Result<i64> {
        self.whole(|tx| {
            let old = tx.find(key, Type::String)?;
            let value = match &old {
                Some(old) => parse_integer(&tx.text_of(key, old)?).ok_or_else(|| not_an_integer("value"))?,
                None => 0,
            };
            let sum = add_integers(value, by)?;
            tx.replace_text(key, old.as_ref(), sum.to_string().into_bytes())?;
            Ok(sum)
        })
    }

    /// Subtracts from the integer under `key`; see [`StructureTransaction::incr_by`].
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::incr_by`].
    pub fn decr_by(&mut self, key: &[u8], by: i64) -> Result<i64> {
        let by =
            by.checked_neg().ok_or_else(|| Error::new(Code::InvalidValue, "decrement would overflow"))?;
        self.incr_by(key, by)
    }

    /// As [`StructureTransaction::incr_by`], for numbers of any kind. Returns the text that stands there now.
    ///
    /// Reckons with 64 bits, where Redis does with 80: the last digits of a sum may differ.
    ///
    /// # Errors
    ///
    /// `WrongType`, `InvalidValue` for what is no number, and for a sum that is NaN or infinite, and as for
    /// [`StructureTransaction::delete`].
    pub fn incr_by_float(&mut self, key: &[u8], by: f64) -> Result<String> {
        self.whole(|tx| {
            let old = tx.find(key, Type::String)?;
            let value = match &old {
                Some(old) => parse_float(&tx.text_of(key, old)?).ok_or_else(|| not_a_float("value"))?,
                None => 0.0,
            };
            let text = format_float(add_floats(value, by)?);
            tx.replace_text(key, old.as_ref(), text.clone().into_bytes())?;
            Ok(text)
        })
    }

    /// Puts `tail` behind the string under `key`, and returns its length. Cost: that of reading and writing all of it.
    ///
    /// # Errors
    ///
    /// `WrongType`, `InvalidValue` for more than [`STRING_BYTES_MAX`] bytes, and as for
    /// [`StructureTransaction::delete`].
    pub fn append(&mut self, key: &[u8], tail: &[u8]) -> Result<u64> {
        self.whole(|tx| {
            let old = tx.find(key, Type::String)?;
            let mut text = match &old {
                Some(old) => tx.text_of(key, old)?,
                None => Vec::new(),
            };
            check_len(text.len().saturating_add(tail.len()))?;
            text.extend_from_slice(tail);
            let len = text.len() as u64;
            tx.replace_text(key, old.as_ref(), text)?;
            Ok(len)
        })
    }

    /// How many bytes the string under `key` has; 0 where there is none. Cost: one.
    ///
    /// # Errors
    ///
    /// `WrongType`, and as for [`StructureTransaction::exists`].
    pub fn str_len(&mut self, key: &[u8]) -> Result<u64> {
        Ok(self.find(key, Type::String)?.map_or(0, |header| header.count))
    }

    /// The bytes of the string under `key` from `start` to `end`, both included; negative ones count from its end. Cost: as
    /// for [`StructureTransaction::get`].
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::get`].
    pub fn get_range(&mut self, key: &[u8], start: i64, end: i64) -> Result<Vec<u8>> {
        let Some(header) = self.find(key, Type::String)? else { return Ok(Vec::new()) };
        // As Redis has it, an end before the first byte is the first one, unless both are and in the wrong order.
        let len = i64::try_from(header.count).unwrap_or(i64::MAX);
        let from_end = |at: i64| if at < 0 { len.saturating_add(at) } else { at };
        if start < 0 && end < 0 && start > end {
            return Ok(Vec::new());
        }
        let (start, end) = (from_end(start).max(0), from_end(end).max(0).min(len - 1));
        if start > end {
            return Ok(Vec::new());
        }
        let text = self.text_of(key, &header)?;
        Ok(text.get(start as usize..=end as usize).unwrap_or_default().to_vec())
    }

    /// Puts `part` into the string under `key` from `offset` on, with zeros before it where that is shorter, and returns its
    /// length. An empty part changes nothing. Cost: that of reading and writing all of it.
    ///
    /// # Errors
    ///
    /// `WrongType`, `InvalidValue` for more than [`STRING_BYTES_MAX`] bytes, and as for
    /// [`StructureTransaction::delete`].
    pub fn set_range(&mut self, key: &[u8], offset: u64, part: &[u8]) -> Result<u64> {
        self.whole(|tx| {
            let old = tx.find(key, Type::String)?;
            if part.is_empty() {
                return Ok(old.map_or(0, |old| old.count));
            }
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            let end = offset.saturating_add(part.len());
            check_len(end)?;
            let mut text = match &old {
                Some(old) => tx.text_of(key, old)?,
                None => Vec::new(),
            };
            text.resize(text.len().max(end), 0);
            text[offset..end].copy_from_slice(part);
            let len = text.len() as u64;
            tx.replace_text(key, old.as_ref(), text)?;
            Ok(len)
        })
    }

    /// The string to which a header leads.
    fn text_of(&mut self, key: &[u8], header: &Header) -> Result<Vec<u8>> {
        if header.id == 0 {
            return Ok(header.text.clone());
        }
        let text = self.bytes(&member_key(header.id, &[]))?;
        text.filter(|text| text.len() as u64 == header.count).ok_or_else(|| {
            damaged(&header_key(self.database, key), "its string is not there, or of another length")
        })
    }

    /// Sets a key that holds a string, or nothing, to another, and keeps its expiry.
    fn replace_text(&mut self, key: &[u8], old: Option<&Header>, text: Vec<u8>) -> Result<()> {
        self.put_text(key, old, text, old.map_or(0, |old| old.expires_at))
    }

    /// Sets a key to a string, whatever it holds. One that has expired by now is deleted.
    fn put_text(&mut self, key: &[u8], old: Option<&Header>, text: Vec<u8>, expires_at: u64) -> Result<()> {
        check_len(text.len())?;
        if expires_at > 0 && expires_at <= self.view.base.now_ms() {
            return old.map_or(Ok(()), |old| self.drop_key(key, old));
        }
        let is_long = text.len() > SHORT_BYTES_MAX;
        let reusable = old.filter(|old| is_long && old.kind == Type::String && old.id > 0);
        if let Some(old) = old
            && reusable.is_none()
        {
            self.drop_structure(old)?;
        }
        let mut header = match reusable {
            Some(old) => Header::empty(Type::String, old.id),
            None if is_long => self.new_header(Type::String)?,
            None => Header::empty(Type::String, 0),
        };
        header.count = text.len() as u64;
        header.expires_at = expires_at;
        if is_long {
            self.put(member_key(header.id, &[]), text)?;
        } else {
            header.text = text;
        }
        self.keep(key, old, &header)
    }
}

/// # Errors
///
/// `InvalidValue` for a length beyond that of any string.
pub(super) fn check_len(len: usize) -> Result<()> {
    if len <= STRING_BYTES_MAX {
        return Ok(());
    }
    let message = format!("string exceeds maximum allowed size ({STRING_BYTES_MAX} bytes)");
    Err(Error::new(Code::InvalidValue, message))
}
