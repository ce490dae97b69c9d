//! What several sets have together, in common, or apart.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use super::Type;
use super::header::Header;
use super::rows::member_key;
use super::transaction::StructureTransaction;
use crate::error::Result;

/// What is made of several sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetOperation {
    /// What is in any of them.
    Union,
    /// What is in all of them.
    Inter,
    /// What is in the first and in none of the others.
    Diff,
}

impl StructureTransaction {
    /// What is made of the sets under `keys`, in the order of the bytes; a key that is not there is an empty set. Cost: of
    /// a union all their members; of an intersection those of the smallest times the sets, of a difference those of
    /// the first times the sets.
    ///
    /// # Errors
    ///
    /// `WrongType`, and as for [`StructureTransaction::exists`].
    pub fn s_combine(&mut self, operation: SetOperation, keys: &[&[u8]]) -> Result<Vec<Vec<u8>>> {
        let sets = keys.iter().map(|key| self.find(key, Type::Set)).collect::<Result<Vec<_>>>()?;
        match operation {
            SetOperation::Union => {
                let mut all = BTreeSet::new();
                for set in sets.iter().flatten() {
                    all.extend(self.members_of(set)?);
                }
                Ok(all.into_iter().collect())
            }
            SetOperation::Inter => self.intersect(sets, u64::MAX),
            SetOperation::Diff => {
                let Some((Some(first), others)) = sets.split_first() else { return Ok(Vec::new()) };
                let mut left = Vec::new();
                for member in self.members_of(first)? {
                    if !self.is_in_any(others, &member)? {
                        left.push(member);
                    }
                }
                Ok(left)
            }
        }
    }

    /// The first members, up to `limit`, that all sets have.
    fn intersect(&mut self, sets: Vec<Option<Header>>, limit: u64) -> Result<Vec<Vec<u8>>> {
        let Some(mut sets) = sets.into_iter().collect::<Option<Vec<_>>>() else { return Ok(Vec::new()) };
        sets.sort_by_key(|set| set.count);
        let Some((smallest, others)) = sets.split_first() else { return Ok(Vec::new()) };
        let mut common = Vec::new();
        for member in self.members_of(smallest)? {
            if common.len() as u64 >= limit {
                break;
            }
            let mut is_in_all = true;
            for other in others {
                is_in_all = is_in_all && self.has_row(&member_key(other.id, &member))?;
            }
            if is_in_all {
                common.push(member);
            }
        }
        Ok(common)
    }

    fn is_in_any(&mut self, sets: &[Option<Header>], member: &[u8]) -> Result<bool> {
        for set in sets.iter().flatten() {
            if self.has_row(&member_key(set.id, member))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How many members the sets under `keys` have in common; with a limit that is not 0, no more than that are counted.
    /// Cost: as for [`StructureTransaction::s_combine`].
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::s_combine`].
    pub fn s_inter_card(&mut self, keys: &[&[u8]], limit: u64) -> Result<u64> {
        let sets = keys.iter().map(|key| self.find(key, Type::Set)).collect::<Result<Vec<_>>>()?;
        let limit = if limit == 0 { u64::MAX } else { limit };
        Ok(self.intersect(sets, limit)?.len() as u64)
    }

    /// As [`StructureTransaction::s_combine`], into a set under `to`, in the place of whatever that held. Returns how many
    /// members it has. Cost: as there, and one for each member.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::s_combine`] and [`StructureTransaction::delete`].
    pub fn s_store(&mut self, operation: SetOperation, to: &[u8], keys: &[&[u8]]) -> Result<u64> {
        self.whole(|tx| {
            let members = tx.s_combine(operation, keys)?;
            tx.delete(&[to])?;
            let members: Vec<&[u8]> = members.iter().map(Vec::as_slice).collect();
            if members.is_empty() { Ok(0) } else { tx.s_add(to, &members) }
        })
    }
}
