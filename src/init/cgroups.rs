//! Being in the container's cgroups before anything can be forked.

use std::os::fd::AsFd;

use super::Report;
use super::step::{Done, Step, at};
use crate::plan::{Handles, Plan};
use crate::sys::io;

/// Writes the child into each cgroup v1 hierarchy; on cgroup v2 it was born in
/// its place, or waits to be put there.
///
/// A thread that writes `0` to `tasks` moves itself without taking the
/// kernel's `cgroup_threadgroup_rwsem`, which every other way of attaching
/// takes for writing, at the price of an RCU grace period.
pub(super) fn join(plan: &Plan, handles: &mut Handles, report: &Report) -> Done {
    if handles.outside {
        report.wait(Step::Cgroup)?;
    }
    for (index, tasks) in handles.tasks.iter().enumerate() {
        at(Step::Cgroup, index, io::write(tasks.as_fd(), b"0"))?;
    }
    if plan.container.as_ref().is_some_and(|new| !new.pause_after_mounts) {
        return Ok(());
    }
    join_devices(handles)
}

/// The same for v1's devices, once the runtime has written their rules, unless
/// the child waits for it to begin with that. The first of the rules denies
/// everything, the making of nodes too, so the child makes the container's
/// `/dev` outside, while the runtime writes.
pub(super) fn join_devices(handles: &mut Handles) -> Done {
    let index = handles.tasks.len();
    handles
        .devices
        .take()
        .map_or(Ok(()), |tasks| at(Step::Cgroup, index, io::write(tasks.as_fd(), b"0")).map(drop))
}
