//! Waiting, created, for `start`.

use std::os::fd::{AsFd, OwnedFd};

use super::Report;
use super::step::{Done, Step, at};
use crate::link::wire;
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
        let message = wire::receive(connection.as_fd(), &mut [0; wire::MAX_TEXT]);
        if let Ok(Some((message, _))) = message
            && message.step == Step::Start as u16
        {
            report.0 = connection;
            return Ok(());
        }
    }
}
