//! `spec`: a config.json to start from, with the values of runc's.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;
use serde_json::ser::PrettyFormatter;

use super::file_error;
use crate::cli::Matches;
use crate::error::{Error, Result};
use crate::spec::VERSION;
use crate::sys::process;

pub(super) fn run(matches: &Matches) -> Result<()> {
    let bundle = matches.path("bundle").unwrap_or_else(|| Path::new(""));
    let file = matches.path("file").unwrap_or_else(|| Path::new("config.json"));
    let mut example = Example::new(is_cgroup2());
    if matches.flag("rootless") {
        example.make_rootless(process::geteuid().as_raw(), process::getegid().as_raw());
    }
    write_new(&bundle.join(file), file, &example.to_json())
}

/// Writes a file that must not be there; `name` is what the user calls it.
fn write_new(path: &Path, name: &Path, text: &[u8]) -> Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o666).open(path).map_err(|e| {
        if e.kind() == ErrorKind::AlreadyExists {
            return Error::usage(format!("File {} exists. Remove it first", name.display()));
        }
        file_error("create", path, &e)
    })?;
    file.write_all(text).map_err(|e| {
        let _ = std::fs::remove_file(path); // half a file helps nobody
        file_error("write", path, &e)
    })
}

/// Has the host nothing but cgroup v2?
fn is_cgroup2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// The fields that the example has, in the order in which they are written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Example {
    oci_version: &'static str,
    process: Process,
    root: Root,
    hostname: &'static str,
    mounts: Vec<Mount>,
    linux: Linux,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    terminal: bool,
    user: User,
    args: [&'static str; 1],
    env: [&'static str; 2],
    cwd: &'static str,
    capabilities: Capabilities,
    rlimits: [Rlimit; 1],
    no_new_privileges: bool,
}

#[derive(Serialize)]
struct User {
    uid: u32,
    gid: u32,
}

#[derive(Serialize)]
struct Capabilities {
    bounding: [&'static str; 3],
    effective: [&'static str; 3],
    permitted: [&'static str; 3],
}

#[derive(Serialize)]
struct Rlimit {
    r#type: &'static str,
    hard: u64,
    soft: u64,
}

#[derive(Serialize)]
struct Root {
    path: &'static str,
    readonly: bool,
}

#[derive(Serialize)]
struct Mount {
    destination: &'static str,
    r#type: &'static str,
    source: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    options: Vec<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Linux {
    #[serde(skip_serializing_if = "Option::is_none")]
    uid_mappings: Option<[Mapping; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid_mappings: Option<[Mapping; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<Resources>,
    namespaces: Vec<Namespace>,
    masked_paths: &'static [&'static str],
    readonly_paths: &'static [&'static str],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Mapping {
    #[serde(rename = "containerID")]
    container_id: u32,
    #[serde(rename = "hostID")]
    host_id: u32,
    size: u32,
}

#[derive(Serialize)]
struct Resources {
    devices: [DeviceRule; 1],
}

#[derive(Serialize)]
struct DeviceRule {
    allow: bool,
    access: &'static str,
}

#[derive(Serialize)]
struct Namespace {
    r#type: &'static str,
}

const CAPABILITIES: [&str; 3] = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/proc/scsi",
];

const READONLY: &[&str] =
    &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

impl Example {
    /// For root. A cgroup namespace is of use on cgroup v2 only: on v1 the
    /// mounts of the host's hierarchies show the whole tree in spite of it.
    fn new(cgroup2: bool) -> Self {
        let namespaces = ["pid", "network", "ipc", "uts", "mount"];
        let namespaces = namespaces.into_iter().chain(cgroup2.then_some("cgroup"));
        Self {
            oci_version: VERSION,
            process: Process::new(),
            root: Root { path: "rootfs", readonly: true },
            hostname: "minke",
            mounts: mounts(),
            linux: Linux {
                uid_mappings: None,
                gid_mappings: None,
                resources: Some(Resources {
                    devices: [DeviceRule { allow: false, access: "rwm" }],
                }),
                namespaces: namespaces.map(|r#type| Namespace { r#type }).collect(),
                masked_paths: MASKED,
                readonly_paths: READONLY,
            },
        }
    }

    /// For a user with this uid and gid, who becomes root in the container.
    ///
    /// Without a network namespace, as nobody would connect it, and without
    /// what the user may not do: limits, groups that are not mapped, a new
    /// sysfs without a network namespace of one's own.
    fn make_rootless(&mut self, uid: u32, gid: u32) {
        let linux = &mut self.linux;
        linux.namespaces.retain(|namespace| namespace.r#type != "network");
        linux.namespaces.push(Namespace { r#type: "user" });
        linux.uid_mappings = Some([Mapping { container_id: 0, host_id: uid, size: 1 }]);
        linux.gid_mappings = Some([Mapping { container_id: 0, host_id: gid, size: 1 }]);
        linux.resources = None;
        for mount in &mut self.mounts {
            if mount.destination == "/sys" {
                let options = &["rbind", "nosuid", "noexec", "nodev", "ro"];
                *mount = Mount::new("/sys", "none", "/sys", options);
            }
            mount.options.retain(|o| !o.starts_with("gid=") && !o.starts_with("uid="));
        }
    }

    /// Indented by tabs, as runc writes it.
    fn to_json(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let tabs = PrettyFormatter::with_indent(b"\t");
        // Into memory, from types that JSON has: this cannot fail.
        let _ = self.serialize(&mut serde_json::Serializer::with_formatter(&mut text, tabs));
        text.push(b'\n');
        text
    }
}

impl Process {
    fn new() -> Self {
        Self {
            terminal: true,
            user: User { uid: 0, gid: 0 },
            args: ["sh"],
            env: [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "TERM=xterm",
            ],
            cwd: "/",
            capabilities: Capabilities {
                bounding: CAPABILITIES,
                effective: CAPABILITIES,
                permitted: CAPABILITIES,
            },
            rlimits: [Rlimit { r#type: "RLIMIT_NOFILE", hard: 1024, soft: 1024 }],
            no_new_privileges: true,
        }
    }
}

impl Mount {
    fn new(
        destination: &'static str,
        r#type: &'static str,
        source: &'static str,
        options: &[&'static str],
    ) -> Self {
        Self { destination, r#type, source, options: options.to_vec() }
    }
}

fn mounts() -> Vec<Mount> {
    let dev = ["nosuid", "strictatime", "mode=755", "size=65536k"];
    let pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];
    let shm = ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"];
    let mqueue = ["nosuid", "noexec", "nodev"];
    let sys = ["nosuid", "noexec", "nodev", "ro"];
    let cgroup = ["nosuid", "noexec", "nodev", "relatime", "ro"];
    vec![
        Mount::new("/proc", "proc", "proc", &[]),
        Mount::new("/dev", "tmpfs", "tmpfs", &dev),
        Mount::new("/dev/pts", "devpts", "devpts", &pts),
        Mount::new("/dev/shm", "tmpfs", "shm", &shm),
        Mount::new("/dev/mqueue", "mqueue", "mqueue", &mqueue),
        Mount::new("/sys", "sysfs", "sysfs", &sys),
        Mount::new("/sys/fs/cgroup", "cgroup", "cgroup", &cgroup),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Config;
    use serde_json::{Value, json};

    fn value(example: &Example) -> Value {
        serde_json::from_slice(&example.to_json()).unwrap()
    }

    fn namespaces(example: &Example) -> Vec<&str> {
        example.linux.namespaces.iter().map(|n| n.r#type).collect()
    }

    #[test]
    fn it_is_a_config_that_minke_reads() {
        let config = Config::parse(&Example::new(true).to_json()).unwrap();
        assert_eq!(config.oci_version, "1.3.0");
        assert_eq!(config.mounts.len(), 7);
        assert_eq!(config.process.unwrap().args, ["sh"]);
    }

    #[test]
    fn it_begins_as_that_of_runc_does() {
        let text = String::from_utf8(Example::new(false).to_json()).unwrap();
        let head = "{\n\t\"ociVersion\": \"1.3.0\",\n\t\"process\": {\n\t\t\"terminal\": true,\n\t\t\"user\": {\n";
        assert!(text.starts_with(head), "{text}");
        assert!(text.ends_with("\n\t}\n}\n"), "{text}");
    }

    #[test]
    fn a_cgroup_namespace_on_v2_only() {
        assert_eq!(namespaces(&Example::new(false)), ["pid", "network", "ipc", "uts", "mount"]);
        assert!(namespaces(&Example::new(true)).contains(&"cgroup"));
    }

    #[test]
    fn rootless_asks_for_nothing_that_a_user_may_not_do() {
        let mut example = Example::new(true);
        example.make_rootless(1000, 100);
        assert_eq!(namespaces(&example), ["pid", "ipc", "uts", "mount", "cgroup", "user"]);
        let value = value(&example);
        let map = |host: u32| json!([{"containerID": 0, "hostID": host, "size": 1}]);
        assert_eq!(value["linux"]["uidMappings"], map(1000));
        assert_eq!(value["linux"]["gidMappings"], map(100));
        assert_eq!(value["linux"].get("resources"), None);
        assert_eq!(value["mounts"][5]["source"], "/sys");
        assert_eq!(value["mounts"][5]["options"][0], "rbind");
        assert!(!value["mounts"].to_string().contains("gid="));
    }
}
