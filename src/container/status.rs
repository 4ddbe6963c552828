//! The state machine: which status a container has, and what it allows.
//!
//! A status is never read from disk. It is derived from the kernel: is the
//! init that was recorded alive (pid and start time), is it frozen, does it
//! still listen for `start`?

use std::fmt;

use crate::error::{Error, Result};

/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/runtime.md#state>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// `create` is at work on it.
    Creating,
    /// Init waits for `start`.
    Created,
    /// The container's program runs.
    Running,
    /// All its processes are frozen. Not one of the spec's, but every engine
    /// knows it.
    Paused,
    /// The program has ended, or was never there.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        })
    }
}

/// What a command wants of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Start,
    Pause,
    Resume,
    Update,
    Exec,
    Kill,
    Checkpoint,
    Delete,
    /// `delete --force`: whoever is at work on it is ended.
    ForceDelete,
    /// By who has made it, in any status; but nobody is ended for it.
    Remove,
}

impl Status {
    /// Checks that `op` is allowed now. This table is the whole state machine;
    /// its words are runc's, which engines look for.
    pub(crate) fn permit(self, op: Op, id: &str) -> Result<()> {
        use Status::{Created, Creating, Paused, Running, Stopped};
        let words = match (op, self) {
            (Op::Start, Created)
            | (Op::Exec | Op::Pause, Created | Running)
            | (Op::Resume, Paused)
            | (Op::Checkpoint, Running | Paused)
            | (Op::Kill | Op::Update, Created | Running | Paused)
            // As in runc, a created container can be deleted: engines do so
            // when they give up between `create` and `start`.
            | (Op::Delete, Stopped | Created)
            | (Op::ForceDelete | Op::Remove, _) => return Ok(()),
            (Op::Start, Stopped) => "cannot start a container that has stopped".to_owned(),
            (Op::Start, Running) => "cannot start an already running container".to_owned(),
            (Op::Start, status @ (Creating | Paused)) => format!("cannot start a container in the {status} state"),
            (Op::Pause, Paused) => "container not running: it is paused already".to_owned(),
            (Op::Pause | Op::Update | Op::Kill, Creating | Stopped) => {
                "container not running".to_owned()
            }
            (Op::Resume, Created | Running | Creating | Stopped) => {
                "container not paused".to_owned()
            }
            (Op::Checkpoint, status @ (Creating | Created | Stopped)) => {
                format!("Container cannot be checkpointed in {status} state")
            }
            (Op::Exec, Paused) => {
                "cannot exec in a paused container (use --ignore-paused to override)".to_owned()
            }
            (Op::Exec, Stopped) => "cannot exec in a stopped container".to_owned(),
            (Op::Exec, Creating) => "cannot exec in a container that is being created".to_owned(),
            (Op::Delete, status @ (Running | Paused | Creating)) => {
                format!("cannot delete container {id} that is not stopped: {status}")
            }
        };
        Err(Error::WrongStatus { words })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Status; 5] =
        [Status::Creating, Status::Created, Status::Running, Status::Paused, Status::Stopped];

    fn allowed(op: Op) -> Vec<Status> {
        ALL.into_iter().filter(|status| status.permit(op, "x").is_ok()).collect()
    }

    /// runtime.md#start, #kill and #delete: any other status MUST be an error.
    #[test]
    fn each_operation_has_its_statuses() {
        assert_eq!(allowed(Op::Start), [Status::Created]);
        assert_eq!(allowed(Op::Exec), [Status::Created, Status::Running]);
        assert_eq!(allowed(Op::Kill), [Status::Created, Status::Running, Status::Paused]);
        assert_eq!(allowed(Op::Update), [Status::Created, Status::Running, Status::Paused]);
        assert_eq!(allowed(Op::Pause), [Status::Created, Status::Running]);
        assert_eq!(allowed(Op::Resume), [Status::Paused]);
        assert_eq!(allowed(Op::Checkpoint), [Status::Running, Status::Paused]);
        assert_eq!(allowed(Op::Delete), [Status::Created, Status::Stopped]);
    }

    /// containerd's shim looks for the first, CRI-O too.
    #[test]
    fn words_that_engines_match() {
        assert_eq!(
            Status::Stopped.permit(Op::Kill, "x").unwrap_err().to_string(),
            "container not running"
        );
        assert_eq!(
            Status::Running.permit(Op::Delete, "x").unwrap_err().to_string(),
            "cannot delete container x that is not stopped: running"
        );
    }
}
