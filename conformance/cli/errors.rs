//! What exec has said is what `start` and `run` report: moby makes 126 and 127
//! of the words.

use crate::support::needs::needs;
use crate::support::{Case, Test, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("1.7", a_program_that_is_not_in_the_path_is_not_found),
        test!("1.7", a_path_that_is_missing_is_not_found),
        test!("1.7", a_file_that_is_not_executable_is_denied).fails_on("crun", "does not name it"),
        test!("1.7", a_directory_is_denied).fails_on("crun 1.8", "does not name it"),
        test!("1.7", a_missing_interpreter_is_not_found),
        test!("1.7", a_file_that_is_no_program_is_told),
        test!("1.7", a_program_behind_a_file_is_not_a_directory),
        test!("1.7", create_and_start_report_the_same)
            .fails_on("crun", "start does not wait for exec")
            .fails_on("runc 1.1", "start does not wait for exec"),
        test!("1.7", words_of_wrong_states_are_those_of_runc),
        test!("1.7", an_error_is_one_line).needs(needs![minke]),
    ]
}

/// `executable file not found`, with the name: 127.
fn a_program_that_is_not_in_the_path_is_not_found(case: &Case) {
    case.bundle()
        .args(&["no-such-program"])
        .run()
        .fails()
        .tells("no-such-program")
        .says("executable file not found");
    case.leaves_nothing();
}

/// `no such file or directory`: 127.
fn a_path_that_is_missing_is_not_found(case: &Case) {
    let output = case.bundle().args(&["/no/such/program"]).run().fails();
    output.tells("/no/such/program").says("no such file or directory");
    case.leaves_nothing();
}

/// `permission denied`: 126.
fn a_file_that_is_not_executable_is_denied(case: &Case) {
    case.bundle()
        .file("/file", "x")
        .args(&["/file"])
        .run()
        .fails()
        .tells("/file")
        .says("permission denied");
    case.leaves_nothing();
}

/// `permission denied` or `is a directory`: 126.
fn a_directory_is_denied(case: &Case) {
    let output = case.bundle().args(&["/etc"]).run().fails().tells("/etc");
    let told = ["permission denied", "is a directory"]
        .iter()
        .any(|words| output.stderr.to_lowercase().contains(words));
    assert!(told, "{output}");
    case.leaves_nothing();
}

/// `no such file or directory`, about a file that is there.
fn a_missing_interpreter_is_not_found(case: &Case) {
    let bundle = case.bundle().program("/script", "#!/no/such/interpreter\n").args(&["/script"]);
    let output = bundle.run().fails();
    assert!(output.stderr.to_lowercase().contains("no such file or directory"), "{output}");
    case.leaves_nothing();
}

/// `exec format error`.
fn a_file_that_is_no_program_is_told(case: &Case) {
    let output = case.bundle().program("/text", "just words\n").args(&["/text"]).run().fails();
    assert!(output.stderr.to_lowercase().contains("exec format error"), "{output}");
    case.leaves_nothing();
}

/// `not a directory`: 127.
fn a_program_behind_a_file_is_not_a_directory(case: &Case) {
    let output = case.bundle().args(&["/etc/passwd/program"]).run().fails();
    assert!(output.stderr.to_lowercase().contains("not a directory"), "{output}");
    case.leaves_nothing();
}

/// At the latest `start` tells, and the container has stopped.
fn create_and_start_report_the_same(case: &Case) {
    let bundle = case.bundle().program("/script", "#!/no/such/interpreter\n").args(&["/script"]);
    bundle.create().ok();
    let output = bundle.start().fails();
    assert!(output.stderr.to_lowercase().contains("no such file or directory"), "{output}");
    bundle.until_stopped();
}

/// Verbatim: people and tests grep for them.
fn words_of_wrong_states_are_those_of_runc(case: &Case) {
    let bundle = case.bundle().running();
    bundle.launch("create", &[]).run().fails().says("container with given ID already exists");
    bundle.start().fails().says("cannot start an already running container");
    let words = format!("cannot delete container {} that is not stopped: running", bundle.id);
    bundle.delete().fails().says(&words);
    bundle.kill("KILL").ok();
    bundle.until_stopped();
    bundle.start().fails().says("cannot start a container that has stopped");
    bundle.kill("KILL").fails().says("container not running");
    case.runtime(["state", "none"]).run().fails().says("container does not exist");
    case.bundle().launch("create", &[]).run().ok();
    let dir = bundle.dir.to_str().unwrap();
    case.runtime(["create", "--bundle", dir, "a/b"])
        .run()
        .fails()
        .says("invalid container ID format");
    for id in case.ids() {
        case.expect_live(&id);
    }
}

/// On stderr, for the user: act, object, cause.
fn an_error_is_one_line(case: &Case) {
    let failures = [
        case.runtime(["state", "no-such-container"]).run().fails(),
        case.bundle().args(&["no-such-program"]).run().fails(),
        case.bundle().mount("/x", "nosuchfs", "none", &[]).create().fails(),
        case.bundle().hook("prestart", "exit 1").create().fails(),
    ];
    for output in failures {
        assert_eq!(output.stderr.trim_end().lines().count(), 1, "{output}");
    }
}
