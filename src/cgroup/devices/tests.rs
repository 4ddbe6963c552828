use super::*;

/// A rule as in config.json; -1 is any.
pub(crate) fn rule(allow: bool, kind: &str, major: i64, minor: i64, access: &str) -> DeviceRule {
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
        (&[rule(true, "c", -2, 3, "r")], "d[0].major: must be 0 to 4095, or -1 for any, not -2"),
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
                        assert!(expected || !got, "{rules:?} {kind:?} {major}:{minor} {access}");
                    } else {
                        strict += 1;
                        assert_eq!(got, expected, "{rules:?} {kind:?} {major}:{minor} {access}");
                    }
                }
            }
        }
    }
    assert!(sets > 5_000 && strict > 100_000, "{sets} {strict}");
}

/// Reads the rules as the spec tells them, not by way of exceptions.
fn last_match(rules: &[DeviceRule], kind: Kind, major: u32, minor: u32, access: Access) -> bool {
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
        let lines =
            if compared % 2 == 0 { set.v1_lines() } else { holds().unwrap().v1_transition(&set) };
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
