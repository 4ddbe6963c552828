//! Containers on disk: one directory each, with a record of what was made.
//!
//! The record is a journal: it is written before the first thing that it
//! names is made, so whatever kills the runtime, `delete --force` finds all of
//! it. Whoever changes a container holds a lock on its directory.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::host_mounts::HostMounts;
use super::resctrl::Group;
use super::status::{Op, Status};
use super::{holder, id};
use crate::cgroup::Cgroups;
use crate::error::{Doing, Error, Result};
use crate::spec::Hook;
use crate::sys::event::Timespec;
use crate::sys::fs::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstat, mkdirat, openat, renameat, unlinkat,
};
use crate::sys::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, socket_with,
};
use crate::sys::{Errno, io, pidfd, signal};

/// What is about to be made, and then what was made. Two names, because to
/// rename over an existing file makes some file systems write at once.
const JOURNAL: &str = "journal.json";
const STATE: &str = "state.json";
/// The container's own copy of `config.json`.
const CONFIG: &str = "config.json";
/// Where init listens for `start`.
const START: &str = "start";
/// A directory where CRIU sees the root file system, for a restore.
pub(super) const ROOT: &str = "criu-root";
/// A directory that the container sees, with a socket, if it is a service.
pub(super) const NOTIFY: &str = "notify";
pub(super) const NOTIFY_SOCKET: &str = "notify.sock";

/// Seconds to wait for another command on the same container.
const PATIENCE: u32 = 10;

/// All that is known of a container.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    pub(crate) oci_version: String,
    pub(crate) id: String,
    pub(crate) bundle: String,
    pub(crate) rootfs: String,
    /// RFC 3339, UTC.
    pub(crate) created: String,
    /// User id of who made it.
    pub(crate) owner: u32,
    pub(crate) annotations: BTreeMap<String, String>,
    /// Of the runtime that made it.
    pub(crate) creator: i32,
    pub(crate) init: Option<InitId>,
    pub(crate) cgroups: Cgroups,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resctrl: Option<Group>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) host_mounts: Option<HostMounts>,
    /// Without a pid namespace, killing init leaves the others alive.
    pub(crate) shares_pid_namespace: bool,
    /// `--no-new-keyring`, which holds for `exec` too.
    pub(crate) no_new_keyring: bool,
    /// By `restore`, which gives it a time namespace that its configuration
    /// may know nothing of.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) restored: bool,
    /// `process.args[0]`, for messages; empty without `process`.
    pub(crate) program: String,
    pub(crate) poststart: Vec<Hook>,
    pub(crate) poststop: Vec<Hook>,
}

/// Names a process for good: its pid may be another's later, but not with the
/// same start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InitId {
    pub(crate) pid: i32,
    /// Clock ticks since boot: field 22 of `/proc/PID/stat`.
    pub(crate) start_time: u64,
}

impl InitId {
    /// Reads the start time of a living process.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        stat(pid).map(|stat| Self { pid, start_time: stat.start_time })
    }

    /// The process, unless it has ended; a zombie has.
    pub(crate) fn alive(self) -> Option<Alive> {
        let pidfd = pidfd::open(self.pid).ok()?;
        // Looked up after the pidfd is open: from then on the pid is its.
        let stat = stat(self.pid)?;
        let same = stat.start_time == self.start_time && !matches!(stat.state, 'Z' | 'X');
        same.then_some(Alive { pid: self.pid, pidfd, is_ours: stat.is_ours })
    }

    /// Whether it has become the container's program, told right after it gave
    /// up its descriptors: exec does so, and so does a process that is killed
    /// on its way there. Exec goes on to give it a new name, at once; who ends
    /// keeps the old one. One that is gone altogether has the benefit of doubt.
    pub(crate) fn has_executed(self) -> bool {
        // Two looks are enough, unless a program took the name of our init.
        for wait in 0..10 {
            match stat(self.pid) {
                Some(stat) if stat.start_time == self.start_time && stat.is_ours => {
                    if matches!(stat.state, 'Z' | 'X') {
                        return false;
                    }
                }
                _ => return true,
            }
            let Ok(pidfd) = pidfd::open(self.pid) else { return true };
            let limit = Timespec { tv_sec: 0, tv_nsec: 50_000 << wait };
            let _ = pidfd::wait(pidfd.as_fd(), Some(&limit));
        }
        true
    }
}

/// An init that has not ended.
#[derive(Debug)]
pub(crate) struct Alive {
    pid: i32,
    pub(crate) pidfd: OwnedFd,
    /// Whether it still has the name of our init, and so has not executed its
    /// program; or its program has taken that name.
    is_ours: bool,
}

impl Alive {
    /// Sends it `signal`.
    pub(crate) fn send(&self, signal: i32) -> crate::sys::Result<()> {
        pidfd::send(self.pidfd.as_fd(), self.pid, signal)
    }
}

