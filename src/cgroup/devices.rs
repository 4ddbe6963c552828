//! The device rules of a container: which device files it may open or make.
//!
//! The rules of `linux.resources.devices` and the ones that every container
//! has are reduced, in their order, to a [`Ruleset`]: what holds by default
//! and the exceptions to it, as the cgroup v1 controller keeps them. On v1
//! the exceptions are written one a line, on v2 [`super::bpf`] makes a
//! program of them, so a container may do the same on both.
//!
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#allowed-device-list>
//! <https://docs.kernel.org/admin-guide/cgroup-v1/devices.html>

use std::fmt;
use std::ops::RangeInclusive;

use crate::error::{Error, Result};
use crate::spec::DeviceRule;

/// Device numbers of the kernel: twelve bits and twenty (`MKDEV`).
const MAJORS: RangeInclusive<i64> = 0..=0xfff;
const MINORS: RangeInclusive<i64> = 0..=0xf_ffff;

/// What every container may do, whatever its rules say; they come last.
///
/// These are runc's: making any device node (which does not open it), the
/// spec's default devices, pseudo-terminals, and `/dev/net/tun`, which was
/// there from Docker's first days and is relied on.
const ALWAYS_ALLOWED: [Exception; 11] = [
    Exception::new(Kind::Char, None, None, Access::MKNOD),
    Exception::new(Kind::Block, None, None, Access::MKNOD),
    Exception::new(Kind::Char, Some(1), Some(3), Access::ALL), // null
    Exception::new(Kind::Char, Some(1), Some(8), Access::ALL), // random
    Exception::new(Kind::Char, Some(1), Some(7), Access::ALL), // full
    Exception::new(Kind::Char, Some(5), Some(0), Access::ALL), // tty
    Exception::new(Kind::Char, Some(1), Some(5), Access::ALL), // zero
    Exception::new(Kind::Char, Some(1), Some(9), Access::ALL), // urandom
    Exception::new(Kind::Char, Some(136), None, Access::ALL),  // pts/*
    Exception::new(Kind::Char, Some(5), Some(2), Access::ALL), // ptmx
    Exception::new(Kind::Char, Some(10), Some(200), Access::ALL), // net/tun
];

/// What a device file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Character device, `c`.
    Char,
    /// Block device, `b`.
    Block,
}

/// What may be done with a device: a set of read, write and mknod.
///
/// The bits are the kernel's `BPF_DEVCG_ACC_*`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access(u8);

impl Access {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const MKNOD: Self = Self(1);
    pub(crate) const READ: Self = Self(2);
    pub(crate) const WRITE: Self = Self(4);
    pub(crate) const ALL: Self = Self(7);

    /// Letters of `r`, `w` and `m`; `None` if there are others.
    fn parse(letters: &str) -> Option<Self> {
        letters.chars().try_fold(Self::NONE, |set, letter| match letter {
            'r' => Some(set.union(Self::READ)),
            'w' => Some(set.union(Self::WRITE)),
            'm' => Some(set.union(Self::MKNOD)),
            _ => None,
        })
    }

    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    const fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (set, letter) in [(Self::READ, "r"), (Self::WRITE, "w"), (Self::MKNOD, "m")] {
            if self.overlaps(set) {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Devices, and an access to them that is not as the default says.
///
/// `Display` is a line of the v1 controller, such as `c 136:* rwm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exception {
    /// Character or block devices.
    pub(crate) kind: Kind,
    /// Major number; any when `None`.
    pub(crate) major: Option<u32>,
    /// Minor number; any when `None`.
    pub(crate) minor: Option<u32>,
    /// Never empty.
    pub(crate) access: Access,
}

impl Exception {
    const fn new(kind: Kind, major: Option<u32>, minor: Option<u32>, access: Access) -> Self {
        Self { kind, major, minor, access }
    }

    fn with(self, access: Access) -> Self {
        Self { access, ..self }
    }

    fn same_devices(self, other: Self) -> bool {
        self.with(other.access) == other
    }

    /// Whether any access to any device of the type matches.
    pub(crate) fn has_all_of_its_type(self) -> bool {
        self == Self::new(self.kind, None, None, Access::ALL)
    }

    /// Whether all devices of `other` are among these.
    fn covers(self, other: Self) -> bool {
        let all = |mine: Option<u32>, theirs| mine.is_none() || mine == theirs;
        self.kind == other.kind && all(self.major, other.major) && all(self.minor, other.minor)
    }

    /// Whether some device is among both.
    fn meets(self, other: Self) -> bool {
        let some = |mine: Option<u32>, theirs: Option<u32>| {
            mine.is_none() || theirs.is_none() || mine == theirs
        };
        self.kind == other.kind && some(self.major, other.major) && some(self.minor, other.minor)
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |n: Option<u32>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
        let kind = match self.kind {
            Kind::Char => 'c',
            Kind::Block => 'b',
        };
        write!(f, "{kind} {}:{} {}", number(self.major), number(self.minor), self.access)
    }
}

/// A file of the v1 controller and the line to write into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// `devices.allow` or `devices.deny`.
    pub(crate) file: &'static str,
    /// One rule; the kernel takes one a write.
    pub(crate) rule: String,
}

impl Line {
    fn new(allow: bool, rule: impl fmt::Display) -> Self {
        let file = if allow { "devices.allow" } else { "devices.deny" };
        Self { file, rule: rule.to_string() }
    }
}

/// What a container may do with devices: a default, and the exceptions.
///
/// An access is a set of read and write, or mknod alone. Where the default is
/// to deny, it is allowed if one exception has all of it; where the default
/// is to allow, it is denied if an exception has any of it. That is what the
/// v1 controller does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ruleset {
    default_allow: bool,
    exceptions: Vec<Exception>,
}

