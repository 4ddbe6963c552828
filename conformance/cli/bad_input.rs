//! What users and broken machines give a runtime: a clear error, exit code 1,
//! and nothing left.

use std::fs;

use crate::support::needs::needs;
use crate::support::{Bundle, Case, Test, Value, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("bad", a_missing_bundle_is_refused),
        test!("bad", a_missing_config_is_refused),
        test!("bad", a_config_that_is_no_json_is_refused),
        test!("bad", a_config_of_the_wrong_shape_is_refused).fails_on("runc 1.1", "panics"),
        test!("bad", a_wrong_type_is_refused).fails_on("crun", "ignores them"),
        test!("bad", a_wrong_type_is_named).needs(needs![minke]),
        test!("C8", an_invalid_value_is_refused).fails_on("crun 1.8", "does not check"),
        test!("C8", an_invalid_value_is_named).needs(needs![minke]),
        test!("C9", an_annotation_that_is_no_string_is_refused),
        test!("C9", an_annotation_without_a_key_is_refused)
            .fails_on("crun", "does not check")
            .fails_on("runc", "does not check"),
        test!("bad", a_nul_byte_is_refused).fails_on("crun", "cuts the string"),
        test!("bad", a_nul_byte_is_named).needs(needs![minke]),
        test!("bad", a_program_longer_than_the_kernel_takes_fails),
        test!("bad", a_read_only_state_directory_fails),
        test!("bad", a_full_disk_fails).fails_on("runc 1.1", "loses the reason"),
        test!("bad", a_disk_that_becomes_full_fails_or_does_not_matter),
        test!("bad", a_state_directory_without_permission_fails)
            .needs(needs![file("/usr/bin/setpriv")]),
        test!("bad", a_state_directory_that_is_a_file_fails),
        test!("bad", a_hook_that_hangs_is_ended_at_its_timeout),
        test!("bad", a_volume_that_is_a_symlink_loop_fails),
    ]
}

/// With the name of what is missing.
fn a_missing_bundle_is_refused(case: &Case) {
    for bundle in ["/no/such/bundle", "/etc/passwd"] {
        case.runtime(["create", "--bundle", bundle, "x"]).run().fails().tells(bundle);
    }
    case.leaves_nothing();
}

/// "JSON specification file config.json not found".
fn a_missing_config_is_refused(case: &Case) {
    let bundle = case.bundle();
    let dir = bundle.dir.to_str().unwrap();
    case.runtime(["create", "--bundle", dir, &bundle.id])
        .run()
        .fails()
        .tells("config.json")
        .says("not found");
    case.leaves_nothing();
}

fn refused(bundle: &Bundle<'_>, config: &str) {
    bundle.write_config_text(config);
    bundle
        .case
        .runtime(["create", "--bundle", bundle.dir.to_str().unwrap(), &bundle.id])
        .run()
        .fails();
    bundle.case.leaves_nothing();
}

/// Nothing, half of it, too much, no text, and nesting without end.
fn a_config_that_is_no_json_is_refused(case: &Case) {
    let bundle = case.bundle();
    bundle.write_config();
    let whole = fs::read_to_string(bundle.dir.join("config.json")).unwrap();
    for config in [
        "",
        "{",
        &whole[..whole.len() / 2],
        "\u{0}",
        "no json",
        "{\"ociVersion\": 1.0.2}",
        &"[".repeat(200_000),
    ] {
        refused(&bundle, config);
    }
    fs::write(bundle.dir.join("config.json"), b"{\"ociVersion\": \"\xff\xfe\"}").unwrap();
    bundle
        .case
        .runtime(["create", "--bundle", bundle.dir.to_str().unwrap(), &bundle.id])
        .run()
        .fails();
    fs::remove_file(bundle.dir.join("config.json")).unwrap();
    fs::create_dir(bundle.dir.join("config.json")).unwrap();
    bundle
        .case
        .runtime(["create", "--bundle", bundle.dir.to_str().unwrap(), &bundle.id])
        .run()
        .fails();
    case.leaves_nothing();
}

/// JSON, but no config.
fn a_config_of_the_wrong_shape_is_refused(case: &Case) {
    let bundle = case.bundle();
    for config in ["null", "[]", "\"config\"", "7", "{}", "{\"ociVersion\": \"1.0.2\"}"] {
        refused(&bundle, config);
    }
}

