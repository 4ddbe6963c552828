//! config.md#linux-process and #posix-platform-user: ids and capabilities.

use crate::support::needs::needs;
use crate::support::{Bundle, Case, Test, Value, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("user", the_program_runs_as_the_user_with_these_groups),
        test!("user", without_additional_groups_there_are_none),
        test!("user", the_umask_is_set),
        test!("capabilities", each_of_the_five_sets_is_set),
        test!("capabilities", a_user_without_ambient_capabilities_has_no_effective_ones),
        test!("capabilities", root_has_the_bounding_set_at_most),
        test!("capabilities", sets_that_are_not_given_are_empty),
        test!("youki#3434", without_capabilities_all_sets_are_empty),
        test!("youki#3434", without_capabilities_root_has_none_either),
        test!("C5", an_unknown_capability_is_a_warning).fails_on("crun", "says nothing"),
        test!("C5", a_capability_that_cannot_be_granted_is_a_warning)
            .fails_on("crun", "fails")
            .fails_on("runc", "fails")
            .needs(needs![file("/usr/bin/setpriv")]),
    ]
}

const KILL: u64 = 1 << 5;
const NET_BIND: u64 = 1 << 10;
const AUDIT_WRITE: u64 = 1 << 29;

/// Inheritable, permitted, effective, bounding, ambient: in the kernel's order.
fn capabilities(bundle: Bundle<'_>) -> [u64; 5] {
    let output = bundle.args(&["grep", "^Cap", "/proc/self/status"]).run().ok();
    sets(&output.stdout)
}

fn sets(status: &str) -> [u64; 5] {
    let sets = status
        .lines()
        .map(|line| u64::from_str_radix(line.rsplit('\t').next().unwrap(), 16).unwrap());
    sets.collect::<Vec<_>>().try_into().expect("five sets")
}

fn user(case: &Case, capabilities: Value) -> Bundle<'_> {
    case.bundle()
        .set("/process/user", json!({"uid": 1000, "gid": 1000}))
        .set("/process/capabilities", capabilities)
}

/// "uid", "gid", "additionalGids".
fn the_program_runs_as_the_user_with_these_groups(case: &Case) {
    let bundle = case
        .bundle()
        .set("/process/user", json!({"uid": 7, "gid": 8, "additionalGids": [9, 10, 70000]}));
    let bundle = bundle.args(&["grep", "-E", "^(Uid|Gid|Groups):", "/proc/self/status"]);
    bundle.run().ok().prints("Uid:\t7\t7\t7\t7\nGid:\t8\t8\t8\t8\nGroups:\t9 10 70000 \n");
}

/// The runtime's own groups must not stay.
fn without_additional_groups_there_are_none(case: &Case) {
    let bundle = case.bundle().args(&["grep", "Groups", "/proc/self/status"]);
    let run = bundle.launch("run", &[]).through(["setpriv", "--groups", "4,24,27"]).run();
    assert_eq!(bundle.settle(run).ok().stdout.trim_end(), "Groups:");
}

/// "umask specifies the umask of the user"; runc and crun: otherwise 022.
fn the_umask_is_set(case: &Case) {
    for (umask, seen) in [(json!(0o077), "0077\n"), (json!(0), "0000\n"), (json!(null), "0022\n")] {
        let bundle = case.bundle().set("/process/user/umask", umask).sh("umask");
        bundle.run().ok().prints(seen);
    }
}

/// "effective, bounding, inheritable, permitted, ambient": each is an array of
/// the capabilities "that are kept for the process".
fn each_of_the_five_sets_is_set(case: &Case) {
    let seen = capabilities(user(
        case,
        json!({
            "bounding": ["CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_AUDIT_WRITE"],
            "permitted": ["CAP_KILL", "CAP_NET_BIND_SERVICE"],
            "inheritable": ["CAP_KILL", "CAP_NET_BIND_SERVICE"],
            "effective": ["CAP_KILL"],
            "ambient": ["CAP_KILL"]
        }),
    ));
    assert_eq!(seen, [KILL | NET_BIND, KILL, KILL, KILL | NET_BIND | AUDIT_WRITE, KILL]);
}

/// execve takes them from a user.
fn a_user_without_ambient_capabilities_has_no_effective_ones(case: &Case) {
    let list = json!(["CAP_KILL"]);
    let seen =
        capabilities(user(case, json!({"bounding": list, "permitted": list, "effective": list})));
    assert_eq!(seen, [0, 0, 0, KILL, 0]);
}

/// execve gives root what the bounding set allows.
fn root_has_the_bounding_set_at_most(case: &Case) {
    let seen = capabilities(case.bundle());
    let all = KILL | NET_BIND | AUDIT_WRITE;
    assert_eq!(seen, [0, all, all, all, 0]);
}

/// All five are OPTIONAL; what is not given is not kept.
fn sets_that_are_not_given_are_empty(case: &Case) {
    let seen = capabilities(user(case, json!({"permitted": ["CAP_KILL"]})));
    assert_eq!(seen, [0; 5]);
}

/// "capabilities (object, OPTIONAL)": absent is not "all".
fn without_capabilities_all_sets_are_empty(case: &Case) {
    let bundle = user(case, json!({})).remove("/process/capabilities");
    assert_eq!(capabilities(bundle), [0; 5]);
}

/// The same.
fn without_capabilities_root_has_none_either(case: &Case) {
    assert_eq!(capabilities(case.bundle().remove("/process/capabilities")), [0; 5]);
    assert_eq!(capabilities(case.bundle().set("/process/capabilities", json!({}))), [0; 5]);
}

/// "Any value which cannot be mapped to a relevant kernel interface … MUST be
/// logged as a warning by the runtime. Runtimes SHOULD NOT fail".
fn an_unknown_capability_is_a_warning(case: &Case) {
    let bundle = case.bundle().push("/process/capabilities/bounding", json!("CAP_CONFORMANCE"));
    let output = bundle.sh("echo ran").run().ok().prints("ran\n");
    let named = output
        .log_entries()
        .iter()
        .any(|entry| entry["msg"].to_string().contains("CAP_CONFORMANCE"));
    assert!(named, "a warning: {output}");
}

/// "… or cannot be granted otherwise": the runtime itself lacks it.
fn a_capability_that_cannot_be_granted_is_a_warning(case: &Case) {
    let list = json!(["CAP_KILL", "CAP_SYS_TIME"]);
    let bundle = case.bundle().set(
        "/process/capabilities",
        json!({"bounding": list, "permitted": list, "effective": list}),
    );
    let bundle = bundle.args(&["grep", "^Cap", "/proc/self/status"]);
    let run = bundle.launch("run", &[]).through(["setpriv", "--bounding-set", "-sys_time"]).run();
    let output = bundle.settle(run).ok();
    assert_eq!(sets(&output.stdout), [0, KILL, KILL, KILL, 0]);
    let named =
        output.log_entries().iter().any(|entry| entry["msg"].to_string().contains("CAP_SYS_TIME"));
    assert!(named, "a warning: {output}");
}
