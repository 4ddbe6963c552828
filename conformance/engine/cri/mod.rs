//! containerd's CRI, which Kubernetes speaks, over gRPC.
//! The numbers of the fields: <https://github.com/kubernetes/cri-api/blob/v0.26.0/pkg/apis/runtime/v1/api.proto>

mod protobuf;
mod stream;

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use protobuf::{Fields, Message};

use crate::section::{Scenario, Section, scenario};
use crate::shell::{daemon, sh, until, until_processes};

pub(crate) fn section() -> Section {
    Section { name: "cri", start, scenarios: scenarios() }
}

fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("containerd with the CRI plugin is ready", ready),
        scenario(
            "a pod with a web server: exec, port, limits, update, stats, logs, exit code",
            web_server,
        ),
        scenario("exec -i, exec -it, attach: streams, window size, exit codes", streams),
        scenario("pod, host, container and target namespaces", namespaces),
        scenario("user, groups, read-only, caps, no_new_privs, mounts, env", options),
        scenario("seccomp: default, unconfined, a profile of the node", seccomp),
        scenario("devices", devices),
        scenario("privileged", privileged),
        scenario("stop times out to KILL", stop),
        scenario("a container out of memory ends with 137, OOMKilled", oom),
        scenario("kill -9 of the shim: the pod is cleaned up", shim_dies).alone(),
        scenario("kill -9 of containerd, the pod goes on", containerd_dies).alone(),
        scenario("nothing left", nothing_left).last(),
    ]
}

