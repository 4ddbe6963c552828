//! The compiler as a whole: against the evaluator, and against answers worked
//! out by hand from libseccomp's and runc's rules.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::action::{Action, Operator};
use super::arch::Arch;
use super::evaluate::{Evaluator, Why};
use super::interpret::{Call, depth, interpret};
use super::table::Row;
use super::{Filter, compile};
use crate::spec::seccomp::{Arg, Seccomp, Syscall};

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;
const KILL: u32 = 0;

fn profile(json: &str) -> Seccomp {
    serde_json::from_str(json).unwrap()
}

/// Answers of the program and of the evaluator, which must be one.
fn answer(profile: &Seccomp, native: Arch, arch: Arch, number: u32, args: [u64; 6]) -> u32 {
    let call = Call { arch: arch.token(), number, args };
    let filter = compile(profile, native).unwrap();
    let (answer, _) = interpret(&filter.program, &call).unwrap();
    let verdict = Evaluator::new(profile, native).unwrap().verdict(&call);
    assert_eq!(answer, verdict.action.0, "{call:x?} {verdict:?}");
    answer
}

/// Allows what is in `rules`, and answers `EPERM` to the rest.
fn allowing(arches: &str, rules: &str) -> Seccomp {
    profile(&format!(
        r#"{{"defaultAction":"SCMP_ACT_ERRNO","architectures":[{arches}],"syscalls":[{rules}]}}"#
    ))
}

const READ: &str = r#"{"names":["read","openat2"],"action":"SCMP_ACT_ALLOW"}"#;

