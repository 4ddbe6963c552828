//! The words for what the container's init could not do.
//!
//! Init sends numbers; the runtime has the same plan, and says which mount,
//! which path and which field of `config.json` they stand for.

use std::ffi::{CStr, CString};

use super::wire::Message;
use crate::error::words;
use crate::init::step::Step;
use crate::plan::{Bind, Kind, Mount, NewContainer, Plan};
use crate::sys::Errno;

const SECCOMP: &str = "config.json: linux.seccomp: load the filter";

/// Words a failure of `create`.
pub(crate) fn describe(plan: &Plan, step: Step, item: u16, errno: i32, text: &str) -> String {
    let index = usize::from(item);
    let text = match plan.mounts().get(index) {
        Some(mount) if step == Step::Mount && errno == Errno::PERM.raw_os_error() => {
            user_namespace_words(mount).unwrap_or(text)
        }
        _ => text,
    };
    if let Some(words) = plan.container.as_ref().and_then(|new| new_words(new, step, index)) {
        return with_cause(&words, errno, text);
    }
    let doing = match step {
        Step::JoinNamespace => match plan.namespaces.join.get(index) {
            Some(join) => format!("config.json: {}: join namespace {:?}", join.field, join.path),
            None => "join a namespace".to_owned(),
        },
        Step::Device => return device_words(plan, index, errno),
        Step::CreateContainer => return hook_words("createContainer", index, errno, text),
        Step::StartContainer => return hook_words("startContainer", index, errno, text),
        Step::Cwd | Step::Chdir => format!(
            "chdir to cwd {} set in config.json: process.cwd",
            quoted(Some(&plan.process.cwd))
        ),
        Step::OutsideRoot => {
            return "current working directory is outside of container mount namespace root -- possible container breakout detected".to_owned();
        }
        Step::Console => "set up the console".to_owned(),
        Step::Rlimit => rlimit_words(plan, index),
        Step::OomScoreAdj => format!(
            "config.json: process.oomScoreAdj: set to {}",
            plan.process.oom_score_adj.as_deref().unwrap_or_default()
        ),
        Step::Scheduler
        | Step::IoPriority
        | Step::Personality
        | Step::MemoryPolicy
        | Step::ApparmorProfile
        | Step::SelinuxLabel
        | Step::KeyLabel
        | Step::Affinity => attribute_words(plan, step, errno),
        Step::UserNamespace => "wait for the ids of the user namespace".to_owned(),
        Step::BecomeRoot => "become root (uid 0, gid 0) of the user namespace".to_owned(),
        Step::Unshare => "make namespaces in the user namespace".to_owned(),
        Step::TimeOffsets => "config.json: linux.timeOffsets: enter the time namespace".to_owned(),
        Step::SteppingStone => "clone into the container's namespaces".to_owned(),
        Step::Ids if errno == Errno::INVAL.raw_os_error() => {
            let who = &plan.process.credentials;
            let (name, id) = if index == 0 { ("gid", who.gid) } else { ("uid", who.uid) };
            return format!(
                "config.json: process.user.{name}: cannot set{name} to unmapped {name} {id} in user namespace"
            );
        }
        Step::Groups => "config.json: process.user.additionalGids: set the groups".to_owned(),
        Step::Ids => format!(
            "config.json: process.user: become {}:{}",
            plan.process.credentials.uid, plan.process.credentials.gid
        ),
        Step::Bounding | Step::Capabilities | Step::Ambient => {
            "config.json: process.capabilities: unable to apply caps".to_owned()
        }
        Step::Seccomp => SECCOMP.to_owned(),
        Step::LookUp | Step::Exec => {
            return exec_words(
                plan.process.argv.strings().first().map(CString::as_c_str),
                step,
                errno,
            );
        }
        other => other.name().replace('-', " "),
    };
    with_cause(&doing, errno, text)
}

