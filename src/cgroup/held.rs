//! What the kernel made of a limit.
//!
//! It takes many a value and then holds another: sizes are rounded to pages,
//! weights are clamped, CPUs that the cgroup above has not are left out. None
//! of it is an error; all of it is worth telling.

#![allow(dead_code)]

use std::fmt;
use std::os::fd::BorrowedFd;

use super::limits;
use super::translate::{Missing, Write};

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
pub(crate) fn differences<'d>(
    dir: impl Fn(&str) -> Option<BorrowedFd<'d>>,
    writes: &[Write<'_>],
) -> Vec<Difference> {
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
fn members(text: &str) -> Option<Vec<u16>> {
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
