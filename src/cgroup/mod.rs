//! The container's control groups: where they are, making, emptying and
//! removing them.
//!
//! A host has one hierarchy (v2), or one for each controller (v1), or v1 with
//! v2 beside it ("hybrid"). A container has a directory in each of them.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#control-groups>

mod bpf;
mod change;
mod devices;
mod empty;
mod enter;
mod freezer;
mod held;
mod host;
mod limits;
mod stats;
mod systemd;
mod translate;
mod v1;
mod v2;
mod watch;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::{Doing, Error, Result};
use crate::plan::mounts::CgroupView;
use crate::spec::Resources;
use crate::sys::clone::Placeholder;
use crate::sys::event::{PollFd, PollFlags, Timespec, poll};
use crate::sys::fs::{
    Access, AtFlags, CWD, Mode, OFlags, access, inotify, mkdirat, openat, unlinkat,
};
use crate::sys::{Errno, io};

pub(crate) use empty::place;
pub(crate) use enter::SubCgroups;

use devices::Ruleset;
use host::Hierarchy;
use systemd::Unit;
use translate::Write;

pub(crate) use change::Planned;
pub(crate) use watch::{News, Watch};

/// Where the kernel's cgroups are mounted.
const MOUNT_POINT: &str = "/sys/fs/cgroup";

/// One directory of the container, in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Group {
    /// Absolute path of the directory.
    pub(crate) path: String,
    /// Controllers of the hierarchy, with commas; empty for v2.
    pub(crate) controllers: String,
    /// How many of its last components may not have been there before: they
    /// are removed with the container, if they are empty then.
    pub(crate) made: usize,
    /// Length of the part of the path that is there: the mount point's.
    #[serde(skip)]
    known: usize,
}

impl Group {
    fn is_v2(&self) -> bool {
        self.controllers.is_empty()
    }
}

/// All directories of one container.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Cgroups {
    groups: Vec<Group>,
    /// systemd's unit that they belong to, if it is systemd who makes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<Unit>,
}

/// The directories, open, for the container's init to be born in.
#[derive(Debug, Default)]
pub(crate) struct Entrance {
    /// Those of v1, in the order of the groups.
    directories: Vec<OwnedFd>,
    /// The one of v2.
    v2: Option<OwnedFd>,
    /// Whether that one is new.
    fresh: bool,
    /// `tasks` of each v1 directory but the one of devices.
    tasks: Vec<OwnedFd>,
    /// `tasks` of v1's directory of devices.
    devices: Option<OwnedFd>,
    /// systemd's unit that the v2 directory belongs to.
    unit: Option<Unit>,
    /// Keeps it until init is in it.
    placeholder: Option<Placeholder>,
}

impl Entrance {
    /// The files by which a process enters v1's directories, and that of devices.
    pub(crate) fn take_tasks(&mut self) -> (Vec<OwnedFd>, Option<OwnedFd>) {
        (std::mem::take(&mut self.tasks), self.devices.take())
    }

    /// Moves a process into the v2 directory, where it could not be born there.
    pub(crate) fn admit(&self, pid: i32) -> Result<()> {
        let Some(directory) = self.v2() else { return Ok(()) };
        match (empty::write(directory, "cgroup.procs", &pid.to_string()), &self.unit) {
            // What is above both cgroups is not the user's, but systemd's.
            (Err(Errno::ACCESS), Some(unit)) => unit.attach(pid),
            (result, _) => result.doing(|| format!("move pid {pid} into the container's cgroup")),
        }
    }

    /// Whether the v2 directory has handed its controllers down, and so can
    /// have no processes of its own.
    pub(crate) fn takes_nobody(&self) -> bool {
        let handed_down =
            self.v2().and_then(|directory| empty::read(directory, "cgroup.subtree_control").ok());
        handed_down.is_some_and(|controllers| !controllers.trim().is_empty())
    }

    /// Takes the v2 directory of another.
    pub(crate) fn replace_v2(&mut self, mut other: Self) {
        if self.v2.is_some() && other.v2.is_some() {
            self.v2 = other.v2.take();
            self.unit = None;
        }
    }

    /// Lets a user of the host manage the container's cgroup.
    fn delegate(&self, owner: u32) -> Result<()> {
        let Some(directory) = self.v2() else { return Ok(()) };
        v2::delegate(directory, owner)
            .doing(|| format!("give the container's cgroup to user {owner}"))
    }

    /// Init is in: nobody has to keep the place any more.
    pub(crate) fn is_taken(&mut self) {
        self.placeholder = None;
    }

