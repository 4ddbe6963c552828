//! The memory of a process that waits.

/// Gives back what is mapped of minke's code and constants. They come back
/// from the page cache as they are used again: this is for a process that is
/// done with almost all of them, and may wait for days (madvise(2)).
pub(crate) fn drop_code() {
    unsafe extern "C" {
        /// The linker's: the first byte of the executable in memory, and the
        /// first after its code.
        static __executable_start: u8;
        static etext: u8;
    }
    let begin = &raw const __executable_start;
    let length = (&raw const etext).addr() - begin.addr();
    // SAFETY: what the linker put between the two is constant and mapped from
    // the executable's file, privately: a page that is dropped reads the same
    // when it is read from there again. The kernel ignores a range that is not.
    unsafe { libc::madvise(begin.cast_mut().cast(), length, libc::MADV_DONTNEED) };
}
