//! The footer: the last bytes of a table, of a fixed size, from which everything else is found.
//!
//! Its size, and the places of the version, the checksum and the magic in it, stay the same in every version, so that
//! an older FlowDB can tell a newer table from a damaged one.
#![forbid(unsafe_code)]

use std::path::Path;

use super::filter::{LINE_BYTES, PAGE_LINES, PROBES_MAX};
use super::frame::TRAILER_BYTES;
use super::{Damage, Decoded, Handle};
use crate::coding::{take_u32, take_u64};
use crate::error::{Code, Error, Result};

/// The size of every footer.
pub(crate) const FOOTER_BYTES: usize = 76;

/// The version of the format that is written.
pub(crate) const FORMAT_VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"FLOWtbl\0";
const CHECKSUM_AT: usize = FOOTER_BYTES - MAGIC.len() - 4;

/// Where the parts of a table lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Footer {
    pub(crate) top_index: Handle,
    /// Empty when there are no range tombstones.
    pub(crate) range_tombstones: Handle,
    pub(crate) properties: Handle,
    pub(crate) filter: FilterPlace,
    pub(crate) number: u64,
}

/// Where the pages of the filter lie and how to probe them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FilterPlace {
    /// The offset of the first page. The others follow without a gap.
    pub(crate) offset: u64,
    /// The lines of all pages together; 0 when the table has no filter.
    pub(crate) lines: u32,
    pub(crate) probes: u32,
}

impl FilterPlace {
    /// Where the page `page` lies, and how many lines it has. A filter page is never compressed.
    pub(crate) fn page(&self, page: usize) -> (Handle, usize) {
        let lines = (self.lines as usize).saturating_sub(page * PAGE_LINES).min(PAGE_LINES);
        let offset = self.offset.saturating_add((page * (PAGE_LINES * LINE_BYTES + TRAILER_BYTES)) as u64);
        (Handle { offset, len: (lines * LINE_BYTES + TRAILER_BYTES) as u32 }, lines)
    }

    /// How many pages there are.
    pub(crate) fn pages(&self) -> usize {
        (self.lines as usize).div_ceil(PAGE_LINES)
    }

    /// The offset behind the last page.
    pub(crate) fn end(&self) -> u64 {
        self.pages().checked_sub(1).map_or(self.offset, |last| self.page(last).0.end())
    }
}

