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

#![allow(dead_code)]

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
pub(super) mod tests {
    use super::*;

    /// A rule as in config.json; -1 is any.
    pub(crate) fn rule(
        allow: bool,
        kind: &str,
        major: i64,
        minor: i64,
        access: &str,
    ) -> DeviceRule {
        DeviceRule {
            allow,
            kind: Some(kind.into()),
            major: Some(major),
            minor: Some(minor),
            access: Some(access.into()),
        }
    }

    /// Numbers that look random, the same in every run (xorshift64).
    pub(crate) struct Random(pub(crate) u64);

    impl Random {
        pub(crate) fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 >> 16).unwrap() % end
        }

        pub(crate) fn of<T: Copy>(&mut self, from: &[T]) -> T {
            from[self.below(from.len())]
        }

        /// Numbers are few, so that rules often meet.
        pub(crate) fn rule(&mut self) -> DeviceRule {
            rule(
                self.below(2) == 0,
                self.of(&["a", "b", "c", "c", "c"]),
                self.of(&[-1, 1, 5, 77]),
                self.of(&[-1, 0, 3, 99]),
                self.of(&["r", "w", "m", "rw", "rwm", "rwm"]),
            )
        }
    }

    pub(crate) const ACCESSES: [Access; 5] =
        [Access::READ, Access::WRITE, Access::MKNOD, Access(6), Access::NONE];

    /// The v1 controller of the kernel, after `security/device_cgroup.c`:
    /// `devcgroup_update_access`, `dev_exception_rm`, `match_exception` and
    /// `match_exception_partial`.
    pub(crate) struct V1 {
        allow: bool,
        list: Vec<Exception>,
    }

    impl V1 {
        fn write(&mut self, line: &Line) {
            let allow = match line.file {
                "devices.allow" => true,
                "devices.deny" => false,
                other => panic!("{other}"),
            };
            if line.rule == "a" {
                self.allow = allow;
                return self.list.clear();
            }
            let rule = parse_line(&line.rule).unwrap();
            let place = self.list.iter().position(|e| e.same_devices(rule));
            match (allow == self.allow, place) {
                (true, None) => {}
                (true, Some(i)) => {
                    self.list[i].access = self.list[i].access.without(rule.access);
                    self.list.retain(|e| e.access != Access::NONE);
                }
                (false, None) => self.list.push(rule),
                (false, Some(i)) => self.list[i].access = self.list[i].access.union(rule.access),
            }
        }

        pub(crate) fn after(lines: &[Line]) -> Self {
            let mut v1 = Self { allow: true, list: Vec::new() };
            for line in lines {
                v1.write(line);
            }
            v1
        }

        pub(crate) fn allows(&self, kind: Kind, major: u32, minor: u32, access: Access) -> bool {
            let mut of_device = self.list.iter().filter(|e| {
                e.kind == kind
                    && e.major.is_none_or(|n| n == major)
                    && e.minor.is_none_or(|n| n == minor)
            });
            if self.allow {
                !of_device.any(|e| access.overlaps(e.access))
            } else {
                of_device.any(|e| access.without(e.access) == Access::NONE)
            }
        }
    }

    fn lines(set: &Ruleset) -> Vec<String> {
        set.v1_lines().into_iter().map(|l| format!("{} {}", l.file, l.rule)).collect()
    }

    /// What runc gives a container that says nothing about devices.
    const ALWAYS: [&str; 12] = [
        "devices.deny a",
        "devices.allow c *:* m",
        "devices.allow b *:* m",
        "devices.allow c 1:3 rwm",
        "devices.allow c 1:8 rwm",
        "devices.allow c 1:7 rwm",
        "devices.allow c 5:0 rwm",
        "devices.allow c 1:5 rwm",
        "devices.allow c 1:9 rwm",
        "devices.allow c 136:* rwm",
        "devices.allow c 5:2 rwm",
        "devices.allow c 10:200 rwm",
    ];

    #[test]
    fn no_rules_deny_all_but_the_devices_of_every_container() {
        assert_eq!(lines(&Ruleset::new(&[], "f").unwrap()), ALWAYS);
        let deny_all = DeviceRule { access: Some("rwm".into()), ..DeviceRule::default() };
        assert_eq!(lines(&Ruleset::new(&[deny_all], "f").unwrap()), ALWAYS);
    }

    /// The example of config-linux.md#allowed-device-list.
    #[test]
    fn example_of_the_spec() {
        let text = r#"[{"allow":false,"access":"rwm"},
            {"allow":true,"type":"c","major":10,"minor":229,"access":"rw"},
            {"allow":true,"type":"b","major":8,"minor":0,"access":"r"}]"#;
        let rules: Vec<DeviceRule> = serde_json::from_str(text).unwrap();
        let lines = lines(&Ruleset::new(&rules, "f").unwrap());
        let expected = ["devices.deny a", "devices.allow c 10:229 rw", "devices.allow b 8:0 r"];
        assert_eq!(lines[..3], expected);
        assert_eq!(lines[3..], ALWAYS[1..]);
    }

    #[test]
    fn privileged_is_one_line_and_no_denial() {
        let allow_all = DeviceRule { allow: true, ..DeviceRule::default() };
        let set = Ruleset::new(&[allow_all], "f").unwrap();
        assert!(set.allows_all());
        assert_eq!(lines(&set), ["devices.allow a"]);
    }

    #[test]
    fn rules_of_the_same_devices_are_one_line() {
        let rules = [rule(true, "b", 8, -1, "r"), rule(true, "b", 8, -1, "mw")];
        assert_eq!(lines(&Ruleset::new(&rules, "f").unwrap())[1], "devices.allow b 8:* rwm");
    }

    #[test]
    fn a_later_rule_takes_back_an_earlier_one() {
        let rules = [rule(true, "b", 8, 0, "rw"), rule(false, "b", 8, 0, "w")];
        assert_eq!(lines(&Ruleset::new(&rules, "f").unwrap())[1], "devices.allow b 8:0 r");
        let rules = [rule(true, "b", 8, 0, "rw"), rule(false, "b", 8, -1, "rwm")];
        assert_eq!(lines(&Ruleset::new(&rules, "f").unwrap()), ALWAYS);
        let rules = [rule(true, "b", 8, 0, "rw"), rule(false, "a", -1, -1, "rwm")];
        assert_eq!(lines(&Ruleset::new(&rules, "f").unwrap()), ALWAYS);
    }

    /// Type `a` with less than all is not all, as it is in the v1 files.
    #[test]
    fn all_types_do_not_widen_a_rule() {
        let lines = lines(&Ruleset::new(&[rule(true, "a", 8, 0, "r")], "f").unwrap());
        assert_eq!(lines[..3], [ALWAYS[0], "devices.allow c 8:0 r", "devices.allow b 8:0 r"]);
    }

    #[test]
    fn what_every_container_has_does_not_bring_back_what_was_denied() {
        let rules = [rule(true, "a", -1, -1, "rwm"), rule(false, "b", 8, -1, "rwm")];
        let lines = lines(&Ruleset::new(&rules, "f").unwrap());
        assert_eq!(lines, ["devices.allow a", "devices.deny b 8:* rwm"]);
    }

    #[test]
    fn errors_tell_the_rule() {
        let cases: [(&[DeviceRule], &str); 9] = [
            (&[rule(true, "c", 1, 3, "")], "d[0].access: must have one or more of r, w and m"),
            (&[rule(true, "c", 1, 3, "rx")], "d[0].access: must be made of r, w and m, not \"rx\""),
            (&[rule(true, "p", 1, 3, "r")], "d[0].type: must be \"a\", \"b\" or \"c\", not \"p\""),
            (
                &[rule(true, "c", 4096, 3, "r")],
                "d[0].major: must be 0 to 4095, or -1 for any, not 4096",
            ),
            (
                &[rule(true, "c", -2, 3, "r")],
                "d[0].major: must be 0 to 4095, or -1 for any, not -2",
            ),
            (
                &[rule(true, "c", 1, 1 << 20, "r")],
                "d[0].minor: must be 0 to 1048575, or -1 for any, not 1048576",
            ),
            (
                &[rule(true, "b", 8, -1, "rw"), rule(false, "b", 8, 1, "w")],
                "d[1]: cannot deny \"b 8:1 w\" out of \"b 8:* rw\", allowed before",
            ),
            (
                &[rule(true, "b", 8, -1, "rw"), rule(false, "b", -1, 1, "w")],
                "d[1]: cannot deny \"b *:1 w\" out of \"b 8:* rw\", allowed before",
            ),
            (
                &[rule(true, "a", -1, -1, "rwm"), rule(false, "c", 1, -1, "rwm")],
                "d: must not deny \"c 1:* rwm\": every container has \"c 1:3 rwm\"",
            ),
        ];
        for (rules, expected) in cases {
            let error = Ruleset::new(rules, "d").unwrap_err().to_string();
            assert_eq!(error, format!("config.json: {expected}"));
        }
        let absent = DeviceRule { kind: Some("c".into()), ..DeviceRule::default() };
        let error = Ruleset::new(&[absent], "d").unwrap_err().to_string();
        assert_eq!(error, "config.json: d[0].access: must have one or more of r, w and m");
    }

    /// A denial that touches no access of the wider exception is no hole.
    #[test]
    fn denying_what_is_not_allowed_is_no_hole() {
        let rules = [rule(true, "b", 8, -1, "r"), rule(false, "b", 8, 1, "w")];
        assert_eq!(lines(&Ruleset::new(&rules, "f").unwrap())[1], "devices.allow b 8:* r");
    }

    /// Each single access is decided by the last rule that matches it; where
    /// all is allowed by default, a denial may last longer, never shorter.
    #[test]
    fn the_last_rule_that_matches_decides() {
        let mut random = Random(0x5eed);
        let (mut sets, mut strict) = (0, 0);
        for _ in 0..20_000 {
            let rules: Vec<_> = (0..random.below(7)).map(|_| random.rule()).collect();
            let Ok(set) = Ruleset::new(&rules, "f") else { continue };
            sets += 1;
            let v1 = V1::after(&set.v1_lines());
            for kind in [Kind::Char, Kind::Block] {
                for (major, minor) in [(1, 3), (1, 99), (5, 0), (77, 0), (77, 99), (200, 200)] {
                    for access in &ACCESSES[..3] {
                        let expected = last_match(&rules, kind, major, minor, *access);
                        let got = v1.allows(kind, major, minor, *access);
                        if set.default_allow {
                            assert!(
                                expected || !got,
                                "{rules:?} {kind:?} {major}:{minor} {access}"
                            );
                        } else {
                            strict += 1;
                            assert_eq!(
                                got, expected,
                                "{rules:?} {kind:?} {major}:{minor} {access}"
                            );
                        }
                    }
                }
            }
        }
        assert!(sets > 5_000 && strict > 100_000, "{sets} {strict}");
    }

    /// Reads the rules as the spec tells them, not by way of exceptions.
    fn last_match(
        rules: &[DeviceRule],
        kind: Kind,
        major: u32,
        minor: u32,
        access: Access,
    ) -> bool {
        let always = |e: &Exception| {
            e.covers(Exception::new(kind, Some(major), Some(minor), access))
                && e.access.overlaps(access)
        };
        if ALWAYS_ALLOWED.iter().any(always) {
            return true;
        }
        let letter = access.to_string();
        let number = |n: Option<i64>, of: u32| n.is_none_or(|n| n == -1 || n == i64::from(of));
        let matches = |rule: &&DeviceRule| {
            let of_kind = match rule.kind.as_deref() {
                Some("c") => kind == Kind::Char,
                Some("b") => kind == Kind::Block,
                _ => true,
            };
            of_kind
                && number(rule.major, major)
                && number(rule.minor, minor)
                && rule.access.as_deref().unwrap_or("rwm").contains(&letter)
        };
        rules.iter().rev().find(matches).is_some_and(|rule| rule.allow)
    }

    #[test]
    fn list_of_v1_is_read_back() {
        let set = Ruleset::new(&[rule(true, "b", 8, -1, "rw")], "f").unwrap();
        let list: Vec<_> = set.exceptions.iter().map(ToString::to_string).collect();
        assert_eq!(Ruleset::from_v1_list(&list.join("\n")).unwrap(), set);
        assert!(Ruleset::from_v1_list("a *:* rwm\n").unwrap().allows_all());
        for bad in ["x 1:1 r", "c 1 r", "c 1:1", "c 1:1 ", "c 1:1 q", "c -1:1 r"] {
            assert!(Ruleset::from_v1_list(bad).is_err(), "{bad}");
        }
    }

    /// After the lines of a transition the kernel holds the target, and in
    /// between nothing is denied that both allow.
    #[test]
    fn transition_leads_to_the_target_and_disturbs_nothing() {
        let mut random = Random(0x00ab_cdef);
        let mut kept = 0;
        for _ in 0..4_000 {
            let mut set = || {
                let rules: Vec<_> = (0..random.below(5)).map(|_| random.rule()).collect();
                Ruleset::new(&rules, "f").ok()
            };
            let (Some(from), Some(to)) = (set(), set()) else { continue };
            let lines = from.v1_transition(&to);
            let mut v1 = V1::after(&from.v1_lines());
            let target = V1::after(&to.v1_lines());
            let both = if from.default_allow || to.default_allow {
                Vec::new()
            } else {
                probes(|k, a, i, x| v1.allows(k, a, i, x) && target.allows(k, a, i, x))
            };
            for line in &lines {
                v1.write(line);
                for &(kind, major, minor, access) in &both {
                    kept += 1;
                    assert!(v1.allows(kind, major, minor, access), "{from:?} {to:?} {line:?}");
                }
            }
            let differ = probes(|k, a, i, x| v1.allows(k, a, i, x) != target.allows(k, a, i, x));
            assert_eq!(differ, [], "{from:?} {to:?} {lines:?}");
            assert_eq!(to.v1_transition(&to).is_empty(), !to.default_allow);
        }
        assert!(kept > 1_000, "{kept}");
    }

    /// On a kernel: `MINKE_CGROUP1_DEVICES=DIR`, a directory of the v1
    /// devices hierarchy to make a cgroup in, and the rights of root.
    #[test]
    #[ignore = "changes cgroups"]
    fn kernel_holds_the_lines() {
        let dir = std::path::PathBuf::from(std::env::var_os("MINKE_CGROUP1_DEVICES").unwrap());
        let dir = dir.join(format!("minke-test-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let holds =
            || Ruleset::from_v1_list(&std::fs::read_to_string(dir.join("devices.list")).unwrap());
        let write = |line: &Line| std::fs::write(dir.join(line.file), &line.rule).unwrap();
        let mut random = Random(0x0dd);
        let mut compared = 0;
        for _ in 0..2_000 {
            let rules: Vec<_> = (0..random.below(8)).map(|_| random.rule()).collect();
            let Ok(set) = Ruleset::new(&rules, "f") else { continue };
            let lines = if compared % 2 == 0 {
                set.v1_lines()
            } else {
                holds().unwrap().v1_transition(&set)
            };
            lines.iter().for_each(write);
            let mut held = holds().unwrap();
            assert_eq!(held.default_allow, set.default_allow);
            if !set.default_allow {
                compared += 1;
                assert_eq!(held.exceptions.len(), set.exceptions.len(), "{rules:?}");
                held.exceptions.retain(|e| !set.exceptions.contains(e));
                assert_eq!(held.exceptions, [], "{rules:?}");
            }
        }
        assert!(compared > 500, "{compared}");
        std::fs::remove_dir(&dir).unwrap();
    }

    type Probe = (Kind, u32, u32, Access);

    fn probes(keep: impl Fn(Kind, u32, u32, Access) -> bool) -> Vec<Probe> {
        let mut found = Vec::new();
        for kind in [Kind::Char, Kind::Block] {
            for (major, minor) in [(1, 3), (1, 0), (1, 99), (5, 3), (77, 99), (200, 200)] {
                for access in ACCESSES {
                    if keep(kind, major, minor, access) {
                        found.push((kind, major, minor, access));
                    }
                }
            }
        }
        found
    }
}
