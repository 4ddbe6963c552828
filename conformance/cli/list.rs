//! `list`.

use std::fs;

use crate::support::{Case, Test, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("1.3", an_empty_list_is_null).fails_on("crun", "prints []"),
        test!("1.3", an_empty_table_has_its_header).fails_on("crun", "has NAME and BUNDLE PATH"),
        test!("1.3", the_json_list_has_the_states).fails_on("crun", "has fewer fields"),
        test!("1.3", the_table_has_a_line_for_each_container),
        test!("1.3", the_quiet_list_has_the_ids),
        test!("1.3", an_unknown_format_is_refused),
        test!("1.3", what_cannot_be_read_is_told_and_passed_over),
    ]
}

/// go-runc reads it into a slice.
fn an_empty_list_is_null(case: &Case) {
    let list = || case.runtime(["list", "--format", "json"]).run().ok();
    assert_eq!(list().stdout.trim_end(), "null", "without a state directory");
    fs::create_dir_all(case.root()).unwrap();
    assert_eq!(list().stdout.trim_end(), "null", "with an empty one");
}

/// `ID PID STATUS BUNDLE CREATED OWNER`.
fn an_empty_table_has_its_header(case: &Case) {
    let output = case.runtime(["list"]).run().ok();
    let header: Vec<_> = output.stdout.split_whitespace().collect();
    assert_eq!(header, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
}

/// One line, the objects of `state`, with the owner of the state directory.
fn the_json_list_has_the_states(case: &Case) {
    let bundles = [case.bundle(), case.bundle()];
    for bundle in &bundles {
        bundle.create().ok();
    }
    let output = case.runtime(["list", "--format=json"]).run().ok();
    let list = output.json();
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 2, "{output}");
    for bundle in &bundles {
        let entry = list.iter().find(|entry| entry["id"] == json!(bundle.id)).expect("its id");
        assert_eq!(entry["owner"], "root");
        for (key, value) in bundle.state().as_object().unwrap() {
            assert!(key == "owner" || entry[key] == *value, "{key}: {entry}");
        }
    }
    assert_eq!(output.stdout.trim_end().lines().count(), 1, "{output}");
}

/// In columns.
fn the_table_has_a_line_for_each_container(case: &Case) {
    let bundle = case.bundle();
    bundle.create().ok();
    let output = case.runtime(["list", "-f", "table"]).run().ok();
    let lines: Vec<_> = output.stdout.lines().collect();
    let fields: Vec<_> = lines[1].split_whitespace().collect();
    assert_eq!(lines.len(), 2, "{output}");
    let expected = [&bundle.id, &bundle.pid().to_string(), "created", bundle.dir.to_str().unwrap()];
    assert_eq!(fields[..4], expected);
    assert_eq!(lines[0].find("PID"), lines[1].find(fields[1]), "columns: {output}");
}

/// `-q`: one a line, and nothing else.
fn the_quiet_list_has_the_ids(case: &Case) {
    case.runtime(["list", "-q"]).run().ok().prints("");
    let bundle = case.bundle();
    bundle.create().ok();
    case.runtime(["list", "--quiet"]).run().ok().prints(&format!("{}\n", bundle.id));
}

/// Not taken for the default.
fn an_unknown_format_is_refused(case: &Case) {
    let bundle = case.bundle();
    bundle.create().ok();
    case.runtime(["list", "--format", "yaml"]).run().fails();
}

/// One broken container must not hide the others.
fn what_cannot_be_read_is_told_and_passed_over(case: &Case) {
    let bundle = case.bundle();
    bundle.create().ok();
    let broken = case.root().join("broken");
    fs::create_dir(&broken).unwrap();
    let output = case.runtime(["list", "-f", "table"]).run().ok();
    assert!(output.stdout.contains(&bundle.id), "{output}");
    assert!(!output.stdout.contains("broken"), "{output}");
    fs::remove_dir(broken).unwrap();
}
