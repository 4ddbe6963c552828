//! `pause` and `resume`, and what else can be done to a paused container.

use std::fs;

use crate::support::needs::{cgroup1, needs};
use crate::support::wait::alive;
use crate::support::{Bundle, Case, Test, json, leaks, scratch, test, until};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("pause", a_paused_container_does_nothing_until_it_is_resumed),
        test!("pause", a_created_container_can_be_paused_and_started_only_after_resume)
            .fails_on("crun", "starts it, and waits"),
        test!("pause", a_container_that_is_not_paused_cannot_be_resumed)
            .may_fail_on("crun", "thaws what is thawed"),
        test!("pause", a_stopped_container_cannot_be_paused),
        test!("pause", a_paused_container_cannot_be_paused_again)
            .may_fail_on("crun", "freezes what is frozen"),
        test!("pause", a_paused_container_can_be_killed)
            .may_fail_on("crun 1.8", "does not thaw it on v1"),
        test!("pause", a_paused_container_can_be_killed_with_all_its_processes),
        test!("pause", a_paused_container_is_deleted_by_force),
        test!("pause", delete_of_a_paused_container_fails),
        test!("pause", a_signal_waits_for_resume),
        test!("pause", a_fork_bomb_can_be_paused_and_deleted),
        test!("pause", without_a_cgroup_there_is_nothing_to_pause)
            .needs(needs![global_option("--cgroup-manager"), minke]),
        test!("kill", kill_all_signals_every_process),
        test!("cgroups", processes_in_cgroups_below_die_by_kill)
            .fails_on("runc 1.1", "kills the first only")
            .fails_on("crun", "only with --all"),
        test!("cgroups", cgroups_below_that_are_frozen_die_by_delete_force)
            .may_fail_on("runc 1.1", "waits in vain")
            .may_fail_on("crun", "waits in vain"),
        test!("cgroups", who_cannot_be_killed_is_named).needs(needs![cgroup1, minke]),
        test!("cgroups", double_forked_daemons_die_by_delete_force),
        test!("cgroups", a_cgroup_that_is_gone_is_told).needs(needs![minke, cgroupfs]),
        test!("G3", a_frozen_cgroup_is_refused).needs(needs![cgroupfs]).fails_on("crun", "uses it"),
        test!("G3", a_cgroup_with_processes_is_refused)
            .needs(needs![cgroupfs])
            .may_fail_on("runc 1.1", "looks at one hierarchy only")
            .fails_on("crun", "uses it"),
    ]
}

/// Counts in a file as fast as it can.
fn counting(case: &Case) -> Bundle<'_> {
    let shared = case.path("shared");
    fs::create_dir_all(&shared).unwrap();
    let script = "i=0; while :; do i=$((i+1)); echo $i > /shared/count; done";
    let bundle = case.bundle().bind(&shared, "/shared", &["rbind", "rw"]).sh(script);
    bundle.started();
    until("the first count", || !case.read("shared/count").is_empty());
    bundle
}

/// The status is `paused`; time passes, and nothing happens.
fn a_paused_container_does_nothing_until_it_is_resumed(case: &Case) {
    let bundle = counting(case);
    bundle.command("pause", &[]).run().ok().prints("");
    assert_eq!(bundle.status(), "paused");
    let count = case.read("shared/count");
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(case.read("shared/count"), count);
    bundle.command("resume", &[]).run().ok().prints("");
    assert_eq!(bundle.status(), "running");
    until("more counting", || {
        let now = case.read("shared/count");
        !now.is_empty() && now != count
    });
}

/// Its init would never hear of `start`.
fn a_created_container_can_be_paused_and_started_only_after_resume(case: &Case) {
    let bundle = case.bundle().sh("echo ran");
    let created = bundle.create().ok();
    bundle.command("pause", &[]).run().ok();
    assert_eq!(bundle.status(), "paused");
    bundle.start().fails();
    bundle.command("resume", &[]).run().ok();
    assert_eq!(bundle.status(), "created");
    bundle.start().ok();
    bundle.until_stopped();
    assert_eq!(created.stdout_by_now(), "ran\n");
}

