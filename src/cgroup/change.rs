//! Changing the limits of a container that is there.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::devices::Ruleset;
use super::limits::{self, Directories};
use super::translate::{self, Write};
use super::{Cgroups, bpf, held, open_directory, systemd};
use crate::error::{Doing, Error, Result};
use crate::spec::Resources;

/// Where the fields of a change are, for errors.
const FIELD: &str = "resources";

/// One file that a change is to write, for people to read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Name of the file.
    pub(crate) file: String,
    /// What it holds now; empty if there is no such file.
    pub(crate) old: String,
    /// What is to be written.
    pub(crate) new: String,
    /// What the kernel will hold then.
    pub(crate) held: String,
}

/// A file with what it held.
struct Before<'w> {
    write: &'w Write<'w>,
    file: String,
    old: String,
}

impl Cgroups {
    /// What [`Self::change`] would do; touches nothing.
    pub(crate) fn foresee(&self, resources: &Resources, devices: bool) -> Result<Vec<Planned>> {
        let rules = rules(resources, devices)?;
        let directories = self.directories()?;
        let writes = self.writes(resources)?;
        let mut planned = Vec::with_capacity(writes.len());
        for write in &writes {
            let directory = self.directory(&directories, write.controller);
            planned.push(held::foresee(directory, write)?);
        }
        if let Some(rules) = rules {
            let cgroup = self.devices(&directories)?;
            planned.extend(if self.is_unified() {
                vec![bpf::foresee(cgroup, &rules)?]
            } else {
                limits::foresee_devices(cgroup, &rules)?
            });
        }
        Ok(planned)
    }

    /// Sets these limits and leaves all others as they are; with `devices`,
    /// its device rules take the place of those in force.
    ///
    /// # Errors
    ///
    /// If one cannot be set, all have their old values again.
    pub(crate) fn change(&self, resources: &Resources, devices: bool) -> Result<()> {
        let rules = rules(resources, devices)?;
        for field in translate::ignored(resources) {
            log::warn!("{field} has no effect any more and is ignored");
        }
        let directories = self.directories()?;
        let directory: Directories<'_, '_> = &|controller| self.directory(&directories, controller);
        let writes = self.writes(resources)?;
        let before: Vec<Before> = writes.iter().filter_map(|w| before(directory, w)).collect();
        let changed = limits::apply(directory, &writes, false)
            .and_then(|()| rules.map_or(Ok(()), |rules| self.change_devices(&directories, &rules)))
            // Last, as it cannot be put back: what it would set again is set.
            .and_then(|()| self.change_unit(directory, &writes));
        if changed.is_err() {
            put_back(directory, &before);
        }
        changed.inspect(|()| held::tell(directory, &writes))
    }

    fn change_unit(&self, directory: Directories<'_, '_>, writes: &[Write<'_>]) -> Result<()> {
        let Some(unit) = &self.unit else { return Ok(()) };
        unit.set(writes)?;
        let forgotten = writes.iter().filter(|write| systemd::forgets(write));
        let forgotten: Vec<Write<'_>> = forgotten.cloned().collect();
        limits::apply(directory, &forgotten, false)
    }

    fn writes<'r>(&self, resources: &'r Resources) -> Result<Vec<Write<'r>>> {
        let writes = if self.is_unified() {
            translate::v2(resources, FIELD)
        } else {
            translate::v1(resources, None, FIELD)
        };
        let mut writes = writes.map_err(Error::without_file)?;
        if self.unit.is_some() {
            systemd::round(&mut writes);
        }
        Ok(writes)
    }

    fn change_devices(&self, directories: &[OwnedFd], rules: &Ruleset) -> Result<()> {
        let cgroup = self.devices(directories)?;
        if self.is_unified() {
            return bpf::replace(cgroup, rules);
        }
        limits::change_devices(cgroup, rules, &format!("{FIELD}.devices"))
    }

    /// The directory that holds the device rules.
    fn devices<'d>(&self, directories: &'d [OwnedFd]) -> Result<BorrowedFd<'d>> {
        self.directory(directories, "devices").ok_or_else(|| Error::Broken {
            what: "cannot set devices limit".to_owned(),
            why: "container could not join or create cgroup".to_owned(),
        })
    }

    /// The directories, open, in the order of the groups.
    pub(super) fn directories(&self) -> Result<Vec<OwnedFd>> {
        let open = |path: &String| open_directory(path).doing(|| format!("open cgroup {path:?}"));
        self.groups.iter().map(|group| open(&group.path)).collect()
    }

    /// The one of them that serves a controller.
    pub(super) fn directory<'d>(
        &self,
        directories: &'d [OwnedFd],
        controller: &str,
    ) -> Option<BorrowedFd<'d>> {
        let unified = self.is_unified();
        let at = self.groups.iter().position(|group| {
            unified || group.controllers.split(',').any(|name| name == controller)
        })?;
        directories.get(at).map(AsFd::as_fd)
    }
}

