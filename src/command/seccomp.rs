//! `minke seccomp`: what a profile means.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Doing, Error, Result};
use crate::seccomp::disasm::disassemble;
use crate::seccomp::{Arch, compile, explain};
use crate::spec::drop_nulls;
use crate::spec::seccomp::Seccomp;
use crate::sys::Errno;

/// What the command is asked for.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// A bundle, its `config.json`, or a file with a `linux.seccomp` object.
    pub(crate) path: PathBuf,
    /// Architecture of the calls, as `x86` or `SCMP_ARCH_X86`; else this
    /// machine's.
    pub(crate) arch: Option<String>,
    /// Calls to answer, as `socket(40, 1, 0)`.
    pub(crate) calls: Vec<String>,
    /// Whether to show the program.
    pub(crate) disasm: bool,
}

/// Tells what the filter answers to the calls, or else what it is.
pub(crate) fn run(out: &mut impl Write, options: &Options) -> Result<()> {
    let profile = read(&options.path)?;
    if profile.is_empty() {
        return Err(Error::config("linux.seccomp", "asks for no filter"));
    }
    let Some(native) = Arch::native() else {
        return Err(Error::Unsupported { what: "seccomp on this architecture".into() });
    };
    let arch = match &options.arch {
        Some(name) => explain::arch(name).ok_or_else(|| {
            Error::usage(format!("{name:?} is no architecture of the runtime-spec"))
        })?,
        None => native,
    };
    let config = |e: crate::seccomp::ConfigError| Error::config(e.field, e.rule);
    let mut text = String::new();
    if options.calls.is_empty() && !options.disasm {
        text += &explain::summary(&profile, native).map_err(config)?;
    }
    let filter = compile(&profile, native).map_err(config)?;
    for call in &options.calls {
        text += &explain::answer(&profile, native, arch, call).map_err(Error::usage)?;
        text.push('\n');
    }
    if options.disasm {
        text += &disassemble(&filter.program, &Arch::ALL);
    }
    out.write_all(text.as_bytes())
        .map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
        .doing(|| "write the answer")
}

/// The profile in a bundle, a `config.json` or a file of its own.
fn read(path: &Path) -> Result<Seccomp> {
    let file = if path.is_dir() { path.join("config.json") } else { path.to_owned() };
    let shown = file.display().to_string();
    let broken = |why: String| Error::Broken { what: shown.clone(), why };
    let text = std::fs::read(&file)
        .map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
        .doing(|| format!("read {shown:?}"))?;
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
