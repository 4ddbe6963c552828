//! Values of a unit's properties, and the text form that annotations give
//! them in.
//! <https://docs.gtk.org/glib/gvariant-text-format.html>

/// A value with its D-Bus type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    Byte(u8),
    Int16(i16),
    Uint16(u16),
    Int32(i32),
    Uint32(u32),
    Int64(i64),
    Uint64(u64),
    Double(f64),
    String(String),
    Path(String),
    Strings(Vec<String>),
    Bytes(Vec<u8>),
    Uint32s(Vec<u32>),
    /// Device files, each with a number.
    Devices(Vec<(String, u64)>),
}

impl Value {
    pub(super) fn signature(&self) -> &'static str {
        match self {
            Self::Bool(_) => "b",
            Self::Byte(_) => "y",
            Self::Int16(_) => "n",
            Self::Uint16(_) => "q",
            Self::Int32(_) => "i",
            Self::Uint32(_) => "u",
            Self::Int64(_) => "x",
            Self::Uint64(_) => "t",
            Self::Double(_) => "d",
            Self::String(_) => "s",
            Self::Path(_) => "o",
            Self::Strings(_) => "as",
            Self::Bytes(_) => "ay",
            Self::Uint32s(_) => "au",
            Self::Devices(_) => "a(st)",
        }
    }

    /// Seconds as microseconds, for a property that has been given by its
    /// name in unit files (`TimeoutStopSec`).
    pub(super) fn seconds(&self) -> Option<Self> {
        const MICROS: u64 = 1_000_000;
        let whole = match self {
            Self::Byte(n) => u64::from(*n),
            Self::Int16(n) => u64::try_from(*n).ok()?,
            Self::Uint16(n) => u64::from(*n),
            Self::Int32(n) => u64::try_from(*n).ok()?,
            Self::Uint32(n) => u64::from(*n),
            Self::Int64(n) => u64::try_from(*n).ok()?,
            Self::Uint64(n) => *n,
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            // A number that is too large or no number becomes the largest or 0.
            Self::Double(n) if *n >= 0.0 => return Some(Self::Uint64((n * 1e6) as u64)),
            _ => return None,
        };
        whole.checked_mul(MICROS).map(Self::Uint64)
    }
}

/// Reads a value in the text form of `GVariant`: `true`, `5` (an int32), `uint64 5`,
/// `'text'`, `['a', 'b']`, `@as []`.
pub(super) fn parse(text: &str) -> Option<Value> {
    let text = text.trim();
    if let Some(list) = text.strip_prefix("@as") {
        return strings(list.trim());
    }
    if text.starts_with('[') {
        return if text.contains(['\'', '"']) { strings(text) } else { None };
    }
    if text.starts_with(['\'', '"']) {
        return quoted(text)
            .filter(|(_, rest)| rest.is_empty())
            .map(|(text, _)| Value::String(text));
    }
    if let Some((kind, number)) = text.split_once(char::is_whitespace) {
        let number = number.trim();
        return match kind {
            "boolean" => number.parse().ok().map(Value::Bool),
            "byte" => integer(number).and_then(|n| n.try_into().ok()).map(Value::Byte),
            "int16" => integer(number).and_then(|n| n.try_into().ok()).map(Value::Int16),
            "uint16" => integer(number).and_then(|n| n.try_into().ok()).map(Value::Uint16),
            "int32" => integer(number).and_then(|n| n.try_into().ok()).map(Value::Int32),
            "uint32" => integer(number).and_then(|n| n.try_into().ok()).map(Value::Uint32),
            "int64" => integer(number).and_then(|n| n.try_into().ok()).map(Value::Int64),
            "uint64" => integer(number).and_then(|n| n.try_into().ok()).map(Value::Uint64),
            "double" => number.parse().ok().map(Value::Double),
            "string" => quoted(number).map(|(text, _)| Value::String(text)),
            "objectpath" => quoted(number).map(|(text, _)| Value::Path(text)),
            _ => None,
        };
    }
    match text {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        _ => match integer(text) {
            Some(number) => number.try_into().ok().map(Value::Int32),
            None => text
                .parse()
                .ok()
                .filter(|_| text.starts_with(|first: char| first.is_ascii_digit() || first == '-'))
                .map(Value::Double),
        },
    }
}

fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let number = match digits.strip_prefix("0x") {
        Some(digits) => i128::from(u64::from_str_radix(digits, 16).ok()?),
        None => i128::from(digits.parse::<u64>().ok()?),
    };
    Some(sign * number)
}

/// `'…'` or `"…"` at the front, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|first| matches!(first, '\'' | '"'))?;
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, char)) = chars.next() {
        match char {
            '\0' => return None,
            '\\' => out.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                other => other,
            }),
            end if end == quote => return Some((out, text[at + 1..].trim_start())),
            other => out.push(other),
        }
    }
    None
}

fn strings(text: &str) -> Option<Value> {
    let mut rest = text.strip_prefix('[')?.strip_suffix(']')?.trim();
    let mut list = Vec::new();
    while !rest.is_empty() {
        let (item, after) = quoted(rest)?;
        list.push(item);
        rest = match after.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(Value::Strings(list))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples of the format's documentation.
    #[test]
    fn text_has_a_type() {
        let strings = |list: &[&str]| Value::Strings(list.iter().map(|s| (*s).into()).collect());
        for (text, value) in [
            ("true", Value::Bool(true)),
            ("5", Value::Int32(5)),
            ("-5", Value::Int32(-5)),
            ("uint64 123000000", Value::Uint64(123_000_000)),
            ("uint64 18446744073709551615", Value::Uint64(u64::MAX)),
            ("byte 0xff", Value::Byte(255)),
            ("2.5", Value::Double(2.5)),
            ("'inactive-or-failed'", Value::String("inactive-or-failed".into())),
            (r#""it's""#, Value::String("it's".into())),
            (r"'it\'s'", Value::String("it's".into())),
            ("['a.service', \"b.service\"]", strings(&["a.service", "b.service"])),
            ("@as []", strings(&[])),
            ("objectpath '/a'", Value::Path("/a".into())),
        ] {
            assert_eq!(parse(text), Some(value), "{text}");
        }
    }

    #[test]
    fn nonsense_has_none() {
        for text in [
            "",
            "x",
            "'",
            "'a",
            "'a' b",
            "byte 256",
            "uint64 -1",
            "5000000000",
            "[1",
            "['a'",
            "['a' 'b']",
            "[]",
            "nan",
            "inf",
            "uint64",
            "{}",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn seconds_become_microseconds() {
        assert_eq!(Value::Int32(3).seconds(), Some(Value::Uint64(3_000_000)));
        assert_eq!(Value::Double(0.5).seconds(), Some(Value::Uint64(500_000)));
        assert_eq!(Value::Int32(-3).seconds(), None);
        assert_eq!(Value::Uint64(u64::MAX).seconds(), None);
        assert_eq!(Value::String("3".into()).seconds(), None);
    }
}