    /// The v2 directory, for `CLONE_INTO_CGROUP`.
    pub(crate) fn v2(&self) -> Option<BorrowedFd<'_>> {
        self.v2.as_ref().map(AsFd::as_fd)
    }
}

/// Limits, checked and translated for this host.
#[derive(Debug, Default)]
pub(crate) struct Limits<'r> {
    writes: Vec<Write<'r>>,
    devices: Option<Ruleset>,
}

impl Cgroups {
    /// Decides where the container's directories are; touches nothing.
    ///
    /// An absolute `path` counts from the mount point of each hierarchy. A
    /// relative or absent one counts from the runtime's own cgroup: below it
    /// on v1, beside it on v2, where a cgroup with processes cannot have
    /// children with controllers.
    pub(crate) fn locate(path: Option<&str>, id: &str) -> Result<Self> {
        let path = path.filter(|path| !path.is_empty());
        if path.is_some_and(|path| path.contains('\0')) {
            return Err(Error::config("linux.cgroupsPath", "must not contain a NUL byte"));
        }
        let place = |hierarchy: Hierarchy| {
            let clean = crate::plan::paths::in_root(path.unwrap_or(id));
            let below = match path {
                Some(path) if path.starts_with('/') => format!("/{clean}"),
                _ if hierarchy.controllers.is_empty() => {
                    format!("{}/{clean}", hierarchy.parent_of_own())
                }
                _ => format!("{}/{clean}", hierarchy.own.trim_end_matches('/')),
            };
            if clean.is_empty() {
                return Err(Error::config(
                    "linux.cgroupsPath",
                    "must not be the root of a hierarchy",
                ));
            }
            let path = format!("{}{below}", hierarchy.mount);
            Ok(Group {
                known: hierarchy.mount.len(),
                path,
                controllers: hierarchy.controllers,
                made: 0,
            })
        };
        let mut groups: Vec<Group> =
            host::hierarchies()?.into_iter().map(place).collect::<Result<_>>()?;
        // Whoever is frozen can be killed only there, so it comes first.
        if let Some(at) = groups.iter().position(v1::is_freezer) {
            let freezer = groups.remove(at);
            groups.insert(0, freezer);
        }
        Ok(Self { groups, unit: None })
    }

    /// The same for a unit of systemd's: `path` is `slice:prefix:name`.
    ///
    /// # Errors
    ///
    /// On a host with v1 hierarchies, where systemd would open all devices to
    /// the container whenever it is reloaded.
    pub(crate) fn locate_unit(
        path: Option<&str>,
        id: &str,
        annotations: &BTreeMap<String, String>,
        rootless: bool,
    ) -> Result<Self> {
        let hierarchies = host::hierarchies()?;
        let [Hierarchy { mount, controllers, own }] = hierarchies.as_slice() else {
            return Err(no_unified());
        };
        if !controllers.is_empty() {
            return Err(no_unified());
        }
        let (unit, directory) = Unit::locate(path, id, annotations, own, rootless)?;
        let group = Group {
            path: format!("{mount}{directory}"),
            controllers: String::new(),
            made: 0,
            known: MOUNT_POINT.len(),
        };
        Ok(Self { groups: vec![group], unit: Some(unit) })
    }

    /// No cgroups at all (`--cgroup-manager=disabled`).
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// Whether the container has no cgroup of its own.
    pub(crate) fn is_none(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether the runtime may make all directories; a user seldom may.
    pub(crate) fn may_be_made(&self) -> bool {
        self.groups.iter().all(|group| {
            let mut path = group.path.as_str();
            while path.len() > MOUNT_POINT.len() && access(path, Access::EXISTS).is_err() {
                path = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            }
            access(path, Access::WRITE_OK).is_ok()
        })
    }

    /// How the container's own cgroup mounts are to look.
    pub(crate) fn view(&self) -> Result<CgroupView> {
        if !self.groups.is_empty() {
            return host::view(&self.groups);
        }
        // Without one of its own, the container is where the runtime is.
        let own = |hierarchy: Hierarchy| Group {
            // Outside of its namespace's root it has no path.
            path: match hierarchy.own.as_str() {
                "/" => hierarchy.mount,
                own if own.starts_with("/..") => String::new(),
                own => hierarchy.mount + own,
            },
            controllers: hierarchy.controllers,
            made: 0,
            known: 0,
        };
        host::view(&host::hierarchies()?.into_iter().map(own).collect::<Vec<_>>())
    }

    /// Whether this host has cgroup v2 only.
    pub(crate) fn is_unified(&self) -> bool {
        matches!(self.groups.as_slice(), [group] if group.is_v2())
    }

    /// Notes which directories are not there yet, so that the record says what
    /// is about to be made before it is.
    ///
    /// # Errors
    ///
    /// If one is there and in use: it belongs to another container, or to the
    /// host, and nothing may be done to it.
    pub(crate) fn claim(&mut self) -> Result<()> {
        for group in &mut self.groups {
            let mut path = group.path.as_str();
            group.made = 0;
            while path.len() > group.known && access(path, Access::EXISTS).is_err() {
                group.made += 1;
                path = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            }
            if self.unit.is_some() {
                // Slices are systemd's own to make and to remove.
                group.made = group.made.min(1);
            }
            if group.made == 0 {
                let directory = open_directory(&group.path);
                let directory = directory.doing(|| format!("open cgroup {:?}", group.path))?;
                refuse_used(group, directory.as_fd())?;
            }
        }
        Ok(())
    }

    /// Whether there are v1 hierarchies, which init enters by itself.
    pub(crate) fn has_v1(&self) -> bool {
        self.v1().next().is_some()
    }

    fn v1(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|group| !group.is_v2())
    }

