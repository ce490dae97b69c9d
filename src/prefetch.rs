//! Asking the processor to fetch memory that will be read soon, so that it comes while other work is done.
#![expect(
    unsafe_code,
    reason = "the instruction is behind a pointer, and does nothing that a pointer could do wrong"
)]

/// What comes from memory at once.
pub(crate) const LINE_BYTES: usize = 64;

/// Lets the processor fetch the line at `address`, which may be any.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn line(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: every processor of this kind has the instruction, and it can't fault, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}

/// Elsewhere the processor's own prediction has to do.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(crate) fn line(_address: *const u8) {}

/// Lets the processor fetch the first `most` of the bytes.
#[inline]
pub(crate) fn bytes(bytes: &[u8], most: usize) {
    bytes[..bytes.len().min(most)].iter().step_by(LINE_BYTES).for_each(|byte| line(byte));
}
