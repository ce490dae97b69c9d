//! The end of the log: where the next record goes, and how one log follows another.
//!
//! Invariant: a log ends where everything in it is durable and visible. So a sealed memtable holds nothing that is not
//! visible, and the header of the next log tells the truth about the one before.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::shared::{LoggedMemtable, Shared};
use crate::error::{Code, Result};
use crate::key::SeqNo;
use crate::memtable::Memtable;
use crate::version::{VersionEdit, log_path};
use crate::wal::{LogKind, LogWriter, PreviousSegment, SegmentHeader, is_storage_full};

/// Whenever so many bytes have been written, the sync thread is woken, whatever the durability: the end of a log is
/// synced with writers waiting, and should find little left to do.
const EARLY_SYNC_BYTES: u64 = 4 << 20;

/// The end of the log.
pub(crate) struct LogState {
    /// `None` for a database in memory, until the first write after an opening, and once the database is closed.
    pub(crate) writer: Option<LogWriter>,
    /// The last log that was found at the opening and where its records end. `None` where there is none that a
    /// successor may build on: then what was replayed is flushed before the next log begins.
    pub(crate) replayed: Option<PreviousSegment>,
    /// Whether the manifest says that there is a log, so that one that is missing will be missed.
    pub(crate) is_announced: bool,
    /// The last seqno that was given to a batch.
    pub(crate) last_seqno: SeqNo,
    /// Everything up to this seqno is in the log file (not only in a buffer).
    pub(crate) written_seqno: SeqNo,
    /// Everything up to this seqno is in the memtables, visible or not, or will be as soon as the groups before are.
    pub(crate) applied_seqno: SeqNo,
    /// The bytes of the last group, which may still be on its way into the memtable.
    pub(crate) last_group_bytes: usize,
    /// How long the log was when the sync thread was woken last.
    pub(crate) early_sync_at: u64,
    /// Nothing more may be written to this log: its tail is garbage because an append failed for want of space, or
    /// a successor that names its end may exist already. The next write begins a new log.
    pub(crate) is_sealed: bool,
}

impl LogState {
    /// The number of the log that the next memtable's entries will be in, or of one before.
    fn number(&self) -> u64 {
        let replayed = self.replayed.map_or(0, |last| last.number);
        self.writer.as_ref().map_or(replayed, LogWriter::number)
    }

    /// Whether the log has reached the size at which another follows.
    pub(crate) fn is_full(&self, segment_size_bytes: u64) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.end_offset() >= segment_size_bytes)
    }
}

impl Shared {
    /// Hands what is buffered to the file.
    ///
    /// Where the disk is full the records are lost for their writers, who are told, and the log goes on in a new
    /// segment as soon as there is space; any other failure poisons.
    pub(crate) fn write_log(&self, log: &mut LogState, is_to_be_synced: bool) -> Result<()> {
        self.write_log_with(log, is_to_be_synced, &[])
    }

    /// As [`Shared::write_log`], with the body that [`LogWriter::buffer_head`] has left out.
    pub(crate) fn write_log_with(
        &self,
        log: &mut LogState,
        is_to_be_synced: bool,
        body: &[u8],
    ) -> Result<()> {
        let Some(writer) = &mut log.writer else { return Ok(()) };
        let written =
            if is_to_be_synced { writer.write_ahead_of_sync(body) } else { writer.write_with(body) };
        let Err(error) = written else {
            log.written_seqno = log.last_seqno;
            self.pipeline.note_written(log.written_seqno);
            if writer.end_offset() >= log.early_sync_at + EARLY_SYNC_BYTES {
                log.early_sync_at = writer.end_offset();
                self.background.wake_sync();
            }
            return Ok(());
        };
        // Writes of durability `none` that were acknowledged from the buffer are in the memtable: their order
        // can't be kept in a log that has lost them.
        if is_storage_full(&error) && log.written_seqno == log.applied_seqno {
            log.is_sealed = true;
            log.last_seqno = log.written_seqno;
            return Err(error.wrap(Code::Io, "writing to the log: the disk is full"));
        }
        Err(self.poison(error))
    }

    /// Writes what is buffered, and returns up to which seqno a sync makes everything durable from now on.
    pub(crate) fn write_buffered(&self) -> Result<SeqNo> {
        let mut log = self.log.lock();
        // A log that a full disk has sealed takes no more records, but those in it are still to be synced.
        if !log.is_sealed {
            self.write_log(&mut log, false)?;
        }
        Ok(log.written_seqno)
    }

    /// Begins a new log and a new memtable, and hands the old memtable to the flush.
    pub(crate) fn seal(&self, log: &mut LogState) -> Result<()> {
        self.roll_log(log)?;
        let active =
            Arc::new(LoggedMemtable { memtable: Arc::new(Memtable::new()), first_log: log.number() });
        self.change_view(|view| {
            let sealed = std::mem::replace(&mut view.active, active);
            view.frozen.insert(0, sealed);
        });
        self.background.wake_flush();
        Ok(())
    }

    /// Ends the log at its last whole record, durably, and begins the next one, whose header says where that is.
    pub(crate) fn roll_log(&self, log: &mut LogState) -> Result<()> {
        if self.config.in_memory {
            self.await_inserts();
            log.is_sealed = false;
            return Ok(());
        }
        if !log.is_sealed {
            self.write_log(log, false)?;
        }
        self.drain()?;
        let previous = match &log.writer {
            Some(old) => Some(PreviousSegment { number: old.number(), end_offset: old.end_offset() }),
            None => log.replayed,
        };
        if previous.is_none() {
            while self.flush_oldest()? {}
        }
        let number = self.next_number();
        let header = SegmentHeader { kind: LogKind::Wal, number, previous, first_seqno: log.last_seqno + 1 };
        let path = log_path(self.dir(), number);
        let created = LogWriter::create(self.fs.as_ref(), &path, header);
        if created.is_err() {
            log.is_sealed = true;
            // What is left of it counts for nothing, but takes space that may be short.
            let _ = self.fs.remove(&path);
        }
        let writer = created?;
        self.pipeline.change_file(writer.sync_handle());
        log.writer = Some(writer);
        log.early_sync_at = 0;
        log.is_sealed = true;
        if previous.is_none() {
            self.change_view(|view| {
                let memtable = Arc::clone(&view.active.memtable);
                view.active = Arc::new(LoggedMemtable { memtable, first_log: number });
            });
        }
        if !log.is_announced {
            let log_number = Some(self.view().oldest_log());
            self.apply_edit(VersionEdit { log_number, ..VersionEdit::default() }, |_| {})?;
            log.is_announced = true;
        }
        log.is_sealed = false;
        Ok(())
    }
}
