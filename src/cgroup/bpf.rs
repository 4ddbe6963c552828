//! Device rules on cgroup v2: a BPF program that the kernel asks at every
//! open and mknod of a device file.
//!
//! The kernel hands the program a `struct bpf_cgroup_dev_ctx`: three 32-bit
//! numbers, of which the first has the type of the device in its lower half
//! and the access in its upper half, then major and minor. The program
//! answers 1 (allowed) or 0. Programs of the cgroups above are asked too, and
//! all must allow.
//!
//! <https://docs.kernel.org/admin-guide/cgroup-v2.html#device-controller>

use std::os::fd::{AsFd, OwnedFd};

use crate::error::{Doing, Result};
use crate::sys;
use crate::sys::Errno;
use crate::sys::bpf::Insn;

use super::change::Planned;
use super::devices::{Access, Exception, Kind, Ruleset};

/// `BPF_DEVCG_DEV_*`.
const DEV_BLOCK: i32 = 1;
const DEV_CHAR: i32 = 2;

/// Operations: `BPF_LDX|BPF_MEM|BPF_W`, then `BPF_ALU` (32 bits wide),
/// `BPF_ALU64` and `BPF_JMP` ones on a register and an immediate value, if not
/// told else.
const LOAD_WORD: u8 = 0x61;
const AND: u8 = 0x54;
const OR_REGISTER: u8 = 0x4c;
const SHIFT_LEFT: u8 = 0x64;
const SHIFT_LEFT_64: u8 = 0x67;
const SHIFT_RIGHT: u8 = 0x74;
const SHIFT_RIGHT_SIGNED_64: u8 = 0xc7;
const MOVE: u8 = 0xb4;
const MOVE_REGISTER: u8 = 0xbc;
const JUMP: u8 = 0x05;
/// Jumps if register and value have a bit in common.
const JUMP_IF_SET: u8 = 0x45;
const JUMP_IF_NOT_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

/// Registers. The kernel sets `CONTEXT` and reads `ANSWER`.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const TYPE: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
/// Both numbers, as in a `dev_t`.
const DEVICE: u8 = 6;

/// How many bits of a `dev_t` are the minor number.
const MINOR_BITS: i32 = 20;
/// Exceptions behind one test of the type. A jump over them has 16 bits.
const MOST_TOGETHER: usize = 4000;