fn start() {
    sh(r#"mkdir -p $W/cni $W/pods
cat >$W/cni/10-bridge.conflist <<END
{"cniVersion":"0.4.0","name":"pods","plugins":[{"type":"bridge","bridge":"cni0","isGateway":true,"ipMasq":true,
"ipam":{"type":"host-local","ranges":[[{"subnet":"10.88.0.0/16"}]],"routes":[{"dst":"0.0.0.0/0"}]}},
{"type":"portmap","capabilities":{"portMappings":true}}]}
END
cat >$W/ctrd.toml <<END
version = 2
root = "$W/ctrd"
state = "/run/ctrd"
disabled_plugins = ["io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "/run/ctrd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$W/ctrd-opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  stream_server_address = "127.0.0.1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$W/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "rt"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.rt]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.rt.options]
        BinaryName = "$RT"
        SystemdCgroup = false
END"#);
    start_daemon();
    sh(
        "ctr -n k8s.io images import $W/images/bb-oci.tar; ctr -n k8s.io images import $W/images/pause-oci.tar",
    );
    until("ctr -n k8s.io images ls -q | grep -x localhost/pause:1");
}

fn start_daemon() {
    daemon("containerd", "echo $BASHPID >/run/ctrd.pid; exec containerd --config $W/ctrd.toml");
    until("ctr version");
}

/// Calls a method of the runtime service.
#[track_caller]
fn call(method: &str, request: &Message) -> Fields {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let file = format!("/run/engines/tmp/{}.{number}.grpc", std::process::id());
    fs::write(&file, request.framed()).expect("the request");
    let headers = sh(&format!(
        "curl -sS --max-time 30 --http2-prior-knowledge --unix-socket /run/ctrd.sock -H 'content-type: application/grpc' -H 'te: trailers' \
         --data-binary @{file} -D - -o {file}.out http://localhost/runtime.v1.RuntimeService/{method}"
    ));
    assert!(headers.contains("grpc-status: 0"), "{method}: {headers}");
    let answer = fs::read(format!("{file}.out")).expect("the answer");
    Fields::parse(&answer[5..])
}

fn id_only(id: &str) -> Message {
    Message::default().text(1, id)
}

struct Pod {
    id: String,
    config: Message,
}

/// A pod, `linux` being its LinuxPodSandboxConfig.
#[track_caller]
fn pod(name: &str, more: impl FnOnce(Message) -> Message) -> Pod {
    let metadata = Message::default().text(1, name).text(2, name).text(3, "default");
    let config =
        Message::default().message(1, &metadata).text(3, &format!("/run/engines/pods/{name}"));
    let config = more(config);
    let id = call("RunPodSandbox", &Message::default().message(1, &config)).text(1);
    Pod { id, config }
}

impl Pod {
    /// Creates and starts a container, `linux` being its LinuxContainerConfig.
    #[track_caller]
    fn container(
        &self,
        name: &str,
        command: &[&str],
        linux: &Message,
        more: impl FnOnce(Message) -> Message,
    ) -> String {
        let config = Message::default()
            .message(1, &Message::default().text(1, name))
            .message(2, &Message::default().text(1, "localhost/bb:1"))
            .texts(3, command)
            .text(11, &format!("{name}.log"))
            .message(15, linux);
        let request =
            Message::default().text(1, &self.id).message(2, &more(config)).message(3, &self.config);
        let id = call("CreateContainer", &request).text(1);
        call("StartContainer", &id_only(&id));
        id
    }

    #[track_caller]
    fn end(&self) {
        call("StopPodSandbox", &id_only(&self.id));
        call("RemovePodSandbox", &id_only(&self.id));
    }
}

/// Exit code and output of a command in the container.
#[track_caller]
fn exec(container: &str, script: &str) -> (u64, String) {
    let answer =
        call("ExecSync", &id_only(container).texts(2, &["sh", "-c", script]).number(3, 20));
    (answer.number(3), answer.text(1).trim().to_owned())
}

#[track_caller]
fn gives(container: &str, script: &str, expected: &str) {
    assert_eq!(exec(container, script), (0, expected.to_owned()), "{script}");
}

/// Waits for the container's end: its exit code, and why.
#[track_caller]
fn ended(container: &str) -> (u64, String) {
    for _ in 0..200 {
        let status = call("ContainerStatus", &id_only(container)).message(1);
        if status.number(3) == 2 {
            return (status.number(7), status.text(10));
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("{container} does not end");
}

fn security(context: &Message) -> Message {
    Message::default().message(2, context)
}

fn ready() {
    let version = call("Version", &Message::default());
    assert_eq!(version.text(2), "containerd");
    let conditions = call("Status", &Message::default()).message(1).message(1);
    assert_eq!((conditions.text(1), conditions.number(2)), ("RuntimeReady".into(), 1));
}

fn web_server() {
    let port = Message::default().number(2, 80).number(3, 8380);
    let pod = pod("web", |config| config.text(2, "webhost").message(5, &port));
    let limits = Message::default().number(1, 100_000).number(2, 50_000).number(4, 64 << 20);
    let command = [
        "sh",
        "-c",
        "echo begun; httpd -p 80 -h /www; trap 'exit 5' TERM; while :; do usleep 50000; done",
    ];
    let container =
        pod.container("server", &command, &Message::default().message(1, &limits), |config| config);
    until("curl -sm 2 http://127.0.0.1:8380/ | grep 'it works'");
    gives(
        &container,
        "hostname; cat /sys/fs/cgroup/memory/memory.limit_in_bytes",
        "webhost\n67108864",
    );
    assert_eq!(exec(&container, "exit 9").0, 9);
    let stats = call("ContainerStats", &id_only(&container)).message(1);
    let value = |message: Fields| message.message(2).number(1);
    let (cpu, working_set) = (value(stats.message(2)), value(stats.message(3)));
    assert!(cpu > 0 && (1..64 << 20).contains(&working_set), "{cpu} ns, {working_set} bytes");
    let update = Message::default().number(4, 128 << 20);
    call("UpdateContainerResources", &id_only(&container).message(2, &update));
    gives(&container, "cat /sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728");
    sh("grep 'stdout F begun' /run/engines/pods/web/server.log");
    call("StopContainer", &id_only(&container).number(2, 10));
    assert_eq!(ended(&container).0, 5);
    call("RemoveContainer", &id_only(&container));
    pod.end();
}

fn streams() {
    let pod = pod("streams", |config| config);
    let container =
        pod.container("streams", &["sleep", "667"], &Message::default(), |config| config);
    let script =
        "while read line; do echo out $line; echo err $line >&2; [ $line != last ] || exit 7; done";
    let mut exec = stream::exec(&container, &["sh", "-c", script], false);
    exec.types("first\n");
    exec.until(1, "out first\n");
    exec.until(2, "err first\n");
    exec.types("last\n");
    assert_eq!(exec.ends(), 7);
    assert_eq!(
        (&*exec.said[1], &*exec.said[2]),
        ("out first\nout last\n", "err first\nerr last\n")
    );
    let mut shell = stream::exec(&container, &["sh"], true);
    shell.until(1, "/ # ");
    shell.resize(33, 99);
    shell.types("until [ \"$(stty size)\" = '33 99' ]; do usleep 20000; done; tty; echo s''ized\n");
    shell.until(1, "/dev/pts/");
    shell.until(1, "\r\nsized");
    shell.types("exit 6\n");
    assert_eq!(shell.ends(), 6);
    assert_eq!(stream::exec(&container, &["true"], false).ends(), 0);
    // stdin and tty.
    let terminal = pod.container("terminal", &["sh"], &Message::default(), |config| {
        config.number(12, 1).number(14, 1)
    });
    let mut shell = stream::attach(&terminal);
    shell.types("echo at''tached\n");
    shell.until(1, "attached\r\n");
    shell.types("exit 5\n");
    assert_eq!(ended(&terminal).0, 5);
    pod.end();
    until_processes("sleep 667", 0);
}

fn namespaces() {
    let shared = pod("shared", |config| config);
    let of = |id: &str, names: &str| {
        exec(id, &format!("for n in {names}; do readlink /proc/self/ns/$n; done")).1
    };
    let container = |pod: &Pod, name: &str, options: &Message| {
        let linux = security(&Message::default().message(3, options));
        pod.container(name, &["sleep", "660"], &linux, |config| config)
    };
    // POD is 0, CONTAINER is 1, NODE is 2, TARGET is 3.
    let first = container(&shared, "first", &Message::default());
    let second = container(&shared, "second", &Message::default());
    assert_eq!(of(&first, "net ipc uts pid"), of(&second, "net ipc uts pid"));
    let own = container(&shared, "own", &Message::default().number(2, 1));
    assert_eq!(of(&first, "net ipc uts"), of(&own, "net ipc uts"));
    gives(&own, "cat /proc/1/cmdline | tr '\\0' ' '", "sleep 660");
    let target = Message::default().number(2, 3).text(4, &own);
    let target = container(&shared, "target", &target);
    assert_eq!(of(&target, "pid"), of(&own, "pid"));
    assert_ne!(of(&target, "pid"), of(&first, "pid"));
    let host = Message::default().number(1, 2).number(2, 2).number(3, 2);
    let linux = Message::default().message(2, &Message::default().message(1, &host));
    let node = pod("node", |config| config.message(8, &linux));
    let third = container(&node, "third", &host);
    assert_eq!(
        of(&third, "net ipc pid"),
        sh("for n in net ipc pid; do readlink /proc/self/ns/$n; done")
    );
    shared.end();
    node.end();
    until_processes("sleep 660", 0);
}

fn options() {
    let pod = pod("options", |config| config);
    let capabilities = Message::default().text(2, "ALL");
    let context = Message::default()
        .message(1, &capabilities)
        .message(5, &Message::default().number(1, 1000))
        .number(7, 1)
        .number(8, 2000)
        .number(11, 1);
    fs::create_dir_all("/run/engines/pods/data").expect("a directory");
    fs::write("/run/engines/pods/data/f", "mounted").expect("a file");
    let mount = Message::default().text(1, "/m").text(2, "/run/engines/pods/data").number(3, 1);
    let container = pod.container("options", &["sleep", "661"], &security(&context), |config| {
        config
            .text(5, "/tmp")
            .message(6, &Message::default().text(1, "A").text(2, "b"))
            .message(7, &mount)
    });
    gives(&container, "id -u; id -G; pwd; echo $A; cat /m/f", "1000\n1000 2000\n/tmp\nb\nmounted");
    gives(
        &container,
        "grep -E '^(CapBnd|NoNewPrivs):' /proc/self/status | cut -f2",
        "0000000000000000\n1",
    );
    assert_ne!(exec(&container, "touch /x").0, 0);
    assert_ne!(exec(&container, "touch /m/x").0, 0);
    pod.end();
}

fn seccomp() {
    fs::write(
        "/run/engines/pods/no-mkdir.json",
        r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}"#,
    )
    .expect("a profile");
    let pod = pod("seccomp", |config| config);
    let container = |name: &str, profile: &Message| {
        let linux = security(&Message::default().message(15, profile));
        pod.container(name, &["sleep", "664"], &linux, |config| config)
    };
    let mode = "grep Seccomp: /proc/self/status | cut -f2";
    gives(&container("default", &Message::default()), mode, "2");
    let unconfined = container("unconfined", &Message::default().number(1, 1));
    gives(&unconfined, mode, "0");
    gives(&unconfined, "mkdir /tmp/d && echo made", "made");
    let profile = Message::default().number(1, 2).text(2, "/run/engines/pods/no-mkdir.json");
    let profile = container("profile", &profile);
    gives(&profile, mode, "2");
    gives(
        &profile,
        "mkdir /tmp/d 2>&1 || true",
        "mkdir: can't create directory '/tmp/d': Operation not permitted",
    );
    pod.end();
}

fn devices() {
    let pod = pod("devices", |config| config);
    let fuse = Message::default().text(1, "/dev/mine").text(2, "/dev/fuse");
    let open = ": <>/dev/mine && echo opened";
    for (permissions, opened) in [("rwm", true), ("r", false)] {
        let device = fuse.clone().text(3, permissions);
        let container =
            pod.container(permissions, &["sleep", "665"], &Message::default(), |config| {
                config.message(8, &device)
            });
        gives(&container, "stat -c %t:%T /dev/mine", "a:e5");
        assert_eq!(
            exec(&container, open),
            if opened { (0, "opened".into()) } else { (1, String::new()) }
        );
    }
    pod.end();
}

fn stop() {
    let pod = pod("stop", |config| config);
    let deaf = ["sh", "-c", "trap '' TERM; touch /deaf; while :; do usleep 50000; done"];
    let container = pod.container("deaf", &deaf, &Message::default(), |config| config);
    gives(&container, "until [ -e /deaf ]; do usleep 20000; done", "");
    let begin = std::time::Instant::now();
    call("StopContainer", &id_only(&container).number(2, 1));
    assert!(begin.elapsed().as_millis() >= 1000, "{:?}", begin.elapsed());
    assert_eq!(ended(&container).0, 137);
    pod.end();
}

/// The shim is the pod's, and of all its containers.
fn shim_dies() {
    let pod = pod("shimless", |config| config);
    pod.container("shimless", &["sleep", "666"], &Message::default(), |config| config);
    until_processes("sleep 666", 1);
    let id = &pod.id;
    sh(&format!(
        "pid=$(pgrep -f '[c]ontainerd-shim.* -id {id} '); kill -KILL $pid; while [ -e /proc/$pid ]; do sleep 0.05; done"
    ));
    until_processes("sleep 666", 0);
    pod.end();
    until(&format!("! ls -d /run/containerd/runc/k8s.io/{id}"));
    until(&format!("! grep {id} /proc/mounts"));
    until(&format!("! find /sys/fs/cgroup -type d -path '*{id}*' | grep ."));
}

fn privileged() {
    let linux = Message::default().message(2, &Message::default().number(6, 1));
    let pod = pod("privileged", |config| config.message(8, &linux));
    let container = pod.container(
        "privileged",
        &["sleep", "662"],
        &security(&Message::default().number(2, 1)),
        |config| config,
    );
    gives(&container, "mkdir /t; mount -t tmpfs tmpfs /t && ls /dev/fuse", "/dev/fuse");
    gives(
        &container,
        "grep CapEff: /proc/self/status | cut -f2",
        &sh("sed -n 's/^CapEff:\\t//p' /proc/self/status"),
    );
    pod.end();
}

/// The shim watches a moment after the start.
fn oom() {
    let pod = pod("oom", |config| config);
    let limits = Message::default().number(4, 16 << 20);
    let command = ["sh", "-c", "sleep 1; exec tail /dev/zero"];
    let linux = Message::default().message(1, &limits);
    let container = pod.container("oom", &command, &linux, |config| config);
    assert_eq!(ended(&container), (137, "OOMKilled".into()));
    pod.end();
}

fn containerd_dies() {
    let pod = pod("goes-on", |config| config);
    let container =
        pod.container("goes-on", &["sleep", "663"], &Message::default(), |config| config);
    sh("pid=$(cat /run/ctrd.pid); kill -KILL $pid; while [ -e /proc/$pid ]; do sleep 0.05; done");
    until_processes("sleep 663", 1);
    start_daemon();
    gives(&container, "echo reached", "reached");
    pod.end();
    until_processes("sleep 663", 0);
}

fn nothing_left() {
    until_processes("containerd-shim", 0);
    until("! ls -d /run/containerd/runc/*/*");
    until("! grep -E '/run/ctrd/.*(rootfs|shm)' /proc/mounts");
    sh("pid=$(cat /run/ctrd.pid); kill $pid; while [ -e /proc/$pid ]; do sleep 0.05; done");
}
