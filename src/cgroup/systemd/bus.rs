//! A connection to a systemd manager, every wait of which has an end.
//!
//! A manager listens on a private socket of its own, where nobody has to be
//! greeted or subscribed to; where that is not to be had, a message bus
//! carries the same calls. This is a client of its own because the crates for
//! D-Bus wait without an end for who accepts and does not answer.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::wire::{Body, Call, Kind, Message, START, decode, rest};
use crate::error::{Doing, Error, Result};
use crate::sys::event::{PollFd, PollFlags, Timespec, poll};
use crate::sys::fs::{Access, access};
use crate::sys::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with,
};
use crate::sys::{Errno, io};

/// How long systemd may take to answer a call.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long it may take to start or stop a unit, as runc has it.
const JOB_PATIENCE: Duration = Duration::from_secs(30);

/// Where the system's manager listens.
const SYSTEM: &str = "/run/systemd/private";
const SERVICE: &str = "org.freedesktop.systemd1";
const BUS: &str = "org.freedesktop.DBus";

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    /// Where to, for errors.
    address: String,
    /// Of the last call.
    serial: u32,
    unread: Vec<u8>,
    /// Jobs that have ended: object path and result.
    ended: Vec<(String, String)>,
}

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The manager's answer: name and words of its error.
    Refused(String, String),
    /// No answer.
    Broken(Error),
}

impl Failure {
    /// Whether the manager's answer is this error.
    pub(super) fn is(&self, name: &str) -> bool {
        matches!(self, Self::Refused(own, _) if own.strip_prefix(SERVICE).is_some_and(|own| own == name))
    }

    pub(super) fn into_error(self, doing: String) -> Error {
        match self {
            Self::Refused(_, words) => Error::Broken { what: doing, why: words },
            Self::Broken(error) => Error::Broken { what: doing, why: error.to_string() },
        }
    }
}

