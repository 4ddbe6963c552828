//! `SCMP_ACT_NOTIFY`: an agent that answers, adds a descriptor, and dies.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command};

use super::bad::refused;
use super::{PROBE, but, probing};
use crate::support::needs::needs;
use crate::support::{Bundle, Case, Test, Value, json, test};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test!("S2", an_agent_answers)
            .may_fail_on("runc", "makes the call itself before the agent is told"),
        test!("S5", an_agent_is_told_of_the_container).may_fail_on("crun 1.8", "tells it in start"),
        test!("seccomp", an_agent_adds_a_descriptor).needs(needs![minke]),
        test!("seccomp", a_call_whose_agent_is_gone_does_not_exist).needs(needs![minke]),
        test!("seccomp", an_agent_answers_calls_of_init_too).needs(needs![minke]),
        test!("seccomp", wait_killable_is_for_agents).needs(needs![minke]),
        test!("S2", an_agent_that_is_not_there_is_an_error),
        test!("S2", an_agent_that_is_no_stream_is_an_error),
        test!("S2", an_agent_that_closes_at_once_leaves_nothing).needs(needs![minke]),
        test!("S3", metadata_without_a_path_is_refused)
            .fails_on("runc", "does not check")
            .may_fail_on("crun", "does not check"),
        test!("seccomp", notify_is_refused_where_it_would_deadlock).needs(needs![minke]),
        test!("seccomp", an_agent_answers_for_exec).needs(needs![minke]),
        test!("S2", a_path_is_ignored_without_notify).may_fail_on("crun 1.8", "wants to connect"),
    ]
}

/// Ends with the test, whatever becomes of that.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        let _ = self.0.wait();
    }
}

fn start(case: &Case, how: &[&str]) -> Agent {
    use std::os::unix::process::CommandExt;
    let _ = std::fs::remove_file(case.path("agent"));
    let listener = UnixListener::bind(case.path("agent")).expect("a socket");
    let mut command = Command::new(&*PROBE);
    command.arg("agent").arg(case.path("told")).args(how).process_group(0);
    Agent(command.stdin(OwnedFd::from(listener)).spawn().expect("an agent"))
}

fn notify(case: &Case, names: &[&str]) -> Value {
    let mut profile = but(json!([{"names": names, "action": "SCMP_ACT_NOTIFY"}]));
    profile["listenerPath"] = json!(case.path("agent"));
    profile
}

fn probing_both<'c>(case: &'c Case, profile: &Value, arguments: &[&str]) -> [Bundle<'c>; 2] {
    [false, true].map(|no_new_privileges| {
        probing(case, profile, arguments).set("/process/noNewPrivileges", json!(no_new_privileges))
    })
}

fn an_agent_answers(case: &Case) {
    for (how, expected) in
        [(&["value", "4711"][..], "4711\n"), (&["error", "13"], "-13\n"), (&["continue"], "0\n")]
    {
        let _agent = start(case, how);
        for bundle in probing_both(case, &notify(case, &["getppid"]), &["once", "110"]) {
            assert_eq!(bundle.outcome(), expected, "{how:?}");
        }
    }
}

/// "ociVersion", "pid" and "state" are required, "seccompFd" is the name of
/// the one descriptor; the agent of these tests insists on one, and on the end
/// of the stream after the state.
fn an_agent_is_told_of_the_container(case: &Case) {
    let _agent = start(case, &["continue"]);
    let mut profile = notify(case, &["getppid"]);
    profile["listenerMetadata"] = json!("a \"b\"");
    let bundle = probing(case, &profile, &["once", "110"]).set("/annotations", json!({"a": "b"}));
    bundle.create().ok();
    let pid = bundle.pid();
    crate::support::until("the agent is told", || case.read("told").ends_with('\n'));
    let told: Value = serde_json::from_str(&case.read("told")).unwrap();
    assert_eq!(told["fds"], json!(["seccompFd"]));
    assert_eq!(told["pid"], pid);
    assert_eq!(told["metadata"], "a \"b\"");
    assert!(told["ociVersion"].as_str().is_some_and(|version| version.starts_with("1.")));
    let state = &told["state"];
    assert_eq!((&state["id"], &state["status"]), (&json!(bundle.id), &json!("creating")));
    assert_eq!((&state["pid"], &state["bundle"]), (&json!(pid), &json!(bundle.dir)));
    assert_eq!(state["annotations"], json!({"a": "b"}));
    bundle.start().ok();
    bundle.until_stopped();
    bundle.delete().ok();
}

fn an_agent_adds_a_descriptor(case: &Case) {
    let _agent = start(case, &["descriptor"]);
    let profile = notify(case, &["getppid"]);
    // The lowest that is free, and nothing of the runtime's is open.
    for bundle in probing_both(case, &profile, &["once", "110"]) {
        assert_eq!(bundle.outcome(), "3\n");
    }
}

