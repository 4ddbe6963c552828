//! The runtime specification, a file for each of its sections.
//! <https://github.com/opencontainers/runtime-spec/tree/v1.3.0>

mod attributes;
mod bad_fields;
mod bind_mounts;
mod cgroups;
mod credentials;
mod devices;
pub(crate) mod filters;
mod hooks;
mod intel_rdt;
mod lifecycle;
mod limits;
mod masked_paths;
mod mount_options;
mod mounts;
mod namespaces;
mod net_devices;
mod no_mount_namespace;
mod process;
mod rootfs;
mod rootless;
mod schema;
mod state;
mod sysctl;
mod systemd;
mod user_manager;
mod user_namespace_edges;
pub(crate) mod user_namespaces;

use crate::support::Test;

pub(crate) fn tests() -> Vec<Test> {
    [
        attributes::tests(),
        bad_fields::tests(),
        bind_mounts::tests(),
        cgroups::tests(),
        credentials::tests(),
        devices::tests(),
        filters::tests(),
        hooks::tests(),
        intel_rdt::tests(),
        lifecycle::tests(),
        limits::tests(),
        masked_paths::tests(),
        mount_options::tests(),
        mounts::tests(),
        namespaces::tests(),
        net_devices::tests(),
        no_mount_namespace::tests(),
        process::tests(),
        rootfs::tests(),
        rootless::tests(),
        schema::tests(),
        state::tests(),
        sysctl::tests(),
        systemd::tests(),
        user_manager::tests(),
        user_namespaces::tests(),
        user_namespace_edges::tests(),
    ]
    .concat()
}
