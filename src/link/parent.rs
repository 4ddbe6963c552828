//! The runtime's side of a launch.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::wire::{self, MAX_TEXT, Message};
use super::words::{describe, wait_words};
use crate::error::{Doing, Error, Result};
use crate::init::step::Step;
use crate::init::{self, Report};
use crate::plan::namespaces::CLONE_NEWTIME;
use crate::plan::net_devices::NetDevice;
use crate::plan::{Handles, Plan};
use crate::sys::clone::{Child, clone_child};
use crate::sys::event::{PollFd, PollFlags, Timespec, poll};
use crate::sys::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use crate::sys::process::{PidfdGetfdFlags, WaitId, WaitIdOptions, pidfd_getfd, waitid};
use crate::sys::{Errno, fs, io, namespace, signal};

/// Seconds that a step may take. Hooks have their own limits, or none.
const PATIENCE: i64 = 120;

/// The init of a container that is being made. Dropped before it is let go,
/// it is killed: nothing of a failed launch stays.
#[derive(Debug)]
pub(crate) struct Init<'p> {
    plan: &'p Plan,
    child: Child,
    socket: OwnedFd,
    let_go: bool,
}

/// Clones the container's init, which begins at once. `locked` is the
/// container's directory, if we hold it: a lock lasts as long as any copy of its descriptor.
pub(crate) fn launch<'p>(
    plan: &'p mut Plan,
    handles: &mut Handles,
    before_clone: &[OwnedFd],
    cgroup: Option<BorrowedFd<'_>>,
    locked: Option<BorrowedFd<'_>>,
) -> Result<Init<'p>> {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .doing(|| "make a socket for the container's init")?;
    let home = ForChildren::set(plan, before_clone)?;
    let mut new = plan.namespaces.new;
    if plan.namespaces.time_offsets.is_some() {
        new &= !CLONE_NEWTIME;
    }
    let mut ours = Some(ours);
    let child = clone_child(new, cgroup, || {
        // In the child this end must not stay open: the end of the stream is
        // how it learns that we are gone.
        drop(ours.take());
        if let Some(locked) = locked {
            crate::sys::fd::close_copy(locked);
        }
        init::run(plan, handles, Report(theirs))
    });
    let child = child.map_err(|errno| clone_error(plan, errno));
    home.restore();
    let socket = ours.ok_or_else(|| Error::os("clone", Errno::BADF))?;
    Ok(Init { plan, child: child?, socket, let_go: false })
}

fn clone_error(plan: &Plan, errno: Errno) -> Error {
    let kinds = crate::plan::namespaces::KINDS.iter();
    let new: Vec<_> = kinds
        .filter(|(_, flag, _)| plan.namespaces.new & flag != 0)
        .map(|(word, ..)| *word)
        .collect();
    let what = match errno {
        Errno::NOSPC => " (a limit in /proc/sys/user is reached)",
        Errno::INVAL => " (the kernel lacks one of them)",
        _ => "",
    };
    Error::os(format!("clone into new namespaces {}{what}", new.join(", ")), errno)
}

