//! A private place for engines, and running this program in there.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::wait;

/// Lives as long as this value.
pub(crate) struct Place {
    unshare: Child,
    stdin: Option<ChildStdin>,
    pid: String,
}

/// How a run inside a place has ended, and what it said.
pub(crate) struct Ended {
    pub(crate) status: Option<ExitStatus>,
    pub(crate) output: String,
}

impl Place {
    pub(crate) fn new(section: &str) -> Result<Self, String> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/engine/place.sh");
        let tests = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut unshare = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "bash", script])
            .arg(format!("{}/{section}", variable("ENGINES_TAG")))
            .arg(variable("ENGINES_VIEW"))
            .arg(variable("RUNTIME"))
            .arg(variable("ENGINES_IMAGES"))
            .arg(tests)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{script}: {error}"))?;
        let stdin = unshare.stdin.take();
        let mut pid = String::new();
        if let Some(stdout) = unshare.stdout.take()
            && wait::readable(&stdout, wait::PATIENCE)
        {
            let _ = BufReader::new(stdout).read_line(&mut pid);
        }
        let place = Self { unshare, stdin, pid: pid.trim().to_owned() };
        if place.pid.is_empty() { Err("the private place is not ready".into()) } else { Ok(place) }
    }

    /// Runs `engines --inside NAME` there, and ends it when its time is up.
    pub(crate) fn run(&self, name: &str, within: Duration) -> Ended {
        let mut file = File::from(memfd_create("output", MemfdFlags::CLOEXEC).expect("a memfd"));
        let both = || Stdio::from(file.try_clone().expect("a descriptor"));
        let mut nsenter = Command::new("nsenter")
            .args(["--target", &self.pid, "--all", "--wdns=/"])
            .args(["/run/engines/bin/tests", "--inside", name])
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(both())
            .stderr(both())
            .process_group(0)
            .spawn()
            .expect("nsenter");
        let done = wait::ended(nsenter.id().try_into().expect("a pid"), within);
        let _ = kill_process_group(Pid::from_child(&nsenter), Signal::KILL);
        let status = nsenter.wait().expect("nsenter's end");
        let mut bytes = Vec::new();
        file.rewind().expect("rewind");
        file.read_to_end(&mut bytes).expect("the output");
        let output = String::from_utf8_lossy(&bytes).into_owned();
        Ended { status: done.then_some(status), output }
    }

    /// A file of the place, as seen from here.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        format!("/proc/{}/root{path}", self.pid).into()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.stdin.take());
        if !wait::ended(self.unshare.id().try_into().expect("a pid"), wait::PATIENCE) {
            let _ = self.unshare.kill();
        }
        let _ = self.unshare.wait();
    }
}

/// One that `hack/engines` sets.
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}
