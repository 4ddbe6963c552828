//! config.md#posix-platform-hooks and runtime.md#lifecycle.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::{Bundle, Case, Test, Value, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("H1", a_hook_with_a_relative_path_is_refused)
            .fails_on("crun", "does not check the path")
            .fails_on("runc 1.1", "does not check the path"),
        test!("H2", a_timeout_that_is_not_positive_is_refused)
            .fails_on("crun", "does not check the timeout"),
        test!("H2", a_hook_that_takes_too_long_is_killed),
        test!("H3", hooks_run_in_the_listed_order),
        test!("H4", hooks_get_the_state_on_stdin)
            .fails_on("crun 1.8", "says created instead of creating")
            .fails_on("runc 1.1", "runs poststart hooks in create"),
        test!("H4", a_hook_gets_the_whole_of_a_long_state),
        test!("H4", a_hook_may_leave_its_stdin_unread).fails_on("crun 1.8", "dies of SIGPIPE"),
        test!("H4", hooks_in_the_runtime_namespace_get_the_pid_of_the_host)
            .fails_on("crun 1.8", "gives the pid 0 in the container"),
        test!("H5", hooks_run_in_the_order_of_the_lifecycle)
            .may_fail_on("crun 1.8", "start does not wait for the hooks")
            .fails_on("runc 1.1", "runs poststart hooks in create"),
        test!("H5", the_mounts_are_there_when_the_first_hooks_run),
        test!("H5", create_container_hooks_run_in_the_mount_namespace_of_the_container),
        test!("H5", start_container_hooks_run_in_the_container),
        test!("H5", start_container_hooks_do_not_need_what_the_program_may_not_have),
        test!("H6", a_failing_prestart_hook_fails_create),
        test!("H6", a_failing_create_runtime_hook_fails_create),
        test!("H6", a_failing_create_container_hook_fails_create),
        test!("H6", a_failing_start_container_hook_fails_start)
            .fails_on("crun 1.8", "start does not wait for the hooks")
            .fails_on("runc 1.1", "start does not wait for the hooks"),
        test!("H6", a_failing_poststart_hook_fails_start)
            .fails_on("crun 1.8", "ignores the failure")
            .fails_on("runc 1.1", "runs poststart hooks in create"),
        test!("H6", after_a_failing_hook_no_other_hook_runs),
        test!("H6", poststop_hooks_run_after_a_failed_create).fails_on("crun", "runs none"),
        test!("H6", the_error_tells_what_the_hook_has_said)
            .fails_on("crun", "gives the exit code only"),
        test!("H6", a_hook_that_does_not_exist_fails_create),
        test!("H6", a_hook_that_is_killed_fails_create),
        test!("H7", a_failing_poststop_hook_does_not_fail_delete)
            .fails_on("crun 1.8", "gives no warning")
            .fails_on("runc 1.1", "logs an error"),
        test!("H7", a_failing_poststop_hook_does_not_stop_the_others)
            .fails_on("runc 1.1", "stops at the first failure"),
        test!("H8", poststart_hooks_run_after_the_program_and_before_start_returns)
            .fails_on("runc 1.1", "runs poststart hooks in create"),
        test!("hooks", a_hook_has_its_arguments_and_nothing_but_its_environment),
    ]
}

const KINDS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A file that all hooks of `bundle` can append to: the host's `trace` is
/// bound into the container at the same path.
fn traced(bundle: Bundle<'_>) -> (Bundle<'_>, String) {
    let dir = bundle.case.path("shared");
    fs::create_dir_all(&dir).unwrap();
    let trace = dir.join("trace").to_str().unwrap().to_owned();
    (bundle.bind(&dir, dir.to_str().unwrap(), &["bind"]), trace)
}

fn lines(case: &Case) -> Vec<String> {
    case.read("shared/trace").lines().map(String::from).collect()
}

/// "path MUST be absolute".
fn a_hook_with_a_relative_path_is_refused(case: &Case) {
    for kind in KINDS {
        let bundle = case.bundle().push(&format!("/hooks/{kind}"), json!({"path": "bin/true"}));
        bundle.create().fails();
        case.leaves_nothing();
    }
}

/// "If set, timeout MUST be greater than zero."
fn a_timeout_that_is_not_positive_is_refused(case: &Case) {
    for timeout in [0, -1] {
        let hook = json!({"path": "/bin/true", "timeout": timeout});
        case.bundle().push("/hooks/createRuntime", hook).create().fails();
        case.leaves_nothing();
    }
}

