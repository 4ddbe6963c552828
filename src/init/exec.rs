//! Finding the program, and becoming it.

use std::convert::Infallible;
use std::ffi::CStr;
use std::os::fd::AsFd;

use super::resolve::{self, PathBuffer};
use super::step::{Done, Step, at, failure};
use crate::plan::Plan;
use crate::sys::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, statat};
use crate::sys::{Errno, Result, exec, io};

/// Finds the program as a shell would, in the container's `PATH`, so that
/// `create` already tells of one that is not there.
pub(super) fn look_up(plan: &Plan) -> Done<PathBuffer> {
    let mut found = PathBuffer::new();
    // None: `start` will say so.
    let Some(program) = plan.process.argv.strings().first() else { return Ok(found) };
    let program = program.to_bytes();
    if program.contains(&b'/') {
        at(Step::Exec, 0, found.set(program))?;
        at(Step::Exec, 0, executable(&found))?;
        return Ok(found);
    }
    // What is found but cannot be executed is told only if nothing else can.
    let mut refused = None;
    for directory in &plan.process.path {
        at(Step::LookUp, 0, found.set(directory.to_bytes()))?;
        if found.push(program).is_err() {
            continue;
        }
        match executable(&found) {
            Ok(()) => return Ok(found),
            Err(Errno::ACCESS) => refused = Some(Errno::ACCESS),
            Err(_) => {}
        }
    }
    Err(failure(Step::LookUp, 0, refused.unwrap_or(Errno::NOENT)))
}

/// A file with an x bit; whether it is ours is for `execve` to say.
fn executable(path: &PathBuffer) -> Result<()> {
    let stat = statat(CWD, path.as_c_str()?, AtFlags::empty())?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Err(Errno::ISDIR),
        _ if stat.st_mode & 0o111 == 0 => Err(Errno::ACCESS),
        _ => Ok(()),
    }
}

/// `HOME` of the user from the container's `/etc/passwd`, else `/`.
pub(super) fn find_home(plan: &mut Plan) -> Done {
    if plan.process.find_home { look_for_home(plan) } else { Ok(()) }
}

#[cold]
#[inline(never)]
fn look_for_home(plan: &mut Plan) -> Done {
    let uid = plan.process.credentials.uid;
    let mut home = PathBuffer::new();
    let set = |home: &mut PathBuffer| -> Result<()> {
        let root = openat(CWD, c"/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let passwd = resolve::open_in_root(
            root.as_fd(),
            c"etc/passwd",
            OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY,
        )?;
        let mut lines = Lines { file: passwd.as_fd(), bytes: [0; 4096], len: 0, start: 0 };
        while let Some(line) = lines.next()? {
            let mut fields = line.split(|byte| *byte == b':');
            let (id, directory) =
                (fields.nth(2).unwrap_or_default(), fields.nth(2).unwrap_or_default());
            if number(id) == Some(uid) && directory.first() == Some(&b'/') {
                return home.set(directory);
            }
        }
        Err(Errno::NOENT)
    };
    if set(&mut home).is_err() {
        at(Step::Home, 0, home.set(b"/"))?;
    }
    let directory = at(Step::Home, 0, home.as_c_str())?;
    match plan.process.envp.push_spare(&[b"HOME=", directory.to_bytes()]) {
        Err(Errno::NAMETOOLONG) => at(Step::Home, 0, plan.process.envp.push_spare(&[b"HOME=/"])),
        other => at(Step::Home, 0, other),
    }
}

fn number(text: &[u8]) -> Option<u32> {
    str::from_utf8(text).ok()?.parse().ok()
}

/// Lines of a file, on the stack. A line over 4 KiB ends the reading.
struct Lines<'f> {
    file: std::os::fd::BorrowedFd<'f>,
    bytes: [u8; 4096],
    len: usize,
    start: usize,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<Option<&[u8]>> {
        loop {
            let unread = &self.bytes[self.start..self.len];
            if let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
                let line = self.start..self.start + end;
                self.start += end + 1;
                return Ok(Some(&self.bytes[line]));
            }
            self.bytes.copy_within(self.start..self.len, 0);
            self.len -= self.start;
            self.start = 0;
            if self.len == self.bytes.len() {
                return Ok(None);
            }
            let got = io::retry_on_intr(|| io::read(self.file, &mut self.bytes[self.len..]))?;
            if got == 0 {
                let line = ..self.len;
                self.len = 0;
                return Ok((line.end > 0).then_some(&self.bytes[line]));
            }
            self.len += got;
        }
    }
}

/// `execve(2)`: from here on the container is its program.
pub(super) fn become_program(plan: &Plan, program: &PathBuffer) -> Done<Infallible> {
    let path: &CStr = at(Step::Exec, 0, program.as_c_str())?;
    let errno = exec::execve(path, &plan.process.argv, &plan.process.envp);
    Err(failure(Step::Exec, 1, errno))
}
