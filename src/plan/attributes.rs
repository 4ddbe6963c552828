//! What the kernel keeps for a process besides its credentials: scheduling,
//! I/O priority, execution domain, memory policy.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md#linux-process>

use super::number_list;
use crate::error::{Error, Result};
use crate::spec;
use crate::sys::scheduling::SchedAttr;

/// Set by the child before it gives up its privileges; what is `None` stays
/// as it is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) scheduler: Option<SchedAttr>,
    /// Whether the container's CPUs are limited, which the kernel may not
    /// allow together with a scheduling policy.
    pub(crate) has_cpuset: bool,
    /// Class and level in one number, as `ioprio_set(2)` takes them.
    pub(crate) io_priority: Option<u16>,
    /// For `personality(2)`.
    pub(crate) personality: Option<u32>,
    pub(crate) memory_policy: Option<MemoryPolicy>,
    /// Only for `exec`.
    pub(crate) affinity: Affinity,
}

/// `set_mempolicy(2)`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct MemoryPolicy {
    /// `MPOL_*` and `MPOL_F_*`.
    pub(crate) mode: u32,
    /// A bit for each node.
    pub(crate) nodes: Vec<u64>,
}

/// CPUs of an `exec`ed process, a bit each; what is `None` stays as it is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Affinity {
    /// Before it is moved into the container's cgroup.
    pub(crate) initial: Option<Vec<u64>>,
    /// After it.
    pub(crate) last: Option<Vec<u64>>,
}

/// `linux/sched.h`.
const POLICIES: &[(&str, u32)] = &[
    ("SCHED_OTHER", 0),
    ("SCHED_FIFO", 1),
    ("SCHED_RR", 2),
    ("SCHED_BATCH", 3),
    ("SCHED_ISO", 4),
    ("SCHED_IDLE", 5),
    ("SCHED_DEADLINE", 6),
];

/// `linux/sched.h`.
const SCHED_FLAGS: &[(&str, u64)] = &[
    ("SCHED_FLAG_RESET_ON_FORK", 0x01),
    ("SCHED_FLAG_RECLAIM", 0x02),
    ("SCHED_FLAG_DL_OVERRUN", 0x04),
    ("SCHED_FLAG_KEEP_POLICY", 0x08),
    ("SCHED_FLAG_KEEP_PARAMS", 0x10),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
];

