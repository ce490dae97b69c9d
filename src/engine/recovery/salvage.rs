//! Opening a database whose logs are damaged: with the prefix that is whole, and an account of the rest.
//!
//! Invariant: what comes out is a prefix of what was committed: from the first damage on, no record counts, however
//! whole it is. Nothing is written or removed by that; what was found becomes a table before the next log begins, and
//! only then do the damaged logs go.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Opening, Replayed, State};
use crate::error::{Code, Error, Result};
use crate::key::SeqNo;
use crate::version::{FileKind, ManifestLoss, log_path};
use crate::wal::{HeaderState, LogKind, LogReader, PreviousSegment};

/// What a database that was opened with `salvage` has lost.
#[derive(Debug, Clone)]
pub struct SalvageReport {
    /// Everything up to this seqno is there.
    pub last_seqno: u64,
    /// What is not, in the order in which it was written.
    pub losses: Vec<Loss>,
}

/// A part of a file that does not count any more.
#[derive(Debug, Clone)]
pub struct Loss {
    /// The log or manifest.
    pub path: PathBuf,
    /// From here on the file does not count …
    pub offset: u64,
    /// … which is so many bytes.
    pub bytes: u64,
    /// The highest seqno of a commit that is known to be among them; `None` where none can be read any more.
    pub last_seqno: Option<u64>,
    /// Why.
    pub reason: Error,
}

/// A log that is there, with its header or what is wrong with it.
type Header = Result<Option<PreviousSegment>>;

impl Opening<'_> {
    /// Notes what was cut from the manifest.
    pub(super) fn note_manifest_loss(&self, number: u64, loss: ManifestLoss) -> Loss {
        let ManifestLoss { offset, bytes, reason } = loss;
        Loss { path: FileKind::Manifest(number).path(self.dir), offset, bytes, last_seqno: None, reason }
    }

    /// Replays the logs as far as they are whole, and notes the rest in `losses`.
    ///
    /// # Errors
    ///
    /// `Io`; `Corruption` where a record is whole and yet makes no sense.
    pub(super) fn salvage_logs(&self, state: &State, losses: &mut Vec<Loss>) -> Result<Replayed> {
        let headers = self.headers(state.log_number)?;
        let mut replayed = Replayed::starting(state.last_seqno, state.log_number);
        let is_there = (1..state.next_file_number).contains(&state.log_number);
        let is_first = |number: u64, previous: &Option<PreviousSegment>| {
            number == state.log_number
                || !is_there && previous.is_none_or(|previous| previous.number < state.log_number)
        };
        let mut next = whole(&headers).find(|(number, previous)| is_first(*number, previous)).map(|(n, _)| n);
        if next.is_none() && is_there {
            losses.extend(self.missing(&headers, state.log_number));
        }
        let mut last = None;
        while let Some(number) = next {
            last = Some(number);
            // A log whose creation failed may name the same predecessor as the one that followed: that one is younger.
            let follows = |previous: &Option<PreviousSegment>| previous.is_some_and(|p| p.number == number);
            let successor = whole(&headers).filter(|(_, previous)| follows(previous)).last();
            let clean_end = state.clean_end.filter(|end| end.log_number == number).map(|end| end.end_offset);
            let end = successor.and_then(|(_, previous)| previous).map(|previous| previous.end_offset);
            let loss = self.salvage_segment(number, end.or(clean_end), &mut replayed)?;
            next = successor.map(|(number, _)| number).filter(|_| loss.is_none());
            losses.extend(loss);
        }
        self.note_unreached(&headers, last, losses)?;
        if let Some(end) = state.clean_end.filter(|end| end.log_number >= state.log_number)
            && !headers.contains_key(&end.log_number)
        {
            losses.extend(self.missing(&headers, end.log_number));
        }
        Ok(replayed)
    }

    /// The headers of all logs from `first` on, but of those whose creation was torn.
    fn headers(&self, first: u64) -> Result<BTreeMap<u64, Header>> {
        let mut headers = BTreeMap::new();
        for number in self.files.logs_from(first) {
            let path = log_path(self.dir, number);
            match LogReader::open(self.fs, &path, LogKind::Wal, number, None) {
                Ok(HeaderState::Whole(log)) => headers.insert(number, Ok(log.header().previous)),
                Ok(HeaderState::Torn) => None,
                Err(error) if error.code() == Code::Corruption => headers.insert(number, Err(error)),
                Err(error) => return Err(error),
            };
        }
        Ok(headers)
    }

    /// Replays one log up to its end or its first damage, which is returned.
    fn salvage_segment(
        &self,
        number: u64,
        end: Option<u64>,
        replayed: &mut Replayed,
    ) -> Result<Option<Loss>> {
        let path = log_path(self.dir, number);
        let open = |limit| LogReader::open(self.fs, &path, LogKind::Wal, number, limit);
        let (opened, cut) = match open(end) {
            Err(error) if error.code() == Code::Corruption && end.is_some() => (open(None)?, Some(error)),
            opened => (opened?, None),
        };
        let HeaderState::Whole(mut log) = opened else { return Err(self.missing_log(number)) };
        let damage = loop {
            match log.next() {
                Ok(Some(record)) => self.replay_record(number, &path, record, replayed)?,
                Ok(None) => break log.finish().err().or(cut),
                Err(error) => break Some(error),
            }
        };
        match damage {
            None => Ok(None),
            Some(reason) if reason.code() == Code::Corruption => {
                let last_seqno = log.last_seqno_behind()?;
                Ok(Some(Loss { path, offset: log.offset(), bytes: log.bytes_behind(), last_seqno, reason }))
            }
            Some(error) => Err(error),
        }
    }

    /// Notes the logs that the chain did not reach and that may hold something.
    fn note_unreached(
        &self,
        headers: &BTreeMap<u64, Header>,
        last: Option<u64>,
        losses: &mut Vec<Loss>,
    ) -> Result<()> {
        for (&number, header) in headers.iter().filter(|(number, _)| Some(**number) > last) {
            let path = log_path(self.dir, number);
            let bytes = self.fs.open(&path)?.len()?;
            let (last_seqno, reason) = match header {
                Ok(_) => (self.last_seqno_in(number)?, "the log before it is damaged or missing".to_owned()),
                Err(error) => (None, error.message().to_owned()),
            };
            let reason = Error::corruption(&path, reason);
            losses.push(Loss { path, offset: 0, bytes, last_seqno, reason });
        }
        Ok(())
    }

    fn last_seqno_in(&self, number: u64) -> Result<Option<SeqNo>> {
        let path = log_path(self.dir, number);
        match LogReader::open(self.fs, &path, LogKind::Wal, number, None)? {
            HeaderState::Whole(mut log) => log.last_seqno_behind(),
            HeaderState::Torn => Ok(None),
        }
    }

    /// The loss of a log of which nothing is there.
    fn missing(&self, headers: &BTreeMap<u64, Header>, number: u64) -> Option<Loss> {
        let loss = || Loss {
            path: log_path(self.dir, number),
            offset: 0,
            bytes: 0,
            last_seqno: None,
            reason: self.missing_log(number),
        };
        (!headers.contains_key(&number)).then(loss)
    }
}

/// The logs that have a header, in ascending order.
fn whole(headers: &BTreeMap<u64, Header>) -> impl Iterator<Item = (u64, Option<PreviousSegment>)> {
    headers.iter().filter_map(|(&number, header)| Some((number, *header.as_ref().ok()?)))
}
