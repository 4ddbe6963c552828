//! `checkpoint` and `restore` with what leads out of the container, and with
//! the options for it.

use std::fs::{self, File};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use super::checkpoint::{
    checkpoint, count, counting, images, only_criu, restore, restored, silent, started,
};
use crate::spec::filters::PROBE;
use crate::spec::user_namespaces::mapped;
use crate::support::command::{Invocation, Running};
use crate::support::needs::needs;
use crate::support::{Case, Test, test, until};

pub(crate) fn tests() -> Vec<Test> {
    let with_criu = [
        test!("checkpoint", file_locks_are_held_again),
        test!("checkpoint", open_connections_go_on),
        test!("checkpoint", a_unix_socket_that_leads_outside_is_connected_again),
        test!("checkpoint", all_three_streams_can_be_pipes),
        test!("checkpoint", a_user_namespace_comes_back),
        test!("checkpoint", exec_is_in_the_restored_time_namespace),
        test!("checkpoint", memory_goes_to_a_page_server),
        test!("checkpoint", memory_follows_where_it_is_used).needs(needs![criu_feature("uffd")]),
        test!("checkpoint", memory_that_nobody_takes_is_kept).needs(needs![criu_feature("uffd")]),
        test!("checkpoint", memory_can_be_saved_beforehand)
            .needs(needs![criu_feature("mem_dirty_track")]),
        test!("checkpoint", without_dirty_tracking_nothing_is_saved_beforehand)
            .needs(needs![no_criu_feature("mem_dirty_track")]),
    ]
    .map(|test| test.needs(needs![criu]).may_fail_on("crun", "Debian's is built without CRIU"));
    let without = [
        test!("checkpoint", a_criu_that_has_ended_is_not_waited_for).needs(needs![minke]),
        test!("checkpoint", a_silent_criu_keeps_nobody_from_ending_the_container)
            .needs(needs![minke]),
    ];
    with_criu.into_iter().chain(without).collect()
}

/// `--file-locks`.
fn file_locks_are_held_again(case: &Case) {
    // flock(9, LOCK_EX)
    let script = "exec 9>/shared/lock; /probe try 73,9,2 | grep -qx 0 || exit 1; i=0; while :; do i=$((i+1)); echo $i >/shared/new; mv /shared/new /shared/count; sleep 0.02; done";
    let bundle = counting(case).sh(script);
    fs::hard_link(&*PROBE, bundle.rootfs("probe")).unwrap();
    started(&bundle);
    checkpoint(&bundle, &[]).fails().says("--file-locks");
    assert_eq!(bundle.status(), "running");
    checkpoint(&bundle, &["--file-locks"]).ok();
    let lock = File::open(case.path("shared/lock")).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    flock(&lock, FlockOperation::Unlock).unwrap();
    let saved = count(case);
    restored(&bundle, &["--file-locks"]);
    until("more counting", || count(case) > saved);
    assert_eq!(flock(&lock, FlockOperation::NonBlockingLockExclusive), Err(Errno::WOULDBLOCK));
    bundle.end();
}

/// `--tcp-established`; both ends are in the container, its network is not
/// its own.
fn open_connections_go_on(case: &Case) {
    let network = case.bundle().running();
    let path = format!("/proc/{}/ns/net", network.pid());
    let up = ["nsenter", &format!("--net={path}"), "ip", "link", "set", "lo", "up"];
    assert!(Command::new(up[0]).args(&up[1..]).status().unwrap().success());
    let script = "busybox nc -l -p 4000 -e cat & until busybox netstat -tln | grep -q :4000; do sleep 0.02; done; \
        (i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done) | busybox nc 127.0.0.1 4000 | \
        while read i; do echo $i >/shared/new; mv /shared/new /shared/count; done";
    let bundle = counting(case).sh(script).joins("network", &path);
    started(&bundle);
    checkpoint(&bundle, &[]).fails().says("tcp");
    let then = count(case);
    until("more counting", || count(case) > then);
    checkpoint(&bundle, &["--tcp-established"]).ok();
    let saved = count(case);
    restored(&bundle, &["--tcp-established"]);
    until("more counting", || count(case) > saved);
    bundle.end();
    network.end();
}

