//! From ranges of numbers to a tree of comparisons.

use super::action::Action;
use super::args::{self, Alternative, Words};
use super::bpf::{ARCH_AT, IF_EQ, IF_GE, Insn, LOAD, NUMBER_AT};
use super::emit::{Emitter, Target};
use super::policy::Policy;
use super::ranges::{Outcome, Range, alternatives, numbers, ranges};

/// Writes the program of one policy.
struct Writer<'a> {
    policy: &'a Policy<'a>,
    emitter: Emitter,
    /// Argument checks that are there already.
    checks: Vec<(Vec<Alternative>, Words, Target)>,
}

/// The program of `policy`; the error is about its argument checks.
pub(super) fn program(policy: &Policy) -> Result<Vec<Insn>, String> {
    let mut writer = Writer { policy, emitter: Emitter::default(), checks: Vec::new() };
    let numbers = numbers(policy);
    let mut next = Target::Return(Action::KILL_THREAD);
    // Backwards: the native architecture is asked for first.
    for (i, first) in numbers.iter().enumerate().rev() {
        let token = first.arch.token();
        if numbers[..i].iter().any(|other| other.arch.token() == token) {
            continue;
        }
        let mut shared: Vec<_> =
            numbers.iter().filter(|other| other.arch.token() == token).collect();
        shared.sort_by_key(|numbers| numbers.arch.base());
        let tree = writer.tree(&ranges(policy, &shared))?;
        let section = writer.emitter.then(LOAD, NUMBER_AT, tree);
        next = writer.emitter.branch(IF_EQ, token, section, next);
    }
    let start = writer.emitter.then(LOAD, ARCH_AT, next);
    Ok(writer.emitter.finish(start))
}

impl Writer<'_> {
    /// Finds the range of the number that is loaded.
    fn tree(&mut self, ranges: &[Range]) -> Result<Target, String> {
        if let [only] = ranges {
            return self.outcome(&only.outcome);
        }
        if is_comb(ranges) {
            return self.comb(ranges);
        }
        let (low, high) = ranges.split_at(ranges.len() / 2);
        let yes = self.tree(high)?;
        let no = self.tree(low)?;
        Ok(self.emitter.branch(IF_GE, high[0].start, yes, no))
    }

    /// Compares with one number after the other: an instruction for each,
    /// where a tree needs two.
    fn comb(&mut self, ranges: &[Range]) -> Result<Target, String> {
        let mut no = self.outcome(&ranges[0].outcome)?;
        for single in ranges.iter().skip(1).step_by(2).rev() {
            let yes = self.outcome(&single.outcome)?;
            no = self.emitter.branch(IF_EQ, single.start, yes, no);
        }
        Ok(no)
    }

    fn outcome(&mut self, outcome: &Outcome) -> Result<Target, String> {
        let (links, words) = match outcome {
            Outcome::Answer(action) => return Ok(Target::Return(*action)),
            Outcome::Check(links, words) => (links, *words),
        };
        let rules = links.iter().map(|(rule, call)| alternatives(&self.policy.rules[*rule], *call));
        let alternatives: Vec<_> = rules.flatten().collect();
        let known = |(what, how, _): &&(_, _, _)| *how == words && *what == alternatives;
        if let Some((_, _, target)) = self.checks.iter().find(known) {
            return Ok(*target);
        }
        let default = self.policy.default;
        let target = args::emit(&mut self.emitter, &alternatives, words, default)?;
        self.checks.push((alternatives, words, target));
        Ok(target)
    }
}

/// The most numbers that are compared with one after the other.
const COMB: usize = 4;

/// Whether the ranges are single numbers between ranges of one outcome.
fn is_comb(ranges: &[Range]) -> bool {
    ranges.len() % 2 == 1
        && ranges.len() <= 2 * COMB + 1
        && ranges.windows(2).skip(1).step_by(2).all(|pair| pair[1].start - pair[0].start == 1)
        && ranges.iter().step_by(2).all(|range| range.outcome == ranges[0].outcome)
}
