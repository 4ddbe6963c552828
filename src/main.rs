//! minke: an OCI low-level container runtime.

fn main() {
    println!("{:?}", rustix::process::getpid());
}
