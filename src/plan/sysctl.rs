//! `linux.sysctl`: only parameters that belong to a namespace of the container.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#sysctl>

use std::collections::BTreeMap;
use std::ffi::CString;

use super::c_string;
use super::namespaces::{CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWUSER, CLONE_NEWUTS, Namespaces};
use crate::error::{Error, Result};

/// One parameter.
#[derive(Debug)]
pub(crate) struct Write {
    /// From `/proc`: `sys/net/…`.
    pub(crate) file: CString,
    pub(crate) value: Vec<u8>,
    /// As it was given.
    pub(crate) name: String,
    /// The `CLONE_NEW*` flag of the namespace that it belongs to.
    pub(crate) namespace: u64,
}

/// Parameters of the IPC namespace.
const IPC: &[&str] = &[
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shm_rmid_forced",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
];

/// Plans the writes; `namespaces` says which parameters are the container's.
pub(crate) fn plan(
    sysctl: &BTreeMap<String, String>,
    namespaces: &Namespaces,
) -> Result<Vec<Write>> {
    sysctl.iter().map(|(name, value)| one(name, value, namespaces)).collect()
}

fn one(name: &str, value: &str, namespaces: &Namespaces) -> Result<Write> {
    let field = format!("linux.sysctl[{name:?}]");
    let dotted = dotted(name);
    let needs = |kind: u64, word: &str| {
        if namespaces.has(kind) {
            return Ok(kind);
        }
        Err(Error::config(
            &field,
            format!("is not in a separate {word} namespace: it would change the host's"),
        ))
    };
    let namespace = match dotted.as_str() {
        name if IPC.contains(&name) || name.starts_with("fs.mqueue.") => {
            needs(CLONE_NEWIPC, "ipc")?
        }
        name if name.starts_with("net.") => needs(CLONE_NEWNET, "network")?,
        name if name.starts_with("user.") => needs(CLONE_NEWUSER, "user")?,
        "kernel.domainname" => needs(CLONE_NEWUTS, "uts")?,
        "kernel.hostname" => return Err(Error::config(field, "is not allowed: use `hostname`")),
        _ => {
            return Err(Error::config(
                field,
                "is not a parameter of a namespace: it would change the host's",
            ));
        }
    };
    let file = format!(
        "sys/{}",
        dotted.split('.').map(|part| part.replace('/', ".")).collect::<Vec<_>>().join("/")
    );
    if file.split('/').any(|part| part.is_empty() || part == ".." || part == ".") {
        return Err(Error::config(field, "is not the name of a parameter"));
    }
    let value = value.as_bytes().to_vec();
    Ok(Write { file: c_string(&field, &file)?, value, name: name.to_owned(), namespace })
}

/// sysctl(8) takes both `net.ipv4.conf.eth0/1.forwarding` and
/// `net/ipv4/conf/eth0.1/forwarding`: the first separator found is the
/// separator, the other one stands for a dot in an interface's name.
fn dotted(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(at) if name[at..].starts_with('/') => name
            .chars()
            .map(|c| match c {
                '/' => '.',
                '.' => '/',
                other => other,
            })
            .collect(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> Result<String> {
        let own =
            Namespaces { new: CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWUTS, ..Namespaces::default() };
        one(name, "1", &own).map(|w| w.file.into_string().unwrap())
    }

    #[test]
    fn both_separators_name_the_same_file() {
        assert_eq!(file("net.ipv4.ip_forward").unwrap(), "sys/net/ipv4/ip_forward");
        assert_eq!(
            file("net/ipv4/conf/eth0.1/forwarding").unwrap(),
            "sys/net/ipv4/conf/eth0.1/forwarding"
        );
        assert_eq!(
            file("net.ipv4.conf.eth0/1.forwarding").unwrap(),
            "sys/net/ipv4/conf/eth0.1/forwarding"
        );
    }

    #[test]
    fn the_hosts_parameters_are_refused() {
        for name in [
            "kernel.core_pattern",
            "vm.swappiness",
            "kernel.hostname",
            "fs.file-max",
            "net./../kernel/core_pattern",
            "net...x",
        ] {
            assert!(file(name).is_err(), "{name}");
        }
        assert!(one("net.ipv4.ip_forward", "1", &Namespaces::default()).is_err());
        assert!(one("kernel.shmmax", "1", &Namespaces::default()).is_err());
    }
}
