//! The lifecycle, in the runtime's process.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/runtime.md#lifecycle>

pub(crate) mod agent;
pub(crate) mod checkpoint;
pub(crate) mod create;
pub(crate) mod criu;
pub(crate) mod delete;
pub(crate) mod events;
pub(crate) mod exec;
mod foreground;
pub(crate) mod guard;
mod holder;
mod host_mounts;
pub(crate) mod id;
pub(crate) mod kill;
mod lsm;
mod net_devices;
mod notify;
pub(crate) mod pause;
pub(crate) mod resctrl;
pub(crate) mod restore;
pub(crate) mod run;
pub(crate) mod start;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod store;
mod terminal;
mod undo;
pub(crate) mod update;
