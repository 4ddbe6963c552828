//! The filter of the program's system calls, compiled from `linux.seccomp`.

use crate::error::{Error, Result};
use crate::seccomp::{Arch, ConfigError, Filter, compile, unknown_names};
use crate::spec;

/// Compiles the profile of a container; `None` where it has none.
///
/// `exec` has the filter of its container: it calls this with the saved
/// `config.json`, by way of `process::plan`, and its init loads it by the same
/// `init::seccomp::confine` as the container's own.
pub(crate) fn plan(linux: &spec::Linux) -> Result<Option<Filter>> {
    let Some(profile) = linux.seccomp.as_ref().filter(|profile| !profile.is_empty()) else {
        return Ok(None);
    };
    let Some(native) = Arch::native() else {
        return Err(Error::Unsupported { what: "config.json: linux.seccomp here".into() });
    };
    let filter = compile(profile, native)
        .map_err(|ConfigError { field, rule }| Error::config(field, rule))?;
    if log::log_enabled!(log::Level::Debug) {
        for name in unknown_names(profile) {
            log::debug!("unknown seccomp syscall {name:?} ignored");
        }
        // runc's words.
        log::debug!("seccomp filter flags: {}", filter.flags);
    }
    Ok(Some(filter))
}
