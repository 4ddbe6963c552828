//! `man`: the manual pages, from the grammar.

use std::fs::{create_dir_all, write};
use std::path::Path;

use super::file_error;
use crate::cli::{COMMANDS, Command, Flag, GLOBAL, Group, Matches, flag_names};
use crate::error::Result;

/// Writes `minke.8`, and `minke-COMMAND.8` for each command.
pub(super) fn run(matches: &Matches) -> Result<()> {
    let dir = Path::new(matches.arg(0));
    create_dir_all(dir).map_err(|e| file_error("make directory", dir, &e))?;
    let save = |name: &str, page: String| {
        let path = dir.join(name);
        write(&path, page).map_err(|e| file_error("write", &path, &e))
    };
    save("minke.8", overview())?;
    for command in COMMANDS {
        save(&format!("minke-{}.8", command.name), page_of(command))?;
    }
    Ok(())
}

fn overview() -> String {
    let mut page = head("minke", "a small, fast OCI container runtime");
    page += ".B minke\n[OPTIONS] COMMAND [ARGS]\n.SH DESCRIPTION\n";
    page += &paragraph(
        "minke makes, runs and removes containers. A container comes from a bundle: a directory \
         with a file config.json, in the format of the OCI runtime-spec, and a root file system. \
         Command line, output and exit codes are those of runc, in whose place container engines \
         can use it.",
    );
    page += ".SH OPTIONS\nThey come before the command.\n";
    page += &flags(GLOBAL);
    page += ".SH COMMANDS\n";
    for group in Group::ALL {
        page += &format!(".SS {}\n", escape(group.title()));
        for command in COMMANDS.iter().filter(|command| command.group == group) {
            page += &format!(
                ".TP\n.BR minke\\-{} (8)\n{}\n",
                escape(command.name),
                escape(command.about)
            );
        }
    }
    page += ".SH FILES\n.TP\n.I /run/minke\nThe state of the containers of root; of a user in\n";
    page += ".IR $XDG_RUNTIME_DIR/minke .\n.SH EXIT STATUS\n";
    page += &paragraph(
        "0 on success and 1 on failure. `run` and `exec` end with the status of the program, or \
         128 + N if signal N ended it; `exec` with 255 if minke failed.",
    );
    page
}

fn page_of(command: &Command) -> String {
    let mut page = head(&format!("minke-{}", command.name), command.about);
    page += &format!("{}\n", escape(&command.usage()));
    if !command.text.is_empty() {
        page += ".SH DESCRIPTION\n";
    }
    page += &escape(command.text).replace("\n\n", "\n.PP\n");
    page += if command.text.is_empty() { "" } else { "\n" };
    page += ".SH OPTIONS\n";
    page += &flags(command.flags);
    if !command.examples.is_empty() {
        page += ".SH EXAMPLES\n";
    }
    for (line, what) in command.examples {
        page += &format!(".TP\n.B {}\n{}\n", escape(line), escape(what));
    }
    page + ".SH SEE ALSO\n.BR minke (8)\n"
}

fn head(name: &str, about: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        ".TH {} 8 \"\" \"minke {version}\"\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n",
        escape(&name.to_uppercase()),
        escape(name),
        escape(about)
    )
}

fn paragraph(text: &str) -> String {
    escape(text) + "\n"
}

fn flags(flags: &[Flag]) -> String {
    let mut list = String::new();
    for flag in flags.iter().filter(|flag| !flag.hidden) {
        list += &format!(".TP\n.B {}\n{}\n", escape(&flag_names(flag)), escape(flag.help));
    }
    list
}

/// Text that roff takes as it is.
fn escape(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    if escaped.starts_with('.') { format!("\\&{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roff_takes_text_as_it_is() {
        assert_eq!(escape("a-b \\ 'c'"), "a\\-b \\e \\(aqc\\(aq");
        assert_eq!(escape(".x"), "\\&.x");
    }

    #[test]
    fn every_line_is_text_or_a_known_request() {
        for page in COMMANDS.iter().map(page_of).chain([overview()]) {
            for line in page.lines() {
                let request = line.split(' ').next().unwrap();
                let known = [".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".BR", ".I", ".IR"];
                assert!(!line.is_empty());
                assert!(!line.starts_with('.') || known.contains(&request), "{line}");
            }
        }
    }
}
