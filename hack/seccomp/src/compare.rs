//! Holds the compiled program against the evaluator of profiles.

use std::collections::BTreeMap;

use crate::generate::{Calls, Kind, Random, profile};
use crate::seccomp::bpf::{IF_EQ, IF_GE, IF_GT, IF_SET, Insn, JUMP, RETURN};
use crate::seccomp::compile;
use crate::seccomp::evaluate::Evaluator;
use crate::seccomp::interpret::interpret;

/// How many calls are made up for one profile.
const CALLS_PER_PROFILE: usize = 400;

/// Compares `calls` calls; profiles and calls follow from `seed`.
pub(crate) fn run(calls: &str, seed: &str) -> Result<(), String> {
    let calls: u64 = calls.parse().map_err(|e| format!("{calls}: {e}"))?;
    let seed: u64 = seed.parse().map_err(|e| format!("{seed}: {e}"))?;
    let mut random = Random(seed);
    let (mut done, mut profiles, mut longest, mut refused) = (0_u64, 0_u64, 0, 0_u64);
    let mut answers: BTreeMap<u32, u64> = BTreeMap::new();
    while done < calls {
        let (profile, native) = profile(&mut random, Kind::Any);
        profiles += 1;
        let told = |what: String| {
            let text = format!("{profile:#?}");
            format!("seed {seed}, profile {profiles}, native {native:?}: {what}\n{text}")
        };
        let filter = match compile(&profile, native) {
            Ok(filter) => filter,
            Err(e) if e.rule.starts_with("need ") => {
                refused += 1;
                continue;
            }
            Err(e) => return Err(told(format!("{e:?}"))),
        };
        check(&filter.program).map_err(told)?;
        longest = longest.max(filter.program.len());
        let evaluator = Evaluator::new(&profile, native).map_err(|e| told(format!("{e:?}")))?;
        let about = Calls::new(&profile, native);
        for _ in 0..CALLS_PER_PROFILE {
            let call = about.call(&mut random);
            let verdict = evaluator.verdict(&call);
            let (answer, _) = interpret(&filter.program, &call).map_err(told)?;
            if answer != verdict.action.0 {
                return Err(told(format!("{call:x?}: {answer:#x}, but {verdict:?}")));
            }
            *answers.entry(answer & 0xffff_0000).or_default() += 1;
            done += 1;
        }
    }
    println!("{done} calls under {profiles} profiles, 0 differences");
    println!("longest program: {longest} instructions; {refused} profiles too long for any");
    for (answer, count) in answers {
        println!("  {answer:#010x} {count}");
    }
    Ok(())
}

/// What the kernel's `bpf_check_classic` and `seccomp_check_filter` ask.
pub(crate) fn check(program: &[Insn]) -> Result<(), String> {
    if program.last().is_none_or(|insn| insn.code != RETURN) {
        return Err("the last instruction is no return".into());
    }
    for (i, insn) in program.iter().enumerate() {
        let skip = match insn.code {
            JUMP => insn.k as usize,
            IF_EQ | IF_GE | IF_GT | IF_SET => insn.jt.max(insn.jf).into(),
            _ => 0,
        };
        if i + skip >= program.len() - usize::from(insn.code != RETURN) {
            return Err(format!("instruction {i} jumps out of the program"));
        }
    }
    Ok(())
}
