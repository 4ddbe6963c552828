//! `state`: the JSON that engines read. containerd parses stdout and stderr
//! together, so nothing else may be there.

use crate::support::{Case, Test, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("1.3", the_state_has_the_fields_of_runc)
            .fails_on("crun", "the path of root is relative"),
        test!("1.3", the_state_is_indented_and_nothing_else).fails_on("crun", "indents by four"),
        test!("1.3", created_is_a_time_of_day_in_utc),
        test!("1.3", a_stopped_container_has_no_pid),
        test!("1.3", a_container_whose_init_nobody_reaps_is_stopped),
    ]
}

/// Besides the standard's: `rootfs`, `created`, `owner`.
fn the_state_has_the_fields_of_runc(case: &Case) {
    let bundle = case.bundle();
    bundle.create().ok();
    let state = bundle.state();
    assert_eq!(state["rootfs"], json!(bundle.dir.join("rootfs")));
    assert_eq!(state["owner"], "");
    assert!(state["created"].is_string(), "{state}");
}

/// Two spaces; and nothing on stderr or in the log.
fn the_state_is_indented_and_nothing_else(case: &Case) {
    let bundle = case.bundle();
    bundle.create().ok();
    let output = bundle.command("state", &[]).run().ok();
    assert!(output.stdout.starts_with("{\n  \"ociVersion\": \""), "{output}");
    assert!(output.stdout.trim_end().ends_with("\n}"), "{output}");
    assert_eq!((output.stderr.as_str(), output.log.as_str()), ("", ""));
}

/// RFC 3339, as in `2006-01-02T15:04:05.999999999Z`.
fn created_is_a_time_of_day_in_utc(case: &Case) {
    let bundle = case.bundle();
    bundle.create().ok();
    let state = bundle.state();
    let created = state["created"].as_str().unwrap();
    let shape: String =
        created.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
    let (seconds, fraction) = shape.split_at(19);
    assert_eq!(seconds, "0000-00-00T00:00:00", "{created}");
    assert!(fraction.trim_start_matches('.').trim_start_matches('0') == "Z", "{created}");
    let year: u32 = created[..4].parse().unwrap();
    assert!((2000..3000).contains(&year), "{created}");
    assert_eq!(bundle.state()["created"], state["created"], "it does not change");
}

/// Zero, as it may be another's by now.
fn a_stopped_container_has_no_pid(case: &Case) {
    let bundle = case.bundle();
    bundle.started();
    bundle.until_stopped();
    assert_eq!(bundle.state()["pid"], 0);
}

/// Its parent, an engine, may be late with that: a zombie has exited.
fn a_container_whose_init_nobody_reaps_is_stopped(case: &Case) {
    let bundle = case.bundle();
    bundle.write_config();
    let script = r#"
        "$@" || exit
        "$1" --root "$3" start "$id" || exit
        for i in $(seq 1000); do
            "$1" --root "$3" state "$id" | grep -q '"stopped"' && exec "$1" --root "$3" delete "$id"
        done
        exit 1"#;
    // The shell is the reaper of its orphans, and does not reap.
    let reaper = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", script, "sh"];
    bundle.launch("create", &[]).variable("id", &bundle.id).through(reaper).run().ok();
    case.leaves_nothing();
}