/// Each with a value of a type that the standard does not give it.
const WRONG_TYPES: [(&str, &str); 22] = [
    ("/ociVersion", "1"),
    ("/root", "\"rootfs\""),
    ("/root/path", "[\"rootfs\"]"),
    ("/root/readonly", "\"true\""),
    ("/hostname", "17"),
    ("/process", "\"sh\""),
    ("/process/args", "\"sh -c true\""),
    ("/process/args/0", "7"),
    ("/process/env", "{\"A\": \"b\"}"),
    ("/process/cwd", "7"),
    ("/process/terminal", "\"yes\""),
    ("/process/user/uid", "\"root\""),
    ("/process/user/gid", "-1"),
    ("/process/user/uid", "4294967296"),
    ("/process/oomScoreAdj", "\"high\""),
    ("/process/rlimits/0/hard", "-1"),
    ("/process/capabilities/bounding", "\"CAP_KILL\""),
    ("/mounts", "{}"),
    ("/mounts/0/options", "\"ro\""),
    ("/linux/namespaces/0/type", "[]"),
    ("/linux/maskedPaths", "\"/proc/kcore\""),
    ("/linux/sysctl", "[\"net.ipv4.ip_forward=1\"]"),
];

/// The words with which the value is refused.
fn with(case: &Case, pointer: &str, value: &str) -> String {
    let value: Value = serde_json::from_str(value).unwrap();
    let bundle = case.bundle().set(pointer, value);
    let output = bundle.create().fails();
    case.leaves_nothing();
    output.stderr
}

/// The name of the field as the error gives it: `process.user.uid`,
/// `mounts[0].options`.
fn field(pointer: &str) -> String {
    pointer.split('/').skip(1).fold(String::new(), |field, part| match part.parse::<u32>() {
        Ok(index) => format!("{field}[{index}]"),
        Err(_) if field.is_empty() => part.into(),
        Err(_) => format!("{field}.{part}"),
    })
}

/// "MUST generate an error when invalid or unsupported values are encountered".
fn a_wrong_type_is_refused(case: &Case) {
    for (pointer, value) in WRONG_TYPES {
        with(case, pointer, value);
    }
}

/// The error says where.
fn a_wrong_type_is_named(case: &Case) {
    for (pointer, value) in WRONG_TYPES {
        let words = with(case, pointer, value);
        assert!(words.contains(&field(pointer)), "{}: {words}", field(pointer));
    }
}

/// Each of the right type, but not allowed.
const INVALID: [(&str, &str); 14] = [
    ("/root/path", "\"\""),
    ("/process/cwd", "\"relative\""),
    ("/process/args", "[]"),
    ("/process/rlimits/0/type", "\"RLIMIT_NOTHING\""),
    ("/process/oomScoreAdj", "1001"),
    ("/process/env/0", "\"without an equals sign\""),
    ("/linux/namespaces/0/type", "\"space\""),
    ("/linux/namespaces/0/path", "\"relative\""),
    ("/linux/rootfsPropagation", "\"sideways\""),
    ("/linux/maskedPaths/0", "\"relative\""),
    ("/linux/readonlyPaths/0", "\"relative\""),
    ("/linux/devices", "[{\"path\": \"/dev/x\", \"type\": \"x\"}]"),
    ("/hooks", "{\"prestart\": [{\"path\": \"relative\"}]}"),
    ("/hooks", "{\"poststop\": [{\"path\": \"/bin/true\", \"timeout\": 0}]}"),
];

/// The same.
fn an_invalid_value_is_refused(case: &Case) {
    for (pointer, value) in &INVALID[..4] {
        with(case, pointer, value);
    }
}

/// All of them, and the error says where.
fn an_invalid_value_is_named(case: &Case) {
    for (pointer, value) in INVALID {
        let words = with(case, pointer, value);
        let top = field(pointer).split('[').next().unwrap().to_owned();
        assert!(words.contains(&top), "{}: {words}", field(pointer));
    }
}

/// "Values MUST be strings."
fn an_annotation_that_is_no_string_is_refused(case: &Case) {
    with(case, "/annotations", "{\"org.example.key\": 7}");
}

/// "Keys MUST NOT be an empty string."
fn an_annotation_without_a_key_is_refused(case: &Case) {
    with(case, "/annotations", "{\"\": \"value\"}");
}

/// The kernel would take the string to end there.
const NUL: [(&str, &str); 7] = [
    ("/process/args/0", "\"tr\\u0000ue\""),
    ("/process/env/0", "\"A=b\\u0000c\""),
    ("/process/cwd", "\"/tmp\\u0000x\""),
    ("/mounts/0/destination", "\"/proc\\u0000x\""),
    ("/mounts/1/source", "\"tmp\\u0000fs\""),
    ("/linux/maskedPaths/0", "\"/proc/kcore\\u0000x\""),
    ("/hostname", "\"ho\\u0000st\""),
];

