//! Bytes as a profile that is mostly right, so that the compiler is reached.
#![no_main]
#![allow(dead_code, unused_imports)]

mod minke;
// The sources of minke name these from the root.
use minke::{seccomp, spec, sys};

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use seccomp::action::{Action, Operator};
use seccomp::arch::Arch;
use seccomp::table::Row;
use spec::seccomp::{Arg, Seccomp, Syscall};

fuzz_target!(|bytes: &[u8]| {
    let mut input = Unstructured::new(bytes);
    if let Ok((profile, native)) = profile(&mut input) {
        minke::compare(&profile, native, bytes);
    }
});

fn profile(input: &mut Unstructured) -> Result<(Seccomp, Arch)> {
    let native = if input.arbitrary()? { Arch::X86_64 } else { *input.choose(&Arch::ALL)? };
    let mut profile = Seccomp { listener_path: Some("/l".into()), ..Seccomp::default() };
    (profile.default_action, profile.default_errno_ret) = action(input)?;
    for _ in 0..input.int_in_range(0..=4)? {
        profile.architectures.push(input.choose(&Arch::ALL)?.name().into());
    }
    // What is left are rules.
    while !input.is_empty() {
        profile.syscalls.push(rule(input)?);
    }
    Ok((profile, native))
}

fn rule(input: &mut Unstructured) -> Result<Syscall> {
    let mut rule = Syscall::default();
    (rule.action, rule.errno_ret) = action(input)?;
    let rows: Vec<Row> = Row::all().collect();
    for _ in 0..input.int_in_range(1..=4)? {
        rule.names.push(input.choose(&rows)?.name().into());
    }
    let ops: Vec<_> = Operator::names().collect();
    for _ in 0..input.int_in_range(0..=3)? {
        let index = input.int_in_range(0..=5)?;
        let op = (*input.choose(&ops)?).into();
        rule.args.push(Arg { index, value: value(input)?, value_two: value(input)?, op });
    }
    Ok(rule)
}

fn value(input: &mut Unstructured) -> Result<u64> {
    let near = [0, 0xffff_ffff, 0x1_0000_0000, u64::MAX];
    Ok(match input.int_in_range(0..=2)? {
        0 => input.arbitrary::<u64>()?,
        1 => input.arbitrary::<u8>()?.into(),
        _ => input.choose(&near)?.wrapping_add(input.arbitrary::<i8>()? as u64),
    })
}

fn action(input: &mut Unstructured) -> Result<(String, Option<u32>)> {
    let names: Vec<_> = Action::names().collect();
    let name = *input.choose(&names)?;
    let data = ["SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"].contains(&name) && input.arbitrary()?;
    Ok((name.into(), if data { Some(input.int_in_range(0..=4096)?) } else { None }))
}
