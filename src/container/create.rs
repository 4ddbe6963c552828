//! `create`: all of a container but its program.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::agent::Agent;
use super::host_mounts::HostMounts;
use super::notify;
use super::resctrl::Group;
use super::status::Status;
use super::store::{Container, InitId, Record, Store, start_socket};
use super::undo::Undo;
use super::{guard, id, lsm, net_devices, resctrl, state};
use crate::cgroup::{Cgroups, Entrance};
use crate::error::{Doing, Error, Result};
use crate::init::step::Step;
use crate::link::parent::{Init, launch};
use crate::plan::namespaces::{CLONE_NEWPID, CLONE_NEWUSER, Join};
use crate::plan::{self, Handles, NewContainer, Plan};
use crate::seccomp::Filter;
use crate::spec::{Config, Resources};
use crate::sys::fs::{CWD, Mode, OFlags, openat, renameat, unlinkat};
use crate::sys::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with,
};
use crate::sys::process::{DumpableBehavior, set_dumpable_behavior};
use crate::sys::{Errno, fd, io, namespace, signal, socket};
use crate::{check, hooks, time};

pub(super) const NO_LIMITS: &Resources = &Resources::NONE;

/// What `create` and `run` are asked for.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) id: String,
    /// As given; the current directory when absent.
    pub(crate) bundle: Option<PathBuf>,
    /// crun's `--config`; `config.json` in the bundle when absent.
    pub(crate) config: Option<PathBuf>,
    pub(crate) console_socket: Option<PathBuf>,
    pub(crate) pid_file: Option<PathBuf>,
    pub(crate) pidfd_socket: Option<PathBuf>,
    pub(crate) no_pivot: bool,
    pub(crate) no_new_keyring: bool,
    pub(crate) preserve_fds: u32,
    /// The container stays when the command ends: `create`, `run --detach`.
    pub(crate) detach: bool,
    pub(crate) cgroup_manager: CgroupManager,
    /// `--rootless`, where it is not `auto`.
    pub(crate) rootless: Option<bool>,
}

/// Who makes the container's cgroups.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CgroupManager {
    /// We do, in the file system.
    #[default]
    Cgroupfs,
    /// systemd does, over D-Bus.
    Systemd,
    /// Nobody: the container stays in the cgroup of the caller.
    Disabled,
}

/// A container that waits for `start`.
#[derive(Debug)]
pub(crate) struct Created {
    pub(crate) container: Container,
    pub(crate) record: Record,
    pub(crate) pidfd: OwnedFd,
    /// The master of the container's terminal, if the caller is to have it.
    pub(crate) terminal: Option<OwnedFd>,
}