/// runc's words.
fn a_container_that_is_not_paused_cannot_be_resumed(case: &Case) {
    let bundle = case.bundle().running();
    bundle.command("resume", &[]).run().fails().says("container not paused");
    assert_eq!(bundle.status(), "running");
}

/// Neither can it be resumed.
fn a_stopped_container_cannot_be_paused(case: &Case) {
    let bundle = case.bundle();
    bundle.started();
    bundle.until_stopped();
    bundle.command("pause", &[]).run().fails().says("container not running");
    bundle.command("resume", &[]).run().fails().says("container not paused");
}

/// And stays paused.
fn a_paused_container_cannot_be_paused_again(case: &Case) {
    let bundle = case.bundle().running();
    bundle.command("pause", &[]).run().ok();
    bundle.command("pause", &[]).run().fails().says("container not running");
    assert_eq!(bundle.status(), "paused");
}

/// On cgroup v1 SIGKILL alone does not end what is frozen.
fn a_paused_container_can_be_killed(case: &Case) {
    let bundle = case.bundle().running();
    bundle.command("pause", &[]).run().ok();
    bundle.kill("KILL").ok();
    bundle.until_stopped();
    bundle.delete().ok();
    case.leaves_nothing();
}

/// The same by way of the cgroup.
fn a_paused_container_can_be_killed_with_all_its_processes(case: &Case) {
    let bundle = case.bundle().without_namespace("pid").running();
    bundle.command("pause", &[]).run().ok();
    bundle.command("kill", &["--all"]).args(["KILL"]).run().ok();
    bundle.until_stopped();
    until("the death of all", || leaks::processes(case).is_empty());
}

/// Nothing is left of it.
fn a_paused_container_is_deleted_by_force(case: &Case) {
    let bundle = case.bundle().running();
    bundle.command("pause", &[]).run().ok();
    bundle.delete_force().ok();
    case.leaves_nothing();
}

/// Whether it runs or not, it has not stopped.
fn delete_of_a_paused_container_fails(case: &Case) {
    let bundle = case.bundle().running();
    bundle.command("pause", &[]).run().ok();
    bundle.delete().fails();
    assert_eq!(bundle.status(), "paused");
}

/// Any but SIGKILL.
fn a_signal_waits_for_resume(case: &Case) {
    let bundle = case.bundle().running();
    bundle.command("pause", &[]).run().ok();
    bundle.kill("TERM").ok();
    assert_eq!(bundle.status(), "paused");
    bundle.command("resume", &[]).run().ok();
    bundle.until_stopped();
}

/// Processes that end and begin all the time, and are as many as may be.
fn a_fork_bomb_can_be_paused_and_deleted(case: &Case) {
    let bomb = "f() { while :; do (sleep 0.001 & true) & (true) & sleep 0.01; done; }; f & f & f";
    let mut bundle = case.bundle().without_namespace("pid").sh(bomb);
    if cgroup1().is_ok() {
        bundle = bundle.set("/linux/resources", json!({"pids": {"limit": 100}}));
    }
    bundle.started();
    until("the bomb", || leaks::processes(case).len() > 5);
    for _ in 0..5 {
        bundle.command("pause", &[]).run().ok();
        assert_eq!(bundle.status(), "paused");
        bundle.command("resume", &[]).run().ok();
    }
    bundle.delete_force().ok();
    case.leaves_nothing();
}

