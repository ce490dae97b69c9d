//! What a scan merges: memtables, tables of level 0, and levels, told apart by a `match` and not by a virtual call,
//! which every step of every row would pay.
#![forbid(unsafe_code)]

use crate::error::Result;
use crate::iter::{InternalIterator, Travel};
use crate::key::{EntryRef, SeqNo};
use crate::memtable::MemtableIterator;
use crate::range_tombstone::Hole;
use crate::sstable::TableIterator;
use crate::version::LevelIterator;

/// One of the streams that a scan merges.
pub(crate) enum Source {
    Memtable(Box<MemtableIterator>),
    Table(TableIterator),
    Level(LevelIterator),
}

/// The same call on whichever stream it is.
macro_rules! each {
    ($source:expr, $stream:ident => $call:expr) => {
        match $source {
            Source::Memtable($stream) => $call,
            Source::Table($stream) => $call,
            Source::Level($stream) => $call,
        }
    };
}

impl InternalIterator for Source {
    #[inline]
    fn is_valid(&self) -> bool {
        each!(self, stream => stream.is_valid())
    }

    fn seek_to_first(&mut self) -> Result<()> {
        each!(self, stream => stream.seek_to_first())
    }

    fn seek_to_last(&mut self) -> Result<()> {
        each!(self, stream => stream.seek_to_last())
    }

    fn seek(&mut self, key: &[u8], seqno: SeqNo) -> Result<()> {
        each!(self, stream => stream.seek(key, seqno))
    }

    fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        each!(self, stream => stream.seek_before(key))
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        each!(self, stream => stream.next())
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        each!(self, stream => stream.prev())
    }

    #[inline]
    fn entry(&self) -> EntryRef<'_> {
        each!(self, stream => stream.entry())
    }

    #[inline]
    fn next_user_key(&mut self) -> Result<()> {
        each!(self, stream => stream.next_user_key())
    }

    #[inline]
    fn is_only_version(&self) -> bool {
        each!(self, stream => stream.is_only_version())
    }

    fn seek_in_hole(&mut self, key: &[u8], hole: &Hole<'_>, travel: Travel) -> Result<()> {
        each!(self, stream => stream.seek_in_hole(key, hole, travel))
    }

    fn leave_hole(&mut self, hole: &Hole<'_>, travel: Travel) -> Result<bool> {
        each!(self, stream => stream.leave_hole(hole, travel))
    }

    #[inline]
    fn begin_run(&mut self, bound: &[u8], travel: Travel) {
        each!(self, stream => stream.begin_run(bound, travel));
    }

    #[inline]
    fn is_in_run(&self) -> bool {
        each!(self, stream => stream.is_in_run())
    }
}
