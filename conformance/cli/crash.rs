//! The runtime is killed: containerd's death sends its runtimes SIGKILL, at any
//! instant. Whatever is there, `delete --force` finds it and removes it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::command::Running;
use crate::support::needs::needs;
use crate::support::wait::PATIENCE;
use crate::support::{Bundle, Case, Test, leaks, test, until, wait};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("crash", a_create_that_is_killed_can_be_deleted)
            .fails_on("crun", "leaves cgroups")
            .fails_on("runc", "leaves cgroups"),
        test!("crash", a_start_that_is_killed_can_be_deleted),
        test!("crash", a_delete_that_is_killed_can_be_repeated),
        test!("crash", a_foreground_run_that_is_killed_can_be_deleted)
            .may_fail_on("crun 1.8", "leaves the program"),
        test!("crash", a_create_that_is_killed_in_a_hook_can_be_deleted)
            .fails_on("crun", "leaves cgroups")
            .fails_on("runc", "leaves cgroups"),
        test!("crash", a_create_that_hangs_in_a_hook_blocks_nobody)
            .fails_on("runc 1.1", "knows of no container yet")
            .fails_on("crun 1.8", "says created"),
        test!("crash", a_start_that_hangs_in_a_hook_can_be_deleted)
            .may_fail_on("runc 1.1", "start does not wait for the hooks")
            .may_fail_on("crun 1.8", "start does not wait for the hooks"),
        test!("crash", a_state_that_is_garbage_is_told)
            .fails_on("crun 1.8", "deletes the directory alone")
            .fails_on("runc 1.1", "panics"),
        test!("crash", an_empty_state_directory_can_be_deleted),
        test!("crash", the_id_of_a_killed_create_can_be_used_again_once_deleted)
            .may_fail_on("crun", "leaves cgroups")
            .may_fail_on("runc", "leaves cgroups"),
        test!("crash", a_delete_in_its_hooks_is_no_obstacle_to_another).needs(needs![minke]),
        test!("crash", a_late_delete_leaves_a_create_its_directory)
            .needs(needs![minke, file("/usr/bin/strace")]),
        test!("crash", a_run_that_ends_kills_nobody_else).needs(needs![minke]),
    ]
}

/// So many instants of a command are tried.
const INSTANTS: u32 = 30;

/// Instants over the time that the command takes, and a bit beyond.
fn instants(whole: Duration) -> impl Iterator<Item = Duration> {
    (0..INSTANTS).map(move |number| whole * number / (INSTANTS - 4))
}

/// Kills what `launch` starts after `delay`.
fn kill_after(delay: Duration, launch: crate::support::command::Invocation<'_>) {
    let running = launch.spawn();
    std::thread::sleep(delay);
    running.kill();
}

fn time(action: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    action();
    begin.elapsed()
}

/// No state, process, mount or cgroup after it, at whatever instant.
fn deleted(bundle: &Bundle<'_>, delay: Duration) {
    bundle.delete_force().ok();
    let leaks = leaks::settled(bundle.case);
    assert!(leaks.is_empty(), "killed after {delay:?}, left behind:\n{}", leaks.join("\n"));
}

/// Before the record, between any two steps, after all of them.
fn a_create_that_is_killed_can_be_deleted(case: &Case) {
    let bundle = case.bundle().mount("/new/dir", "tmpfs", "tmpfs", &[]);
    let whole = time(|| drop(bundle.create().ok()));
    bundle.delete_force().ok();
    for delay in instants(whole) {
        kill_after(delay, bundle.launch("create", &[]));
        deleted(&bundle, delay);
    }
}

/// While it talks to init.
fn a_start_that_is_killed_can_be_deleted(case: &Case) {
    let bundle = case.bundle().sleeps();
    bundle.create().ok();
    let whole = time(|| drop(bundle.start().ok()));
    bundle.delete_force().ok();
    for delay in instants(whole).step_by(3) {
        bundle.create().ok();
        kill_after(delay, bundle.command("start", &[]));
        deleted(&bundle, delay);
    }
}

/// Half of it is gone by then.
fn a_delete_that_is_killed_can_be_repeated(case: &Case) {
    let bundle = case.bundle();
    bundle.create().ok();
    let whole = time(|| drop(bundle.delete_force().ok()));
    for delay in instants(whole).step_by(3) {
        bundle.create().ok();
        kill_after(delay, bundle.command("delete", &["--force"]));
        deleted(&bundle, delay);
    }
}

