//! The allocator of the command, and what it says when the system has no memory left for it: one line
//! and exit code 74, where Rust's own answer is to abort.

#![allow(unsafe_code, reason = "an allocator is unsafe by its trait")]

use std::alloc::{GlobalAlloc, Layout};

use mimalloc::MiMalloc;

/// Mappers and fold pass buffers between threads all the time; the system's allocator pays for that
/// with locks, mimalloc does not.
pub struct Allocator;

/// Of reading and writing that failed, as in `error::exit`.
const EXIT_CODE: i32 = 74;

// SAFETY: every call goes on to mimalloc as it came, and what mimalloc answers goes back as it is, but
// for a null pointer, after which nothing goes on.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of the trait, and mimalloc's is the same.
        checked(unsafe { MiMalloc.alloc(layout) }, layout.size())
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for `alloc`.
        checked(unsafe { MiMalloc.alloc_zeroed(layout) }, layout.size())
    }

    #[inline]
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as for `alloc`; `memory` came from mimalloc.
        checked(unsafe { MiMalloc.realloc(memory, layout, size) }, size)
    }

    #[inline]
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as for `realloc`.
        unsafe { MiMalloc.dealloc(memory, layout) }
    }
}

#[inline]
fn checked(memory: *mut u8, bytes: usize) -> *mut u8 {
    if memory.is_null() {
        end(bytes)
    }
    memory
}

/// Says why and ends the process, without allocating and without running anything that might: what was
/// not written is lost as by a kill, and comes again from a state directory.
#[cold]
#[inline(never)]
fn end(bytes: usize) -> ! {
    let mut digits = [0; 20];
    let _ = rustix::io::write(
        rustix::stdio::stderr(),
        b"weir: out of memory: the system refused ",
    );
    let _ = rustix::io::write(rustix::stdio::stderr(), decimal(bytes, &mut digits));
    let _ = rustix::io::write(
        rustix::stdio::stderr(),
        b" bytes; raise the limit (`ulimit -v`, `MemoryMax=`), or lower --max-mem and --threads\n",
    );
    signal_hook::low_level::exit(EXIT_CODE)
}

/// A number as text.
fn decimal(mut number: usize, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn numbers_are_written_without_allocating() {
        for number in [0, 7, 10, 4096, usize::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }
}
