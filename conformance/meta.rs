//! Rules about the source tree itself: who may use whom, where `unsafe` and
//! libc may stand, how long a file may be and what it may be called.

mod rust;

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Case, Test, test};

pub(crate) fn tests() -> Vec<Test> {
    [
        test!("layers", the_layers_hold),
        test!("layers", a_breach_of_the_layers_is_seen),
        test!("layers", what_the_layers_allow_is_no_breach),
        test!("unsafe", unsafe_and_libc_stand_in_sys_only),
        test!("unsafe", unsafe_and_libc_elsewhere_are_seen),
        test!("files", files_are_short_and_say_what_they_hold),
        test!("files", a_long_file_and_an_empty_name_are_seen),
        test!("files", no_file_names_a_place_of_this_machine),
        test!("source", comments_and_strings_are_no_code),
    ]
    .map(Test::without_root)
    .to_vec()
}

/// What each module may use of the crate, besides itself. The first line that
/// names a beginning of the module's path counts; a module that no line names
/// may use all. `sys::Type` stands for the types and constants of `sys`.
/// `time`, a calendar, is a leaf that all may use.
const LAYERS: &[(&str, &[&str])] = &[
    ("sys::entry", &["sys", "run"]),
    ("sys", &[]),
    ("time", &[]),
    ("netlink", &[]),
    ("criu", &[]),
    ("error", &["sys::Type"]),
    ("spec", &["sys::Type", "error"]),
    ("host", &["sys", "error"]),
    ("log", &["sys", "error", "time"]),
    ("cli", &["error"]),
    ("check", &["spec", "host", "error", "sys::Type"]),
    ("plan", &["spec", "host", "error", "sys::Type", "seccomp", "lsm"]),
    ("seccomp", &["spec", "host", "error", "sys::Type"]),
    ("lsm", &["spec", "host", "error", "sys::Type"]),
    ("cgroup", &["spec", "host", "plan", "error", "sys"]),
    ("hooks", &["spec", "host", "plan", "error", "sys"]),
    ("link::wire", &["sys"]),
    ("init", &["plan", "link::wire", "sys"]),
    ("link", &["plan", "init", "cgroup", "error", "sys"]),
    (
        "container",
        &[
            "sys", "error", "spec", "host", "log", "check", "plan", "seccomp", "lsm", "cgroup",
            "hooks", "link", "init", "time", "netlink", "criu",
        ],
    ),
    (
        "command",
        &[
            "container",
            "spec",
            "seccomp",
            "cli",
            "error",
            "plan",
            "sys::Type",
            "sys::process",
            "sys::seccomp",
        ],
    ),
];

/// The child between clone and exec: what would allocate, lock or fork there.
const NOT_IN_INIT: [&str; 2] = ["std::fs", "std::process"];

const LONGEST: usize = 800;

/// Names that say nothing and so attract everything.
const EMPTY_NAMES: [&str; 10] =
    ["util", "utils", "common", "helper", "helpers", "misc", "manager", "factory", "impl", "impls"];

fn breaches_of_layers(module: &str, source: &str) -> Vec<String> {
    let paths = rust::paths(module, source);
    let mut breaches = Vec::new();
    if let Some((layer, allowed)) = LAYERS.iter().find(|(layer, _)| rust::within(module, layer)) {
        let own = paths
            .crate_paths
            .iter()
            .filter(|path| !rust::within(path, layer) && !rust::within(path, "time"));
        breaches.extend(
            own.filter(|path| !allowed.iter().any(|allowed| allows(allowed, path)))
                .map(|path| format!("{module} uses {path}")),
        );
    }
    if rust::within(module, "init") {
        let outside = paths
            .other_paths
            .iter()
            .filter(|path| NOT_IN_INIT.iter().any(|no| rust::within(path, no)));
        breaches.extend(outside.map(|path| format!("{module} uses {path}")));
    }
    breaches
}

fn allows(allowed: &str, path: &str) -> bool {
    let Some(module) = allowed.strip_suffix("::Type") else { return rust::within(path, allowed) };
    rust::within(path, module)
        && path.split("::").any(|part| part.starts_with(|first: char| first.is_ascii_uppercase()))
}

fn breaches_of_unsafe(module: &str, source: &str) -> Vec<String> {
    if rust::within(module, "sys") {
        return Vec::new();
    }
    let words = rust::words(source);
    let found = ["unsafe", "libc"].into_iter().filter(|word| words.iter().any(|own| own == word));
    found.map(|word| format!("{module} says {word}")).collect()
}

fn breaches_of_files(path: &Path, source: &str) -> Vec<String> {
    let lines = source.lines().count();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let long = (lines > LONGEST).then(|| format!("{} has {lines} lines", path.display()));
    let empty = EMPTY_NAMES
        .contains(&&*stem)
        .then(|| format!("{} says nothing by its name", path.display()));
    long.into_iter().chain(empty).collect()
}

/// The Rust files below `directory` of this crate, relative to it.
fn files(directory: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let mut files = Vec::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a directory of the source").flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(&path).expect("a source file");
                files.push((path.strip_prefix(&root).expect("below it").into(), source));
            }
        }
    }
    assert!(!files.is_empty(), "no source in {directory}");
    files
}

fn over_the_source(check: impl Fn(&str, &str) -> Vec<String>) -> Vec<String> {
    files("src").iter().flat_map(|(path, source)| check(&rust::module(path), source)).collect()
}