/// Never cut short in silence.
fn a_nul_byte_is_refused(case: &Case) {
    for (pointer, value) in &NUL[..6] {
        let value: Value = serde_json::from_str(value).unwrap();
        case.bundle().set(pointer, value).run().fails();
        case.leaves_nothing();
    }
}

/// The error says where.
fn a_nul_byte_is_named(case: &Case) {
    for (pointer, value) in NUL {
        let words = with(case, pointer, value);
        assert!(words.contains(&field(pointer)), "{}: {words}", field(pointer));
    }
}

/// "argument list too long".
fn a_program_longer_than_the_kernel_takes_fails(case: &Case) {
    let bundle = case.bundle().args(&["true", &"x".repeat(200_000)]);
    let output = bundle.run().fails();
    assert!(output.stderr.to_lowercase().contains("argument list too long"), "{output}");
    case.leaves_nothing();
}

/// Mounted in a namespace of its own, so that it is gone with the runtime.
fn with_state_directory(case: &Case, mount: &str) -> crate::support::command::Output {
    let state = case.root();
    fs::create_dir_all(&state).unwrap();
    let bundle = case.bundle().sh("echo ran");
    let output =
        bundle.launch("run", &[]).after(&mount.replace("STATE", state.to_str().unwrap())).run();
    assert!(fs::read_dir(&state).unwrap().next().is_none(), "the mount is not visible here");
    case.leaves_nothing();
    output
}

/// The words say which, and why.
fn a_read_only_state_directory_fails(case: &Case) {
    with_state_directory(case, "mount -t tmpfs -o ro state STATE")
        .fails()
        .says("read-only file system")
        .tells("state");
}

/// No room for a directory, and none for a byte.
fn a_full_disk_fails(case: &Case) {
    with_state_directory(case, "mount -t tmpfs -o nr_inodes=1 state STATE")
        .fails()
        .says("no space left on device");
    let fill = "mount -t tmpfs -o size=16k state STATE && { head -c 65536 /dev/zero > STATE/fill 2>/dev/null || true; }";
    with_state_directory(case, fill).fails().says("no space left on device");
}

/// At every step something else is written; it fails there and cleans up, or
/// had room enough.
fn a_disk_that_becomes_full_fails_or_does_not_matter(case: &Case) {
    for inodes in 2..9 {
        let output = with_state_directory(
            case,
            &format!("mount -t tmpfs -o nr_inodes={inodes} state STATE"),
        );
        assert!([0, 1].contains(&output.code()), "{output}");
    }
    for pages in 1..6 {
        let output = with_state_directory(
            case,
            &format!("mount -t tmpfs -o size={}k state STATE", 4 * pages),
        );
        assert!([0, 1].contains(&output.code()), "{output}");
    }
}

/// Somebody else's, and without the capability not to care.
fn a_state_directory_without_permission_fails(case: &Case) {
    let state = case.root();
    fs::create_dir(&state).unwrap();
    std::os::unix::fs::chown(&state, Some(1000), Some(1000)).unwrap();
    fs::set_permissions(&state, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let without = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"];
    case.bundle()
        .launch("create", &[])
        .through(without)
        .run()
        .fails()
        .says("permission denied")
        .tells("state");
    case.leaves_nothing();
}

/// "not a directory".
fn a_state_directory_that_is_a_file_fails(case: &Case) {
    fs::write(case.root(), "").unwrap();
    let output = case.bundle().launch("create", &[]).run().fails();
    assert!(output.stderr.to_lowercase().contains("not a directory"), "{output}");
    fs::remove_file(case.root()).unwrap();
}

/// It, and what it has started, is gone.
fn a_hook_that_hangs_is_ended_at_its_timeout(case: &Case) {
    let bundle = case.bundle().hook("createContainer", "exec sleep 1000");
    bundle.set("/hooks/createContainer/0/timeout", json!(1)).create().fails();
    case.leaves_nothing();
}

/// "too many levels of symbolic links".
fn a_volume_that_is_a_symlink_loop_fails(case: &Case) {
    let bundle = case.bundle().link("/loop", "loop").mount("/loop/x", "tmpfs", "tmpfs", &[]);
    bundle.create().fails();
    case.leaves_nothing();
}
