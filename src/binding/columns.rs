//! Columns: what many rows have of one thing, side by side, so that JavaScript can make all of it in one go.
//!
//! A column begins with a byte that says how it is written: [`EACH`] value by itself, or all of them as one array in JSON,
//! whose text is any ([`AS_JSON`]) or of ASCII ([`AS_ASCII`]), which is read faster. To parse one text for a page costs a
//! fraction of what a text for each row does.
#![forbid(unsafe_code)]

use crate::jsondb::{Document, Format, Key};

use super::packing::put_bytes;

const EACH: u8 = 0;
const AS_JSON: u8 = 1;
const AS_ASCII: u8 = 2;

/// Writes a column of keys.
pub(super) fn put_keys<'a>(out: &mut Vec<u8>, keys: impl Iterator<Item = &'a Key> + Clone) {
    let start = out.len();
    if put_array(out, AS_ASCII, keys.clone().map(plain_text), |out, text| {
        out.push(b'"');
        out.extend_from_slice(text);
        out.push(b'"');
    }) {
        return;
    }
    out.truncate(start);
    out.push(EACH);
    keys.for_each(|key| put_bytes(out, key.as_bytes()));
}

/// Writes a column of documents, some of which may be missing.
pub(super) fn put_documents<'a>(
    out: &mut Vec<u8>,
    documents: impl Iterator<Item = Option<&'a Document>> + Clone,
) {
    let start = out.len();
    let texts = documents.clone().map(|document| {
        document.filter(|document| document.format == Format::Json).map(|document| &document.bytes[..])
    });
    if put_array(out, AS_ASCII, texts, |out, text| out.extend_from_slice(text)) {
        if !out[start..].is_ascii() {
            out[start] = AS_JSON;
        }
        return;
    }
    out.truncate(start);
    out.push(EACH);
    documents.for_each(|document| put_document(out, document));
}

/// Writes a document by itself; format 0 says that there is none.
pub(super) fn put_document(out: &mut Vec<u8>, document: Option<&Document>) {
    match document {
        None => out.push(0),
        Some(document) => {
            out.push(document.format as u8);
            put_bytes(out, &document.bytes);
        }
    }
}

/// Writes the texts as one array. False where there are none, or one is `None`: what has been written then means nothing.
fn put_array<'a>(
    out: &mut Vec<u8>,
    how: u8,
    texts: impl Iterator<Item = Option<&'a [u8]>>,
    put: impl Fn(&mut Vec<u8>, &'a [u8]),
) -> bool {
    out.push(how);
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut separator = b'[';
    for text in texts {
        let Some(text) = text else { return false };
        out.push(separator);
        put(out, text);
        separator = b',';
    }
    if separator == b'[' {
        return false;
    }
    out.push(b']');
    // A page is little longer than the longest value, and an answer of many is refused above 1 GiB.
    let Ok(len) = u32::try_from(out.len() - at - 4) else { return false };
    out[at..at + 4].copy_from_slice(&len.to_le_bytes());
    true
}

/// The letters of a key that is a string in ASCII, none of which JSON writes otherwise.
fn plain_text(key: &Key) -> Option<&[u8]> {
    let text = key.plain_ascii()?;
    let stands_for_itself = |byte: &u8| *byte >= b' ' && *byte != b'"' && *byte != b'\\' && *byte < 0x7f;
    text.iter().all(stands_for_itself).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Document {
        Document { format: Format::Json, bytes: text.into() }
    }

    fn keys(keys: &[Key]) -> Vec<u8> {
        let mut out = Vec::new();
        put_keys(&mut out, keys.iter());
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
            let column = keys(&[plain[0].clone(), other.clone()]);
            assert_eq!(column[0], EACH, "{other}");
            let mut each = vec![EACH];
            put_bytes(&mut each, plain[0].as_bytes());
            put_bytes(&mut each, other.as_bytes());
            assert_eq!(column, each);
        }
        assert_eq!(keys(&[]), [EACH]);
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
        assert_eq!(column(&[Some(json("1")), None])[0], EACH);
        let raw = Document { format: Format::Raw, bytes: b"1".to_vec() };
        assert_eq!(column(&[Some(json("1")), Some(raw)])[0], EACH);
        assert_eq!(column(&[]), [EACH]);
    }
}
