//! config.md#mounts and its table of options.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::mountinfo::{self, Mount};
use crate::support::needs::needs;
use crate::support::{Bundle, Case, Test, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("C1", mounts_are_made_in_the_listed_order),
        test!("C1", a_later_mount_hides_an_earlier_one_below_it),
        test!("mounts", a_relative_destination_starts_at_the_root),
        test!("mounts", the_source_and_type_of_a_mount_are_kept),
        test!("mounts", options_of_the_file_system_reach_it),
        test!("mounts", an_option_that_nobody_knows_fails),
        test!("mounts", an_unknown_file_system_fails_and_is_named),
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
        test!("mounts", a_bind_mount_shows_its_source),
        test!("mounts", a_bind_mount_without_type_works),
        test!("mounts", a_bind_source_that_is_relative_starts_at_the_bundle),
        test!("mounts", a_bind_source_that_is_a_symlink_is_followed),
        test!("mounts", a_device_a_pipe_and_a_socket_can_be_bound),
        test!("mounts", bind_mount_flags_are_set),
        test!("mounts", a_bind_mount_keeps_the_flags_of_its_source)
            .fails_on("crun 1.8", "drops them"),
        test!("mounts", a_bind_mount_clears_the_flags_it_is_told_to)
            .fails_on("runc 1.1", "does not clear"),
        test!("mounts", bind_leaves_the_mounts_below_out_and_rbind_takes_them),
        test!("mounts", a_bind_mount_with_options_of_a_file_system_is_refused)
            .fails_on("crun 1.8", "ignores them")
            .fails_on("runc 1.1", "ignores them"),
        test!("mounts", a_bind_mount_of_a_missing_source_fails_and_names_it),
        test!("mounts", a_directory_cannot_be_bound_on_a_file),
        test!("mounts", propagation_options_are_applied).fails_on("crun 1.8", "loses shared"),
        test!("mounts", slave_options_are_applied)
            .fails_on("crun 1.8", "only as rootfsPropagation"),
        test!("mounts", recursive_propagation_reaches_the_mounts_below)
            .fails_on("crun 1.8", "loses shared"),
        test!("mounts", ro_is_not_recursive),
        test!("mounts", recursive_flags_reach_the_mounts_below)
            .fails_on("crun 1.8", "EINVAL for access times")
            .needs(needs![kernel(5, 12)]),
        test!("mounts", recursive_clears_reach_the_mounts_below)
            .fails_on("crun 1.8", "EINVAL for access times")
            .needs(needs![kernel(5, 12)]),
        test!("mounts", recursive_access_times_can_be_reset)
            .fails_on("crun 1.8", "EINVAL")
            .needs(needs![kernel(5, 12)])
            .fails_on("runc 1.1", "EINVAL for ratime"),
        test!("mounts", recursive_negations_of_access_times_are_known)
            .fails_on("crun 1.8", "EINVAL")
            .fails_on("runc 1.1", "EINVAL")
            .needs(needs![kernel(5, 12)]),
        test!("mounts", recursive_nosymfollow_reaches_the_mounts_below)
            .fails_on("crun", "ignores it")
            .needs(needs![kernel(5, 14)]),
        test!("mounts", remount_changes_an_earlier_mount),
        test!("mounts", tmpcopyup_fills_the_tmpfs_with_what_it_hides),
        test!("mounts", a_tmpfs_takes_the_mode_of_its_mount_point)
            .fails_on("crun 1.8", "always 1777"),
        test!("mounts", a_tmpfs_with_a_mode_has_that_mode)
            .fails_on("runc 1.1", "the mount point's mode wins"),
        test!("mounts", a_read_only_tmpfs_is_read_only),
        test!("mounts", dev_shm_is_open_to_all),
        test!("mounts", a_read_only_dev_still_has_its_devices),
        test!("mounts", missing_mount_points_are_made).fails_on("crun 1.8", "makes them sticky"),
        test!("mounts", mount_points_do_not_depend_on_the_umask)
            .fails_on("crun 1.8", "they do")
            .fails_on("runc 1.1", "they do"),
        test!("mounts", a_symlinked_mount_point_is_followed_within_the_root),
        test!("mounts", a_mount_on_the_root_itself_is_refused),
        test!("mounts", an_lxcfs_file_may_be_bound_over_one_in_proc),
        test!("mounts", no_mount_of_the_host_is_visible),
        test!("mounts", without_pivot_no_mount_of_the_host_is_visible),
    ]
}

