//! A parent of all orphans.
//!
//! The init of a detached container is an orphan once `create` has returned.
//! Not every machine has a process 1 that reaps; without one, every container
//! would stay as a zombie, and the leak check could not tell the dead.

use std::process::{Command, ExitCode};

use rustix::process::{Pid, WaitOptions, set_child_subreaper, wait};

const SUPERVISED: &str = "CONFORMANCE_SUPERVISED";

/// In the first process: runs this program once more as a child, reaps every
/// orphan until it ends, and returns its exit code. In the child: `None`.
#[allow(clippy::zombie_processes, reason = "it is waited for among the orphans")]
pub(crate) fn supervise() -> Option<ExitCode> {
    if std::env::var_os(SUPERVISED).is_some() {
        return None;
    }
    set_child_subreaper(Some(Pid::INIT)).expect("become a subreaper");
    let child = Command::new(std::env::current_exe().expect("own path"))
        .args(std::env::args_os().skip(1))
        .env(SUPERVISED, "1")
        .spawn()
        .expect("run the tests");
    loop {
        let (pid, status) = wait(WaitOptions::empty()).expect("a child").expect("blocking");
        if pid == Pid::from_child(&child) {
            let code = status.exit_status().and_then(|code| u8::try_from(code).ok());
            return Some(ExitCode::from(code.unwrap_or(1)));
        }
    }
}
