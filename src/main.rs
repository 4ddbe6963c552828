//! minke: an OCI low-level container runtime.

mod cgroup;
mod error;
mod spec;
mod sys;

fn main() {
    let _ = spec::Config::parse(b"{}");
}