#[test]
fn a_profile_without_rules_is_its_default() {
    let profile = profile(r#"{"defaultAction":"SCMP_ACT_LOG"}"#);
    for number in [0, 1, 450, 0x3fff_ffff, u32::MAX] {
        assert_eq!(answer(&profile, Arch::X86_64, Arch::X86_64, number, [0; 6]), 0x7ffc_0000);
    }
    assert_eq!(answer(&profile, Arch::X86_64, Arch::Aarch64, 0, [0; 6]), KILL);
}

/// libseccomp's answer for a foreign architecture and for x32, unless it is
/// listed, is to kill the thread.
#[test]
fn calls_of_architectures_that_are_not_listed_kill() {
    let open = profile(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#);
    assert_eq!(answer(&open, Arch::X86_64, Arch::X86, 3, [0; 6]), KILL);
    assert_eq!(answer(&open, Arch::X86_64, Arch::X32, 0x4000_0000, [0; 6]), KILL);
    assert_eq!(answer(&open, Arch::X86_64, Arch::X32, 0xffff_fffe, [0; 6]), KILL);
    // -1 is what a tracer leaves of a call that it skips.
    assert_eq!(answer(&open, Arch::X86_64, Arch::X86_64, u32::MAX, [0; 6]), ALLOW);
    let x32 = allowing(r#""SCMP_ARCH_X32""#, READ);
    assert_eq!(answer(&x32, Arch::X86_64, Arch::X32, 0x4000_0000, [0; 6]), ALLOW);
    assert_eq!(answer(&x32, Arch::X86_64, Arch::X32, 0x4000_0001, [0; 6]), EPERM);
}

/// As runc's patchbpf: `openat2` is 437 on all architectures.
#[test]
fn calls_newer_than_the_profile_do_not_exist() {
    let profile = allowing(r#""SCMP_ARCH_X86","SCMP_ARCH_X32""#, READ);
    for (arch, base) in [(Arch::X86_64, 0), (Arch::X86, 0), (Arch::X32, 0x4000_0000)] {
        let answer = |number: u32| answer(&profile, Arch::X86_64, arch, base + number, [0; 6]);
        assert_eq!(answer(436), EPERM, "{arch:?}");
        assert_eq!(answer(437), ALLOW, "{arch:?}");
        assert_eq!(answer(438), ENOSYS, "{arch:?}");
        assert_eq!(answer(0x3fff_ffff), ENOSYS, "{arch:?}");
    }
}

/// With x32 not listed runc looks at bit 30 first, libseccomp at the whole
/// number after it.
#[test]
fn numbers_beyond_x32_follow_runc_and_libseccomp() {
    let profile = allowing("", READ);
    for (number, expected) in [
        (0x3fff_ffff, ENOSYS),
        (0x4000_0000, KILL),
        (0x7fff_ffff, KILL),
        (0x8000_0000, ENOSYS),
        (0xbfff_ffff, ENOSYS),
        (0xc000_0000, KILL),
        (0xffff_fffe, KILL),
        (0xffff_ffff, EPERM),
    ] {
        assert_eq!(answer(&profile, Arch::X86_64, Arch::X86_64, number, [0; 6]), expected);
    }
}

#[test]
fn a_default_that_lets_calls_through_hides_none() {
    for action in ["ALLOW", "LOG", "TRACE"] {
        let text = format!(
            r#"{{"defaultAction":"SCMP_ACT_{action}","syscalls":[{{"names":["read"],"action":"SCMP_ACT_KILL"}},
               {{"names":["openat2"],"action":"SCMP_ACT_KILL"}}]}}"#
        );
        let answer = answer(&profile(&text), Arch::X86_64, Arch::X86_64, 1000, [0; 6]);
        assert!(Action(answer).lets_through(), "{action}: {answer:#x}");
    }
}

/// s390's kernel replaces a number that it does not know with 0.
#[test]
fn number_0_of_s390_does_not_exist() {
    for arch in [Arch::S390, Arch::S390x] {
        let profile = allowing("", READ);
        assert_eq!(answer(&profile, arch, arch, 0, [0; 6]), ENOSYS);
        assert_eq!(answer(&profile, arch, arch, 1, [0; 6]), EPERM);
        assert_eq!(answer(&profile, arch, arch, 3, [0; 6]), ALLOW);
    }
}

#[test]
fn a_rule_without_conditions_beats_those_with() {
    let deny = r#"{"names":["personality","openat2"],"action":"SCMP_ACT_ERRNO","errnoRet":22,"args":[{"index":0,"value":8,"op":"SCMP_CMP_EQ"}]}"#;
    let allow = r#"{"names":["personality"],"action":"SCMP_ACT_ALLOW"}"#;
    for rules in [format!("{deny},{allow}"), format!("{allow},{deny}")] {
        let profile = allowing("", &rules);
        assert_eq!(answer(&profile, Arch::X86_64, Arch::X86_64, 135, [8, 0, 0, 0, 0, 0]), ALLOW);
    }
}

#[test]
fn the_first_of_two_rules_that_match_wins() {
    let rule = |action: &str, op: &str| {
        format!(
            r#"{{"names":["personality","openat2"],"action":"SCMP_ACT_{action}","args":[{{"index":0,"value":8,"op":"SCMP_CMP_{op}"}}]}}"#
        )
    };
    let eight = |rules: String| {
        answer(&allowing("", &rules), Arch::X86_64, Arch::X86_64, 135, [8, 0, 0, 0, 0, 0])
    };
    let (allow, kill) = (rule("ALLOW", "GE"), rule("KILL_PROCESS", "EQ"));
    assert_eq!(eight(format!("{allow},{kill}")), ALLOW);
    assert_eq!(eight(format!("{kill},{allow}")), 0x8000_0000);
}

/// As in runc: "Revert to old behavior", each condition a rule of its own.
#[test]
fn two_conditions_on_one_argument_are_two_rules() {
    let profile = allowing(
        "",
        r#"{"names":["personality","openat2"],"action":"SCMP_ACT_ALLOW","args":[
            {"index":0,"value":1,"op":"SCMP_CMP_EQ"},{"index":0,"value":2,"op":"SCMP_CMP_EQ"},
            {"index":1,"value":7,"op":"SCMP_CMP_EQ"}]}"#,
    );
    let answer = |a, b| answer(&profile, Arch::X86_64, Arch::X86_64, 135, [a, b, 0, 0, 0, 0]);
    assert_eq!(
        [answer(1, 0), answer(2, 0), answer(3, 7), answer(3, 0)],
        [ALLOW, ALLOW, ALLOW, EPERM]
    );
}

