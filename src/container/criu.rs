//! CRIU at work: `criu swrk`, and the conversation with it.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::create;
use crate::criu::{Message, Response, feature_check, notified, opts, request};
use crate::error::{Doing, Error, Result};
use crate::init::resolve;
use crate::plan::mounts::Kind;
use crate::plan::namespaces::CLONE_NEWNS;
use crate::plan::{NewContainer, Plan, User};
use crate::sys::event::{PollFd, PollFlags, Timespec, poll};
use crate::sys::fs::{CWD, Mode, OFlags, openat, readlinkat};
use crate::sys::io::{FdFlags, fcntl_setfd, retry_on_intr};
use crate::sys::mount::{
    MountFlags, MountPropagationFlags as Propagation, UnmountFlags, mount, mount_change, unmount,
};
use crate::sys::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};
use crate::sys::process::{chroot, fchdir};
use crate::sys::{Errno, namespace, pidfd, socket};

/// The flags that say yes or no, and their fields.
pub(crate) const SWITCHES: &[(&str, u32)] = &[
    ("leave-running", opts::LEAVE_RUNNING),
    ("ext-unix-sk", opts::EXT_UNIX_SK),
    ("tcp-established", opts::TCP_ESTABLISHED),
    ("tcp-skip-in-flight", opts::TCP_SKIP_IN_FLIGHT),
    ("shell-job", opts::SHELL_JOB),
    ("file-locks", opts::FILE_LOCKS),
    ("link-remap", opts::LINK_REMAP),
    ("auto-dedup", opts::AUTO_DEDUP),
    ("lazy-pages", opts::LAZY_PAGES),
];

/// Logs, where the work is or else the images.
pub(super) const DUMP_LOG: &str = "dump.log";
pub(super) const RESTORE_LOG: &str = "restore.log";

/// The words of `--manage-cgroups-mode`, and theirs of `criu_cg_mode`.
const CGROUP_MODES: &[(&str, u64)] =
    &[("ignore", 0), ("soft", 3), ("full", 4), ("strict", 5), ("", 6)];

/// What `checkpoint` and `restore` are asked for alike.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) images: PathBuf,
    pub(crate) work: Option<PathBuf>,
    /// Fields of [`SWITCHES`].
    pub(crate) switches: Vec<u32>,
    pub(crate) cgroups_mode: String,
}

impl Request {
    pub(super) fn has(&self, switch: u32) -> bool {
        self.switches.contains(&switch)
    }
}

/// The directories of images and logs, and the options that all requests have.
pub(super) struct Job {
    pub(super) options: Message,
    pub(super) images: OwnedFd,
    /// Open as long as CRIU works: it finds it by our descriptor.
    _work: Option<OwnedFd>,
    log: PathBuf,
}

impl Job {
    /// `config` is the annotation `org.criu.config`: a file with options that
    /// outweigh all of ours, or none if it is empty.
    pub(super) fn new(request: &Request, log: &str, config: Option<&String>) -> Result<Self> {
        /// CRIU's own choice (`CLONE_NEWNET`): the network is not its to save.
        const NETWORK: u64 = 0x4000_0000;
        if log == DUMP_LOG {
            make_directory(&request.images)?;
        }
        let images = open_directory(&request.images)?;
        let work = request.work.as_deref().map(|path| {
            make_directory(path)?;
            open_directory(path)
        });
        let work = work.transpose()?;
        let mut options = Message::default();
        options.int32(opts::IMAGES_DIR_FD, images.as_raw_fd());
        if let Some(work) = &work {
            options.int32(opts::WORK_DIR_FD, work.as_raw_fd());
        }
        for switch in &request.switches {
            options.number(*switch, 1);
        }
        options.number(opts::LOG_LEVEL, 4);
        options.bytes(opts::LOG_FILE, log.as_bytes());
        options.number(opts::NOTIFY_SCRIPTS, 1);
        options.number(opts::ORPHAN_PTS_MASTER, 1);
        options.number(opts::EMPTY_NS, NETWORK);
        let mode = CGROUP_MODES.iter().find(|(word, _)| *word == request.cgroups_mode);
        let mode = mode.ok_or_else(|| Error::usage("invalid manage-cgroups-mode value"))?;
        options.number(opts::MANAGE_CGROUPS_MODE, mode.1);
        let config = config.map_or("/etc/criu/runc.conf", String::as_str);
        if !config.is_empty() {
            options.bytes(opts::CONFIG_FILE, config.as_bytes());
        }
        let log = request.work.as_ref().unwrap_or(&request.images).join(log);
        Ok(Self { options, images, _work: work, log })
    }

