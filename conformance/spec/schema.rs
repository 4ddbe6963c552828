//! The JSON schemas of the specification: what is written is valid by them,
//! and what is valid by them is taken. That every field is read is shown where
//! they are read, in `src/spec/held.rs`.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use super::user_namespaces::mapped;
use crate::support::fields::{self, Line, Node};
use crate::support::needs::needs;
use crate::support::{Bundle, Case, Test, Value, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("schema", the_table_of_fields_is_that_of_the_schemas)
            .without_root()
            .needs(needs![variable("OCI_SCHEMA")]),
        test!("schema", what_is_wrong_is_found).without_root(),
        test!("schema", every_word_of_the_schema_is_taken).needs(needs![minke]),
        test!("L13", each_state_is_valid_by_the_schema)
            .needs(needs![command("pause")])
            .fails_on("crun 1.8", "says created instead of creating"),
        test!("features", the_features_are_valid_by_the_schema).needs(needs![command("features")]),
    ]
}

fn table() -> Vec<Line> {
    fields::lines(include_str!("fields.txt"))
}

/// `OCI_SCHEMA` is the directory `schema` of a runtime-spec.
fn the_table_of_fields_is_that_of_the_schemas(_: &Case) {
    let directory = PathBuf::from(std::env::var_os("OCI_SCHEMA").unwrap());
    let mut theirs = Vec::new();
    for name in ["config", "state", "features"] {
        let file = directory.join(format!("{name}-schema.json"));
        walk(&Schema { node: read(&file), file }, name, "", &mut theirs);
    }
    let mut ours: Vec<String> =
        table().into_iter().map(|(path, kind)| format!("{path} {}", sorted(&kind))).collect();
    ours.sort();
    theirs.sort();
    let lacks = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|line| !those.contains(line)).cloned().collect()
    };
    assert_eq!(lacks(&theirs, &ours), [""; 0], "the table lacks");
    assert_eq!(lacks(&ours, &theirs), [""; 0], "the schema lacks");
}

fn sorted(words: &str) -> String {
    let mut words: Vec<_> = words.split('|').collect();
    words.sort_unstable();
    words.join("|")
}

/// A part of a schema, and the file that its references start from.
struct Schema {
    file: PathBuf,
    node: Value,
}

fn read(file: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

impl Schema {
    fn at(&self, node: &Value) -> Self {
        let Some(reference) = node["$ref"].as_str() else {
            return Self { file: self.file.clone(), node: node.clone() };
        };
        let (name, pointer) = reference.split_once('#').unwrap();
        let file = if name.is_empty() { self.file.clone() } else { self.file.with_file_name(name) };
        let node = read(&file).pointer(pointer).unwrap().clone();
        Self { file: file.clone(), node: Value::Null }.at(&node)
    }
}

/// Writes what `schema` says of `path` as the lines of our table.
fn walk(schema: &Schema, path: &str, mark: &str, lines: &mut Vec<String>) {
    let node = &schema.node;
    let combined = node["allOf"].as_array().or(node["anyOf"].as_array());
    if let Some(parts) = combined {
        return parts.iter().for_each(|part| walk(&schema.at(part), path, mark, lines));
    }
    if let Some(members) = node["properties"].as_object() {
        let required = |name| {
            let list = node["required"].as_array();
            list.is_some_and(|list| list.contains(&json!(name)))
        };
        for (name, member) in members {
            let other_platform = ["freebsd", "solaris", "windows", "zos"].contains(&name.as_str());
            if !other_platform {
                let mark = if required(name) { "!" } else { "" };
                walk(&schema.at(member), &format!("{path}.{name}"), mark, lines);
            }
        }
        // An object's mark stands behind its name, before the next dot.
        if mark == "!" {
            let inside = format!("{path}.");
            for line in lines.iter_mut().filter(|line| line.starts_with(&inside)) {
                line.insert(path.len(), '!');
            }
        }
        return;
    }
    let kind = match node["type"].as_str() {
        _ if node["enum"].is_array() => {
            let words = node["enum"].as_array().unwrap().iter();
            sorted(&words.map(|word| word.as_str().unwrap()).collect::<Vec<_>>().join("|"))
        }
        Some("array") => {
            return walk(&schema.at(&node["items"]), &format!("{path}[]"), mark, lines);
        }
        Some("object") => {
            let any = node["additionalProperties"].as_object();
            let any = any.or(node["patternProperties"][".{1,}"].as_object()).unwrap();
            let any = Value::Object(any.clone());
            return walk(&schema.at(&any), &format!("{path}{{}}"), mark, lines);
        }
        Some("integer") => number(node),
        Some("string") => text(node["pattern"].as_str().unwrap_or_default()),
        kind => kind.unwrap_or_else(|| panic!("{path}: {node}")).into(),
    };
    lines.push(format!("{path}{mark} {kind}"));
}

fn number(node: &Value) -> String {
    let text = |name: &str| node[name].as_number().map(ToString::to_string).unwrap_or_default();
    let (first, last) = (text("minimum"), text("maximum"));
    match (first.as_str(), last.as_str()) {
        ("", "") => "integer".into(),
        ("0", "65535") => "uint16".into(),
        ("0", "4294967295") => "uint32".into(),
        ("0", "18446744073709551615") => "uint64".into(),
        ("-2147483648", "2147483647") => "int32".into(),
        ("-9223372036854775808", "9223372036854775807") => "int64".into(),
        _ => format!("{first}..{last}"),
    }
}

/// Of the patterns, those that our table has: one of some letters, and
/// capitals after a beginning.
fn text(pattern: &str) -> String {
    let inner = pattern.trim_start_matches('^').trim_end_matches('$');
    if let Some(letters) = inner.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        let letters: Vec<String> = letters.chars().map(String::from).collect();
        return sorted(&letters.join("|"));
    }
    match inner.split_once("_[A-Z") {
        Some((beginning, _)) => format!("{beginning}_*"),
        None => "string".into(),
    }
}

