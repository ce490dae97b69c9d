//! Sorted sets: members with scores under one key, in the order of the scores and, where those are the same, of the bytes.
//!
//! A member is two rows: one by its bytes, which says its score, and one at its place in the order. `count_tree` counts
//! them.
#![forbid(unsafe_code)]

use super::Type;
use super::count_tree::Change;
use super::header::Header;
use super::number::{check_score, order_of_score, score_of_order};
use super::rows::{check_name, damaged, member_key, order_key, place_in_order};
use super::transaction::StructureTransaction;
use crate::error::{Code, Error, Result};

/// A member and its score.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// The member.
    pub member: Vec<u8>,
    /// Its score.
    pub score: f64,
}

/// Which members get a score, and what is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ZAddOptions {
    /// Only new ones.
    pub nx: bool,
    /// Only those that are there.
    pub xx: bool,
    /// Those that are there only where their score becomes greater.
    pub gt: bool,
    /// Those that are there only where their score becomes less.
    pub lt: bool,
}

impl ZAddOptions {
    fn check(self) -> Result<()> {
        if self.nx && self.xx {
            let message = "XX and NX options at the same time are not compatible";
            return Err(Error::new(Code::InvalidArgument, message));
        }
        if u8::from(self.gt) + u8::from(self.lt) + u8::from(self.nx) > 1 {
            let message = "GT, LT, and/or NX options at the same time are not compatible";
            return Err(Error::new(Code::InvalidArgument, message));
        }
        Ok(())
    }

    fn allow(self, old: Option<f64>, new: f64) -> bool {
        match old {
            None => !self.xx,
            Some(old) => !self.nx && (!self.gt || new > old) && (!self.lt || new < old),
        }
    }
}

/// What came of adding members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Added {
    /// How many are new.
    pub added: u64,
    /// How many have another score than before. With `ch`, Redis gives both together.
    pub changed: u64,
}

/// What a command changes in one sorted set.
struct Changing {
    old: Option<Header>,
    header: Header,
    /// Of the order.
    changes: Vec<Change>,
}

impl StructureTransaction {
    /// Gives members their scores in the sorted set under `key`. Cost: the logarithm of *n* for each.
    ///
    /// # Errors
    ///
    /// `WrongType`, `InvalidKey` for a member of more than [`super::STRUCTURE_KEY_BYTES_MAX`] bytes, `InvalidValue` for a
    /// score that is NaN, `InvalidArgument` for options that exclude each other, and as for
    /// [`StructureTransaction::delete`].
    pub fn z_add(&mut self, key: &[u8], members: &[(f64, &[u8])], options: ZAddOptions) -> Result<Added> {
        options.check()?;
        self.whole(|tx| {
            let Some(mut set) = tx.change_sorted(key, !options.xx)? else { return Ok(Added::default()) };
            let mut added = Added::default();
            for (score, member) in members {
                check_score(*score)?;
                let old = tx.score_in(&set.header, member)?;
                if options.allow(old, *score) && tx.set_score(&mut set, member, old, *score)? {
                    *(if old.is_none() { &mut added.added } else { &mut added.changed }) += 1;
                }
            }
            tx.keep_sorted(key, set)?;
            Ok(added)
        })
    }

    /// Adds to the score of a member, which is 0 where it is not there, and returns its score; `None` where `options` don't
    /// let it. Cost: the logarithm of *n*.
    ///
    /// # Errors
    ///
    /// `InvalidValue` for a sum that is NaN, and as for [`StructureTransaction::z_add`].
    pub fn z_add_incr(
        &mut self,
        key: &[u8],
        by: f64,
        member: &[u8],
        options: ZAddOptions,
    ) -> Result<Option<f64>> {
        options.check()?;
        self.whole(|tx| {
            check_score(by)?;
            let Some(mut set) = tx.change_sorted(key, !options.xx)? else { return Ok(None) };
            let old = tx.score_in(&set.header, member)?;
            if options.nx && old.is_some() {
                return Ok(None);
            }
            let score = old.unwrap_or(0.0) + by;
            if score.is_nan() {
                let message = "resulting score is not a number (NaN)";
                return Err(Error::new(Code::InvalidValue, message));
            }
            let is_set = options.allow(old, score);
            if is_set {
                tx.set_score(&mut set, member, old, score)?;
            }
            tx.keep_sorted(key, set)?;
            Ok(is_set.then_some(score))
        })
    }

    /// Adds to the score of a member, which is 0 where it is not there, and returns its score. Cost: the logarithm of *n*.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::z_add_incr`].
    pub fn z_incr_by(&mut self, key: &[u8], by: f64, member: &[u8]) -> Result<f64> {
        let score = self.z_add_incr(key, by, member, ZAddOptions::default())?;
        Ok(score.unwrap_or(by))
    }

    /// The score of a member of the sorted set under `key`. Cost: one.
    ///
    /// # Errors
    ///
    /// `WrongType`, `InvalidKey`, and as for [`StructureTransaction::exists`].
    pub fn z_score(&mut self, key: &[u8], member: &[u8]) -> Result<Option<f64>> {
        match self.find(key, Type::SortedSet)? {
            Some(header) => self.score_in(&header, member),
            None => Ok(None),
        }
    }

    /// As [`StructureTransaction::z_score`] for each of `members`. Cost: one for each.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::z_score`].
    pub fn z_m_score(&mut self, key: &[u8], members: &[&[u8]]) -> Result<Vec<Option<f64>>> {
        let Some(header) = self.find(key, Type::SortedSet)? else { return Ok(vec![None; members.len()]) };
        members.iter().map(|member| self.score_in(&header, member)).collect()
    }