/// "timeout is the number of seconds before aborting the hook": it ends, and
/// that is a failure.
fn a_hook_that_takes_too_long_is_killed(case: &Case) {
    let pid = case.path("pid");
    let script = format!("echo $$ > {}; exec sleep 1000", pid.display());
    let bundle = case
        .bundle()
        .hook("createRuntime", &script)
        .set("/hooks/createRuntime/0/timeout", json!(1));
    let begin = Instant::now();
    bundle.create().fails();
    assert!(begin.elapsed() >= Duration::from_secs(1), "{:?}", begin.elapsed());
    let hook: i32 = case.read("pid").trim().parse().unwrap();
    assert!(!crate::support::wait::alive(hook));
    case.leaves_nothing();
}

/// "Hooks MUST be called in the listed order."
fn hooks_run_in_the_listed_order(case: &Case) {
    let (mut bundle, trace) = traced(case.bundle());
    for kind in KINDS {
        for number in 1..=3 {
            bundle = bundle.hook(kind, &format!("echo {kind} {number} >> {trace}"));
        }
    }
    bundle.outcome();
    for kind in KINDS {
        let own: Vec<_> = lines(case).into_iter().filter(|line| line.starts_with(kind)).collect();
        assert_eq!(own, [1, 2, 3].map(|number| format!("{kind} {number}")));
    }
}

/// "The state of the container MUST be passed to hooks over stdin", with the
/// status that the lifecycle gives at that point.
fn hooks_get_the_state_on_stdin(case: &Case) {
    let (mut bundle, trace) =
        traced(case.bundle().set("/annotations", json!({"org.example.a": "b"})));
    for kind in KINDS {
        bundle = bundle.hook(kind, &format!("printf %s \"$state\" > {trace}.{kind}"));
    }
    bundle.outcome();
    let statuses = ["creating", "creating", "creating", "created", "running", "stopped"];
    for (kind, status) in KINDS.iter().zip(statuses) {
        let text = case.read(&format!("shared/trace.{kind}"));
        let state: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{kind}: {error}: {text:?}"));
        assert_eq!(state["status"], status, "{kind}: {state}");
        assert_eq!(state["id"], json!(bundle.id), "{kind}");
        assert_eq!(state["bundle"], json!(bundle.dir), "{kind}");
        assert_eq!(state["annotations"]["org.example.a"], "b", "{kind}");
        assert!(state["ociVersion"].is_string(), "{kind}");
    }
}

/// The state is longer than a pipe holds at once.
fn a_hook_gets_the_whole_of_a_long_state(case: &Case) {
    let long = "x".repeat(200_000);
    let (bundle, trace) =
        traced(case.bundle().set("/annotations", json!({"org.example.long": long})));
    let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", format!("cat > {trace}")]});
    bundle.push("/hooks/createRuntime", hook).create().ok();
    let state: Value = serde_json::from_str(&case.read("shared/trace")).expect("the whole state");
    assert_eq!(state["annotations"]["org.example.long"], json!(long));
}

/// A hook is free not to read, however long the state is.
fn a_hook_may_leave_its_stdin_unread(case: &Case) {
    let bundle =
        case.bundle().set("/annotations", json!({"org.example.long": "x".repeat(200_000)}));
    let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", "exec 0</dev/null"]});
    bundle.push("/hooks/createRuntime", hook.clone()).push("/hooks/poststop", hook).outcome();
}

/// state: "For hooks executed in the runtime namespace, it is the pid as seen
/// by the runtime. For hooks executed in the container namespace, it is the
/// pid as seen by the container."
fn hooks_in_the_runtime_namespace_get_the_pid_of_the_host(case: &Case) {
    let (mut bundle, trace) = traced(case.bundle().sleeps());
    for kind in KINDS {
        bundle = bundle.hook(kind, &format!("printf %s \"$state\" > {trace}.{kind}"));
    }
    bundle.started();
    let pid = bundle.pid();
    let expected = [pid, pid, 1, 1, pid];
    for (kind, pid) in KINDS.iter().zip(expected) {
        let state: Value =
            serde_json::from_str(&case.read(&format!("shared/trace.{kind}"))).unwrap();
        assert_eq!(state["pid"], pid, "{kind}");
    }
}