/// Every operator on both sides of each word's borders.
#[test]
fn operators_compare_64_bits() {
    let edges =
        [0, 1, 0xffff_fffe, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0001, u64::MAX - 1, u64::MAX];
    for (op, holds) in [
        ("NE", (|a, b| a != b) as fn(u64, u64) -> bool),
        ("LT", |a, b| a < b),
        ("LE", |a, b| a <= b),
        ("EQ", |a, b| a == b),
        ("GE", |a, b| a >= b),
        ("GT", |a, b| a > b),
    ] {
        for value in edges {
            let rule = format!(
                r#"{{"names":["openat2"],"action":"SCMP_ACT_ALLOW","args":[{{"index":5,"value":{value},"op":"SCMP_CMP_{op}"}}]}}"#
            );
            let profile = allowing(r#""SCMP_ARCH_X86""#, &rule);
            for arg in edges {
                let args = [0, 0, 0, 0, 0, arg];
                let expected = |holds| if holds { ALLOW } else { EPERM };
                let wide = answer(&profile, Arch::X86_64, Arch::X86_64, 437, args);
                assert_eq!(wide, expected(holds(arg, value)), "{arg:#x} {op} {value:#x}");
                let narrow = answer(&profile, Arch::X86_64, Arch::X86, 437, args);
                let low = holds(arg & 0xffff_ffff, value & 0xffff_ffff);
                assert_eq!(narrow, expected(low), "low words of {arg:#x} {op} {value:#x}");
                let big = answer(&allowing("", &rule), Arch::S390x, Arch::S390x, 437, args);
                assert_eq!(big, expected(holds(arg, value)), "s390x: {arg:#x} {op} {value:#x}");
            }
        }
    }
}

/// Docker's rule for `clone`: no new namespaces.
#[test]
fn masks_look_at_their_bits_only() {
    let profile = allowing(
        "",
        r#"{"names":["clone","openat2"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":2114060288,"op":"SCMP_CMP_MASKED_EQ"}]}"#,
    );
    let clone = |flags| answer(&profile, Arch::X86_64, Arch::X86_64, 56, [flags, 0, 0, 0, 0, 0]);
    assert_eq!(clone(0x11), ALLOW);
    assert_eq!(clone(0x1000_0011), EPERM);
    assert_eq!(clone(0xdead_0000_0000_0011), ALLOW);
}

/// `socketcall(SYS_SOCKET)` (102, 1) is `socket` on x86; its family is in
/// memory, so that the condition on it is lost.
#[test]
fn socketcall_and_ipc_stand_for_calls() {
    let rules = r#"{"names":["socket","openat2"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]},
                   {"names":["shmget"],"action":"SCMP_ACT_ALLOW"}"#;
    let profile = allowing(r#""SCMP_ARCH_X86""#, rules);
    let call =
        |number, arg| answer(&profile, Arch::X86_64, Arch::X86, number, [arg, 0, 0, 0, 0, 0]);
    assert_eq!([call(102, 1), call(102, 2)], [ALLOW, EPERM]);
    assert_eq!([call(359, 1), call(359, 2)], [ALLOW, EPERM]);
    assert_eq!([call(117, 23), call(117, 24), call(395, 0)], [ALLOW, EPERM, ALLOW]);
}

#[test]
fn unknown_names_are_skipped() {
    let rules =
        format!(r#"{{"names":["no_such_call","getpid"],"action":"SCMP_ACT_ALLOW"}},{READ}"#);
    assert_eq!(answer(&allowing("", &rules), Arch::X86_64, Arch::X86_64, 39, [0; 6]), ALLOW);
}

#[test]
fn rules_with_the_default_action_do_nothing() {
    let rules = r#"{"names":["personality","openat2"],"action":"SCMP_ACT_ERRNO"},
                   {"names":["personality"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":8,"op":"SCMP_CMP_EQ"}]}"#;
    let profile = allowing("", rules);
    assert_eq!(answer(&profile, Arch::X86_64, Arch::X86_64, 135, [8, 0, 0, 0, 0, 0]), ALLOW);
    // But the profile knows them.
    assert_eq!(answer(&profile, Arch::X86_64, Arch::X86_64, 437, [0; 6]), EPERM);
}

#[test]
fn a_verdict_tells_its_rule() {
    let profile =
        allowing("", &format!(r#"{{"names":["close"],"action":"SCMP_ACT_KILL"}},{READ}"#));
    let evaluator = Evaluator::new(&profile, Arch::X86_64).unwrap();
    let why = |number| evaluator.verdict(&Call { arch: 0xC000_003E, number, args: [0; 6] }).why;
    assert_eq!(why(0), Why::Rule { rule: 1, name: "read" });
    assert_eq!(why(3), Why::Rule { rule: 0, name: "close" });
    assert_eq!(why(1), Why::Default);
    assert_eq!(why(500), Why::New { last: 437 });
    assert_eq!(why(0x4000_0000), Why::ForeignArch);
}

/// Each value costs an instruction, not a check of both words; else a profile
/// that lists what `ioctl` may do gets too long for the kernel.
#[test]
fn lists_of_values_stay_short() {
    let rule = |value: u32| {
        format!(
            r#"{{"names":["ioctl","openat2"],"action":"SCMP_ACT_ALLOW","args":[{{"index":1,"value":{value},"op":"SCMP_CMP_EQ"}}]}}"#
        )
    };
    let rules: Vec<_> = (0..1000).map(|i| rule(i * 3)).collect();
    let Filter { program, .. } = compile(&allowing("", &rules.join(",")), Arch::X86_64).unwrap();
    assert!(program.len() < 1050, "{}", program.len());
    assert!(depth(&program) <= program.len());
}

/// Pairs of values share the checks of their parts.
#[test]
fn checks_that_are_the_same_are_there_once() {
    let rule = |i: u32, j: u32| {
        format!(
            r#"{{"names":["ioctl","openat2"],"action":"SCMP_ACT_ALLOW","args":[
                {{"index":1,"value":{j},"op":"SCMP_CMP_EQ"}},{{"index":0,"value":{i},"op":"SCMP_CMP_EQ"}}]}}"#
        )
    };
    let rules: Vec<_> = (0..900).map(|i| rule(i / 30, i % 30)).collect();
    let profile = allowing("", &rules.join(","));
    let Filter { program, .. } = compile(&profile, Arch::X86_64).unwrap();
    assert!(program.len() < 100, "{}", program.len());
    let ioctl = |a, b| answer(&profile, Arch::X86_64, Arch::X86_64, 16, [a, b, 0, 0, 0, 0]);
    assert_eq!(
        [ioctl(29, 0), ioctl(0, 29), ioctl(30, 0), ioctl(0, 30)],
        [ALLOW, ALLOW, EPERM, EPERM]
    );
}

#[test]
fn a_program_that_the_kernel_would_refuse_is_an_error() {
    let rule = |i: u64| {
        let value = i << 32 | i;
        format!(
            r#"{{"names":["ioctl"],"action":"SCMP_ACT_ERRNO","errnoRet":{i},"args":[
                {{"index":1,"value":{value},"op":"SCMP_CMP_EQ"}}]}}"#
        )
    };
    let rules: Vec<_> = (2..2002).map(rule).collect();
    let e = compile(&allowing("", &rules.join(",")), Arch::X86_64).unwrap_err();
    assert_eq!(e.field, "linux.seccomp.syscalls");
    assert!(e.rule.ends_with("instructions, the kernel takes 4096"), "{}", e.rule);
}

fn action() -> impl Strategy<Value = (String, Option<u32>)> {
    let with_data = (select(vec!["SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"]), option::of(0..4096_u32));
    let names = Action::names().filter(|name| !["SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"].contains(name));
    let without = select(names.collect::<Vec<_>>()).prop_map(|name| (name, None));
    prop_oneof![with_data, without].prop_map(|(name, data)| (name.to_owned(), data))
}

fn value() -> impl Strategy<Value = u64> {
    let word =
        prop_oneof![select(vec![0_u64, 1, 2, 0xffff_fffe, 0xffff_ffff]), 0..0x1_0000_0000_u64];
    (word.clone(), word).prop_map(|(high, low)| high << 32 | low)
}

fn arg() -> impl Strategy<Value = Arg> {
    let op = select(Operator::names().collect::<Vec<_>>());
    (0..6_u32, value(), value(), op).prop_map(|(index, value, value_two, op)| Arg {
        index,
        value,
        value_two,
        op: op.into(),
    })
}

fn name() -> impl Strategy<Value = String> {
    let any = select(Row::all().map(Row::name).collect::<Vec<_>>());
    let often = select(vec!["socket", "shmget", "read", "clone", "openat2", "no_such_call"]);
    prop_oneof![any, often].prop_map(str::to_owned)
}

fn syscall() -> impl Strategy<Value = Syscall> {
    let parts = (vec(name(), 1..4), action(), vec(arg(), 0..3));
    parts.prop_map(|(mut names, (action, errno_ret), args)| {
        names.retain(|name| name != "write");
        names.push("close".into());
        Syscall { names, action, errno_ret, args }
    })
}

prop_compose! {
    fn any_profile()(
        default in action().prop_filter("refused", |(name, _)| name != "SCMP_ACT_NOTIFY"),
        arches in vec(select(Arch::ALL.to_vec()), 0..4),
        syscalls in vec(syscall(), 0..12),
    ) -> Seccomp {
        Seccomp {
            default_action: default.0,
            default_errno_ret: default.1,
            architectures: arches.iter().map(|arch| arch.name().to_owned()).collect(),
            listener_path: Some("/l".into()),
            syscalls,
            ..Seccomp::default()
        }
    }
}

proptest! {
    /// The program says what the profile says.
    #[test]
    fn program_and_evaluator_agree(
        profile in any_profile(),
        native in select(vec![Arch::X86_64, Arch::Aarch64, Arch::S390x, Arch::Mips]),
        foreign in select(Arch::ALL.to_vec()),
        numbers in vec(prop_oneof![0..500_u32, any::<u32>(), 0x4000_0000..0x4000_0230_u32], 8),
        args in vec(proptest::array::uniform6(value()), 8),
    ) {
        let filter = compile(&profile, native).unwrap();
        let evaluator = Evaluator::new(&profile, native).unwrap();
        let arches: Vec<_> = profile.architectures.iter().filter_map(|name| Arch::from_name(name)).collect();
        let named: Vec<_> = profile.syscalls.iter().flat_map(|rule| &rule.names).collect();
        for arch in arches.into_iter().chain([native, foreign]) {
            let known = named.iter().filter_map(|name| Row::find(name)?.number(arch));
            for number in known.chain(numbers.iter().copied()) {
                for args in &args {
                    let call = Call { arch: arch.token(), number, args: *args };
                    let (answer, _) = interpret(&filter.program, &call).unwrap();
                    prop_assert_eq!(answer, evaluator.verdict(&call).action.0, "{:x?}", call);
                }
            }
        }
    }
}

/// The table against another one made from the kernel's headers. Names differ
/// where libseccomp, and so profiles, have their own.
#[test]
fn numbers_are_those_of_the_syscalls_crate() {
    let mut compared = 0;
    let mut check = |arch: Arch, name: &str, number: u32| {
        if let Some(ours) = Row::find(name).and_then(|row| row.number(arch)) {
            assert_eq!(ours, number, "{name} on {arch:?}");
            compared += 1;
        }
    };
    macro_rules! check_all {
        ($($arch:ident: $module:ident),*) => {$(
            for call in syscalls::$module::Sysno::iter() {
                check(Arch::$arch, call.name(), u32::try_from(call.id()).unwrap());
            }
        )*};
    }
    check_all!(X86_64: x86_64, X86: x86, Arm: arm, Aarch64: aarch64, Loongarch64: loongarch64,
        Mips: mips, Mips64: mips64, Ppc: powerpc, Ppc64: powerpc64, Riscv64: riscv64, S390x: s390x);
    assert!(compared > 3500, "{compared}");
}
