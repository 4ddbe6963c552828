//! `exec`: one more process in a running container.

use std::fs;

use rustix::process::Signal;

use crate::support::command::{Invocation, Output};
use crate::support::needs::{cgroup2, needs};
use crate::support::terminal::{Receiver, Terminal};
use crate::support::wait::{self, PATIENCE};
use crate::support::{Bundle, Case, Test, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("exec", exec_exits_as_the_program_does),
        test!("exec", exec_is_in_the_containers_namespaces_and_root),
        test!("exec", exec_is_root_of_the_containers_user_namespace),
        test!("exec", exec_is_in_the_containers_cgroups),
        test!("exec", exec_is_as_the_config_says_unless_told_otherwise)
            .fails_on("crun 1.8", "is root in / unless told otherwise"),
        test!("exec", exec_takes_cwd_env_and_user)
            .fails_on("crun 1.8", "drops the PATH of the config for --env"),
        test!("exec", exec_takes_more_groups).may_fail_on("crun 1.8", "another command line"),
        test!("exec", exec_takes_a_process_from_a_file),
        test!("exec", exec_goes_by_the_config_that_create_has_seen)
            .fails_on("runc", "reads the bundle again"),
        test!("exec", exec_cap_is_never_inheritable),
        test!("exec", exec_no_new_privs_is_set),
        test!("exec", exec_refuses_ids_that_are_none)
            .fails_on("runc 1.1", "takes some of them")
            .may_fail_on("crun 1.8", "takes some of them"),
        test!("exec", exec_of_a_missing_program_says_so).may_fail_on("crun 1.8", "other words"),
        test!("exec", exec_of_what_is_not_executable_says_so)
            .may_fail_on("crun 1.8", "other words"),
        test!("exec", exec_of_a_garbage_process_file_fails)
            .may_fail_on("crun 1.8", "other exit codes"),
        test!("exec", exec_without_a_command_fails),
        test!("exec", exec_detach_comes_back_and_writes_the_pid),
        test!("exec", exec_passes_signals_on).may_fail_on("crun 1.8", "passes none"),
        test!("exec", exec_has_a_terminal),
        test!("exec", exec_detach_sends_the_terminal_to_the_console_socket)
            .fails_on("crun 1.8", "ends with 1"),
        test!("exec", exec_sends_a_pidfd).needs(needs![minke()]),
        test!("exec", exec_passes_preserved_descriptors_and_no_others)
            .may_fail_on("crun 1.8", "leaves more"),
        test!("exec", exec_shows_no_descriptor_of_the_runtime),
        test!("exec", exec_with_a_directory_of_the_host_as_cwd_fails)
            .may_fail_on("runc 1.1", "CVE-2024-21626")
            .may_fail_on("crun 1.8", "CVE-2024-21626"),
        test!("exec", exec_in_a_stopped_container_fails),
        test!("exec", exec_in_a_paused_container_fails)
            .may_fail_on("crun 1.8", "waits")
            .needs(needs![root()]),
        test!("exec", exec_in_a_created_container_works),
        test!("exec", exec_of_a_missing_container_fails),
        test!("exec", exec_joins_a_sub_cgroup)
            .needs(needs![controller("pids")])
            .may_fail_on("crun 1.8", "takes one path"),
        test!("exec", exec_refuses_a_cgroup_outside)
            .may_fail_on("crun 1.8", "other words")
            .fails_on("runc 1.1", "other words"),
        test!("exec", many_execs_at_once_work),
        test!("exec", exec_does_not_hold_the_containers_lock),
        test!("exec", exec_that_is_killed_leaves_nothing),
        test!("exec", exec_in_a_container_that_dies_ends),
        test!("ps", ps_lists_the_pids_as_json).fails_on("crun", "writes a line for each"),
        test!("ps", ps_shows_the_lines_of_the_hosts_ps)
            .needs(needs![file("/bin/ps")])
            .may_fail_on("crun 1.8", "shows pids only"),
        test!("ps", ps_refuses_another_format),
    ]
}

