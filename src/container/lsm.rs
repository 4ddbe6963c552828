//! Which security modules this kernel has enabled.

use crate::error::{Error, Result};
use crate::spec::Config;
use std::path::Path;

/// A container that is to be confined must not run without it: refuses labels
/// that nobody would enforce.
pub(super) fn check(config: &Config) -> Result<()> {
    let set = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let process = config.process.as_ref();
    if process.is_some_and(|process| set(&process.apparmor_profile)) && !has_apparmor() {
        return Err(Error::config(
            "process.apparmorProfile",
            "apparmor: config provided but apparmor not supported",
        ));
    }
    let labels = [
        ("process.selinuxLabel", process.is_some_and(|process| set(&process.selinux_label))),
        ("linux.mountLabel", set(&config.linux().mount_label)),
    ];
    match labels.iter().find(|(_, set)| *set) {
        Some((field, _)) if !has_selinux() => Err(Error::config(
            *field,
            "selinux label is specified in config, but selinux is disabled or not supported",
        )),
        _ => Ok(()),
    }
}

fn has_apparmor() -> bool {
    let enabled = std::fs::read("/sys/module/apparmor/parameters/enabled");
    enabled.is_ok_and(|text| text.starts_with(b"Y"))
}

/// Whether selinuxfs is where everybody looks for it.
fn has_selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}
