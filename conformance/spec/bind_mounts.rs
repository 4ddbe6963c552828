//! config.md#mounts, bind mounts and the options that are about them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::mounts::mountinfo;
use crate::support::mountinfo::{self, Mount};
use crate::support::needs::needs;
use crate::support::{Bundle, Case, Test, json, runtime, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
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
        test!("mounts", options_of_a_file_system_are_ignored_on_a_bind_mount)
            .may_fail_on("runc 1.2", "refuses them")
            .may_fail_on("runc 1.3", "refuses them"),
        test!("mounts", a_bind_mount_of_a_missing_source_fails_and_names_it),
        test!("mounts", a_directory_cannot_be_bound_on_a_file),
        test!("mounts", slave_options_are_applied)
            .fails_on("crun 1.8", "only as rootfsPropagation"),
        test!("mounts", recursive_propagation_reaches_the_mounts_below)
            .fails_on("crun 1.8", "loses shared"),
        test!("mounts", ro_is_not_recursive),
        test!("mounts", recursive_flags_reach_the_mounts_below)
            .fails_on("crun 1.8", "EINVAL for access times")
            .needs(needs![kernel(5, 12)]),
        test!("mounts", a_mount_in_a_shared_volume_reaches_the_host),
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
    ]
}

/// Runs with what `script` mounts in a mount namespace made for it.
fn mountinfo_after(script: &str, bundle: Bundle<'_>) -> String {
    let bundle = bundle.args(&["cat", "/proc/self/mountinfo"]);
    let run = bundle.launch("run", &[]).after(script).run();
    bundle.settle(run).ok().stdout
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

/// "If a custom option string is already recognized by mount(8), the runtime
/// SHOULD follow the behavior of mount(8)", which ignores them here; minke says
/// so in its log.
fn options_of_a_file_system_are_ignored_on_a_bind_mount(case: &Case) {
    let volume = volume(case);
    let options = ["bind", "ro", "mode=700", "size=64k"];
    let bundle = case.bundle().bind(volume.as_ref(), "/x", &options);
    let output = bundle.sh("stat -c %a /x; echo x 2>/dev/null >/x/f || echo ro").run().ok();
    let mode = fs::metadata(&volume).unwrap().permissions().mode() & 0o7777;
    let output = output.prints(&format!("{mode:o}\nro\n"));
    if runtime::name() == "minke" {
        assert!(output.log.contains("mode=700,size=64k of mounts[7].options"), "{output}");
    }
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

/// With a shared root, what is mounted in a shared volume reaches the host.
fn a_mount_in_a_shared_volume_reaches_the_host(case: &Case) {
    let volume = volume(case);
    let capabilities = json!(["CAP_SYS_ADMIN"]);
    let bundle =
        ["bounding", "effective", "permitted"].iter().fold(case.bundle(), |bundle, set| {
            bundle.set(&format!("/process/capabilities/{set}"), capabilities.clone())
        });
    let bundle = bundle
        .set("/linux/rootfsPropagation", json!("rshared"))
        .bind(volume.as_ref(), "/all", &["rbind", "rshared"])
        .sh("mount -t tmpfs made /all/below");
    let script = format!(
        r#"{} && mount --make-rshared {volume} && "$@" && findmnt --noheadings --output SOURCE {volume}/below"#,
        tree(&volume, "rw")
    );
    let output =
        bundle.launch("run", &[]).through(["unshare", "--mount", "sh", "-c", &script, "sh"]).run();
    assert!(bundle.settle(output).ok().stdout.contains("made"));
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
