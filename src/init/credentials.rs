//! From the runtime's privileges to the program's.

use std::os::fd::{AsFd, BorrowedFd};

use super::step::{Done, Step, at, failure};
use crate::plan::credentials::Capabilities;
use crate::plan::{Handles, Plan, Process, User};
use crate::sys::fs::{Gid, Mode, OFlags, ResolveFlags, Uid, fchown, fstat, major, minor};
use crate::sys::process::{Resource, Rlimit, chdir, getrlimit, setrlimit, umask};
use crate::sys::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};
use crate::sys::{Errno, Result, fd, io};

/// Capability numbers are below this.
const CAPABILITIES: u32 = 64;

/// `/proc/self/oom_score_adj`, by the host's procfs; left alone when absent.
pub(super) fn oom_score_adj(plan: &Plan, handles: &Handles) -> Done {
    let Some(score) = &plan.process.oom_score_adj else { return Ok(()) };
    let flags = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
    let file =
        super::resolve::below(handles.proc.as_fd(), c"self/oom_score_adj", OFlags::WRONLY, flags);
    let file = at(Step::OomScoreAdj, 0, file)?;
    match io::write(&file, score.as_bytes()) {
        // A user may not go below what it has.
        Err(Errno::ACCESS) if plan.rootless => Ok(()),
        other => at(Step::OomScoreAdj, 1, other).map(drop),
    }
}

/// Limits, ids, capabilities and the working directory, in the order in which
/// each can still be set.
pub(super) fn drop_privileges(plan: &Plan) -> Done {
    let who = &plan.process.credentials;
    for (index, (resource, limit)) in plan.process.rlimits.iter().enumerate() {
        let hooks = plan.container.as_ref().is_some_and(|new| !new.start_container.is_empty());
        let now = getrlimit(*resource).maximum.zip(limit.maximum);
        let limit = if hooks && *resource == Resource::Fsize {
            let larger = now.map(|(now, wanted)| now.max(wanted));
            Rlimit { current: larger, maximum: larger }
        } else {
            *limit
        };
        at(Step::Rlimit, index, setrlimit(*resource, limit))?;
    }
    if who.no_new_privileges {
        at(Step::NoNewPrivileges, 0, set_no_new_privs(true))?;
    }
    own_stdio(who.uid);
    // The directory may be open to root alone, or to the user alone.
    let entered = chdir(plan.process.cwd.as_c_str());
    at(Step::Bounding, 0, limit_bounding(who.capabilities.bounding))?;
    at(Step::Capabilities, 0, set_keep_capabilities(true))?;
    become_user(plan)?;
    if entered.is_err() {
        at(Step::Chdir, 0, chdir(plan.process.cwd.as_c_str()))?;
    }
    inside_root()?;
    umask(Mode::from_raw_mode(who.umask));
    let mut until_confined = who.capabilities;
    until_confined.effective |= admin_for_filter(&plan.process);
    until_confined.permitted |= admin_for_filter(&plan.process);
    at(Step::Capabilities, 1, set_capabilities(None, sets(until_confined)))?;
    raise_ambient(who.capabilities.ambient)
}

/// The size of files, which hooks that run as the program does are still to be
/// spared: what they read and say are files, too.
pub(super) fn limit_file_size(plan: &Plan) -> Done {
    for (index, (resource, limit)) in plan.process.rlimits.iter().enumerate() {
        if *resource == Resource::Fsize {
            at(Step::Rlimit, index, setrlimit(*resource, *limit))?;
        }
    }
    Ok(())
}

/// `CAP_SYS_ADMIN` where init keeps it to load the filter, and gives it up
/// then; else none. It is of no use to others: init hides from them.
fn admin_for_filter(process: &Process) -> u64 {
    let who = &process.credentials;
    let needed = process.filter.is_some() && !who.no_new_privileges;
    if needed { CapabilitySet::SYS_ADMIN.bits() } else { 0 }
}

/// The capabilities as the program is to have them, once the filter is there.
pub(super) fn give_up_admin(process: &Process) -> Result<()> {
    let capabilities = process.credentials.capabilities;
    let has = capabilities.effective & capabilities.permitted;
    if admin_for_filter(process) & !has == 0 {
        return Ok(());
    }
    set_capabilities(None, sets(capabilities))
}

fn become_user(plan: &Plan) -> Done {
    let who = &plan.process.credentials;
    let (uid, gid) = (Uid::from_raw(who.uid), Gid::from_raw(who.gid));
    match set_thread_groups(&who.groups) {
        // Denied in this user namespace (`/proc/PID/setgroups`), which may be
        // one that the runtime itself is in.
        Err(Errno::PERM)
            if who.groups.is_empty() && (plan.rootless || plan.namespaces.user != User::Own) => {}
        other => at(Step::Groups, 0, other)?,
    }
    at(Step::Ids, 0, set_thread_res_gid(gid, gid, gid))?;
    at(Step::Ids, 1, set_thread_res_uid(uid, uid, uid))
}

/// A directory of the host that somebody left open would be a way out: its
/// path is not below our root, and the kernel says so (CVE-2024-21626).
fn inside_root() -> Done {
    let mut path = [0u8; 4096];
    match fd::working_directory(&mut path) {
        Ok(path) if path.first() == Some(&b'/') => Ok(()),
        // Removed since, or too deep to be named; it is not the host's.
        Err(Errno::RANGE) => Ok(()),
        Ok(_) | Err(Errno::NOENT) => Err(failure(Step::OutsideRoot, 0, Errno::NOENT)),
        Err(errno) => Err(failure(Step::Chdir, 1, errno)),
    }
}

/// The program must be able to reopen its standard streams, as `/dev/stderr`
/// for one. What cannot be given away is left.
fn own_stdio(uid: u32) {
    let give = |stream: BorrowedFd<'_>| {
        let Ok(stat) = fstat(stream) else { return };
        let is_null = (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3);
        if stat.st_uid != uid && !is_null {
            let _ = fchown(stream, Some(Uid::from_raw(uid)), None);
        }
    };
    (0..3).filter_map(|number| fd::inherited(number).ok()).for_each(give);
}

/// Drops from the bounding set all that is not in `keep`. The kernel says
/// where the numbers end.
fn limit_bounding(keep: u64) -> Result<()> {
    for number in 0..CAPABILITIES {
        if keep & 1 << number != 0 {
            continue;
        }
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match remove_capability_from_bounding_set(capability) {
            Err(Errno::INVAL) => return Ok(()),
            // Without CAP_SETPCAP nothing can be dropped, nor need what is
            // not there.
            Err(Errno::PERM) if capability_is_in_bounding_set(capability) == Ok(false) => {}
            other => other?,
        }
    }
    Ok(())
}

fn sets(capabilities: Capabilities) -> CapabilitySets {
    CapabilitySets {
        effective: CapabilitySet::from_bits_retain(capabilities.effective),
        permitted: CapabilitySet::from_bits_retain(capabilities.permitted),
        inheritable: CapabilitySet::from_bits_retain(capabilities.inheritable),
    }
}

fn raise_ambient(ambient: u64) -> Done {
    at(Step::Ambient, 0, clear_ambient_capability_set())?;
    for number in (0..CAPABILITIES).filter(|number| ambient & 1 << number != 0) {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        at(Step::Ambient, 1, configure_capability_in_ambient_set(capability, true))?;
    }
    Ok(())
}