/// Where `value` is not what `node` allows. A schema says nothing about
/// members that it does not name.
fn wrong(node: &Node, value: &Value, path: &str) -> Vec<String> {
    let each = |item: &Node, values: &mut dyn Iterator<Item = (String, &Value)>| {
        values.flat_map(|(name, value)| wrong(item, value, &format!("{path}/{name}"))).collect()
    };
    let fits = match (node, value) {
        (Node::Text, Value::String(_)) | (Node::Boolean, Value::Bool(_)) => true,
        (Node::Words(words), Value::String(text)) => words.contains(text),
        (Node::Beginning(beginning), Value::String(text)) => text
            .strip_prefix(beginning)
            .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_uppercase() || c == '_')),
        (Node::Number(first, last), Value::Number(number)) => {
            number.as_i128().is_some_and(|number| (*first..=*last).contains(&number))
        }
        (Node::List(item), Value::Array(list)) => {
            return each(item, &mut list.iter().enumerate().map(|(i, v)| (i.to_string(), v)));
        }
        (Node::Map(item), Value::Object(map)) => {
            return each(item, &mut map.iter().map(|(name, v)| (name.clone(), v)));
        }
        (Node::Object(members), Value::Object(map)) => {
            let missing = members.iter().filter(|m| m.required && !map.contains_key(&m.name));
            let mut found: Vec<_> =
                missing.map(|m| format!("{path}/{} is missing", m.name)).collect();
            for member in members {
                if let Some(value) = map.get(&member.name) {
                    found.extend(wrong(&member.node, value, &format!("{path}/{}", member.name)));
                }
            }
            return found;
        }
        _ => false,
    };
    if fits { Vec::new() } else { vec![format!("{path} is {value}")] }
}

fn what_is_wrong_is_found(_: &Case) {
    let state = fields::document(&table(), "state");
    let valid =
        json!({"ociVersion": "1.0.0", "id": "x", "status": "running", "bundle": "/", "new": 5});
    assert_eq!(wrong(&state, &valid, ""), [""; 0]);
    for (name, value, words) in [
        ("status", json!("paused"), "/status is \"paused\""),
        ("pid", json!(-1), "/pid is -1"),
        ("bundle", json!(null), "/bundle is null"),
        ("annotations", json!({"a": 1}), "/annotations/a is 1"),
    ] {
        let mut invalid = valid.clone();
        invalid[name] = value;
        assert_eq!(wrong(&state, &invalid, ""), [words]);
    }
    assert_eq!(wrong(&state, &json!({}), "").len(), 4);
}

/// "status … Additional values MAY be defined by the runtime": of which
/// `paused` is the only one.
fn each_state_is_valid_by_the_schema(case: &Case) {
    let schema = fields::document(&table(), "state");
    let valid = |state: &Value| assert_eq!(wrong(&schema, state, ""), [""; 0], "{state}");
    let seen = case.path("state.json");
    let bundle = case.bundle().set("/annotations", json!({"org.example": "ü"}));
    let bundle = bundle.hook("createRuntime", &format!("echo \"$state\" > {}", seen.display()));
    let bundle = bundle.sleeps();
    bundle.create().ok();
    let creating: Value = serde_json::from_str(&case.read("state.json")).unwrap();
    assert_eq!(creating["status"], "creating");
    valid(&creating);
    valid(&bundle.state());
    bundle.start().ok();
    valid(&bundle.state());
    bundle.command("pause", &[]).run().ok();
    assert_eq!(wrong(&schema, &bundle.state(), ""), ["/status is \"paused\""]);
    bundle.command("resume", &[]).run().ok();
    bundle.kill("KILL").ok();
    bundle.until_stopped();
    valid(&bundle.state());
}

