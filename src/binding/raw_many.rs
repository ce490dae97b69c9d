//! Reads of many documents in one call of a reader (`raw`): their keys stand one behind the other, and so do the answers.
//!
//! Each key in the buffer has its length before it, as a u16. The output begins with a u32 for each key: what the answer is
//! in the lowest byte, and its length above that. Behind them stand the bytes of the answers, in the order of the keys.
#![forbid(unsafe_code)]

use crate::engine::TryGet;
use crate::error::Result;
use crate::jsondb::{DocumentRef, Format, StoreReader};

/// What an answer is: there is no document, or it is one in a [`Format`], or …
const MISSING: u8 = 0;
/// … JSON in ASCII, or …
const ASCII: u8 = 8;
/// … the string that a document of JSON in ASCII stands for, or …
const TEXT: u8 = 9;
/// … can't be told in the call.
const UNKNOWN: u8 = 255;

const U16_BYTES: usize = 2;
const U32_BYTES: usize = 4;

/// What many keys can be read of at once, all as of one moment.
pub(super) trait ReadMany {
    /// Gives what there is under each of `keys`, with its place, to `read`.
    fn try_get_many_with<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]> + Clone,
        read: impl FnMut(usize, TryGet<DocumentRef<'_>>),
    ) -> Result<()>;
}

impl ReadMany for StoreReader {
    fn try_get_many_with<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]> + Clone,
        read: impl FnMut(usize, TryGet<DocumentRef<'_>>),
    ) -> Result<()> {
        StoreReader::try_get_many_with(self, keys, read)
    }
}

/// What a JSON string stands for, where it stands for itself.
pub(super) fn plain_text(json: &[u8]) -> Option<&[u8]> {
    match json {
        [b'"', plain @ .., b'"'] if !plain.contains(&b'\\') => Some(plain),
        _ => None,
    }
}

/// Reads the documents of as many keys as `count` says into `out`, or, where nobody `wants_documents`, only whether there
/// are any. `None` where nothing can be told in the call.
pub(super) fn read(
    documents: &mut impl ReadMany,
    keys: &[u8],
    count: usize,
    out: &mut [u8],
    wants_documents: bool,
) -> Option<()> {
    if keys_of(keys).take(count).count() < count {
        return None;
    }
    let (heads, bytes) = out.split_at_mut_checked(count.checked_mul(U32_BYTES)?)?;
    let heads = heads.as_chunks_mut::<U32_BYTES>().0;
    let mut end = 0;
    let given = documents.try_get_many_with(keys_of(keys).take(count), |place, found| {
        let (what, len) = match found {
            TryGet::Missing => (MISSING, 0),
            TryGet::NeedsIo => (UNKNOWN, 0),
            TryGet::Found(document) if wants_documents => match put(document, &mut bytes[end..]) {
                Some(put) => put,
                None => (UNKNOWN, 0),
            },
            TryGet::Found(document) => (document.format as u8, 0),
        };
        end += len;
        heads[place] = (u32::from(what) | (len as u32) << 8).to_le_bytes();
    });
    given.ok()
}

/// Puts the answer that is `document` to the beginning of `out`, if it has room: what it is, and its length.
fn put(document: DocumentRef<'_>, out: &mut [u8]) -> Option<(u8, usize)> {
    let bytes = document.bytes;
    let (what, bytes) = if document.format == Format::Json && bytes.is_ascii() {
        plain_text(bytes).map_or((ASCII, bytes), |text| (TEXT, text))
    } else {
        (document.format as u8, bytes)
    };
    out.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some((what, bytes.len()))
}

/// The keys in a buffer.
fn keys_of(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    std::iter::from_fn(move || {
        let (len, behind) = rest.split_first_chunk::<U16_BYTES>()?;
        let (key, behind) = behind.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
        rest = behind;
        Some(key)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::jsondb::{Document, JsonDb, Key, StoreOptions};

    fn database(documents: &[(i64, Format, &[u8])]) -> JsonDb {
        let db = JsonDb::open(Config::in_memory()).unwrap();
        db.create_object_store("s", StoreOptions { key_path: None, auto_increment: false }).unwrap();
        for &(key, format, bytes) in documents {
            let document = Document { format, bytes: bytes.to_vec() };
            db.update(&["s"], None, |tx| tx.put("s", Some(key.into()), document.clone())).unwrap();
        }
        db
    }

    fn packed(keys: std::ops::Range<i64>) -> Vec<u8> {
        let mut packed = Vec::new();
        for key in keys {
            let key = Key::from(key);
            packed.extend_from_slice(&(key.as_bytes().len() as u16).to_le_bytes());
            packed.extend_from_slice(key.as_bytes());
        }
        packed
    }

    fn answers(out: &[u8], count: usize) -> Vec<(u8, &[u8])> {
        let mut at = count * U32_BYTES;
        let heads = out.as_chunks::<U32_BYTES>().0.iter().take(count);
        heads
            .map(|head| {
                let head = u32::from_le_bytes(*head);
                let len = (head >> 8) as usize;
                at += len;
                (head as u8, &out[at - len..at])
            })
            .collect()
    }

    #[test]
    fn answers_say_what_they_are_and_stand_in_the_order_of_the_keys() {
        let json = Format::Json;
        let db = database(&[
            (0, json, br#"{"a":1}"#),
            (1, json, br#""plain""#),
            (3, json, br#""escaped\\""#),
            (4, json, "\"é\"".as_bytes()),
            (5, Format::Raw, b"bytes"),
        ]);
        let mut out = [0xaa; 200];

        assert!(read(&mut db.reader("s"), &packed(0..6), 6, &mut out, true).is_some());

        let expected: [(u8, &[u8]); 6] = [
            (ASCII, br#"{"a":1}"#),
            (TEXT, b"plain"),
            (MISSING, b""),
            (ASCII, br#""escaped\\""#),
            (json as u8, "\"é\"".as_bytes()),
            (Format::Raw as u8, b"bytes"),
        ];
        assert_eq!(answers(&out, 6), expected);
        assert!(read(&mut db.reader("s"), &packed(0..6), 6, &mut out, false).is_some());
        let is_there: Vec<_> = answers(&out, 6).iter().map(|answer| answer.0 != MISSING).collect();
        assert_eq!(is_there, [true, true, false, true, true, true]);
    }

    #[test]
    fn an_answer_without_room_is_unknown_and_those_behind_it_are_told() {
        let db = database(&[(0, Format::Json, b"[1,2,3,4,5,6,7,8,9]"), (1, Format::Json, b"1")]);
        let mut out = [0; 2 * U32_BYTES + 5];
        assert!(read(&mut db.reader("s"), &packed(0..2), 2, &mut out, true).is_some());
        assert_eq!(answers(&out, 2), [(UNKNOWN, &b""[..]), (ASCII, b"1")]);
        assert!(
            read(&mut db.reader("s"), &packed(0..2), 2, &mut out[..7], true).is_none(),
            "no room for the heads"
        );
    }

    #[test]
    fn keys_that_are_cut_are_no_keys() {
        let db = database(&[]);
        let keys = packed(0..3);
        for len in 0..keys.len() {
            assert!(read(&mut db.reader("s"), &keys[..len], 3, &mut [0; 100], true).is_none());
        }
        assert!(read(&mut db.reader("s"), &keys, usize::MAX, &mut [0; 100], true).is_none());
        assert!(
            read(&mut db.reader("none"), &keys, 3, &mut [0; 100], true).is_none(),
            "there is no such store"
        );
    }
}