/// The table of layers, on every `crate::` and `super::` path.
fn the_layers_hold(_: &Case) {
    assert_eq!(over_the_source(breaches_of_layers), [""; 0]);
}

/// Each line breaks one rule.
fn a_breach_of_the_layers_is_seen(_: &Case) {
    for (module, source, breach) in [
        ("sys::mount", "use crate::error::Error;", "error::Error"),
        ("sys", "use super::error;", "error"),
        ("spec::linux", "use crate::sys::mount;", "sys::mount"),
        (
            "plan::mounts",
            "use crate::{error::Error, sys::{Errno, mount::attach}};",
            "sys::mount::attach",
        ),
        ("plan", "fn f() { crate::cgroup::remove() }", "cgroup::remove"),
        ("init::rootfs", "use crate::spec::Mount;", "spec::Mount"),
        ("init", "use crate::link::parent;", "link::parent"),
        ("init::hooks", "use std::{fmt, process::Command};", "std::process::Command"),
        ("init::hooks", "fn f() { std::fs::read(x); }", "std::fs::read"),
        ("init::rootfs", "use super::super::log::warn;", "log::warn"),
        ("link::wire", "use crate::plan::Plan;", "plan::Plan"),
        ("cgroup::v1", "use crate::container as c;", "container"),
        ("command::run", "pub(crate) use crate::cgroup::*;", "cgroup::*"),
        ("container::create", "use crate::command::run;", "command::run"),
    ] {
        assert_eq!(
            breaches_of_layers(module, source),
            [format!("{module} uses {breach}")],
            "{source}"
        );
    }
}

/// None of these breaks a rule.
fn what_the_layers_allow_is_no_breach(_: &Case) {
    for (module, source) in [
        ("sys::mount", "use super::Errno; use crate::sys::fd;"),
        (
            "plan::mounts",
            "use crate::sys::{Errno, mount::{Flags, MOUNT_ATTR}}; use crate::spec::linux;",
        ),
        (
            "init::rootfs",
            "use crate::{plan::Plan, link::wire::Message, sys::mount}; use super::step::Step;",
        ),
        (
            "plan",
            "use crate::error::Error; #[cfg(test)] mod tests { use crate::container; use super::*; }",
        ),
        ("main", "mod sys; use crate::command; fn main() { crate::container::anything() }"),
        ("sys", "// use crate::spec;\nconst S: &str = \"crate::spec::X\";"),
        ("container::kill", "pub(crate) fn f(crate_: u8) {} use crate::sys::signal::kill;"),
    ] {
        assert_eq!(breaches_of_layers(module, source), [""; 0], "{source}");
    }
}

/// "Every unsafe block" is below `sys`, and nobody else names libc.
fn unsafe_and_libc_stand_in_sys_only(_: &Case) {
    assert_eq!(over_the_source(breaches_of_unsafe), [""; 0]);
}

/// In words, not in parts of words, and not in comments.
fn unsafe_and_libc_elsewhere_are_seen(_: &Case) {
    assert_eq!(breaches_of_unsafe("plan", "fn f() { unsafe { g() } }"), ["plan says unsafe"]);
    assert_eq!(breaches_of_unsafe("plan", "use libc::O_PATH;"), ["plan says libc"]);
    assert_eq!(breaches_of_unsafe("plan", "let x = libc::getpid as usize;"), ["plan says libc"]);
    assert_eq!(breaches_of_unsafe("plan", "#![deny(unsafe_code)] // unsafe, libc\n"), [""; 0]);
    assert_eq!(breaches_of_unsafe("sys::fd", "unsafe { libc::close(3) }"), [""; 0]);
}

/// At most 800 lines, and a name that says what is in there.
fn files_are_short_and_say_what_they_hold(_: &Case) {
    let files = [files("src"), files("conformance")].concat();
    let breaches: Vec<_> =
        files.iter().flat_map(|(path, source)| breaches_of_files(path, source)).collect();
    assert_eq!(breaches, [""; 0]);
}

/// Both limits.
fn a_long_file_and_an_empty_name_are_seen(_: &Case) {
    let check =
        |name: &str, lines: usize| breaches_of_files(Path::new(name), &"x\n".repeat(lines)).len();
    assert_eq!([check("a.rs", LONGEST), check("a.rs", LONGEST + 1)], [0, 1]);
    assert_eq!(
        [check("plan/utils.rs", 1), check("impl.rs", 1), check("implement.rs", 1)],
        [1, 1, 0]
    );
}

/// Where the source lies on the machine that builds it is nobody's business.
fn no_file_names_a_place_of_this_machine(_: &Case) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let usual = ["/", "/home", "/opt", "/root", "/src", "/srv", "/tmp", "/usr/src", "/var/tmp"];
    let above = here.parent().filter(|above| !usual.iter().any(|usual| above == &Path::new(usual)));
    let places: Vec<_> = [Some(here), above]
        .into_iter()
        .flatten()
        .map(|place| format!("{}/", place.display()))
        .collect();
    for (path, source) in [files("src"), files("conformance")].concat() {
        for place in &places {
            assert!(!source.contains(place), "{} names {place}", path.display());
        }
    }
}

/// The reader of Rust that the rules above stand on.
fn comments_and_strings_are_no_code(_: &Case) {
    let source = r##"a /* b /* c */ d */ e "f \" g" h 'i' 'j: k '\'' l r#"m " n"# o b"p" // q"##;
    assert_eq!(rust::words(source).join(" "), "a e h j k l o");
}