    /// Has CRIU do it. `notice` hears of each step; if it fails, so does all.
    pub(super) fn run(
        &self,
        criu: &mut Criu,
        kind: u64,
        notice: &mut dyn FnMut(&Response<'_>, Option<OwnedFd>) -> Result<()>,
    ) -> Result<()> {
        criu.send(&request(kind, &self.options))?;
        let mut failed = None;
        loop {
            let mut buffer = [0u8; 16384];
            let (length, fd) = criu.receive(&mut buffer)?;
            let response = Response::parse(&buffer[..length]);
            if response.kind == crate::criu::kind::NOTIFY && response.success {
                let told = notice(&response, fd);
                criu.send(&notified(told.is_ok()))?;
                failed = failed.or(told.err());
            } else if response.success && failed.is_none() {
                return Ok(());
            } else {
                return Err(failed.unwrap_or_else(|| self.failure(response.errno)));
            }
        }
    }

    /// What CRIU's log says of it, on one line.
    fn failure(&self, errno: u64) -> Error {
        const LINES: usize = 3;
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let error = |line: &'_ str| {
            let (_, line) = line.split_once("Error (")?;
            Some(line.split_once("): ").map_or(line, |(_, words)| words).trim().to_owned())
        };
        let mut errors: Vec<String> = text
            .lines()
            .rev()
            .filter(|line| !line.ends_with("FAILED."))
            .filter_map(error)
            .take(LINES)
            .collect();
        errors.reverse();
        if errors.is_empty() {
            errors.push(format!("errno {errno}"));
        }
        Error::Broken {
            what: "criu failed".to_owned(),
            why: format!("{} (log file: {:?})", errors.join("; "), self.log),
        }
    }
}

fn make_directory(path: &Path) -> Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|e| create::std_error(format!("make {path:?}"), &e))
}

fn open_directory(path: &Path) -> Result<OwnedFd> {
    openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .doing(|| format!("open {path:?}"))
}

/// A `criu swrk` that waits for its request.
pub(super) struct Criu {
    child: Child,
    socket: OwnedFd,
}

impl Criu {
    /// It inherits `fds` under the numbers they have, and for a restore our
    /// standard streams.
    pub(super) fn start(streams: bool, fds: &[OwnedFd]) -> Result<Self> {
        let pair =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (socket, theirs) = pair.doing(|| "make a socket for criu")?;
        for fd in fds.iter().chain([&theirs]) {
            fcntl_setfd(fd, FdFlags::empty()).doing(|| "hand a descriptor to criu")?;
        }
        let mut command = Command::new("criu");
        command.arg("swrk").arg(theirs.as_raw_fd().to_string());
        if !streams {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        }
        let child = command.spawn().map_err(|error| not_run(&error))?;
        Ok(Self { child, socket })
    }

    pub(super) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    fn send(&mut self, message: &Message) -> Result<()> {
        send(&self.socket, message.as_bytes(), SendFlags::NOSIGNAL)
            .map(drop)
            .doing(|| "send a request to criu")
    }

