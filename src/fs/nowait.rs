//! Reads that may not wait for a device: what the system has in its page cache is read, anything else is refused.
//!
//! It is a mode of the thread, so that whatever reads below (a lookup, a scan, a cursor) is in it without knowing. What
//! was refused is done again by somebody who may wait: an attempt changes nothing that would be in the way of that.
//!
//! Invariant: an attempt in which anything was refused gives no result, also where what ran in it has put up with the
//! refusal.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::path::Path;

use super::File;
use crate::error::{Code, Error, Result};

/// An attempt reads so many bytes, and is then refused more: also without waiting, that much takes a millisecond or two
/// to read, verify and decompress.
const BYTES_MAX: usize = 512 << 10;

crate::sync::thread_local! {
    static MODE: Cell<Mode> = const { Cell::new(Mode::MayWait) };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    MayWait,
    AtOnce { bytes_left: usize },
    Refused,
}

/// Puts the mode back that was there, also where the attempt panics.
struct Restored(Mode);

impl Drop for Restored {
    fn drop(&mut self) {
        MODE.with(|mode| mode.set(self.0));
    }
}

/// Runs `attempt`, in which no read of a file waits for a device and none opens a file. `None` where one would have had
/// to. An attempt within another is a part of it.
///
/// # Errors
///
/// What `attempt` gives, unless that was refused something.
pub(crate) fn without_waiting<T>(attempt: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
    if MODE.with(Cell::get) != Mode::MayWait {
        return attempt().map(Some);
    }
    let restored = Restored(MODE.with(|mode| mode.replace(Mode::AtOnce { bytes_left: BYTES_MAX })));
    let result = attempt();
    let was_refused = MODE.with(Cell::get) == Mode::Refused;
    drop(restored);
    if was_refused { Ok(None) } else { result.map(Some) }
}

/// Whether a read of this thread may wait.
pub(crate) fn may_wait() -> bool {
    MODE.with(Cell::get) == Mode::MayWait
}

/// The end of an attempt that would have to wait for the file at `path`. Nobody sees the error.
pub(crate) fn refusal(path: &Path) -> Error {
    if !may_wait() {
        MODE.with(|mode| mode.set(Mode::Refused));
    }
    Error::new(Code::Busy, format!("{} can't be read without waiting", path.display()))
}

/// Reads into `buffer` as far as the file goes, in the mode of the thread.
pub(super) fn read<F: File + ?Sized>(file: &F, offset: u64, buffer: &mut [u8]) -> Result<usize> {
    let bytes_left = match MODE.with(Cell::get) {
        Mode::MayWait => return file.read_at(offset, buffer),
        Mode::Refused => return Err(refusal(file.path())),
        Mode::AtOnce { bytes_left } => bytes_left.checked_sub(buffer.len()),
    };
    let Some(bytes_left) = bytes_left else { return Err(refusal(file.path())) };
    MODE.with(|mode| mode.set(Mode::AtOnce { bytes_left }));
    match file.read_at_once(offset, buffer)? {
        // The end of the file is for somebody who may look again.
        Some(read) if read == buffer.len() => Ok(read),
        _ => Err(refusal(file.path())),
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;

    use super::super::{FileSystem, SimFs};
    use super::*;

    fn file_of(disk: &SimFs, len: usize) -> Arc<dyn File> {
        let path = Path::new("/f");
        disk.write_file(path, &vec![7; len]);
        disk.open(path).unwrap()
    }

    fn read_once(file: &dyn File) -> Result<Option<()>> {
        without_waiting(|| file.read_exact_at(1, &mut [0; 10]))
    }

    #[test]
    fn what_needs_no_device_is_read_and_what_needs_one_is_refused() {
        assert_eq!(read_once(&*file_of(&SimFs::in_memory(), 20)).unwrap(), Some(()));
        assert_eq!(read_once(&*file_of(&SimFs::new(), 20)).unwrap(), None);
    }

    #[test]
    fn an_attempt_that_puts_up_with_a_refusal_gives_nothing() {
        let file = file_of(&SimFs::new(), 20);
        let attempt = without_waiting(|| Ok(file.read_exact_at(0, &mut [0; 10]).is_err()));
        assert_eq!(attempt.unwrap(), None);
    }

    #[test]
    fn an_attempt_reads_a_bounded_number_of_bytes() {
        let file = file_of(&SimFs::in_memory(), BYTES_MAX + 1);
        let read = |len| without_waiting(|| file.read_exact_at(0, &mut vec![0; len])).unwrap();
        assert_eq!((read(BYTES_MAX), read(BYTES_MAX + 1)), (Some(()), None));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_left_to_a_read_that_may_wait() {
        let file = file_of(&SimFs::in_memory(), 5);
        assert_eq!(read_once(&*file).unwrap(), None);
        assert_eq!(file.read_exact_at(1, &mut [0; 10]).unwrap_err().code(), Code::Corruption);
    }

    #[test]
    fn the_mode_ends_with_the_attempt_however_that_ends() {
        let file = file_of(&SimFs::new(), 20);
        let panicked = catch_unwind(AssertUnwindSafe(|| without_waiting::<()>(|| panic!("of the test"))));
        assert!(panicked.is_err() && may_wait());
        assert_eq!(read_once(&*file).unwrap(), None);
        assert!(may_wait());
        file.read_exact_at(0, &mut [0; 10]).unwrap();
    }

    #[test]
    fn an_attempt_within_another_is_a_part_of_it() {
        let file = file_of(&SimFs::new(), 20);
        let outer = without_waiting(|| {
            let inner = read_once(&*file);
            assert!(inner.is_err() && !may_wait());
            Ok(())
        });
        assert_eq!(outer.unwrap(), None);
    }
}
