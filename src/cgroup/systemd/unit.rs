//! What systemd is asked for: the unit's name and place, and its properties.
//! Pure.
//! <https://www.freedesktop.org/software/systemd/man/latest/systemd.resource-control.html>

use std::collections::BTreeMap;

use super::variant::{self, Value};
use crate::cgroup::translate::{Missing, Write};
use crate::error::{Error, Result};

/// Annotations that are properties of the unit.
const ANNOTATION: &str = "org.systemd.property.";
const SLICE: &str = ".slice";
/// A limit that is none.
const INFINITY: u64 = u64::MAX;

/// Name of a unit and the slice it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) slice: String,
}

impl Place {
    /// From `linux.cgroupsPath`, which is `slice:prefix:name` for systemd. The
    /// unit is `prefix-name.scope`, or a slice if the name is that of one.
    pub(super) fn parse(path: Option<&str>, id: &str, user: bool) -> Result<Self> {
        const FIELD: &str = "linux.cgroupsPath";
        let usual = if user { "user.slice" } else { "system.slice" };
        let path = path.filter(|path| !path.is_empty());
        let own = format!(":minke:{id}");
        let parts: Vec<&str> = path.unwrap_or(&own).split(':').collect();
        let [slice, prefix, name] = parts[..] else {
            // runc's words.
            let got = path.unwrap_or_default();
            return Err(Error::config(
                FIELD,
                format!(
                    "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {got:?} instead"
                ),
            ));
        };
        let slice = if slice.is_empty() { usual } else { slice };
        let name = match (name.strip_suffix(SLICE).is_some(), prefix) {
            (true, _) => name.to_owned(),
            (false, "") => format!("{name}.scope"),
            (false, prefix) => format!("{prefix}-{name}.scope"),
        };
        let legal = |name: &str| {
            let known = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
            name.len() < 256 && name.chars().all(known) && !name.starts_with('.')
        };
        if !legal(&name) || matches!(name.as_str(), ".scope" | "-.slice") {
            return Err(Error::config(FIELD, format!("{name:?} is no name of a unit")));
        }
        let place = Self { name, slice: slice.to_owned() };
        if !legal(slice) || expand(slice).is_none() || place.path().is_none() {
            return Err(Error::config(FIELD, format!("{slice:?} is no name of a slice")));
        }
        Ok(place)
    }

    pub(super) fn is_slice(&self) -> bool {
        self.name.strip_suffix(SLICE).is_some()
    }

    /// The unit's directory below the manager's own.
    pub(super) fn path(&self) -> Option<String> {
        // A slice's place is in its name.
        if self.is_slice() {
            return expand(&self.name);
        }
        Some(format!("{}/{}", expand(&self.slice)?, self.name))
    }
}

/// `a-b.slice` is in `a.slice`: `/a.slice/a-b.slice`. The root slice is `-`.
fn expand(slice: &str) -> Option<String> {
    let stem = slice.strip_suffix(SLICE)?;
    if stem == "-" {
        return Some(String::new());
    }
    let mut path = String::new();
    let mut name = String::new();
    for part in stem.split('-') {
        if part.is_empty() {
            return None;
        }
        if !name.is_empty() {
            name.push('-');
        }
        name.push_str(part);
        path = format!("{path}/{name}.slice");
    }
    Some(path)
}

