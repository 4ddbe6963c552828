//! Lists of numbers as in cpuset(7), `0-3,7`: a bit each.

use crate::error::{Error, Result};

/// One more than the largest number that is read. The kernel takes this many
/// memory nodes (a page of bits), and more than it has CPUs.
const END: usize = 4096 * 8;

/// The numbers of `list` as bits of words; empty for an empty list. `field`
/// says where it came from.
pub(crate) fn parse(field: &str, list: &str) -> Result<Vec<u64>> {
    let mut words = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(field, first)?, number(field, last)?);
        if first > last {
            return Err(Error::config(field, format!("{part:?} ends before it begins")));
        }
        if words.len() <= last / 64 {
            words.resize(last / 64 + 1, 0);
        }
        for number in first..=last {
            words[number / 64] |= 1 << (number % 64);
        }
    }
    Ok(words)
}

fn number(field: &str, text: &str) -> Result<usize> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<usize>() {
        Ok(number) if digits && number < END => Ok(number),
        _ if digits => {
            Err(Error::config(field, format!("{text:?} is not below {END}: out of range")))
        }
        _ => Err(Error::config(field, format!("{text:?} is not a number"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_numbers() {
        assert_eq!(parse("f", "").unwrap(), [0u64; 0]);
        assert_eq!(parse("f", "0-3,7").unwrap(), [0b1000_1111]);
        assert_eq!(parse("f", "1,0-1\n").unwrap(), [0b11]);
        let far = parse("f", "2000").unwrap();
        assert_eq!((far.len(), far[31]), (32, 1 << 16));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for list in ["x", "-1", "1-", "3-1", "0x1", "+1", "32768", "0-99999999999999999999"] {
            assert!(parse("f", list).is_err(), "{list}");
        }
    }
}
