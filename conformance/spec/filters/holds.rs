//! What a program meets under a filter: the errno, the signal, the line.

use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;

use super::{but, probing, tried};
use crate::support::needs::needs;
use crate::support::{Bundle, Case, Test, Value, json, test};

// Numbers in calls are those of x86_64: getppid 110, umask 95, socket 41, mount
// 165, openat2 437.

pub(super) fn tests() -> Vec<Test> {
    vec![
        test!("seccomp", each_action_does_what_it_says)
            .fails_on("crun 1.8", "refuses some errnos")
            .fails_on("runc 1.1", "refuses some errnos"),
        test!("seccomp", a_call_that_is_logged_is_in_the_log_of_the_kernel).needs(needs![
            audit,
            file("/dev/kmsg"),
            no_file("/run/systemd/journal/audit")
        ]),
        test!("seccomp", conditions_are_held_against_the_arguments),
        test!("seccomp", all_conditions_of_a_rule_must_hold),
        test!("seccomp", what_is_not_listed_is_refused)
            .fails_on("runc", "opens its fifo under the filter"),
        test!("seccomp", calls_newer_than_the_profile_do_not_exist)
            .fails_on("runc", "opens its fifo under the filter")
            .fails_on("crun", "gives the default action"),
        test!("seccomp", other_architectures_are_told_apart),
        test!("seccomp", the_profile_of_podman_holds)
            .needs(needs![file("/usr/share/containers/seccomp.json")]),
        test!("seccomp", the_filter_needs_no_privileges_of_the_program),
        test!("seccomp", a_profile_without_sockets_is_enough)
            .fails_on("crun 1.8", "changes its ids under the filter")
            .fails_on("runc", "opens its fifo under the filter"),
        test!("seccomp", a_start_container_hook_is_under_the_filter),
        test!("seccomp", create_and_start_are_not_under_the_filter)
            .fails_on("crun 1.8", "changes its ids under the filter"),
        test!("seccomp", the_debug_log_has_flags_and_unknown_names).needs(needs![minke]),
        test!("seccomp", an_empty_profile_is_none).fails_on("crun", "wants a default action"),
        test!("seccomp", exec_has_the_filter_of_its_container).fails_on("runc 1.1", "panics"),
    ]
}

/// seccomp(2): "SECCOMP_RET_ERRNO", "SECCOMP_RET_KILL_PROCESS", ...
fn each_action_does_what_it_says(case: &Case) {
    for (action, errno, expected) in [
        ("ERRNO", None, "-1"),
        ("ERRNO", Some(38), "-38"),
        ("ERRNO", Some(4095), "-4095"),
        ("ERRNO", Some(0), "0"),
        ("KILL", None, "signal 31"),
        ("KILL_THREAD", None, "signal 31"),
        ("KILL_PROCESS", None, "signal 31"),
        ("TRAP", None, "signal 31"),
        // Without a tracer there is no such call.
        ("TRACE", None, "-38"),
    ] {
        let mut rule = json!({"names": ["getppid"], "action": format!("SCMP_ACT_{action}")});
        if let Some(errno) = errno {
            rule["errnoRet"] = json!(errno);
        }
        assert_eq!(tried(case, &but(json!([rule])), &["110"]), [expected], "{action} {errno:?}");
    }
    // The parent of the process that calls is the container's init.
    for action in ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG"] {
        let rule = json!([{"names": ["getppid"], "action": action}]);
        assert_eq!(tried(case, &but(rule), &["110"]), ["1"], "{action}");
    }
}