fn exec<'c>(bundle: &Bundle<'c>, options: &[&str], args: &[&str]) -> Invocation<'c> {
    bundle.command("exec", options).args(args)
}

fn sh(bundle: &Bundle<'_>, script: &str) -> Output {
    exec(bundle, &[], &["sh", "-c", script]).run()
}

/// A file with a process, for `--process`.
fn process_file(case: &Case, text: &str) -> String {
    let path = case.path(&format!("process-{}.json", case.next()));
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn exec_exits_as_the_program_does(case: &Case) {
    let bundle = case.bundle().running();
    for code in [0, 1, 42, 255] {
        sh(&bundle, &format!("exit {code}")).exits(code);
    }
    sh(&bundle, "kill -9 $$").exits(137);
    bundle.end();
}

fn exec_is_in_the_containers_namespaces_and_root(case: &Case) {
    let bundle = case.bundle().file("/mark", "here").running();
    let of =
        |pid: &str| format!("for n in ipc mnt net pid uts; do readlink /proc/{pid}/ns/$n; done");
    let own = sh(&bundle, &of("self")).ok().stdout;
    sh(&bundle, &of("1")).ok().prints(&own);
    sh(&bundle, "cat /mark; hostname").ok().prints("hereconformance\n");
    bundle.end();
}

/// Joined with the others, and with the ids that it has there.
fn exec_is_root_of_the_containers_user_namespace(case: &Case) {
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let bundle = case
        .bundle()
        .without_mount("/sys")
        .without_mount("/sys/fs/cgroup")
        .namespace("user")
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map);
    let bundle = bundle.running();
    let own = sh(&bundle, "id -u; id -g; readlink /proc/self/ns/user").ok().stdout;
    let user = fs::read_link(format!("/proc/{}/ns/user", bundle.pid())).unwrap();
    assert_eq!(own, format!("0\n0\n{}\n", user.display()));
    exec(&bundle, &["--user", "5:6"], &["id", "-u"]).run().ok().prints("5\n");
    bundle.end();
}

fn exec_is_in_the_containers_cgroups(case: &Case) {
    let bundle = case.bundle().running();
    let own = sh(&bundle, "cat /proc/self/cgroup").ok().stdout;
    sh(&bundle, "cat /proc/1/cgroup").ok().prints(&own);
    bundle.end();
}

fn exec_is_as_the_config_says_unless_told_otherwise(case: &Case) {
    let bundle = case
        .bundle()
        .set("/process/cwd", json!("/tmp"))
        .set("/process/env", json!(["PATH=/bin", "A=config"]))
        .set("/process/user", json!({"uid": 1000, "gid": 1000, "additionalGids": [7]}))
        .running();
    sh(&bundle, "pwd; echo $A; id -u; id -g; id -G")
        .ok()
        .prints("/tmp\nconfig\n1000\n1000\n1000 7\n");
    bundle.end();
}

fn exec_takes_cwd_env_and_user(case: &Case) {
    let bundle = case.bundle().running();
    let options = ["--cwd", "/tmp", "--env", "A=1", "--env", "B=2", "--user", "1000:1001"];
    let script = "pwd; echo $A$B; id -u; id -g; echo $HOME";
    exec(&bundle, &options, &["sh", "-c", script])
        .run()
        .ok()
        .prints("/tmp\n12\n1000\n1001\n/home/user\n");
    bundle.end();
}

fn exec_takes_more_groups(case: &Case) {
    let bundle = case.bundle().running();
    let options = ["-g", "7", "-g", "8", "-u", "5:6"];
    exec(&bundle, &options, &["id", "-G"]).run().ok().prints("6 7 8\n");
    bundle.end();
}

/// As engines do; all of it, not merged with the config.
fn exec_takes_a_process_from_a_file(case: &Case) {
    let bundle = case.bundle().set("/process/env", json!(["PATH=/bin", "GONE=1"])).running();
    let process = json!({
        "args": ["sh", "-c", "pwd; echo $X$GONE; id -u; ulimit -n; exit 9"], "cwd": "/tmp",
        "env": ["PATH=/bin", "X=file"], "user": {"uid": 3, "gid": 4},
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 77, "soft": 77}], "capabilities": null
    });
    let file = process_file(case, &process.to_string());
    exec(&bundle, &["--process", &file], &[]).run().exits(9).prints("/tmp\nfile\n3\n77\n");
    bundle.end();
}

