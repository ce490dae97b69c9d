//! The kinds of compaction: why one was begun, or how it got by without writing anything.
#![forbid(unsafe_code)]

use std::fmt;

/// What a compaction was for. [`Stats`](crate::engine::Stats) counts each kind for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompactionKind {
    /// Level 0 had as many tables as it may have, and they were merged into level 1.
    Level0,
    /// A deeper level was larger than it may be, and a table of it was merged into the next one.
    Level,
    /// The table could change its level without being written anew, whatever the reason.
    Move,
    /// Nobody writes, so that level 0 was merged before its time.
    Quiet,
    /// Nobody writes, and tables of level 0 were merged into one there, because level 1 is large.
    WithinLevel0,
    /// A table with deletions, or one of level 0 with other entries that can go, was merged with what lies below.
    Deletions,
    /// Deletions that have nothing below them any more were dropped, in place.
    DeletionsInPlace,
    /// Versions that newer ones hide were dropped, in place.
    Superseded,
    /// Entries that have expired were dropped, in place.
    Expired,
    /// A table of which everything has expired went without being read.
    Discard,
    /// The values of sparse value files were moved, so that those files go.
    Values,
    /// Somebody asked for it, by `compact_range` or `compact_all`.
    Asked,
}

impl CompactionKind {
    /// Every kind, in the order of its declaration.
    pub const ALL: [Self; 12] = [
        Self::Level0,
        Self::Level,
        Self::Move,
        Self::Quiet,
        Self::WithinLevel0,
        Self::Deletions,
        Self::DeletionsInPlace,
        Self::Superseded,
        Self::Expired,
        Self::Discard,
        Self::Values,
        Self::Asked,
    ];
}

/// The kind as labels of statistics name it.
impl fmt::Display for CompactionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Level0 => "level-0",
            Self::Level => "level",
            Self::Move => "move",
            Self::Quiet => "quiet",
            Self::WithinLevel0 => "within-level-0",
            Self::Deletions => "deletions",
            Self::DeletionsInPlace => "deletions-in-place",
            Self::Superseded => "superseded",
            Self::Expired => "expired",
            Self::Discard => "discard",
            Self::Values => "values",
            Self::Asked => "asked",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_stands_at_its_own_place_and_has_its_own_name() {
        for (at, kind) in CompactionKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at);
            let others = CompactionKind::ALL.iter().filter(|other| other.to_string() == kind.to_string());
            assert_eq!(others.count(), 1, "{kind}");
        }
    }
}
