//! The runtime's own binary, which a container reaches as /proc/PID/exe.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use rustix::fs::{Access, access};
use rustix::io::Errno;

use crate::support::needs::needs;
use crate::support::{Bundle, Case, Test, runtime, test, until};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("CVE-2019-5736", init_cannot_be_written_through),
        test!("CVE-2019-5736", a_program_that_is_the_runtime_itself_cannot_be_written_through),
        test!("CVE-2019-5736", nothing_of_the_guard_stays_mounted),
        test!("CVE-2019-5736", what_waits_for_start_holds_nothing_of_the_guard),
        test!("CVE-2019-5736", the_guards_mount_is_gone_before_a_program_runs)
            .needs(needs![minke, file("/usr/bin/strace")]),
    ]
}

/// A copy of the runtime, so that no attack harms the original. While other
/// tests start processes, these may have it open for writing for a moment.
fn copy(case: &Case) -> PathBuf {
    let copy = case.path("runtime");
    fs::copy(&*runtime::PATH, &copy).unwrap();
    until("the copy to be free", || Command::new(&copy).arg("--version").output().is_ok());
    copy
}

/// A hook that gets hold of the binary while it is the container's init, and
/// writes to it as soon as that is no longer busy.
fn attacked(bundle: Bundle<'_>) -> Bundle<'_> {
    let attack = "for i in $(seq 150); do echo x >> /proc/self/fd/3 && echo written >> /attack && break; sleep 0.01; done; \
        echo done >> /attack";
    let script =
        format!("command exec 3</proc/1/exe; ({attack}) </dev/null >/dev/null 2>&1 & true");
    bundle.hook("startContainer", &script)
}

fn run(case: &Case, bundle: &Bundle<'_>) -> i32 {
    let copy = copy(case);
    let run = bundle.launch("run", &[]).program(&copy).run();
    assert!(
        fs::read(&copy).unwrap() == fs::read(&*runtime::PATH).unwrap(),
        "the binary has changed"
    );
    run.code()
}

/// Between clone and exec the container's process 1 is the runtime.
fn init_cannot_be_written_through(case: &Case) {
    let bundle = attacked(case.bundle()).sh("while ! grep -q done /attack; do sleep 0.01; done");
    assert_eq!(run(case, &bundle), 0);
    assert_eq!(fs::read_to_string(bundle.rootfs("/attack")).unwrap(), "done\n");
}

/// The program is /proc/self/exe, the runtime itself, which waits for a reader
/// of its log. Its neighbour, in the same pid namespace so as to outlive it,
/// opens the binary, lets it end, and writes.
fn a_program_that_is_the_runtime_itself_cannot_be_written_through(case: &Case) {
    let attack = "trap 'echo done >> /attack' EXIT; n=0; \
        until head -c 1 /proc/$pid/exe > /dev/null; do n=$((n+1)); [ $n -gt 100 ] && exit; sleep 0.03; done; \
        exec 3</proc/$pid/exe; echo opened >> /attack; timeout 1 cat /fifo & \
        for i in $(seq 50); do echo x >> /proc/self/fd/3 && echo written >> /attack && break; sleep 0.03; done";
    let args = ["/proc/self/exe", "--log", "/fifo", "--root", "/none", "state", "none"];
    let bundle = case.bundle().without_namespace("pid").args(&args);
    assert!(Command::new("mkfifo").arg(bundle.rootfs("/fifo")).status().unwrap().success());
    let bundle = bundle.hook("startContainer", &format!("({attack}) </dev/null >/dev/null 2>&1 &"));
    let copy = copy(case);
    bundle.settle(bundle.launch("create", &[]).program(&copy).run()).ok();
    bundle.command("start", &[]).program(&copy).run();
    let attacked = || fs::read_to_string(bundle.rootfs("/attack")).unwrap_or_default();
    until("the end of the attack", || attacked().ends_with("done\n"));
    assert!(
        fs::read(&copy).unwrap() == fs::read(&*runtime::PATH).unwrap(),
        "the binary has changed"
    );
    assert!(!attacked().contains("written"), "{}", attacked());
}

/// Whatever the guard is, the host does not see it afterwards, and the binary
/// can be replaced.
fn nothing_of_the_guard_stays_mounted(case: &Case) {
    let count = || fs::read_to_string("/proc/self/mountinfo").unwrap().matches("/runtime").count();
    let before = count();
    let (bundle, copy) = (case.bundle(), copy(case));
    let create = bundle.launch("create", &[]).program(&copy).run();
    bundle.settle(create).ok();
    assert_eq!(count(), before);
    fs::remove_file(&copy).unwrap();
    bundle.delete_force().ok();
}

/// Whoever had a descriptor of what the guard mounted could make it writable
/// again: init keeps none, and what it runs from is read-only.
fn what_waits_for_start_holds_nothing_of_the_guard(case: &Case) {
    let (bundle, copy) = (case.bundle(), copy(case));
    let create = bundle.launch("create", &[]).program(&copy).run();
    bundle.settle(create).ok();
    let proc = PathBuf::from(format!("/proc/{}", bundle.pid()));
    let binary = fs::metadata(&copy).unwrap();
    let is_binary = |path: PathBuf| {
        fs::metadata(path)
            .is_ok_and(|file| (file.dev(), file.ino()) == (binary.dev(), binary.ino()))
    };
    let mut held = fs::read_dir(proc.join("fd")).unwrap().map(|fd| fd.unwrap().path());
    assert!(!held.any(is_binary));
    // Or it is a sealed copy.
    if is_binary(proc.join("exe")) {
        let may_write = access(proc.join("exe"), Access::WRITE_OK);
        assert_eq!(may_write, Err(Errno::ROFS));
    }
    bundle.delete_force().ok();
}

/// While the runtime has the mount's descriptor, whoever opens `/proc/PID/exe` can
/// make it writable again. What exec brings in goes on when the runtime sends it
/// something: by then that is closed.
fn the_guards_mount_is_gone_before_a_program_runs(case: &Case) {
    let bundle = case.bundle().running();
    let trace = case.path("trace");
    let calls = "trace=execve,execveat,open_tree,prctl,clone3,close,sendmsg";
    let mut strace = Command::new("strace");
    strace.args(["-o", &trace.display().to_string(), "-e", calls]).arg(&*runtime::PATH);
    strace.arg("--root").arg(case.path("state")).args(["exec", &bundle.id, "true"]);
    assert!(strace.status().unwrap().success());
    let trace = fs::read_to_string(trace).unwrap();
    let made = trace.lines().find(|line| line.starts_with("open_tree(")).expect("a copy");
    let copy = made.rsplit(" = ").next().unwrap();
    let told = trace.split("clone3(").nth(1).expect("a clone").split("sendmsg(").next().unwrap();
    // A build that executes the copy has closed it by that.
    let executed = trace.contains("execveat(");
    assert!(executed || told.contains(&format!("close({copy})")), "{trace}");
}
