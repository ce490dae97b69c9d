//! Evicting what has expired: nobody sees it any more, and here its rows go, so that compaction gives their space back.
//!
//! The list of expiries leads to it, in the order of time. A key may have been written again since: the list says the
//! number of the structure that has expired, and no other has that.
//!
//! Invariant: a header that has expired is deleted by the same commit. So who has read it while it was there, and writes
//! into the structure only now, meets a conflict, and leaves no rows behind that belong to nothing.
#![forbid(unsafe_code)]

use super::access::Step;
use super::header::decode_expiry;
use super::rows::{damaged, decode_expiry_key, expired, header_key};
use super::transaction::StructureTransaction;
use super::{Structures, Type, with_attempts};
use crate::config::SyncMode;
use crate::engine::Direction;
use crate::error::Result;
use crate::jsondb::Mode;

/// So many keys go with one commit.
const STEP_KEYS: usize = 64;

/// A key that has expired, as its row in the list says.
struct Expired {
    row: Vec<u8>,
    database: u32,
    key: Vec<u8>,
    structure: Option<(Type, u64)>,
}

impl Structures {
    /// Evicts what has expired, up to so many keys, and returns how many they were. In steps: others that write go on
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// `ReadOnly`, `Closed`, `Conflict` when others wrote the same rows at every attempt, and what the engine gives.
    pub fn evict(&self, keys_max: u64) -> Result<u64> {
        self.evict_while(keys_max, || true)
    }

    /// As [`Structures::evict`], for as long as `go_on` lets it.
    pub(super) fn evict_while(&self, keys_max: u64, go_on: impl Fn() -> bool) -> Result<u64> {
        let mut evicted = 0;
        while evicted < keys_max && go_on() {
            let most = usize::try_from(keys_max - evicted).unwrap_or(STEP_KEYS).min(STEP_KEYS);
            let step = with_attempts(|| self.evict_step(most))?;
            evicted += step as u64;
            if step < most {
                break;
            }
        }
        Ok(evicted)
    }

    fn evict_step(&self, most: usize) -> Result<usize> {
        let mut transaction = self.begin(Mode::ReadWrite)?;
        let expired = transaction.expired(most)?;
        if expired.is_empty() {
            return Ok(0);
        }
        transaction.whole(|tx| expired.iter().try_for_each(|one| tx.evict_one(one)))?;
        // What is lost of this is evicted again.
        transaction.commit(Some(SyncMode::Never))?;
        Ok(expired.len())
    }
}

impl StructureTransaction {
    fn expired(&mut self, most: usize) -> Result<Vec<Expired>> {
        let mut found = Vec::new();
        let range = expired(self.view.base.now_ms());
        self.walk(&range, Direction::Forward, |row, value| {
            let (database, key) =
                decode_expiry_key(row).ok_or_else(|| damaged(row, "it names no key that expires"))?;
            let (row, key) = (row.to_vec(), key.to_vec());
            let structure = decode_expiry(value, &row)?;
            found.push(Expired { row, database, key, structure });
            Ok(if found.len() == most { Step::Break(()) } else { Step::Continue(()) })
        })?;
        Ok(found)
    }

    fn evict_one(&mut self, expired: &Expired) -> Result<()> {
        let header = header_key(expired.database, &expired.key);
        if !self.has_row(&header)? {
            self.remove(header)?;
        }
        self.remove(expired.row.clone())?;
        match expired.structure {
            Some((kind, id)) => self.drop_rows(kind, id),
            None => Ok(()),
        }
    }
}
