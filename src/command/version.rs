//! `--version`.

use super::print;
use crate::error::Result;
use crate::spec::VERSION;

/// The commit that this was built from, if the build knows it.
const COMMIT: Option<&str> = option_env!("MINKE_COMMIT");

pub(super) fn run() -> Result<()> {
    print(&text(env!("CARGO_PKG_VERSION"), COMMIT))
}

/// Dockerd reads `NAME version VERSION` and `commit: `. The name is our own:
/// containerd's go-runc knows only `runc version `, and finds nothing else in
/// it, without an error; what calls itself runc 0.1 would be taken for an old,
/// broken runc.
fn text(version: &str, commit: Option<&str>) -> String {
    let commit = commit.unwrap_or("unknown");
    format!("minke version {version}\ncommit: {commit}\nspec: {VERSION}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(text("0.1.0", Some("abc")), "minke version 0.1.0\ncommit: abc\nspec: 1.3.0\n");
        assert_eq!(text("0.1.0", None), "minke version 0.1.0\ncommit: unknown\nspec: 1.3.0\n");
    }
}
