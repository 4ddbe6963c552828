//! What a filter can answer, and the operators of its conditions.

/// Answer of a filter: what seccomp(2) wants a program to return.
///
/// The upper half says what to do, the lower half is data: the errno of
/// [`Action::ERRNO`], the message of [`Action::TRACE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Action(pub(crate) u32);

/// Largest errno that the kernel returns (`MAX_ERRNO`).
const MAX_ERRNO: u32 = 4095;

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// Names and values of linux/seccomp.h.
const ACTIONS: [(&str, Action); 9] = [
    ("SCMP_ACT_KILL", Action::KILL_THREAD),
    ("SCMP_ACT_KILL_THREAD", Action::KILL_THREAD),
    ("SCMP_ACT_KILL_PROCESS", Action::KILL_PROCESS),
    ("SCMP_ACT_TRAP", Action::TRAP),
    ("SCMP_ACT_ERRNO", Action::ERRNO),
    ("SCMP_ACT_TRACE", Action::TRACE),
    ("SCMP_ACT_ALLOW", Action::ALLOW),
    ("SCMP_ACT_LOG", Action::LOG),
    ("SCMP_ACT_NOTIFY", Action::NOTIFY),
];

impl Action {
    pub(crate) const KILL_PROCESS: Self = Self(0x8000_0000);
    pub(crate) const KILL_THREAD: Self = Self(0x0000_0000);
    pub(crate) const TRAP: Self = Self(0x0003_0000);
    pub(crate) const ERRNO: Self = Self(0x0005_0000);
    pub(crate) const NOTIFY: Self = Self(0x7fc0_0000);
    pub(crate) const TRACE: Self = Self(0x7ff0_0000);
    pub(crate) const LOG: Self = Self(0x7ffc_0000);
    pub(crate) const ALLOW: Self = Self(0x7fff_0000);

    /// `ENOSYS`, for system calls that a profile is too old to know.
    pub(crate) const NO_SUCH_CALL: Self = Self(Self::ERRNO.0 | ENOSYS);

    /// The names that profiles use.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        ACTIONS.into_iter().map(|(name, _)| name)
    }

    /// The action called `name`, with `data` from `errnoRet` (`EPERM` where it
    /// is absent). The error is the rule that was broken, and whether the name
    /// (false) or the data (true) breaks it.
    pub(crate) fn parse(name: &str, data: Option<u32>) -> Result<Self, (bool, String)> {
        let found = ACTIONS.into_iter().find(|(known, _)| *known == name);
        let Some((_, action)) = found else {
            let names = Self::names().collect::<Vec<_>>().join(", ");
            return Err((false, format!("{name:?} is none of {names}")));
        };
        let limit = match action {
            Self::ERRNO => MAX_ERRNO,
            Self::TRACE => u32::from(u16::MAX),
            _ if data.is_none() => return Ok(action),
            _ => return Err((true, format!("{name} has no errno to return"))),
        };
        match data.unwrap_or(EPERM) {
            data if data <= limit => Ok(Self(action.0 | data)),
            data => Err((true, format!("{data} is over {limit}, the most for {name}"))),
        }
    }

    /// The action without its data.
    pub(crate) fn kind(self) -> Self {
        Self(self.0 & 0xffff_0000)
    }

    /// The data alone.
    pub(crate) fn data(self) -> u32 {
        self.0 & 0xffff
    }

    /// Whether calls go through, so that a program can find out for itself
    /// that the kernel lacks one. A tracer is trusted to handle it.
    pub(crate) fn lets_through(self) -> bool {
        matches!(self.kind(), Self::ALLOW | Self::LOG | Self::TRACE)
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The last of the two names of 0 says more.
        match ACTIONS.into_iter().rfind(|(_, action)| *action == self.kind()) {
            Some((name, Self::ERRNO | Self::TRACE)) => write!(f, "{name}({})", self.data()),
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{:#x}", self.0),
        }
    }
}

