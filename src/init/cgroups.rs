//! Being in the container's cgroups before anything can be forked.

use std::os::fd::AsFd;

use super::Report;
use super::step::{Done, Step, at};
use crate::plan::Handles;
use crate::sys::io;

/// Writes the child into each cgroup v1 hierarchy; on cgroup v2 it was born in
/// its place, or waits to be put there.
///
/// A thread that writes `0` to `tasks` moves itself without taking the
/// kernel's `cgroup_threadgroup_rwsem`, which every other way of attaching
/// takes for writing, at the price of an RCU grace period.
pub(super) fn join(handles: &Handles, report: &Report) -> Done {
    if handles.outside {
        report.wait(Step::Cgroup)?;
    }
    for (index, tasks) in handles.tasks.iter().enumerate() {
        at(Step::Cgroup, index, io::write(tasks.as_fd(), b"0"))?;
    }
    Ok(())
}
