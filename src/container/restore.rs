//! `restore`: a container whose processes come from images.
//!
//! Its state directory and its cgroups are made as for any other; CRIU makes
//! all that is in it, as a process of ours that becomes the parent of none:
//! the restored init is our own child.

use std::cell::Cell;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use super::create::{self, NO_LIMITS};
use super::criu::{self, Criu, DESCRIPTORS, Job, RESTORE_LOG, external_mounts, external_namespace};
use super::resctrl::Group;
use super::store::{Container, InitId, ROOT, Record, Store};
use super::terminal::Terminal;
use super::undo::Undo;
use super::{foreground, notify, run};
use crate::cgroup::Entrance;
use crate::criu::{Message, Response, kind, opts};
use crate::error::{Doing, Error, Result};
use crate::init::resolve;
use crate::plan::mounts::{Kind, Mount};
use crate::plan::namespaces::KINDS;
use crate::plan::{Plan, paths};
use crate::spec::Config;
use crate::sys::fs::{CWD, Gid, Mode, OFlags, fchmod, fchown, fstat, openat};
use crate::sys::process::{Pid, set_child_subreaper};
use crate::sys::{fd, pidfd, signal, socket};

/// What `restore` is asked for.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) create: create::Request,
    pub(crate) common: criu::Request,
    pub(crate) no_subreaper: bool,
    pub(crate) lsm_profile: Option<String>,
    pub(crate) lsm_mount_context: Option<String>,
}

/// Restores a container; the result is the exit code of its program if it is
/// not detached.
pub(crate) fn restore(store: &Store, request: &Request) -> Result<u8> {
    let asked = &request.create;
    if !asked.detach && !request.no_subreaper {
        set_child_subreaper(Pid::from_raw(1)).doing(|| "become the reaper of orphans")?;
    }
    let signals =
        if asked.detach { None } else { Some(signal::block_all().doing(|| "block signals")?) };
    let (init, terminal) = revive(store, request)?;
    let Some(signals) = signals else { return Ok(0) };
    let wait = || {
        let mut terminal = match &terminal {
            Some(socket) => Some(Terminal::receive(socket.as_fd())?),
            None => None,
        };
        crate::log::release();
        let pidfd = pidfd::open(init.pid).doing(|| "open the container's init")?;
        foreground::attend(init.pid, pidfd.as_fd(), &signals, terminal.as_mut(), None)
    };
    let ended = wait();
    run::removed(store, &asked.id, ended)
}

/// Makes the container: its init, and where its terminal comes from.
fn revive(store: &Store, request: &Request) -> Result<(InitId, Option<OwnedFd>)> {
    let asked = &request.create;
    super::id::check(&asked.id)?;
    fd::cloexec_from(3).doing(|| "close what the caller left open")?;
    let bundle = asked.bundle.clone().unwrap_or_else(|| PathBuf::from("."));
    let bundle = create::absolute(&bundle)?;
    let text = create::read_config(asked, &bundle)?;
    let config = create::configuration(store, asked, &text)?;
    let (plan, mut record) = create::decide(&config, asked, &bundle)?;
    criu::refuse_id_mapped(&plan)?;
    record.restored = true;
    let limits = record.cgroups.limits(config.linux().resources.as_ref().unwrap_or(NO_LIMITS))?;
    let (console, terminal) =
        create::console(&config, asked.console_socket.as_deref(), asked.detach)?;
    let root = root(&record)?;
    make_mount_points(&plan, root.as_fd())?;
    let mut own = Message::default();
    describe(&mut own, request, &plan, root.as_fd())?;
    let joined = join_namespaces(&mut own, &config)?;

    let held = signal::hold();
    let container = store.reserve(&asked.id)?;
    let mut cgroups = record.cgroups.clone();
    let group = record.resctrl.clone();
    let init = Cell::new(None);
    let mut undo = Undo::default();
    undo.push(|| create::warn(container.remove()));
    notify::make_directory(store, &asked.id)?;
    cgroups.claim()?;
    record.cgroups.clone_from(&cgroups);
    container.write_journal(&record)?;
    let mut entrance = record.cgroups.make_v2(&limits, plan.cgroup_owner)?;
    record.cgroups.make_v1(&mut entrance)?;
    undo.push(|| create::warn(cgroups.remove()));
    undo.push(|| create::warn(group.iter().try_for_each(Group::undo)));
    undo.push(|| kill(init.get()));
    group.iter().zip(&config.linux().intel_rdt).try_for_each(|(group, rdt)| group.make(rdt))?;

    let at = mount_point(store, &asked.id)?;
    let rootfs = CString::new(record.rootfs.clone()).unwrap_or_default();
    let (mut job, mut criu) = criu::in_own_mounts(&rootfs, &at, || {
        let annotation = config.annotations.get("org.criu.config");
        let job = Job::new(&request.common, RESTORE_LOG, annotation)?;
        Ok((job, Criu::start(true, &joined)?))
    })?;
    job.options.append(&own);
    job.options.bytes(opts::ROOT, at.as_bytes());
    inherit_pipes(&mut job)?;
    admit(&mut job.options, &criu, &mut entrance, group.as_ref())?;
    record.cgroups.set(&limits, &entrance, plan.rootless)?;
    let mut noticed = |response: &Response<'_>, fd| {
        record.init = response.pid.and_then(InitId::of).or(record.init);
        init.set(record.init);
        step(response, fd, &container, &record, &config, &text, console.as_ref())
    };
    let restored =
        lending(job.images.as_fd(), &config, || job.run(&mut criu, kind::RESTORE, &mut noticed));
    drop(criu);
    let _ = std::fs::remove_dir(std::path::Path::new(&*at.to_string_lossy()));
    let finished = restored
        .and_then(|()| finish(&record, asked))
        .and_then(|init| create::go_on_unless(&held).map(|()| init));
    match finished {
        Ok(init) => {
            undo.keep();
            Ok((init, terminal))
        }
        Err(error) => {
            drop(undo);
            create::poststop_after(&error, &record);
            Err(error)
        }
    }
}

