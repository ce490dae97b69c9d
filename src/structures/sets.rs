//! Sets: members under one key, each once.
//!
//! A member is two rows: one by its bytes, which says its place, and one by its place, which says its bytes. The places go
//! from 0 to the number of members without a gap: who leaves one in the midst has the last member take it. So any member
//! is drawn as likely as another, and every command on one member is lookups, however large the set is.
#![forbid(unsafe_code)]

use std::collections::HashSet;

use super::Type;
use super::access::Step;
use super::header::Header;
use super::rows::{check_name, damaged, member_key, member_of, members, place_key};
use super::transaction::StructureTransaction;
use crate::coding::{put_varint, take_varint};
use crate::engine::Direction;
use crate::error::{Code, Error, Result};

/// So many members that may be the same are drawn at most.
const DRAWN_MAX: u64 = 1 << 24;

/// Where more than a third of the members is drawn, the places are shuffled instead of drawn until they are others.
const DRAWN_PART: u64 = 3;

impl StructureTransaction {
    /// Puts members into the set under `key`, and returns how many are new. Cost: one for each.
    ///
    /// # Errors
    ///
    /// `WrongType`, `InvalidKey` for a member of more than [`super::STRUCTURE_KEY_BYTES_MAX`] bytes, and as for
    /// [`StructureTransaction::delete`].
    pub fn s_add(&mut self, key: &[u8], members: &[&[u8]]) -> Result<u64> {
        self.whole(|tx| {
            let (old, mut header) = tx.find_or_new(key, Type::Set)?;
            let before = header.count;
            for member in members {
                tx.add_member(&mut header, member)?;
            }
            tx.keep(key, old.as_ref(), &header)?;
            Ok(header.count - before)
        })
    }

    /// Puts a member into a set, and says whether it is new.
    pub(super) fn add_member(&mut self, header: &mut Header, member: &[u8]) -> Result<bool> {
        check_name("member", member)?;
        let row = member_key(header.id, member);
        if self.has_row(&row)? {
            return Ok(false);
        }
        self.put(row, encode_place(header.count))?;
        self.put(place_key(header.id, header.count), member.to_vec())?;
        header.count += 1;
        Ok(true)
    }

    /// Takes members out of the set under `key`, and returns how many were in it. Cost: one for each.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::s_add`].
    pub fn s_rem(&mut self, key: &[u8], members: &[&[u8]]) -> Result<u64> {
        self.whole(|tx| {
            let Some(old) = tx.find(key, Type::Set)? else { return Ok(0) };
            let mut header = old.clone();
            for member in members {
                tx.remove_member(&mut header, member)?;
            }
            tx.keep(key, Some(&old), &header)?;
            Ok(old.count - header.count)
        })
    }

    /// Takes a member out of a set, and says whether it was in it.
    fn remove_member(&mut self, header: &mut Header, member: &[u8]) -> Result<bool> {
        check_name("member", member)?;
        let row = member_key(header.id, member);
        let Some(place) = self.bytes(&row)? else { return Ok(false) };
        let place = decode_place(&place, header, &row)?;
        let last = header.count - 1;
        let moved = self.member_at(header, last)?;
        if place != last {
            self.put(member_key(header.id, &moved), encode_place(place))?;
            self.put(place_key(header.id, place), moved)?;
        }
        self.remove(place_key(header.id, last))?;
        self.remove(row)?;
        header.count = last;
        Ok(true)
    }

    /// The member that has a place.
    fn member_at(&mut self, header: &Header, place: u64) -> Result<Vec<u8>> {
        let row = place_key(header.id, place);
        self.bytes(&row)?.ok_or_else(|| damaged(&row, "there is no member at a place of a set"))
    }

    /// Moves a member from one set to another, and says whether it was in the first. Cost: one.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::s_add`].
    pub fn s_move(&mut self, from: &[u8], to: &[u8], member: &[u8]) -> Result<bool> {
        self.whole(|tx| {
            if tx.find(from, Type::Set)?.is_none() {
                return Ok(false);
            }
            if tx.find(to, Type::Set)?.is_some() && from == to {
                return tx.s_is_member(from, member);
            }
            let was_there = tx.s_rem(from, &[member])? > 0;
            if was_there {
                tx.s_add(to, &[member])?;
            }
            Ok(was_there)
        })
    }

