//! The container's init: all that runs between clone and exec.
//!
//! This is the child's code, and only it. It has the plan in its copy of the
//! parent's memory, makes system calls, and reports by eight-byte messages.
//! It allocates nothing, formats nothing and never returns: [`run`] ends in
//! `execve` or `_exit`.

#![expect(clippy::result_large_err, reason = "a failure is made once, on the way out")]

mod attributes;
mod cgroup_mounts;
mod cgroups;
mod console;
mod copy_up;
mod credentials;
mod descriptors;
mod devices;
mod exec;
mod hooks;
mod mounts;
mod namespaces;
mod protect;
pub(crate) mod resolve;
mod rootfs;
mod seccomp;
pub(crate) mod step;
mod wait;

use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::link::wire::{self, MAX_TEXT, Message};
use crate::plan::process::Terminal;
use crate::plan::{Handles, NewContainer, Plan, Process};
use crate::sys::clone::{CLONE_PARENT, clone_child};
use crate::sys::process::{Signal, set_parent_process_death_signal};
use crate::sys::socket::MAX_FDS;
use crate::sys::{self, Errno, fd, memory, signal, socket};
use step::{Done, Failure, Step, at, failure};

/// Whom the init reports to: the command that made it, later `start`.
#[derive(Debug)]
pub(crate) struct Report(pub(crate) OwnedFd);

impl Report {
    /// Tells that `step` is done.
    fn done(&self, step: Step) -> Done {
        self.done_with(step, 0)
    }

    /// Tells that `step` is done, and a number.
    fn done_with(&self, step: Step, item: u16) -> Done {
        let message = Message { step: step as u16, item, errno: 0 };
        at(step, 0, wire::write(self.0.as_fd(), message, b""))
    }

    /// Waits for the answer to `step`. The end of the stream is not one.
    fn wait(&self, step: Step) -> Done {
        match at(step, 0, wire::receive(self.0.as_fd(), &mut [0; MAX_TEXT]))? {
            Some((message, _)) if message.step == step as u16 => Ok(()),
            _ => Err(failure(step, 0, Errno::PIPE)),
        }
    }

    /// The same for an answer with descriptors: the number that came with it.
    fn wait_for_fds(&self, step: Step, fds: &mut [Option<OwnedFd>; MAX_FDS]) -> Done<usize> {
        match at(step, 0, wire::receive_fds(self.0.as_fd(), fds))? {
            Some(message) if message.step == step as u16 => Ok(message.item.into()),
            _ => Err(failure(step, 0, Errno::PIPE)),
        }
    }

    fn failed(&self, failure: &Failure) {
        let message =
            Message { step: failure.step as u16, item: failure.item, errno: failure.errno };
        // If nobody listens any more, nobody is left to be told.
        let _ = wire::write(self.0.as_fd(), message, failure.text.as_bytes());
    }
}

/// Runs in the child; ends by exec or exit.
pub(crate) fn run(plan: &mut Plan, handles: &mut Handles, mut report: Report) -> ! {
    let Err(failure) = sequence(plan, handles, &mut report);
    report.failed(&failure);
    sys::exit(1)
}

/// Runs in the process that enters the namespaces for the init, and clones it.
pub(crate) fn stone(
    plan: &mut Plan,
    handles: &mut Handles,
    report: &Report,
    parent: &OwnedFd,
    cgroup: Option<BorrowedFd<'_>>,
) -> ! {
    let joined = at(Step::ParentDeath, 0, set_parent_process_death_signal(Some(Signal::KILL)))
        // A user may write it only as long as he may look into us.
        .and_then(|()| credentials::oom_score_adj(plan, handles))
        .and_then(|()| namespaces::join_all(plan, handles))
        .and_then(|()| namespaces::hide_from_joined(plan));
    if let Err(failure) = joined {
        report.failed(&failure);
        sys::exit(1)
    }
    let new = plan.namespaces.new;
    let socket = report.0.as_fd();
    let init = clone_child(new | CLONE_PARENT, cgroup, |born| {
        handles.outside = !born;
        let report = fd::move_above(socket, 3).map(Report);
        sys::fd::close_copy(parent.as_fd());
        match report {
            Ok(report) => run(plan, handles, report),
            Err(_) => sys::exit(1),
        }
    });
    let told = at(Step::SteppingStone, 0, init).and_then(|init| {
        let born = [u8::from(init.born_in_cgroup)];
        at(Step::SteppingStone, 1, socket::send_fd(parent.as_fd(), &born, init.pidfd.as_fd()))
    });
    if let Err(failure) = told {
        report.failed(&failure);
    }
    sys::exit(0)
}

