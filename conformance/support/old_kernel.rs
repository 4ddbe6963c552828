//! Kernels that lack system calls, played by a filter that hides them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use super::needs::{self, Need};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/hack/enosys");

/// The program behind `hack/enosys`, which makes it.
pub(super) static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let made = Command::new(SCRIPT).args(["fsopen", "true"]).status().expect("hack/enosys");
    assert!(made.success(), "make the program of hack/enosys");
    Path::new(SCRIPT).with_file_name("../target/enosys/enosys")
});

/// The source tree, and what compiles the program.
pub(crate) fn can_be_played() -> Vec<Need> {
    vec![needs::file(SCRIPT), needs::file("/usr/bin/gcc")]
}
