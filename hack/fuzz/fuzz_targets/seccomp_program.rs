//! Bytes as a program: what reads programs must stand any.
#![no_main]
#![allow(dead_code, unused_imports)]

mod minke;
// The sources of minke name these from the root.
use minke::{seccomp, spec, sys};

use libfuzzer_sys::fuzz_target;
use seccomp::arch::Arch;
use seccomp::bpf::Insn;
use seccomp::disasm::disassemble;
use seccomp::interpret::{Call, depth, interpret};

fuzz_target!(|bytes: &[u8]| {
    const CODES: [u16; 8] = [0x20, 0x05, 0x15, 0x25, 0x35, 0x45, 0x54, 0x06];
    let insns = bytes.chunks_exact(6).map(|b| Insn {
        code: if b[0] < 128 { CODES[usize::from(b[0] % 8)] } else { b[0].into() },
        jt: b[1] % 16,
        jf: b[1] / 16,
        k: match b[2] % 4 {
            0 => u32::from_le_bytes([b[2], b[3], b[4], b[5]]),
            1 => 0xC000_003E,
            _ => u32::from(b[3] % 80),
        },
    });
    let program: Vec<Insn> = insns.collect();
    let call = Call { arch: 0xC000_003E, number: 1, args: [1, 2, 3, u64::MAX, 5, 6] };
    let _ = interpret(&program, &call);
    assert_eq!(disassemble(&program, &Arch::ALL).lines().count(), program.len());
    assert!(depth(&program) <= program.len());
});
