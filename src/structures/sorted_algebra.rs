//! What several sorted sets have together, in common, or apart, with scores that are made of theirs.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use super::Type;
use super::header::Header;
use super::number::check_score;
use super::sorted_sets::Scored;
use super::transaction::StructureTransaction;
use crate::error::{Code, Error, Result};

/// What is made of several sorted sets. Sets count as sorted sets whose members all have the score 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortedOperation {
    /// What is in any of them.
    Union,
    /// What is in all of them.
    Inter,
    /// What is in the first and in none of the others, with the scores of the first.
    Diff,
}

/// What is made of the scores of one member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Aggregate {
    /// Their sum; of infinities with both signs 0.
    #[default]
    Sum,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

impl Aggregate {
    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Sum => number_or_zero(a + b),
            Self::Min => a.min(b),
            Self::Max => a.max(b),
        }
    }
}

/// As Redis has it, what is no number is 0 here.
fn number_or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

impl StructureTransaction {
    /// What is made of the sets under `keys`, each of whose scores is first multiplied by its weight (1 where `weights` is
    /// empty), in the order of members. Cost: all their members.
    fn z_combine(
        &mut self,
        operation: SortedOperation,
        keys: &[&[u8]],
        weights: &[f64],
        aggregate: Aggregate,
    ) -> Result<BTreeMap<Vec<u8>, f64>> {
        check_weights(operation, keys, weights)?;
        let sets = keys.iter().map(|key| self.any_set(key)).collect::<Result<Vec<_>>>()?;
        let mut made: BTreeMap<Vec<u8>, f64> = BTreeMap::new();
        for (at, set) in sets.iter().enumerate() {
            let members = self.weighted(set.as_ref(), weights.get(at).copied().unwrap_or(1.0))?;
            match operation {
                SortedOperation::Union => {
                    for Scored { member, score } in members {
                        made.entry(member)
                            .and_modify(|sum| *sum = aggregate.of(*sum, score))
                            .or_insert(score);
                    }
                }
                _ if at == 0 => {
                    made.extend(members.into_iter().map(|Scored { member, score }| (member, score)));
                }
                SortedOperation::Inter => {
                    let mut common = BTreeMap::new();
                    for Scored { member, score } in members {
                        if let Some(sum) = made.get(&member) {
                            common.insert(member, aggregate.of(*sum, score));
                        }
                    }
                    made = common;
                }
                SortedOperation::Diff => {
                    for Scored { member, .. } in members {
                        made.remove(&member);
                    }
                }
            }
        }
        Ok(made)
    }

    /// A set or sorted set.
    fn any_set(&mut self, key: &[u8]) -> Result<Option<Header>> {
        match self.header(key)? {
            Some(header) if header.kind == Type::Set => Ok(Some(header)),
            // For the words of the error.
            _ => self.find(key, Type::SortedSet),
        }
    }

    fn weighted(&mut self, set: Option<&Header>, weight: f64) -> Result<Vec<Scored>> {
        let members = match set {
            None => Vec::new(),
            Some(set) if set.kind == Type::Set => {
                let members = self.members_of(set)?;
                members.into_iter().map(|member| Scored { member, score: 1.0 }).collect()
            }
            Some(set) => self.scored_of(set)?,
        };
        let weigh = |Scored { member, score }| Scored { member, score: number_or_zero(score * weight) };
        Ok(members.into_iter().map(weigh).collect())
    }

    /// What is made of the sets and sorted sets under `keys`, each of whose scores is first multiplied by its weight (1
    /// where `weights` is empty), into a sorted set under `to`, in the place of whatever that held. Returns how many
    /// members it has. Cost: all their members, and the logarithm of *n* for each that is stored.
    ///
    /// # Errors
    ///
    /// `WrongType`, `InvalidArgument` for weights that are not as many as `keys` or belong to a difference, `InvalidValue`
    /// for one that is NaN, and as for [`StructureTransaction::z_add`].
    pub fn z_store(
        &mut self,
        operation: SortedOperation,
        to: &[u8],
        keys: &[&[u8]],
        weights: &[f64],
        aggregate: Aggregate,
    ) -> Result<u64> {
        self.whole(|tx| {
            let made = tx.z_combine(operation, keys, weights, aggregate)?;
            let members: Vec<Scored> =
                made.into_iter().map(|(member, score)| Scored { member, score }).collect();
            tx.store_sorted(to, &members)?;
            Ok(members.len() as u64)
        })
    }
}

fn check_weights(operation: SortedOperation, keys: &[&[u8]], weights: &[f64]) -> Result<()> {
    let is_fitting = weights.is_empty() || weights.len() == keys.len() && operation != SortedOperation::Diff;
    if !is_fitting {
        let message = "weights are one for each key, and a difference has none";
        return Err(Error::new(Code::InvalidArgument, message));
    }
    weights.iter().try_for_each(|weight| check_score(*weight))
}
