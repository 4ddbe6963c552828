//! Hooks that run in the runtime's namespaces.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md#posix-platform-hooks>

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::error::{Error, Result};
use crate::spec::Hook;
use crate::sys::event::Timespec;
use crate::sys::fs::{MemfdFlags, memfd_create};
use crate::sys::{Errno, pidfd};

/// How much of a failed hook's output is told, in bytes.
const OUTPUT: usize = 1024;

/// Runs `hooks.{kind}` in their order, each with `state` on its standard
/// input; the first that fails is the last.
pub(crate) fn run_all(
    kind: &'static str,
    hooks: &[Hook],
    state: &[u8],
    bundle: &str,
) -> Result<()> {
    keep_descriptors();
    for (index, hook) in hooks.iter().enumerate() {
        run(hook, state, bundle).map_err(|cause| Error::Hook {
            kind,
            index,
            path: hook.path.clone(),
            cause,
        })?;
    }
    Ok(())
}

/// Runs the hooks that may only warn: the container is gone, whatever they say.
pub(crate) fn run_all_warning(kind: &'static str, hooks: &[Hook], state: &[u8], bundle: &str) {
    keep_descriptors();
    for (index, hook) in hooks.iter().enumerate() {
        if let Err(cause) = run(hook, state, bundle) {
            log::warn!("{}", Error::Hook { kind, index, path: hook.path.clone(), cause });
        }
    }
}

/// What the engine left open for the runtime is not for hooks.
fn keep_descriptors() {
    let _ = crate::sys::fd::cloexec_from(3);
}

/// As in runc a hook stands in the bundle, and without an environment of its
/// own it has the runtime's.
///
/// Files in memory stand for both ends of pipes: a hook that does not read its
/// input, or says more than a pipe holds, cannot hang the runtime.
fn run(hook: &Hook, state: &[u8], bundle: &str) -> std::result::Result<(), String> {
    let in_memory = |name: &str| {
        memfd_create(name, MemfdFlags::CLOEXEC).map(File::from).map_err(|e| e.to_string())
    };
    let mut input = in_memory("state")?;
    input.write_all(state).and_then(|()| input.rewind()).map_err(|e| e.to_string())?;
    let mut output = in_memory("hook output")?;
    let stream = || output.try_clone().map(Stdio::from).map_err(|e| e.to_string());
    let mut command = Command::new(&hook.path);
    if let Some((name, args)) = hook.args.split_first() {
        command.arg0(name).args(args);
    }
    let env = hook.env.iter().filter_map(|text| text.split_once('='));
    if !hook.env.is_empty() {
        command.env_clear().envs(env);
    }
    command.current_dir(bundle).stdin(input).stdout(stream()?).stderr(stream()?);
    let mut child = command.spawn().map_err(|e| cause(&e))?;
    let status = wait(&mut child, hook.timeout)?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{}{}", words(status), said(&mut output)))
}

fn cause(error: &std::io::Error) -> String {
    error.raw_os_error().map_or_else(
        || error.to_string(),
        |code| crate::error::words(Errno::from_raw_os_error(code)),
    )
}

/// Waits for the hook; after `timeout` seconds it is killed.
fn wait(child: &mut Child, timeout: Option<i64>) -> std::result::Result<ExitStatus, String> {
    if let Some(seconds) = timeout {
        let pid = i32::try_from(child.id()).map_err(|e| e.to_string())?;
        let hook = pidfd::open(pid).map_err(|e| e.to_string())?;
        let limit = Timespec { tv_sec: seconds, tv_nsec: 0 };
        if !pidfd::wait(hook.as_fd(), Some(&limit)).map_err(|e| e.to_string())? {
            let _ = pidfd::send(hook.as_fd(), pid, 9);
            let _ = child.wait();
            return Err(format!("timed out after {seconds} s and was killed"));
        }
    }
    child.wait().map_err(|e| cause(&e))
}

fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, signal) => format!("killed by signal {}", signal.unwrap_or(0)),
    }
}

fn said(output: &mut File) -> String {
    let mut text = Vec::new();
    let read = output
        .seek(SeekFrom::Start(0))
        .and_then(|_| output.take(OUTPUT as u64).read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    match (read, text.trim()) {
        (Err(_), _) | (_, "") => String::new(),
        (_, text) => format!(", output: {text:?}"),
    }
}