/// seccomp(2): "SECCOMP_RET_LOG: the system call is executed after the filter
/// return action is logged".
fn a_call_that_is_logged_is_in_the_log_of_the_kernel(case: &Case) {
    let mut log = std::fs::File::options()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open("/dev/kmsg")
        .unwrap();
    log.seek(SeekFrom::End(0)).unwrap();
    // getpgrp, which no other test has logged.
    let rule = json!([{"names": ["getpgrp"], "action": "SCMP_ACT_LOG"}]);
    assert_ne!(tried(case, &but(rule), &["111"]), ["-1"]);
    let mut record = [0; 8192];
    let mut lines = Vec::new();
    while let Ok(length) = log.read(&mut record) {
        lines.push(String::from_utf8_lossy(&record[..length]).into_owned());
    }
    let is_ours = |line: &String| line.contains("type=1326") && line.contains(" syscall=111 ");
    assert!(lines.iter().any(is_ours), "{lines:?}");
}

/// "the operator for syscall arguments in seccomp", on 64 bits.
fn conditions_are_held_against_the_arguments(case: &Case) {
    const BIG: u64 = 1 << 32;
    for (op, value, two, hits, misses) in [
        ("EQ", 8, 0, vec![8], vec![0, 7, 9, BIG + 8]),
        ("NE", 8, 0, vec![0, 9, BIG + 8], vec![8]),
        ("LT", BIG, 0, vec![0, BIG - 1], vec![BIG, u64::MAX]),
        ("LE", BIG, 0, vec![0, BIG], vec![BIG + 1, u64::MAX]),
        ("GT", BIG, 0, vec![BIG + 1, u64::MAX], vec![0, BIG]),
        ("GE", BIG, 0, vec![BIG, u64::MAX], vec![0, BIG - 1]),
        ("MASKED_EQ", BIG + 15, 8, vec![8, 0xf8], vec![0, BIG + 8, 9]),
    ] {
        let profile = but(json!([{"names": ["umask"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77,
            "args": [{"index": 0, "value": value, "valueTwo": two, "op": format!("SCMP_CMP_{op}")}]}]));
        let calls: Vec<_> =
            hits.iter().chain(&misses).map(|argument| format!("95,{argument}")).collect();
        let calls: Vec<_> = calls.iter().map(String::as_str).collect();
        let seen = tried(case, &profile, &calls);
        let refused: Vec<_> = seen.iter().map(|line| line == "-77").collect();
        let expected = [vec![true; hits.len()], vec![false; misses.len()]].concat();
        assert_eq!(refused, expected, "{op} {value:#x}: {calls:?} {seen:?}");
    }
}

/// As runc has it: conditions on different arguments are all to hold, of two
/// on one argument either; and one rule of several is enough.
fn all_conditions_of_a_rule_must_hold(case: &Case) {
    let is = |index: u32, value: u64| json!({"index": index, "value": value, "op": "SCMP_CMP_EQ"});
    let rule = |errno: u32, args: Value| json!({"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno, "args": args});
    let both = but(json!([rule(77, json!([is(0, 200), is(1, 1)]))]));
    let seen = tried(case, &both, &["41,200,1", "41,200,2", "41,201,1"]);
    // The kernel's own answer: EAFNOSUPPORT.
    assert_eq!(seen, ["-77", "-97", "-97"]);
    let either = but(json!([rule(77, json!([is(0, 200), is(0, 201)]))]));
    assert_eq!(tried(case, &either, &["41,200", "41,201", "41,202"]), ["-77", "-77", "-97"]);
    let rules = but(json!([rule(77, json!([is(0, 200)])), rule(77, json!([is(1, 5), is(2, 6)]))]));
    let seen = tried(case, &rules, &["41,200,0,0", "41,202,5,6", "41,202,5,0"]);
    assert_eq!(seen, ["-77", "-77", "-97"]);
}

/// What the probe needs, and libc before it.
const NEEDED: &[&str] = &[
    "arch_prctl",
    "brk",
    "clone",
    "clone3",
    "close",
    "exit",
    "exit_group",
    "execve",
    "fstat",
    "getpid",
    "getrandom",
    "gettid",
    "mmap",
    "mprotect",
    "munmap",
    "newfstatat",
    "pipe",
    "pipe2",
    "prctl",
    "prlimit64",
    "read",
    "readlink",
    "readlinkat",
    "rseq",
    "set_robust_list",
    "set_tid_address",
    "wait4",
    "write",
];

/// A profile as engines have it.
fn list(more: &[&str]) -> Value {
    let names = [NEEDED, &["capset"], more].concat();
    json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 6,
        "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}]})
}

/// "defaultErrnoRet".
fn what_is_not_listed_is_refused(case: &Case) {
    let profile = list(&["getppid", "openat2"]);
    assert_eq!(tried(case, &profile, &["110", "165", "41"]), ["1", "-6", "-6"]);
}

/// So that libc falls back to an older call.
fn calls_newer_than_the_profile_do_not_exist(case: &Case) {
    let profile = list(&["openat2"]);
    assert_eq!(tried(case, &profile, &["438", "500", "165"]), ["-38", "-38", "-6"]);
}

/// The probe's 32-bit calls, on a kernel that has them.
fn other_architectures_are_told_apart(case: &Case) {
    let rules = json!([{"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77}]);
    let mut both = but(rules.clone());
    both["architectures"] = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
    // getppid is 64 on x86, getpid 20.
    let seen = tried(case, &both, &["x86:64", "110", "x86:20"]);
    // Not there, or, in user-mode Linux, taken for x86-64's writev.
    if ["-38", "-9"].contains(&&*seen[2]) || seen[2].starts_with("signal 11") {
        return;
    }
    assert_eq!(seen[..2], ["-77", "-77"]);
    assert!(seen[2].parse::<u32>().is_ok_and(|pid| pid > 1), "{seen:?}");
    // x32's getpid has bit 30.
    let x32 = (0x4000_0000_u32 + 39).to_string();
    let seen = tried(case, &but(rules), &["x86:20", &x32, "110"]);
    assert_eq!(seen, ["signal 31", "signal 31", "-77"]);
}

/// As Podman resolves it for a container without capabilities.
fn the_profile_of_podman_holds(case: &Case) {
    let text = std::fs::read("/usr/share/containers/seccomp.json").unwrap();
    let mut profile: Value = serde_json::from_slice(&text).unwrap();
    let applies = |rule: &&Value| {
        let includes = &rule["includes"];
        let here = |arches: &Vec<Value>| arches.contains(&json!("amd64"));
        includes["caps"].is_null() && includes["arches"].as_array().is_none_or(here)
    };
    let rules = profile["syscalls"].as_array().unwrap();
    let rules: Vec<_> = rules.iter().filter(applies).cloned().collect();
    profile["syscalls"] = json!(rules);
    profile["architectures"] = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
    profile.as_object_mut().unwrap().remove("archMap");
    // 246 is kexec_load.
    let seen = tried(case, &profile, &["110", "246"]);
    assert_eq!((seen[0].as_str(), seen[1].as_str()), ("1", "-1"), "{seen:?}");
    let bundle = probing(case, &profile, &[]).sh("id -u; touch /tmp/x && ls /tmp");
    bundle.run().ok().prints("0\nx\n");
}

fn status(bundle: Bundle<'_>) -> String {
    let lines = "^(CapPrm|CapEff|NoNewPrivs|Seccomp):";
    bundle.args(&["grep", "-E", lines, "/proc/self/status"]).run().ok().stdout
}

/// "before dropping capabilities" without noNewPrivileges, of which nothing
/// may stay; with it, no capability is needed.
fn the_filter_needs_no_privileges_of_the_program(case: &Case) {
    for no_new_privileges in [false, true] {
        for (uid, capabilities) in [(0, json!(["CAP_KILL"])), (1000, json!([]))] {
            let kill = if uid == 0 { "0000000000000020" } else { "0000000000000000" };
            let bundle = probing(case, &but(json!([])), &[])
                .set("/process/noNewPrivileges", json!(no_new_privileges))
                .set("/process/user", json!({"uid": uid, "gid": uid}))
                .set("/process/capabilities", json!({
                    "bounding": capabilities, "effective": capabilities, "permitted": capabilities}));
            let expected = format!(
                "CapPrm:\t{kill}\nCapEff:\t{kill}\nNoNewPrivs:\t{}\nSeccomp:\t2\n",
                u8::from(no_new_privileges)
            );
            assert_eq!(status(bundle), expected, "{no_new_privileges} {uid}");
        }
    }
}

/// What a program needs that writes a line is enough for the runtime, too.
fn a_profile_without_sockets_is_enough(case: &Case) {
    for (no_new_privileges, default) in [
        (true, "SCMP_ACT_ERRNO"),
        (true, "SCMP_ACT_KILL_PROCESS"),
        (false, "SCMP_ACT_ERRNO"),
        (false, "SCMP_ACT_KILL_PROCESS"),
    ] {
        let mut profile = list(&["getppid"]);
        profile.as_object_mut().unwrap().remove("defaultErrnoRet");
        profile["defaultAction"] = json!(default);
        let bundle = probing(case, &profile, &["once", "110"])
            .set("/process/noNewPrivileges", json!(no_new_privileges));
        assert_eq!(bundle.outcome(), "0\n", "{no_new_privileges} {default}");
    }
}

/// runc's rule.
fn a_start_container_hook_is_under_the_filter(case: &Case) {
    for no_new_privileges in [false, true] {
        let refuse = but(json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]));
        let bundle = probing(case, &refuse, &[])
            .args(&["true"])
            .set("/process/noNewPrivileges", json!(no_new_privileges))
            .hook("startContainer", "grep -q 'Seccomp:.2' /proc/self/status && ! mkdir /tmp/made");
        bundle.run().ok();
        assert!(!bundle.rootfs("tmp/made").exists());
    }
}

/// Whatever the runtime does before the program is not the profile's business.
fn create_and_start_are_not_under_the_filter(case: &Case) {
    let names =
        ["accept4", "listen", "recvfrom", "sendmsg", "ppoll", "chdir", "setresuid", "memfd_create"];
    let profile = but(json!([{"names": names, "action": "SCMP_ACT_KILL_PROCESS"}]));
    let bundle = probing(case, &profile, &["once", "110"]).hook("startContainer", "true");
    assert_eq!(bundle.outcome(), "0\n");
}

/// The words that runc's users look for.
fn the_debug_log_has_flags_and_unknown_names(case: &Case) {
    for (flags, value) in [
        (json!(null), 4),
        (json!([]), 0),
        (json!(["SECCOMP_FILTER_FLAG_TSYNC"]), 0),
        (json!(["SECCOMP_FILTER_FLAG_LOG"]), 2),
        (json!(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]), 6),
    ] {
        let mut profile = but(json!([{"names": ["no_such_call"], "action": "SCMP_ACT_ERRNO"}]));
        profile["flags"] = flags;
        let bundle = probing(case, &profile, &["once", "110"]);
        bundle.write_config();
        let root = case.root();
        let globals = ["--debug", "--root", root.to_str().unwrap()];
        let run = case.runtime(["run", "--bundle", bundle.dir.to_str().unwrap(), &bundle.id]);
        let output = run.globals(globals).run().ok();
        assert!(output.stderr.contains(&format!("seccomp filter flags: {value}")), "{output}");
        assert!(output.stderr.contains("no_such_call"), "{output}");
    }
}

/// runc: "No default action specified, no syscalls listed, assume seccomp
/// disabled".
fn an_empty_profile_is_none(case: &Case) {
    assert!(status(probing(case, &json!({}), &[])).contains("Seccomp:\t0"));
}

/// With and without privileges that it takes to load one.
fn exec_has_the_filter_of_its_container(case: &Case) {
    for no_new_privileges in [false, true] {
        let refuse =
            but(json!([{"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77}]));
        let bundle = probing(case, &refuse, &[])
            .set("/process/noNewPrivileges", json!(no_new_privileges))
            .running();
        case.runtime(["exec", &bundle.id, "/probe", "once", "110"]).run().ok().prints("-77\n");
        bundle.end();
    }
}
