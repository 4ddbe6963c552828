//! `checkpoint` and `restore`.

use std::path::PathBuf;

use super::lifecycle::{absolute, request_to_restore, store};
use crate::cli::{Global, Matches};
use crate::container::checkpoint::{Request as CheckpointRequest, checkpoint as save};
use crate::container::criu::{Request as CriuRequest, SWITCHES};
use crate::container::restore::{Request as RestoreRequest, restore as bring_back};
use crate::error::{Error, Result};

pub(super) fn checkpoint(global: &Global, matches: &Matches) -> Result<u8> {
    let request = CheckpointRequest {
        id: matches.arg(0).to_owned(),
        common: common(matches)?,
        parent: matches.text("parent-path").map(str::to_owned),
        pre_dump: matches.flag("pre-dump"),
        page_server: matches.text("page-server").map(page_server).transpose()?,
        status_fd: matches.number("status-fd").and_then(|number| i32::try_from(number).ok()),
    };
    save(&store(global), &request).map(|()| 0)
}

pub(super) fn restore(global: &Global, matches: &Matches) -> Result<u8> {
    let detach = matches.flag("detach");
    let request = RestoreRequest {
        create: request_to_restore(global, matches, detach),
        common: common(matches)?,
        no_subreaper: matches.flag("no-subreaper"),
        lsm_profile: matches.text("lsm-profile").map(str::to_owned),
        lsm_mount_context: matches.text("lsm-mount-context").map(str::to_owned),
    };
    bring_back(&store(global), &request)
}

fn common(matches: &Matches) -> Result<CriuRequest> {
    if let Some(other) = matches.values("empty-ns").find(|kind| *kind != "network") {
        return Err(Error::usage(format!("namespace {other:?} is not supported")));
    }
    let flags = matches.command.flags;
    let knows = |name: &str| flags.iter().any(|flag| flag.long == name);
    let switches = SWITCHES.iter().filter(|(name, _)| knows(name) && matches.flag(name));
    Ok(CriuRequest {
        images: matches.path("image-path").map_or_else(|| PathBuf::from("checkpoint"), absolute),
        work: matches.path("work-path").map(absolute),
        switches: switches.map(|(_, field)| *field).collect(),
        cgroups_mode: matches.text("manage-cgroups-mode").unwrap_or_default().to_owned(),
    })
}

/// runc's words.
fn page_server(text: &str) -> Result<(String, u16)> {
    let wrong = || Error::usage("Use --page-server ADDRESS:PORT to specify page server");
    let (address, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    if address.is_empty() || port.is_empty() {
        return Err(wrong());
    }
    let port = port.parse().map_err(|_| Error::usage("Invalid port number"))?;
    Ok((address.to_owned(), port))
}