impl Ruleset {
    /// Nothing is allowed.
    const DENY_ALL: Self = Self { default_allow: false, exceptions: Vec::new() };

    /// Applies `rules` in their order, then the ones every container has, to
    /// a cgroup that denies everything. With no rules at all, too, a
    /// container gets only what every container gets, as from runc.
    ///
    /// `field` is the JSON path of `rules`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the path of a type, number or access that is
    /// none, and of a rule that takes back a part of an earlier, wider one:
    /// the v1 controller cannot hold such a hole (it ignores the rule, which
    /// would leave allowed what was denied), so it is refused on v2 too.
    pub(crate) fn new(rules: &[DeviceRule], field: &str) -> Result<Self> {
        let mut set = Self::DENY_ALL;
        for (i, rule) in rules.iter().enumerate() {
            set.apply_rule(rule, &format!("{field}[{i}]"))?;
        }
        for always in ALWAYS_ALLOWED {
            set.apply(true, always).map_err(|wider| {
                let rule = format!("must not deny \"{wider}\": every container has \"{always}\"");
                Error::config(field, rule)
            })?;
        }
        Ok(set)
    }

    /// What holds where no exception matches.
    pub(crate) fn default_allow(&self) -> bool {
        self.default_allow
    }

    /// What is not as the default says; no two are of the same devices.
    pub(crate) fn exceptions(&self) -> &[Exception] {
        &self.exceptions
    }

    /// Whether nothing is denied.
    pub(crate) fn allows_all(&self) -> bool {
        self.default_allow && self.exceptions.is_empty()
    }

    /// The v1 lines for a new cgroup: the default, which clears what the
    /// cgroup has from its parent, then a line for each exception.
    pub(crate) fn v1_lines(&self) -> Vec<Line> {
        let default = Line::new(self.default_allow, 'a');
        let exceptions = self.exceptions.iter().map(|e| Line::new(!self.default_allow, e));
        std::iter::once(default).chain(exceptions).collect()
    }

    /// Reads what a v1 cgroup has, from its `devices.list`.
    ///
    /// The file does not show the exceptions of a cgroup that allows by
    /// default; [`Self::v1_transition`] minds that.
    ///
    /// # Errors
    ///
    /// [`Error::Broken`] for a line that is none of the kernel's.
    pub(crate) fn from_v1_list(list: &str) -> Result<Self> {
        let mut set = Self::DENY_ALL;
        for line in list.lines() {
            if line.starts_with('a') {
                return Ok(Self { default_allow: true, exceptions: Vec::new() });
            }
            let exception = parse_line(line).ok_or_else(|| Error::Broken {
                what: "devices.list".into(),
                why: format!("{line:?} is not a device rule"),
            })?;
            set.add(exception);
        }
        Ok(set)
    }

    /// The v1 lines that lead from these rules to `target`, in an order in
    /// which nothing that both allow is denied for a moment, if that can be.
    ///
    /// It cannot where the default changes, nor where it is to allow: then
    /// the exceptions in force are not known.
    pub(crate) fn v1_transition(&self, target: &Self) -> Vec<Line> {
        if self.default_allow || target.default_allow {
            return target.v1_lines();
        }
        let gained = target.lacks(self).map(|e| Line::new(true, e));
        let lost = self.lacks(target).map(|e| Line::new(false, e));
        gained.chain(lost).collect()
    }

    /// The parts of these exceptions that `other` has not.
    fn lacks(&self, other: &Self) -> impl Iterator<Item = Exception> {
        self.exceptions.iter().filter_map(|&e| {
            let theirs = other.exceptions.iter().find(|o| o.same_devices(e));
            let rest = e.access.without(theirs.map_or(Access::NONE, |o| o.access));
            (rest != Access::NONE).then(|| e.with(rest))
        })
    }

