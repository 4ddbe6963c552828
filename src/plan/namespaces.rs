//! Which namespaces are made by the clone, and which are entered, by whom.
//!
//! `clone3` makes all new ones at once. Of those to join, pid and time only
//! take effect on children, so the parent enters them before it clones; the
//! others are entered by the child.
//!
//! With a new user namespace the clone makes that, pid and mount; the child
//! becomes root in it and then makes the others, which belong to that root.
//! Who is in it has no rights over namespaces of the host any more, so all
//! that are to be joined are entered by the parent.
//!
//! A user namespace to join is entered by the child, after the namespaces that
//! only the host's root can enter and before those that only its own root can.
//! With a pid or time namespace beside it a process has to stand between: it
//! enters them all and clones the init from there.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#namespaces>

use super::idmap::{self, IdMaps};
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

/// The container's user namespace.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) enum User {
    /// The runtime's own.
    #[default]
    Own,
    /// A new one, with these ids.
    New(IdMaps),
    /// One that is there. If the configuration says its ids as well, they must
    /// be those that it has.
    Joined(Option<IdMaps>),
}

/// All that is to be done about namespaces.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Namespaces {
    /// Flags of those that the clone makes.
    pub(crate) new: u64,
    /// Flags of those that the child makes, as root of its user namespace.
    pub(crate) unshare: u64,
    pub(crate) user: User,
    /// Whether a process in between enters `join` and clones the init.
    pub(crate) stepping_stone: bool,
    /// Entered by the parent, which goes back after the clone.
    pub(crate) join_before_clone: Vec<Join>,
    /// Entered by the child, in this order.
    pub(crate) join: Vec<Join>,
    /// Lines for `/proc/self/timens_offsets`, written by the parent.
    pub(crate) time_offsets: Option<String>,
}

impl Namespaces {
    /// Whether the container has a namespace of this kind that is not ours.
    pub(crate) fn has(&self, kind: u64) -> bool {
        self.makes(kind)
            || self.join.iter().chain(&self.join_before_clone).any(|join| join.kind & kind != 0)
    }

    /// Whether the container has a new namespace of this kind.
    pub(crate) fn makes(&self, kind: u64) -> bool {
        (self.new | self.unshare) & kind != 0
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
    plan.time_offsets = time_offsets(linux, &plan)?;
    plan_user(linux, &mut plan)?;
    mount_last(&mut plan.join);
    mount_last(&mut plan.join_before_clone);
    Ok(plan)
}

/// The mount namespace last: paths of the others are looked up before, but
/// entering it changes root and working directory of who enters.
pub(super) fn mount_last(joins: &mut Vec<Join>) {
    if let Some(at) = joins.iter().position(|join| join.kind == CLONE_NEWNS) {
        let mount = joins.remove(at);
        joins.push(mount);
    }
}

/// With a new user namespace, what the clone itself makes.
const BY_CLONE: u64 = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS;

/// Who makes and who enters what, given a user namespace.
fn plan_user(linux: &spec::Linux, plan: &mut Namespaces) -> Result<()> {
    let mapped = !linux.uid_mappings.is_empty() || !linux.gid_mappings.is_empty();
    let maps = || idmap::plan(&linux.uid_mappings, &linux.gid_mappings, "linux");
    if plan.new & CLONE_NEWUSER != 0 {
        let maps = maps()?;
        for (name, map) in [("uid", &maps.uid), ("gid", &maps.gid)] {
            if idmap::outside(map, 0).is_none() {
                return Err(Error::config(
                    format!("linux.{name}Mappings"),
                    "must map the container's root: no mapping found for id 0",
                ));
            }
        }
        plan.user = User::New(maps);
        // Nothing could be mounted there.
        if let Some(join) = plan.join.iter().find(|join| join.kind == CLONE_NEWNS) {
            let rule = "belongs to a user namespace over which a new one has no rights";
            return Err(Error::config(&join.field, rule));
        }
        plan.unshare = plan.new & !BY_CLONE;
        plan.new &= BY_CLONE;
        plan.join_before_clone.append(&mut plan.join);
    } else if plan.join.iter().any(|join| join.kind == CLONE_NEWUSER) {
        plan.user = User::Joined(if mapped { Some(maps()?) } else { None });
        let of_children = CLONE_NEWPID | CLONE_NEWTIME;
        plan.stepping_stone = plan.has(of_children);
        plan.unshare = plan.new & !CLONE_NEWPID;
        plan.new &= CLONE_NEWPID;
        plan.join.append(&mut plan.join_before_clone);
    } else if mapped {
        let name = if linux.uid_mappings.is_empty() { "gid" } else { "uid" };
        return Err(Error::config(
            format!("linux.{name}Mappings"),
            "need a user namespace in linux.namespaces",
        ));
    }
    Ok(())
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

    #[test]
    fn a_new_user_namespace_makes_the_others_its_own() {
        let l = linux(
            r#"{"namespaces":[{"type":"user"},{"type":"pid"},{"type":"mount"},{"type":"ipc"},{"type":"network","path":"/n"}],
                "uidMappings":[{"hostID":7,"size":1}],"gidMappings":[{"hostID":7,"size":1}]}"#,
        );
        let p = plan(&l).unwrap();
        assert_eq!(p.new, CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS);
        assert_eq!(p.unshare, CLONE_NEWIPC);
        assert_eq!(p.join_before_clone[0].path, "/n");
        assert!(p.join.is_empty() && !p.stepping_stone);
    }

    #[test]
    fn a_joined_user_namespace_with_a_pid_namespace_needs_a_step_between() {
        let user = r#"{"type":"user","path":"/u"},{"type":"uts"}"#;
        let p = plan(&linux(&format!(r#"{{"namespaces":[{user}]}}"#))).unwrap();
        assert!(!p.stepping_stone && p.new == 0 && p.unshare == CLONE_NEWUTS);
        for pid in [r#"{"type":"pid"}"#, r#"{"type":"pid","path":"/p"}"#] {
            let p = plan(&linux(&format!(r#"{{"namespaces":[{pid},{user}]}}"#))).unwrap();
            assert!(p.stepping_stone && p.join_before_clone.is_empty());
        }
    }

    #[test]
    fn mappings_and_their_namespace_belong_together() {
        let map = r#"[{"hostID":7,"size":1}]"#;
        for (json, field) in [
            (format!(r#"{{"uidMappings":{map}}}"#), "linux.uidMappings: need a user"),
            (format!(r#"{{"gidMappings":{map}}}"#), "linux.gidMappings: need a user"),
            (r#"{"namespaces":[{"type":"user"}]}"#.to_owned(), "linux.uidMappings: must not"),
            (
                format!(r#"{{"namespaces":[{{"type":"user"}}],"uidMappings":{map}}}"#),
                "linux.gidMappings: must not",
            ),
        ] {
            let e = plan(&linux(&json)).unwrap_err().to_string();
            assert!(e.starts_with(&format!("config.json: {field}")), "{e}");
        }
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
