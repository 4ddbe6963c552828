//! `events`: a JSON object a line.

use std::time::Duration;

use serde_json::Value;

use super::lifecycle::store;
use super::print;
use crate::cli::{Global, Matches};
use crate::container::events::{Wanted, events};
use crate::error::{Error, Result};

pub(super) fn run(global: &Global, matches: &Matches) -> Result<u8> {
    let interval = match matches.text("interval") {
        None => Duration::from_secs(5),
        Some(text) => duration(text).ok_or_else(|| {
            Error::usage(format!("invalid value {text:?} for flag -interval: parse error"))
        })?,
    };
    if interval.is_zero() {
        return Err(Error::usage("duration interval must be greater than 0"));
    }
    let wanted = Wanted { interval, stats: matches.flag("stats"), all: matches.flag("all") };
    let tell = |event: &Value| print(&format!("{event}\n"));
    events(&store(global), matches.arg(0), wanted, tell)?;
    Ok(0)
}

/// A duration as Go writes it: `300ms`, `1.5h`, `1m30s`. Less than 0 counts
/// as 0.
fn duration(text: &str) -> Option<Duration> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut sum = if rest.is_empty() { return None } else { Duration::ZERO };
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        rest = &rest[end..];
        sum = sum.checked_add(Duration::try_from_secs_f64(number * unit).ok()?)?;
    }
    // Go's longest: an int64 of nanoseconds.
    (sum.as_nanos() <= i64::MAX.unsigned_abs().into()).then_some(if negative {
        Duration::ZERO
    } else {
        sum
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, millis) in [
            ("5s", Some(5000)),
            ("300ms", Some(300)),
            ("1.5h", Some(5_400_000)),
            ("1m30s", Some(90_000)),
            ("+2s", Some(2000)),
            (".5s", Some(500)),
            ("1000µs", Some(1)),
            ("0", Some(0)),
            ("-5s", Some(0)),
            ("5", None),
            ("", None),
            ("s", None),
            ("5x", None),
            ("1s2", None),
            ("99999999999h", None),
        ] {
            assert_eq!(duration(text).map(|d| d.as_millis()), millis, "{text}");
        }
    }
}