    fn apply_rule(&mut self, rule: &DeviceRule, field: &str) -> Result<()> {
        let major = number(rule.major, &MAJORS, field, "major")?;
        let minor = number(rule.minor, &MINORS, field, "minor")?;
        let kinds: &[Kind] = match rule.kind.as_deref() {
            None | Some("" | "a") => &[Kind::Char, Kind::Block],
            Some("c") => &[Kind::Char],
            Some("b") => &[Kind::Block],
            Some(other) => {
                let rule = format!("must be \"a\", \"b\" or \"c\", not {other:?}");
                return Err(Error::config(format!("{field}.type"), rule));
            }
        };
        let access = access(rule.access.as_deref(), kinds.len() > 1, field)?;
        if kinds.len() > 1 && major.is_none() && minor.is_none() && access == Access::ALL {
            self.default_allow = rule.allow;
            self.exceptions.clear();
            return Ok(());
        }
        // The v1 controller takes any rule of type `a` for one about every
        // device and access. What was asked for is less: both types.
        for &kind in kinds {
            let exception = Exception::new(kind, major, minor, access);
            self.apply(rule.allow, exception).map_err(|wider| {
                let (again, before) =
                    if rule.allow { ("allow", "denied") } else { ("deny", "allowed") };
                Error::config(
                    field,
                    format!("cannot {again} \"{exception}\" out of \"{wider}\", {before} before"),
                )
            })?;
        }
        Ok(())
    }

    /// Applies one rule; the error is the exception that it would be a hole in.
    fn apply(&mut self, allow: bool, rule: Exception) -> std::result::Result<(), Exception> {
        if allow == self.default_allow {
            self.remove(rule)
        } else {
            self.add(rule);
            Ok(())
        }
    }

    fn add(&mut self, rule: Exception) {
        match self.exceptions.iter_mut().find(|e| e.same_devices(rule)) {
            Some(e) => e.access = e.access.union(rule.access),
            None => self.exceptions.push(rule),
        }
    }

    /// Takes `rule` back.
    ///
    /// The v1 controller looks for an exception of the very same devices.
    /// To deny more than that is what was asked for, so a narrower exception
    /// to a denial goes too. A narrower exception to an allowance stays, as
    /// it does there: `c *:* m`, which every container has, must not bring
    /// back what the container's own rules deny.
    fn remove(&mut self, rule: Exception) -> std::result::Result<(), Exception> {
        let hole =
            |e: &&Exception| e.meets(rule) && !rule.covers(**e) && e.access.overlaps(rule.access);
        if let Some(wider) = self.exceptions.iter().find(hole) {
            return Err(*wider);
        }
        let deny = !self.default_allow;
        for e in &mut self.exceptions {
            if e.same_devices(rule) || (deny && rule.covers(*e)) {
                e.access = e.access.without(rule.access);
            }
        }
        self.exceptions.retain(|e| e.access != Access::NONE);
        Ok(())
    }
}

/// A device number; absent and -1 are any.
fn number(
    value: Option<i64>,
    range: &RangeInclusive<i64>,
    field: &str,
    name: &str,
) -> Result<Option<u32>> {
    match value {
        None | Some(-1) => Ok(None),
        Some(n) if range.contains(&n) => Ok(u32::try_from(n).ok()),
        Some(n) => Err(Error::config(
            format!("{field}.{name}"),
            format!("must be 0 to {}, or -1 for any, not {n}", range.end()),
        )),
    }
}

/// The access of a rule. Only a rule about all devices may leave it out.
fn access(letters: Option<&str>, of_all: bool, field: &str) -> Result<Access> {
    let wrong = |rule: String| Error::config(format!("{field}.access"), rule);
    match letters.unwrap_or_default() {
        "" if of_all => Ok(Access::ALL),
        "" => Err(wrong("must have one or more of r, w and m".into())),
        letters => Access::parse(letters)
            .ok_or_else(|| wrong(format!("must be made of r, w and m, not {letters:?}"))),
    }
}

/// A line of `devices.list`, such as `c 1:* rwm`.
fn parse_line(line: &str) -> Option<Exception> {
    let number = |n: &str| if n == "*" { Some(None) } else { n.parse().ok().map(Some) };
    let mut words = line.split_ascii_whitespace();
    let kind = match words.next()? {
        "c" => Kind::Char,
        "b" => Kind::Block,
        _ => return None,
    };
    let (major, minor) = words.next()?.split_once(':')?;
    let access = words.next().and_then(Access::parse).filter(|&a| a != Access::NONE)?;
    Some(Exception::new(kind, number(major)?, number(minor)?, access))
}

#[cfg(test)]
pub(super) mod tests;
