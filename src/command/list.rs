//! `list`: all containers below the state directory.

use super::lifecycle::store;
use super::print;
use crate::cli::{Global, Matches};
use crate::container::state::State;
use crate::container::store::{Record, Store};
use crate::error::{Error, Result};

pub(super) fn run(global: &Global, matches: &Matches) -> Result<u8> {
    let store = store(global);
    let ids = store.ids()?;
    if matches.flag("quiet") {
        let lines: String = ids.iter().flat_map(|id| [id.as_str(), "\n"]).collect();
        return print(&lines).map(|()| 0);
    }
    let records: Vec<(Record, _)> = ids.iter().filter_map(|id| load(&store, id)).collect();
    let states: Vec<State> =
        records.iter().map(|(record, status)| State::new(record, *status)).collect();
    match matches.text("format").unwrap_or("table") {
        "table" => print(&table(&states, &records))?,
        "json" => print(&json(states, &records)?)?,
        _ => return Err(Error::usage("invalid format option")),
    }
    Ok(0)
}

/// A container that cannot be read is told of, and the others still listed.
fn load(store: &Store, id: &str) -> Option<(Record, crate::container::status::Status)> {
    let read = || {
        let container = store.open(id)?;
        let record = container.record()?;
        let status = container.status(&record);
        Ok((record, status))
    };
    match read() {
        Ok(found) => Some(found),
        // Deleted since the directory was read, or about to be made.
        Err(Error::NoSuchContainer { .. }) => None,
        Err(error) => {
            log::warn!("load container {id}: {error}");
            None
        }
    }
}

/// As runc prints it: `null` where there is none.
fn json(
    mut states: Vec<State>,
    records: &[(Record, crate::container::status::Status)],
) -> Result<String> {
    for (state, (record, _)) in states.iter_mut().zip(records) {
        state.owner = owner(record.owner);
    }
    if states.is_empty() {
        return Ok("null".to_owned());
    }
    serde_json::to_string(&states)
        .map_err(|e| Error::Broken { what: "write the list".to_owned(), why: e.to_string() })
}

/// runc's columns: at least 12 wide, three spaces between.
fn table(states: &[State], records: &[(Record, crate::container::status::Status)]) -> String {
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned)];
    for (state, (record, _)) in states.iter().zip(records) {
        rows.push([
            record.id.clone(),
            state.pid().to_string(),
            state.status().to_owned(),
            record.bundle.clone(),
            record.created.clone(),
            owner(record.owner),
        ]);
    }
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count() + 3).max().unwrap_or(0).max(12)
    };
    let widths: Vec<usize> = (0..5).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells
            .chain([format!(
                "{}
",
                row[5]
            )])
            .collect::<String>()
    };
    rows.iter().map(line).collect()
}

/// The user's name, from `/etc/passwd` alone; `#uid` for one without.
fn owner(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let uid = uid.to_string();
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("#{uid}"))
}
