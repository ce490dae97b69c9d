//! Bytes that several hold, as an `Arc<[u8]>`, in memory that is taken from large pages once there is enough of them: a read
//! at random of a few hundred megabytes in small pages waits as long for the page tables as for the bytes.
//!
//! Invariant: while anybody holds the bytes, their place is nobody else's; the last one that lets go gives it back.
#![expect(unsafe_code, reason = "memory of its own, with a count of who holds it")]

mod large_pages;

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use large_pages::Place;

/// Stands before the bytes.
#[repr(C)]
struct Head {
    holders: AtomicUsize,
    /// Where in the large pages this is, or `None` where the allocator gave it.
    place: Option<Place>,
}

const HEAD_BYTES: usize = size_of::<Head>();

/// So many holders are never real: a count that ran over would free what is held.
const HOLDERS_MAX: usize = isize::MAX as usize;

/// See the module. A clone is the same bytes.
pub(crate) struct SharedBytes {
    head: NonNull<Head>,
    len: usize,
}

// SAFETY: the bytes are never changed while more than the one who makes them has them, and the count is atomic.
unsafe impl Send for SharedBytes {}
// SAFETY: as above.
unsafe impl Sync for SharedBytes {}

impl SharedBytes {
    /// A copy of `bytes`.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let size = HEAD_BYTES + bytes.len();
        let (start, place) = match large_pages::take(size) {
            Some((start, place)) => (start, Some(place)),
            None => (allocate(layout_of(bytes.len())), None),
        };
        let head = start.cast::<Head>();
        // SAFETY: the memory has room for the head and the bytes behind it, is aligned for the head, and nobody else's; so
        // it does not overlap with `bytes` either.
        unsafe {
            head.write(Head { holders: AtomicUsize::new(1), place });
            start.add(HEAD_BYTES).copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
        }
        Self { head, len: bytes.len() }
    }

    /// The bytes of memory that they take.
    pub(crate) fn charge(&self) -> usize {
        match self.head().place {
            Some(_) => large_pages::size_of_taken(HEAD_BYTES + self.len),
            None => HEAD_BYTES + self.len,
        }
    }

    fn head(&self) -> &Head {
        // SAFETY: `new` wrote it, and it stays as long as this is held.
        unsafe { self.head.as_ref() }
    }
}

impl Deref for SharedBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: `new` wrote so many bytes behind the head, which stay as they are as long as this is held.
        unsafe { std::slice::from_raw_parts(self.head.as_ptr().cast::<u8>().add(HEAD_BYTES), self.len) }
    }
}

impl Clone for SharedBytes {
    #[inline]
    fn clone(&self) -> Self {
        // Whoever clones holds the bytes, so that nothing has to be ordered before (as in `Arc`).
        let before = self.head().holders.fetch_add(1, Ordering::Relaxed);
        assert!(before < HOLDERS_MAX, "a block is held more often than there is memory to hold it");
        Self { head: self.head, len: self.len }
    }
}

impl Drop for SharedBytes {
    #[inline]
    fn drop(&mut self) {
        if self.head().holders.fetch_sub(1, Ordering::Release) == 1 {
            // What all others did with the bytes comes before they are given back (as in `Arc`). A fence would do as well,
            // but the thread sanitizer knows of none.
            let holders = self.head().holders.load(Ordering::Acquire);
            debug_assert_eq!(holders, 0, "the last holder is alone");
            give_back(self.head, self.len);
        }
    }
}

fn give_back(head: NonNull<Head>, len: usize) {
    // SAFETY: the last holder gives up what `new` made; the head is read before its memory goes.
    let place = unsafe { head.as_ref().place };
    match place {
        Some(place) => large_pages::give_back(place, HEAD_BYTES + len),
        // SAFETY: `new` allocated it with this layout.
        None => unsafe { dealloc(head.as_ptr().cast(), layout_of(len)) },
    }
}

fn layout_of(len: usize) -> Layout {
    Layout::from_size_align(HEAD_BYTES + len, align_of::<Head>())
        .expect("a block is far below the largest size that Rust can allocate")
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: the size is not zero, as there is the head.
    NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lehmer's generator.
    pub(super) struct Random(pub(super) u64);

    impl Random {
        pub(super) fn below(&mut self, bound: u64) -> u64 {
            self.0 = self.0 * 48_271 % 0x7FFF_FFFF;
            self.0 % bound
        }

        pub(super) fn one_in(&mut self, n: u64) -> bool {
            self.below(n) == 0
        }
    }

    fn pattern(seed: usize, len: usize) -> Vec<u8> {
        (0..len).map(|at| (seed.wrapping_mul(31) ^ at.wrapping_mul(7)) as u8).collect()
    }

    #[test]
    fn bytes_stay_as_they_were_until_the_last_holder_lets_go() {
        let lens = [0, 1, 900, 1008, 1009, 4000, 5000, 6001, 65_000, 70_000, 300_000];
        let mut held: Vec<(SharedBytes, Vec<u8>)> = Vec::new();
        let mut random = Random(7);
        for turn in 0..6_000 {
            let bytes = pattern(turn, lens[random.below(lens.len() as u64) as usize].min(turn * 40));
            held.push((SharedBytes::new(&bytes), bytes));
            if random.one_in(3) {
                let (bytes, copy) = &held[random.below(held.len() as u64) as usize];
                let again = (bytes.clone(), copy.clone());
                held.push(again);
            }
            while held.len() > 2000 || (random.one_in(2) && held.len() > 500) {
                let (bytes, copy) = held.swap_remove(random.below(held.len() as u64) as usize);
                assert!(*bytes == copy[..]);
                assert!(bytes.charge() >= bytes.len());
            }
        }
        assert!(held.iter().all(|(bytes, copy)| **bytes == copy[..]));
    }

    #[test]
    fn threads_hold_and_let_go_of_the_same_bytes() {
        let all: Vec<_> = (0..2000).map(|seed| SharedBytes::new(&pattern(seed, 5000))).collect();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let mine = all.clone();
                scope.spawn(move || {
                    for (seed, bytes) in mine.into_iter().enumerate() {
                        let own = SharedBytes::new(&pattern(seed + thread, 4000 + thread * 100));
                        assert!(*bytes == pattern(seed, 5000)[..]);
                        drop(bytes);
                        assert!(*own == pattern(seed + thread, 4000 + thread * 100)[..]);
                    }
                });
            }
            drop(all.clone());
        });
        assert!(all.iter().enumerate().all(|(seed, bytes)| **bytes == pattern(seed, 5000)[..]));
    }
}
