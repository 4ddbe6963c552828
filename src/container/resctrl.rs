//! `linux.intelRdt`: the container's group in the `resctrl` file system.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#intelrdt>
//! <https://docs.kernel.org/filesystems/resctrl.html>

use std::collections::BTreeMap;
use std::fs;
use std::io::{Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cgroup::Planned;
use crate::error::{Error, Result};
use crate::spec::IntelRdt;
use crate::sys::Errno;

/// Where the container's tasks go, and what of it is removed with it.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Group {
    /// Mount point of the file system.
    root: PathBuf,
    /// Directory of the class of service.
    class: PathBuf,
    /// Directory of the monitoring group, if there is to be one.
    monitor: Option<PathBuf>,
    /// Whether `class` is the container's own, and was made for it.
    made: bool,
    /// Whether the configuration names the class, which then stays.
    named: bool,
}

/// Decides where the container goes; makes nothing. Without `linux.intelRdt`
/// no resctrl is looked at.
pub(super) fn locate(config: Option<&IntelRdt>, id: &str) -> Result<Option<Group>> {
    let Some(config) = config else { return Ok(None) };
    check(config)?;
    for (name, set) in [("enableCMT", config.enable_cmt), ("enableMBM", config.enable_mbm)] {
        if set {
            log::warn!("ignoring linux.intelRdt.{name}: enableMonitoring has taken its place");
        }
    }
    let root = root().ok_or_else(|| {
        Error::config(
            "linux.intelRdt",
            "intelRdt is specified in config, but Intel RDT is not enabled: no resctrl is mounted",
        )
    })?;
    let named = config.clos_id.as_deref().filter(|name| !name.is_empty());
    let class = match named {
        Some("/") => root.clone(),
        Some(name) => root.join(name),
        None => root.join(id),
    };
    let exists = class.is_dir();
    if named.is_some() && !exists && lines(config).next().is_none() {
        let rule = format!("the class {class:?} must be there, as no schema is given");
        return Err(Error::config("linux.intelRdt.closID", rule));
    }
    if named.is_some() && exists {
        compare(config, &class)?;
    }
    Ok(Some(Group {
        monitor: config.enable_monitoring.then(|| class.join("mon_groups").join(id)),
        root,
        made: !exists,
        named: named.is_some(),
        class,
    }))
}

fn check(config: &IntelRdt) -> Result<()> {
    let class = config.clos_id.as_deref().unwrap_or_default();
    if matches!(class, "." | "..") || class.len() > 1 && class.contains('/') || class.contains('\0')
    {
        return Err(Error::config(
            "linux.intelRdt.closID",
            format!("{class:?} is not the name of a class"),
        ));
    }
    let named = [
        ("l3CacheSchema".to_owned(), config.l3_cache_schema.as_deref()),
        ("memBwSchema".to_owned(), config.mem_bw_schema.as_deref()),
    ];
    let listed = config.schemata.iter().enumerate();
    let listed = listed.map(|(index, line)| (format!("schemata[{index}]"), Some(line.as_str())));
    for (name, line) in named.into_iter().chain(listed) {
        if line.is_some_and(|line| line.contains('\n')) {
            return Err(Error::config(format!("linux.intelRdt.{name}"), "must be one line"));
        }
    }
    match config.mem_bw_schema.as_deref() {
        Some(line) if !line.is_empty() && !line.starts_with("MB:") => {
            Err(Error::config("linux.intelRdt.memBwSchema", "must begin with \"MB:\""))
        }
        _ => Ok(()),
    }
}

/// A change of the schemata of a container that is there.
#[derive(Debug)]
pub(super) struct Schemata<'c> {
    group: &'c Group,
    path: PathBuf,
    /// What is to be written, and what the file has of it.
    lines: Vec<(&'c str, String)>,
}

/// What is written to `schemata`, in the spec's order.
fn lines(config: &IntelRdt) -> impl Iterator<Item = &str> {
    let named = config.l3_cache_schema.iter().chain(&config.mem_bw_schema);
    named.chain(&config.schemata).map(String::as_str).filter(|line| !line.is_empty())
}

