//! Writing a generated key into the text of a document.

use super::{Range, Scanner, segments};
use crate::error::{Code, Error, Result};

/// Beside its letters, the name of a member takes quotes, a colon and a brace before and behind it, or a comma.
const NAME_BYTES: usize = 5;

/// The digits of a u64.
const NUMBER_BYTES_MAX: usize = 20;

/// The document `json` with `number` at `path`: there in place of what it had, else at the end of its object, in
/// objects that are made where they are missing. All other text stays as it is. `json` has been found to be JSON.
///
/// # Errors
///
/// `InvalidValue` when what the path goes through is there but no object;
/// `InvalidArgument` for a path that names no member.
pub(crate) fn set_top_level_path(json: &[u8], path: &str, number: u64) -> Result<Vec<u8>> {
    let mut scanner = Scanner::new(json)?;
    let segments = segments(path)?;
    let (last, through) = segments.split_last().ok_or_else(|| {
        Error::new(
            Code::InvalidArgument,
            "a generated key needs a key path that names a member of the document",
        )
    })?;
    for (index, segment) in through.iter().enumerate() {
        let place = find_member(&mut scanner, segment, path)?;
        match place.value {
            Some(value) => scanner.rewind(value.start),
            None => return Ok(place.with_new_member(json, &segments[index..], number)),
        }
    }
    let place = find_member(&mut scanner, last, path)?;
    Ok(match place.value {
        Some(value) => splice(json, value, &number.to_string()),
        None => place.with_new_member(json, &[last], number),
    })
}

/// Where an object has a member, or would get it.
struct Place {
    /// The value of the last member of that name.
    value: Option<Range<usize>>,
    /// Behind the last member of any name, or the opening brace.
    end: usize,
    is_empty: bool,
}

/// Looks through the object at the position of `scanner` for the member that `segment` of `path` names.
fn find_member(scanner: &mut Scanner<'_>, segment: &str, path: &str) -> Result<Place> {
    if scanner.peek_token() != b'{' {
        let what = format!(
            "no key can be set at {path:?}: what should have the member {segment:?} is not an object"
        );
        return Err(Error::new(Code::InvalidValue, what));
    }
    scanner.open(0)?;
    let mut place = Place { value: None, end: scanner.at(), is_empty: true };
    let mut has_more = !scanner.pass(b'}');
    while has_more {
        let key = scanner.pass_key()?;
        scanner.peek_token();
        let start = scanner.at();
        scanner.pass_value(0)?;
        place.end = scanner.at();
        place.is_empty = false;
        if key.is(segment) {
            place.value = Some(start..place.end);
        }
        has_more = scanner.pass_comma_or(b'}')?;
    }
    Ok(place)
}

impl Place {
    /// `json` with a member here that leads through `segments` to `number`.
    fn with_new_member(&self, json: &[u8], segments: &[&str], number: u64) -> Vec<u8> {
        let (before, after) = json.split_at(self.end);
        let names: usize = segments.iter().map(|segment| segment.len() + NAME_BYTES).sum();
        let mut text = Vec::with_capacity(json.len() + names + NUMBER_BYTES_MAX);
        text.extend_from_slice(before);
        let mut separator = if self.is_empty { "" } else { "," };
        for segment in segments {
            text.extend_from_slice(separator.as_bytes());
            // Writing to memory can't fail, and neither can a string as JSON.
            let _ = serde_json::to_writer(&mut text, segment);
            text.push(b':');
            separator = "{";
        }
        let _ = serde_json::to_writer(&mut text, &number);
        text.extend(segments.iter().skip(1).map(|_| b'}'));
        text.extend_from_slice(after);
        text
    }
}

/// `json` with `text` in place of `range`.
fn splice(json: &[u8], range: Range<usize>, text: &str) -> Vec<u8> {
    let (before, after) = (&json[..range.start], &json[range.end..]);
    [before, text.as_bytes(), after].concat()
}
