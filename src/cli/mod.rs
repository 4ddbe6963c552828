//! The command line.
//!
//! One constant table (`table.rs`) is the grammar; parsing, help, completion
//! and manual pages come from it. There is no clap here: engines and their
//! probes know the rules and words of runc's parser (urfave/cli), such as
//! `-bundle x`, `flag provided but not defined: -x` and `flag needs an
//! argument: --x`, and clap has rules and words of its own.

#[expect(clippy::format_push_string, reason = "read by people: plain beats fast here")]
mod grammar;
#[expect(clippy::format_push_string, reason = "read by people: plain beats fast here")]
mod help;
mod nearest;
mod parse;
mod table;

pub(crate) use grammar::{Arg, Command, Flag, Group, Kind, What};
pub(crate) use help::{command_help, flag_names, global_help};
pub(crate) use parse::{find_command, parse};
pub(crate) use table::{COMMANDS, GLOBAL};

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};

/// What the command line asks for.
///
/// The global flags are there even if the rest is wrong, as the error belongs
/// into the log that they name.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) global: Global,
    pub(crate) command: Result<Matches>,
}

/// The flags before the command.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Global {
    /// `--root`: absolute, without `.` and `..`, and never `/`.
    pub(crate) root: Option<PathBuf>,
    /// `--log`: absolute, as commands change the working directory.
    pub(crate) log: Option<PathBuf>,
    pub(crate) log_format: LogFormat,
    pub(crate) debug: bool,
    /// `--cgroup-manager`, and `--systemd-cgroup`, which is short for it.
    pub(crate) cgroup_manager: CgroupManager,
    pub(crate) rootless: Rootless,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CgroupManager {
    #[default]
    Cgroupfs,
    Systemd,
    /// The container stays in the cgroup of the caller.
    Disabled,
}

/// Whether missing permission for cgroups is no error.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rootless {
    /// If we are not root, or root of a user namespace only.
    #[default]
    Auto,
    Yes,
    No,
}

