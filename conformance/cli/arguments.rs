//! The grammar of runc's command line, which every engine's argv is made for.

use crate::support::needs::needs;
use crate::support::{Case, Test, leaks, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("1.0", an_option_takes_its_value_in_all_forms)
            .fails_on("crun", "another command line"),
        test!("1.0", a_global_option_takes_its_value_in_all_forms)
            .fails_on("crun", "another command line"),
        test!("1.0", options_may_follow_the_id).fails_on("crun", "another command line"),
        test!("1.0", a_switch_may_be_told_its_value).fails_on("crun", "another command line"),
        test!("1.0", a_double_dash_ends_the_options),
        test!("1.0", short_switches_are_not_bundled),
        test!("1.0", an_unknown_option_fails),
        test!("1.0", an_option_without_its_value_fails),
        test!("1.0", a_global_option_after_the_command_is_unknown),
        test!("1.0", a_wrong_number_of_arguments_is_incorrect_usage)
            .fails_on("crun", "another command line"),
        test!("1.0", an_empty_id_is_refused),
        test!("1.0", an_unknown_command_fails),
        test!("1.0", help_succeeds),
        test!("1.1", the_root_of_the_file_system_is_no_state_directory)
            .fails_on("crun", "accepts it")
            .fails_on("runc 1.1", "accepts it"),
        test!("1.1", the_switches_of_engines_are_known),
        test!("1.1", a_systemd_cgroup_needs_systemd).needs(needs![no_file("/run/systemd/system")]),
        test!("1.1", the_cgroup_manager_of_crun_can_be_chosen)
            .needs(needs![global_option("cgroup-manager")]),
        test!("1.2", the_config_of_crun_can_lie_elsewhere).needs(needs![create_option("--config")]),
        test!("1.2", a_signal_may_be_a_name_or_a_number)
            .fails_on("crun 1.8", "knows no lower case"),
        test!("1.2", an_unknown_signal_is_refused).fails_on("crun 1.8", "kills with signal 0"),
        test!("1.2", kill_all_is_accepted),
        test!("1.2", without_a_signal_it_is_sigterm),
    ]
}

/// `--bundle B`, `--bundle=B`, `-bundle B`, `-bundle=B`, `-b B`, `-b=B`.
fn an_option_takes_its_value_in_all_forms(case: &Case) {
    let bundle = case.bundle();
    bundle.write_config();
    let dir = bundle.dir.to_str().unwrap();
    for option in ["--bundle", "-bundle", "-b"] {
        case.runtime(["create", option, dir, &bundle.id]).run().ok();
        bundle.delete_force().ok();
        case.runtime(["create", &format!("{option}={dir}"), &bundle.id]).run().ok();
        bundle.delete_force().ok();
    }
}

/// The same for `--root`, and mixed with others, as Podman and CRI-O do.
fn a_global_option_takes_its_value_in_all_forms(case: &Case) {
    let bundle = case.bundle();
    bundle.create().ok();
    let root = case.root().to_str().unwrap().to_owned();
    let log = case.path("log").to_str().unwrap().to_owned();
    let root_is = |option: &str| format!("{option}={root}");
    for globals in [
        vec!["--root", &root],
        vec![&root_is("--root"), "--log-format=json", "--log", &log],
        vec!["-root", &root, "-log-format", "json", &format!("-log={log}")],
        vec!["--debug=false", &root_is("-root")],
    ] {
        bundle.command("state", &[]).globals(globals).run().ok();
    }
}

/// conmon puts the ID last, people put it anywhere.
fn options_may_follow_the_id(case: &Case) {
    let bundle = case.bundle();
    bundle.write_config();
    let pid_file = case.path("pid");
    let options =
        ["--bundle", bundle.dir.to_str().unwrap(), "--pid-file", pid_file.to_str().unwrap()];
    case.runtime(["create", &bundle.id]).args(options).run().ok();
    assert_eq!(case.read("pid"), bundle.pid().to_string());
    case.runtime(["delete", &bundle.id, "--force"]).run().ok();
}

