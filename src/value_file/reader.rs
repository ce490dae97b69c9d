//! Reads one value file: whole values, slices of them, and all of it for a check.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::format::{
    CHUNK_BYTES, DIRECTORY_END_BYTES, Directory, FOOTER_BYTES, Footer, ValuePointer, directory_len,
};
use crate::error::{Error, Result};
use crate::frame::{self, Damage, Packing};
use crate::fs::File;

/// A record of up to this length is read at once: reading its directory first would cost more than it saves.
const WHOLE_BYTES_MAX: u64 = 128 << 10;

/// Longer ones are read in pieces of about this length.
const WINDOW_BYTES: u64 = 512 << 10;

/// An open value file.
pub(crate) struct ValueFile {
    file: Arc<dyn File>,
    number: u64,
    /// Where the records end and the footer begins.
    records_end: u64,
    footer: Footer,
}

impl ValueFile {
    /// Opens the value file `number` of `size` bytes in `file`: verifies its footer.
    ///
    /// # Errors
    ///
    /// `Corruption` when it is damaged, `Version` when a newer FlowDB wrote the file, `Io` from the file.
    pub(crate) fn open(file: Arc<dyn File>, number: u64, size: u64) -> Result<Self> {
        let actual = file.len()?;
        let records_end = size.checked_sub(FOOTER_BYTES as u64);
        let Some(records_end) = records_end.filter(|_| actual == size) else {
            let what = format!("the value file should have {size} bytes, the file has {actual}");
            return Err(Error::corruption(file.path(), what));
        };
        let mut bytes = [0; FOOTER_BYTES];
        file.read_exact_at(records_end, &mut bytes)?;
        let footer = Footer::decode(&bytes, number, records_end, file.path())?;
        Ok(Self { file, number, records_end, footer })
    }

    /// A value file of `len` bytes whose footer or size is wrong, or is in doubt. Its values can be read by their pointers
    /// where they are whole; it can't be verified.
    pub(crate) fn damaged_with(file: Arc<dyn File>, number: u64, len: u64) -> Self {
        Self { file, number, records_end: len, footer: Footer { records: 0, value_bytes: 0, number } }
    }

    /// The path of the file, for messages.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Replaces `out` by the bytes of `range` of the value that `pointer` names, as far as the value has them.
    ///
    /// # Errors
    ///
    /// `Corruption` where they are damaged or `pointer` does not name a value, `Io` from the file.
    pub(crate) fn read(&self, pointer: &ValuePointer, range: Range<u64>, out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        let mut window = Window::default();
        let directory = self.load_directory(pointer, WHOLE_BYTES_MAX, &mut window)?;
        let end = range.end.min(directory.value_len);
        if range.start >= end {
            return Ok(());
        }
        let chunks = directory.chunks_of(&(range.start..end));
        let first = (chunks.start * CHUNK_BYTES) as u64;
        out.reserve_exact((end - first) as usize);
        for chunk in chunks.clone() {
            let frame = self.frame(&directory, chunk, &chunks, &mut window)?;
            self.unpack(frame, &directory, chunk, out)?;
        }
        out.truncate((end - first) as usize);
        out.drain(..(range.start - first) as usize);
        Ok(())
    }

    /// Reads and verifies the directory of the value that `pointer` names.
    pub(crate) fn directory(&self, pointer: &ValuePointer) -> Result<Directory> {
        self.load_directory(pointer, 0, &mut Window::default())
    }

    /// Replaces `out` by the chunk of the value that holds the byte at `position`, and returns where it begins.
    pub(crate) fn read_chunk(&self, directory: &Directory, position: u64, out: &mut Vec<u8>) -> Result<u64> {
        out.clear();
        let chunk = (position / CHUNK_BYTES as u64) as usize;
        let mut window = Window::default();
        let frame = self.frame(directory, chunk, &(chunk..chunk + 1), &mut window)?;
        self.unpack(frame, directory, chunk, out)?;
        Ok((chunk * CHUNK_BYTES) as u64)
    }

    /// Calls `visit` with every chunk of a value in order, verified, as it is stored.
    pub(super) fn for_each_stored_chunk(
        &self,
        pointer: &ValuePointer,
        mut visit: impl FnMut(&[u8], Packing) -> Result<()>,
    ) -> Result<()> {
        let mut window = Window::default();
        let directory = self.load_directory(pointer, WHOLE_BYTES_MAX, &mut window)?;
        let all = 0..directory.chunks();
        for chunk in all.clone() {
            let frame = self.frame(&directory, chunk, &all, &mut window)?;
            let offset = directory.frame(chunk).start;
            let (stored, packing) = frame::verify(self.number, offset, frame)
                .map_err(|damage| self.damaged(damage, "the chunk", offset))?;
            visit(stored, packing)?;
        }
        Ok(())
    }

    /// Reads every record and checks it, and the counts of the footer.
    ///
    /// # Errors
    ///
    /// `Corruption` that names the first part found wrong, `Io` from the file.
    pub(crate) fn verify(&self) -> Result<()> {
        self.verify_while(&|| Ok(()))
    }

