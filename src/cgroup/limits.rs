//! Setting limits: writes into the files of a cgroup, by its directory.

use std::borrow::Cow;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use crate::error::{Doing, Error, Result};
use crate::sys;
use crate::sys::fs::{Mode, OFlags};
use crate::sys::{Errno, fs, io};

use super::change::Planned;
use super::devices::Ruleset;
use super::translate::{Missing, Write};

/// How much is read at once: more than most files hold.
const PIECE: usize = 4096;

/// Gives the directory of the container's cgroup in the hierarchy of a
/// controller.
pub(super) type Directories<'f, 'd> = &'f dyn Fn(&str) -> Option<BorrowedFd<'d>>;

/// Does `writes` in their order. `dir` gives the directory of the container's
/// cgroup in the hierarchy of a controller, which on v2 is always the same.
///
/// # Errors
///
/// Which file could not be set to what, why, and which field asked for it.
/// What was written before stays.
pub(crate) fn apply(dir: Directories<'_, '_>, writes: &[Write<'_>], rootless: bool) -> Result<()> {
    let mut open = None;
    in_order(writes, |write| match dir(write.controller) {
        Some(dir) if write.controller == "devices" => {
            unless_denied(set_rule(dir, write, &mut open), rootless)
        }
        Some(dir) => set(dir, write),
        None if write.missing == Missing::Ignored => Ok(()),
        // runc's words.
        None => Err(Error::Broken {
            what: format!("cannot set {} limit", write.controller),
            why: format!("container could not join or create cgroup ({})", write.field),
        }),
    })
}

/// Device rules take rights over the host. Who lacks them has a user namespace
/// to keep the container from devices.
pub(super) fn unless_denied(ruled: Result<()>, rootless: bool) -> Result<()> {
    let denied = Some(Errno::PERM.raw_os_error());
    ruled.or_else(|error| if rootless && error.errno() == denied { Ok(()) } else { Err(error) })
}

/// What the kernel holds in the file of a write; `None` if there is no file.
pub(crate) fn held(dir: BorrowedFd<'_>, write: &Write<'_>) -> Result<Option<String>> {
    Ok(held_file(dir, write)?.map(|(_, text)| text))
}

/// The same, with the name of the file, which may be the one instead.
pub(super) fn held_file(
    dir: BorrowedFd<'_>,
    write: &Write<'_>,
) -> Result<Option<(String, String)>> {
    let read = |file: &str| match read(dir, file) {
        Ok(text) => Ok(Some((file.to_owned(), text))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    };
    let mut found = read(&write.file);
    if let (Ok(None), Missing::Instead { file, .. }) = (&found, &write.missing) {
        found = read(file);
    }
    found.doing(|| format!("read {}", name(dir, &write.file)))
}

/// Changes the device rules of a v1 cgroup that has processes: nothing that
/// both the old rules and the new allow is denied meanwhile, if that can be.
pub(crate) fn change_devices(dir: BorrowedFd<'_>, rules: &Ruleset, field: &str) -> Result<()> {
    let (old, _) = devices(dir)?;
    let go = |from: &Ruleset, to: &Ruleset| {
        from.v1_transition(to).into_iter().try_for_each(|line| {
            write(dir, line.file, &line.rule).doing(|| told(dir, line.file, &line.rule, field))
        })
    };
    go(&old, rules).inspect_err(|_| drop(go(rules, &old)))
}

/// What [`change_devices`] would write, each line with what is in force of it
/// before and after.
pub(super) fn foresee_devices(dir: BorrowedFd<'_>, rules: &Ruleset) -> Result<Vec<Planned>> {
    let (old, list) = devices(dir)?;
    let planned = old.v1_transition(rules).into_iter().map(|line| {
        let old = match line.rule.as_str() {
            "a" => list.trim().replace('\n', ", "),
            _ if line.file == "devices.deny" => line.rule.clone(),
            _ => String::new(),
        };
        let held = if line.file == "devices.deny" { String::new() } else { line.rule.clone() };
        Planned { file: line.file.to_owned(), old, new: line.rule, held }
    });
    Ok(planned.collect())
}

/// The device rules that a v1 cgroup has, and the file that says so.
fn devices(dir: BorrowedFd<'_>) -> Result<(Ruleset, String)> {
    let list = read(dir, "devices.list").doing(|| format!("read {}", name(dir, "devices.list")))?;
    Ok((Ruleset::from_v1_list(&list)?, list))
}

/// Does the writes, and again those that the kernel finds invalid before the
/// partner that comes after them; see [`Write::again`].
fn in_order(writes: &[Write<'_>], mut set: impl FnMut(&Write<'_>) -> Result<()>) -> Result<()> {
    let mut refused: Vec<&Write<'_>> = Vec::new();
    for write in writes {
        match set(write) {
            Err(e) if write.again && e.errno() == Some(Errno::INVAL.raw_os_error()) => {
                refused.push(write);
            }
            result => result?,
        }
        if !write.again {
            refused.drain(..).try_for_each(&mut set)?;
        }
    }
    refused.drain(..).try_for_each(set)
}

/// Writes one device rule. There are a dozen of them for the same file, which
/// stays `open`; whether it is the one that allows is kept with it.
fn set_rule(
    dir: BorrowedFd<'_>,
    rule: &Write<'_>,
    open: &mut Option<(bool, OwnedFd)>,
) -> Result<()> {
    let allows = rule.file == "devices.allow";
    if open.as_ref().is_none_or(|(known, _)| *known != allows) {
        *open = open_file(dir, &rule.file).ok().map(|file| (allows, file));
    }
    let written = match open {
        Some((_, file)) => write_to(file, &rule.value),
        None => write(dir, &rule.file, &rule.value),
    };
    written.map_err(|errno| explain(dir, rule, &rule.file, &rule.value, errno))
}

/// Does one write.
fn set(dir: BorrowedFd<'_>, limit: &Write<'_>) -> Result<()> {
    if let Some(below) = limit.usage_below {
        check_usage(dir, limit, below)?;
    }
    let (mut file, mut value): (&str, &str) = (&limit.file, &limit.value);
    let mut result = write(dir, file, value);
    if result == Err(Errno::NOENT) {
        match &limit.missing {
            Missing::Fails => {}
            Missing::Ignored => return Ok(()),
            Missing::Instead { file: other, value: converted } => {
                (file, value) = (other, converted);
                result = write(dir, file, value);
            }
        }
    }
    result.map_err(|errno| explain(dir, limit, file, value, errno))
}

/// Refuses a limit of memory that would have a process killed at once. If
/// the usage cannot be read, there is nothing in the cgroup to be killed.
fn check_usage(dir: BorrowedFd<'_>, limit: &Write<'_>, below: u64) -> Result<()> {
    let usage = read(dir, "memory.current").ok().and_then(|text| text.trim().parse().ok());
    match usage {
        Some(usage) if below <= usage => Err(Error::Broken {
            what: told(dir, &limit.file, &limit.value, &limit.field),
            why: format!("rejecting memory limit {below} <= usage {usage}"),
        }),
        _ => Ok(()),
    }
}

/// Why a file could not be set.
fn explain(dir: BorrowedFd<'_>, limit: &Write<'_>, file: &str, value: &str, errno: Errno) -> Error {
    let what = told(dir, file, value, &limit.field);
    let why = match errno {
        Errno::NOENT => missing(dir, limit.controller),
        Errno::BUSY if file == "memory.limit_in_bytes" => memory_in_use(dir, value),
        _ => None,
    };
    match (why, above(dir, file)) {
        (Some(why), _) => Error::Broken { what, why },
        (None, Some(above)) => {
            Error::os(format!("{what}, where the cgroup above has {above}"), errno)
        }
        (None, None) => Error::os(what, errno),
    }
}

/// A file is missing because its controller is, or because the kernel is
/// older than it.
pub(super) fn missing(dir: BorrowedFd<'_>, controller: &str) -> Option<String> {
    let enabled = read(dir, "cgroup.controllers").ok()?;
    if controller == "cgroup" || enabled.split_ascii_whitespace().any(|name| name == controller) {
        return Some("this kernel has no such file".into());
    }
    Some(format!("controller {controller:?} not available"))
}

/// runc's words for a limit that v1 refuses because more is in use.
fn memory_in_use(dir: BorrowedFd<'_>, value: &str) -> Option<String> {
    let usage = read(dir, "memory.usage_in_bytes").ok()?;
    let peak = read(dir, "memory.max_usage_in_bytes").ok()?;
    Some(format!(
        "unable to set memory limit to {value} (current usage: {}, peak usage: {})",
        usage.trim(),
        peak.trim()
    ))
}

/// What the cgroup above leaves to choose from.
fn above(dir: BorrowedFd<'_>, file: &str) -> Option<String> {
    let (v2, v1) = match file {
        "cpu.rt_runtime_us" => ("../cpu.rt_runtime_us", "../cpu.rt_runtime_us"),
        "cpuset.cpus" | "cpus" => ("../cpuset.cpus.effective", "../cpuset.effective_cpus"),
        "cpuset.mems" | "mems" => ("../cpuset.mems.effective", "../cpuset.effective_mems"),
        _ => return None,
    };
    let above = read(dir, v2).or_else(|_| read(dir, v1)).ok()?;
    Some(above.trim().to_owned())
}

/// The act and its object, for an error.
fn told(dir: BorrowedFd<'_>, file: &str, value: &str, field: &str) -> String {
    format!("set {} to {value:?} ({field})", name(dir, file))
}

/// Path of a file, to be shown: only the kernel knows that of the directory.
fn name<'a>(dir: BorrowedFd<'_>, file: &'a str) -> Cow<'a, str> {
    match fs::readlink(format!("/proc/self/fd/{}", dir.as_raw_fd()), Vec::new()) {
        Ok(path) => format!("{}/{file}", path.to_string_lossy()).into(),
        Err(_) => file.into(),
    }
}

pub(super) fn write(dir: BorrowedFd<'_>, file: &str, value: &str) -> sys::Result<()> {
    write_to(&open_file(dir, file)?, value)
}

fn open_file(dir: BorrowedFd<'_>, file: &str) -> sys::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    fs::openat(dir, file, flags, Mode::empty())
}

fn write_to(file: &OwnedFd, value: &str) -> sys::Result<()> {
    io::retry_on_intr(|| io::write(file, value.as_bytes())).map(drop)
}

pub(super) fn read(dir: BorrowedFd<'_>, file: &str) -> sys::Result<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = fs::openat(dir, file, flags, Mode::empty())?;
    let mut text = Vec::new();
    // A file of the kernel can come in pieces.
    loop {
        let mut piece = [0; PIECE];
        match io::retry_on_intr(|| io::read(&file, &mut piece))? {
            0 => return Ok(String::from_utf8_lossy(&text).into_owned()),
            n => text.extend_from_slice(piece.get(..n).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests;