fn rules(resources: &Resources, devices: bool) -> Result<Option<Ruleset>> {
    let rules = devices.then(|| Ruleset::new(&resources.devices, &format!("{FIELD}.devices")));
    rules.transpose().map_err(Error::without_file)
}

/// What a file held before it is written.
fn before<'w>(directory: Directories<'_, '_>, write: &'w Write<'w>) -> Option<Before<'w>> {
    let (file, text) = limits::held_file(directory(write.controller)?, write).ok()??;
    let old = old_value(&file, &write.value, &text);
    Some(Before { write, file, old })
}

/// Writes the old values, the last one first; twice, as some of them bound
/// each other.
fn put_back(directory: Directories<'_, '_>, before: &[Before<'_>]) {
    let back = |before: &&Before<'_>| {
        let directory = directory(before.write.controller);
        directory.is_some_and(|d| limits::write(d, &before.file, &before.old).is_ok())
    };
    let refused: Vec<_> = before.iter().rev().filter(|before| !back(before)).collect();
    for before in refused.into_iter().filter(|before| !back(before)) {
        log::warn!("cannot set {} back to {:?}", before.file, before.old);
    }
}

/// What to write for a file to hold again what its `text` says. `value` was
/// written meanwhile: in files of many lines, it is about one of them.
fn old_value(file: &str, value: &str, text: &str) -> String {
    let key = value.split_ascii_whitespace().next().unwrap_or_default();
    let keyed = key.contains(':')
        || ["rdma.max", "net_prio.ifpriomap", "misc.max", "dmem.max"].contains(&file);
    if file == "memory.oom_control" {
        return if text.contains("oom_kill_disable 1") { "1" } else { "0" }.to_owned();
    }
    if !keyed {
        let line = if file.ends_with("weight") { text.lines().next() } else { Some(text) };
        let line = line.unwrap_or_default().trim();
        return if line.is_empty() { "\n".to_owned() } else { line.to_owned() };
    }
    let line = text.lines().find(|line| line.split_ascii_whitespace().next() == Some(key));
    line.map_or_else(
        || match file {
            "io.max" => format!("{key} rbps=max wbps=max riops=max wiops=max"),
            "io.latency" => format!("{key} target=0"),
            "rdma.max" => format!("{key} hca_handle=max hca_object=max"),
            "misc.max" | "dmem.max" => format!("{key} max"),
            weight if weight.starts_with("io.") => format!("{key} default"),
            _ => format!("{key} 0"),
        },
        str::to_owned,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_values_are_what_the_file_has_of_them() {
        for (file, value, text, old) in [
            ("memory.max", "5", "4096\n", "4096"),
            ("cpu.max", "5000 10000", "max 100000\n", "max 100000"),
            ("cpuset.cpus", "0", "\n", "\n"),
            ("io.weight", "50", "default 100\n8:0 7\n", "default 100"),
            ("io.weight", "8:0 50", "default 100\n8:0 7\n", "8:0 7"),
            ("io.weight", "8:1 50", "default 100\n8:0 7\n", "8:1 default"),
            ("io.max", "8:0 rbps=5", "", "8:0 rbps=max wbps=max riops=max wiops=max"),
            (
                "io.max",
                "8:0 rbps=5",
                "8:0 rbps=1 wbps=max riops=max wiops=max\n",
                "8:0 rbps=1 wbps=max riops=max wiops=max",
            ),
            ("blkio.throttle.read_bps_device", "8:0 5", "8:1 7\n", "8:0 0"),
            ("net_prio.ifpriomap", "eth0 5", "lo 0\neth0 3\n", "eth0 3"),
            ("memory.oom_control", "1", "oom_kill_disable 0\nunder_oom 0\n", "0"),
        ] {
            assert_eq!(old_value(file, value, text), old, "{file} {value}");
        }
    }
}