/// The words for a step that only a new container has.
fn new_words(plan: &NewContainer, step: Step, index: usize) -> Option<String> {
    Some(match step {
        Step::Hostname => {
            format!("config.json: hostname: set to {}", quoted(plan.hostname.as_deref()))
        }
        Step::Domainname => {
            format!("config.json: domainname: set to {}", quoted(plan.domainname.as_deref()))
        }
        Step::Sysctl => plan.sysctl.get(index).map(|write| {
            format!(
                "config.json: linux.sysctl: write {:?} to \"/proc/{}\"",
                String::from_utf8_lossy(&write.value),
                write.file.to_string_lossy()
            )
        })?,
        Step::Propagation => "change the propagation of the mounts".to_owned(),
        Step::Rootfs => format!("mount rootfs {}", quoted(Some(&plan.rootfs.path))),
        Step::MountTarget | Step::Mount | Step::CopyUp => mount_words(plan, step, index),
        Step::Dev => "open \"/dev\" in the rootfs".to_owned(),
        Step::Null => "open \"/dev/null\" in the container, to mask paths with it".to_owned(),
        Step::Mask => format!("mask path {}", quoted_root(plan.rootfs.masked.get(index))),
        Step::ReadonlyPath => {
            format!("make path {} read-only", quoted_root(plan.rootfs.readonly_paths.get(index)))
        }
        Step::Readonly => "make the rootfs read-only".to_owned(),
        Step::Pivot => format!("make {} the root", quoted(Some(&plan.rootfs.path))),
        _ => return None,
    })
}

/// The words for a program that cannot be executed; engines match them.
pub(crate) fn exec_words(program: Option<&CStr>, step: Step, errno: i32) -> String {
    let program = quoted(program);
    match Errno::from_raw_os_error(errno) {
        Errno::NOENT if step == Step::LookUp => {
            format!("exec: {program}: executable file not found in $PATH")
        }
        errno => format!("exec: {program}: {}", words(errno)),
    }
}

/// The words for what failed after `create`, for which `start` has no plan.
pub(crate) fn start_words(program: &str, message: Message, text: &str) -> String {
    match Step::of(message) {
        Some(step @ (Step::Exec | Step::LookUp)) => {
            let program = CString::new(program).unwrap_or_default();
            exec_words(Some(&program), step, message.errno)
        }
        Some(Step::StartContainer) => {
            hook_words("startContainer", usize::from(message.item), message.errno, text)
        }
        Some(Step::Seccomp) => with_cause(SECCOMP, message.errno, text),
        Some(step) => with_cause(&step.name().replace('-', " "), message.errno, text),
        None => format!("unknown step {}", message.step),
    }
}

fn mount_words(plan: &NewContainer, step: Step, index: usize) -> String {
    let Some(mount) = plan.rootfs.mounts.get(index) else { return "mount".to_owned() };
    let target = mount.target.to_string_lossy();
    let what = match &mount.kind {
        Kind::Bind(Bind { source, .. }) => source.to_string_lossy(),
        Kind::Filesystem(fs) => fs.fstype.to_string_lossy(),
        Kind::Remount(_) => "remount".into(),
        Kind::Cgroup1 { .. } | Kind::Cgroup2 { .. } => "cgroup".into(),
    };
    match step {
        Step::MountTarget => {
            format!("config.json: mounts[{index}]: open or make mount point \"/{target}\"")
        }
        Step::CopyUp => format!("config.json: mounts[{index}]: copy up into \"/{target}\""),
        _ => format!("config.json: mounts[{index}]: mount {what:?} at \"/{target}\""),
    }
}

/// What the kernel refuses in a user namespace; of flags, in runc's words.
fn user_namespace_words(mount: &Mount) -> Option<&'static str> {
    match &mount.kind {
        Kind::Bind(_) | Kind::Remount(_) if mount.attr.clear | mount.tree.clear != 0 => {
            Some("cannot clear locked flags")
        }
        Kind::Filesystem(fs) if fs.on_real_directory => {
            Some("in a user namespace only where no part of the runtime's own is covered")
        }
        _ => None,
    }
}

