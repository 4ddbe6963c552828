//! `execve(2)` and the arrays it wants.

use std::ffi::{CStr, CString, c_char};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use super::{Errno, Result, last_errno};

/// A null-terminated array of C strings, as `argv` and `envp` are.
///
/// It is built by the parent, so that the child need not allocate.
#[derive(Debug)]
pub(crate) struct StringArray {
    strings: Vec<CString>,
    pointers: Vec<*const c_char>,
    /// Room for one string that only the child learns.
    spare: Box<[u8; 512]>,
}

impl StringArray {
    /// Takes the strings in their order.
    pub(crate) fn new(strings: Vec<CString>) -> Self {
        let mut pointers: Vec<*const c_char> = strings.iter().map(|s| s.as_ptr()).collect();
        pointers.extend([ptr::null(), ptr::null()]);
        Self { strings, pointers, spare: Box::new([0; 512]) }
    }

    /// The strings, without the spare one.
    pub(crate) fn strings(&self) -> &[CString] {
        &self.strings
    }

    /// Adds `parts`, joined, as the last string; allocates nothing.
    ///
    /// # Errors
    ///
    /// `ENAMETOOLONG` over 511 bytes.
    pub(crate) fn push_spare(&mut self, parts: &[&[u8]]) -> Result<()> {
        let mut used = 0;
        for part in parts {
            let end = used + part.len();
            if end >= self.spare.len() {
                return Err(Errno::NAMETOOLONG);
            }
            self.spare[used..end].copy_from_slice(part);
            used = end;
        }
        self.spare[used] = 0;
        let last = self.strings.len();
        self.pointers[last] = self.spare.as_ptr().cast();
        Ok(())
    }
}

/// `execve(2)`; returns only when it failed.
pub(crate) fn execve(path: &CStr, argv: &StringArray, envp: &StringArray) -> Errno {
    // SAFETY: `path` is a C string; both arrays are null-terminated and point
    // to C strings (or the zero-terminated spare) that their owners keep.
    unsafe { libc::execve(path.as_ptr(), argv.pointers.as_ptr(), envp.pointers.as_ptr()) };
    last_errno()
}

/// `execveat(2)` (Linux 3.19) of an open file, with this process's own
/// arguments and environment; returns only when it failed.
pub(crate) fn reexec(file: BorrowedFd<'_>, argv: &StringArray) -> Errno {
    // SAFETY: `environ` is libc's own array; one thread, so nobody changes it
    // while the kernel reads it. `argv` as in `execve`.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            argv.pointers.as_ptr(),
            environ(),
            libc::AT_EMPTY_PATH,
        )
    };
    match last_errno() {
        Errno::NOSYS => {
            let path = super::mount::FdPath::new(file);
            // SAFETY: as above, and `path` is a C string.
            unsafe { libc::execve(path.as_c_str().as_ptr(), argv.pointers.as_ptr(), environ()) };
            last_errno()
        }
        errno => errno,
    }
}

fn environ() -> *const *const c_char {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    // SAFETY: libc sets `environ` before main, and minke never changes it.
    unsafe { environ }
}
