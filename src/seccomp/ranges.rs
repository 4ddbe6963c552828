//! The answers of a policy, by ranges of system call numbers.

use super::action::{Action, Operator};
use super::arch::{Arch, X32_BIT};
use super::args::{Alternative, Words};
use super::policy::{Condition, Policy, Rule};
use super::table::{Row, multiplexed};

/// A rule, for a number that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Link {
    number: u32,
    /// Index of the rule.
    rule: usize,
    /// What argument 0 must be, where `socketcall` or `ipc` stands for the
    /// call; else 0.
    multiplexed: u8,
}

/// The numbers that a policy names on one architecture.
#[derive(Debug)]
pub(super) struct Numbers {
    pub(super) arch: Arch,
    /// Sorted, so that for one number the rules are in the profile's order.
    links: Vec<Link>,
    /// The largest of them, also of rules that change nothing.
    last: u32,
}

/// What the numbers of a range have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Answer(Action),
    /// Depends on the arguments: rules, with what argument 0 must be or 0.
    Check(Vec<(usize, u8)>, Words),
}

/// Numbers from `start` up to the start of the next range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: u32,
    pub(super) outcome: Outcome,
}

/// Looks up the names of all rules, on all architectures of the policy.
pub(super) fn numbers(policy: &Policy) -> Vec<Numbers> {
    let none = |arch: &Arch| Numbers { arch: *arch, links: Vec::new(), last: 0 };
    let mut all: Vec<_> = policy.arches.iter().map(none).collect();
    for (i, rule) in policy.rules.iter().enumerate() {
        for name in rule.names {
            let Some(row) = Row::find(name) else {
                log::debug!("seccomp: unknown system call {name:?} ignored");
                continue;
            };
            for numbers in &mut all {
                numbers.add(row, i, rule.action != policy.default);
            }
        }
    }
    for numbers in &mut all {
        numbers.links.sort_unstable();
    }
    all
}

impl Numbers {
    /// Adds what rule `rule` is about; one with the default action `matters`
    /// only for what the profile knows.
    fn add(&mut self, row: Row, rule: usize, matters: bool) {
        let mut link = |number, multiplexed| {
            self.last = self.last.max(number);
            if matters {
                self.links.push(Link { number, rule, multiplexed });
            }
        };
        if let Some(number) = row.number(self.arch) {
            link(number, 0);
        }
        if self.arch.multiplexes()
            && let Some((by, call)) = multiplexed(row.name())
            && let Some(number) = Row::find(by).and_then(|row| row.number(self.arch))
        {
            link(number, call);
        }
    }

    /// The answers to the numbers that rules are about, in order.
    fn points<'a>(&'a self, policy: &'a Policy) -> impl Iterator<Item = (u32, Outcome)> + 'a {
        let words = Words { both: self.arch.is_64_bit(), big_endian: self.arch.is_big_endian() };
        self.links.chunk_by(|a, b| a.number == b.number).map(move |links| {
            let without_conditions = links.iter().find_map(|link| {
                let rule = &policy.rules[link.rule];
                (rule.conditions.is_empty() && link.multiplexed == 0).then_some(rule.action)
            });
            let outcome = without_conditions.map_or_else(
                || Outcome::Check(links.iter().map(|l| (l.rule, l.multiplexed)).collect(), words),
                Outcome::Answer,
            );
            (links[0].number, outcome)
        })
    }

    /// Whether a number is newer than all that the profile names. s390 gets 0
    /// in place of a number that its kernel does not know.
    fn is_new(&self, number: u32) -> bool {
        let unknown = number == 0 && matches!(self.arch, Arch::S390 | Arch::S390x);
        self.last != 0 && (number > self.last || unknown)
    }
}

/// The ranges of all numbers, for the architectures that share a token: in the
/// order of their numbers.
pub(super) fn ranges(policy: &Policy, shared: &[&Numbers]) -> Vec<Range> {
    // The answer to what no rule is about changes at most at these.
    let mut borders = vec![0, 1, X32_BIT, 2 * X32_BIT, 3 * X32_BIT, u32::MAX];
    borders.extend(shared.iter().filter_map(|numbers| numbers.last.checked_add(1)));
    borders.sort_unstable();
    let rests: Vec<_> =
        borders.iter().map(|start| (*start, rest(policy, shared, *start))).collect();
    let mut rests = rests.into_iter().peekable();
    let mut ranges = Ranges(Vec::with_capacity(256));
    let (mut now, mut next) = (policy.default, Some(0));
    for (number, outcome) in shared.iter().flat_map(|numbers| numbers.points(policy)) {
        while let Some((start, action)) = rests.next_if(|(start, _)| *start <= number) {
            ranges.fill(&mut next, start, now);
            now = action;
        }
        ranges.fill(&mut next, number, now);
        ranges.push(number, outcome);
        next = number.checked_add(1);
    }
    for (start, action) in rests {
        ranges.fill(&mut next, start, now);
        now = action;
    }
    if let Some(next) = next {
        ranges.push(next, Outcome::Answer(now));
    }
    ranges.0
}

/// Ranges in the making; neighbours with one outcome are one.
struct Ranges(Vec<Range>);

impl Ranges {
    fn push(&mut self, start: u32, outcome: Outcome) {
        if self.0.last().is_none_or(|range| range.outcome != outcome) {
            self.0.push(Range { start, outcome });
        }
    }

    /// From `next` up to `end` the answer is `action`.
    fn fill(&mut self, next: &mut Option<u32>, end: u32, action: Action) {
        if let Some(start) = next.filter(|start| *start < end) {
            self.push(start, Outcome::Answer(action));
            *next = Some(end);
        }
    }
}

/// The answer to a number that no rule is about.
fn rest(policy: &Policy, shared: &[&Numbers], number: u32) -> Action {
    let is_x32 = number & X32_BIT != 0;
    let mine = shared.iter().find(|numbers| match numbers.arch {
        Arch::X32 => is_x32,
        Arch::X86_64 => !is_x32,
        _ => true,
    });
    if policy.hides_new_calls() && mine.is_some_and(|numbers| numbers.is_new(number)) {
        return Action::NO_SUCH_CALL;
    }
    let foreign = match shared {
        // A tracer sets -1 to skip a call: that is none of x32.
        [Numbers { arch: Arch::X86_64, .. }] => number >= X32_BIT && number != u32::MAX,
        [Numbers { arch: Arch::X32, .. }] => number < X32_BIT,
        _ => false,
    };
    if foreign { Action::KILL_THREAD } else { policy.default }
}

/// The alternatives that a rule stands for.
pub(super) fn alternatives(rule: &Rule, multiplexed: u8) -> Vec<Alternative> {
    // As runc has it: two conditions on one argument were once written for
    // "one or the other", so all of such a rule are rules of their own.
    let all = &rule.conditions;
    let repeats = (1..all.len()).any(|i| all[..i].iter().any(|other| other.index == all[i].index));
    let split: Vec<Vec<Condition>> =
        if repeats { all.iter().map(|one| vec![*one]).collect() } else { vec![all.clone()] };
    let number =
        Condition { index: 0, operator: Operator::Eq, value: multiplexed.into(), value_two: 0 };
    split
        .into_iter()
        .map(|mut conditions| {
            if multiplexed != 0 {
                // The call's own arguments are in memory, where a filter cannot
                // look; libseccomp replaces the first and leaves the rest.
                conditions.retain(|condition| condition.index != 0);
                conditions.push(number);
            }
            Alternative { conditions, action: rule.action }
        })
        .collect()
}
