//! What the kernel keeps for the process besides its credentials.

use std::ffi::CStr;

use super::resolve;
use super::step::{Done, Step, at};
use crate::plan::{Handles, Plan};
use crate::sys::fs::{OFlags, ResolveFlags};
use crate::sys::{Errno, Result, io, scheduling};
use std::os::fd::AsFd;

/// As many CPUs as a kernel can be built for.
const ALL_CPUS: [u64; 8192 / 64] = [u64::MAX; 8192 / 64];

/// The CPUs of an `exec`ed process until it is in the container's cgroup.
pub(super) fn initial_affinity(plan: &Plan) -> Done {
    match &plan.process.attributes.affinity.initial {
        Some(cpus) if plan.container.is_none() => {
            at(Step::Affinity, 0, scheduling::sched_setaffinity(cpus))
        }
        _ => Ok(()),
    }
}

/// And from then on, for a process that is brought into a container.
pub(super) fn affinity(plan: &Plan) -> Done {
    let affinity = &plan.process.attributes.affinity;
    match &affinity.last {
        _ if plan.container.is_some() => {}
        Some(cpus) => at(Step::Affinity, 1, scheduling::sched_setaffinity(cpus))?,
        None if affinity.initial.is_some() => {}
        None => all_cpus(),
    }
    Ok(())
}

/// Where nothing is asked for, the process may run on all CPUs that the cpuset
/// has, now or later, whatever the caller is pinned to. Else it stays as it was:
/// that is not worth a container.
pub(super) fn all_cpus() {
    let _ = scheduling::sched_setaffinity(&ALL_CPUS);
}

/// Scheduling policy, I/O priority, execution domain and memory policy, while
/// the runtime's privileges are still there.
pub(super) fn set(plan: &Plan) -> Done {
    let attributes = &plan.process.attributes;
    if let Some(attr) = &attributes.scheduler {
        at(Step::Scheduler, 0, scheduling::sched_setattr(attr))?;
    }
    if let Some(priority) = attributes.io_priority {
        at(Step::IoPriority, 0, scheduling::ioprio_set(priority))?;
    }
    if let Some(domain) = attributes.personality {
        at(Step::Personality, 0, scheduling::personality(domain))?;
    }
    if let Some(policy) = &attributes.memory_policy {
        at(Step::MemoryPolicy, 0, scheduling::set_mempolicy(policy.mode, &policy.nodes))?;
    }
    Ok(())
}

/// The `SELinux` context of keys; the session keyring is made after it.
pub(super) fn label_keys(plan: &Plan, handles: &Handles) -> Done {
    let Some(label) = &plan.process.labels.keys else { return Ok(()) };
    at(Step::KeyLabel, 0, write(handles, c"self/attr/keycreate", label.as_c_str()))
}

/// Profile and context of what is executed next.
pub(super) fn label_exec(plan: &Plan, handles: &Handles) -> Done {
    let labels = &plan.process.labels;
    if let Some(profile) = &labels.apparmor {
        let written = match write(handles, c"self/attr/apparmor/exec", profile) {
            // Before Linux 5.1.
            Err(Errno::NOENT) => write(handles, c"self/attr/exec", profile),
            other => other,
        };
        at(Step::ApparmorProfile, 0, written)?;
    }
    if let Some(label) = &labels.selinux {
        at(Step::SelinuxLabel, 0, write(handles, c"self/attr/exec", label))?;
    }
    Ok(())
}

/// By the host's procfs, opened before the clone: what the container has at
/// `/proc` may be an image's (CVE-2019-16884, CVE-2025-52881).
fn write(handles: &Handles, path: &CStr, text: &CStr) -> Result<()> {
    let flags = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
    let file = resolve::below(handles.proc.as_fd(), path, OFlags::WRONLY, flags)?;
    io::write(&file, text.to_bytes()).map(drop)
}
