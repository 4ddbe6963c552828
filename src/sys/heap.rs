//! The container's init must not use the heap, and a debug build proves it.
//!
//! Between clone and exec the child has a copy of the parent's memory. Heap
//! use there would be safe as long as minke has one thread, but it would also
//! mean work that the parent could have done: the plan is to be complete.

#[cfg(debug_assertions)]
mod guard {
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::sync::atomic::{AtomicBool, Ordering};

    pub(super) static FORBIDDEN: AtomicBool = AtomicBool::new(false);

    struct Guard;

    #[global_allocator]
    static GUARD: Guard = Guard;

    // SAFETY: every call goes on to `System` as it came, or ends the process.
    unsafe impl GlobalAlloc for Guard {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            if FORBIDDEN.load(Ordering::Relaxed) {
                let _ = rustix::io::write(rustix::stdio::stderr(), b"minke: init used the heap\n");
                crate::sys::exit(70);
            }
            // SAFETY: the caller keeps `GlobalAlloc`'s contract, which is
            // `System`'s.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
            // SAFETY: as above; `ptr` came from `System.alloc`.
            unsafe { System.dealloc(ptr, layout) }
        }
    }
}

/// From here on an allocation ends this process (debug builds only).
pub(super) fn forbid() {
    #[cfg(debug_assertions)]
    guard::FORBIDDEN.store(true, std::sync::atomic::Ordering::Relaxed);
}
