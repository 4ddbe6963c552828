//! Reading `/proc/self/mountinfo`, mostly that of a container.

/// One line of proc_pid_mountinfo(5).
#[derive(Debug)]
pub(crate) struct Mount {
    pub(crate) options: Vec<String>,
    /// `shared:1`, `master:2` and the like.
    pub(crate) propagation: Vec<String>,
    pub(crate) kind: String,
    pub(crate) source: String,
    pub(crate) super_options: Vec<String>,
}

impl Mount {
    pub(crate) fn has(&self, option: &str) -> bool {
        self.options.iter().any(|own| own == option)
    }

    pub(crate) fn super_has(&self, option: &str) -> bool {
        self.super_options.iter().any(|own| own == option)
    }
}

/// The uppermost mount at `point`.
pub(crate) fn at(text: &str, point: &str) -> Mount {
    find(text, point).unwrap_or_else(|| panic!("no mount at {point} in:\n{text}"))
}

pub(crate) fn find(text: &str, point: &str) -> Option<Mount> {
    let line = text.lines().rev().find(|line| line.split(' ').nth(4) == Some(point))?;
    let (before, after) = line.split_once(" - ")?;
    let (before, after): (Vec<_>, Vec<_>) =
        (before.split(' ').collect(), after.split(' ').collect());
    let list = |options: &str| options.split(',').map(String::from).collect();
    Some(Mount {
        options: list(before[5]),
        propagation: before[6..].iter().map(ToString::to_string).collect(),
        kind: after[0].into(),
        source: after[1].into(),
        super_options: list(after.get(2).unwrap_or(&"")),
    })
}