/// In a new user namespace CRIU reads the images as its root, too, to whom a
/// directory for its owner alone is closed: during `work` its group may enter.
/// Without the right to lend it, CRIU tells what it misses.
fn lending<T>(images: BorrowedFd<'_>, config: &Config, work: impl FnOnce() -> T) -> T {
    let root = config.linux().gid_mappings.iter().find(|map| map.container_id == 0);
    let (Some(root), Ok(stat)) = (root, fstat(images)) else { return work() };
    let mode = Mode::from_raw_mode(stat.st_mode);
    let is_lent = !mode.contains(Mode::XOTH)
        && fchown(images, None, Some(Gid::from_raw(root.host_id))).is_ok()
        && fchmod(images, mode | Mode::XGRP).is_ok();
    let done = work();
    if is_lent {
        let group = Some(Gid::from_raw(stat.st_gid));
        let _ = fchown(images, None, group).and_then(|()| fchmod(images, mode));
    }
    done
}

/// One that is restored in part; of what else there is, the cgroups know.
fn kill(init: Option<InitId>) {
    if let Some((init, alive)) = init.and_then(|init| Some((init, init.alive()?))) {
        let _ = pidfd::send(alive.pidfd.as_fd(), init.pid, 9);
    }
}

fn finish(record: &Record, asked: &create::Request) -> Result<InitId> {
    let init = record.init.ok_or_else(|| Error::Broken {
        what: "criu".to_owned(),
        why: "it has restored nobody".to_owned(),
    })?;
    if let Some(path) = &asked.pid_file {
        create::write_pid_file(path, init.pid)?;
    }
    Ok(init)
}

