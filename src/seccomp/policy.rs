//! A profile that has been checked, its words turned into values.

use super::ConfigError;
use super::action::{Action, Operator};
use super::arch::Arch;
use crate::spec::seccomp::{Arg, Seccomp, Syscall};

/// A profile, checked, for a native architecture.
#[derive(Debug)]
pub(crate) struct Policy<'a> {
    /// Answer to a call that no rule matches.
    pub(crate) default: Action,
    /// The native architecture, then the others that may make calls.
    pub(crate) arches: Vec<Arch>,
    /// The rules, as many and in the same order as `syscalls` in the profile.
    pub(crate) rules: Vec<Rule<'a>>,
    /// `SECCOMP_FILTER_FLAG_*` for seccomp(2).
    pub(crate) flags: u32,
}

/// A rule of the profile.
#[derive(Debug)]
pub(crate) struct Rule<'a> {
    pub(crate) names: &'a [String],
    pub(crate) action: Action,
    pub(crate) conditions: Vec<Condition>,
}

/// A condition on an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Condition {
    /// 0 to 5.
    pub(crate) index: u8,
    pub(crate) operator: Operator,
    /// What to compare with; the mask of [`Operator::MaskedEq`].
    pub(crate) value: u64,
    /// What the masked argument must be.
    pub(crate) value_two: u64,
}

/// Names and bits of linux/seccomp.h. Every thread of a container's init is
/// its only one, so `TSYNC` asks for what is so anyway; passed on, the kernel
/// would refuse it together with a listener.
const FLAGS: [(&str, u32); 4] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", 0),
    ("SECCOMP_FILTER_FLAG_LOG", 1 << 1),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", SPEC_ALLOW),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", WAIT_KILLABLE_RECV),
];

pub(super) const SPEC_ALLOW: u32 = 1 << 2;
const NEW_LISTENER: u32 = 1 << 3;
const WAIT_KILLABLE_RECV: u32 = 1 << 5;

/// The names of flags that a profile may use.
fn flag_names() -> impl Iterator<Item = &'static str> {
    FLAGS.into_iter().map(|(name, _)| name)
}

/// Each flag with the bits to ask the kernel for, to find out whether it knows
/// the flag.
pub(crate) fn flag_requests() -> impl Iterator<Item = (&'static str, u32)> {
    FLAGS.into_iter().map(|(name, flag)| match flag {
        WAIT_KILLABLE_RECV => (name, flag | NEW_LISTENER),
        _ => (name, flag),
    })
}

/// The names of the flags in `flags`, without the listener's.
pub(crate) fn flag_names_of(flags: u32) -> impl Iterator<Item = &'static str> {
    FLAGS.into_iter().filter(move |(_, flag)| flags & flag != 0).map(|(name, _)| name)
}

impl<'a> Policy<'a> {
    /// Checks `profile`; the error names the first field that is wrong.
    pub(crate) fn new(profile: &'a Seccomp, native: Arch) -> Result<Self, ConfigError> {
        let default = default_action(profile)?;
        let arches = arches(&profile.architectures, native)?;
        let rules: Vec<_> = (0..)
            .zip(&profile.syscalls)
            .map(|(i, syscall)| rule(i, syscall))
            .collect::<Result<_, _>>()?;
        let notify = rules.iter().any(|rule| rule.action == Action::NOTIFY);
        check_listener(profile, notify)?;
        let flags = flags(profile.flags.as_deref(), notify)?;
        Ok(Self { default, arches, rules, flags })
    }

    /// Whether some call is answered by the agent at `listenerPath`.
    pub(crate) fn has_listener(&self) -> bool {
        self.flags & NEW_LISTENER != 0
    }

    /// Whether calls newer than all that the profile names get `ENOSYS`: a
    /// program that tries a new call then falls back to an old one, where
    /// `EPERM` or death would say that it may not do so at all.
    pub(crate) fn hides_new_calls(&self) -> bool {
        !self.default.lets_through()
    }
}

fn error<T>(field: &str, rule: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError { field: format!("linux.seccomp.{field}"), rule: rule.into() })
}

