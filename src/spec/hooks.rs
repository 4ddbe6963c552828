//! `hooks`: programs run at points of the lifecycle.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md#posix-platform-hooks>

use serde::{Deserialize, Serialize};

/// The six lists, each run in its order.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Hooks {
    /// In the runtime's namespaces, after the container's are made. Deprecated
    /// by the spec in favour of the next three.
    pub(crate) prestart: Vec<Hook>,
    /// In the runtime's namespaces, right after `prestart`.
    pub(crate) create_runtime: Vec<Hook>,
    /// In the container's namespaces, before `pivot_root`.
    pub(crate) create_container: Vec<Hook>,
    /// In the container, before its program is executed.
    pub(crate) start_container: Vec<Hook>,
    /// In the runtime's namespaces, after the program is executed.
    pub(crate) poststart: Vec<Hook>,
    /// In the runtime's namespaces, after the container is deleted.
    pub(crate) poststop: Vec<Hook>,
}

/// One program; it reads the container's state from its standard input.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Hook {
    /// Absolute path.
    pub(crate) path: String,
    /// `argv`, program name included; just `path` when empty.
    pub(crate) args: Vec<String>,
    /// Environment, `NAME=value`.
    pub(crate) env: Vec<String>,
    /// Seconds, above zero, after which the hook is killed and has failed.
    pub(crate) timeout: Option<i64>,
}
