//! The system call filter: from the profile in config.json to BPF.
//!
//! Pure: [`compile`] turns a profile into a [`Filter`], which the container's
//! init loads. The rules of the game, most of them libseccomp's and runc's,
//! so that a profile means here what it means there:
//!
//! * A rule without conditions beats those with, for the same call; among
//!   equals the first in the profile wins. All conditions of a rule must hold,
//!   but two on one argument make each condition a rule of its own.
//! * Rules with the default action do nothing, names that no architecture has
//!   are skipped.
//! * A call of an architecture that the profile does not list kills the thread;
//!   so does one of x32 where only `x86_64` is listed.
//! * Where the default is a refusal, calls newer than all that the profile
//!   names get `ENOSYS`, so that programs fall back to older ones.
//! * On 32-bit architectures and x32 only the low words are compared.
//! * Where `socketcall` and `ipc` stand for a call, a rule on the call holds
//!   for both ways; its condition on the first argument is lost on that way.
//!
//! [`evaluate`] says the same without a program, [`interpret`] runs one: the
//! tests hold one against the other.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#seccomp>

pub(crate) mod action;
pub(crate) mod arch;
mod args;
pub(crate) mod bpf;
pub(crate) mod disasm;
mod emit;
pub(crate) mod evaluate;
pub(crate) mod explain;
pub(crate) mod features;
pub(crate) mod interpret;
mod known;
pub(crate) mod notify;
pub(crate) mod policy;
mod ranges;
#[rustfmt::skip]
mod rows;
pub(crate) mod table;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use arch::Arch;

use bpf::{Insn, MAX_LEN};
use policy::Policy;

use crate::spec::seccomp::Seccomp;

/// What a profile breaks, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConfigError {
    /// JSON path, as `linux.seccomp.syscalls[3].args[0].op`.
    pub(crate) field: String,
    /// The rule that the field breaks.
    pub(crate) rule: String,
}

/// A filter, ready to be loaded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    /// The program, at most 4096 instructions.
    pub(crate) program: Vec<Insn>,
    /// `SECCOMP_FILTER_FLAG_*` for seccomp(2).
    pub(crate) flags: u32,
    /// Whether loading gives a descriptor for the agent at `listenerPath`.
    pub(crate) listener: bool,
}

impl Filter {
    /// Its flags without the one that a profile has that names none.
    pub(crate) fn without_default_flag(&self) -> u32 {
        self.flags & !policy::SPEC_ALLOW
    }
}

/// Names in `profile` that no architecture has; rules on them are skipped.
pub(crate) fn unknown_names(profile: &Seccomp) -> impl Iterator<Item = &str> {
    let names = profile.syscalls.iter().flat_map(|syscall| &syscall.names).map(String::as_str);
    names.filter(|name| table::Row::find(name).is_none())
}

/// Compiles `profile` for a kernel of the architecture `native`.
///
/// # Errors
///
/// The first field that is wrong, or that the program gets longer than the
/// kernel takes.
pub(crate) fn compile(profile: &Seccomp, native: Arch) -> Result<Filter, ConfigError> {
    let policy = Policy::new(profile, native)?;
    let error = |rule| ConfigError { field: "linux.seccomp.syscalls".into(), rule };
    let program = tree::program(&policy).map_err(error)?;
    if program.len() > MAX_LEN {
        let len = program.len();
        return Err(error(format!("need {len} instructions, the kernel takes {MAX_LEN}")));
    }
    Ok(Filter { program, flags: policy.flags, listener: policy.has_listener() })
}
