//! Black-box tests of an OCI runtime, through its executable.
//!
//! `RUNTIME=/usr/sbin/runc cargo test --test conformance` runs them on another
//! runtime; `-- --ids` prints what each test holds and who is known to break
//! it. With `ALLOWED_SKIPS=FILE` (names of tests, or reasons), any other
//! skip is a failure.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test that cannot go on panics, and owns what it is given"
)]
#![allow(
    clippy::doc_markdown,
    clippy::too_many_lines,
    reason = "a quotation stays as it is, and a list is as long as it is"
)]

mod cli;
mod meta;
mod security;
mod spec;
mod support;

use std::process::ExitCode;

use support::registry::{self, Test};

/// Enough to keep two processors busy; more hangs small machines.
const THREADS: usize = 4;

fn main() -> ExitCode {
    let tests = [meta::tests(), spec::tests(), cli::tests(), security::tests()].concat();
    if std::env::args().any(|argument| argument == "--ids") {
        print!("{}", registry::table(&tests));
        return ExitCode::SUCCESS;
    }
    let mut arguments = libtest_mimic::Arguments::from_args();
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(tests)).exit_code();
    }
    if let Some(code) = support::reaper::supervise() {
        return code;
    }
    arguments.test_threads.get_or_insert(THREADS);
    registry::keep_panics();
    support::scratch::set_up();
    let conclusion = libtest_mimic::run(&arguments, trials(tests));
    support::scratch::tear_down();
    conclusion.exit_code()
}

fn trials(tests: Vec<Test>) -> Vec<libtest_mimic::Trial> {
    tests.into_iter().map(Test::into_trial).collect()
}
