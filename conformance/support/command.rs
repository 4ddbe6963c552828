//! Running the runtime: every process has its own group and a time limit, and
//! writes into files, so that a container which outlives it blocks nobody.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;

use super::case::Case;
use super::wait::{self, PATIENCE};
use super::{runtime, scratch, until};

#[must_use = "an invocation does nothing until it is run"]
pub(crate) struct Invocation<'c> {
    case: &'c Case,
    wrapper: Vec<OsString>,
    program: PathBuf,
    globals: Vec<OsString>,
    arguments: Vec<OsString>,
    directory: PathBuf,
    variables: Vec<(OsString, OsString)>,
    stdin: Stdio,
    terminal: Option<File>,
    log: PathBuf,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl<'c> Invocation<'c> {
    pub(crate) fn new(case: &'c Case) -> Self {
        let number = case.next();
        let log = case.path(&format!("{number}.log"));
        let root = case.root();
        let mut globals: Vec<OsString> = vec![
            "--root".into(),
            root.into(),
            "--log".into(),
            log.clone().into(),
            "--log-format".into(),
            "json".into(),
        ];
        if scratch::by_systemd() {
            globals.push("--systemd-cgroup".into());
        }
        Self {
            case,
            wrapper: case.wrapper(),
            program: runtime::PATH.clone(),
            globals,
            arguments: Vec::new(),
            directory: case.dir.clone(),
            variables: Vec::new(),
            stdin: Stdio::null(),
            terminal: None,
            log,
            stdout: case.path(&format!("{number}.stdout")),
            stderr: case.path(&format!("{number}.stderr")),
        }
    }

    pub(crate) fn args<I: AsRef<str>>(mut self, arguments: impl IntoIterator<Item = I>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().into()));
        self
    }

    /// Takes the place of `--root`, `--log` and `--log-format`.
    pub(crate) fn globals<I: AsRef<str>>(mut self, globals: impl IntoIterator<Item = I>) -> Self {
        self.globals = globals.into_iter().map(|global| global.as_ref().into()).collect();
        self
    }

    /// Takes the place of the runtime under test: a copy of it.
    pub(crate) fn program(mut self, program: &Path) -> Self {
        self.program = program.into();
        self
    }

    /// A program, with arguments, that is to run the runtime.
    pub(crate) fn through<I: AsRef<str>>(mut self, wrapper: impl IntoIterator<Item = I>) -> Self {
        self.wrapper.extend(wrapper.into_iter().map(|word| word.as_ref().into()));
        self
    }

    /// In a mount namespace of its own, once `script` has mounted what it wants.
    pub(crate) fn after(self, script: &str) -> Self {
        self.through(["unshare", "--mount", "sh", "-c", &format!(r#"{script} && exec "$@""#), "sh"])
    }

    pub(crate) fn directory(mut self, directory: &Path) -> Self {
        self.directory = directory.into();
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// All three standard streams are this terminal, in a session of its own.
    pub(crate) fn terminal(mut self, slave: File) -> Self {
        self.terminal = Some(slave);
        self.through(["setsid", "--ctty", "--wait"])
    }

    pub(crate) fn spawn(self) -> Running<'c> {
        let mut line: Vec<OsString> = self.wrapper;
        line.push(self.program.into());
        line.extend(self.globals);
        line.extend(self.arguments);
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).current_dir(&self.directory).envs(self.variables);
        let (stdout, stderr) = (File::create(&self.stdout), File::create(&self.stderr));
        command
            .stdout(stdout.expect("a file for stdout"))
            .stderr(stderr.expect("a file for stderr"));
        command.stdin(self.stdin);
        if let Some(terminal) = self.terminal {
            let copy = || terminal.try_clone().expect("a copy of the terminal");
            command.stdin(copy()).stdout(copy()).stderr(copy());
        } else {
            command.process_group(0);
        }
        let child = command.spawn().unwrap_or_else(|error| panic!("{line:?}: {error}"));
        Running {
            case: self.case,
            line,
            child,
            log: self.log,
            stdout: self.stdout,
            stderr: self.stderr,
        }
    }

    pub(crate) fn run(self) -> Output {
        self.spawn().wait()
    }

    /// For cleaning up, where a second panic would hide the first.
    pub(crate) fn try_run(self) -> Option<Output> {
        self.spawn().outcome().ok()
    }
}

#[must_use = "a process that nobody waits for"]
pub(crate) struct Running<'c> {
    case: &'c Case,
    line: Vec<OsString>,
    child: Child,
    log: PathBuf,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running<'_> {
    pub(crate) fn pid(&self) -> i32 {
        Pid::from_child(&self.child).as_raw_nonzero().get()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("send a signal");
    }

    /// Kills with SIGKILL, as an engine's death does, and reaps.
    pub(crate) fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("reap");
    }

    pub(crate) fn until_prints(&self, text: &str) {
        until(&format!("{text:?} on stdout"), || self.has_printed(text));
    }

    pub(crate) fn has_printed(&self, text: &str) -> bool {
        read(&self.stdout).contains(text)
    }

    pub(crate) fn wait(self) -> Output {
        let case = self.case;
        match self.outcome() {
            Ok(output) => {
                case.note(&output);
                output
            }
            Err(late) => panic!("{late}"),
        }
    }

    fn outcome(mut self) -> Result<Output, String> {
        if !wait::ended(self.pid(), PATIENCE) {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = self.child.kill();
            let _ = self.child.wait();
            return Err(format!(
                "still running after {:?}: {:?}\nstdout: {}\nstderr: {}",
                PATIENCE,
                self.line,
                read(&self.stdout),
                read(&self.stderr)
            ));
        }
        let status = self.child.wait().map_err(|error| error.to_string())?;
        Ok(Output {
            line: self.line,
            status,
            stdout: read(&self.stdout),
            stderr: read(&self.stderr),
            log: read(&self.log),
            stdout_path: self.stdout,
        })
    }
}

