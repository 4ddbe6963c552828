//! The parts of minke that are fuzzed, and what must hold for them.

#[path = "../../../src/seccomp/mod.rs"]
pub(crate) mod seccomp;
#[path = "../../../src/spec"]
pub(crate) mod spec {
    pub(crate) mod seccomp;
}
#[path = "../../../src/sys"]
pub(crate) mod sys {
    pub(crate) mod seccomp;
}

use seccomp::arch::Arch;
use seccomp::evaluate::Evaluator;
use seccomp::interpret::{Call, depth, interpret};

/// Holds the program of `profile` against the evaluator, for calls that
/// `bytes` make up.
pub(crate) fn compare(profile: &spec::seccomp::Seccomp, native: Arch, bytes: &[u8]) {
    let filter = match seccomp::compile(profile, native) {
        Ok(filter) => filter,
        Err(e) => {
            assert!(e.field.starts_with("linux.seccomp"), "{e:?}");
            return;
        }
    };
    assert!(filter.program.len() <= 4096);
    assert!(depth(&filter.program) >= 1);
    let evaluator = Evaluator::new(profile, native).expect("what compiles can be evaluated");
    for call in calls(profile, native, bytes) {
        let (answer, _) = interpret(&filter.program, &call).expect("a program that the kernel takes");
        let verdict = evaluator.verdict(&call);
        assert_eq!(answer, verdict.action.0, "{call:x?} {verdict:?}");
    }
}

/// Calls that the profile is about: its names on its architectures, with
/// arguments from its conditions.
fn calls(profile: &spec::seccomp::Seccomp, native: Arch, bytes: &[u8]) -> Vec<Call> {
    let mut bytes = bytes.iter().copied().cycle();
    let mut byte = || usize::from(bytes.next().unwrap_or_default());
    let listed = profile.architectures.iter().filter_map(|name| Arch::from_name(name));
    let arches: Vec<Arch> = listed.chain([native, Arch::X32]).collect();
    let args = profile.syscalls.iter().flat_map(|syscall| &syscall.args);
    let mut values: Vec<u64> = args.flat_map(|arg| [arg.value, arg.value_two]).collect();
    values.extend([0, 1, 23, u64::MAX]);
    let names = profile.syscalls.iter().flat_map(|syscall| &syscall.names);
    let names: Vec<_> = names.map(String::as_str).chain(["socketcall", "ipc"]).take(64).collect();
    let mut calls = Vec::new();
    for arch in arches.iter().take(6) {
        for name in &names {
            let row = seccomp::table::Row::find(name);
            let known = row.and_then(|row| row.number(*arch));
            let number = known.unwrap_or(byte() as u32).wrapping_add(u32::from(byte() == 0));
            let arg = |_| {
                let value = values[byte() % values.len()];
                value.wrapping_add((byte() % 3) as u64).wrapping_sub(1)
                    ^ u64::from(byte() == 1) << 32
            };
            let args = [0; 6].map(arg);
            calls.push(Call { arch: arch.token(), number, args });
        }
        let number = u32::from_le_bytes([byte() as u8, byte() as u8, byte() as u8, byte() as u8]);
        calls.push(Call { arch: arch.token(), number, args: [0; 6] });
    }
    calls
}
