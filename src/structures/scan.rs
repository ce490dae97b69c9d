//! Going through keys, fields and members in steps, and finding those that match a pattern.
//!
//! A step goes on behind the last name that the one before has looked at, in the order of the bytes. So what is there all the
//! time is given, and given once, whatever comes and goes meanwhile.
#![forbid(unsafe_code)]

use super::Type;
use super::access::Step;
use super::glob::{PATTERN_BYTES_MAX, literal_prefix, matches};
use super::header::Header;
use super::number::score_of_order;
use super::rows::{damaged, header_key, headers, member_of, members, members_behind};
use super::sorted_sets::Scored;
use super::transaction::StructureTransaction;
use crate::engine::Direction;
use crate::error::{Code, Error, Result};
use crate::jsondb::{RowRange, successor};

/// How one step goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanOptions<'a> {
    /// Only what matches is given.
    pub pattern: Option<&'a [u8]>,
    /// So many names are looked at, at the most.
    pub count: u64,
    /// Only keys that hold a structure of this type are given.
    pub kind: Option<Type>,
}

impl Default for ScanOptions<'_> {
    /// Ten of everything, as Redis does.
    fn default() -> Self {
        Self { pattern: None, count: 10, kind: None }
    }
}

impl ScanOptions<'_> {
    fn check(&self) -> Result<()> {
        if self.count == 0 {
            let message = "a scan that looks at nothing: give a count of 1 or more";
            return Err(Error::new(Code::InvalidArgument, message));
        }
        self.pattern.map_or(Ok(()), check_pattern)
    }

    fn takes(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| matches(pattern, name))
    }
}

fn check_pattern(pattern: &[u8]) -> Result<()> {
    if pattern.len() <= PATTERN_BYTES_MAX {
        return Ok(());
    }
    let message = format!("a pattern of {} bytes: the most is {PATTERN_BYTES_MAX}", pattern.len());
    Err(Error::new(Code::InvalidArgument, message))
}

/// What one step gives. It may be nothing, also where there is more.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanPage<T> {
    /// What was found.
    pub found: Vec<T>,
    /// Behind which name the next step goes on; `None` at the end.
    pub next: Option<Vec<u8>>,
}

impl StructureTransaction {
    /// The keys of the database that match a pattern, in the order of their bytes. Cost: one for each key that begins with
    /// what stands before the first sign of the pattern.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a pattern of more than [`PATTERN_BYTES_MAX`] bytes, and as for
    /// [`StructureTransaction::exists`].
    pub fn keys(&mut self, pattern: &[u8]) -> Result<Vec<Vec<u8>>> {
        check_pattern(pattern)?;
        let range = self.keys_after(None, literal_prefix(pattern));
        let prefix_len = header_key(self.database, &[]).len();
        let mut found = Vec::new();
        self.walk(&range, Direction::Forward, |row, _| {
            let key = &row[prefix_len..];
            if matches(pattern, key) {
                found.push(key.to_vec());
            }
            Ok(Step::Continue(()))
        })?;
        Ok(found)
    }

    /// The next keys of the database behind `after`. Cost: one for each that is looked at.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a count of 0 and a pattern of more than [`PATTERN_BYTES_MAX`] bytes, and as for
    /// [`StructureTransaction::exists`].
    pub fn scan(&mut self, after: Option<&[u8]>, options: &ScanOptions<'_>) -> Result<ScanPage<Vec<u8>>> {
        options.check()?;
        let range = self.keys_after(after, literal_prefix(options.pattern.unwrap_or_default()));
        let prefix_len = header_key(self.database, &[]).len();
        self.step(&range, options.count, |row, value| {
            let key = &row[prefix_len..];
            let is_of_kind = |kind| Ok(Header::decode(value, 0, row)?.kind == kind);
            let is_taken = options.takes(key) && options.kind.map_or(Ok(true), is_of_kind)?;
            Ok((key.to_vec(), is_taken.then(|| key.to_vec())))
        })
    }