impl Global {
    /// Takes one flag; the last one wins.
    fn set(&mut self, flag: &Flag, value: &OsStr) -> Result<()> {
        let text = value.to_str().unwrap_or_default();
        match flag.long {
            "root" => self.root = Some(state_root(Path::new(value))?),
            "log" if value.is_empty() => self.log = None,
            "log" => self.log = Some(absolute(Path::new(value))?),
            "log-format" => {
                self.log_format = match text {
                    "" | "text" => LogFormat::Text,
                    "json" => LogFormat::Json,
                    _ => return Err(Error::usage(format!("invalid log-format: {text}"))),
                }
            }
            "debug" => self.debug = text == "true",
            "systemd-cgroup" if text == "true" => self.cgroup_manager = CgroupManager::Systemd,
            "cgroup-manager" => {
                self.cgroup_manager = match text {
                    "cgroupfs" => CgroupManager::Cgroupfs,
                    "systemd" => CgroupManager::Systemd,
                    "disabled" => CgroupManager::Disabled,
                    _ => return Err(Error::usage(format!("unknown cgroup manager: {text:?}"))),
                }
            }
            "rootless" => {
                self.rootless = match parse::truth(text) {
                    Some(true) => Rootless::Yes,
                    Some(false) => Rootless::No,
                    None if matches!(text, "" | "auto") => Rootless::Auto,
                    None => {
                        let words = format!("invalid value {text:?} for flag -rootless");
                        return Err(Error::usage(words + ": must be true, false or auto"));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// `--root` as the place of the state; `/` is refused, as what is below the
/// root is removed by `delete`.
fn state_root(path: &Path) -> Result<PathBuf> {
    let mut clean = PathBuf::new();
    for part in absolute(path)?.components() {
        match part {
            Component::ParentDir => {
                clean.pop();
            }
            _ => clean.push(part),
        }
    }
    if clean == Path::new("/") {
        return Err(Error::usage("Option --root argument should not be set to /"));
    }
    Ok(clean)
}

/// The working directory is asked for only if `path` is relative.
fn absolute(path: &Path) -> Result<PathBuf> {
    if path.as_os_str().is_empty() {
        return Ok(PathBuf::from("/"));
    }
    std::path::absolute(path)
        .map_err(|e| Error::usage(format!("make {} absolute: {e}", path.display())))
}

/// A command with its flags and arguments.
#[derive(Debug)]
pub(crate) struct Matches {
    pub(crate) command: &'static Command,
    /// In the order given; a switch has the value `true` or `false`.
    flags: Vec<(&'static Flag, OsString)>,
    args: Vec<String>,
}

impl Matches {
    pub(crate) fn name(&self) -> &'static str {
        self.command.name
    }

    /// Whether a switch is on; the last one wins.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.last(name).is_some_and(|value| value == "true")
    }

    /// The last value of a flag. An empty one is as good as none, as in runc.
    pub(crate) fn value(&self, name: &str) -> Option<&OsStr> {
        self.last(name).filter(|value| !value.is_empty())
    }

    /// [`Matches::value`], for flags that name a file or a directory.
    pub(crate) fn path(&self, name: &str) -> Option<&Path> {
        self.value(name).map(Path::new)
    }

    /// [`Matches::value`], for flags whose value is text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.value(name).and_then(OsStr::to_str)
    }

    /// The last value of a flag that takes a number.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.text(name).and_then(|text| text.parse().ok())
    }

    /// All values of a flag that may be repeated, in their order.
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.all(name).filter_map(OsStr::to_str)
    }

    /// What is not a flag: the container's ID first, where a command has one.
    pub(crate) fn args(&self) -> &[String] {
        &self.args
    }

    /// Argument number `n`, counted from 0, or the empty string.
    pub(crate) fn arg(&self, n: usize) -> &str {
        self.args.get(n).map_or("", String::as_str)
    }

    /// Are there as many arguments as the command needs?
    pub(crate) fn check_arity(&self) -> Result<()> {
        let (least, most) = self.command.arity();
        let given = self.args.len();
        let words = match most {
            Some(most) if most == least && given != least => format!("exactly {least}"),
            _ if given < least => format!("a minimum of {least}"),
            Some(most) if given > most => format!("a maximum of {most}"),
            _ => return Ok(()),
        };
        Err(Error::usage(format!("{:?} requires {words} argument(s)", self.name())))
    }

    fn last(&self, name: &str) -> Option<&OsStr> {
        self.all(name).last()
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &OsStr> {
        debug_assert!(
            self.command.flags.iter().any(|flag| flag.long == name),
            "{} has no flag {name}",
            self.name()
        );
        self.flags.iter().filter(move |(flag, _)| flag.long == name).map(|(_, v)| v.as_os_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_root_is_absolute_and_clean() {
        assert_eq!(state_root(Path::new("/run/x/../y/./z/")).unwrap(), Path::new("/run/y/z"));
        assert!(state_root(Path::new("x")).unwrap().ends_with("x"));
        for root in ["/", "/..", "/x/..", "//", "", "/../../"] {
            let e = state_root(Path::new(root)).unwrap_err();
            assert_eq!(e.to_string(), "Option --root argument should not be set to /");
        }
    }

    /// A name is found once, and a flag's word is a word of the help.
    #[test]
    fn the_table_is_sound() {
        for flags in COMMANDS.iter().map(|c| c.flags).chain([GLOBAL]) {
            for (i, flag) in flags.iter().enumerate() {
                assert!(!flag.help.is_empty() && !flag.help.ends_with('.'), "{}", flag.long);
                for other in &flags[i + 1..] {
                    assert_ne!(flag.long, other.long);
                    assert!(flag.short.is_none() || flag.short != other.short, "{}", flag.long);
                }
            }
            assert!(flags.iter().any(|flag| flag.long == "help"));
        }
        for (i, command) in COMMANDS.iter().enumerate() {
            assert!(!command.about.is_empty() && !command.about.ends_with('.'));
            assert!(COMMANDS[i + 1..].iter().all(|other| other.name != command.name));
        }
    }
}