    /// Makes the v2 directory, in which init is born, and opens it; it may become
    /// `owner`'s. If that fails, what was made is removed again; nobody is killed
    /// for it.
    pub(crate) fn make_v2(&self, limits: &Limits<'_>, owner: Option<u32>) -> Result<Entrance> {
        // systemd removes a unit whose only process has ended.
        let placeholder = match &self.unit {
            Some(unit) => unit.start(&limits.writes)?,
            None => None,
        };
        let kept = placeholder.is_some();
        let unit = self.unit.clone();
        let mut entrance = Entrance { unit, placeholder, ..Entrance::default() };
        let made = self.groups.iter().find(|group| group.is_v2()).map_or(Ok(()), |group| {
            let directory = if kept {
                let directory = open_directory(&group.path);
                directory.doing(|| format!("open systemd's cgroup {:?}", group.path))?
            } else {
                let (directory, fresh) = make_directory(&group.path)?;
                entrance.fresh = fresh;
                if !fresh {
                    refuse_used(group, directory.as_fd())?;
                }
                directory
            };
            if self.is_unified() {
                v2::enable_controllers(&group.path, directory.as_fd())?;
            }
            entrance.v2 = Some(directory);
            owner.map_or(Ok(()), |owner| entrance.delegate(owner))
        });
        made.inspect_err(|_| {
            if self.unit.is_none() {
                self.unmake_v2();
            }
        })?;
        Ok(entrance)
    }

