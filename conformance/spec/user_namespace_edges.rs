//! What else changes for a container in a user namespace: mounts that came
//! from a namespace with more rights, terminals, hooks, keys, parameters.

use std::fs;
use std::os::unix::fs::chown;

use super::user_namespaces::mapped;
use crate::support::needs::needs;
use crate::support::terminal::{Receiver, Terminal};
use crate::support::{Bundle, Case, Test, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("2.2", a_bind_mount_keeps_the_flags_that_are_locked)
            .fails_on("runc 1.1", "tries to clear them")
            .fails_on("crun 1.8", "leaves the mounts below out"),
        test!("2.2", a_flag_that_is_locked_cannot_be_cleared)
            .fails_on("runc 1.1", "does not clear it and says nothing")
            .fails_on("crun 1.8", "does not clear it and says nothing"),
        test!("2.2", a_tree_of_the_host_cannot_be_taken_apart),
        test!("2.2", an_id_mapped_mount_has_the_ids_of_a_joined_user_namespace)
            .fails_on("runc 1.1", "knows none"),
        test!("2.2", a_flag_that_is_locked_cannot_be_cleared_by_an_id_mapped_mount)
            .fails_on("runc 1.1", "knows none")
            .fails_on("crun 1.8", "does not clear it and says nothing"),
        test!("2.2", a_mount_namespace_cannot_be_joined_beside_a_new_user_namespace)
            .fails_on("runc 1.1", "has other words"),
        test!("2.2", groups_that_are_mapped_are_set).fails_on("runc 1.1", "has other words"),
        test!("2.2", the_terminal_belongs_to_the_user_of_the_namespace),
        test!("2.2", hooks_run_where_they_belong),
        test!("2.2", the_session_keyring_is_that_of_the_containers_root)
            .fails_on("crun", "gives it a name of its own")
            .needs(needs![file("/proc/keys"), file("/proc/sys/kernel/keys/maxkeys")]),
        test!("2.2", parameters_of_the_user_namespace_are_set)
            .fails_on("runc 1.1", "knows none of them")
            .fails_on("crun 1.8", "knows none of them"),
        test!("G4", a_cgroup_that_is_writable_belongs_to_the_user)
            .fails_on("runc 1.1", "gives it to nobody")
            .fails_on("crun 1.8", "gives it to the container's root"),
        test!("2.2", a_container_in_a_container).needs(needs![minke]),
        test!("2.2", a_container_in_one_with_masked_paths_is_told_of_them).needs(needs![minke]),
        test!("2.2", ids_that_the_caller_does_not_have_are_refused).needs(needs![minke]),
        test!("2.2", a_user_namespace_in_a_user_namespace),
    ]
}

/// A volume with another mount in it, both with these flags, in the mount
/// namespace that `after` runs the runtime in.
fn volume(case: &Case, flags: &str) -> (std::path::PathBuf, String) {
    let volume = case.path("volume");
    let path = volume.display();
    let script = format!(
        "mkdir -p {path} && mount -t tmpfs t {path} && mkdir {path}/below &&
        mount -t tmpfs t {path}/below &&
        mount -o remount,bind,{flags} {path}/below && mount -o remount,bind,{flags} {path}"
    );
    (volume, script)
}