/// The child's part of the spec's lifecycle, in its order; `exec` goes the same
/// way without what is only made for a new container.
/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/runtime.md#lifecycle>
fn sequence(plan: &mut Plan, handles: &mut Handles, report: &mut Report) -> Done<Infallible> {
    attributes::initial_affinity(plan)?;
    cgroups::join(handles, report)?;
    attributes::affinity(plan)?;
    namespaces::die_with_parent()?;
    attributes::label_keys(plan, handles)?;
    if !plan.namespaces.stepping_stone {
        credentials::oom_score_adj(plan, handles)?;
    }
    namespaces::hide_unless_mapped_by_a_user(plan)?;
    namespaces::session()?;
    // The runtime makes the cgroups now: here it costs nothing.
    signal::default_all();
    namespaces::enter(plan, handles, report)?;
    namespaces::keyring(plan)?;
    let terminal = match &mut plan.container {
        Some(new) => build(new, plan.process.terminal, handles, report)?,
        None => {
            rootfs::enter(handles)?;
            console::open(plan.process.terminal, handles)?
        }
    };

    report.wait(Step::Recorded)?;
    cgroups::join_devices(handles)?;
    namespaces::outlive_parent()?;
    attributes::set(plan)?;
    attributes::label_exec(plan, handles)?;
    // Before the limits: a small one leaves no room for renumbering.
    let start = descriptors::hand_over(plan, handles, report, terminal)?;
    credentials::drop_privileges(plan)?;
    exec::find_home(plan)?;
    let program = exec::look_up(plan)?;
    descriptors::hide()?;
    seccomp::meet_agent(&plan.process, report)?;
    if let (Some(new), Some(start)) = (&plan.container, start) {
        wait_for_start(new, &plan.process, &start, report)?;
        credentials::limit_file_size(plan)?;
    }

    // Whoever said start wanted it started, and may be gone by now; without
    // who said exec, nobody is left to know of the program.
    let told = report.done(Step::Executing);
    if plan.container.is_none() {
        told?;
    }
    seccomp::confine(&plan.process)?;
    exec::become_program(plan, &program)
}

/// Makes what the container sees; gives its terminal.
fn build(
    plan: &mut NewContainer,
    terminal: Option<Terminal>,
    handles: &mut Handles,
    report: &Report,
) -> Done<Option<OwnedFd>> {
    if !plan.net_devices.is_empty() {
        // Parameters may be about them.
        report.done(Step::NetDevices)?;
        report.wait(Step::NetDevices)?;
    }
    namespaces::set_names(plan)?;
    namespaces::sysctl(plan, handles)?;

    let root = rootfs::prepare(plan, &handles.sources)?;
    let follow = handles.cgroups_follow;
    let entering = cgroups::Entering::new(plan, follow, &mut handles.devices, report);
    mounts::make_all(plan, &handles.sources, root.as_fd(), entering)?;
    devices::make_all(plan, root.as_fd())?;
    if plan.pause_after_mounts {
        report.done(Step::Mounted)?;
        report.wait(Step::Mounted)?;
    }
    hooks::run_all(
        Step::CreateContainer,
        &plan.create_container,
        &plan.hook_states.creating,
        None,
    )?;
    rootfs::make_cwd(plan, root.as_fd())?;
    let terminal = console::set_up(plan, terminal, handles, root.as_fd())?;
    protect::all(plan, root.as_fd())?;
    rootfs::switch(plan, root.as_fd())?;
    Ok(terminal)
}

/// From created to started.
fn wait_for_start(
    plan: &NewContainer,
    process: &Process,
    start: &OwnedFd,
    report: &mut Report,
) -> Done {
    wait::open_for_start(start)?;
    report.done(Step::Created)?;
    // Whoever waits for this goes on meanwhile.
    memory::drop_code();

    wait::for_start(start, report)?;
    let states = &plan.hook_states.created;
    hooks::run_all(Step::StartContainer, &plan.start_container, states, Some(process))
}
