//! What only cgroup v1 has.
//! <https://docs.kernel.org/admin-guide/cgroup-v1/index.html>

use std::fs;

use super::{Group, MOUNT_POINT};
use crate::error::{Error, Result};
use crate::sys::Errno;

/// Whether freezing the container is this hierarchy's work.
pub(super) fn is_freezer(group: &Group) -> bool {
    group.controllers.split(',').any(|name| name == "freezer")
}

/// A new cpuset has neither CPUs nor memory nodes, and takes no task in before
/// it has some: it gets its parent's.
pub(super) fn fill_cpuset(path: &str) -> Result<()> {
    let Some((parent, _)) = path.rsplit_once('/') else { return Ok(()) };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if !read(path, file)?.is_empty() {
            continue;
        }
        let mut value = read(parent, file)?;
        if value.is_empty() && parent.len() > MOUNT_POINT.len() {
            fill_cpuset(parent)?;
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
