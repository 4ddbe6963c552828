//! `spec`: an example to start from.

use std::fs;

use crate::support::{Case, Test, Value, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("1.3", the_example_is_that_of_runc)
            .fails_on("crun 1.8", "has inheritable capabilities"),
        test!("1.3", the_example_is_written_into_the_bundle)
            .fails_on("crun 1.8", "begins with blanks"),
        test!("1.3", an_existing_config_is_kept),
        test!("1.3", the_example_runs),
        test!("1.3", the_rootless_example_maps_ids).fails_on("crun 1.8", "maps none"),
    ]
}

fn written(case: &Case, options: &[&str]) -> Value {
    let dir = case.path("new");
    fs::create_dir(&dir).unwrap();
    case.runtime(["spec"]).args(options).directory(&dir).run().ok().prints("");
    serde_json::from_str(&fs::read_to_string(dir.join("config.json")).unwrap()).unwrap()
}

/// terminal, `sh`, three capabilities, seven mounts, a read-only root.
fn the_example_is_that_of_runc(case: &Case) {
    let spec = written(case, &[]);
    assert!(spec["ociVersion"].as_str().unwrap().starts_with("1."), "{spec}");
    assert_eq!(spec["process"]["terminal"], true);
    assert_eq!(spec["process"]["args"], json!(["sh"]));
    assert_eq!(spec["process"]["cwd"], "/");
    assert_eq!(spec["process"]["noNewPrivileges"], true);
    assert_eq!(spec["root"], json!({"path": "rootfs", "readonly": true}));
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    for set in ["bounding", "effective", "permitted"] {
        assert_eq!(spec["process"]["capabilities"][set], capabilities, "{set}");
    }
    assert!(spec["process"]["capabilities"]["inheritable"].is_null(), "CVE-2022-29162");
    let destinations: Vec<_> =
        spec["mounts"].as_array().unwrap().iter().map(|mount| &mount["destination"]).collect();
    let expected =
        ["/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup"];
    assert_eq!(destinations, expected);
    let types: Vec<_> = spec["linux"]["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["type"].clone())
        .collect();
    assert!(
        ["pid", "network", "ipc", "uts", "mount"].iter().all(|kind| types.contains(&json!(kind))),
        "{types:?}"
    );
}

/// `--bundle`, and indented by tabs.
fn the_example_is_written_into_the_bundle(case: &Case) {
    let dir = case.path("bundle");
    fs::create_dir(&dir).unwrap();
    case.runtime(["spec", "--bundle", dir.to_str().unwrap()]).run().ok();
    let text = fs::read_to_string(dir.join("config.json")).unwrap();
    assert!(text.starts_with("{\n\t\"ociVersion\""), "{text}");
}

/// It may be the work of hours.
fn an_existing_config_is_kept(case: &Case) {
    let config = case.path("config.json");
    fs::write(&config, "mine").unwrap();
    case.runtime(["spec"]).run().fails().says("File config.json exists. Remove it first");
    assert_eq!(fs::read_to_string(config).unwrap(), "mine");
}

/// Without changes but for the terminal.
fn the_example_runs(case: &Case) {
    let bundle = case.bundle();
    case.runtime(["spec", "-b", bundle.dir.to_str().unwrap()]).run().ok();
    let mut spec: Value =
        serde_json::from_slice(&fs::read(bundle.dir.join("config.json")).unwrap()).unwrap();
    spec["process"]["terminal"] = json!(false);
    spec["process"]["args"] = json!(["echo", "ran"]);
    spec["linux"].as_object_mut().unwrap().remove("resources");
    bundle.write_config_text(&spec.to_string());
    let run = case.runtime(["run", "--bundle", bundle.dir.to_str().unwrap(), &bundle.id]).run();
    bundle.settle(run).ok().prints("ran\n");
}

/// `--rootless`: a user namespace, and nothing that a user may not do.
fn the_rootless_example_maps_ids(case: &Case) {
    let spec = written(case, &["--rootless"]);
    assert!(
        spec["linux"]["namespaces"].as_array().unwrap().contains(&json!({"type": "user"})),
        "{spec}"
    );
    assert_eq!(spec["linux"]["uidMappings"], json!([{"containerID": 0, "hostID": 0, "size": 1}]));
    assert_eq!(spec["linux"]["gidMappings"], json!([{"containerID": 0, "hostID": 0, "size": 1}]));
    assert!(
        !spec["linux"]["namespaces"].as_array().unwrap().contains(&json!({"type": "network"})),
        "{spec}"
    );
}