/// runc's words for a container without cgroups.
fn without_a_cgroup_there_is_nothing_to_pause(case: &Case) {
    let bundle = case.bundle().sleeps();
    bundle.write_config();
    let root = case.root();
    let root = root.to_str().unwrap();
    let globals = ["--root", root, "--cgroup-manager", "disabled"];
    let create = case.runtime(["create", "--bundle", bundle.dir.to_str().unwrap(), &bundle.id]);
    bundle.settle(create.globals(globals).run()).ok();
    bundle.start().ok();
    let words = "cannot toggle freezer: cgroups not configured for container";
    bundle.command("pause", &[]).run().fails().says(words);
    bundle.command("kill", &["--all"]).args(["KILL"]).run().ok();
    bundle.until_stopped();
}

/// Not only init.
fn kill_all_signals_every_process(case: &Case) {
    let script = "sh -c 'trap \"echo one; exit\" TERM; echo up; while :; do sleep 0.05; done' &
        trap 'wait; echo init; exit' TERM; while :; do sleep 0.05; done";
    let bundle = case.bundle().without_namespace("pid").sh(script);
    let created = bundle.started();
    until("the company of init", || created.stdout_by_now() == "up\n");
    bundle.command("kill", &["--all"]).args(["TERM"]).run().ok();
    bundle.until_stopped();
    assert_eq!(created.stdout_by_now(), "up\none\ninit\n");
}

/// The cgroup of `pid` with the freezer, wherever that is.
fn freezer_of(pid: i32) -> std::path::PathBuf {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let line = |name: &str| {
        text.lines().find_map(|line| line.split_once(name)).map(|(_, path)| path.to_owned())
    };
    // The file lists v1 hierarchies even where they are out of sight.
    match line(":freezer:").filter(|_| cgroup1().is_ok()) {
        Some(path) => format!("/sys/fs/cgroup/freezer{path}").into(),
        None => format!("/sys/fs/cgroup{}", line("0::").unwrap()).into(),
    }
}

/// A container of three processes, of which two are in a cgroup below.
fn with_a_cgroup_below(case: &Case) -> (Bundle<'_>, std::path::PathBuf, Vec<i32>) {
    let script = "sleep 1000 & sleep 1000 & echo ready; wait";
    let bundle = case.bundle().without_namespace("pid").sh(script);
    bundle.started();
    until("three processes", || leaks::processes(case).len() == 3);
    let below = freezer_of(bundle.pid()).join("below/deeper");
    fs::create_dir_all(&below).unwrap();
    let all = leaks::processes(case);
    for pid in all.iter().filter(|&&pid| pid != bundle.pid()) {
        fs::write(below.join("cgroup.procs"), pid.to_string()).unwrap();
    }
    (bundle, below, all)
}

/// They are the container's still.
fn processes_in_cgroups_below_die_by_kill(case: &Case) {
    let (bundle, _, all) = with_a_cgroup_below(case);
    bundle.kill("KILL").ok();
    until("the death of all", || !all.iter().any(|&pid| alive(pid)));
    bundle.delete().ok();
    case.leaves_nothing();
}

/// As a container in the container may be.
fn cgroups_below_that_are_frozen_die_by_delete_force(case: &Case) {
    let (bundle, below, all) = with_a_cgroup_below(case);
    let frozen = fs::write(below.join("freezer.state"), "FROZEN")
        .or_else(|_| fs::write(below.join("cgroup.freeze"), "1"));
    frozen.unwrap();
    bundle.delete_force().ok();
    until("the death of all", || !all.iter().any(|&pid| alive(pid)));
    case.leaves_nothing();
}

/// Who is frozen by a cgroup of v1 above the container's, which is not the
/// container's to thaw, does not die.
fn who_cannot_be_killed_is_named(case: &Case) {
    let bundle = case.bundle();
    let above = format!("/{}/{}above", crate::support::scratch::name(), case.tag);
    let path = format!("{above}/{}", bundle.id);
    let bundle = bundle.set("/linux/cgroupsPath", json!(path)).running();
    let pid = bundle.pid();
    let state = format!("/sys/fs/cgroup/freezer{above}/freezer.state");
    fs::write(&state, "FROZEN").unwrap();
    let output = bundle.delete_force();
    fs::write(&state, "THAWED").unwrap();
    let output = output.exits(1);
    let words = [format!("its init, pid {pid} ("), " in ".into(), "is frozen".into()];
    assert!(words.iter().all(|words| output.stderr.contains(words)), "{output}");
    assert_eq!(output.stderr.lines().count(), 1, "{output}");
    bundle.delete_force().ok();
    case.leaves_nothing();
}

