//! `exec`: one more process in a container that is there.

use super::credentials::SYS_ADMIN;
use super::namespaces::{
    CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, Join, KINDS, Namespaces, User, mount_last,
};
use super::{Options, Plan, keyring, process};
use crate::error::{Error, Result};
use crate::spec;

/// What the command line says of the process; what it leaves out is as
/// `config.json` has it for the container's own.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) args: Vec<String>,
    pub(crate) terminal: bool,
    pub(crate) cwd: Option<String>,
    pub(crate) env: Vec<String>,
    /// `UID[:GID]`.
    pub(crate) user: Option<String>,
    pub(crate) additional_gids: Vec<u32>,
    pub(crate) capabilities: Vec<String>,
    pub(crate) no_new_privileges: bool,
    pub(crate) apparmor: Option<String>,
    pub(crate) label: Option<String>,
}

/// Plans `config.process` for the container of `config`, whose init is `init`;
/// its namespaces are entered `by_pidfd`, or by their paths.
pub(crate) fn for_exec(
    config: &spec::Config,
    init: i32,
    by_pidfd: bool,
    options: &Options,
) -> Result<Plan> {
    let privileged = options.capabilities & SYS_ADMIN != 0;
    let namespaces = join_all(config.linux(), init, privileged, by_pidfd);
    Ok(Plan {
        opens_sources: false,
        privileged,
        rootless: options.rootless,
        cgroup_owner: None,
        keyring: (!options.no_new_keyring).then(|| keyring(&options.id)).transpose()?,
        container: None,
        process: process::plan(config, options, &namespaces)?,
        namespaces,
        preserve_fds: options.preserve_fds,
    })
}

/// All namespaces by one descriptor, of init (`setns(2)`, Linux 5.8), or by one
/// each: the pid namespace by the parent, the others by the child.
/// An ordinary user may enter a pid namespace only from within the user
/// namespace that it belongs to, and so by a process in between.
fn join_all(linux: &spec::Linux, init: i32, privileged: bool, by_pidfd: bool) -> Namespaces {
    let has = |word: &str| linux.namespaces.iter().any(|namespace| namespace.kind == word);
    let own = KINDS.iter().filter(|(word, ..)| has(word));
    let kinds = own.clone().fold(0, |all, (_, flag, _)| all | flag);
    let join = |kind, path| Join { kind, path, field: "linux.namespaces".to_owned() };
    let join = |kinds: u64| {
        if by_pidfd {
            let path = format!("/proc/{init}/ns");
            return if kinds == 0 { Vec::new() } else { vec![join(kinds, path)] };
        }
        let each = own.clone().filter(|(_, flag, _)| kinds & flag != 0);
        let mut each: Vec<_> =
            each.map(|(_, flag, name)| join(*flag, format!("/proc/{init}/ns/{name}"))).collect();
        mount_last(&mut each);
        each
    };
    let user = if kinds & CLONE_NEWUSER == 0 { User::Own } else { User::Joined(None) };
    if user != User::Own && kinds & CLONE_NEWPID != 0 && !privileged {
        return Namespaces {
            user,
            stepping_stone: true,
            join: join(kinds),
            ..Namespaces::default()
        };
    }
    Namespaces {
        user,
        join_before_clone: join(kinds & CLONE_NEWPID),
        join: join(kinds & !CLONE_NEWPID),
        ..Namespaces::default()
    }
}

/// Whether a pidfd of init stands for what is to be entered.
pub(crate) fn is_by_pidfd(join: &Join) -> bool {
    join.path.ends_with("/ns")
}

/// Whether the container has a mount namespace, and so a root, of its own.
pub(crate) fn has_mount_namespace(plan: &Plan) -> bool {
    plan.namespaces.has(CLONE_NEWNS)
}

/// Changes the container's own process into the one that is asked for.
pub(crate) fn change(process: &mut spec::Process, changes: Changes) -> Result<()> {
    if let Some(user) = &changes.user {
        let (uid, gid) = match user.split_once(':') {
            Some((uid, gid)) => (uid, Some(gid)),
            None => (user.as_str(), None),
        };
        process.user.uid = id("--user", uid)?;
        if let Some(gid) = gid {
            process.user.gid = id("--user", gid)?;
        }
    }
    process.user.additional_gids.extend(changes.additional_gids);
    process.args = changes.args;
    process.terminal = changes.terminal;
    process.no_new_privileges |= changes.no_new_privileges;
    process.env.extend(changes.env);
    process.cwd = changes.cwd.unwrap_or_else(|| std::mem::take(&mut process.cwd));
    process.apparmor_profile = changes.apparmor.or_else(|| process.apparmor_profile.take());
    process.selinux_label = changes.label.or_else(|| process.selinux_label.take());
    if !changes.capabilities.is_empty() {
        add(process.capabilities.get_or_insert_default(), &changes.capabilities);
    }
    Ok(())
}

/// Inheritable ones are never added (CVE-2022-29162), and ambient ones cannot
/// be without them.
fn add(sets: &mut spec::Capabilities, names: &[String]) {
    sets.bounding.extend_from_slice(names);
    sets.effective.extend_from_slice(names);
    sets.permitted.extend_from_slice(names);
    if !sets.inheritable.is_empty() {
        sets.ambient.extend_from_slice(names);
    }
}

/// A user or group id: digits only, and none that means "leave it as it is"
/// (CVE-2026-30892).
pub(crate) fn id(flag: &str, text: &str) -> Result<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits && number != u32::MAX => Ok(number),
        _ => Err(Error::Broken {
            what: flag.to_owned(),
            why: format!("{text:?} is not an id (a number from 0 to 4294967294)"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbers_in_range() {
        assert_eq!(id("--user", "1").unwrap(), 1);
        assert_eq!(id("--user", "4294967294").unwrap(), u32::MAX - 1);
        for bad in ["", "-1", "+1", "4294967295", "4294967296", "root", "1 ", "0x1"] {
            assert!(id("--user", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn added_capabilities_are_never_inheritable() {
        let kill = || vec!["CAP_KILL".to_owned()];
        let mut process = spec::Process::default();
        change(&mut process, Changes { capabilities: kill(), ..Changes::default() }).unwrap();
        let sets = process.capabilities.unwrap();
        assert_eq!((&sets.bounding, &sets.effective, &sets.permitted), (&kill(), &kill(), &kill()));
        assert!(sets.inheritable.is_empty() && sets.ambient.is_empty());
    }

    #[test]
    fn a_user_without_a_group_keeps_the_group() {
        let mut process = spec::Process::default();
        process.user.gid = 7;
        let changes = Changes { user: Some("5".into()), ..Changes::default() };
        change(&mut process, changes).unwrap();
        assert_eq!((process.user.uid, process.user.gid), (5, 7));
    }
}
