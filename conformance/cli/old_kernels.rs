//! Kernels from 5.2 on, and hosts that hide system calls: whatever is missing,
//! a container lives the same life and sees the same things.

use std::fs;

use rustix::process::Signal;

use crate::support::needs::needs;
use crate::support::old_kernel::can_be_played;
use crate::support::terminal::Receiver;
use crate::support::wait::{self, PATIENCE};
use crate::support::{Bundle, Case, Test, json, test, until};

pub(crate) fn tests() -> Vec<Test> {
    [
        test!("old", without_the_mount_api_a_life_is_the_same),
        test!("old", without_a_part_of_the_mount_api_a_container_sees_the_same),
        test!("old", without_openat2_a_life_is_the_same),
        test!("old", without_clone3_a_life_is_the_same),
        test!("old", without_close_range_a_life_is_the_same),
        test!("old", without_pidfd_open_a_life_is_the_same),
        test!("old", without_pidfd_send_signal_a_life_is_the_same),
        test!("old", without_setns_by_pidfd_a_life_is_the_same),
        test!("old", without_execveat_and_keyctl_a_life_is_the_same),
        test!("old", on_linux_5_2_a_life_is_the_same),
        test!("old", on_linux_5_2_a_container_of_a_user_namespace_is_the_same)
            .fails_on("crun 1.8", "leaves noexec where exec is asked for"),
        test!("old", on_linux_5_2_a_foreground_container_has_its_signals),
        test!("old", on_linux_5_2_hooks_end_at_their_timeouts),
        test!("old", on_linux_5_2_a_pidfd_is_sent).needs(needs![create_option("--pidfd-socket")]),
        test!("old", on_linux_5_2_events_last_until_the_end)
            .needs(needs![command("events")])
            .may_fail_on("runc 1.1", "fails at the end"),
        test!("old", on_linux_5_2_a_frozen_container_is_deleted_by_force),
        test!("old", on_linux_5_2_no_path_leads_out_of_the_root),
        test!("old", what_only_a_newer_kernel_can_do_is_refused)
            .fails_on("crun 1.8", "ignores rnosymfollow")
            .may_fail_on("runc 1.1", "ignores ids of a mount"),
    ]
    .map(|test| test.needs(can_be_played()))
    .to_vec()
}

const MOUNT_API: &str = "fsopen,fsconfig,fsmount,fspick,open_tree,move_mount,mount_setattr";

/// What has come since. (`setns` of a pidfd is of 5.8, as `faccessat2` is.)
const SINCE_5_2: &str = "pidfd_open,clone3,openat2,pidfd_getfd,faccessat2,process_madvise,\
    close_range,epoll_pwait2,mount_setattr,landlock_create_ruleset,memfd_secret";

/// Something of everything that is mounted, covered and made.
fn bundle(case: &Case) -> Bundle<'_> {
    let volume = case.path("volume");
    let _ = fs::create_dir(&volume);
    let idle = json!({"path": "/dev/mine", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640});
    case.bundle()
        .file("/image/file", "of the image\n")
        .link("/way", "/image")
        .link("/link", "image/../other")
        .directory("/other")
        .bind(&volume, "/new/volume", &["rbind", "ro", "nosuid", "nodev", "rprivate"])
        .bind(&volume, "/way/../link/volume", &["bind", "noexec"])
        .mount("/tmp", "tmpfs", "tmpfs", &["nosuid", "size=64k", "mode=1777", "noatime"])
        .mount("/etc", "tmpfs", "tmpfs", &["ro", "tmpcopyup"])
        .push("/linux/maskedPaths", json!("/way/file"))
        .push("/linux/maskedPaths", json!("/root"))
        .push("/linux/readonlyPaths", json!("/way"))
        .set("/linux/devices", json!([idle]))
}

