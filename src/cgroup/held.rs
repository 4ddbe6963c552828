//! What the kernel made of a limit.
//!
//! It takes many a value and then holds another: sizes are rounded to pages,
//! weights are clamped, CPUs that the cgroup above has not are left out. None
//! of it is an error; all of it is worth telling.

use std::fmt;
use std::os::fd::BorrowedFd;

use super::change::Planned;
use super::limits::{self, Directories};
use super::translate::{Missing, Write};
use crate::error::Result;

/// A limit of which the kernel holds another value than was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Name of the file.
    pub(crate) file: String,
    /// What was written.
    pub(crate) asked: String,
    /// What the kernel holds, on one line; `None` if it has no such file.
    pub(crate) held: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, asked, held } = self;
        match held {
            Some(held) => write!(f, "{file}: asked for {asked:?}, the kernel holds {held:?}"),
            None => write!(f, "{file}: asked for {asked:?}, the kernel has no such file"),
        }
    }
}

/// The writes of which the kernel holds another value; see [`limits::apply`]
/// for `dir`. Files that cannot be read are left out.
pub(crate) fn differences(dir: Directories<'_, '_>, writes: &[Write<'_>]) -> Vec<Difference> {
    // The rules of devices are in no file that can be compared.
    let limits = writes.iter().filter(|write| write.controller != "devices");
    limits
        .filter_map(|write| {
            let dir = dir(write.controller)?;
            let read = |write: &Write<'_>| limits::held(dir, write).ok();
            let effective = effective(write).and_then(|write| read(&write).flatten());
            let held = effective.map(Some).or_else(|| read(write))?;
            difference(write, held.as_deref())
        })
        .collect()
}

/// Tells in the debug log where the kernel holds another value.
pub(super) fn tell(dir: Directories<'_, '_>, writes: &[Write<'_>]) {
    if log::log_enabled!(log::Level::Debug) {
        for difference in differences(dir, writes) {
            log::debug!("cgroup: {difference}");
        }
    }
}

/// What a write would change, and what the kernel would then hold; `dir` is
/// `None` if the container has no cgroup with the controller.
pub(super) fn foresee(dir: Option<BorrowedFd<'_>>, write: &Write<'_>) -> Result<Planned> {
    let found = dir.map_or(Ok(None), |dir| limits::held_file(dir, write))?;
    let Some((file, old)) = found else {
        let why = dir.and_then(|dir| limits::missing(dir, write.controller));
        let why = why.unwrap_or_else(|| format!("controller {:?} not available", write.controller));
        return Ok(Planned {
            file: write.file.clone().into_owned(),
            old: String::new(),
            new: write.value.trim().to_owned(),
            held: why,
        });
    };
    let new = match &write.missing {
        Missing::Instead { file: other, value } if *other == file => value.trim(),
        _ => write.value.trim(),
    };
    let above = dir.and_then(|dir| effective_above(dir, &file));
    let held = rounded(&file, new, above.as_deref());
    Ok(Planned { old: old.trim().replace('\n', ", "), new: new.to_owned(), held, file })
}

/// The CPUs or memory nodes that the cgroup above has.
fn effective_above(dir: BorrowedFd<'_>, file: &str) -> Option<String> {
    let above = match file {
        "cpuset.cpus" => ["../cpuset.cpus.effective", "../cpuset.effective_cpus"],
        "cpuset.mems" => ["../cpuset.mems.effective", "../cpuset.effective_mems"],
        _ => return None,
    };
    above.iter().find_map(|file| limits::read(dir, file).ok())
}

/// What the kernel makes of a value: sizes are whole pages, sets of CPUs are
/// those that the cgroup above has.
fn rounded(file: &str, value: &str, above: Option<&str>) -> String {
    let in_pages = |size: u64| match value.parse::<i64>() {
        Ok(bytes) if bytes >= 0 => {
            (bytes.unsigned_abs().min(i64::MAX.unsigned_abs()) / size * size).to_string()
        }
        Ok(_) => (i64::MAX.unsigned_abs() / size * size).to_string(),
        Err(_) => value.to_owned(),
    };
    match (file.split('.').next(), members(value), above.and_then(|a| members(a.trim()))) {
        (Some("cpuset"), Some(asked), Some(above)) => {
            list_of(&asked.into_iter().filter(|n| above.contains(n)).collect::<Vec<_>>())
        }
        (Some("memory"), ..) if file != "memory.swappiness" && file != "memory.oom_control" => {
            in_pages(page_size())
        }
        (Some("hugetlb"), ..) => in_pages(file.split('.').nth(1).map_or(1, huge_page_size)),
        _ => value.to_owned(),
    }
}

fn page_size() -> u64 {
    u64::try_from(crate::sys::page_size()).unwrap_or(4096)
}

/// Bytes of `2MB`.
fn huge_page_size(name: &str) -> u64 {
    let units = [("KB", 10), ("MB", 20), ("GB", 30)];
    let size = units.iter().find_map(|(unit, shift)| {
        name.strip_suffix(unit)?.parse::<u64>().ok().map(|number| number << shift)
    });
    size.filter(|size| *size > 0).unwrap_or(1)
}

/// `0-2,5` for 0, 1, 2 and 5.
fn list_of(members: &[u16]) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for &member in members {
        match ranges.last_mut() {
            Some((_, end)) if *end + 1 == member => *end = member,
            _ => ranges.push((member, member)),
        }
    }
    let word = |(from, to): &(u16, u16)| {
        if from == to { from.to_string() } else { format!("{from}-{to}") }
    };
    ranges.iter().map(word).collect::<Vec<_>>().join(",")
}

/// A cpuset of v2 keeps what was written, and uses what the cgroup above has
/// of it.
fn effective<'a>(write: &Write<'a>) -> Option<Write<'a>> {
    let file = match &*write.file {
        "cpuset.cpus" => "cpuset.cpus.effective",
        "cpuset.mems" => "cpuset.mems.effective",
        _ => return None,
    };
    Some(Write { file: file.into(), missing: Missing::Fails, ..write.clone() })
}

