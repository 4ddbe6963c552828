//! The runtime's side of a launch.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::userns;
use super::wire::{self, MAX_TEXT, Message};
use super::words::{describe, wait_words};
use crate::error::{Doing, Error, Result};
use crate::init::step::Step;
use crate::init::{self, Report};
use crate::plan::namespaces::{CLONE_NEWNS, CLONE_NEWTIME, CLONE_NEWUSER};
use crate::plan::net_devices::NetDevice;
use crate::plan::{Handles, Plan, User};
use crate::sys::clone::{Child, clone_child};
use crate::sys::event::{PollFd, PollFlags, Timespec, poll};
use crate::sys::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use crate::sys::process::{
    Pid, PidfdGetfdFlags, Rlimit, WaitIdOptions, getrlimit, pidfd_getfd, prlimit,
};
use crate::sys::{Errno, fs, io, namespace};

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

/// Clones the container's init, which begins at once. `admit` puts it into its
/// cgroup v2 directory if it cannot be born there. `only_ours` the child closes at once:
/// the container's directory, as a lock lasts as long as any copy of its descriptor,
/// and the mount that we run from.
pub(crate) fn launch<'p>(
    plan: &'p mut Plan,
    handles: &mut Handles,
    before_clone: &[OwnedFd],
    cgroup: Option<BorrowedFd<'_>>,
    admit: impl FnOnce(i32) -> Result<()>,
    only_ours: &[Option<BorrowedFd<'_>>],
) -> Result<Init<'p>> {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .doing(|| "make a socket for the container's init")?;
    if let User::Joined(Some(maps)) = &plan.namespaces.user
        && let Some(joined) = joined_user(plan, handles)
    {
        userns::check_same(maps, joined)?;
    }
    if !matches!(plan.namespaces.user, User::New(_)) && plan.has_id_mapped_mounts() {
        handles.sources = userns::map_mounts(plan, &handles.namespaces)?;
    }
    handles.sources.mounts.resize_with(plan.mounts().len(), || None);
    let home = ForChildren::set(plan, before_clone)?;
    let child = if plan.namespaces.stepping_stone {
        by_way_of_a_stone(plan, handles, (&ours, theirs), cgroup, only_ours)
    } else {
        let mut new = plan.namespaces.new;
        if plan.namespaces.time_offsets.is_some() {
            new &= !CLONE_NEWTIME;
        }
        let ours = ours.as_fd();
        clone_child(new, cgroup, |born| {
            // In the child this end must not stay open: the end of the stream
            // is how it learns that we are gone.
            crate::sys::fd::close_copy(ours);
            only_ours.iter().flatten().copied().for_each(crate::sys::fd::close_copy);
            handles.outside = !born;
            init::run(plan, handles, Report(theirs))
        })
        .map_err(|errno| clone_error(plan, errno))
    };
    home.restore();
    let init = Init { plan, child: child?, socket: ours, let_go: false };
    if !init.child.born_in_cgroup {
        admit(init.pid())?;
        init.answer(Step::Cgroup);
    }
    init.make_root()?;
    Ok(init)
}

fn joined_user<'h>(plan: &Plan, handles: &'h Handles) -> Option<BorrowedFd<'h>> {
    let mut joins = plan.namespaces.join.iter().zip(&handles.namespaces);
    joins.find(|(join, _)| join.kind == CLONE_NEWUSER).map(|(_, fd)| fd.as_fd())
}

