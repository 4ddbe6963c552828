//! `uidMappings` and `gidMappings`: which ids of a user namespace are which
//! outside.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#user-namespace-mappings>

use crate::error::{Error, Result};
use crate::spec::IdMapping;

/// The kernel takes this many lines (`UID_GID_MAP_MAX_EXTENTS`, Linux 4.15)...
const MOST_LINES: usize = 340;
/// ...in one write of less than a page.
const PAGE: usize = 4096;

/// The text for `/proc/PID/uid_map` and `gid_map`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct IdMaps {
    pub(crate) uid: String,
    pub(crate) gid: String,
    /// Where both come from: `linux`, or `mounts[3]`.
    pub(crate) field: String,
}

/// Checks and writes down the mappings of `field`.
pub(crate) fn plan(uid: &[IdMapping], gid: &[IdMapping], field: &str) -> Result<IdMaps> {
    Ok(IdMaps {
        uid: text(uid, &format!("{field}.uidMappings"))?,
        gid: text(gid, &format!("{field}.gidMappings"))?,
        field: field.to_owned(),
    })
}

fn text(mappings: &[IdMapping], field: &str) -> Result<String> {
    if mappings.is_empty() {
        return Err(Error::config(field, "must not be empty"));
    }
    if mappings.len() > MOST_LINES {
        return Err(Error::config(
            field,
            format!("has {} mappings, and the kernel takes {MOST_LINES}", mappings.len()),
        ));
    }
    let mut text = String::new();
    for (index, mapping) in mappings.iter().enumerate() {
        check_range(mapping, &format!("{field}[{index}]"))?;
        if let Some(other) = mappings[..index].iter().position(|other| overlap(mapping, other)) {
            return Err(Error::config(
                format!("{field}[{index}]"),
                format!("overlaps {field}[{other}]"),
            ));
        }
        let IdMapping { container_id, host_id, size } = mapping;
        text += &[container_id, host_id, size].map(u32::to_string).join(" ");
        text.push('\n');
    }
    if text.len() >= PAGE {
        return Err(Error::config(
            field,
            format!("takes {} bytes as text, and the kernel takes less than {PAGE}", text.len()),
        ));
    }
    Ok(text)
}

fn check_range(mapping: &IdMapping, field: &str) -> Result<()> {
    if mapping.size == 0 {
        return Err(Error::config(format!("{field}.size"), "must not be 0"));
    }
    for (name, first) in [("containerID", mapping.container_id), ("hostID", mapping.host_id)] {
        // The last id of all, 4294967295, stands for none.
        if first.checked_add(mapping.size).is_none() {
            return Err(Error::config(
                format!("{field}.{name}"),
                format!("{first} and the {} ids from there end beyond 4294967294", mapping.size),
            ));
        }
    }
    Ok(())
}

fn overlap(one: &IdMapping, other: &IdMapping) -> bool {
    let both = |a: u32, b: u32| {
        u64::from(a) < u64::from(b) + u64::from(other.size)
            && u64::from(b) < u64::from(a) + u64::from(one.size)
    };
    both(one.container_id, other.container_id) || both(one.host_id, other.host_id)
}

/// What a map file of procfs says, line by line and in order.
pub(crate) fn parse(text: &str) -> Vec<[u32; 3]> {
    let line = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().map_while(|word| word.parse().ok());
        Some([numbers.next()?, numbers.next()?, numbers.next()?])
    };
    let mut lines: Vec<_> = text.lines().filter_map(line).collect();
    lines.sort_unstable();
    lines
}

/// The id outside for `id` inside, by a map as text.
pub(crate) fn outside(map: &str, id: u32) -> Option<u32> {
    parse(map).iter().find_map(|[inside, outside, size]| {
        id.checked_sub(*inside).filter(|offset| offset < size).map(|offset| outside + offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(container_id: u32, host_id: u32, size: u32) -> IdMapping {
        IdMapping { container_id, host_id, size }
    }

    fn refused(mappings: &[IdMapping]) -> String {
        text(mappings, "linux.uidMappings").unwrap_err().to_string()
    }

    #[test]
    fn a_line_is_inside_outside_size() {
        let maps = plan(&[map(0, 1000, 1), map(1, 100_000, 65536)], &[map(0, 5, 1)], "linux");
        let maps = maps.unwrap();
        assert_eq!(maps.uid, "0 1000 1\n1 100000 65536\n");
        assert_eq!(maps.gid, "0 5 1\n");
        assert_eq!(outside(&maps.uid, 5), Some(100_004));
        assert_eq!(outside(&maps.uid, 65537), None);
    }

    #[test]
    fn what_the_kernel_would_refuse_is_told_with_its_path() {
        let field = "config.json: linux.uidMappings";
        assert!(refused(&[]).starts_with(&format!("{field}: must not")));
        assert!(refused(&[map(0, 1, 0)]).starts_with(&format!("{field}[0].size: ")));
        assert!(refused(&[map(0, u32::MAX, 1)]).starts_with(&format!("{field}[0].hostID: ")));
        assert!(refused(&[map(9, 1, u32::MAX)]).starts_with(&format!("{field}[0].containerID: ")));
        for second in [map(9, 500, 2), map(50, 109, 1)] {
            let e = refused(&[map(0, 100, 10), second]);
            assert_eq!(e, format!("{field}[1]: overlaps linux.uidMappings[0]"));
        }
        let many: Vec<_> = (0..341).map(|n| map(n, n, 1)).collect();
        assert!(refused(&many).contains("has 341 mappings"));
        let long: Vec<_> = (0..300).map(|n| map(4_000_000_000 + n, 4_100_000_000 + n, 1)).collect();
        assert!(refused(&long).contains("bytes as text"));
    }

    #[test]
    fn neighbours_do_not_overlap() {
        assert!(text(&[map(0, 100, 10), map(10, 110, 5)], "x").is_ok());
    }
}