/// The program may well be running.
fn a_foreground_run_that_is_killed_can_be_deleted(case: &Case) {
    let bundle = case.bundle().sleeps();
    let run = bundle.launch("run", &[]).spawn();
    run.until_prints("ready");
    run.kill();
    deleted(&bundle, Duration::ZERO);
}

/// For a certain instant.
fn a_create_that_is_killed_in_a_hook_can_be_deleted(case: &Case) {
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let mark = case.path(kind);
        let bundle =
            case.bundle().hook(kind, &format!("echo there > {}; sleep 0.2", mark.display()));
        let create = bundle.launch("create", &[]).spawn();
        wait::until_written(&mark);
        create.kill();
        deleted(&bundle, Duration::ZERO);
    }
}

/// No timeout, and nobody ends it: others can ask, and delete by force.
fn a_create_that_hangs_in_a_hook_blocks_nobody(case: &Case) {
    let mark = case.path("mark");
    let bundle = case
        .bundle()
        .hook("createRuntime", &format!("echo $$ > {}; exec sleep 1000", mark.display()));
    let create = bundle.launch("create", &[]).spawn();
    let hook: i32 = wait::until_written(&mark).trim().parse().unwrap();
    assert_eq!(bundle.status(), "creating");
    case.runtime(["list"]).run().ok();
    bundle.delete_force().ok();
    assert!(wait::ended(create.pid(), Duration::ZERO) && wait::ended(hook, PATIENCE));
    create.kill();
    case.leaves_nothing();
}

/// In the container, or after its program has begun.
fn a_start_that_hangs_in_a_hook_can_be_deleted(case: &Case) {
    for kind in ["startContainer", "poststart"] {
        let mark = case.path(kind);
        let bundle = case.bundle().file("/mark", "");
        let path = if kind == "poststart" { mark.clone() } else { bundle.rootfs("/mark") };
        let seen = if kind == "poststart" { mark.to_str().unwrap() } else { "/mark" };
        let bundle = bundle.hook(kind, &format!("echo there > {seen}; exec sleep 1000")).sleeps();
        bundle.create().ok();
        let start = bundle.command("start", &[]).spawn();
        wait::until_written(&path);
        bundle.delete_force().ok();
        assert!(wait::ended(start.pid(), PATIENCE));
        start.kill();
        case.leaves_nothing();
    }
}

/// A full disk, or a hand: an error that says so, and no crash. Others are
/// still listed.
fn a_state_that_is_garbage_is_told(case: &Case) {
    let other = case.bundle();
    other.create().ok();
    for garbage in ["", "{", "garbage", "null", "[]", "{}"] {
        let bundle = case.bundle();
        bundle.create().ok();
        bundle.kill("KILL").ok();
        bundle.until_stopped();
        let entries = std::fs::read_dir(case.root().join(&bundle.id)).unwrap().flatten();
        for entry in entries.filter(|entry| entry.file_type().unwrap().is_file()) {
            std::fs::write(entry.path(), garbage).unwrap();
        }
        for command in ["state", "start", "delete"] {
            bundle.command(command, &[]).run().fails();
        }
        assert!(case.runtime(["list", "-q"]).run().ok().stdout.contains(&other.id));
        assert!([0, 1].contains(&bundle.delete_force().code()));
        let _ = std::fs::remove_dir_all(case.root().join(&bundle.id));
        leaks::remove_cgroups(&bundle.id);
    }
}

/// The first thing that create makes, before anything is in it.
fn an_empty_state_directory_can_be_deleted(case: &Case) {
    let bundle = case.bundle();
    let state = case.root().join(&bundle.id);
    std::fs::create_dir_all(&state).unwrap();
    bundle.command("state", &[]).run().fails();
    bundle.start().fails();
    bundle.delete_force().ok();
    assert!(!state.exists());
}

/// As an engine does after its restart.
fn the_id_of_a_killed_create_can_be_used_again_once_deleted(case: &Case) {
    let bundle = case.bundle().sh("echo ran");
    let whole = time(|| drop(bundle.create().ok()));
    bundle.delete_force().ok();
    for delay in instants(whole).step_by(7) {
        kill_after(delay, bundle.launch("create", &[]));
        deleted(&bundle, delay);
        assert_eq!(bundle.outcome(), "ran\n");
    }
}