/// A user namespace to join, and a pid namespace that is its: both take a
/// process of their own, for to enter the one means to have no rights over the
/// other any more, and the other takes effect on children only. The init is
/// that process's sibling, and so our child.
fn by_way_of_a_stone(
    plan: &mut Plan,
    handles: &mut Handles,
    (ours, theirs): (&OwnedFd, OwnedFd),
    cgroup: Option<BorrowedFd<'_>>,
    only_ours: &[Option<BorrowedFd<'_>>],
) -> Result<Child> {
    let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    let (near, far) = pair.doing(|| "make a socket")?;
    let (near_end, ours) = (near.as_fd(), ours.as_fd());
    let stone = clone_child(0, None, |_| {
        crate::sys::fd::close_copy(ours);
        crate::sys::fd::close_copy(near_end);
        only_ours.iter().flatten().copied().for_each(crate::sys::fd::close_copy);
        init::stone(plan, handles, &Report(theirs), &far, cgroup)
    });
    let stone = stone.doing(|| "clone")?;
    // Else the end of the stream would never be seen.
    drop(far);
    let mut born = [0u8; 1];
    let received = receive_bounded(near.as_fd(), &mut born);
    // It has said what it had to say, or will not.
    stone.end();
    let pidfd = received.doing(|| "hear of the container's init")?;
    let Some(pidfd) = pidfd else {
        return Err(failure_of_stone(plan, ours));
    };
    let pid = pid_of(pidfd.as_fd())?;
    Ok(Child { pid, pidfd, born_in_cgroup: born[0] == 1 })
}

/// Its end without a word means the end of the stream, too.
fn receive_bounded(
    socket: BorrowedFd<'_>,
    born: &mut [u8; 1],
) -> crate::sys::Result<Option<OwnedFd>> {
    let mut ready = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
    let limit = Timespec { tv_sec: PATIENCE, tv_nsec: 0 };
    if io::retry_on_intr(|| poll(&mut ready, Some(&limit)))? == 0 {
        return Err(Errno::TIMEDOUT);
    }
    crate::sys::socket::receive_fd(socket, born).map(|(_, pidfd)| pidfd)
}

fn failure_of_stone(plan: &Plan, socket: BorrowedFd<'_>) -> Error {
    let mut text = [0; MAX_TEXT];
    let mut ready = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut ready, Some(&now)).map(|_| wire::receive(socket, &mut text)) {
        Ok(Ok(Some((message, len)))) => told(plan, message, &text[..len]),
        _ => Error::Broken {
            what: "enter the container's namespaces".to_owned(),
            why: "the process that was to do so is gone".to_owned(),
        },
    }
}

/// `Pid:` of `/proc/self/fdinfo/N`.
fn pid_of(pidfd: BorrowedFd<'_>) -> Result<i32> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    pid.ok_or_else(|| Error::Broken {
        what: format!("read {path:?}"),
        why: "it names no process".to_owned(),
    })
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
    let doing = format!("clone into new namespaces {}{what}", new.join(", "));
    match userns::forbidden().filter(|_| plan.namespaces.new & CLONE_NEWUSER != 0) {
        Some(hint) => Error::advised(doing, errno, hint),
        None => Error::os(doing, errno),
    }
}

