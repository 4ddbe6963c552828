//! How this host has its cgroups mounted.

use std::ffi::CString;

use super::{Group, MOUNT_POINT};
use crate::error::{Doing, Error, Result};
use crate::plan::mounts::{self, CgroupView};
use crate::sys::Errno;
use crate::sys::fs::statfs;

const CGROUP_SUPER_MAGIC: u64 = 0x0027_e0eb;
const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    /// Mount point.
    pub(crate) mount: String,
    /// v1 controllers or `name=…`, with commas; empty for v2.
    pub(crate) controllers: String,
    /// The runtime's own cgroup in it.
    pub(crate) own: String,
}

impl Hierarchy {
    /// Without a trailing slash: the root is the empty string.
    pub(crate) fn parent_of_own(&self) -> &str {
        self.own.rsplit_once('/').map_or("", |(parent, _)| parent)
    }
}

/// All hierarchies that are mounted where they are expected: `/proc/self/cgroup`
/// lists them, and their mount points are named after their controllers.
pub(super) fn hierarchies() -> Result<Vec<Hierarchy>> {
    if magic(MOUNT_POINT) == Some(CGROUP2_SUPER_MAGIC) {
        let text = own_cgroups()?;
        let own = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
        return Ok(vec![Hierarchy {
            mount: MOUNT_POINT.to_owned(),
            controllers: String::new(),
            own: own.to_owned(),
        }]);
    }
    let text = own_cgroups()?;
    Ok(text.lines().filter_map(parse).filter(is_mounted).collect())
}

/// Where the v2 hierarchy is mounted.
pub(super) fn unified_mount() -> String {
    match magic(MOUNT_POINT) {
        Some(CGROUP2_SUPER_MAGIC) => MOUNT_POINT.to_owned(),
        _ => format!("{MOUNT_POINT}/unified"),
    }
}

fn own_cgroups() -> Result<String> {
    std::fs::read_to_string("/proc/self/cgroup").map_err(|e| {
        let errno = Errno::from_raw_os_error(e.raw_os_error().unwrap_or_default());
        Error::os("read \"/proc/self/cgroup\"", errno)
    })
}

/// `4:memory:/path`, cgroups(7).
fn parse(line: &str) -> Option<Hierarchy> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, own) = rest.split_once(':')?;
    let name = match controllers {
        "" => "unified",
        named => named.strip_prefix("name=").unwrap_or(named),
    };
    Some(Hierarchy {
        mount: format!("{MOUNT_POINT}/{name}"),
        controllers: controllers.to_owned(),
        own: own.to_owned(),
    })
}

fn is_mounted(hierarchy: &Hierarchy) -> bool {
    let wanted =
        if hierarchy.controllers.is_empty() { CGROUP2_SUPER_MAGIC } else { CGROUP_SUPER_MAGIC };
    magic(&hierarchy.mount) == Some(wanted)
}

fn magic(path: &str) -> Option<u64> {
    statfs(path).ok().map(|fs| fs.f_type.cast_unsigned())
}

/// What a `cgroup` mount of the container shows.
pub(super) fn view(groups: &[Group]) -> Result<CgroupView> {
    let c_string =
        |text: &str| CString::new(text).map_err(|_| Errno::INVAL).doing(|| format!("use {text:?}"));
    match groups {
        [] => Ok(CgroupView::None),
        [group] if group.is_v2() => Ok(CgroupView::Unified(c_string(&group.path)?)),
        groups => {
            let mut view = Vec::with_capacity(groups.len());
            let mut links = Vec::new();
            for group in groups {
                let name = match group.controllers.as_str() {
                    "" => "unified",
                    named => named.strip_prefix("name=").unwrap_or(named),
                };
                view.push(mounts::Hierarchy {
                    name: c_string(name)?,
                    source: c_string(&group.path)?,
                    controllers: c_string(&group.controllers)?,
                });
                // `cpu,cpuacct` is also found by each of its names.
                for part in name.split(',').filter(|part| *part != name) {
                    links.push((c_string(name)?, c_string(part)?));
                }
            }
            Ok(CgroupView::Legacy { hierarchies: view, links })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_self_cgroup() {
        let line = |text: &str| parse(text).map(|h| (h.mount, h.controllers, h.own));
        let s = |a: &str, b: &str, c: &str| Some((a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(line("4:cpu,cpuacct:/a"), s("/sys/fs/cgroup/cpu,cpuacct", "cpu,cpuacct", "/a"));
        assert_eq!(line("1:name=systemd:/"), s("/sys/fs/cgroup/systemd", "name=systemd", "/"));
        assert_eq!(line("0::/x/y"), s("/sys/fs/cgroup/unified", "", "/x/y"));
        assert_eq!(line("nonsense"), None);
    }

    #[test]
    fn merged_hierarchies_are_found_by_each_name() {
        let groups =
            [Group { path: "/g".into(), controllers: "cpu,cpuacct".into(), made: 0, known: 0 }];
        let CgroupView::Legacy { links, .. } = view(&groups).unwrap() else { panic!() };
        let names: Vec<_> =
            links.iter().map(|(to, name)| (to.to_str().unwrap(), name.to_str().unwrap())).collect();
        assert_eq!(names, [("cpu,cpuacct", "cpu"), ("cpu,cpuacct", "cpuacct")]);
    }
}
