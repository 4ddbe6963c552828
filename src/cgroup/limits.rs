//! Setting limits: writes into the files of a cgroup, by its directory.

#![allow(dead_code)]

use std::borrow::Cow;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::error::{Doing, Error, Result};
use crate::sys;
use crate::sys::fs::{Mode, OFlags};
use crate::sys::{Errno, fs, io};

use super::translate::{Missing, Write};

/// More than any file holds that is read here.
const FILE_SIZE: usize = 4096;

/// Does `writes` in their order. `dir` gives the directory of the container's
/// cgroup in the hierarchy of a controller, which on v2 is always the same.
///
/// # Errors
///
/// Which file could not be set to what, why, and which field asked for it.
/// What was written before stays.
pub(crate) fn apply<'d>(
    dir: impl Fn(&str) -> Option<BorrowedFd<'d>>,
    writes: &[Write<'_>],
) -> Result<()> {
    in_order(writes, |write| match dir(write.controller) {
        Some(dir) => set(dir, write),
        None if write.missing == Missing::Ignored => Ok(()),
        // runc's words.
        None => Err(Error::Broken {
            what: format!("cannot set {} limit", write.controller),
            why: format!("container could not join or create cgroup ({})", write.field),
        }),
    })
}

/// What the kernel holds in the file of a write; `None` if there is no file.
pub(crate) fn held(dir: BorrowedFd<'_>, write: &Write<'_>) -> Result<Option<String>> {
    let read = |file: &str| match read(dir, file) {
        Ok(text) => Ok(Some(text)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    };
    let mut text = read(&write.file);
    if let (Ok(None), Missing::Instead { file, .. }) = (&text, &write.missing) {
        text = read(file);
    }
    text.doing(|| format!("read {}", name(dir, &write.file)))
}

/// Gives a new cpuset of v1 the CPUs and memory nodes of its parent where it
/// has none: no process can be put into one that has none.
pub(crate) fn inherit_cpuset(parent: BorrowedFd<'_>, cpuset: BorrowedFd<'_>) -> Result<()> {
    for files in [["cpuset.cpus", "cpus"], ["cpuset.mems", "mems"]] {
        // The second is its name where the hierarchy is mounted `noprefix`.
        for file in files {
            let own = match read(cpuset, file) {
                Err(Errno::NOENT) => continue,
                own => own.doing(|| format!("read {}", name(cpuset, file)))?,
            };
            if own.trim().is_empty() {
                let inherited =
                    read(parent, file).doing(|| format!("read {}", name(parent, file)))?;
                write(cpuset, file, inherited.trim())
                    .doing(|| told(cpuset, file, inherited.trim(), "its parent's"))?;
            }
            break;
        }
    }
    Ok(())
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
    match (why, cpuset_above(dir, file)) {
        (Some(why), _) => Error::Broken { what, why },
        (None, Some(above)) => {
            Error::os(format!("{what}, where the cgroup above has {above}"), errno)
        }
        (None, None) => Error::os(what, errno),
    }
}

/// A file is missing because its controller is, or because the kernel is
/// older than it.
fn missing(dir: BorrowedFd<'_>, controller: &str) -> Option<String> {
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

/// Of a file of a cpuset: what the cgroup above leaves to choose from.
fn cpuset_above(dir: BorrowedFd<'_>, file: &str) -> Option<String> {
    let (v2, v1) = match file {
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

fn write(dir: BorrowedFd<'_>, file: &str, value: &str) -> sys::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = fs::openat(dir, file, flags, Mode::empty())?;
    io::retry_on_intr(|| io::write(&file, value.as_bytes())).map(drop)
}

fn read(dir: BorrowedFd<'_>, file: &str) -> sys::Result<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = fs::openat(dir, file, flags, Mode::empty())?;
    let mut buffer = [0; FILE_SIZE];
    let mut length = 0;
    // A file of the kernel can come in pieces.
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match io::retry_on_intr(|| io::read(&file, &mut *rest))? {
            0 => break,
            n => length += n,
        }
    }
    Ok(String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned())
}

#[cfg(test)]
mod tests;
