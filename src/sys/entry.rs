//! The program's entry, without the start-up of Rust's runtime.
//!
//! That start-up reads `/proc/self/maps`, makes a signal stack and installs
//! handlers for stack overflows: 35 us of a command that takes 600. What is
//! needed of it is done here.

#[cfg(not(test))]
use std::os::raw::{c_char, c_int};

/// What libc calls. `std::env::args` works without it: on Linux with glibc
/// the arguments are taken before `main`.
#[cfg(not(test))]
// SAFETY: no other symbol of this name exists: `#![no_main]` keeps the
// compiler from making one.
#[unsafe(no_mangle)]
extern "C" fn main(_argc: c_int, _argv: *const *const c_char) -> c_int {
    if open_standard_streams().is_err() {
        return 1;
    }
    // A caller that ignores it would have us never hear of our children.
    super::signal::default_of(super::signal::SIGCHLD);
    c_int::from(crate::run())
}

/// A descriptor that is opened first must not become standard output: 0, 1
/// and 2 are open from here on, on `/dev/null` if on nothing else.
#[cfg_attr(test, expect(dead_code, reason = "tests have a main of their own"))]
fn open_standard_streams() -> super::Result<()> {
    for number in 0..3 {
        if super::fd::inherited(number).is_err() {
            let flags = rustix::fs::OFlags::RDWR;
            // The lowest free number is the one that is missing.
            let null = rustix::fs::open(c"/dev/null", flags, rustix::fs::Mode::empty())?;
            std::mem::forget(null);
        }
    }
    Ok(())
}