/// Makes a container: steps 1 to 6 of the lifecycle.
pub(crate) fn create(store: &Store, request: &Request) -> Result<Created> {
    let copy = guard::own_binary()?;
    let phases = Phases(Instant::now());
    id::check(&request.id)?;
    check_preserved(request.preserve_fds.saturating_add(listen_fds()))?;
    // What the caller left open is not the container's: nothing of it survives
    // an exec, whatever else goes wrong.
    fd::cloexec_from(3).doing(|| "close what the caller left open")?;
    let bundle = absolute(request.bundle.as_deref().unwrap_or(Path::new(".")))?;
    let text = read_config(request, &bundle)?;
    let config = configuration(store, request, &text)?;
    let (mut plan, mut record) = decide(&config, request, &bundle)?;
    let limits = record.cgroups.limits(config.linux().resources.as_ref().unwrap_or(NO_LIMITS))?;
    phases.done("the plan");
    // All that can be opened is opened before anything is made.
    let (console, terminal) = console(&config, request.console_socket.as_deref(), request.detach)?;
    let before_clone = open_namespaces(&plan.namespaces.join_before_clone)?;
    let namespaces = open_namespaces(&plan.namespaces.join)?;
    check_new(&plan, &before_clone, &namespaces)?;
    let proc = open_proc()?;
    let agent = connect_agent(&plan, &config, &bundle)?;

    let held = signal::hold();
    let container = store.reserve(&request.id)?;
    let (mut cgroups, group, mounts) =
        (record.cgroups.clone(), record.resctrl.clone(), record.host_mounts.clone());
    let mut undo = Undo::default();
    undo.push(|| warn(container.remove()));
    notify::make_directory(store, &request.id)?;
    cgroups.claim()?;
    record.cgroups.clone_from(&cgroups);
    container.write_journal(&record)?;
    undo.push(|| warn(mounts.iter().try_for_each(HostMounts::remove)));
    let mut entrance = record.cgroups.make_v2(&limits, plan.cgroup_owner)?;
    undo.push(|| unless_entered(&cgroups));
    undo.push(|| warn(group.iter().try_for_each(Group::undo)));
    group.iter().zip(&config.linux().intel_rdt).try_for_each(|(group, rdt)| group.make(rdt))?;
    phases.done("the state directory");
    let mut handles = Handles::new(proc, namespaces, console);
    handles.start = Some(start_socket().doing(|| "make the container's start socket")?);
    handles.cgroups_follow = record.cgroups.has_v1();
    hide_from(&before_clone)?;
    let admit = |pid| entrance.admit(pid);
    let ours = [Some(container.as_fd()), copy.as_ref().map(AsFd::as_fd)];
    let mut init = launch(&mut plan, &mut handles, &before_clone, entrance.v2(), admit, &ours)?;
    // From here on the child works, and so do we.
    phases.done("the clone");
    entrance.is_taken();
    give_places(&init, &record, &mut entrance)?;
    undo.push(|| warn(cgroups.remove()));
    record.init = InitId::of(init.pid());
    write_down(&container, &record, &text, &handles)?;
    drop(handles);
    if init.pauses() {
        init.wait_for(Step::Mounted)?;
    }
    record
        .cgroups
        .set(&limits, &entrance, init.is_rootless())
        .map_err(|error| blame_memory(init.reason_or(error), &record))?;
    // A hook that fails ends the container's life, the end of it included.
    if let Err(error) = bring_up(&config, &record, &init, agent, copy) {
        let error = blame_memory(error, &record);
        drop((init, undo));
        poststop_after(&error, &record);
        return Err(error);
    }
    phases.done("the container's init");
    let pidfd = hand_out(request, &init)?;
    go_on_unless(&held)?;
    init.let_go();
    drop(init);
    undo.keep();
    // The memory is shared with init: the kernel would copy what is written to
    // free it, and the command is about to end.
    std::mem::forget((limits, plan));
    std::mem::forget((config, text));
    Ok(Created { container, record, pidfd, terminal })
}

/// Its resctrl group, its network devices, for which init waits once it is in its
/// namespaces, and its cgroups, before the first mount that needs them.
fn give_places(init: &Init<'_>, record: &Record, entrance: &mut Entrance) -> Result<()> {
    record.resctrl.iter().try_for_each(|group| group.admit(init.pid()))?;
    if !init.net_devices().is_empty() {
        init.wait_for(Step::NetDevices)?;
        net_devices::move_all(init.net_devices(), init.pid())?;
        init.answer(Step::NetDevices);
    }
    if record.cgroups.has_v1() {
        record.cgroups.make_v1(entrance)?;
        let handed = init.hand_over(entrance.take_tasks());
        handed.inspect_err(|_| record.cgroups.unmake_v1())?;
    }
    Ok(())
}

/// What is to be made.
pub(super) fn configuration(store: &Store, request: &Request, text: &[u8]) -> Result<Config> {
    let mut config = Config::parse(text)?;
    check::config(&config)?;
    lsm::check(&config)?;
    notify::add_to(&mut config, store, &request.id);
    Ok(config)
}

/// All by which others find the container. Init listens when it has all else.
fn write_down(
    container: &Container,
    record: &Record,
    text: &[u8],
    handles: &Handles,
) -> Result<()> {
    handles.start.iter().try_for_each(|start| container.bind_start(start))?;
    container.write_config(text)?;
    container.write_state(record)
}

/// Takes the first of the cgroups back: before init is in all of them, nobody
/// in v1's is ours to kill, and what is there of them may be another's.
fn unless_entered(cgroups: &Cgroups) {
    if cgroups.has_v1() { cgroups.unmake_v2() } else { warn(cgroups.remove()) }
}

/// The processes of a joined pid namespace see init from its first moment.
pub(super) fn hide_from(joined: &[OwnedFd]) -> Result<()> {
    if joined.is_empty() {
        return Ok(());
    }
    set_dumpable_behavior(DumpableBehavior::NotDumpable).doing(|| "hide from other processes")
}

/// Whoever asked us to end does not want the container.
pub(super) fn go_on_unless(held: &signal::Held) -> Result<()> {
    if !held.came() {
        return Ok(());
    }
    Err(Error::Broken { what: "create".to_owned(), why: "a signal asked to end it".to_owned() })
}

