//! Times as text, in UTC: RFC 3339, as Go programs read and write it.

use std::time::{SystemTime, UNIX_EPOCH};

/// `2006-01-02T15:04:05Z`.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    format!("{}Z", seconds(since_epoch(time).0))
}

/// `2006-01-02T15:04:05.999999999Z`, without zeros at the end of the fraction.
pub(crate) fn rfc3339_nano(time: SystemTime) -> String {
    let (secs, nanos) = since_epoch(time);
    let text = seconds(secs);
    if nanos == 0 {
        return format!("{text}Z");
    }
    let fraction = format!("{nanos:09}");
    format!("{text}.{}Z", fraction.trim_end_matches('0'))
}

/// Whole seconds and nanoseconds; a clock before 1970 counts as 1970.
fn since_epoch(time: SystemTime) -> (u64, u32) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_secs(), since.subsec_nanos())
}

/// `2006-01-02T15:04:05`.
fn seconds(secs: u64) -> String {
    let (days, rest) = (secs / 86400, secs % 86400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// Year, month and day of a day counted from 1970-01-01.
///
/// Counts in years that begin in March, so that a leap day is the last of its
/// year; 400 years have 146097 days.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153; // 0 is March
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(secs: u64, nanos: u32) -> SystemTime {
        UNIX_EPOCH + Duration::new(secs, nanos)
    }

    #[test]
    fn dates() {
        for (secs, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_136_214_245, "2006-01-02T15:04:05Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(at(secs, 999_999_999)), text);
        }
    }

    #[test]
    fn fractions_have_no_zeros_at_the_end() {
        assert_eq!(rfc3339_nano(at(0, 0)), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339_nano(at(0, 120_000_000)), "1970-01-01T00:00:00.12Z");
        assert_eq!(rfc3339_nano(at(0, 1)), "1970-01-01T00:00:00.000000001Z");
    }

    /// Day by day through eight hundred years.
    #[test]
    fn days_follow_each_other() {
        let mut before = (1969, 12, 31);
        for days in 0..292_194 {
            let (year, month, day) = date(days);
            let next = match before {
                (y, 12, 31) => (y + 1, 1, 1),
                (y, m, d) if d == length(y, m) => (y, m + 1, 1),
                (y, m, d) => (y, m, d + 1),
            };
            assert_eq!((year, month, day), next);
            before = next;
        }
    }

    fn length(year: u64, month: u64) -> u64 {
        let leap =
            (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
        match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }
}