    /// Takes up to `count` members that are drawn out of the set under `key`. Cost: one for each.
    ///
    /// # Errors
    ///
    /// `WrongType`, and as for [`StructureTransaction::delete`].
    pub fn s_pop(&mut self, key: &[u8], count: u64) -> Result<Vec<Vec<u8>>> {
        self.whole(|tx| {
            let Some(old) = tx.find(key, Type::Set)? else { return Ok(Vec::new()) };
            let mut header = old.clone();
            let mut popped = Vec::new();
            while header.count > 0 && (popped.len() as u64) < count {
                let place = tx.random.below(header.count);
                let member = tx.member_at(&header, place)?;
                tx.remove_member(&mut header, &member)?;
                popped.push(member);
            }
            tx.keep(key, Some(&old), &header)?;
            Ok(popped)
        })
    }

    /// Members of the set under `key` that are drawn: `count` different ones, or all where there are not more; and of a
    /// negative count that many, of which some may be the same. Cost: one for each.
    ///
    /// # Errors
    ///
    /// `WrongType`, `InvalidArgument` for a count below -16,777,216, and as for [`StructureTransaction::exists`].
    pub fn s_rand_member(&mut self, key: &[u8], count: i64) -> Result<Vec<Vec<u8>>> {
        let Some(header) = self.find(key, Type::Set)? else { return Ok(Vec::new()) };
        let wanted = count.unsigned_abs();
        if count < 0 {
            if wanted > DRAWN_MAX {
                return Err(Error::new(Code::InvalidArgument, "value is out of range"));
            }
            return (0..wanted)
                .map(|_| {
                    let place = self.random.below(header.count);
                    self.member_at(&header, place)
                })
                .collect();
        }
        let places = self.draw_places(header.count, wanted.min(header.count));
        places.into_iter().map(|place| self.member_at(&header, place)).collect()
    }

    /// So many different numbers below `count`, which is not less than they are.
    fn draw_places(&self, count: u64, wanted: u64) -> Vec<u64> {
        if wanted > count / DRAWN_PART {
            let mut places: Vec<u64> = (0..count).collect();
            for at in 0..wanted {
                places.swap(at as usize, (at + self.random.below(count - at)) as usize);
            }
            places.truncate(wanted as usize);
            return places;
        }
        let mut seen = HashSet::new();
        let mut places = Vec::new();
        while (places.len() as u64) < wanted {
            let place = self.random.below(count);
            if seen.insert(place) {
                places.push(place);
            }
        }
        places
    }

    /// Whether a member is in the set under `key`. Cost: one.
    ///
    /// # Errors
    ///
    /// `WrongType`, `InvalidKey`, and as for [`StructureTransaction::exists`].
    pub fn s_is_member(&mut self, key: &[u8], member: &[u8]) -> Result<bool> {
        check_name("member", member)?;
        match self.find(key, Type::Set)? {
            Some(header) => self.has_row(&member_key(header.id, member)),
            None => Ok(false),
        }
    }

    /// As [`StructureTransaction::s_is_member`] for each of `members`. Cost: one for each.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::s_is_member`].
    pub fn s_m_is_member(&mut self, key: &[u8], members: &[&[u8]]) -> Result<Vec<bool>> {
        let Some(header) = self.find(key, Type::Set)? else { return Ok(vec![false; members.len()]) };
        let is_member = |member: &&[u8]| {
            check_name("member", member)?;
            self.has_row(&member_key(header.id, member))
        };
        members.iter().map(is_member).collect()
    }

    /// How many members the set under `key` has. Cost: one.
    ///
    /// # Errors
    ///
    /// `WrongType`, and as for [`StructureTransaction::exists`].
    pub fn s_card(&mut self, key: &[u8]) -> Result<u64> {
        Ok(self.find(key, Type::Set)?.map_or(0, |header| header.count))
    }

    /// The members of the set under `key`, in the order of their bytes. Cost: *n*.
    ///
    /// # Errors
    ///
    /// `WrongType`, and as for [`StructureTransaction::exists`].
    pub fn s_members(&mut self, key: &[u8]) -> Result<Vec<Vec<u8>>> {
        match self.find(key, Type::Set)? {
            Some(header) => self.members_of(&header),
            None => Ok(Vec::new()),
        }
    }

    /// The members of a set or sorted set, in the order of their bytes.
    pub(super) fn members_of(&mut self, header: &Header) -> Result<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        self.walk(&members(header.id), Direction::Forward, |row, _| {
            found.push(member_of(row).to_vec());
            Ok(Step::Continue(()))
        })?;
        Ok(found)
    }
}

fn encode_place(place: u64) -> Vec<u8> {
    let mut value = Vec::with_capacity(4);
    put_varint(&mut value, place);
    value
}

fn decode_place(mut value: &[u8], header: &Header, row: &[u8]) -> Result<u64> {
    take_varint(&mut value)
        .filter(|place| value.is_empty() && *place < header.count)
        .ok_or_else(|| damaged(row, "a member of a set has no place in it"))
}
