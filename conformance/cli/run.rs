//! `run`, and what else `create` is asked for by engines.

use std::fs;

use rustix::process::Signal;

use crate::support::needs::needs;
use crate::support::terminal::Receiver;
use crate::support::wait::{self, PATIENCE};
use crate::support::{Case, Test, test, until};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("1.6", run_exits_as_the_program_does),
        test!("1.6", run_of_a_program_that_a_signal_ends_exits_with_128_more),
        test!("1.2", run_removes_the_container_at_its_end),
        test!("1.2", run_keep_leaves_the_stopped_container)
            .fails_on("crun 1.8", "another command line"),
        test!("1.2", run_detach_comes_back_at_once),
        test!("1.2", run_passes_signals_on),
        test!("1.2", run_waits_for_init_and_not_for_its_children)
            .may_fail_on("runc 1.1", "removes the cgroup before all have left it")
            .fails_on("crun 1.8", "waits for all"),
        test!("1.2", the_bundle_is_the_working_directory_without_a_word),
        test!("1.2", the_pid_file_has_the_pid_and_no_newline),
        test!("1.2", a_relative_pid_file_starts_where_the_caller_is)
            .fails_on("crun 1.8", "starts in the bundle"),
        test!("1.2", a_pid_file_that_cannot_be_written_fails_and_leaves_nothing),
        test!("1.2", an_old_pid_file_is_replaced).fails_on("crun", "writes into it"),
        test!("1.2", the_pidfd_socket_gets_a_pidfd_of_init)
            .needs(needs![create_option("pidfd-socket")]),
        test!("1.2", many_containers_can_be_created_at_once),
    ]
}

/// The process status.
fn run_exits_as_the_program_does(case: &Case) {
    for code in [0, 1, 42, 255] {
        case.bundle().sh(&format!("exit {code}")).run().exits(code);
    }
    case.leaves_nothing();
}

/// 128 + N.
fn run_of_a_program_that_a_signal_ends_exits_with_128_more(case: &Case) {
    let bundle = case.bundle().sleeps();
    let run = bundle.launch("run", &[]).spawn();
    run.until_prints("ready");
    bundle.kill("KILL").ok();
    run.wait().exits(137);
}

/// Nothing for delete to do.
fn run_removes_the_container_at_its_end(case: &Case) {
    case.bundle().run().ok();
    assert_eq!(case.ids(), [""; 0]);
    case.leaves_nothing();
}

/// `--keep`, as BuildKit uses it.
fn run_keep_leaves_the_stopped_container(case: &Case) {
    let bundle = case.bundle().sh("exit 3");
    bundle.run_with(&["--keep"]).exits(3);
    assert_eq!(bundle.status(), "stopped");
    bundle.delete().ok();
}

/// `--detach`: the program runs on.
fn run_detach_comes_back_at_once(case: &Case) {
    for option in ["--detach", "-d"] {
        let bundle = case.bundle().sleeps();
        bundle.run_with(&[option]).ok();
        assert_eq!(bundle.status(), "running");
        bundle.end();
    }
}

/// All but those that are about the runtime itself.
fn run_passes_signals_on(case: &Case) {
    let script = "for s in HUP USR1 USR2 TERM; do trap \"echo $s\" $s; done; trap 'exit 5' INT; echo ready; \
        while :; do sleep 0.01; done";
    let bundle = case.bundle().sh(script);
    let run = bundle.launch("run", &[]).spawn();
    run.until_prints("ready");
    for (signal, name) in [
        (Signal::HUP, "HUP"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
        (Signal::TERM, "TERM"),
    ] {
        run.signal(signal);
        run.until_prints(&format!("{name}\n"));
    }
    run.signal(Signal::INT);
    run.wait().exits(5);
}

/// Orphans become children of the runtime, which is a subreaper.
fn run_waits_for_init_and_not_for_its_children(case: &Case) {
    let bundle = case.bundle().without_namespace("pid").sh("(setsid sleep 1000 &); exit 7");
    bundle.run().exits(7);
    case.leaves_nothing();
}

/// "`--bundle` … (default: the current directory)".
fn the_bundle_is_the_working_directory_without_a_word(case: &Case) {
    let bundle = case.bundle().sh("echo ran");
    bundle.write_config();
    let run = case.runtime(["run", &bundle.id]).directory(&bundle.dir).run();
    bundle.settle(run).ok().prints("ran\n");
}

/// Decimal, for the process that `state` tells.
fn the_pid_file_has_the_pid_and_no_newline(case: &Case) {
    let bundle = case.bundle();
    let file = case.path("pid");
    bundle.create_with(&["--pid-file", file.to_str().unwrap()]).ok();
    assert_eq!(case.read("pid"), bundle.pid().to_string());
}

/// It is made absolute before the runtime goes to the bundle.
fn a_relative_pid_file_starts_where_the_caller_is(case: &Case) {
    let bundle = case.bundle();
    bundle.create_with(&["--pid-file", "here.pid"]).ok();
    assert_eq!(case.read("here.pid"), bundle.pid().to_string());
    assert!(!bundle.dir.join("here.pid").exists());
}

/// An engine would wait for it forever.
fn a_pid_file_that_cannot_be_written_fails_and_leaves_nothing(case: &Case) {
    case.bundle().create_with(&["--pid-file", "/no/such/directory/pid"]).fails();
    case.leaves_nothing();
}

/// Whole or not at all: by rename.
fn an_old_pid_file_is_replaced(case: &Case) {
    let file = case.path("pid");
    fs::write(&file, "12345678901234567890").unwrap();
    let old = fs::File::open(&file).unwrap();
    let bundle = case.bundle();
    bundle.create_with(&["--pid-file", file.to_str().unwrap()]).ok();
    assert_eq!(case.read("pid"), bundle.pid().to_string());
    assert_eq!(std::io::read_to_string(old).unwrap(), "12345678901234567890");
}

/// `--pidfd-socket`: one descriptor, which tells the end of init.
fn the_pidfd_socket_gets_a_pidfd_of_init(case: &Case) {
    let socket = Receiver::new(case.path("pidfd.sock"));
    let bundle = case.bundle().sleeps();
    bundle.create_with(&["--pidfd-socket", socket.path()]).ok();
    let (pidfd, _) = socket.receive();
    assert!(!wait::readable(&pidfd, std::time::Duration::ZERO), "it lives");
    bundle.kill("KILL").ok();
    assert!(wait::readable(&pidfd, PATIENCE), "it has ended");
}

/// Engines start pods all at once.
fn many_containers_can_be_created_at_once(case: &Case) {
    let bundles: Vec<_> = (0..8).map(|_| case.bundle().sleeps()).collect();
    let creates: Vec<_> =
        bundles.iter().map(|bundle| bundle.launch("create", &[]).spawn()).collect();
    for (bundle, create) in bundles.iter().zip(creates) {
        bundle.settle(create.wait()).ok();
    }
    let starts: Vec<_> =
        bundles.iter().map(|bundle| bundle.command("start", &[]).spawn()).collect();
    for start in starts {
        start.wait().ok();
    }
    until("all to run", || bundles.iter().all(|bundle| bundle.status() == "running"));
    let deletes: Vec<_> =
        bundles.iter().map(|bundle| bundle.command("delete", &["--force"]).spawn()).collect();
    for delete in deletes {
        delete.wait().ok();
    }
    case.leaves_nothing();
}
