//! What lies in the arena for the data itself: a record for each key, and one for each version of it.
//!
//! Invariant: the link of a key record leads to its newest version, the link of a version to the next older one,
//! and seqnos fall along the chain. Versions never change; of a key record only its link and its milestones do.
//!
//! A key that is overwritten by every commit has a long chain, and an old snapshot looks for a version deep in it.
//! So every sixteenth version gets a milestone, and each milestone has beside the link to the one before it a jump
//! over many, spaced as in a skew-binary list (Myers, 1983): any version is a logarithmic number of steps away,
//! and keys with few versions pay nothing.
#![forbid(unsafe_code)]

use super::arena::{Arena, AtomicRef, Bump, Header, Record, Ref};
use crate::key::{Kind, SEQNO_MAX, SeqNo};
use crate::sync::atomic::{AtomicU32, Ordering};

/// How many versions of a key there are to a milestone.
const MILESTONE_EVERY: u32 = 16;

/// What a key record says beside its key.
pub(super) struct KeyHeader {
    oldest: Ref<VersionRecord>,
    /// The newest milestone.
    milestone: AtomicRef<Milestone>,
    /// How many versions there are; only the writer asks.
    versions: AtomicU32,
}

/// What a version says beside its value.
pub(super) struct VersionHeader {
    /// The seqno above the eight bits of the kind.
    stamp: u64,
    expires_at: u64,
}

impl Header for KeyHeader {
    type Linked = VersionHeader;
}

impl Header for VersionHeader {
    type Linked = Self;
}

pub(super) type KeyRecord = Record<KeyHeader>;
pub(super) type VersionRecord = Record<VersionHeader>;

/// A mark in a long chain of versions.
struct Milestone {
    seqno: SeqNo,
    version: Ref<VersionRecord>,
    /// How many milestones are older.
    rank: u32,
    older: Option<Ref<Milestone>>,
    /// A milestone at least as old as `older`.
    jump: Option<Ref<Milestone>>,
}

/// One version of a key, borrowed from the memtable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VersionRef<'a> {
    pub(crate) seqno: SeqNo,
    pub(crate) kind: Kind,
    /// Milliseconds since 1970, or [`crate::key::NEVER_EXPIRES`].
    pub(crate) expires_at: u64,
    pub(crate) value: &'a [u8],
}

/// Writes a key with its first version. No reader knows it until it is in an index.
pub(super) fn push_key(bump: &mut Bump, key: &[u8], first: VersionRef<'_>) -> Ref<KeyRecord> {
    let oldest = push_linked(bump, None, first);
    let header = KeyHeader { oldest, milestone: AtomicRef::empty(), versions: AtomicU32::new(1) };
    bump.push_record(Some(oldest), header, key)
}

/// Makes `version` the newest of the key at `key`.
pub(super) fn push_version(arena: &Arena, bump: &mut Bump, key: Ref<KeyRecord>, version: VersionRef<'_>) {
    let record = arena.get(key);
    let older = record.link.load();
    debug_assert!(
        older.is_none_or(|older| seqno(arena, older) < version.seqno),
        "the versions of a key must come in with rising seqnos"
    );
    let newest = push_linked(bump, older, version);
    record.link.store(Some(newest));
    let versions = record.header.versions.load(Ordering::Relaxed).wrapping_add(1);
    record.header.versions.store(versions, Ordering::Relaxed);
    if versions.is_multiple_of(MILESTONE_EVERY) {
        let last = record.header.milestone.load();
        let milestone = bump.push(milestone_after(arena, last, version.seqno, newest));
        record.header.milestone.store(Some(milestone));
    }
}

fn push_linked(
    bump: &mut Bump,
    older: Option<Ref<VersionRecord>>,
    version: VersionRef<'_>,
) -> Ref<VersionRecord> {
    assert!(version.seqno <= SEQNO_MAX, "a seqno has 56 bits");
    let stamp = version.seqno << 8 | u64::from(version.kind as u8);
    bump.push_record(older, VersionHeader { stamp, expires_at: version.expires_at }, version.value)
}

