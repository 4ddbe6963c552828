//! What the agent at `listenerPath` is told with the listener's descriptor.

use serde_json::{Value, json};

/// The container process state, for a process `pid` (in the runtime's pid
/// namespace) of the container whose `state` it is. It goes to the agent in
/// one message, with the listener's descriptor as `SCM_RIGHTS`; the agent may
/// take `fds[0]` for the name of that.
/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#containerprocessstate>
pub(crate) fn process_state(
    version: &str,
    pid: i32,
    metadata: Option<&str>,
    state: &Value,
) -> String {
    let mut told = json!({
        "ociVersion": version,
        "fds": ["seccompFd"],
        "pid": pid,
        "state": state,
    });
    if let Some(metadata) = metadata.filter(|text| !text.is_empty()) {
        told["metadata"] = metadata.into();
    }
    told.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// config-linux.md#containerprocessstate: `ociVersion`, `pid` and `state`
    /// are required, and "seccompFd" is the name for the listener.
    #[test]
    fn the_agent_is_told_all_that_the_spec_requires() {
        let state = json!({"ociVersion": "1.3.0", "id": "c", "status": "creating", "pid": 7, "bundle": "/b"});
        let told: Value =
            serde_json::from_str(&process_state("1.3.0", 7, Some("a \"b\""), &state)).unwrap();
        let expected = json!({"ociVersion": "1.3.0", "fds": ["seccompFd"], "pid": 7,
            "metadata": "a \"b\"", "state": state});
        assert_eq!(told, expected);
    }

    #[test]
    fn no_metadata_is_no_field() {
        for metadata in [None, Some("")] {
            let told: Value =
                serde_json::from_str(&process_state("1.3.0", 7, metadata, &json!({}))).unwrap();
            assert_eq!(told.get("metadata"), None);
        }
    }
}
