//! config.md#mounts, the table of options: flags, propagation, tmpfs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::mounts::mountinfo;
use crate::support::mountinfo::{self, Mount};
use crate::support::needs::needs;
use crate::support::{Case, Test, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("mounts", options_of_the_file_system_reach_it),
        test!("mounts", an_option_that_nobody_knows_fails),
        test!("mounts", flags_are_set_and_cleared),
        test!("mounts", defaults_changes_nothing)
            .fails_on("runc 1.1", "hands it to the file system"),
        test!("mounts", the_last_of_clashing_flags_wins).fails_on("crun 1.8", "does not clear"),
        test!("mounts", the_last_of_clashing_access_times_wins)
            .fails_on("crun 1.8", "leaves the choice to the kernel")
            .fails_on("runc", "leaves the choice to the kernel"),
        test!("mounts", access_time_flags_are_set).fails_on("crun 1.8", "does not clear"),
        test!("mounts", flags_of_the_whole_file_system_are_set)
            .fails_on("crun 1.8", "async does not clear sync"),
        test!("mounts", rare_flags_are_known).fails_on("crun", "hands them to the file system"),
        test!("mounts", nosymfollow_is_known)
            .fails_on("crun", "hands it to the file system")
            .needs(needs![kernel(5, 10)]),
        test!("mounts", propagation_options_are_applied).fails_on("crun 1.8", "loses shared"),
        test!("mounts", remount_changes_an_earlier_mount),
        test!("mounts", tmpcopyup_fills_the_tmpfs_with_what_it_hides),
        test!("mounts", a_tmpfs_takes_the_mode_of_its_mount_point)
            .fails_on("crun 1.8", "always 1777"),
        test!("mounts", a_tmpfs_with_a_mode_has_that_mode)
            .fails_on("runc 1.1", "the mount point's mode wins"),
        test!("mounts", a_read_only_tmpfs_is_read_only),
    ]
}

/// One tmpfs at `/m0`, `/m1`, … for each list of options.
fn tmpfs_each(case: &Case, options: &[&[&str]]) -> Vec<Mount> {
    let numbered = options.iter().enumerate();
    let bundle = numbered.fold(case.bundle(), |bundle, (number, options)| {
        bundle.mount(&format!("/m{number}"), "tmpfs", "tmpfs", options)
    });
    let text = mountinfo(bundle);
    (0..options.len()).map(|number| mountinfo::at(&text, &format!("/m{number}"))).collect()
}

/// "Runtimes SHOULD treat unknown options as filesystem-specific ones".
fn options_of_the_file_system_reach_it(case: &Case) {
    let options = ["nosuid", "size=64k", "ro", "nr_inodes=16", "rw"];
    let mount =
        mountinfo::at(&mountinfo(case.bundle().mount("/x", "tmpfs", "tmpfs", &options)), "/x");
    assert!(mount.super_has("size=64k") && mount.super_has("nr_inodes=16"), "{mount:?}");
}

/// The file system's own refusal is an error, which names the mount.
fn an_option_that_nobody_knows_fails(case: &Case) {
    case.bundle()
        .mount("/x-y-z", "tmpfs", "tmpfs", &["no-such-option=1"])
        .create()
        .fails()
        .tells("x-y-z");
    case.leaves_nothing();
}

/// `ro`, `nosuid`, `nodev`, `noexec` and their opposites, `defaults`.
fn flags_are_set_and_cleared(case: &Case) {
    let flags = ["ro", "nosuid", "nodev", "noexec"];
    for (flag, mount) in
        flags.iter().zip(tmpfs_each(case, &[&["ro"], &["nosuid"], &["nodev"], &["noexec"]]))
    {
        for other in flags {
            assert_eq!(mount.has(other), other == *flag, "{flag}: {mount:?}");
        }
    }
    for mount in tmpfs_each(case, &[&[], &["rw", "suid", "dev", "exec"]]) {
        assert!(mount.has("rw") && !flags.iter().any(|flag| mount.has(flag)), "{mount:?}");
    }
}

