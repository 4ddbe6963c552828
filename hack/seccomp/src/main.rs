//! Checks and measures the seccomp compiler of minke, whose sources are part
//! of this program. See `hack/seccomp-compare`, `hack/seccomp-oracle` and
//! `hack/bench-seccomp`.

// Parts of minke are used that it has for itself.
#![allow(dead_code)]

mod compare;
mod generate;
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
        _ => Err("usage: minke-seccomp-tools compare CALLS SEED".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(told) => {
            eprintln!("{told}");
            ExitCode::FAILURE
        }
    }
}
