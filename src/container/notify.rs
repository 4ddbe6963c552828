//! `NOTIFY_SOCKET`: a container that is a service tells its manager when it is
//! ready.
//!
//! The manager's socket is not the container's to write to. The container gets
//! one of its own, and of what comes there only the word that counts is passed
//! on, with the pid that the manager can see.
//! <https://www.freedesktop.org/software/systemd/man/sd_notify.html>

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::store::{NOTIFY, NOTIFY_SOCKET, Store};
use crate::error::{Doing, Error, Result};
use crate::spec::{Config, Mount};
use crate::sys::event::{PollFd, PollFlags, Timespec, poll};
use crate::sys::fs::{CWD, Mode, OFlags, chmod, mkdirat, openat};
use crate::sys::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, connect,
    recv, send, socket_with,
};
use crate::sys::pipe::{PipeFlags, pipe_with};
use crate::sys::{Errno, io, pidfd, socket};

const IN_CONTAINER: &str = "/run/notify";

/// Seconds that the manager may take to have read what was sent.
const PATIENCE: i64 = 30;

/// Where the manager listens, if there is one.
fn manager() -> Option<String> {
    std::env::var("NOTIFY_SOCKET").ok().filter(|path| !path.is_empty())
}

/// Shows the container a socket of its own; the directory is to be made by
/// [`make_directory`].
pub(super) fn add_to(config: &mut Config, store: &Store, id: &str) {
    if manager().is_some() {
        show(config, store, id);
    }
}

/// The same for a container that is there, if it was made so.
pub(super) fn add_again(config: &mut Config, store: &Store, id: &str) {
    if directory(store, id).is_dir() {
        show(config, store, id);
    }
}

fn show(config: &mut Config, store: &Store, id: &str) {
    let Some(process) = config.process.as_mut() else { return };
    process.env.push(format!("NOTIFY_SOCKET={IN_CONTAINER}/{NOTIFY_SOCKET}"));
    config.mounts.push(Mount {
        destination: IN_CONTAINER.to_owned(),
        kind: Some("bind".to_owned()),
        source: Some(directory(store, id).to_string_lossy().into_owned()),
        options: ["bind", "nosuid", "noexec", "nodev", "ro"].map(str::to_owned).to_vec(),
        ..Mount::default()
    });
}

fn directory(store: &Store, id: &str) -> PathBuf {
    store.path_of(id).join(NOTIFY)
}

/// In the state directory of a container that is being made.
pub(super) fn make_directory(store: &Store, id: &str) -> Result<()> {
    if manager().is_none() {
        return Ok(());
    }
    let path = directory(store, id);
    mkdirat(CWD, &path, Mode::from_raw_mode(0o755)).doing(|| format!("make {path:?}"))
}

/// Listens for the container's word.
#[derive(Debug)]
pub(super) struct Notify {
    own: OwnedFd,
    manager: String,
}

impl Notify {
    /// `None` without a manager, or if the container was made without one.
    pub(super) fn listen(store: &Store, id: &str) -> Result<Option<Self>> {
        let directory = directory(store, id);
        let Some(manager) = manager() else { return Ok(None) };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(opened) = openat(CWD, &directory, flags, Mode::empty()) else { return Ok(None) };
        let path = directory.join(NOTIFY_SOCKET);
        let doing = || format!("listen at {path:?}");
        // One of a start that has failed.
        let _ = std::fs::remove_file(&path);
        let own = datagram_socket().doing(doing)?;
        // By descriptor: the path may be longer than an address can be.
        let address = format!("/proc/self/fd/{}/{NOTIFY_SOCKET}", opened.as_raw_fd());
        bind(&own, &SocketAddrUnix::new(address).doing(doing)?).doing(doing)?;
        // The program may be anybody's.
        chmod(&path, Mode::from_raw_mode(0o777)).doing(doing)?;
        Ok(Some(Self { own, manager }))
    }

    /// What to wait for.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.own.as_fd()
    }

    /// Takes what has come; true once the manager knows.
    pub(super) fn take(&self, pid: i32) -> Result<bool> {
        let mut text = [0u8; 4096];
        let Ok((_, got)) = recv(&self.own, &mut text[..], RecvFlags::DONTWAIT) else {
            return Ok(false);
        };
        if !text[..got].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
            return Ok(false);
        }
        self.tell(pid).map(|()| true)
    }

    /// Waits until the container is ready or has ended, however long it takes:
    /// how long it may, the manager decides.
    pub(super) fn wait(&self, pid: i32, pidfd: BorrowedFd<'_>) -> Result<()> {
        loop {
            let flags = pidfd::poll_flags(pidfd);
            let mut watched = [
                PollFd::from_borrowed_fd(self.own.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(pidfd, flags),
            ];
            // The end of what cannot be polled is to be asked for.
            let look = flags.is_empty().then_some(&Timespec { tv_sec: 1, tv_nsec: 0 });
            io::retry_on_intr(|| poll(&mut watched, look)).doing(|| "wait for the container")?;
            let ended = pidfd::has_ended(pidfd);
            if self.take(pid)? || ended {
                return Ok(());
            }
        }
    }

    /// Ready, and who it is; then waits until the manager has read that, for
    /// whoever sent it may be gone before.
    fn tell(&self, pid: i32) -> Result<()> {
        let doing = || format!("tell NOTIFY_SOCKET {:?}", self.manager);
        let socket = datagram_socket().doing(doing)?;
        let address = match self.manager.strip_prefix('@') {
            Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
            None => SocketAddrUnix::new(Path::new(&self.manager)),
        };
        connect(&socket, &address.doing(doing)?).doing(doing)?;
        let text = format!("READY=1\nMAINPID={pid}\n");
        send(&socket, text.as_bytes(), SendFlags::NOSIGNAL).doing(doing)?;
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).doing(doing)?;
        socket::send_fd(socket.as_fd(), b"BARRIER=1", write.as_fd()).doing(doing)?;
        drop(write);
        let limit = Timespec { tv_sec: PATIENCE, tv_nsec: 0 };
        let mut closed = [PollFd::new(&read, PollFlags::empty())];
        match io::retry_on_intr(|| poll(&mut closed, Some(&limit))).doing(doing)? {
            0 => Err(Error::os(doing(), Errno::TIMEDOUT)),
            _ => Ok(()),
        }
    }
}

fn datagram_socket() -> crate::sys::Result<OwnedFd> {
    socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
}
