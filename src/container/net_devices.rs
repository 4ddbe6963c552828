//! Moves network devices into the container.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::error::{Doing, Error, Result};
use crate::netlink::{self, Address, Answer};
use crate::plan::namespaces::CLONE_NEWNET;
use crate::plan::net_devices::NetDevice;
use crate::sys::fs::{CWD, Mode, OFlags, openat};
use crate::sys::net::netdevice::name_to_index;
use crate::sys::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};
use crate::sys::{Errno, geteuid, io, namespace};

/// A user has no devices of the host to give.
pub(super) fn check(devices: &[NetDevice]) -> Result<()> {
    match devices.first() {
        Some(device) if !geteuid().is_root() => Err(Error::config(
            &device.field,
            "network devices are not supported for rootless containers",
        )),
        _ => Ok(()),
    }
}

/// Moves `devices` into the network namespace of process `pid`: each goes
/// down, is moved and renamed, gets its addresses again and goes up. What was
/// moved before another one failed stays there, and goes with the namespace.
pub(super) fn move_all(devices: &[NetDevice], pid: i32) -> Result<()> {
    let path = format!("/proc/{pid}/ns/net");
    let target = open(&path).doing(|| format!("open {path}"))?;
    let here = socket().doing(|| "make a netlink socket")?;
    let there = socket_in(target.as_fd()).doing(|| format!("make a netlink socket in {path}"))?;
    devices.iter().try_for_each(|device| move_one(device, &here, &there, target.as_fd()))
}

fn move_one(
    device: &NetDevice,
    here: &OwnedFd,
    there: &OwnedFd,
    target: BorrowedFd<'_>,
) -> Result<()> {
    let NetDevice { field, name, .. } = device;
    let doing = |act: &str| format!("config.json: {field}: {act} network device {name:?}");
    let index = name_to_index(here, name).doing(|| doing("find"))?;
    let new_name = free_name(device, there)?;
    // Those of IPv6 go when the device goes down.
    let addresses = addresses(here, index).doing(|| doing("list the addresses of"))?;
    ask(here, &netlink::set_up(index, false)).doing(|| doing("set down"))?;
    ask(here, &netlink::move_to(index, target.as_raw_fd(), &new_name))
        .doing(|| doing("move and rename"))?;
    let index = name_to_index(there, &new_name).doing(|| doing("find in the container"))?;
    for address in &addresses {
        ask(there, &netlink::add_address(index, address)).doing(|| doing("give its address to"))?;
    }
    ask(there, &netlink::set_up(index, true)).doing(|| doing("set up"))
}

/// The name in the container, which must not be another's there.
fn free_name(device: &NetDevice, there: &OwnedFd) -> Result<String> {
    let is_free = |name: &String| name_to_index(there, name).is_err();
    let taken = |name: &str| {
        Error::config(
            format!("{}.name", device.field),
            format!("the container has a network device {name:?} already"),
        )
    };
    let name = &device.new_name;
    if name.contains("%d") {
        let mut names = (0..1000u32).map(|number| name.replace("%d", &number.to_string()));
        return names.find(|name| name.len() < 16 && is_free(name)).ok_or_else(|| taken(name));
    }
    if is_free(name) { Ok(name.clone()) } else { Err(taken(name)) }
}

fn open(path: &str) -> crate::sys::Result<OwnedFd> {
    openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

fn socket() -> crate::sys::Result<OwnedFd> {
    socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)
}

/// A socket belongs to the namespace that it is made in.
fn socket_in(target: BorrowedFd<'_>) -> crate::sys::Result<OwnedFd> {
    let own = open(namespace::own_path(CLONE_NEWNET))?;
    namespace::setns(target, CLONE_NEWNET)?;
    let made = socket();
    namespace::setns(own.as_fd(), CLONE_NEWNET)?;
    made
}

fn addresses(socket: &OwnedFd, index: u32) -> crate::sys::Result<Vec<Address>> {
    exchange(socket, &netlink::list_addresses(), index)
}

fn ask(socket: &OwnedFd, request: &[u8]) -> crate::sys::Result<()> {
    exchange(socket, request, 0).map(drop)
}

/// The kernel answers at once, in the call that sends.
fn exchange(socket: &OwnedFd, request: &[u8], index: u32) -> crate::sys::Result<Vec<Address>> {
    io::retry_on_intr(|| send(socket, request, SendFlags::empty()))?;
    let mut addresses = Vec::new();
    let mut answer = vec![0u8; 32 << 10];
    loop {
        let (_, got) = io::retry_on_intr(|| recv(socket, &mut answer[..], RecvFlags::empty()))?;
        match netlink::read(&answer[..got.min(answer.len())], index, &mut addresses) {
            Answer::More => {}
            Answer::Done => return Ok(addresses),
            Answer::Refused(errno) => return Err(Errno::from_raw_os_error(errno)),
        }
    }
}
