//! runtime.md: operations and lifecycle.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::wait::{alive, ended};
use crate::support::{Case, Test, json, leaks, test, until};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("L1", create_applies_the_configuration),
        test!("L2", the_program_does_not_run_before_start),
        test!("L3", a_config_changed_after_create_has_no_effect),
        test!("L3", a_config_removed_after_create_is_not_missed),
        test!("L4", create_with_an_id_that_is_in_use_fails),
        test!("L4", run_with_an_id_that_is_in_use_fails),
        test!("L4", create_with_an_invalid_id_fails)
            .fails_on("crun 1.8", "takes ids that are paths"),
        test!("L4", an_id_of_all_allowed_characters_works),
        test!("L4", of_creates_with_one_id_at_the_same_time_one_wins)
            .may_fail_on("crun 1.8", "they delete each other's state")
            .may_fail_on("runc 1.1", "they delete each other's state"),
        test!("L9", deletes_at_the_same_time_do_not_disturb_each_other)
            .may_fail_on("crun 1.8", "it is an error to come late"),
        test!("L5", a_create_that_fails_at_a_mount_leaves_nothing),
        test!("L5", a_create_that_fails_at_the_program_leaves_nothing),
        test!("L5", a_create_whose_init_is_killed_fails_and_leaves_nothing),
        test!("L6", start_of_a_running_container_fails),
        test!("L6", start_of_a_stopped_container_fails),
        test!("L6", start_of_a_container_whose_init_was_killed_fails_at_once),
        test!("L6", start_of_a_container_whose_init_dies_before_exec_fails)
            .needs(crate::support::needs::needs![minke, file("/usr/bin/strace")]),
        test!("L7", a_container_without_process_does_not_start),
        test!("L7", a_container_without_process_is_created_and_ends_at_start)
            .fails_on("runc", "refuses to create it")
            .fails_on(
                "crun 1.8",
                "fails at create: \"max number of capabilities not initialized\"",
            ),
        test!("L7", run_of_a_container_without_process_fails_and_leaves_nothing)
            .fails_on("crun 1.8", "says \"max number of capabilities not initialized\""),
        test!("L8", kill_of_a_stopped_container_fails),
        test!("L8", kill_sends_the_signal_to_a_running_container),
        test!("L8", kill_sends_the_signal_to_a_created_container),
        test!("L9", delete_of_a_running_container_fails),
        test!("L9", delete_of_a_created_container_ends_it),
        test!("L9", delete_force_ends_a_running_container),
        test!("L10", delete_keeps_what_create_has_not_made),
        test!("L11", the_id_of_a_deleted_container_is_free_again),
        test!("L12", operations_on_an_unknown_container_fail),
        test!("lifecycle", an_init_that_waits_is_small)
            .fails_on("runc", "9 MiB of Go")
            .may_fail_on("crun", "2 MiB, which is little enough for a debug build"),
        test!("L12", delete_force_of_an_unknown_container_is_silent),
        test!("L12", operations_without_an_id_fail),
    ]
}

/// "All of the properties configured in config.json except for process MUST be
/// applied" by create: the mounts are there, and the cgroup, before start.
fn create_applies_the_configuration(case: &Case) {
    let bundle = case.bundle().directory("data").mount("/data", "tmpfs", "data", &["size=64k"]);
    bundle.create().ok();
    let proc = format!("/proc/{}", bundle.pid());
    let mounts = fs::read_to_string(format!("{proc}/mountinfo")).unwrap();
    assert!(mounts.contains(" /data "), "{mounts}");
    let cgroup = fs::read_to_string(format!("{proc}/cgroup")).unwrap();
    assert!(cgroup.contains(&bundle.id), "{cgroup}");
}

/// "process.args MUST NOT be applied until triggered by the start operation".
fn the_program_does_not_run_before_start(case: &Case) {
    let bundle = case.bundle().sh("echo ran");
    let created = bundle.create().ok();
    assert_eq!(bundle.status(), "created");
    assert_eq!(created.stdout_by_now(), "");
    bundle.start().ok();
    bundle.until_stopped();
    assert_eq!(created.stdout_by_now(), "ran\n");
}