/// The properties that the unit has apart from its limits; `pid` is to be its
/// first process.
pub(super) fn of_unit(place: &Place, id: &str, pid: i32) -> Vec<(String, Value)> {
    let text = |text: &str| Value::String(text.to_owned());
    // runc's words, which tools look for.
    let mut list = vec![("Description", text(&format!("libcontainer container {id}")))];
    if place.is_slice() {
        list.push(("Wants", Value::Strings(vec![place.slice.clone()])));
    } else {
        list.push(("Slice", text(&place.slice)));
        list.push(("Delegate", Value::Bool(true)));
        list.push(("PIDs", Value::Uint32s(vec![pid.cast_unsigned()])));
        // One that has failed does not stay.
        list.push(("CollectMode", text("inactive-or-failed")));
    }
    for accounting in ["MemoryAccounting", "CPUAccounting", "IOAccounting", "TasksAccounting"] {
        list.push((accounting, Value::Bool(true)));
    }
    list.push(("DefaultDependencies", Value::Bool(false)));
    list.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The properties that annotations ask for, `org.systemd.property.NAME`. One
/// that is named as in a unit file (`TimeoutStopSec`) is in seconds.
pub(super) fn of_annotations(
    annotations: &BTreeMap<String, String>,
) -> Result<Vec<(String, Value)>> {
    let own = annotations
        .iter()
        .filter_map(|(key, text)| key.strip_prefix(ANNOTATION).map(|name| (key, name, text)));
    own.map(|(key, name, text)| {
        let wrong = |rule: String| Error::config(format!("annotations[{key:?}]"), rule);
        if name.len() < 3 || !name.chars().all(|c| c.is_ascii_alphabetic()) {
            return Err(wrong(format!("{name:?} is no name of a property")));
        }
        let value = variant::parse(text)
            .ok_or_else(|| wrong(format!("{text:?} is no value in GVariant's text format")))?;
        match name.strip_suffix("Sec") {
            Some(stem) if !name.ends_with("USec") => {
                let value = value
                    .seconds()
                    .ok_or_else(|| wrong(format!("{text:?} is no number of seconds")))?;
                Ok((format!("{stem}USec"), value))
            }
            _ => Ok((name.to_owned(), value)),
        }
    })
    .collect()
}

/// The properties that stand for what is to be written into the files of the
/// cgroup. What systemd does not know is only written.
pub(super) fn of_limits(writes: &[Write<'_>]) -> Vec<(String, Value)> {
    let mut list: Vec<(String, Value)> = Vec::new();
    for write in writes {
        for (name, value) in of_write(write) {
            // The limits of several devices are one property.
            match (list.iter_mut().find(|(own, _)| own == name), value) {
                (Some((_, Value::Devices(own))), Value::Devices(more)) => own.extend(more),
                (Some((_, own)), value) => *own = value,
                (None, value) => list.push((name.to_owned(), value)),
            }
        }
    }
    list
}

fn of_write(write: &Write<'_>) -> Vec<(&'static str, Value)> {
    let text = write.value.trim();
    let number = |name| amount(text).map(|n| (name, Value::Uint64(n)));
    let one = match &*write.file {
        "memory.max" => number("MemoryMax"),
        "memory.high" => number("MemoryHigh"),
        "memory.low" => number("MemoryLow"),
        "memory.min" => number("MemoryMin"),
        "memory.swap.max" => number("MemorySwapMax"),
        "memory.oom.group" => {
            let policy = if text == "1" { "kill" } else { "continue" };
            Some(("OOMPolicy", Value::String(policy.to_owned())))
        }
        "pids.max" => number("TasksMax"),
        "cpu.weight" => number("CPUWeight"),
        // systemd's word for idle.
        "cpu.idle" => (text == "1").then_some(("CPUWeight", Value::Uint64(0))),
        "cpu.max" => return of_cpu_max(text),
        "cpuset.cpus" => mask(text).map(|mask| ("AllowedCPUs", Value::Bytes(mask))),
        "cpuset.mems" => mask(text).map(|mask| ("AllowedMemoryNodes", Value::Bytes(mask))),
        "io.weight" => weight(text),
        "io.bfq.weight" => match &write.missing {
            Missing::Instead { value, .. } => weight(value),
            _ => None,
        },
        "io.max" => return of_io_max(text),
        _ => None,
    };
    one.into_iter().collect()
}

fn amount(text: &str) -> Option<u64> {
    if text == "max" { Some(INFINITY) } else { text.parse().ok() }
}

/// `QUOTA PERIOD` in microseconds. systemd counts the quota in whole percents
/// of a CPU; it is rounded up to one.
fn of_cpu_max(text: &str) -> Vec<(&'static str, Value)> {
    let mut words = text.split_ascii_whitespace();
    let quota = words.next().and_then(amount);
    let period: u64 = words.next().and_then(|word| word.parse().ok()).unwrap_or(100_000);
    let Some(quota) = quota else { return Vec::new() };
    let per_second = match quota {
        INFINITY => INFINITY,
        _ => percents(quota, period).saturating_mul(10_000),
    };
    vec![
        ("CPUQuotaPerSecUSec", Value::Uint64(per_second)),
        ("CPUQuotaPeriodUSec", Value::Uint64(period)),
    ]
}

/// Percents of a CPU, rounded up.
fn percents(quota: u64, period: u64) -> u64 {
    quota.saturating_mul(100).div_ceil(period.max(1))
}

/// What `cpu.max` is to hold so that it is what systemd makes of it.
pub(super) fn rounded_cpu_max(text: &str) -> Option<String> {
    let (quota, period) = text.split_once(' ')?;
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
    Some(format!("{} {period}", percents(quota, period).saturating_mul(period) / 100))
}

/// `default 100` or `100`, or `8:0 100` for one device.
fn weight(text: &str) -> Option<(&'static str, Value)> {
    let mut words = text.split_ascii_whitespace();
    match (words.next()?, words.next()) {
        (number, None) | ("default", Some(number)) => {
            Some(("IOWeight", Value::Uint64(number.parse().ok()?)))
        }
        (device, Some(number)) => {
            Some(("IODeviceWeight", Value::Devices(vec![(node(device), number.parse().ok()?)])))
        }
    }
}

/// `8:0 rbps=1 wiops=max`.
fn of_io_max(text: &str) -> Vec<(&'static str, Value)> {
    let Some((device, limits)) = text.split_once(' ') else { return Vec::new() };
    let property = |limit: &str| {
        let (key, value) = limit.split_once('=')?;
        let name = match key {
            "rbps" => "IOReadBandwidthMax",
            "wbps" => "IOWriteBandwidthMax",
            "riops" => "IOReadIOPSMax",
            "wiops" => "IOWriteIOPSMax",
            _ => return None,
        };
        Some((name, Value::Devices(vec![(node(device), amount(value)?)])))
    };
    limits.split_ascii_whitespace().filter_map(property).collect()
}

fn node(device: &str) -> String {
    format!("/dev/block/{device}")
}

/// `0-2,5` as a set of bits, the lowest first.
fn mask(list: &str) -> Option<Vec<u8>> {
    /// More than the kernel can be built for.
    const MOST: usize = 16_384;
    let mut mask = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last || last > MOST {
            return None;
        }
        if mask.len() <= last / 8 {
            mask.resize(last / 8 + 1, 0u8);
        }
        (first..=last).for_each(|bit| mask[bit / 8] |= 1 << (bit % 8));
    }
    Some(mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::translate;
    use crate::spec::Resources;

    fn place(path: &str) -> Result<(String, String)> {
        Place::parse(Some(path), "id", false).map(|place| (place.path().unwrap(), place.name))
    }

    #[test]
    fn names_and_places() {
        for (path, directory, name) in [
            ("", "/system.slice/minke-id.scope", "minke-id.scope"),
            ("system.slice:docker:abc", "/system.slice/docker-abc.scope", "docker-abc.scope"),
            (":p:n", "/system.slice/p-n.scope", "p-n.scope"),
            ("a-b.slice::n", "/a.slice/a-b.slice/n.scope", "n.scope"),
            ("-.slice:p:n", "/p-n.scope", "p-n.scope"),
            ("x.slice:p:a-b.slice", "/a.slice/a-b.slice", "a-b.slice"),
        ] {
            assert_eq!(place(path).unwrap(), (directory.into(), name.into()), "{path}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for path in [
            "/a/b",
            "a.slice:b",
            "a.slice:b:c:d",
            "a:b:c",
            "a/b.slice:b:c",
            "--.slice:b:c",
            "a.slice:b:c/../d",
            "a.slice::",
            "a--b.slice:b:c",
            "a.slice:p:a--b.slice",
            "a.slice:b:c d",
        ] {
            let error = place(path).unwrap_err().to_string();
            assert!(error.starts_with("config.json: linux.cgroupsPath: "), "{path}: {error}");
        }
    }

    #[test]
    fn annotations_are_properties() {
        let of = |name: &str, text: &str| {
            of_annotations(&BTreeMap::from([(format!("{ANNOTATION}{name}"), text.to_owned())]))
        };
        let list = |name: &str, value| vec![(name.to_owned(), value)];
        assert_eq!(
            of("TimeoutStopSec", "2.5").unwrap(),
            list("TimeoutStopUSec", Value::Uint64(2_500_000))
        );
        assert_eq!(
            of("TimeoutStopUSec", "uint64 5").unwrap(),
            list("TimeoutStopUSec", Value::Uint64(5))
        );
        for (name, text) in [("ab", "1"), ("a.b", "1"), ("Abc", "("), ("AbcSec", "'x'")] {
            let error = of(name, text).unwrap_err().to_string();
            assert!(
                error.starts_with("config.json: annotations[\"org.systemd.property."),
                "{error}"
            );
        }
    }

    /// Values from systemd.resource-control(5) and the D-Bus documentation.
    #[test]
    fn limits_are_properties() {
        let json = r#"{
            "memory": {"limit": 1000, "swap": 3000, "reservation": 500}, "pids": {"limit": 0},
            "cpu": {"shares": 1024, "quota": 12345, "period": 50000, "cpus": "0-2,9", "mems": "0"},
            "blockIO": {"weight": 10, "throttleReadBpsDevice": [
                {"major": 8, "minor": 0, "rate": 5}, {"major": 8, "minor": 16, "rate": 6}]},
            "unified": {"memory.high": "max", "memory.oom.group": "1"}
        }"#;
        let resources: Resources = serde_json::from_str(json).unwrap();
        let list = of_limits(&translate::v2(&resources, "r").unwrap());
        let get = |name: &str| list.iter().find(|(own, _)| own == name).unwrap().1.clone();
        for (name, number) in [
            ("MemoryMax", 1000),
            ("MemorySwapMax", 2000),
            ("MemoryLow", 500),
            ("TasksMax", 1),
            ("CPUWeight", 100),
            ("CPUQuotaPerSecUSec", 250_000),
            ("CPUQuotaPeriodUSec", 50_000),
            ("IOWeight", 1),
            ("MemoryHigh", u64::MAX),
        ] {
            assert_eq!(get(name), Value::Uint64(number), "{name}");
        }
        assert_eq!(get("AllowedCPUs"), Value::Bytes(vec![7, 2]));
        assert_eq!(get("AllowedMemoryNodes"), Value::Bytes(vec![1]));
        assert_eq!(get("OOMPolicy"), Value::String("kill".into()));
        let devices = [("/dev/block/8:0".to_owned(), 5), ("/dev/block/8:16".to_owned(), 6)];
        assert_eq!(get("IOReadBandwidthMax"), Value::Devices(devices.to_vec()));
        assert_eq!(rounded_cpu_max("12345 50000").unwrap(), "12500 50000");
        assert_eq!(rounded_cpu_max("max 100000"), None);
    }
}