/// `defaults` is a word of fstab: no flag, and nothing for the file system.
fn defaults_changes_nothing(case: &Case) {
    let mounts = tmpfs_each(case, &[&["defaults"], &["defaults", "nosuid"]]);
    assert_eq!(mounts[0].options, ["rw", "relatime"]);
    assert_eq!(mounts[1].options, ["rw", "nosuid", "relatime"]);
}

/// As with mount(8), the last word counts.
fn the_last_of_clashing_flags_wins(case: &Case) {
    for mount in tmpfs_each(
        case,
        &[&["ro", "rw"], &["nosuid", "suid"], &["nodev", "dev"], &["noexec", "exec"]],
    ) {
        assert!(
            !["ro", "nosuid", "nodev", "noexec"].iter().any(|flag| mount.has(flag)),
            "{mount:?}"
        );
    }
    let mounts = tmpfs_each(
        case,
        &[&["rw", "ro"], &["suid", "nosuid"], &["dev", "nodev"], &["exec", "noexec"]],
    );
    for (flag, mount) in ["ro", "nosuid", "nodev", "noexec"].iter().zip(mounts) {
        assert!(mount.has(flag), "{flag}: {mount:?}");
    }
}

/// `noatime`, `nodiratime`, `relatime`, `strictatime` and their opposites; the
/// kernel's default is `relatime`.
fn access_time_flags_are_set(case: &Case) {
    let rows: [(&[&str], &[&str]); 9] = [
        (&["noatime"], &["noatime"]),
        (&["nodiratime"], &["nodiratime", "relatime"]),
        (&["relatime"], &["relatime"]),
        (&["strictatime"], &[]),
        (&["noatime", "atime"], &["relatime"]),
        (&["nodiratime", "diratime"], &["relatime"]),
        (&["noatime", "nodiratime"], &["noatime", "nodiratime"]),
        (&["strictatime", "nostrictatime"], &["relatime"]),
        (&["norelatime"], &["relatime"]),
    ];
    let mounts = tmpfs_each(case, &rows.map(|(options, _)| options));
    for ((options, expected), mount) in rows.iter().zip(mounts) {
        for flag in ["noatime", "nodiratime", "relatime"] {
            assert_eq!(
                mount.has(flag),
                expected.contains(&flag),
                "{flag} after {options:?}: {mount:?}"
            );
        }
    }
}

/// The three ways of keeping access times exclude each other.
fn the_last_of_clashing_access_times_wins(case: &Case) {
    let options: [&[&str]; 4] = [
        &["strictatime", "relatime"],
        &["noatime", "relatime"],
        &["noatime", "strictatime"],
        &["strictatime", "noatime"],
    ];
    let mounts = tmpfs_each(case, &options);
    let seen: Vec<_> =
        mounts.iter().map(|mount| (mount.has("noatime"), mount.has("relatime"))).collect();
    assert_eq!(seen, [(false, true), (false, true), (false, false), (true, false)]);
}

/// `sync`, `async`, `dirsync`.
fn flags_of_the_whole_file_system_are_set(case: &Case) {
    let options: [&[&str]; 4] = [&["sync"], &["async"], &["dirsync"], &["sync", "async"]];
    let mounts = tmpfs_each(case, &options);
    let seen: Vec<_> =
        mounts.iter().map(|mount| (mount.super_has("sync"), mount.super_has("dirsync"))).collect();
    assert_eq!(seen, [(true, false), (false, false), (false, true), (false, false)]);
}

/// MUST, though most show nowhere: `iversion`, `lazytime`, `loud`, `mand`,
/// `silent` and their opposites.
fn rare_flags_are_known(case: &Case) {
    let options: [&[&str]; 4] = [
        &["lazytime", "iversion", "silent", "mand"],
        &["nolazytime", "noiversion", "loud", "nomand"],
        &["lazytime", "nolazytime"],
        &["silent", "loud"],
    ];
    let lazy: Vec<_> =
        tmpfs_each(case, &options).iter().map(|mount| mount.super_has("lazytime")).collect();
    assert_eq!(lazy, [true, false, false, false]);
}

/// SHOULD: `nosymfollow`, `symfollow`.
fn nosymfollow_is_known(case: &Case) {
    let mounts =
        tmpfs_each(case, &[&["nosymfollow"], &["symfollow"], &["nosymfollow", "symfollow"]]);
    assert_eq!(
        mounts.iter().map(|mount| mount.has("nosymfollow")).collect::<Vec<_>>(),
        [true, false, false]
    );
}

