//! Walking through JSON text, strictly and without building anything.
//!
//! Invariant: between calls the position is at a token or at white space before one. Nesting needs no stack of
//! ours but one bit a level, so that hostile text can't overflow one.

use std::ops::Range;

use super::DOCUMENT_DEPTH_MAX;
use crate::error::{Code, Error, Result};

/// A position in JSON text.
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// A string as it stands in the text, without its quotes.
pub(super) struct StringToken<'a> {
    raw: &'a str,
    is_escaped: bool,
}

impl<'a> Scanner<'a> {
    /// Starts at the beginning of `json`.
    pub(super) fn new(json: &'a [u8]) -> Result<Self> {
        let text = std::str::from_utf8(json).map_err(|error| {
            let what = format!("the document is not JSON: no UTF-8 at byte {}", error.valid_up_to());
            Error::new(Code::InvalidValue, what)
        })?;
        Ok(Self { text, at: 0 })
    }

    /// Goes on at `at`, where a value starts that was passed before.
    pub(super) fn rewind(&mut self, at: usize) {
        self.at = at;
    }

    /// The byte offset of the position.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The byte at the position; 0 at the end, which stands nowhere in JSON.
    pub(super) fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    /// Passes white space and gives the byte behind it.
    pub(super) fn peek_token(&mut self) -> u8 {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
        self.peek()
    }

    /// Passes white space and `byte`, if that is what stands there.
    pub(super) fn pass(&mut self, byte: u8) -> bool {
        let is_there = self.peek_token() == byte;
        self.at += usize::from(is_there);
        is_there
    }

    /// Passes the end of the text.
    pub(super) fn pass_end(&mut self) -> Result<()> {
        self.peek_token();
        if self.at == self.text.len() { Ok(()) } else { Err(self.unexpected("the end")) }
    }

    /// Passes the opening of an array or object that lies within `depth` others.
    pub(super) fn open(&mut self, depth: usize) -> Result<()> {
        if depth >= DOCUMENT_DEPTH_MAX {
            let what = format!("a document is nested at most {DOCUMENT_DEPTH_MAX} levels deep");
            return Err(Error::new(Code::InvalidValue, what));
        }
        self.at += 1;
        Ok(())
    }

    /// Passes what follows a member or element: true for a comma, false for `close`.
    pub(super) fn pass_comma_or(&mut self, close: u8) -> Result<bool> {
        if self.pass(b',') {
            return Ok(true);
        }
        if self.pass(close) {
            return Ok(false);
        }
        Err(self.unexpected(if close == b'}' { "',' or '}'" } else { "',' or ']'" }))
    }

    /// Passes the key of a member and its colon.
    pub(super) fn pass_key(&mut self) -> Result<StringToken<'a>> {
        if self.peek_token() != b'"' {
            return Err(self.unexpected("a key in quotes"));
        }
        let key = self.pass_string()?;
        if self.pass(b':') { Ok(key) } else { Err(self.unexpected("':'")) }
    }

    /// Passes a value that lies within `depth` arrays and objects.
    pub(super) fn pass_value(&mut self, depth: usize) -> Result<()> {
        if !matches!(self.peek_token(), b'{' | b'[') {
            return self.pass_scalar();
        }
        let mut is_object = [0u64; DOCUMENT_DEPTH_MAX.div_ceil(64)];
        let mut level = depth;
        loop {
            let opening = self.peek_token();
            if opening == b'{' || opening == b'[' {
                self.open(level)?;
                let close = opening + 2; // '{' and '}', '[' and ']' lie two apart
                if !self.pass(close) {
                    let bit = 1 << (level % 64);
                    if opening == b'{' {
                        is_object[level / 64] |= bit;
                        self.pass_key()?;
                    } else {
                        is_object[level / 64] &= !bit;
                    }
                    level += 1;
                    continue;
                }
            } else {
                self.pass_scalar()?;
            }
            // A value has ended, and with it perhaps what it lies in.
            loop {
                if level == depth {
                    return Ok(());
                }
                let in_object = is_object[(level - 1) / 64] >> ((level - 1) % 64) & 1 == 1;
                if self.pass_comma_or(if in_object { b'}' } else { b']' })? {
                    if in_object {
                        self.pass_key()?;
                    }
                    break;
                }
                level -= 1;
            }
        }
    }

    /// Passes a string, whose opening quote is at the position.
    pub(super) fn pass_string(&mut self) -> Result<StringToken<'a>> {
        self.at += 1;
        let start = self.at;
        let mut is_escaped = false;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            self.at += plain_len(rest);
            match self.peek() {
                b'"' => break,
                b'\\' => {
                    is_escaped = true;
                    self.pass_escape()?;
                }
                _ => return Err(self.unexpected("a quote at the end of the string")),
            }
        }
        let raw = self.slice(start..self.at);
        self.at += 1;
        Ok(StringToken { raw, is_escaped })
    }

    /// Passes a number, which starts at the position, and gives its value: infinite when it is too large for an
    /// `f64`, as in JavaScript.
    pub(super) fn read_number(&mut self) -> Result<f64> {
        let start = self.at;
        self.pass_number()?;
        self.slice(start..self.at).parse().map_err(|_| self.unexpected("a number"))
    }

    fn pass_number(&mut self) -> Result<()> {
        self.at += usize::from(self.peek() == b'-');
        if self.peek() == b'0' {
            self.at += 1;
        } else {
            self.pass_digits()?;
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.pass_digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), b'+' | b'-'));
            self.pass_digits()?;
        }
        Ok(())
    }

    /// Passes `null`, `true` or `false`.
    pub(super) fn pass_literal(&mut self) -> Result<()> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        for literal in ["null", "true", "false"] {
            if rest.starts_with(literal.as_bytes()) {
                self.at += literal.len();
                return Ok(());
            }
        }
        Err(self.unexpected("a value"))
    }

    fn pass_scalar(&mut self) -> Result<()> {
        match self.peek() {
            b'"' => self.pass_string().map(drop),
            b'-' | b'0'..=b'9' => self.pass_number(),
            _ => self.pass_literal(),
        }
    }

    fn pass_digits(&mut self) -> Result<()> {
        if !self.peek().is_ascii_digit() {
            return Err(self.unexpected("a digit"));
        }
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        Ok(())
    }

    fn pass_escape(&mut self) -> Result<()> {
        self.at += 1;
        match self.peek() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
            b'u' => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_ascii_hexdigit() {
                        return Err(self.unexpected("a hexadecimal digit"));
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.unexpected("an escape")),
        }
        Ok(())
    }

    /// The text of `range`, which starts and ends at ASCII bytes.
    pub(super) fn slice(&self, range: Range<usize>) -> &'a str {
        self.text.get(range).unwrap_or_default()
    }

    fn unexpected(&self, expected: &str) -> Error {
        let found = match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some(char) => format!("{char:?}"),
            None => "the end".into(),
        };
        let what = format!("the document is not JSON: {found} instead of {expected} at byte {}", self.at);
        Error::new(Code::InvalidValue, what)
    }
}

