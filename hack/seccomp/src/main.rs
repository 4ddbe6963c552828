//! Checks and measures the seccomp compiler of minke, whose sources are part
//! of this program. See `hack/seccomp-compare`, `hack/seccomp-oracle` and
//! `hack/bench-seccomp`.

// Parts of minke are used that it has for itself.
#![allow(dead_code)]

mod bench;
mod compare;
mod generate;
mod kernel;
mod libseccomp;
mod oracle;
mod running;
#[path = "../../../src/seccomp/mod.rs"]
mod seccomp;
#[path = "../../../src/spec"]
mod spec {
    pub(crate) mod seccomp;
}
#[path = "../../../src/sys"]
mod sys {
    pub(crate) mod seccomp;
}

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["compare", calls, seed] => compare::run(calls, seed),
        ["oracle", profiles, calls, seed, files @ ..] => oracle::run(profiles, calls, seed, files),
        ["kernel", calls, seed] => kernel::run(calls, seed),
        ["pause"] => running::pause(),
        ["running", pid, file, calls] => running::run(pid, file, calls),
        ["bench", rounds, file] => bench::run(rounds, file),
        _ => Err("usage: minke-seccomp-tools bench ROUNDS FILE\n       \
                  minke-seccomp-tools compare CALLS SEED\n       \
                  minke-seccomp-tools kernel CALLS SEED\n       \
                  minke-seccomp-tools oracle PROFILES CALLS SEED [FILE]..."
            .into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(told) => {
            eprintln!("{told}");
            ExitCode::FAILURE
        }
    }
}

/// The profile in `file`: a `linux.seccomp` object.
fn read(file: &str) -> Result<spec::seccomp::Seccomp, String> {
    let text = std::fs::read(file).map_err(|e| format!("{file}: {e}"))?;
    serde_json::from_slice(&text).map_err(|e| format!("{file}: {e}"))
}
