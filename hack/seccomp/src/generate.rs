//! Random profiles, and calls that are close to what they are about.

use crate::seccomp::action::Operator;
use crate::seccomp::arch::{Arch, X32_BIT};
use crate::seccomp::interpret::Call;
use crate::seccomp::table::{Row, multiplexed};
use crate::spec::seccomp::{Arg, Seccomp, Syscall};

/// SplitMix64: the same numbers for the same seed, everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// What profiles look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Anything that the spec allows.
    Any,
    /// At most one rule with conditions for a system call, and no other with
    /// it: what libseccomp's releases agree on.
    OneRulePerCall,
}

const MULTIPLEXED: [&str; 10] = [
    "socket",
    "connect",
    "accept",
    "accept4",
    "recvmsg",
    "semop",
    "semtimedop",
    "shmget",
    "socketcall",
    "ipc",
];

fn value(random: &mut Random) -> u64 {
    const EDGES: [u64; 14] = [
        0,
        1,
        2,
        7,
        0xff,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_fffe,
        0xffff_ffff,
        0x1_0000_0000,
        0x1_0000_0001,
        0xffff_ffff_0000_0000,
        u64::MAX - 1,
        u64::MAX,
    ];
    match random.below(8) {
        0 => random.next(),
        1 => random.next() >> 32,
        2 => random.next() & random.next() & random.next(),
        _ => *random.pick(&EDGES),
    }
}

fn action(random: &mut Random, default: bool) -> (String, Option<u32>) {
    let names = [
        "SCMP_ACT_KILL",
        "SCMP_ACT_KILL_THREAD",
        "SCMP_ACT_KILL_PROCESS",
        "SCMP_ACT_TRAP",
        "SCMP_ACT_ERRNO",
        "SCMP_ACT_ERRNO",
        "SCMP_ACT_ERRNO",
        "SCMP_ACT_TRACE",
        "SCMP_ACT_ALLOW",
        "SCMP_ACT_ALLOW",
        "SCMP_ACT_LOG",
        "SCMP_ACT_NOTIFY",
    ];
    let name = *random.pick(if default { &names[..11] } else { &names[..] });
    let data = match name {
        "SCMP_ACT_ERRNO" | "SCMP_ACT_TRACE" if !random.one_in(3) => {
            Some(*random.pick(&[0, 1, 2, 22, 38, 4094]))
        }
        _ => None,
    };
    (name.into(), data)
}

fn arg(random: &mut Random, index: u32) -> Arg {
    let ops: Vec<_> = Operator::names().collect();
    Arg { index, value: value(random), value_two: value(random), op: (*random.pick(&ops)).into() }
}

/// A name for rules, from the part of the names that this profile is about.
fn name(random: &mut Random, pool: &[Row]) -> String {
    match random.below(12) {
        0 | 1 => (*random.pick(&MULTIPLEXED)).into(),
        2 => (*random.pick(&["no_such_call", "read", "restart_syscall"])).into(),
        _ => random.pick(pool).name().into(),
    }
}

/// A random profile, and the architecture that it is for.
pub(crate) fn profile(random: &mut Random, kind: Kind) -> (Seccomp, Arch) {
    let native = if random.one_in(3) { *random.pick(&Arch::ALL) } else { Arch::X86_64 };
    let mut architectures: Vec<String> = Vec::new();
    for arch in [Arch::X86_64, Arch::X86, Arch::X32] {
        if !random.one_in(3) {
            architectures.push(arch.name().into());
        }
    }
    if random.one_in(3) {
        architectures.push(random.pick(&Arch::ALL).name().into());
    }
    let (default_action, default_errno_ret) = action(random, true);
    let all: Vec<Row> = Row::all().collect();
    let pool: Vec<Row> = (0..1 + random.below(60)).map(|_| *random.pick(&all)).collect();
    let most = if random.one_in(10) { 150 } else { 25 };
    let rules = 1 + random.below(most);
    let mut syscalls: Vec<Syscall> = (0..rules).map(|_| rule(random, &pool, kind)).collect();
    if kind == Kind::OneRulePerCall {
        let mut seen = std::collections::HashSet::new();
        for syscall in &mut syscalls {
            // Calls that share a number (socketcall, ipc) are one call to a
            // filter, so of these only what the number alone decides.
            let more = syscall.args.iter().any(|arg| arg.index > 0);
            syscall.names.retain(|name| {
                let shares = ["socketcall", "ipc"].contains(&name.as_str())
                    || (more && multiplexed(name).is_some());
                !shares && seen.insert(name.clone())
            });
        }
        syscalls.retain(|syscall| !syscall.names.is_empty());
    }
    let profile = Seccomp {
        default_action,
        default_errno_ret,
        architectures,
        syscalls,
        listener_path: Some("/listener".into()),
        ..Seccomp::default()
    };
    (profile, native)
}

