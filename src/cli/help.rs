//! The text of `--help`.

use super::grammar::{Command, Flag, Group};
use super::table::{COMMANDS, GLOBAL};

/// Lines are at most this long.
const WIDTH: usize = 80;

/// The names of a flag with its value: `-b, --bundle DIR`.
pub(crate) fn flag_names(flag: &Flag) -> String {
    let short = flag.short.map(|short| format!("-{short}, ")).unwrap_or_default();
    let value = flag.kind.value_name().map(|name| format!(" {name}")).unwrap_or_default();
    format!("{short}--{}{value}", flag.long)
}

/// `minke --help`.
pub(crate) fn global_help() -> String {
    let mut text = format!(
        "minke {}: {}\n\nUsage: minke [OPTIONS] COMMAND [ARGS]\n",
        env!("CARGO_PKG_VERSION"),
        "a small, fast OCI container runtime, to be used in place of runc"
    );
    for group in Group::ALL {
        text += &format!("\n{}:\n", group.title());
        for command in COMMANDS.iter().filter(|command| command.group == group) {
            text += &entry(command.name, command.about, 14);
        }
    }
    text += "\nOptions, before the command:\n";
    text += &flags(GLOBAL);
    text += "\n`minke COMMAND --help` tells more about a command.\n";
    text
}

/// `minke COMMAND --help`.
pub(crate) fn command_help(command: &Command) -> String {
    let mut text = format!("minke {}: {}\n\n", command.name, command.about);
    text += &format!("Usage: {}\n", command.usage());
    for paragraph in command.text.split("\n\n").filter(|p| !p.is_empty()) {
        text += "\n";
        text += &wrap(paragraph, 0);
        text += "\n";
    }
    text += "\nOptions:\n";
    text += &flags(command.flags);
    if !command.examples.is_empty() {
        text += "\nExamples:\n";
    }
    for (line, what) in command.examples {
        text += &format!("  {line}\n      {what}\n");
    }
    text
}

fn flags(flags: &[Flag]) -> String {
    let shown = || flags.iter().filter(|flag| !flag.hidden);
    let any_short = shown().any(|flag| flag.short.is_some());
    let names = |flag: &Flag| {
        let indent = if any_short && flag.short.is_none() { "    " } else { "" };
        format!("{indent}{}", flag_names(flag))
    };
    let column = shown().map(|flag| names(flag).len() + 4).max().unwrap_or_default();
    shown().map(|flag| entry(&names(flag), flag.help, column)).collect()
}

/// `  name   what it is`, with `what` from `column` on.
fn entry(name: &str, what: &str, column: usize) -> String {
    format!("  {name:<width$}{}\n", wrap(what, column), width = column - 2)
}

/// Breaks `text` into lines, all but the first indented.
fn wrap(text: &str, indent: usize) -> String {
    let mut lines = String::new();
    let mut column = indent;
    for word in text.split_whitespace() {
        if column > indent && column + 1 + word.len() > WIDTH {
            lines += "\n";
            lines += &" ".repeat(indent);
            column = indent;
        } else if column > indent {
            lines += " ";
            column += 1;
        }
        lines += word;
        column += word.len();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_a_terminal() {
        let all = COMMANDS.iter().map(command_help).chain([global_help()]);
        for text in all {
            for line in text.lines() {
                assert!(line.len() <= WIDTH, "{line}");
                assert_eq!(line, line.trim_end());
            }
            assert!(text.ends_with('\n'));
        }
    }

    #[test]
    fn help_of_a_command_shows_all_its_flags_but_the_hidden() {
        for command in COMMANDS {
            let text = command_help(command);
            for flag in command.flags {
                assert_eq!(
                    text.contains(&format!("--{}", flag.long)),
                    !flag.hidden,
                    "{}",
                    flag.long
                );
            }
        }
    }

    #[test]
    fn global_help_lists_every_command() {
        let text = global_help();
        for command in COMMANDS {
            assert!(text.contains(&format!("\n  {} ", command.name)), "{}", command.name);
        }
    }

    #[test]
    fn help_of_start_in_full() {
        let start = COMMANDS.iter().find(|command| command.name == "start").unwrap();
        assert_eq!(
            command_help(start),
            "minke start: run the program of a created container

Usage: minke start [OPTIONS] ID

Lets the program of a created container run, and returns as soon as it does.

Options:
  -h, --help  show this help
"
        );
    }
}