/// The program that stands for `rules`.
///
/// ```text
///         TYPE, ACCESS, MAJOR, MINOR = the context's numbers
///         DEVICE = MAJOR and MINOR
///         ANSWER = the answer for an exception
///         if TYPE is character device:
///             for each exception of that type:
///                 unless DEVICE (or MAJOR, or MINOR) and ACCESS match: go to the next
///                 exit
///         the same for block devices
///         ANSWER = the default answer
///         exit
/// ```
///
/// The verifier follows every path with what it knows of the registers. It is
/// done in a third of the time if no register is tested again that it knows
/// by an earlier test: thence the one test of the type, and `DEVICE`.
pub(crate) fn assemble(rules: &Ruleset) -> Vec<Insn> {
    let default = i32::from(rules.default_allow());
    let mut program = vec![
        load(TYPE, 0),
        on_registers(MOVE_REGISTER, ACCESS, TYPE),
        operation(AND, TYPE, 0xffff),
        operation(SHIFT_RIGHT, ACCESS, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
        on_registers(MOVE_REGISTER, DEVICE, MAJOR),
        operation(SHIFT_LEFT, DEVICE, MINOR_BITS),
        on_registers(OR_REGISTER, DEVICE, MINOR),
        // A jump compares with a number of 32 bits and a sign.
        operation(SHIFT_LEFT_64, DEVICE, 32),
        operation(SHIFT_RIGHT_SIGNED_64, DEVICE, 32),
        operation(MOVE, ANSWER, 1 - default),
    ];
    for (kind, number) in [(Kind::Char, DEV_CHAR), (Kind::Block, DEV_BLOCK)] {
        let exceptions: Vec<_> = rules.exceptions().iter().filter(|e| e.kind == kind).collect();
        for exceptions in exceptions.chunks(MOST_TOGETHER) {
            let start = program.len();
            program.push(operation(JUMP_IF_NOT_EQUAL, TYPE, number));
            for exception in exceptions {
                push_exception(&mut program, exception, rules.default_allow());
                if !rules.default_allow() && exception.has_all_of_its_type() {
                    // The verifier refuses what is never reached.
                    break;
                }
            }
            jump_behind(&mut program, start);
        }
    }
    program.extend([operation(MOVE, ANSWER, default), insn(EXIT, 0, 0, 0)]);
    program
}

/// One exception: tests that jump behind its `exit` where they fail.
fn push_exception(program: &mut Vec<Insn>, exception: &Exception, default_allow: bool) {
    let start = program.len();
    let number = match (exception.major, exception.minor) {
        (Some(major), Some(minor)) => Some((DEVICE, major << MINOR_BITS | minor)),
        (Some(major), None) => Some((MAJOR, major)),
        (None, Some(minor)) => Some((MINOR, minor)),
        (None, None) => None,
    };
    if let Some((register, number)) = number {
        program.push(operation(JUMP_IF_NOT_EQUAL, register, number.cast_signed()));
    }
    let access = i32::from(exception.access.bits());
    if default_allow {
        // Denied is an access that has any of the exception's.
        program.push(insn(JUMP_IF_SET, Insn::registers(ACCESS, 0), 1, access));
        program.push(operation(JUMP, 0, 0));
    } else if exception.access != Access::ALL {
        // Allowed is an access that has nothing but the exception's.
        program.push(operation(JUMP_IF_SET, ACCESS, !access & 0xffff));
    }
    program.push(insn(EXIT, 0, 0, 0));
    (start..program.len()).for_each(|at| jump_behind(program, at));
}

/// Makes a jump that has no target yet one behind the program so far.
fn jump_behind(program: &mut [Insn], at: usize) {
    // Counted from the instruction after it.
    let offset = program.len() - at - 1;
    if let Some(insn) = program.get_mut(at)
        && matches!(insn.code, JUMP | JUMP_IF_SET | JUMP_IF_NOT_EQUAL)
        && insn.offset == 0
    {
        // Too far is nowhere: the verifier would refuse it.
        insn.offset = i16::try_from(offset).unwrap_or(i16::MIN);
    }
}

const fn insn(code: u8, registers: u8, offset: i16, immediate: i32) -> Insn {
    Insn { code, registers, offset, immediate }
}

const fn operation(code: u8, register: u8, immediate: i32) -> Insn {
    insn(code, Insn::registers(register, 0), 0, immediate)
}

const fn on_registers(code: u8, destination: u8, source: u8) -> Insn {
    insn(code, Insn::registers(destination, source), 0, 0)
}

const fn load(register: u8, at: i16) -> Insn {
    insn(LOAD_WORD, Insn::registers(register, CONTEXT), at, 0)
}

/// Loads the program of `rules` and attaches it to a cgroup that was just
/// made, to which therefore none is attached yet.
///
/// Rules that deny nothing need no program: the cgroups above still decide.
///
/// # Errors
///
/// [`crate::error::Error::Os`]. In a user namespace the kernel refuses with
/// `EPERM`; the caller may go on there, as no device can be made there that
/// is not given to the container.
pub(crate) fn attach(cgroup: impl AsFd, rules: &Ruleset) -> Result<()> {
    if rules.allows_all() {
        return Ok(());
    }
    let program = load_program(rules)?;
    attach_program(cgroup, &program)
}

/// Loads the program of `rules` and attaches it in the place of the programs
/// that the cgroup has.
///
/// A single one is exchanged in one step (Linux 5.6). Otherwise the new one
/// comes first and then the old ones go, so that at no time less is denied
/// than by both.
pub(crate) fn replace(cgroup: impl AsFd, rules: &Ruleset) -> Result<()> {
    let cgroup = cgroup.as_fd();
    let old = attached_programs(cgroup)?;
    if old.is_empty() {
        return attach(cgroup, rules);
    }
    let program = load_program(rules)?;
    if let [only] = old.as_slice() {
        match sys::bpf::attach_device_program(cgroup, &program, Some(only)) {
            // The kernel cannot replace.
            Err(Errno::INVAL) => {}
            result => return result.doing(|| "bpf: replace the device program of the cgroup"),
        }
    }
    attach_program(cgroup, &program)?;
    old.iter().try_for_each(|old| {
        sys::bpf::detach_device_program(cgroup, old)
            .doing(|| "bpf: detach the old device program from the cgroup")
    })
}

/// What [`replace`] would do: the programs that are attached now, the rules,
/// and the program that stands for them.
pub(super) fn foresee(cgroup: impl AsFd, rules: &Ruleset) -> Result<Planned> {
    let old = sys::bpf::device_program_ids(cgroup)
        .doing(|| "bpf: list the device programs of the cgroup")?;
    let held = match assemble(rules).len() {
        _ if rules.allows_all() && old.is_empty() => String::new(),
        length => format!("a program of {length} instructions"),
    };
    let old: Vec<String> = old.iter().map(|id| format!("program {id}")).collect();
    let verb = |file: &'static str| file.trim_start_matches("devices.");
    let new = rules.v1_lines().into_iter().map(|line| format!("{} {}", verb(line.file), line.rule));
    let new = new.collect::<Vec<_>>().join(", ");
    Ok(Planned { file: "bpf:device".to_owned(), old: old.join(", "), new, held })
}

fn attach_program(cgroup: impl AsFd, program: &OwnedFd) -> Result<()> {
    sys::bpf::attach_device_program(cgroup, program, None)
        .doing(|| "bpf: attach a device program to the cgroup")
}

fn load_program(rules: &Ruleset) -> Result<OwnedFd> {
    let program = assemble(rules);
    match sys::bpf::load_device_program(&program) {
        Err(Errno::PERM) => load_beyond_memlock(&program),
        result => result,
    }
    .doing(|| format!("bpf: load a device program of {} instructions", program.len()))
}

/// Loads without `RLIMIT_MEMLOCK`, against which kernels before 5.11 count
/// programs. The limit is put back: the container inherits it.
fn load_beyond_memlock(program: &[Insn]) -> sys::Result<OwnedFd> {
    use sys::process::{Resource, Rlimit, getrlimit, setrlimit};

    let before = getrlimit(Resource::Memlock);
    if before.current.is_none() {
        return Err(Errno::PERM);
    }
    setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None })?;
    let result = sys::bpf::load_device_program(program);
    setrlimit(Resource::Memlock, before)?;
    result
}