impl Footer {
    /// The bytes of the footer when it begins at `offset` of its file.
    pub(crate) fn encode(&self, offset: u64) -> [u8; FOOTER_BYTES] {
        let mut bytes = Vec::with_capacity(FOOTER_BYTES);
        for handle in [self.top_index, self.range_tombstones, self.properties] {
            bytes.extend_from_slice(&handle.offset.to_le_bytes());
            bytes.extend_from_slice(&handle.len.to_le_bytes());
        }
        bytes.extend_from_slice(&self.filter.offset.to_le_bytes());
        bytes.extend_from_slice(&self.filter.lines.to_le_bytes());
        bytes.extend_from_slice(&self.filter.probes.to_le_bytes());
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        let checksum = checksum(self.number, offset, &bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes.extend_from_slice(&MAGIC);
        let mut footer = [0; FOOTER_BYTES];
        footer.copy_from_slice(&bytes);
        footer
    }

    /// Verifies the footer of table `number`, read at `offset` of the file at `path`.
    pub(crate) fn decode(bytes: &[u8], number: u64, offset: u64, path: &Path) -> Result<Self> {
        let damaged = |damage: Damage| damage.at(path, "the footer", offset);
        let parsed = Self::parse(bytes, number, offset).map_err(damaged)?;
        let (footer, version) = parsed;
        if version != FORMAT_VERSION {
            let message = format!(
                "{}: the table has format version {version}, this FlowDB reads {FORMAT_VERSION}: use a newer one",
                path.display()
            );
            return Err(Error::new(Code::Version, message));
        }
        footer.check(offset).map_err(damaged)?;
        Ok(footer)
    }

    fn parse(bytes: &[u8], number: u64, offset: u64) -> Decoded<(Self, u32)> {
        const SHORT: Damage = Damage("too short");
        let (body, mut tail) = bytes.split_at_checked(CHECKSUM_AT).ok_or(SHORT)?;
        let stored = take_u32(&mut tail).ok_or(SHORT)?;
        if tail != MAGIC {
            return Err(Damage("this is not a table, or its end is missing"));
        }
        if stored != checksum(number, offset, body) {
            return Err(Damage("the checksum doesn't match"));
        }
        Self::take(&mut &body[..]).filter(|(footer, _)| footer.number == number).ok_or(SHORT)
    }

    /// What the footer says whose checksum may be wrong.
    #[cfg(any(test, fuzzing))]
    pub(super) fn unchecked(mut bytes: &[u8]) -> Option<Self> {
        Self::take(&mut bytes).map(|(footer, _)| footer)
    }

    fn take(input: &mut &[u8]) -> Option<(Self, u32)> {
        let mut handle = || Some(Handle { offset: take_u64(input)?, len: take_u32(input)? });
        let (top_index, range_tombstones, properties) = (handle()?, handle()?, handle()?);
        let filter =
            FilterPlace { offset: take_u64(input)?, lines: take_u32(input)?, probes: take_u32(input)? };
        let version = take_u32(input)?;
        let number = take_u64(input)?;
        Some((Self { top_index, range_tombstones, properties, filter, number }, version))
    }

    /// The parts stand one behind the other, up to the footer at `offset`.
    fn check(&self, offset: u64) -> Decoded<()> {
        let in_order = self.filter.end() == self.range_tombstones.offset
            && self.range_tombstones.end() == self.top_index.offset
            && self.top_index.end() == self.properties.offset
            && self.properties.end() == offset;
        if !in_order || self.filter.probes > PROBES_MAX {
            return Err(Damage("the places of the parts contradict each other"));
        }
        Ok(())
    }
}

fn checksum(number: u64, offset: u64, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(body);
    hasher.update(&MAGIC);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footer() -> Footer {
        Footer {
            filter: FilterPlace { offset: 1000, lines: 1, probes: 6 },
            range_tombstones: Handle { offset: 1069, len: 31 },
            top_index: Handle { offset: 1100, len: 50 },
            properties: Handle { offset: 1150, len: 50 },
            number: 12,
        }
    }

    #[test]
    fn a_footer_comes_back_as_it_went_in() {
        let bytes = footer().encode(1200);

        assert_eq!(Footer::decode(&bytes, 12, 1200, Path::new("t")).unwrap(), footer());
    }

    #[test]
    fn any_flipped_or_missing_byte_is_corruption() {
        let bytes = footer().encode(1200);
        for at in 0..bytes.len() {
            for mask in [1, 0x80, 0xff] {
                let mut flipped = bytes;
                flipped[at] ^= mask;
                let error = Footer::decode(&flipped, 12, 1200, Path::new("t")).unwrap_err();
                assert_eq!(error.code(), Code::Corruption, "byte {at}");
            }
            assert!(Footer::decode(&bytes[..at], 12, 1200, Path::new("t")).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn the_footer_of_another_table_or_place_is_corruption() {
        let bytes = footer().encode(1200);

        assert_eq!(Footer::decode(&bytes, 13, 1200, Path::new("t")).unwrap_err().code(), Code::Corruption);
        assert_eq!(Footer::decode(&bytes, 12, 1201, Path::new("t")).unwrap_err().code(), Code::Corruption);
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut bytes = footer().encode(1200);
        bytes[52..56].copy_from_slice(&2u32.to_le_bytes());
        let checksum = checksum(12, 1200, &bytes[..CHECKSUM_AT]);
        bytes[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum.to_le_bytes());

        assert_eq!(Footer::decode(&bytes, 12, 1200, Path::new("t")).unwrap_err().code(), Code::Version);
    }
}
