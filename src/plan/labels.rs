//! Labels of Linux security modules: `AppArmor` profiles, `SELinux` contexts.

use std::ffi::CString;

use super::{Options, c_string};
use crate::error::Result;
use crate::spec;

/// What the program is confined by from its exec on; `None` where nothing is
/// asked for.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    /// What `attr/apparmor/exec` takes: `exec PROFILE`.
    pub(crate) apparmor: Option<CString>,
    /// `SELinux` context, for `attr/exec`.
    pub(crate) selinux: Option<CString>,
    /// The same for keys, unless the session keyring stays the caller's.
    pub(crate) keys: Option<CString>,
}

/// Plans `process.apparmorProfile` and `process.selinuxLabel`; empty ones are
/// what engines write for none.
pub(crate) fn plan(process: &spec::Process, options: &Options) -> Result<Labels> {
    let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let apparmor = set(&process.apparmor_profile);
    let selinux = set(&process.selinux_label)
        .map(|label| c_string("process.selinuxLabel", &label))
        .transpose()?;
    Ok(Labels {
        apparmor: apparmor
            .map(|profile| c_string("process.apparmorProfile", &format!("exec {profile}")))
            .transpose()?,
        keys: selinux.clone().filter(|_| !options.no_new_keyring),
        selinux,
    })
}