/// The words for scheduling, memory policy and labels.
fn attribute_words(plan: &Plan, step: Step, errno: i32) -> String {
    let (attributes, labels) = (&plan.process.attributes, &plan.process.labels);
    match step {
        Step::Scheduler
            if attributes.has_cpuset && Errno::from_raw_os_error(errno) == Errno::PERM =>
        {
            "config.json: process.scheduler: can't be used together with linux.resources.cpu.cpus"
                .to_owned()
        }
        Step::Affinity => "config.json: process.execCPUAffinity: set the CPUs".to_owned(),
        Step::Scheduler => "config.json: process.scheduler: set the scheduling policy".to_owned(),
        Step::IoPriority => "config.json: process.ioPriority: set the I/O priority".to_owned(),
        Step::Personality => "config.json: linux.personality: set the personality".to_owned(),
        Step::MemoryPolicy => "config.json: linux.memoryPolicy: set the memory policy".to_owned(),
        // Podman looks for the path in backquotes.
        Step::ApparmorProfile => format!(
            "config.json: process.apparmorProfile: write {} to `/proc/self/attr/apparmor/exec`",
            quoted(labels.apparmor.as_deref())
        ),
        Step::SelinuxLabel => format!(
            "config.json: process.selinuxLabel: write {} to `/proc/self/attr/exec`",
            quoted(labels.selinux.as_deref())
        ),
        _ => format!(
            "config.json: process.selinuxLabel: write {} to `/proc/self/attr/keycreate`",
            quoted(labels.keys.as_deref())
        ),
    }
}

/// The words for a limit of `process.rlimits`.
fn rlimit_words(plan: &Plan, index: usize) -> String {
    let Some((resource, limit)) = plan.process.rlimits.get(index) else {
        return "set a resource limit".to_owned();
    };
    let value = |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |v| v.to_string());
    format!(
        "config.json: process.rlimits[{index}]: set RLIMIT_{} to {}:{}",
        format!("{resource:?}").to_uppercase(),
        value(limit.current),
        value(limit.maximum)
    )
}

fn device_words(plan: &Plan, index: usize, errno: i32) -> String {
    let devices = plan.container.as_ref().map(|new| &new.rootfs.devices);
    let path = devices.and_then(|list| list.get(index)).map(|node| &node.path);
    let path = quoted_root(path);
    match Errno::from_raw_os_error(errno) {
        Errno::EXIST => {
            format!("config.json: linux.devices: {path} exists in the rootfs and is another file")
        }
        errno => format!("make device {path}: {}", words(errno)),
    }
}

fn hook_words(kind: &str, index: usize, errno: i32, text: &str) -> String {
    let cause = match errno {
        status if status < 0 => wait_words(-status),
        errno if errno == Errno::TIMEDOUT.raw_os_error() => "timed out and was killed".to_owned(),
        errno => words(Errno::from_raw_os_error(errno)),
    };
    let output =
        if text.trim().is_empty() { String::new() } else { format!(", output: {:?}", text.trim()) };
    format!("error running {kind} hook #{index}: {cause}{output}")
}

/// The words for a wait status.
pub(crate) fn wait_words(status: i32) -> String {
    match status & 0x7f {
        0 => format!("exit status {}", status >> 8 & 0xff),
        signal => format!("killed by signal {signal}"),
    }
}

fn with_cause(doing: &str, errno: i32, text: &str) -> String {
    let cause = words(Errno::from_raw_os_error(errno));
    match text.trim() {
        "" => format!("{doing}: {cause}"),
        text => format!("{doing}: {cause} ({text})"),
    }
}

fn quoted(text: Option<&CStr>) -> String {
    format!("{:?}", text.map(CStr::to_string_lossy).unwrap_or_default())
}

fn quoted_root(path: Option<&CString>) -> String {
    format!("\"/{}\"", path.map(|p| p.to_string_lossy()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Docker gives 127 and 126 for these.
    #[test]
    fn exec_words_are_those_that_engines_match() {
        let program = Some(c"x");
        let noent = Errno::NOENT.raw_os_error();
        assert_eq!(
            exec_words(program, Step::LookUp, noent),
            r#"exec: "x": executable file not found in $PATH"#
        );
        assert_eq!(
            exec_words(program, Step::Exec, noent),
            r#"exec: "x": no such file or directory"#
        );
        assert_eq!(
            exec_words(program, Step::Exec, Errno::ACCESS.raw_os_error()),
            r#"exec: "x": permission denied"#
        );
        assert_eq!(
            exec_words(program, Step::Exec, Errno::ISDIR.raw_os_error()),
            r#"exec: "x": is a directory"#
        );
    }
}
