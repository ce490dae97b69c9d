//! Hashes: fields with values under one key. A field is a row.
#![forbid(unsafe_code)]

use super::Type;
use super::access::Step;
use super::number::{
    add_floats, add_integers, format_float, not_a_float, not_an_integer, parse_float, parse_integer,
};
use super::rows::{check_name, member_key, member_of, members};
use super::strings::check_len;
use super::transaction::StructureTransaction;
use crate::engine::Direction;
use crate::error::Result;

impl StructureTransaction {
    /// Sets fields of the hash under `key`, and returns how many are new. Cost: one for each.
    ///
    /// # Errors
    ///
    /// `WrongType`, `InvalidKey` for a field of more than [`super::STRUCTURE_KEY_BYTES_MAX`] bytes, `InvalidValue` for a
    /// value of more than [`super::STRING_BYTES_MAX`], and as for [`StructureTransaction::delete`].
    pub fn h_set(&mut self, key: &[u8], fields: &[(&[u8], &[u8])]) -> Result<u64> {
        self.whole(|tx| {
            let (old, mut header) = tx.find_or_new(key, Type::Hash)?;
            let before = header.count;
            for (field, value) in fields {
                let row = field_key(header.id, field)?;
                check_len(value.len())?;
                header.count += u64::from(!tx.has_row(&row)?);
                tx.put(row, value.to_vec())?;
            }
            tx.keep(key, old.as_ref(), &header)?;
            Ok(header.count - before)
        })
    }

    /// Sets a field of the hash under `key` where there is none of that name, and says whether it did. Cost: one.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::h_set`].
    pub fn h_set_nx(&mut self, key: &[u8], field: &[u8], value: &[u8]) -> Result<bool> {
        self.whole(|tx| {
            let is_new = !tx.h_exists(key, field)?;
            if is_new {
                tx.h_set(key, &[(field, value)])?;
            }
            Ok(is_new)
        })
    }

    /// The value of a field of the hash under `key`. Cost: one.
    ///
    /// # Errors
    ///
    /// `WrongType`, `InvalidKey`, and as for [`StructureTransaction::exists`].
    pub fn h_get(&mut self, key: &[u8], field: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.find(key, Type::Hash)? {
            Some(header) => self.bytes(&field_key(header.id, field)?),
            None => Ok(None),
        }
    }

    /// As [`StructureTransaction::h_get`] for each of `fields`. Cost: one for each.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::h_get`].
    pub fn h_m_get(&mut self, key: &[u8], fields: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
        let Some(header) = self.find(key, Type::Hash)? else { return Ok(vec![None; fields.len()]) };
        fields.iter().map(|field| self.bytes(&field_key(header.id, field)?)).collect()
    }

    /// Every field of the hash under `key` with its value, in the order of their bytes. Cost: *n*.
    ///
    /// # Errors
    ///
    /// `WrongType`, and as for [`StructureTransaction::exists`].
    pub fn h_get_all(&mut self, key: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.read_fields(key, |field, value| (field.to_vec(), value.to_vec()))
    }

    /// The names of the fields of the hash under `key`, in the order of their bytes. Cost: *n*.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::h_get_all`].
    pub fn h_keys(&mut self, key: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.read_fields(key, |field, _| field.to_vec())
    }

    /// The values of the fields of the hash under `key`, in the order of their names. Cost: *n*.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::h_get_all`].
    pub fn h_vals(&mut self, key: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.read_fields(key, |_, value| value.to_vec())
    }

    fn read_fields<T>(&mut self, key: &[u8], read: impl Fn(&[u8], &[u8]) -> T) -> Result<Vec<T>> {
        let mut found = Vec::new();
        if let Some(header) = self.find(key, Type::Hash)? {
            self.walk(&members(header.id), Direction::Forward, |row, value| {
                found.push(read(member_of(row), value));
                Ok(Step::Continue(()))
            })?;
        }
        Ok(found)
    }

    /// Deletes fields of the hash under `key`, and returns how many there were. Cost: one for each.
    ///
    /// # Errors
    ///
    /// `WrongType`, `InvalidKey`, and as for [`StructureTransaction::delete`].
    pub fn h_del(&mut self, key: &[u8], fields: &[&[u8]]) -> Result<u64> {
        self.whole(|tx| {
            let Some(old) = tx.find(key, Type::Hash)? else { return Ok(0) };
            let mut header = old.clone();
            for field in fields {
                let row = field_key(header.id, field)?;
                if tx.has_row(&row)? {
                    tx.remove(row)?;
                    header.count -= 1;
                }
            }
            tx.keep(key, Some(&old), &header)?;
            Ok(old.count - header.count)
        })
    }

    /// Whether the hash under `key` has a field. Cost: one.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::h_get`].
    pub fn h_exists(&mut self, key: &[u8], field: &[u8]) -> Result<bool> {
        match self.find(key, Type::Hash)? {
            Some(header) => self.has_row(&field_key(header.id, field)?),
            None => Ok(false),
        }
    }

    /// How many fields the hash under `key` has. Cost: one.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::h_get_all`].
    pub fn h_len(&mut self, key: &[u8]) -> Result<u64> {
        Ok(self.find(key, Type::Hash)?.map_or(0, |header| header.count))
    }

    /// Adds to the integer in a field, which is 0 where there is none, and returns the sum. Cost: one.
    ///
    /// # Errors
    ///
    /// `InvalidValue` for what is no integer of 64 bits before or after, and as for [`StructureTransaction::h_set`].
    pub fn h_incr_by(&mut self, key: &[u8], field: &[u8], by: i64) -> Result<i64> {
        self.whole(|tx| {
            let value = match tx.h_get(key, field)? {
                Some(text) => parse_integer(&text).ok_or_else(|| not_an_integer("hash value"))?,
                None => 0,
            };
            let sum = add_integers(value, by)?;
            tx.h_set(key, &[(field, sum.to_string().as_bytes())])?;
            Ok(sum)
        })
    }

    /// As [`StructureTransaction::h_incr_by`], for numbers of any kind; see [`StructureTransaction::incr_by_float`].
    ///
    /// # Errors
    ///
    /// `InvalidValue` for what is no number, and for a sum that is NaN or infinite, and as for
    /// [`StructureTransaction::h_set`].
    pub fn h_incr_by_float(&mut self, key: &[u8], field: &[u8], by: f64) -> Result<String> {
        self.whole(|tx| {
            let value = match tx.h_get(key, field)? {
                Some(text) => parse_float(&text).ok_or_else(|| not_a_float("hash value"))?,
                None => 0.0,
            };
            let text = format_float(add_floats(value, by)?);
            tx.h_set(key, &[(field, text.as_bytes())])?;
            Ok(text)
        })
    }
}

fn field_key(id: u64, field: &[u8]) -> Result<Vec<u8>> {
    check_name("field", field)?;
    Ok(member_key(id, field))
}
