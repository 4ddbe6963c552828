//! The state of a container as JSON.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/runtime.md#state>

use std::collections::BTreeMap;

use serde::Serialize;

use super::status::Status;
use super::store::Record;
use crate::plan::HookStates;

/// The spec's state, with the fields that runc adds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State<'r> {
    oci_version: &'r str,
    id: &'r str,
    /// 0 when the container is stopped.
    pid: i32,
    status: String,
    bundle: &'r str,
    rootfs: &'r str,
    created: &'r str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'r BTreeMap<String, String>,
    pub(crate) owner: String,
}

impl<'r> State<'r> {
    /// The state of the recorded container, which is `status` now.
    pub(crate) fn new(record: &'r Record, status: Status) -> Self {
        let pid = match (status, record.init) {
            (Status::Stopped, _) | (_, None) => 0,
            (_, Some(init)) => init.pid,
        };
        Self {
            oci_version: &record.oci_version,
            id: &record.id,
            pid,
            status: status.to_string(),
            bundle: &record.bundle,
            rootfs: &record.rootfs,
            created: &record.created,
            annotations: &record.annotations,
            owner: String::new(),
        }
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Its status in words.
    pub(crate) fn status(&self) -> &str {
        &self.status
    }

    /// On one line, as hooks read it.
    pub(crate) fn compact(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// As a value, to be a part of something else.
    pub(crate) fn to_value(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Over several lines, as people read it.
    pub(crate) fn pretty(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// What hooks inside the container read: init fills in the pid that it has in
/// its own namespace, which only the kernel knows beforehand.
pub(crate) fn for_hooks(record: &Record) -> HookStates {
    const FIELD: &[u8] = b"\"pid\":0";
    let halves = |status| {
        let text = State::new(record, status).compact();
        // The first `"pid":0` is the field: what comes before is a version and
        // an ID, and quotes in them would be escaped.
        let at = text.windows(FIELD.len()).position(|part| part == FIELD).unwrap_or(0);
        let digit = at + FIELD.len() - 1;
        [text[..digit].to_vec(), text[digit + 1..].to_vec()]
    };
    HookStates { creating: halves(Status::Creating), created: halves(Status::Created) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_goes_between_the_halves() {
        let record = Record { id: "x".into(), bundle: "\"pid\":0".into(), ..Record::default() };
        let [head, tail] = for_hooks(&record).creating;
        let text = [head.as_slice(), b"42", tail.as_slice()].concat();
        let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!((&value["pid"], &value["status"]), (&42.into(), &"creating".into()));
    }
}
