//! Merging a change into the text of a document (RFC 7396).
//!
//! Both are walked as text: what the change does not name stays byte for byte, so that no number loses digits, no half
//! of a surrogate pair is refused and no member moves. Each byte is passed a bounded number of times, however deep it
//! lies.

use std::collections::HashMap;

use super::scanner::Scanner;
use crate::error::Result;

/// `json` with the merge patch `change` applied: members of the change replace those of the same name, objects are merged,
/// `null` removes, and a change that is no object takes the place of the whole.
///
/// # Errors
///
/// `InvalidValue` when one of the two is not JSON in UTF-8, or nested deeper than a document may be.
pub(crate) fn merge_patch(json: &[u8], change: &[u8]) -> Result<Vec<u8>> {
    let mut target = Scanner::new(json)?;
    target.pass_value(0)?;
    target.pass_end()?;
    target.rewind(0);
    let mut scanner = Scanner::new(change)?;
    let change = read_change(&mut scanner, 0)?;
    scanner.pass_end()?;
    let mut out = Vec::with_capacity(json.len());
    match change {
        Change::Remove => out.extend_from_slice(b"null"),
        Change::Value(text) => out.extend_from_slice(text.as_bytes()),
        Change::Members(members) if target.peek_token() == b'{' => {
            merge_object(&mut target, &members, 0, &mut out)?;
        }
        Change::Members(members) => members.write_new(&mut out),
    }
    Ok(out)
}

/// What a change does with a member.
enum Change<'a> {
    Remove,
    Value(&'a str),
    Members(Members<'a>),
}

/// The members of an object in a change.
struct Members<'a> {
    /// Each name as it is written, without its quotes.
    list: Vec<(&'a str, Change<'a>)>,
    /// The place in `list` of each name, the last one where a name is there twice, as in JavaScript.
    by_name: HashMap<Vec<u16>, usize>,
}

fn read_change<'a>(scanner: &mut Scanner<'a>, depth: usize) -> Result<Change<'a>> {
    match scanner.peek_token() {
        b'{' => {}
        b'n' => {
            scanner.pass_literal()?;
            return Ok(Change::Remove);
        }
        _ => return Ok(Change::Value(passed_value(scanner, depth)?)),
    }
    scanner.open(depth)?;
    let mut members = Members { list: Vec::new(), by_name: HashMap::new() };
    let mut has_more = !scanner.pass(b'}');
    while has_more {
        let name = scanner.pass_key()?;
        let change = read_change(scanner, depth + 1)?;
        members.by_name.insert(name.units().collect(), members.list.len());
        members.list.push((name.raw(), change));
        has_more = scanner.pass_comma_or(b'}')?;
    }
    Ok(Change::Members(members))
}

/// Passes a value and gives its text.
fn passed_value<'a>(scanner: &mut Scanner<'a>, depth: usize) -> Result<&'a str> {
    scanner.peek_token();
    let start = scanner.at();
    scanner.pass_value(depth)?;
    Ok(scanner.slice(start..scanner.at()))
}

/// Writes the object at the position of `target`, which lies within `depth` others, with `members` merged into it. Where
/// it has a name twice, each of the two is changed: the last counts, then as before.
fn merge_object(
    target: &mut Scanner<'_>,
    members: &Members<'_>,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    target.open(depth)?;
    let mut is_met = vec![false; members.list.len()];
    let start = out.len();
    let mut has_more = !target.pass(b'}');
    while has_more {
        let name = target.pass_key()?;
        let units: Vec<u16> = name.units().collect();
        let place = members.by_name.get(&units).copied();
        match place.map(|place| &members.list[place].1) {
            None => {
                let value = passed_value(target, depth + 1)?;
                put_name(out, start, name.raw());
                out.extend_from_slice(value.as_bytes());
            }
            Some(Change::Remove) => target.pass_value(depth + 1)?,
            Some(Change::Members(inner)) if target.peek_token() == b'{' => {
                put_name(out, start, name.raw());
                merge_object(target, inner, depth + 1, out)?;
            }
            Some(change) => {
                target.pass_value(depth + 1)?;
                put_name(out, start, name.raw());
                change.write(out);
            }
        }
        if let Some(place) = place {
            is_met[place] = true;
        }
        has_more = target.pass_comma_or(b'}')?;
    }
    members.write_others(&is_met, start, out);
    Ok(())
}