fn with_admin(mut bundle: Bundle<'_>) -> Bundle<'_> {
    for set in ["bounding", "effective", "permitted"] {
        bundle = bundle.set(&format!("/process/capabilities/{set}"), json!(["CAP_SYS_ADMIN"]));
    }
    bundle
}

/// `mount_namespaces(7)`: "the mount flags … become locked when propagated
/// from a more privileged to a less privileged mount namespace".
fn a_bind_mount_keeps_the_flags_that_are_locked(case: &Case) {
    let (volume, script) = volume(case, "ro,nosuid,nodev,noexec");
    for options in [&["rbind"][..], &["rbind", "ro"], &["rbind", "ro", "nosuid", "nodev"]] {
        let bundle = mapped(case.bundle())
            .bind(&volume, "/tmp", options)
            .sh("cut -d' ' -f5,6 /proc/self/mountinfo | grep ^/tmp | cut -d' ' -f2");
        let output = bundle.settle(bundle.launch("run", &[]).after(&script).run()).ok();
        assert_eq!(output.stdout.lines().count(), 2, "{output}");
        for line in output.stdout.lines() {
            for flag in ["ro", "nosuid", "nodev", "noexec"] {
                assert!(line.split(',').any(|has| has == flag), "{flag} in {output}");
            }
        }
    }
}

/// In runc's words; a mount other than asked for would be worse.
fn a_flag_that_is_locked_cannot_be_cleared(case: &Case) {
    for (flag, option) in [("ro", "rw"), ("nosuid", "suid"), ("nodev", "dev"), ("noexec", "exec")] {
        let (volume, script) = volume(case, flag);
        let bundle = mapped(case.bundle()).bind(&volume, "/tmp", &["rbind", option]);
        let output = bundle.settle(bundle.launch("create", &[]).after(&script).run());
        output.fails().says("cannot clear locked flags").says("mounts[7]");
        case.leaves_nothing();
    }
}

/// `mount_namespaces(7)`: "Mounts that come as a single unit from a more
/// privileged mount namespace are locked together and may not be separated".
fn a_tree_of_the_host_cannot_be_taken_apart(case: &Case) {
    let (volume, script) = volume(case, "nodev");
    let donor = mapped(case.bundle()).running();
    let path = format!("/proc/{}/ns/user", donor.pid());
    for options in [&["rbind"][..], &["rbind", "ridmap"]] {
        for joined in [false, true] {
            let bundle = mapped(case.bundle());
            let bundle = if joined { bundle.joins("user", &path) } else { bundle };
            let bundle = with_admin(bundle)
                .bind(&volume, "/tmp", options)
                .sh("ls -d /tmp/below; umount /tmp/below 2>/dev/null && echo taken apart; true");
            let run = bundle.launch("run", &[]).after(&script).run();
            let output = bundle.settle(run).ok();
            assert_eq!(output.stdout, "/tmp/below\n", "{options:?} {joined} {output}");
        }
    }
}

fn owned(case: &Case) -> std::path::PathBuf {
    let volume = case.path("owned");
    fs::create_dir_all(&volume).unwrap();
    for (name, id) in [("zero", 0), ("seven", 7)] {
        fs::write(volume.join(name), "").unwrap();
        chown(volume.join(name), Some(id), Some(id)).unwrap();
    }
    volume
}

/// config.md#mounts: without mappings of its own, "the container's user
/// namespace", which may be one that is there already.
fn an_id_mapped_mount_has_the_ids_of_a_joined_user_namespace(case: &Case) {
    let source = owned(case);
    let donor = mapped(case.bundle()).running();
    let bundle = mapped(case.bundle())
        .joins("user", &format!("/proc/{}/ns/user", donor.pid()))
        .bind(&source, "/tmp", &["bind", "idmap"]);
    bundle.sh("stat -c %u:%g /tmp/zero /tmp/seven; touch /tmp/new").run().ok().prints("0:0\n7:7\n");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&fs::metadata(source.join("new")).unwrap()), 0);
}

/// In a new user namespace and in one that is there.
fn a_flag_that_is_locked_cannot_be_cleared_by_an_id_mapped_mount(case: &Case) {
    let (volume, script) = volume(case, "ro");
    let donor = mapped(case.bundle()).running();
    let path = format!("/proc/{}/ns/user", donor.pid());
    for joined in [false, true] {
        let bundle = mapped(case.bundle());
        let bundle = if joined { bundle.joins("user", &path) } else { bundle };
        let bundle = bundle.bind(&volume, "/tmp", &["rbind", "idmap", "rw"]);
        let output = bundle.settle(bundle.launch("create", &[]).after(&script).run());
        output.fails().says("cannot clear locked flags");
    }
}

/// Who is root in the new one has no rights over it, and could mount nothing.
fn a_mount_namespace_cannot_be_joined_beside_a_new_user_namespace(case: &Case) {
    let bundle = mapped(case.bundle()).joins("mount", "/proc/self/ns/mnt");
    bundle.create().fails().says("config.json: linux.namespaces[5].path: ");
    case.leaves_nothing();
}

/// `additionalGids`, and the groups of the runtime are gone.
fn groups_that_are_mapped_are_set(case: &Case) {
    let user = json!({"uid": 3, "gid": 4, "additionalGids": [6, 5]});
    let bundle = mapped(case.bundle()).set("/process/user", user);
    bundle
        .sh("id -u; id -g; grep Groups: /proc/self/status")
        .run()
        .ok()
        .prints("3\n4\nGroups:\t5 6 \n");
    let user = json!({"uid": 3, "gid": 4, "additionalGids": [70_000]});
    let output = mapped(case.bundle()).set("/process/user", user).create().fails();
    output.says("process.user.additionalGids");
    case.leaves_nothing();
}

