//! Completion for zsh.

use super::{shown, spellings};
use crate::cli::{Arg, COMMANDS, Command, Flag, GLOBAL, Kind, What};

const TAIL: &str = r#"
_minke_containers() {
    local -a containers
    containers=(${(f)"$(_call_program containers minke list --quiet 2>/dev/null)"})
    _describe container containers
}

_minke_commands() {
    local -a commands
    commands=(
"#;

pub(super) fn script() -> String {
    let mut script = String::from("#compdef minke\n\n_minke() {\n    local state line\n");
    script += "    _arguments -C \\\n";
    for flag in shown(GLOBAL) {
        script += &format!("        {} \\\n", argument_of(flag));
    }
    script += "        '1:command:_minke_commands' \\\n        '*::argument:->arguments'\n";
    script += "    [[ $state == arguments ]] || return\n    case $line[1] in\n";
    for command in COMMANDS {
        script += &arguments_of(command);
    }
    script += "    esac\n}\n";
    script += TAIL;
    for command in COMMANDS {
        script += &format!("        {}\n", quoted(&format!("{}:{}", command.name, command.about)));
    }
    script + "    )\n    _describe command commands\n}\n\n_minke \"$@\"\n"
}

fn arguments_of(command: &Command) -> String {
    let mut lines = format!("        {})\n            _arguments", command.name);
    if command.ends_at_argument {
        lines += " -A '-*'";
    }
    for flag in shown(command.flags) {
        lines += &format!(" \\\n                {}", argument_of(flag));
    }
    for (n, arg) in command.args.iter().enumerate() {
        lines += &format!(" \\\n                {}", quoted(&positional(n + 1, arg)));
    }
    lines + " ;;\n"
}

/// `'(-b --bundle)'{-b+,--bundle=}'[help]:DIR:_files -/'`.
fn argument_of(flag: &Flag) -> String {
    let (repeat, separator) = match flag.kind {
        Kind::Switch => ("", ["", ""]),
        Kind::List(_) => ("*", ["+", "="]),
        _ => ("", ["+", "="]),
    };
    let words = spellings(flag);
    let marked: Vec<String> = words
        .iter()
        .map(|word| word.clone() + separator[usize::from(word.starts_with("--"))])
        .collect();
    let names =
        if let [one] = &marked[..] { one.clone() } else { format!("{{{}}}", marked.join(",")) };
    let exclude = if repeat.is_empty() { format!("'({})'", words.join(" ")) } else { "'*'".into() };
    let mut rest = format!("[{}]", escaped(flag.help));
    if let Some(name) = flag.kind.value_name() {
        rest += &format!(":{}:{}", escaped(name), values(flag.kind));
    }
    format!("{exclude}{names}{}", quoted(&rest))
}

fn values(kind: Kind) -> String {
    match kind {
        Kind::File(_) => "_files".into(),
        Kind::Dir(_) => "_files -/".into(),
        Kind::Word(_, words) => format!("({})", words.join(" ")),
        Kind::Switch | Kind::Text(_) | Kind::Number(_) | Kind::List(_) => " ".into(),
    }
}

fn positional(n: usize, arg: &Arg) -> String {
    let action = match arg.what {
        What::Free => " ".into(),
        What::Container => "_minke_containers".into(),
        What::Dir => "_files -/".into(),
        What::Command => "_minke_commands".into(),
        What::Word(words) => format!("({})", words.join(" ")),
    };
    let place = if arg.repeated { "*".into() } else { n.to_string() };
    format!("{place}:{}:{action}", escaped(arg.name))
}

/// Colons and brackets mean something to `_arguments`.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace(':', "\\:").replace('[', "\\[").replace(']', "\\]")
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