fn rule(random: &mut Random, pool: &[Row], kind: Kind) -> Syscall {
    let (action, errno_ret) = action(random, false);
    let most = if random.one_in(4) { 20 } else { 2 };
    let names = (0..1 + random.below(most))
        .map(|_| name(random, pool))
        .filter(|name| action != "SCMP_ACT_NOTIFY" || name != "write");
    let names: Vec<String> = names.collect();
    let names = if names.is_empty() { vec!["close".into()] } else { names };
    let mut args = Vec::new();
    for index in 0..6 {
        if random.one_in(5) {
            args.push(arg(random, index));
        }
    }
    if kind == Kind::Any && random.one_in(8) {
        let index = random.below(6) as u32;
        args.push(arg(random, index));
    }
    Syscall { names, action, errno_ret, args }
}

/// Calls that `profile` is about, and their neighbours.
pub(crate) struct Calls {
    tokens: Vec<u32>,
    numbers: Vec<u32>,
    values: Vec<u64>,
}

impl Calls {
    pub(crate) fn new(profile: &Seccomp, native: Arch) -> Self {
        let listed = profile.architectures.iter().filter_map(|name| Arch::from_name(name));
        let arches: Vec<Arch> = listed.chain([native]).collect();
        let mut numbers = vec![0, X32_BIT, 2 * X32_BIT, 3 * X32_BIT, u32::MAX];
        let names = profile.syscalls.iter().flat_map(|syscall| &syscall.names);
        let rows = names.filter_map(|name| Row::find(name));
        for row in rows.chain(["socketcall", "ipc"].iter().filter_map(|name| Row::find(name))) {
            numbers.extend(arches.iter().filter_map(|arch| row.number(*arch)));
        }
        let args = profile.syscalls.iter().flat_map(|syscall| &syscall.args);
        let mut values: Vec<u64> = args.flat_map(|arg| [arg.value, arg.value_two]).collect();
        values.extend(0..25);
        Self { tokens: arches.iter().map(|arch| arch.token()).collect(), numbers, values }
    }

    pub(crate) fn call(&self, random: &mut Random) -> Call {
        let arch = if random.one_in(16) {
            random.pick(&Arch::ALL).token()
        } else {
            *random.pick(&self.tokens)
        };
        let number = match random.below(16) {
            0 => random.next() as u32,
            1 => random.below(520) as u32,
            2 => random.below(520) as u32 | X32_BIT,
            3 => random.pick(&self.numbers).wrapping_add(1),
            4 => random.pick(&self.numbers).wrapping_sub(1),
            _ => *random.pick(&self.numbers),
        };
        let args = std::array::from_fn(|_| self.value(random));
        Call { arch, number, args }
    }

    fn value(&self, random: &mut Random) -> u64 {
        let near = *random.pick(&self.values);
        match random.below(16) {
            0 => random.next(),
            1 => near.wrapping_add(1),
            2 => near.wrapping_sub(1),
            3 => near ^ (1 << random.below(64)),
            4 => near & u64::from(u32::MAX),
            5 => near | 0x1_0000_0000,
            6 => near | random.next(),
            7 => near.rotate_left(32),
            _ => near,
        }
    }
}
