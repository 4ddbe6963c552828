//! What only cgroup v1 has.
//! <https://docs.kernel.org/admin-guide/cgroup-v1/index.html>

use std::fs;
use std::os::fd::BorrowedFd;

use super::{Entrance, Group, MOUNT_POINT};
use crate::error::{Doing, Error, Result};
use crate::sys::Errno;
use crate::sys::fs::{Mode, OFlags, openat};

/// Whether freezing the container is this hierarchy's work.
pub(super) fn is_freezer(group: &Group) -> bool {
    group.controllers.split(',').any(|name| name == "freezer")
}

/// Whether the devices of the container are this hierarchy's work.
fn is_devices(group: &Group) -> bool {
    group.controllers.split(',').any(|name| name == "devices")
}

/// Opens `tasks`, by which a process enters `path`, which is the group's or below.
pub(super) fn open_tasks(
    directory: BorrowedFd<'_>,
    path: &str,
    group: &Group,
    entrance: &mut Entrance,
) -> Result<()> {
    let tasks = openat(directory, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    let tasks = tasks.doing(|| match path.strip_prefix('/') {
        Some(_) => format!("open cgroup {path:?}"),
        None => format!("open cgroup \"{}/{path}\"", group.path),
    })?;
    if is_devices(group) {
        entrance.devices = Some(tasks);
    } else {
        entrance.tasks.push(tasks);
    }
    Ok(())
}

/// A new cpuset has neither CPUs nor memory nodes, and takes no task in before
/// it has some: it gets its parent's.
/// One that is not `fresh` may have its own.
pub(super) fn fill_cpuset(path: &str, fresh: bool) -> Result<()> {
    let Some((parent, _)) = path.rsplit_once('/') else { return Ok(()) };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if !fresh && !read(path, file)?.is_empty() {
            continue;
        }
        let mut value = read(parent, file)?;
        if value.is_empty() && parent.len() > MOUNT_POINT.len() {
            fill_cpuset(parent, false)?;
            value = read(parent, file)?;
        }
        fs::write(format!("{path}/{file}"), &value)
            .map_err(|e| io(&format!("write {value:?} to"), path, file, &e))?;
    }
    Ok(())
}

fn read(directory: &str, file: &str) -> Result<String> {
    let text = fs::read_to_string(format!("{directory}/{file}"));
    text.map(|text| text.trim().to_owned()).map_err(|e| io("read", directory, file, &e))
}

fn io(act: &str, directory: &str, file: &str, error: &std::io::Error) -> Error {
    let errno = Errno::from_raw_os_error(error.raw_os_error().unwrap_or_default());
    Error::os(format!("{act} cgroup file \"{directory}/{file}\""), errno)
}