/// Tells in the debug log how long each part of `create` took, all counted
/// from its beginning.
struct Phases(Instant);

impl Phases {
    fn done(&self, what: &str) {
        log::debug!("create: {what} done after {} us", self.0.elapsed().as_micros());
    }
}

/// A user without a cgroup of his own cannot have limits; devices are kept from
/// him by the user namespace.
fn without_cgroups(config: &Config) -> Result<()> {
    let linux = config.linux();
    let resources = linux.resources.clone().unwrap_or(Resources::NONE);
    let limits = Resources { devices: Vec::new(), ..resources } != Resources::NONE;
    if !limits && linux.cgroups_path.as_deref().is_none_or(str::is_empty) {
        return Ok(());
    }
    // runc's words.
    Err(Error::advised(
        "rootless needs no limits + no cgrouppath when no permission is granted for cgroups",
        Errno::ACCESS,
        "leave linux.cgroupsPath and linux.resources out, or have a cgroup delegated to the user",
    ))
}

/// The plan, and what is to be written down of it.
pub(super) fn decide(config: &Config, request: &Request, bundle: &str) -> Result<(Plan, Record)> {
    let linux = config.linux();
    let rootless = request.rootless.unwrap_or_else(is_rootless);
    let cgroups = match request.cgroup_manager {
        CgroupManager::Cgroupfs => {
            let cgroups = Cgroups::locate(linux.cgroups_path.as_deref(), &request.id)?;
            if rootless && !cgroups.may_be_made() {
                without_cgroups(config)?;
                Cgroups::none()
            } else {
                cgroups
            }
        }
        CgroupManager::Disabled => Cgroups::none(),
        CgroupManager::Systemd => {
            let path = linux.cgroups_path.as_deref();
            Cgroups::locate_unit(path, &request.id, &config.annotations, rootless)?
        }
    };
    let listen_fds = listen_fds();
    let options = plan::Options {
        id: request.id.clone(),
        bundle: bundle.to_owned(),
        no_pivot: request.no_pivot,
        host_proc: if request.no_pivot { host_proc()? } else { Vec::new() },
        no_new_keyring: request.no_new_keyring,
        preserve_fds: request.preserve_fds + listen_fds,
        capabilities: own_capabilities()?,
        listen_fds,
        cgroup_view: cgroups.view()?,
        rootless,
    };
    let mut plan = plan::for_init(config, &options)?;
    if let Some(filter) = &mut plan.process.filter {
        fit_to_kernel(filter, config)?;
    }
    let record = Record {
        oci_version: config.oci_version.clone(),
        id: request.id.clone(),
        bundle: bundle.to_owned(),
        rootfs: plan
            .container
            .as_ref()
            .map_or_else(String::new, |new| new.rootfs.path.to_string_lossy().into_owned()),
        created: time::rfc3339_nano(std::time::SystemTime::now()),
        owner: crate::sys::geteuid().as_raw(),
        annotations: config.annotations.clone(),
        creator: crate::sys::process::getpid().as_raw_pid(),
        init: None,
        cgroups,
        resctrl: resctrl::locate(linux.intel_rdt.as_ref(), &request.id)?,
        no_new_keyring: request.no_new_keyring,
        restored: false,
        host_mounts: HostMounts::locate(&plan)?,
        shares_pid_namespace: plan.namespaces.new & CLONE_NEWPID == 0,
        program: config
            .process
            .as_ref()
            .and_then(|process| process.args.first().cloned())
            .unwrap_or_default(),
        poststart: config.hooks.poststart.clone(),
        poststop: config.hooks.poststop.clone(),
    };
    if let Some(new) = &mut plan.container {
        new.hook_states = state::for_hooks(&record);
    }
    Ok((plan, record))
}

/// Flags are asked for where the kernel has them; one that the profile does not
/// ask for itself is left out where not.
fn fit_to_kernel(filter: &mut Filter, config: &Config) -> Result<()> {
    let knows = crate::sys::seccomp::knows_flags;
    if filter.flags == 0 || knows(filter.flags) {
        return Ok(());
    }
    let profile = config.linux().seccomp.as_ref();
    if profile.is_some_and(|profile| profile.flags.is_none()) {
        filter.flags = filter.without_default_flag();
        if knows(filter.flags) {
            return Ok(());
        }
    }
    let rule = format!("the kernel does not know all of the flags {:#x}", filter.flags);
    Err(Error::config("linux.seccomp.flags", rule))
}

