//! Waiting, created, for `start`.

use std::os::fd::{AsFd, OwnedFd};

use super::Report;
use super::step::{Done, Step, at};
use crate::link::wire;
use crate::sys::event::{PollFd, PollFlags, Timespec, poll};
use crate::sys::net::{SocketFlags, accept_with, listen};
use crate::sys::{Errno, io};

/// Lets `start` connect. From here on, and only then, the container counts as
/// created: a socket that is bound but does not listen refuses connections.
pub(super) fn open_for_start(listener: &OwnedFd) -> Done {
    at(Step::Start, 1, listen(listener, 8))
}

/// Waits until somebody connects and says go; from then on it is the one to
/// report to. A connection that only looks (`state` does) says nothing.
pub(super) fn for_start(listener: &OwnedFd, report: &mut Report) -> Done {
    loop {
        let connection = match io::retry_on_intr(|| accept_with(listener, SocketFlags::CLOEXEC)) {
            Err(Errno::CONNABORTED) => continue,
            other => at(Step::Start, 0, other)?,
        };
        // Whoever says nothing must not keep others from it.
        let mut speaks = [PollFd::new(&connection, PollFlags::IN)];
        let soon = Timespec { tv_sec: 1, tv_nsec: 0 };
        if io::retry_on_intr(|| poll(&mut speaks, Some(&soon))) == Ok(0) {
            continue;
        }
        let message = wire::receive(connection.as_fd(), &mut [0; wire::MAX_TEXT]);
        if let Ok(Some((message, _))) = message
            && message.step == Step::Start as u16
        {
            report.0 = connection;
            return Ok(());
        }
    }
}
