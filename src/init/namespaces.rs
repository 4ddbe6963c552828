//! Namespaces, and what belongs to them: names, parameters, keys.

use std::os::fd::AsFd;

use super::step::{Done, Step, at};
use crate::plan::namespaces::CLONE_NEWNET;
use crate::plan::{Handles, INIT_NAME, NewContainer, Plan};
use crate::sys::fs::{Mode, OFlags, ResolveFlags};
use crate::sys::process::{
    DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal, setsid, umask,
};
use crate::sys::thread::set_name;
use crate::sys::{Errno, io, keyring, namespace, netdevice, system};

/// Until the runtime has written down that we exist, we die with it. Nor may
/// a process of a joined namespace look into us: our memory and descriptors
/// are the host's until exec.
pub(super) fn die_with_parent() -> Done {
    at(Step::ParentDeath, 0, set_parent_process_death_signal(Some(Signal::KILL)))?;
    at(Step::ParentDeath, 2, set_name(INIT_NAME))?;
    at(Step::ParentDeath, 1, set_dumpable_behavior(DumpableBehavior::NotDumpable))
}

/// The record names us now: whatever becomes of the runtime, `delete` finds
/// us. Should it die before it is told that we are created, telling it fails
/// and ends us.
pub(super) fn outlive_parent() -> Done {
    at(Step::ParentDeath, 3, set_parent_process_death_signal(None))
}

/// A session of its own, and a session keyring: the container must not have
/// the terminal or the keys of who started it.
pub(super) fn session(plan: &Plan) -> Done {
    // Until the program has its own, modes are meant as they are written.
    umask(Mode::empty());
    at(Step::Session, 0, setsid())?;
    let Some(name) = &plan.keyring else { return Ok(()) };
    match keyring::join_session(name) {
        // Kernels without keys, and filters that hide them, have none to leak.
        Err(Errno::NOSYS) => Ok(()),
        Err(errno) => at(Step::Keyring, 0, Err(errno)),
        Ok(serial) => at(Step::Keyring, 1, keyring::allow_search(serial)),
    }
}

/// Enters the namespaces that the plan joins, and readies the new ones.
pub(super) fn enter(plan: &Plan, handles: &Handles) -> Done {
    for (index, (join, fd)) in plan.namespaces.join.iter().zip(&handles.namespaces).enumerate() {
        at(Step::JoinNamespace, index, namespace::setns(fd.as_fd(), join.kind))?;
    }
    if plan.unshare_cgroup != 0 {
        at(Step::CgroupNamespace, 0, namespace::unshare(plan.unshare_cgroup))?;
    }
    if plan.namespaces.new & CLONE_NEWNET != 0 {
        at(Step::Loopback, 0, netdevice::loopback_up())?;
    }
    Ok(())
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
