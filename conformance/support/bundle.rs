//! A bundle to write, and the container that is made from it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::case::Case;
use super::command::{Invocation, Output};
use super::wait::{self, PATIENCE};
use super::{scratch, until};

/// The busybox applets that scripts in a container may use.
const APPLETS: &str = "sh ash cat chmod cp cut dd echo env false find grep head hostname id ip kill ln ls mkdir \
    mknod mount mv nproc od printf ps pwd readlink rm rmdir sed seq sleep sort stat stty sync tail tee test timeout \
    touch tr true tty umount uname uniq wc whoami xargs";

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(crate) struct Bundle<'c> {
    pub(crate) case: &'c Case,
    pub(crate) id: String,
    pub(crate) dir: PathBuf,
    config: Value,
}

/// Writing the bundle.
impl<'c> Bundle<'c> {
    pub(crate) fn new(case: &'c Case) -> Self {
        let id = format!("{}{}", case.tag, case.next());
        let dir = case.path(&format!("bundle{}", case.next()));
        let config = default_config(&scratch::cgroup(&id));
        make_rootfs(&dir.join("rootfs"));
        Self { case, id, dir, config }
    }

    pub(crate) fn rootfs(&self, path: &str) -> PathBuf {
        self.dir.join("rootfs").join(path.trim_start_matches('/'))
    }

    /// The program, which stands first, and its arguments.
    pub(crate) fn args(self, args: &[&str]) -> Self {
        self.set("/process/args", json!(args))
    }

    pub(crate) fn sh(self, script: &str) -> Self {
        self.args(&["sh", "-c", script])
    }

    /// Lives until it is killed, and dies of SIGTERM even as process 1.
    pub(crate) fn sleeps(self) -> Self {
        self.sh("trap 'exit 0' TERM; echo ready; while :; do sleep 1000 & wait; done")
    }

    /// Sets what the JSON pointer names; objects on the way are made, and the
    /// element after the last of a list.
    pub(crate) fn set(mut self, pointer: &str, value: Value) -> Self {
        *self.at(pointer) = value;
        self
    }

    pub(crate) fn push(mut self, pointer: &str, value: Value) -> Self {
        let list = self.at(pointer);
        if list.is_null() {
            *list = json!([]);
        }
        list.as_array_mut().expect("a list").push(value);
        self
    }

    pub(crate) fn remove(mut self, pointer: &str) -> Self {
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        self.at(parent).as_object_mut().expect("an object").remove(key);
        self
    }

    pub(crate) fn at(&mut self, pointer: &str) -> &mut Value {
        pointer.split('/').skip(1).fold(&mut self.config, |value, key| match value {
            Value::Array(list) => {
                let index = key.parse::<usize>().expect("an index");
                if index == list.len() {
                    list.push(Value::Null);
                }
                &mut list[index]
            }
            value => &mut value[key],
        })
    }

    pub(crate) fn mount(
        self,
        destination: &str,
        kind: &str,
        source: &str,
        options: &[&str],
    ) -> Self {
        let mount =
            json!({"destination": destination, "type": kind, "source": source, "options": options});
        self.push("/mounts", mount)
    }

    pub(crate) fn bind(self, source: &Path, destination: &str, options: &[&str]) -> Self {
        self.mount(destination, "bind", source.to_str().expect("UTF-8"), options)
    }

    pub(crate) fn without_mount(mut self, destination: &str) -> Self {
        let mounts = self.at("/mounts").as_array_mut().expect("a list");
        mounts.retain(|mount| mount["destination"] != destination);
        self
    }

    pub(crate) fn namespace(self, kind: &str) -> Self {
        self.without_namespace(kind).push("/linux/namespaces", json!({"type": kind}))
    }

    pub(crate) fn joins(self, kind: &str, path: &str) -> Self {
        self.without_namespace(kind).push("/linux/namespaces", json!({"type": kind, "path": path}))
    }

    pub(crate) fn without_namespace(mut self, kind: &str) -> Self {
        let namespaces = self.at("/linux/namespaces").as_array_mut().expect("a list");
        namespaces.retain(|namespace| namespace["type"] != kind);
        self
    }

    /// A hook that is a line of shell: of the host's, but for `startContainer`.
    /// It has the state in `$state`, and the pid of that in `$pid`.
    pub(crate) fn hook(self, kind: &str, script: &str) -> Self {
        let pid = r#"pid=$(echo "$state" | sed 's/.*"pid": *\([0-9]*\).*/\1/')"#;
        let script = format!("state=$(cat); {pid}; {script}");
        let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": [PATH]});
        self.push(&format!("/hooks/{kind}"), hook)
    }

    pub(crate) fn file(self, path: &str, content: &str) -> Self {
        let path = self.rootfs(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, content).expect("a file in the rootfs");
        self
    }

    pub(crate) fn program(self, path: &str, content: &str) -> Self {
        let bundle = self.file(path, content);
        fs::set_permissions(bundle.rootfs(path), Permissions::from_mode(0o755))
            .expect("an executable file");
        bundle
    }