/// lifecycle, steps 3 to 13.
fn hooks_run_in_the_order_of_the_lifecycle(case: &Case) {
    let (mut bundle, trace) = traced(case.bundle());
    for kind in KINDS.iter().rev() {
        bundle = bundle.hook(kind, &format!("echo {kind} >> {trace}"));
    }
    bundle.create().ok();
    assert_eq!(lines(case), KINDS[..3]);
    bundle.start().ok();
    assert_eq!(lines(case), KINDS[..5]);
    bundle.until_stopped();
    bundle.delete().ok();
    assert_eq!(lines(case), KINDS);
}

/// They "MUST be called … after the runtime environment has been created … but
/// before the pivot_root": the runtime sees the mounts through /proc, at the
/// path where the rootfs is.
fn the_mounts_are_there_when_the_first_hooks_run(case: &Case) {
    let (bundle, trace) = traced(case.bundle());
    let rootfs = bundle.rootfs("");
    let script = format!(
        r"grep -c ' {}/sys ' /proc/$pid/mountinfo >> {trace}",
        rootfs.to_str().unwrap().trim_end_matches('/')
    );
    bundle.hook("prestart", &script).hook("createRuntime", &script).create().ok();
    assert_eq!(lines(case), ["1", "1"]);
}

/// "The createContainer hooks' path MUST resolve in the runtime namespace" and
/// "MUST be executed in the container namespace", before the pivot.
fn create_container_hooks_run_in_the_mount_namespace_of_the_container(case: &Case) {
    let (bundle, trace) = traced(case.bundle());
    let script = format!(
        "readlink /proc/self/ns/mnt >> {trace}; pwd >> {trace}; ls -d /etc/passwd >> {trace}"
    );
    let bundle = bundle.hook("createContainer", &script);
    bundle.create().ok();
    let namespace = fs::read_link(format!("/proc/{}/ns/mnt", bundle.pid())).unwrap();
    assert_eq!(lines(case)[0], namespace.to_str().unwrap());
    assert_eq!(lines(case)[2], "/etc/passwd");
}

/// "The startContainer hooks' path MUST resolve in the container namespace" and
/// "MUST be executed in the container namespace".
fn start_container_hooks_run_in_the_container(case: &Case) {
    let (bundle, trace) = traced(case.bundle().program("only-here", "#!/bin/sh\nhostname >> $1\n"));
    let hook = json!({"path": "/only-here", "args": ["only-here", trace]});
    bundle.push("/hooks/startContainer", hook).outcome();
    assert_eq!(lines(case), ["conformance"]);
}

/// They may read their state and say something where the program may write no
/// file: the limit is the program's.
fn start_container_hooks_do_not_need_what_the_program_may_not_have(case: &Case) {
    let limits = json!([{"type": "RLIMIT_FSIZE", "hard": 0, "soft": 0},
        {"type": "RLIMIT_NOFILE", "hard": 16, "soft": 16}]);
    let bundle = case.bundle().set("/process/rlimits", limits).sh("ulimit -f; echo > /file");
    let bundle = bundle.hook("startContainer", "echo said; [ -n \"$pid\" ]");
    let run = bundle.run();
    assert!(run.code() != 0 && !bundle.rootfs("/file").metadata().is_ok_and(|m| m.len() > 0));
    assert!(!run.stderr.contains("hook"), "{run}");
}

fn failing(case: &Case, kind: &str) {
    let (bundle, trace) = traced(case.bundle().sh("echo ran"));
    let bundle = bundle.hook(kind, "exit 3").hook("poststop", &format!("echo poststop >> {trace}"));
    bundle.create().fails().says("hook");
    case.leaves_nothing();
}

/// "If any prestart hook fails, the runtime MUST generate an error, stop the
/// container, and continue the lifecycle at step 12."
fn a_failing_prestart_hook_fails_create(case: &Case) {
    failing(case, "prestart");
}

/// The same.
fn a_failing_create_runtime_hook_fails_create(case: &Case) {
    failing(case, "createRuntime");
}

/// The same.
fn a_failing_create_container_hook_fails_create(case: &Case) {
    failing(case, "createContainer");
}

/// The same; the program does not run.
fn a_failing_start_container_hook_fails_start(case: &Case) {
    let bundle = case.bundle().sh("echo ran").hook("startContainer", "exit 3");
    let created = bundle.create().ok();
    bundle.start().fails();
    bundle.until_stopped();
    assert_eq!(created.stdout_by_now(), "");
}