fn default_action(profile: &Seccomp) -> Result<Action, ConfigError> {
    match Action::parse(&profile.default_action, profile.default_errno_ret) {
        Ok(Action::NOTIFY) => error(
            "defaultAction",
            "SCMP_ACT_NOTIFY would stop the container's init before anyone listens",
        ),
        Ok(action) => Ok(action),
        Err((false, rule)) => error("defaultAction", rule),
        Err((true, rule)) => error("defaultErrnoRet", rule),
    }
}

fn arches(names: &[String], native: Arch) -> Result<Vec<Arch>, ConfigError> {
    let mut arches = vec![native];
    for (i, name) in names.iter().enumerate() {
        let Some(arch) = Arch::from_name(name) else {
            return error(
                &format!("architectures[{i}]"),
                format!("{name:?} is no architecture of the runtime-spec"),
            );
        };
        if !arches.contains(&arch) {
            arches.push(arch);
        }
    }
    Ok(arches)
}

fn rule(i: usize, syscall: &Syscall) -> Result<Rule<'_>, ConfigError> {
    let field = |name: &str| format!("syscalls[{i}].{name}");
    let action = match Action::parse(&syscall.action, syscall.errno_ret) {
        Ok(action) => action,
        Err((false, rule)) => return error(&field("action"), rule),
        Err((true, rule)) => return error(&field("errnoRet"), rule),
    };
    check_names(i, &syscall.names, action)?;
    let conditions = (0..)
        .zip(&syscall.args)
        .map(|(j, arg)| condition(arg, || field(&format!("args[{j}]"))))
        .collect::<Result<_, _>>()?;
    Ok(Rule { names: &syscall.names, action, conditions })
}

fn check_names(i: usize, names: &[String], action: Action) -> Result<(), ConfigError> {
    if names.is_empty() {
        return error(&format!("syscalls[{i}].names"), "must have at least one name");
    }
    for (j, name) in names.iter().enumerate() {
        if name.is_empty() {
            return error(&format!("syscalls[{i}].names[{j}]"), "must not be empty");
        }
        if action == Action::NOTIFY && name == "write" {
            return error(
                &format!("syscalls[{i}].names[{j}]"),
                "SCMP_ACT_NOTIFY on write would stop the container's init, which hands over \
                 the listener with it",
            );
        }
    }
    Ok(())
}

fn condition(arg: &Arg, field: impl Fn() -> String) -> Result<Condition, ConfigError> {
    let Some(index) = u8::try_from(arg.index).ok().filter(|index| *index <= 5) else {
        let rule = format!("{} is over 5, the last argument of a system call", arg.index);
        return error(&format!("{}.index", field()), rule);
    };
    match Operator::parse(&arg.op) {
        Ok(operator) => {
            Ok(Condition { index, operator, value: arg.value, value_two: arg.value_two })
        }
        Err(rule) => error(&format!("{}.op", field()), rule),
    }
}

fn check_listener(profile: &Seccomp, notify: bool) -> Result<(), ConfigError> {
    let set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let path = set(&profile.listener_path);
    if notify && !path {
        return error("listenerPath", "must be set when a rule has SCMP_ACT_NOTIFY");
    }
    if set(&profile.listener_metadata) && !path {
        return error("listenerMetadata", "must not be set without listenerPath");
    }
    Ok(())
}

