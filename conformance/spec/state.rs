//! runtime.md#state: the state of a container as JSON.

use crate::support::{Case, Test, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("L13", the_state_has_what_the_standard_requires),
        test!("L13", the_state_follows_the_container),
        test!("L13", the_state_is_valid_while_the_container_runs),
        test!("L13", a_paused_container_says_so)
            .needs(crate::support::needs::needs![command("pause")]),
        test!("C9", the_state_has_the_annotations),
    ]
}

/// state: `ociVersion`, `id`, `status`, `pid` and `bundle`, an absolute path.
fn the_state_has_what_the_standard_requires(case: &Case) {
    let bundle = case.bundle();
    bundle.create().ok();
    let state = bundle.state();
    assert_eq!(state["id"], json!(bundle.id));
    assert_eq!(state["bundle"], json!(bundle.dir));
    let version = state["ociVersion"].as_str().expect("ociVersion");
    assert!(version.starts_with("1."), "{version}");
    assert!(state["pid"].as_i64().is_some_and(|pid| pid > 1), "{state}");
}

/// created, running, stopped.
fn the_state_follows_the_container(case: &Case) {
    let bundle = case.bundle().sleeps();
    bundle.create().ok();
    assert_eq!(bundle.status(), "created");
    bundle.start().ok();
    assert_eq!(bundle.status(), "running");
    bundle.kill("KILL").ok();
    bundle.until_stopped();
    assert_eq!(bundle.status(), "stopped");
}

/// The pid is that of the program, on the host.
fn the_state_is_valid_while_the_container_runs(case: &Case) {
    let bundle = case.bundle().running();
    let line = std::fs::read_to_string(format!("/proc/{}/cmdline", bundle.pid())).unwrap();
    assert!(line.starts_with("sh\0-c\0"), "{line}");
}

/// "Additional values MAY be defined by the runtime": `paused` is what engines
/// know; `resume` makes it `running` again.
fn a_paused_container_says_so(case: &Case) {
    let bundle = case.bundle().running();
    bundle.command("pause", &[]).run().ok();
    assert_eq!(bundle.status(), "paused");
    bundle.command("resume", &[]).run().ok();
    assert_eq!(bundle.status(), "running");
}

/// "annotations … contains the list of annotations associated with the
/// container."
fn the_state_has_the_annotations(case: &Case) {
    let annotations = json!({"org.example.key": "value", "with \"quotes\"": "and ünicode\n"});
    let bundle = case.bundle().set("/annotations", annotations.clone());
    bundle.create().ok();
    let state = bundle.state();
    for (key, value) in annotations.as_object().unwrap() {
        assert_eq!(state["annotations"][key], *value);
    }
}