impl Init<'_> {
    /// Its pid in the runtime's namespace.
    pub(crate) fn pid(&self) -> i32 {
        self.child.pid
    }

    /// Whether it is in the cgroup that it was cloned for.
    pub(crate) fn is_in_cgroup(&self) -> bool {
        self.child.born_in_cgroup
    }

    /// Names it for as long as we like.
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.child.pidfd.as_fd()
    }

    /// Interfaces for whose move it waits.
    pub(crate) fn net_devices(&self) -> &[NetDevice] {
        self.plan.container.as_ref().map_or(&[], |new| &new.net_devices)
    }

    /// Whether it waits for an answer when its mounts are made.
    pub(crate) fn pauses(&self) -> bool {
        self.plan.container.as_ref().is_some_and(|new| new.pause_after_mounts)
    }

    /// Waits until `step` is done.
    pub(crate) fn wait_for(&self, step: Step) -> Result<()> {
        self.wait_for_number(step).map(drop)
    }

    /// Waits until `step` is done: the number that came with it.
    fn wait_for_number(&self, step: Step) -> Result<u16> {
        let hooks = self.plan.container.iter().flat_map(|new| &new.create_container);
        let bounded = step != Step::Mounted && { hooks }.all(|hook| hook.timeout.is_some());
        if bounded {
            self.wait_readable(step)?;
        }
        let mut text = [0; MAX_TEXT];
        let received = wire::receive(self.socket.as_fd(), &mut text)
            .doing(|| "hear from the container's init")?;
        match received {
            Some((message, _)) if message.errno == 0 && Step::of(message) == Some(step) => {
                Ok(message.item)
            }
            Some((message, len)) => Err(self.failure(message, &text[..len])),
            None => Err(self.vanished()),
        }
    }

    /// Waits for the filter of an agent, and takes its listener, for which init
    /// then waits to be answered ([`Step::Listener`]).
    ///
    /// # Errors
    ///
    /// `EPERM` where `CAP_SYS_PTRACE` is missing; Linux 5.6.
    pub(crate) fn take_listener(&self) -> Result<OwnedFd> {
        let number = self.wait_for_number(Step::Listener)?;
        pidfd_getfd(&self.child.pidfd, i32::from(number), PidfdGetfdFlags::empty())
            .doing(|| "take the seccomp listener from the container's init")
    }

    /// Waits until the program has taken the child's place: exec closes its end.
    pub(crate) fn wait_for_program(&self) -> Result<()> {
        self.wait_for(Step::Executing)?;
        let mut text = [0; MAX_TEXT];
        match wire::receive(self.socket.as_fd(), &mut text) {
            Ok(Some((message, len))) => Err(self.failure(message, &text[..len])),
            Ok(None) | Err(Errno::CONNRESET) => Ok(()),
            Err(errno) => Err(Error::os("hear from the container's process", errno)),
        }
    }

    /// Answers `step`, for which init waits. If it is gone, the next wait
    /// tells why.
    pub(crate) fn answer(&self, step: Step) {
        let message = Message { step: step as u16, item: 0, errno: 0 };
        let _ = wire::send(self.socket.as_fd(), message, b"");
    }

    /// Init is on its own now: dropping this does not kill it any more.
    pub(crate) fn let_go(&mut self) {
        self.let_go = true;
    }

    /// An error of this side, unless init has told of one of its own, which is
    /// then the reason for it.
    pub(crate) fn reason_or(&self, error: Error) -> Error {
        let mut ready = [PollFd::new(&self.socket, PollFlags::IN)];
        let told = poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap_or(0) > 0;
        if told { self.wait_for(Step::Created).err().unwrap_or(error) } else { error }
    }

    fn wait_readable(&self, step: Step) -> Result<()> {
        let mut ready = [PollFd::new(&self.socket, PollFlags::IN)];
        let limit = Timespec { tv_sec: PATIENCE, tv_nsec: 0 };
        let count = io::retry_on_intr(|| poll(&mut ready, Some(&limit)))
            .doing(|| "wait for the container's init")?;
        if count > 0 {
            return Ok(());
        }
        let pid = self.child.pid;
        let at =
            |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        Err(Error::Broken {
            what: format!("wait for the container's init (pid {pid}) to reach {}", step.name()),
            why: format!("no answer in {PATIENCE} s; it is at {:?} in the kernel", at("wchan")),
        })
    }

    fn failure(&self, message: Message, text: &[u8]) -> Error {
        let step = Step::of(message);
        let what = match step {
            Some(step) => {
                let text = String::from_utf8_lossy(text);
                describe(self.plan, step, message.item, message.errno, &text)
            }
            None => format!("unknown step {}", message.step),
        };
        let errno = (message.errno > 0).then(|| Errno::from_raw_os_error(message.errno));
        Error::Init { step: step.map_or("unknown", Step::name), what, errno }
    }

    /// The stream ended: how did init?
    fn vanished(&self) -> Error {
        let status = waitid(
            WaitId::PidFd(self.child.pidfd.as_fd()),
            WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
        );
        let how = match status {
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => wait_words(code << 8),
                (None, signal) => wait_words(signal.unwrap_or(0)),
            },
            _ => "it is gone".to_owned(),
        };
        Error::Init {
            step: "vanished",
            what: format!("container init died: {how} (possibly OOM-killed)"),
            errno: None,
        }
    }
}

impl Drop for Init<'_> {
    fn drop(&mut self) {
        if !self.let_go {
            let _ = signal::send(self.child.pidfd.as_fd(), 9);
            // One that is frozen, or waits for a disk, does not end of it.
            let limit = Timespec { tv_sec: 10, tv_nsec: 0 };
            let mut exits = [PollFd::new(&self.child.pidfd, PollFlags::IN)];
            if io::retry_on_intr(|| poll(&mut exits, Some(&limit))) == Ok(1) {
                let _ = waitid(WaitId::PidFd(self.child.pidfd.as_fd()), WaitIdOptions::EXITED);
            } else {
                log::warn!(
                    "the container's init (pid {}) was killed but does not end",
                    self.child.pid
                );
            }
        }
    }
}

/// pid and time namespaces take effect on children only, so the parent enters
/// them, clones, and goes back: its other children are hooks, which belong to
/// the runtime's own namespaces.
struct ForChildren {
    back: Vec<(OwnedFd, u64)>,
}

impl ForChildren {
    fn set(plan: &Plan, fds: &[OwnedFd]) -> Result<Self> {
        let mut home = Self { back: Vec::new() };
        for (join, fd) in plan.namespaces.join_before_clone.iter().zip(fds) {
            home.remember(join.kind)?;
            namespace::setns(fd.as_fd(), join.kind)
                .doing(|| format!("config.json: {}: join namespace {:?}", join.field, join.path))?;
        }
        if let Some(offsets) = &plan.namespaces.time_offsets {
            home.remember(CLONE_NEWTIME)?;
            namespace::unshare(CLONE_NEWTIME).doing(|| "make a time namespace")?;
            let file = fs::open(
                "/proc/self/timens_offsets",
                fs::OFlags::WRONLY | fs::OFlags::CLOEXEC,
                fs::Mode::empty(),
            );
            let written = file.and_then(|file| io::write(&file, offsets.as_bytes()));
            written.doing(|| format!("config.json: linux.timeOffsets: write {offsets:?}"))?;
        }
        Ok(home)
    }

    fn remember(&mut self, kind: u64) -> Result<()> {
        let path = namespace::own_path(kind);
        let own = fs::open(path, fs::OFlags::RDONLY | fs::OFlags::CLOEXEC, fs::Mode::empty());
        self.back.push((own.doing(|| format!("open {path}"))?, kind));
        Ok(())
    }

    fn restore(self) {
        for (fd, kind) in &self.back {
            if let Err(errno) = namespace::setns(fd.as_fd(), *kind) {
                log::warn!("cannot go back to the runtime's own namespace: {errno}");
            }
        }
    }
}
