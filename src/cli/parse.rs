//! Reading the words of a command line by runc's rules.
//!
//! * `--flag v`, `--flag=v`, `-flag v`, `-f v`; a switch may have `=false`.
//! * Short names are not bundled: `-td` is a flag called `td`.
//! * Global flags come before the command. Those of a command come before or
//!   after its arguments; for `exec`, `kill` and `ps` they end at the first.
//! * `--` ends the flags, and so does a word like `-9`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::grammar::{Command, Flag, Kind};
use super::nearest::nearest;
use super::{COMMANDS, GLOBAL, Global, Invocation, Matches};
use crate::error::{Error, Result};

/// Reads a command line, without the program's name.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Invocation {
    let mut args = args.into_iter();
    let mut global = Global::default();
    let command = parse_global(&mut args, &mut global).and_then(|request| match request {
        Request::Builtin(name) => builtin(name, ""),
        Request::Command(name) => parse_command(find_command(&utf8(name)?)?, &mut args),
    });
    Invocation { global, command }
}

/// What the global part of the line leads to.
enum Request {
    Builtin(&'static str),
    Command(OsString),
}

/// Reads the global flags up to the command.
///
/// An error does not end it: a `--log` that follows still counts.
fn parse_global(args: &mut impl Iterator<Item = OsString>, global: &mut Global) -> Result<Request> {
    let mut outcome = Ok(());
    let request = loop {
        match next_word(args, GLOBAL) {
            None => break Request::Builtin("help"),
            Some(Err(e)) => outcome = outcome.and(Err(add_hint(e, None))),
            Some(Ok(Word::Flag(flag, value))) => match flag.long {
                "help" | "version" if value == "true" => break Request::Builtin(flag.long),
                _ => outcome = outcome.and(global.set(flag, &value)),
            },
            Some(Ok(Word::End)) => match args.next() {
                None => break Request::Builtin("help"),
                Some(name) => break Request::Command(name),
            },
            Some(Ok(Word::Argument(name) | Word::Rest(name))) => break Request::Command(name),
        }
    };
    outcome.map(|()| request)
}

/// The command called `name`.
pub(crate) fn find_command(name: &str) -> Result<&'static Command> {
    if let Some(found) = COMMANDS.iter().find(|command| command.name == name) {
        return Ok(found);
    }
    if name == "h" {
        return find_command("help");
    }
    let hint = match nearest(name, COMMANDS.iter().map(|command| command.name)) {
        Some(near) => format!("did you mean `minke {near}`?"),
        None => "`minke help` lists the commands".into(),
    };
    Err(Error::Usage { words: format!("no such command: {name:?}"), hint: Some(hint) })
}

/// `minke --help` and its like are commands in other words.
fn builtin(name: &str, arg: &str) -> Result<Matches> {
    let args = if arg.is_empty() { vec![] } else { vec![arg.to_owned()] };
    Ok(Matches { command: find_command(name)?, flags: vec![], args })
}

fn parse_command(
    command: &'static Command,
    line: &mut impl Iterator<Item = OsString>,
) -> Result<Matches> {
    let mut flags = Vec::new();
    let mut args = Vec::new();
    while let Some(word) = next_word(line, command.flags) {
        match word.map_err(|e| add_hint(e, Some(command)))? {
            Word::Flag(flag, value) if flag.long == "help" && value == "true" => {
                return builtin("help", command.name);
            }
            Word::Flag(flag, value) => flags.push((flag, value)),
            Word::End => {
                take_rest(line, &mut args)?;
                break;
            }
            Word::Rest(word) => {
                args.push(utf8(word)?);
                take_rest(line, &mut args)?;
                break;
            }
            Word::Argument(word) => {
                args.push(utf8(word)?);
                if command.ends_at_argument {
                    take_rest_of_program(line, &mut args)?;
                    break;
                }
            }
        }
    }
    Ok(Matches { command, flags, args })
}

fn take_rest(line: &mut impl Iterator<Item = OsString>, args: &mut Vec<String>) -> Result<()> {
    for word in line {
        args.push(utf8(word)?);
    }
    Ok(())
}

/// `exec ID -- sh` means `exec ID sh`.
fn take_rest_of_program(
    line: &mut impl Iterator<Item = OsString>,
    args: &mut Vec<String>,
) -> Result<()> {
    if let Some(word) = line.next().filter(|word| word != "--") {
        args.push(utf8(word)?);
    }
    take_rest(line, args)
}

