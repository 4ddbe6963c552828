//! Device nodes of the container.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#devices>

use std::ffi::CString;

use super::credentials::is_id;
use super::{c_string, paths};
use crate::error::{Error, Result};
use crate::spec;
use crate::sys::fs::FileType;

/// A node that the child makes.
#[derive(Debug)]
pub(crate) struct Node {
    /// From the container's root, without a leading slash.
    pub(crate) path: CString,
    pub(crate) kind: FileType,
    pub(crate) major: u32,
    pub(crate) minor: u32,
    /// Permission bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Every container has these.
/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#default-devices>
const DEFAULT: [(&str, u32, u32); 6] = [
    ("dev/null", 1, 3),
    ("dev/zero", 1, 5),
    ("dev/full", 1, 7),
    ("dev/random", 1, 8),
    ("dev/urandom", 1, 9),
    ("dev/tty", 5, 0),
];

/// The default nodes and those of `linux.devices`, which may replace them.
pub(crate) fn plan(devices: &[spec::Device]) -> Result<Vec<Node>> {
    let asked: Vec<Node> =
        devices.iter().enumerate().map(|(i, d)| node(i, d)).collect::<Result<_>>()?;
    let mut nodes = Vec::with_capacity(DEFAULT.len() + asked.len());
    for (path, major, minor) in DEFAULT {
        if !asked.iter().any(|node| node.path.as_bytes() == path.as_bytes()) {
            let path = c_string("linux.devices", path)?;
            nodes.push(Node {
                path,
                kind: FileType::CharacterDevice,
                major,
                minor,
                mode: 0o666,
                uid: 0,
                gid: 0,
            });
        }
    }
    nodes.extend(asked);
    Ok(nodes)
}

fn node(index: usize, device: &spec::Device) -> Result<Node> {
    let field = |name: &str| format!("linux.devices[{index}].{name}");
    let kind = match device.kind.as_str() {
        "c" | "u" => FileType::CharacterDevice,
        "b" => FileType::BlockDevice,
        "p" => FileType::Fifo,
        other => {
            return Err(Error::config(
                field("type"),
                format!("{other:?} is not one of c, u, b, p"),
            ));
        }
    };
    if !device.path.starts_with('/') {
        return Err(Error::config(field("path"), format!("{:?} must be absolute", device.path)));
    }
    let number = |name: &str, value: i64, max: u32| match u32::try_from(value) {
        _ if kind == FileType::Fifo => Ok(0),
        Ok(n) if n <= max => Ok(n),
        _ => Err(Error::config(field(name), format!("{value} is not between 0 and {max}"))),
    };
    let mode = device.file_mode.unwrap_or(0o666);
    if mode & !0o17_7777 != 0 {
        return Err(Error::config(
            field("fileMode"),
            format!("{mode:#o} has bits beyond permissions"),
        ));
    }
    Ok(Node {
        path: c_string(&field("path"), &paths::in_root(&device.path))?,
        kind,
        // dev_t of the kernel: 12 bits and 20 bits.
        major: number("major", device.major, 0xfff)?,
        minor: number("minor", device.minor, 0xf_ffff)?,
        mode: mode & 0o7777,
        uid: is_id(&field("uid"), device.uid.unwrap_or(0))?,
        gid: is_id(&field("gid"), device.gid.unwrap_or(0))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_device_replaces_a_default_one() {
        let json =
            r#"[{"type":"c","path":"/dev/./null","major":1,"minor":3,"fileMode":384,"uid":5}]"#;
        let nodes = plan(&serde_json::from_str::<Vec<_>>(json).unwrap()).unwrap();
        let null: Vec<_> = nodes.iter().filter(|n| n.path.as_bytes() == b"dev/null").collect();
        assert_eq!((null.len(), null[0].mode, null[0].uid, nodes.len()), (1, 0o600, 5, 6));
    }

    #[test]
    fn wrong_values_are_told_with_their_path() {
        for (json, field) in [
            (r#"[{"type":"x","path":"/a"}]"#, "linux.devices[0].type"),
            (r#"[{"type":"c","path":"a"}]"#, "linux.devices[0].path"),
            (r#"[{"type":"c","path":"/a","major":-1}]"#, "linux.devices[0].major"),
            (r#"[{"type":"b","path":"/a","minor":1048576}]"#, "linux.devices[0].minor"),
        ] {
            let e = plan(&serde_json::from_str::<Vec<_>>(json).unwrap()).unwrap_err().to_string();
            assert!(e.starts_with(&format!("config.json: {field}: ")), "{e}");
        }
    }
}
