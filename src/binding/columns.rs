//! Columns: what many rows have of one thing, side by side, so that JavaScript can make all of it in one go.
//!
//! A column begins with a byte that says how it is written: [`EACH`] value by itself, or all of them as one array in JSON,
//! whose text is any ([`AS_JSON`]) or of ASCII ([`AS_ASCII`]), which is read faster, or keys that are all [`NUMBERS`]. To
//! parse one text for a page costs a fraction of what a text for each row does.
//!
//! A column is written at the end of what it is given, row by row, and begins anew by [`EACH`] when a row comes that does
//! not fit in.
#![forbid(unsafe_code)]

use crate::jsondb::{Document, Format, Key, number_of, plain_ascii_of};

use super::packing::put_bytes;

const EACH: u8 = 0;
const AS_JSON: u8 = 1;
const AS_ASCII: u8 = 2;
const NUMBERS: u8 = 3;

/// The byte that says how, and the length of an array.
const ARRAY_HEAD_BYTES: usize = 5;
const NUMBER_BYTES: usize = 8;

/// Writes a column of keys.
pub(super) fn put_keys<'a>(out: &mut Vec<u8>, keys: impl Iterator<Item = &'a Key>) {
    let mut column = KeyColumn::begin(std::mem::take(out));
    keys.for_each(|key| column.add(key.as_bytes()));
    *out = column.end();
}

/// Writes a column of documents, some of which may be missing.
pub(super) fn put_documents<'a>(out: &mut Vec<u8>, documents: impl Iterator<Item = Option<&'a Document>>) {
    let mut column = DocumentColumn::begin(std::mem::take(out));
    documents
        .for_each(|document| column.add(document.map(|document| (document.format, &document.bytes[..]))));
    *out = column.end();
}

/// Writes a document by itself; format 0 says that there is none.
pub(super) fn put_document(out: &mut Vec<u8>, document: Option<&Document>) {
    put_lent(out, document.map(|document| (document.format, &document.bytes[..])));
}

fn put_lent(out: &mut Vec<u8>, document: Option<(Format, &[u8])>) {
    match document {
        None => out.push(0),
        Some((format, bytes)) => {
            out.push(format as u8);
            put_bytes(out, bytes);
        }
    }
}

/// How a column is written so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// There are no rows yet.
    Open,
    Array,
    Numbers,
    Each,
}

/// A column of keys that is being written.
pub(super) struct KeyColumn {
    out: Vec<u8>,
    start: usize,
    how: How,
}

impl KeyColumn {
    /// A column without rows behind `out`.
    pub(super) fn begin(out: Vec<u8>) -> Self {
        let start = out.len();
        Self { out, start, how: How::Open }
    }

    /// Adds an encoded key.
    #[inline]
    pub(super) fn add(&mut self, key: &[u8]) {
        if self.how == How::Open {
            self.open(key);
        }
        if !self.fits(key) {
            self.spread();
            put_bytes(&mut self.out, key);
        }
    }

    /// Begins as the first key asks for.
    fn open(&mut self, key: &[u8]) {
        if plain_text(key).is_some() {
            begin_array(&mut self.out);
            self.how = How::Array;
        } else if number_of(key).is_some() {
            self.out.push(NUMBERS);
            self.how = How::Numbers;
        } else {
            self.out.push(EACH);
            self.how = How::Each;
        }
    }

    /// Adds a key if it is one as those before it.
    fn fits(&mut self, key: &[u8]) -> bool {
        match self.how {
            How::Array => plain_text(key).is_some_and(|text| {
                self.out.push(if self.out.len() == self.start + ARRAY_HEAD_BYTES { b'[' } else { b',' });
                self.out.push(b'"');
                self.out.extend_from_slice(text);
                self.out.push(b'"');
                true
            }),
            How::Numbers => number_of(key).is_some_and(|number| {
                self.out.extend_from_slice(&number.to_le_bytes());
                true
            }),
            How::Open | How::Each => false,
        }
    }

    /// Writes each key that is there by itself.
    fn spread(&mut self) {
        let how = std::mem::replace(&mut self.how, How::Each);
        if how == How::Each {
            return;
        }
        let written = self.out.split_off(self.start);
        self.out.push(EACH);
        let was_a_key = "it was taken from a key";
        if how == How::Numbers {
            for number in written[1..].chunks_exact(NUMBER_BYTES) {
                let number =
                    f64::from_le_bytes(number.try_into().expect("a chunk has the length of a number"));
                put_bytes(&mut self.out, Key::from_f64(number).expect(was_a_key).as_bytes());
            }
        } else if let Ok(texts) = serde_json::from_slice::<Vec<&str>>(&closed(&written[ARRAY_HEAD_BYTES..])) {
            for text in texts {
                put_bytes(&mut self.out, Key::from_str(text).expect(was_a_key).as_bytes());
            }
        }
    }

    /// What it was written to.
    pub(super) fn end(mut self) -> Vec<u8> {
        match self.how {
            How::Open => self.out.push(EACH),
            How::Array if !end_array(&mut self.out, self.start) => self.spread(),
            How::Array => self.out[self.start] = AS_ASCII,
            How::Numbers | How::Each => {}
        }
        self.out
    }
}

/// A column of documents that is being written.
pub(super) struct DocumentColumn {
    out: Vec<u8>,
    start: usize,
    how: How,
    /// Where each text of the array ends.
    ends: Vec<usize>,
}

impl DocumentColumn {
    /// A column without rows behind `out`.
    pub(super) fn begin(mut out: Vec<u8>) -> Self {
        let start = out.len();
        begin_array(&mut out);
        Self { out, start, how: How::Array, ends: Vec::new() }
    }

