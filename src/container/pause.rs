//! `pause` and `resume`: all processes stop where they are, and go on.

use super::status::Op;
use super::store::Store;
use crate::error::Result;

/// Freezes the container `id`; the result is there once all have stopped.
pub(crate) fn pause(store: &Store, id: &str) -> Result<()> {
    let (_container, record, _) = store.lock_for(id, Op::Pause)?;
    record.cgroups.freeze()
}

/// Thaws it.
pub(crate) fn resume(store: &Store, id: &str) -> Result<()> {
    let (_container, record, _) = store.lock_for(id, Op::Resume)?;
    record.cgroups.thaw()
}