/// As far as a container can tell how it was made.
const LOOK: &str = "look() { sed 's/^[0-9]* [0-9]* [0-9:]* //' /proc/self/mountinfo \
    | sed 's#/[^ ]*/\\(bundle[0-9]*\\|volume\\|c[0-9]*-[0-9-]*\\)\\([/ ]\\)#\\2#; s/ master:[0-9]*//; s/ - \\([a-z0-9]* [^ ]*\\) r[ow],*/ - \\1 /; s/mode=[0-9]*//'; \
    grep -E '^(Cap|NoNewPrivs|Groups|Uid)' /proc/self/status; ls -l /dev | sed 's/[A-Z][a-z][a-z] .*[0-9] //'; \
    stat -c '%n %a %u' $(find /new /other /image /tmp /etc | sort); cat /image/file; touch /image/x 2>&1; ls /proc/self/fd; }; look";

fn look(bundle: Bundle<'_>) -> Bundle<'_> {
    bundle.sh(LOOK)
}

/// What a container sees does not depend on what the kernel lacks.
fn sees_the_same(case: &Case, make: impl Fn(&Case) -> Bundle<'_>, calls: &str) {
    case.lacks("");
    let expected = look(make(case)).run().ok().stdout;
    assert!(
        expected.contains(" /proc ") && expected.contains("Read-only file system"),
        "{expected}"
    );
    case.lacks(calls);
    let seen = look(make(case)).run().ok().stdout;
    let both: Vec<_> =
        expected.lines().filter(|line| seen.lines().any(|own| own == *line)).collect();
    let rest = |text: &str| {
        text.lines().filter(|line| !both.contains(line)).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(rest(&seen), rest(&expected), "without {calls}");
    assert_eq!(seen.lines().count(), expected.lines().count(), "without {calls}: {seen}");
}

/// All that an engine does with a container, each step as it is to be.
fn lives(case: &Case, calls: &str) {
    sees_the_same(case, bundle, calls);
    let kinds =
        ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
    let log = case.path("hooks");
    let _ = fs::remove_file(&log);
    let bundle = kinds.iter().fold(bundle(case), |bundle, kind| {
        let inside = *kind == "startContainer";
        let to = if inside { "/tmp/hooks" } else { log.to_str().unwrap() };
        bundle.hook(kind, &format!("echo {kind} >> {to}"))
    });
    let bundle = bundle.sleeps();
    let created = bundle.create().ok();
    assert_eq!(bundle.status(), "created");
    let pid = bundle.pid();
    bundle.start().ok();
    until("the container's program", || created.stdout_by_now() == "ready\n");
    assert_eq!((bundle.status(), bundle.pid()), ("running".into(), pid));
    bundle.command("exec", &[]).args(["cat", "/tmp/hooks"]).run().ok().prints("startContainer\n");
    let of = "for n in ipc mnt net pid uts; do readlink /proc/$0/ns/$n; done";
    let inside = bundle.command("exec", &[]).args(["sh", "-c", of, "self"]).run().ok();
    bundle.command("exec", &[]).args(["sh", "-c", of, "1"]).run().ok().prints(&inside.stdout);
    bundle.command("exec", &["--detach"]).args(["sleep", "1000"]).run().ok();
    let listed = case.runtime(["list"]).run().ok();
    assert!(listed.stdout.contains(&format!(" {pid} ")), "{listed}");
    let pids = bundle.command("ps", &["--format", "json"]).run().ok().json();
    assert_eq!(pids.as_array().unwrap().len(), 3, "the shell, its sleep, and the other");
    bundle.delete().fails().says("not stopped");
    assert_eq!(bundle.status(), "running");
    bundle.kill("TERM").ok();
    bundle.until_stopped();
    bundle.kill("TERM").fails().says("not running");
    bundle.delete().ok();
    let told = "prestart\ncreateRuntime\ncreateContainer\npoststart\npoststop\n";
    assert_eq!(case.read("hooks"), told);
    is_deleted_by_force(case);
    case.leaves_nothing();
}

/// Created, running, and with processes that outlive init.
fn is_deleted_by_force(case: &Case) {
    let bundle = case.bundle().sleeps();
    bundle.create().ok();
    bundle.delete_force().ok();
    let bundle = case.bundle().running();
    bundle.delete_force().ok();
    let script = "trap '' TERM HUP; (trap '' TERM HUP; sleep 1000) & echo ready; sleep 1000";
    let bundle = case.bundle().without_namespace("pid").sh(script);
    let created = bundle.started();
    until("the container's program", || created.stdout_by_now() == "ready\n");
    bundle.delete_force().ok();
    case.leaves_nothing();
}

/// Linux 5.2, and 5.12 for the last.
fn without_the_mount_api_a_life_is_the_same(case: &Case) {
    lives(case, MOUNT_API);
}

/// A profile that was written in between lets some of them through.
fn without_a_part_of_the_mount_api_a_container_sees_the_same(case: &Case) {
    for call in MOUNT_API.split(',') {
        sees_the_same(case, bundle, call);
    }
}

/// Linux 5.6.
fn without_openat2_a_life_is_the_same(case: &Case) {
    lives(case, "openat2");
}

/// Linux 5.3; many a profile answers ENOSYS for it today.
fn without_clone3_a_life_is_the_same(case: &Case) {
    lives(case, "clone3");
}

/// Linux 5.9.
fn without_close_range_a_life_is_the_same(case: &Case) {
    lives(case, "close_range");
}

/// Linux 5.3.
fn without_pidfd_open_a_life_is_the_same(case: &Case) {
    lives(case, "pidfd_open");
}

/// Linux 5.1.
fn without_pidfd_send_signal_a_life_is_the_same(case: &Case) {
    lives(case, "pidfd_send_signal");
    lives(case, "pidfd_open,pidfd_send_signal");
}

/// Linux 5.8.
fn without_setns_by_pidfd_a_life_is_the_same(case: &Case) {
    lives(case, "faccessat2");
}

/// What some kernels are built without.
fn without_execveat_and_keyctl_a_life_is_the_same(case: &Case) {
    lives(case, "execveat,keyctl");
}

fn on_linux_5_2_a_life_is_the_same(case: &Case) {
    lives(case, SINCE_5_2);
    lives(case, &format!("{SINCE_5_2},{MOUNT_API},pidfd_send_signal"));
}

fn of_user_namespace(case: &Case) -> Bundle<'_> {
    let map = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
    // There devices are those of the host.
    let bundle = bundle(case).namespace("user").without_mount("/sys/fs/cgroup");
    let bundle = bundle.remove("/linux/devices");
    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map)
}

