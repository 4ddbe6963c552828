//! `checkpoint` and `restore`, with a CRIU that works on this machine; and
//! what they say without.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::Signal;

use crate::support::command::{Invocation, Output, Running};
use crate::support::needs::needs;
use crate::support::terminal::{Receiver, Terminal};
use crate::support::{Bundle, Case, Test, json, test, until};

pub(crate) fn tests() -> Vec<Test> {
    let with_criu = [
        test!("checkpoint", a_restored_container_goes_on_where_it_was_saved),
        test!("checkpoint", a_restored_container_is_one_like_any_other),
        test!("checkpoint", a_restored_container_is_in_its_cgroup)
            .needs(needs![controller("pids")]),
        test!("checkpoint", leave_running_saves_and_lets_go_on),
        test!("checkpoint", a_paused_container_can_be_saved),
        test!("checkpoint", a_container_can_be_saved_again_and_again),
        test!("checkpoint", another_bundle_with_an_empty_root_gets_its_mount_points),
        test!("checkpoint", restore_in_the_foreground_ends_as_the_program_does),
        test!("checkpoint", restore_in_the_foreground_passes_signals_on),
        test!("checkpoint", pipes_of_the_caller_take_the_place_of_those_that_were),
        test!("checkpoint", the_console_socket_gets_the_restored_terminal),
        test!("checkpoint", hooks_of_the_network_run_at_restore),
        test!("checkpoint", a_hook_that_fails_ends_the_restore),
        test!("checkpoint", poststop_runs_when_it_is_saved),
        test!("checkpoint", a_network_namespace_of_somebody_else_is_joined_again),
        test!("checkpoint", logs_are_in_the_work_path),
        test!("checkpoint", what_criu_cannot_save_is_told_with_its_log_and_goes_on),
        test!("checkpoint", images_that_are_missing_or_broken_fail_and_leave_nothing),
        test!("checkpoint", a_restore_takes_no_id_that_is_taken),
        test!("checkpoint", help_succeeds_where_criu_works).needs(needs![minke]),
    ]
    .map(|test| test.needs(needs![criu]).may_fail_on("crun", "Debian's is built without CRIU"));
    let without = [
        test!("checkpoint", without_criu_it_fails_and_the_container_goes_on).needs(needs![minke]),
        test!("checkpoint", help_fails_where_criu_does_not_work).needs(needs![minke]),
        test!("checkpoint", a_created_or_stopped_container_cannot_be_saved),
        test!("checkpoint", values_that_make_no_sense_are_refused).needs(needs![minke]),
        test!("checkpoint", a_container_that_is_not_there_cannot_be_saved),
        test!("checkpoint", a_restore_that_cannot_come_back_leaves_the_root_alone)
            .needs(needs![minke, file("/usr/bin/unshare")]),
        test!("checkpoint", what_is_mounted_in_the_state_directory_is_not_deleted)
            .needs(needs![minke]),
        test!("checkpoint", a_criu_that_hangs_is_ended).needs(needs![minke]),
        test!("checkpoint", mounts_that_criu_would_confuse_are_refused).needs(needs![minke]),
    ];
    with_criu.into_iter().chain(without).collect()
}

