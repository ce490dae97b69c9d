//! The memory of one chunk of an arena or of the blocks that are cached, and chunks that are gone, which are kept for those
//! to come.
//!
//! Invariant: a [`Chunk`] is the only owner of its memory, which lies where it is until the chunk is dropped.
//!
//! On Linux chunks are mapped, and not taken from the allocator: a chunk that is aligned to a large page leaves holes in
//! the allocator's heap, and the heap of a process that has flushed a few memtables then keeps a whole memtable of memory
//! that nobody uses.
#![expect(
    unsafe_code,
    reason = "memory that comes from the system, aligned to large pages, and goes back to it"
)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};

use parking_lot::Mutex;

/// The size of a chunk that many records share.
pub(crate) const CHUNK_BYTES: usize = 2 << 20;

/// Chunks are aligned to cache lines at least, and so is the largest alignment that a record may ask for.
pub(crate) const CHUNK_ALIGN: usize = 64;

/// A chunk of this size or more is aligned to it, so that the system can back it with one large page: a fifth of the
/// time of inserts goes to the page tables otherwise.
const LARGE_PAGE_BYTES: usize = 2 << 20;

/// The layout of the chunks in the pool.
const LARGE_CHUNK: Layout = match Layout::from_size_align(CHUNK_BYTES, LARGE_PAGE_BYTES) {
    Ok(layout) => layout,
    Err(_) => panic!("a large page is a power of two"),
};

/// Chunks of memtables that are gone, for those to come: memory that is fresh from the system has to be zeroed by it
/// first, which took a tenth of the time of inserts.
static POOL: Mutex<Vec<Chunk>> = Mutex::new(Vec::new());

/// How much of it is kept: half a memtable of the usual size. What is kept can't be seen to be used after its end.
const POOLED_CHUNKS_MAX: usize = if IS_WATCHED { 0 } else { 16 };

/// Whether Miri or a sanitizer watches (`scripts/sanitize.js`): they know what the allocator gives and takes back, and
/// little or nothing of what is mapped.
const IS_WATCHED: bool = cfg!(any(miri, sanitized));

/// Memory with an address that doesn't change. What is in it at first is anything.
pub(crate) struct Chunk {
    start: *mut u8,
    layout: Layout,
}

// SAFETY: a chunk is the only owner of its memory, which any thread may use or free.
unsafe impl Send for Chunk {}

impl Chunk {
    /// Memory of `size_bytes`, which is not 0; of a large page where it is that large and `is_large` asks for it.
    pub(crate) fn new(size_bytes: usize, is_large: bool) -> Self {
        let align = if is_large && size_bytes >= LARGE_PAGE_BYTES { LARGE_PAGE_BYTES } else { CHUNK_ALIGN };
        let layout = Layout::from_size_align(size_bytes, align)
            .expect("no record comes near the largest size that Rust can allocate");
        let pooled = if layout == LARGE_CHUNK { POOL.lock().pop() } else { None };
        pooled.unwrap_or_else(|| Self { start: obtain(layout), layout })
    }

    /// Where it begins.
    pub(crate) fn start(&self) -> *mut u8 {
        self.start
    }
}

/// Gives the memory of several chunks back, or keeps some of it for memtables to come.
pub(crate) fn recycle(chunks: Vec<Chunk>) {
    let mut pool = POOL.lock();
    let (large, others): (Vec<_>, Vec<_>) = chunks.into_iter().partition(|chunk| chunk.layout == LARGE_CHUNK);
    let room = POOLED_CHUNKS_MAX.saturating_sub(pool.len());
    let mut large = large.into_iter();
    pool.extend(large.by_ref().take(room));
    // Giving memory back takes a while.
    drop(pool);
    drop((large, others));
}

impl Drop for Chunk {
    fn drop(&mut self) {
        give_back(self.start, self.layout);
    }
}

/// Memory for a chunk of this layout, whose size is not 0.
fn obtain(layout: Layout) -> *mut u8 {
    #[cfg(target_os = "linux")]
    if is_mapped(layout) {
        return mapped::obtain(layout).unwrap_or_else(|| handle_alloc_error(layout));
    }
    // SAFETY: the size is not zero, as every chunk has at least the unused start.
    let start = unsafe { alloc(layout) };
    if start.is_null() {
        handle_alloc_error(layout);
    }
    start
}

/// Frees what [`obtain`] gave for this layout.
fn give_back(start: *mut u8, layout: Layout) {
    #[cfg(target_os = "linux")]
    if is_mapped(layout) {
        return mapped::give_back(start, layout);
    }
    // SAFETY: `obtain` allocated the memory with this layout, and its one owner gives it up.
    unsafe { dealloc(start, layout) };
}

