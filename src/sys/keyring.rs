//! Session keyrings (`keyctl(2)`): a container must not read its host's keys.

use std::ffi::CStr;

use super::{Result, check};

const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
const KEYCTL_SETPERM: libc::c_int = 5;
const KEYCTL_DESCRIBE: libc::c_int = 6;
/// `KEY_USR_SEARCH`.
const UID_SEARCH: u32 = 0x0008_0000;

/// Joins, or makes, the session keyring `name`; gives its serial number.
///
/// # Errors
///
/// `ENOSYS` without `CONFIG_KEYS` or under a filter, `EDQUOT` at the user's
/// key quota, `EACCES` if the keyring is somebody else's.
pub(crate) fn join_session(name: &CStr) -> Result<i32> {
    // SAFETY: `name` is a C string that outlives the call.
    let ret = check(unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr(), 0, 0, 0)
    })?;
    Ok(i32::try_from(ret).unwrap_or(i32::MAX))
}

/// Adds `SEARCH` for the possessor to the keyring's permissions, which lets
/// the container's user find the keys that are put there.
pub(crate) fn allow_search(serial: i32) -> Result<()> {
    // type;uid;gid;perm;description
    let mut text = [0u8; 256];
    // SAFETY: the kernel writes at most `len` bytes to `text`.
    let len = check(unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_DESCRIBE, serial, text.as_mut_ptr(), text.len(), 0)
    })?;
    let len = usize::try_from(len).unwrap_or(0).min(text.len());
    let perm = text[..len].split(|b| *b == b';').nth(3).and_then(|p| str::from_utf8(p).ok());
    let perm = perm.and_then(|p| u32::from_str_radix(p, 16).ok()).unwrap_or(0);
    // SAFETY: plain numbers.
    check(unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_SETPERM, serial, perm | UID_SEARCH, 0, 0)
    })
    .map(drop)
}
