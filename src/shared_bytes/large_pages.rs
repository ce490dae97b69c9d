//! Large pages that blocks are cut from: each is divided into units, of which a block takes as many as it needs, side by side.
//!
//! Invariant: a unit is used by one block at the most. No more than about one part in [`FREE_PART`] of the pages is free, so that
//! memory is about what the blocks take: where a page of its own would break that, the allocator has to give the memory.
#![forbid(unsafe_code)]

use std::num::NonZeroU32;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::chunk::{CHUNK_BYTES, Chunk, recycle};

/// What a page is divided into: a block wastes half of one.
const UNIT_BYTES: usize = 256;

const UNITS: usize = CHUNK_BYTES / UNIT_BYTES;
const WORD_BITS: usize = u64::BITS as usize;
const WORDS: usize = UNITS / WORD_BITS;

/// Smaller blocks are left to the allocator: half a unit would be much of them …
const SIZE_MIN: usize = 1 << 10;
/// … and larger ones, which seldom find so many units side by side.
const SIZE_MAX: usize = 64 << 10;

/// Before so many bytes of blocks have been made, none are in large pages, of which one alone may be more than is needed.
const BYTES_MIN: usize = 8 << 20;

/// One part in so many of the units may be free before a further page is taken.
const FREE_PART: usize = 8;

/// So many pages are looked at for a place.
const TRIES: usize = 4;

/// What was asked for before the first page was taken.
static ASKED_BYTES: AtomicUsize = AtomicUsize::new(0);

static PAGES: Mutex<Pages> = Mutex::new(Pages { pages: Vec::new(), free_units: 0, count: 0, current: 0 });

/// Where a block lies: the number of its page, one more than its place in the list, and the first of its units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    page: NonZeroU32,
    unit: u32,
}

/// Memory for a block of `size` bytes, aligned to [`UNIT_BYTES`], if it is to be in large pages.
pub(super) fn take(size: usize) -> Option<(NonNull<u8>, Place)> {
    if !cfg!(target_os = "linux") || !(SIZE_MIN..=SIZE_MAX).contains(&size) {
        return None;
    }
    if ASKED_BYTES.load(Ordering::Relaxed) < BYTES_MIN {
        ASKED_BYTES.fetch_add(size, Ordering::Relaxed);
        return None;
    }
    PAGES.lock().take(size.div_ceil(UNIT_BYTES))
}

/// Takes back what [`take`] gave for this size.
pub(super) fn give_back(place: Place, size: usize) {
    let page = PAGES.lock().give_back(place, size.div_ceil(UNIT_BYTES));
    // Outside the lock, because it takes a while.
    if let Some(page) = page {
        recycle(vec![page.chunk]);
    }
}

/// The bytes that a block of `size` bytes takes of a page.
pub(super) fn size_of_taken(size: usize) -> usize {
    size.next_multiple_of(UNIT_BYTES)
}

struct Pages {
    pages: Vec<Option<Page>>,
    free_units: usize,
    /// How many of the list are there.
    count: usize,
    /// The page that was taken from last.
    current: usize,
}

impl Pages {
    fn take(&mut self, units: usize) -> Option<(NonNull<u8>, Place)> {
        for turn in 0..TRIES.min(self.pages.len()) {
            let at = (self.current + turn) % self.pages.len();
            if let Some(taken) = self.take_from(at, units) {
                return Some(taken);
            }
        }
        if self.free_units > self.count * UNITS / FREE_PART {
            // The next one who asks looks further.
            self.current = (self.current + TRIES) % self.pages.len();
            return None;
        }
        let at = self.pages.iter().position(Option::is_none).unwrap_or(self.pages.len());
        if at == self.pages.len() {
            self.pages.push(None);
        }
        self.pages[at] = Some(Page::new());
        self.count += 1;
        self.free_units += UNITS;
        self.take_from(at, units)
    }

    fn take_from(&mut self, at: usize, units: usize) -> Option<(NonNull<u8>, Place)> {
        let page = self.pages[at].as_mut()?;
        let unit = page.take(units)?;
        self.free_units -= units;
        self.current = at;
        let number = NonZeroU32::new(u32::try_from(at).ok()? + 1)?;
        let start = NonNull::new(page.chunk.start().wrapping_add(unit * UNIT_BYTES))?;
        Some((start, Place { page: number, unit: unit as u32 }))
    }

    /// Gives the page out where it is free now.
    fn give_back(&mut self, place: Place, units: usize) -> Option<Page> {
        let at = place.page.get() as usize - 1;
        let page = self.pages.get_mut(at)?;
        page.as_mut()?.give_back(place.unit as usize, units);
        self.free_units += units;
        let is_free = page.as_ref().is_some_and(|page| page.free == UNITS);
        let gone = if is_free { page.take() } else { None };
        if gone.is_some() {
            self.free_units -= UNITS;
            self.count -= 1;
        }
        gone
    }
}

