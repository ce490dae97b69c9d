//! What is done to a file of a database.

use flowdb::fs::SimFs;

use crate::common::Random;
use crate::made::Made;

/// One damage; files are named by their place among those of the database.
#[derive(Debug, Clone, Copy)]
pub enum Damage {
    /// A byte is another one.
    Byte {
        file: usize,
        at: usize,
        to: u8,
    },
    /// A run of bytes is this one.
    Run {
        file: usize,
        at: usize,
        len: usize,
        to: u8,
    },
    /// The file ends here.
    Cut {
        file: usize,
        len: usize,
    },
    /// A piece of a file, of this one or another, lies over what was there.
    Piece {
        file: usize,
        at: usize,
        from: usize,
        start: usize,
        len: usize,
    },
    /// A piece of the file is there twice, and what follows lies further behind.
    Twice {
        file: usize,
        at: usize,
        len: usize,
    },
    /// A piece of the file is gone, and what follows lies further in front.
    Without {
        file: usize,
        at: usize,
        len: usize,
    },
    /// Another file stands in this place.
    Whole {
        file: usize,
        from: usize,
    },
    Gone {
        file: usize,
    },
}

/// Of a draw among this many kinds the first ones are of single bytes.
const KINDS: u64 = 12;

impl Damage {
    /// Some damage that changes something.
    pub fn draw(random: &mut Random, made: &Made) -> Self {
        loop {
            let damage = Self::draw_any(random, made);
            if damage.bytes(made).as_deref() != Some(&made.files[damage.file()].1) {
                return damage;
            }
        }
    }

    fn draw_any(random: &mut Random, made: &Made) -> Self {
        let file = random.below(made.files.len() as u64) as usize;
        let from = random.below(made.files.len() as u64) as usize;
        let (bytes, others) = (&made.files[file].1, &made.files[from].1);
        // Behind the records of a log lie zeros that were written ahead: most of the damage is for what lies before.
        let end = if random.one_in(16) { bytes.len() } else { used(bytes) };
        let at = random.below(end.max(1) as u64) as usize;
        let most = if random.one_in(3) { 2_000 } else { 64 };
        let len = 1 + random.below(most) as usize;
        match random.below(KINDS) {
            0..3 => Self::Byte { file, at, to: bytes.get(at).map_or(0, |byte| byte ^ 1 << random.below(8)) },
            3 => Self::Byte { file, at, to: *random.pick(&[0, 0xff]) },
            4 | 5 => Self::Run { file, at, len, to: *random.pick(&[0, 0xff]) },
            6 => Self::Cut { file, len: at },
            7 | 8 => {
                let start = random.below(used(others).max(1) as u64) as usize;
                Self::Piece { file, at, from, start, len }
            }
            9 => Self::Twice { file, at, len },
            10 => Self::Without { file, at, len },
            _ if random.one_in(8) => Self::Gone { file },
            _ => Self::Whole { file, from },
        }
    }

    pub fn file(&self) -> usize {
        match *self {
            Self::Byte { file, .. }
            | Self::Run { file, .. }
            | Self::Cut { file, .. }
            | Self::Piece { file, .. }
            | Self::Twice { file, .. }
            | Self::Without { file, .. }
            | Self::Whole { file, .. }
            | Self::Gone { file } => file,
        }
    }

    /// Whether it is of one byte, and so of one block or record.
    pub fn is_small(&self) -> bool {
        matches!(self, Self::Byte { .. })
    }

    /// What the file holds then; `None` where it is gone.
    pub fn bytes(&self, made: &Made) -> Option<Vec<u8>> {
        let mut bytes = made.files[self.file()].1.clone();
        let end_of = |at: usize, len: usize| (at + len).min(made.files[self.file()].1.len());
        match *self {
            Self::Byte { at, to, .. } => bytes.get_mut(at..at + 1).unwrap_or_default().fill(to),
            Self::Run { at, len, to, .. } => bytes[at.min(end_of(at, len))..end_of(at, len)].fill(to),
            Self::Cut { len, .. } => bytes.truncate(len),
            Self::Piece { at, from, start, len, .. } => {
                let other = &made.files[from].1;
                let piece = &other[start.min(other.len())..(start + len).min(other.len())];
                let at = at.min(bytes.len());
                let fits = piece.len().min(bytes.len() - at);
                bytes[at..at + fits].copy_from_slice(&piece[..fits]);
            }
            Self::Twice { at, len, .. } => {
                let piece = bytes[at.min(end_of(at, len))..end_of(at, len)].to_vec();
                bytes.splice(at.min(end_of(at, len))..at.min(end_of(at, len)), piece);
            }
            Self::Without { at, len, .. } => {
                bytes.drain(at.min(end_of(at, len))..end_of(at, len));
            }
            // Few of the zeros that are written ahead of the records of a log: a repair would try each for a beginning.
            Self::Whole { from, .. } => {
                let other = &made.files[from].1;
                bytes = other[..other.len().min(used(other) + 64)].to_vec();
            }
            Self::Gone { .. } => return None,
        }
        Some(bytes)
    }

    /// A copy of the disk with the damage.
    pub fn disk(&self, made: &Made) -> SimFs {
        let (disk, path) = (made.disk.deep_copy(), &made.files[self.file()].0);
        match self.bytes(made) {
            Some(bytes) => disk.write_file(path, &bytes),
            None => flowdb::fs::FileSystem::remove(&disk, path).unwrap(),
        }
        disk
    }
}

/// Where the zeros at the end of a file begin.
pub fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}
