//! Each rule of the command line, and its words.

use super::*;
use crate::cli::{CgroupManager, LogFormat, Rootless};

fn line(words: &str) -> Invocation {
    parse(words.split_whitespace().map(OsString::from))
}

fn matches(words: &str) -> Matches {
    line(words).command.unwrap()
}

/// The error's words, and its hint.
fn fault(words: &str) -> (String, String) {
    let e = line(words).command.unwrap_err();
    (e.to_string(), e.hint().unwrap_or_default().to_owned())
}

#[test]
fn values_may_follow_or_be_joined_with_one_dash_or_two() {
    for words in [
        "create --bundle /b ID",
        "create --bundle=/b ID",
        "create -bundle /b ID",
        "create -bundle=/b ID",
        "create -b /b ID",
        "create -b=/b ID",
        "create --b /b ID",
        "create ID --bundle /b",
        "create --bundle /a ID --bundle /b",
    ] {
        let m = matches(words);
        assert_eq!(m.value("bundle"), Some(OsStr::new("/b")), "{words}");
        assert_eq!(m.args(), ["ID"], "{words}");
    }
}

#[test]
fn a_value_may_look_like_a_flag_or_hold_an_equals_sign() {
    assert_eq!(matches("exec -e A=b=c ID x").text("env"), Some("A=b=c"));
    assert_eq!(matches("create --bundle --pid-file ID").text("bundle"), Some("--pid-file"));
    assert_eq!(matches("update --resources - ID").text("resources"), Some("-"));
    assert_eq!(matches("update --resources=- ID").text("resources"), Some("-"));
}

#[test]
fn an_empty_value_is_as_good_as_none() {
    let m = matches("create --bundle= --pid-file p ID");
    assert_eq!(m.value("bundle"), None);
    assert_eq!(m.path("pid-file"), Some(std::path::Path::new("p")));
}

#[test]
fn switches() {
    for (words, on) in [
        ("run -d ID", true),
        ("run --detach ID", true),
        ("run --detach=true ID", true),
        ("run --detach=1 ID", true),
        ("run --detach= ID", true),
        ("run --detach=false ID", false),
        ("run -d=F ID", false),
        ("run -d -d=false ID", false),
        ("run ID", false),
    ] {
        assert_eq!(matches(words).flag("detach"), on, "{words}");
    }
    let words = fault("run --detach=maybe ID").0;
    assert_eq!(words, "invalid value \"maybe\" for flag -detach: must be true or false");
}

#[test]
fn numbers() {
    assert_eq!(matches("create --preserve-fds 3 ID").number("preserve-fds"), Some(3));
    assert_eq!(matches("update --pids-limit=-1 ID").number("pids-limit"), Some(-1));
    assert_eq!(matches("create ID").number("preserve-fds"), None);
    let words = fault("create --preserve-fds x ID").0;
    assert_eq!(words, "invalid value \"x\" for flag -preserve-fds: must be a whole number");
}

#[test]
fn repeated_values_are_kept_in_order_and_not_split_at_commas() {
    let m = matches("exec --cgroup cpu,cpuacct:sub --cgroup memory:x -e A=1 ID true");
    assert_eq!(m.values("cgroup").collect::<Vec<_>>(), ["cpu,cpuacct:sub", "memory:x"]);
    assert_eq!(m.values("env").collect::<Vec<_>>(), ["A=1"]);
    assert_eq!(m.values("cap").count(), 0);
}

#[test]
fn unknown_flags() {
    assert_eq!(fault("create --foo ID").0, "flag provided but not defined: -foo");
    assert_eq!(fault("create -foo=1 ID").0, "flag provided but not defined: -foo");
    assert_eq!(fault("--foo list").0, "flag provided but not defined: -foo");
    assert_eq!(fault("exec -td ID sh").0, "flag provided but not defined: -td");
}