    /// What it says next: a message, or nothing if it has ended, whoever else
    /// has its end of the socket. While it lives it is waited for: nobody
    /// knows how much memory there is to save, and how slow where it goes.
    fn receive(&self, buffer: &mut [u8]) -> Result<(usize, Option<OwnedFd>)> {
        if let Ok(pidfd) = pidfd::open(self.pid()) {
            let either = [
                PollFd::new(&self.socket, PollFlags::IN),
                PollFd::from_borrowed_fd(pidfd.as_fd(), pidfd::poll_flags(pidfd.as_fd())),
            ];
            let heard = retry_on_intr(|| poll(&mut either.clone(), None));
            heard.doing(|| "wait for criu")?;
            let mut speaks = [PollFd::new(&self.socket, PollFlags::IN)];
            if poll(&mut speaks, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) == Ok(0) {
                return Ok((0, None));
            }
        }
        socket::receive_fd(self.socket.as_fd(), buffer).doing(|| "hear from criu")
    }
}

impl Drop for Criu {
    /// It ends when its work is done, or nobody is there to hear of it; if it
    /// hangs, by force.
    fn drop(&mut self) {
        /// Seconds that it has for either.
        const PATIENCE: i64 = 10;
        let _ = crate::sys::net::shutdown(&self.socket, crate::sys::net::Shutdown::Both);
        let pidfd = pidfd::open(self.pid());
        let limit = Timespec { tv_sec: PATIENCE, tv_nsec: 0 };
        let has_ended =
            || matches!(&pidfd, Ok(fd) if pidfd::wait(fd.as_fd(), Some(&limit)) == Ok(true));
        if !has_ended() {
            let _ = self.child.kill();
            has_ended();
        }
        let _ = self.child.try_wait();
    }
}

/// Runs `start` in a mount namespace in which the tree at `root` is mounted at
/// `at`, too: nothing of it is seen outside, nor left. Directories that CRIU
/// is to mount in have to be opened there.
pub(super) fn in_own_mounts<T>(
    root: &CStr,
    at: &CStr,
    start: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let open = |path: &CStr| openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let doing = || "make a mount namespace for criu";
    let host = open(c"/proc/self/ns/mnt").doing(doing)?;
    let (root_directory, here) = (open(c"/").doing(doing)?, open(c".").doing(doing)?);
    namespace::unshare(CLONE_NEWNS).doing(doing)?;
    // Without that, the host could see what is mounted here.
    let mounted = mount_change(c"/", Propagation::DOWNSTREAM | Propagation::REC)
        .and_then(|()| mount(root, at, c"", MountFlags::BIND | MountFlags::REC, None));
    let started = mounted.doing(doing).and_then(|()| start());
    let back = namespace::setns(host.as_fd(), CLONE_NEWNS);
    if back.is_err() && mounted.is_ok() {
        // Whoever has no way back cleans up here, where the root must not be.
        let _ = unmount(at, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
    }
    // To enter a mount namespace is to forget a chroot.
    back.and_then(|()| fchdir(root_directory))
        .and_then(|()| chroot(c"."))
        .and_then(|()| fchdir(here))
        .doing(|| "go back to the host's mounts")?;
    started
}

/// runc's words, but for the advice.
fn not_run(error: &std::io::Error) -> Error {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        None | Some(Errno::NOENT) => Error::Advised {
            doing: "exec: \"criu\"".to_owned(),
            why: "executable file not found in $PATH".to_owned(),
            errno: Some(Errno::NOENT),
            hint: "checkpoint and restore need CRIU: https://criu.org".to_owned(),
        },
        Some(errno) => Error::os("run criu", errno),
    }
}

/// Whether CRIU can work here, as it says itself.
pub(crate) fn check() -> Result<()> {
    let mut command = Command::new("criu");
    command.arg("check").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().map_err(|error| not_run(&error))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Broken { what: "criu check".to_owned(), why: status.to_string() })
}

/// Fails if CRIU, or the kernel, lacks a feature.
pub(super) fn require(feature: u32, name: &str) -> Result<()> {
    let mut criu = Criu::start(false, &[])?;
    criu.send(&feature_check(feature))?;
    let mut buffer = [0u8; 1024];
    let (length, _) = criu.receive(&mut buffer)?;
    if Response::parse(&buffer[..length]).has(feature) {
        return Ok(());
    }
    Err(Error::Broken { what: "CRIU is missing features".to_owned(), why: name.to_owned() })
}

