//! `ps`: the processes of a container.

use std::process::{Command, Stdio};

use super::lifecycle::store;
use super::{broken, print};
use crate::cli::{Global, Matches};
use crate::error::{Error, Result};

pub(super) fn run(global: &Global, matches: &Matches) -> Result<u8> {
    let record = store(global).open(matches.arg(0))?.record()?;
    // Without cgroups nobody but init is known to be the container's.
    let pids = record.cgroups.processes().unwrap_or_else(|| {
        let alive = record.init.filter(|init| init.alive().is_some());
        alive.map(|init| init.pid).into_iter().collect()
    });
    match matches.text("format").unwrap_or("table") {
        "json" => {
            let pids: Vec<String> = pids.iter().map(i32::to_string).collect();
            print(&format!("[{}]\n", pids.join(",")))?;
        }
        "table" => print(&table(&pids, matches.args().get(1..).unwrap_or_default())?)?,
        other => return Err(Error::usage(format!("invalid format option: {other:?}"))),
    }
    Ok(0)
}

/// The lines of the host's `ps` that are about `pids`, and its header.
fn table(pids: &[i32], options: &[String]) -> Result<String> {
    let default = ["-ef".to_owned()];
    let options = if options.is_empty() { &default } else { options };
    let output = Command::new("ps").args(options).stdin(Stdio::null()).output();
    let output = output.map_err(|e| broken("run ps", &e))?;
    let (text, said) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        return Err(Error::Broken {
            what: format!("ps {}", options.join(" ")),
            why: format!("{}: {}", output.status, said.trim()),
        });
    }
    filter(&text, pids)
}

fn filter(text: &str, pids: &[i32]) -> Result<String> {
    let missing = || Error::Broken { what: "ps".into(), why: "its output has no PID field".into() };
    let header = text.lines().next().ok_or_else(missing)?;
    let at = header.split_whitespace().position(|name| name == "PID").ok_or_else(missing)?;
    let is_ours = |line: &&str| {
        let pid = line.split_whitespace().nth(at).and_then(|pid| pid.parse().ok());
        pid.is_some_and(|pid: i32| pids.contains(&pid))
    };
    let lines = std::iter::once(header).chain(text.lines().skip(1).filter(is_ours));
    Ok(lines.flat_map(|line| [line, "\n"]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_chosen_by_their_pid_column() {
        let text = "UID  PID PPID CMD\nroot 1 7 init\nroot 7 1 sh 1\nroot 17 1 x\n";
        assert_eq!(filter(text, &[7]).unwrap(), "UID  PID PPID CMD\nroot 7 1 sh 1\n");
        assert!(filter("CMD\nx\n", &[7]).is_err());
        assert!(filter("", &[7]).is_err());
    }
}
