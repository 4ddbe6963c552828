//! `linux.seccomp`: the profile of the system call filter.
//!
//! Words (`SCMP_ACT_ALLOW`, ...) stay strings: [`crate::seccomp`] gives them
//! their meaning, and names the field when one is unknown.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#seccomp>

use serde::Deserialize;

/// The `linux.seccomp` object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Seccomp {
    /// Answer to a call that no rule matches; one of the `SCMP_ACT_*`.
    pub(crate) default_action: String,
    /// Data of the default action, for those that have any: the errno of
    /// `SCMP_ACT_ERRNO` (0 to 4095), the message of `SCMP_ACT_TRACE` (0 to
    /// 65535). Absent means `EPERM`.
    pub(crate) default_errno_ret: Option<u32>,
    /// `SCMP_ARCH_*` that may make calls besides the native one; a call of any
    /// other kills the thread.
    pub(crate) architectures: Vec<String>,
    /// `SECCOMP_FILTER_FLAG_*` for seccomp(2). Absent is not empty: absent
    /// means `SECCOMP_FILTER_FLAG_SPEC_ALLOW`, as in runc.
    pub(crate) flags: Option<Vec<String>>,
    /// Path of the `AF_UNIX` stream socket that gets the listener descriptor
    /// when a rule has `SCMP_ACT_NOTIFY`.
    pub(crate) listener_path: Option<String>,
    /// Opaque text, given to the listener with the descriptor.
    pub(crate) listener_metadata: Option<String>,
    /// The rules. One without arguments beats those with, for the same call;
    /// among equals the first wins.
    pub(crate) syscalls: Vec<Syscall>,
}

impl Seccomp {
    /// Whether the object asks for nothing. The spec requires a default
    /// action; runc takes one without it and without rules for none at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.default_action.is_empty() && self.syscalls.is_empty()
    }
}

/// One rule of the profile, for all of its names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Syscall {
    /// Names of system calls; at least one. A name that no architecture of the
    /// profile has is skipped.
    pub(crate) names: Vec<String>,
    /// Answer to the call; one of the `SCMP_ACT_*`.
    pub(crate) action: String,
    /// As [`Seccomp::default_errno_ret`], for `action`.
    pub(crate) errno_ret: Option<u32>,
    /// All of them must hold, unless two are about the same argument: then
    /// each is a rule of its own, as in runc.
    pub(crate) args: Vec<Arg>,
}

/// A condition on one argument of a system call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Arg {
    /// Which argument: 0 to 5.
    pub(crate) index: u32,
    /// What to compare with; the mask of `SCMP_CMP_MASKED_EQ`. 32-bit
    /// architectures and x32 compare the low words only.
    pub(crate) value: u64,
    /// What the masked argument must be, for `SCMP_CMP_MASKED_EQ`; unused by
    /// the others.
    pub(crate) value_two: u64,
    /// One of the `SCMP_CMP_*`.
    pub(crate) op: String,
}
