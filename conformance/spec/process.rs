//! config.md#process and #posix-process.

use std::fs::{self, File};

use crate::support::needs::needs;
use crate::support::{Case, Test, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("process", arguments_arrive_as_they_are),
        test!("process", the_environment_is_the_one_of_the_config),
        test!("process", of_a_variable_set_twice_the_last_counts),
        test!("process", home_is_that_of_the_user),
        test!("process", home_of_an_unknown_user_is_the_root)
            .fails_on("crun 1.8", "leaves it empty"),
        test!("process", the_program_is_searched_in_the_path_of_the_container),
        test!("process", a_program_with_a_slash_is_relative_to_the_working_directory),
        test!("process", a_path_that_is_not_absolute_means_the_container),
        test!("process", empty_args_are_refused),
        test!("process", an_interpreter_runs_a_script),
        test!("C3", a_relative_working_directory_is_refused).fails_on("crun", "does not check"),
        test!("C3", the_program_runs_in_its_working_directory),
        test!("C3", a_missing_working_directory_is_made),
        test!("C3", a_working_directory_that_only_the_user_may_enter_works),
        test!("C3", a_working_directory_that_only_root_may_enter_works),
        test!("C3", a_working_directory_that_is_a_file_fails),
        test!("C4", a_resource_limit_is_set),
        test!("C4", every_kind_of_resource_limit_is_known),
        test!("C4", an_unknown_resource_limit_is_refused),
        test!("C4", a_resource_limit_that_is_listed_twice_is_refused)
            .fails_on("crun", "does not check")
            .fails_on("runc", "does not check"),
        test!("C4", a_soft_limit_above_the_hard_one_is_refused),
        test!("C6", the_oom_score_is_set),
        test!("C6", without_a_word_about_it_the_oom_score_stays),
        test!("process", no_new_privileges_is_set_or_not),
        test!("process", stdin_stdout_and_stderr_are_passed_on),
        test!("process", signals_have_their_default_actions),
        test!("process", the_session_keyring_is_new)
            .fails_on("crun", "gives it a name of its own")
            .needs(needs![file("/proc/keys"), file("/proc/sys/kernel/keys/maxkeys")]),
        test!("C7", unknown_properties_are_ignored),
        test!("C2", a_console_size_without_a_terminal_is_ignored),
    ]
}

/// "args: similar semantics to IEEE Std 1003.1-2008 execvp's argv".
fn arguments_arrive_as_they_are(case: &Case) {
    let script = r#"for a in "$@"; do echo "[$a]"; done"#;
    let bundle = case.bundle().args(&["sh", "-c", script, "zero", "", "a b", "ü\n", "$HOME", "*"]);
    bundle.run().ok().prints("[]\n[a b]\n[ü\n]\n[$HOME]\n[*]\n");
}

/// "env: with the same semantics as environ": these, and not the runtime's.
fn the_environment_is_the_one_of_the_config(case: &Case) {
    let env = ["PATH=/bin", "HOME=/somewhere", "A=b=c", "EMPTY=", "ODD=ü \t"];
    let bundle = case.bundle().set("/process/env", json!(env)).args(&["env"]);
    let run = bundle.launch("run", &[]).variable("LEAKED", "yes").run();
    let mut seen: Vec<_> = bundle.settle(run).ok().stdout.lines().map(String::from).collect();
    seen.sort();
    assert_eq!(seen, ["A=b=c", "EMPTY=", "HOME=/somewhere", "ODD=ü \t", "PATH=/bin"]);
}

/// Engines append the user's choice to the image's.
fn of_a_variable_set_twice_the_last_counts(case: &Case) {
    let bundle = case.bundle().set("/process/env", json!(["PATH=/bin", "A=first", "A=last"]));
    bundle
        .sh("echo $A; tr '\\0' '\\n' < /proc/1/environ | grep -c ^A=")
        .run()
        .ok()
        .prints("last\n1\n");
}

/// Not a must, but what programs rely on: HOME is from the container's passwd
/// unless the config has one.
fn home_is_that_of_the_user(case: &Case) {
    for (uid, home) in [(0, "/root\n"), (1000, "/home/user\n")] {
        let bundle = case.bundle().set("/process/user", json!({"uid": uid, "gid": uid}));
        bundle.sh("echo $HOME").run().ok().prints(home);
    }
}

/// The same.
fn home_of_an_unknown_user_is_the_root(case: &Case) {
    let bundle = case.bundle().set("/process/user", json!({"uid": 4321, "gid": 0}));
    bundle.sh("echo $HOME").run().ok().prints("/\n");
}

/// execvp's semantics, in the container: its PATH, and its files.
fn the_program_is_searched_in_the_path_of_the_container(case: &Case) {
    let script = "#!/bin/sh\necho \"it is $0\"\n";
    let bundle = case
        .bundle()
        .program("/only/here/my-program", script)
        .file("/bin/my-program", "not executable");
    let bundle = bundle.set("/process/env", json!(["PATH=/bin:/only/here"])).args(&["my-program"]);
    bundle.run().ok().prints("it is /only/here/my-program\n");
}

