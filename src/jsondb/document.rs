//! Keys out of JSON text, in one pass that builds nothing of what no path names.
//!
//! A path is dotted and goes through nested objects; a numeric segment is also an index into an array; the empty
//! path is the document itself. Where an object has a key twice the last one counts, as in JavaScript. The pass
//! checks the whole text, so that what is stored is JSON.
#![forbid(unsafe_code)]

mod insert;
mod merge;
#[cfg(any(test, fuzzing))]
pub(super) mod naive;
mod project;
mod scanner;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub(crate) use insert::set_top_level_path;
pub(crate) use merge::merge_patch;
pub(crate) use project::Projection;
use scanner::{Scanner, StringToken};

use super::key::{ARRAY_DEPTH_MAX, ENCODED_KEY_BYTES_MAX, Key, KeyValue};
use crate::error::{Code, Error, Result, shown};

/// How deep arrays and objects may lie within each other in a document.
pub(crate) const DOCUMENT_DEPTH_MAX: usize = 1000;

/// The most segments of a path.
pub(crate) const PATH_SEGMENTS_MAX: usize = 32;

/// What to take from each document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted<'a> {
    /// The value at this path.
    Value(&'a str),
    /// Each element of the array at this path; of anything else the value, as [`Wanted::Value`].
    Entries(&'a str),
    /// An array of the values at these paths.
    Compound(&'a [String]),
}

/// What a document has of what was [`Wanted`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Extracted {
    /// Nothing stands at the path, or at one of the paths of a compound key.
    Missing,
    /// Something stands there that can't be a key: an object, an array with one in it, or too long a value.
    Unusable,
    /// Each part of a compound key is one, and the whole is too long or nested too deep.
    TooLong,
    /// The key.
    One(Key),
    /// The keys of the array's elements, sorted and each once; those that can't be keys are left out.
    Many(Vec<Key>),
}

/// Takes the keys of a fixed list of paths from documents.
#[derive(Debug, Clone)]
pub(crate) struct Extractor {
    /// The paths as a tree, by segments; the first node is the document itself.
    nodes: Vec<Node>,
    outputs: Vec<Output>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    children: Vec<Child>,
    /// Whether a path ends here.
    is_wanted: bool,
}

#[derive(Debug, Clone)]
struct Child {
    segment: String,
    /// The segment as an index into an array.
    index: Option<usize>,
    node: usize,
}

/// What a [`Wanted`] became: the nodes whose values it needs.
#[derive(Debug, Clone)]
enum Output {
    Value(usize),
    Entries(usize),
    Compound(Vec<usize>),
}

impl Extractor {
    /// Prepares for `wanted`; [`Extractor::extract`] gives its results in the same order.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a path with an empty segment or too many of them.
    pub(crate) fn new(wanted: &[Wanted<'_>]) -> Result<Self> {
        let mut extractor = Self { nodes: vec![Node::default()], outputs: Vec::new() };
        for wanted in wanted {
            let output = match *wanted {
                Wanted::Value(path) => Output::Value(extractor.add(path)?),
                Wanted::Entries(path) => Output::Entries(extractor.add(path)?),
                Wanted::Compound(paths) => {
                    Output::Compound(paths.iter().map(|path| extractor.add(path)).collect::<Result<_>>()?)
                }
            };
            extractor.outputs.push(output);
        }
        Ok(extractor)
    }

    /// Takes what is wanted from the document `json`.
    ///
    /// # Errors
    ///
    /// `InvalidValue` when `json` is not JSON in UTF-8 from end to end, or nested deeper than
    /// [`DOCUMENT_DEPTH_MAX`].
    pub(crate) fn extract(&self, json: &[u8]) -> Result<Vec<Extracted>> {
        let mut pass =
            Pass { nodes: &self.nodes, scanner: Scanner::new(json)?, found: vec![None; self.nodes.len()] };
        pass.visit(0, 0)?;
        pass.scanner.pass_end()?;
        let Pass { mut scanner, found, .. } = pass;
        self.outputs.iter().map(|output| output.read(&mut scanner, &found)).collect()
    }

    /// Adds a path to the tree, and gives the node where it ends.
    fn add(&mut self, path: &str) -> Result<usize> {
        let mut node = 0;
        for segment in segments(path)? {
            let known = self.nodes[node].children.iter().find(|child| child.segment == segment);
            node = match known {
                Some(child) => child.node,
                None => {
                    let (parent, node) = (node, self.nodes.len());
                    let child = Child { segment: segment.into(), index: array_index(segment), node };
                    self.nodes[parent].children.push(child);
                    self.nodes.push(Node::default());
                    node
                }
            };
        }
        self.nodes[node].is_wanted = true;
        Ok(node)
    }
}

/// The segments of a dotted path.
fn segments(path: &str) -> Result<Vec<&str>> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let segments: Vec<_> = path.split('.').collect();
    if segments.contains(&"") {
        return Err(Error::new(
            Code::InvalidArgument,
            format!("the key path {} has an empty segment", shown(path)),
        ));
    }
    if segments.len() > PATH_SEGMENTS_MAX {
        let what = format!("the key path {} has more than {PATH_SEGMENTS_MAX} segments", shown(path));
        return Err(Error::new(Code::InvalidArgument, what));
    }
    Ok(segments)
}

/// The index that `segment` is, written as JavaScript writes it: `01` and `+1` are only names.
fn array_index(segment: &str) -> Option<usize> {
    let index = segment.parse::<usize>().ok()?;
    (index.to_string() == segment).then_some(index)
}

/// One pass through one document.
struct Pass<'e, 'a> {
    nodes: &'e [Node],
    scanner: Scanner<'a>,
    /// Where the value of each node stands that has one, if a path ends in it.
    found: Vec<Option<usize>>,
}

impl Pass<'_, '_> {
    /// Passes the value of `node`, which lies within `depth` arrays and objects.
    fn visit(&mut self, node: usize, depth: usize) -> Result<()> {
        let nodes = self.nodes;
        let Node { children, is_wanted } = &nodes[node];
        let opening = self.scanner.peek_token();
        if *is_wanted {
            self.found[node] = Some(self.scanner.at());
        }
        match opening {
            b'{' if !children.is_empty() => self.visit_object(children, depth),
            b'[' if children.iter().any(|child| child.index.is_some()) => self.visit_array(children, depth),
            _ => self.scanner.pass_value(depth),
        }
    }

    fn visit_object(&mut self, children: &[Child], depth: usize) -> Result<()> {
        self.scanner.open(depth)?;
        if self.scanner.pass(b'}') {
            return Ok(());
        }
        loop {
            let key = self.scanner.pass_key()?;
            match children.iter().find(|child| key.is(&child.segment)) {
                Some(child) => {
                    self.forget(child.node);
                    self.visit(child.node, depth + 1)?;
                }
                None => self.scanner.pass_value(depth + 1)?,
            }
            if !self.scanner.pass_comma_or(b'}')? {
                return Ok(());
            }
        }
    }

    fn visit_array(&mut self, children: &[Child], depth: usize) -> Result<()> {
        self.scanner.open(depth)?;
        if self.scanner.pass(b']') {
            return Ok(());
        }
        for index in 0.. {
            match children.iter().find(|child| child.index == Some(index)) {
                Some(child) => self.visit(child.node, depth + 1)?,
                None => self.scanner.pass_value(depth + 1)?,
            }
            if !self.scanner.pass_comma_or(b']')? {
                break;
            }
        }
        Ok(())
    }

    /// Drops what an earlier member of the same name had.
    fn forget(&mut self, node: usize) {
        self.found[node] = None;
        for child in &self.nodes[node].children {
            self.forget(child.node);
        }
    }
}

impl Output {
    /// Reads the values that were found; the text has been checked whole.
    fn read(&self, scanner: &mut Scanner<'_>, found: &[Option<usize>]) -> Result<Extracted> {
        match self {
            Self::Value(node) => match found[*node] {
                Some(at) => read_one(scanner, at),
                None => Ok(Extracted::Missing),
            },
            Self::Entries(node) => match found[*node] {
                Some(at) => read_entries(scanner, at),
                None => Ok(Extracted::Missing),
            },
            Self::Compound(nodes) => {
                let Some(places) = nodes.iter().map(|node| found[*node]).collect::<Option<Vec<_>>>() else {
                    return Ok(Extracted::Missing);
                };
                let mut parts = Vec::with_capacity(places.len());
                for at in places {
                    match read_one(scanner, at)? {
                        Extracted::One(key) => parts.push(key),
                        other => return Ok(other),
                    }
                }
                Ok(Key::from_parts(&parts).map_or(Extracted::TooLong, Extracted::One))
            }
        }
    }
}

/// Reads the value at `at` as a key.
fn read_one(scanner: &mut Scanner<'_>, at: usize) -> Result<Extracted> {
    scanner.rewind(at);
    let key = match scanner.peek_token() {
        b'"' => {
            let text = scanner.pass_string()?;
            match text.plain() {
                Some(plain) => Key::from_str(plain).ok(),
                None => string_value(&text).and_then(|value| Key::encode(&value).ok()),
            }
        }
        _ => read_value(scanner, 0)?.and_then(|value| Key::encode(&value).ok()),
    };
    Ok(key.map_or(Extracted::Unusable, Extracted::One))
}

/// Reads the elements of the array at `at` as keys.
fn read_entries(scanner: &mut Scanner<'_>, at: usize) -> Result<Extracted> {
    scanner.rewind(at);
    if scanner.peek_token() != b'[' {
        return read_one(scanner, at);
    }
    scanner.open(0)?;
    let mut keys = Vec::new();
    let mut has_more = !scanner.pass(b']');
    while has_more {
        scanner.peek_token();
        let start = scanner.at();
        scanner.pass_value(1)?;
        let end = scanner.at();
        if let Extracted::One(key) = read_one(scanner, start)? {
            keys.push(key);
        }
        scanner.rewind(end);
        has_more = scanner.pass_comma_or(b']')?;
    }
    keys.sort_unstable();
    keys.dedup();
    Ok(Extracted::Many(keys))
}

/// Reads a value within `depth` arrays of a key; `None`, somewhere in its midst, when it can't be a key.
fn read_value(scanner: &mut Scanner<'_>, depth: usize) -> Result<Option<KeyValue>> {
    Ok(Some(match scanner.peek_token() {
        b'"' => {
            let text = scanner.pass_string()?;
            return Ok(string_value(&text));
        }
        b'-' | b'0'..=b'9' => KeyValue::Number(scanner.read_number()?),
        b'n' => {
            scanner.pass_literal()?;
            KeyValue::Null
        }
        literal @ (b't' | b'f') => {
            scanner.pass_literal()?;
            KeyValue::Bool(literal == b't')
        }
        b'[' if depth < ARRAY_DEPTH_MAX => return read_array(scanner, depth),
        _ => return Ok(None),
    }))
}

/// The value of a string, unless it is longer than any key.
fn string_value(text: &StringToken<'_>) -> Option<KeyValue> {
    (text.len_min() <= ENCODED_KEY_BYTES_MAX).then(|| KeyValue::String(text.units().collect()))
}

fn read_array(scanner: &mut Scanner<'_>, depth: usize) -> Result<Option<KeyValue>> {
    scanner.open(depth)?;
    let mut elements = Vec::new();
    let mut has_more = !scanner.pass(b']');
    while has_more {
        match read_value(scanner, depth + 1)? {
            // An element takes a byte at least.
            Some(element) if elements.len() < ENCODED_KEY_BYTES_MAX => elements.push(element),
            _ => return Ok(None),
        }
        has_more = scanner.pass_comma_or(b']')?;
    }
    Ok(Some(KeyValue::Array(elements)))
}