/// Compares a write with the text of its file.
fn difference(write: &Write<'_>, held: Option<&str>) -> Option<Difference> {
    let asked = write.value.trim();
    let instead = match &write.missing {
        Missing::Instead { value, .. } => value.as_str(),
        _ => asked,
    };
    let agrees = held.is_some_and(|held| agrees(asked, held) || agrees(instead, held));
    (!agrees).then(|| Difference {
        file: write.file.clone().into_owned(),
        asked: asked.to_owned(),
        held: held.map(|held| held.trim().replace('\n', ", ")),
    })
}

/// Whether a file with this text holds what was asked for.
///
/// A file has a value, or lines of a key and values. The key may be one that
/// was not written (`default 100`), values may be ones that were not written
/// (`8:16 rbps=1 wbps=max`), and a device without limits has no line.
fn agrees(asked: &str, held: &str) -> bool {
    let words: Vec<&str> = asked.split_ascii_whitespace().collect();
    let has_all =
        |line: &str| words.iter().all(|word| line.split_ascii_whitespace().any(|w| same(word, w)));
    if held.trim() == asked || held.lines().any(has_all) {
        return true;
    }
    let no_limit = |word: &&str| *word == "0" || word.ends_with("=max");
    words.split_first().is_some_and(|(key, values)| {
        !values.is_empty() && values.iter().all(no_limit) && !held.contains(&format!("{key} "))
    })
}

/// Whether two words are one value.
fn same(asked: &str, held: &str) -> bool {
    asked == held || no_limit_of_v1(asked, held) || is_same_list(asked, held)
}

/// -1 reads back as the largest number of whole pages.
fn no_limit_of_v1(asked: &str, held: &str) -> bool {
    /// Larger than any machine, smaller than that with any size of a page.
    const HUGE: u64 = 1 << 62;
    asked == "-1" && held.parse::<u64>().is_ok_and(|held| held > HUGE)
}

/// `0,1,2` reads back as `0-2`.
fn is_same_list(asked: &str, held: &str) -> bool {
    matches!((members(asked), members(held)), (Some(a), Some(b)) if a == b)
}

