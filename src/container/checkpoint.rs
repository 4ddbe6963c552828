//! `checkpoint`: the container's processes go to disk.

use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use super::create::{self, CgroupManager};
use super::criu::{
    self, Criu, DESCRIPTORS, DUMP_LOG, Job, external_mounts, external_namespace, place,
};
use super::exec::root_of;
use super::status::Op;
use super::store::{Record, Store};
use super::{delete, notify};
use crate::criu::{LAZY_PAGES, MEM_TRACK, Message, kind, opts};
use crate::error::{Doing, Error, Result};
use crate::init::resolve;
use crate::plan::Plan;
use crate::spec::Config;
use crate::sys::fs::{CWD, Mode, OFlags, openat, readlinkat, stat};
use crate::sys::{fd, io};

/// What only `checkpoint` is asked for.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) id: String,
    pub(crate) common: criu::Request,
    /// Relative to the images.
    pub(crate) parent: Option<String>,
    pub(crate) pre_dump: bool,
    pub(crate) page_server: Option<(String, u16)>,
    pub(crate) status_fd: Option<i32>,
}

/// Saves the container, and deletes it unless it is to go on.
pub(crate) fn checkpoint(store: &Store, request: &Request) -> Result<()> {
    let status_fd = request.status_fd.map(fd::handed_over).transpose();
    let mut status_fd = status_fd.doing(|| "invalid --status-fd argument")?;
    fd::cloexec_from(3).doing(|| "close what the caller left open")?;
    let (container, record, status) = store.lock_for(&request.id, Op::Checkpoint)?;
    if request.pre_dump {
        criu::require(MEM_TRACK, "MemTrack")?;
    }
    if request.common.has(opts::LAZY_PAGES) {
        criu::require(LAZY_PAGES, "LazyPages")?;
    }
    let mut config = Config::parse(&container.read_config()?)?;
    notify::add_again(&mut config, store, &request.id);
    let as_made = create::Request {
        id: request.id.clone(),
        cgroup_manager: CgroupManager::Disabled,
        ..create::Request::default()
    };
    let (plan, _) = create::decide(&config, &as_made, &record.bundle)?;
    criu::refuse_id_mapped(&plan)?;
    if record.host_mounts.is_some() {
        let rule =
            "CRIU cannot save mounts that are the host's: the container has no namespace for them";
        return Err(Error::config("mounts", rule));
    }
    check_parent(request)?;
    let mut job = Job::new(&request.common, DUMP_LOG, config.annotations.get("org.criu.config"))?;
    describe(&mut job.options, &config, &record, request)?;
    let kind = if request.pre_dump {
        kind::PRE_DUMP
    } else {
        add_mounts(&mut job.options, &plan, pid(&record))?;
        write_descriptors(&job, pid(&record))?;
        kind::DUMP
    };
    let mut criu = Criu::start(false, &[])?;
    job.run(&mut criu, kind, &mut |response, _| match status_fd
        .take_if(|_| response.script == b"status-ready")
    {
        Some(fd) => {
            let written = io::write(fd, b"\0");
            fd::give_back(fd);
            written.map(drop).doing(|| "write to --status-fd")
        }
        None => Ok(()),
    })?;
    drop(criu);
    if request.pre_dump || request.common.has(opts::LEAVE_RUNNING) {
        return Ok(());
    }
    delete::remove(&container, &record, status)
}

fn pid(record: &Record) -> i32 {
    record.init.map_or(0, |init| init.pid)
}

/// runc's words.
fn check_parent(request: &Request) -> Result<()> {
    let Some(parent) = &request.parent else { return Ok(()) };
    if parent.starts_with('/') {
        return Err(Error::usage("--parent-path must be relative"));
    }
    let path = request.common.images.join(parent);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, &path, flags, Mode::empty())
        .map(drop)
        .doing(|| format!("invalid --parent-path: open {path:?}"))
}

/// Who is to be saved.
fn describe(
    options: &mut Message,
    config: &Config,
    record: &Record,
    request: &Request,
) -> Result<()> {
    options.int32(opts::PID, pid(record));
    options.bytes(opts::ROOT, record.rootfs.as_bytes());
    if let Some(path) = record.cgroups.freezer_path() {
        options.bytes(opts::FREEZE_CGROUP, path.as_bytes());
    }
    if let Some(parent) = &request.parent {
        options.bytes(opts::PARENT_IMG, parent.as_bytes());
        options.number(opts::TRACK_MEM, 1);
    }
    if let Some((address, port)) = &request.page_server {
        options.numbered(opts::PS, address, i32::from(*port));
    }
    // Namespaces of somebody else are not saved; it is asked of init which.
    for namespace in config.linux().namespaces.iter().filter(|n| n.path.is_some()) {
        let Some((kind, key)) = external_namespace(&namespace.kind) else { continue };
        let path = format!("/proc/{}/ns/{kind}", pid(record));
        let inode = stat(&path).doing(|| format!("look at {path:?}"))?.st_ino;
        options.bytes(opts::EXTERNAL, format!("{kind}[{inode}]:{key}").as_bytes());
    }
    Ok(())
}

/// Each mount of the host's by its place in the container.
fn add_mounts(options: &mut Message, plan: &Plan, pid: i32) -> Result<()> {
    let root = root_of(pid)?;
    for (place, _) in external_mounts(plan, root.as_fd())? {
        options.pair(opts::EXT_MNT, &place, &place);
    }
    let masked = plan.container.as_ref().map_or(&[][..], |new| &new.rootfs.masked);
    for path in masked {
        let target = resolve::in_root(root.as_fd(), path);
        if target.is_ok_and(|fd| resolve::is_directory(fd.as_fd()) == Ok(false)) {
            let place = place(root.as_fd(), &path.to_string_lossy())?;
            options.pair(opts::EXT_MNT, &place, "/dev/null");
        }
    }
    Ok(())
}

/// A pipe with its other end outside is no pipe of the container's: whoever
/// restores it gives it another.
fn write_descriptors(job: &Job, pid: i32) -> Result<()> {
    let name = |number: i32| {
        let path = format!("/proc/{pid}/fd/{number}");
        let link = readlinkat(CWD, path, Vec::new()).unwrap_or_default();
        link.to_string_lossy().into_owned()
    };
    let names = serde_json::Value::from([0, 1, 2].map(name).to_vec()).to_string();
    let path = format!("/proc/self/fd/{}/{DESCRIPTORS}", job.images.as_raw_fd());
    std::fs::write(Path::new(&path), names)
        .map_err(|e| Error::Broken { what: format!("write {DESCRIPTORS}"), why: e.to_string() })
}
