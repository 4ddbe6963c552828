//! config-linux.md#seccomp in whole containers: what a program meets under a
//! filter, and what becomes of profiles that are wrong.

mod agent;
mod bad;
mod holds;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use crate::support::{Bundle, Case, Test, Value, json, scratch};

pub(crate) fn tests() -> Vec<Test> {
    [holds::tests(), agent::tests(), bad::tests()].concat()
}

/// The program of `probe.c`: that of the variable `PROBE`, or a fresh one. It
/// is written by others, and linked, not copied: what a process of ours writes
/// may still be open when it is executed.
pub(crate) static PROBE: LazyLock<PathBuf> = LazyLock::new(|| {
    let (source, program) = (scratch::DIR.join("probe.c"), scratch::probe());
    if let Some(made) = std::env::var_os("PROBE") {
        let copied = Command::new("cp").arg(made).arg(&program).status();
        assert!(copied.expect("cp").success(), "copy the probe");
        return program;
    }
    fs::write(&source, include_str!("probe.c")).expect("the source of the probe");
    let mut compile = Command::new("gcc");
    compile.args(["-static", "-O1", "-o"]).arg(&program).arg(&source);
    assert!(compile.status().expect("gcc").success(), "compile the probe");
    fs::remove_file(source).expect("remove the source of the probe");
    program
});

/// A container whose program is the probe, under `profile`.
fn probing<'c>(case: &'c Case, profile: &Value, arguments: &[&str]) -> Bundle<'c> {
    let bundle = case.bundle();
    fs::hard_link(&*PROBE, bundle.rootfs("probe")).expect("the probe");
    let arguments = [&["/probe"], arguments].concat();
    bundle.args(&arguments).set("/linux/seccomp", profile.clone())
}

/// The lines that the probe prints in a container under `profile`.
fn tried(case: &Case, profile: &Value, calls: &[&str]) -> Vec<String> {
    let bundle = probing(case, profile, &[&["try"], calls].concat());
    bundle.run().ok().stdout.lines().map(String::from).collect()
}

/// All is allowed but what `rules` say.
fn but(rules: Value) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules})
}