/// The numbers of a list of CPUs or memory nodes.
pub(super) fn members(text: &str) -> Option<Vec<u16>> {
    /// More than the kernel can be built for.
    const MOST: u16 = 16_384;
    let mut members = Vec::new();
    for range in text.split(',') {
        let (first, end) = range.split_once('-').unwrap_or((range, range));
        let (from, to): (u16, u16) = (first.parse().ok()?, end.parse().ok()?);
        if to > MOST {
            return None;
        }
        members.extend(from..=to);
    }
    members.sort_unstable();
    members.dedup();
    Some(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::translate::v2;
    use crate::spec::Resources;

    #[test]
    fn values_read_back_as_the_kernel_words_them() {
        for (asked, held) in [
            ("max", "max\n"),
            ("100", "100\n"),
            ("50000 100000", "50000 100000\n"),
            ("-1", "9223372036854771712\n"),
            ("-1", "-1\n"),
            ("0,1,2", "0-2\n"),
            ("0-2,1", "0-2\n"),
            ("7475", "default 7475\n8:0 100\n"),
            ("8:0 100", "default 7475\n8:0 100\n"),
            (
                "8:16 rbps=2097152 wiops=120",
                "8:0 rbps=1 wbps=max riops=max wiops=max\n8:16 rbps=2097152 wbps=max riops=max wiops=120\n",
            ),
            ("8:16 rbps=max", ""),
            ("8:16 rbps=max", "8:0 rbps=1 wbps=max riops=max wiops=max\n"),
            ("8:16 0", ""),
            ("1", "oom_kill_disable 1\nunder_oom 0\noom_kill 0\n"),
            ("mlx4_0 hca_handle=2", "mlx4_0 hca_handle=2 hca_object=max\n"),
            ("eth0 5", "lo 0\neth0 5\n"),
            ("\n", "\n"),
        ] {
            assert!(agrees(asked.trim(), held), "{asked:?} {held:?}");
        }
    }

    #[test]
    fn values_are_foreseen_as_the_kernel_makes_them() {
        for (file, value, above, held) in [
            ("memory.max", "max", None, "max"),
            ("memory.swappiness", "7", None, "7"),
            ("hugetlb.2MB.max", "3000000", None, "2097152"),
            ("cpuset.cpus", "0-7", Some("0-1,5\n"), "0-1,5"),
            ("cpuset.cpus", "2", None, "2"),
            ("pids.max", "50", None, "50"),
        ] {
            assert_eq!(rounded(file, value, above), held, "{file}");
        }
        let page = page_size();
        assert_eq!(
            rounded("memory.max", &(3 * page + 5).to_string(), None),
            (3 * page).to_string()
        );
    }

    #[test]
    fn other_values_differ() {
        for (asked, held) in [
            ("1000", "0\n"),
            ("max", "100\n"),
            ("0-3", "0-1\n"),
            ("50000 100000", "max 100000\n"),
            ("8:16 rbps=2", "8:0 rbps=2 wbps=max riops=max wiops=max\n"),
            ("8:16 rbps=max", "8:16 rbps=1 wbps=max riops=max wiops=max\n"),
            ("-1", "4096\n"),
            ("0-65535", "0-1\n"),
            ("0", "1\n"),
        ] {
            assert!(!agrees(asked, held), "{asked:?} {held:?}");
        }
    }

    #[test]
    fn a_difference_is_told_with_both_values() {
        let json = r#"{"memory": {"limit": 5000}, "blockIO": {"weight": 750}}"#;
        let resources: Resources = serde_json::from_str(json).unwrap();
        let writes = v2(&resources, "r").unwrap();
        let told = |at: usize, held| difference(&writes[at], held).map(|d| d.to_string());
        assert_eq!(
            told(0, Some("4096\n")).unwrap(),
            "memory.max: asked for \"5000\", the kernel holds \"4096\""
        );
        assert_eq!(told(0, Some("5000\n")), None);
        assert_eq!(
            told(0, None).unwrap(),
            "memory.max: asked for \"5000\", the kernel has no such file"
        );
        // By io.bfq.weight or by io.weight.
        assert_eq!(told(1, Some("default 750\n")), None);
        assert_eq!(told(1, Some("default 7475\n")), None);
        assert!(told(1, Some("default 100\n")).is_some());
    }
}
