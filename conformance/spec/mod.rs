//! The runtime specification, a file for each of its sections.
//! <https://github.com/opencontainers/runtime-spec/tree/v1.3.0>

mod hooks;
mod lifecycle;
mod mounts;
mod state;

use crate::support::Test;

pub(crate) fn tests() -> Vec<Test> {
    [hooks::tests(), lifecycle::tests(), mounts::tests(), state::tests()].concat()
}
