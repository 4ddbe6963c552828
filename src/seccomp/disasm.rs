//! A program in words.

use std::fmt::Write;

use super::action::Action;
use super::arch::{Arch, X32_BIT};
use super::bpf::{
    AND, ARCH_AT, ARGS_AT, IF_EQ, IF_GE, IF_GT, IF_SET, Insn, JUMP, LOAD, NUMBER_AT, RETURN,
};
use super::table::Row;

/// What is known where an instruction runs: the offset that is loaded, and the
/// architecture that has been asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    loaded: Option<u32>,
    token: Option<u32>,
}

/// One line for each instruction, with names for numbers where the program
/// says what they are. Only `arches` are taken for known.
pub(crate) fn disassemble(program: &[Insn], arches: &[Arch]) -> String {
    let mut places: Vec<Option<Place>> = vec![None; program.len()];
    if let Some(first) = places.first_mut() {
        *first = Some(Place::default());
    }
    let mut out = String::new();
    for (i, insn) in program.iter().copied().enumerate() {
        let place = places[i].unwrap_or_default();
        for (skip, then) in next(insn, place) {
            if let Some(there) = places.get_mut(i + 1 + skip) {
                *there = Some(there.map_or(then, |known| known.meet(then)));
            }
        }
        // Writing to a string does not fail.
        let _ = writeln!(out, "{i:4}: {}", line(i, insn, place, arches));
    }
    out
}

impl Place {
    fn meet(self, other: Self) -> Self {
        Self {
            loaded: self.loaded.filter(|_| self.loaded == other.loaded),
            token: self.token.filter(|_| self.token == other.token),
        }
    }
}

/// The ways on: instructions to skip, and what is known there.
fn next(insn: Insn, place: Place) -> Vec<(usize, Place)> {
    let (yes, no) = (insn.jt.into(), insn.jf.into());
    match insn.code {
        RETURN => vec![],
        JUMP => vec![(insn.k as usize, place)],
        LOAD => vec![(0, Place { loaded: Some(insn.k), ..place })],
        IF_EQ if place.loaded == Some(ARCH_AT) => {
            vec![(yes, Place { token: Some(insn.k), ..place }), (no, place)]
        }
        IF_EQ | IF_GE | IF_GT | IF_SET => vec![(yes, place), (no, place)],
        _ => vec![(0, place)],
    }
}

fn line(i: usize, insn: Insn, place: Place, arches: &[Arch]) -> String {
    let k = insn.k;
    let value = match place.loaded {
        Some(ARCH_AT) => format!("{k:#x}{}", arch_name(k, arches)),
        Some(NUMBER_AT) if k < X32_BIT => format!("{k}{}", call_name(k, place.token, arches)),
        Some(NUMBER_AT) => format!("{k:#x}{}", call_name(k, place.token, arches)),
        _ => format!("{k:#x}"),
    };
    let test = |operator: &str| {
        let (yes, no) = (i + 1 + usize::from(insn.jt), i + 1 + usize::from(insn.jf));
        format!("if {operator} {value} goto {yes} else {no}")
    };
    match insn.code {
        LOAD => format!("load {}", field(k, place.token)),
        AND => format!("mask {k:#x}"),
        JUMP => format!("goto {}", i + 1 + k as usize),
        RETURN => format!("return {}", Action(k)),
        IF_EQ => test("=="),
        IF_GT => test(">"),
        IF_GE => test(">="),
        IF_SET => test("&"),
        code => format!("unknown {code:#x} {k:#x}"),
    }
}

fn arch_name(token: u32, arches: &[Arch]) -> String {
    let known = arches.iter().filter(|arch| arch.token() == token);
    let names: Vec<_> = known.map(|arch| arch.name().trim_start_matches("SCMP_ARCH_")).collect();
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

fn call_name(number: u32, token: Option<u32>, arches: &[Arch]) -> String {
    let mut shared = arches.iter().filter(|arch| Some(arch.token()) == token);
    let name = shared.find_map(|arch| Row::of_number(*arch, number));
    name.map(|row| format!(" ({})", row.name())).unwrap_or_default()
}

fn field(offset: u32, token: Option<u32>) -> String {
    match offset {
        NUMBER_AT => "number".into(),
        ARCH_AT => "arch".into(),
        _ if offset >= ARGS_AT && token.is_some() => {
            let word = (offset - ARGS_AT) / 4;
            let big_endian = token.is_some_and(|token| token & 0x4000_0000 == 0);
            let half = if word.is_multiple_of(2) == big_endian { "high" } else { "low" };
            format!("args[{}] {half}", word / 2)
        }
        // Checks that architectures share.
        _ if offset >= ARGS_AT => format!("args[{}] +{}", (offset - ARGS_AT) / 8, offset % 8),
        _ => format!("[{offset}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_named_for_their_architecture() {
        let jump = |code, jt, jf, k| Insn { code, jt, jf, k };
        let program = [
            Insn::new(LOAD, 4),
            jump(IF_EQ, 0, 2, 0xC000_003E),
            Insn::new(LOAD, 0),
            jump(IF_EQ, 1, 0, 56),
            Insn::new(RETURN, 0),
            Insn::new(LOAD, 20),
            Insn::new(AND, 0xff),
            jump(IF_GT, 0, 1, 7),
            Insn::new(RETURN, 0x7fff_0000),
            Insn::new(RETURN, 0x0005_0001),
        ];
        let expected = "   0: load arch
   1: if == 0xc000003e (X86_64) goto 2 else 4
   2: load number
   3: if == 56 (clone) goto 5 else 4
   4: return SCMP_ACT_KILL_THREAD
   5: load args[0] high
   6: mask 0xff
   7: if > 0x7 goto 8 else 9
   8: return SCMP_ACT_ALLOW
   9: return SCMP_ACT_ERRNO(1)
";
        assert_eq!(disassemble(&program, &[Arch::X86_64]), expected);
    }
}
