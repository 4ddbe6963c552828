//! Tells the linker where minke is entered: `src/sys/prestart.rs`.

fn main() {
    println!("cargo:rerun-if-changed=hack/build.rs");
    let is = |name: &str, value: &str| std::env::var(name).as_deref() == Ok(value);
    // Without optimisation its calls would need the relocations of libc's start.
    if is("CARGO_CFG_TARGET_ARCH", "x86_64") && is("PROFILE", "release") {
        println!("cargo:rustc-link-arg-bins=-Wl,--entry=minke_start");
    }
}
