//! `update`: the options as a document of limits.

use std::fmt::Write;
use std::io::Read;
use std::path::Path;

use serde_json::{Value, json};

use super::lifecycle::store;
use super::{file_error, print};
use crate::cli::{Global, Matches};
use crate::container::update::{Change, Planned, update};
use crate::error::{Error, Result};

pub(super) fn run(global: &Global, matches: &Matches) -> Result<u8> {
    let resources = match matches.path("resources") {
        Some(path) => read(path)?,
        None => from_options(matches)?,
    };
    let schemata =
        [("l3-cache-schema", "l3CacheSchema"), ("mem-bw-schema", "memBwSchema")].into_iter();
    let schemata = schemata.filter_map(|(flag, field)| Some((field, matches.text(flag)?.into())));
    let change =
        Change { resources, schemata: schemata.collect(), dry_run: matches.flag("dry-run") };
    let dry_run = change.dry_run;
    let planned = update(&store(global), matches.arg(0), change)?;
    if dry_run {
        print(&table(&planned))?;
    }
    Ok(0)
}

/// The first value in the file, which must be an object.
fn read(path: &Path) -> Result<Value> {
    let mut text = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut text).map(drop)
    } else {
        std::fs::read(path).map(|content| text = content)
    };
    read.map_err(|e| file_error("read", path, &e))?;
    let wrong = |why: String| Error::Broken { what: "resources".to_owned(), why };
    match serde_json::Deserializer::from_slice(&text).into_iter::<Value>().next() {
        Some(Ok(value)) if value.is_object() => Ok(value),
        Some(Err(e)) => Err(wrong(e.to_string())),
        Some(Ok(_)) => Err(wrong("must be a JSON object".to_owned())),
        None => Err(wrong("there is no JSON".to_owned())),
    }
}

/// What kind of value an option has.
enum Kind {
    Text,
    /// Not negative.
    Natural,
    Number,
    /// Bytes, with a unit or without, or -1.
    Size,
}

const OPTIONS: &[(&str, &str, &str, Kind)] = &[
    ("memory", "memory", "limit", Kind::Size),
    ("memory-reservation", "memory", "reservation", Kind::Size),
    ("memory-swap", "memory", "swap", Kind::Size),
    ("kernel-memory", "memory", "kernel", Kind::Size),
    ("kernel-memory-tcp", "memory", "kernelTCP", Kind::Size),
    ("pids-limit", "pids", "limit", Kind::Number),
    ("cpu-share", "cpu", "shares", Kind::Natural),
    ("cpu-quota", "cpu", "quota", Kind::Number),
    ("cpu-period", "cpu", "period", Kind::Natural),
    ("cpu-burst", "cpu", "burst", Kind::Natural),
    ("cpu-rt-period", "cpu", "realtimePeriod", Kind::Natural),
    ("cpu-rt-runtime", "cpu", "realtimeRuntime", Kind::Number),
    ("cpu-idle", "cpu", "idle", Kind::Number),
    ("cpuset-cpus", "cpu", "cpus", Kind::Text),
    ("cpuset-mems", "cpu", "mems", Kind::Text),
    ("blkio-weight", "blockIO", "weight", Kind::Number),
];

fn from_options(matches: &Matches) -> Result<Value> {
    let mut resources = json!({});
    for (option, section, field, kind) in OPTIONS {
        let Some(text) = matches.text(option) else { continue };
        let value = match kind {
            Kind::Text => Some(json!(text)),
            Kind::Natural => text.parse::<u64>().ok().map(|n| json!(n)),
            Kind::Number => text.parse::<i64>().ok().map(|n| json!(n)),
            Kind::Size => size(text).map(|n| json!(n)),
        };
        let value =
            value.ok_or_else(|| Error::usage(format!("invalid value for {option}: {text:?}")))?;
        resources[section][field] = value;
    }
    Ok(resources)
}

/// `512m`, `1.5g`, `4096`, `64KiB`, by powers of 1024; or -1, no limit.
fn size(text: &str) -> Option<i64> {
    if text == "-1" {
        return Some(-1);
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let shift = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        "p" | "pb" | "pib" => 50,
        _ => return None,
    };
    if let Ok(whole) = number.parse::<i64>() {
        return whole.checked_mul(1 << shift);
    }
    let bytes = number.parse::<f64>().ok()? * f64::from(2_u32).powi(shift);
    #[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
    (0.0..9.0e18).contains(&bytes).then_some(bytes as i64)
}

/// A line for each file.
fn table(planned: &[Planned]) -> String {
    let mut rows = vec![["FILE", "OLD", "NEW", "HELD"].map(str::to_owned)];
    rows.extend(planned.iter().map(|p| {
        [&p.file, &p.old, &p.new, &p.held].map(|text| match text.as_str() {
            "" => "-".to_owned(),
            text => text.to_owned(),
        })
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0) + 3;
    let widths = [width(0), width(1), width(2)];
    let mut text = String::new();
    for [file, old, new, held] in &rows {
        let [a, b, c] = widths;
        let _ = writeln!(text, "{file:<a$}{old:<b$}{new:<c$}{held}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("-1", Some(-1)),
            ("512m", Some(512 << 20)),
            ("512M", Some(512 << 20)),
            ("64KiB", Some(64 << 10)),
            ("1.5g", Some(3 << 29)),
            ("2 gb", Some(2 << 30)),
            ("-2", None),
            ("", None),
            ("m", None),
            ("5x", None),
            ("1.2.3", None),
            ("9999999p", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(size(text), bytes, "{text}");
        }
    }
}