/// The programs that are attached to the cgroup.
///
/// Those that a security module hides are left out, and so stay attached:
/// they can only deny more. Those that went away meanwhile are left out too.
fn attached_programs(cgroup: impl AsFd) -> Result<Vec<OwnedFd>> {
    let ids = sys::bpf::device_program_ids(cgroup)
        .doing(|| "bpf: list the device programs of the cgroup")?;
    ids.into_iter()
        .filter_map(|id| match sys::bpf::program_by_id(id) {
            Err(Errno::PERM | Errno::ACCESS | Errno::NOENT) => None,
            result => Some(result.doing(|| format!("bpf: open device program {id}"))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::devices::tests::{ACCESSES, Random, V1, rule};
    use super::*;

    /// Runs a program as the kernel does: registers of 64 bits, of which the
    /// `BPF_ALU` operations clear the upper half.
    fn run(program: &[Insn], context: [u32; 3]) -> u32 {
        let mut registers: [Option<u64>; 11] = [None; 11];
        let mut at = 0_usize;
        let mut budget = program.len();
        while budget > 0 {
            budget -= 1;
            let insn = program[at];
            at += 1;
            let (low, high) = (usize::from(insn.registers & 15), usize::from(insn.registers >> 4));
            let (dst, src) = if cfg!(target_endian = "little") { (low, high) } else { (high, low) };
            let value = registers[dst];
            let immediate = i64::from(insn.immediate).cast_unsigned();
            let narrow = |n: u64| Some(n & 0xffff_ffff);
            let mut jump = |taken: bool| {
                if taken {
                    at = at.checked_add_signed(insn.offset.into()).unwrap();
                }
            };
            match insn.code {
                0x61 => {
                    assert_eq!(src, 1, "only the context can be read");
                    let word = usize::try_from(insn.offset).unwrap();
                    assert_eq!(word % 4, 0);
                    registers[dst] = Some(u64::from(context[word / 4]));
                }
                0x54 => registers[dst] = narrow(value.unwrap() & immediate),
                0x4c => registers[dst] = narrow(value.unwrap() | registers[src].unwrap()),
                0x64 => registers[dst] = narrow(value.unwrap() << insn.immediate),
                0x67 => registers[dst] = Some(value.unwrap() << insn.immediate),
                0x74 => registers[dst] = narrow(value.unwrap() >> insn.immediate),
                0xc7 => {
                    let shifted = value.unwrap().cast_signed() >> insn.immediate;
                    registers[dst] = Some(shifted.cast_unsigned());
                }
                0xb4 => registers[dst] = narrow(immediate),
                0xbc => registers[dst] = narrow(registers[src].unwrap()),
                0x05 => jump(true),
                0x45 => jump(value.unwrap() & immediate != 0),
                0x55 => jump(value.unwrap() != immediate),
                0x95 => return registers[0].unwrap().try_into().unwrap(),
                other => panic!("{other:#x} is not an operation of ours"),
            }
        }
        panic!("no exit");
    }

    fn context(kind: Kind, major: u32, minor: u32, access: Access) -> [u32; 3] {
        let kind = match kind {
            Kind::Block => 1,
            Kind::Char => 2,
        };
        [u32::from(access.bits()) << 16 | kind, major, minor]
    }

    fn ruleset(rules: &[crate::spec::DeviceRule]) -> Ruleset {
        Ruleset::new(rules, "f").unwrap()
    }

    /// The verifier refuses a program with a jump back, a jump out, or an
    /// instruction that is never reached.
    fn assert_well_formed(program: &[Insn]) {
        let mut reached = vec![false; program.len()];
        reached[0] = true;
        for (i, insn) in program.iter().enumerate() {
            assert!(reached[i], "{i} is never reached in {program:?}");
            let target = || i + 1 + usize::try_from(insn.offset).unwrap();
            match insn.code {
                EXIT => {}
                JUMP => reached[target()] = true,
                JUMP_IF_SET | JUMP_IF_NOT_EQUAL => {
                    reached[target()] = true;
                    reached[i + 1] = true;
                }
                _ => reached[i + 1] = true,
            }
        }
    }

    #[test]
    fn instructions_are_as_the_kernel_wants_them() {
        assert_eq!(size_of::<Insn>(), 8);
        let program = assemble(&ruleset(&[]));
        // r2 = *(u32 *)(r1 + 0)
        assert_eq!((program[0].code, program[0].offset, program[0].immediate), (0x61, 0, 0));
        #[cfg(target_endian = "little")]
        assert_eq!(program[0].registers, 0x12);
        assert_eq!(program.last().unwrap().code, 0x95);
    }

    /// The program says what the v1 controller says, for random rules and
    /// every probe: the controllers are the same to a container.
    #[test]
    fn program_says_what_the_v1_controller_says() {
        let mut random = Random(0x00c0_ffee);
        let (mut answers, mut sets, mut allowing) = ([0; 2], 0, 0);
        for _ in 0..10_000 {
            let first = (random.below(3) == 0).then(|| rule(true, "a", -1, -1, "rwm"));
            let more = random.below(8);
            let rules: Vec<_> = first.into_iter().chain((0..more).map(|_| random.rule())).collect();
            let Ok(set) = Ruleset::new(&rules, "f") else { continue };
            sets += 1;
            allowing += usize::from(set.default_allow());
            let program = assemble(&set);
            assert_well_formed(&program);
            let v1 = V1::after(&set.v1_lines());
            for kind in [Kind::Char, Kind::Block] {
                for major in [0, 1, 5, 136, 0xfff] {
                    for minor in [0, 3, 99, 0xf_ffff] {
                        for access in ACCESSES {
                            let allowed = run(&program, context(kind, major, minor, access));
                            let expected = v1.allows(kind, major, minor, access);
                            let what = (kind, major, minor, access);
                            assert_eq!(allowed, u32::from(expected), "{rules:?} {what:?}");
                            answers[usize::from(expected)] += 1;
                        }
                    }
                }
            }
        }
        assert!(sets > 3_000 && allowing > 300, "{sets} {allowing}");
        assert!(answers.iter().all(|&n| n > 10_000), "{answers:?}");
    }

    /// `O_RDWR` asks for both at once: with writing denied it must fail.
    #[test]
    fn denied_writing_denies_opening_for_both() {
        let program =
            assemble(&ruleset(&[rule(true, "a", -1, -1, "rwm"), rule(false, "b", 8, 0, "w")]));
        let open = |bits: [Access; 2]| {
            let access = u32::from(bits[0].bits() | bits[1].bits());
            run(&program, [access << 16 | 1, 8, 0])
        };
        assert_eq!(open([Access::READ, Access::READ]), 1);
        assert_eq!(open([Access::WRITE, Access::WRITE]), 0);
        assert_eq!(open([Access::READ, Access::WRITE]), 0);
    }

    /// Numbers of all bits, and more rules than one jump can leap over.
    #[test]
    fn many_rules_make_a_long_program() {
        let majors = [0, 1, 0x7ff, 0x800, 0xfff];
        let rules: Vec<_> = (0..9_000)
            .map(|n| rule(true, "c", majors[n % 5], i64::try_from(n * 116).unwrap(), "r"))
            .collect();
        let program = assemble(&ruleset(&rules));
        assert_well_formed(&program);
        assert_eq!(run(&program, context(Kind::Block, 1, 0, Access::READ)), 0);
        for n in [0, 1, 2, 3, 4, 3999, 4000, 4001, 8000, 8999] {
            let (major, minor) = (majors[n % 5], u32::try_from(n * 116).unwrap());
            let ask =
                |major, minor, access| run(&program, context(Kind::Char, major, minor, access));
            let major = u32::try_from(major).unwrap();
            assert_eq!(ask(major, minor, Access::READ), 1, "{n}");
            assert_eq!(ask(major, minor, Access::WRITE), 0, "{n}");
            assert_eq!(ask(major, minor + 1, Access::READ), 0, "{n}");
            assert_eq!(ask(major ^ 2, minor, Access::READ), 0, "{n}");
        }
    }

    /// On a kernel: `MINKE_CGROUP2=DIR`, a cgroup v2 directory to make one
    /// in, and the rights of root.
    #[test]
    #[ignore = "changes cgroups"]
    fn kernel_loads_and_obeys() {
        let dir = std::path::PathBuf::from(std::env::var_os("MINKE_CGROUP2").unwrap());
        let dir = dir.join(format!("minke-test-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let cgroup = std::fs::File::open(&dir).unwrap();
        // Which of these can be opened, and how, by a process in there.
        let opens = || {
            let script = "echo 0 > \"$1/cgroup.procs\"; cd \"$(mktemp -d)\" || exit
                mknod full c 1 7; mknod kmsg c 1 11
                (: < full) && echo full-r; (: > full) && echo full-w
                (: < kmsg) && echo kmsg-r; (: > kmsg) && echo kmsg-w; (: <> kmsg) && echo kmsg-rw
                rm -r \"$PWD\"";
            let mut shell = std::process::Command::new("sh");
            let out = shell.args(["-c", script, "sh"]).arg(&dir).output().unwrap();
            String::from_utf8(out.stdout).unwrap().replace('\n', " ")
        };
        let all = "full-r full-w kmsg-r kmsg-w kmsg-rw ";
        assert_eq!(opens(), all);
        let count = || attached_programs(&cgroup).unwrap().len();

        attach(&cgroup, &ruleset(&[rule(true, "a", -1, -1, "rwm")])).unwrap();
        assert_eq!((opens(), count()), (all.into(), 0));
        attach(&cgroup, &ruleset(&[])).unwrap();
        assert_eq!((opens(), count()), ("full-r full-w ".into(), 1));
        replace(&cgroup, &ruleset(&[rule(true, "c", 1, 11, "r")])).unwrap();
        assert_eq!((opens(), count()), ("full-r full-w kmsg-r ".into(), 1));
        // Two are attached: both must allow, and both go.
        attach(&cgroup, &ruleset(&[])).unwrap();
        assert_eq!((opens(), count()), ("full-r full-w ".into(), 2));
        let no_writing = [rule(true, "a", -1, -1, "rwm"), rule(false, "c", 1, 11, "w")];
        replace(&cgroup, &ruleset(&no_writing)).unwrap();
        assert_eq!((opens(), count()), ("full-r full-w kmsg-r ".into(), 1));
        // Random ones are what the verifier takes.
        let mut random = Random(0xfeed);
        for _ in 0..300 {
            let rules: Vec<_> = (0..random.below(20)).map(|_| random.rule()).collect();
            if let Ok(set) = Ruleset::new(&rules, "f") {
                replace(&cgroup, &set).unwrap();
            }
        }
        assert_eq!(count(), 1);
        std::fs::remove_dir(&dir).unwrap();
    }
}
