//! The log: `--log`, `--log-format` and `--debug`, in runc's shapes.
//!
//! Engines read it. containerd takes the last object of level `error`; Podman
//! takes the file only if it is one object as a whole. So a failure leaves one
//! object, and a JSON warning waits until the command has succeeded, to go into
//! the error's object if it has not.
//!
//! Without `--log` the log is standard error, and there a line reads
//! `minke: MESSAGE`. With `--log` nothing goes to standard error but the error
//! itself: containerd parses the output of `state` with both streams in one.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use log::{Level, LevelFilter, Log, Metadata, Record};
use serde::Serialize;

use crate::error::{Doing, Error, Result, words};
use crate::sys::Errno;
use crate::sys::fs::{Access, access};
use crate::time::rfc3339;

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Where lines go, and how they look.
#[derive(Debug, Default)]
pub(crate) struct Setup {
    /// Appended to; standard error if there is none. Absolute, as the file is
    /// opened when the first line is written.
    pub(crate) file: Option<PathBuf>,
    pub(crate) json: bool,
    pub(crate) debug: bool,
}

/// Sends the lines of `log::warn!` and its like to where `setup` says.
///
/// # Errors
///
/// If the file cannot be written. It is not opened before there is a line for
/// it: most commands have none.
pub(crate) fn init(setup: Setup) -> Result<()> {
    let writable = setup.file.as_deref().map_or(Ok(()), check_writable);
    let setup = if writable.is_ok() { setup } else { Setup { file: None, ..setup } };
    let level = if setup.debug { LevelFilter::Debug } else { LevelFilter::Info };
    let logger = LOGGER.get_or_init(|| Logger { setup, sink: Mutex::default() });
    if log::set_logger(logger).is_ok() {
        log::set_max_level(level);
    }
    writable
}

fn check_writable(path: &Path) -> Result<()> {
    let doing = || format!("open log file {path:?}");
    match access(path, Access::WRITE_OK) {
        Err(Errno::NOENT) => {
            let parent = path.parent().unwrap_or(Path::new("/"));
            access(parent, Access::WRITE_OK | Access::EXEC_OK).doing(doing)
        }
        other => other.doing(doing),
    }
}

/// Tells the user, and the log, why the command failed.
pub(crate) fn error(error: &Error) {
    if let Some(logger) = LOGGER.get() {
        logger.error(error);
    } else {
        Logger { setup: Setup::default(), sink: Mutex::default() }.error(error);
    }
}

/// Writes the warnings that waited for the end of the command.
///
/// A command that goes on for long calls it once nothing can fail any more.
pub(crate) fn release() {
    if let Some(logger) = LOGGER.get() {
        logger.release();
    }
}

struct Logger {
    setup: Setup,
    sink: Mutex<Sink>,
}

#[derive(Default)]
struct Sink {
    file: Option<File>,
    /// Lines that wait.
    held: Vec<(Level, SystemTime, String)>,
}

/// A line of a JSON log. The first three fields are runc's.
#[derive(Default, Serialize)]
struct Line<'a> {
    level: &'a str,
    msg: &'a str,
    time: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'a str>,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let message = record.args().to_string();
        let now = SystemTime::now();
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        if self.holds(record.level()) {
            sink.held.push((record.level(), now, message));
            return;
        }
        let line = self.line(record.level(), &message, now);
        self.write(&mut sink, &line);
    }

    fn flush(&self) {}
}

impl Logger {
    /// Does a line of this level wait for the end of the command?
    fn holds(&self, level: Level) -> bool {
        self.setup.json && !self.setup.debug && level != Level::Error
    }

    /// A line for wherever the log is.
    fn line(&self, level: Level, message: &str, time: SystemTime) -> String {
        match (&self.setup.file, self.setup.json) {
            (_, true) => {
                let time = rfc3339(time);
                json(&Line { level: name(level), msg: message, time: &time, ..Line::default() })
            }
            (Some(_), false) => text(level, message, time),
            (None, false) => plain(level, message),
        }
    }

    fn error(&self, error: &Error) {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let held = std::mem::take(&mut sink.held);
        let (log, stderr) = self.failure(error, &held, SystemTime::now());
        if let Some(line) = log {
            self.write(&mut sink, &line);
        }
        to_stderr(&stderr);
    }

    /// What a failure leaves in the log file, if there is one, and on standard
    /// error.
    fn failure(
        &self,
        error: &Error,
        held: &[(Level, SystemTime, String)],
        now: SystemTime,
    ) -> (Option<String>, String) {
        let message = error.to_string();
        let hint = error.hint().map(|hint| format!("hint: {}\n", one_line(hint)));
        let people = plain(Level::Error, &message) + &hint.unwrap_or_default();
        let warnings = || held.iter().map(|(_, _, message)| message.as_str()).collect();
        match (&self.setup.file, self.setup.json) {
            (Some(_), true) => (Some(error_json(error, &message, now, warnings())), people),
            (Some(_), false) => (Some(text(Level::Error, &message, now)), people),
            (None, true) => (None, error_json(error, &message, now, warnings())),
            (None, false) => (None, people),
        }
    }

    fn release(&self) {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        for (level, time, message) in std::mem::take(&mut sink.held) {
            let line = self.line(level, &message, time);
            self.write(&mut sink, &line);
        }
    }

    /// Writes a line with a single call, so that lines of several processes do
    /// not mix.
    fn write(&self, sink: &mut Sink, line: &str) {
        let Some(path) = &self.setup.file else { return to_stderr(line) };
        if sink.file.is_none() {
            match open(path) {
                Ok(file) => sink.file = Some(file),
                Err(e) => {
                    let words = trouble("open", path, &e);
                    return to_stderr(&plain(Level::Warn, &words));
                }
            }
        }
        if let Some(Err(e)) = sink.file.as_mut().map(|file| file.write_all(line.as_bytes())) {
            to_stderr(&plain(Level::Warn, &trouble("write", path, &e)));
        }
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o644).open(path)
}