/// What `/proc/PID/stat` says.
pub(super) struct Stat {
    state: char,
    pub(super) parent: i32,
    start_time: u64,
    is_ours: bool,
}

pub(super) fn stat(pid: i32) -> Option<Stat> {
    let path = format!("/proc/{pid}/stat");
    let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut text = [0u8; 1024];
    let got = io::read(&file, &mut text).ok()?;
    // The name in parentheses may contain anything; what follows does not.
    let end = text[..got].windows(2).rposition(|part| part == b") ")?;
    let start = text[..end].iter().position(|byte| *byte == b'(')?;
    let mut fields = str::from_utf8(&text[end + 2..got]).ok()?.split(' ');
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let start_time = fields.nth(17)?.parse().ok()?;
    let is_ours = text[start + 1..end] == *crate::plan::INIT_NAME.to_bytes();
    Some(Stat { state, parent, start_time, is_ours })
}

/// The directory that holds all containers.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    root: PathBuf,
}

impl Store {
    /// `--root`, or `/run/minke`, or a user's own. As in runc, root of a user
    /// namespace is such a user, unless it calls itself root.
    pub(crate) fn new(root: Option<&Path>) -> Self {
        let is_user = || {
            super::create::is_rootless()
                && (!crate::sys::geteuid().is_root()
                    || std::env::var_os("USER").is_none_or(|user| user != "root"))
        };
        let user = || {
            let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
            runtime_dir.filter(|_| is_user()).map(|dir| PathBuf::from(dir).join("minke"))
        };
        let root = root.map(Path::to_path_buf).or_else(user);
        Self { root: root.unwrap_or_else(|| PathBuf::from("/run/minke")) }
    }

    /// Where a container's directory is, whether or not it is there.
    pub(crate) fn path_of(&self, id: &str) -> PathBuf {
        self.root.join(id)
    }

    /// Takes the ID: makes its directory, locked.
    pub(crate) fn reserve(&self, id: &str) -> Result<Container> {
        id::check(id)?;
        // Before it is locked, a delete by force takes it for what a killed
        // `create` has left, and removes it.
        for _ in 0..16 {
            self.make_directory(id)?;
            let container = self.open(id).and_then(|container| {
                container.lock()?;
                Ok(container)
            });
            if !matches!(container, Err(Error::NoSuchContainer { .. })) {
                return container;
            }
        }
        Err(Error::NoSuchContainer { id: id.to_owned() })
    }

    fn make_directory(&self, id: &str) -> Result<()> {
        let path = self.root.join(id);
        let mode = Mode::from_raw_mode(0o700);
        let mut made = mkdirat(CWD, &path, mode);
        if made == Err(Errno::NOENT) {
            // Nobody else's: what is recorded here is believed, hooks included.
            // With the sticky bit, for what lies below XDG_RUNTIME_DIR may be pruned.
            let mut builder = std::fs::DirBuilder::new();
            builder.recursive(true).mode(0o1700);
            builder.create(&self.root).map_err(|e| self.root_error("make", &e))?;
            made = mkdirat(CWD, &path, mode);
        }
        match made {
            Err(Errno::EXIST) => Err(Error::Exists { id: id.to_owned() }),
            other => other.doing(|| format!("make state directory {path:?}")),
        }
    }

    fn root_error(&self, act: &str, error: &std::io::Error) -> Error {
        let errno = Errno::from_raw_os_error(error.raw_os_error().unwrap_or_default());
        Error::os(format!("{act} state directory {:?}", self.root), errno)
    }

    /// The container's directory.
    pub(crate) fn open(&self, id: &str) -> Result<Container> {
        id::check(id)?;
        let path = self.root.join(id);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(CWD, &path, flags, Mode::empty()) {
            Ok(directory) => Ok(Container { id: id.to_owned(), path, directory }),
            Err(Errno::NOENT) => Err(Error::NoSuchContainer { id: id.to_owned() }),
            Err(errno) => Err(Error::os(format!("open state directory {path:?}"), errno)),
        }
    }

    /// Opens the container for a change: locked, its status asked of the
    /// kernel, and `op` allowed. There is no other way to change one.
    pub(crate) fn lock_for(&self, id: &str, op: Op) -> Result<(Container, Record, Status)> {
        let container = self.open(id)?;
        match container.lock() {
            // Whoever hangs (a hook without an end, say) must not keep a
            // container from being deleted by force.
            Err(busy @ Error::Broken { .. }) if op == Op::ForceDelete => {
                holder::end(container.as_fd()).ok_or(busy)?;
                container.lock()?;
            }
            other => other?,
        }
        let record = container.record()?;
        let status = match record.init.and_then(InitId::alive) {
            // To knock is what `start` does next, with the same answer.
            Some(init) if op == Op::Start && init.is_ours && !record.cgroups.is_frozen() => {
                Status::Created
            }
            init => container.status_now(&record, init.as_ref(), true),
        };
        status.permit(op, id)?;
        Ok((container, record, status))
    }