fn milestone_after(
    arena: &Arena,
    last: Option<Ref<Milestone>>,
    seqno: SeqNo,
    version: Ref<VersionRecord>,
) -> Milestone {
    let rank = last.map_or(0, |last| arena.get(last).rank + 1);
    Milestone { seqno, version, rank, older: last, jump: last.map(|last| jump_over(arena, last)) }
}

/// Where the milestone after `last` jumps to: where the jump of `last` and the one from there span the same number
/// of milestones, over both, and else just to `last`.
fn jump_over(arena: &Arena, last: Ref<Milestone>) -> Ref<Milestone> {
    let Some(middle) = arena.get(last).jump else { return last };
    let Some(end) = arena.get(middle).jump else { return last };
    let rank = |at| arena.get::<Milestone>(at).rank;
    if rank(last) - rank(middle) == rank(middle) - rank(end) { end } else { last }
}

/// The seqno of the version at `at`.
pub(super) fn seqno(arena: &Arena, at: Ref<VersionRecord>) -> SeqNo {
    arena.get(at).header.stamp >> 8
}

/// The newest version of `key`.
pub(super) fn newest(arena: &Arena, key: Ref<KeyRecord>) -> Ref<VersionRecord> {
    let record = arena.get(key);
    record.link.load().unwrap_or(record.header.oldest)
}

/// The first version of `key`.
pub(super) fn oldest(arena: &Arena, key: Ref<KeyRecord>) -> Ref<VersionRecord> {
    arena.get(key).header.oldest
}

/// The next older version.
pub(super) fn older(arena: &Arena, at: Ref<VersionRecord>) -> Option<Ref<VersionRecord>> {
    arena.get(at).link.load()
}

/// The newest version of `key` at or below `asked`.
pub(super) fn version_at(arena: &Arena, key: Ref<KeyRecord>, asked: SeqNo) -> Option<Ref<VersionRecord>> {
    let mut version = newest(arena, key);
    let mut steps = 0;
    while seqno(arena, version) > asked {
        version = older(arena, version)?;
        steps += 1;
        if steps == MILESTONE_EVERY {
            version = last_milestone_above(arena, key, asked).unwrap_or(version);
        }
    }
    Some(version)
}

/// The version of the oldest milestone above `asked`.
fn last_milestone_above(arena: &Arena, key: Ref<KeyRecord>, asked: SeqNo) -> Option<Ref<VersionRecord>> {
    let above = |at: &Ref<Milestone>| arena.get(*at).seqno > asked;
    let mut at = arena.get(key).header.milestone.load().filter(above)?;
    loop {
        let milestone = arena.get(at);
        match milestone.jump.filter(above).or(milestone.older.filter(above)) {
            Some(next) => at = next,
            None => return Some(milestone.version),
        }
    }
}

/// What the version at `at` says.
pub(super) fn read_version(arena: &Arena, at: Ref<VersionRecord>) -> VersionRef<'_> {
    let header = &arena.get(at).header;
    VersionRef {
        seqno: header.stamp >> 8,
        kind: Kind::from_u8(header.stamp as u8).expect("a stamp is made from a kind"),
        expires_at: header.expires_at,
        value: arena.bytes(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_milestones_of_a_long_chain_lead_anywhere_in_few_steps() {
        let (arena, mut bump) = Arena::new();
        let version = |seqno| VersionRef { seqno, kind: Kind::Value, expires_at: 0, value: b"" };
        let last = 100_000;
        let key = push_key(&mut bump, b"k", version(1));
        for seqno in 2..=last {
            push_version(&arena, &mut bump, key, version(seqno));
        }

        for asked in (0..last).step_by(97) {
            let above = |at: &Ref<Milestone>| arena.get(*at).seqno > asked;
            let mut at = arena.get(key).header.milestone.load();
            let mut steps = 0;
            while let Some(here) = at.filter(above) {
                let milestone = arena.get(here);
                at = milestone.jump.filter(above).or(milestone.older.filter(above));
                steps += 1;
            }
            assert!(steps <= 40, "{steps} steps to seqno {asked}");
            let found = version_at(&arena, key, asked).map(|at| seqno(&arena, at));
            assert_eq!(found, (asked > 0).then_some(asked));
        }
    }
}
