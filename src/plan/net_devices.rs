//! `linux.netDevices`: interfaces of the runtime's network namespace that
//! become the container's.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#network-devices>

use super::namespaces::{CLONE_NEWNET, Namespaces};
use crate::error::{Error, Result};
use crate::spec;

/// One interface.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NetDevice {
    /// Its JSON path.
    pub(crate) field: String,
    pub(crate) name: String,
    /// In the container; with `%d`, the first number that is free there.
    pub(crate) new_name: String,
}

/// Plans the moves.
pub(crate) fn plan(linux: &spec::Linux, namespaces: &Namespaces) -> Result<Vec<NetDevice>> {
    let mut planned: Vec<NetDevice> = Vec::new();
    for (name, device) in &linux.net_devices {
        let field = format!("linux.netDevices[{name:?}]");
        if !namespaces.has(CLONE_NEWNET) {
            return Err(Error::config(
                field,
                "unable to move network devices without a NET namespace",
            ));
        }
        if !is_name(name) || name.contains('%') {
            return Err(Error::config(field, "is not the name of a network device"));
        }
        let new_name = device.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(name);
        if !is_name(new_name) || !is_pattern(new_name) {
            return Err(Error::config(
                format!("{field}.name"),
                format!("{new_name:?} is not the name of a network device"),
            ));
        }
        if new_name == "lo"
            || planned.iter().any(|other| other.new_name == new_name && !new_name.contains('%'))
        {
            return Err(Error::config(
                format!("{field}.name"),
                format!("{new_name:?} is the name of another device in the container"),
            ));
        }
        planned.push(NetDevice { field, name: name.clone(), new_name: new_name.to_owned() });
    }
    Ok(planned)
}

/// As the kernel's `dev_valid_name`: up to 15 bytes that can be a file name.
fn is_name(name: &str) -> bool {
    let odd = |c: char| matches!(c, '/' | ':' | '\0') || c.is_ascii_whitespace();
    !name.is_empty() && name.len() < 16 && name != "." && name != ".." && !name.contains(odd)
}

/// At most one `%d`, and no other `%`.
fn is_pattern(name: &str) -> bool {
    !name.replacen("%d", "", 1).contains('%')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(devices: &str) -> Result<Vec<NetDevice>> {
        let own = Namespaces { new: CLONE_NEWNET, ..Namespaces::default() };
        plan(&serde_json::from_str(&format!(r#"{{"netDevices":{devices}}}"#)).unwrap(), &own)
    }

    #[test]
    fn a_device_without_a_new_name_keeps_its_own() {
        let p = planned(r#"{"a":{},"b":{"name":"eth%d"},"c":{"name":""}}"#).unwrap();
        let names: Vec<_> = p.iter().map(|device| device.new_name.as_str()).collect();
        assert_eq!(names, ["a", "eth%d", "c"]);
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        for devices in [
            r#"{"":{}}"#,
            r#"{"a/b":{}}"#,
            r#"{"sixteen-bytes-xx":{}}"#,
            r#"{"a%d":{}}"#,
            r#"{"a":{"name":".."}}"#,
            r#"{"a":{"name":"e%x"}}"#,
            r#"{"a":{"name":"e%d%d"}}"#,
            r#"{"a":{"name":"lo"}}"#,
            r#"{"a":{"name":"x"},"b":{"name":"x"}}"#,
            r#"{"a":{"name":"b"},"b":{}}"#,
        ] {
            let e = planned(devices).unwrap_err().to_string();
            assert!(e.starts_with("config.json: linux.netDevices["), "{devices}: {e}");
        }
        let linux = serde_json::from_str(r#"{"netDevices":{"a":{}}}"#).unwrap();
        assert!(plan(&linux, &Namespaces::default()).is_err());
    }
}
