//! Which namespaces are made by the clone, and which are entered, by whom.
//!
//! `clone3` makes all new ones at once. Of those to join, pid and time only
//! take effect on children, so the parent enters them before it clones; the
//! others are entered by the child.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#namespaces>

use crate::error::{Error, Result};
use crate::spec;

pub(crate) const CLONE_NEWNS: u64 = 0x0002_0000;
pub(crate) const CLONE_NEWCGROUP: u64 = 0x0200_0000;
pub(crate) const CLONE_NEWUTS: u64 = 0x0400_0000;
pub(crate) const CLONE_NEWIPC: u64 = 0x0800_0000;
pub(crate) const CLONE_NEWUSER: u64 = 0x1000_0000;
pub(crate) const CLONE_NEWPID: u64 = 0x2000_0000;
pub(crate) const CLONE_NEWNET: u64 = 0x4000_0000;
pub(crate) const CLONE_NEWTIME: u64 = 0x0000_0080;

/// The spec's words, the kernel's flags and the names in `/proc/PID/ns`.
pub(crate) const KINDS: &[(&str, u64, &str)] = &[
    ("cgroup", CLONE_NEWCGROUP, "cgroup"),
    ("ipc", CLONE_NEWIPC, "ipc"),
    ("mount", CLONE_NEWNS, "mnt"),
    ("network", CLONE_NEWNET, "net"),
    ("pid", CLONE_NEWPID, "pid"),
    ("time", CLONE_NEWTIME, "time"),
    ("user", CLONE_NEWUSER, "user"),
    ("uts", CLONE_NEWUTS, "uts"),
];

/// A namespace to enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Join {
    /// The `CLONE_NEW*` flag of its kind.
    pub(crate) kind: u64,
    pub(crate) path: String,
    /// Its JSON path.
    pub(crate) field: String,
}

/// All that is to be done about namespaces.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Namespaces {
    /// Flags of those to make.
    pub(crate) new: u64,
    /// Entered by the parent: pid and time.
    pub(crate) join_before_clone: Vec<Join>,
    /// Entered by the child, in this order.
    pub(crate) join: Vec<Join>,
    /// Lines for `/proc/self/timens_offsets`, written by the parent.
    pub(crate) time_offsets: Option<String>,
}

impl Namespaces {
    /// Whether the container has a namespace of this kind that is not ours.
    pub(crate) fn has(&self, kind: u64) -> bool {
        self.new & kind != 0
            || self.join.iter().chain(&self.join_before_clone).any(|join| join.kind & kind != 0)
    }
}

/// Plans `linux.namespaces`.
pub(crate) fn plan(linux: &spec::Linux) -> Result<Namespaces> {
    let mut plan = Namespaces::default();
    let mut seen = 0;
    for (index, namespace) in linux.namespaces.iter().enumerate() {
        let field = format!("linux.namespaces[{index}]");
        let kind = KINDS.iter().find(|(word, ..)| *word == namespace.kind);
        let &(word, kind, _) = kind.ok_or_else(|| {
            Error::config(
                format!("{field}.type"),
                format!("unknown namespace {:?}", namespace.kind),
            )
        })?;
        if seen & kind != 0 {
            return Err(Error::config(field, format!("duplicate namespace {word:?}")));
        }
        seen |= kind;
        if kind == CLONE_NEWUSER {
            return Err(Error::Unsupported {
                what: format!("config.json: {field} (a user namespace)"),
            });
        }
        match namespace.path.as_deref().filter(|path| !path.is_empty()) {
            None => plan.new |= kind,
            Some(path) if !path.starts_with('/') => {
                return Err(Error::config(
                    format!("{field}.path"),
                    format!("{path:?} must be absolute"),
                ));
            }
            Some(path) => {
                let join = Join { kind, path: path.to_owned(), field: format!("{field}.path") };
                let before = kind & (CLONE_NEWPID | CLONE_NEWTIME) != 0;
                if before { &mut plan.join_before_clone } else { &mut plan.join }.push(join);
            }
        }
    }
    // The mount namespace last: paths of the others are looked up before, but
    // entering it changes root and working directory of the child.
    plan.join.sort_by_key(|join| join.kind == CLONE_NEWNS);
    plan.time_offsets = time_offsets(linux, &plan)?;
    Ok(plan)
}

fn time_offsets(linux: &spec::Linux, plan: &Namespaces) -> Result<Option<String>> {
    if linux.time_offsets.is_empty() {
        return Ok(None);
    }
    if plan.new & CLONE_NEWTIME == 0 {
        return Err(Error::config(
            "linux.timeOffsets",
            "need a new time namespace in linux.namespaces",
        ));
    }
    let mut lines = String::new();
    for (clock, offset) in &linux.time_offsets {
        let field = format!("linux.timeOffsets.{clock}");
        if clock != "monotonic" && clock != "boottime" {
            return Err(Error::config(
                field,
                "is not a clock with an offset (monotonic, boottime)",
            ));
        }
        if offset.nanosecs > 999_999_999 {
            return Err(Error::config(format!("{field}.nanosecs"), "must be below 1000000000"));
        }
        let line = [clock.clone(), offset.secs.to_string(), offset.nanosecs.to_string()];
        lines += &(line.join(" ") + "\n");
    }
    Ok(Some(lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linux(json: &str) -> spec::Linux {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn new_and_joined_are_told_apart() {
        let l = linux(
            r#"{"namespaces":[{"type":"mount"},{"type":"pid","path":"/p"},{"type":"network","path":"/n"}]}"#,
        );
        let p = plan(&l).unwrap();
        assert_eq!(p.new, CLONE_NEWNS);
        assert_eq!(p.join_before_clone[0].path, "/p");
        assert_eq!(p.join[0].field, "linux.namespaces[2].path");
        assert!(p.has(CLONE_NEWNET) && !p.has(CLONE_NEWUTS));
    }

    /// config-linux.md#namespaces: duplicates and unknown types are errors.
    #[test]
    fn duplicate_unknown_and_relative_are_refused() {
        for (json, field) in [
            (r#"{"namespaces":[{"type":"pid"},{"type":"pid"}]}"#, "linux.namespaces[1]: "),
            (r#"{"namespaces":[{"type":"net"}]}"#, "linux.namespaces[0].type: "),
            (r#"{"namespaces":[{"type":"uts","path":"ns"}]}"#, "linux.namespaces[0].path: "),
        ] {
            let e = plan(&linux(json)).unwrap_err().to_string();
            assert!(e.starts_with(&format!("config.json: {field}")), "{e}");
        }
    }

    /// `time_namespaces(7)`: clock name, seconds, nanoseconds.
    #[test]
    fn time_offsets_need_a_new_time_namespace() {
        let offsets = r#""timeOffsets":{"boottime":{"secs":-5,"nanosecs":7}}"#;
        assert!(plan(&linux(&format!("{{{offsets}}}"))).is_err());
        let p =
            plan(&linux(&format!(r#"{{"namespaces":[{{"type":"time"}}],{offsets}}}"#))).unwrap();
        assert_eq!(p.time_offsets.as_deref(), Some("boottime -5 7\n"));
    }
}
