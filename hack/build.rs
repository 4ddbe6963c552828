//! What the linker is told of the release build.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=hack/build.rs");
    println!("cargo:rerun-if-changed=hack/release.ld");
    println!("cargo:rerun-if-changed=hack/often.ld");
    println!("cargo:rerun-if-env-changed=MINKE_OFTEN");
    let is = |name: &str, value: &str| std::env::var(name).as_deref() == Ok(value);
    let link = |argument: &str| println!("cargo:rustc-link-arg-bins=-Wl,{argument}");
    if !is("PROFILE", "release") {
        return;
    }
    // Where minke is entered: src/sys/prestart.rs. Without optimisation its calls would need the relocations of libc's start.
    if is("CARGO_CFG_TARGET_ARCH", "x86_64") {
        link("--entry=minke_start");
    }
    link("--no-eh-frame-hdr");
    link(concat!("-T,", env!("CARGO_MANIFEST_DIR"), "/hack/release.ld"));
    // hack/often makes it from a build without it.
    if is("CARGO_CFG_TARGET_ARCH", "x86_64") && !is("MINKE_OFTEN", "no") {
        link(concat!("-T,", env!("CARGO_MANIFEST_DIR"), "/hack/often.ld"));
    }
    // The start of a static libc knows packed relocations since glibc 2.36.
    if libc_version().is_some_and(|version| version >= (2, 36)) {
        link("-z,pack-relative-relocs");
    }
}

/// Of the machine's libc, which is the one that minke is linked to unless it is built for another machine.
fn libc_version() -> Option<(u32, u32)> {
    let told = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let told = String::from_utf8(told.stdout).ok()?;
    let (major, minor) = told.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