/// What is to be done when CRIU has come to a certain point.
fn step(
    response: &Response<'_>,
    fd: Option<OwnedFd>,
    container: &Container,
    record: &Record,
    config: &Config,
    text: &[u8],
    console: Option<&OwnedFd>,
) -> Result<()> {
    match response.script {
        b"setup-namespaces" => {
            container.write_state(record)?;
            create::run_hooks(config, record)
        }
        b"post-restore" => {
            container.write_config(text)?;
            container.write_state(record)
        }
        b"orphan-pts-master" => match (fd, console) {
            (Some(master), Some(console)) => {
                socket::send_fd(console.as_fd(), b"/dev/ptmx", master.as_fd())
                    .map(drop)
                    .doing(|| "send the container's terminal")
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn root(record: &Record) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, record.rootfs.as_str(), flags, Mode::empty())
        .doing(|| format!("config.json: root.path: open {:?}", record.rootfs))
}

/// A directory of the state's, at which CRIU sees the root file system: it
/// wants a mount point.
fn mount_point(store: &Store, id: &str) -> Result<CString> {
    let path = store.path_of(id).join(ROOT);
    let doing = || format!("make {path:?}");
    std::fs::create_dir(&path).map_err(|e| create::std_error(doing(), &e))?;
    let path = std::fs::canonicalize(&path).map_err(|e| create::std_error(doing(), &e))?;
    Ok(CString::new(path.into_os_string().into_encoded_bytes()).unwrap_or_default())
}

/// Mount points that are missing in the root, or in a volume, as `create`
/// would make them. What is on a file system of the container's own, CRIU has
/// in its images.
fn make_mount_points(plan: &Plan, root: BorrowedFd<'_>) -> Result<()> {
    for mount in plan.mounts() {
        let target = mount.target.to_string_lossy();
        let below = |other: &&Mount| {
            let above = other.target.to_string_lossy();
            above != target && paths::is_below(&target, &above)
        };
        let above = plan.mounts().iter().filter(below).max_by_key(|m| m.target.as_bytes().len());
        let doing = || format!("make mount point {:?}", mount.target);
        match above.map(|above| (&above.kind, above.target.as_bytes().len() + 1)) {
            None => make_mount_point(mount, root, &mount.target.clone()).doing(doing)?,
            Some((Kind::Bind(bind), length)) => {
                let volume = resolve::open_host(&bind.source).doing(doing)?;
                let rest = CString::new(&mount.target.as_bytes()[length..]).unwrap_or_default();
                make_mount_point(mount, volume.as_fd(), &rest).doing(doing)?;
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn make_mount_point(mount: &Mount, root: BorrowedFd<'_>, path: &CString) -> crate::sys::Result<()> {
    let is_file = match &mount.kind {
        Kind::Bind(bind) => !resolve::is_directory(resolve::open_host(&bind.source)?.as_fd())?,
        _ => false,
    };
    if is_file {
        resolve::make_file(root, path).map(drop)
    } else {
        resolve::make_directory(root, path, 0o755).map(drop)
    }
}

fn describe(
    options: &mut Message,
    request: &Request,
    plan: &Plan,
    root: BorrowedFd<'_>,
) -> Result<()> {
    options.number(opts::EVASIVE_DEVICES, 1);
    options.number(opts::RST_SIBLING, 1);
    for (place, source) in external_mounts(plan, root)? {
        options.pair(opts::EXT_MNT, &place, &source);
    }
    options.pair(opts::EXT_MNT, "/dev/null", "/dev/null");
    for (field, value) in [
        (opts::LSM_PROFILE, &request.lsm_profile),
        (opts::LSM_MOUNT_CONTEXT, &request.lsm_mount_context),
    ] {
        if let Some(value) = value {
            options.bytes(field, value.as_bytes());
        }
    }
    Ok(())
}

/// Namespaces of somebody else: they have to be there, and what was saved
/// belongs in them.
fn join_namespaces(options: &mut Message, config: &Config) -> Result<Vec<OwnedFd>> {
    let mut opened = Vec::new();
    for (index, namespace) in config.linux().namespaces.iter().enumerate() {
        let Some(path) = &namespace.path else { continue };
        let field = format!("linux.namespaces[{index}].path");
        let file = openat(CWD, path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let file = file.doing(|| format!("config.json: {field}: open {path:?}"))?;
        let name = KINDS.iter().find(|(word, ..)| *word == namespace.kind).map(|kind| kind.2);
        match (external_namespace(&namespace.kind), name) {
            (Some((_, key)), _) => {
                options.numbered(opts::INHERIT_FD, key, file.as_raw_fd());
                opened.push(file);
            }
            (None, Some(name @ ("ipc" | "uts" | "time" | "user"))) => {
                options.pair(opts::JOIN_NS, name, path);
            }
            _ => return Err(Error::config(field, "CRIU cannot restore into this namespace")),
        }
    }
    Ok(opened)
}

/// Where the container's standard streams were pipes, ours take their place.
fn inherit_pipes(job: &mut Job) -> Result<()> {
    let path = format!("/proc/self/fd/{}/{DESCRIPTORS}", job.images.as_raw_fd());
    let text = std::fs::read(&path);
    let text = text.map_err(|e| create::std_error(format!("read {DESCRIPTORS}"), &e))?;
    let names: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    for (number, name) in (0..3).zip(names.as_array().into_iter().flatten()) {
        if let Some(name) = name.as_str().filter(|name| name.contains("pipe:")) {
            job.options.numbered(opts::INHERIT_FD, name, number);
        }
    }
    Ok(())
}

/// CRIU is in the container's cgroups, and whom it restores is born there; it
/// is told where that is.
fn admit(
    options: &mut Message,
    criu: &Criu,
    entrance: &mut Entrance,
    group: Option<&Group>,
) -> Result<()> {
    entrance.admit_all(criu.pid())?;
    entrance.is_taken();
    group.map_or(Ok(()), |group| group.admit(criu.pid()))?;
    let path = format!("/proc/{}/cgroup", criu.pid());
    let text = std::fs::read_to_string(&path);
    let text = text.map_err(|e| create::std_error(format!("read {path:?}"), &e))?;
    for line in text.lines() {
        let Some((_, (controllers, path))) =
            line.split_once(':').and_then(|(n, rest)| Some((n, rest.split_once(':')?)))
        else {
            continue;
        };
        for controller in controllers.split(',') {
            options.pair(opts::CG_ROOT, controller, path);
        }
    }
    Ok(())
}
