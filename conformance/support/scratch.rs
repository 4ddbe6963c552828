//! The places that a run of the suite makes things in.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The directory of this run, its name short enough for socket addresses.
pub(crate) static DIR: LazyLock<PathBuf> = LazyLock::new(|| {
    let temp = fs::canonicalize(std::env::temp_dir()).expect("a directory for temporary files");
    temp.join(name())
});

/// Parent of the containers' cgroups, and of the scratch directories.
pub(crate) fn name() -> String {
    format!("minke-conformance-{}", std::process::id())
}

/// Whether containers are to be systemd's (`CGROUP_MANAGER=systemd`), where a
/// test does not say itself where they are.
pub(crate) fn by_systemd() -> bool {
    std::env::var_os("CGROUP_MANAGER").is_some_and(|name| name == "systemd")
}

/// The `cgroupsPath` of a container.
pub(crate) fn cgroup(id: &str) -> String {
    if by_systemd() { format!("system.slice:conf:{id}") } else { format!("/{}/{id}", name()) }
}

/// The busybox that every rootfs gets a hard link to.
pub(crate) fn busybox() -> PathBuf {
    DIR.join("busybox")
}

/// The program that tries system calls, once a test has made it.
pub(crate) fn probe() -> PathBuf {
    DIR.join("probe")
}

/// Makes the directory of this run, with what the bundles share.
pub(crate) fn set_up() {
    fs::create_dir(&*DIR).expect("a scratch directory");
    fs::set_permissions(&*DIR, fs::Permissions::from_mode(0o755)).expect("open scratch directory");
    if let Some(found) =
        ["/bin/busybox", "/usr/bin/busybox"].iter().find(|path| Path::new(path).exists())
    {
        fs::copy(found, busybox()).expect("a copy of busybox");
    }
}

/// Removes what the run has made, unless a failed case left its directory.
pub(crate) fn tear_down() {
    let _ = fs::remove_file(busybox());
    let _ = fs::remove_file(probe());
    let _ = fs::remove_dir(&*DIR);
    for hierarchy in hierarchies() {
        let _ = fs::remove_dir(hierarchy.join(name()));
    }
}

/// The mount points of all cgroup hierarchies: one on a unified machine.
pub(crate) fn hierarchies() -> Vec<PathBuf> {
    let root = PathBuf::from("/sys/fs/cgroup");
    if root.join("cgroup.procs").exists() {
        return vec![root];
    }
    fs::read_dir(&root)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("cgroup.procs").exists())
        .collect()
}