/// `--ext-unix-sk`: such as one of syslog's.
fn a_unix_socket_that_leads_outside_is_connected_again(case: &Case) {
    let shared = case.path("shared");
    fs::create_dir_all(&shared).unwrap();
    let log = UnixDatagram::bind(shared.join("log")).unwrap();
    log.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let client = UnixDatagram::unbound().unwrap();
    client.connect(shared.join("log")).unwrap();
    let next = || -> u64 {
        let mut buffer = [0; 64];
        let length = log.recv(&mut buffer).unwrap();
        std::str::from_utf8(&buffer[..length]).unwrap().trim().parse().unwrap()
    };
    let bundle = case
        .bundle()
        .without_namespace("network")
        .bind(&shared, shared.to_str().unwrap(), &["bind"])
        .sh("i=0; while :; do i=$((i+1)); echo $i >&3; sleep 0.02; done");
    let run = bundle
        .launch("run", &["--detach", "--preserve-fds", "1"])
        .through(["sh", "-c", r#"exec "$@" 3<&0 </dev/null >/dev/null 2>&1"#, "sh"])
        .stdin(OwnedFd::from(client));
    bundle.settle(run.run()).ok();
    while next() < 5 {}
    checkpoint(&bundle, &[]).fails().says("unix");
    checkpoint(&bundle, &["--ext-unix-sk"]).ok();
    log.set_nonblocking(true).unwrap();
    let mut saved = 0;
    let mut buffer = [0; 64];
    while let Ok(length) = log.recv(&mut buffer) {
        saved = std::str::from_utf8(&buffer[..length]).unwrap().trim().parse().unwrap();
    }
    log.set_nonblocking(false).unwrap();
    restored(&bundle, &["--ext-unix-sk"]);
    assert!(next() > saved);
    bundle.end();
}

/// Runs it between three pipes: who writes to its stdin, and the files that
/// take its outputs.
fn between_pipes<'c>(invocation: Invocation<'c>, to: &Path) -> (Running<'c>, File, [PathBuf; 2]) {
    let [fifo, out, err] = ["in", "out", "err"].map(|name| to.with_extension(name));
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let script = format!(
        r#"{{ {{ cat {} | "$@" 2>&3 3>&-; }} | cat >{}; }} 3>&1 | cat >{}"#,
        fifo.display(),
        out.display(),
        err.display()
    );
    let running = invocation.through(["bash", "-c", &script, "bash"]).spawn();
    (running, File::options().write(true).open(fifo).unwrap(), [out, err])
}

/// As Docker has them: what is written to the new one is read, and its two
/// outputs are apart.
fn all_three_streams_can_be_pipes(case: &Case) {
    let script = "echo ready; while read line; do echo out $line; echo err $line >&2; done";
    let bundle = case.bundle().sh(script);
    let has = |path: &Path, text: &str| {
        until(text, || fs::read_to_string(path).is_ok_and(|read| read.contains(text)));
    };
    let run = bundle.launch("run", &["--detach"]);
    let (run, mut input, [out, err]) = between_pipes(run, &case.path("one"));
    input.write_all(b"first\n").unwrap();
    has(&out, "out first");
    has(&err, "err first");
    checkpoint(&bundle, &[]).ok();
    drop(input);
    run.wait().ok();
    let restore = restore(&bundle, &["--detach"]);
    let (run, mut input, [out, err]) = between_pipes(restore, &case.path("two"));
    case.expect_live(&bundle.id);
    input.write_all(b"second\n").unwrap();
    has(&out, "out second");
    has(&err, "err second");
    assert!(!fs::read_to_string(&out).unwrap().contains("err"));
    bundle.end();
    drop(input);
    run.wait().ok();
}

/// With its ids, and what is owned by them.
fn a_user_namespace_comes_back(case: &Case) {
    let shared = case.path("shared");
    let bundle = mapped(counting(case));
    std::os::unix::fs::chown(&shared, Some(100_000), Some(100_000)).unwrap();
    started(&bundle);
    checkpoint(&bundle, &[]).ok();
    let saved = count(case);
    restored(&bundle, &[]);
    until("more counting", || count(case) > saved);
    let owner = fs::metadata(images(case)).unwrap();
    assert_eq!((owner.uid(), owner.gid(), owner.mode() & 0o777), (0, 0, 0o700));
    let map = fs::read_to_string(format!("/proc/{}/uid_map", bundle.pid())).unwrap();
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "100000", "65536"]);
    let owner = ["exec", &bundle.id, "stat", "-c", "%u %g", "/shared/count"];
    case.runtime(owner).run().ok().prints("0 0\n");
    bundle.end();
}