/// `linux/ioprio.h`.
const IO_CLASSES: &[(&str, u16)] =
    &[("IOPRIO_CLASS_RT", 1), ("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)];

/// `linux/personality.h`.
const DOMAINS: &[(&str, u32)] = &[("LINUX", 0), ("LINUX32", 8)];

/// `linux/mempolicy.h`, sorted by name.
pub(crate) const MEMORY_MODES: &[(&str, u32)] = &[
    ("MPOL_BIND", 2),
    ("MPOL_DEFAULT", 0),
    ("MPOL_INTERLEAVE", 3),
    ("MPOL_LOCAL", 4),
    ("MPOL_PREFERRED", 1),
    ("MPOL_PREFERRED_MANY", 5),
    ("MPOL_WEIGHTED_INTERLEAVE", 6),
];

/// `linux/mempolicy.h`, sorted by name.
pub(crate) const MEMORY_FLAGS: &[(&str, u32)] = &[
    ("MPOL_F_NUMA_BALANCING", 1 << 13),
    ("MPOL_F_RELATIVE_NODES", 1 << 14),
    ("MPOL_F_STATIC_NODES", 1 << 15),
];

/// Plans the attributes of `process`, and those of the whole container.
pub(crate) fn plan(process: &spec::Process, linux: &spec::Linux) -> Result<Attributes> {
    let cpu = linux.resources.as_ref().and_then(|resources| resources.cpu.as_ref());
    Ok(Attributes {
        affinity: affinity(process)?,
        scheduler: process.scheduler.as_ref().map(scheduler).transpose()?,
        has_cpuset: cpu.and_then(|cpu| cpu.cpus.as_ref()).is_some_and(|cpus| !cpus.is_empty()),
        io_priority: process.io_priority.as_ref().map(io_priority).transpose()?,
        personality: linux.personality.as_ref().map(personality).transpose()?,
        memory_policy: linux.memory_policy.as_ref().map(memory_policy).transpose()?,
    })
}

/// Plans `process.execCPUAffinity`.
fn affinity(process: &spec::Process) -> Result<Affinity> {
    let Some(affinity) = &process.exec_cpu_affinity else { return Ok(Affinity::default()) };
    let cpus = |name: &str, list: &Option<String>| {
        let list = list.as_deref().filter(|list| !list.is_empty());
        list.map(|list| number_list::parse(&format!("process.execCPUAffinity.{name}"), list))
            .transpose()
    };
    Ok(Affinity {
        initial: cpus("initial", &affinity.initial)?,
        last: cpus("final", &affinity.last)?,
    })
}

/// The number of `word`; an unknown one is an error.
fn known<T: Copy>(field: &str, table: &[(&str, T)], word: &str) -> Result<T> {
    if word.is_empty() {
        return Err(Error::config(field, "must be set"));
    }
    let found = table.iter().find(|(name, _)| *name == word);
    found
        .map(|(_, number)| *number)
        .ok_or_else(|| Error::config(field, format!("unknown value {word:?}")))
}

/// The rules of `sched_setattr(2)`, where the kernel would say no more than
/// "invalid argument".
fn scheduler(scheduler: &spec::Scheduler) -> Result<SchedAttr> {
    let field = |name: &str| format!("process.scheduler.{name}");
    let refuse = |name: &str, rule: String| Err(Error::config(field(name), rule));
    let policy = known(&field("policy"), POLICIES, &scheduler.policy)?;
    let word = &scheduler.policy;
    let (nice, priority) = (scheduler.nice, scheduler.priority);
    if matches!(policy, 0 | 3) && !(-20..=19).contains(&nice) {
        return refuse("nice", format!("{nice} is not between -20 and 19"));
    }
    let realtime = matches!(policy, 1 | 2);
    if realtime && !(1..=99).contains(&priority) {
        return refuse("priority", format!("{priority} is not between 1 and 99, as {word} wants"));
    }
    if !realtime && priority != 0 {
        return refuse("priority", format!("is for SCHED_FIFO and SCHED_RR, not for {word}"));
    }
    let times = [
        ("runtime", scheduler.runtime),
        ("deadline", scheduler.deadline),
        ("period", scheduler.period),
    ];
    if let Some((name, _)) = times.iter().find(|(_, time)| policy != 6 && *time != 0) {
        return refuse(name, format!("is for SCHED_DEADLINE, not for {word}"));
    }
    let mut flags = 0;
    for (index, flag) in scheduler.flags.iter().enumerate() {
        flags |= known(&field(&format!("flags[{index}]")), SCHED_FLAGS, flag)?;
    }
    Ok(SchedAttr {
        policy,
        flags,
        nice,
        priority: priority.cast_unsigned(),
        runtime: scheduler.runtime,
        deadline: scheduler.deadline,
        period: scheduler.period,
        ..SchedAttr::default()
    })
}

fn io_priority(priority: &spec::IoPriority) -> Result<u16> {
    let class = known("process.ioPriority.class", IO_CLASSES, &priority.class)?;
    match u16::try_from(priority.priority) {
        Ok(level @ 0..=7) => Ok(class << 13 | level),
        _ => Err(Error::config(
            "process.ioPriority.priority",
            format!("{} is not between 0 and 7", priority.priority),
        )),
    }
}

fn personality(personality: &spec::Personality) -> Result<u32> {
    if !personality.flags.is_empty() {
        log::warn!("ignoring linux.personality.flags: none are defined");
    }
    known("linux.personality.domain", DOMAINS, &personality.domain)
}

/// The rules of `set_mempolicy(2)`.
fn memory_policy(policy: &spec::MemoryPolicy) -> Result<MemoryPolicy> {
    let nodes_field = "linux.memoryPolicy.nodes";
    let mode = known("linux.memoryPolicy.mode", MEMORY_MODES, &policy.mode)?;
    let nodes = number_list::parse(nodes_field, policy.nodes.as_deref().unwrap_or_default())?;
    let word = &policy.mode;
    match mode {
        0 | 4 if !nodes.is_empty() => {
            return Err(Error::config(nodes_field, format!("{word} takes no nodes")));
        }
        2 | 3 | 5 | 6 if nodes.is_empty() => {
            return Err(Error::config(nodes_field, format!("{word} needs at least one node")));
        }
        _ => {}
    }
    let mut flags = 0;
    for (index, flag) in policy.flags.iter().enumerate() {
        flags |= known(&format!("linux.memoryPolicy.flags[{index}]"), MEMORY_FLAGS, flag)?;
    }
    let relative_and_static = 1 << 14 | 1 << 15;
    if flags & relative_and_static == relative_and_static {
        return Err(Error::config(
            "linux.memoryPolicy.flags",
            "nodes cannot be both static and relative",
        ));
    }
    Ok(MemoryPolicy { mode: mode | flags, nodes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(process: &str, linux: &str) -> Result<Attributes> {
        plan(&serde_json::from_str(process).unwrap(), &serde_json::from_str(linux).unwrap())
    }

    #[test]
    fn numbers_are_the_kernels() {
        let p = planned(
            r#"{"scheduler":{"policy":"SCHED_RR","priority":7,"flags":["SCHED_FLAG_RESET_ON_FORK"]},
                "ioPriority":{"class":"IOPRIO_CLASS_BE","priority":4}}"#,
            r#"{"personality":{"domain":"LINUX32"},
                "memoryPolicy":{"mode":"MPOL_BIND","nodes":"0,2","flags":["MPOL_F_STATIC_NODES"]}}"#,
        )
        .unwrap();
        let attr = SchedAttr { policy: 2, flags: 1, priority: 7, ..SchedAttr::default() };
        assert_eq!(p.scheduler, Some(attr));
        assert_eq!((p.io_priority, p.personality), (Some(2 << 13 | 4), Some(8)));
        assert_eq!(p.memory_policy, Some(MemoryPolicy { mode: 0x8002, nodes: vec![0b101] }));
        assert_eq!(planned("{}", "{}").unwrap(), Attributes::default());
    }

    #[test]
    fn bad_values_are_told_with_their_path() {
        for (process, linux, field) in [
            (r#"{"scheduler":{}}"#, "{}", "process.scheduler.policy"),
            (r#"{"scheduler":{"policy":"SCHED_X"}}"#, "{}", "process.scheduler.policy"),
            (r#"{"scheduler":{"policy":"SCHED_OTHER","nice":20}}"#, "{}", "process.scheduler.nice"),
            (r#"{"scheduler":{"policy":"SCHED_FIFO"}}"#, "{}", "process.scheduler.priority"),
            (
                r#"{"scheduler":{"policy":"SCHED_IDLE","priority":1}}"#,
                "{}",
                "process.scheduler.priority",
            ),
            (
                r#"{"scheduler":{"policy":"SCHED_BATCH","period":1}}"#,
                "{}",
                "process.scheduler.period",
            ),
            (
                r#"{"scheduler":{"policy":"SCHED_IDLE","flags":["X"]}}"#,
                "{}",
                "process.scheduler.flags[0]",
            ),
            (
                r#"{"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":8}}"#,
                "{}",
                "process.ioPriority.priority",
            ),
            (r#"{"ioPriority":{"class":"BE"}}"#, "{}", "process.ioPriority.class"),
            (r#"{"execCPUAffinity":{"final":"1-"}}"#, "{}", "process.execCPUAffinity.final"),
            ("{}", r#"{"personality":{"domain":"BSD"}}"#, "linux.personality.domain"),
            ("{}", r#"{"memoryPolicy":{"nodes":"0"}}"#, "linux.memoryPolicy.mode"),
            ("{}", r#"{"memoryPolicy":{"mode":"MPOL_BIND"}}"#, "linux.memoryPolicy.nodes"),
            (
                "{}",
                r#"{"memoryPolicy":{"mode":"MPOL_LOCAL","nodes":"0"}}"#,
                "linux.memoryPolicy.nodes",
            ),
        ] {
            let e = planned(process, linux).unwrap_err().to_string();
            assert!(e.starts_with(&format!("config.json: {field}: ")), "{e}");
        }
    }
}