    /// The headers of the keys behind `after` that begin with `prefix`.
    fn keys_after(&self, after: Option<&[u8]>, prefix: &[u8]) -> RowRange {
        let first = header_key(self.database, prefix);
        let end = match prefix.iter().rposition(|byte| *byte < 0xff) {
            None => headers(self.database).end,
            Some(last) => {
                let mut end = header_key(self.database, &prefix[..=last]);
                if let Some(byte) = end.last_mut() {
                    *byte += 1;
                }
                end
            }
        };
        let start = after.map(|after| successor(&header_key(self.database, after)));
        RowRange { start: start.map_or(first.clone(), |start| start.max(first)), end }
    }

    /// The next fields of the hash under `key` behind `after`, with their values. Cost: one for each that is looked at.
    ///
    /// # Errors
    ///
    /// `WrongType`, and as for [`StructureTransaction::scan`].
    pub fn h_scan(
        &mut self,
        key: &[u8],
        after: Option<&[u8]>,
        options: &ScanOptions<'_>,
    ) -> Result<ScanPage<(Vec<u8>, Vec<u8>)>> {
        self.scan_members(Type::Hash, key, after, options, |row, value| {
            Ok((member_of(row).to_vec(), value.to_vec()))
        })
    }

    /// The next members of the set under `key` behind `after`. Cost: one for each that is looked at.
    ///
    /// # Errors
    ///
    /// `WrongType`, and as for [`StructureTransaction::scan`].
    pub fn s_scan(
        &mut self,
        key: &[u8],
        after: Option<&[u8]>,
        options: &ScanOptions<'_>,
    ) -> Result<ScanPage<Vec<u8>>> {
        self.scan_members(Type::Set, key, after, options, |row, _| Ok(member_of(row).to_vec()))
    }

    /// The next members of the sorted set under `key` behind `after`, in the order of their bytes, with their scores. Cost:
    /// one for each that is looked at.
    ///
    /// # Errors
    ///
    /// `WrongType`, and as for [`StructureTransaction::scan`].
    pub fn z_scan(
        &mut self,
        key: &[u8],
        after: Option<&[u8]>,
        options: &ScanOptions<'_>,
    ) -> Result<ScanPage<Scored>> {
        self.scan_members(Type::SortedSet, key, after, options, |row, value| {
            let order = value.try_into().ok().map(u64::from_be_bytes);
            let score = order.and_then(score_of_order);
            let score = score.ok_or_else(|| damaged(row, "a member of a sorted set has no score"))?;
            Ok(Scored { member: member_of(row).to_vec(), score })
        })
    }

    fn scan_members<T>(
        &mut self,
        kind: Type,
        key: &[u8],
        after: Option<&[u8]>,
        options: &ScanOptions<'_>,
        read: impl Fn(&[u8], &[u8]) -> Result<T>,
    ) -> Result<ScanPage<T>> {
        options.check()?;
        let Some(header) = self.find(key, kind)? else {
            return Ok(ScanPage { found: Vec::new(), next: None });
        };
        let range = after.map_or_else(|| members(header.id), |after| members_behind(header.id, after));
        self.step(&range, options.count, |row, value| {
            let name = member_of(row);
            let found = if options.takes(name) { Some(read(row, value)?) } else { None };
            Ok((name.to_vec(), found))
        })
    }

    /// Looks at up to `count` rows. `look` gives the name that a row has, and what is found there.
    fn step<T>(
        &mut self,
        range: &RowRange,
        count: u64,
        look: impl Fn(&[u8], &[u8]) -> Result<(Vec<u8>, Option<T>)>,
    ) -> Result<ScanPage<T>> {
        let mut page = ScanPage { found: Vec::new(), next: None };
        let mut seen = 0;
        let mut last = Vec::new();
        self.walk(range, Direction::Forward, |row, value| {
            if seen == count {
                page.next = Some(std::mem::take(&mut last));
                return Ok(Step::Break(()));
            }
            let (name, found) = look(row, value)?;
            page.found.extend(found);
            last = name;
            seen += 1;
            Ok(Step::Continue(()))
        })?;
        Ok(page)
    }
}