fn flags(names: Option<&[String]>, notify: bool) -> Result<u32, ConfigError> {
    let mut flags = if notify { NEW_LISTENER } else { 0 };
    let Some(names) = names else { return Ok(flags | SPEC_ALLOW) };
    for (i, name) in names.iter().enumerate() {
        match FLAGS.into_iter().find(|(known, _)| known == name) {
            Some((_, WAIT_KILLABLE_RECV)) if !notify => {
                let rule = format!("{name} needs a rule with SCMP_ACT_NOTIFY");
                return error(&format!("flags[{i}]"), rule);
            }
            Some((_, flag)) => flags |= flag,
            None => {
                let known = flag_names().collect::<Vec<_>>().join(", ");
                return error(&format!("flags[{i}]"), format!("{name:?} is none of {known}"));
            }
        }
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(json: &str) -> Seccomp {
        serde_json::from_str(json).unwrap()
    }

    fn told(json: &str) -> String {
        let e = Policy::new(&profile(json), Arch::X86_64).unwrap_err();
        format!("{}: {}", e.field, e.rule)
    }

    /// A profile that is right but for `extra`.
    fn with(extra: &str) -> String {
        format!(r#"{{"defaultAction":"SCMP_ACT_ERRNO",{extra}}}"#)
    }

    #[test]
    fn errors_name_their_field() {
        for (extra, field) in [
            (r#""architectures":["SCMP_ARCH_X86","X32"]"#, "architectures[1]"),
            (r#""flags":["SECCOMP_FILTER_FLAG_NEW_LISTENER"]"#, "flags[0]"),
            (r#""syscalls":[{"names":[],"action":"SCMP_ACT_ALLOW"}]"#, "syscalls[0].names"),
            (
                r#""syscalls":[{"names":["a",""],"action":"SCMP_ACT_ALLOW"}]"#,
                "syscalls[0].names[1]",
            ),
            (r#""syscalls":[{"names":["a"],"action":"ALLOW"}]"#, "syscalls[0].action"),
            (
                r#""syscalls":[{"names":["a"],"action":"SCMP_ACT_ALLOW","errnoRet":1}]"#,
                "syscalls[0].errnoRet",
            ),
            (
                r#""syscalls":[{"names":["a"],"action":"SCMP_ACT_ALLOW","args":[{"op":"SCMP_CMP_EQ"},{"index":6,"op":"SCMP_CMP_EQ"}]}]"#,
                "syscalls[0].args[1].index",
            ),
            (
                r#""syscalls":[{"names":["a"],"action":"SCMP_ACT_ALLOW","args":[{"op":"="}]}]"#,
                "syscalls[0].args[0].op",
            ),
            (r#""listenerMetadata":"x""#, "listenerMetadata"),
            (r#""defaultErrnoRet":4096"#, "defaultErrnoRet"),
        ] {
            let told = told(&with(extra));
            assert!(told.starts_with(&format!("linux.seccomp.{field}: ")), "{told}");
        }
        assert!(told("{}").starts_with("linux.seccomp.defaultAction: \"\" is none of "));
    }

    /// Without these, the container's init would wait for an agent that waits
    /// for the container's init.
    #[test]
    fn notify_is_refused_where_nobody_could_answer() {
        assert!(
            told(r#"{"defaultAction":"SCMP_ACT_NOTIFY","listenerPath":"/l"}"#).contains("init")
        );
        let write = r#""listenerPath":"/l","syscalls":[{"names":["read","write"],"action":"SCMP_ACT_NOTIFY"}]"#;
        assert!(told(&with(write)).starts_with("linux.seccomp.syscalls[0].names[1]: "));
        let nowhere = r#""syscalls":[{"names":["read"],"action":"SCMP_ACT_NOTIFY"}]"#;
        assert!(told(&with(nowhere)).starts_with("linux.seccomp.listenerPath: "));
    }

    /// Bits of linux/seccomp.h; what runc logs as `seccomp filter flags`.
    #[test]
    fn flags_are_those_of_the_kernel() {
        let notify =
            r#","listenerPath":"/l","syscalls":[{"names":["read"],"action":"SCMP_ACT_NOTIFY"}]"#;
        for (flags, rules, bits) in [
            ("null", "", 4),
            ("[]", "", 0),
            (r#"["SECCOMP_FILTER_FLAG_TSYNC"]"#, "", 0),
            (r#"["SECCOMP_FILTER_FLAG_LOG"]"#, "", 2),
            (r#"["SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_SPEC_ALLOW"]"#, "", 6),
            ("null", notify, 12),
            ("[]", notify, 8),
            (r#"["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]"#, notify, 40),
        ] {
            let profile = profile(&with(&format!(r#""flags":{flags}{rules}"#)));
            let policy = Policy::new(&profile, Arch::X86_64).unwrap();
            assert_eq!((policy.flags, policy.has_listener()), (bits, !rules.is_empty()), "{flags}");
        }
        let killable = r#""flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]"#;
        assert!(told(&with(killable)).starts_with("linux.seccomp.flags[0]: "));
    }

    #[test]
    fn the_native_architecture_is_always_there_and_first() {
        let text = with(r#""architectures":["SCMP_ARCH_X86","SCMP_ARCH_X86_64","SCMP_ARCH_X86"]"#);
        let profile = profile(&text);
        let policy = Policy::new(&profile, Arch::X86_64).unwrap();
        assert_eq!(policy.arches, [Arch::X86_64, Arch::X86]);
    }
}