/// `--force=false` is as good as none.
fn a_switch_may_be_told_its_value(case: &Case) {
    let bundle = case.bundle().running();
    bundle.command("delete", &["--force=false"]).run().fails();
    bundle.command("delete", &["--force=true"]).run().ok();
}

/// What follows is no option.
fn a_double_dash_ends_the_options(case: &Case) {
    let bundle = case.bundle();
    bundle.create().ok();
    bundle.command("state", &["--"]).run().ok();
    let mut odd = case.bundle();
    odd.id = format!("-{}", odd.id);
    odd.write_config();
    case.runtime(["create", "--bundle", odd.dir.to_str().unwrap(), "--", &odd.id]).run().ok();
    case.runtime(["delete", "--force", "--", &odd.id]).run().ok();
}

/// `-dq` is a name, not two.
fn short_switches_are_not_bundled(case: &Case) {
    case.bundle().launch("run", &["-dt"]).run().fails();
    case.leaves_nothing();
}

/// "flag provided but not defined: -no-such-option".
fn an_unknown_option_fails(case: &Case) {
    let bundle = case.bundle();
    for option in ["--no-such-option", "-no-such-option", "--no-such-option=x"] {
        bundle
            .launch("create", &[option])
            .run()
            .fails()
            .says("flag provided but not defined: -no-such-option");
    }
    case.runtime(["state", "x"])
        .globals(["--no-such-option"])
        .run()
        .fails()
        .says("flag provided but not defined");
    case.leaves_nothing();
}

/// Podman and CRI-O look for the words.
fn an_option_without_its_value_fails(case: &Case) {
    case.runtime(["create", "--bundle"])
        .run()
        .fails()
        .says("flag needs an argument")
        .tells("bundle");
    case.runtime(["create", "-bundle"]).run().fails().says("flag needs an argument");
}

/// Global options stand before the command.
fn a_global_option_after_the_command_is_unknown(case: &Case) {
    let bundle = case.bundle();
    bundle.create().ok();
    bundle.command("state", &["--root", case.root().to_str().unwrap()]).run().fails();
}

/// With help on stdout, and "requires exactly N argument(s)" on stderr.
fn a_wrong_number_of_arguments_is_incorrect_usage(case: &Case) {
    for command in ["state", "start", "delete"] {
        for ids in [&[] as &[&str], &["one", "two"]] {
            let output = case.runtime([command]).args(ids).run().fails();
            assert!(output.stdout.starts_with("Incorrect Usage.\n\n"), "{output}");
            output.says(&format!("{command:?} requires exactly 1 argument"));
        }
    }
    case.runtime(["kill"]).run().fails().says("requires a minimum of 1 argument");
    case.runtime(["kill", "a", "b", "c"]).run().fails().says("requires a maximum of 2 argument");
}

/// "container id cannot be empty".
fn an_empty_id_is_refused(case: &Case) {
    for command in ["state", "start", "kill"] {
        case.runtime([command, ""]).run().fails().says("container id cannot be empty");
    }
    case.bundle().launch("create", &[]).args([""]).run().fails();
}

/// Not taken for help.
fn an_unknown_command_fails(case: &Case) {
    let output = case.runtime(["no-such-command"]).run();
    assert_ne!(output.code(), 0, "{output}");
}

/// For the runtime and for its commands.
fn help_succeeds(case: &Case) {
    let output = case.runtime(["--help"]).globals([""; 0]).run().ok();
    assert!(
        ["create", "start", "state", "kill", "delete"]
            .iter()
            .all(|command| output.stdout.contains(command))
    );
    for command in ["create", "run", "start", "state", "kill", "delete", "list", "spec"] {
        let output = case.runtime([command, "--help"]).run().ok();
        assert!(output.stdout.contains(command), "{output}");
    }
}

