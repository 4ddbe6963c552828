//! Control groups: limits, device rules, and where a container's processes
//! are.

pub(crate) mod bpf;
pub(crate) mod devices;
pub(crate) mod held;
pub(crate) mod limits;
pub(crate) mod translate;
