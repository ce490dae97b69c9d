//! What lies in the arena for the data itself: a record for each key, and one for each version of it.
//!
//! Invariant: the link of a key record leads to its newest version, the link of a version to the next older one,
//! and seqnos fall along the chain. Only the link of a key record ever changes.
#![forbid(unsafe_code)]

use super::arena::{Arena, Bump, Header, Record, Ref};
use crate::key::{Kind, SEQNO_MAX, SeqNo};

/// What a key record says beside its key.
pub(super) struct KeyHeader {
    /// The seqno of the oldest version, so that a search below it need not walk the chain.
    pub(super) first_seqno: SeqNo,
}

/// What a version says beside its value.
pub(super) struct VersionHeader {
    /// The seqno above the eight bits of the kind.
    stamp: u64,
    pub(super) expires_at: u64,
}

impl VersionHeader {
    pub(super) fn seqno(&self) -> SeqNo {
        self.stamp >> 8
    }

    pub(super) fn kind(&self) -> Kind {
        Kind::from_u8(self.stamp as u8).expect("a stamp is made from a kind")
    }
}

impl Header for KeyHeader {
    type Linked = VersionHeader;
}

impl Header for VersionHeader {
    type Linked = Self;
}

pub(super) type KeyRecord = Record<KeyHeader>;
pub(super) type VersionRecord = Record<VersionHeader>;

/// One version of a key, borrowed from the memtable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VersionRef<'a> {
    pub(crate) seqno: SeqNo,
    pub(crate) kind: Kind,
    /// Milliseconds since 1970, or [`crate::key::NEVER_EXPIRES`].
    pub(crate) expires_at: u64,
    pub(crate) value: &'a [u8],
}

/// One version of some key, on its way in.
#[derive(Clone, Copy)]
pub(super) struct NewVersion<'a> {
    pub(super) seqno: SeqNo,
    pub(super) kind: Kind,
    pub(super) expires_at: u64,
    pub(super) value: &'a [u8],
}

/// Writes a key with its first version. No reader knows it until it is in an index.
pub(super) fn push_key(bump: &mut Bump, key: &[u8], first: NewVersion<'_>) -> Ref<KeyRecord> {
    let version = push_unlinked(bump, None, first);
    bump.push_record(Some(version), KeyHeader { first_seqno: first.seqno }, key)
}

/// Makes `version` the newest of the key at `key`.
pub(super) fn push_version(arena: &Arena, bump: &mut Bump, key: Ref<KeyRecord>, version: NewVersion<'_>) {
    let newest = &arena.get(key).link;
    let older = newest.load();
    debug_assert!(
        older.is_none_or(|older| arena.get(older).header.seqno() < version.seqno),
        "the versions of a key must come in with rising seqnos"
    );
    newest.store(Some(push_unlinked(bump, older, version)));
}

fn push_unlinked(
    bump: &mut Bump,
    older: Option<Ref<VersionRecord>>,
    version: NewVersion<'_>,
) -> Ref<VersionRecord> {
    assert!(version.seqno <= SEQNO_MAX, "a seqno has 56 bits");
    let stamp = version.seqno << 8 | u64::from(version.kind as u8);
    bump.push_record(older, VersionHeader { stamp, expires_at: version.expires_at }, version.value)
}

/// The newest version of `key` at or below `seqno`.
pub(super) fn version_at(arena: &Arena, key: Ref<KeyRecord>, seqno: SeqNo) -> Option<Ref<VersionRecord>> {
    let record = arena.get(key);
    if record.header.first_seqno > seqno {
        return None;
    }
    let mut version = record.link.load()?;
    while arena.get(version).header.seqno() > seqno {
        version = arena.get(version).link.load()?;
    }
    Some(version)
}

/// What the version at `at` says.
pub(super) fn read_version(arena: &Arena, at: Ref<VersionRecord>) -> VersionRef<'_> {
    let header = &arena.get(at).header;
    VersionRef {
        seqno: header.seqno(),
        kind: header.kind(),
        expires_at: header.expires_at,
        value: arena.bytes(at),
    }
}