/// "Any updates to config.json after this step MUST NOT affect the container."
fn a_config_changed_after_create_has_no_effect(case: &Case) {
    let bundle = case.bundle().sh("echo before");
    let created = bundle.create().ok();
    let trace = case.path("trace");
    let bundle =
        bundle.sh("echo after").hook("poststart", &format!("echo changed > {}", trace.display()));
    bundle.write_config();
    bundle.start().ok();
    bundle.until_stopped();
    assert_eq!(created.stdout_by_now(), "before\n");
    assert!(!trace.exists());
}

/// The same: start and delete work, and run the hooks, without a config.json.
fn a_config_removed_after_create_is_not_missed(case: &Case) {
    let trace = case.path("trace");
    let bundle =
        case.bundle().sh("echo ran").hook("poststop", &format!("echo done > {}", trace.display()));
    let created = bundle.create().ok();
    fs::remove_file(bundle.dir.join("config.json")).unwrap();
    bundle.start().ok();
    bundle.until_stopped();
    bundle.delete().ok();
    assert_eq!(created.stdout_by_now(), "ran\n");
    assert_eq!(case.read("trace"), "done\n");
}

/// "If the ID provided is not unique … the implementation MUST generate an
/// error and a new container MUST NOT be created"; the old one stays.
fn create_with_an_id_that_is_in_use_fails(case: &Case) {
    let bundle = case.bundle().running();
    let before = bundle.state();
    bundle.launch("create", &[]).run().fails().says("exist");
    assert_eq!(bundle.state(), before);
    assert!(alive(bundle.pid()));
}

/// The same for run, whose clean-up must not take the other container away.
fn run_with_an_id_that_is_in_use_fails(case: &Case) {
    let bundle = case.bundle();
    bundle.create().ok();
    let before = bundle.state();
    bundle.launch("run", &[]).run().fails().says("exist");
    assert_eq!(bundle.state(), before);
}

/// "… or is not valid in any other way, the implementation MUST generate an
/// error and a new container MUST NOT be created."
fn create_with_an_invalid_id_fails(case: &Case) {
    let bundle = case.bundle();
    bundle.write_config();
    let dir = bundle.dir.to_str().unwrap();
    for id in
        ["", ".", "..", "../up", "a/b", "/abs", "with space", "new\nline", "ümlaut", "semi;colon"]
    {
        case.runtime(["create", "--bundle", dir, id]).run().fails();
    }
    case.leaves_nothing();
}

/// runc's and every engine's alphabet for ids.
fn an_id_of_all_allowed_characters_works(case: &Case) {
    let mut bundle = case.bundle();
    bundle.id = format!("{}aZ09_+.-", case.tag);
    bundle.create().ok();
    assert_eq!(bundle.state()["id"], json!(bundle.id));
}

/// The same, with nobody first.
fn of_creates_with_one_id_at_the_same_time_one_wins(case: &Case) {
    let bundle = case.bundle();
    for _ in 0..5 {
        let creates: Vec<_> = (0..4).map(|_| bundle.launch("create", &[]).spawn()).collect();
        let codes: Vec<_> = creates.into_iter().map(|create| create.wait().code()).collect();
        assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
        assert_eq!(bundle.status(), "created");
        bundle.delete_force().ok();
        case.leaves_nothing();
    }
}

/// By force it is no error to come late.
fn deletes_at_the_same_time_do_not_disturb_each_other(case: &Case) {
    for _ in 0..5 {
        let bundle = case.bundle().running();
        let deletes: Vec<_> =
            (0..4).map(|_| bundle.command("delete", &["--force"]).spawn()).collect();
        for delete in deletes {
            delete.wait().ok();
        }
        case.leaves_nothing();
    }
}

/// errors: "generating an error MUST leave the state of the environment as if
/// the operation were never attempted".
fn a_create_that_fails_at_a_mount_leaves_nothing(case: &Case) {
    let bundle = case.bundle().mount("/x", "nosuchfs", "none", &[]);
    bundle.create().fails().says("no such device");
    case.leaves_nothing();
}

/// The same for the last step, the look-up of the program: found at create or,
/// where create leaves it to start, at start.
fn a_create_that_fails_at_the_program_leaves_nothing(case: &Case) {
    let bundle = case.bundle().args(&["no-such-program"]);
    bundle.run().fails().says("executable file not found");
    case.leaves_nothing();
}

/// A container that dies on the way is an error, not a created container.
fn a_create_whose_init_is_killed_fails_and_leaves_nothing(case: &Case) {
    case.bundle().hook("createRuntime", "kill -KILL $pid; sleep 0.1").create().fails();
    case.leaves_nothing();
}