    /// The same for v1's directories.
    pub(crate) fn make_v1<'a>(&'a self, entrance: &mut Entrance) -> Result<()> {
        let mut made = Vec::new();
        let mut make = |group: &'a Group| {
            let (directory, fresh) = make_directory(&group.path)?;
            if fresh {
                made.push(group);
            } else if group.made > 0 {
                return Err(Error::Broken {
                    what: "container's cgroup is not empty".to_owned(),
                    why: format!("another container has just made {:?}", group.path),
                });
            } else {
                refuse_used(group, directory.as_fd())?;
            }
            if fresh && v1::is_freezer(group) {
                // By those above it.
                refuse_frozen(group, directory.as_fd())?;
            }
            if group.controllers.split(',').any(|name| name == "cpuset") {
                v1::fill_cpuset(&group.path, fresh)?;
            }
            v1::open_tasks(directory.as_fd(), "tasks", group, entrance)?;
            entrance.directories.push(directory);
            Ok(())
        };
        let result = self.v1().try_for_each(&mut make);
        if result.is_err() {
            made.into_iter().for_each(remove_empty);
        }
        result
    }

    /// Whether the container's processes are frozen.
    pub(crate) fn is_frozen(&self) -> bool {
        self.freezer().is_ok_and(freezer::is_frozen_at)
    }

    /// Stops all processes where they are.
    pub(crate) fn freeze(&self) -> Result<()> {
        freezer::freeze(self.freezer()?)
    }

    /// Lets them go on.
    pub(crate) fn thaw(&self) -> Result<()> {
        freezer::thaw(self.freezer()?)
    }

    /// On v1 a frozen process that was killed ends only when it is thawed.
    pub(crate) fn let_killed_end(&self) {
        let group = self.groups.first().filter(|group| v1::is_freezer(group));
        if let Some(directory) = group.and_then(|group| open_directory(&group.path).ok()) {
            freezer::thaw_tree(directory.as_fd());
        }
    }

    /// Where the container can be frozen.
    pub(crate) fn freezer_path(&self) -> Option<&str> {
        self.freezer().ok().map(|group| group.path.as_str())
    }

    /// The directory that can be frozen.
    fn freezer(&self) -> Result<&Group> {
        let freezes = |group: &&Group| group.is_v2() && self.is_unified() || v1::is_freezer(group);
        // runc's words.
        self.groups.iter().find(freezes).ok_or_else(|| Error::Broken {
            what: "cannot toggle freezer".to_owned(),
            why: "cgroups not configured for container".to_owned(),
        })
    }

    /// Checks `linux.resources` and turns them into writes; touches nothing.
    pub(crate) fn limits<'r>(&self, resources: &'r Resources) -> Result<Limits<'r>> {
        const FIELD: &str = "linux.resources";
        // Without rules, too, a container has only the devices that all have.
        let devices = Ruleset::new(&resources.devices, &format!("{FIELD}.devices"))?;
        let writes = if self.is_unified() {
            let mut writes = translate::v2(resources, FIELD)?;
            if self.unit.is_some() {
                systemd::round(&mut writes);
            }
            writes
        } else {
            translate::v1(resources, Some(&devices), FIELD)?
        };
        for field in translate::ignored(resources) {
            log::warn!("config.json: {FIELD}.{field} has no effect any more and is ignored");
        }
        Ok(Limits { writes, devices: Some(devices) })
    }

    /// Sets the limits, by the directories that were opened to enter them.
    /// For who is `rootless`, rules for devices are not needed.
    pub(crate) fn set(
        &self,
        limits: &Limits<'_>,
        entrance: &Entrance,
        rootless: bool,
    ) -> Result<()> {
        if self.groups.is_empty() {
            return Ok(());
        }
        let directory: limits::Directories<'_, '_> = &|controller| match entrance.v2() {
            Some(unified) if self.is_unified() => Some(unified),
            _ => self.directory(&entrance.directories, controller),
        };
        limits::apply(directory, &limits.writes, rootless)?;
        held::tell(directory, &limits.writes);
        let ruled = match (&limits.devices, entrance.v2()) {
            (Some(rules), Some(cgroup)) if self.is_unified() && entrance.fresh => {
                bpf::attach(cgroup, rules)
            }
            (Some(rules), Some(cgroup)) if self.is_unified() => bpf::replace(cgroup, rules),
            _ => Ok(()),
        };
        limits::unless_denied(ruled, rootless)
    }

    /// Sends `SIGKILL` to every process of the container. They are the same in
    /// every hierarchy.
    pub(crate) fn kill_all(&self) -> Result<()> {
        self.groups.first().map_or(Ok(()), empty::kill_all)
    }

    /// Sends `signal` to every process of the container that is there now.
    pub(crate) fn signal_all(&self, signal: i32) {
        if let Some(group) = self.groups.first() {
            empty::signal_all(group, signal);
        }
    }

    /// Removes the v2 directory, which no process of the container is in any more.
    pub(crate) fn unmake_v2(&self) {
        self.groups.iter().filter(|group| group.is_v2() && group.made > 0).for_each(remove_empty);
    }

    /// Removes those of v1, which no process of the container has entered.
    pub(crate) fn unmake_v1(&self) {
        self.v1().filter(|group| group.made > 0).for_each(remove_empty);
    }

    /// The same as [`Self::remove`], but only for what was not there before.
    pub(crate) fn remove_made(&self) -> Result<()> {
        let mut made = self.clone();
        made.groups.retain(|group| group.made > 0);
        made.remove()
    }

    /// Leaves nobody alive and removes the directories.
    pub(crate) fn remove(&self) -> Result<()> {
        let mut result = Ok(());
        if let Some(unit) = &self.unit {
            self.kill_all()?;
            // Without systemd, or without its answer, what can be removed is.
            if let Err(error) = unit.stop() {
                log::warn!("{error}");
                self.groups.iter().for_each(await_removal);
            }
        }
        for group in &self.groups {
            result = result.and(remove_group(group));
        }
        result
    }
}

