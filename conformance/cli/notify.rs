//! `NOTIFY_SOCKET`: a container that tells a service manager it is ready.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::support::needs::needs;
use crate::support::{Bundle, Case, Test, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("notify", start_passes_readiness_on_with_the_pid)
            .fails_on("runc 1.1", "misses READY=1 behind another line")
            .may_fail_on("crun 1.8", "passes all on as it is"),
        test!("notify", a_container_that_ends_before_it_is_ready_is_not_waited_for)
            .fails_on("runc 1.1", "waits for its zombie")
            .may_fail_on("crun 1.8", "another way"),
        test!("notify", without_a_manager_nothing_is_shown),
        test!("notify", a_long_path_is_listened_at)
            .may_fail_on("runc", "longer than an address")
            .may_fail_on("crun", "fails to bind"),
        test!("notify", a_run_that_cannot_listen_fails_at_once).needs(needs![minke]),
    ]
}

/// Sends by the only program in the rootfs that can: a static busybox has no
/// socat, so the test itself sends through the container's socket.
fn manager(case: &Case) -> (UnixDatagram, String) {
    let path = case.path("manager.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    (socket, path.to_str().unwrap().to_owned())
}

fn waits(bundle: Bundle<'_>) -> Bundle<'_> {
    bundle.directory("/run").sh("echo $NOTIFY_SOCKET; ls -l $NOTIFY_SOCKET | cut -c1; sleep 1000")
}

fn start_passes_readiness_on_with_the_pid(case: &Case) {
    let (socket, path) = manager(case);
    let bundle = waits(case.bundle());
    let create = bundle.launch("create", &[]).variable("NOTIFY_SOCKET", &path);
    let created = bundle.settle(create.run()).ok();
    let start = bundle.command("start", &[]).variable("NOTIFY_SOCKET", &path).spawn();
    crate::support::until("the program", || {
        created.stdout_by_now() == "/run/notify/notify.sock\ns\n"
    });
    let pid = bundle.pid();
    let inside = format!("/proc/{pid}/root/run/notify/notify.sock");
    let own = UnixDatagram::unbound().unwrap();
    own.send_to(b"STATUS=not yet\n", &inside).unwrap();
    own.send_to(b"STATUS=now\nREADY=1\n", &inside).unwrap();
    let mut text = [0; 256];
    let got = socket.recv(&mut text).unwrap();
    assert_eq!(String::from_utf8_lossy(&text[..got]), format!("READY=1\nMAINPID={pid}\n"));
    // Taking it without its descriptor closes that, which is the answer.
    let got = socket.recv(&mut text).unwrap();
    assert_eq!(&text[..got], b"BARRIER=1");
    start.wait().ok();
    bundle.kill("KILL").ok();
    bundle.until_stopped();
    bundle.delete().ok();
    case.leaves_nothing();
}

fn a_container_that_ends_before_it_is_ready_is_not_waited_for(case: &Case) {
    let (_socket, path) = manager(case);
    let bundle = case.bundle().directory("/run");
    let create = bundle.launch("create", &[]).variable("NOTIFY_SOCKET", &path);
    bundle.settle(create.run()).ok();
    bundle.command("start", &[]).variable("NOTIFY_SOCKET", &path).run().ok();
    bundle.until_stopped();
    bundle.delete().ok();
    let bundle = case.bundle().directory("/run").sh("exit 3");
    bundle.launch("run", &[]).variable("NOTIFY_SOCKET", &path).run().exits(3);
}

fn without_a_manager_nothing_is_shown(case: &Case) {
    case.bundle().sh("echo \"[$NOTIFY_SOCKET]\"; ls /run 2>/dev/null").run().prints("[]\n");
}

/// unix(7): an address has room for 108 bytes.
fn a_long_path_is_listened_at(case: &Case) {
    let (_socket, path) = manager(case);
    let root = case.path(&"long".repeat(27));
    let bundle = case.bundle().directory("/run").sh("test -S $NOTIFY_SOCKET && exit 3");
    let run = bundle.launch("run", &[]).globals(["--root", root.to_str().unwrap()]);
    run.variable("NOTIFY_SOCKET", &path).run().exits(3);
}

/// And leaves nothing: who has made a container does not wait for himself.
fn a_run_that_cannot_listen_fails_at_once(case: &Case) {
    let (_socket, path) = manager(case);
    let bundle = case.bundle().directory("/run");
    let taken = case.root().join(&bundle.id).join("notify/notify.sock");
    let bundle = bundle.hook("createRuntime", &format!("mkdir {}", taken.display()));
    let begin = Instant::now();
    let run = bundle.launch("run", &[]).variable("NOTIFY_SOCKET", &path).run();
    run.fails().tells("notify.sock");
    assert!(begin.elapsed() < Duration::from_secs(8));
    // What the hook has made may not be the runtime's to remove.
    let _ = std::fs::remove_dir(taken);
    bundle.delete_force();
    case.leaves_nothing();
}
