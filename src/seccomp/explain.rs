//! A profile in words, for people: what a filter answers, and why.

use std::fmt::Write;

use super::arch::Arch;
use super::evaluate::{Evaluator, Why};
use super::interpret::{Call, depth, interpret};
use super::policy::{Policy, flag_names_of};
use super::table::Row;
use super::{ConfigError, compile};
use crate::spec::seccomp::Seccomp;

/// The filter as a whole: its size, its reach, and what it leaves out.
pub(crate) fn summary(profile: &Seccomp, native: Arch) -> Result<String, ConfigError> {
    let policy = Policy::new(profile, native)?;
    let filter = compile(profile, native)?;
    let mut out = String::new();
    let mut line = |label: &str, text: String| {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{:15}{text}", format!("{label}:"));
    };
    let (len, depth) = (filter.program.len(), depth(&filter.program));
    line("program", format!("{len} instructions, at most {depth} for a call"));
    let flags = flag_names_of(filter.flags).collect::<Vec<_>>().join(", ");
    line("flags", if flags.is_empty() { "none".into() } else { flags });
    line("default", policy.default.to_string());
    let arches: Vec<_> = policy.arches.iter().map(|arch| short(*arch)).collect();
    line("architectures", arches.join(", "));
    if policy.hides_new_calls() {
        for arch in &policy.arches {
            if let Some((name, number)) = newest(&policy, *arch) {
                let number = number.wrapping_sub(arch.base());
                let arch = short(*arch);
                line("newest", format!("{name} ({number}) on {arch}, those beyond get ENOSYS"));
            }
        }
    }
    let unknown = unknown(&policy);
    if !unknown.is_empty() {
        line("unknown", unknown.join(", "));
    }
    Ok(out)
}

/// What the filter answers to `text`, a call like `socket(40, 1, 0x0)`, on
/// `arch`; the error is about the text.
pub(crate) fn answer(
    profile: &Seccomp,
    native: Arch,
    arch: Arch,
    text: &str,
) -> Result<String, String> {
    let call = parse(text, arch)?;
    let told = |e: ConfigError| format!("{}: {}", e.field, e.rule);
    let filter = compile(profile, native).map_err(told)?;
    let (answer, steps) = interpret(&filter.program, &call)?;
    let evaluator = Evaluator::new(profile, native).map_err(told)?;
    let verdict = evaluator.verdict(&call);
    if answer != verdict.action.0 {
        return Err(format!("program and profile disagree on {text}: please report this"));
    }
    let why = match verdict.why {
        Why::Rule { rule, name } => format!("by linux.seccomp.syscalls[{rule}] for {name}"),
        Why::Default => "by linux.seccomp.defaultAction, no rule matches".into(),
        Why::ForeignArch => {
            format!("because linux.seccomp.architectures does not list {}", short(arch))
        }
        Why::New { last } => {
            format!("because it is newer than {last}, the last that the profile names")
        }
    };
    let (action, arch) = (verdict.action, short(arch));
    Ok(format!("{text} on {arch}: {action} {why} ({steps} instructions)"))
}

/// A name or number with arguments in parentheses; missing ones are 0.
fn parse(text: &str, arch: Arch) -> Result<Call, String> {
    let wrong = || format!("{text:?} is no call like name(1, 0x2)");
    let (name, rest) = text.split_once('(').unwrap_or((text, ")"));
    let inside = rest.trim_end().strip_suffix(')').ok_or_else(wrong)?.trim();
    let mut args = [0; 6];
    let given = inside.split(',').filter(|_| !inside.is_empty());
    for (i, arg) in given.enumerate() {
        *args.get_mut(i).ok_or("a system call has at most six arguments")? =
            value(arg).ok_or_else(|| format!("{:?} is no argument: a number is", arg.trim()))?;
    }
    let name = name.trim();
    let number = match value(name) {
        Some(number) => u32::try_from(number).map_err(|_| wrong())?,
        None => Row::find(name)
            .and_then(|row| row.number(arch))
            .ok_or_else(|| format!("{} has no system call {name:?}", short(arch)))?,
    };
    Ok(Call { arch: arch.token(), number, args })
}

