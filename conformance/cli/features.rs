//! `features` (features.md of the specification) and `--version`.

use crate::support::needs::needs;
use crate::support::{Bundle, Case, Test, Value, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("1.3", features_have_what_engines_read).needs(needs![command("features")]),
        test!("features", every_hook_of_the_standard_is_listed).needs(needs![command("features")]),
        test!("features", every_namespace_that_is_listed_works).needs(needs![command("features")]),
        test!("features", every_mount_option_that_is_listed_works)
            .fails_on("runc 1.1", "EINVAL for ratime")
            .needs(needs![command("features")]),
        test!("features", every_capability_that_is_listed_is_known)
            .needs(needs![command("features")]),
        test!("1.3", the_version_has_its_lines),
    ]
}

fn features(case: &Case) -> Value {
    case.runtime(["features"]).run().ok().json()
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|item| item.as_str().expect("a string")).collect()
}

/// CRI-O needs the versions; containerd `mountOptions` and `mountExtensions`.
fn features_have_what_engines_read(case: &Case) {
    let output = case.runtime(["features"]).run().ok();
    assert!(output.stdout.starts_with("{\n    \"ociVersionMin\""), "indented by four: {output}");
    let features = output.json();
    assert!(
        features["ociVersionMin"].as_str().is_some_and(|version| version.starts_with("1.0.")),
        "{features}"
    );
    assert!(
        features["ociVersionMax"].as_str().is_some_and(|version| version.starts_with("1.")),
        "{features}"
    );
    assert!(features["linux"]["cgroup"]["v1"].is_boolean(), "{features}");
    assert!(features["linux"]["cgroup"]["v2"].is_boolean(), "{features}");
    assert!(features["linux"]["seccomp"]["enabled"].is_boolean(), "{features}");
    let options = strings(&features["mountOptions"]);
    assert!(options.is_sorted(), "{options:?}");
    assert!(options.contains(&"rro") && options.contains(&"bind"), "{options:?}");
}

/// "hooks: The recognized names of the hooks."
fn every_hook_of_the_standard_is_listed(case: &Case) {
    let features = features(case);
    let mut hooks = strings(&features["hooks"]);
    hooks.sort_unstable();
    let all =
        ["createContainer", "createRuntime", "poststart", "poststop", "prestart", "startContainer"];
    assert_eq!(hooks, all);
}

/// "namespaces: The recognized names of the namespaces". Each must be accepted.
fn every_namespace_that_is_listed_works(case: &Case) {
    let features = features(case);
    let names = strings(&features["linux"]["namespaces"]);
    assert!(names.len() >= 6, "{names:?}");
    for name in names.into_iter().filter(|name| *name != "user") {
        case.bundle().namespace(name).sh("echo ran").run().ok().prints("ran\n");
    }
}

/// "mountOptions: The recognized names of the mount options, including options
/// that might not be supported by the host operating system."
fn every_mount_option_that_is_listed_works(case: &Case) {
    let features = features(case);
    let volume = case.path("volume");
    std::fs::create_dir(&volume).unwrap();
    let mount = |bundle: Bundle<'_>, options: &[&str]| {
        bundle.bind(&volume, "/x", options).sh("echo ran").run().ok().prints("ran\n");
    };
    let options = strings(&features["mountOptions"]);
    assert!(options.len() >= 40, "{options:?}");
    for option in options.into_iter().filter(|option| !option.contains("idmap")) {
        match option {
            "remount" => {
                let bundle = case.bundle().mount("/x", "tmpfs", "tmpfs", &[]);
                mount(bundle, &["bind", option]);
            }
            "tmpcopyup" => {
                case.bundle().directory("/x").mount("/x", "tmpfs", "tmpfs", &[option]).run().ok();
            }
            _ => mount(case.bundle(), &["rbind", option]),
        }
    }
}

/// "capabilities: The recognized names of the capabilities".
fn every_capability_that_is_listed_is_known(case: &Case) {
    let features = features(case);
    let names = strings(&features["linux"]["capabilities"]);
    assert!(names.len() >= 38 && names.contains(&"CAP_CHOWN"), "{names:?}");
    let bundle = case.bundle().set("/process/capabilities", json!({"bounding": names}));
    let output = bundle.create().ok();
    assert!(!output.log.contains("unknown"), "{output}");
}

/// `NAME version V`, `commit: …`, `spec: 1.x`; moby and go-runc read them.
fn the_version_has_its_lines(case: &Case) {
    for option in ["--version", "-v"] {
        let output = case.runtime([option]).globals([""; 0]).run().ok();
        let first: Vec<_> = output.stdout.lines().next().unwrap().split(' ').collect();
        assert!(first.len() >= 3 && first[1] == "version", "{output}");
        assert!(first[2].starts_with(|digit: char| digit.is_ascii_digit()), "{output}");
        assert!(output.stdout.lines().any(|line| line.starts_with("commit: ")), "{output}");
        assert!(output.stdout.lines().any(|line| line.starts_with("spec: 1.")), "{output}");
    }
}
