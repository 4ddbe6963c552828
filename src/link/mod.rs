//! The two ends of a launch: the runtime and the container's init.

pub(crate) mod parent;
pub(crate) mod userns;
pub(crate) mod wire;
pub(crate) mod words;
