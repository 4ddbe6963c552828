//! Holds our programs against libseccomp's, for profiles where it is right.

use std::time::Duration;

use crate::generate::{Calls, Kind, Random, profile as random_profile};
use crate::libseccomp;
use crate::seccomp::arch::Arch;
use crate::seccomp::bpf::{ARCH_AT, IF_EQ, IF_GE, IF_GT, IF_SET, Insn, JUMP, LOAD, RETURN};
use crate::seccomp::compile;
use crate::seccomp::evaluate::{Evaluator, Why};
use crate::seccomp::interpret::interpret;
use crate::seccomp::table::{Row, multiplexed};
use crate::spec::seccomp::Seccomp;

/// What was compared.
#[derive(Default)]
struct Tally {
    profiles: u64,
    too_slow: u64,
    /// Programs that compare the architecture's token with call numbers: a
    /// fault of libseccomp 2.5.4, which shares a block that lacks its load.
    misread: u64,
    calls: u64,
    /// Answered by the `ENOSYS` range, which is runc's and not libseccomp's.
    new: u64,
    dropped_names: u64,
    /// The largest length of ours for a hundred instructions of theirs, and
    /// both lengths.
    length: (usize, usize, usize),
}

/// Architectures that libseccomp 2.5.4 takes on a little-endian machine.
const KNOWN: [Arch; 11] = [
    Arch::X86_64,
    Arch::X86,
    Arch::X32,
    Arch::Arm,
    Arch::Aarch64,
    Arch::Mipsel,
    Arch::Mipsel64,
    Arch::Mipsel64n32,
    Arch::Ppc64le,
    Arch::Riscv64,
    Arch::X86_64,
];

/// Compares `profiles` random profiles and the profiles in `files`.
pub(crate) fn run(profiles: &str, calls: &str, seed: &str, files: &[&str]) -> Result<(), String> {
    let number = |text: &str| text.parse::<u64>().map_err(|e| format!("{text}: {e}"));
    let (profiles, calls, seed) = (number(profiles)?, number(calls)?, number(seed)?);
    let mut random = Random(seed);
    for file in files {
        let mut tally = Tally::default();
        for architectures in [&[][..], &["SCMP_ARCH_X86", "SCMP_ARCH_X32"], &["SCMP_ARCH_X86"]] {
            let mut profile = crate::read(file)?;
            profile.architectures = architectures.iter().map(ToString::to_string).collect();
            one(profile, calls, &mut random, &mut tally).map_err(|e| format!("{file}: {e}"))?;
        }
        report(file, &tally);
    }
    let mut tally = Tally::default();
    for i in 0..profiles {
        let (mut profile, _) = random_profile(&mut random, Kind::OneRulePerCall);
        profile.architectures.retain(|name| KNOWN.iter().any(|arch| arch.name() == name));
        let told = format!("seed {seed}, profile {i}: {profile:#?}");
        one(profile, calls / 100, &mut random, &mut tally).map_err(|e| format!("{e}\n{told}"))?;
    }
    report("random profiles, one rule a call", &tally);
    Ok(())
}

fn report(what: &str, tally: &Tally) {
    println!(
        "{what}: {} calls under {} programs, 0 differences ({} programs over the time limit, \
         {} that take the architecture for a number, \
         {} calls newer than the profile, {} names that libseccomp lacks; length at most {} of {})",
        tally.calls,
        tally.profiles,
        tally.too_slow,
        tally.misread,
        tally.new,
        tally.dropped_names,
        tally.length.1,
        tally.length.2
    );
}

fn one(
    mut profile: Seccomp,
    calls: u64,
    random: &mut Random,
    tally: &mut Tally,
) -> Result<(), String> {
    let native = Arch::X86_64;
    tally.dropped_names += drop_unknown(&mut profile, native);
    let ours = compile(&profile, native).map_err(|e| format!("{e:?}"))?;
    let evaluator = Evaluator::new(&profile, native).map_err(|e| format!("{e:?}"))?;
    let about = Calls::new(&profile, native);
    for optimize in [1, 2] {
        let limit = Duration::from_secs(4);
        let theirs = match libseccomp::compile_within(&profile, native, optimize, limit) {
            Ok(program) => program,
            Err(told) if told == "time limit" => {
                tally.too_slow += 1;
                continue;
            }
            Err(told) => return Err(told),
        };
        if misreads(&theirs) {
            tally.misread += 1;
            continue;
        }
        tally.profiles += 1;
        let (a, b) = (ours.program.len(), theirs.len());
        tally.length = tally.length.max((100 * a / b, a, b));
        for _ in 0..calls {
            let call = about.call(random);
            let (answer, _) = interpret(&ours.program, &call)?;
            let verdict = evaluator.verdict(&call);
            let expected = if matches!(verdict.why, Why::New { .. }) {
                tally.new += 1;
                0x0005_0026
            } else {
                interpret(&theirs, &call)?.0
            };
            tally.calls += 1;
            if answer != expected {
                return Err(format!(
                    "{call:x?}, optimize {optimize}: ours {answer:#x}, libseccomp {expected:#x}, \
                     evaluator {verdict:x?}"
                ));
            }
        }
    }
    Ok(())
}

/// Whether some way through the program compares the architecture's token with
/// what is none.
fn misreads(program: &[Insn]) -> bool {
    // For each instruction, whether the token may be what is loaded there.
    let mut token = vec![false; program.len() + 256];
    for (i, insn) in program.iter().enumerate() {
        let here = token[i];
        let compares = [IF_EQ, IF_GT, IF_GE, IF_SET].contains(&insn.code);
        if here && compares && Arch::ALL.iter().all(|arch| arch.token() != insn.k) {
            return true;
        }
        let skips = match insn.code {
            RETURN => continue,
            JUMP => [insn.k as usize; 2],
            _ => [insn.jt.into(), insn.jf.into()],
        };
        for skip in skips {
            token[i + 1 + skip] |= if insn.code == LOAD { insn.k == ARCH_AT } else { here };
        }
    }
    false
}

/// Drops the names that libseccomp is too old for, and tells how many.
fn drop_unknown(profile: &mut Seccomp, native: Arch) -> u64 {
    let mut dropped = 0;
    let listed = profile.architectures.iter().filter_map(|name| Arch::from_name(name));
    let arches: Vec<Arch> = listed.chain([native]).collect();
    let known = |name: &str| {
        libseccomp::round_trips(native, name)
            && arches.iter().all(|arch| {
                let ours = Row::find(name).and_then(|row| row.number(*arch));
                let theirs = u32::try_from(libseccomp::resolve(*arch, name)).ok();
                ours == theirs || (arch.multiplexes() && multiplexed(name).is_some())
            })
    };
    for syscall in &mut profile.syscalls {
        let before = syscall.names.len();
        syscall.names.retain(|name| known(name));
        dropped += (before - syscall.names.len()) as u64;
    }
    profile.syscalls.retain(|syscall| !syscall.names.is_empty());
    dropped
}
