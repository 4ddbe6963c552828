//! Writing a program, from its end to its start.
//!
//! A jump of BPF goes forward only, so backwards every target is there before
//! the jump to it, and its distance is known. Conditional jumps reach 255
//! instructions; what is farther gets a nearer copy (of a return) or a long
//! jump to it, which later jumps share.

use std::collections::BTreeMap;

use super::action::Action;
use super::bpf::{IF_EQ, IF_GE, IF_GT, Insn, JUMP, LOAD, RETURN};

/// Where to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// Answer with this.
    Return(Action),
    /// The instruction of that rank, counted from the end of the program.
    At(usize),
}

/// A program in the making.
#[derive(Default)]
pub(super) struct Emitter {
    /// The instructions so far, last one first.
    reversed: Vec<Insn>,
    /// What [`Emitter::shared`] has emitted: operation, operand and both ways
    /// on, with the instruction that does it.
    known: BTreeMap<(u16, u32, Target, Target), Target>,
    /// Instructions that only lead to a target, oldest first.
    ways: Vec<(Target, usize)>,
}

/// How far a conditional jump reaches.
const REACH: usize = 255;

impl Emitter {
    /// Skips from the next instruction to the one of `rank`.
    fn distance(&self, rank: usize) -> usize {
        self.reversed.len() - rank - 1
    }

    fn push(&mut self, insn: Insn) -> Target {
        self.reversed.push(insn);
        Target::At(self.reversed.len() - 1)
    }

    /// An instruction that leads to `target`, near enough for a conditional
    /// jump that comes after at most `room` more instructions.
    fn near(&mut self, target: Target, room: usize) -> usize {
        if let Target::At(rank) = target
            && self.distance(rank) + room <= REACH
        {
            return rank;
        }
        let known =
            self.ways.iter().rev().map_while(|(to, rank)| {
                (self.distance(*rank) + room <= REACH).then_some((*to, *rank))
            });
        match known.into_iter().find(|(to, _)| *to == target) {
            Some((_, rank)) => rank,
            None => self.way(target),
        }
    }

    /// Adds an instruction that leads to `target` from anywhere.
    fn way(&mut self, target: Target) -> usize {
        let rank = self.reversed.len();
        // A program is at most a few thousand instructions long, and one that
        // is not is refused later.
        let far = |rank| u32::try_from(self.distance(rank)).unwrap_or(u32::MAX);
        let insn = match target {
            Target::Return(action) => Insn::new(RETURN, action.0),
            Target::At(rank) => Insn::new(JUMP, far(rank)),
        };
        self.push(insn);
        self.ways.push((target, rank));
        rank
    }

    /// A conditional jump; none where both ways are the same.
    pub(super) fn branch(&mut self, code: u16, k: u32, yes: Target, no: Target) -> Target {
        if yes == no {
            return yes;
        }
        let yes = self.near(yes, 1);
        let no = self.near(no, 0);
        // `near` keeps both below 256.
        let skip = |rank| u8::try_from(self.distance(rank)).unwrap_or(u8::MAX);
        self.push(Insn { code, jt: skip(yes), jf: skip(no), k })
    }

    /// An instruction that changes what is loaded, then goes on to `next`;
    /// none where that is an answer or loads itself, and so does not look at it.
    pub(super) fn then(&mut self, code: u16, k: u32, next: Target) -> Target {
        let Target::At(rank) = next else { return next };
        if self.reversed.get(rank).is_some_and(|insn| insn.code == LOAD) {
            return next;
        }
        if self.distance(rank) != 0 {
            self.way(next);
        }
        self.push(Insn::new(code, k))
    }

    /// As [`Emitter::branch`] for a conditional jump and [`Emitter::then`] for
    /// the rest, but once only for what is the same.
    pub(super) fn shared(&mut self, code: u16, k: u32, yes: Target, no: Target) -> Target {
        if let Some(target) = self.known.get(&(code, k, yes, no)) {
            return *target;
        }
        let jumps = matches!(code, IF_EQ | IF_GT | IF_GE);
        let target = if jumps { self.branch(code, k, yes, no) } else { self.then(code, k, yes) };
        self.known.insert((code, k, yes, no), target);
        target
    }

    /// The program, which starts at `start`.
    pub(super) fn finish(mut self, start: Target) -> Vec<Insn> {
        if start != Target::At(self.reversed.len().wrapping_sub(1)) {
            self.way(start);
        }
        self.reversed.reverse();
        self.reversed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::interpret::{Call, interpret};

    /// A list of comparisons that is longer than a jump reaches, whose ends
    /// need each other's targets.
    #[test]
    fn far_targets_are_reached() {
        for len in [1, 254, 255, 256, 257, 511, 1000] {
            let mut emitter = Emitter::default();
            let end = emitter.then(LOAD, 4, Target::Return(Action::ALLOW));
            assert_eq!(end, Target::Return(Action::ALLOW));
            let far = emitter.branch(
                IF_GE,
                500,
                Target::Return(Action::TRAP),
                Target::Return(Action::LOG),
            );
            let mut next = Target::Return(Action::KILL_THREAD);
            for number in (0..len).rev() {
                let hit = if number % 2 == 0 { far } else { Target::Return(Action::ALLOW) };
                next = emitter.branch(IF_EQ, number, hit, next);
            }
            let start = emitter.then(LOAD, 0, next);
            let program = emitter.finish(start);
            let answer = |number| {
                let call = Call { arch: 0, number, args: [0; 6] };
                interpret(&program, &call).map(|(answer, _)| Action(answer))
            };
            for number in 0..len {
                let expected = match number {
                    n if n % 2 == 1 => Action::ALLOW,
                    n if n >= 500 => Action::TRAP,
                    _ => Action::LOG,
                };
                assert_eq!(answer(number), Ok(expected), "{number} of {len}");
            }
            assert_eq!(answer(len), Ok(Action::KILL_THREAD), "{len}");
        }
    }

    #[test]
    fn what_nobody_looks_at_is_not_loaded() {
        let mut emitter = Emitter::default();
        let start = emitter.then(LOAD, 0, Target::Return(Action::ALLOW));
        assert_eq!(emitter.finish(start), [Insn::new(RETURN, Action::ALLOW.0)]);
    }
}
