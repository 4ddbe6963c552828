//! Descriptors of the host that a container could get hold of.

use std::fs;

use crate::support::wait::until_written;
use crate::support::{Case, Test, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("CVE-2024-21626", a_working_directory_through_a_descriptor_stays_inside),
        test!("CVE-2024-21626", a_working_directory_outside_is_refused)
            .fails_on("crun 1.8", "enters it"),
        test!("CVE-2024-21626", a_hook_in_the_container_does_not_stand_outside),
        test!("CVE-2016-9962", the_descriptors_of_a_waiting_init_are_out_of_reach),
    ]
}

/// If any descriptor of the runtime's is a directory of the host, the working
/// directory gets out by it.
fn a_working_directory_through_a_descriptor_stays_inside(case: &Case) {
    for number in 3..=24 {
        let bundle = case.bundle().set("/process/cwd", json!(format!("/proc/self/fd/{number}")));
        let output = bundle.sh("cd -P ../../../../../../../..; [ . -ef / ] || echo outside").run();
        assert!(!output.stdout.contains("outside"), "{output}");
    }
    case.leaves_nothing();
}

/// This one is passed on by the caller, so it is certainly there.
fn a_working_directory_outside_is_refused(case: &Case) {
    let bundle = case.bundle().set("/process/cwd", json!("/proc/self/fd/3"));
    let run = bundle.sh("echo ran").launch("run", &["--preserve-fds", "1"]);
    let output = run.through(["sh", "-c", r#"exec 3</; exec "$@""#, "sh"]).run().fails();
    output.says("outside of container mount namespace root");
    case.leaves_nothing();
}

/// Before exec, init may still stand elsewhere.
fn a_hook_in_the_container_does_not_stand_outside(case: &Case) {
    let bundle = case
        .bundle()
        .hook("startContainer", "cd -P ../../../../../../../..; [ . -ef / ] || echo > /outside");
    bundle.outcome();
    assert!(!bundle.rootfs("/outside").exists());
}

/// A neighbour in the same pid namespace, with the same rights, must not look
/// into an init that is still the runtime's; into itself it can.
fn the_descriptors_of_a_waiting_init_are_out_of_reach(case: &Case) {
    let script = "while ! [ -s /pid ]; do sleep 0.01; done; read pid < /pid; \
        look() { ls -l /proc/$1/fd/ /proc/$1/exe /proc/$1/root 2>/dev/null | grep -c -e '->'; }; \
        { look self; look $pid; echo end; } > /seen; exec sleep 1000";
    let neighbour = case.bundle().sh(script);
    neighbour.started();
    let bundle = case.bundle().joins("pid", &format!("/proc/{}/ns/pid", neighbour.pid()));
    bundle.create().ok();
    let status = fs::read_to_string(format!("/proc/{}/status", bundle.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("NSpid:")).unwrap();
    fs::write(neighbour.rootfs("/pid"), format!("{}\n", line.rsplit('\t').next().unwrap()))
        .unwrap();
    let mut seen = String::new();
    crate::support::until("the neighbour's report", || {
        seen = until_written(&neighbour.rootfs("/seen"));
        seen.ends_with("end\n")
    });
    let counts: Vec<u32> = seen.lines().map_while(|line| line.parse().ok()).collect();
    assert!(counts[0] >= 5, "its own: {seen}");
    assert_eq!(counts[1], 0, "those of init: {seen}");
}
