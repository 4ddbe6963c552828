//! Holds what the running kernel answers against the evaluator of profiles.
//!
//! Every answer is turned into an errno of its own, so that a child can try any
//! call with any arguments and none is ever run.

use std::time::Duration;

use crate::generate::{Calls, Kind, Random, profile as random_profile};
use crate::libseccomp::in_child;
use crate::seccomp::action::Action;
use crate::seccomp::arch::Arch;
use crate::seccomp::bpf::{Insn, RETURN};
use crate::seccomp::compile;
use crate::seccomp::evaluate::Evaluator;
use crate::seccomp::interpret::Call;
use crate::spec::seccomp::Seccomp;
use crate::sys;

const CALLS_PER_PROFILE: usize = 500;
const ERRNO: u32 = 0x0005_0000;
/// The listener's `write` and the child's way out stay allowed.
const WRITE: u32 = 1;
const EXIT_GROUP: u32 = 231;
/// `uretprobe` and `uprobe`, which the kernel asks no filter about.
const UNFILTERED: [u32; 2] = [335, 336];

/// Compares at least `calls` calls; profiles and calls follow from `seed`.
pub(crate) fn run(calls: &str, seed: &str) -> Result<(), String> {
    let calls: u64 = calls.parse().map_err(|e| format!("{calls}: {e}"))?;
    let seed: u64 = seed.parse().map_err(|e| format!("{seed}: {e}"))?;
    let mut random = Random(seed);
    let (mut done, mut profiles) = (0, 0);
    while done < calls {
        let (mut profile, _) = random_profile(&mut random, Kind::Any);
        profile.architectures.push(Arch::X86.name().into());
        profiles += 1;
        done += one(&profile, &mut random)
            .map_err(|e| format!("seed {seed}, profile {profiles}: {e}\n{profile:#?}"))?;
    }
    println!("{done} calls under {profiles} profiles on this kernel, 0 differences");
    Ok(())
}

fn one(profile: &Seccomp, random: &mut Random) -> Result<u64, String> {
    let told = |e| format!("{e:?}");
    let program = compile(profile, Arch::X86_64).map_err(told)?.program;
    let evaluator = Evaluator::new(profile, Arch::X86_64).map_err(told)?;
    // The errno for each answer that the program can give.
    let mut answers: Vec<u32> =
        program.iter().filter(|insn| insn.code == RETURN).map(|insn| insn.k).collect();
    answers.sort_unstable();
    answers.dedup();
    let code = |answer: Action| answers.iter().position(|k| *k == answer.0).map(|i| i as i32 + 100);
    let harmless = |insn: &Insn| match insn.code {
        RETURN => Insn { k: ERRNO | code(Action(insn.k)).unwrap_or(0) as u32, ..*insn },
        _ => *insn,
    };
    let program: Vec<Insn> = program.iter().map(harmless).collect();
    let about = Calls::new(profile, Arch::X86_64);
    let calls = (0..CALLS_PER_PROFILE).map(|_| about.call(random)).filter(can_make);
    let calls: Vec<Call> = calls.collect();
    let seen = in_child(Duration::from_secs(20), || try_all(&program, &calls))?;
    let seen: Vec<i32> =
        seen.chunks_exact(4).map(|b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]])).collect();
    if seen.len() != calls.len() {
        return Err(format!("the child made {} of {} calls", seen.len(), calls.len()));
    }
    for (call, errno) in calls.iter().zip(&seen) {
        let verdict = evaluator.verdict(call);
        if code(verdict.action) != Some(*errno) {
            return Err(format!("{call:x?}: errno {errno}, but {verdict:?} of {answers:x?}"));
        }
    }
    Ok(calls.len() as u64)
}

/// Whether this process can make the call: natively or by `int 0x80`.
fn can_make(call: &Call) -> bool {
    let native = call.arch == Arch::X86_64.token();
    // -1 is no call to the kernel, and 32-bit calls have 32-bit arguments.
    let narrow = || call.args.iter().all(|arg| *arg <= u32::MAX.into());
    call.number != u32::MAX
        && !(native && [WRITE, EXIT_GROUP].contains(&call.number))
        && !(native && UNFILTERED.contains(&call.number))
        && (native || (call.arch == Arch::X86.token() && narrow()))
}

fn try_all(program: &[Insn], calls: &[Call]) -> Vec<u8> {
    // Two instructions more than the kernel takes are two too many.
    let way_out = [
        Insn { code: 0x20, jt: 0, jf: 0, k: 4 },
        Insn { code: 0x15, jt: 0, jf: 4, k: Arch::X86_64.token() },
        Insn { code: 0x20, jt: 0, jf: 0, k: 0 },
        Insn { code: 0x15, jt: 1, jf: 0, k: WRITE },
        Insn { code: 0x15, jt: 0, jf: 1, k: EXIT_GROUP },
        Insn { code: RETURN, jt: 0, jf: 0, k: Action::ALLOW.0 },
    ];
    let program = [&way_out, program].concat();
    let mut seen = Vec::with_capacity(calls.len() * 4);
    // SAFETY: takes values, touches no memory.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    if sys::seccomp::load(&program, 0).is_err() {
        return seen;
    }
    for call in calls {
        let errno = if call.arch == Arch::X86.token() { make_32(call) } else { make(call) };
        seen.extend_from_slice(&errno.to_ne_bytes());
    }
    seen
}

fn make(call: &Call) -> i32 {
    let [a, b, c, d, e, f] = call.args;
    // SAFETY: the filter answers every call with an errno: none is run.
    let ret = unsafe { libc::syscall(call.number.into(), a, b, c, d, e, f) };
    if ret == -1 { std::io::Error::last_os_error().raw_os_error().unwrap_or(0) } else { 0 }
}

#[cfg(target_arch = "x86_64")]
fn make_32(call: &Call) -> i32 {
    let [a, b, c, d, e, f] = call.args;
    let ret: i32;
    // SAFETY: as above. The compiler keeps rbx and rbp for itself, so both are
    // put back; nothing uses the stack pointer in between but push and pop.
    unsafe {
        std::arch::asm!(
            "push rbx",
            "push rbp",
            "mov rbx, r8",
            "mov rbp, r9",
            "int 0x80",
            "pop rbp",
            "pop rbx",
            inout("eax") call.number => ret,
            inout("r8") a => _,
            in("rcx") b, in("rdx") c, in("rsi") d, in("rdi") e,
            inout("r9") f => _,
            out("r10") _, out("r11") _,
        );
    }
    -ret
}

/// No 32-bit calls elsewhere: what was not made is a difference.
#[cfg(not(target_arch = "x86_64"))]
fn make_32(_: &Call) -> i32 {
    -1
}
