//! Measures compiling and loading a profile, against libseccomp in the same run.

use std::time::{Duration, Instant};

use crate::libseccomp;
use crate::seccomp::bpf::Insn;
use crate::seccomp::{Arch, compile};
use crate::spec::seccomp::Seccomp;
use crate::sys;

/// Times of one thing that was measured, in nanoseconds.
#[derive(Default)]
struct Times(Vec<u64>);

impl Times {
    fn add(&mut self, time: u64) {
        self.0.push(time);
        self.0.sort_unstable();
    }

    fn min(&self) -> f64 {
        self.0.first().map_or(f64::NAN, |time| *time as f64)
    }

    fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).map_or(f64::NAN, |time| *time as f64)
    }
}

/// What is measured for each way of compiling.
struct Way {
    name: &'static str,
    compile: fn(&Seccomp) -> Result<Vec<Insn>, String>,
    first: Times,
    again: Times,
    load: Times,
    len: usize,
}

fn ours(profile: &Seccomp) -> Result<Vec<Insn>, String> {
    compile(profile, Arch::X86_64).map(|filter| filter.program).map_err(|e| format!("{e:?}"))
}

fn default(profile: &Seccomp) -> Result<Vec<Insn>, String> {
    libseccomp::compile(profile, Arch::X86_64, 1)
}

fn optimized(profile: &Seccomp) -> Result<Vec<Insn>, String> {
    libseccomp::compile(profile, Arch::X86_64, 2)
}

/// Measures `rounds` times, each in a fresh process.
pub(crate) fn run(rounds: &str, file: &str) -> Result<(), String> {
    let rounds: usize = rounds.parse().map_err(|e| format!("{rounds}: {e}"))?;
    let profile = crate::read(file)?;
    let way = |name, compile: fn(&Seccomp) -> Result<Vec<Insn>, String>| {
        let (first, again, load) = Default::default();
        Way { name, compile, first, again, load, len: 0 }
    };
    let mut ways = [
        way("minke", ours),
        way("libseccomp, default", default),
        way("libseccomp, optimized (runc)", optimized),
    ];
    for _ in 0..rounds {
        for way in &mut ways {
            let text = libseccomp::in_child(Duration::from_secs(60), || {
                measure(way.compile, &profile).unwrap_or_default().join(" ").into_bytes()
            })?;
            let text = String::from_utf8_lossy(&text).into_owned();
            let mut numbers = text.split(' ').map(|n| n.parse::<u64>());
            let mut next = || match numbers.next() {
                Some(Ok(number)) => Ok(number),
                _ => Err(format!("{}: the child failed: {text:?}", way.name)),
            };
            way.first.add(next()?);
            way.again.add(next()?);
            way.load.add(next()?);
            way.len = usize::try_from(next()?).unwrap_or_default();
        }
    }
    print(&ways);
    Ok(())
}

/// Runs in a child: compiles twice and loads once.
fn measure(
    compile: fn(&Seccomp) -> Result<Vec<Insn>, String>,
    profile: &Seccomp,
) -> Result<Vec<String>, String> {
    let time = |since: Instant| since.elapsed().as_nanos().to_string();
    let start = Instant::now();
    compile(profile)?;
    let first = time(start);
    let start = Instant::now();
    let program = compile(profile)?;
    let again = time(start);
    // SAFETY: takes values, touches no memory.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    let start = Instant::now();
    sys::seccomp::load(&program, 4).map_err(|e| e.to_string())?;
    let load = time(start);
    Ok(vec![first, again, load, program.len().to_string()])
}

fn print(ways: &[Way]) {
    println!("median (min), microseconds, of {} rounds", ways[0].first.0.len());
    println!("{:30} {:>5} {:>19} {:>19} {:>17}", "", "len", "first compile", "again", "load");
    for way in ways {
        let show =
            |times: &Times| format!("{:.1} ({:.1})", times.median() / 1e3, times.min() / 1e3);
        let (first, again, load) = (show(&way.first), show(&way.again), show(&way.load));
        println!("{:30} {:>5} {first:>19} {again:>19} {load:>17}", way.name, way.len);
    }
    for way in &ways[1..] {
        let times = |a: &Times, b: &Times| format!("1/{:.0}", b.median() / a.median());
        println!(
            "against {}: compile {} (first), {} (again), load {:.2}, length {:.2}",
            way.name,
            times(&ways[0].first, &way.first),
            times(&ways[0].again, &way.again),
            ways[0].load.median() / way.load.median(),
            ways[0].len as f64 / way.len as f64,
        );
    }
}
