//! Rules about the source tree itself.

use crate::support::Test;

pub(crate) fn tests() -> Vec<Test> {
    Vec::new()
}
