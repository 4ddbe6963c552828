//! The runtime under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// `RUNTIME`, or the minke that Cargo has built for this test.
pub(crate) static PATH: LazyLock<PathBuf> = LazyLock::new(|| {
    std::env::var_os("RUNTIME").unwrap_or_else(|| env!("CARGO_BIN_EXE_minke").into()).into()
});

/// Name and version, as in `runc 1.1.5+ds1`.
pub(crate) static LABEL: LazyLock<String> = LazyLock::new(|| {
    let version = Command::new(&*PATH).arg("--version").output().expect("a runtime");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let first = version.lines().next().unwrap_or_default();
    let number = first.split(" version ").nth(1).unwrap_or_default();
    format!("{} {number}", name())
});

/// Whether failures have other words and codes than runc's. Of such a runtime
/// it is only asked that it fails.
pub(crate) fn has_words_of_its_own() -> bool {
    ["crun", "youki"].contains(&name().as_str())
}

/// The file name of the executable.
pub(crate) fn name() -> String {
    Path::new(&*PATH).file_name().expect("a file").to_string_lossy().into_owned()
}
