//! System calls, and nothing else.
//!
//! Every `unsafe` block of minke is in this module. Calls that rustix wraps
//! are re-exported under their own names (its Linux backend issues the system
//! call directly: no libc, no lock, no allocation, so the container's init
//! may use them); the ones it lacks are here, one system call a function.

pub(crate) use rustix::io::Errno;
pub(crate) type Result<T> = std::result::Result<T, Errno>;

pub(crate) use rustix::process;
