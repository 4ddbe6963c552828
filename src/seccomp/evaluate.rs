//! What a profile says about a call, worked out rule by rule.
//!
//! The plainest reading of the rules in [`super`]: no ranges, no trees, no
//! program. The compiler is right where it says the same; and a person who
//! wants to know why a call is refused gets the rule from here.

use super::ConfigError;
use super::action::{Action, Operator};
use super::arch::{Arch, X32_BIT};
use super::interpret::Call;
use super::policy::{Condition, Policy};
use super::table::{Row, multiplexed};
use crate::spec::seccomp::Seccomp;

/// The answer to a call, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict<'a> {
    pub(crate) action: Action,
    pub(crate) why: Why<'a>,
}

/// Where an answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why<'a> {
    /// `syscalls[rule]`, for its `name`.
    Rule { rule: usize, name: &'a str },
    /// No rule matches: the default action.
    Default,
    /// The profile does not list the architecture.
    ForeignArch,
    /// The number is larger than `last`, the largest that the profile names.
    New { last: u32 },
}

/// A name of a rule, with its number on an architecture.
struct Entry<'a> {
    arch: Arch,
    number: u32,
    /// What argument 0 must be for `socketcall` or `ipc` to stand for the call.
    multiplexed: Option<u64>,
    rule: usize,
    name: &'a str,
}

/// A profile with its names looked up.
pub(crate) struct Evaluator<'a> {
    policy: Policy<'a>,
    entries: Vec<Entry<'a>>,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(profile: &'a Seccomp, native: Arch) -> Result<Self, ConfigError> {
        let policy = Policy::new(profile, native)?;
        let mut entries = Vec::new();
        for (rule, syscall) in profile.syscalls.iter().enumerate() {
            for name in &syscall.names {
                for arch in &policy.arches {
                    entries.extend(look_up(*arch, name, rule));
                }
            }
        }
        Ok(Self { policy, entries })
    }

    /// The architecture whose call it is, if the profile lists it.
    pub(crate) fn arch_of(&self, call: &Call) -> Option<Arch> {
        let listed = |arch: Arch| self.policy.arches.contains(&arch).then_some(arch);
        if call.arch != Arch::X86_64.token() {
            return self.policy.arches.iter().copied().find(|arch| arch.token() == call.arch);
        }
        let skipped_by_tracer = call.number == u32::MAX;
        if call.number >= X32_BIT && !skipped_by_tracer {
            // With x32 listed, bit 31 makes no difference: no rule is about
            // such a number.
            listed(Arch::X32)
        } else if skipped_by_tracer {
            listed(Arch::X86_64).or(listed(Arch::X32))
        } else {
            listed(Arch::X86_64)
        }
    }

    /// What the filter answers to `call`.
    pub(crate) fn verdict(&self, call: &Call) -> Verdict<'a> {
        if let Some(last) = self.newest_before(call) {
            return Verdict { action: Action::NO_SUCH_CALL, why: Why::New { last } };
        }
        let Some(arch) = self.arch_of(call) else {
            return Verdict { action: Action::KILL_THREAD, why: Why::ForeignArch };
        };
        let about = |entry: &&Entry| {
            let matters = self.policy.rules[entry.rule].action != self.policy.default;
            matters && entry.arch == arch && entry.number == call.number
        };
        let free = |entry: &&Entry| {
            entry.multiplexed.is_none() && self.policy.rules[entry.rule].conditions.is_empty()
        };
        let mut entries = self.entries.iter().filter(about);
        let found = self.entries.iter().filter(about).find(free);
        match found.or_else(|| entries.find(|entry| self.holds(entry, arch, call))) {
            Some(entry) => Verdict {
                action: self.policy.rules[entry.rule].action,
                why: Why::Rule { rule: entry.rule, name: entry.name },
            },
            None => Verdict { action: self.policy.default, why: Why::Default },
        }
    }

    /// The largest number that the profile names, where the call's is larger
    /// and so gets `ENOSYS`. As in runc, which looks at this first of all, only
    /// bit 30 tells x32 from `x86_64` here.
    fn newest_before(&self, call: &Call) -> Option<u32> {
        if self.policy.default.lets_through() {
            return None;
        }
        let is_x32 = call.arch == Arch::X32.token() && call.number & X32_BIT != 0;
        let mine =
            |entry: &&Entry| entry.arch.token() == call.arch && (entry.arch == Arch::X32) == is_x32;
        let last = self.entries.iter().filter(mine).map(|entry| entry.number).max()?;
        let s390 = [Arch::S390, Arch::S390x].iter().any(|arch| arch.token() == call.arch);
        (last > 0 && (call.number > last || (s390 && call.number == 0))).then_some(last)
    }

    fn holds(&self, entry: &Entry, arch: Arch, call: &Call) -> bool {
        if entry.multiplexed.is_some_and(|number| word(arch, call.args[0]) != number) {
            return false;
        }
        let conditions = &self.policy.rules[entry.rule].conditions;
        let mut outcomes = conditions.iter().map(|condition| {
            let replaced = entry.multiplexed.is_some() && condition.index == 0;
            replaced || matches(*condition, arch, call)
        });
        let about = |index| conditions.iter().filter(|condition| condition.index == index).count();
        if (0..6).any(|index| about(index) > 1) {
            outcomes.any(|holds| holds)
        } else {
            outcomes.all(|holds| holds)
        }
    }
}

fn look_up(arch: Arch, name: &str, rule: usize) -> impl Iterator<Item = Entry<'_>> {
    let number = |name| Row::find(name).and_then(|row| row.number(arch));
    let direct = number(name).map(|number| (number, None));
    let by = multiplexed(name).filter(|_| arch.multiplexes());
    let by = by.and_then(|(by, call)| Some((number(by)?, Some(u64::from(call)))));
    direct.into_iter().chain(by).map(move |(number, multiplexed)| Entry {
        arch,
        number,
        multiplexed,
        rule,
        name,
    })
}

/// What is compared of a value.
fn word(arch: Arch, value: u64) -> u64 {
    if arch.is_64_bit() { value } else { value & u64::from(u32::MAX) }
}

fn matches(condition: Condition, arch: Arch, call: &Call) -> bool {
    let arg = word(arch, call.args[usize::from(condition.index)]);
    let value = word(arch, condition.value);
    match condition.operator {
        Operator::Ne => arg != value,
        Operator::Lt => arg < value,
        Operator::Le => arg <= value,
        Operator::Eq => arg == value,
        Operator::Ge => arg >= value,
        Operator::Gt => arg > value,
        // Bits of valueTwo outside the mask do not count, as in libseccomp.
        Operator::MaskedEq => arg & value == condition.value_two & value,
    }
}