/// Whoever answers calls for the filter, if anybody does.
pub(super) fn connect_agent<'c>(
    plan: &Plan,
    config: &'c Config,
    bundle: &str,
) -> Result<Option<Agent<'c>>> {
    let profile = config.linux().seccomp.as_ref();
    let has_listener = plan.process.filter.as_ref().is_some_and(|filter| filter.listener);
    profile.filter(|_| has_listener).map(|profile| Agent::connect(profile, bundle)).transpose()
}

/// The parts of a launch in which both sides take turns.
fn bring_up(
    config: &Config,
    record: &Record,
    init: &Init<'_>,
    agent: Option<Agent<'_>>,
    copy: Option<OwnedFd>,
) -> Result<()> {
    if init.pauses() {
        run_hooks(config, record)?;
        init.answer(Step::Mounted);
    }
    // No program of the container's may run while the mount can be changed.
    drop(copy);
    init.answer(Step::Recorded);
    if let Some(agent) = agent {
        let listener = init.take_listener()?;
        agent.send(&state::State::new(record, Status::Creating), init.pid(), &listener)?;
        init.answer(Step::Listener);
    }
    init.wait_for(Step::Created)
}

/// Where all of a procfs or sysfs is mounted, as `/proc/self/mountinfo` has it
/// (`proc_pid_mountinfo(5)`).
fn host_proc() -> Result<Vec<String>> {
    let path = "/proc/self/mountinfo";
    let text = std::fs::read_to_string(path).map_err(|e| std_error(format!("read {path}"), &e))?;
    let target = |line: &str| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, target) = (mount.next()?, mount.next()?);
        let kind = filesystem.split(' ').next()?;
        (root == "/" && matches!(kind, "proc" | "sysfs")).then(|| unescaped(target))
    };
    Ok(text.lines().filter_map(target).collect())
}

/// Blanks and backslashes stand as three octal digits there.
pub(super) fn unescaped(path: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(path.to_owned(), |path, (code, plain)| path.replace(code, plain))
}

/// The hooks of this side, which see a container that has all its mounts.
pub(super) fn run_hooks(config: &Config, record: &Record) -> Result<()> {
    let creating = state::State::new(record, Status::Creating).compact();
    hooks::run_all("prestart", &config.hooks.prestart, &creating, &record.bundle)?;
    hooks::run_all("createRuntime", &config.hooks.create_runtime, &creating, &record.bundle)
}

/// Of an init that vanished the kernel says whether it was for want of memory.
pub(super) fn blame_memory(error: Error, record: &Record) -> Error {
    match error {
        Error::Init { step: "vanished", errno, .. } if record.cgroups.oom_killed() => Error::Init {
            step: "vanished",
            // runc's words.
            what: "container init was OOM-killed (memory limit too low?)".to_owned(),
            errno,
        },
        other => other,
    }
}

/// A hook that failed is followed by `poststop`, as if the container had been
/// deleted: the spec has it at step 12 of the lifecycle.
pub(super) fn poststop_after(error: &Error, record: &Record) {
    let of_init =
        matches!(error, Error::Init { step, .. } if *step == Step::CreateContainer.name());
    if of_init || matches!(error, Error::Hook { .. }) {
        let stopped = state::State::new(record, Status::Stopped).compact();
        hooks::run_all_warning("poststop", &record.poststop, &stopped, &record.bundle);
    }
}

/// Gives the caller what it asked for: the pid in a file, a pidfd by socket.
fn hand_out(request: &Request, init: &Init<'_>) -> Result<OwnedFd> {
    let pidfd = init.pidfd().try_clone_to_owned();
    let pidfd = pidfd.map_err(|e| std_error("copy a descriptor".to_owned(), &e))?;
    if let Some(path) = &request.pidfd_socket {
        send_pidfd(path, b"standard", pidfd.as_fd())?;
    }
    if let Some(path) = &request.pid_file {
        write_pid_file(path, init.pid())?;
    }
    Ok(pidfd)
}

/// `--pidfd-socket`; the payload says what kind of process it is.
pub(super) fn send_pidfd(path: &Path, payload: &[u8], pidfd: BorrowedFd<'_>) -> Result<()> {
    let socket = connect_to(path, "--pidfd-socket")?;
    socket::send_fd(socket.as_fd(), payload, pidfd)
        .map(drop)
        .doing(|| format!("send the pidfd to --pidfd-socket {}", path.display()))
}

