//! `kill`: a signal for the container's init, or for all of its processes.

use super::status::{Op, Status};
use super::store::{Record, Store};
use crate::error::{Doing, Error, Result};
use crate::sys::Errno;

const SIGKILL: i32 = 9;

/// Sends `signal` to the init of container `id`. Nothing on disk changes, so
/// no lock is taken: a container can be killed whatever else is at work on it.
///
/// With `all`, as engines ask where there is no pid namespace, a container
/// that is not running is no error.
pub(crate) fn kill(store: &Store, id: &str, signal: i32, all: bool) -> Result<()> {
    let container = store.open(id)?;
    let record = container.record()?;
    let Some(alive) = record.init.and_then(super::store::InitId::alive) else {
        if all {
            return kill_all(&record, signal);
        }
        return Status::Stopped.permit(Op::Kill, id);
    };
    let by_cgroup = all || signal == SIGKILL && record.shares_pid_namespace;
    if by_cgroup && !record.cgroups.is_none() {
        return kill_all(&record, signal);
    }
    let sent = alive.send(signal);
    if signal == SIGKILL {
        record.cgroups.let_killed_end();
    }
    match sent {
        Err(Errno::SRCH) => Status::Stopped.permit(Op::Kill, id),
        other => other.doing(|| format!("signal container {id:?}")),
    }
}

/// Without a pid namespace of its own, the end of init is not the end of the
/// others: only the cgroup knows them.
fn kill_all(record: &Record, signal: i32) -> Result<()> {
    if signal == SIGKILL {
        return record.cgroups.kill_all();
    }
    record.cgroups.signal_all(signal);
    Ok(())
}

/// The number of a signal: `9`, `KILL` or `SIGKILL`, in any case.
pub(crate) fn parse_signal(text: &str) -> Result<i32> {
    let unknown = || Error::usage(format!("unknown signal {text:?}"));
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=64).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let known = NAMES.iter().find(|(known, _)| *known == name);
    match (known, name.strip_prefix("RTMIN").map(|rest| rest.trim_start_matches('+'))) {
        (Some((_, number)), _) => Ok(*number),
        (None, Some("")) => Ok(34),
        (None, Some(offset)) => match offset.parse::<i32>() {
            Ok(offset) if (0..=30).contains(&offset) => Ok(34 + offset),
            _ => Err(unknown()),
        },
        (None, None) => Err(unknown()),
    }
}

/// signal(7): the numbers of all architectures but alpha, mips, parisc, sparc.
const NAMES: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
    ("RTMAX", 64),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_numbers_and_names() {
        for (text, number) in
            [("9", 9), ("KILL", 9), ("sigterm", 15), ("SIGRTMIN", 34), ("rtmin+3", 37), ("64", 64)]
        {
            assert_eq!(parse_signal(text).ok(), Some(number), "{text}");
        }
        for text in ["", "0", "-9", "65", "NOPE", "SIG", "RTMIN+31"] {
            assert!(parse_signal(text).is_err(), "{text}");
        }
    }
}
