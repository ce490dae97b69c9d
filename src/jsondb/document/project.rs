//! Parts of a document, as they stand in its text and within what they are nested in.
//!
//! Paths go through objects and arrays as those of keys do. Of an array that a path leads into only the elements that
//! are named are kept, one after the other. What holds nothing that is named is left out.

use std::ops::Range;

use super::scanner::Scanner;
use super::{Child, Extractor, Node, Wanted};
use crate::error::Result;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Projection {
    /// The paths as the tree of an extractor.
    nodes: Vec<Node>,
}

/// What is kept of a value.
enum Kept {
    Nothing,
    /// All of it, where it stands.
    Whole(Range<usize>),
    /// Text of its own.
    Part(Vec<u8>),
}

impl Projection {
    /// Prepares for `paths`.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a path with an empty segment or too many of them.
    pub(crate) fn new(paths: &[String]) -> Result<Self> {
        let wanted: Vec<Wanted<'_>> = paths.iter().map(|path| Wanted::Value(path)).collect();
        Ok(Self { nodes: Extractor::new(&wanted)?.nodes })
    }

    /// The parts of the document `json`: an object, or an array where the document is one.
    ///
    /// # Errors
    ///
    /// `InvalidValue` when `json` is not JSON.
    pub(crate) fn of(&self, json: &[u8]) -> Result<Vec<u8>> {
        let mut pass = Pass { nodes: &self.nodes, json, scanner: Scanner::new(json)? };
        let opening = pass.scanner.peek_token();
        Ok(match pass.value(0, 0)? {
            Kept::Nothing => if opening == b'[' { b"[]" } else { b"{}" }.to_vec(),
            Kept::Whole(range) => json.get(range).unwrap_or_default().to_vec(),
            Kept::Part(text) => text,
        })
    }
}

struct Pass<'p, 'a> {
    nodes: &'p [Node],
    json: &'a [u8],
    scanner: Scanner<'a>,
}

impl Pass<'_, '_> {
    /// Passes the value of `node`, which lies within `depth` arrays and objects.
    fn value(&mut self, node: usize, depth: usize) -> Result<Kept> {
        let Node { children, is_wanted } = &self.nodes[node];
        let opening = self.scanner.peek_token();
        let start = self.scanner.at();
        match opening {
            b'{' if !is_wanted && !children.is_empty() => self.object(children, depth),
            b'[' if !is_wanted && children.iter().any(|child| child.index.is_some()) => {
                self.array(children, depth)
            }
            _ => {
                self.scanner.pass_value(depth)?;
                Ok(if *is_wanted { Kept::Whole(start..self.scanner.at()) } else { Kept::Nothing })
            }
        }
    }

    fn object(&mut self, children: &[Child], depth: usize) -> Result<Kept> {
        self.scanner.open(depth)?;
        // In the order in which they stand; of two members with one name the last counts.
        let mut members: Vec<(usize, Range<usize>, Kept)> = Vec::new();
        let mut has_more = !self.scanner.pass(b'}');
        while has_more {
            self.scanner.peek_token();
            let start = self.scanner.at();
            let key = self.scanner.pass_key()?;
            let name = start..self.scanner.at();
            match children.iter().find(|child| key.is(&child.segment)) {
                Some(child) => {
                    let kept = self.value(child.node, depth + 1)?;
                    members.retain(|(node, ..)| *node != child.node);
                    members.push((child.node, name, kept));
                }
                None => self.scanner.pass_value(depth + 1)?,
            }
            has_more = self.scanner.pass_comma_or(b'}')?;
        }
        let mut text = Vec::new();
        for (_, name, kept) in &members {
            if !matches!(kept, Kept::Nothing) {
                text.push(if text.is_empty() { b'{' } else { b',' });
                text.extend_from_slice(self.json.get(name.clone()).unwrap_or_default());
                self.put(&mut text, kept);
            }
        }
        Ok(closed(text, b'}'))
    }

    fn array(&mut self, children: &[Child], depth: usize) -> Result<Kept> {
        self.scanner.open(depth)?;
        let mut text = Vec::new();
        let mut has_more = !self.scanner.pass(b']');
        let mut index = 0;
        while has_more {
            match children.iter().find(|child| child.index == Some(index)) {
                Some(child) => {
                    let kept = self.value(child.node, depth + 1)?;
                    if !matches!(kept, Kept::Nothing) {
                        text.push(if text.is_empty() { b'[' } else { b',' });
                        self.put(&mut text, &kept);
                    }
                }
                None => self.scanner.pass_value(depth + 1)?,
            }
            index += 1;
            has_more = self.scanner.pass_comma_or(b']')?;
        }
        Ok(closed(text, b']'))
    }

    fn put(&self, text: &mut Vec<u8>, kept: &Kept) {
        match kept {
            Kept::Nothing => {}
            Kept::Whole(range) => text.extend_from_slice(self.json.get(range.clone()).unwrap_or_default()),
            Kept::Part(part) => text.extend_from_slice(part),
        }
    }
}

fn closed(mut text: Vec<u8>, close: u8) -> Kept {
    if text.is_empty() {
        return Kept::Nothing;
    }
    text.push(close);
    Kept::Part(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn project(paths: &[&str], json: &str) -> String {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        String::from_utf8(Projection::new(&paths).unwrap().of(json.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn what_is_named_stays_as_it_stands_and_within_what_it_is_nested_in() {
        let json = r#"{ "a": 1e2, "b": { "c": [1, {"d": "\u00e9", "e": 0}], "f": null }, "g": {} }"#;
        assert_eq!(project(&["a"], json), r#"{"a":1e2}"#);
        assert_eq!(project(&["b.f", "a"], json), r#"{"a":1e2,"b":{"f":null}}"#);
        assert_eq!(project(&["b.c.1.d"], json), r#"{"b":{"c":[{"d":"\u00e9"}]}}"#);
        assert_eq!(project(&["b.c", "b.c.0"], json), r#"{"b":{"c":[1, {"d": "\u00e9", "e": 0}]}}"#);
        assert_eq!(project(&["g.x", "a.x", "missing"], json), "{}");
        assert_eq!(project(&[""], json), json);
        assert_eq!(project(&[], json), "{}");
        assert_eq!(project(&["1"], "[1, 2]"), "[2]");
        assert_eq!(project(&["x"], "[1, 2]"), "[]");
        assert_eq!(project(&["x"], "7"), "{}");
    }

    #[test]
    fn of_two_members_with_one_name_the_last_counts() {
        assert_eq!(project(&["a.b"], r#"{"a":{"b":1},"a":{"b":2}}"#), r#"{"a":{"b":2}}"#);
        assert_eq!(project(&["a.b"], r#"{"a":{"b":1},"a":{"c":2}}"#), "{}");
        assert_eq!(project(&["a", "c"], r#"{"a":1,"c":3,"\u0061":2}"#), r#"{"c":3,"\u0061":2}"#);
    }

    #[test]
    fn a_path_that_is_none_is_refused() {
        let error = Projection::new(&["a..b".to_owned()]).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
    }
}
