//! `completion`: scripts for bash, zsh and fish, from the grammar.
//!
//! They know all commands, flags and words; for containers they ask
//! `minke list --quiet`.

mod bash;
mod fish;
mod zsh;

use super::print;
use crate::cli::{Flag, Matches};
use crate::error::{Error, Result};

pub(super) fn run(matches: &Matches) -> Result<()> {
    print(&match matches.arg(0) {
        "bash" => bash::script(),
        "zsh" => zsh::script(),
        "fish" => fish::script(),
        other => {
            let words = format!("no completion for {other:?}: there is bash, zsh and fish");
            return Err(Error::usage(words));
        }
    })
}

/// What the shells are told about.
fn shown(flags: &'static [Flag]) -> impl Iterator<Item = &'static Flag> {
    flags.iter().filter(|flag| !flag.hidden)
}

/// `-b --bundle`, as words.
fn spellings(flag: &Flag) -> Vec<String> {
    let short = flag.short.map(|short| format!("-{short}"));
    short.into_iter().chain([format!("--{}", flag.long)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{COMMANDS, GLOBAL};

    #[test]
    fn scripts_know_all_that_the_help_shows() {
        for script in [bash::script(), zsh::script(), fish::script()] {
            for command in COMMANDS {
                assert!(script.contains(command.name), "{}", command.name);
                for flag in shown(command.flags).chain(shown(GLOBAL)) {
                    assert!(script.contains(flag.long), "{}", flag.long);
                }
            }
            assert!(!script.contains("kernel-memory"));
        }
    }
}
