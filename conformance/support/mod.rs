//! What the tests are written with: cases, bundles, commands, and the check
//! that nothing is left behind.

pub(crate) mod bundle;
pub(crate) mod case;
pub(crate) mod command;
pub(crate) mod fields;
pub(crate) mod leaks;
pub(crate) mod mountinfo;
pub(crate) mod needs;
pub(crate) mod old_kernel;
pub(crate) mod reaper;
pub(crate) mod registry;
pub(crate) mod runtime;
pub(crate) mod scratch;
pub(crate) mod terminal;
pub(crate) mod wait;

pub(crate) use bundle::Bundle;
pub(crate) use case::Case;
pub(crate) use registry::{Test, test};
pub(crate) use serde_json::{Value, json};
pub(crate) use wait::until;
