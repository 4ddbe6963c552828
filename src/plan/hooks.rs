//! Hooks that the container's init runs itself.

use std::ffi::CString;

use super::c_string;
use crate::error::{Error, Result};
use crate::spec::{Hook, Hooks};
use crate::sys::exec::StringArray;

/// A program that runs inside the container's namespaces.
#[derive(Debug)]
pub(crate) struct ChildHook {
    pub(crate) path: CString,
    pub(crate) argv: StringArray,
    pub(crate) envp: StringArray,
    /// Seconds.
    pub(crate) timeout: Option<u32>,
}

/// Checks the hooks of all kinds, those of the parent's side included.
pub(super) fn check_all(hooks: &Hooks) -> Result<()> {
    let lists: [(&str, &[Hook]); 6] = [
        ("prestart", &hooks.prestart),
        ("createRuntime", &hooks.create_runtime),
        ("createContainer", &hooks.create_container),
        ("startContainer", &hooks.start_container),
        ("poststart", &hooks.poststart),
        ("poststop", &hooks.poststop),
    ];
    for (kind, list) in lists {
        list.iter().enumerate().try_for_each(|(index, hook)| check(kind, index, hook))?;
    }
    Ok(())
}

/// Checks one entry of `hooks.{kind}`.
fn check(kind: &str, index: usize, hook: &Hook) -> Result<()> {
    let field = |name: &str| format!("hooks.{kind}[{index}].{name}");
    if !hook.path.starts_with('/') {
        return Err(Error::config(field("path"), format!("{:?} must be absolute", hook.path)));
    }
    if let Some(bad) = hook.env.iter().position(|text| text.find('=').is_none_or(|at| at == 0)) {
        return Err(Error::config(field(&format!("env[{bad}]")), "is not NAME=value"));
    }
    match hook.timeout {
        Some(seconds) if !(1..=i64::from(i32::MAX)).contains(&seconds) => {
            Err(Error::config(field("timeout"), format!("{seconds} must be above zero")))
        }
        _ => Ok(()),
    }
}

/// Plans the hooks of one kind.
pub(crate) fn plan(kind: &str, hooks: &[Hook]) -> Result<Vec<ChildHook>> {
    hooks.iter().enumerate().map(|(index, hook)| one(kind, index, hook)).collect()
}

fn one(kind: &str, index: usize, hook: &Hook) -> Result<ChildHook> {
    let strings = |name: &str, list: &[String]| -> Result<Vec<CString>> {
        list.iter().map(|text| c_string(&format!("hooks.{kind}[{index}].{name}"), text)).collect()
    };
    let path = c_string(&format!("hooks.{kind}[{index}].path"), &hook.path)?;
    let mut argv = strings("args", &hook.args)?;
    if argv.is_empty() {
        argv.push(path.clone());
    }
    Ok(ChildHook {
        path,
        argv: StringArray::new(argv),
        envp: StringArray::new(strings("env", &hook.env)?),
        timeout: hook.timeout.and_then(|seconds| u32::try_from(seconds).ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// config.md#posix-platform-hooks: `path` is absolute, `timeout` above 0.
    #[test]
    fn relative_paths_and_zero_timeouts_are_refused() {
        let hook = |path: &str, timeout| Hook { path: path.into(), timeout, ..Hook::default() };
        let poststop = |hook| check_all(&Hooks { poststop: vec![hook], ..Hooks::default() });
        assert!(poststop(hook("/a", Some(1))).is_ok());
        assert!(poststop(hook("a", None)).is_err());
        let prestart = vec![hook("/a", None), hook("/a", Some(0))];
        let e = check_all(&Hooks { prestart, ..Hooks::default() }).unwrap_err().to_string();
        assert!(e.starts_with("config.json: hooks.prestart[1].timeout: "), "{e}");
    }
}