    /// As [`Self::verify`]; ends with the first error that `go_on` gives, which is asked often.
    pub(crate) fn verify_while(&self, go_on: &dyn Fn() -> Result<()>) -> Result<()> {
        let mut counted = Footer { records: 0, value_bytes: 0, number: self.number };
        let (mut end, mut payload) = (self.records_end, Vec::new());
        // Directories stand behind their chunks, so the way leads from the last record to the first.
        while end > 0 {
            let directory = self.directory_before(end)?;
            let mut window = Window::default();
            let all = 0..directory.chunks();
            for chunk in all.clone() {
                go_on()?;
                payload.clear();
                let frame = self.frame(&directory, chunk, &all, &mut window)?;
                self.unpack(frame, &directory, chunk, &mut payload)?;
            }
            counted.records += 1;
            counted.value_bytes += directory.value_len;
            end = directory.start();
        }
        if counted != self.footer {
            let damage = Damage("its counts don't agree with the records");
            return Err(self.damaged(damage, "the footer", self.records_end));
        }
        Ok(())
    }

    /// The directory of the record that ends at `end`.
    fn directory_before(&self, end: u64) -> Result<Directory> {
        let damaged = |damage, at| self.damaged(damage, "the directory", at);
        let short = || damaged(Damage("it would begin before the file"), end);
        let mut tail = [0; DIRECTORY_END_BYTES];
        let at = end.checked_sub(DIRECTORY_END_BYTES as u64).ok_or_else(short)?;
        self.file.read_exact_at(at, &mut tail)?;
        let value_len = Directory::value_len_at_end(&tail).map_err(|damage| damaged(damage, at))?;
        let len = directory_len(value_len);
        let start = end.checked_sub(len).ok_or_else(short)?;
        let mut bytes = vec![0; len as usize];
        self.file.read_exact_at(start, &mut bytes)?;
        Directory::decode(self.number, start, &bytes).map_err(|damage| damaged(damage, start))
    }

    /// Reads the directory, and with it a record of at most `whole_max` bytes.
    fn load_directory(
        &self,
        pointer: &ValuePointer,
        whole_max: u64,
        window: &mut Window,
    ) -> Result<Directory> {
        let damaged = |damage, at| self.damaged(damage, "the directory", at);
        let len = directory_len(pointer.value_len);
        // Before anything of its size is allocated: the record lies within the file, and the directory in it.
        if pointer.end() > self.records_end || len > pointer.record_len {
            let damage = Damage("the value would reach beyond the file");
            return Err(self.damaged(damage, "the record", pointer.offset));
        }
        let start = pointer.end() - len;
        let first = if pointer.record_len <= whole_max { pointer.offset } else { start };
        window.load(&*self.file, first..pointer.end())?;
        let bytes = window.get(&(start..pointer.end())).unwrap_or_default();
        let directory =
            Directory::decode(self.number, start, bytes).map_err(|damage| damaged(damage, start))?;
        if directory.start() != pointer.offset || directory.value_len != pointer.value_len {
            let damage = Damage("it is not of the value that the table names");
            return Err(damaged(damage, start));
        }
        Ok(directory)
    }

    /// The frame of a chunk, of those that are `wanted`: they are read many at a time.
    fn frame<'a>(
        &self,
        directory: &Directory,
        chunk: usize,
        wanted: &Range<usize>,
        window: &'a mut Window,
    ) -> Result<&'a [u8]> {
        let frame = directory.frame(chunk);
        if window.get(&frame).is_none() {
            let last = directory.frame(wanted.end.saturating_sub(1)).end;
            let end = (frame.start + WINDOW_BYTES).clamp(frame.end, last.max(frame.end));
            window.load(&*self.file, frame.start..end)?;
        }
        Ok(window.get(&frame).unwrap_or_default())
    }

    /// Verifies the frame of a chunk and appends what it holds.
    fn unpack(&self, frame: &[u8], directory: &Directory, chunk: usize, out: &mut Vec<u8>) -> Result<()> {
        let offset = directory.frame(chunk).start;
        frame::verify(self.number, offset, frame)
            .and_then(|(stored, packing)| {
                frame::unpack_behind(stored, packing, directory.payload_len(chunk), out)
            })
            .map_err(|damage| self.damaged(damage, "the chunk", offset))
    }

    fn damaged(&self, damage: Damage, part: &str, offset: u64) -> Error {
        damage.at(self.path(), part, offset)
    }
}

/// What a thread keeps of the memory that a window had.
const WINDOW_BYTES_KEPT: usize = 1 << 20;

thread_local! {
    /// The memory of the last window, whose length never falls: it would be cleared for each one otherwise.
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A piece of the file in memory.
struct Window {
    start: u64,
    len: usize,
    bytes: Vec<u8>,
}

impl Default for Window {
    fn default() -> Self {
        Self { start: 0, len: 0, bytes: SPARE.take() }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        if self.bytes.len() <= WINDOW_BYTES_KEPT {
            SPARE.set(std::mem::take(&mut self.bytes));
        }
    }
}

impl Window {
    fn load(&mut self, file: &dyn File, range: Range<u64>) -> Result<()> {
        let len = (range.end - range.start) as usize;
        (self.start, self.len) = (range.start, 0);
        if self.bytes.len() < len {
            self.bytes.resize(len, 0);
        }
        file.read_exact_at(range.start, &mut self.bytes[..len])?;
        self.len = len;
        Ok(())
    }

    fn get(&self, range: &Range<u64>) -> Option<&[u8]> {
        let start = usize::try_from(range.start.checked_sub(self.start)?).ok()?;
        let len = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
        self.bytes.get(..self.len)?.get(start..start.checked_add(len)?)
    }
}