#[test]
fn unknown_flags_get_advice() {
    assert_eq!(fault("create --bundel b ID").1, "did you mean --bundle?");
    assert_eq!(fault("--rot /x list").1, "did you mean --root?");
    assert_eq!(fault("exec -td ID sh").1, "write short flags one by one: -t -d");
    assert_eq!(fault("list --root /x").1, "--root goes before the command: minke --root ... list");
    assert_eq!(fault("create --zebra ID").1, "`minke create --help` lists the flags");
}

/// Podman and CRI-O look for `flag needs an argument` in what
/// `restore --lsm-mount-context` says, to learn whether pods can be restored.
#[test]
fn a_missing_value() {
    let words = fault("restore --lsm-mount-context").0;
    assert_eq!(words, "flag needs an argument: --lsm-mount-context");
    assert_eq!(fault("create ID -b").0, "flag needs an argument: -b");
    assert_eq!(fault("--root").0, "flag needs an argument: --root");
}

#[test]
fn flags_may_follow_the_id() {
    let m = matches("delete ID --force");
    assert!(m.flag("force"));
    assert_eq!(m.args(), ["ID"]);
}

#[test]
fn flags_of_exec_kill_and_ps_end_at_the_id() {
    assert_eq!(matches("kill ID -9").args(), ["ID", "-9"]);
    assert_eq!(matches("kill --all ID SIGTERM").args(), ["ID", "SIGTERM"]);
    assert_eq!(matches("kill ID -a").args(), ["ID", "-a"]);
    assert_eq!(matches("ps -f json ID -aux").args(), ["ID", "-aux"]);
    let m = matches("exec -t ID sh -c -t --help");
    assert_eq!(m.args(), ["ID", "sh", "-c", "-t", "--help"]);
    assert_eq!(matches("exec ID -- sh -- x").args(), ["ID", "sh", "--", "x"]);
}

#[test]
fn two_dashes_end_the_flags() {
    assert_eq!(matches("delete -- --force").args(), ["--force"]);
    assert_eq!(matches("exec -- ID sh -c").args(), ["ID", "sh", "-c"]);
    assert_eq!(matches("-- list").name(), "list");
}

#[test]
fn a_dash_and_no_letter_ends_the_flags() {
    assert_eq!(matches("delete -1 --force").args(), ["-1", "--force"]);
    assert_eq!(matches("delete - --force").args(), ["-"]);
}

#[test]
fn arguments_are_counted() {
    for (words, expected) in [
        ("create", "\"create\" requires exactly 1 argument(s)"),
        ("create a b", "\"create\" requires exactly 1 argument(s)"),
        ("list x", "\"list\" requires exactly 0 argument(s)"),
        ("kill", "\"kill\" requires a minimum of 1 argument(s)"),
        ("kill a 9 b", "\"kill\" requires a maximum of 2 argument(s)"),
        ("exec", "\"exec\" requires a minimum of 1 argument(s)"),
    ] {
        assert_eq!(matches(words).check_arity().unwrap_err().to_string(), expected);
    }
    for words in ["create a", "list", "kill a", "kill a 9", "exec a", "exec a b c", "help", "ps a"]
    {
        assert!(matches(words).check_arity().is_ok(), "{words}");
    }
}

#[test]
fn global_flags() {
    let global = line(
        "--root=/x/../r --log /l --log-format=json --debug --rootless false --systemd-cgroup list",
    )
    .global;
    assert_eq!(
        global,
        Global {
            root: Some("/r".into()),
            log: Some("/l".into()),
            log_format: LogFormat::Json,
            debug: true,
            cgroup_manager: CgroupManager::Systemd,
            rootless: Rootless::No,
        }
    );
    assert_eq!(line("--debug=false --rootless auto list").global, Global::default());
    assert_eq!(line("--systemd-cgroup=false list").global, Global::default());
    let crun = line("--cgroup-manager disabled list").global;
    assert_eq!(crun.cgroup_manager, CgroupManager::Disabled);
}