/// The same; the program, which runs by now, is ended.
fn a_failing_poststart_hook_fails_start(case: &Case) {
    let bundle = case.bundle().sleeps().hook("poststart", "exit 3");
    bundle.create().ok();
    let pid = bundle.pid();
    bundle.start().fails().says("hook");
    assert!(crate::support::wait::ended(pid, crate::support::wait::PATIENCE));
}

/// The first failure is the last hook but for poststop.
fn after_a_failing_hook_no_other_hook_runs(case: &Case) {
    let (bundle, trace) = traced(case.bundle());
    let bundle =
        bundle.hook("prestart", "exit 1").hook("prestart", &format!("echo two >> {trace}"));
    bundle.hook("createRuntime", &format!("echo later >> {trace}")).create().fails();
    assert_eq!(lines(case), [""; 0]);
}

/// "… and continue the lifecycle at step 12", which 13 follows: the poststop
/// hooks.
fn poststop_hooks_run_after_a_failed_create(case: &Case) {
    for kind in &KINDS[..3] {
        let (bundle, trace) = traced(case.bundle());
        bundle
            .hook(kind, "exit 1")
            .hook("poststop", &format!("echo {kind} >> {trace}"))
            .create()
            .fails();
    }
    assert_eq!(lines(case), KINDS[..3]);
}

/// Without the hook's own words nobody can find out what it lacked.
fn the_error_tells_what_the_hook_has_said(case: &Case) {
    let bundle = case.bundle().hook("createRuntime", "echo the disk is full >&2; exit 42");
    bundle.create().fails().tells("the disk is full").tells("42");
}

/// A hook that cannot be run has failed.
fn a_hook_that_does_not_exist_fails_create(case: &Case) {
    let bundle = case.bundle().push("/hooks/createRuntime", json!({"path": "/no/such/hook"}));
    bundle.create().fails().tells("/no/such/hook").says("no such file or directory");
    case.leaves_nothing();
}

/// Not every failure is an exit code.
fn a_hook_that_is_killed_fails_create(case: &Case) {
    case.bundle().hook("createRuntime", "kill -KILL $$").create().fails().says("hook");
    case.leaves_nothing();
}

/// "If any poststop hook fails, the runtime MUST log a warning, but the
/// remaining hooks and lifecycle continue as if the hook had succeeded."
fn a_failing_poststop_hook_does_not_fail_delete(case: &Case) {
    let bundle = case.bundle().hook("poststop", "exit 3");
    bundle.started();
    bundle.until_stopped();
    let deleted = bundle.delete().ok();
    case.leaves_nothing();
    let warned = |entry: &Value| entry["level"] == "warning" || entry["level"] == "warn";
    assert!(deleted.log_entries().iter().any(warned), "a warning: {deleted}");
}

/// The same: "the remaining hooks … continue".
fn a_failing_poststop_hook_does_not_stop_the_others(case: &Case) {
    let (bundle, trace) = traced(case.bundle());
    let bundle =
        bundle.hook("poststop", "exit 3").hook("poststop", &format!("echo second >> {trace}"));
    bundle.create().ok();
    bundle.command("delete", &["--force"]).run();
    assert_eq!(lines(case), ["second"]);
}

/// "The poststart hooks MUST be called after the user-specified process is
/// executed but before the start operation returns."
fn poststart_hooks_run_after_the_program_and_before_start_returns(case: &Case) {
    let (bundle, trace) = traced(case.bundle().sleeps());
    let script = format!(r"sed 's/\x00.*//' /proc/$pid/cmdline > {trace}");
    bundle.hook("poststart", &script).started();
    assert_eq!(case.read("shared/trace"), "sh");
}

/// args and env "have the same semantics as" those of execv: without `env`,
/// nothing of the runtime's environment comes through.
fn a_hook_has_its_arguments_and_nothing_but_its_environment(case: &Case) {
    let (bundle, trace) = traced(case.bundle());
    let script = format!("echo $0 $1 >> {trace}; tr '\\0' '\\n' < /proc/self/environ >> {trace}");
    let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script, "zero", "one"], "env": ["KEY=value"]});
    bundle
        .push("/hooks/createRuntime", hook)
        .launch("create", &[])
        .variable("LEAKED", "yes")
        .run()
        .ok();
    case.expect_live(&case.ids()[0]);
    let seen = lines(case);
    assert_eq!(seen[0], "zero one");
    assert!(seen.contains(&"KEY=value".into()), "{seen:?}");
    assert!(!seen.iter().any(|line| line.starts_with("LEAKED")), "{seen:?}");
}