    pub(crate) fn directory(self, path: &str) -> Self {
        fs::create_dir_all(self.rootfs(path)).expect("a directory in the rootfs");
        self
    }

    /// Takes the place of what is at `path`.
    pub(crate) fn link(self, path: &str, target: impl AsRef<Path>) -> Self {
        let path = self.rootfs(path);
        let _ = fs::remove_dir_all(&path);
        let _ = fs::remove_file(&path);
        symlink(target, path).expect("a symlink in the rootfs");
        self
    }

    pub(crate) fn write_config(&self) {
        let config = serde_json::to_string(&self.config).expect("JSON");
        self.write_config_text(&config);
    }

    pub(crate) fn write_config_text(&self, text: &str) {
        fs::write(self.dir.join("config.json"), text).expect("config.json");
    }
}

/// Driving the container.
impl<'c> Bundle<'c> {
    /// The runtime with `command`, options and this container's id.
    pub(crate) fn command(&self, command: &str, options: &[&str]) -> Invocation<'c> {
        self.case.runtime([command]).args(options).args([&self.id])
    }

    /// `command` with `--bundle` and the config as it now is.
    pub(crate) fn launch(&self, command: &str, options: &[&str]) -> Invocation<'c> {
        self.write_config();
        self.case
            .runtime([command, "--bundle", self.dir.to_str().expect("UTF-8")])
            .args(options)
            .args([&self.id])
    }

    pub(crate) fn run(&self) -> Output {
        self.run_with(&[])
    }

    pub(crate) fn run_with(&self, options: &[&str]) -> Output {
        self.settle(self.launch("run", options).run())
    }

    pub(crate) fn create(&self) -> Output {
        self.create_with(&[])
    }

    pub(crate) fn create_with(&self, options: &[&str]) -> Output {
        self.settle(self.launch("create", options).run())
    }

    /// A container that a successful command has left is deleted at the end;
    /// one that a failed command has left is a leak.
    pub(crate) fn settle(&self, output: Output) -> Output {
        if output.code() == 0 {
            self.case.expect_live(&self.id);
        }
        output
    }

    pub(crate) fn start(&self) -> Output {
        self.command("start", &[]).run()
    }

    pub(crate) fn kill(&self, signal: &str) -> Output {
        self.command("kill", &[]).args([signal]).run()
    }

    pub(crate) fn delete(&self) -> Output {
        self.command("delete", &[]).run()
    }

    pub(crate) fn delete_force(&self) -> Output {
        self.command("delete", &["--force"]).run()
    }

    pub(crate) fn state(&self) -> Value {
        self.command("state", &[]).run().ok().json()
    }

    pub(crate) fn status(&self) -> String {
        self.state()["status"].as_str().expect("a status").into()
    }

    /// The pid of the container's init, as the host sees it.
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.state()["pid"].as_i64().expect("a pid")).expect("a pid")
    }

    /// Creates and starts; to be read is what `create` gave to the container.
    pub(crate) fn started(&self) -> Output {
        let created = self.create().ok();
        self.start().ok();
        created
    }

    /// As [`Self::started`] with [`Self::sleeps`], once its program runs.
    pub(crate) fn running(self) -> Self {
        let bundle = self.sleeps();
        let created = bundle.started();
        until("the container's program", || created.stdout_by_now() == "ready\n");
        bundle
    }

    /// Waits until the init has ended; `created` says what its output was.
    pub(crate) fn until_stopped(&self) {
        let state = self.state();
        let pid = state["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.filter(|&pid| pid > 0) {
            assert!(wait::ended(pid, PATIENCE), "{pid} does not end");
        }
        until("status stopped", || self.status() == "stopped");
    }

    /// Creates, starts, waits for the end, and deletes: what was written.
    pub(crate) fn outcome(&self) -> String {
        let created = self.started();
        self.until_stopped();
        self.delete().ok();
        created.stdout_by_now()
    }

    /// Kills, waits, deletes.
    pub(crate) fn end(&self) {
        self.kill("KILL").ok();
        self.until_stopped();
        self.delete().ok();
    }
}

fn make_rootfs(rootfs: &Path) {
    for directory in ["bin", "dev", "etc", "proc", "root", "sys", "tmp"] {
        fs::create_dir_all(rootfs.join(directory)).expect("a directory of the rootfs");
    }
    fs::hard_link(scratch::busybox(), rootfs.join("bin/busybox"))
        .expect("busybox, which these tests need");
    for applet in APPLETS.split_whitespace() {
        symlink("busybox", rootfs.join("bin").join(applet)).expect("an applet");
    }
    fs::write(
        rootfs.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n",
    )
    .expect("etc/passwd");
    fs::write(rootfs.join("etc/group"), "root:x:0:\nuser:x:1000:\n").expect("etc/group");
}

/// What `spec` gives, but without terminal, read-only root and resources.
fn default_config(cgroup: &str) -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": ["true"],
            "env": [PATH, "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true
        },
        "root": {"path": "rootfs", "readonly": false},
        "hostname": "conformance",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
             "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
             "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
             "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}
            ],
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        }
    })
}