/// CRIU makes one, that the monotonic clock goes on where it was.
fn exec_is_in_the_restored_time_namespace(case: &Case) {
    let bundle = counting(case);
    started(&bundle);
    checkpoint(&bundle, &[]).ok();
    restored(&bundle, &[]);
    let same = r#"for kind in cgroup ipc mnt net pid time user uts; do [ "$(readlink /proc/1/ns/$kind)" = "$(readlink /proc/self/ns/$kind)" ] || echo $kind; done"#;
    case.runtime(["exec", &bundle.id, "sh", "-c", same]).run().ok().prints("");
    bundle.end();
}

/// Ends with this value.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program of CRIU's that runs beside the runtime.
fn beside(arguments: &[&str]) -> Ends {
    let mut command = Command::new("criu");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ends(command.spawn().unwrap())
}

fn free_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

/// `--page-server`: the rest of the images has no memory.
fn memory_goes_to_a_page_server(case: &Case) {
    let bundle = counting(case);
    started(&bundle);
    let (images, memory, port) = (images(case), case.path("memory"), free_port());
    fs::create_dir(&memory).unwrap();
    let at = memory.to_str().unwrap();
    let mut server =
        beside(&["page-server", "--address", "127.0.0.1", "--port", &port, "-D", at, "-o", "log"]);
    until("the page server", || {
        let listening = fs::read_to_string("/proc/net/tcp").unwrap();
        listening
            .contains(&format!("0100007F:{:04X} 00000000:0000 0A", port.parse::<u16>().unwrap()))
    });
    checkpoint(&bundle, &["--page-server", &format!("127.0.0.1:{port}")]).ok();
    assert!(server.0.wait().unwrap().success());
    assert!(!Path::new(&images).join("pages-1.img").exists());
    for entry in fs::read_dir(&memory).unwrap().map(Result::unwrap) {
        fs::rename(entry.path(), Path::new(&images).join(entry.file_name())).unwrap();
    }
    let saved = count(case);
    restored(&bundle, &[]);
    until("more counting", || count(case) > saved);
    bundle.end();
}

/// `--lazy-pages` of `restore`: it runs before its memory is there.
fn memory_follows_where_it_is_used(case: &Case) {
    let bundle = counting(case);
    started(&bundle);
    let images = images(case);
    checkpoint(&bundle, &[]).ok();
    let mut lazy = beside(&["lazy-pages", "-D", &images, "-W", &images, "-o", "lazy.log"]);
    until("the socket", || Path::new(&images).join("lazy-pages.socket").exists());
    let saved = count(case);
    restored(&bundle, &["--lazy-pages", "--work-path", &images]);
    until("more counting", || count(case) > saved);
    assert!(lazy.0.wait().unwrap().success());
    bundle.end();
}