/// "Attempting to start a container that is not created MUST have no effect on
/// the container and MUST generate an error."
fn start_of_a_running_container_fails(case: &Case) {
    let bundle = case.bundle().running();
    let before = bundle.state();
    bundle.start().fails().says("running");
    assert_eq!(bundle.state(), before);
}

/// The same.
fn start_of_a_stopped_container_fails(case: &Case) {
    let bundle = case.bundle();
    bundle.started();
    bundle.until_stopped();
    bundle.start().fails().says("stopped");
    assert_eq!(bundle.status(), "stopped");
}

/// By the OOM killer, say: `start` must not wait for it.
fn start_of_a_container_whose_init_was_killed_fails_at_once(case: &Case) {
    let bundle = case.bundle();
    bundle.create().ok();
    let init = rustix::process::Pid::from_raw(bundle.pid()).unwrap();
    rustix::process::kill_process(init, rustix::process::Signal::KILL).unwrap();
    let begin = Instant::now();
    bundle.start().fails();
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_eq!(bundle.status(), "stopped");
}

/// Killed after its last word, on its way into exec: the end of the stream is
/// no answer. Whoever reaps it may be quicker than the look at how it ended, on
/// a busy machine more often than not, but not forty times.
fn start_of_a_container_whose_init_dies_before_exec_fails(case: &Case) {
    let told = (0..40).any(|_| {
        let bundle = case.bundle();
        bundle.create().ok();
        let mut strace = killed_at_exec(bundle.pid());
        let start = bundle.start();
        strace.wait().unwrap();
        assert_eq!(bundle.status(), "stopped");
        start.stderr.contains("container init died before it could execute the program")
            && start.code() == 1
    });
    assert!(told);
}

/// Has a process killed when it enters `execve`.
fn killed_at_exec(pid: i32) -> std::process::Child {
    let strace = std::process::Command::new("/usr/bin/strace")
        .args(["-qq", "-o", "/dev/null", "-e", "inject=execve:signal=KILL", "-p", &pid.to_string()])
        .spawn()
        .unwrap();
    until("strace to be attached", || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        !status.contains("TracerPid:\t0\n")
    });
    strace
}

/// start: "MUST generate an error if process was not set"; create may do so.
fn a_container_without_process_does_not_start(case: &Case) {
    let bundle = case.bundle().remove("/process");
    if bundle.create().code() == 0 {
        bundle.start().fails();
    } else {
        case.leaves_nothing();
    }
}

/// "All of the properties configured in config.json except for process MUST be
/// applied", and `process` is "REQUIRED when start is called": what is created
/// is a container, with its mounts and hooks.
fn a_container_without_process_is_created_and_ends_at_start(case: &Case) {
    let trace = case.path("trace");
    let note = |word: &str| format!("echo {word} >> {}", trace.display());
    let bundle = case
        .bundle()
        .directory("data")
        .mount("/data", "tmpfs", "data", &["size=64k"])
        .hook("createRuntime", &note("createRuntime"))
        .hook("poststart", &note("poststart"))
        .hook("poststop", &note("poststop"))
        .remove("/process");
    bundle.create().ok();
    assert_eq!(bundle.status(), "created");
    let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", bundle.pid())).unwrap();
    assert!(mounts.contains(" /data "), "{mounts}");

    bundle.start().fails().tells("process");
    bundle.until_stopped();
    bundle.start().fails();
    bundle.delete().ok();
    assert_eq!(case.read("trace"), "createRuntime\npoststop\n");

    let unstarted = case.bundle().remove("/process");
    unstarted.create().ok();
    unstarted.end();
}

fn run_of_a_container_without_process_fails_and_leaves_nothing(case: &Case) {
    let bundle = case.bundle().remove("/process");
    bundle.run().fails().tells("process");
    case.leaves_nothing();
}

/// "Attempting to send a signal to a container that is neither created nor
/// running MUST have no effect on the container and MUST generate an error."
/// Engines look for the words.
fn kill_of_a_stopped_container_fails(case: &Case) {
    let bundle = case.bundle();
    bundle.started();
    bundle.until_stopped();
    bundle.kill("KILL").fails().says("container not running");
    assert_eq!(bundle.status(), "stopped");
}

