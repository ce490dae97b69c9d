//! What a trial may take: an allocator that knows the largest piece of memory that a thread has asked for.
#![expect(unsafe_code, reason = "an allocator that looks on is one, and can be none otherwise")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// The most that any read of a database of some hundred kilobytes may ask for at once.
const ALLOCATION_MAX: usize = 16 << 20;

/// The longest that a trial may take, on a machine that has much else to do.
const TIME_MAX: Duration = Duration::from_secs(120);

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

struct Watching;

fn note(size: usize) {
    // A thread that is ending has none any more.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
}

// SAFETY: everything is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promises are those that are asked for here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promises are those that are asked for here.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the caller's promises are those that are asked for here.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are those that are asked for here.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// Does `work`, and fails where that took more memory at once, or more time, than damage may cost.
pub fn within_bounds<T>(work: impl FnOnce() -> T) -> T {
    LARGEST.set(0);
    let begun = Instant::now();
    let done = work();
    let (largest, took) = (LARGEST.get(), begun.elapsed());
    assert!(largest <= ALLOCATION_MAX, "{largest} bytes were asked for at once");
    assert!(took <= TIME_MAX, "it took {took:?}");
    done
}

#[test]
#[should_panic(expected = "bytes were asked for at once")]
fn what_asks_for_too_much_is_noticed() {
    within_bounds(|| std::hint::black_box(vec![0u8; ALLOCATION_MAX + 1]).len());
}