fn trouble(doing: &str, path: &Path, e: &std::io::Error) -> String {
    let why = match e.raw_os_error() {
        Some(errno) => words(Errno::from_raw_os_error(errno)),
        None => e.to_string(),
    };
    format!("{doing} log {}: {why}", path.display())
}

/// Standard error may be closed; there is nobody to tell that to.
fn to_stderr(line: &str) {
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// `{"level":"error","msg":"…","time":"…"}`, and what else is known.
fn error_json(error: &Error, message: &str, time: SystemTime, warnings: Vec<&str>) -> String {
    json(&Line {
        level: "error",
        msg: message,
        time: &rfc3339(time),
        code: Some(error.code()),
        step: error.step(),
        errno: error.errno(),
        hint: error.hint(),
        warnings,
    })
}

fn json(line: &Line<'_>) -> String {
    // Strings and numbers only: this cannot fail.
    serde_json::to_string(line).unwrap_or_default() + "\n"
}

/// `time="…" level=error msg="…"`.
fn text(level: Level, message: &str, time: SystemTime) -> String {
    format!("time=\"{}\" level={} msg={message:?}\n", rfc3339(time), name(level))
}

/// `minke: MESSAGE`.
fn plain(level: Level, message: &str) -> String {
    let level = match level {
        Level::Error => "",
        Level::Warn => "warning: ",
        Level::Info => "note: ",
        Level::Debug | Level::Trace => "debug: ",
    };
    format!("minke: {level}{}\n", one_line(message))
}

/// Keeps a message from a config or a file name from writing lines of its own,
/// or from driving the terminal.
fn one_line(message: &str) -> String {
    let mut line = String::with_capacity(message.len());
    for c in message.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

/// The names of logrus.
fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn logger(file: Option<&str>, json: bool, debug: bool) -> Logger {
        let setup = Setup { file: file.map(PathBuf::from), json, debug };
        Logger { setup, sink: Mutex::default() }
    }

    #[test]
    fn json_lines_have_the_three_fields_of_runc() {
        let logger = logger(None, true, false);
        assert_eq!(
            logger.line(Level::Warn, "a \"b\"\n", UNIX_EPOCH),
            "{\"level\":\"warning\",\"msg\":\"a \\\"b\\\"\\n\",\"time\":\"1970-01-01T00:00:00Z\"}\n"
        );
    }

    #[test]
    fn an_error_in_json_says_its_code_and_errno() {
        let error = Error::os("open \"/x\"", Errno::NOENT);
        assert_eq!(
            error_json(&error, &error.to_string(), UNIX_EPOCH, vec![]),
            "{\"level\":\"error\",\"msg\":\"open \\\"/x\\\": no such file or directory\",\
             \"time\":\"1970-01-01T00:00:00Z\",\"code\":\"os\",\"errno\":2}\n"
        );
        let error = Error::Init { step: "exec", what: "exec \"sh\"".into(), errno: None };
        let line = error_json(&error, &error.to_string(), UNIX_EPOCH, vec!["w"]);
        assert!(
            line.contains("\"code\":\"init\",\"step\":\"exec\",\"warnings\":[\"w\"]"),
            "{line}"
        );
    }

    #[test]
    fn text_lines_are_those_of_runc() {
        assert_eq!(
            text(Level::Error, "a \"b\"\nc", UNIX_EPOCH),
            "time=\"1970-01-01T00:00:00Z\" level=error msg=\"a \\\"b\\\"\\nc\"\n"
        );
    }

    #[test]
    fn a_line_for_people_is_one_line() {
        assert_eq!(plain(Level::Error, "a\nb\x1b[31m"), "minke: a\\nb\\u{1b}[31m\n");
        assert_eq!(plain(Level::Warn, "ä"), "minke: warning: ä\n");
    }

    #[test]
    fn json_warnings_wait_and_others_do_not() {
        assert!(logger(None, true, false).holds(Level::Warn));
        assert!(!logger(None, true, true).holds(Level::Warn));
        assert!(!logger(None, false, false).holds(Level::Warn));
        assert!(!logger(None, true, false).holds(Level::Error));
    }

    /// Podman reads the log as one object as a whole.
    #[test]
    fn a_failure_leaves_one_object_in_the_log_and_one_line_for_people() {
        let error = Error::Usage { words: "w".into(), hint: Some("h".into()) };
        let held = [(Level::Warn, UNIX_EPOCH, "odd".to_owned())];
        let (log, stderr) = logger(Some("/l"), true, false).failure(&error, &held, UNIX_EPOCH);
        let log = log.unwrap();
        assert_eq!(log.lines().count(), 1);
        let object: serde_json::Value = serde_json::from_str(&log).unwrap();
        assert_eq!((&object["level"], &object["msg"]), (&"error".into(), &"w".into()));
        assert_eq!(object["warnings"], serde_json::json!(["odd"]));
        assert_eq!(stderr, "minke: w\nhint: h\n");
    }

    #[test]
    fn without_a_log_file_an_error_is_told_once() {
        let error = Error::usage("w");
        let (log, stderr) = logger(None, false, false).failure(&error, &[], UNIX_EPOCH);
        assert_eq!((log, stderr.as_str()), (None, "minke: w\n"));
        let (log, stderr) = logger(None, true, false).failure(&error, &[], UNIX_EPOCH);
        assert_eq!((log, stderr.lines().count()), (None, 1));
        assert!(stderr.starts_with("{\"level\":\"error\",\"msg\":\"w\","), "{stderr}");
    }
}