fn mountinfo(bundle: Bundle<'_>) -> String {
    bundle.args(&["cat", "/proc/self/mountinfo"]).run().ok().stdout
}

/// Runs with what `script` mounts in a mount namespace made for it.
fn mountinfo_after(script: &str, bundle: Bundle<'_>) -> String {
    let bundle = bundle.args(&["cat", "/proc/self/mountinfo"]);
    let run = bundle.launch("run", &[]).after(script).run();
    bundle.settle(run).ok().stdout
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

/// "The runtime MUST mount entries in the listed order."
fn mounts_are_made_in_the_listed_order(case: &Case) {
    let text = mountinfo(case.bundle().mount("/a", "tmpfs", "outer", &[]).mount(
        "/a/b",
        "tmpfs",
        "inner",
        &[],
    ));
    let order: Vec<_> =
        text.lines().filter(|line| line.contains(" /a ") || line.contains(" /a/b ")).collect();
    assert!(order.len() == 2 && order[0].contains("outer") && order[1].contains("inner"), "{text}");
}

/// The same, in the order that hides.
fn a_later_mount_hides_an_earlier_one_below_it(case: &Case) {
    let bundle =
        case.bundle().mount("/a/b", "tmpfs", "inner", &[]).mount("/a", "tmpfs", "outer", &[]);
    bundle.args(&["ls", "/a"]).run().ok().prints("");
}

/// A relative destination "MUST be interpreted as relative to /".
fn a_relative_destination_starts_at_the_root(case: &Case) {
    let text = mountinfo(
        case.bundle().mount("some/where", "tmpfs", "tmpfs", &[]).set("/process/cwd", json!("/tmp")),
    );
    mountinfo::at(&text, "/some/where");
}

/// "type (string, OPTIONAL)", "source (string, OPTIONAL)".
fn the_source_and_type_of_a_mount_are_kept(case: &Case) {
    let mount =
        mountinfo::at(&mountinfo(case.bundle().mount("/x", "tmpfs", "my-own-name", &[])), "/x");
    assert_eq!((mount.kind.as_str(), mount.source.as_str()), ("tmpfs", "my-own-name"));
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

/// The same for a type that the kernel lacks.
fn an_unknown_file_system_fails_and_is_named(case: &Case) {
    case.bundle().mount("/x-y-z", "nosuchfs", "none", &[]).create().fails().tells("x-y-z");
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

/// A directory and a file, both ways.
fn a_bind_mount_shows_its_source(case: &Case) {
    let volume = case.path("volume");
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("from-host"), "hello\n").unwrap();
    let bundle = case.bundle().bind(&volume, "/volume", &["bind"]).bind(
        &volume.join("from-host"),
        "/file",
        &["rbind"],
    );
    bundle
        .sh("cat /volume/from-host /file; echo back > /volume/from-container")
        .run()
        .ok()
        .prints("hello\nhello\n");
    assert_eq!(fs::read_to_string(volume.join("from-container")).unwrap(), "back\n");
}

/// The option `bind` makes it a bind mount, whatever `type` says.
fn a_bind_mount_without_type_works(case: &Case) {
    let source = case.path("file");
    fs::write(&source, "content\n").unwrap();
    let mount = |to: &str| json!({"destination": to, "source": source, "options": ["bind"]});
    let mut other = mount("/two");
    other["type"] = json!("none");
    let bundle = case.bundle().push("/mounts", mount("/one")).push("/mounts", other);
    bundle.args(&["cat", "/one", "/two"]).run().ok().prints("content\ncontent\n");
}

/// "Path values for bind mounts are either absolute or relative to the bundle."
fn a_bind_source_that_is_relative_starts_at_the_bundle(case: &Case) {
    let bundle =
        case.bundle().bind("volume/./file".as_ref(), "/file", &["bind"]).args(&["cat", "/file"]);
    fs::create_dir(bundle.dir.join("volume")).unwrap();
    fs::write(bundle.dir.join("volume/file"), "of the bundle\n").unwrap();
    bundle.run().ok().prints("of the bundle\n");
}

/// Of the host, whose configuration the source is.
fn a_bind_source_that_is_a_symlink_is_followed(case: &Case) {
    fs::create_dir(case.path("target")).unwrap();
    fs::write(case.path("target/file"), "behind a link\n").unwrap();
    symlink("target", case.path("link")).unwrap();
    case.bundle()
        .bind(&case.path("link"), "/volume", &["bind"])
        .args(&["cat", "/volume/file"])
        .run()
        .ok()
        .prints("behind a link\n");
}

/// Everything but a directory gets a file to be mounted on.
fn a_device_a_pipe_and_a_socket_can_be_bound(case: &Case) {
    let (pipe, socket) = (case.path("pipe"), case.path("socket"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let bundle = case.bundle().bind("/dev/zero".as_ref(), "/dev/mine", &["bind"]).bind(
        &pipe,
        "/new/pipe",
        &["bind"],
    );
    let bundle = bundle.bind(&socket, "/new/socket", &["bind"]);
    let script = "[ -c /dev/mine ] && [ -p /new/pipe ] && [ -S /new/socket ] && head -c 2 /dev/mine | od -An -tx1";
    bundle.sh(script).run().ok().prints(" 00 00\n");
}

/// Flags of a bind mount need a second system call, or mount_setattr.
fn bind_mount_flags_are_set(case: &Case) {
    let rows: [&[&str]; 6] = [
        &["bind", "ro"],
        &["bind", "nosuid", "nodev", "noexec"],
        &["rbind", "ro", "nosuid"],
        &["ro", "bind"],
        &["bind", "noatime"],
        &["bind", "nodiratime", "nodev"],
    ];
    let volume = case.path("volume");
    fs::create_dir(&volume).unwrap();
    let bundle = rows.iter().enumerate().fold(case.bundle(), |bundle, (number, options)| {
        bundle.bind(&volume, &format!("/m{number}"), options)
    });
    let text = mountinfo(bundle);
    for (number, options) in rows.iter().enumerate() {
        let mount = mountinfo::at(&text, &format!("/m{number}"));
        for flag in ["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime"] {
            assert_eq!(
                mount.has(flag),
                options.contains(&flag),
                "{flag} of {options:?}: {mount:?}"
            );
        }
    }
}

/// A script for `after`: a tmpfs at `dir` with one at `dir/below`, both with
/// `options`, each a mount that propagates nothing.
fn tree(dir: &str, options: &str) -> String {
    format!(
        "mount -t tmpfs tree {dir} && mkdir {dir}/below && mount -t tmpfs tree {dir}/below && \
         mount -o remount,bind,{options} {dir}/below && mount -o remount,bind,{options} {dir}"
    )
}

fn volume(case: &Case) -> String {
    let volume = case.path("volume");
    fs::create_dir(&volume).unwrap();
    volume.to_str().unwrap().into()
}

/// Without a word about a flag, the source's stays, as with mount(8).
fn a_bind_mount_keeps_the_flags_of_its_source(case: &Case) {
    let volume = volume(case);
    let bundle = case.bundle().bind(volume.as_ref(), "/x", &["bind"]);
    let mount =
        mountinfo::at(&mountinfo_after(&tree(&volume, "ro,nosuid,noexec,nodev"), bundle), "/x");
    assert!(["ro", "nosuid", "noexec", "nodev"].iter().all(|flag| mount.has(flag)), "{mount:?}");
}

/// `rw`, `suid`, `exec`, `dev` are not mere absence: they clear.
fn a_bind_mount_clears_the_flags_it_is_told_to(case: &Case) {
    let volume = volume(case);
    let bundle = case.bundle().bind(volume.as_ref(), "/x", &["bind", "rw", "suid", "exec", "dev"]);
    let mount =
        mountinfo::at(&mountinfo_after(&tree(&volume, "ro,nosuid,noexec,nodev"), bundle), "/x");
    assert!(!["ro", "nosuid", "noexec", "nodev"].iter().any(|flag| mount.has(flag)), "{mount:?}");
}

/// `bind`, `rbind`: "Recursive bind mount".
fn bind_leaves_the_mounts_below_out_and_rbind_takes_them(case: &Case) {
    let volume = volume(case);
    let bundle = case.bundle().bind(volume.as_ref(), "/one", &["bind"]).bind(
        volume.as_ref(),
        "/all",
        &["rbind"],
    );
    let text = mountinfo_after(&tree(&volume, "rw"), bundle);
    assert!(mountinfo::find(&text, "/one/below").is_none(), "{text}");
    assert!(mountinfo::find(&text, "/all/below").is_some(), "{text}");
}

/// They would have no effect, which is worse than an error.
fn a_bind_mount_with_options_of_a_file_system_is_refused(case: &Case) {
    let volume = volume(case);
    case.bundle().bind(volume.as_ref(), "/x", &["bind", "size=64k"]).create().fails();
    case.leaves_nothing();
}

/// The most frequent error of all.
fn a_bind_mount_of_a_missing_source_fails_and_names_it(case: &Case) {
    let bundle = case.bundle().bind("/no/such/source".as_ref(), "/x", &["bind"]);
    bundle.create().fails().tells("/no/such/source").says("no such file or directory");
    case.leaves_nothing();
    assert!(!bundle.rootfs("/x").exists(), "a mount point for nothing");
}

/// The words make Docker add its hint.
fn a_directory_cannot_be_bound_on_a_file(case: &Case) {
    let volume = volume(case);
    let bundle = case.bundle().file("/file", "").bind(volume.as_ref(), "/file", &["bind"]);
    bundle.create().fails().says("not a directory");
    case.leaves_nothing();
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

/// `slave`, `rslave`: the container sees what is mounted outside later.
fn slave_options_are_applied(case: &Case) {
    let volume = volume(case);
    let bundle = ["slave", "rslave"].iter().fold(case.bundle(), |bundle, option| {
        bundle.bind(volume.as_ref(), &format!("/{option}"), &["rbind", option])
    });
    let bundle = bundle.bind(volume.as_ref(), "/private", &["rbind", "rprivate"]);
    let text = mountinfo_after(
        &format!("{} && mount --make-rshared {volume}", tree(&volume, "rw")),
        bundle,
    );
    let slave = |point: &str| {
        mountinfo::at(&text, point).propagation.iter().any(|tag| tag.starts_with("master:"))
    };
    assert!(slave("/slave") && slave("/rslave") && slave("/rslave/below"), "{text}");
    assert!(!slave("/private") && !slave("/private/below"), "{text}");
}

/// `rshared` changes the mounts below, `shared` does not.
fn recursive_propagation_reaches_the_mounts_below(case: &Case) {
    let volume = volume(case);
    let bundle = case.bundle().bind(volume.as_ref(), "/all", &["rbind", "rshared"]);
    let bundle = bundle.bind(volume.as_ref(), "/top", &["rbind", "shared"]);
    let text = mountinfo_after(
        &format!("{} && mount --make-rprivate {volume}", tree(&volume, "rw")),
        bundle,
    );
    let shared = |point: &str| {
        mountinfo::at(&text, point).propagation.iter().any(|tag| tag.starts_with("shared:"))
    };
    assert!(
        shared("/all") && shared("/all/below") && shared("/top") && !shared("/top/below"),
        "{text}"
    );
}

/// `ro` is about one mount; the recursive form has a name of its own.
fn ro_is_not_recursive(case: &Case) {
    let volume = volume(case);
    let bundle = case.bundle().bind(volume.as_ref(), "/x", &["rbind", "ro"]);
    let text = mountinfo_after(&tree(&volume, "rw"), bundle);
    assert!(
        mountinfo::at(&text, "/x").has("ro") && mountinfo::at(&text, "/x/below").has("rw"),
        "{text}"
    );
}

/// Binds the tree at `/m0`, `/m1`, … with each recursive option, and gives for
/// each the mount and the one below it.
fn recursive(case: &Case, before: &str, options: &[&str]) -> Vec<[Mount; 2]> {
    let volume = volume(case);
    let bundle = options.iter().enumerate().fold(case.bundle(), |bundle, (number, option)| {
        bundle.bind(volume.as_ref(), &format!("/m{number}"), &["rbind", option])
    });
    let text = mountinfo_after(&tree(&volume, before), bundle);
    let at = |number: usize, below: &str| mountinfo::at(&text, &format!("/m{number}{below}"));
    (0..options.len()).map(|number| [at(number, ""), at(number, "/below")]).collect()
}

/// SHOULD: "Recursive" attributes of mount_setattr(2).
fn recursive_flags_reach_the_mounts_below(case: &Case) {
    let options = ["rro", "rnosuid", "rnodev", "rnoexec", "rnoatime", "rnodiratime"];
    for (option, pair) in options.iter().zip(recursive(case, "rw", &options)) {
        assert!(pair.iter().all(|mount| mount.has(&option[1..])), "{option}: {pair:?}");
    }
}

/// The opposites clear what the source has.
fn recursive_clears_reach_the_mounts_below(case: &Case) {
    let rows = [
        ("rrw", "ro"),
        ("rsuid", "nosuid"),
        ("rdev", "nodev"),
        ("rexec", "noexec"),
        ("rdiratime", "nodiratime"),
        ("rrelatime", "noatime"),
        ("rstrictatime", "noatime"),
    ];
    let pairs = recursive(
        case,
        "ro,nosuid,nodev,noexec,noatime,nodiratime",
        &rows.map(|(option, _)| option),
    );
    for ((option, flag), pair) in rows.iter().zip(pairs) {
        assert!(!pair.iter().any(|mount| mount.has(flag)), "{option}: {pair:?}");
    }
}

/// SHOULD: `ratime`: back to the kernel's default.
fn recursive_access_times_can_be_reset(case: &Case) {
    for pair in recursive(case, "noatime", &["ratime", "rrelatime"]) {
        assert!(
            pair.iter().all(|mount| mount.has("relatime") && !mount.has("noatime")),
            "{pair:?}"
        );
    }
}

/// SHOULD: `rnorelatime`, `rnostrictatime`: no more than that.
fn recursive_negations_of_access_times_are_known(case: &Case) {
    for pair in recursive(case, "nosuid", &["rnorelatime", "rnostrictatime"]) {
        assert!(pair.iter().all(|mount| mount.has("nosuid") && !mount.has("noatime")), "{pair:?}");
    }
}

/// SHOULD: `rnosymfollow`, `rsymfollow`.
fn recursive_nosymfollow_reaches_the_mounts_below(case: &Case) {
    let pairs = recursive(case, "rw", &["rnosymfollow", "rsymfollow"]);
    assert!(pairs[0].iter().all(|mount| mount.has("nosymfollow")), "{pairs:?}");
    assert!(!pairs[1].iter().any(|mount| mount.has("nosymfollow")), "{pairs:?}");
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

/// The mount point's mode, that of the tmpfs `/dev`, must not win over `mode=`.
fn dev_shm_is_open_to_all(case: &Case) {
    case.bundle().args(&["stat", "-c", "%a", "/dev/shm"]).run().ok().prints("1777\n");
}

/// `ro` on /dev comes into force when the devices are made.
fn a_read_only_dev_still_has_its_devices(case: &Case) {
    let bundle = case.bundle().push("/mounts/1/options", json!("ro"));
    bundle
        .sh("touch /dev/no 2>/dev/null && echo wrong; echo x > /dev/null && echo right")
        .run()
        .ok()
        .prints("right\n");
}

/// The standard says nothing, but every engine relies on it: a directory with
/// mode 0755, for a file an empty file, and all parents.
fn missing_mount_points_are_made(case: &Case) {
    let source = case.path("file");
    fs::write(&source, "content\n").unwrap();
    let bundle = case.bundle().mount("/new/dir", "tmpfs", "tmpfs", &[]).bind(
        &source,
        "/new/er/file",
        &["bind"],
    );
    let bundle = bundle.args(&["cat", "/new/er/file"]);
    bundle.run().ok().prints("content\n");
    let mode =
        |path: &str| fs::metadata(bundle.rootfs(path)).unwrap().permissions().mode() & 0o7777;
    assert!(fs::metadata(bundle.rootfs("/new/er/file")).unwrap().is_file());
    assert_eq!((mode("/new"), mode("/new/dir")), (0o755, 0o755));
}

/// The caller's umask is not the container's.
fn mount_points_do_not_depend_on_the_umask(case: &Case) {
    let bundle =
        case.bundle().mount("/new/dir", "tmpfs", "tmpfs", &[]).args(&["stat", "-c", "%a", "/new"]);
    let run =
        bundle.launch("run", &[]).through(["sh", "-c", r#"umask 077; exec "$@""#, "sh"]).run();
    bundle.settle(run).ok().prints("755\n");
}

/// A symlink means what it means in the container.
fn a_symlinked_mount_point_is_followed_within_the_root(case: &Case) {
    let bundle =
        case.bundle().directory("/real").link("/absolute", "/real").link("/up", "../../../../real");
    let bundle =
        bundle.mount("/absolute/a", "tmpfs", "tmpfs", &[]).mount("/up/u", "tmpfs", "tmpfs", &[]);
    let text = mountinfo(bundle);
    mountinfo::at(&text, "/real/a");
    mountinfo::at(&text, "/real/u");
}

/// It would hide the root file system from what follows.
fn a_mount_on_the_root_itself_is_refused(case: &Case) {
    for destination in ["/", "/proc/..", "/link"] {
        let bundle = case.bundle().link("/link", "/");
        bundle.mount(destination, "tmpfs", "tmpfs", &[]).create().fails();
        case.leaves_nothing();
    }
}

/// The files that lxcfs provides, and nothing else in /proc.
fn an_lxcfs_file_may_be_bound_over_one_in_proc(case: &Case) {
    let source = case.path("uptime");
    fs::write(&source, "1.00 2.00\n").unwrap();
    let bundle = ["uptime", "meminfo", "cpuinfo", "stat", "loadavg", "swaps", "diskstats"]
        .iter()
        .fold(case.bundle(), |bundle, name| {
            bundle.bind(&source, &format!("/proc/{name}"), &["bind"])
        });
    bundle
        .args(&["cat", "/proc/uptime", "/proc/swaps"])
        .run()
        .ok()
        .prints("1.00 2.00\n1.00 2.00\n");
}

/// After pivot_root: nothing but what the config asks for.
fn no_mount_of_the_host_is_visible(case: &Case) {
    assert_only_own_mounts(&mountinfo(case.bundle()));
}

/// `--no-pivot`: the root is moved instead.
fn without_pivot_no_mount_of_the_host_is_visible(case: &Case) {
    let bundle = case.bundle().args(&["cat", "/proc/self/mountinfo"]);
    assert_only_own_mounts(&bundle.run_with(&["--no-pivot"]).ok().stdout);
}

#[track_caller]
fn assert_only_own_mounts(text: &str) {
    let points: Vec<_> = text.lines().map(|line| line.split(' ').nth(4).unwrap()).collect();
    let own = |point: &&str| {
        *point == "/" || ["/proc", "/dev", "/sys"].iter().any(|own| point.starts_with(own))
    };
    assert!(points.len() >= 8 && points.iter().all(own), "{text}");
    assert_eq!(points.iter().filter(|point| **point == "/").count(), 1, "{text}");
}
