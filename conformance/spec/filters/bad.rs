//! Profiles that are wrong are refused by `create`, which names the field and
//! leaves nothing; and `minke seccomp`, which tells what a profile means.

use std::fs;

use super::{but, probing};
use crate::support::needs::needs;
use crate::support::{Case, Test, Value, json, runtime, test};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test!("S1", an_errno_on_an_action_without_one_is_refused)
            .fails_on("runc", "does not check"),
        test!("S4", a_rule_needs_names)
            .fails_on("runc 1.1", "does not check")
            .may_fail_on("crun", "does not check"),
        test!("seccomp", a_wrong_word_is_named).needs(needs![minke]),
        test!("seccomp", a_number_that_is_out_of_range_is_named).needs(needs![minke]),
        test!("seccomp", a_program_longer_than_the_kernel_takes_is_refused).needs(needs![minke]),
        test!("seccomp", the_longest_program_is_taken).needs(needs![minke]),
        test!("seccomp", the_command_tells_what_a_filter_answers).needs(needs![minke]),
        test!("seccomp", the_command_refuses_what_is_no_profile).needs(needs![minke]),
        test!("seccomp", features_list_what_the_kernel_takes).needs(needs![minke]),
    ]
}

/// `create` fails and leaves nothing; minke's one line names the field.
pub(super) fn refused(case: &Case, profile: &Value, field: &str) {
    let bundle = probing(case, profile, &["once", "110"]);
    let output = bundle.create().fails();
    if runtime::name() == "minke" {
        let output = output.tells(&format!("config.json: linux.seccomp{field}: "));
        assert_eq!(output.stderr.lines().count(), 1, "one line: {output}");
    }
    case.leaves_nothing();
}

fn with(key: &str, value: Value) -> Value {
    let mut profile = but(json!([]));
    profile[key] = value;
    profile
}

fn with_rule(key: &str, value: Value) -> Value {
    let mut rule = json!({"names": ["getppid"], "action": "SCMP_ACT_ERRNO"});
    rule[key] = value;
    but(json!([rule]))
}

/// "When the action doesn't support an errno, the runtime MUST print and error
/// and fail."
fn an_errno_on_an_action_without_one_is_refused(case: &Case) {
    refused(case, &with("defaultErrnoRet", json!(1)), ".defaultErrnoRet");
    for action in ["KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "ALLOW", "LOG"] {
        let mut profile = with_rule("errnoRet", json!(1));
        profile["syscalls"][0]["action"] = json!(format!("SCMP_ACT_{action}"));
        refused(case, &profile, ".syscalls[0].errnoRet");
    }
}

/// "names MUST contain at least one entry."
fn a_rule_needs_names(case: &Case) {
    refused(case, &with_rule("names", json!([])), ".syscalls[0].names");
    refused(case, &with_rule("names", json!(["read", ""])), ".syscalls[0].names[1]");
}

