//! `exec`: one more process in a running container.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::agent::Agent;
use super::create::{
    check_preserved, connect_agent, console, hide_from, is_rootless, open_proc, own_capabilities,
    send_pidfd, write_pid_file,
};
use super::foreground;
use super::state::State;
use super::status::{Op, Status};
use super::store::{Alive, Record, Store};
use super::terminal::Terminal;
use super::{guard, lsm};
use crate::cgroup::{Cgroups, SubCgroups};
use crate::error::{Doing, Error, Result, words};
use crate::init::step::Step;
use crate::link::parent::{Init, launch};
use crate::plan::exec::{Changes, change, has_mount_namespace, is_by_pidfd};
use crate::plan::namespaces::Join;
use crate::plan::{self, Handles, Plan};
use crate::spec::{Config, Namespace, Process};
use crate::sys::event::Timespec;
use crate::sys::fs::{CWD, Mode, OFlags, openat};
use crate::sys::{Errno, fd, namespace, pidfd, signal};

/// What `exec` is asked for.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) id: String,
    /// A file with the whole process; `changes` do not count then.
    pub(crate) process: Option<PathBuf>,
    pub(crate) changes: Changes,
    /// Sub-cgroups: `PATH` or `CONTROLLER[,CONTROLLER…]:PATH`.
    pub(crate) cgroups: Vec<String>,
    pub(crate) detach: bool,
    pub(crate) ignore_paused: bool,
    pub(crate) console_socket: Option<PathBuf>,
    pub(crate) pid_file: Option<PathBuf>,
    pub(crate) pidfd_socket: Option<PathBuf>,
    pub(crate) preserve_fds: u32,
}

/// Runs a process in the container; the result is its exit code, or 128 plus
/// the signal that ended it.
///
/// Nothing on disk changes, so no lock is taken: any number of processes can
/// be brought in at once. Should the container end meanwhile, its namespaces
/// take nobody in any more.
pub(crate) fn exec(store: &Store, request: Request) -> Result<u8> {
    let copy = guard::own_binary()?;
    check_preserved(request.preserve_fds)?;
    fd::cloexec_from(3).doing(|| "close what the caller left open")?;
    let container = store.open(&request.id)?;
    let record = container.record()?;
    let (alive, status) = container.alive_for(&record, Op::Exec)?;
    if !(request.ignore_paused && status == Status::Paused) {
        status.permit(Op::Exec, &request.id)?;
    }
    let mut config = Config::parse(&container.read_config()?)?;
    if let Some(linux) = config.linux.as_mut().filter(|_| record.restored) {
        linux.namespaces.push(Namespace { kind: "time".to_owned(), path: None });
    }
    let request = &mut { request };
    config.process = Some(process(&mut config, request)?);
    let mut plan = decide(&config, &record, request)
        .map_err(|error| of_file(error, request.process.as_deref()))?;
    let (console, terminal) = console(&config, request.console_socket.as_deref(), request.detach)?;
    let agent = connect_agent(&plan, &config, &record.bundle)?;
    let agent = agent.map(|agent| (agent, State::new(&record, status)));
    let signals =
        if request.detach { None } else { Some(signal::block_all().doing(|| "block signals")?) };
    let init = enter(&mut plan, &record, &alive, request, console, copy.as_ref())
        .map_err(|e| half_dead(e, &alive, &record.id))?;
    let code = run(init, request, agent, signals.as_ref(), terminal.as_ref(), copy)
        .map_err(|e| half_dead(e, &alive, &record.id))?;
    // The command is about to end: nobody needs what would be freed.
    std::mem::forget((config, plan));
    Ok(code)
}

/// The process that is asked for.
fn process(config: &mut Config, request: &mut Request) -> Result<Process> {
    let process = match &request.process {
        Some(path) => {
            let text = std::fs::read(path).map_err(|e| Error::Broken {
                what: format!("read {path:?}"),
                why: e
                    .raw_os_error()
                    .map_or_else(|| e.to_string(), |errno| words(Errno::from_raw_os_error(errno))),
            })?;
            Process::parse(&text).map_err(|error| of_file(error, Some(path)))?
        }
        None => {
            let mut own = config.process.take().unwrap_or_else(Process::absent);
            change(&mut own, std::mem::take(&mut request.changes))?;
            own
        }
    };
    Ok(process)
}

/// A field of the process file is not one of `config.json`.
fn of_file(error: Error, path: Option<&Path>) -> Error {
    match (error, path) {
        (Error::Config { field, rule }, Some(path)) => {
            let field = field.strip_prefix("process.").unwrap_or(&field).to_owned();
            let why = if field.is_empty() { rule } else { format!("{field}: {rule}") };
            Error::Broken { what: format!("process file {path:?}"), why }
        }
        (error, _) => error,
    }
}

fn decide(config: &Config, record: &Record, request: &Request) -> Result<Plan> {
    lsm::check(config)?;
    let options = plan::Options {
        id: record.id.clone(),
        no_new_keyring: record.no_new_keyring,
        preserve_fds: request.preserve_fds,
        capabilities: own_capabilities()?,
        rootless: is_rootless(),
        ..plan::Options::default()
    };
    let by_pidfd = namespace::setns_takes_pidfd();
    plan::for_exec(config, record.init.map_or(0, |init| init.pid), by_pidfd, &options)
}

