//! Being in the container's cgroups before anything can be forked.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::Report;
use super::attributes;
use super::step::{Done, Step, at, failure};
use crate::plan::{Handles, NewContainer};
use crate::sys::socket::MAX_FDS;
use crate::sys::{Errno, io, namespace};

/// On cgroup v2 the child was born in its place, or waits to be put there. With
/// the files of v1 at hand, it enters those, too.
pub(super) fn join(handles: &mut Handles, report: &Report) -> Done {
    if handles.outside {
        report.wait(Step::Cgroup)?;
    }
    for (index, tasks) in handles.tasks.iter().enumerate() {
        enter(index, tasks.as_fd())?;
    }
    let index = handles.tasks.len();
    enter_devices(index, &mut handles.devices)
}

/// A thread that writes `0` to `tasks` moves itself without taking the
/// kernel's `cgroup_threadgroup_rwsem`, which every other way of attaching
/// takes for writing, at the price of an RCU grace period.
fn enter(index: usize, tasks: BorrowedFd<'_>) -> Done {
    at(Step::Cgroup, index, io::write(tasks, b"0")).map(drop)
}

fn enter_devices(index: usize, devices: &mut Option<OwnedFd>) -> Done {
    devices.take().map_or(Ok(()), |tasks| enter(index, tasks.as_fd()))
}

/// A new container's way into cgroup v1, whose directories the runtime makes
/// while the child makes the mounts that do not need them.
pub(super) struct Entering<'h> {
    /// Where the files come from, if there are any.
    report: Option<&'h Report>,
    /// The file of devices is left here.
    devices: &'h mut Option<OwnedFd>,
    /// Whether that is entered, too, and not once its rules are complete. The
    /// first of them denies everything, the making of nodes too, so the child
    /// makes the container's `/dev` outside, while the runtime writes.
    all: bool,
    unshare: u64,
}

impl<'h> Entering<'h> {
    pub(super) fn new(
        plan: &NewContainer,
        follow: bool,
        devices: &'h mut Option<OwnedFd>,
        report: &'h Report,
    ) -> Self {
        let report = follow.then_some(report);
        Self { report, devices, all: plan.pause_after_mounts, unshare: plan.unshare_cgroup }
    }

    /// Enters the cgroups, and then a namespace that has them as its roots.
    pub(super) fn enter(self) -> Done {
        if let Some(report) = self.report {
            let mut files = [const { None }; MAX_FDS];
            let (last, mut index) = (report.wait_for_fds(Step::Cgroup, &mut files)?, 0);
            for file in files.into_iter().flatten() {
                if index < last {
                    enter(index, file.as_fd())?;
                } else {
                    *self.devices = Some(file);
                }
                index += 1;
            }
            if index < last {
                return Err(failure(Step::Cgroup, index, Errno::PIPE));
            }
            if self.all {
                enter_devices(last, self.devices)?;
            }
        }
        attributes::all_cpus();
        if self.unshare != 0 {
            at(Step::CgroupNamespace, 0, namespace::unshare(self.unshare))?;
        }
        Ok(())
    }
}

/// Enters v1's devices, whose rules the runtime has written.
pub(super) fn join_devices(handles: &mut Handles) -> Done {
    enter_devices(0, &mut handles.devices)
}
