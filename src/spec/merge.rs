//! Changing `linux.resources`: a document says what is to be another value.
//!
//! What it leaves out stays. So does what is 0 or empty, which stands for
//! "not set", as engines write it.

use serde_json::{Map, Value};

/// Lists of which an entry takes the place of the one with the same keys.
const KEYED: &[(&str, &[&str])] = &[
    ("weightDevice", &["major", "minor"]),
    ("throttleReadBpsDevice", &["major", "minor"]),
    ("throttleWriteBpsDevice", &["major", "minor"]),
    ("throttleReadIOPSDevice", &["major", "minor"]),
    ("throttleWriteIOPSDevice", &["major", "minor"]),
    ("hugepageLimits", &["pageSize"]),
];

/// What is replaced as a whole.
const WHOLE: &[&str] = &["unified", "rdma"];

/// Fields of which 0 is a value.
const ZERO_COUNTS: &[&str] = &["pids.limit", "cpu.burst", "cpu.idle", "memory.swappiness"];

/// Completes `change` by what of `saved` the kernel takes only together with
/// what is changed: quota and period are one line of v2, and v2 has swap
/// without memory only.
pub(crate) fn complete(change: &mut Value, saved: &Value) {
    for (given, partner) in [
        ("/cpu/quota", "/cpu/period"),
        ("/cpu/period", "/cpu/quota"),
        ("/memory/swap", "/memory/limit"),
    ] {
        let is_set = |value: &Value| value.as_f64().is_some_and(|n| n != 0.0);
        let lacks = !change.pointer(partner).is_some_and(is_set);
        if change.pointer(given).is_some_and(is_set)
            && lacks
            && let Some(value) = saved.pointer(partner)
            && let [_, section, field] = partner.split('/').collect::<Vec<_>>()[..]
        {
            change[section][field] = value.clone();
        }
    }
}

/// Puts `change` into `saved`.
pub(crate) fn merge(saved: &mut Value, change: &Value) {
    let Value::Object(change) = change else { return };
    merge_object(object(saved), change, "");
    // An idle cgroup has no shares.
    let idle = change.get("cpu").is_some_and(|cpu| cpu.get("idle").is_some());
    let shares = change.get("cpu").is_some_and(|cpu| cpu.get("shares").is_some());
    if idle
        && !shares
        && let Some(Value::Object(cpu)) = saved.get_mut("cpu")
    {
        cpu.remove("shares");
    }
}

fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("just made"),
    }
}

fn merge_object(saved: &mut Map<String, Value>, change: &Map<String, Value>, path: &str) {
    for (key, new) in change {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match new {
            Value::Object(new) if !WHOLE.contains(&key.as_str()) => {
                let old = saved.entry(key.as_str()).or_insert_with(|| Value::Object(Map::new()));
                merge_object(object(old), new, &path);
            }
            Value::Array(new) => match KEYED.iter().find(|(name, _)| name == key) {
                Some((_, keys)) => {
                    let old = saved.entry(key.as_str()).or_insert_with(|| Value::Array(Vec::new()));
                    upsert(old, new, keys);
                }
                None if new.is_empty() => {}
                None => drop(saved.insert(key.clone(), Value::Array(new.clone()))),
            },
            new if is_unset(new) && !ZERO_COUNTS.contains(&path.as_str()) => {}
            // It is about this change only.
            _ if path == "memory.checkBeforeUpdate" => {}
            new => drop(saved.insert(key.clone(), new.clone())),
        }
    }
}

fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        _ => false,
    }
}

fn upsert(saved: &mut Value, change: &[Value], keys: &[&str]) {
    let Value::Array(saved) = saved else { return };
    for new in change {
        let same = |old: &&mut Value| keys.iter().all(|key| old.get(key) == new.get(key));
        match (saved.iter_mut().find(same), new) {
            (Some(Value::Object(old)), Value::Object(new)) => {
                old.extend(new.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
            _ => saved.push(new.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn merged(mut saved: Value, change: &Value) -> Value {
        merge(&mut saved, change);
        saved
    }

    #[test]
    fn what_is_left_out_stays() {
        let saved = json!({"memory": {"limit": 5, "swap": 9}, "pids": {"limit": 7}});
        assert_eq!(
            merged(saved.clone(), &json!({"memory": {"limit": 6, "swap": 0}, "cpu": {"cpus": ""}})),
            json!({"memory": {"limit": 6, "swap": 9}, "pids": {"limit": 7}, "cpu": {}})
        );
        assert_eq!(merged(saved, &json!({"pids": {"limit": 0}}))["pids"]["limit"], 0);
        assert_eq!(
            merged(Value::Null, &json!({"cpu": {"shares": 3}})),
            json!({"cpu": {"shares": 3}})
        );
    }

    #[test]
    fn devices_are_found_by_their_numbers() {
        let device = |minor: u32, rate: u32| json!({"major": 8, "minor": minor, "rate": rate});
        let lists = |list: Value| json!({"blockIO": {"throttleReadBpsDevice": list}});
        assert_eq!(
            merged(
                lists(json!([device(0, 1), device(1, 2)])),
                &lists(json!([device(1, 3), device(2, 4)]))
            ),
            lists(json!([device(0, 1), device(1, 3), device(2, 4)]))
        );
    }

    #[test]
    fn unified_is_replaced_and_idle_takes_the_shares_away() {
        assert_eq!(
            merged(json!({"unified": {"a.b": "1"}}), &json!({"unified": {"c.d": "2"}})),
            json!({"unified": {"c.d": "2"}})
        );
        assert_eq!(
            merged(json!({"cpu": {"shares": 5}}), &json!({"cpu": {"idle": 1}})),
            json!({"cpu": {"idle": 1}})
        );
    }

    #[test]
    fn partners_come_from_what_was_saved() {
        let saved = json!({"cpu": {"period": 1000, "quota": 2000}, "memory": {"limit": 5}});
        let mut change = json!({"cpu": {"quota": 7000}, "memory": {"swap": 9}});
        complete(&mut change, &saved);
        assert_eq!(
            change,
            json!({"cpu": {"quota": 7000, "period": 1000}, "memory": {"swap": 9, "limit": 5}})
        );
        let mut change = json!({"pids": {"limit": 1}});
        complete(&mut change, &saved);
        assert_eq!(change, json!({"pids": {"limit": 1}}));
    }
}
