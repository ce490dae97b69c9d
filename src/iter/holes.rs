//! What a stream leaves out because a range of keys was deleted: the range tombstones of all its sources, as far as the
//! stream has come.
//!
//! A source gives its tombstones stretch by stretch, so that a table's are read when the stream gets there. Where no
//! tombstone covers a key, it is noted between which keys that holds, and until the stream leaves them its rows cost
//! one comparison each.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::Travel;
use crate::error::Result;
use crate::key::{EntryRef, SeqNo};
use crate::range_tombstone::{Hole, Neighbourhood, RangeTombstones};

/// The range tombstones of one source of a stream.
pub(crate) trait TombstoneSource: Send {
    /// The stretch that holds `key`.
    fn around(&mut self, key: &[u8]) -> Result<Stretch>;
}

/// The tombstones of a source within a range of keys.
pub(crate) struct Stretch {
    /// Where the range begins.
    pub(crate) from: Vec<u8>,
    /// Where it ends (exclusive), if it does.
    pub(crate) to: Option<Vec<u8>>,
    /// All tombstones that cover a key of the range; `None` where there are none.
    pub(crate) tombstones: Option<Arc<RangeTombstones>>,
}

impl Stretch {
    fn holds(&self, key: &[u8]) -> bool {
        self.from.as_slice() <= key && self.to.as_ref().is_none_or(|to| key < to.as_slice())
    }
}

/// A set that is known as a whole.
impl TombstoneSource for Arc<RangeTombstones> {
    fn around(&mut self, _key: &[u8]) -> Result<Stretch> {
        Ok(Stretch { from: Vec::new(), to: None, tombstones: Some(Arc::clone(self)) })
    }
}

/// The deletions that a snapshot sees of a stream that is read in one direction.
pub(crate) struct Holes {
    snapshot: SeqNo,
    travel: Travel,
    sources: Vec<Source>,
    clear: Clear,
}

struct Source {
    tombstones: Box<dyn TombstoneSource>,
    /// The stretch that was asked for last.
    stretch: Option<Stretch>,
}

/// Keys that no tombstone covers, up to the bound that the stream travels to.
enum Clear {
    Unknown,
    UpTo(Vec<u8>),
    ToTheEnd,
}

impl Holes {
    /// The deletions of `sources` up to `snapshot`.
    pub(crate) fn new(sources: Vec<Box<dyn TombstoneSource>>, snapshot: SeqNo, travel: Travel) -> Self {
        let sources = sources.into_iter().map(|tombstones| Source { tombstones, stretch: None }).collect();
        Self { snapshot, travel, sources, clear: Clear::Unknown }
    }

    /// Whether nothing is deleted.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Forgets where the stream was: it goes on somewhere else.
    pub(crate) fn jump(&mut self) {
        self.clear = Clear::Unknown;
    }

    /// Whether a deletion hides `entry`. Between two jumps the keys must come in the direction of travel.
    #[inline]
    pub(crate) fn hide(&mut self, entry: &EntryRef<'_>) -> Result<bool> {
        let is_clear = match (&self.clear, self.travel) {
            (Clear::Unknown, _) => false,
            (Clear::UpTo(end), Travel::Forward) => entry.key < end.as_slice(),
            (Clear::UpTo(start), Travel::Backward) => entry.key >= start.as_slice(),
            (Clear::ToTheEnd, _) => true,
        };
        if is_clear { Ok(false) } else { self.look(entry) }
    }

    /// Finds out whether a deletion hides `entry`, and where none is near, up to where that holds.
    fn look(&mut self, entry: &EntryRef<'_>) -> Result<bool> {
        self.clear = Clear::Unknown;
        self.arrive(entry.key)?;
        let mut nearest: Option<&[u8]> = None;
        let mut is_covered = false;
        for stretch in self.sources.iter().filter_map(|source| source.stretch.as_ref()) {
            let is_nearer = |bound: &&[u8]| match (nearest, self.travel) {
                (None, _) => true,
                (Some(nearest), Travel::Forward) => *bound < nearest,
                (Some(nearest), Travel::Backward) => *bound > nearest,
            };
            let (before, after) = match stretch.tombstones.as_ref().map(|set| set.neighbourhood(entry.key)) {
                Some(Neighbourhood::Within(fragment)) => {
                    if fragment.newest_at(self.snapshot).is_some_and(|deleted_at| deleted_at > entry.seqno) {
                        return Ok(true);
                    }
                    is_covered = true;
                    continue;
                }
                Some(Neighbourhood::Between(before, after)) => (before, after),
                None => (None, None),
            };
            let bound = match self.travel {
                Travel::Forward => after.or(stretch.to.as_deref()),
                Travel::Backward => before.or(Some(&stretch.from[..])).filter(|from| !from.is_empty()),
            };
            if let Some(bound) = bound.filter(is_nearer) {
                nearest = Some(bound);
            }
        }
        if !is_covered {
            self.clear = nearest.map_or(Clear::ToTheEnd, |bound| Clear::UpTo(bound.to_vec()));
        }
        Ok(false)
    }

    /// Sees to it that every source has the stretch that holds `key` at hand.
    fn arrive(&mut self, key: &[u8]) -> Result<()> {
        for Source { tombstones, stretch } in &mut self.sources {
            if !stretch.as_ref().is_some_and(|stretch| stretch.holds(key)) {
                *stretch = Some(tombstones.around(key)?);
            }
        }
        Ok(())
    }

    /// The hole around `key` that reaches furthest in the direction of travel, of those that hide an entry of `seqno`.
    pub(crate) fn widest(&mut self, key: &[u8], seqno: SeqNo) -> Result<Option<Hole<'_>>> {
        Ok(self.over(key, seqno)?[0])
    }

    /// The hole around `key` that reaches furthest in the direction of travel, and the one that hides most, of those that
    /// hide an entry of `seqno`.
    pub(crate) fn over(&mut self, key: &[u8], seqno: SeqNo) -> Result<[Option<Hole<'_>>; 2]> {
        if self.sources.is_empty() {
            return Ok([None, None]);
        }
        self.arrive(key)?;
        let (mut widest, mut newest): (Option<Hole<'_>>, Option<Hole<'_>>) = (None, None);
        for set in self.sources.iter().filter_map(|source| source.stretch.as_ref()?.tombstones.as_ref()) {
            let Some(fragment) = set.fragment_around(key, self.snapshot) else { continue };
            if fragment.deleted_at > seqno
                && newest.is_none_or(|newest| fragment.deleted_at > newest.deleted_at)
            {
                newest = Some(fragment);
            }
            let hole = set.hole_around(key, self.snapshot).filter(|hole| hole.deleted_at > seqno);
            let reaches_further = |hole: &Hole<'_>| match (widest, self.travel) {
                (None, _) => true,
                (Some(widest), Travel::Forward) => hole.end > widest.end,
                (Some(widest), Travel::Backward) => hole.start < widest.start,
            };
            if let Some(hole) = hole.filter(reaches_further) {
                widest = Some(hole);
            }
        }
        Ok([widest, newest])
    }
}
