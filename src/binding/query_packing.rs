//! The packed encodings of queries.
//!
//! `lib/query.js` is the other side; docs/binding.md lists every byte.
#![forbid(unsafe_code)]

use crate::error::Result;
use crate::jsondb::{Condition, Key, KeyRange, Order, Query, QueryBuilder};

use super::packing::{PageSize, take_bytes, take_page_size, take_text, take_u8, take_u32};

/// The numbers of the verbs of queries.
pub(super) const VERBS: std::ops::RangeInclusive<u8> = 70..=73;

/// What is asked of queries.
#[derive(Debug, PartialEq)]
pub(crate) enum QueryVerb<'a> {
    Open {
        cursor: u32,
        query: RawQuery<'a>,
        wants: u8,
        size: PageSize,
    },
    Count(RawQuery<'a>),
    Explain(RawQuery<'a>),
    /// Deletes what the query finds.
    Delete(RawQuery<'a>),
}

/// A query whose keys and paths have not been checked yet.
#[derive(Debug, PartialEq)]
pub(crate) struct RawQuery<'a> {
    pub(crate) store: &'a str,
    conditions: Vec<(&'a str, RawCondition<'a>)>,
    order: Vec<(&'a str, bool)>,
    selected: Option<Vec<&'a str>>,
    offset: u64,
    limit: Option<u64>,
}

#[derive(Debug, PartialEq)]
enum RawCondition<'a> {
    In(Vec<&'a [u8]>),
    One(Operator, &'a [u8]),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operator {
    Equals,
    Above { or_at: bool },
    Below { or_at: bool },
    Prefix,
    Contains,
}

impl RawCondition<'_> {
    fn decode(&self) -> Result<Condition> {
        let (operator, key) = match self {
            Self::In(keys) => {
                let keys = keys.iter().map(|bytes| Key::from_encoded(*bytes));
                return Ok(Condition::In(keys.collect::<Result<_>>()?));
            }
            Self::One(operator, bytes) => (*operator, Key::from_encoded(*bytes)?),
        };
        Ok(match operator {
            Operator::Equals => Condition::Equals(key),
            Operator::Above { or_at } => Condition::Range(KeyRange::lower_bound(key, !or_at)),
            Operator::Below { or_at } => Condition::Range(KeyRange::upper_bound(key, !or_at)),
            Operator::Prefix => Condition::Prefix(key),
            Operator::Contains => Condition::Contains(key),
        })
    }
}

impl RawQuery<'_> {
    /// The query with its keys and paths checked.
    pub(crate) fn decode(&self) -> Result<Query> {
        let mut query = QueryBuilder::new(self.store).offset(self.offset);
        for (path, condition) in &self.conditions {
            query = query.filter(*path, condition.decode()?);
        }
        for (path, is_descending) in &self.order {
            query = query.order_by(*path, if *is_descending { Order::Descending } else { Order::Ascending });
        }
        if let Some(paths) = &self.selected {
            query = query.select(paths.iter().copied());
        }
        if let Some(limit) = self.limit {
            query = query.limit(limit);
        }
        query.build()
    }
}

pub(super) fn take_verb<'a>(number: u8, input: &mut &'a [u8]) -> Option<QueryVerb<'a>> {
    Some(match number {
        70 => QueryVerb::Open {
            cursor: take_u32(input)?,
            query: take_query(input)?,
            wants: take_u8(input)?,
            size: take_page_size(input)?,
        },
        71 => QueryVerb::Count(take_query(input)?),
        72 => QueryVerb::Explain(take_query(input)?),
        73 => QueryVerb::Delete(take_query(input)?),
        _ => return None,
    })
}

fn take_query<'a>(input: &mut &'a [u8]) -> Option<RawQuery<'a>> {
    Some(RawQuery {
        store: take_text(input)?,
        conditions: take_list(input, |input| Some((take_text(input)?, take_condition(input)?)))?,
        order: take_list(input, |input| Some((take_text(input)?, take_u8(input)? != 0)))?,
        selected: match take_u8(input)? {
            0 => None,
            _ => Some(take_list(input, take_text)?),
        },
        offset: take_u64(input)?,
        limit: match take_u8(input)? {
            0 => None,
            _ => Some(take_u64(input)?),
        },
    })
}

fn take_condition<'a>(input: &mut &'a [u8]) -> Option<RawCondition<'a>> {
    let operator = match take_u8(input)? {
        1 => return Some(RawCondition::In(take_list(input, take_bytes)?)),
        0 => Operator::Equals,
        2 => Operator::Above { or_at: false },
        3 => Operator::Above { or_at: true },
        4 => Operator::Below { or_at: false },
        5 => Operator::Below { or_at: true },
        6 => Operator::Prefix,
        7 => Operator::Contains,
        _ => return None,
    };
    Some(RawCondition::One(operator, take_bytes(input)?))
}

/// The count is not trusted with an allocation: the list grows by what is really there.
fn take_list<'a, T>(
    input: &mut &'a [u8],
    mut take: impl FnMut(&mut &'a [u8]) -> Option<T>,
) -> Option<Vec<T>> {
    let count = take_u32(input)?;
    (0..count).map(|_| take(input)).collect()
}

fn take_u64(input: &mut &[u8]) -> Option<u64> {
    let (bytes, rest) = input.split_first_chunk::<8>()?;
    *input = rest;
    Some(u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::super::packing::put_bytes;
    use super::*;

    fn a_query() -> Vec<u8> {
        let mut run = Vec::new();
        put_bytes(&mut run, b"users");
        run.extend([1, 0, 0, 0]);
        put_bytes(&mut run, b"age");
        run.push(1);
        run.extend([2, 0, 0, 0]);
        put_bytes(&mut run, Key::from(1).as_bytes());
        put_bytes(&mut run, Key::from(2).as_bytes());
        run.extend([1, 0, 0, 0]);
        put_bytes(&mut run, b"name");
        run.push(1);
        run.extend([1, 1, 0, 0, 0]);
        put_bytes(&mut run, b"name");
        run.extend(7u64.to_le_bytes());
        run.push(1);
        run.extend(9u64.to_le_bytes());
        run
    }

    #[test]
    fn a_query_reads_back_as_it_was_packed_and_cut_anywhere_it_is_refused() {
        let run = a_query();
        let query = take_query(&mut &run[..]).unwrap();
        assert_eq!((query.store, query.offset, query.limit), ("users", 7, Some(9)));
        assert_eq!(query.order, [("name", true)]);
        assert_eq!(query.selected, Some(vec!["name"]));
        assert_eq!(query.conditions[0].0, "age");
        assert_eq!(query.conditions[0].1.decode().unwrap(), Condition::In(vec![Key::from(1), Key::from(2)]));
        query.decode().unwrap();
        for end in 0..run.len() {
            assert_eq!(take_query(&mut &run[..end]), None, "cut at {end}");
        }
    }
}
