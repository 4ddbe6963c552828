//! The terminal of a foreground container: ours, raw, and copied both ways.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::error::{Doing, Error, Result};
use crate::sys::event::{PollFd, PollFlags};
use crate::sys::stdio::{stdin, stdout};
use crate::sys::termios::{
    OptionalActions, OutputModes, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};
use crate::sys::{io, socket};

/// The master of the container's terminal, and the one that we have.
#[derive(Debug)]
pub(super) struct Terminal {
    master: OwnedFd,
    /// Modes to give back to our own terminal.
    modes: Option<Termios>,
    /// Our standard input has ended.
    input_ended: bool,
    output_ended: bool,
}

impl Terminal {
    /// Takes the master that the container's init sends, and makes our own
    /// terminal raw, if we have one.
    pub(super) fn receive(from: BorrowedFd<'_>) -> Result<Self> {
        let mut name = [0u8; 64];
        let (_, master) =
            socket::receive_fd(from, &mut name).doing(|| "receive the container's terminal")?;
        let master = master.ok_or_else(|| Error::Broken {
            what: "receive the container's terminal".to_owned(),
            why: "no descriptor came with the message".to_owned(),
        })?;
        let mut theirs =
            tcgetattr(&master).doing(|| "read the modes of the container's terminal")?;
        theirs.output_modes.remove(OutputModes::ONLCR);
        tcsetattr(&master, OptionalActions::Now, &theirs)
            .doing(|| "set up the container's terminal")?;
        let modes = if isatty(stdin()) { tcgetattr(stdin()).ok() } else { None };
        if let Some(modes) = &modes {
            let mut raw = modes.clone();
            raw.make_raw();
            // Our terminal goes on adding carriage returns to new lines, so
            // the container's must not.
            raw.output_modes.insert(OutputModes::OPOST);
            tcsetattr(stdin(), OptionalActions::Now, &raw).doing(|| "make the terminal raw")?;
        }
        let mut terminal = Self { master, modes, input_ended: false, output_ended: false };
        terminal.resize();
        Ok(terminal)
    }

    /// Gives the container's terminal the size of ours.
    pub(super) fn resize(&mut self) {
        if let Ok(size) = tcgetwinsize(stdin()) {
            let _ = tcsetwinsize(&self.master, size);
        }
    }

    /// What to wait for, in the order that [`Self::copy`] takes.
    pub(super) fn watched(&self) -> [PollFd<'_>; 2] {
        let unless = |ended: bool, flags| if ended { PollFlags::empty() } else { flags };
        [
            PollFd::from_borrowed_fd(self.master.as_fd(), unless(self.output_ended, PollFlags::IN)),
            PollFd::from_borrowed_fd(stdin(), unless(self.input_ended, PollFlags::IN)),
        ]
    }

    /// Copies what is there.
    pub(super) fn copy(&mut self, ready: &[PollFlags]) {
        let some = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
        if ready.first().is_some_and(|flags| flags.intersects(some)) && !self.output_ended {
            self.output_ended = !copy_once(self.master.as_fd(), stdout());
        }
        if ready.get(1).is_some_and(|flags| flags.intersects(some)) && !self.input_ended {
            self.input_ended = !copy_once(stdin(), self.master.as_fd());
        }
    }

    /// Copies what the program said last.
    pub(super) fn drain(&mut self) {
        use crate::sys::event::{Timespec, poll};
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        while !self.output_ended {
            let mut watched = [PollFd::new(&self.master, PollFlags::IN)];
            match poll(&mut watched, Some(&now)) {
                Ok(count) if count > 0 => {
                    self.output_ended = !copy_once(self.master.as_fd(), stdout());
                }
                _ => return,
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(modes) = &self.modes {
            let _ = tcsetattr(stdin(), OptionalActions::Now, modes);
        }
    }
}

/// Copies one buffer; false at the end of either side.
fn copy_once(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> bool {
    let mut bytes = [0u8; 8192];
    let Ok(got) = io::retry_on_intr(|| io::read(from, &mut bytes)) else { return false };
    let mut rest = &bytes[..got];
    while !rest.is_empty() {
        match io::retry_on_intr(|| io::write(to, rest)) {
            Ok(written) => rest = &rest[written..],
            Err(_) => return false,
        }
    }
    got > 0
}
