//! A small read that finds nothing in the system's memory has fetched what lies around it, as a fault in a mapped file
//! would have: a program whose files are still on the disk reads from memory so much sooner.
//!
//! Only so often: of a database that is larger than memory, what lies around is seldom what is read next, and fetching it would keep the
//! disk from the reads that are waited for.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicI32, Ordering};

use super::File;
use crate::error::Result;

/// What is fetched is a part of the file that begins at a multiple of this and is so long.
const FETCHED_BYTES: u64 = 128 << 10;

/// How often, for one opened database: 256 MiB in all.
const FETCHES_MAX: i32 = 2048;

/// Larger reads are those of compactions and of scans that go on, which read ahead by themselves.
const SMALL_BYTES: usize = 32 << 10;

/// Reads with their surroundings, as long as there are fetches left.
pub(super) struct Surroundings {
    /// Below 0 where several threads took the last one.
    fetches_left: AtomicI32,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self { fetches_left: AtomicI32::new(FETCHES_MAX) }
    }
}

impl Surroundings {
    /// As [`File::read_at`].
    pub(super) fn read_at(&self, file: &dyn File, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        if buffer.len() < SMALL_BYTES && self.fetches_left.load(Ordering::Relaxed) > 0 {
            if file.read_at_once(offset, buffer)? == Some(buffer.len()) {
                return Ok(buffer.len());
            }
            self.fetches_left.fetch_sub(1, Ordering::Relaxed);
            file.fetch(offset - offset % FETCHED_BYTES, FETCHED_BYTES);
        }
        file.read_at(offset, buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use parking_lot::Mutex;

    use super::*;

    /// A file on a disk, which has nothing in memory but what was fetched.
    #[derive(Default)]
    struct OnDisk {
        fetched: Mutex<Vec<u64>>,
    }

    impl File for OnDisk {
        fn append(&self, _: &[u8]) -> Result<()> {
            unreachable!("nothing is written here")
        }

        fn write_at(&self, _: u64, _: &[u8]) -> Result<()> {
            unreachable!("nothing is written here")
        }

        fn read_at(&self, _: u64, buffer: &mut [u8]) -> Result<usize> {
            Ok(buffer.len())
        }

        fn read_at_once(&self, offset: u64, buffer: &mut [u8]) -> Result<Option<usize>> {
            let is_there =
                |from: &u64| (*from..from + FETCHED_BYTES).contains(&(offset + buffer.len() as u64 - 1));
            Ok(self.fetched.lock().iter().any(is_there).then_some(buffer.len()))
        }

        fn fetch(&self, offset: u64, len: u64) {
            assert_eq!(len, FETCHED_BYTES);
            self.fetched.lock().push(offset);
        }

        fn len(&self) -> Result<u64> {
            Ok(u64::MAX)
        }

        fn sync(&self) -> Result<()> {
            Ok(())
        }

        fn path(&self) -> &Path {
            Path::new("f")
        }
    }

    fn read(surroundings: &Surroundings, file: &OnDisk, offset: u64, len: usize) {
        assert_eq!(surroundings.read_at(file, offset, &mut vec![0; len]).unwrap(), len);
    }

    #[test]
    fn a_small_read_that_finds_nothing_fetches_what_lies_around_it_once() {
        let (surroundings, file) = (Surroundings::default(), OnDisk::default());
        let offset = 3 * FETCHED_BYTES + 7;
        read(&surroundings, &file, offset, 100);
        read(&surroundings, &file, offset + 500, 100);
        read(&surroundings, &file, 5, 100);
        assert_eq!(*file.fetched.lock(), [3 * FETCHED_BYTES, 0]);
    }

    #[test]
    fn a_large_read_fetches_nothing_else() {
        let (surroundings, file) = (Surroundings::default(), OnDisk::default());
        read(&surroundings, &file, 0, SMALL_BYTES);
        assert!(file.fetched.lock().is_empty());
    }

    #[test]
    fn a_database_fetches_a_bounded_number_of_times() {
        let (surroundings, file) = (Surroundings::default(), OnDisk::default());
        let fetches_max = FETCHES_MAX as u64;
        for at in 0..fetches_max + 10 {
            read(&surroundings, &file, at * FETCHED_BYTES, 1);
        }
        assert_eq!(file.fetched.lock().len() as u64, fetches_max);
    }
}