/// New, and joined by exec.
fn on_linux_5_2_a_container_of_a_user_namespace_is_the_same(case: &Case) {
    sees_the_same(case, of_user_namespace, SINCE_5_2);
    let bundle = of_user_namespace(case).running();
    let user = fs::read_link(format!("/proc/{}/ns/user", bundle.pid())).unwrap();
    let args = ["readlink", "/proc/self/ns/user"];
    bundle.command("exec", &[]).args(args).run().ok().prints(&format!("{}\n", user.display()));
    bundle.end();
}

/// Signals are passed on, and the exit code comes back.
fn on_linux_5_2_a_foreground_container_has_its_signals(case: &Case) {
    case.lacks(SINCE_5_2);
    let script = "trap 'exit 6' USR1; echo ready; while :; do sleep 0.01; done";
    let running = case.bundle().sh(script).launch("run", &[]).spawn();
    running.until_prints("ready");
    running.signal(Signal::USR1);
    running.wait().exits(6);
    let bundle = case.bundle().running();
    let running = bundle.command("exec", &[]).args(["sh", "-c", script]).spawn();
    running.until_prints("ready");
    running.signal(Signal::USR1);
    running.wait().exits(6);
    bundle.end();
    case.bundle().sh("exit 7").run().exits(7);
}