fn a_wrong_word_is_named(case: &Case) {
    refused(case, &with("defaultAction", json!("ALLOW")), ".defaultAction");
    refused(case, &with("architectures", json!(["SCMP_ARCH_PDP11"])), ".architectures[0]");
    refused(case, &with("flags", json!(["SECCOMP_FILTER_FLAG_NEW_LISTENER"])), ".flags[0]");
    refused(case, &with_rule("action", json!("SCMP_ACT_MAYBE")), ".syscalls[0].action");
    let args = json!([{"index": 0, "value": 1, "op": "SCMP_CMP_IS"}]);
    refused(case, &with_rule("args", args), ".syscalls[0].args[0].op");
    refused(
        case,
        &json!({"syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}),
        ".defaultAction",
    );
}

fn a_number_that_is_out_of_range_is_named(case: &Case) {
    refused(case, &with_rule("errnoRet", json!(4096)), ".syscalls[0].errnoRet");
    for value in [json!(-1), json!(1_u64 << 32), json!("EPERM")] {
        refused(case, &with_rule("errnoRet", value), ".syscalls[0].errnoRet");
    }
    let args =
        |index: Value, value: Value| json!([{"index": index, "value": value, "op": "SCMP_CMP_EQ"}]);
    refused(case, &with_rule("args", args(json!(6), json!(0))), ".syscalls[0].args[0].index");
    refused(case, &with_rule("args", args(json!(0), json!(-1))), ".syscalls[0].args[0].value");
    refused(case, &with("syscalls", json!("all")), ".syscalls");
    refused(case, &with("syscalls", json!([7])), ".syscalls[0]");
}

fn rules(count: u64) -> Value {
    let rule = |i: u64| {
        json!({"names": ["ioctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 + i % 1000,
            "args": [{"index": 1, "value": i * 3, "op": "SCMP_CMP_EQ"}]})
    };
    but((0..count).map(rule).collect())
}

/// `BPF_MAXINSNS`, 4096.
fn a_program_longer_than_the_kernel_takes_is_refused(case: &Case) {
    let bundle = probing(case, &rules(5000), &["once", "110"]);
    bundle.create().fails().tells("linux.seccomp.syscalls: need ").tells("4096");
    case.leaves_nothing();
}

/// With EBADF, the kernel's answer, where no rule matches.
fn the_longest_program_is_taken(case: &Case) {
    let calls =
        ["16,18446744073709551615,0", "16,18446744073709551615,1", "16,18446744073709551615,2997"];
    assert_eq!(super::tried(case, &rules(1000), &calls), ["-1", "-9", "-1000"]);
}

/// By an answer, a rule, a program; of a bundle, its config, a profile.
fn the_command_tells_what_a_filter_answers(case: &Case) {
    let args = json!([{"index": 0, "value": 40, "op": "SCMP_CMP_EQ"}]);
    let profile = but(json!([
        {"names": ["getppid", "no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        {"names": ["socket"], "action": "SCMP_ACT_KILL_PROCESS", "args": args}
    ]));
    let bundle = probing(case, &profile, &[]);
    bundle.write_config();
    let file = case.path("profile.json");
    fs::write(&file, profile.to_string()).unwrap();
    for path in [bundle.dir.clone(), bundle.dir.join("config.json"), file] {
        let path = path.to_str().unwrap();
        let calls = ["--call", "getppid", "--call=socket(0x28, 1)", "--call", "socket(2)"];
        let output = case.runtime(["seccomp"]).args(calls).args([path]).run().ok();
        let lines: Vec<_> = output.stdout.lines().collect();
        assert_eq!(lines.len(), 3, "{output}");
        assert!(lines[0].contains("SCMP_ACT_ERRNO(38) by linux.seccomp.syscalls[0]"), "{output}");
        assert!(
            lines[1].contains("SCMP_ACT_KILL_PROCESS by linux.seccomp.syscalls[1]"),
            "{output}"
        );
        assert!(lines[2].contains("SCMP_ACT_ALLOW by linux.seccomp.defaultAction"), "{output}");
        let summary = case.runtime(["seccomp", path]).run().ok().stdout;
        assert!(summary.contains(" instructions") && summary.contains("no_such_call"), "{summary}");
        let foreign = ["seccomp", "--arch", "x86", "--call", "getppid", path];
        let foreign = case.runtime(foreign).run().ok().stdout;
        assert!(foreign.contains("does not list x86"), "{foreign}");
        let program = case.runtime(["seccomp", "--disasm", path]).run().ok().stdout;
        assert!(program.contains("SCMP_ACT_ERRNO(38)"), "{program}");
    }
}

fn the_command_refuses_what_is_no_profile(case: &Case) {
    let bundle = probing(case, &with_rule("errnoRet", json!(5000)), &[]);
    bundle.write_config();
    let dir = bundle.dir.to_str().unwrap();
    case.runtime(["seccomp", dir]).run().fails().tells("linux.seccomp.syscalls[0].errnoRet");
    let good = probing(case, &but(json!([])), &[]);
    good.write_config();
    let dir = good.dir.to_str().unwrap();
    case.runtime(["seccomp", "--arch", "pdp11", dir]).run().fails().tells("pdp11");
    case.runtime(["seccomp", "--call", "no_such_call", dir]).run().fails().tells("no_such_call");
    case.runtime(["seccomp", "--call", "socket(x)", dir]).run().fails().tells("\"x\"");
    case.runtime(["seccomp", "/no/such/file"]).run().fails().tells("/no/such/file");
    case.runtime(["seccomp"]).run().fails();
    for text in ["", "[]", "{}", "{\"linux\":{}}"] {
        fs::write(case.path("x.json"), text).unwrap();
        case.runtime(["seccomp", case.path("x.json").to_str().unwrap()]).run().fails();
    }
}

/// "MUST be accepted": each word that is listed, in a container.
fn features_list_what_the_kernel_takes(case: &Case) {
    let features = case.runtime(["features"]).run().ok().json();
    let seccomp = &features["linux"]["seccomp"];
    assert_eq!(seccomp["enabled"], true);
    let list = |name: &str| seccomp[name].as_array().unwrap().clone();
    assert_eq!((list("actions").len(), list("operators").len()), (9, 7));
    assert_eq!(seccomp["knownFlags"], seccomp["supportedFlags"]);
    for operator in list("operators") {
        let args = json!([{"index": 0, "value": 1, "op": operator}]);
        super::tried(case, &with_rule("args", args), &["110"]);
    }
    for flag in list("supportedFlags") {
        if flag != "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" {
            super::tried(case, &with("flags", json!([flag])), &["110"]);
        }
    }
    let archs = list("archs").into_iter();
    for arch in archs.filter(|arch| !arch.as_str().unwrap().contains("PARISC")) {
        let profile = with("architectures", json!([arch]));
        let bundle = probing(case, &profile, &["once", "110"]);
        bundle.create().ok();
        bundle.delete().ok();
    }
}