/// How many bytes of a string stand for themselves before the first quote, backslash or control character.
fn plain_len(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some((word, behind)) = rest.split_first_chunk::<8>() {
        let specials = specials_in(u64::from_le_bytes(*word));
        if specials != 0 {
            return bytes.len() - rest.len() + specials.trailing_zeros() as usize / 8;
        }
        rest = behind;
    }
    let plain = rest.iter().take_while(|&&byte| byte >= b' ' && byte != b'"' && byte != b'\\');
    bytes.len() - rest.len() + plain.count()
}

/// The high bit of the first of eight bytes, the lowest one first, that is a quote, a backslash or a control character; 0
/// where there is none. What is set above it means nothing.
fn specials_in(word: u64) -> u64 {
    // A byte below the subtracted one borrows into its own high bit, or into that of a byte above it, which only
    // happens when there is one.
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, b' ') | is(b'"') | is(b'\\')) & ONES << 7
}

impl<'a> StringToken<'a> {
    /// The string as it is written, without its quotes.
    pub(super) fn raw(&self) -> &'a str {
        self.raw
    }
}

impl StringToken<'_> {
    /// Whether the string is `text`.
    pub(super) fn is(&self, text: &str) -> bool {
        if self.is_escaped { self.units().eq(text.encode_utf16()) } else { self.raw == text }
    }

    /// The string itself, if no escape is in it.
    pub(super) fn plain(&self) -> Option<&str> {
        (!self.is_escaped).then_some(self.raw)
    }

    /// A lower bound of its UTF-16 length that costs nothing.
    pub(super) fn len_min(&self) -> usize {
        self.raw.len() / 6 // "\u0041" is one unit, and no UTF-8 takes more bytes for one
    }

    /// The UTF-16 code units that the string stands for.
    pub(super) fn units(&self) -> impl Iterator<Item = u16> {
        let mut chars = self.raw.chars();
        let mut low_surrogate = None;
        std::iter::from_fn(move || {
            if let Some(unit) = low_surrogate.take() {
                return Some(unit);
            }
            match chars.next()? {
                '\\' => match chars.next()? {
                    'b' => Some(0x08),
                    'f' => Some(0x0c),
                    'n' => Some(0x0a),
                    'r' => Some(0x0d),
                    't' => Some(0x09),
                    'u' => {
                        let digits = chars.as_str().get(..4)?;
                        chars = chars.as_str().get(4..)?.chars();
                        u16::from_str_radix(digits, 16).ok()
                    }
                    itself => u16::try_from(u32::from(itself)).ok(),
                },
                char => {
                    let mut units = [0; 2];
                    let units = char.encode_utf16(&mut units);
                    low_surrogate = units.get(1).copied();
                    units.first().copied()
                }
            }
        })
    }
}
