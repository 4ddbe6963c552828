//! What scenarios are written with: commands as a user would type them.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::terminal::Terminal;

/// How long a command may take.
const STEP: &str = "45";

const VARIABLES: [(&str, &str); 12] = [
    ("PATH", "/run/engines/path:/run/engines/criu/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("HOME", "/run/engines/home"),
    ("LANG", "C.UTF-8"),
    ("TERM", "xterm"),
    ("RT", "/run/engines/runtime"),
    ("W", "/run/engines"),
    ("DOCKER_HOST", "unix:///run/docker.sock"),
    ("DOCKER_BUILDKIT", "0"),
    ("CONTAINERD_ADDRESS", "/run/ctrd.sock"),
    ("CONTAINERD_NAMESPACE", "eng"),
    ("CONTAINERS_CONF", "/run/engines/containers.conf"),
    ("CONTAINERS_STORAGE_CONF", "/run/engines/storage.conf"),
];

/// Makes this process one of the place: its cgroups, its environment.
pub(crate) fn enter() {
    let root = std::path::Path::new("/sys/fs/cgroup");
    let init = root.join("init/cgroup.procs");
    if init.exists() {
        fs::write(init, "0").expect("enter the cgroup");
    } else {
        for entry in fs::read_dir(root).expect("cgroups").flatten() {
            fs::write(entry.path().join("cgroup.procs"), "0").expect("enter the cgroup");
        }
    }
}

fn bash(script: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=1", STEP, "bash", "-euo", "pipefail", "-c", script]);
    command.env_clear().envs(VARIABLES).stdin(Stdio::null());
    command
}

/// What a command gave: its exit code, and its output and errors.
pub(crate) struct Ran {
    script: String,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn gives(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// On either stream.
    #[track_caller]
    pub(crate) fn says(self, words: &str) -> Self {
        assert!(self.stdout.contains(words) || self.stderr.contains(words), "no {words:?}\n{self}");
        self
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { script, code, stdout, stderr } = self;
        write!(f, "$ {script}\n[{code}]\n{stdout}{stderr}")
    }
}

/// Runs a script of bash to its end. Files take its output, since a daemon
/// that it leaves may hold them open.
pub(crate) fn run(script: &str) -> Ran {
    let file = |name: &str| format!("/run/engines/tmp/{}.{name}", std::process::id());
    let open = |name: &str| File::create(file(name)).expect("a file for output");
    let status = bash(script).stdout(open("out")).stderr(open("err")).status().expect("timeout");
    let read = |name: &str| {
        let bytes = fs::read(file(name)).expect("the output");
        fs::remove_file(file(name)).expect("remove the output");
        String::from_utf8_lossy(&bytes).replace('\r', "")
    };
    Ran {
        script: script.into(),
        code: status.code().unwrap_or(-1),
        stdout: read("out"),
        stderr: read("err"),
    }
}

/// Runs a script that must succeed: what it writes on stdout, trimmed.
#[track_caller]
pub(crate) fn sh(script: &str) -> String {
    run(script).gives(0).stdout.trim().to_owned()
}

/// The script's output is exactly this, but for white space around it.
#[track_caller]
pub(crate) fn gives(script: &str, expected: &str) {
    let ran = run(script).gives(0);
    assert_eq!(ran.stdout.trim(), expected, "{ran}");
}

/// The script fails with this exit code, and says this.
#[track_caller]
pub(crate) fn fails(code: i32, script: &str, words: &str) {
    run(script).gives(code).says(words);
}

/// Repeats a script until it succeeds.
#[track_caller]
pub(crate) fn until(script: &str) {
    until_within(20, script);
}

#[track_caller]
pub(crate) fn until_within(seconds: u64, script: &str) {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        let ran = run(script);
        if ran.code == 0 {
            return;
        }
        assert!(Instant::now() < end, "in vain for {seconds} s: {ran}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The processes of the place whose command line, joined by blanks, has this
/// in it; zombies have none.
pub(crate) fn processes(part: &str) -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.contains(part) && !line.starts_with("/run/engines/bin/tests")
    })
    .collect()
}

/// Waits until there are so many such processes.
#[track_caller]
pub(crate) fn until_processes(part: &str, count: usize) {
    let end = Instant::now() + Duration::from_secs(20);
    while processes(part).len() != count {
        assert!(Instant::now() < end, "{part:?}: {:?} are there, not {count}", processes(part));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Starts a daemon, which goes on when this process ends; its log is `NAME`.
pub(crate) fn daemon(name: &str, script: &str) {
    let log = format!("/run/engines/log/{name}");
    let log = File::options().create(true).append(true).open(log).expect("a log");
    Command::new("setsid")
        .args(["--fork", "bash", "-euo", "pipefail", "-c", script])
        .env_clear()
        .envs(VARIABLES)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a descriptor"))
        .stderr(log)
        .status()
        .expect("setsid");
}

/// A command on a terminal of 33 rows and 99 columns.
pub(crate) struct Session {
    pub(crate) terminal: Terminal,
    child: std::process::Child,
}

pub(crate) fn session(script: &str) -> Session {
    let (terminal, slave) = Terminal::open(33, 99);
    let end = || OwnedFd::from(slave.try_clone().expect("a descriptor"));
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait", "bash", "-euo", "pipefail", "-c", script]);
    command.env_clear().envs(VARIABLES).process_group(0);
    let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("setsid");
    Session { terminal, child }
}

impl Session {
    pub(crate) fn types(&mut self, text: &str) {
        self.terminal.types(text);
    }

    #[track_caller]
    pub(crate) fn until(&mut self, text: &str) -> String {
        self.terminal.until(text)
    }

    /// The exit code, once it ends.
    #[track_caller]
    pub(crate) fn ends(mut self) -> i32 {
        let pid = self.child.id().try_into().expect("a pid");
        assert!(
            crate::wait::ended(pid, crate::wait::PATIENCE),
            "the command on the terminal does not end"
        );
        self.child.wait().expect("its end").code().unwrap_or(-1)
    }
}