    /// Adds a document, or says that there is none.
    #[inline]
    pub(super) fn add(&mut self, document: Option<(Format, &[u8])>) {
        match document {
            Some((Format::Json, text)) if self.how == How::Array => {
                self.out.push(if self.ends.is_empty() { b'[' } else { b',' });
                self.out.extend_from_slice(text);
                self.ends.push(self.out.len());
            }
            _ => {
                self.spread();
                put_lent(&mut self.out, document);
            }
        }
    }

    /// Writes each document that is there by itself.
    fn spread(&mut self) {
        if std::mem::replace(&mut self.how, How::Each) == How::Each {
            return;
        }
        let array = self.out.split_off(self.start + ARRAY_HEAD_BYTES);
        self.out.truncate(self.start);
        self.out.push(EACH);
        let mut from = 1;
        for end in std::mem::take(&mut self.ends) {
            let end = end - self.start - ARRAY_HEAD_BYTES;
            put_lent(&mut self.out, Some((Format::Json, &array[from..end])));
            from = end + 1;
        }
    }

    /// What it was written to.
    pub(super) fn end(mut self) -> Vec<u8> {
        if self.how == How::Array {
            if self.ends.is_empty() || !end_array(&mut self.out, self.start) {
                self.spread();
            } else {
                let is_ascii = self.out[self.start + ARRAY_HEAD_BYTES..].is_ascii();
                self.out[self.start] = if is_ascii { AS_ASCII } else { AS_JSON };
            }
        }
        self.out
    }
}

fn begin_array(out: &mut Vec<u8>) {
    out.extend_from_slice(&[AS_ASCII; ARRAY_HEAD_BYTES]);
}

/// Closes an array of at least one text and writes down its length. False where that is too much to be written: a page is
/// little longer than the longest value, and an answer of many is refused above 1 GiB.
fn end_array(out: &mut Vec<u8>, start: usize) -> bool {
    let Ok(len) = u32::try_from(out.len() - start - ARRAY_HEAD_BYTES + 1) else { return false };
    out.push(b']');
    out[start + 1..start + ARRAY_HEAD_BYTES].copy_from_slice(&len.to_le_bytes());
    true
}

fn closed(array: &[u8]) -> Vec<u8> {
    [array, b"]"].concat()
}

/// The letters of a key that is a string in ASCII, none of which JSON writes otherwise.
#[inline]
fn plain_text(key: &[u8]) -> Option<&[u8]> {
    let text = plain_ascii_of(key)?;
    let stands_for_itself = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\' && byte < 0x7f;
    text.iter().fold(true, |all, byte| all & stands_for_itself(*byte)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsondb::KeyValue;

    fn json(text: &str) -> Document {
        Document { format: Format::Json, bytes: text.into() }
    }

    fn keys(keys: &[Key]) -> Vec<u8> {
        let mut out = Vec::new();
        put_keys(&mut out, keys.iter());
        out
    }

    fn each(keys: &[Key]) -> Vec<u8> {
        let mut out = vec![EACH];
        keys.iter().for_each(|key| put_bytes(&mut out, key.as_bytes()));
        out
    }

    fn text(how: u8, text: &str) -> Vec<u8> {
        let mut out = vec![how];
        put_bytes(&mut out, text.as_bytes());
        out
    }

    #[test]
    fn plain_keys_are_one_array_and_others_stand_each_by_itself() {
        let plain = [Key::from_str("a").unwrap(), Key::from_str("b c").unwrap()];
        assert_eq!(keys(&plain), text(AS_ASCII, r#"["a","b c"]"#));
        for other in [Key::from_str("ü").unwrap(), Key::from_str("\"").unwrap(), 7.into()] {
            let all = [plain[0].clone(), plain[1].clone(), other.clone(), plain[0].clone()];
            assert_eq!(keys(&all), each(&all), "{other}");
            let all = [other.clone(), plain[0].clone()];
            assert_eq!(keys(&all), each(&all), "{other} first");
        }
        assert_eq!(keys(&[]), [EACH]);
    }

    #[test]
    fn numbers_stand_side_by_side_unless_a_key_is_none() {
        let numbers = [0.5, -7.0, f64::INFINITY].map(|number| Key::from_f64(number).unwrap());
        let mut column = vec![NUMBERS];
        [0.5_f64, -7.0, f64::INFINITY].iter().for_each(|number| column.extend(number.to_le_bytes()));
        assert_eq!(keys(&numbers), column);
        let bigint = Key::from_i64(i64::MAX);
        for other in [bigint, Key::from_str("a").unwrap(), Key::encode(&KeyValue::Date(5.0)).unwrap()] {
            let all = [numbers[0].clone(), numbers[1].clone(), other.clone(), numbers[2].clone()];
            assert_eq!(keys(&all), each(&all), "{other}");
        }
    }

    #[test]
    fn documents_in_json_are_one_array_unless_one_is_missing_or_something_else() {
        let column = |documents: &[Option<Document>]| {
            let mut out = Vec::new();
            put_documents(&mut out, documents.iter().map(Option::as_ref));
            out
        };
        assert_eq!(column(&[Some(json("1")), Some(json("{}"))]), text(AS_ASCII, "[1,{}]"));
        assert_eq!(column(&[Some(json("\"ü\""))]), text(AS_JSON, "[\"ü\"]"));
        let raw = Document { format: Format::Raw, bytes: b"1".to_vec() };
        for other in [None, Some(raw)] {
            let all = [Some(json("1")), Some(json("[2,3]")), other, Some(json("4"))];
            let mut each = vec![EACH];
            all.iter().for_each(|document| put_document(&mut each, document.as_ref()));
            assert_eq!(column(&all), each);
        }
        assert_eq!(column(&[]), [EACH]);
    }
}
