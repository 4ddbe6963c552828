//! Any text as a profile.
#![no_main]
#![allow(dead_code, unused_imports)]

mod minke;
// The sources of minke name these from the root.
use minke::{seccomp, spec, sys};

use libfuzzer_sys::fuzz_target;
use seccomp::arch::Arch;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(profile) = serde_json::from_slice(bytes) {
        minke::compare(&profile, Arch::X86_64, bytes);
    }
});