/// `--lazy-pages` of `checkpoint` waits for who wants the memory, says by
/// `--status-fd` that it does, and lets go of that. If that fails, the
/// container goes on.
fn memory_that_nobody_takes_is_kept(case: &Case) {
    let bundle = counting(case);
    started(&bundle);
    let (port, status) = (free_port(), case.path("status"));
    let server = format!("127.0.0.1:{port}");
    let saving = bundle
        .command("checkpoint", &["--image-path", &images(case)])
        .args(["--manage-cgroups-mode", "ignore", "--status-fd", "5"])
        .args(["--lazy-pages", "--page-server", &server])
        .through(["sh", "-c", &format!(r#"exec "$@" 5>{}"#, status.display()), "sh"])
        .spawn();
    until("the images", || fs::read(&status).is_ok_and(|text| text == b"\0"));
    let status_fd = format!("/proc/{}/fd/5", saving.pid());
    until("the end of --status-fd", || fs::read_link(&status_fd).ok().as_ref() != Some(&status));
    TcpStream::connect(&server).unwrap().write_all(&[0xff; 32]).unwrap();
    saving.wait().fails().says("criu failed");
    let then = count(case);
    until("more counting", || count(case) > then);
    assert_eq!(bundle.status(), "running");
    bundle.end();
}

/// `--pre-dump`, and `--parent-path` for the rest.
fn memory_can_be_saved_beforehand(case: &Case) {
    let bundle = counting(case);
    started(&bundle);
    let pid = bundle.pid();
    let at = |name: &str| case.path(name).to_str().unwrap().to_owned();
    let saved = |name: &str, options: &[&str]| {
        let images = at(name);
        let options = [&["--image-path", &images], options].concat();
        bundle.command("checkpoint", &options).run().ok();
    };
    saved("images/1", &["--pre-dump"]);
    assert_eq!((bundle.status().as_str(), bundle.pid()), ("running", pid));
    saved("images/2", &["--pre-dump", "--parent-path", "../1"]);
    let then = count(case);
    until("more counting", || count(case) > then);
    saved("images/3", &["--parent-path", "../2"]);
    case.leaves_nothing();
    let saved = count(case);
    let restored = bundle.launch("restore", &["--detach", "--image-path", &at("images/3")]);
    bundle.settle(silent(restored).run()).ok();
    until("more counting", || count(case) > saved);
    bundle.end();
}

/// In runc's words; the container goes on.
fn without_dirty_tracking_nothing_is_saved_beforehand(case: &Case) {
    let bundle = counting(case);
    started(&bundle);
    checkpoint(&bundle, &["--pre-dump"]).fails().says("CRIU is missing features");
    assert!(!case.path("images/descriptors.json").exists());
    fs::create_dir_all(case.path("images/parent")).unwrap();
    checkpoint(&bundle, &["--parent-path", "parent"]).fails().says("criu failed");
    let then = count(case);
    until("more counting", || count(case) > then);
    assert_eq!(bundle.status(), "running");
    bundle.end();
}

/// Somebody else has its end of the socket, and says nothing.
fn a_criu_that_has_ended_is_not_waited_for(case: &Case) {
    let bundle = case.bundle().running();
    let pid_file = case.path("other.pid");
    let path = only_criu(case, Some(&format!("/bin/sleep 1000 & echo $! >{}", pid_file.display())));
    let options = ["--image-path", &images(case)];
    let saved = bundle.command("checkpoint", &options).variable("PATH", &path).run();
    end(&pid_file);
    saved.fails().says("criu");
    assert_eq!(bundle.status(), "running");
    bundle.end();
}

/// It is waited for as long as it lives, but with the container it is ended.
fn a_silent_criu_keeps_nobody_from_ending_the_container(case: &Case) {
    let bundle = case.bundle().running();
    let pid_file = case.path("criu.pid");
    let silent = format!("echo $$ >{}; exec /bin/sleep 1000", pid_file.display());
    let path = only_criu(case, Some(&silent));
    let options = ["--image-path", &images(case)];
    let saving = bundle.command("checkpoint", &options).variable("PATH", &path).spawn();
    until("criu", || fs::read_to_string(&pid_file).is_ok_and(|pid| pid.ends_with('\n')));
    bundle.delete_force().ok();
    saving.wait().exits(137);
    let pid = fs::read_to_string(pid_file).unwrap();
    until("the end of criu", || !Path::new("/proc").join(pid.trim()).exists());
    case.leaves_nothing();
}

fn end(pid_file: &Path) {
    let pid = fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}