/// A class that is there must be what the configuration takes it for.
fn compare(config: &IntelRdt, class: &Path) -> Result<()> {
    let wanted = [
        ("l3CacheSchema", config.l3_cache_schema.as_deref()),
        ("memBwSchema", config.mem_bw_schema.as_deref()),
    ];
    for (name, line) in wanted {
        let Some(line) = line.filter(|line| !line.is_empty()) else { continue };
        let path = class.join("schemata");
        let text = fs::read_to_string(&path).map_err(|e| failed(format!("read {path:?}"), &e))?;
        let is = entries(&text);
        if entries(line).iter().any(|(key, value)| is.get(key) != Some(value)) {
            let rule = format!("{line:?} does not match what {path:?} has");
            return Err(Error::config(format!("linux.intelRdt.{name}"), rule));
        }
    }
    Ok(())
}

/// `L3:0=7f0;1=01f`: values by resource and cache id, without leading zeros,
/// which the kernel writes or not.
fn entries(text: &str) -> BTreeMap<(&str, &str), String> {
    let mut entries = BTreeMap::new();
    for (resource, list) in text.lines().filter_map(|line| line.trim().split_once(':')) {
        for (cache, value) in list.split(';').filter_map(|entry| entry.split_once('=')) {
            let value = value.trim().trim_start_matches('0').to_ascii_lowercase();
            entries.insert((resource.trim(), cache.trim()), value);
        }
    }
    entries
}

fn root() -> Option<PathBuf> {
    mount_point(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
}

/// Whether the machine can divide the resource, `L3` or `MB`.
pub(super) fn has(resource: &str) -> bool {
    root().is_some_and(|root| root.join("info").join(resource).is_dir())
}

/// The first file system of type `resctrl`; proc(5) tells of the format.
fn mount_point(mountinfo: &str) -> Option<PathBuf> {
    let resctrl = |line: &&str| {
        line.split_once(" - ").is_some_and(|(_, tail)| tail.split(' ').next() == Some("resctrl"))
    };
    let line = mountinfo.lines().find(resctrl)?;
    Some(PathBuf::from(line.split(' ').nth(4)?.replace("\\040", " ")))
}

impl Group {
    /// Makes what is missing, and writes the schemata.
    pub(super) fn make(&self, config: &IntelRdt) -> Result<()> {
        if self.made {
            self.mkdir(&self.class)?;
        }
        if let Some(monitor) = &self.monitor {
            self.mkdir(monitor)?;
        }
        let schemata: Vec<_> = lines(config).map(|line| format!("{line}\n")).collect();
        if schemata.is_empty() {
            return Ok(());
        }
        let path = self.class.join("schemata");
        fs::write(&path, schemata.concat()).map_err(|e| {
            self.refused(format!("config.json: linux.intelRdt: write {schemata:?} to {path:?}"), &e)
        })
    }

    /// Checks other schemata for the class, and looks up those it has.
    pub(super) fn change<'c>(&'c self, lines: &'c [(&str, String)]) -> Result<Schemata<'c>> {
        let of = |field| lines.iter().find(|(name, _)| *name == field);
        let text = |field| of(field).map(|(_, line)| line.clone());
        check(&IntelRdt {
            l3_cache_schema: text("l3CacheSchema"),
            mem_bw_schema: text("memBwSchema"),
            ..IntelRdt::default()
        })
        .map_err(Error::without_file)?;
        let path = self.class.join("schemata");
        let text = fs::read_to_string(&path).map_err(|e| failed(format!("read {path:?}"), &e))?;
        let resource = |line: &str| line.split(':').next().map(|name| name.trim().to_owned());
        let old = |line| text.lines().find(|own| resource(own) == resource(line));
        let line = |(_, line): &'c (&str, String)| {
            (line.as_str(), old(line).unwrap_or_default().trim().to_owned())
        };
        Ok(Schemata { lines: lines.iter().map(line).collect(), group: self, path })
    }

    /// Puts process `pid` into the group.
    pub(crate) fn admit(&self, pid: i32) -> Result<()> {
        [Some(&self.class), self.monitor.as_ref()].into_iter().flatten().try_for_each(|group| {
            let tasks = group.join("tasks");
            fs::write(&tasks, pid.to_string()).map_err(|e| {
                self.refused(format!("config.json: linux.intelRdt: write {pid} to {tasks:?}"), &e)
            })
        })
    }

    /// Another process of the container; somebody may have removed the class.
    pub(crate) fn admit_one_more(&self, pid: i32) -> Result<()> {
        if self.class.is_dir() { self.admit(pid) } else { Ok(()) }
    }

    /// Removes what is the container's own.
    pub(crate) fn remove(&self) -> Result<()> {
        let class = (self.made && !self.named).then_some(&self.class);
        [self.monitor.as_ref(), class].into_iter().flatten().try_for_each(rmdir)
    }

    /// Takes back all that was made for a container that has failed.
    pub(super) fn undo(&self) -> Result<()> {
        let class = self.made.then_some(&self.class);
        [self.monitor.as_ref(), class].into_iter().flatten().try_for_each(rmdir)
    }

    fn mkdir(&self, path: &Path) -> Result<()> {
        match fs::create_dir(path) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                Err(self.refused(format!("config.json: linux.intelRdt: make {path:?}"), &e))
            }
            _ => Ok(()),
        }
    }

    /// The kernel says in a file what was wrong.
    fn refused(&self, doing: String, error: &IoError) -> Error {
        let status = fs::read_to_string(self.root.join("info/last_cmd_status"));
        match status.ok().as_deref().map(str::trim).filter(|status| !status.is_empty()) {
            Some(status) => failed(format!("{doing} (last_cmd_status: {status})"), error),
            None => failed(doing, error),
        }
    }
}