struct Page {
    chunk: Chunk,
    used: Box<[u64; WORDS]>,
    free: usize,
    /// Where it is looked for a place first: behind the one that was taken last.
    next: usize,
}

impl Page {
    fn new() -> Self {
        Self { chunk: Chunk::new(CHUNK_BYTES, true), used: Box::new([0; WORDS]), free: UNITS, next: 0 }
    }

    /// Takes so many units side by side, and gives the first.
    fn take(&mut self, units: usize) -> Option<usize> {
        if self.free < units {
            return None;
        }
        let next = self.next;
        let at = self.find(next, UNITS, units).or_else(|| self.find(0, (next + units).min(UNITS), units))?;
        self.mark(at, units);
        self.free -= units;
        self.next = at + units;
        Some(at)
    }

    fn give_back(&mut self, at: usize, units: usize) {
        self.mark(at, units);
        self.free += units;
    }

    /// Free units between `from` and `to`.
    fn find(&self, mut from: usize, to: usize, units: usize) -> Option<usize> {
        loop {
            let start = self.first(from, to, |word| !word);
            if start + units > to {
                return None;
            }
            let end = self.first(start, start + units, |word| word);
            if end == start + units {
                return Some(start);
            }
            from = end;
        }
    }

    /// The first unit from `from` on whose bit is set in what `of` makes of its word; `to` where there is none before that.
    fn first(&self, from: usize, to: usize, of: impl Fn(u64) -> u64) -> usize {
        let mut at = from;
        while at < to {
            let rest = of(self.used[at / WORD_BITS]) >> (at % WORD_BITS);
            if rest != 0 {
                return (at + rest.trailing_zeros() as usize).min(to);
            }
            at = (at / WORD_BITS + 1) * WORD_BITS;
        }
        to
    }

    /// Makes used what was free, or the other way round.
    fn mark(&mut self, at: usize, units: usize) {
        let mut left = at..at + units;
        while !left.is_empty() {
            let (word, bit) = (left.start / WORD_BITS, left.start % WORD_BITS);
            let count = left.len().min(WORD_BITS - bit);
            self.used[word] ^= (u64::MAX >> (WORD_BITS - count)) << bit;
            left.start += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared_bytes::tests::Random;

    fn pages() -> Pages {
        Pages { pages: Vec::new(), free_units: 0, count: 0, current: 0 }
    }

    #[test]
    fn no_two_blocks_have_a_unit_in_common_and_the_free_units_are_counted() {
        let mut random = Random(11);
        let mut pages = pages();
        let mut held: Vec<(Place, NonNull<u8>, usize)> = Vec::new();
        for turn in 0..30_000 {
            let most = if random.one_in(10) { 250 } else { 30 };
            let units = 4 + random.below(most) as usize;
            if let Some((start, place)) = pages.take(units) {
                held.push((place, start, units));
            }
            while held.len() > 3000 || (turn > 20_000 && !held.is_empty() && random.one_in(2)) {
                let (place, _, units) = held.swap_remove(random.below(held.len() as u64) as usize);
                pages.give_back(place, units);
            }
            if turn % 1000 == 0 {
                check(&pages, &mut held);
            }
        }
        held.drain(..).for_each(|(place, _, units)| _ = pages.give_back(place, units));
        assert_eq!((pages.count, pages.free_units), (0, 0), "what is free is given back");
    }

    fn check(pages: &Pages, held: &mut [(Place, NonNull<u8>, usize)]) {
        held.sort_by_key(|held| held.1.as_ptr().addr());
        for pair in held.windows(2) {
            assert!(pair[0].1.as_ptr().addr() + pair[0].2 * UNIT_BYTES <= pair[1].1.as_ptr().addr());
        }
        let used: usize = held.iter().map(|held| held.2).sum();
        let there = pages.pages.iter().flatten();
        assert_eq!(there.clone().count(), pages.count);
        assert_eq!(pages.free_units, there.clone().map(|page| page.free).sum::<usize>());
        assert_eq!(pages.free_units + used, pages.count * UNITS);
        for page in there {
            let used: u32 = page.used.iter().map(|word| word.count_ones()).sum();
            assert_eq!(page.free + used as usize, UNITS);
        }
    }

    #[test]
    fn pages_of_which_much_is_free_get_no_others() {
        let mut pages = pages();
        let held: Vec<_> = (0..UNITS).filter_map(|_| pages.take(16)).collect();
        assert_eq!((held.len(), pages.count), (UNITS, 16), "each page is full");
        let before = pages.count;
        held.iter().step_by(2).for_each(|&(_, place)| _ = pages.give_back(place, 16));

        let refused = (0..100).filter(|_| pages.take(17).is_none()).count();

        assert_eq!(
            (refused, pages.count),
            (100, before),
            "no hole is as large, and there are enough of them"
        );
        assert!((0..200).filter(|_| pages.take(16).is_some()).count() > 150);
        assert_eq!(pages.count, before);
    }
}
