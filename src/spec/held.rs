//! Every document that the schema of the runtime-spec allows is read, and
//! every field of it is held.

use serde_json::{Map, Value, json};

use super::Config;
use fields::{Member, Node};

#[path = "../../conformance/support/fields.rs"]
mod fields;

const TABLE: &str = include_str!("../../conformance/spec/fields.txt");

/// What is of no meaning to a runtime of Linux containers.
const IGNORED: [&str; 3] = ["/vm", "/process/commandLine", "/process/user/username"];

fn config() -> Node {
    fields::document(&fields::lines(TABLE), "config")
}

/// Values that `node` allows, the outermost among them. The first is not what
/// an absent field stands for.
fn values(node: &Node) -> Vec<Value> {
    let mut values: Vec<Value> = match node {
        Node::Text => vec![json!("text"), json!("ü \"\\\n/"), json!("")],
        Node::Boolean => vec![json!(true), json!(false)],
        Node::Number(first, last) => [*last, *first, 7, 8]
            .iter()
            .map(|&n| {
                u64::try_from(n).map_or_else(|_| json!(i64::try_from(n).unwrap()), |n| json!(n))
            })
            .collect(),
        Node::Words(words) => words.iter().map(|word| json!(word)).collect(),
        Node::Beginning(text) => vec![json!(format!("{text}A")), json!(format!("{text}B"))],
        Node::List(item) => {
            let items = values(item);
            let lists = items.iter().map(|value| json!([value]));
            lists.chain([json!(items), json!([])]).collect()
        }
        Node::Map(item) => {
            let maps = values(item).into_iter().map(|value| json!({"key": value}));
            maps.chain([json!({})]).collect()
        }
        Node::Object(members) => vec![object(members, true), object(members, false)],
    };
    values.dedup();
    values
}

/// With all members, or with those that it must have.
fn object(members: &[Member], all: bool) -> Value {
    let members = members.iter().filter(|member| all || member.required);
    let made = members.map(|member| (member.name.clone(), values(&member.node)[0].clone()));
    Value::Object(made.collect::<Map<_, _>>())
}

/// All places in a full document that have a name, with what is there.
fn places<'n>(node: &'n Node, pointer: &str, found: &mut Vec<(String, &'n Node, bool)>) {
    match node {
        Node::Object(members) => {
            for member in members {
                let pointer = format!("{pointer}/{}", member.name);
                places(&member.node, &pointer, found);
                found.push((pointer, &member.node, member.required));
            }
        }
        Node::List(item) => places(item, &format!("{pointer}/0"), found),
        Node::Map(item) => places(item, &format!("{pointer}/key"), found),
        _ => {}
    }
}

fn read(document: &Value) -> String {
    let text = document.to_string();
    match Config::parse(text.as_bytes()) {
        Ok(config) => format!("{config:?}"),
        Err(e) => panic!("{e}: {text}"),
    }
}

fn remove(document: &mut Value, pointer: &str) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
}

/// Each field has each of its values once, in a document with all fields: what
/// is read is another thing each time.
#[test]
fn no_field_is_lost() {
    let node = config();
    let Node::Object(members) = &node else { unreachable!() };
    let full = object(members, true);
    let mut places = Vec::new();
    self::places(&node, "", &mut places);
    assert!(places.len() > 200, "{}", places.len());
    for (pointer, node, _) in places {
        let mut seen = Vec::new();
        for value in values(node) {
            let mut document = full.clone();
            *document.pointer_mut(&pointer).unwrap() = value;
            seen.push(read(&document));
        }
        if !IGNORED.iter().any(|ignored| pointer.starts_with(ignored)) {
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), values(node).len(), "{pointer} is lost");
        }
    }
}

/// With every optional part away, and with nothing but one and what it needs.
#[test]
fn every_optional_part_may_be_there_or_not() {
    let node = config();
    let Node::Object(members) = &node else { unreachable!() };
    let (full, least) = (object(members, true), object(members, false));
    let (whole, nothing) = (read(&full), read(&least));
    let mut places = Vec::new();
    self::places(&node, "", &mut places);
    for (pointer, node, _) in places.iter().filter(|(_, _, required)| !required) {
        let mut without = full.clone();
        remove(&mut without, pointer);
        let without = read(&without);
        let with = read(&alone(&self::config(), pointer, node));
        if !IGNORED.iter().any(|ignored| pointer.starts_with(ignored)) {
            assert_ne!(without, whole, "{pointer} is lost");
            assert_ne!(with, nothing, "{pointer} is lost");
        }
    }
}

/// A document with the required fields and the one at `pointer`.
fn alone(node: &Node, pointer: &str, wanted: &Node) -> Value {
    let Some(rest) = pointer.strip_prefix('/') else { return values(wanted)[0].clone() };
    let (name, _) = rest.split_once('/').unwrap_or((rest, ""));
    let inner = &rest[name.len()..];
    match node {
        Node::Object(members) => {
            let mut made = object(members, false);
            let member = members.iter().find(|member| member.name == name).unwrap();
            made[name] = alone(&member.node, inner, wanted);
            made
        }
        Node::List(item) => json!([alone(item, inner, wanted)]),
        Node::Map(item) => json!({"key": alone(item, inner, wanted)}),
        _ => unreachable!("{pointer}"),
    }
}
