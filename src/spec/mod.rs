//! Reading `config.json`.
//!
//! The types here are the Linux part of the runtime-spec, field by field and
//! in its words. Everything that is an enumeration in the spec is a string
//! here: what a word means, and whether an unknown one is an error or only a
//! warning, is decided where the field is used, with the field's path at hand.
//!
//! Absent and `null` mean the same, as in the Go programs that write these
//! files. Unknown fields are ignored, as the spec's extensibility rule wants.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md#extensibility>

#[cfg(test)]
mod held;
mod hooks;
mod linux;
pub(crate) mod merge;
mod process;
mod resources;
#[allow(dead_code, reason = "create comes to use it")]
pub(crate) mod seccomp;

pub(crate) use hooks::{Hook, Hooks};
pub(crate) use linux::{Device, IdMapping, IntelRdt, Linux, MemoryPolicy, Namespace, Personality};
pub(crate) use process::{Capabilities, IoPriority, Process, Rlimit, Scheduler};
pub(crate) use resources::{BlockIo, Cpu, DeviceRule, Memory, Network, Resources, ThrottleDevice};

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};

/// The version of the runtime-spec that minke follows.
pub(crate) const VERSION: &str = "1.3.0";

/// A whole `config.json`.
/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md>
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Config {
    /// `SemVer` of the spec that the document follows; 1.x is read.
    pub(crate) oci_version: String,
    /// The container's root file system; required on Linux.
    pub(crate) root: Option<Root>,
    /// Name in the container's UTS namespace.
    pub(crate) hostname: Option<String>,
    /// NIS domain name in the container's UTS namespace.
    pub(crate) domainname: Option<String>,
    /// Mounts beyond the root, made in the order listed.
    pub(crate) mounts: Vec<Mount>,
    /// The container's program; required by `start`.
    pub(crate) process: Option<Process>,
    /// Programs run at points of the lifecycle.
    pub(crate) hooks: Hooks,
    /// Free-form, given back by `state`.
    pub(crate) annotations: BTreeMap<String, String>,
    /// Linux-only configuration.
    pub(crate) linux: Option<Linux>,
}

/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md#root>
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Root {
    /// Absolute, or relative to the bundle.
    pub(crate) path: String,
    /// Whether the root is read-only inside the container.
    pub(crate) readonly: bool,
}

/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md#mounts>
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Mount {
    /// Where in the container; absolute, relative ones count from its root.
    pub(crate) destination: String,
    /// File system type; not needed for bind mounts.
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    /// Device or directory; relative bind sources count from the bundle.
    pub(crate) source: Option<String>,
    /// Options as in fstab(5).
    pub(crate) options: Vec<String>,
    /// User ids of an id-mapped mount (Linux 5.12).
    pub(crate) uid_mappings: Vec<IdMapping>,
    /// Group ids of an id-mapped mount (Linux 5.12).
    pub(crate) gid_mappings: Vec<IdMapping>,
}

impl Config {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the JSON path of the value that is wrong.
    pub(crate) fn parse(text: &[u8]) -> Result<Self> {
        parse(text)
    }

    /// The Linux section; an absent one is an empty one.
    pub(crate) fn linux(&self) -> &Linux {
        const EMPTY: &Linux = &Linux::EMPTY;
        self.linux.as_ref().unwrap_or(EMPTY)
    }
}

impl Process {
    /// Reads the text of one process, as `exec --process` takes it.
    ///
    /// # Errors
    ///
    /// As for [`Config::parse`].
    pub(crate) fn parse(text: &[u8]) -> Result<Self> {
        parse(text)
    }
}

fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    if let Ok(document) = serde_json::from_slice(text) {
        return Ok(document);
    }
    // Second reading, off the fast path: without the nulls that Go writes for
    // empty slices, and with the path of what is wrong.
    let mut value: Value =
        serde_json::from_slice(text).map_err(|e| Error::config("", e.to_string()))?;
    drop_nulls(&mut value);
    serde_path_to_error::deserialize(value).map_err(|e| {
        let path = e.path().to_string();
        let field = if path == "." { String::new() } else { path };
        Error::config(field, e.into_inner().to_string())
    })
}

/// Makes `null` mean absent, in the whole of `value`.
pub(crate) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_absent() {
        let c = Config::parse(
            br#"{"ociVersion":"1.0.0","mounts":null,"process":{"args":null,"user":{"uid":7}}}"#,
        );
        let c = c.unwrap();
        assert!(c.mounts.is_empty());
        assert_eq!(c.process.unwrap().user.uid, 7);
    }

    #[test]
    fn wrong_type_is_told_with_its_path() {
        let e =
            Config::parse(br#"{"mounts":[{"destination":"/a"},{"destination":5}]}"#).unwrap_err();
        assert!(e.to_string().starts_with("config.json: mounts[1].destination: "), "{e}");
    }

    #[test]
    fn unknown_fields_are_ignored() {
        assert!(
            Config::parse(
                br#"{"ociVersion":"1.0.0","x-future":{"a":[1]},"root":{"path":"r","y":1}}"#
            )
            .is_ok()
        );
    }
}
