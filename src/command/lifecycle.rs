//! `create`, `run`, `start`, `state`, `pause`, `resume`, `kill` and `delete`.

use std::path::{Path, PathBuf};

use super::print;
use crate::cli::{self, Global, Matches};
use crate::container::create::{CgroupManager, Request, create as create_container};
use crate::container::run::{Manner, run as run_container};
use crate::container::state::State;
use crate::container::store::Store;
use crate::container::{
    delete as delete_container, kill as kill_container, pause as pause_container,
    start as start_container,
};
use crate::error::{Error, Result};

/// Where `--root` says that containers are.
pub(super) fn store(global: &Global) -> Store {
    Store::new(global.root.as_deref())
}

pub(super) fn create(global: &Global, matches: &Matches) -> Result<u8> {
    create_container(&store(global), &request(global, matches, true)?)?;
    Ok(0)
}

pub(super) fn run(global: &Global, matches: &Matches) -> Result<u8> {
    let manner = Manner {
        detach: matches.flag("detach"),
        keep: matches.flag("keep"),
        no_subreaper: matches.flag("no-subreaper"),
    };
    run_container(&store(global), &request(global, matches, manner.detach)?, manner)
}

fn request(global: &Global, matches: &Matches, detach: bool) -> Result<Request> {
    Ok(Request {
        config: matches.path("config").map(Path::to_path_buf),
        pidfd_socket: matches.path("pidfd-socket").map(absolute),
        no_new_keyring: matches.flag("no-new-keyring"),
        preserve_fds: preserve_fds(matches)?,
        ..request_to_restore(global, matches, detach)
    })
}

/// What `restore` knows of it.
pub(super) fn request_to_restore(global: &Global, matches: &Matches, detach: bool) -> Request {
    let path = |flag: &str| matches.path(flag).map(absolute);
    Request {
        id: matches.arg(0).to_owned(),
        bundle: matches.path("bundle").map(Path::to_path_buf),
        console_socket: path("console-socket"),
        pid_file: path("pid-file"),
        no_pivot: matches.flag("no-pivot"),
        detach,
        rootless: match global.rootless {
            cli::Rootless::Auto => None,
            cli::Rootless::Yes => Some(true),
            cli::Rootless::No => Some(false),
        },
        cgroup_manager: match global.cgroup_manager {
            cli::CgroupManager::Cgroupfs => CgroupManager::Cgroupfs,
            cli::CgroupManager::Systemd => CgroupManager::Systemd,
            cli::CgroupManager::Disabled => CgroupManager::Disabled,
        },
        ..Request::default()
    }
}

/// `--preserve-fds`.
pub(super) fn preserve_fds(matches: &Matches) -> Result<u32> {
    let count = matches.number("preserve-fds").unwrap_or(0);
    let wrong = |_| Error::usage(format!("--preserve-fds: {count} is out of range"));
    u32::try_from(count).map_err(wrong)
}

pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

pub(super) fn start(global: &Global, matches: &Matches) -> Result<u8> {
    start_container::start(&store(global), matches.arg(0))?;
    Ok(0)
}

pub(super) fn state(global: &Global, matches: &Matches) -> Result<u8> {
    let container = store(global).open(matches.arg(0))?;
    let record = container.record()?;
    print(&State::new(&record, container.status(&record)).pretty())?;
    Ok(0)
}

pub(super) fn kill(global: &Global, matches: &Matches) -> Result<u8> {
    let signal = match matches.arg(1) {
        "" => kill_container::parse_signal("TERM")?,
        text => kill_container::parse_signal(text)?,
    };
    kill_container::kill(&store(global), matches.arg(0), signal, matches.flag("all"))?;
    Ok(0)
}

pub(super) fn pause(global: &Global, matches: &Matches) -> Result<u8> {
    pause_container::pause(&store(global), matches.arg(0))?;
    Ok(0)
}

pub(super) fn resume(global: &Global, matches: &Matches) -> Result<u8> {
    pause_container::resume(&store(global), matches.arg(0))?;
    Ok(0)
}

pub(super) fn delete(global: &Global, matches: &Matches) -> Result<u8> {
    delete_container::delete(&store(global), matches.arg(0), matches.flag("force"))?;
    Ok(0)
}