/// devpts(5) of the container, and `/dev/console`.
fn the_terminal_belongs_to_the_user_of_the_namespace(case: &Case) {
    for (uid, outside) in [(0, 100_000), (9, 100_009)] {
        let bundle = mapped(case.bundle())
            .set("/process/terminal", json!(true))
            .set("/process/user/uid", json!(uid))
            .sh("stat -c %u:%g /dev/pts/0 /dev/console; echo done; sleep 100");
        let socket = Receiver::new(case.path(&format!("{uid}.sock")));
        bundle.create_with(&["--console-socket", socket.path()]).ok();
        let (master, _) = socket.receive();
        bundle.start().ok();
        let mut terminal = Terminal::of(master);
        terminal.until(&format!("{uid}:5\r\n{uid}:5\r\ndone"));
        let pts = format!("/proc/{}/root/dev/pts/0", bundle.pid());
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&fs::metadata(pts).unwrap()), outside);
        bundle.end();
    }
}

/// config.md#posix-platform-hooks: `createRuntime` in the runtime's namespaces,
/// `createContainer` and `startContainer` in the container's.
fn hooks_run_where_they_belong(case: &Case) {
    fs::create_dir(case.path("out")).unwrap();
    chown(case.path("out"), Some(100_000), Some(100_000)).unwrap();
    let out = case.path("out");
    let see = |name: &str| {
        format!("cat /proc/self/uid_map >{}/{name}; id -u >>{0}/{name}", out.display())
    };
    let bundle = mapped(case.bundle())
        .hook("createRuntime", &see("runtime"))
        .hook("createContainer", &see("container"))
        .hook("startContainer", "cat /proc/self/uid_map >/tmp/out; id -u >>/tmp/out")
        .sh("cat /tmp/out");
    let output = bundle.run().ok();
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let read = |name: &str| words(&fs::read_to_string(out.join(name)).unwrap());
    let own = words(&fs::read_to_string("/proc/self/uid_map").unwrap());
    assert_eq!(read("runtime"), format!("{own} 0"));
    assert_eq!(read("container"), "0 100000 65536 0");
    assert_eq!(words(&output.stdout), "0 100000 65536 0");
}

/// Not the caller's: it belongs to the root of the container (keyrings(7):
/// the user is the eighth field of /proc/keys).
fn the_session_keyring_is_that_of_the_containers_root(case: &Case) {
    let bundle = mapped(case.bundle()).remove("/linux/maskedPaths");
    let name = format!("_ses.{}:", bundle.id);
    let bundle = bundle.sh(&format!("grep {name} /proc/keys | tr -s ' ' | cut -d' ' -f6,9"));
    bundle.run().ok().prints(&format!("0 {name}\n"));
}

/// `user.*`, of which each user namespace has its own (namespaces(7)).
fn parameters_of_the_user_namespace_are_set(case: &Case) {
    let host = fs::read_to_string("/proc/sys/user/max_uts_namespaces").unwrap();
    let sysctl = json!({"user.max_uts_namespaces": "17"});
    mapped(case.bundle())
        .set("/linux/sysctl", sysctl.clone())
        .sh("cat /proc/sys/user/max_uts_namespaces")
        .run()
        .ok()
        .prints("17\n");
    assert_eq!(fs::read_to_string("/proc/sys/user/max_uts_namespaces").unwrap(), host);
    // In the host's own it is the host's.
    case.bundle().set("/linux/sysctl", sysctl).create().fails();
    case.leaves_nothing();
}

/// The runtime in a user namespace of its own, with one id.
fn inside(bundle: &Bundle<'_>, command: &str) -> crate::support::command::Output {
    let wrapper = ["unshare", "--user", "--map-root-user", "--mount", "--cgroup"];
    bundle.settle(bundle.launch(command, &[]).through(wrapper).run())
}

fn with_map(case: &Case, outside: u32, size: u32) -> Bundle<'_> {
    let map = json!([{"containerID": 0, "hostID": outside, "size": size}]);
    case.bundle()
        .namespace("user")
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .set("/mounts/2/options", json!(["nosuid", "noexec", "newinstance"]))
        .remove("/linux/cgroupsPath")
}

/// `user_namespaces(7)`: ids outside must be mapped in the parent's.
fn ids_that_the_caller_does_not_have_are_refused(case: &Case) {
    for (outside, size) in [(1000, 1), (0, 2)] {
        let output = inside(&with_map(case, outside, size), "create").exits(1);
        assert!(output.stderr.contains("config.json: linux.uidMappings: "), "{output}");
        assert!(output.stderr.contains("/proc/self/uid_map"), "{output}");
        case.leaves_nothing();
    }
}

