//! Is this configuration allowed?

use crate::error::{Error, Result};
use crate::spec::Config;

/// Checks the whole of `config`, apart from what planning checks.
pub(crate) fn config(config: &Config) -> Result<()> {
    version(&config.oci_version)?;
    annotations(config)?;
    names(config)
}

/// config.md#specification-version: 1.x is this major version.
fn version(version: &str) -> Result<()> {
    let major = version.split('.').next().unwrap_or_default();
    match major {
        "1" => Ok(()),
        _ => Err(Error::config(
            "ociVersion",
            format!("{version:?} is not a version that can be read (1.x)"),
        )),
    }
}

/// config.md#annotations: keys MUST NOT be empty.
fn annotations(config: &Config) -> Result<()> {
    if config.annotations.contains_key("") {
        return Err(Error::config("annotations", "a key must not be empty"));
    }
    Ok(())
}

/// A name of the host is not the container's to change.
fn names(config: &Config) -> Result<()> {
    let own_uts = config.linux().namespaces.iter().any(|namespace| namespace.kind == "uts");
    for (field, name) in [("hostname", &config.hostname), ("domainname", &config.domainname)] {
        match name.as_deref().filter(|name| !name.is_empty()) {
            None => {}
            Some(_) if !own_uts => {
                return Err(Error::config(
                    field,
                    format!("unable to set {field} without a private UTS namespace"),
                ));
            }
            // sethostname(2).
            Some(name) if name.len() > 64 => return Err(Error::config(field, "is over 64 bytes")),
            Some(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(json: &str) -> Result<()> {
        config(&Config::parse(json.as_bytes()).unwrap())
    }

    #[test]
    fn names_need_their_own_uts_namespace() {
        assert!(checked(r#"{"ociVersion":"1.0.0","hostname":"x"}"#).is_err());
        assert!(
            checked(
                r#"{"ociVersion":"1.0.0","hostname":"x","linux":{"namespaces":[{"type":"uts"}]}}"#
            )
            .is_ok()
        );
    }

    #[test]
    fn versions_of_another_major_are_refused() {
        assert!(checked(r#"{"ociVersion":"2.0.0"}"#).is_err());
        assert!(checked("{}").is_err());
        assert!(checked(r#"{"ociVersion":"1.99.0-dev"}"#).is_ok());
    }
}
