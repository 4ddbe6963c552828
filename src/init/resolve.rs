//! From a path of the container to a descriptor, once.
//!
//! Everything here names files below a directory descriptor and never leaves
//! it: `openat2(2)` with `RESOLVE_IN_ROOT` (Linux 5.6), or on older kernels a
//! walk that opens one component after the other.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::sys::fs::{
    FileType, Mode, OFlags, ResolveFlags, fstat, fstatfs, mkdirat, openat, openat2, readlinkat_raw,
};
use crate::sys::{Errno, Result};

/// Longest path, its NUL included (`PATH_MAX`).
const PATH_MAX: usize = 4096;
/// How many symbolic links a path may go through, as in the kernel.
const MAX_LINKS: usize = 40;
/// How many links that lead nowhere may follow each other.
const MAX_DANGLING: usize = 8;
/// How deep the walk for old kernels goes.
const MAX_DEPTH: usize = 64;

/// Resolves `path` with `root` as `/`, symbolic links included, but never
/// through a magic link of procfs. The descriptor is `O_PATH`.
pub(crate) fn in_root(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    open_in_root(root, path, OFlags::PATH)
}

/// Opens a path of the host, which is trusted.
pub(crate) fn open_host(path: &CStr) -> Result<OwnedFd> {
    openat(crate::sys::fs::CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

/// [`in_root`] with other open flags.
pub(super) fn open_in_root(root: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Result<OwnedFd> {
    if path.is_empty() {
        return openat(root, c".", flags | OFlags::CLOEXEC, Mode::empty());
    }
    below(root, path, flags, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
}

/// Resolves `path`, which must not go through any symbolic link.
pub(super) fn no_links(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    below(root, path, OFlags::PATH, ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS)
}

/// `openat2(2)`, with the walk in its place where there is none.
pub(super) fn below(
    root: BorrowedFd<'_>,
    path: &CStr,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    loop {
        match openat2(root, path, flags, Mode::empty(), resolve) {
            // A rename raced with us somewhere in the path; the kernel asks
            // for another try.
            Err(Errno::AGAIN) => {}
            Err(Errno::NOSYS) => return walk(root, path, flags, resolve),
            other => return other,
        }
    }
}

/// Whether `fd` is a directory.
pub(crate) fn is_directory(fd: BorrowedFd<'_>) -> Result<bool> {
    Ok(FileType::from_raw_mode(fstat(fd)?.st_mode) == FileType::Directory)
}

/// Whether both are the same file.
pub(super) fn is_same(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> Result<bool> {
    let (one, other) = (fstat(one)?, fstat(other)?);
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}

/// Whether `fd` lies on procfs.
pub(super) fn is_procfs(fd: BorrowedFd<'_>) -> Result<bool> {
    const PROC_SUPER_MAGIC: u64 = 0x9fa0;
    Ok(fstatfs(fd)?.f_type.cast_unsigned() == PROC_SUPER_MAGIC)
}

/// Opens the directory `path`, making what is missing of it with `mode`.
/// Where a symbolic link leads to nothing, the directory is made where it
/// leads, inside the root.
pub(crate) fn make_directory(root: BorrowedFd<'_>, path: &CStr, mode: u32) -> Result<OwnedFd> {
    make_directory_at(root, path, mode, 0)
}

fn make_directory_at(
    root: BorrowedFd<'_>,
    path: &CStr,
    mode: u32,
    links: usize,
) -> Result<OwnedFd> {
    match in_root(root, path) {
        Err(Errno::NOENT) if links < MAX_DANGLING => {}
        other => return other,
    }
    if links == 0
        && let Ok(made) = make_last(root, path, mode)
    {
        return Ok(made);
    }
    let mut parent = in_root(root, c"")?;
    let mut walked = PathBuffer::new();
    for name in path.to_bytes().split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        let above = walked.len;
        walked.push(name)?;
        parent = match in_root(root, walked.as_c_str()?) {
            Err(Errno::NOENT) => match dangling(&parent, name)? {
                None => make_in(&parent, name, mode)?,
                Some(target) => {
                    walked.follow(above, &target)?;
                    make_directory_at(root, walked.as_c_str()?, mode, links + 1)?
                }
            },
            other => other?,
        };
    }
    Ok(parent)
}

/// The same where only the last component is missing, as it mostly is.
///
/// # Errors
///
/// `ENOENT` if more is, `EEXIST` if there is something, such as a link.
fn make_last(root: BorrowedFd<'_>, path: &CStr, mode: u32) -> Result<OwnedFd> {
    let bytes = path.to_bytes();
    let slash = bytes.iter().rposition(|byte| *byte == b'/').ok_or(Errno::NOENT)?;
    let mut above = PathBuffer::new();
    above.push(&bytes[..slash])?;
    let parent = in_root(root, above.as_c_str()?)?;
    let name = CStr::from_bytes_with_nul(&path.to_bytes_with_nul()[slash + 1..])
        .map_err(|_| Errno::INVAL)?;
    mkdirat(&parent, name, Mode::from_raw_mode(mode))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(&parent, name, flags, Mode::empty())
}

/// Where the symbolic link `name` leads; `None` if there is nothing.
fn dangling(parent: &OwnedFd, name: &[u8]) -> Result<Option<PathBuffer>> {
    let mut path = PathBuffer::new();
    path.push(name)?;
    let mut target = [std::mem::MaybeUninit::uninit(); PATH_MAX];
    match readlinkat_raw(parent, path.as_c_str()?, &mut target) {
        Ok((target, _)) => path.set(target).map(|()| Some(path)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Makes the directory `name` in `parent`; one that another process has put
/// there meanwhile will do.
fn make_in(parent: &OwnedFd, name: &[u8], mode: u32) -> Result<OwnedFd> {
    let mut only = PathBuffer::new();
    only.push(name)?;
    match mkdirat(parent, only.as_c_str()?, Mode::from_raw_mode(mode)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, only.as_c_str()?, flags, Mode::empty())
}

/// Opens the directory that holds `path`, making it if it is missing, and
/// gives the last component.
pub(super) fn make_parent<'p>(root: BorrowedFd<'_>, path: &'p CStr) -> Result<(OwnedFd, &'p CStr)> {
    let bytes = path.to_bytes();
    let Some(slash) = bytes.iter().rposition(|byte| *byte == b'/') else {
        return Ok((in_root(root, c"")?, path));
    };
    let mut directory = PathBuffer::new();
    directory.push(&bytes[..slash])?;
    let parent = make_directory(root, directory.as_c_str()?, 0o755)?;
    let name = CStr::from_bytes_with_nul(&path.to_bytes_with_nul()[slash + 1..])
        .map_err(|_| Errno::INVAL)?;
    Ok((parent, name))
}

/// Opens the regular file `path`, making it, empty, if it is missing.
pub(crate) fn make_file(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    match in_root(root, path) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    let (parent, name) = make_parent(root, path)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
    drop(openat(&parent, name, flags, Mode::from_raw_mode(0o644))?);
    openat(&parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// A path on the stack.
pub(super) struct PathBuffer {
    bytes: [u8; PATH_MAX],
    len: usize,
}

impl PathBuffer {
    pub(super) fn new() -> Self {
        Self { bytes: [0; PATH_MAX], len: 0 }
    }

    /// Adds a component, or several, after a slash.
    pub(super) fn push(&mut self, part: &[u8]) -> Result<()> {
        let slash = usize::from(self.len > 0);
        let end = self.len + slash + part.len();
        if end >= PATH_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        if slash == 1 {
            self.bytes[self.len] = b'/';
        }
        self.bytes[self.len + slash..end].copy_from_slice(part);
        self.bytes[end] = 0;
        self.len = end;
        Ok(())
    }

    /// Adds bytes as they are.
    pub(super) fn append(&mut self, part: &[u8]) -> Result<()> {
        let end = self.len + part.len();
        if end >= PATH_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        self.bytes[self.len..end].copy_from_slice(part);
        self.bytes[end] = 0;
        self.len = end;
        Ok(())
    }

    pub(super) fn as_c_str(&self) -> Result<&CStr> {
        CStr::from_bytes_with_nul(&self.bytes[..=self.len]).map_err(|_| Errno::INVAL)
    }

    /// Starts over with `path`.
    pub(super) fn set(&mut self, path: &[u8]) -> Result<()> {
        self.len = 0;
        self.push(path)
    }

    /// Replaces what comes after the first `above` bytes, the name of a link,
    /// by where it leads. `..` is left to the resolution in the root.
    fn follow(&mut self, above: usize, target: &Self) -> Result<()> {
        let target = &target.bytes[..target.len];
        self.len = if target.first() == Some(&b'/') { 0 } else { above };
        self.push(target)
    }

    /// Puts `front` before what is still to be walked.
    fn prepend(&mut self, front: &[u8]) -> Result<()> {
        let rest = self.len;
        let slash = usize::from(rest > 0);
        let end = front.len() + slash + rest;
        if end >= PATH_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        self.bytes.copy_within(..rest, front.len() + slash);
        self.bytes[..front.len()].copy_from_slice(front);
        if slash == 1 {
            self.bytes[front.len()] = b'/';
        }
        self.bytes[end] = 0;
        self.len = end;
        Ok(())
    }

    /// Takes the first component off.
    fn take_first(&mut self, name: &mut Self) -> Result<bool> {
        let start = self.bytes[..self.len].iter().take_while(|byte| **byte == b'/').count();
        let len = self.bytes[start..self.len].iter().take_while(|byte| **byte != b'/').count();
        name.len = 0;
        name.push(&self.bytes[start..start + len])?;
        self.bytes.copy_within(start + len..self.len, 0);
        self.len -= start + len;
        self.bytes[self.len] = 0;
        Ok(len > 0)
    }
}

/// Resolution for kernels without `openat2`: the directories on the way are
/// kept open, so that `..` leads to where we came from and not to where a
/// rename has put it, and never above the root.
#[cold]
#[inline(never)]
fn walk(
    root: BorrowedFd<'_>,
    path: &CStr,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd> {
    let mut stack: [Option<OwnedFd>; MAX_DEPTH] = [const { None }; MAX_DEPTH];
    let mut depth = 0;
    let mut links = 0;
    let (mut rest, mut name) = (PathBuffer::new(), PathBuffer::new());
    rest.push(path.to_bytes())?;
    while rest.take_first(&mut name)? {
        let here =
            if depth == 0 { root } else { stack[depth - 1].as_ref().map_or(root, AsFd::as_fd) };
        match name.as_c_str()?.to_bytes() {
            b"." => continue,
            b".." => {
                depth = depth.saturating_sub(1);
                stack[depth] = None;
                continue;
            }
            _ => {}
        }
        let next = openat(
            here,
            name.as_c_str()?,
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let kind = FileType::from_raw_mode(fstat(&next)?.st_mode);
        if kind == FileType::Symlink {
            links += 1;
            if links > MAX_LINKS || resolve.contains(ResolveFlags::NO_SYMLINKS) {
                return Err(Errno::LOOP);
            }
            let mut target = [std::mem::MaybeUninit::uninit(); PATH_MAX];
            let (target, _) = readlinkat_raw(&next, c"", &mut target)?;
            // Of procfs only `self` is followed: other links may be magic.
            let number = target.iter().all(u8::is_ascii_digit);
            if is_procfs(next.as_fd())? && !number {
                return Err(Errno::LOOP);
            }
            if target.first() == Some(&b'/') {
                for slot in &mut stack {
                    *slot = None;
                }
                depth = 0;
            }
            rest.prepend(target)?;
            continue;
        }
        if depth == MAX_DEPTH {
            return Err(Errno::NAMETOOLONG);
        }
        stack[depth] = Some(next);
        depth += 1;
    }
    let found = if depth == 0 { None } else { stack[depth - 1].take() };
    match found {
        Some(found) if flags.contains(OFlags::PATH) => Ok(found),
        Some(found) => reopen(found.as_fd(), flags),
        None => openat(root, c".", flags, Mode::empty()),
    }
}

/// Opens for use what an `O_PATH` descriptor names.
fn reopen(fd: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd> {
    let path = crate::sys::mount::FdPath::new(fd);
    openat(crate::sys::fs::CWD, path.as_c_str(), flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(buffer: &PathBuffer) -> &str {
        buffer.as_c_str().unwrap().to_str().unwrap()
    }

    #[test]
    fn components_are_taken_one_by_one() {
        let (mut rest, mut name) = (PathBuffer::new(), PathBuffer::new());
        rest.push(b"//a/b//c").unwrap();
        let mut seen = Vec::new();
        while rest.take_first(&mut name).unwrap() {
            seen.push(text(&name).to_owned());
        }
        assert_eq!(seen, ["a", "b", "c"]);
    }

    #[test]
    fn a_link_goes_before_what_is_left() {
        let mut rest = PathBuffer::new();
        rest.push(b"x/y").unwrap();
        rest.prepend(b"../run").unwrap();
        assert_eq!(text(&rest), "../run/x/y");
        let mut empty = PathBuffer::new();
        empty.prepend(b"run").unwrap();
        assert_eq!(text(&empty), "run");
    }

    #[test]
    fn too_long_is_refused() {
        let mut path = PathBuffer::new();
        assert_eq!(path.push(&[b'a'; PATH_MAX]), Err(Errno::NAMETOOLONG));
    }
}