/// Whether chunks of this layout are mapped.
#[cfg(target_os = "linux")]
fn is_mapped(layout: Layout) -> bool {
    layout.size() >= CHUNK_BYTES && !IS_WATCHED
}

#[cfg(target_os = "linux")]
mod mapped {
    use std::alloc::Layout;
    use std::ptr;

    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

    use super::LARGE_PAGE_BYTES;

    /// Mappings are whole multiples of this: of every page size that Linux has been built with.
    const PAGE_BYTES_MAX: usize = 64 << 10;

    /// Memory of this layout from the system, backed with large pages where it is aligned to them.
    pub(super) fn obtain(layout: Layout) -> Option<*mut u8> {
        let len = layout.size().checked_next_multiple_of(PAGE_BYTES_MAX)?;
        if layout.align() < LARGE_PAGE_BYTES {
            return map(len);
        }
        let start = map(len)?;
        // Newer kernels align what is as large as a large page by themselves.
        let start = if start.addr().is_multiple_of(layout.align()) {
            start
        } else {
            unmap(start, len);
            map_aligned(len, layout.align())?
        };
        // SAFETY: the advice changes how the memory is backed and nothing that is in it; the range was just mapped.
        let _ = unsafe { madvise(start.cast(), len, Advice::LinuxHugepage) };
        Some(start)
    }

    pub(super) fn give_back(start: *mut u8, layout: Layout) {
        unmap(start, layout.size().next_multiple_of(PAGE_BYTES_MAX));
    }

    /// Maps more than is asked for, and gives back what is before and behind the aligned part.
    fn map_aligned(len: usize, align: usize) -> Option<*mut u8> {
        let start = map(len.checked_add(align)?)?;
        let before = start.addr().next_multiple_of(align) - start.addr();
        // Both are in the mapping: `before` is below `align`, or the whole of what was added for it.
        let (aligned, behind) = (start.wrapping_add(before), start.wrapping_add(before + len));
        unmap(start, before);
        unmap(behind, align - before);
        Some(aligned)
    }

    fn map(len: usize) -> Option<*mut u8> {
        // SAFETY: without an address that is asked for, the system maps where nothing is.
        let start = unsafe {
            mmap_anonymous(ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
        };
        start.ok().map(<*mut _>::cast)
    }

    /// Unmaps a part of what `map` gave, which nobody uses any more.
    fn unmap(start: *mut u8, len: usize) {
        if len > 0 {
            // SAFETY: the caller owns this part of a mapping and gives it up; it begins and ends with a page, as all
            // that is cut off is a multiple of a large page or of `PAGE_BYTES_MAX` away from the ends of a mapping.
            // Were it refused, the memory would stay mapped and unused.
            let _ = unsafe { munmap(start.cast(), len) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_writable(chunk: &Chunk, size_bytes: usize) -> bool {
        for at in [0, size_bytes / 2, size_bytes - 1] {
            // SAFETY: the chunk has so many bytes and is not shared.
            unsafe { chunk.start().add(at).write(at as u8) };
        }
        // SAFETY: as above; the byte was just written.
        unsafe { chunk.start().add(size_bytes - 1).read() == (size_bytes - 1) as u8 }
    }

    #[test]
    fn memory_of_every_size_is_aligned_and_can_be_written_to_its_end() {
        let sizes = [CHUNK_ALIGN, 4096, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5_000_001];
        let mut chunks = Vec::new();
        for _ in 0..4 {
            for size in sizes {
                for is_large in [false, true] {
                    let chunk = Chunk::new(size, is_large);
                    let align = if is_large && size >= CHUNK_BYTES { LARGE_PAGE_BYTES } else { CHUNK_ALIGN };
                    assert!(chunk.start().addr().is_multiple_of(align), "{size}");
                    assert!(is_writable(&chunk, size), "{size}");
                    chunks.push(chunk);
                }
            }
        }
        recycle(chunks);
    }

    /// The system may give an aligned mapping at once, so that the other way needs a test of its own.
    #[cfg(all(target_os = "linux", not(miri), not(sanitized)))]
    #[test]
    fn what_is_cut_out_of_a_larger_mapping_is_aligned_and_whole() {
        let layout = Layout::from_size_align(3 << 20, 8 << 20).unwrap();
        for _ in 0..20 {
            let chunk = Chunk { start: mapped::obtain(layout).unwrap(), layout };
            assert!(chunk.start().addr().is_multiple_of(8 << 20));
            assert!(is_writable(&chunk, 3 << 20));
        }
    }
}