/// In sessions of their own, and nobody's children.
fn double_forked_daemons_die_by_delete_force(case: &Case) {
    let script = "for i in 1 2 3; do (setsid sleep 1000 & setsid sh -c 'sleep 1000 & sleep 1000' &); done; exec sleep 1000";
    let bundle = case.bundle().without_namespace("pid").sh(script);
    bundle.started();
    let mut all = Vec::new();
    until("the daemons", || {
        all = leaks::processes(case);
        all.len() >= 10
    });
    bundle.delete_force().ok();
    until("the death of all", || !all.iter().any(|&pid| alive(pid)));
    case.leaves_nothing();
}

/// The cgroup of a container to be, with the freezer.
fn future_cgroup(bundle: &Bundle<'_>) -> std::path::PathBuf {
    let root = std::path::Path::new("/sys/fs/cgroup");
    let hierarchy = if cgroup1().is_ok() { root.join("freezer") } else { root.into() };
    let cgroup = hierarchy.join(crate::support::scratch::name()).join(&bundle.id);
    fs::create_dir_all(&cgroup).unwrap();
    cgroup
}

/// Init would hang in it.
fn a_frozen_cgroup_is_refused(case: &Case) {
    let bundle = case.bundle();
    let cgroup = future_cgroup(&bundle);
    let (file, frozen, thawed) = if cgroup.join("freezer.state").exists() {
        ("freezer.state", "FROZEN", "THAWED")
    } else {
        ("cgroup.freeze", "1", "0")
    };
    fs::write(cgroup.join(file), frozen).unwrap();
    bundle.create().fails().says("container's cgroup unexpectedly frozen");
    fs::write(cgroup.join(file), thawed).unwrap();
    fs::remove_dir(&cgroup).unwrap();
    case.leaves_nothing();
}

/// They are another container's, and would be killed with this one.
fn a_cgroup_with_processes_is_refused(case: &Case) {
    let bundle = case.bundle();
    let cgroup = future_cgroup(&bundle);
    let mut sleep = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    fs::write(cgroup.join("cgroup.procs"), sleep.id().to_string()).unwrap();
    let output = bundle.create();
    sleep.kill().unwrap();
    sleep.wait().unwrap();
    output.fails().says("container's cgroup is not empty: 1 process(es) found");
    fs::remove_dir(&cgroup).unwrap();
    case.leaves_nothing();
}

/// Somebody has moved init and removed its cgroup. Whatever needs it says so, and
/// the container can be deleted.
fn a_cgroup_that_is_gone_is_told(case: &Case) {
    let bundle = case.bundle().running();
    for hierarchy in scratch::hierarchies() {
        let cgroup = hierarchy.join(scratch::name()).join(&bundle.id);
        let Ok(pids) = fs::read_to_string(cgroup.join("cgroup.procs")) else { continue };
        for pid in pids.lines() {
            fs::write(hierarchy.join("cgroup.procs"), pid).unwrap();
        }
        until("an empty cgroup", || fs::remove_dir(&cgroup).is_ok());
    }
    for (command, arguments) in
        [("pause", &[][..]), ("update", &["--pids-limit", "5"]), ("events", &["--stats"])]
    {
        bundle.command(command, arguments).run().fails().says("cgroup").says("no such file");
    }
    let exec = bundle.command("exec", &[]).args(["true"]).run().exits(255);
    exec.says("open cgroup").says("no such file or directory");
    assert_eq!(bundle.status(), "running");
    bundle.delete_force().ok();
    case.leaves_nothing();
}