/// The mounts that CRIU cannot make anew, for they are the host's: where each
/// is in the container whose root is `root`, and what it is on the host.
pub(super) fn external_mounts(plan: &Plan, root: BorrowedFd<'_>) -> Result<Vec<(String, String)>> {
    let mut external = Vec::new();
    let Some(NewContainer { rootfs, has_cgroup_namespace, .. }) = &plan.container else {
        return Ok(external);
    };
    // The kernel refuses a new mount there.
    let binds_cgroup2 = !has_cgroup_namespace && plan.namespaces.user != User::Own;
    for mount in &rootfs.mounts {
        let target = mount.target.to_string_lossy();
        match &mount.kind {
            Kind::Bind(bind) => {
                external.push((place(root, &target)?, bind.source.to_string_lossy().into_owned()));
            }
            Kind::Cgroup2 { fallback: Some(source) } if binds_cgroup2 => {
                external.push((place(root, &target)?, source.to_string_lossy().into_owned()));
            }
            Kind::Cgroup1 { hierarchies, .. } if !has_cgroup_namespace => {
                let above = place(root, &target)?;
                external.extend(hierarchies.iter().map(|hierarchy| {
                    let name = hierarchy.name.to_string_lossy();
                    (format!("{above}/{name}"), hierarchy.source.to_string_lossy().into_owned())
                }));
            }
            _ => {}
        }
    }
    for node in rootfs.devices.iter().filter(|_| rootfs.bind_devices) {
        let path = format!("/{}", node.path.to_string_lossy());
        external.push((path.clone(), path));
    }
    let mut places: Vec<&str> = external.iter().map(|(place, _)| place.as_str()).collect();
    places.sort_unstable();
    match places.windows(2).find(|two| two[0] == two[1]) {
        None => Ok(external),
        Some(two) => {
            let rule = format!("two are at {:?}: CRIU cannot tell them apart", two[0]);
            Err(Error::config("mounts", rule))
        }
    }
}

/// CRIU would make them anew with the ids of the file system.
pub(super) fn refuse_id_mapped(plan: &Plan) -> Result<()> {
    let is_mapped = |kind: &Kind| matches!(kind, Kind::Bind(bind) if bind.id_map.is_some());
    match plan.mounts().iter().position(|mount| is_mapped(&mount.kind)) {
        None => Ok(()),
        Some(index) => {
            let rule = "CRIU cannot save or restore an id-mapped mount";
            Err(Error::config(format!("mounts[{index}]"), rule))
        }
    }
}

/// The path in the root, without the symbolic links that lead there. What is
/// not there yet, such as a mount point on a tmpfs, is where it says.
pub(super) fn place(root: BorrowedFd<'_>, path: &str) -> Result<String> {
    let doing = || format!("resolve {path:?} in the container's root");
    let c_path = CString::new(path).map_err(|_| Error::os(doing(), Errno::INVAL))?;
    let found = match resolve::in_root(root, &c_path) {
        Err(Errno::NOENT) => return Ok(format!("/{path}")),
        other => other.doing(doing)?,
    };
    let path_of = |fd: BorrowedFd<'_>| {
        let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let path = readlinkat(CWD, link, Vec::new()).doing(doing)?;
        Ok(path.to_string_lossy().into_owned())
    };
    let (root, found) = (path_of(root)?, path_of(found.as_fd())?);
    Ok(found.strip_prefix(root.trim_end_matches('/')).unwrap_or(&found).to_owned())
}

/// Where a joined namespace that CRIU leaves alone is named in the images;
/// runc's names.
pub(super) fn external_namespace(kind: &str) -> Option<(&'static str, &'static str)> {
    match kind {
        "network" => Some(("net", "extRootNetNS")),
        "pid" => Some(("pid", "extRootPidNS")),
        _ => None,
    }
}

/// In the images: what the standard streams of the container's init were.
pub(super) const DESCRIPTORS: &str = "descriptors.json";