impl Init<'_> {
    /// Gives init the ids of its new user namespace, the limits that it cannot
    /// raise there, and what it cannot reach as that namespace's root.
    fn make_root(&self) -> Result<()> {
        let User::New(maps) = &self.plan.namespaces.user else { return Ok(()) };
        let told_first = |error| self.reason_or(error);
        userns::write_maps(self.pid(), maps).map_err(told_first)?;
        if self.plan.privileged {
            self.raise_limits()?;
        }
        self.answer(Step::UserNamespace);
        if !self.plan.opens_sources {
            return Ok(());
        }
        let sources = userns::open_sources(self.plan, self.pid()).map_err(told_first)?;
        let mounts = sources.mounts.iter().flatten();
        for fd in sources.root.iter().chain(mounts) {
            let sent = crate::sys::socket::send_fd(self.socket.as_fd(), b"x", fd.as_fd());
            sent.doing(|| "hand a descriptor to the container's init").map_err(told_first)?;
        }
        Ok(())
    }

    /// Only the hard limits: init sets both once it has no need of more.
    fn raise_limits(&self) -> Result<()> {
        let pid = Pid::from_raw(self.pid());
        for (index, (resource, limit)) in self.plan.process.rlimits.iter().enumerate() {
            let now = getrlimit(*resource);
            let above = match (limit.maximum, now.maximum) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(wanted), Some(now)) => wanted > now,
            };
            if above {
                let wanted = Rlimit { current: now.current, maximum: limit.maximum };
                prlimit(pid, *resource, wanted).map_err(|errno| {
                    let item = u16::try_from(index).unwrap_or(u16::MAX);
                    let message =
                        Message { step: Step::Rlimit as u16, item, errno: errno.raw_os_error() };
                    told(self.plan, message, b"")
                })?;
            }
        }
        Ok(())
    }

    /// Its pid in the runtime's namespace.
    pub(crate) fn pid(&self) -> i32 {
        self.child.pid
    }

    /// Names it for as long as we like.
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.child.pidfd.as_fd()
    }

    /// Interfaces for whose move it waits.
    pub(crate) fn net_devices(&self) -> &[NetDevice] {
        self.plan.container.as_ref().map_or(&[], |new| &new.net_devices)
    }

    /// Whether the runtime has not all of root's rights.
    pub(crate) fn is_rootless(&self) -> bool {
        self.plan.rootless
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
            Some((message, len)) => Err(told(self.plan, message, &text[..len])),
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
            Ok(Some((message, len))) => Err(told(self.plan, message, &text[..len])),
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

    /// Gives it the `tasks` files by which it enters cgroup v1, that of devices
    /// last. If it is gone, the next wait tells why.
    pub(crate) fn hand_over(
        &self,
        (tasks, devices): (Vec<OwnedFd>, Option<OwnedFd>),
    ) -> Result<()> {
        let item = u16::try_from(tasks.len()).unwrap_or(u16::MAX);
        let message = Message { step: Step::Cgroup as u16, item, errno: 0 };
        let fds: Vec<_> = tasks.iter().chain(&devices).map(AsFd::as_fd).collect();
        match wire::send_fds(self.socket.as_fd(), message, &fds) {
            Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(errno) => Err(Error::os("hand the cgroups to the container's init", errno)),
        }
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

    /// The stream ended: how did init?
    fn vanished(&self) -> Error {
        let status = self.child.reap(WaitIdOptions::NOWAIT);
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

/// The words for what init has told.
fn told(plan: &Plan, message: Message, text: &[u8]) -> Error {
    let step = Step::of(message);
    let what = match step {
        Some(step) => {
            let text = String::from_utf8_lossy(text);
            describe(plan, step, message.item, message.errno, &text)
        }
        None => format!("unknown step {}", message.step),
    };
    let errno = (message.errno > 0).then(|| Errno::from_raw_os_error(message.errno));
    Error::Init { step: step.map_or("unknown", Step::name), what, errno }
}

impl Drop for Init<'_> {
    fn drop(&mut self) {
        if !self.let_go && !self.child.end() {
            let pid = self.child.pid;
            log::warn!("the container's init (pid {pid}) was killed but does not end");
        }
    }
}

/// pid and time namespaces take effect on children only, and a child in a new
/// user namespace cannot enter any of the host's: the parent enters
/// them, clones, and goes back: its other children are hooks, which belong to
/// the runtime's own namespaces.
struct ForChildren {
    back: Vec<(OwnedFd, u64)>,
    /// Comes back from a mount namespace when it is dropped.
    away: Option<userns::Away>,
}

impl ForChildren {
    fn set(plan: &Plan, fds: &[OwnedFd]) -> Result<Self> {
        let mut home = Self { back: Vec::new(), away: None };
        for (join, fd) in plan.namespaces.join_before_clone.iter().zip(fds) {
            if join.kind == CLONE_NEWNS {
                home.away = Some(userns::Away::prepare()?);
            } else {
                home.remember(join.kind)?;
            }
            namespace::setns(fd.as_fd(), join.kind)
                .doing(|| format!("config.json: {}: join namespace {:?}", join.field, join.path))?;
        }
        let by_us = plan.namespaces.new & CLONE_NEWTIME != 0;
        if let Some(offsets) = plan.namespaces.time_offsets.as_ref().filter(|_| by_us) {
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
        drop(self.away);
        for (fd, kind) in &self.back {
            if let Err(errno) = namespace::setns(fd.as_fd(), *kind) {
                log::warn!("cannot go back to the runtime's own namespace: {errno}");
            }
        }
    }
}
