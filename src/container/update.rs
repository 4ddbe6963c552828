//! `update`: other limits for a container that is there.

use serde_json::Value;

use super::resctrl::{self, Schemata};
use super::status::Op;
use super::store::{Record, Store};
pub(crate) use crate::cgroup::Planned;
use crate::error::{Error, Result};
use crate::spec::{self, Resources, merge};

/// What is to be changed.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// As `linux.resources`: what is not in there stays.
    pub(crate) resources: Value,
    /// `l3CacheSchema` and `memBwSchema` of `linux.intelRdt`.
    pub(crate) schemata: Vec<(&'static str, String)>,
    /// Only tell what would be done.
    pub(crate) dry_run: bool,
}

/// Changes limits of container `id`, in the kernel and in the configuration
/// that was kept; tells what was, or would be, written if it is a dry run.
pub(crate) fn update(store: &Store, id: &str, change: Change) -> Result<Vec<Planned>> {
    let Change { mut resources, schemata: lines, dry_run } = change;
    let (container, record, _) = store.lock_for(id, Op::Update)?;
    let broken = |e: serde_json::Error| Error::Broken {
        what: format!("read the configuration of container {id:?}"),
        why: e.to_string(),
    };
    let mut config: Value = serde_json::from_slice(&container.read_config()?).map_err(broken)?;
    let schemata = schemata(&lines, &config, &record)?;
    spec::drop_nulls(&mut resources);
    let mut saved = config["linux"]["resources"].take();
    merge::complete(&mut resources, &saved);
    // The same rules once more, as Kubernetes sends them, change nothing: a
    // plugin may have added to them.
    let rules = resources.get("devices").and_then(Value::as_array);
    let devices = rules.is_some_and(|new| {
        !new.is_empty() && saved.get("devices").and_then(Value::as_array) != Some(new)
    });
    merge::merge(&mut saved, &resources);
    let resources = Resources::from_value(resources)?;
    if dry_run {
        let mut planned = record.cgroups.foresee(&resources, devices)?;
        planned.extend(schemata.iter().flat_map(Schemata::foresee));
        return Ok(planned);
    }
    schemata.as_ref().map_or(Ok(()), Schemata::set)?;
    let changed = record.cgroups.change(&resources, devices);
    changed.inspect_err(|_| schemata.iter().for_each(Schemata::put_back))?;
    config["linux"]["resources"] = saved;
    for (field, line) in lines {
        config["linux"]["intelRdt"][field] = line.into();
    }
    container.write_config(&serde_json::to_vec(&config).map_err(broken)?)?;
    Ok(Vec::new())
}

/// What is to be written for Intel RDT; the errors are runc's words for what
/// the machine, or the container, has not.
fn schemata<'c>(
    lines: &'c [(&str, String)],
    config: &Value,
    record: &'c Record,
) -> Result<Option<Schemata<'c>>> {
    if lines.is_empty() {
        return Ok(None);
    }
    let group = record.resctrl.as_ref().filter(|_| !config["linux"]["intelRdt"].is_null());
    for (field, _) in lines {
        let (info, words) = match *field {
            "l3CacheSchema" => ("L3", "Intel RDT/CAT: l3 cache schema is not enabled"),
            _ => ("MB", "Intel RDT/MBA: memory bandwidth schema is not enabled"),
        };
        if !resctrl::has(info) {
            return Err(Error::usage(words));
        }
    }
    let words = "updating a non-existent Intel RDT configuration is not supported";
    group.ok_or_else(|| Error::usage(words))?.change(lines).map(Some)
}
