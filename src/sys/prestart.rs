//! The first instructions of a command that enters a container: the guard of
//! CVE-2019-5736 before libc starts.
//!
//! What `container::guard` needs is a process whose `/proc/self/exe` lies on a
//! read-only copy of the binary's mount. One way there is to execute that copy;
//! but a program that is only beginning can also take its place without: it
//! maps itself from the copy, over what the kernel has mapped, and then says
//! which file it runs (`PR_SET_MM_MAP`, prctl(2)). That is a third of an
//! execution's price, and glibc's start-up, which asks the processor some 70
//! questions that each trap in a virtual machine, is paid once either way. So
//! the linker is told to enter here (`hack/build.rs`).

use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

#[cfg(all(target_arch = "x86_64", not(debug_assertions), not(test)))]
mod x86_64;

/// The read-only copy that this process runs from, 0 if it runs from none.
static COPY: AtomicI32 = AtomicI32::new(0);

/// The detached mount that minke runs from, which nobody else has; `None` if
/// minke runs from where it was executed, or this was asked before.
pub(crate) fn take_copy() -> Option<OwnedFd> {
    let copy = COPY.swap(0, Ordering::Relaxed);
    // SAFETY: the number of a descriptor that was opened for this, and is given
    // out once.
    (copy > 0).then(|| unsafe { OwnedFd::from_raw_fd(copy) })
}