/// None of the standard streams is a file of the host, which CRIU could not
/// save: the container does not have it.
pub(super) fn silent(invocation: Invocation<'_>) -> Invocation<'_> {
    invocation.through(["sh", "-c", r#"exec "$@" </dev/null >/dev/null 2>&1"#, "sh"])
}

/// Counts in a shell's variable, and tells of it in a file.
pub(super) fn counting(case: &Case) -> Bundle<'_> {
    let shared = case.path("shared");
    fs::create_dir_all(&shared).unwrap();
    let script = "trap 'exit 7' TERM; i=0; while :; do i=$((i+1)); echo $i >/shared/new; mv /shared/new /shared/count; sleep 0.02; done";
    case.bundle().bind(&shared, "/shared", &["rbind", "rw"]).sh(script)
}

pub(super) fn count(case: &Case) -> u64 {
    let text = fs::read_to_string(case.path("shared/count")).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// Started, and past the first numbers.
pub(super) fn started(bundle: &Bundle<'_>) {
    bundle.settle(silent(bundle.launch("run", &["--detach"])).run()).ok();
    until("some counting", || count(bundle.case) > 4);
}

pub(super) fn images(case: &Case) -> String {
    case.path("images").to_str().unwrap().to_owned()
}

/// Other tests make and remove hierarchies of cgroup v1, and CRIU looks at all
/// there are unless told otherwise.
pub(super) const LEAVE_CGROUPS: [&str; 2] = ["--manage-cgroups-mode", "ignore"];

pub(super) fn checkpoint(bundle: &Bundle<'_>, options: &[&str]) -> Output {
    let images = images(bundle.case);
    let options = [&["--image-path", &images], &LEAVE_CGROUPS[..], options].concat();
    bundle.command("checkpoint", &options).run()
}

pub(super) fn restore<'c>(bundle: &Bundle<'c>, options: &[&str]) -> Invocation<'c> {
    let images = images(bundle.case);
    let options = [&["--image-path", &images], &LEAVE_CGROUPS[..], options].concat();
    bundle.launch("restore", &options)
}

pub(super) fn restored(bundle: &Bundle<'_>, options: &[&str]) {
    let options = [&["--detach"], options].concat();
    bundle.settle(silent(restore(bundle, &options)).run()).ok();
}

/// It is gone, and comes back with what it had in memory.
fn a_restored_container_goes_on_where_it_was_saved(case: &Case) {
    let bundle = counting(case);
    started(&bundle);
    checkpoint(&bundle, &[]).ok().prints("");
    bundle.command("state", &[]).run().fails();
    case.leaves_nothing();
    let saved = count(case);
    fs::remove_file(case.path("shared/count")).unwrap();
    restored(&bundle, &[]);
    until("more counting", || count(case) > 0);
    assert!(count(case) >= saved, "{} after {saved}", count(case));
    assert_eq!(bundle.status(), "running");
    bundle.end();
    case.leaves_nothing();
}

/// state, exec, ps, pause, kill, delete; and the pid file.
fn a_restored_container_is_one_like_any_other(case: &Case) {
    let bundle = counting(case);
    started(&bundle);
    checkpoint(&bundle, &[]).ok();
    let pid_file = case.path("pid");
    restored(&bundle, &["--pid-file", pid_file.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(pid_file).unwrap(), bundle.pid().to_string());
    let script = "echo $(hostname) $(grep -c shared/count /proc/1/cmdline)";
    let exec = case.runtime(["exec", &bundle.id, "sh", "-c", script]).run().ok();
    exec.prints("conformance 1\n");
    let same = r#"for kind in ipc mnt net pid time uts; do [ "$(readlink /proc/1/ns/$kind)" = "$(readlink /proc/self/ns/$kind)" ] || echo $kind; done"#;
    case.runtime(["exec", &bundle.id, "sh", "-c", same]).run().ok().prints("");
    bundle.command("pause", &[]).run().ok();
    assert_eq!(bundle.status(), "paused");
    bundle.command("resume", &[]).run().ok();
    bundle.kill("TERM").ok();
    bundle.until_stopped();
    bundle.delete().ok();
    case.leaves_nothing();
}

/// All that restored processes can do is limited as before.
fn a_restored_container_is_in_its_cgroup(case: &Case) {
    // No file of it changes between the images and their use.
    let bundle = counting(case)
        .sh("echo 5 >/shared/new; mv /shared/new /shared/count; while :; do sleep 0.1; done")
        .set("/linux/resources", json!({"pids": {"limit": 77}}));
    started(&bundle);
    let cgroups = |pid: i32| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let before = cgroups(bundle.pid());
    assert!(before.contains(&bundle.id), "{before}");
    checkpoint(&bundle, &[]).ok();
    restored(&bundle, &[]);
    // Another test's hierarchy may come and go meanwhile.
    let own = |text: &str| {
        let lines = text.lines().filter(|line| !line.contains("name=resctrl"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(own(&cgroups(bundle.pid())), own(&before));
    let path = before.lines().find(|line| line.contains(":pids:") || line.starts_with("0::"));
    let path = path.unwrap().rsplit_once(':').unwrap().1;
    let limits = ["/sys/fs/cgroup", "/sys/fs/cgroup/pids"]
        .map(|mount| fs::read_to_string(format!("{mount}{path}/pids.max")).unwrap_or_default());
    assert!(limits.iter().any(|limit| limit.trim() == "77"), "{limits:?}");
    bundle.end();
}

/// `--leave-running`.
fn leave_running_saves_and_lets_go_on(case: &Case) {
    let bundle = counting(case);
    started(&bundle);
    let pid = bundle.pid();
    checkpoint(&bundle, &["--leave-running"]).ok();
    assert_eq!((bundle.status().as_str(), bundle.pid()), ("running", pid));
    let then = count(case);
    until("more counting", || count(case) > then);
    assert!(case.path("images/inventory.img").exists());
    bundle.end();
}

/// And runs when it is back.
fn a_paused_container_can_be_saved(case: &Case) {
    let bundle = counting(case);
    started(&bundle);
    bundle.command("pause", &[]).run().ok();
    checkpoint(&bundle, &[]).ok();
    case.leaves_nothing();
    let saved = count(case);
    restored(&bundle, &[]);
    until("more counting", || count(case) > saved);
    bundle.end();
}

/// One that was restored, too; the images of the last time are overwritten.
fn a_container_can_be_saved_again_and_again(case: &Case) {
    let bundle = counting(case);
    started(&bundle);
    for _ in 0..2 {
        checkpoint(&bundle, &[]).ok();
        let saved = count(case);
        restored(&bundle, &[]);
        until("more counting", || count(case) > saved);
    }
    bundle.end();
}

/// As with an image that was exported, and without what `create` once made.
fn another_bundle_with_an_empty_root_gets_its_mount_points(case: &Case) {
    let volume = case.path("volume");
    fs::create_dir_all(&volume).unwrap();
    fs::write(volume.join("file"), "").unwrap();
    let bundle = counting(case)
        .bind(&volume, "/a/volume", &["bind"])
        .bind(&volume.join("file"), "/a/volume/below/file", &["bind"])
        .bind(&volume.join("file"), "/etc/a/file", &["bind"]);
    started(&bundle);
    checkpoint(&bundle, &[]).ok();
    for gone in ["shared", "a", "etc/a", "proc", "sys", "dev"] {
        fs::remove_dir_all(bundle.rootfs(gone)).unwrap();
    }
    fs::remove_dir_all(volume.join("below")).unwrap();
    let saved = count(case);
    restored(&bundle, &[]);
    until("more counting", || count(case) > saved);
    let exec = ["exec", &bundle.id, "ls", "/a/volume/below/file", "/etc/a/file"];
    case.runtime(exec).run().ok();
    bundle.end();
}

/// The exit code is the program's, and the container is deleted.
fn restore_in_the_foreground_ends_as_the_program_does(case: &Case) {
    let bundle = counting(case);
    started(&bundle);
    checkpoint(&bundle, &[]).ok();
    let saved = count(case);
    let restore = silent(restore(&bundle, &[])).spawn();
    until("more counting", || count(case) > saved);
    bundle.kill("KILL").ok();
    restore.wait().exits(137);
    case.leaves_nothing();
}

/// As `run` does.
fn restore_in_the_foreground_passes_signals_on(case: &Case) {
    let bundle = counting(case);
    started(&bundle);
    checkpoint(&bundle, &[]).ok();
    let saved = count(case);
    let restore = silent(restore(&bundle, &[])).spawn();
    until("more counting", || count(case) > saved);
    restore.signal(Signal::TERM);
    restore.wait().exits(7);
    case.leaves_nothing();
}

/// Its output goes to a file, by a pipe.
pub(super) fn piped<'c>(invocation: Invocation<'c>, to: &Path) -> Running<'c> {
    let script = format!(r#""$@" </dev/null 2>&1 | cat >{}"#, to.display());
    invocation.through(["sh", "-c", &script, "sh"]).spawn()
}

/// An engine reads the output of a restored container, too.
fn pipes_of_the_caller_take_the_place_of_those_that_were(case: &Case) {
    let script = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done";
    let bundle = case.bundle().sh(script);
    let (one, two) = (case.path("one"), case.path("two"));
    let run = piped(bundle.launch("run", &["--detach"]), &one);
    until("output", || fs::read_to_string(&one).is_ok_and(|text| text.lines().count() > 4));
    checkpoint(&bundle, &[]).ok();
    run.wait().ok();
    let restore = piped(restore(&bundle, &["--detach"]), &two);
    case.expect_live(&bundle.id);
    until("output", || fs::read_to_string(&two).is_ok_and(|text| text.lines().count() > 4));
    let last = |path: &Path, first: bool| -> u64 {
        let text = fs::read_to_string(path).unwrap();
        let line = if first { text.lines().next() } else { text.lines().last() };
        line.unwrap().parse().unwrap()
    };
    let (saved, found) = (last(&one, false), last(&two, true));
    assert!(found > saved, "{found} after {saved}");
    bundle.end();
    restore.wait().ok();
}

/// The master is sent as at the first time; the program has it both ways.
fn the_console_socket_gets_the_restored_terminal(case: &Case) {
    let bundle = case
        .bundle()
        .set("/process/terminal", json!(true))
        .sh("echo ready; read one; while read line; do echo $one $line; done");
    let socket = Receiver::new(case.path("first.sock"));
    bundle.run_with(&["--detach", "--console-socket", socket.path()]).ok();
    let mut terminal = Terminal::of(socket.receive().0);
    terminal.until("ready");
    terminal.types("first\n");
    terminal.until("first");
    checkpoint(&bundle, &[]).ok();
    let socket = Receiver::new(case.path("second.sock"));
    bundle.settle(restore(&bundle, &["--detach", "--console-socket", socket.path()]).run()).ok();
    let mut terminal = Terminal::of(socket.receive().0);
    terminal.types("second\n");
    terminal.until("first second");
    bundle.end();
}

/// They make the network, which CRIU does not save; the state that they get
/// has the pid.
fn hooks_of_the_network_run_at_restore(case: &Case) {
    let trace = case.path("trace");
    let line = |kind: &str| {
        format!(
            r#"echo {kind} $(echo "$state" | grep -c creating) $(readlink /proc/$pid/ns/net | grep -vc "$(readlink /proc/self/ns/net)") >> {}"#,
            trace.display()
        )
    };
    let bundle = ["prestart", "createRuntime", "poststart"]
        .into_iter()
        .fold(counting(case), |bundle, kind| bundle.hook(kind, &line(kind)));
    started(&bundle);
    checkpoint(&bundle, &[]).ok();
    fs::write(&trace, "").unwrap();
    restored(&bundle, &[]);
    assert_eq!(fs::read_to_string(&trace).unwrap(), "prestart 1 1\ncreateRuntime 1 1\n");
    bundle.end();
}

/// Nothing of it is left.
fn a_hook_that_fails_ends_the_restore(case: &Case) {
    let bundle = counting(case);
    started(&bundle);
    checkpoint(&bundle, &[]).ok();
    let bundle = bundle.hook("createRuntime", "echo broken >&2; exit 1");
    restore(&bundle, &["--detach"]).run().fails().says("hook");
    case.leaves_nothing();
}

/// For the container is deleted.
fn poststop_runs_when_it_is_saved(case: &Case) {
    let trace = case.path("trace");
    let bundle = counting(case).hook("poststop", &format!("echo stopped >> {}", trace.display()));
    started(&bundle);
    checkpoint(&bundle, &[]).ok();
    assert_eq!(fs::read_to_string(&trace).unwrap(), "stopped\n");
}

/// An engine has made it, and makes it again.
fn a_network_namespace_of_somebody_else_is_joined_again(case: &Case) {
    let other = case.bundle().running();
    let path = format!("/proc/{}/ns/net", other.pid());
    let bundle = counting(case).joins("network", &path);
    started(&bundle);
    checkpoint(&bundle, &[]).ok();
    other.end();
    let other = case.bundle().running();
    let path = format!("/proc/{}/ns/net", other.pid());
    let bundle = bundle.joins("network", &path);
    restored(&bundle, &[]);
    let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    assert_eq!(namespace(bundle.pid()), namespace(other.pid()));
    bundle.end();
    other.end();
}

/// And not with the images.
fn logs_are_in_the_work_path(case: &Case) {
    let work = case.path("work/below");
    let work = ["--work-path", work.to_str().unwrap()];
    let bundle = counting(case);
    fs::create_dir_all(case.path("work")).unwrap();
    started(&bundle);
    checkpoint(&bundle, &work).ok();
    restored(&bundle, &work);
    for (log, directory, is_there) in [
        ("dump.log", "work/below", true),
        ("restore.log", "work/below", true),
        ("dump.log", "images", false),
        ("restore.log", "images", false),
    ] {
        assert_eq!(case.path(directory).join(log).exists(), is_there, "{directory}/{log}");
    }
    bundle.end();
}

/// A file that the container cannot see is open in it.
fn what_criu_cannot_save_is_told_with_its_log_and_goes_on(case: &Case) {
    let bundle = counting(case);
    bundle.settle(bundle.launch("run", &["--detach"]).run()).ok();
    until("some counting", || count(case) > 4);
    let failed = checkpoint(&bundle, &[]).fails().says("criu failed").says("dump.log");
    drop(failed);
    let then = count(case);
    until("more counting", || count(case) > then);
    assert_eq!(bundle.status(), "running");
    bundle.end();
}

/// Neither state nor cgroup.
fn images_that_are_missing_or_broken_fail_and_leave_nothing(case: &Case) {
    let bundle = counting(case);
    restore(&bundle, &["--detach"]).run().fails();
    case.leaves_nothing();
    started(&bundle);
    checkpoint(&bundle, &[]).ok();
    fs::write(case.path("images/pstree.img"), "no image").unwrap();
    restore(&bundle, &["--detach"]).run().fails().says("criu failed");
    case.leaves_nothing();
}

/// The container that has it is left alone.
fn a_restore_takes_no_id_that_is_taken(case: &Case) {
    let bundle = counting(case);
    started(&bundle);
    let pid = bundle.pid();
    checkpoint(&bundle, &["--leave-running"]).ok();
    restore(&bundle, &["--detach"]).run().fails().says("already exists");
    assert_eq!((bundle.status().as_str(), bundle.pid()), ("running", pid));
    bundle.end();
}

/// Podman and CRI-O ask so.
fn help_succeeds_where_criu_works(case: &Case) {
    case.runtime(["checkpoint", "--help"]).run().ok();
}

/// A directory with this program as `criu`, and nothing else.
pub(super) fn only_criu(case: &Case, script: Option<&str>) -> String {
    let directory = case.path("path");
    fs::create_dir_all(&directory).unwrap();
    if let Some(script) = script {
        let path = directory.join("criu");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    directory.to_str().unwrap().to_owned()
}

/// It is not there, or ends without a word.
fn without_criu_it_fails_and_the_container_goes_on(case: &Case) {
    let bundle = case.bundle().running();
    let options = ["--image-path", &images(case)];
    for (script, words) in
        [(None, r#"exec: "criu": executable file not found in $PATH"#), (Some("exit 3"), "criu")]
    {
        let path = only_criu(case, script);
        let saved = bundle.command("checkpoint", &options).variable("PATH", &path).run();
        saved.fails().says(words);
        assert_eq!(bundle.status(), "running");
    }
    bundle.end();
    let bundle = case.bundle();
    fs::write(case.path("images/descriptors.json"), r#"["","",""]"#).unwrap();
    let restored = restore(&bundle, &["--detach"]).variable("PATH", &only_criu(case, None)).run();
    restored.fails().says("criu");
    case.leaves_nothing();
}

/// Podman and CRI-O take it for an answer; the help is there all the same.
fn help_fails_where_criu_does_not_work(case: &Case) {
    for script in [None, Some("exit 1")] {
        let path = only_criu(case, script);
        let help = case.runtime(["checkpoint", "--help"]).variable("PATH", &path).run().fails();
        assert!(help.stdout_by_now().contains("--leave-running"));
        fs::remove_dir_all(path).unwrap();
    }
    let path = only_criu(case, Some("exit 0"));
    case.runtime(["checkpoint", "--help"]).variable("PATH", &path).run().ok();
}

/// There is nothing to save yet, or any more.
fn a_created_or_stopped_container_cannot_be_saved(case: &Case) {
    let bundle = case.bundle().sh("exit 0");
    bundle.create().ok();
    checkpoint(&bundle, &[]).fails().says("cannot be checkpointed in created state");
    assert_eq!(bundle.status(), "created");
    bundle.start().ok();
    bundle.until_stopped();
    checkpoint(&bundle, &[]).fails().says("cannot be checkpointed in stopped state");
    bundle.delete().ok();
}

/// In runc's words.
fn values_that_make_no_sense_are_refused(case: &Case) {
    let bundle = case.bundle().running();
    for (options, words) in [
        (["--parent-path", "/absolute"], "--parent-path must be relative"),
        (["--parent-path", "../missing"], "invalid --parent-path"),
        (["--page-server", "127.0.0.1"], "Use --page-server ADDRESS:PORT to specify page server"),
        (["--page-server", ":1"], "Use --page-server ADDRESS:PORT to specify page server"),
        (["--page-server", "127.0.0.1:x"], "Invalid port number"),
        (["--empty-ns", "pid"], "is not supported"),
        (["--manage-cgroups-mode", "other"], "manage-cgroups-mode"),
        (["--status-fd", "77"], "invalid --status-fd argument"),
    ] {
        checkpoint(&bundle, &options).fails().says(words);
    }
    assert_eq!(bundle.status(), "running");
    bundle.end();
}

/// containerd and CRI-O look for the words.
fn a_container_that_is_not_there_cannot_be_saved(case: &Case) {
    case.runtime(["checkpoint", "not-there"]).run().fails().says("does not exist");
}

/// Root of a user namespace cannot enter the host's mount namespace again.
fn a_restore_that_cannot_come_back_leaves_the_root_alone(case: &Case) {
    let bundle = case.bundle().remove("/linux/cgroupsPath").file("precious", "data");
    fs::create_dir_all(images(case)).unwrap();
    fs::write(case.path("images/descriptors.json"), r#"["","",""]"#).unwrap();
    let restored = restore(&bundle, &["--detach"])
        .through(["/usr/bin/unshare", "--user", "--map-root-user"])
        .variable("PATH", &only_criu(case, Some("exit 3")))
        .run();
    restored.fails().says("go back to the host's mounts");
    assert_eq!(fs::read_to_string(bundle.rootfs("precious")).unwrap(), "data");
    case.leaves_nothing();
}

/// Nor is what somebody has put there: only what the runtime has made.
fn what_is_mounted_in_the_state_directory_is_not_deleted(case: &Case) {
    let kept = case.path("kept");
    for file in ["file", "notify.sock"] {
        fs::create_dir_all(&kept).unwrap();
        fs::write(kept.join(file), "data").unwrap();
    }
    for below in ["criu-root", "notify", "other"] {
        let bundle = case.bundle();
        bundle.create().ok();
        let at = case.root().join(&bundle.id).join(below);
        fs::create_dir(&at).unwrap();
        let mount = format!("mount --bind {} {}", kept.display(), at.display());
        let delete = || bundle.command("delete", &["--force"]);
        delete().after(&mount).run().fails().says("remove");
        for file in ["file", "notify.sock"] {
            assert_eq!(fs::read_to_string(kept.join(file)).unwrap(), "data", "{below}");
        }
        if below == "other" {
            delete().run().fails().says("not empty");
            fs::remove_dir(at).unwrap();
        }
        delete().run().ok();
        case.leaves_nothing();
    }
}

/// It says no more, and does not end either.
fn a_criu_that_hangs_is_ended(case: &Case) {
    let bundle = case.bundle().running();
    let pid_file = case.path("criu.pid");
    let hangs =
        format!("echo $$ >{}; eval \"exec $2>&-\"; exec /bin/sleep 1000", pid_file.display());
    let options = ["--image-path", &images(case)];
    let path = only_criu(case, Some(&hangs));
    bundle.command("checkpoint", &options).variable("PATH", &path).run().fails().says("criu");
    let pid = fs::read_to_string(pid_file).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "{pid}");
    assert_eq!(bundle.status(), "running");
    bundle.end();
}

/// Two at one place have one name for CRIU; the ids of an id-mapped one would
/// be lost.
fn mounts_that_criu_would_confuse_are_refused(case: &Case) {
    let (one, two) = (case.path("one"), case.path("two"));
    for directory in [&one, &two] {
        fs::create_dir_all(directory).unwrap();
    }
    let map = json!([{"containerID": 0, "hostID": 1000, "size": 10}]);
    let mapped = json!({"destination": "/tmp", "source": one, "options": ["bind", "idmap"],
        "uidMappings": map, "gidMappings": map});
    for (bundle, words) in [
        (
            case.bundle().bind(&one, "/tmp", &["bind"]).bind(&two, "/tmp", &["bind"]),
            r#"mounts: two are at "/tmp""#,
        ),
        (case.bundle().push("/mounts", mapped), "mounts[7]: CRIU cannot save"),
    ] {
        let bundle = bundle.running();
        checkpoint(&bundle, &[]).fails().says(words);
        assert_eq!(bundle.status(), "running");
        bundle.end();
        restore(&bundle, &["--detach"]).run().fails().says(words);
        case.leaves_nothing();
    }
}
