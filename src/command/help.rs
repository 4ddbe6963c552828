//! `help`, `--help` and `COMMAND --help`.

use super::print;
use crate::cli::{Matches, command_help, find_command, global_help};
use crate::error::{Error, Result};

/// Prints help.
///
/// Podman and CRI-O take an exit of 0 of `checkpoint --help` as a sign that
/// checkpoints work, so help on a command that is not there yet fails.
pub(super) fn run(matches: &Matches) -> Result<()> {
    let Some(name) = matches.args().first() else { return print(&global_help()) };
    let command = find_command(name)?;
    print(&command_help(command))?;
    if command.later {
        return Err(Error::Unsupported { what: format!("the command {name}") });
    }
    Ok(())
}
