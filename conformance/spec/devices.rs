//! config-linux.md#devices and #default-devices.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::support::{Bundle, Case, Test, Value, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("D2", the_default_devices_are_there),
        test!("D2", the_default_devices_work),
        test!("D2", devices_do_not_depend_on_the_umask),
        test!("D2", a_bound_dev_is_left_alone),
        test!("D4", ptmx_is_that_of_the_container),
        test!("runtime-linux", the_symlinks_to_descriptors_are_there),
        test!("devices", listed_devices_have_their_type_numbers_mode_and_owner),
        test!("devices", a_device_without_mode_and_owner_gets_the_usual_ones),
        test!("devices", the_directories_of_a_device_are_made),
        test!("devices", a_device_may_lie_outside_dev),
        test!("devices", a_listed_device_takes_the_place_of_a_default_one),
        test!("C8", a_device_of_unknown_type_is_refused)
            .fails_on("crun 1.8", "takes it for a character device"),
        test!("D1", another_file_at_the_path_of_a_device_is_an_error)
            .fails_on("crun", "takes what is there")
            .fails_on("runc", "takes what is there"),
        test!("D1", another_device_at_the_path_of_a_device_is_an_error)
            .fails_on("crun", "takes what is there")
            .fails_on("runc", "takes what is there"),
        test!("D1", the_very_device_at_its_path_is_no_error),
    ]
}

const STAT: &str = "stat -c '%n %F %t:%T %a %u:%g' ";

fn device(path: &str, kind: &str, major: u32, minor: u32) -> Value {
    json!({"path": path, "type": kind, "major": major, "minor": minor})
}

/// "the runtime MUST also supply: /dev/null, /dev/zero, /dev/full, /dev/random,
/// /dev/urandom, /dev/tty".
fn the_default_devices_are_there(case: &Case) {
    let script = format!("cd /dev; {STAT} null zero full random urandom tty");
    let expected = "null character special file 1:3 666 0:0\nzero character special file 1:5 666 0:0\n\
        full character special file 1:7 666 0:0\nrandom character special file 1:8 666 0:0\n\
        urandom character special file 1:9 666 0:0\ntty character special file 5:0 666 0:0\n";
    case.bundle().sh(&script).run().ok().prints(expected);
}

/// Nothing, a `nodev` for instance, keeps them from being used.
fn the_default_devices_work(case: &Case) {
    let script = "echo x > /dev/null; head -c 4 /dev/zero | od -An -tx1; head -c 4 /dev/urandom | wc -c; \
        echo x 2>&1 > /dev/full | grep -c .";
    case.bundle().sh(script).run().ok().prints(" 00 00 00 00\n4\n1\n");
}

