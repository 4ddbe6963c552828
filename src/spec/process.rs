//! `process`: the program and its attributes.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md#process>

use serde::Deserialize;

/// The container's program, or the one that `exec` adds.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Process {
    /// Whether the program gets a terminal.
    pub(crate) terminal: bool,
    /// Size of that terminal, in characters; ignored without one.
    pub(crate) console_size: Option<ConsoleSize>,
    /// Working directory, absolute.
    pub(crate) cwd: String,
    /// Environment, `NAME=value`.
    pub(crate) env: Vec<String>,
    /// Program and arguments.
    pub(crate) args: Vec<String>,
    /// Resource limits, each type once.
    pub(crate) rlimits: Vec<Rlimit>,
    /// `AppArmor` profile for the program.
    pub(crate) apparmor_profile: Option<String>,
    /// Capability sets; absent sets are empty.
    pub(crate) capabilities: Option<Capabilities>,
    /// `PR_SET_NO_NEW_PRIVS` (prctl(2), Linux 3.5).
    pub(crate) no_new_privileges: bool,
    /// `/proc/self/oom_score_adj`, -1000 to 1000; untouched when absent.
    pub(crate) oom_score_adj: Option<i64>,
    /// `SELinux` label of the program.
    pub(crate) selinux_label: Option<String>,
    /// I/O scheduling class and priority (`ioprio_set(2)`).
    pub(crate) io_priority: Option<IoPriority>,
    /// Scheduling policy (`sched_setattr(2)`).
    pub(crate) scheduler: Option<Scheduler>,
    /// CPUs of an `exec`ed process before and after it joins the cgroup.
    #[serde(rename = "execCPUAffinity")]
    pub(crate) exec_cpu_affinity: Option<CpuAffinity>,
    /// Ids of the program.
    pub(crate) user: User,
}

impl Process {
    /// What the init of a container without `process` is until `start`, which
    /// fails: root without capabilities, in `/`.
    pub(crate) fn absent() -> Self {
        Self { cwd: "/".to_owned(), ..Self::default() }
    }
}

/// Rows and columns of a terminal.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ConsoleSize {
    /// Rows, 65535 at most.
    pub(crate) height: u64,
    /// Columns, 65535 at most.
    pub(crate) width: u64,
}

/// `setrlimit(2)`; `soft` and `hard` are in the resource's own unit.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Rlimit {
    /// `RLIMIT_…` name.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The limit that is enforced.
    pub(crate) soft: u64,
    /// The ceiling for it.
    pub(crate) hard: u64,
}

/// The five sets of capabilities(7), by name.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Capabilities {
    pub(crate) bounding: Vec<String>,
    pub(crate) effective: Vec<String>,
    pub(crate) inheritable: Vec<String>,
    pub(crate) permitted: Vec<String>,
    pub(crate) ambient: Vec<String>,
}

/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md#posix-platform-user>
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct User {
    /// User id in the container's user namespace.
    pub(crate) uid: u32,
    /// Group id in the container's user namespace.
    pub(crate) gid: u32,
    /// File mode creation mask; 0022 when absent.
    pub(crate) umask: Option<u32>,
    /// Supplementary groups.
    pub(crate) additional_gids: Vec<u32>,
}

/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md#linux-process>
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct IoPriority {
    /// `IOPRIO_CLASS_RT`, `_BE` or `_IDLE`.
    pub(crate) class: String,
    /// 0 (highest) to 7, within the class.
    pub(crate) priority: i32,
}

/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md#linux-process>
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Scheduler {
    /// `SCHED_…` name.
    pub(crate) policy: String,
    /// -20 to 19, for `SCHED_OTHER` and `SCHED_BATCH`.
    pub(crate) nice: i32,
    /// 1 to 99, for `SCHED_FIFO` and `SCHED_RR`.
    pub(crate) priority: i32,
    /// `SCHED_FLAG_…` names.
    pub(crate) flags: Vec<String>,
    /// Nanoseconds, for `SCHED_DEADLINE`.
    pub(crate) runtime: u64,
    /// Nanoseconds, for `SCHED_DEADLINE`.
    pub(crate) deadline: u64,
    /// Nanoseconds, for `SCHED_DEADLINE`.
    pub(crate) period: u64,
}

/// CPU lists as in cpuset(7), for `exec`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct CpuAffinity {
    /// Before the process is moved into the container's cgroup.
    pub(crate) initial: Option<String>,
    /// After it.
    #[serde(rename = "final")]
    pub(crate) last: Option<String>,
}
