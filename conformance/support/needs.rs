//! What a test needs of the machine or of the runtime. A need that is not met
//! says why; the test is then skipped, and counted.

use std::path::Path;
use std::sync::LazyLock;

use super::runtime;

pub(crate) type Need = Result<(), String>;

/// `needs![cgroup2, kernel(6, 12)]`: all of them, or the first that fails.
macro_rules! needs {
    ($($need:ident $(($($argument:expr),*))?),+ $(,)?) => {
        vec![$($crate::support::needs::$need($($($argument),*)?)),+]
    };
}
pub(crate) use needs;

fn need(met: bool, reason: impl Into<String>) -> Need {
    if met { Ok(()) } else { Err(reason.into()) }
}

pub(crate) fn root() -> Need {
    need(rustix::process::geteuid().is_root(), "needs root")
}

/// An ordinary user with a systemd of his own.
pub(crate) fn user_manager() -> Need {
    let manager = std::env::var_os("XDG_RUNTIME_DIR")
        .is_some_and(|dir| Path::new(&dir).join("systemd/private").exists());
    need(!rustix::process::geteuid().is_root() && manager, "needs a user with a systemd of his own")
}

/// Containers in cgroups that the runtime itself makes.
pub(crate) fn cgroupfs() -> Need {
    need(!super::scratch::by_systemd(), "is about cgroups that are not systemd's")
}

/// A kernel that writes audit records.
pub(crate) fn audit() -> Need {
    let line = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let off = line.split_whitespace().any(|word| word == "audit=0");
    need(Path::new("/proc/self/loginuid").exists() && !off, "needs a kernel with audit on")
}

/// Nothing but cgroup v2 at /sys/fs/cgroup.
pub(crate) fn cgroup2() -> Need {
    need(Path::new("/sys/fs/cgroup/cgroup.controllers").exists(), "needs cgroup v2")
}

/// Hierarchies of cgroup v1, with or without an empty one of v2.
pub(crate) fn cgroup1() -> Need {
    need(Path::new("/sys/fs/cgroup/freezer").exists(), "needs cgroup v1")
}

pub(crate) fn kernel(major: u32, minor: u32) -> Need {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let running = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    need(running >= (major, minor), format!("needs Linux {major}.{minor}, this is {release}"))
}

/// A variable of the environment, for what is no part of the project.
pub(crate) fn variable(name: &str) -> Need {
    need(std::env::var_os(name).is_some(), format!("needs the variable {name}"))
}

/// A file of the host, such as a program or a kernel's feature.
pub(crate) fn file(path: &str) -> Need {
    need(Path::new(path).exists(), format!("needs {path}"))
}

pub(crate) fn no_file(path: &str) -> Need {
    need(!Path::new(path).exists(), format!("needs a machine without {path}"))
}

/// For what no standard and no engine asks of other runtimes.
pub(crate) fn minke() -> Need {
    need(runtime::name() == "minke", "is about minke only")
}

/// A command that runtimes may lack, as `features` in older ones.
pub(crate) fn command(name: &str) -> Need {
    let help = std::process::Command::new(&*runtime::PATH).args([name, "--help"]).output();
    need(help.is_ok_and(|help| help.status.success()), format!("needs a runtime with {name:?}"))
}

/// An option of `create` that runtimes may lack.
pub(crate) fn create_option(option: &str) -> Need {
    need(
        help(&["create", "--help"]).contains(option),
        format!("needs a runtime with create {option}"),
    )
}

/// An option before the command that runtimes may lack.
pub(crate) fn global_option(option: &str) -> Need {
    need(help(&["--help"]).contains(option), format!("needs a runtime with {option}"))
}

fn help(arguments: &[&str]) -> String {
    let help = std::process::Command::new(&*runtime::PATH).args(arguments).output();
    help.map(|help| String::from_utf8_lossy(&help.stdout).into_owned()).unwrap_or_default()
}

/// A controller of cgroup v1, or of v2 where that is all there is.
pub(crate) fn controller(name: &str) -> Need {
    let unified = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers");
    let met = match unified {
        Ok(names) => names.split_whitespace().any(|own| own == name),
        Err(_) => Path::new("/sys/fs/cgroup").join(name).is_dir(),
    };
    need(met, format!("needs the cgroup controller {name}"))
}

/// A CRIU in `PATH` that works on this kernel.
pub(crate) fn criu() -> Need {
    static WORKS: LazyLock<bool> = LazyLock::new(|| {
        let check = std::process::Command::new("criu").arg("check").output();
        check.is_ok_and(|check| check.status.success())
    });
    need(*WORKS, "needs a CRIU that works here (criu check)")
}

/// What `criu check --feature` is asked for.
pub(crate) fn criu_feature(name: &str) -> Need {
    need(has_feature(name), format!("needs CRIU with {name} on this kernel"))
}

pub(crate) fn no_criu_feature(name: &str) -> Need {
    need(!has_feature(name), format!("needs a kernel where CRIU has no {name}"))
}

fn has_feature(name: &str) -> bool {
    let check = std::process::Command::new("criu").args(["check", "--feature", name]).output();
    check.is_ok_and(|check| check.status.success())
}
