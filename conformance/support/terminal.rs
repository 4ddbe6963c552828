//! Both ends of a container's terminal, as an engine holds them.

use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::Winsize;

use super::wait::{PATIENCE, readable};

/// A socket that the runtime sends one descriptor to.
pub(crate) struct Receiver {
    listener: UnixListener,
    path: PathBuf,
}

impl Receiver {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { listener: UnixListener::bind(&path).expect("a socket"), path }
    }

    pub(crate) fn path(&self) -> &str {
        self.path.to_str().expect("UTF-8")
    }

    /// The descriptor, and the bytes that came with it.
    pub(crate) fn receive(&self) -> (OwnedFd, Vec<u8>) {
        assert!(readable(&self.listener, PATIENCE), "nobody connects to {}", self.path.display());
        let (stream, _) = self.listener.accept().expect("a connection");
        assert!(readable(&stream, PATIENCE), "nothing comes on {}", self.path.display());
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let slices = &mut [IoSliceMut::new(&mut bytes)];
        let received =
            recvmsg(&stream, slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC).expect("a message");
        let mut fds: Vec<OwnedFd> = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        assert_eq!(fds.len(), 1, "one descriptor comes");
        (fds.remove(0), bytes[..received.bytes].to_vec())
    }
}

/// The master of a pseudo terminal, with all that was read from it.
pub(crate) struct Terminal {
    pub(crate) master: File,
    seen: String,
}

impl Terminal {
    pub(crate) fn of(master: OwnedFd) -> Self {
        Self { master: master.into(), seen: String::new() }
    }

    /// A new one, and its other end.
    pub(crate) fn open(rows: u16, columns: u16) -> (Self, File) {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
        grantpt(&master).expect("the pty's owner");
        unlockpt(&master).expect("an unlocked pty");
        let name = ptsname(&master, Vec::new()).expect("the pty's name");
        let slave =
            File::options().read(true).write(true).open(Path::new(name.to_str().expect("UTF-8")));
        let terminal = Self::of(master);
        terminal.resize(rows, columns);
        (terminal, slave.expect("the other end"))
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.master, size).expect("set the size");
    }

    pub(crate) fn types(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("write to the terminal");
    }

    /// Reads until `text` has come since the last call; returns all up to then.
    #[track_caller]
    pub(crate) fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            let mut bytes = [0; 4096];
            let read = if readable(&self.master, PATIENCE) {
                self.master.read(&mut bytes).unwrap_or(0)
            } else {
                0
            };
            assert!(read > 0, "{text:?} did not come, but {:?}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    }
}