/// `private`, `shared`, `unbindable` and their recursive forms.
fn propagation_options_are_applied(case: &Case) {
    let rows = [
        ("private", ""),
        ("rprivate", ""),
        ("shared", "shared"),
        ("rshared", "shared"),
        ("unbindable", "unbindable"),
        ("runbindable", "unbindable"),
    ];
    let options: Vec<_> = rows.iter().map(|(option, _)| std::slice::from_ref(option)).collect();
    for ((option, expected), mount) in rows.iter().zip(tmpfs_each(case, &options)) {
        let seen = mount
            .propagation
            .iter()
            .map(|tag| tag.split(':').next().unwrap())
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(seen, *expected, "{option}: {mount:?}");
    }
}

/// `remount`, of the file system and of the bind mount.
fn remount_changes_an_earlier_mount(case: &Case) {
    let bundle = case.bundle().mount("/fs", "tmpfs", "tmpfs", &["size=64k"]).mount(
        "/one",
        "tmpfs",
        "tmpfs",
        &[],
    );
    let bundle = bundle.mount("/fs", "tmpfs", "tmpfs", &["remount", "size=128k"]);
    let text = mountinfo(bundle.mount("/one", "none", "/", &["remount", "bind", "ro", "nosuid"]));
    assert!(mountinfo::at(&text, "/fs").super_has("size=128k"), "{text}");
    let one = mountinfo::at(&text, "/one");
    assert!(one.has("ro") && one.has("nosuid") && one.super_has("rw"), "{one:?}");
    assert_eq!(
        text.lines().filter(|line| line.split(' ').nth(4) == Some("/fs")).count(),
        1,
        "not a second mount: {text}"
    );
}

/// `tmpcopyup`: "copy up the contents to a tmpfs".
fn tmpcopyup_fills_the_tmpfs_with_what_it_hides(case: &Case) {
    let bundle =
        case.bundle().program("/data/deep/file", "content\n").link("/data/link", "deep/file");
    let bundle = bundle.mount("/data", "tmpfs", "tmpfs", &["tmpcopyup"]);
    let script =
        "cat /data/link; stat -c %a /data/deep/file; echo new > /data/deep/file; rm /data/link";
    let bundle = bundle.sh(script);
    bundle.run().ok().prints("content\n755\n");
    assert_eq!(fs::read_to_string(bundle.rootfs("/data/link")).unwrap(), "content\n");
}

/// So that an image's `/tmp` stays 1777.
fn a_tmpfs_takes_the_mode_of_its_mount_point(case: &Case) {
    let bundle = case.bundle().directory("/open").directory("/closed");
    fs::set_permissions(bundle.rootfs("/open"), Permissions::from_mode(0o1777)).unwrap();
    fs::set_permissions(bundle.rootfs("/closed"), Permissions::from_mode(0o700)).unwrap();
    let bundle = bundle.mount("/open", "tmpfs", "tmpfs", &[]).mount(
        "/closed",
        "tmpfs",
        "tmpfs",
        &["nosuid"],
    );
    bundle.args(&["stat", "-c", "%a", "/open", "/closed"]).run().ok().prints("1777\n700\n");
}

/// What the user says comes first.
fn a_tmpfs_with_a_mode_has_that_mode(case: &Case) {
    let bundle = case.bundle().directory("/x").mount("/x", "tmpfs", "tmpfs", &["mode=0711"]);
    bundle.args(&["stat", "-c", "%a", "/x"]).run().ok().prints("711\n");
}

/// Also where the mount point of a later mount has to be made in it.
fn a_read_only_tmpfs_is_read_only(case: &Case) {
    let bundle =
        case.bundle().mount("/x", "tmpfs", "tmpfs", &["ro"]).mount("/x/y/z", "tmpfs", "tmpfs", &[]);
    bundle
        .sh("touch /x/no 2>/dev/null && echo wrong; touch /x/y/z/yes && echo right")
        .run()
        .ok()
        .prints("right\n");
}
