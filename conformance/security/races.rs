//! Attacks that exchange a directory for a symlink while the runtime is at it.
//! They need many tries; a path that is named once only is safe at each.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::support::old_kernel::can_be_played;
use crate::support::{Bundle, Case, Test, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("CVE-2024-45310", no_mount_point_is_made_on_the_host)
            .may_fail_on("runc 1.1", "makes it there"),
        test!("CVE-2021-30465", no_volume_is_mounted_over_the_root),
        test!("CVE-2023-27561", no_mask_is_laid_elsewhere),
        test!("GHSA-3q8j-pf29-vwv8", no_read_only_path_is_left_writable)
            .may_fail_on("runc 1.1", "names it twice"),
        test!("GHSA-3q8j-pf29-vwv8", no_masked_directory_is_left_open),
        test!("GHSA-3q8j-pf29-vwv8", no_read_only_path_is_left_writable_by_mount)
            .needs(can_be_played())
            .may_fail_on("runc 1.1", "names it twice"),
        test!("CVE-2025-31133", no_null_that_changes_is_bound_over_a_masked_path)
            .may_fail_on("runc 1.1", "binds the victim"),
    ]
}

const TRIES: u32 = 40;

/// Exchanges `one` and `two` without a pause while `action` runs.
fn swapping(one: &Path, two: &Path, action: impl FnOnce()) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let _ = renameat_with(CWD, one, CWD, two, RenameFlags::EXCHANGE);
            }
        });
        let over = Over(&over);
        action();
        drop(over);
    });
}

/// Ends the exchange even when the action panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A volume with a directory `a`, and a link `b` to `target`.
fn volume(case: &Case, target: &Path) -> PathBuf {
    let volume = case.path("volume");
    fs::create_dir_all(volume.join("a")).unwrap();
    symlink(target, volume.join("b")).unwrap();
    volume
}

fn tries(
    case: &Case,
    bundle: &Bundle<'_>,
    mut check: impl FnMut(&crate::support::command::Output),
) {
    let volume = case.path("volume");
    swapping(&volume.join("a"), &volume.join("b"), || {
        for _ in 0..TRIES {
            check(&bundle.run());
        }
    });
    case.leaves_nothing();
}

/// Mount points are made with mkdir, on whatever is there at that moment.
fn no_mount_point_is_made_on_the_host(case: &Case) {
    let victim = case.path("victim");
    fs::create_dir(&victim).unwrap();
    let climbing =
        Path::new("../../../../../../../../../..").join(victim.strip_prefix("/").unwrap());
    let volume = volume(case, &climbing);
    let bundle = case.bundle().bind(&volume, "/volume", &["bind"]).mount(
        "/volume/a/made/here",
        "tmpfs",
        "tmpfs",
        &[],
    );
    tries(case, &bundle, |output| {
        assert_eq!(fs::read_dir(&victim).unwrap().count(), 0, "{output}");
    });
}

/// The second mount goes where the link leads, which must be in the container.
fn no_volume_is_mounted_over_the_root(case: &Case) {
    let volume = volume(case, Path::new("/"));
    let source = case.path("source");
    fs::create_dir(&source).unwrap();
    let bundle =
        case.bundle().bind(&volume, "/volume", &["bind"]).bind(&source, "/volume/a/x", &["bind"]);
    let bundle = bundle.sh("[ -e /etc/hostname ] && echo outside; ls -d /volume");
    tries(case, &bundle, |output| {
        assert!(output.code() != 0 || output.stdout == "/volume\n", "{output}");
    });
}

/// A /proc that comes and goes must not leave the kernel's unmasked.
fn no_mask_is_laid_elsewhere(case: &Case) {
    let bundle = case
        .bundle()
        .file("/other/secret", "")
        .set("/linux/maskedPaths", json!(["/volume/a/secret"]));
    let volume = volume(case, Path::new("/other"));
    fs::write(volume.join("a/secret"), "s3cret\n").unwrap();
    let bundle = bundle
        .bind(&volume, "/volume", &["bind"])
        .sh("[ -d /volume ] && [ -e /bin/sh ] && echo ran");
    tries(case, &bundle, |output| {
        assert!(output.code() != 0 || output.stdout == "ran\n", "{output}");
    });
}

/// A volume with a directory and, in its place now and then, a link to another;
/// the mounts at both that the program finds.
fn covered(case: &Case, field: &str, check: impl Fn(&[&str]) -> bool) {
    let bundle = case.bundle().file("/other/secret", "").set(field, json!(["/volume/a"]));
    let volume = volume(case, Path::new("/other"));
    let bundle = bundle
        .bind(&volume, "/volume", &["bind"])
        .sh("grep -E ' /(volume/[ab]|other) ' /proc/self/mountinfo; echo ran");
    tries(case, &bundle, |output| {
        let lines: Vec<_> = output.stdout.lines().collect();
        let [mounts @ .., "ran"] = &lines[..] else {
            assert_ne!(output.code(), 0, "{output}");
            return;
        };
        let options: Vec<_> = mounts.iter().filter_map(|line| line.split(' ').nth(5)).collect();
        assert!(mounts.len() == 1 && check(&options), "{output}");
    });
}

/// Bound in one place, and made read-only in another.
fn no_read_only_path_is_left_writable(case: &Case) {
    covered(case, "/linux/readonlyPaths", |options| options[0].starts_with("ro"));
}

/// The same.
fn no_masked_directory_is_left_open(case: &Case) {
    covered(case, "/linux/maskedPaths", |options| options[0].starts_with("ro"));
}

/// Without descriptors of mounts a path is named twice: then it is to be the
/// same, or nothing.
fn no_read_only_path_is_left_writable_by_mount(case: &Case) {
    case.lacks("fsopen,fsconfig,fsmount,fspick,open_tree,move_mount,mount_setattr");
    covered(case, "/linux/readonlyPaths", |options| options[0].starts_with("ro"));
}

/// /dev/null is checked, and then used by its name again.
fn no_null_that_changes_is_bound_over_a_masked_path(case: &Case) {
    let dev = case.path("dev");
    fs::create_dir(&dev).unwrap();
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let minor = ["", "", "", "null", "", "zero", "", "full", "random", "urandom"]
            .iter()
            .position(|own| *own == name);
        let (major, minor) = minor.map_or((5, 0), |minor| (1, u32::try_from(minor).unwrap()));
        let node = rustix::fs::makedev(major, minor);
        let mode = rustix::fs::Mode::from_raw_mode(0o666);
        rustix::fs::mknodat(CWD, dev.join(name), rustix::fs::FileType::CharacterDevice, mode, node)
            .unwrap();
    }
    symlink("/victim", dev.join("evil")).unwrap();
    let bundle = ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"]
        .iter()
        .fold(case.bundle(), |bundle, destination| bundle.without_mount(destination));
    let bundle = bundle
        .bind(&dev, "/dev", &["bind"])
        .file("/secret", "s3cret\n")
        .file("/victim", "victim\n");
    let bundle = bundle
        .set("/linux/maskedPaths", json!(["/secret"]))
        .sh("cat /secret; echo written > /secret");
    swapping(&dev.join("null"), &dev.join("evil"), || {
        for _ in 0..TRIES {
            let output = bundle.run();
            assert!(output.code() != 0 || output.stdout.is_empty(), "{output}");
            assert_eq!(
                fs::read_to_string(bundle.rootfs("/victim")).unwrap(),
                "victim\n",
                "{output}"
            );
        }
    });
    case.leaves_nothing();
}
