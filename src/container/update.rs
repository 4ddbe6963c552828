//! `update`: other limits for a container that is there.

use std::path::Path;

use serde_json::Value;

use super::status::Op;
use super::store::Store;
pub(crate) use crate::cgroup::Planned;
use crate::error::{Error, Result};
use crate::spec::{self, Resources, merge};

/// What is to be changed.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// As `linux.resources`: what is not in there stays.
    pub(crate) resources: Value,
    /// Intel RDT: shares of the L3 cache, and of the memory bandwidth.
    pub(crate) l3_cache_schema: Option<String>,
    pub(crate) mem_bw_schema: Option<String>,
    /// Only tell what would be done.
    pub(crate) dry_run: bool,
}

/// Changes limits of container `id`, in the kernel and in the configuration
/// that was kept; tells what was, or would be, written if it is a dry run.
pub(crate) fn update(store: &Store, id: &str, mut change: Change) -> Result<Vec<Planned>> {
    let (container, record, _) = store.lock_for(id, Op::Update)?;
    let broken = |e: serde_json::Error| Error::Broken {
        what: format!("read the configuration of container {id:?}"),
        why: e.to_string(),
    };
    let mut config: Value = serde_json::from_slice(&container.read_config()?).map_err(broken)?;
    refuse_rdt(&change, &config)?;
    spec::drop_nulls(&mut change.resources);
    let mut saved = config["linux"]["resources"].take();
    merge::complete(&mut change.resources, &saved);
    // The same rules once more, as Kubernetes sends them, change nothing: a
    // plugin may have added to them.
    let rules = change.resources.get("devices").and_then(Value::as_array);
    let devices = rules.is_some_and(|new| {
        !new.is_empty() && saved.get("devices").and_then(Value::as_array) != Some(new)
    });
    merge::merge(&mut saved, &change.resources);
    let resources = Resources::from_value(change.resources)?;
    if change.dry_run {
        return record.cgroups.foresee(&resources, devices);
    }
    record.cgroups.change(&resources, devices)?;
    config["linux"]["resources"] = saved;
    container.write_config(&serde_json::to_vec(&config).map_err(broken)?)?;
    Ok(Vec::new())
}

/// runc's words for what the machine, or the container, has not.
fn refuse_rdt(change: &Change, config: &Value) -> Result<()> {
    let has = |name: &str| Path::new("/sys/fs/resctrl/info").join(name).is_dir();
    let words = if change.l3_cache_schema.is_some() && !has("L3") {
        "Intel RDT/CAT: l3 cache schema is not enabled"
    } else if change.mem_bw_schema.is_some() && !has("MB") {
        "Intel RDT/MBA: memory bandwidth schema is not enabled"
    } else if change.l3_cache_schema.is_none() && change.mem_bw_schema.is_none() {
        return Ok(());
    } else if config["linux"].get("intelRdt").is_none_or(Value::is_null) {
        "updating a non-existent Intel RDT configuration is not supported"
    } else {
        return Err(Error::Unsupported { what: "changing Intel RDT schemas".to_owned() });
    };
    Err(Error::usage(words))
}