#[test]
fn relative_logs_are_made_absolute_before_anybody_changes_directory() {
    assert!(line("--log l list").global.log.unwrap().is_absolute());
    assert_eq!(line("--log= list").global.log, None);
}

#[test]
fn wrong_values_of_global_flags() {
    assert_eq!(fault("--log-format yaml list").0, "invalid log-format: yaml");
    assert_eq!(fault("--cgroup-manager x list").0, "unknown cgroup manager: \"x\"");
    assert_eq!(fault("--root / list").0, "Option --root argument should not be set to /");
    assert_eq!(
        fault("--rootless x list").0,
        "invalid value \"x\" for flag -rootless: must be true, false or auto"
    );
}

/// The error must find its way into the log.
#[test]
fn global_flags_count_in_spite_of_errors() {
    for words in [
        "--foo --log /l --log-format json list",
        "--root / --log /l --log-format json list",
        "--log /l --log-format json lsit",
        "--log /l --log-format json create --foo",
    ] {
        let invocation = line(words);
        assert_eq!(invocation.global.log, Some("/l".into()), "{words}");
        assert_eq!(invocation.global.log_format, LogFormat::Json);
        assert!(invocation.command.is_err());
    }
}

#[test]
fn unknown_commands() {
    let (words, hint) = fault("lsit");
    assert_eq!(words, "no such command: \"lsit\"");
    assert_eq!(hint, "did you mean `minke list`?");
    assert_eq!(fault("banana").1, "`minke help` lists the commands");
}

#[test]
fn help_and_version_in_all_their_spellings() {
    for (words, name, args) in [
        ("", "help", vec![]),
        ("--help", "help", vec![]),
        ("-h", "help", vec![]),
        ("help", "help", vec![]),
        ("h", "help", vec![]),
        ("help run", "help", vec!["run"]),
        ("run --help", "help", vec!["run"]),
        ("run -h ID", "help", vec!["run"]),
        ("run ID -help", "help", vec!["run"]),
        ("--version", "version", vec![]),
        ("-v", "version", vec![]),
        ("-version", "version", vec![]),
        ("--debug --version x", "version", vec![]),
    ] {
        let m = matches(words);
        assert_eq!(
            (m.name(), m.args()),
            (name, &args.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
            "{words}"
        );
    }
}

/// Paths may hold any bytes; text may not.
#[test]
fn bytes_that_are_not_utf8() {
    let odd = || OsString::from_vec(b"/\xff".to_vec());
    let m = parse(["create".into(), "--bundle".into(), odd(), "ID".into()]).command.unwrap();
    assert_eq!(m.value("bundle"), Some(odd().as_os_str()));
    let e = parse(["create".into(), odd()]).command.unwrap_err();
    assert_eq!(e.to_string(), "argument \"/\u{fffd}\" is not valid UTF-8");
    let e = parse(["exec".into(), "--user".into(), odd(), "ID".into()]).command.unwrap_err();
    assert_eq!(e.to_string(), "invalid value \"/\u{fffd}\" for flag -user: must be UTF-8");
}

/// Command lines as engines write them.
#[test]
fn lines_of_engines() {
    let m = matches(
        "--root /r/ns --log /b/log.json --log-format json --systemd-cgroup create --bundle /b \
         --pid-file /b/init.pid --console-socket /c --no-pivot --no-new-keyring ID",
    );
    assert!(m.flag("no-pivot") && m.flag("no-new-keyring"));
    assert_eq!((m.text("console-socket"), m.arg(0)), (Some("/c"), "ID"));
    let m = matches("exec --pid-file /p --process /f --detach --console-socket /s ID");
    assert!(m.flag("detach"));
    assert_eq!((m.text("process"), m.arg(0)), (Some("/f"), "ID"));
    let m = matches("kill --all ID 15");
    assert_eq!((m.flag("all"), m.arg(1)), (true, "15"));
    assert_eq!(matches("update --resources - ID").arg(0), "ID");
}