    /// All IDs, sorted.
    pub(crate) fn ids(&self) -> Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.root) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|e| self.root_error("read", &e))?,
        };
        let names = entries.flatten().filter(|entry| entry.path().is_dir());
        let mut ids: Vec<String> =
            names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        ids.sort_unstable();
        Ok(ids)
    }
}

/// One container's directory.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) id: String,
    path: PathBuf,
    directory: OwnedFd,
}

impl Container {
    /// Takes the lock, waiting a bounded time for who has it.
    fn lock(&self) -> Result<()> {
        let mut locked = flock(&self.directory, FlockOperation::NonBlockingLockExclusive);
        if locked.is_err() {
            signal::alarm(PATIENCE);
            locked = flock(&self.directory, FlockOperation::LockExclusive);
            signal::alarm(0);
        }
        // Whoever had it may have removed the container, or has it still, and
        // is in the hooks that follow.
        match fstat(&self.directory) {
            Ok(stat) if stat.st_nlink > 0 => locked.map_err(|_| self.busy()),
            _ => Err(Error::NoSuchContainer { id: self.id.clone() }),
        }
    }

    /// Takes the lock if nobody has it; false too if the container is gone.
    pub(crate) fn lock_now(&self) -> bool {
        let locked = flock(&self.directory, FlockOperation::NonBlockingLockExclusive);
        locked.is_ok() && fstat(&self.directory).is_ok_and(|stat| stat.st_nlink > 0)
    }

    fn busy(&self) -> Error {
        let creator = self.record().map_or(0, |record| record.creator);
        Error::Broken {
            what: format!("lock container {:?}", self.id),
            why: format!(
                "another command has been at work on it for {PATIENCE} s (made by pid {creator})"
            ),
        }
    }

    /// Lets other commands at the container.
    pub(crate) fn unlock(&self) {
        let _ = flock(&self.directory, FlockOperation::Unlock);
    }

    /// Whether another command is at work on the container. Asked by an open
    /// file of its own: a lock belongs to that, and ours is not to be touched.
    fn is_locked(&self) -> bool {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(own) = openat(&self.directory, c".", flags, Mode::empty()) else { return false };
        flock(&own, FlockOperation::NonBlockingLockShared).is_err()
    }

    /// Writes down what is about to be made.
    pub(crate) fn write_journal(&self, record: &Record) -> Result<()> {
        self.write_json(JOURNAL, record)
    }

    /// Writes down what was made.
    pub(crate) fn write_state(&self, record: &Record) -> Result<()> {
        self.write_json(STATE, record)
    }

    fn write_json(&self, name: &str, record: &Record) -> Result<()> {
        let text = serde_json::to_vec(record)
            .map_err(|e| Error::Broken { what: format!("write {name}"), why: e.to_string() })?;
        self.write(name, &text)
    }

    /// Keeps the configuration: edits of the bundle's file do not matter any
    /// more.
    pub(crate) fn write_config(&self, text: &[u8]) -> Result<()> {
        self.write(CONFIG, text)
    }

    /// What [`Self::write_config`] has kept.
    pub(crate) fn read_config(&self) -> Result<Vec<u8>> {
        self.read(CONFIG).doing(|| format!("read {:?}", self.path.join(CONFIG)))
    }

    /// Nobody ever sees half of a file.
    fn write(&self, name: &str, text: &[u8]) -> Result<()> {
        let doing = || format!("write {:?}", self.path.join(name));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let temporary = format!("{name}.new");
        let file = openat(&self.directory, temporary.as_str(), flags, Mode::from_raw_mode(0o600))
            .doing(doing)?;
        let mut rest = text;
        while !rest.is_empty() {
            let written = io::retry_on_intr(|| io::write(&file, rest)).doing(doing)?;
            rest = &rest[written..];
        }
        renameat(&self.directory, temporary.as_str(), &self.directory, name).doing(doing)
    }

    /// What was made, or was about to be.
    pub(crate) fn record(&self) -> Result<Record> {
        let text = match self.read(STATE) {
            Err(Errno::NOENT) => self.read(JOURNAL),
            other => other,
        };
        let text = text.map_err(|errno| match errno {
            // Nothing was made yet, or all is removed already.
            Errno::NOENT => Error::NoSuchContainer { id: self.id.clone() },
            errno => Error::os(format!("read {:?}", self.path.join(STATE)), errno),
        })?;
        serde_json::from_slice(&text).map_err(|e| Error::Broken {
            what: format!("read {:?}", self.path.join(STATE)),
            why: e.to_string(),
        })
    }