/// A number as C has them: decimal, 0x and a minus sign.
fn value(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Some(positive) = text.strip_prefix('-') {
        return value(positive).map(u64::wrapping_neg);
    }
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The name as people write it.
fn short(arch: Arch) -> String {
    arch.name().trim_start_matches("SCMP_ARCH_").to_lowercase()
}

/// The architecture that people call `name`, with or without `SCMP_ARCH_`.
pub(crate) fn arch(name: &str) -> Option<Arch> {
    let upper = name.to_uppercase();
    let bare = upper.trim_start_matches("SCMP_ARCH_");
    Arch::from_name(&format!("SCMP_ARCH_{bare}"))
}

fn newest<'a>(policy: &Policy<'a>, arch: Arch) -> Option<(&'a str, u32)> {
    let names = policy.rules.iter().flat_map(|rule| rule.names);
    let numbers = names.filter_map(|name| Some((name.as_str(), Row::find(name)?.number(arch)?)));
    numbers.max_by_key(|(_, number)| *number)
}

fn unknown<'a>(policy: &Policy<'a>) -> Vec<&'a str> {
    let names = policy.rules.iter().flat_map(|rule| rule.names).map(String::as_str);
    let known = |name| {
        Row::find(name)
            .is_some_and(|row| policy.arches.iter().any(|arch| row.number(*arch).is_some()))
    };
    names.filter(|name| !known(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Seccomp {
        serde_json::from_str(
            r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86"],"syscalls":[
                {"names":["read","riscv_hwprobe","openat2"],"action":"SCMP_ACT_ALLOW"},
                {"names":["socket"],"action":"SCMP_ACT_KILL","args":[{"index":0,"value":40,"op":"SCMP_CMP_EQ"}]}]}"#,
        )
        .unwrap()
    }

    fn told(arch: Arch, text: &str) -> String {
        let told = answer(&profile(), Arch::X86_64, arch, text).unwrap_or_else(|e| e);
        told.split(" (").next().unwrap().to_owned()
            + told.split_once(')').map_or("", |(_, rest)| rest.split(" (").next().unwrap())
    }

    #[test]
    fn an_answer_tells_its_rule() {
        let ours = |text| answer(&profile(), Arch::X86_64, Arch::X86_64, text).unwrap();
        let read = ours("read");
        assert!(
            read.starts_with(
                "read on x86_64: SCMP_ACT_ALLOW by linux.seccomp.syscalls[0] for read ("
            ),
            "{read}"
        );
        assert!(
            ours("socket(0x28, 1)")
                .contains("SCMP_ACT_KILL_THREAD by linux.seccomp.syscalls[1] for socket")
        );
        assert!(ours("socket(2)").contains("SCMP_ACT_ERRNO(1) by linux.seccomp.defaultAction"));
        assert!(ours("500(1)").contains("SCMP_ACT_ERRNO(38) because it is newer than 437"));
    }

    #[test]
    fn an_answer_is_for_its_architecture() {
        assert!(told(Arch::X86, "socketcall(1)").contains("syscalls[1] for socket"));
        assert!(told(Arch::X32, "read()").contains("does not list x32"));
        assert_eq!(told(Arch::X86, "arch_prctl2"), "x86 has no system call \"arch_prctl2\"");
    }

    #[test]
    fn what_is_no_call_is_told() {
        for text in [
            "read(",
            "read(1",
            "read(x)",
            "read(1,2,3,4,5,6,7)",
            "(1)",
            "",
            "read(,)",
            "4294967296",
        ] {
            assert!(parse(text, Arch::X86_64).is_err(), "{text}");
        }
        let call = parse(" read ( -1 , 0xff ) ", Arch::X86_64).unwrap();
        assert_eq!((call.number, &call.args[..3]), (0, &[u64::MAX, 255, 0][..]));
    }

    #[test]
    fn a_summary_names_what_is_left_out() {
        let text = summary(&profile(), Arch::X86_64).unwrap();
        assert!(text.contains("\nunknown:       riscv_hwprobe\n"), "{text}");
        assert!(
            text.contains("newest:        openat2 (437) on x86, those beyond get ENOSYS"),
            "{text}"
        );
        assert!(text.contains("\nflags:         SECCOMP_FILTER_FLAG_SPEC_ALLOW\n"), "{text}");
    }

    #[test]
    fn architectures_have_short_names() {
        for name in ["x86_64", "X86_64", "SCMP_ARCH_X86_64", "scmp_arch_x86_64"] {
            assert_eq!(arch(name), Some(Arch::X86_64), "{name}");
        }
        assert_eq!(arch("amd64"), None);
    }
}
