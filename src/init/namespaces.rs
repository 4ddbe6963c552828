//! Namespaces, and what belongs to them: names, parameters, keys.

use std::os::fd::{AsFd, OwnedFd};

use super::Report;
use super::step::{Done, Step, at, failure};
use crate::plan::namespaces::{CLONE_NEWNET, CLONE_NEWTIME, CLONE_NEWUSER, Join};
use crate::plan::{Handles, INIT_NAME, NewContainer, Plan, User};
use crate::sys::fs::{CWD, Gid, Mode, OFlags, ResolveFlags, Uid, openat};
use crate::sys::process::{
    DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal, setsid, umask,
};
use crate::sys::thread::{set_name, set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use crate::sys::{Errno, io, keyring, namespace, netdevice, socket, system};

/// Until the runtime has written down that we exist, we die with it.
pub(super) fn die_with_parent() -> Done {
    at(Step::ParentDeath, 0, set_parent_process_death_signal(Some(Signal::KILL)))?;
    at(Step::ParentDeath, 2, set_name(INIT_NAME))
}

/// An ordinary user can only write the ids of a process that it may look into;
/// then this comes right after.
pub(super) fn hide_unless_mapped_by_a_user(plan: &Plan) -> Done {
    if plan.privileged || plan.namespaces.user == User::Own { hide() } else { Ok(()) }
}

/// The processes of a joined pid namespace see who is born in it at once, with
/// descriptors of the host (CVE-2016-9962); so the parent of init hides, and
/// init is born hidden. Offsets of a new time namespace are still to be
/// written by who may look into himself.
pub(super) fn hide_from_joined(plan: &Plan) -> Done {
    if plan.namespaces.time_offsets.is_some() { Ok(()) } else { hide() }
}

fn hide() -> Done {
    at(Step::ParentDeath, 1, set_dumpable_behavior(DumpableBehavior::NotDumpable))
}

/// The record names us now: whatever becomes of the runtime, `delete` finds
/// us. Should it die before it is told that we are created, telling it fails
/// and ends us.
pub(super) fn outlive_parent() -> Done {
    at(Step::ParentDeath, 3, set_parent_process_death_signal(None))
}

/// A session of its own: the container must not have the terminal of who
/// started it.
pub(super) fn session() -> Done {
    // Until the program has its own, modes are meant as they are written.
    umask(Mode::empty());
    at(Step::Session, 0, setsid()).map(drop)
}

/// A session keyring: the container must not have the keys of who started it.
pub(super) fn keyring(plan: &Plan) -> Done {
    let Some(name) = &plan.keyring else { return Ok(()) };
    match keyring::join_session(name) {
        // Kernels without keys, and filters that hide them, have none to leak.
        Err(Errno::NOSYS) => Ok(()),
        Err(errno) => at(Step::Keyring, 0, Err(errno)),
        Ok(serial) => at(Step::Keyring, 1, keyring::allow_search(serial)),
    }
}

/// Enters the namespaces that the plan joins, and readies the new ones.
pub(super) fn enter(plan: &Plan, handles: &mut Handles, report: &Report) -> Done {
    if !plan.namespaces.stepping_stone {
        join_all(plan, handles)?;
    }
    if plan.namespaces.user != User::Own {
        of_user(plan, handles, report)?;
    }
    if plan.namespaces.makes(CLONE_NEWNET) {
        at(Step::Loopback, 0, netdevice::loopback_up())?;
    }
    Ok(())
}

/// Those of the host are entered with its root's rights, before the user
/// namespace; what refuses them belongs to that, and is entered after it.
pub(super) fn join_all(plan: &Plan, handles: &Handles) -> Done {
    let joins = || plan.namespaces.join.iter().zip(&handles.namespaces).enumerate();
    if !matches!(plan.namespaces.user, User::Joined(_)) {
        return joins().try_for_each(|(index, (join, fd))| {
            at(Step::JoinNamespace, index, namespace::setns(fd.as_fd(), join.kind))
        });
    }
    // In the user namespace that may be denied, and they are the host's.
    if plan.privileged && !plan.rootless {
        at(Step::BecomeRoot, 0, set_thread_groups(&[]))?;
    }
    let mut refused = 0;
    for (index, (join, fd)) in joins().filter(|(_, (join, _))| join.kind != CLONE_NEWUSER) {
        match namespace::setns(fd.as_fd(), join.kind) {
            Err(Errno::PERM) => refused |= join.kind,
            other => at(Step::JoinNamespace, index, other)?,
        }
    }
    let enter = |(index, (join, fd)): (usize, (&Join, &OwnedFd))| {
        at(Step::JoinNamespace, index, namespace::setns(fd.as_fd(), join.kind))
    };
    joins().filter(|(_, (join, _))| join.kind == CLONE_NEWUSER).try_for_each(enter)?;
    joins().filter(|(_, (join, _))| join.kind & refused != 0).try_for_each(enter)
}

/// Becomes root of the user namespace and makes the others in its name.
fn of_user(plan: &Plan, handles: &mut Handles, report: &Report) -> Done {
    let planned = &plan.namespaces;
    if matches!(planned.user, User::New(_)) {
        report.wait(Step::UserNamespace)?;
    }
    if planned.unshare & CLONE_NEWTIME != 0 {
        time_namespace(plan, handles)?;
    }
    // Where setgroups(2) is denied, the groups are the user's own.
    match set_thread_groups(&[]) {
        Err(Errno::PERM) => {}
        other => at(Step::BecomeRoot, 0, other)?,
    }
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    at(Step::BecomeRoot, 1, set_thread_res_gid(gid, gid, gid))?;
    at(Step::BecomeRoot, 2, set_thread_res_uid(uid, uid, uid))?;
    hide()?;
    let rest = planned.unshare & !CLONE_NEWTIME;
    if rest != 0 {
        at(Step::Unshare, 0, namespace::unshare(rest))?;
    }
    // A change of ids clears it.
    at(Step::ParentDeath, 0, set_parent_process_death_signal(Some(Signal::KILL)))?;
    // The parent opens them while the namespaces are made.
    if plan.opens_sources { receive_sources(plan, handles, report) } else { Ok(()) }
}

/// The root first, then what the mounts need, in their order.
fn receive_sources(plan: &Plan, handles: &mut Handles, report: &Report) -> Done {
    let receive = |index: usize| {
        let (_, fd) =
            at(Step::UserNamespace, index, socket::receive_fd(report.0.as_fd(), &mut [0; 1]))?;
        fd.map_or_else(|| Err(failure(Step::UserNamespace, index, Errno::PIPE)), Ok)
    };
    handles.sources.root = Some(receive(0)?);
    for (index, mount) in plan.mounts().iter().enumerate() {
        if mount.needs_source()
            && let Some(place) = handles.sources.mounts.get_mut(index)
        {
            *place = Some(receive(index)?);
        }
    }
    Ok(())
}

/// Makes the time namespace, sets its offsets while nobody is in it, enters.
fn time_namespace(plan: &Plan, handles: &Handles) -> Done {
    at(Step::Unshare, 1, namespace::unshare(CLONE_NEWTIME))?;
    let open = |path, flags| {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV;
        super::resolve::below(handles.proc.as_fd(), path, flags, resolve)
    };
    if let Some(offsets) = &plan.namespaces.time_offsets {
        let file = at(Step::TimeOffsets, 0, open(c"self/timens_offsets", OFlags::WRONLY))?;
        at(Step::TimeOffsets, 1, io::write(&file, offsets.as_bytes()))?;
    }
    let path = c"/proc/self/ns/time_for_children";
    let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let file = at(Step::TimeOffsets, 2, file)?;
    at(Step::TimeOffsets, 3, namespace::setns(file.as_fd(), CLONE_NEWTIME))
}

/// Host and domain name.
pub(super) fn set_names(plan: &NewContainer) -> Done {
    if let Some(name) = &plan.hostname {
        at(Step::Hostname, 0, system::sethostname(name.to_bytes()))?;
    }
    if let Some(name) = &plan.domainname {
        at(Step::Domainname, 0, system::setdomainname(name.to_bytes()))?;
    }
    Ok(())
}

/// Kernel parameters. procfs shows those of the namespaces of who opens the
/// file, so the host's procfs serves, and no image can stand in for it.
pub(super) fn sysctl(plan: &NewContainer, handles: &Handles) -> Done {
    for (index, write) in plan.sysctl.iter().enumerate() {
        let flags = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let file = super::resolve::below(handles.proc.as_fd(), &write.file, OFlags::WRONLY, flags);
        let file = at(Step::Sysctl, index, file)?;
        at(Step::Sysctl, index, io::write(&file, &write.value))?;
    }
    Ok(())
}