fn the_features_are_valid_by_the_schema(case: &Case) {
    let features = case.runtime(["features"]).run().ok().json();
    let schema = fields::document(&table(), "features");
    assert_eq!(wrong(&schema, &features, ""), [""; 0], "{features}");
    assert!(features["linux"]["seccomp"]["archs"].is_array(), "{features}");
}

/// For each field that has words of its own, each of the words, in a
/// configuration where it makes sense: a container is created. What only the
/// kernel refuses is understood, too; and nobody could answer for a container
/// whose every call is to be answered by an agent.
fn every_word_of_the_schema_is_taken(case: &Case) {
    let _agent = UnixListener::bind(case.path("agent")).unwrap();
    let mut refused = Vec::new();
    for (path, words) in table() {
        let Some(path) = path.strip_prefix("config.").filter(|path| !path.starts_with("vm."))
        else {
            continue;
        };
        for word in words.split('|').filter(|_| words.contains('|')) {
            let bundle = with_word(case, path, word);
            let output = bundle.create();
            let by_the_kernel =
                ["set the scheduling policy", "set the memory policy: function not"];
            let by_the_kernel = by_the_kernel.iter().any(|words| output.stderr.contains(words));
            let deadlock = path == "linux.seccomp.defaultAction!" && word == "SCMP_ACT_NOTIFY";
            if output.code() == 0 {
                bundle.delete_force().ok();
            } else if !by_the_kernel && !deadlock {
                refused.push(format!("{path} {word}: {}", output.stderr));
            }
        }
    }
    assert_eq!(refused, [""; 0]);
}

fn with_word<'c>(case: &'c Case, path: &str, word: &str) -> Bundle<'c> {
    let bundle = case.bundle();
    let seccomp = |profile: Value| case.bundle().set("/linux/seccomp", profile);
    let rule = |action: &str| json!([{"names": ["getcwd"], "action": action}]);
    let agent = case.path("agent");
    match path {
        "process.ioPriority.class!" => bundle.set("/process/ioPriority", json!({"class": word})),
        "process.scheduler.policy!" => {
            let more = match word {
                "SCHED_FIFO" | "SCHED_RR" => "priority",
                "SCHED_DEADLINE" => "runtime",
                _ => "nice",
            };
            bundle.set("/process/scheduler", json!({"policy": word, more: 1}))
        }
        "process.scheduler.flags[]" => {
            bundle.set("/process/scheduler", json!({"policy": "SCHED_OTHER", "flags": [word]}))
        }
        "linux.devices[].type!" => {
            let device = json!({"path": "/dev/x", "type": word, "major": 1, "minor": 3});
            bundle.set("/linux/devices", json!([device]))
        }
        "linux.namespaces[].type!" if word == "user" => mapped(bundle),
        "linux.namespaces[].type!" => bundle.namespace(word),
        "linux.rootfsPropagation" => bundle.set("/linux/rootfsPropagation", json!(word)),
        "linux.memoryPolicy.mode" if ["MPOL_DEFAULT", "MPOL_LOCAL"].contains(&word) => {
            bundle.set("/linux/memoryPolicy", json!({"mode": word}))
        }
        "linux.memoryPolicy.mode" => {
            bundle.set("/linux/memoryPolicy", json!({"mode": word, "nodes": "0"}))
        }
        "linux.memoryPolicy.flags[]" => {
            let policy = json!({"mode": "MPOL_BIND", "nodes": "0", "flags": [word]});
            bundle.set("/linux/memoryPolicy", policy)
        }
        "linux.personality.domain" => bundle.set("/linux/personality", json!({"domain": word})),
        "linux.seccomp.defaultAction!" => seccomp(json!({"defaultAction": word})),
        "linux.seccomp.flags[]" => {
            seccomp(json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": [word],
            "listenerPath": agent, "syscalls": rule("SCMP_ACT_NOTIFY")}))
        }
        "linux.seccomp.architectures[]" => seccomp(
            json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": [word], "syscalls": rule("SCMP_ACT_ERRNO")}),
        ),
        "linux.seccomp.syscalls[].action!" => seccomp(
            json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": agent, "syscalls": rule(word)}),
        ),
        "linux.seccomp.syscalls[].args[].op!" => {
            let condition = json!({"index": 0, "value": 1, "op": word});
            let rule =
                json!({"names": ["getcwd"], "action": "SCMP_ACT_ERRNO", "args": [condition]});
            seccomp(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
        }
        _ => panic!("no configuration for {path}"),
    }
}