/// Written beside its place and renamed: nobody reads half of it.
pub(crate) fn write_pid_file(path: &Path, pid: i32) -> Result<()> {
    let doing = || format!("write pid file {}", path.display());
    let (Some(name), parent) = (path.file_name(), path.parent().unwrap_or(Path::new("/"))) else {
        return Err(Error::os(doing(), Errno::ISDIR));
    };
    let temporary = parent.join(format!(".{}", name.to_string_lossy()));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(CWD, &temporary, flags, Mode::from_raw_mode(0o666)).doing(doing)?;
    let written = io::write(&file, pid.to_string().as_bytes())
        .and_then(|_| renameat(CWD, &temporary, CWD, path));
    if written.is_err() {
        let _ = unlinkat(CWD, &temporary, crate::sys::fs::AtFlags::empty());
    }
    written.doing(doing)
}

/// Sockets that a service manager has opened for us are meant for the
/// container (`sd_listen_fds(3)`).
fn listen_fds() -> u32 {
    let own = std::env::var("LISTEN_PID").is_ok_and(|pid| pid == std::process::id().to_string());
    let count = std::env::var("LISTEN_FDS").ok().filter(|_| own);
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// `--preserve-fds N`: each of 3 to 3+N must be there.
pub(super) fn check_preserved(count: u32) -> Result<()> {
    for number in 3..count.saturating_add(3) {
        let number =
            i32::try_from(number).map_err(|_| Error::usage("--preserve-fds is too large"))?;
        fd::handed_over(number)
            .doing(|| format!("unable to stat preserved-fd {number} (of {count})"))?;
    }
    Ok(())
}

pub(super) fn absolute(path: &Path) -> Result<String> {
    let absolute = std::fs::canonicalize(path);
    let absolute = absolute
        .map_err(|e| std_error(format!("open bundle {:?}", path.display().to_string()), &e))?;
    absolute
        .into_os_string()
        .into_string()
        .map_err(|_| Error::usage("the path of the bundle is not UTF-8"))
}

pub(super) fn read_config(request: &Request, bundle: &str) -> Result<Vec<u8>> {
    let path = match &request.config {
        Some(path) => path.clone(),
        None => Path::new(bundle).join("config.json"),
    };
    std::fs::read(&path).map_err(|e| match e.kind() {
        // runc's words.
        std::io::ErrorKind::NotFound if request.config.is_none() => Error::Broken {
            what: "JSON specification file config.json not found".to_owned(),
            why: format!("no such file in bundle {bundle:?}"),
        },
        _ => std_error(format!("read {path:?}"), &e),
    })
}

pub(super) fn std_error(doing: String, error: &std::io::Error) -> Error {
    match error.raw_os_error() {
        Some(errno) => Error::os(doing, Errno::from_raw_os_error(errno)),
        None => Error::Broken { what: doing, why: error.to_string() },
    }
}

/// A user, or root of a user namespace: neither has all of root's rights.
pub(super) fn is_rootless() -> bool {
    /// `PROC_USER_INIT_INO` of the kernel.
    const INITIAL: u64 = 0xefff_fffd;
    let own = crate::sys::fs::stat(namespace::own_path(CLONE_NEWUSER));
    !crate::sys::geteuid().is_root() || own.is_ok_and(|stat| stat.st_ino != INITIAL)
}

pub(super) fn own_capabilities() -> Result<u64> {
    let sets =
        crate::sys::thread::capabilities(None).doing(|| "read the runtime's capabilities")?;
    Ok(sets.permitted.bits())
}

/// Where the container's terminal goes: to the engine's socket, or to us.
pub(super) fn console(
    config: &Config,
    socket: Option<&Path>,
    detach: bool,
) -> Result<(Option<OwnedFd>, Option<OwnedFd>)> {
    let wanted = config.process.as_ref().is_some_and(|process| process.terminal);
    match (wanted, socket) {
        (false, None) => Ok((None, None)),
        (false, Some(_)) => {
            Err(Error::usage("cannot use console socket if runc will not detach or allocate tty"))
        }
        (true, Some(_)) if !detach => {
            Err(Error::usage("cannot use console socket if runc will not detach or allocate tty"))
        }
        (true, Some(path)) => Ok((Some(connect_to(path, "--console-socket")?), None)),
        (true, None) if detach => Err(Error::usage(
            "cannot allocate tty if runc will detach without setting console socket",
        )),
        (true, None) => {
            let pair = crate::sys::net::socketpair(
                AddressFamily::UNIX,
                SocketType::STREAM,
                SocketFlags::CLOEXEC,
                None,
            );
            let (ours, theirs) = pair.doing(|| "make a socket for the terminal")?;
            Ok((Some(theirs), Some(ours)))
        }
    }
}

fn connect_to(path: &Path, flag: &str) -> Result<OwnedFd> {
    let doing = || format!("connect to {flag} {:?}", path.display().to_string());
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .doing(doing)?;
    let address = SocketAddrUnix::new(path).doing(doing)?;
    connect(&socket, &address).doing(doing)?;
    Ok(socket)
}

/// The host's procfs: everything that is written to procfs goes through it.
pub(super) fn open_proc() -> Result<OwnedFd> {
    const PROC_SUPER_MAGIC: u64 = 0x9fa0;
    let doing = || "open \"/proc\"";
    let proc =
        openat(CWD, c"/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .doing(doing)?;
    if crate::sys::fs::fstatfs(&proc).doing(doing)?.f_type.cast_unsigned() != PROC_SUPER_MAGIC {
        return Err(Error::Broken { what: "/proc".to_owned(), why: "is not a procfs".to_owned() });
    }
    Ok(proc)
}

/// What the host has to say about a new container.
pub(super) fn check_new(
    plan: &Plan,
    before_clone: &[OwnedFd],
    namespaces: &[OwnedFd],
) -> Result<()> {
    let Some(new) = &plan.container else { return Ok(()) };
    refuse_host_sysctl(new, &plan.namespaces.join_before_clone, before_clone)?;
    refuse_host_sysctl(new, &plan.namespaces.join, namespaces)?;
    net_devices::check(&new.net_devices)?;
    check_rootfs(new)
}

/// The child opens it once more, in its own mount namespace.
fn check_rootfs(plan: &NewContainer) -> Result<()> {
    let path = &plan.rootfs.path;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(CWD, path.as_c_str(), flags, Mode::empty()).map(drop).map_err(|errno| match errno {
        Errno::NOTDIR | Errno::LOOP => Error::config(
            "root.path",
            format!("{path:?} must be a directory, and not a symbolic link"),
        ),
        errno => Error::os(format!("config.json: root.path: open {path:?}"), errno),
    })
}

/// Opens the namespaces that are to be joined and checks what they are.
fn open_namespaces(joins: &[Join]) -> Result<Vec<OwnedFd>> {
    let open = |join: &Join| {
        let fd = openat(CWD, &join.path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let fd = fd.doing(|| format!("config.json: {}: open {:?}", join.field, join.path))?;
        match namespace::kind_of(fd.as_fd()) {
            Ok(kind) if kind == join.kind => Ok(fd),
            Ok(_) => Err(Error::config(
                &join.field,
                format!("{:?} is a namespace of another type", join.path),
            )),
            Err(_) => {
                Err(Error::config(&join.field, format!("{:?} is not a namespace", join.path)))
            }
        }
    };
    joins.iter().map(open).collect()
}

/// A joined namespace may be the host's own, by another name: its parameters
/// are then the host's.
fn refuse_host_sysctl(plan: &NewContainer, joins: &[Join], opened: &[OwnedFd]) -> Result<()> {
    if plan.sysctl.is_empty() {
        return Ok(());
    }
    for (join, fd) in joins.iter().zip(opened) {
        let own = crate::sys::fs::stat(namespace::own_path(join.kind))
            .doing(|| "look at the runtime's namespaces")?;
        let joined = crate::sys::fs::fstat(fd).doing(|| format!("look at {:?}", join.path))?;
        let same = (own.st_dev, own.st_ino) == (joined.st_dev, joined.st_ino);
        if let Some(write) = plan.sysctl.iter().find(|write| same && write.namespace == join.kind) {
            let rule = "is not in a separate namespace: the one to join is the host's";
            return Err(Error::config(format!("linux.sysctl[{:?}]", write.name), rule));
        }
    }
    Ok(())
}

/// An error of the clean-up must not hide why it was needed.
pub(super) fn warn(result: Result<()>) {
    if let Err(error) = result {
        log::warn!("{error}");
    }
}