/// `clone(2)` gives one since Linux 5.2.
fn on_linux_5_2_a_pidfd_is_sent(case: &Case) {
    case.lacks(SINCE_5_2);
    let socket = Receiver::new(case.path("pidfd.sock"));
    let bundle = case.bundle().sleeps();
    bundle.create_with(&["--pidfd-socket", socket.path()]).ok();
    let (pidfd, _) = socket.receive();
    rustix::process::pidfd_send_signal(&pidfd, Signal::KILL).unwrap();
    bundle.until_stopped();
    bundle.delete().ok();
}

/// In both places, and those that are in time are none the worse for it.
fn on_linux_5_2_hooks_end_at_their_timeouts(case: &Case) {
    case.lacks(&format!("{SINCE_5_2},pidfd_send_signal"));
    for kind in ["createRuntime", "createContainer"] {
        let timeout = format!("/hooks/{kind}/0/timeout");
        let late = case.bundle().hook(kind, "exec sleep 1000").set(&timeout, json!(1));
        late.create().fails();
        case.leaves_nothing();
        let in_time = case.bundle().hook(kind, "sleep 0.1").set(&timeout, json!(10));
        in_time.run().ok();
    }
}

/// Not before, and not for ever.
fn on_linux_5_2_events_last_until_the_end(case: &Case) {
    case.lacks(SINCE_5_2);
    let bundle = case.bundle().running();
    let events = bundle.command("events", &["--interval", "100ms"]).spawn();
    events.until_prints("stats");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(wait::alive(events.pid()), "it goes on");
    bundle.kill("KILL").ok();
    let out = events.wait().ok();
    assert!(out.stdout.lines().count() >= 3, "{out}");
    bundle.until_stopped();
    bundle.delete().ok();
}

fn on_linux_5_2_a_frozen_container_is_deleted_by_force(case: &Case) {
    case.lacks(&format!("{SINCE_5_2},pidfd_send_signal"));
    let bundle = case.bundle().running();
    let pid = bundle.pid();
    bundle.command("pause", &[]).run().ok();
    assert_eq!(bundle.status(), "paused");
    bundle.delete_force().ok();
    assert!(wait::ended(pid, PATIENCE));
}

/// The walk in the place of `openat2` goes by links, but not out by them.
fn on_linux_5_2_no_path_leads_out_of_the_root(case: &Case) {
    case.lacks(SINCE_5_2);
    let victim = case.path("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("file"), "").unwrap();
    let climbing = format!("../../../../../../../../../..{}", victim.display());
    for link in [victim.to_str().unwrap(), &climbing, "/proc/1/root", "/proc/self/root", "loop"] {
        let bundle = case.bundle().link("/loop", "loop").link("/link", link);
        let bundle = bundle.mount("/link/made", "tmpfs", "tmpfs", &[]);
        let bundle = bundle.set("/linux/maskedPaths", json!(["/link/file"]));
        bundle.run();
        assert_eq!(fs::read_dir(&victim).unwrap().count(), 1, "{link}");
    }
    let to = case.bundle().link("/way", "a/b/../../real").directory("/a/b").directory("/real");
    let to = to.mount("/way/../way/made", "tmpfs", "tmpfs", &[]);
    to.args(&["grep", "-c", " /real/made ", "/proc/self/mountinfo"]).run().ok().prints("1\n");
}

/// With the reason, and before anything is made.
fn what_only_a_newer_kernel_can_do_is_refused(case: &Case) {
    case.lacks(SINCE_5_2);
    let volume = case.path("volume");
    fs::create_dir(&volume).unwrap();
    for option in ["rro", "rnosymfollow"] {
        case.bundle().bind(&volume, "/new", &["rbind", option]).create().fails().tells("/new");
        case.leaves_nothing();
    }
    case.bundle().namespace("time").create().fails().tells("time");
    case.leaves_nothing();
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let source = volume.to_str().unwrap();
    let mapped = json!({"destination": "/new", "source": source, "options": ["bind"], "uidMappings": map, "gidMappings": map});
    case.bundle().push("/mounts", mapped).create().fails().tells("/new");
    case.leaves_nothing();
}
