//! Real engines on the runtime: what their users do, each as one test.
//!
//! `hack/engines` makes the images and runs this; alone it skips all tests.
//! Each section has a private place (`place.sh`) with its daemon in it. A test
//! is this program once more, inside that place: `engines --inside NAME`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on panics"
)]
#![allow(
    clippy::doc_markdown,
    clippy::too_many_lines,
    reason = "a quotation stays as it is, and a list is as long as it is"
)]

mod attempt;
mod breakout;
mod buildah;
mod containerd;
mod cri;
mod docker;
mod place;
mod podman;
mod rootless;
mod runtimes;
mod section;
mod shell;
#[allow(dead_code, reason = "shared with the other suite, which uses all of it")]
#[path = "../support/terminal.rs"]
mod terminal;
mod userns;
#[allow(dead_code, reason = "shared with the other suite, which uses all of it")]
#[path = "../support/wait.rs"]
mod wait;

use std::process::ExitCode;

use section::Section;

/// Most scenarios wait for something; more would only slow each other down.
const THREADS: usize = 4;

fn sections() -> Vec<Section> {
    vec![
        docker::section(),
        userns::section(),
        breakout::section(),
        containerd::section(),
        cri::section(),
        podman::section(),
        rootless::section(),
        buildah::section(),
    ]
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, name] = &arguments[..]
        && flag == "--inside"
    {
        return section::inside(&sections(), name);
    }
    if let [_, "--attempt", what] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        return attempt::run(what);
    }
    let mut arguments = libtest_mimic::Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let outside = section::outside(sections());
    let conclusion = libtest_mimic::run(&arguments, outside.trials());
    outside.end();
    conclusion.exit_code()
}
