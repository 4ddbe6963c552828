//! `help`, `--help` and `COMMAND --help`.

use super::print;
use crate::cli::{Matches, command_help, find_command, global_help};
use crate::container::criu;
use crate::error::Result;

/// Prints help.
///
/// Podman and CRI-O take an exit of 0 of `checkpoint --help` as a sign that
/// checkpoints work, so it fails where they do not.
pub(super) fn run(matches: &Matches) -> Result<()> {
    let Some(name) = matches.args().first() else { return print(&global_help()) };
    let command = find_command(name)?;
    print(&command_help(command))?;
    if command.name == "checkpoint" { criu::check() } else { Ok(()) }
}
