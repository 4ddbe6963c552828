//! Messages between the runtime and the container's init.
//!
//! A message is eight bytes on a `SOCK_SEQPACKET` socket: a step, an item of
//! that step (the index of a mount, say) and an errno. Both sides have the
//! same plan, so that is all a failure needs; the parent finds the words. What
//! a file system or a hook said of its failure may follow, as text.
//!
//! The end of the stream is never an answer: it only means that the other side
//! is gone, and the pidfd tells how.

use std::io::IoSlice;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::sys::socket::{self, MAX_FDS};
use crate::sys::{Errno, Result, io, net};

/// Text that may follow a message, in bytes.
pub(crate) const MAX_TEXT: usize = 1024;

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message {
    /// A number that both sides know.
    pub(crate) step: u16,
    pub(crate) item: u16,
    /// 0 when the step is done; an errno; below 0 a wait status.
    pub(crate) errno: i32,
}

impl Message {
    const SIZE: usize = 8;

    fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..2].copy_from_slice(&self.step.to_ne_bytes());
        bytes[2..4].copy_from_slice(&self.item.to_ne_bytes());
        bytes[4..].copy_from_slice(&self.errno.to_ne_bytes());
        bytes
    }

    fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        Self {
            step: u16::from_ne_bytes([bytes[0], bytes[1]]),
            item: u16::from_ne_bytes([bytes[2], bytes[3]]),
            errno: i32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        }
    }
}

/// Sends `message`; `EPIPE` when the other side is gone.
pub(crate) fn send(socket: BorrowedFd<'_>, message: Message, text: &[u8]) -> Result<()> {
    let bytes = message.to_bytes();
    let parts = [IoSlice::new(&bytes), IoSlice::new(&text[..text.len().min(MAX_TEXT)])];
    io::retry_on_intr(|| {
        net::sendmsg(
            socket,
            &parts,
            &mut net::SendAncillaryBuffer::default(),
            net::SendFlags::NOSIGNAL,
        )
    })
    .map(drop)
}

/// [`send`], with descriptors.
pub(crate) fn send_fds(
    socket: BorrowedFd<'_>,
    message: Message,
    fds: &[BorrowedFd<'_>],
) -> Result<()> {
    socket::send_fds(socket, &message.to_bytes(), fds).map(drop)
}

/// Waits for a message with descriptors; `None` is the end of the stream.
pub(crate) fn receive_fds(
    socket: BorrowedFd<'_>,
    fds: &mut [Option<OwnedFd>; MAX_FDS],
) -> Result<Option<Message>> {
    let mut bytes = [0; Message::SIZE];
    match socket::receive_fds(socket, &mut bytes, fds)? {
        0 => Ok(None),
        Message::SIZE => Ok(Some(Message::from_bytes(bytes))),
        _ => Err(Errno::BADMSG),
    }
}

/// [`send`] by `write(2)`, for a process whose filter may allow little else.
/// When the other side is gone, that is `SIGPIPE`.
pub(crate) fn write(socket: BorrowedFd<'_>, message: Message, text: &[u8]) -> Result<()> {
    let mut packet = [0u8; Message::SIZE + MAX_TEXT];
    let text = &text[..text.len().min(MAX_TEXT)];
    let end = Message::SIZE + text.len();
    packet[..Message::SIZE].copy_from_slice(&message.to_bytes());
    packet[Message::SIZE..end].copy_from_slice(text);
    io::retry_on_intr(|| io::write(socket, &packet[..end])).map(drop)
}

/// Waits for a message; its text goes into `text`. `None` is the end of the
/// stream.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    text: &mut [u8; MAX_TEXT],
) -> Result<Option<(Message, usize)>> {
    let mut packet = [0u8; Message::SIZE + MAX_TEXT];
    // As `read(2)`, which more filters allow than `recv`.
    let mut next = || io::retry_on_intr(|| io::read(socket, &mut packet[..]));
    let got = match next() {
        // The other side has left with something of ours unread. The kernel
        // says so once, before it gives what was sent to us.
        Err(Errno::CONNRESET) => next()?,
        other => other?,
    };
    match packet[..got].split_first_chunk() {
        _ if got == 0 => Ok(None),
        None => Err(Errno::BADMSG),
        Some((head, tail)) => {
            text[..tail.len()].copy_from_slice(tail);
            Ok(Some((Message::from_bytes(*head), tail.len())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_wire() {
        for message in [
            Message { step: 0, item: 0, errno: 0 },
            Message { step: 7, item: u16::MAX, errno: i32::MIN },
        ] {
            assert_eq!(Message::from_bytes(message.to_bytes()), message);
        }
    }
}
