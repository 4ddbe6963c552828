//! Entering the cgroups of a container that is there, and who is in them.

use std::os::fd::AsFd;

use super::{Cgroups, Entrance, Group, host, open_directory, v1};
use crate::error::{Doing, Error, Result};
use crate::sys::fs::CWD;
use crate::sys::io;

/// `--cgroup`: which sub-cgroups a process goes into, by controller. The empty
/// name stands for all of them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct SubCgroups {
    paths: Vec<(String, String)>,
}

impl SubCgroups {
    /// Reads `PATH`, or `CONTROLLER[,CONTROLLER…]:PATH` again and again.
    pub(crate) fn parse<'a>(arguments: impl Iterator<Item = &'a str>) -> Result<Self> {
        let arguments: Vec<&str> = arguments.collect();
        let invalid = |text: &str, why: &str| {
            Error::usage(format!("invalid --cgroup argument: {text} ({why})"))
        };
        let mut paths: Vec<(String, String)> = Vec::new();
        for text in &arguments {
            let (names, path) = match text.split_once(':') {
                Some((names, path)) => (names, path),
                None if arguments.len() > 1 => {
                    return Err(invalid(text, "missing <controller>: prefix"));
                }
                None => ("", *text),
            };
            if path.split('/').any(|part| part == "..") || path.contains('\0') {
                return Err(Error::usage(format!("bad sub cgroup path: {path:?}")));
            }
            for name in names.split(',') {
                if name.is_empty() && text.contains(':') {
                    return Err(invalid(text, "empty <controller> prefix"));
                }
                if paths.iter().any(|(known, _)| known == name) {
                    return Err(invalid(text, &format!("controller {name} specified twice")));
                }
                paths.push((name.to_owned(), path.to_owned()));
            }
        }
        Ok(Self { paths })
    }

    /// Whether none was asked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    fn serves(name: &str, group: &Group) -> bool {
        name.is_empty() || group.controllers.split(',').any(|known| known == name)
    }

    fn path_in(&self, group: &Group) -> String {
        let path = self.paths.iter().find(|(name, _)| Self::serves(name, group));
        let below = path.map_or("", |(_, path)| path.trim_matches('/'));
        if below.is_empty() { group.path.clone() } else { format!("{}/{below}", group.path) }
    }
}

impl Entrance {
    /// Moves a process that is there already into all of the container's
    /// cgroups.
    pub(crate) fn admit_all(&self, pid: i32) -> Result<()> {
        for tasks in self.tasks.iter().chain(&self.devices) {
            io::write(tasks, pid.to_string().as_bytes())
                .doing(|| format!("move pid {pid} into the container's cgroups"))?;
        }
        self.admit(pid)
    }
}

impl Cgroups {
    /// Opens the container's directories, or those below them, for one more
    /// process.
    pub(crate) fn enter(&self, sub: &SubCgroups) -> Result<Entrance> {
        for (name, _) in &sub.paths {
            if !self.groups.iter().any(|group| SubCgroups::serves(name, group)) {
                let words = format!("unknown controller {name} in --cgroup");
                return Err(Error::usage(words));
            }
        }
        let unit = self.unit.clone().filter(|_| sub.is_empty());
        let mut entrance = Entrance { unit, ..Entrance::default() };
        for group in &self.groups {
            let path = sub.path_in(group);
            if group.is_v2() {
                let directory = open_directory(&path).doing(|| format!("open cgroup {path:?}"))?;
                entrance.v2 = Some(directory);
            } else {
                v1::open_tasks(CWD, &format!("{path}/tasks"), group, &mut entrance)?;
            }
        }
        Ok(entrance)
    }

    /// The v2 cgroup in which `pid` is now: a container's init may have moved
    /// itself down, so that nobody can be in the container's own any more.
    pub(crate) fn enter_beside(pid: i32) -> Result<Entrance> {
        let path = format!("/proc/{pid}/cgroup");
        let text = std::fs::read_to_string(&path)
            .map_err(|e| Error::Broken { what: format!("read {path:?}"), why: e.to_string() })?;
        let below = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
        let path = format!("{}{below}", host::unified_mount());
        let directory = open_directory(&path).doing(|| format!("open cgroup {path:?}"))?;
        Ok(Entrance { v2: Some(directory), ..Entrance::default() })
    }

    /// All processes of the container, those in cgroups below its own too.
    /// `None` if it has no cgroup, or none any more.
    pub(crate) fn processes(&self) -> Option<Vec<i32>> {
        let directory = open_directory(&self.groups.first()?.path).ok()?;
        Some(super::empty::all_processes(directory.as_fd()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<SubCgroups> {
        SubCgroups::parse(arguments.iter().copied())
    }

    #[test]
    fn a_path_serves_all_or_the_controllers_before_it() {
        let group = |controllers: &str| Group {
            path: "/g".into(),
            controllers: controllers.into(),
            made: 0,
            known: 0,
        };
        let all = parse(&["/a/b/"]).unwrap();
        assert_eq!(all.path_in(&group("")), "/g/a/b");
        let some = parse(&["memory,cpu:x", "pids:/"]).unwrap();
        assert_eq!(some.path_in(&group("cpu,cpuacct")), "/g/x");
        assert_eq!(some.path_in(&group("pids")), "/g");
        assert_eq!(some.path_in(&group("freezer")), "/g");
    }

    /// crun 1.29: an escape from the container's cgroup.
    #[test]
    fn escapes_are_refused() {
        for bad in ["..", "../x", "a/../../b", "cpu:../x", "/.."] {
            let e = parse(&[bad]).unwrap_err().to_string();
            assert!(e.starts_with("bad sub cgroup path"), "{e}");
        }
        for bad in [&["a", "b"][..], &["cpu:a", "cpu:b"], &[":a"], &["cpu,:a"]] {
            assert!(parse(bad).unwrap_err().to_string().starts_with("invalid --cgroup"));
        }
    }
}