/// Modes are what the config says, whoever calls.
fn devices_do_not_depend_on_the_umask(case: &Case) {
    let bundle = case.bundle().sh("stat -c %a /dev/null /dev/tty");
    let run =
        bundle.launch("run", &[]).through(["sh", "-c", r#"umask 077; exec "$@""#, "sh"]).run();
    bundle.settle(run).ok().prints("666\n666\n");
}

/// Whoever binds a /dev has filled it, and may not want ours in it.
fn a_bound_dev_is_left_alone(case: &Case) {
    let dev = case.path("dev");
    fs::create_dir(&dev).unwrap();
    fs::write(dev.join("mine"), "").unwrap();
    mknod(&dev.join("null"), ["c", "1", "3"]);
    let bundle = ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"]
        .iter()
        .fold(case.bundle(), |bundle, destination| bundle.without_mount(destination));
    bundle.bind(&dev, "/dev", &["rbind"]).args(&["ls", "/dev"]).run().ok().prints("mine\nnull\n");
    assert_eq!(fs::read_dir(&dev).unwrap().count(), 2);
}

/// "/dev/ptmx: a bind-mount or symlink of the container's /dev/pts/ptmx".
fn ptmx_is_that_of_the_container(case: &Case) {
    let script = "stat -L -c %t:%T:%a /dev/ptmx; [ /dev/ptmx -ef /dev/pts/ptmx ] && echo same";
    case.bundle().sh(script).run().ok().prints("5:2:666\nsame\n");
}

/// runtime-linux.md: "the runtime MUST provide" the links to /proc/self/fd.
fn the_symlinks_to_descriptors_are_there(case: &Case) {
    let script = "cd /dev; for link in fd stdin stdout stderr; do readlink $link; done";
    case.bundle()
        .sh(script)
        .run()
        .ok()
        .prints("/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\n");
}

/// "type: c, b, u or p", "fileMode", "uid", "gid".
fn listed_devices_have_their_type_numbers_mode_and_owner(case: &Case) {
    let mut list = vec![
        device("/dev/char", "c", 1, 3),
        device("/dev/unbuffered", "u", 1, 5),
        device("/dev/block", "b", 7, 300),
        json!({"path": "/dev/fifo", "type": "p"}),
    ];
    for (number, device) in list.iter_mut().enumerate() {
        device["fileMode"] = json!(0o640 + number);
        device["uid"] = json!(100 + number);
        device["gid"] = json!(200 + number);
    }
    let script = format!("cd /dev; {STAT} char unbuffered block fifo");
    let expected = "char character special file 1:3 640 100:200\nunbuffered character special file 1:5 641 101:201\n\
        block block special file 7:12c 642 102:202\nfifo fifo 0:0 643 103:203\n";
    case.bundle().set("/linux/devices", json!(list)).sh(&script).run().ok().prints(expected);
}

/// All three are OPTIONAL. runc and crun agree on 0666 and root.
fn a_device_without_mode_and_owner_gets_the_usual_ones(case: &Case) {
    let bundle = case.bundle().push("/linux/devices", device("/dev/mine", "c", 1, 3));
    bundle.args(&["stat", "-c", "%u:%g", "/dev/mine"]).run().ok().prints("0:0\n");
}

/// "path (string, REQUIRED) - full path to device inside container".
fn the_directories_of_a_device_are_made(case: &Case) {
    let bundle = case.bundle().push("/linux/devices", device("/dev/deep/down/mine", "c", 1, 3));
    bundle.sh("echo x > /dev/deep/down/mine; stat -c %a /dev/deep/down").run().ok().prints("755\n");
}

/// The same: any path.
fn a_device_may_lie_outside_dev(case: &Case) {
    let bundle = case.bundle().push("/linux/devices", device("/mine", "c", 1, 3));
    bundle.args(&["stat", "-c", "%t:%T", "/mine"]).run().ok().prints("1:3\n");
}

/// As Podman lists them all, with modes of its own.
fn a_listed_device_takes_the_place_of_a_default_one(case: &Case) {
    let mut full = device("/dev/full", "c", 1, 7);
    full["fileMode"] = json!(0o600);
    let bundle = case.bundle().push("/linux/devices", full);
    bundle.args(&["stat", "-c", "%t:%T %a", "/dev/full"]).run().ok().prints("1:7 600\n");
}

/// "MUST generate an error when invalid or unsupported values are encountered".
fn a_device_of_unknown_type_is_refused(case: &Case) {
    case.bundle().push("/linux/devices", device("/dev/mine", "x", 1, 3)).create().fails();
    case.leaves_nothing();
}

/// "If a file already exists at path that does not match the requested device,
/// the runtime MUST generate an error."
fn another_file_at_the_path_of_a_device_is_an_error(case: &Case) {
    let with_device =
        |bundle: Bundle<'_>| bundle.push("/linux/devices", device("/mine", "c", 1, 3)).create();
    with_device(case.bundle().file("/mine", "")).fails().tells("/mine");
    with_device(case.bundle().directory("/mine")).fails().tells("/mine");
    let bundle = case.bundle();
    symlink("/etc/passwd", bundle.rootfs("/mine")).unwrap();
    with_device(bundle).fails();
    case.leaves_nothing();
}

/// The same: a device, but of other numbers or another type.
fn another_device_at_the_path_of_a_device_is_an_error(case: &Case) {
    for node in [["c", "1", "5"], ["b", "1", "3"]] {
        let bundle = case.bundle().push("/linux/devices", device("/mine", "c", 1, 3));
        mknod(&bundle.rootfs("/mine"), node);
        bundle.create().fails().tells("/mine");
        case.leaves_nothing();
    }
}

/// "… that does not match": this one does.
fn the_very_device_at_its_path_is_no_error(case: &Case) {
    let bundle = case.bundle().push("/linux/devices", device("/mine", "c", 1, 3));
    mknod(&bundle.rootfs("/mine"), ["c", "1", "3"]);
    bundle.sh("echo x > /mine").run().ok();
}

fn mknod(path: &Path, node: [&str; 3]) {
    let status = Command::new("mknod").arg(path).args(node).status();
    assert!(status.unwrap().success());
}