/// How a command ended. Each check returns the output for the next one.
#[derive(Clone)]
pub(crate) struct Output {
    line: Vec<OsString>,
    status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) log: String,
    stdout_path: PathBuf,
}

impl Output {
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "exit code of {self}");
        self
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.exits(0)
    }

    /// A failure of the runtime: exit code 1, and words on stderr.
    #[track_caller]
    pub(crate) fn fails(self) -> Self {
        assert_ne!(self.code(), 0, "{self}");
        assert!(!self.stderr.trim().is_empty(), "no words on stderr: {self}");
        if runtime::has_words_of_its_own() { self } else { self.exits(1) }
    }

    /// The words that users of runc look for are on stderr, in any case.
    #[track_caller]
    pub(crate) fn says(self, words: &str) -> Self {
        let found = self.stderr.to_lowercase().contains(&words.to_lowercase());
        assert!(found || runtime::has_words_of_its_own(), "{words:?} on stderr of {self}");
        self
    }

    /// Words that are not the runtime's but the user's own are on stderr.
    #[track_caller]
    pub(crate) fn tells(self, words: &str) -> Self {
        assert!(self.stderr.contains(words), "{words:?} on stderr of {self}");
        self
    }

    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Self {
        assert_eq!(self.stdout, text, "stdout of {self}");
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in JSON of {self}"))
    }

    /// What the container that this command left running has written by now.
    pub(crate) fn stdout_by_now(&self) -> String {
        read(&self.stdout_path)
    }

    /// The objects in the JSON log.
    pub(crate) fn log_entries(&self) -> Vec<Value> {
        let entries = serde_json::Deserializer::from_str(&self.log).into_iter();
        entries
            .collect::<Result<_, _>>()
            .unwrap_or_else(|error| panic!("{error} in the log of {self}"))
    }
}

impl fmt::Display for Output {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for word in &self.line {
            write!(out, "{} ", word.display())?;
        }
        write!(out, "\n  {}", self.status)?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr), ("log", &self.log)]
        {
            if !text.is_empty() {
                write!(out, "\n  {name}: {}", text.trim_end())?;
            }
        }
        Ok(())
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
