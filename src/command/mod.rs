//! The commands: options in, a call into the runtime, output.

mod checkpoint;
#[expect(clippy::format_push_string, reason = "read by people: plain beats fast here")]
mod completion;
mod events;
mod exec;
mod features;
mod help;
mod lifecycle;
mod list;
#[expect(clippy::format_push_string, reason = "read by people: plain beats fast here")]
mod man;
mod ps;
mod seccomp;
mod spec;
mod update;
mod version;

use std::io::Write;
use std::path::Path;

use crate::cli::{Global, Matches, command_help};
use crate::error::{Error, Result};

/// Runs a command; the result is the exit code of minke.
pub(crate) fn run(global: &Global, matches: &Matches) -> Result<u8> {
    if let Err(e) = matches.check_arity() {
        print(&format!("Incorrect Usage.\n\n{}", command_help(matches.command)))?;
        return Err(e);
    }
    match matches.name() {
        "create" => lifecycle::create(global, matches),
        "start" => lifecycle::start(global, matches),
        "state" => lifecycle::state(global, matches),
        "kill" => lifecycle::kill(global, matches),
        "events" => events::run(global, matches),
        "update" => update::run(global, matches),
        "checkpoint" => checkpoint::checkpoint(global, matches),
        "restore" => checkpoint::restore(global, matches),
        "pause" => lifecycle::pause(global, matches),
        "resume" => lifecycle::resume(global, matches),
        "delete" => lifecycle::delete(global, matches),
        "run" => lifecycle::run(global, matches),
        "list" => list::run(global, matches),
        "completion" => completion::run(matches).map(|()| 0),
        "exec" => exec::run(global, matches),
        "ps" => ps::run(global, matches),
        "features" => features::run().map(|()| 0),
        "help" => help::run(matches).map(|()| 0),
        "man" => man::run(matches).map(|()| 0),
        "seccomp" => seccomp::run(matches).map(|()| 0),
        "spec" => spec::run(matches).map(|()| 0),
        "version" => version::run().map(|()| 0),
        name => Err(Error::Unsupported { what: format!("the command {name}") }),
    }
}

/// The exit code for an error.
///
/// As in runc, `exec` ends with 255 if it is the runtime that failed, for all
/// smaller codes are the program's; a wrong command line is 1 for all.
pub(crate) fn code_of_failure(command: &str, error: &Error) -> u8 {
    match error {
        Error::Usage { .. } => 1,
        _ if command == "exec" => 255,
        _ => 1,
    }
}

/// Prints to standard output; without a panic if nobody reads it.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|e| broken("write to standard output", &e))
}

/// The error of `doing` something to a file.
fn file_error(doing: &str, path: &Path, source: &std::io::Error) -> Error {
    broken(format!("{doing} {:?}", path.to_string_lossy()), source)
}

/// An error of the standard library's file functions.
fn broken(doing: impl Into<String>, source: &std::io::Error) -> Error {
    match source.raw_os_error() {
        Some(errno) => Error::os(doing, crate::sys::Errno::from_raw_os_error(errno)),
        None => Error::Broken { what: doing.into(), why: source.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exec_fails_with_255_and_all_else_with_1() {
        let error = Error::Unsupported { what: "x".into() };
        assert_eq!(code_of_failure("exec", &error), 255);
        assert_eq!(code_of_failure("create", &error), 1);
        assert_eq!(code_of_failure("exec", &Error::usage("x")), 1);
    }
}
