//! Completion for bash.

use super::{shown, spellings};
use crate::cli::{COMMANDS, Command, Flag, GLOBAL, Kind, What};

const HEAD: &str = r#"# bash completion for minke

_minke() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' arguments=0 i word
    COMPREPLY=()

    # bash splits --flag=value into three words.
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi

    # Which command is it, and how many arguments has it already?
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if _minke_takes_value "$command $word"; then
            [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))
            ((i++))
        elif [[ $word == [-=]* ]]; then
            continue
        elif [[ -z $command ]]; then
            command=$word
        else
            ((arguments++))
        fi
    done
"#;

const TAIL: &str = r#"
    if [[ $cur == -* ]] && ! _minke_is_over "$command" "$arguments"; then
        _minke_flags "$command"
    else
        _minke_arguments "$command" "$arguments"
    fi
}

_minke_words() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

_minke_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "$1" -- "$cur")
}

_minke_containers() {
    _minke_words "$("${COMP_WORDS[0]}" list --quiet 2>/dev/null)"
}

complete -F _minke minke
"#;

pub(super) fn script() -> String {
    let mut script = HEAD.to_owned();
    script += "\n    case \"$command $prev\" in\n";
    for (command, flag) in all_flags() {
        if let Some(action) = values(flag.kind) {
            script += &format!("        {}) {action}; return ;;\n", patterns(command, flag));
        }
    }
    script += "    esac\n";
    script += TAIL;
    script += &takes_value();
    script += &is_over();
    script += &flags();
    script + &arguments()
}

/// Every shown flag with the name of its command; global ones have none.
fn all_flags() -> impl Iterator<Item = (&'static str, &'static Flag)> {
    let of_commands = COMMANDS.iter().flat_map(|c| shown(c.flags).map(move |flag| (c.name, flag)));
    shown(GLOBAL).map(|flag| ("", flag)).chain(of_commands)
}

/// `'create -b'|'create --bundle'`.
fn patterns(command: &str, flag: &Flag) -> String {
    let quoted = |word: String| format!("'{command} {word}'");
    spellings(flag).into_iter().map(quoted).collect::<Vec<_>>().join("|")
}

/// How the values of a flag are completed; none if it has no value.
fn values(kind: Kind) -> Option<String> {
    Some(match kind {
        Kind::Switch => return None,
        Kind::File(_) => "_minke_files -f".into(),
        Kind::Dir(_) => "_minke_files -d".into(),
        Kind::Word(_, words) => format!("_minke_words '{}'", words.join(" ")),
        Kind::Text(_) | Kind::Number(_) | Kind::List(_) => ":".into(),
    })
}

fn takes_value() -> String {
    let of_flag = |(command, flag)| patterns(command, flag);
    let all: Vec<String> =
        all_flags().filter(|(_, flag)| flag.kind != Kind::Switch).map(of_flag).collect();
    format!(
        "\n_minke_takes_value() {{\n    case $1 in\n        {}) return 0 ;;\n    esac\n    return 1\n}}\n",
        all.join("|\\\n        ")
    )
}

/// After the ID of `exec`, flags are those of another program.
fn is_over() -> String {
    let names: Vec<&str> =
        COMMANDS.iter().filter(|command| command.ends_at_argument).map(|c| c.name).collect();
    format!("\n_minke_is_over() {{\n    [[ $1 == @({}) ]] && (($2))\n}}\n", names.join("|"))
}

fn flags() -> String {
    let list = |flags| shown(flags).flat_map(spellings).collect::<Vec<_>>().join(" ");
    let mut script = String::from("\n_minke_flags() {\n    case $1 in\n");
    script += &format!("        '') _minke_words '{}' ;;\n", list(GLOBAL));
    for command in COMMANDS {
        script += &format!("        {}) _minke_words '{}' ;;\n", command.name, list(command.flags));
    }
    script + "    esac\n}\n"
}

fn arguments() -> String {
    let names = COMMANDS.iter().map(|command| command.name).collect::<Vec<_>>().join(" ");
    let mut script = String::from("\n_minke_arguments() {\n    case \"$1 $2\" in\n");
    script += &format!("        ' 0') _minke_words '{names}' ;;\n");
    for command in COMMANDS {
        script += &arguments_of(command, &names);
    }
    script + "    esac\n}\n"
}

fn arguments_of(command: &Command, names: &str) -> String {
    let mut lines = String::new();
    for (n, arg) in command.args.iter().enumerate() {
        let action = match arg.what {
            What::Free => continue,
            What::Container => "_minke_containers".into(),
            What::Dir => "_minke_files -d".into(),
            What::Command => format!("_minke_words '{names}'"),
            What::Word(words) => format!("_minke_words '{}'", words.join(" ")),
        };
        lines += &format!("        '{} {n}') {action} ;;\n", command.name);
    }
    lines
}