/// runtime.md#lifecycle: "Any updates to config.json after this step MUST NOT
/// affect the container."
fn exec_goes_by_the_config_that_create_has_seen(case: &Case) {
    let bundle = case.bundle().set("/process/env", json!(["PATH=/bin", "A=before"])).running();
    let bundle = bundle.set("/process/env", json!(["PATH=/bin", "A=after"]));
    bundle.write_config();
    sh(&bundle, "echo $A").ok().prints("before\n");
    bundle.write_config_text("garbage");
    sh(&bundle, "echo $A").ok().prints("before\n");
    bundle.end();
}

/// CVE-2022-29162.
fn exec_cap_is_never_inheritable(case: &Case) {
    let bundle = case.bundle().set("/process/capabilities", json!({})).running();
    let script = "grep Cap /proc/self/status";
    let out = exec(&bundle, &["--cap", "CAP_KILL"], &["sh", "-c", script]).run().ok();
    let set = |name: &str| {
        let line = out.stdout.lines().find(|line| line.starts_with(name)).unwrap();
        u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
    };
    assert_eq!(["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(set), [0, 32, 32, 32, 0]);
    bundle.end();
}

fn exec_no_new_privs_is_set(case: &Case) {
    let bundle = case.bundle().set("/process/noNewPrivileges", json!(false)).running();
    let args = ["grep", "NoNewPrivs", "/proc/self/status"];
    exec(&bundle, &[], &args).run().ok().prints("NoNewPrivs:\t0\n");
    exec(&bundle, &["--no-new-privs"], &args).run().ok().prints("NoNewPrivs:\t1\n");
    bundle.end();
}

/// CVE-2026-30892: none of them may become root, or anybody.
fn exec_refuses_ids_that_are_none(case: &Case) {
    let bundle = case.bundle().running();
    for id in ["-1", "4294967295", "4294967296", "1:-1", "1:4294967296", "root", "1:", " 1", "0x1"]
    {
        let out = exec(&bundle, &[&format!("--user={id}")], &["id"]).run();
        assert_eq!((out.code(), out.stdout.as_str()), (255, ""), "{id}");
    }
    for uid in ["-1", "4294967295", "4294967296"] {
        let text = format!(
            r#"{{"args":["id"],"cwd":"/","env":["PATH=/bin"],"user":{{"uid":{uid},"gid":0}}}}"#
        );
        let out = exec(&bundle, &["-p", &process_file(case, &text)], &[]).run();
        assert_eq!((out.code(), out.stdout.as_str()), (255, ""), "{uid}");
    }
    bundle.end();
}

fn exec_of_a_missing_program_says_so(case: &Case) {
    let bundle = case.bundle().running();
    exec(&bundle, &[], &["nosuch"])
        .run()
        .exits(255)
        .says("exec: \"nosuch\": executable file not found in $PATH");
    exec(&bundle, &[], &["/no/such"]).run().exits(255).says("no such file or directory");
    bundle.end();
}

fn exec_of_what_is_not_executable_says_so(case: &Case) {
    let bundle = case.bundle().file("/bin/plain", "text").running();
    exec(&bundle, &[], &["/bin/plain"]).run().exits(255).says("permission denied");
    exec(&bundle, &[], &["/bin"]).run().exits(255);
    bundle.end();
}

fn exec_of_a_garbage_process_file_fails(case: &Case) {
    let bundle = case.bundle().running();
    for text in [
        "",
        "{",
        "[]",
        "null",
        "{}",
        r#"{"args":[]}"#,
        r#"{"args":["id"]}"#,
        r#"{"args":"id","cwd":"/"}"#,
        r#"{"args":["id"],"cwd":"x"}"#,
        r#"{"args":["id"],"cwd":"/","env":["=x"]}"#,
    ] {
        let out = exec(&bundle, &["--process", &process_file(case, text)], &[]).run();
        assert_eq!((out.code(), out.stdout.as_str()), (255, ""), "{text}");
        assert!(
            out.stderr.lines().count() == 1 || out.stderr.lines().count() == 2,
            "{}",
            out.stderr
        );
    }
    exec(&bundle, &["--process", "/no/such/file"], &[]).run().exits(255).says("no such file");
    bundle.end();
}

fn exec_without_a_command_fails(case: &Case) {
    let bundle = case.bundle().running();
    exec(&bundle, &[], &[]).run().exits(255).says("process args cannot be empty");
    bundle.end();
}

fn exec_detach_comes_back_and_writes_the_pid(case: &Case) {
    let bundle = case.bundle().running();
    let file = case.path("exec.pid");
    let options = ["--detach", "--pid-file", file.to_str().unwrap()];
    exec(&bundle, &options, &["sleep", "1000"]).run().ok();
    let text = fs::read_to_string(&file).unwrap();
    let pid: i32 = text.parse().unwrap();
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    assert_eq!(line, b"sleep\x001000\0");
    bundle.end();
    assert!(wait::ended(pid, PATIENCE), "dies with the container's pid namespace");
}

fn exec_passes_signals_on(case: &Case) {
    let bundle = case.bundle().running();
    let script = "trap 'exit 6' USR1; echo ready; while :; do sleep 0.01; done";
    let running = exec(&bundle, &[], &["sh", "-c", script]).spawn();
    running.until_prints("ready");
    running.signal(Signal::USR1);
    running.wait().exits(6);
    bundle.end();
}

fn exec_has_a_terminal(case: &Case) {
    let bundle = case.bundle().running();
    let (mut caller, slave) = Terminal::open(33, 99);
    let script = "stty -echo; tty; stty size; read line; echo got $line; exit 4";
    let running = exec(&bundle, &["-t"], &["sh", "-c", script]).terminal(slave).spawn();
    caller.until("/dev/pts/0");
    caller.until("33 99");
    caller.types("a line\r");
    caller.until("got a line");
    running.wait().exits(4);
    bundle.end();
}

fn exec_detach_sends_the_terminal_to_the_console_socket(case: &Case) {
    let bundle = case.bundle().running();
    exec(&bundle, &["-t", "-d"], &["sh"]).run().exits(255).says("console socket");
    let socket = Receiver::new(case.path("exec.sock"));
    let options = ["--tty", "--detach", "--console-socket", socket.path()];
    exec(&bundle, &options, &["sh", "-c", "tty; read line; echo got $line"]).run().ok();
    let (master, _) = socket.receive();
    let mut terminal = Terminal::of(master);
    terminal.until("/dev/pts/0");
    terminal.types("it\n");
    terminal.until("got it");
    bundle.end();
}

fn exec_sends_a_pidfd(case: &Case) {
    let bundle = case.bundle().running();
    let socket = Receiver::new(case.path("pidfd.sock"));
    let options = ["--detach", "--pidfd-socket", socket.path()];
    exec(&bundle, &options, &["sleep", "1000"]).run().ok();
    let (pidfd, payload) = socket.receive();
    assert_eq!(payload, b"setns");
    rustix::process::pidfd_send_signal(&pidfd, Signal::KILL).unwrap();
    bundle.end();
}

fn exec_passes_preserved_descriptors_and_no_others(case: &Case) {
    let bundle = case.bundle().running();
    let through = ["sh", "-c", "exec 3</dev/null 4</dev/null 5</dev/null; exec \"$@\"", "sh"];
    let listing =
        ["sh", "-c", "for n in 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$n ] && echo $n; done; :"];
    exec(&bundle, &["--preserve-fds", "2"], &listing).through(through).run().ok().prints("3\n4\n");
    exec(&bundle, &[], &listing).through(through).run().ok().prints("");
    exec(&bundle, &["--preserve-fds", "9"], &["true"]).run().exits(255);
    bundle.end();
}

/// CVE-2016-9962: root in the container looks into everybody, all the time. Only
/// CAP_SYS_PTRACE, which no engine gives by default, could see more.
fn exec_shows_no_descriptor_of_the_runtime(case: &Case) {
    let caps = json!(["CAP_DAC_OVERRIDE", "CAP_KILL"]);
    let script = "echo ready; while :; do for p in /proc/[0-9]*; do for f in $p/fd/*; do \
                  l=$(readlink $f) && case $l in /proc|/run*|/sys*|socket*|mnt*|*pidfd*) echo \"$p $f $l\";; esac; \
                  done; done 2>/dev/null; done";
    let bundle = case
        .bundle()
        .set(
            "/process/capabilities",
            json!({"bounding": caps, "effective": caps, "permitted": caps}),
        )
        .sh(script);
    let created = bundle.started();
    crate::support::until("the watcher", || created.stdout_by_now().starts_with("ready\n"));
    for _ in 0..50 {
        exec(&bundle, &[], &["true"]).run().ok();
    }
    let seen = created.stdout_by_now();
    assert!(seen == "ready\n", "{}", &seen[..seen.len().min(500)]);
    bundle.end();
}

/// CVE-2024-21626.
fn exec_with_a_directory_of_the_host_as_cwd_fails(case: &Case) {
    let bundle = case.bundle().running();
    let through = ["sh", "-c", "exec 3</ 7</; exec \"$@\"", "sh"];
    for number in 3..16 {
        let cwd = format!("/proc/self/fd/{number}");
        let out = exec(&bundle, &["--cwd", &cwd], &["ls"]).through(through).run();
        assert_eq!((out.code(), out.stdout.as_str()), (255, ""), "{cwd}");
    }
    bundle.end();
}

fn exec_in_a_stopped_container_fails(case: &Case) {
    let bundle = case.bundle();
    bundle.started();
    bundle.until_stopped();
    let out = exec(&bundle, &[], &["true"]).run();
    assert_ne!(out.code(), 0);
    out.says("stopped");
    bundle.delete().ok();
}

fn exec_in_a_paused_container_fails(case: &Case) {
    let bundle = case.bundle().running();
    bundle.command("pause", &[]).run().ok();
    exec(&bundle, &[], &["true"])
        .run()
        .exits(255)
        .says("cannot exec in a paused container (use --ignore-paused to override)");
    let running = exec(&bundle, &["--ignore-paused"], &["sh", "-c", "exit 3"]).spawn();
    bundle.command("resume", &[]).run().ok();
    running.wait().exits(3);
    bundle.end();
}

fn exec_in_a_created_container_works(case: &Case) {
    let bundle = case.bundle().sleeps();
    bundle.create().ok();
    sh(&bundle, "echo in").ok().prints("in\n");
    assert_eq!(bundle.status(), "created");
    bundle.delete_force().ok();
}

fn exec_of_a_missing_container_fails(case: &Case) {
    let out = exec(&case.bundle(), &[], &["true"]).run();
    assert_ne!(out.code(), 0);
    out.says("does not exist");
}

fn exec_joins_a_sub_cgroup(case: &Case) {
    let bundle = case.bundle().running();
    // v2 has one hierarchy, which needs no name.
    let (prefix, start, root) =
        if cgroup2().is_ok() { ("", "0::", "") } else { ("pids:", ":pids:", "/pids") };
    let groups = sh(&bundle, "cat /proc/self/cgroup").ok().stdout;
    let own = groups.lines().find_map(|line| line.split_once(start)).unwrap().1;
    let below = format!("/sys/fs/cgroup{root}{own}/below");
    fs::create_dir(&below).unwrap();
    let joins = |path: &str| format!("{prefix}{path}");
    let out = exec(&bundle, &["--cgroup", &joins("below")], &["cat", "/proc/self/cgroup"]);
    let out = out.run().ok();
    assert!(out.stdout.contains(&format!("{start}{own}/below\n")), "{}", out.stdout);
    assert!(out.stdout.lines().filter(|line| line.ends_with("/below")).count() == 1);
    exec(&bundle, &["--cgroup", &joins("missing")], &["true"]).run().exits(255);
    fs::remove_dir(&below).unwrap();
    bundle.end();
}

fn exec_refuses_a_cgroup_outside(case: &Case) {
    let bundle = case.bundle().running();
    for path in ["../x", "..", "a/../..", "pids:../x", "pids:a/../../.."] {
        let out = exec(&bundle, &["--cgroup", path], &["true"]).run();
        assert_ne!(out.code(), 0, "{path}");
        out.says("bad sub cgroup path");
    }
    bundle.end();
}

fn many_execs_at_once_work(case: &Case) {
    let bundle = case.bundle().running();
    let all: Vec<_> = (0..24)
        .map(|code| exec(&bundle, &[], &["sh", "-c", &format!("exit {code}")]).spawn())
        .collect();
    for (code, running) in (0..).zip(all) {
        running.wait().exits(code);
    }
    bundle.end();
}

fn exec_does_not_hold_the_containers_lock(case: &Case) {
    let bundle = case.bundle().running();
    let running = exec(&bundle, &[], &["sh", "-c", "echo ready; sleep 1000"]).spawn();
    running.until_prints("ready");
    bundle.kill("KILL").ok();
    bundle.until_stopped();
    bundle.delete().ok();
    running.wait().exits(137);
}

/// At any instant; what has begun to run is the container's, and goes with it.
fn exec_that_is_killed_leaves_nothing(case: &Case) {
    let bundle = case.bundle().running();
    for step in 0..30 {
        let running = exec(&bundle, &[], &["true"]).spawn();
        std::thread::sleep(std::time::Duration::from_micros(200 * step));
        running.kill();
    }
    // The shell that is init, and its sleep.
    crate::support::until("the container alone", || {
        let list = bundle.command("ps", &["--format", "json"]).run().ok().json();
        list.as_array().is_some_and(|pids| pids.len() == 2)
    });
    sh(&bundle, "exit 5").exits(5);
    bundle.end();
    case.leaves_nothing();
}

/// Each ends, in whatever way, and nobody hangs.
fn exec_in_a_container_that_dies_ends(case: &Case) {
    for _ in 0..5 {
        let bundle = case.bundle().running();
        let all: Vec<_> = (0..6).map(|_| exec(&bundle, &[], &["sleep", "1000"]).spawn()).collect();
        bundle.kill("KILL").ok();
        for running in all {
            let code = running.wait().code();
            assert!([137, 255, 1].contains(&code), "{code}");
        }
        bundle.delete_force().ok();
    }
    case.leaves_nothing();
}

fn ps_lists_the_pids_as_json(case: &Case) {
    let bundle = case.bundle().running();
    exec(&bundle, &["--detach"], &["sleep", "1000"]).run().ok();
    for options in [&["--format", "json"][..], &["-f", "json"], &["--format=json"]] {
        let out = bundle.command("ps", options).run().ok();
        let list = out.json();
        let pids = list.as_array().unwrap();
        // The shell that is init, its sleep, and the one that was brought in.
        assert_eq!(pids.len(), 3);
        assert!(pids.contains(&json!(bundle.pid())));
        assert_eq!(out.stdout.lines().count(), 1);
    }
    bundle.end();
}

/// Options end at the ID: what follows is for ps.
fn ps_shows_the_lines_of_the_hosts_ps(case: &Case) {
    let bundle = case.bundle().running();
    let pid = bundle.pid().to_string();
    for options in [&[][..], &["-ef"], &["aux"], &["-eo", "user,pid"]] {
        let out = bundle.command("ps", &[]).args(options).run().ok();
        let lines: Vec<_> = out.stdout.lines().collect();
        assert!(lines[0].contains("PID"), "{}", out.stdout);
        assert!(lines.len() >= 2 && lines[1].contains(&pid), "{}", out.stdout);
    }
    let out = bundle.command("ps", &[]).args(["--no-such-option-of-ps"]).run();
    assert_ne!(out.code(), 0);
    bundle.end();
}

fn ps_refuses_another_format(case: &Case) {
    let bundle = case.bundle().running();
    let out = bundle.command("ps", &["--format", "xml"]).run();
    assert_ne!(out.code(), 0);
    bundle.end();
}
