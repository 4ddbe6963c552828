//! Instructions of classic BPF, as seccomp(2) has them.

pub(crate) use crate::sys::seccomp::Insn;

/// Load the word at offset `k` of `seccomp_data`.
pub(crate) const LOAD: u16 = 0x20;
/// Skip `k` instructions.
pub(crate) const JUMP: u16 = 0x05;
/// Jump if equal to `k`.
pub(crate) const IF_EQ: u16 = 0x15;
/// Jump if greater than `k`.
pub(crate) const IF_GT: u16 = 0x25;
/// Jump if greater than or equal to `k`.
pub(crate) const IF_GE: u16 = 0x35;
/// Jump if any bit of `k` is set.
pub(crate) const IF_SET: u16 = 0x45;
/// Mask with `k`.
pub(crate) const AND: u16 = 0x54;
/// Answer `k`.
pub(crate) const RETURN: u16 = 0x06;

/// Offset of the system call's number in `seccomp_data`.
pub(crate) const NUMBER_AT: u32 = 0;
/// Offset of the architecture's token.
pub(crate) const ARCH_AT: u32 = 4;
/// Offset of the first argument; each has 8 bytes.
pub(crate) const ARGS_AT: u32 = 16;
/// Size of `seccomp_data`.
pub(crate) const DATA_SIZE: u32 = 64;

/// The most instructions that the kernel takes (`BPF_MAXINSNS`).
pub(crate) const MAX_LEN: usize = 4096;

impl Insn {
    pub(crate) const fn new(code: u16, k: u32) -> Self {
        Self { code, jt: 0, jf: 0, k }
    }
}
