//! Container IDs are directory names.

use crate::error::{Error, Result};

/// Checks `id`: one or more of `A-Z a-z 0-9 _ + . -`, and not `.` or `..`.
pub(crate) fn check(id: &str) -> Result<()> {
    if id.is_empty() {
        return Err(Error::usage("container id cannot be empty"));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+.-".contains(&byte);
    let valid = id.bytes().all(allowed) && id != "." && id != ".." && id.len() <= 255;
    if valid { Ok(()) } else { Err(Error::InvalidId { id: id.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_in_their_directory() {
        for id in ["a", "A-1_b.c+d", "..a"] {
            assert!(check(id).is_ok(), "{id}");
        }
        for id in ["", ".", "..", "a/b", "../x", "a b", "ä", "a\0", &"x".repeat(256)] {
            assert!(check(id).is_err(), "{id}");
        }
    }
}