impl Schemata<'_> {
    /// What [`Self::set`] would do.
    pub(super) fn foresee(&self) -> impl Iterator<Item = Planned> {
        let file = || "schemata".to_owned();
        self.lines.iter().map(move |(new, old)| Planned {
            file: file(),
            old: old.clone(),
            new: (*new).to_owned(),
            held: (*new).to_owned(),
        })
    }

    /// Writes them; those that were there are back if the kernel refuses one.
    pub(super) fn set(&self) -> Result<()> {
        let lines: Vec<_> = self.lines.iter().map(|(new, _)| format!("{new}\n")).collect();
        fs::write(&self.path, lines.concat()).map_err(|e| {
            let error = self.group.refused(format!("write {lines:?} to {:?}", self.path), &e);
            self.put_back();
            error
        })
    }

    /// Writes what was there.
    pub(super) fn put_back(&self) {
        let old = self.lines.iter().map(|(_, old)| old).filter(|old| !old.is_empty());
        let old: Vec<_> = old.map(|old| format!("{old}\n")).collect();
        if let Err(e) = fs::write(&self.path, old.concat()) {
            log::warn!("cannot set {:?} back to {old:?}: {e}", self.path);
        }
    }
}

fn rmdir(path: &PathBuf) -> Result<()> {
    match fs::remove_dir(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(failed(format!("remove {path:?}"), &e)),
        _ => Ok(()),
    }
}

fn failed(doing: String, error: &IoError) -> Error {
    Error::os(doing, Errno::from_raw_os_error(error.raw_os_error().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemata_are_compared_by_value() {
        let is = entries("    L3:0=007f0;1=1F\nMB:0= 20;1= 70\n");
        assert_eq!(is, entries("L3:1=01f;0=7f0\nMB:1=70;0=20"));
        assert_ne!(is, entries("L3:0=7f0\nMB:0=20;1=70"));
    }

    #[test]
    fn resctrl_is_found_by_its_type() {
        let mounts = "30 24 0:27 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
            41 24 0:33 / /a\\040b rw,relatime shared:9 - resctrl resctrl rw\n";
        assert_eq!(mount_point(mounts), Some(PathBuf::from("/a b")));
        assert_eq!(mount_point("30 24 0:27 / /resctrl rw - tmpfs resctrl rw\n"), None);
    }

    #[test]
    fn l3_comes_first_then_bandwidth_then_the_rest() {
        let config: IntelRdt = serde_json::from_str(
            r#"{"schemata":["L2:0=f"],"memBwSchema":"MB:0=20","l3CacheSchema":"L3:0=f"}"#,
        )
        .unwrap();
        assert_eq!(lines(&config).collect::<Vec<_>>(), ["L3:0=f", "MB:0=20", "L2:0=f"]);
    }
}