/// "Option --root argument should not be set to /".
fn the_root_of_the_file_system_is_no_state_directory(case: &Case) {
    case.runtime(["list"]).globals(["--root", "/"]).run().fails().tells("--root");
}

/// As containerd, Podman, CRI-O and conmon pass them.
fn the_switches_of_engines_are_known(case: &Case) {
    let bundle = case.bundle().sh("echo ran");
    let root = case.root().to_str().unwrap().to_owned();
    for rootless in ["true", "false", "auto"] {
        bundle
            .command("state", &[])
            .globals(["--root", &root, "--rootless", rootless])
            .run()
            .fails()
            .says("does not exist");
    }
    let options = ["--no-new-keyring", "--no-pivot", "--no-subreaper", "--preserve-fds", "0"];
    bundle.run_with(&options).ok().prints("ran\n");
}

/// Said at create, and nothing is made in another way instead.
fn a_systemd_cgroup_needs_systemd(case: &Case) {
    let bundle =
        case.bundle().set("/linux/cgroupsPath", serde_json::json!("system.slice:conformance:name"));
    let root = case.root().to_str().unwrap().to_owned();
    bundle
        .launch("create", &[])
        .globals(["--root", &root, "--systemd-cgroup"])
        .run()
        .fails()
        .says("systemd");
    case.leaves_nothing();
}

/// `--cgroup-manager cgroupfs|systemd|disabled`; Podman passes the last.
fn the_cgroup_manager_of_crun_can_be_chosen(case: &Case) {
    let root = case.root().to_str().unwrap().to_owned();
    for (manager, cgroup) in [("cgroupfs", true), ("disabled", false)] {
        let bundle = case.bundle();
        let globals = ["--root", &root, "--cgroup-manager", manager];
        bundle.settle(bundle.launch("create", &[]).globals(globals).run()).ok();
        assert_eq!(!leaks::cgroups(&case.tag).is_empty(), cgroup, "{manager}");
        bundle.delete_force().ok();
    }
    let bundle = case.bundle();
    bundle
        .launch("create", &[])
        .globals(["--root", &root, "--cgroup-manager", "none"])
        .run()
        .fails();
    case.leaves_nothing();
}

/// `--config FILE`, not in the bundle.
fn the_config_of_crun_can_lie_elsewhere(case: &Case) {
    let bundle = case.bundle().sh("echo ran");
    bundle.write_config();
    let config = case.path("elsewhere.json");
    std::fs::rename(bundle.dir.join("config.json"), &config).unwrap();
    let options = ["--bundle", bundle.dir.to_str().unwrap(), "--config", config.to_str().unwrap()];
    bundle.settle(bundle.command("run", &options).run()).ok().prints("ran\n");
}

/// `9`, `KILL`, `SIGKILL`, in any case.
fn a_signal_may_be_a_name_or_a_number(case: &Case) {
    for signal in ["9", "KILL", "SIGKILL", "kill", "SigKill"] {
        let bundle = case.bundle().running();
        bundle.kill(signal).ok();
        bundle.until_stopped();
    }
}

/// `unknown signal "X"`; the container does not notice.
fn an_unknown_signal_is_refused(case: &Case) {
    let bundle = case.bundle().running();
    for signal in ["SIGNOTHING", "9x", "TERM "] {
        bundle.kill(signal).fails().says("unknown signal");
    }
    for number in ["99999999999", "4096"] {
        bundle.kill(number).fails();
    }
    assert_eq!(bundle.status(), "running");
}

/// containerd and Podman pass `--all`, before or after the ID.
fn kill_all_is_accepted(case: &Case) {
    let bundle = case.bundle().running();
    bundle.command("kill", &["--all"]).args(["KILL"]).run().ok();
    bundle.until_stopped();
    bundle.command("kill", &["-a"]).args(["KILL"]).run().ok();
}

/// The default.
fn without_a_signal_it_is_sigterm(case: &Case) {
    let bundle = case.bundle().running();
    bundle.command("kill", &[]).run().ok();
    bundle.until_stopped();
}
