//! The container's terminal: a pty of its own devpts.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::resolve;
use super::step::{Done, Step, at};
use crate::plan::process::Terminal;
use crate::plan::{Handles, NewContainer};
use crate::sys::fs::{
    FileType, Mode, OFlags, fstat, fstatfs, major, minor, openat, readlinkat_raw,
};
use crate::sys::mount::{self, FdPath, MountFlags};
use crate::sys::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use crate::sys::termios::{Winsize, tcsetwinsize};
use crate::sys::{Errno, Result, socket};

/// Makes the terminal of a new container, which sees it as `/dev/console`.
pub(super) fn set_up(
    plan: &NewContainer,
    terminal: Option<Terminal>,
    handles: &mut Handles,
    root: BorrowedFd<'_>,
) -> Done<Option<OwnedFd>> {
    let slave = make(terminal, handles, root)?;
    if let Some(slave) = slave.as_ref().filter(|_| plan.rootfs.fill_dev) {
        at(Step::Console, 2, show(slave.as_fd(), root))?;
    }
    Ok(slave)
}

/// Makes one more terminal in the container whose root is ours.
pub(super) fn open(terminal: Option<Terminal>, handles: &mut Handles) -> Done<Option<OwnedFd>> {
    if terminal.is_none() {
        return Ok(None);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(crate::sys::fs::CWD, c"/", flags, Mode::empty());
    make(terminal, handles, at(Step::Console, 0, root)?.as_fd())
}

/// Makes a terminal and sends its master away.
fn make(
    terminal: Option<Terminal>,
    handles: &mut Handles,
    root: BorrowedFd<'_>,
) -> Done<Option<OwnedFd>> {
    let (Some(terminal), Some(receiver)) = (terminal, handles.console.take()) else {
        return Ok(None);
    };
    let (master, slave) = at(Step::Console, 0, open_pty(root))?;
    at(Step::Console, 1, configure(terminal, master.as_fd()))?;
    at(Step::Console, 3, send(receiver.as_fd(), master.as_fd(), slave.as_fd()))?;
    Ok(Some(slave))
}

/// Opens a pty, checking that it is one: a volume over `/dev` could offer
/// something else (CVE-2025-52565). It is looked at before, because to open a
/// device may do something, and after, because it may be another by then. The
/// slave comes from the master by `TIOCGPTPEER` (Linux 4.13), not by its path.
fn open_pty(root: BorrowedFd<'_>) -> Result<(OwnedFd, OwnedFd)> {
    let directory = resolve::in_root(root, c"dev/pts")?;
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    is_ptmx(&openat(&directory, c"ptmx", flags | OFlags::PATH, Mode::empty())?)?;
    let flags = flags | OFlags::RDWR | OFlags::NOCTTY;
    let master = openat(&directory, c"ptmx", flags, Mode::empty())?;
    is_ptmx(&master)?;
    unlockpt(&master)?;
    let slave =
        ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    Ok((master, slave))
}

fn is_ptmx(found: &OwnedFd) -> Result<()> {
    const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;
    let stat = fstat(found)?;
    let is_it = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && (major(stat.st_rdev), minor(stat.st_rdev)) == (5, 2)
        && fstatfs(found)?.f_type.cast_unsigned() == DEVPTS_SUPER_MAGIC;
    if is_it { Ok(()) } else { Err(Errno::NODEV) }
}

/// `process.consoleSize`.
fn configure(terminal: Terminal, master: BorrowedFd<'_>) -> Result<()> {
    match terminal.size {
        Some((rows, columns)) => {
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            tcsetwinsize(master, size)
        }
        None => Ok(()),
    }
}

fn show(slave: BorrowedFd<'_>, root: BorrowedFd<'_>) -> Result<()> {
    let dev = resolve::in_root(root, c"dev")?;
    let flags =
        OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY | OFlags::NONBLOCK;
    match openat(&dev, c"console", flags | OFlags::EXCL, Mode::from_raw_mode(0o666)) {
        Ok(_) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    let target =
        openat(&dev, c"console", OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&target)?.st_mode) == FileType::Symlink {
        return Err(Errno::LOOP);
    }
    match mount::clone_tree(slave, false) {
        Err(Errno::NOSYS) => {
            let (from, to) = (FdPath::new(slave), FdPath::new(target.as_fd()));
            mount::mount(from.as_c_str(), to.as_c_str(), c"", MountFlags::BIND, None)
        }
        tree => mount::attach(tree?.as_fd(), target.as_fd()),
    }
}

/// Sends the master; the payload is the name of the slave.
fn send(receiver: BorrowedFd<'_>, master: BorrowedFd<'_>, slave: BorrowedFd<'_>) -> Result<()> {
    let mut name = [MaybeUninit::uninit(); 64];
    let path = FdPath::new(slave);
    let name = match readlinkat_raw(crate::sys::fs::CWD, path.as_c_str(), &mut name) {
        Ok((name, _)) => &*name,
        Err(_) => b"/dev/pts/ptmx",
    };
    socket::send_fd(receiver, name, master).map(drop)
}