impl Change<'_> {
    /// Writes what stands in the place of nothing, or of what is no object.
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Remove => {}
            Self::Value(text) => out.extend_from_slice(text.as_bytes()),
            Self::Members(members) => members.write_new(out),
        }
    }
}

impl Members<'_> {
    fn write_new(&self, out: &mut Vec<u8>) {
        self.write_others(&vec![false; self.list.len()], out.len(), out);
    }

    /// Writes the members that were not met in the object that begins at `start` of `out`, and ends it.
    fn write_others(&self, is_met: &[bool], start: usize, out: &mut Vec<u8>) {
        let mut left: Vec<usize> = self.by_name.values().copied().filter(|&place| !is_met[place]).collect();
        left.sort_unstable();
        for (name, change) in left.into_iter().map(|place| &self.list[place]) {
            if !matches!(change, Change::Remove) {
                put_name(out, start, name);
                change.write(out);
            }
        }
        if out.len() == start {
            out.push(b'{');
        }
        out.push(b'}');
    }
}

/// Begins a member of the object that begins at `start` of `out`.
fn put_name(out: &mut Vec<u8>, start: usize, name: &str) {
    out.push(if out.len() == start { b'{' } else { b',' });
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

#[cfg(test)]
mod tests {
    use super::super::DOCUMENT_DEPTH_MAX;
    use super::*;
    use crate::error::Code;

    fn merged(json: &str, change: &str) -> String {
        String::from_utf8(merge_patch(json.as_bytes(), change.as_bytes()).unwrap()).unwrap()
    }

    /// The table in appendix A of RFC 7396.
    #[test]
    fn a_merge_patch_does_what_its_standard_says() {
        let rows = [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
            (r#"{"a":"foo"}"#, "null", "null"),
            (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ];
        for (json, change, expected) in rows {
            assert_eq!(merged(json, change), expected, "{json} with {change}");
        }
    }

    #[test]
    fn what_a_change_does_not_name_stays_byte_for_byte() {
        let json = r#" { "n" : 0.1000000000000000055 , "big":123456789012345678901234567890,
            "half":"\ud800", "__proto__":{"x":1}, "z":1, "a":{"y":1.0,"x":2} } "#;
        let expected = concat!(
            r#"{"n":0.1000000000000000055,"big":123456789012345678901234567890,"half":"\ud800","#,
            r#""__proto__":{"x":2},"z":1,"a":{"y":1.0},"constructor":3}"#
        );
        let change = r#"{"__proto__":{"x":2},"a":{"x":null},"constructor":3}"#;
        assert_eq!(merged(json, change), expected);
    }

    #[test]
    fn names_are_the_same_however_they_are_written_and_the_last_of_two_counts() {
        assert_eq!(merged(r#"{"\u0061":1}"#, r#"{"a":2}"#), r#"{"\u0061":2}"#);
        assert_eq!(merged(r#"{"\ud800":1}"#, r#"{"\uD800":null}"#), "{}");
        assert_eq!(merged("{}", r#"{"a":{"b":1},"a":{"c":2}}"#), r#"{"a":{"c":2}}"#);
        assert_eq!(merged(r#"{"a":1,"b":2,"a":3}"#, r#"{"a":null}"#), r#"{"b":2}"#);
        assert_eq!(
            merged(r#"{"a":1,"a":{"x":1}}"#, r#"{"a":{"y":2}}"#),
            r#"{"a":{"y":2},"a":{"x":1,"y":2}}"#
        );
    }

    #[test]
    fn depth_is_limited_and_what_is_no_json_is_refused() {
        let nested = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        let deepest = nested(DOCUMENT_DEPTH_MAX);
        assert_eq!(merged(&deepest, &deepest), deepest);
        assert_eq!(merged("7", &deepest), deepest);
        for (json, change) in [
            ("{}", &nested(DOCUMENT_DEPTH_MAX + 1)[..]),
            (&nested(DOCUMENT_DEPTH_MAX + 1), "{}"),
            ("{", "{}"),
            ("{}", "{} {}"),
            ("{}", r#"{"a":nul}"#),
            ("", "1"),
        ] {
            let error = merge_patch(json.as_bytes(), change.as_bytes()).unwrap_err();
            assert_eq!(error.code(), Code::InvalidValue);
        }
    }
}