/// The same.
fn a_program_with_a_slash_is_relative_to_the_working_directory(case: &Case) {
    let bundle = case
        .bundle()
        .program("/some/where/script", "#!/bin/sh\npwd\n")
        .set("/process/cwd", json!("/some"));
    bundle.args(&["./where/script"]).run().ok().prints("/some\n");
}

/// Not the directory that the runtime is called in.
fn a_path_that_is_not_absolute_means_the_container(case: &Case) {
    let bundle = case.bundle().program("/sub/script", "#!/bin/sh\necho container\n");
    let bundle = bundle.set("/process/env", json!(["PATH=sub"])).args(&["script"]);
    fs::create_dir(case.path("sub")).unwrap();
    assert_ne!(bundle.run().stdout, "host\n");
}

/// "args (array of strings, REQUIRED)": "at least one entry is required".
fn empty_args_are_refused(case: &Case) {
    for args in [json!([]), json!(null), json!([""])] {
        case.bundle().set("/process/args", args).run().fails();
        case.leaves_nothing();
    }
}

/// Of the container.
fn an_interpreter_runs_a_script(case: &Case) {
    let bundle = case.bundle().program("/script", "#!/bin/cat\nhello\n").args(&["/script"]);
    bundle.run().ok().prints("#!/bin/cat\nhello\n");
}

/// "cwd … MUST be an absolute path."
fn a_relative_working_directory_is_refused(case: &Case) {
    for cwd in ["tmp", "./tmp", ""] {
        case.bundle().set("/process/cwd", json!(cwd)).create().fails();
        case.leaves_nothing();
    }
}

/// "cwd is the working directory that will be set for the executable."
fn the_program_runs_in_its_working_directory(case: &Case) {
    case.bundle().set("/process/cwd", json!("/etc")).args(&["pwd"]).run().ok().prints("/etc\n");
}

/// As engines rely on.
fn a_missing_working_directory_is_made(case: &Case) {
    let bundle =
        case.bundle().set("/process/cwd", json!("/new/dir")).sh("pwd; stat -c %a:%u /new/dir");
    bundle.run().ok().prints("/new/dir\n755:0\n");
}

/// Root without capabilities may not enter what the user may.
fn a_working_directory_that_only_the_user_may_enter_works(case: &Case) {
    let bundle =
        case.bundle().directory("/private").set("/process/user", json!({"uid": 1000, "gid": 1000}));
    std::os::unix::fs::chown(bundle.rootfs("/private"), Some(1000), Some(1000)).unwrap();
    chmod(&bundle.rootfs("/private"), 0o700);
    bundle.set("/process/cwd", json!("/private")).args(&["pwd"]).run().ok().prints("/private\n");
}

/// The other way round: chdir comes before the user changes.
fn a_working_directory_that_only_root_may_enter_works(case: &Case) {
    let bundle =
        case.bundle().directory("/private").set("/process/user", json!({"uid": 1000, "gid": 1000}));
    chmod(&bundle.rootfs("/private"), 0o700);
    bundle
        .set("/process/cwd", json!("/private"))
        .sh("readlink /proc/self/cwd")
        .run()
        .ok()
        .prints("/private\n");
}

fn chmod(path: &std::path::Path, mode: u32) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

/// The words make Docker say what is wrong.
fn a_working_directory_that_is_a_file_fails(case: &Case) {
    case.bundle()
        .set("/process/cwd", json!("/etc/passwd"))
        .run()
        .fails()
        .tells("/etc/passwd")
        .says("not a directory");
    case.leaves_nothing();
}

/// "rlim.rlim_cur MUST match the configured value", and so must rlim_max.
fn a_resource_limit_is_set(case: &Case) {
    let limits = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]);
    let bundle =
        case.bundle().set("/process/rlimits", limits).sh("ulimit -Sn; ulimit -Hn; ulimit -Hc");
    bundle.run().ok().prints("100\n200\n0\n");
}

/// The types that getrlimit(2) has, each with the value that it has already.
fn every_kind_of_resource_limit_is_known(case: &Case) {
    let names = [
        "CPU",
        "FSIZE",
        "DATA",
        "STACK",
        "CORE",
        "RSS",
        "NPROC",
        "NOFILE",
        "MEMLOCK",
        "AS",
        "LOCKS",
        "SIGPENDING",
        "MSGQUEUE",
        "NICE",
        "RTPRIO",
        "RTTIME",
    ];
    let own = fs::read_to_string("/proc/self/limits").unwrap();
    let limits: Vec<_> = own
        .lines()
        .skip(1)
        .zip(names)
        .map(|(line, name)| {
            let values: Vec<_> = line[26..]
                .split_whitespace()
                .take(2)
                .map(|value| value.parse().unwrap_or(u64::MAX))
                .collect();
            json!({"type": format!("RLIMIT_{name}"), "soft": values[0], "hard": values[1]})
        })
        .collect();
    assert_eq!(limits.len(), 16);
    let output = case
        .bundle()
        .set("/process/rlimits", json!(limits))
        .args(&["cat", "/proc/self/limits"])
        .run()
        .ok();
    assert_eq!(output.stdout, own);
}