/// Locks the container's directory as a command does, until its stdin is closed.
fn locked_by_another(bundle: &Bundle<'_>) -> Child {
    let mut command = Command::new("flock");
    command.arg(bundle.case.root().join(&bundle.id)).args(["sh", "-c", "echo; exec cat"]);
    let mut another = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let locked = another.stdout.as_mut().unwrap();
    std::io::Read::read_exact(locked, &mut [0]).unwrap();
    another
}

/// Two that have waited for the lock: the first removes the container, and has
/// a hook for longer than the second waits. What has the ID by then is new.
fn a_delete_in_its_hooks_is_no_obstacle_to_another(case: &Case) {
    let mark = case.path("mark");
    let once = "[ -e $mark ] || { echo begun > $mark; sleep 11; echo ended >> $mark; }";
    let bundle = case.bundle().hook("poststop", &format!("mark={}; {once}", mark.display()));
    bundle.create().ok();
    let mut another = locked_by_another(&bundle);
    let deletes: Vec<_> = (0..2).map(|_| bundle.command("delete", &["--force"]).spawn()).collect();
    let waits = |pid: i32| {
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        locks.lines().any(|line| line.contains("-> FLOCK") && line.contains(&format!(" {pid} ")))
    };
    until("both wait", || deletes.iter().all(|delete| waits(delete.pid())));
    drop(another.stdin.take());
    assert!(another.wait().unwrap().success());
    wait::until_written(&mark);
    bundle.create().ok();
    for delete in deletes {
        delete.wait().ok();
    }
    assert_eq!(case.read("mark"), "begun\nended\n");
    assert_eq!(bundle.status(), "created");
    bundle.delete_force().ok();
    case.leaves_nothing();
}

/// `strace` that has a call about the directory begin two seconds later.
fn late_at(call: &str, directory: &Path) -> Vec<String> {
    let inject = format!("inject={call}:delay_enter=2000000:when=1");
    let directory = directory.to_str().unwrap();
    let words = ["strace", "-o", "/dev/null", "-P", directory, "-e", &inject];
    words.map(str::to_owned).into()
}

/// It has no record yet, as if it were what a killed one has left. First the
/// directory is not locked yet; then it is, when a delete comes that has seen the
/// container before it go.
fn a_late_delete_leaves_a_create_its_directory(case: &Case) {
    let bundle = case.bundle();
    bundle.write_config();
    let state = case.root().join(&bundle.id);
    let create = |call| {
        let running = bundle.launch("create", &[]).through(late_at(call, &state)).spawn();
        until("the directory", || state.exists());
        running
    };
    let created = |create: Running<'_>| {
        bundle.settle(create.wait()).ok();
        assert_eq!(bundle.status(), "created");
    };
    let first = create("flock");
    bundle.delete_force().ok();
    created(first);
    let late = bundle.command("delete", &["--force"]).through(late_at("flock", &state)).spawn();
    let opened =
        |entry: std::fs::DirEntry| std::fs::read_link(entry.path()).ok() == Some(state.clone());
    until("the directory is open", || {
        let children = format!("/proc/{0}/task/{0}/children", late.pid());
        let child = std::fs::read_to_string(children).unwrap_or_default();
        let open = std::fs::read_dir(format!("/proc/{}/fd", child.trim()));
        open.into_iter().flatten().flatten().any(opened)
    });
    bundle.delete_force().ok();
    let second = create("renameat");
    late.wait().ok();
    created(second);
    bundle.delete_force().ok();
    case.leaves_nothing();
}

/// Nobody has asked it to, as by `--force`.
fn a_run_that_ends_kills_nobody_else(case: &Case) {
    let bundle = case.bundle().sleeps();
    let run = bundle.launch("run", &[]).spawn();
    run.until_prints("ready");
    let mut another = locked_by_another(&bundle);
    bundle.kill("KILL").ok();
    run.wait().fails().tells("lock container");
    drop(another.stdin.take());
    assert!(another.wait().unwrap().success());
    bundle.delete().ok();
    case.leaves_nothing();
}
