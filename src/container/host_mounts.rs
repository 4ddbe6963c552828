//! The mounts of a container without a mount namespace, which are the host's.
//!
//! All are below its root, which is bound on itself: when that goes, all go.

use std::ffi::OsStr;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::create::{std_error, unescaped};
use crate::error::{Doing, Error, Result};
use crate::plan::{Plan, Switch};
use crate::sys::Errno;
use crate::sys::fs::{CWD, Mode, OFlags, openat};
use crate::sys::mount::{UnmountFlags, unmount};

/// Where they are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HostMounts {
    rootfs: PathBuf,
    /// The mount that the root is in before it is one of its own: by it, and
    /// not by whatever lies there later, is ours found.
    beneath: u64,
}

impl HostMounts {
    /// `None` for a container that leaves the host's mounts alone.
    pub(super) fn locate(plan: &Plan) -> Result<Option<Self>> {
        let rootfs = plan.container.as_ref().map(|new| &new.rootfs);
        let bound = rootfs.filter(|rootfs| rootfs.switch == Switch::Bound);
        let Some(path) = bound.map(|rootfs| &rootfs.path) else { return Ok(None) };
        let doing = || format!("config.json: root.path: open {path:?}");
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let root = openat(CWD, path.as_c_str(), flags, Mode::empty()).doing(doing)?;
        let path = PathBuf::from(OsStr::from_bytes(path.as_bytes()));
        let rootfs = path.canonicalize().map_err(|e| std_error(doing(), &e))?;
        // proc_pid_fdinfo(5), Linux 3.15.
        let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", root.as_raw_fd()));
        let text = text.map_err(|e| std_error(doing(), &e))?;
        let id = text.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
        let beneath = id.ok_or_else(|| Error::os(doing(), Errno::NOSYS))?;
        Ok(Some(Self { rootfs, beneath }))
    }

    /// Unmounts the root, if it was mounted.
    pub(super) fn remove(&self) -> Result<()> {
        let doing = || format!("unmount rootfs {:?}", self.rootfs);
        let text = std::fs::read_to_string("/proc/self/mountinfo");
        let text = text.map_err(|e| std_error(doing(), &e))?;
        let here = |line: &str| -> Option<(u64, u64)> {
            let mut fields = line.split(' ');
            let (id, parent) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            (self.rootfs == Path::new(&unescaped(fields.nth(2)?))).then_some((id, parent))
        };
        let on = |below: u64| text.lines().filter_map(here).find(|(_, parent)| *parent == below);
        let Some((ours, _)) = on(self.beneath) else { return Ok(()) };
        if on(ours).is_some() {
            let why = "another mount, of another container maybe, lies on it".to_owned();
            return Err(Error::Broken { what: doing(), why });
        }
        unmount(&self.rootfs, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).doing(doing)
    }
}
