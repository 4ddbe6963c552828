//! minke: an OCI low-level container runtime.

mod cgroup;
mod error;
mod init;
mod link;
mod plan;
mod spec;
mod sys;

fn main() {
    let _ = spec::Config::parse(b"{}");
}