/// Lets systemd see that the cgroup of a unit is empty, which it then stops and
/// removes: if we did, it would not hear of it and keep the unit for ever.
fn await_removal(group: &Group) {
    // A busy systemd takes more than a second; a dead one is not waited for long.
    let deadline = Instant::now() + Duration::from_secs(5);
    // Removal is told to those who watch the directory above. Who cannot watch
    // looks again and again.
    let above = group.path.rsplit_once('/').map_or(MOUNT_POINT, |(above, _)| above);
    let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
    let watch = inotify::init(flags)
        .and_then(|fd| inotify::add_watch(&fd, above, inotify::WatchFlags::DELETE).map(|_| fd));
    while access(group.path.as_str(), Access::EXISTS).is_ok() {
        let left = deadline.saturating_duration_since(Instant::now());
        let pause = if watch.is_ok() { left } else { left.min(Duration::from_millis(20)) };
        let Ok(limit) = Timespec::try_from(pause) else { break };
        let mut watches: Vec<_> =
            watch.iter().map(|watch| PollFd::new(watch, PollFlags::IN)).collect();
        if left.is_zero() || poll(&mut watches, Some(&limit)) == Ok(0) && watch.is_ok() {
            break;
        }
        // Which of those beside it has gone does not matter.
        let _ = watch.as_ref().map(|watch| io::read(watch, &mut [0; 4096]));
    }
}

fn no_unified() -> Error {
    Error::Broken {
        what: "the systemd cgroup manager".to_owned(),
        why: "needs a host with cgroup v2 only".to_owned(),
    }
}

/// Opens a directory of the host's cgroups.
fn open_directory(path: &str) -> crate::sys::Result<OwnedFd> {
    openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Makes a cgroup with its parents; tells whether it is new.
fn make_directory(path: &str) -> Result<(OwnedFd, bool)> {
    let mode = Mode::from_raw_mode(0o755);
    // Another container's parents may vanish while we make ours below them.
    for _ in 0..16 {
        let fresh = match mkdirat(CWD, path, mode) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(Errno::NOENT) => {
                make_parents(path)?;
                continue;
            }
            Err(errno) => return Err(Error::os(format!("make cgroup {path:?}"), errno)),
        };
        match open_directory(path) {
            Err(Errno::NOENT) => {}
            other => return Ok((other.doing(|| format!("open cgroup {path:?}"))?, fresh)),
        }
    }
    Err(Error::os(format!("make cgroup {path:?}"), Errno::NOENT))
}

fn make_parents(path: &str) -> Result<()> {
    let mut end = MOUNT_POINT.len();
    while let Some(next) = path[end + 1..].find('/') {
        end += 1 + next;
        match mkdirat(CWD, &path[..end], Mode::from_raw_mode(0o755)) {
            Ok(()) if path.starts_with("/sys/fs/cgroup/cpuset/") => {
                v1::fill_cpuset(&path[..end], true)?;
            }
            Ok(()) | Err(Errno::EXIST) => {}
            // What is there already may be in a place that nobody may change.
            Err(_) if access(&path[..end], Access::EXISTS).is_ok() => {}
            Err(errno) => return Err(Error::os(format!("make cgroup {:?}", &path[..end]), errno)),
        }
    }
    Ok(())
}

fn remove_empty(group: &Group) {
    if let Ok(()) | Err(Errno::NOENT) = unlinkat(CWD, group.path.as_str(), AtFlags::REMOVEDIR) {
        remove_parents(group);
    }
}

fn remove_group(group: &Group) -> Result<()> {
    match unlinkat(CWD, group.path.as_str(), AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(_) => empty::remove_tree(group)?,
    }
    remove_parents(group);
    Ok(())
}

/// Parents that were made for this container go too, unless others have moved
/// in.
fn remove_parents(group: &Group) {
    let mut path = group.path.as_str();
    for _ in 1..group.made {
        path = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        if path.len() <= MOUNT_POINT.len() || unlinkat(CWD, path, AtFlags::REMOVEDIR).is_err() {
            break;
        }
    }
}

/// A cgroup that is in use, itself or below, belongs to somebody else.
fn refuse_used(group: &Group, directory: BorrowedFd<'_>) -> Result<()> {
    let count = empty::all_processes(directory).len();
    if count > 0 {
        return Err(Error::Broken {
            what: "container's cgroup is not empty".to_owned(),
            why: format!("{count} process(es) found in {:?}", group.path),
        });
    }
    refuse_frozen(group, directory)
}

fn refuse_frozen(group: &Group, directory: BorrowedFd<'_>) -> Result<()> {
    if freezer::is_frozen(directory, group) {
        return Err(Error::Broken {
            what: "container's cgroup unexpectedly frozen".to_owned(),
            why: format!("thaw or remove {:?}", group.path),
        });
    }
    Ok(())
}
