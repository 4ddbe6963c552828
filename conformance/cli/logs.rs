//! `--log`, `--log-format`, `--debug`. containerd reads the last error of the
//! JSON log; Podman reads the whole file as one object.

use std::fs;

use crate::support::{Case, Test, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("1.4", a_failure_is_one_object_in_the_json_log)
            .may_fail_on("runc 1.1", "may add a warning on cgroup v2"),
        test!("1.4", a_success_leaves_no_word),
        test!("1.4", a_warning_goes_to_the_log_and_not_to_stderr).fails_on("crun", "gives none"),
        test!("1.4", a_failure_is_a_line_in_the_text_log).fails_on("crun", "writes words only"),
        test!("1.4", without_a_log_the_words_go_to_stderr),
        test!("1.4", the_log_is_appended_to),
        test!("1.4", an_unknown_format_is_refused),
        test!("1.4", a_log_that_cannot_be_written_is_an_error),
        test!("1.4", debug_says_more_in_the_same_shape).fails_on("crun 1.8", "says nothing"),
    ]
}

/// `level`, `msg`, and `time` as in RFC 3339; plain words on stderr.
fn a_failure_is_one_object_in_the_json_log(case: &Case) {
    let failures = [
        case.runtime(["state", "no-such-container"]).run().fails(),
        case.runtime(["kill", "no-such-container", "KILL"]).run().fails(),
        case.bundle().args(&["/no/such/program"]).run().fails(),
        case.bundle().mount("/x", "nosuchfs", "none", &[]).create().fails(),
        case.bundle()
            .hook("createRuntime", "echo two; echo 'l\\ine\"s' >&2; exit 1")
            .create()
            .fails(),
    ];
    for output in failures {
        let entries = output.log_entries();
        assert_eq!(entries.len(), 1, "{output}");
        assert_eq!(entries[0]["level"], "error", "{output}");
        let message = entries[0]["msg"].as_str().expect("msg");
        assert!(output.stderr.contains(message.lines().next().unwrap().trim_end()), "{output}");
        let time = entries[0]["time"].as_str().expect("time");
        assert!(time.len() >= 20 && &time[4..5] == "-" && &time[10..11] == "T", "{time}");
        assert_eq!(output.log.matches('\n').count(), 1, "one line: {output}");
    }
}

/// At the default level; engines take any word for trouble.
fn a_success_leaves_no_word(case: &Case) {
    let bundle = case.bundle();
    bundle.write_config();
    let outputs = [
        bundle.create().ok(),
        bundle.command("state", &[]).run().ok(),
        bundle.start().ok(),
        case.runtime(["list"]).run().ok(),
        bundle.command("delete", &["--force"]).run().ok(),
    ];
    for output in outputs {
        assert_eq!((output.log.as_str(), output.stderr.as_str()), ("", ""), "{output}");
    }
}

/// containerd takes stderr for output.
fn a_warning_goes_to_the_log_and_not_to_stderr(case: &Case) {
    let bundle = case.bundle().push("/process/capabilities/bounding", json!("CAP_CONFORMANCE"));
    let output = bundle.create().ok();
    assert_eq!(output.stderr, "");
    let entries = output.log_entries();
    assert!(
        !entries.is_empty() && entries.iter().all(|entry| entry["level"] == "warning"),
        "{output}"
    );
}

/// `time="…" level=error msg="…"`.
fn a_failure_is_a_line_in_the_text_log(case: &Case) {
    let log = case.path("text.log");
    let root = case.root().to_str().unwrap().to_owned();
    for format in [&["--log-format", "text"] as &[&str], &[]] {
        let globals = [&["--root", &root, "--log", log.to_str().unwrap()], format].concat();
        case.runtime(["state", "no-such-container"]).globals(globals).run().fails();
    }
    let text = fs::read_to_string(log).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    for line in text.lines() {
        assert!(line.starts_with("time=\"") && line.contains(" level=error msg=\""), "{line}");
        assert!(line.contains("does not exist"), "{line}");
    }
}

/// For people.
fn without_a_log_the_words_go_to_stderr(case: &Case) {
    let root = case.root().to_str().unwrap().to_owned();
    let output =
        case.runtime(["state", "no-such-container"]).globals(["--root", &root]).run().fails();
    assert_eq!(output.says("does not exist").stdout, "");
}

/// containerd gives one file to all commands of a container.
fn the_log_is_appended_to(case: &Case) {
    let log = case.path("json.log");
    fs::write(&log, "{\"level\":\"info\",\"msg\":\"before\"}\n").unwrap();
    let (root, path) = (case.root().to_str().unwrap().to_owned(), log.to_str().unwrap().to_owned());
    for _ in 0..2 {
        let globals = ["--root", &root, "--log", &path, "--log-format", "json"];
        case.runtime(["state", "no-such-container"]).globals(globals).run().fails();
    }
    let text = fs::read_to_string(log).unwrap();
    assert!(text.starts_with("{\"level\":\"info\",\"msg\":\"before\"}\n"), "{text}");
    assert_eq!(text.lines().count(), 3, "{text}");
}

/// "invalid log-format: X".
fn an_unknown_format_is_refused(case: &Case) {
    case.runtime(["list"])
        .globals(["--log-format", "xml"])
        .run()
        .fails()
        .says("log-format")
        .tells("xml");
}

/// It would be the only place where an engine looks.
fn a_log_that_cannot_be_written_is_an_error(case: &Case) {
    let log = case.path("no/such/directory/log");
    case.runtime(["list"]).globals(["--log", log.to_str().unwrap()]).run().fails();
}

/// `--debug`: more objects, none of them an error.
fn debug_says_more_in_the_same_shape(case: &Case) {
    let bundle = case.bundle();
    bundle.write_config();
    let (root, log) = (case.root(), case.path("debug.log"));
    let globals = [
        "--debug",
        "--root",
        root.to_str().unwrap(),
        "--log",
        log.to_str().unwrap(),
        "--log-format",
        "json",
    ];
    let dir = bundle.dir.to_str().unwrap();
    let create = case.runtime(["create", "--bundle", dir, &bundle.id]).globals(globals).run();
    bundle.settle(create).ok();
    let text = fs::read_to_string(log).unwrap();
    assert!(!text.is_empty());
    for line in text.lines() {
        let entry: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_ne!(entry["level"], json!("error"), "{line}");
    }
}