/// Root of one, and from there root of another.
fn a_user_namespace_in_a_user_namespace(case: &Case) {
    let bundle = with_map(case, 0, 1)
        .sh("cat /proc/self/uid_map; id -u; echo x >/dev/null && stat -c %t:%T /dev/null");
    let output = inside(&bundle, "run").ok();
    let words: Vec<_> = output.stdout.split_whitespace().collect();
    assert_eq!(words.join(" "), "0 0 1 0 1:3");
}

/// config-linux.md#cgroup-ownership: "the host uid that maps to the value of
/// process.user.uid", "only … the container's cgroup directory and files within
/// that directory that are listed in /sys/kernel/cgroup/delegate", and only of
/// cgroup v2 with a cgroup namespace of its own and a mount without `ro`.
fn a_cgroup_that_is_writable_belongs_to_the_user(case: &Case) {
    let unified = "[ -e /sys/fs/cgroup/cgroup.controllers ] ||
        { umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup; }";
    let see = "cd /sys/fs/cgroup && stat -c %u . cgroup.procs cgroup.subtree_control cgroup.freeze
        mkdir x 2>/dev/null && echo made; rmdir x 2>/dev/null; true";
    let with = |options: &[&str], uid: u32| {
        mapped(case.bundle())
            .set("/mounts/6/options", json!(options))
            .set("/process/user/uid", json!(uid))
            .sh(see)
    };
    let nobody = "65534\n65534\n65534\n65534\n";
    for (bundle, expected) in [
        (with(&["rw"], 0).namespace("cgroup"), "0\n0\n0\n65534\nmade\n"),
        (with(&["rw"], 7).namespace("cgroup"), "7\n7\n7\n65534\nmade\n"),
        (with(&["ro"], 0).namespace("cgroup"), nobody),
        (with(&["rw"], 0), nobody),
    ] {
        let run = bundle.launch("run", &[]).after(&format!("{{ {unified}; }}")).run();
        bundle.settle(run).ok().prints(expected);
    }
}

/// A container that has all that runs one: capabilities over its own
/// namespaces, the runtime, and the bundle `inner`.
fn outer<'c>(case: &'c Case, inner: &Bundle<'_>) -> Bundle<'c> {
    inner.write_config();
    let own = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_ADMIN", "SETGID", "SETPCAP"];
    let own = [&own[..], &["SETUID", "SYS_ADMIN", "SYS_CHROOT"]].concat();
    let own: Vec<_> = own.iter().map(|name| format!("CAP_{name}")).collect();
    let mut outer = mapped(case.bundle())
        .directory("/inner")
        .file("/bin/runtime", "")
        .bind(&inner.dir, "/inner", &["rbind"])
        .bind(&crate::support::runtime::PATH, "/bin/runtime", &["bind", "ro"])
        .args(&["runtime", "--root", "/tmp/state", "run", "--bundle", "/inner", "inner"]);
    for set in ["bounding", "effective", "permitted"] {
        outer = outer.set(&format!("/process/capabilities/{set}"), json!(own));
    }
    outer
}

fn inner(case: &Case) -> Bundle<'_> {
    let script = "id -u; cat /proc/self/uid_map; echo x >/dev/null; stat -c %t:%T /dev/null";
    mapped(case.bundle()).remove("/linux/cgroupsPath").remove("/process/rlimits").sh(script)
}

/// With a user namespace of its own, below that of the other.
fn below(case: &Case) -> Bundle<'_> {
    let map = json!([{"containerID": 0, "hostID": 1, "size": 1000}]);
    let below = inner(case).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    for path in ["", "tmp", "root"] {
        chown(below.rootfs(path), Some(100_001), Some(100_001)).unwrap();
    }
    below
}

/// In the user namespace of the other, and below it.
fn a_container_in_a_container(case: &Case) {
    let within = inner(case)
        .without_namespace("user")
        .remove("/linux/uidMappings")
        .remove("/linux/gidMappings");
    for (inner, ids) in [(within, "0 100000 65536"), (below(case), "0 1 1000")] {
        let outer = outer(case, &inner)
            .set("/linux/maskedPaths", json!([]))
            .set("/linux/readonlyPaths", json!([]));
        let output = outer.run().ok();
        let words: Vec<_> = output.stdout.split_whitespace().collect();
        assert_eq!(words.join(" "), format!("0 {ids} 1:3"));
    }
}

/// proc(5) and sysfs(5) are mounted in a user namespace only where they would
/// reveal nothing: not in a container whose own are masked.
fn a_container_in_one_with_masked_paths_is_told_of_them(case: &Case) {
    let output = outer(case, &below(case)).run().exits(1);
    let last = output.stderr.lines().last().unwrap_or_default();
    for words in ["mounts[0]", "proc", "no part of the runtime's own is covered"] {
        assert!(last.contains(words), "{words} in {output}");
    }
}