    fn read(&self, name: &str) -> crate::sys::Result<Vec<u8>> {
        let file = openat(&self.directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let size = usize::try_from(fstat(&file)?.st_size).unwrap_or(0);
        let mut text = vec![0; size];
        let mut filled = 0;
        while filled < size {
            match io::read(&file, &mut text[filled..])? {
                0 => break,
                got => filled += got,
            }
        }
        text.truncate(filled);
        Ok(text)
    }

    /// Asks the kernel.
    pub(crate) fn status(&self, record: &Record) -> Status {
        self.status_now(record, record.init.and_then(InitId::alive).as_ref(), false)
    }

    /// The same; with `held` the lock is ours, so nobody is creating.
    fn status_now(&self, record: &Record, alive: Option<&Alive>, held: bool) -> Status {
        match alive {
            Some(alive) => self.status_alive(record, alive, held),
            None if record.init.is_none() && !held && self.is_locked() => Status::Creating,
            None => Status::Stopped,
        }
    }

    /// The living init of a container that `op` is allowed on, and its status.
    /// Takes no lock: for what changes nothing of the container's own.
    pub(crate) fn alive_for(&self, record: &Record, op: Op) -> Result<(Alive, Status)> {
        let Some(alive) = record.init.and_then(InitId::alive) else {
            self.status(record).permit(op, &self.id)?;
            return Err(Error::NoSuchContainer { id: self.id.clone() });
        };
        let status = self.status_alive(record, &alive, false);
        Ok((alive, status))
    }

    fn status_alive(&self, record: &Record, alive: &Alive, held: bool) -> Status {
        let creating = || !held && self.is_locked();
        // One that is created can be paused, too.
        if record.cgroups.is_frozen() {
            return Status::Paused;
        }
        if alive.is_ours {
            // The socket listens when all is done but the program, and goes
            // with the start. A look at it is not yet one.
            match self.connect() {
                Ok(_) => return Status::Created,
                Err(Errno::CONNREFUSED) if creating() => return Status::Creating,
                Err(_) => {}
            }
        }
        Status::Running
    }

    /// Gives the socket on which init will listen its place.
    pub(crate) fn bind_start(&self, socket: &OwnedFd) -> Result<()> {
        let bound = self.start_address().and_then(|address| bind(socket, &address));
        bound.doing(|| format!("bind {:?}", self.path.join(START)))
    }

    /// A connection to the init that waits for `start`.
    pub(crate) fn connect(&self) -> crate::sys::Result<OwnedFd> {
        let socket = start_socket()?;
        connect(&socket, &self.start_address()?)?;
        Ok(socket)
    }

    /// By descriptor: the path may be longer than an address can be.
    fn start_address(&self) -> crate::sys::Result<SocketAddrUnix> {
        use std::os::fd::AsRawFd;
        SocketAddrUnix::new(format!("/proc/self/fd/{}/{START}", self.directory.as_raw_fd()))
    }

    /// Once started, nobody needs the socket any more.
    pub(crate) fn unlink_start(&self) {
        let _ = unlinkat(&self.directory, START, AtFlags::empty());
    }

    /// The locked directory.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Removes the directory, and of what is in it only what is known: whatever
    /// else is there, or mounted on it, is somebody's.
    pub(crate) fn remove(&self) -> Result<()> {
        let unlink = |name: &str| unlinkat(&self.directory, name, AtFlags::empty());
        for name in [START, CONFIG, STATE, JOURNAL] {
            let _ = unlink(name);
        }
        let mut removed = unlinkat(CWD, &self.path, AtFlags::REMOVEDIR);
        if matches!(removed, Err(Errno::NOTEMPTY | Errno::EXIST)) {
            for name in [CONFIG, STATE, JOURNAL] {
                let _ = unlink(&format!("{name}.new"));
            }
            let remove = |name| unlinkat(&self.directory, name, AtFlags::REMOVEDIR);
            let _ = remove(ROOT);
            // Not if something is mounted there: then it is busy, not full.
            if let Err(Errno::NOTEMPTY | Errno::EXIST) = remove(NOTIFY) {
                let _ = unlink(&format!("{NOTIFY}/{NOTIFY_SOCKET}"));
                let _ = remove(NOTIFY);
            }
            removed = unlinkat(CWD, &self.path, AtFlags::REMOVEDIR);
        }
        match removed {
            Err(Errno::NOENT) => Ok(()),
            other => other.doing(|| format!("remove {:?}", self.path)),
        }
    }
}
/// What init listens on, and who says start connects.
pub(super) fn start_socket() -> crate::sys::Result<OwnedFd> {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}