fn a_call_whose_agent_is_gone_does_not_exist(case: &Case) {
    let _agent = start(case, &["die"]);
    for bundle in probing_both(case, &notify(case, &["getppid"]), &["once", "110"]) {
        assert_eq!(bundle.outcome(), "-38\n");
    }
}

/// Calls that init itself makes under the filter, which the agent lets through.
fn an_agent_answers_calls_of_init_too(case: &Case) {
    let _agent = start(case, &["continue"]);
    let names = [
        "execve", "openat", "open", "read", "close", "fcntl", "accept4", "listen", "recvfrom",
        "sendmsg", "capset", "clone3", "ppoll",
    ];
    for bundle in probing_both(case, &notify(case, &names), &["once", "110"]) {
        assert_eq!(bundle.hook("startContainer", "true").outcome(), "0\n");
    }
}

fn wait_killable_is_for_agents(case: &Case) {
    let _agent = start(case, &["value", "7"]);
    let mut profile = notify(case, &["getppid"]);
    profile["flags"] = json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]);
    assert_eq!(probing(case, &profile, &["once", "110"]).outcome(), "7\n");
    let mut alone = but(json!([]));
    alone["flags"] = profile["flags"].clone();
    refused(case, &alone, ".flags[0]");
}

/// "If sending to this socket fails, the runtime MUST generate an error".
fn an_agent_that_is_not_there_is_an_error(case: &Case) {
    for path in ["/no/such/agent", "@no such agent", "agent", &"x".repeat(200)] {
        let mut profile = notify(case, &["getppid"]);
        profile["listenerPath"] = json!(path);
        let bundle = probing(case, &profile, &["once", "110"]);
        bundle.create().fails().says("failed to connect with seccomp agent");
        case.leaves_nothing();
    }
    // Somebody was there.
    drop(UnixListener::bind(case.path("agent")).unwrap());
    let bundle = probing(case, &notify(case, &["getppid"]), &["once", "110"]);
    bundle.create().fails().says("failed to connect with seccomp agent");
    case.leaves_nothing();
}

/// "This socket MUST use AF_UNIX domain and SOCK_STREAM type."
fn an_agent_that_is_no_stream_is_an_error(case: &Case) {
    let _datagrams = std::os::unix::net::UnixDatagram::bind(case.path("agent")).unwrap();
    let bundle = probing(case, &notify(case, &["getppid"]), &["once", "110"]);
    bundle.create().fails().says(&path_of(case));
    case.leaves_nothing();
}

fn path_of(case: &Case) -> String {
    case.path("agent").display().to_string()
}

/// It may be told or not; a container that is there has no such call.
fn an_agent_that_closes_at_once_leaves_nothing(case: &Case) {
    for _ in 0..5 {
        let agent = start(case, &["deaf"]);
        let bundle = probing(case, &notify(case, &["getppid"]), &["once", "110"]);
        let created = bundle.create();
        if created.code() == 0 {
            bundle.start().ok();
            bundle.until_stopped();
            assert_eq!(created.stdout_by_now(), "-38\n");
            bundle.delete().ok();
        } else {
            created.fails().tells("linux.seccomp.listenerPath: send to the seccomp agent");
        }
        drop(agent);
        case.leaves_nothing();
    }
}

/// "This field MUST NOT be set if listenerPath is not set."
fn metadata_without_a_path_is_refused(case: &Case) {
    let mut profile = but(json!([]));
    profile["listenerMetadata"] = json!("x");
    refused(case, &profile, ".listenerMetadata");
    let mut profile = notify(case, &["getppid"]);
    profile["listenerPath"] = json!("");
    refused(case, &profile, ".listenerPath");
}

fn notify_is_refused_where_it_would_deadlock(case: &Case) {
    refused(case, &notify(case, &["getppid", "write"]), ".syscalls[0].names[1]");
    let mut profile = notify(case, &["getppid"]);
    profile["defaultAction"] = json!("SCMP_ACT_NOTIFY");
    refused(case, &profile, ".defaultAction");
}

/// "If the SCMP_ACT_NOTIFY action is not used this value is ignored."
fn a_path_is_ignored_without_notify(case: &Case) {
    let mut profile = but(json!([{"names": ["umask"], "action": "SCMP_ACT_ERRNO"}]));
    profile["listenerPath"] = json!("/no/such/agent");
    assert_eq!(probing(case, &profile, &["once", "110"]).outcome(), "0\n");
}

/// A connection and a state for each process; that of the container is running.
fn an_agent_answers_for_exec(case: &Case) {
    let _agent = start(case, &["value", "4711"]);
    let bundle = probing(case, &notify(case, &["getppid"]), &[]).running();
    let exec = ["exec", &bundle.id, "/probe", "once", "110"];
    case.runtime(exec).run().ok().prints("4711\n");
    let told: Value = serde_json::from_str(case.read("told").lines().last().unwrap()).unwrap();
    assert_eq!(told["state"]["status"], "running");
    assert_ne!(told["pid"], told["state"]["pid"]);
    bundle.end();
}