    /// How many members the sorted set under `key` has. Cost: one.
    ///
    /// # Errors
    ///
    /// `WrongType`, and as for [`StructureTransaction::exists`].
    pub fn z_card(&mut self, key: &[u8]) -> Result<u64> {
        Ok(self.find(key, Type::SortedSet)?.map_or(0, |header| header.count))
    }

    /// How many members of the sorted set under `key` come before this one; `None` where it is none of them. Cost: the
    /// logarithm of *n*.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::z_score`].
    pub fn z_rank(&mut self, key: &[u8], member: &[u8]) -> Result<Option<u64>> {
        Ok(self.rank_and_count(key, member)?.map(|(rank, _)| rank))
    }

    /// How many members of the sorted set under `key` come behind this one; `None` where it is none of them. Cost: the
    /// logarithm of *n*.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::z_score`].
    pub fn z_rev_rank(&mut self, key: &[u8], member: &[u8]) -> Result<Option<u64>> {
        Ok(self.rank_and_count(key, member)?.map(|(rank, count)| count - 1 - rank))
    }

    fn rank_and_count(&mut self, key: &[u8], member: &[u8]) -> Result<Option<(u64, u64)>> {
        let Some(header) = self.find(key, Type::SortedSet)? else { return Ok(None) };
        let Some(score) = self.score_in(&header, member)? else { return Ok(None) };
        let rank = self.count_before(&header, &place_in_order(score, member))?;
        if rank >= header.count {
            return Err(damaged(
                &member_key(header.id, member),
                "it is beyond the members of its sorted set",
            ));
        }
        Ok(Some((rank, header.count)))
    }

    /// Takes members out of the sorted set under `key`, and returns how many were in it. Cost: the logarithm of *n* for
    /// each.
    ///
    /// # Errors
    ///
    /// `WrongType`, `InvalidKey`, and as for [`StructureTransaction::delete`].
    pub fn z_rem(&mut self, key: &[u8], members: &[&[u8]]) -> Result<u64> {
        self.whole(|tx| {
            let Some(mut set) = tx.change_sorted(key, false)? else { return Ok(0) };
            let before = set.header.count;
            for member in members {
                if let Some(score) = tx.score_in(&set.header, member)? {
                    tx.remove_scored(&mut set, member, score)?;
                }
            }
            let removed = before - set.header.count;
            tx.keep_sorted(key, set)?;
            Ok(removed)
        })
    }

    /// Takes these members, which are in it with these scores, out of the sorted set under `key`.
    pub(super) fn remove_all_scored(&mut self, key: &[u8], members: &[Scored]) -> Result<()> {
        let Some(mut set) = self.change_sorted(key, false)? else { return Ok(()) };
        for Scored { member, score } in members {
            self.remove_scored(&mut set, member, *score)?;
        }
        self.keep_sorted(key, set)
    }

    /// The score of a member.
    pub(super) fn score_in(&mut self, header: &Header, member: &[u8]) -> Result<Option<f64>> {
        check_name("member", member)?;
        let row = member_key(header.id, member);
        let Some(value) = self.bytes(&row)? else { return Ok(None) };
        let order = value.try_into().ok().map(u64::from_be_bytes);
        let score = order.and_then(score_of_order);
        score.map(Some).ok_or_else(|| damaged(&row, "a member of a sorted set has no score"))
    }

    /// The sorted set that is under a key, or is to be where `may_be_new`.
    fn change_sorted(&mut self, key: &[u8], may_be_new: bool) -> Result<Option<Changing>> {
        let old = self.find(key, Type::SortedSet)?;
        let header = match &old {
            Some(header) => header.clone(),
            None if may_be_new => self.new_header(Type::SortedSet)?,
            None => return Ok(None),
        };
        Ok(Some(Changing { old, header, changes: Vec::new() }))
    }

    /// Gives a member a score, and says whether it had another or none.
    fn set_score(&mut self, set: &mut Changing, member: &[u8], old: Option<f64>, score: f64) -> Result<bool> {
        if old == Some(score) {
            return Ok(false);
        }
        let id = set.header.id;
        match old {
            Some(old) => {
                let place = place_in_order(old, member);
                self.remove(order_key(id, &place))?;
                set.changes.push(Change::of_member(place, -1));
            }
            None => set.header.count += 1,
        }
        let place = place_in_order(score, member);
        self.put(member_key(id, member), order_of_score(score).to_be_bytes().to_vec())?;
        self.put(order_key(id, &place), Vec::new())?;
        set.changes.push(Change::of_member(place, 1));
        Ok(true)
    }

    fn remove_scored(&mut self, set: &mut Changing, member: &[u8], score: f64) -> Result<()> {
        let place = place_in_order(score, member);
        self.remove(order_key(set.header.id, &place))?;
        self.remove(member_key(set.header.id, member))?;
        set.changes.push(Change::of_member(place, -1));
        set.header.count -= 1;
        Ok(())
    }

    fn keep_sorted(&mut self, key: &[u8], set: Changing) -> Result<()> {
        let Changing { old, mut header, changes } = set;
        if header.count == 0 {
            if let Some(old) = old {
                self.drop_key(key, &old)?;
            }
            return Ok(());
        }
        if !changes.is_empty() {
            self.recount(&mut header, changes)?;
        }
        self.keep(key, old.as_ref(), &header)
    }

    /// Puts a sorted set of these members under a key, in the place of whatever that held.
    pub(super) fn store_sorted(&mut self, key: &[u8], members: &[Scored]) -> Result<()> {
        self.delete(&[key])?;
        if members.is_empty() {
            return Ok(());
        }
        let scored: Vec<(f64, &[u8])> =
            members.iter().map(|Scored { member, score }| (*score, member.as_slice())).collect();
        self.z_add(key, &scored, ZAddOptions::default()).map(drop)
    }
}
