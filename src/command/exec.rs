//! `exec`.

use std::path::Path;

use super::lifecycle::{absolute, preserve_fds, store};
use crate::cli::{Global, Matches};
use crate::container::exec::{Request, exec};
use crate::error::{Error, Result};
use crate::plan::exec::{Changes, id};

pub(super) fn run(global: &Global, matches: &Matches) -> Result<u8> {
    // From here on it is not the command line that is wrong.
    exec(&store(global), request(matches)?).map_err(|error| match error {
        Error::Usage { words, .. } => Error::Broken { what: "exec failed".to_owned(), why: words },
        error => error,
    })
}

fn request(matches: &Matches) -> Result<Request> {
    let path = |flag: &str| matches.path(flag).map(absolute);
    let process = matches.path("process").map(Path::to_path_buf);
    let args = matches.args().get(1..).unwrap_or_default().to_vec();
    if process.is_none() && args.is_empty() {
        let why = "process args cannot be empty".to_owned();
        return Err(Error::Broken { what: "exec failed".to_owned(), why });
    }
    Ok(Request {
        id: matches.arg(0).to_owned(),
        process,
        changes: changes(matches, args)?,
        cgroups: matches.values("cgroup").map(str::to_owned).collect(),
        detach: matches.flag("detach"),
        ignore_paused: matches.flag("ignore-paused"),
        console_socket: path("console-socket"),
        pid_file: path("pid-file"),
        pidfd_socket: path("pidfd-socket"),
        preserve_fds: preserve_fds(matches)?,
    })
}

fn changes(matches: &Matches, args: Vec<String>) -> Result<Changes> {
    let text = |flag: &str| matches.text(flag).filter(|text| !text.is_empty()).map(str::to_owned);
    let list = |flag: &str| matches.values(flag).map(str::to_owned).collect();
    let gids = matches.values("additional-gids").map(|gid| id("--additional-gids", gid));
    Ok(Changes {
        args,
        terminal: matches.flag("tty"),
        cwd: text("cwd"),
        env: list("env"),
        user: text("user"),
        additional_gids: gids.collect::<Result<_>>()?,
        capabilities: list("cap"),
        no_new_privileges: matches.flag("no-new-privs"),
        apparmor: text("apparmor"),
        label: text("process-label"),
    })
}
