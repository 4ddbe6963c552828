//! `minke seccomp`: what a profile means.

use std::path::Path;

use serde_json::Value;

use super::{file_error, print};
use crate::cli::Matches;
use crate::error::{Error, Result};
use crate::seccomp::disasm::disassemble;
use crate::seccomp::{Arch, compile, explain};
use crate::spec::drop_nulls;
use crate::spec::seccomp::Seccomp;

/// Tells what the filter answers to the calls, or else what it is.
pub(super) fn run(matches: &Matches) -> Result<()> {
    let profile = read(Path::new(matches.arg(0)))?;
    if profile.is_empty() {
        return Err(Error::config("linux.seccomp", "asks for no filter"));
    }
    let Some(native) = Arch::native() else {
        return Err(Error::Unsupported { what: "seccomp on this architecture".into() });
    };
    let arch = match matches.text("arch") {
        Some(name) => explain::arch(name).ok_or_else(|| {
            Error::usage(format!("{name:?} is no architecture of the runtime-spec"))
        })?,
        None => native,
    };
    let config = |e: crate::seccomp::ConfigError| Error::config(e.field, e.rule);
    let filter = compile(&profile, native).map_err(config)?;
    let calls: Vec<_> = matches.values("call").collect();
    let mut text = String::new();
    if calls.is_empty() && !matches.flag("disasm") {
        text += &explain::summary(&profile, native).map_err(config)?;
    }
    for call in calls {
        text += &explain::answer(&profile, native, arch, call).map_err(Error::usage)?;
        text.push('\n');
    }
    if matches.flag("disasm") {
        text += &disassemble(&filter.program, &Arch::ALL);
    }
    print(&text)
}

/// The profile in a bundle, a `config.json` or a file of its own.
fn read(path: &Path) -> Result<Seccomp> {
    let file = if path.is_dir() { path.join("config.json") } else { path.to_owned() };
    let shown = file.display().to_string();
    let broken = |why: String| Error::Broken { what: shown.clone(), why };
    let text = std::fs::read(&file).map_err(|e| file_error("read", &file, &e))?;
    let mut value: Value = serde_json::from_slice(&text).map_err(|e| broken(e.to_string()))?;
    drop_nulls(&mut value);
    let found = if let Some(profile) = value.pointer_mut("/linux/seccomp") {
        profile.take()
    } else if value.get("archMap").is_some() {
        return Err(broken("a template of Docker's; the bundle has what it became".into()));
    } else if value.get("defaultAction").is_some() {
        value
    } else {
        return Err(broken("has no linux.seccomp".into()));
    };
    serde_path_to_error::deserialize(found)
        .map_err(|e| Error::config(format!("linux.seccomp.{}", e.path()), e.inner().to_string()))
}
