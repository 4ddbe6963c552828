//! Descriptors over unix sockets (`unix(7)`, `SCM_RIGHTS`).

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::{Errno, Result};

/// How many descriptors go with one message.
pub(crate) const MAX_FDS: usize = 32;

/// Sends `fd` with `payload`: how many bytes of that were sent.
pub(crate) fn send_fd(socket: BorrowedFd<'_>, payload: &[u8], fd: BorrowedFd<'_>) -> Result<usize> {
    send_fds(socket, payload, &[fd])
}

/// The same, for up to [`MAX_FDS`] descriptors.
///
/// # Errors
///
/// `EMSGSIZE` if there are more.
pub(crate) fn send_fds(
    socket: BorrowedFd<'_>,
    payload: &[u8],
    fds: &[BorrowedFd<'_>],
) -> Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::MSGSIZE);
    }
    sendmsg(socket, &[IoSlice::new(payload)], &mut control, SendFlags::NOSIGNAL)
}

/// Receives a payload and the descriptor that came with it.
pub(crate) fn receive_fd(
    socket: BorrowedFd<'_>,
    payload: &mut [u8],
) -> Result<(usize, Option<OwnedFd>)> {
    let mut fds = [None];
    let bytes = receive_fds(socket, payload, &mut fds)?;
    let [fd] = fds;
    Ok((bytes, fd))
}

/// Receives a payload and the first of the descriptors that came with it.
///
/// # Errors
///
/// `EMFILE` if not all could be taken.
pub(crate) fn receive_fds(
    socket: BorrowedFd<'_>,
    payload: &mut [u8],
    fds: &mut [Option<OwnedFd>],
) -> Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message =
        recvmsg(socket, &mut [IoSliceMut::new(payload)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut places = fds.iter_mut();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = part {
            received.zip(&mut places).for_each(|(fd, place)| *place = Some(fd));
        }
    }
    // Some did not come, for want of numbers or of permission.
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Err(Errno::MFILE);
    }
    Ok(message.bytes)
}