/// Clones the process into the container.
fn enter<'p>(
    plan: &'p mut Plan,
    record: &Record,
    alive: &Alive,
    request: &Request,
    console: Option<OwnedFd>,
    copy: Option<&OwnedFd>,
) -> Result<Init<'p>> {
    let pid = record.init.map_or(0, |init| init.pid);
    let (before_clone, namespaces) = namespaces_of(plan, alive)?;
    let below = SubCgroups::parse(request.cgroups.iter().map(String::as_str))?;
    let mut entrance = record.cgroups.enter(&below)?;
    if below.is_empty() && entrance.takes_nobody() {
        entrance.replace_v2(Cgroups::enter_beside(pid)?);
    }
    let mut handles = Handles::new(open_proc()?, namespaces, console);
    (handles.tasks, handles.devices) = entrance.take_tasks();
    handles.root = if has_mount_namespace(plan) { None } else { Some(root_of(pid)?) };
    // What was opened by its pid must not be another's.
    if pidfd::has_ended(alive.pidfd.as_fd()) {
        return Err(Error::os("enter the container", Errno::SRCH));
    }
    hide_from(&before_clone)?;
    let admit = |pid| entrance.admit(pid);
    let ours = [copy.map(AsFd::as_fd)];
    let init = launch(plan, &mut handles, &before_clone, entrance.v2(), admit, &ours)?;
    record.resctrl.iter().try_for_each(|group| group.admit_one_more(init.pid()))?;
    Ok(init)
}

/// What to enter, before the clone and after it.
fn namespaces_of(plan: &Plan, alive: &Alive) -> Result<(Vec<OwnedFd>, Vec<OwnedFd>)> {
    let open = |join: &Join| {
        if is_by_pidfd(join) {
            return crate::sys::io::fcntl_dupfd_cloexec(&alive.pidfd, 3)
                .doing(|| "copy a descriptor");
        }
        open_of_init(&join.path, OFlags::RDONLY)
    };
    let all = |joins: &[Join]| joins.iter().map(open).collect::<Result<Vec<_>>>();
    Ok((all(&plan.namespaces.join_before_clone)?, all(&plan.namespaces.join)?))
}

/// Namespaces of an init that is ending can no longer be had from it, and its
/// pid namespace takes nobody in.
fn half_dead(error: Error, alive: &Alive, id: &str) -> Error {
    let stopped = || Status::Stopped.permit(Op::Exec, id).err();
    let is_join = match &error {
        // Killed with all others of the pid namespace, whose init ends last.
        Error::Init { step: "vanished", .. } => {
            let soon = Timespec { tv_sec: 1, tv_nsec: 0 };
            let ended = pidfd::wait(alive.pidfd.as_fd(), Some(&soon)) == Ok(true);
            return if ended { stopped().unwrap_or(error) } else { error };
        }
        Error::Init { step, .. } => *step == Step::JoinNamespace.name(),
        Error::Os { .. } => true,
        _ => false,
    };
    match error.errno().map(Errno::from_raw_os_error) {
        Some(Errno::SRCH | Errno::NOMEM) if is_join => stopped().unwrap_or(error),
        // systemd has removed the cgroup of one that ended.
        Some(Errno::NOENT | Errno::NODEV) if pidfd::has_ended(alive.pidfd.as_fd()) => {
            stopped().unwrap_or(error)
        }
        _ => error,
    }
}

/// Up to the program itself.
fn begin(
    init: &Init<'_>,
    agent: Option<(Agent<'_>, State<'_>)>,
    copy: Option<OwnedFd>,
) -> Result<()> {
    // No program of the container's may run while the mount can be changed.
    drop(copy);
    init.answer(Step::Recorded);
    if let Some((agent, state)) = agent {
        let listener = init.take_listener()?;
        agent.send(&state, init.pid(), &listener)?;
        init.answer(Step::Listener);
    }
    init.wait_for_program()
}

pub(super) fn root_of(pid: i32) -> Result<OwnedFd> {
    open_of_init(&format!("/proc/{pid}/root"), OFlags::PATH | OFlags::DIRECTORY)
}

/// What is not there any more is gone with its process.
fn open_of_init(path: &str, flags: OFlags) -> Result<OwnedFd> {
    openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| if errno == Errno::NOENT { Errno::SRCH } else { errno })
        .doing(|| format!("open {path:?}"))
}

/// Sees the process through to its program, and to its end.
fn run(
    mut init: Init<'_>,
    request: &Request,
    agent: Option<(Agent<'_>, State<'_>)>,
    signals: Option<&OwnedFd>,
    terminal: Option<&OwnedFd>,
    copy: Option<OwnedFd>,
) -> Result<u8> {
    // Before the program has it: it may have a mind of its own about the mode.
    let terminal = terminal.map(|socket| Terminal::receive(socket.as_fd())).transpose();
    let mut terminal = terminal.map_err(|error| init.reason_or(error))?;
    if let Some(path) = &request.pidfd_socket {
        send_pidfd(path, b"setns", init.pidfd())?;
    }
    if let Some(path) = &request.pid_file {
        write_pid_file(path, init.pid())?;
    }
    if let Err(error) = begin(&init, agent, copy) {
        if let Some(path) = &request.pid_file {
            let _ = std::fs::remove_file(path);
        }
        return Err(error);
    }
    init.let_go();
    let Some(signals) = signals else { return Ok(0) };
    crate::log::release();
    foreground::attend(init.pid(), init.pidfd(), signals, terminal.as_mut(), None)
}