/// "The runtime MUST generate an error for any values which cannot be mapped to
/// a relevant kernel interface."
fn an_unknown_resource_limit_is_refused(case: &Case) {
    for name in ["RLIMIT_NOTHING", "NOFILE", ""] {
        let limit = json!({"type": name, "soft": 1, "hard": 1});
        case.bundle().push("/process/rlimits", limit).create().fails();
        case.leaves_nothing();
    }
}

/// "If rlimits contains duplicated entries with same type, the runtime MUST
/// generate an error."
fn a_resource_limit_that_is_listed_twice_is_refused(case: &Case) {
    let limit = json!({"type": "RLIMIT_NOFILE", "soft": 100, "hard": 100});
    case.bundle().push("/process/rlimits", limit).create().fails();
    case.leaves_nothing();
}

/// setrlimit(2) refuses it.
fn a_soft_limit_above_the_hard_one_is_refused(case: &Case) {
    let limits = json!([{"type": "RLIMIT_NOFILE", "soft": 200, "hard": 100}]);
    case.bundle().set("/process/rlimits", limits).create().fails();
    case.leaves_nothing();
}

/// "If oomScoreAdj is set, the runtime MUST set oom_score_adj to the given
/// value."
fn the_oom_score_is_set(case: &Case) {
    let bundle = case
        .bundle()
        .set("/process/oomScoreAdj", json!(567))
        .args(&["cat", "/proc/self/oom_score_adj"]);
    bundle.run().ok().prints("567\n");
}

/// "If oomScoreAdj is not set, the runtime MUST NOT change the value".
fn without_a_word_about_it_the_oom_score_stays(case: &Case) {
    let bundle = case.bundle().args(&["cat", "/proc/self/oom_score_adj"]);
    let raise = r#"echo 321 > /proc/self/oom_score_adj; exec "$@""#;
    let run = bundle.launch("run", &[]).through(["sh", "-c", raise, "sh"]).run();
    bundle.settle(run).ok().prints("321\n");
}

/// "setting noNewPrivileges to true prevents the process from gaining
/// additional privileges".
fn no_new_privileges_is_set_or_not(case: &Case) {
    for (value, seen) in [(json!(true), "1"), (json!(false), "0"), (json!(null), "0")] {
        let bundle = case.bundle().set("/process/noNewPrivileges", value);
        bundle
            .sh("grep NoNewPrivs /proc/self/status")
            .run()
            .ok()
            .prints(&format!("NoNewPrivs:\t{seen}\n"));
    }
}

/// A pipe to `run` is a pipe to the program.
fn stdin_stdout_and_stderr_are_passed_on(case: &Case) {
    let input = case.path("input");
    fs::write(&input, "from outside\n").unwrap();
    let bundle = case.bundle().sh("cat; echo to stderr >&2");
    let output = bundle.launch("run", &[]).stdin(File::open(&input).unwrap()).run();
    assert_eq!(bundle.settle(output).ok().prints("from outside\n").stderr, "to stderr\n");
}

/// No signal is blocked or ignored because the runtime did so for itself. (The
/// signals above 31 belong to the C library of whoever has called it.)
fn signals_have_their_default_actions(case: &Case) {
    let output =
        case.bundle().args(&["grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status"]).run().ok();
    let masks = output
        .stdout
        .lines()
        .map(|line| u64::from_str_radix(&line[8..], 16).unwrap() & 0x7fff_ffff);
    assert_eq!(masks.collect::<Vec<_>>(), [0, 0], "{output}");
}

/// `_ses.ID`; with `--no-new-keyring` the old one is kept.
fn the_session_keyring_is_new(case: &Case) {
    for (options, expected) in [(&[] as &[&str], true), (&["--no-new-keyring"], false)] {
        let bundle = case.bundle().remove("/linux/maskedPaths").args(&["cat", "/proc/keys"]);
        let output = bundle.run_with(options).ok();
        assert_eq!(output.stdout.contains(&format!("_ses.{}", bundle.id)), expected, "{output}");
    }
}

/// "Runtimes MAY log unknown properties but MUST otherwise ignore them."
fn unknown_properties_are_ignored(case: &Case) {
    let bundle =
        ["/unknown", "/process/unknown", "/root/unknown", "/linux/unknown", "/mounts/0/unknown"]
            .iter()
            .fold(case.bundle(), |bundle, pointer| {
                bundle.set(pointer, json!({"deep": [1, "two", null]}))
            });
    bundle.sh("echo ran").run().ok().prints("ran\n");
}

/// "Runtimes MUST ignore consoleSize if terminal is false or unset."
fn a_console_size_without_a_terminal_is_ignored(case: &Case) {
    for height in [10, 1_u64 << 40] {
        let bundle = case.bundle();
        let bundle = bundle.set("/process/consoleSize", json!({"height": height, "width": 20}));
        bundle.sh("tty").run().exits(1).prints("not a tty\n");
    }
}
