//! Completion for fish.

use super::shown;
use crate::cli::{COMMANDS, Command, Flag, GLOBAL, Kind, What};

const HEAD: &str = r"# fish completion for minke

complete --command minke --no-files

";

pub(super) fn script() -> String {
    let mut script = HEAD.to_owned();
    for flag in shown(GLOBAL) {
        script += &format!("{} --condition __fish_use_subcommand{}\n", START, flag_words(flag));
    }
    for command in COMMANDS {
        script += &of_command(command);
    }
    script
}

const START: &str = "complete --command minke";

fn of_command(command: &Command) -> String {
    let name = command.name;
    let mut lines = format!(
        "{START} --condition __fish_use_subcommand --arguments {name} --description {}\n",
        quoted(command.about)
    );
    let condition = format!("--condition '__fish_seen_subcommand_from {name}'");
    for flag in shown(command.flags) {
        lines += &format!("{START} {condition}{}\n", flag_words(flag));
    }
    for arg in command.args {
        if let Some(words) = words(arg.what) {
            lines += &format!("{START} {condition} {words}\n");
        }
    }
    lines
}

/// `--long-option bundle --short-option b --description '…' …`.
fn flag_words(flag: &Flag) -> String {
    let short = flag.short.map(|short| format!(" --short-option {short}")).unwrap_or_default();
    let values = match flag.kind {
        Kind::Switch => String::new(),
        Kind::File(_) => " --require-parameter --force-files".into(),
        Kind::Dir(_) => " --exclusive --arguments '(__fish_complete_directories)'".into(),
        Kind::Word(_, words) => format!(" --exclusive --arguments '{}'", words.join(" ")),
        Kind::Text(_) | Kind::Number(_) | Kind::List(_) => " --exclusive".into(),
    };
    format!(" --long-option {}{short}{values} --description {}", flag.long, quoted(flag.help))
}

fn words(what: What) -> Option<String> {
    match what {
        What::Free => None,
        What::Container => Some("--arguments '(minke list --quiet 2>/dev/null)'".into()),
        What::Dir => Some("--arguments '(__fish_complete_directories)'".into()),
        What::Command => {
            let names: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
            Some(format!("--arguments '{}'", names.join(" ")))
        }
        What::Word(words) => Some(format!("--arguments '{}'", words.join(" "))),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