impl Connection {
    /// Connects to the system's manager, or to the user's own.
    pub(super) fn open(user: bool) -> Result<Self> {
        let mut first = None;
        for (path, is_bus) in addresses(user) {
            match Self::connect(&path, is_bus) {
                Ok(connection) => return Ok(connection),
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        let session =
            "the user's systemd: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set";
        Err(first.unwrap_or_else(|| Error::Broken {
            what: "connect to systemd".to_owned(),
            why: session.to_owned(),
        }))
    }

    fn connect(path: &str, is_bus: bool) -> Result<Self> {
        let doing = || format!("connect to systemd at {path:?}");
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        let socket = socket.doing(doing)?;
        let address = match path.strip_prefix('@') {
            Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
            None => SocketAddrUnix::new(path),
        };
        connect(&socket, &address.doing(doing)?).doing(doing)?;
        let mut connection = Self {
            socket,
            address: path.to_owned(),
            serial: 0,
            unread: Vec::new(),
            ended: Vec::new(),
        };
        connection.authenticate()?;
        if is_bus {
            connection.join_bus()?;
        }
        Ok(connection)
    }

    /// `EXTERNAL`: the kernel tells the other side who we are, as our own
    /// number may be another in its user namespace. All in one go, as libsystemd
    /// does: if a call comes together with `BEGIN`, systemd reads it but does
    /// not look at it before more has come.
    fn authenticate(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        self.write(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n", deadline)?;
        // A line for each of the first two; the last one counts.
        loop {
            let lines = String::from_utf8_lossy(&self.unread);
            let mut lines = lines.split_terminator("\r\n");
            match (self.unread.ends_with(b"\n"), lines.nth(1)) {
                (true, Some(answer)) if answer.starts_with("OK ") => break,
                (true, Some(answer)) => {
                    return Err(self.broken(&format!("it does not let us in ({answer:?})")));
                }
                _ if self.unread.len() > 512 => {
                    return Err(self.broken("it does not speak D-Bus"));
                }
                _ => self.read(deadline)?,
            }
        }
        self.unread.clear();
        Ok(())
    }

    /// Nobody waits for the answers: what follows fails if this has failed.
    fn join_bus(&mut self) -> Result<()> {
        let hello = |member, signature, body| Call {
            destination: BUS,
            path: "/org/freedesktop/DBus",
            interface: BUS,
            member,
            signature,
            body,
            answered: false,
        };
        let mut rule = Body::default();
        rule.string(
            "type='signal',sender='org.freedesktop.systemd1',\
             interface='org.freedesktop.systemd1.Manager',member='JobRemoved'",
        );
        let mut bytes = hello("Hello", "", Body::default()).encode(self.next());
        bytes.extend(hello("AddMatch", "s", rule).encode(self.next()));
        self.write(&bytes, Instant::now() + PATIENCE)
    }

    fn next(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }

    /// Calls a method of the manager; the strings of its answer.
    pub(super) fn call(
        &mut self,
        member: &str,
        signature: &str,
        body: Body,
    ) -> std::result::Result<Vec<String>, Failure> {
        let serial = self.next();
        let call = Call {
            destination: SERVICE,
            path: "/org/freedesktop/systemd1",
            interface: "org.freedesktop.systemd1.Manager",
            member,
            signature,
            body,
            answered: true,
        };
        let deadline = Instant::now() + PATIENCE;
        self.write(&call.encode(serial), deadline).map_err(Failure::Broken)?;
        loop {
            let message = self.message(deadline).map_err(Failure::Broken)?;
            match message.kind {
                Kind::Return if message.answers == serial => return Ok(message.strings),
                Kind::Error if message.answers == serial => {
                    let words = message.strings.into_iter().next();
                    let words = words.unwrap_or_else(|| message.error.clone());
                    return Err(Failure::Refused(message.error, words));
                }
                _ => self.note(&message),
            }
        }
    }

    /// Waits for the end of a job that a call has begun: its result.
    pub(super) fn job(&mut self, path: &str) -> Result<String> {
        let deadline = Instant::now() + JOB_PATIENCE;
        loop {
            if let Some((_, result)) = self.ended.iter().find(|(job, _)| job == path) {
                return Ok(result.clone());
            }
            let message = self.message(deadline)?;
            self.note(&message);
        }
    }

    fn note(&mut self, message: &Message) {
        // Job, unit, result.
        if message.kind == Kind::Signal
            && message.member == "JobRemoved"
            && let [job, _, result] = message.strings.as_slice()
        {
            self.ended.push((job.clone(), result.clone()));
        }
    }

    fn message(&mut self, deadline: Instant) -> Result<Message> {
        loop {
            if let Some(start) = self.unread.get(..START) {
                let rest = rest(start).ok_or_else(|| self.broken("it does not speak D-Bus"))?;
                if self.unread.len() >= START + rest {
                    let bytes: Vec<u8> = self.unread.drain(..START + rest).collect();
                    return decode(&bytes).ok_or_else(|| self.broken("it does not speak D-Bus"));
                }
            }
            self.read(deadline)?;
        }
    }

    fn read(&mut self, deadline: Instant) -> Result<()> {
        let mut part = [0u8; 4096];
        loop {
            match io::retry_on_intr(|| io::read(&self.socket, &mut part)) {
                Ok(0) => return Err(self.broken("it closed the connection")),
                Ok(got) => {
                    self.unread.extend_from_slice(&part[..got]);
                    return Ok(());
                }
                Err(Errno::AGAIN) => self.wait(PollFlags::IN, deadline)?,
                Err(errno) => {
                    return Err(Error::os(
                        format!("hear from systemd at {:?}", self.address),
                        errno,
                    ));
                }
            }
        }
    }

    fn write(&self, mut bytes: &[u8], deadline: Instant) -> Result<()> {
        while !bytes.is_empty() {
            match io::retry_on_intr(|| send(&self.socket, bytes, SendFlags::NOSIGNAL)) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(Errno::AGAIN) => self.wait(PollFlags::OUT, deadline)?,
                Err(errno) => {
                    return Err(Error::os(
                        format!("speak to systemd at {:?}", self.address),
                        errno,
                    ));
                }
            }
        }
        Ok(())
    }

    fn wait(&self, what: PollFlags, deadline: Instant) -> Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        let limit = Timespec::try_from(left).unwrap_or_default();
        let ready =
            io::retry_on_intr(|| poll(&mut [PollFd::new(&self.socket, what)], Some(&limit)));
        match ready.doing(|| "wait for systemd")? {
            0 => Err(self.broken("it does not answer in time")),
            _ => Ok(()),
        }
    }

    fn broken(&self, why: &str) -> Error {
        Error::Broken {
            what: format!("talk to systemd at {:?}", self.address),
            why: why.to_owned(),
        }
    }
}

/// Whether the system's manager takes orders from us.
pub(super) fn is_ours() -> bool {
    access(SYSTEM, Access::WRITE_OK).is_ok()
}

/// Sockets to try, in their order, and whether there is a bus behind each. An
/// address in the environment was put there to be used, and is not passed over.
fn addresses(user: bool) -> Vec<(String, bool)> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let name = if user { "DBUS_SESSION_BUS_ADDRESS" } else { "DBUS_SYSTEM_BUS_ADDRESS" };
    if let Some(address) = variable(name) {
        return address.split(';').filter_map(socket_of).map(|path| (path, true)).collect();
    }
    if user {
        let dir = variable("XDG_RUNTIME_DIR");
        return dir
            .into_iter()
            .flat_map(|dir| {
                [(format!("{dir}/systemd/private"), false), (format!("{dir}/bus"), true)]
            })
            .collect();
    }
    vec![(SYSTEM.to_owned(), false), ("/run/dbus/system_bus_socket".to_owned(), true)]
}

/// The socket of an address such as `unix:path=/run/user/1000/bus,guid=…`.
fn socket_of(address: &str) -> Option<String> {
    address.strip_prefix("unix:")?.split(',').find_map(|part| match part.split_once('=')? {
        ("path", path) => Some(unescaped(path)),
        ("abstract", name) => Some(format!("@{}", unescaped(name))),
        _ => None,
    })
}

/// `%2f` is a slash.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(char::from(byte));
                out.push_str(&part[2..]);
            }
            None => out.push_str(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_specification() {
        let path = socket_of("unix:path=/run/user/1000/bus,guid=0").unwrap();
        assert_eq!(path, "/run/user/1000/bus");
        assert_eq!(socket_of("unix:abstract=%2ftmp%2fdbus-x").unwrap(), "@/tmp/dbus-x");
        assert_eq!(socket_of("tcp:host=localhost"), None);
    }
}
