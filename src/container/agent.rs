//! The agent that answers calls with `SCMP_ACT_NOTIFY`.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#seccomp>

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use super::state::State;
use crate::error::{Doing, Error, Result};
use crate::seccomp::notify::process_state;
use crate::spec::seccomp::Seccomp;
use crate::sys::net::sockopt::{Timeout, set_socket_timeout};
use crate::sys::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with,
};
use crate::sys::{Errno, Result as SysResult, socket};

/// How long an agent may take to accept a connection or to take what is sent.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to the agent, for one container process state.
#[derive(Debug)]
pub(crate) struct Agent<'p> {
    profile: &'p Seccomp,
    socket: OwnedFd,
}

impl<'p> Agent<'p> {
    /// Connects to the agent of `profile`, whose path may be relative to the
    /// bundle, or abstract if it begins with `@`.
    pub(crate) fn connect(profile: &'p Seccomp, bundle: &str) -> Result<Self> {
        let path = profile.listener_path.as_deref().unwrap_or_default();
        let connected = || -> SysResult<OwnedFd> {
            let address = match path.strip_prefix('@') {
                Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes())?,
                None => SocketAddrUnix::new(Path::new(bundle).join(path))?,
            };
            let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
            let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
            // For connect(2) too, which waits while the backlog is full.
            set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
            connect(&socket, &address)?;
            Ok(socket)
        };
        let socket = connected().doing(|| {
            format!(
                "config.json: linux.seccomp.listenerPath: failed to connect with seccomp agent \
                 at {path:?}"
            )
        })?;
        Ok(Self { profile, socket })
    }

    /// Tells it of the process `pid` of the container in `state`, gives it the
    /// listener, and closes the connection.
    pub(crate) fn send(self, state: &State<'_>, pid: i32, listener: &OwnedFd) -> Result<()> {
        let metadata = self.profile.listener_metadata.as_deref();
        let text = process_state(crate::spec::VERSION, pid, metadata, &state.to_value());
        let doing = || "config.json: linux.seccomp.listenerPath: send to the seccomp agent";
        match socket::send_fd(self.socket.as_fd(), text.as_bytes(), listener.as_fd()) {
            Ok(sent) if sent == text.len() => Ok(()),
            Ok(_) => Err(Error::os(doing(), Errno::MSGSIZE)),
            Err(errno) => Err(Error::os(doing(), errno)),
        }
    }
}