/// Operator of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operator {
    Ne,
    Lt,
    Le,
    Eq,
    Ge,
    Gt,
    MaskedEq,
}

const OPERATORS: [(&str, Operator); 7] = [
    ("SCMP_CMP_NE", Operator::Ne),
    ("SCMP_CMP_LT", Operator::Lt),
    ("SCMP_CMP_LE", Operator::Le),
    ("SCMP_CMP_EQ", Operator::Eq),
    ("SCMP_CMP_GE", Operator::Ge),
    ("SCMP_CMP_GT", Operator::Gt),
    ("SCMP_CMP_MASKED_EQ", Operator::MaskedEq),
];

impl Operator {
    /// The names that profiles use.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        OPERATORS.into_iter().map(|(name, _)| name)
    }

    /// The operator called `name`; the error is the rule that was broken.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        let found = OPERATORS.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, operator)| operator).ok_or_else(|| {
            format!("{name:?} is none of {}", Self::names().collect::<Vec<_>>().join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of linux/seccomp.h; `EPERM` is what runc returns by default.
    #[test]
    fn values_are_those_of_the_kernel() {
        for (name, data, value) in [
            ("SCMP_ACT_KILL", None, 0),
            ("SCMP_ACT_KILL_THREAD", None, 0),
            ("SCMP_ACT_KILL_PROCESS", None, 0x8000_0000),
            ("SCMP_ACT_TRAP", None, 0x0003_0000),
            ("SCMP_ACT_ERRNO", None, 0x0005_0001),
            ("SCMP_ACT_ERRNO", Some(0), 0x0005_0000),
            ("SCMP_ACT_ERRNO", Some(4095), 0x0005_0fff),
            ("SCMP_ACT_TRACE", None, 0x7ff0_0001),
            ("SCMP_ACT_TRACE", Some(65535), 0x7ff0_ffff),
            ("SCMP_ACT_ALLOW", None, 0x7fff_0000),
            ("SCMP_ACT_LOG", None, 0x7ffc_0000),
            ("SCMP_ACT_NOTIFY", None, 0x7fc0_0000),
        ] {
            assert_eq!(Action::parse(name, data), Ok(Action(value)), "{name} {data:?}");
        }
    }

    /// config-linux.md#seccomp: "When the action doesn't support an errno, the
    /// runtime MUST print an error and fail."
    #[test]
    fn errno_on_an_action_without_one_is_an_error() {
        for name in ["KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP", "ALLOW", "LOG", "NOTIFY"] {
            let (in_data, rule) = Action::parse(&format!("SCMP_ACT_{name}"), Some(1)).unwrap_err();
            assert!(in_data);
            assert_eq!(rule, format!("SCMP_ACT_{name} has no errno to return"));
        }
    }

    #[test]
    fn data_over_the_kernels_limit_is_an_error() {
        assert!(Action::parse("SCMP_ACT_ERRNO", Some(4096)).unwrap_err().0);
        assert!(Action::parse("SCMP_ACT_TRACE", Some(65536)).unwrap_err().0);
    }

    #[test]
    fn unknown_words_are_told_with_those_that_are_known() {
        let (in_data, rule) = Action::parse("ALLOW", None).unwrap_err();
        assert!(!in_data);
        assert!(rule.starts_with("\"ALLOW\" is none of SCMP_ACT_KILL, "), "{rule}");
        assert!(Operator::parse("==").unwrap_err().ends_with("SCMP_CMP_MASKED_EQ"));
    }

    #[test]
    fn actions_are_shown_by_name() {
        assert_eq!(Action(0x0005_0026).to_string(), "SCMP_ACT_ERRNO(38)");
        assert_eq!(Action(0).to_string(), "SCMP_ACT_KILL_THREAD");
        assert_eq!(Action(0x7fff_0000).to_string(), "SCMP_ACT_ALLOW");
    }
}
