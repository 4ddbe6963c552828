//! `SCMP_ACT_NOTIFY`: an agent that answers, adds a descriptor, and dies.

use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::Ordering;

use crate::child::{Call, Seen, Shared, fork, profile, wait};

const ENOSYS: i64 = 38;

// linux/seccomp.h: requests on a listener.
const RECV: libc::c_ulong = 0xc050_2100;
const SEND: libc::c_ulong = 0xc018_2101;
const ADDFD: libc::c_ulong = 0x4018_2103;
const FLAG_CONTINUE: u32 = 1;

#[repr(C)]
#[derive(Default)]
struct Notification {
    id: u64,
    pid: u32,
    flags: u32,
    number: i32,
    arch: u32,
    instruction_pointer: u64,
    args: [u64; 6],
}

#[repr(C)]
#[derive(Default)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

#[repr(C)]
struct AddFd {
    id: u64,
    flags: u32,
    from: u32,
    to: u32,
    to_flags: u32,
}

const PROFILE: &str = r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/run/agent","flags":[],
    "syscalls":[{"names":["getppid"],"action":"SCMP_ACT_NOTIFY"}]}"#;

/// A child whose `getppid` waits for the agent, and the agent's descriptor.
fn start(profile_text: &str) -> (libc::pid_t, &'static Shared, OwnedFd) {
    let shared = Shared::new();
    let call = Call::Native(libc::SYS_getppid, [1, 2, 3, 4, 5, 6]);
    let child = fork(&profile(profile_text), call, shared, || ());
    assert!(shared.wait_for(1, child), "the filter was not loaded");
    // SAFETY: takes values.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, child, 0) };
    let number = shared.listener.load(Ordering::SeqCst);
    // SAFETY: takes values.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd, number, 0) };
    assert!(fd >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: a new descriptor that nobody else owns.
    let listener = unsafe { own(fd) };
    // SAFETY: as above.
    drop(unsafe { own(pidfd) });
    shared.taken.store(1, Ordering::SeqCst);
    (child, shared, listener)
}

/// # Safety
///
/// `fd` must be a descriptor that nobody else owns.
unsafe fn own(fd: libc::c_long) -> OwnedFd {
    // SAFETY: the caller's promise.
    unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap()) }
}

fn receive(listener: &OwnedFd) -> Notification {
    let mut notification = Notification::default();
    // SAFETY: the kernel writes a whole `seccomp_notif`, of this layout.
    let ret = unsafe { libc::ioctl(listener.as_raw_fd(), RECV, &raw mut notification) };
    assert_eq!(ret, 0, "{}", std::io::Error::last_os_error());
    notification
}

fn send(listener: &OwnedFd, mut response: Response) {
    // SAFETY: the kernel reads a whole `seccomp_notif_resp`, of this layout.
    let ret = unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw mut response) };
    assert_eq!(ret, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn an_agent_answers() {
    for (value, error, flags, expected) in
        [(4711, 0, 0, 4711), (0, -13, 0, -13), (0, 0, FLAG_CONTINUE, i64::from(std::process::id()))]
    {
        let (child, shared, listener) = start(PROFILE);
        let notification = receive(&listener);
        assert_eq!(i64::from(notification.number), libc::SYS_getppid);
        assert_eq!(i64::from(notification.pid), i64::from(child));
        assert_eq!(notification.args, [1, 2, 3, 4, 5, 6]);
        send(&listener, Response { id: notification.id, value, error, flags });
        assert_eq!(wait(child, shared), Seen::Returned(expected));
    }
}

#[test]
fn an_agent_adds_a_descriptor() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let (child, shared, listener) = start(PROFILE);
    let id = receive(&listener).id;
    let from = u32::try_from(writer.as_raw_fd()).unwrap();
    let mut add = AddFd { id, flags: 0, from, to: 0, to_flags: 0 };
    // SAFETY: the kernel reads a whole `seccomp_notif_addfd`, of this layout.
    let added = unsafe { libc::ioctl(listener.as_raw_fd(), ADDFD, &raw mut add) };
    assert!(added >= 0, "{}", std::io::Error::last_os_error());
    let path = format!("/proc/{child}/fd/{added}");
    std::fs::File::options().write(true).open(path).unwrap().write_all(b"added").unwrap();
    send(&listener, Response { id, value: added.into(), ..Response::default() });
    assert_eq!(wait(child, shared), Seen::Returned(added.into()));
    drop(writer);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
    assert_eq!(text, "added");
}

/// A call whose agent is gone does not exist.
#[test]
fn an_agent_dies() {
    let (child, shared, listener) = start(PROFILE);
    receive(&listener);
    drop(listener);
    assert_eq!(wait(child, shared), Seen::Returned(-ENOSYS));
}

/// Linux 5.19: a notified call can be killed only once the agent has it.
#[test]
fn wait_killable_is_taken_with_a_listener() {
    let text =
        PROFILE.replace(r#""flags":[]"#, r#""flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]"#);
    let (child, shared, listener) = start(&text);
    let id = receive(&listener).id;
    send(&listener, Response { id, value: 7, ..Response::default() });
    assert_eq!(wait(child, shared), Seen::Returned(7));
}
