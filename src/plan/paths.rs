//! Paths of the container, as text.

/// `path` without `.`, `..` and doubled slashes, counted from the root and
/// without a leading slash: what `openat2` in a root wants. The root itself
/// is the empty string.
pub(crate) fn in_root(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// Whether `path` is `above` or lies below it; both as [`in_root`] gives them.
pub(crate) fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_cannot_climb_out() {
        for (path, clean) in [
            ("/", ""),
            ("/proc/", "proc"),
            ("a//b/./c", "a/b/c"),
            ("/../../x", "x"),
            ("/a/../../b", "b"),
        ] {
            assert_eq!(in_root(path), clean, "{path}");
        }
    }

    #[test]
    fn below_is_by_component() {
        assert!(is_below("proc/sys", "proc"));
        assert!(is_below("proc", "proc"));
        assert!(!is_below("process", "proc"));
    }
}
