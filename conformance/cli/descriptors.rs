//! What the program sees in /proc/self/fd: 0, 1, 2 and what was asked for.

use std::fs;

use crate::support::{Bundle, Case, Test, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("fds", the_program_has_three_descriptors),
        test!("fds", descriptors_of_the_caller_do_not_get_in),
        test!("fds", preserved_descriptors_are_there),
        test!("fds", a_preserved_descriptor_that_is_missing_fails)
            .fails_on("crun", "does not check")
            .fails_on("runc 1.1", "does not check"),
        test!("fds", sockets_of_systemd_are_passed_on).fails_on("crun 1.8", "sets no LISTEN_PID"),
        test!("fds", hooks_have_three_descriptors)
            .fails_on("runc 1.1", "createContainer hooks see those of init"),
    ]
}

/// `ls` itself opens one more, the directory.
fn descriptors(bundle: Bundle<'_>) -> Bundle<'_> {
    bundle.sh("exec ls /proc/self/fd")
}

/// With three files open as 3, 4 and 5.
fn with_files(case: &Case, variables: &str) -> Vec<String> {
    for name in ["three", "four", "five"] {
        fs::write(case.path(name), format!("{name}\n")).unwrap();
    }
    let script = format!(r#"exec 3<three 4<four 5<five; {variables} exec "$@""#);
    ["sh", "-c", &script, "sh"].map(String::from).to_vec()
}

/// No directory of the host, no socket, no log.
fn the_program_has_three_descriptors(case: &Case) {
    descriptors(case.bundle()).run().ok().prints("0\n1\n2\n3\n");
    assert_eq!(descriptors(case.bundle()).outcome(), "0\n1\n2\n3\n");
}

/// Without `--preserve-fds`.
fn descriptors_of_the_caller_do_not_get_in(case: &Case) {
    let bundle = descriptors(case.bundle());
    let run = bundle.launch("run", &[]).through(with_files(case, "")).run();
    bundle.settle(run).ok().prints("0\n1\n2\n3\n");
}

/// `--preserve-fds N`: 3 to N + 2, the same ones under the same numbers.
fn preserved_descriptors_are_there(case: &Case) {
    let bundle = case.bundle().sh("cat <&3; cat <&4; [ -e /proc/self/fd/5 ] && echo more; true");
    let run = bundle.launch("run", &["--preserve-fds", "2"]).through(with_files(case, "")).run();
    bundle.settle(run).ok().prints("three\nfour\n");
}

/// A number that is too high is a mistake of the caller.
fn a_preserved_descriptor_that_is_missing_fails(case: &Case) {
    let bundle = case.bundle();
    let run = bundle.launch("run", &["--preserve-fds", "4"]).through(with_files(case, "")).run();
    run.fails().says("unable to stat preserved-fd");
    case.leaves_nothing();
}

/// `LISTEN_FDS`, as sd_listen_fds(3) has it: counted from 3, for process 1.
fn sockets_of_systemd_are_passed_on(case: &Case) {
    let bundle = case
        .bundle()
        .sh("cat <&3; [ -e /proc/self/fd/4 ] && echo more; echo $LISTEN_FDS $LISTEN_PID");
    let run =
        bundle.launch("run", &[]).through(with_files(case, "LISTEN_FDS=1 LISTEN_PID=$$")).run();
    bundle.settle(run).ok().prints("three\n1 1\n");
}

/// Nor of the caller, in the runtime's namespace as in the container's.
fn hooks_have_three_descriptors(case: &Case) {
    let shared = case.path("shared");
    fs::create_dir(&shared).unwrap();
    let kinds =
        ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
    let bundle = kinds.iter().fold(case.bundle(), |bundle, kind| {
        bundle.hook(kind, &format!("exec ls /proc/self/fd > {}/{kind}", shared.display()))
    });
    let bundle = bundle.bind(&shared, shared.to_str().unwrap(), &["bind"]);
    bundle.settle(bundle.launch("create", &[]).through(with_files(case, "")).run()).ok();
    bundle.command("start", &[]).through(with_files(case, "")).run().ok();
    bundle.until_stopped();
    bundle.command("delete", &[]).through(with_files(case, "")).run().ok();
    for kind in kinds {
        assert_eq!(case.read(&format!("shared/{kind}")), "0\n1\n2\n3\n", "{kind}");
    }
}
