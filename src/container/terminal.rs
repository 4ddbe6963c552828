//! The terminal of a foreground container: ours, raw, and copied both ways.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::error::{Doing, Error, Result};
use crate::sys::event::{PollFd, PollFlags, Timespec, poll};
use crate::sys::fs::{OFlags, fcntl_setfl};
use crate::sys::stdio::{stdin, stdout};
use crate::sys::termios::{
    OptionalActions, OutputModes, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};
use crate::sys::{Errno, io, socket};

/// The master of the container's terminal, and the one that we have.
#[derive(Debug)]
pub(super) struct Terminal {
    master: OwnedFd,
    /// Modes to give back to our own terminal.
    modes: Option<Termios>,
    /// From our standard input to the program.
    input: Direction,
    /// From the program to our standard output.
    output: Direction,
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
        // A program that does not read must not keep us from anything else.
        fcntl_setfl(&master, OFlags::RDWR | OFlags::NONBLOCK)
            .doing(|| "set up the container's terminal")?;
        let (input, output) = (Direction::new(), Direction::new());
        let mut terminal = Self { master, modes, input, output };
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
    pub(super) fn watched(&self) -> [PollFd<'_>; 4] {
        let (to_us, to_them) = (&self.output, &self.input);
        [
            PollFd::from_borrowed_fd(self.master.as_fd(), to_us.wants(PollFlags::IN)),
            PollFd::from_borrowed_fd(stdout(), to_us.has(PollFlags::OUT)),
            PollFd::from_borrowed_fd(stdin(), to_them.wants(PollFlags::IN)),
            PollFd::from_borrowed_fd(self.master.as_fd(), to_them.has(PollFlags::OUT)),
        ]
    }

    /// Copies what can be copied without waiting.
    pub(super) fn copy(&mut self, ready: &[PollFlags]) {
        let ready = |at: usize| ready.get(at).is_some_and(|flags| !flags.is_empty());
        let master = self.master.as_fd();
        self.output.step(master, ready(0), stdout(), ready(1));
        self.input.step(stdin(), ready(2), master, ready(3));
    }

    /// Copies what the program said last.
    pub(super) fn drain(&mut self) {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let master = self.master.as_fd();
        while !self.output.ended {
            self.output.step(master, false, stdout(), true);
            let mut watched = [PollFd::from_borrowed_fd(master, PollFlags::IN)];
            match poll(&mut watched, Some(&now)) {
                Ok(count) if count > 0 => self.output.step(master, true, stdout(), true),
                _ => return,
            }
        }
    }
}

/// One direction, with the bytes that are on their way.
#[derive(Debug)]
struct Direction {
    bytes: [u8; 4096],
    start: usize,
    end: usize,
    ended: bool,
}

impl Direction {
    const fn new() -> Self {
        Self { bytes: [0; 4096], start: 0, end: 0, ended: false }
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// `flags` if there is room for more bytes.
    fn wants(&self, flags: PollFlags) -> PollFlags {
        if self.ended || !self.is_empty() { PollFlags::empty() } else { flags }
    }

    /// `flags` if there are bytes to write.
    fn has(&self, flags: PollFlags) -> PollFlags {
        if self.ended || self.is_empty() { PollFlags::empty() } else { flags }
    }

    /// Reads and writes once, where that does not block.
    fn step(&mut self, from: BorrowedFd<'_>, readable: bool, to: BorrowedFd<'_>, writable: bool) {
        if readable && !self.ended && self.is_empty() {
            match io::read(from, &mut self.bytes) {
                Ok(got) if got > 0 => (self.start, self.end) = (0, got),
                Err(Errno::AGAIN | Errno::INTR) => {}
                // EIO: nobody has the other side of the terminal open.
                _ => self.ended = true,
            }
        }
        if writable && !self.is_empty() {
            match io::write(to, &self.bytes[self.start..self.end]) {
                Ok(written) => self.start += written,
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => self.ended = true,
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
