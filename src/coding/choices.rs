//! Bytes as choices: how a fuzzer steers what is done.
//!
//! Where the bytes have ended every choice is the first one, so that each beginning of an input means something, too.

use super::take_bytes;

/// The choices that have not been taken yet.
pub(crate) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    /// All of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether there are none any more.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A byte.
    pub(crate) fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or_default()
    }

    /// A number below `bound`, which is at most 65,536.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let low = usize::from(self.byte());
        let number = if bound > 256 { low | usize::from(self.byte()) << 8 } else { low };
        number % bound.max(1)
    }

    /// Eight bytes as a number.
    pub(crate) fn number(&mut self) -> u64 {
        self.bytes(8).iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// The next `len` bytes, or as many as there are.
    pub(crate) fn bytes(&mut self, len: usize) -> &'a [u8] {
        let len = len.min(self.0.len());
        take_bytes(&mut self.0, len).unwrap_or_default()
    }

    /// Bytes behind their length, which is below `bound`.
    pub(crate) fn piece(&mut self, bound: usize) -> &'a [u8] {
        let len = self.below(bound);
        self.bytes(len)
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        self.bytes(usize::MAX)
    }
}