/// One word of the line, or two where a flag takes its value from the next.
#[derive(Debug)]
enum Word {
    Flag(&'static Flag, OsString),
    Argument(OsString),
    /// `--`.
    End,
    /// An argument after which there are no flags, such as `-9`.
    Rest(OsString),
}

fn next_word(
    line: &mut impl Iterator<Item = OsString>,
    flags: &'static [Flag],
) -> Option<Result<Word>> {
    let word = line.next()?;
    let named = match word.as_bytes() {
        b"--" => return Some(Ok(Word::End)),
        [b'-', b'-', named @ ..] => named,
        [b'-', named @ ..] if named.first().is_some_and(u8::is_ascii_alphabetic) => named,
        [b'-', _, ..] => return Some(Ok(Word::Rest(word))),
        _ => return Some(Ok(Word::Argument(word))),
    };
    let (name, value) = match named.iter().position(|&b| b == b'=') {
        Some(at) => (&named[..at], Some(OsStr::from_bytes(&named[at + 1..]))),
        None => (named, None),
    };
    Some(read_flag(line, flags, &word, &String::from_utf8_lossy(name), value))
}

fn read_flag(
    line: &mut impl Iterator<Item = OsString>,
    flags: &'static [Flag],
    word: &OsStr,
    name: &str,
    value: Option<&OsStr>,
) -> Result<Word> {
    let flag = Command::find_flag(flags, name)
        .ok_or_else(|| Error::usage(format!("{UNKNOWN_FLAG}{name}")))?;
    let value = match value {
        // As in runc, `--switch=` is `--switch`.
        None if flag.kind == Kind::Switch => "true".into(),
        Some(value) if flag.kind == Kind::Switch && value.is_empty() => "true".into(),
        Some(value) => value.to_owned(),
        None => line
            .next()
            .ok_or_else(|| Error::usage(format!("flag needs an argument: {}", word.display())))?,
    };
    Ok(Word::Flag(flag, check_value(flag, name, value)?))
}

/// Checks the form of a value, and brings switches to `true` and `false`.
fn check_value(flag: &Flag, name: &str, value: OsString) -> Result<OsString> {
    let must = match flag.kind {
        Kind::File(_) | Kind::Dir(_) => return Ok(value),
        Kind::Text(_) | Kind::Word(..) | Kind::List(_) if value.to_str().is_some() => {
            return Ok(value);
        }
        Kind::Text(_) | Kind::Word(..) | Kind::List(_) => "must be UTF-8",
        Kind::Number(_) if value.to_str().is_some_and(|v| v.parse::<i64>().is_ok()) => {
            return Ok(value);
        }
        Kind::Number(_) => "must be a whole number",
        Kind::Switch => match value.to_str().and_then(truth) {
            Some(truth) => return Ok(if truth { "true".into() } else { "false".into() }),
            None => "must be true or false",
        },
    };
    Err(Error::usage(format!(
        "invalid value {:?} for flag -{name}: {must}",
        value.to_string_lossy()
    )))
}

/// The spellings of a truth value that Go's `ParseBool` takes.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn utf8(word: OsString) -> Result<String> {
    String::from_utf8(word.into_vec()).map_err(|e| {
        let word = String::from_utf8_lossy(e.as_bytes()).into_owned();
        Error::usage(format!("argument {word:?} is not valid UTF-8"))
    })
}

const UNKNOWN_FLAG: &str = "flag provided but not defined: -";

/// Adds advice to the error about an unknown flag.
fn add_hint(error: Error, command: Option<&'static Command>) -> Error {
    let Error::Usage { words, hint: None } = error else { return error };
    let hint = words.strip_prefix(UNKNOWN_FLAG).map(|name| advice(name, command));
    Error::Usage { words, hint }
}

fn advice(name: &str, command: Option<&'static Command>) -> String {
    let flags = command.map_or(GLOBAL, |command| command.flags);
    let is_short = |c: char| flags.iter().any(|flag| flag.short == Some(c));
    if name.len() > 1 && name.chars().all(is_short) {
        let apart: Vec<String> = name.chars().map(|c| format!("-{c}")).collect();
        return format!("write short flags one by one: {}", apart.join(" "));
    }
    if let (Some(command), Some(flag)) = (command, Command::find_flag(GLOBAL, name)) {
        return format!(
            "--{} goes before the command: minke --{0} ... {}",
            flag.long, command.name
        );
    }
    let shown = flags.iter().filter(|flag| !flag.hidden).map(|flag| flag.long);
    if let Some(near) = nearest(name, shown) {
        return format!("did you mean --{near}?");
    }
    match command {
        Some(command) => format!("`minke {} --help` lists the flags", command.name),
        None => "`minke --help` lists the flags".into(),
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
