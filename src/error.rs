//! Why a command failed, and the words for it.
//!
//! A message is one line: the act and its object, then the cause, in lower
//! case. Some of the words are interface: engines look for them in the text
//! (containerd's shim for `does not exist`, Docker for `executable file not
//! found`), and a test holds each of those.

use crate::sys::Errno;

/// What fallible functions of minke return.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Why a command failed.
///
/// `Display` is the whole message, its cause included; [`Error::code`] is a
/// stable name for programs and [`Error::hint`] advice for people.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line is wrong; `hint` says what may have been meant.
    #[error("{words}")]
    Usage { words: String, hint: Option<String> },

    /// `field` is the JSON path, so that the user can find it.
    #[error("config.json: {}{rule}", prefix(.field))]
    Config { field: String, rule: String },

    /// Something of the spec, or of runc, that minke cannot do.
    #[error("{what} is not supported yet")]
    Unsupported { what: String },

    /// containerd and CRI-O look for `does not exist`.
    #[error("container does not exist: {id:?}")]
    NoSuchContainer { id: String },

    /// The ID is taken.
    #[error("container with given ID already exists: {id:?}")]
    Exists { id: String },

    /// An ID is a file name: `[A-Za-z0-9_+.-]+`, not `.` or `..`.
    #[error("invalid container ID format: {id:?}")]
    InvalidId { id: String },

    /// The state machine does not allow the command now.
    #[error("{words}")]
    WrongStatus { words: String },

    /// A system call of the runtime itself: the act, its object, the errno.
    #[error("{doing}: {}", words(*.source))]
    Os { doing: String, source: Errno },

    /// The same, where it is known what the user can do about it.
    #[error("{doing}: {why}")]
    Advised { doing: String, why: String, errno: Option<Errno>, hint: String },

    /// The container's init failed at a step.
    #[error("unable to start container process: {what}")]
    Init { step: &'static str, what: String, errno: Option<Errno> },

    /// A hook in the runtime's namespaces failed.
    #[error("hook {kind}[{index}] {path:?}: {cause}")]
    Hook { kind: &'static str, index: usize, path: String, cause: String },

    /// What was found is not what it should be.
    #[error("{what}: {why}")]
    Broken { what: String, why: String },
}

impl Error {
    /// An error about a value of `config.json`.
    pub(crate) fn config(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Config { field: field.into(), rule: rule.into() }
    }

    /// An error about the command line.
    pub(crate) fn usage(words: impl Into<String>) -> Self {
        Self::Usage { words: words.into(), hint: None }
    }

    /// An error of the system call that was `doing`.
    pub(crate) fn os(doing: impl Into<String>, source: Errno) -> Self {
        Self::Os { doing: doing.into(), source }
    }

    /// [`Error::os`] with advice.
    pub(crate) fn advised(doing: impl Into<String>, errno: Errno, hint: impl Into<String>) -> Self {
        Self::Advised {
            doing: doing.into(),
            why: words(errno),
            errno: Some(errno),
            hint: hint.into(),
        }
    }

    /// The same about a document that is the caller's, not a file called
    /// `config.json`.
    pub(crate) fn without_file(self) -> Self {
        match self {
            Self::Config { field, rule } => Self::Broken { what: field, why: rule },
            other => other,
        }
    }

    /// A stable name for this kind of failure, for the JSON log.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Usage { .. } => "usage",
            Self::Config { .. } => "config",
            Self::Unsupported { .. } => "unsupported",
            Self::NoSuchContainer { .. } => "no-such-container",
            Self::Exists { .. } => "exists",
            Self::InvalidId { .. } => "invalid-id",
            Self::WrongStatus { .. } => "wrong-status",
            Self::Os { .. } | Self::Advised { .. } => "os",
            Self::Init { .. } => "init",
            Self::Hook { .. } => "hook",
            Self::Broken { .. } => "broken",
        }
    }

    /// The step of the container's init that failed, for the JSON log.
    pub(crate) fn step(&self) -> Option<&'static str> {
        match self {
            Self::Init { step, .. } => Some(step),
            _ => None,
        }
    }

    /// What the user can do about it, where that is known.
    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            Self::Usage { hint, .. } => hint.as_deref(),
            Self::Advised { hint, .. } if !hint.is_empty() => Some(hint),
            _ => None,
        }
    }

    /// The errno behind the failure, for the JSON log.
    pub(crate) fn errno(&self) -> Option<i32> {
        match self {
            Self::Os { source, .. } => Some(source.raw_os_error()),
            Self::Init { errno, .. } | Self::Advised { errno, .. } => {
                errno.map(Errno::raw_os_error)
            }
            _ => None,
        }
    }
}

/// Says what was being done when a system call failed.
pub(crate) trait Doing<T> {
    /// Wraps the errno; `doing` runs only on failure.
    fn doing<S: Into<String>>(self, doing: impl FnOnce() -> S) -> Result<T>;
}

impl<T> Doing<T> for crate::sys::Result<T> {
    fn doing<S: Into<String>>(self, doing: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|source| Error::os(doing(), source))
    }
}

/// The kernel's words for an errno in lower case, as Go programs print them:
/// Docker and Podman look for `permission denied`, not `Permission denied`.
pub(crate) fn words(errno: Errno) -> String {
    let text = std::io::Error::from_raw_os_error(errno.raw_os_error()).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_ascii_lowercase().to_string() + chars.as_str(),
        None => format!("errno {}", errno.raw_os_error()),
    }
}

fn prefix(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("{field}: ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words that other programs look for; they are interface.
    #[test]
    fn words_that_engines_match() {
        assert_eq!(words(Errno::ACCESS), "permission denied");
        assert_eq!(words(Errno::PERM), "operation not permitted");
        assert_eq!(words(Errno::NOENT), "no such file or directory");
        assert_eq!(words(Errno::ISDIR), "is a directory");
        assert_eq!(words(Errno::NOTDIR), "not a directory");
        assert_eq!(words(Errno::SRCH), "no such process");
        let gone = Error::NoSuchContainer { id: "x".into() }.to_string();
        assert!(gone.contains("container does not exist"), "{gone}");
    }

    #[test]
    fn config_errors_begin_with_the_path() {
        let e = Error::config("process.cwd", "must be absolute");
        assert_eq!(e.to_string(), "config.json: process.cwd: must be absolute");
        assert_eq!(Error::config("", "broken").to_string(), "config.json: broken");
    }
}
