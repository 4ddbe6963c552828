//! Runs a program as the kernel would, and draws on nothing else here.

use super::bpf::{AND, DATA_SIZE, IF_EQ, IF_GE, IF_GT, IF_SET, Insn, JUMP, LOAD, RETURN};

/// A system call as a filter sees it: `struct seccomp_data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// `AUDIT_ARCH_*`.
    pub(crate) arch: u32,
    pub(crate) number: u32,
    pub(crate) args: [u64; 6],
}

/// The 32-bit words of `seccomp_data`, on a machine of the call's byte order.
fn words(call: &Call) -> [u32; 16] {
    const LITTLE_ENDIAN: u32 = 0x4000_0000;
    let mut words = [0; 16];
    words[0] = call.number;
    words[1] = call.arch;
    for (pair, arg) in words[4..].chunks_mut(2).zip(call.args) {
        // Truncation takes the low word.
        #[allow(clippy::cast_possible_truncation)]
        let (low, high) = (arg as u32, (arg >> 32) as u32);
        let little = call.arch & LITTLE_ENDIAN != 0;
        pair.copy_from_slice(&if little { [low, high] } else { [high, low] });
    }
    words
}

/// What `program` answers to `call`, and how many instructions that takes; the
/// error says what the kernel would not have taken.
pub(crate) fn interpret(program: &[Insn], call: &Call) -> Result<(u32, usize), String> {
    let words = words(call);
    let (mut at, mut loaded, mut steps) = (0_usize, 0_u32, 0);
    loop {
        let Some(insn) = program.get(at) else { return Err(format!("runs out at {at}")) };
        steps += 1;
        at += 1;
        let branch = |holds| usize::from(if holds { insn.jt } else { insn.jf });
        match insn.code {
            LOAD if insn.k % 4 == 0 && insn.k < DATA_SIZE => loaded = words[insn.k as usize / 4],
            AND => loaded &= insn.k,
            JUMP => at += insn.k as usize,
            IF_EQ => at += branch(loaded == insn.k),
            IF_GT => at += branch(loaded > insn.k),
            IF_GE => at += branch(loaded >= insn.k),
            IF_SET => at += branch(loaded & insn.k != 0),
            RETURN => return Ok((insn.k, steps)),
            code => {
                return Err(format!("unknown instruction {code:#x} {:#x} at {}", insn.k, at - 1));
            }
        }
    }
}

/// The most instructions that any call takes.
pub(crate) fn depth(program: &[Insn]) -> usize {
    let mut depths = vec![0; program.len()];
    for (i, insn) in program.iter().enumerate().rev() {
        let after = |skip: usize| depths.get(i + 1 + skip).copied().unwrap_or(0);
        depths[i] = 1 + match insn.code {
            RETURN => 0,
            JUMP => after(insn.k as usize),
            IF_EQ | IF_GT | IF_GE | IF_SET => after(insn.jt.into()).max(after(insn.jf.into())),
            _ => after(0),
        };
    }
    depths.first().copied().unwrap_or(0)
}