/// "This operation MUST send the specified signal to the container process."
fn kill_sends_the_signal_to_a_running_container(case: &Case) {
    let bundle = case
        .bundle()
        .sh("trap 'echo got it; exit 0' USR1; echo ready; while :; do sleep 0.01; done");
    let created = bundle.started();
    until("the trap", || created.stdout_by_now() == "ready\n");
    bundle.kill("USR1").ok();
    bundle.until_stopped();
    assert_eq!(created.stdout_by_now(), "ready\ngot it\n");
}

/// The same before start: nothing of the program runs.
fn kill_sends_the_signal_to_a_created_container(case: &Case) {
    let bundle = case.bundle().sh("echo ran");
    let created = bundle.create().ok();
    bundle.kill("KILL").ok();
    bundle.until_stopped();
    bundle.start().fails();
    assert_eq!(created.stdout_by_now(), "");
}

/// "Attempting to delete a container that is not stopped MUST have no effect on
/// the container and MUST generate an error."
fn delete_of_a_running_container_fails(case: &Case) {
    let bundle = case.bundle().running();
    let before = bundle.state();
    bundle.delete().fails().says("running");
    assert_eq!(bundle.state(), before);
    assert!(alive(bundle.pid()));
}

/// Here engines expect what runc does, not the letter of the standard: a
/// container that was never started is ended and deleted.
fn delete_of_a_created_container_ends_it(case: &Case) {
    let bundle = case.bundle();
    bundle.create().ok();
    let pid = bundle.pid();
    bundle.delete().ok();
    assert!(!alive(pid));
    case.leaves_nothing();
}

/// `delete --force` works on a container in any state.
fn delete_force_ends_a_running_container(case: &Case) {
    let bundle = case.bundle().running();
    let pid = bundle.pid();
    bundle.delete_force().ok();
    assert!(ended(pid, Duration::ZERO));
    case.leaves_nothing();
}

/// "Note that resources associated with the container, but not created by this
/// container, MUST NOT be deleted."
fn delete_keeps_what_create_has_not_made(case: &Case) {
    let volume = case.path("volume");
    fs::create_dir(&volume).unwrap();
    let bundle = case
        .bundle()
        .bind(&volume, "/made/here", &["bind"])
        .sh("echo kept > /made/here/file; touch /new");
    bundle.outcome();
    assert_eq!(fs::read_to_string(volume.join("file")).unwrap(), "kept\n");
    assert!(bundle.rootfs("/new").exists());
    assert!(bundle.dir.join("config.json").exists());
}

/// "Once a container is deleted its ID MAY be used by a subsequent container."
fn the_id_of_a_deleted_container_is_free_again(case: &Case) {
    let bundle = case.bundle().sh("echo again");
    for _ in 0..2 {
        assert_eq!(bundle.outcome(), "again\n");
    }
}

/// Ten thousand of them may wait on a node, and whatever it needed to get there
/// is needed no more.
fn an_init_that_waits_is_small(case: &Case) {
    // Without optimisation the code is several times as long.
    const LIMIT: u64 = if cfg!(debug_assertions) { 4096 } else { 1024 };
    let bundle = case.bundle();
    bundle.create().ok();
    let status = format!("/proc/{}/status", bundle.pid());
    let resident = || {
        let text = fs::read_to_string(&status).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    // It goes on for a moment after `create` has ended.
    until("init is small", || resident() <= LIMIT);
}

/// "Attempting to query a container that does not exist MUST generate an
/// error"; the same for all others. Engines look for the words.
fn operations_on_an_unknown_container_fail(case: &Case) {
    for command in ["state", "start", "kill", "delete"] {
        case.runtime([command, "no-such-container"]).run().fails().says("does not exist");
    }
}

/// An engine's clean-up may come twice.
fn delete_force_of_an_unknown_container_is_silent(case: &Case) {
    let deleted = case.runtime(["delete", "--force", "no-such-container"]).run().ok();
    assert_eq!((deleted.stdout.as_str(), deleted.stderr.as_str()), ("", ""));
    assert!(leaks::mounts(&case.dir).is_empty());
}

/// "This operation MUST generate an error if it is not provided the ID".
fn operations_without_an_id_fail(case: &Case) {
    let bundle = case.bundle();
    bundle.write_config();
    for command in ["state", "start", "kill", "delete", "create", "run"] {
        case.runtime([command]).directory(&bundle.dir).run().fails();
    }
}
