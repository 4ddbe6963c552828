//! Cgroups by systemd: the container is a scope, or in a slice, of the
//! system's manager or of the user's own, asked for over D-Bus.
//!
//! systemd gives a scope a cgroup only together with a process. A placeholder
//! is that process: it does nothing, and ends when init has been born in the
//! cgroup that is there because of it.

mod bus;
mod unit;
mod variant;
mod wire;

use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use self::bus::{Connection, Failure};
use self::unit::Place;
use self::variant::Value;
use self::wire::Body;
use super::translate::Write;
use crate::error::{Doing, Error, Result};
use crate::sys::clone::Placeholder;
use crate::sys::geteuid;

/// A unit of systemd's, as it is written down before it is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Unit {
    name: String,
    slice: String,
    /// Whether it is the user's manager that has it.
    user: bool,
    /// `org.systemd.property.*`, and the container's id.
    #[serde(skip)]
    asked: Asked,
}

#[derive(Debug, Default, Clone, PartialEq)]
struct Asked {
    id: String,
    properties: Vec<(String, Value)>,
}

impl Eq for Asked {}

impl Unit {
    /// Decides on the unit's name and place, which comes with it; `own` is the
    /// runtime's cgroup.
    pub(super) fn locate(
        path: Option<&str>,
        id: &str,
        annotations: &BTreeMap<String, String>,
        own: &str,
        rootless: bool,
    ) -> Result<(Self, String)> {
        // Root of a user namespace may have a system of his own there.
        let user = rootless && !(geteuid().is_root() && bus::is_ours());
        let place = Place::parse(path, id, user)?;
        let properties = unit::of_annotations(annotations)?;
        let mut directory = if user { own_manager(own) } else { String::new() };
        directory.push_str(&place.path().unwrap_or_default());
        let asked = Asked { id: id.to_owned(), properties };
        Ok((Self { name: place.name, slice: place.slice, user, asked }, directory))
    }

    fn place(&self) -> Place {
        Place { name: self.name.clone(), slice: self.slice.clone() }
    }

    /// Starts the unit. The process in it is to be kept until there is another.
    pub(super) fn start(&self, limits: &[Write<'_>]) -> Result<Option<Placeholder>> {
        let begun = Instant::now();
        let doing = || format!("start unit {:?} of systemd", self.name);
        let place = self.place();
        let held = if place.is_slice() { None } else { Some(Placeholder::new().doing(doing)?) };
        let pid = held.as_ref().map_or(0, Placeholder::pid);
        let mut properties = unit::of_unit(&place, &self.asked.id, pid);
        properties.extend(unit::of_limits(limits));
        properties.extend(self.asked.properties.iter().cloned());
        let mut body = Body::default();
        body.string(&self.name);
        body.string("replace");
        body.properties(&properties);
        body.nothing();

        let asked = Instant::now();
        let mut connection = Connection::open(self.user)?;
        let started = match connection.call("StartTransientUnit", "ssa(sv)a(sa(sv))", body.clone())
        {
            // What is left of one that has failed.
            Err(failure) if failure.is(".UnitExists") => {
                let _ = self.by_name(&mut connection, "ResetFailedUnit", "");
                connection.call("StartTransientUnit", "ssa(sv)a(sa(sv))", body)
            }
            other => other,
        };
        let job = started.map_err(|failure| failure.into_error(doing()))?;
        let job = job.first().map_or("", String::as_str);
        let result = connection.job(job).map_err(|error| Error::Broken {
            what: doing(),
            why: format!("Timeout waiting for systemd to create {}: {error}", self.name),
        })?;
        if result != "done" {
            let _ = self.by_name(&mut connection, "ResetFailedUnit", "");
            return Err(Error::Broken {
                what: doing(),
                why: format!(
                    "its job ended as {result:?}; `systemctl status` and the journal say why"
                ),
            });
        }
        log::debug!(
            "systemd: unit {:?} started; {} us in its answers, {} us before",
            self.name,
            asked.elapsed().as_micros(),
            (asked - begun).as_micros()
        );
        Ok(held)
    }

    /// Changes the limits of the unit: the properties that stand for `limits`.
    /// Those that it [`forgets`] are to be written after that.
    pub(super) fn set(&self, limits: &[Write<'_>]) -> Result<()> {
        let properties = unit::of_limits(limits);
        if properties.is_empty() {
            return Ok(());
        }
        let mut body = Body::default();
        body.string(&self.name);
        // At runtime only: not for the next boot.
        body.u32(1);
        body.properties(&properties);
        let mut connection = Connection::open(self.user)?;
        let mut set = connection.call("SetUnitProperties", "sba(sv)", body);
        if set.is_ok() && limits.iter().any(forgets) {
            // It writes files after its answer, but before it takes another call.
            set = self.by_name(&mut connection, "GetUnit", "");
        }
        set.map(drop).map_err(|failure| {
            failure.into_error(format!("set properties of unit {:?}", self.name))
        })
    }

    /// Stops the unit, which has no process any more, and forgets it. One that
    /// systemd has not, any more or at all, is gone already.
    pub(super) fn stop(&self) -> Result<()> {
        let doing = || format!("stop unit {:?} of systemd", self.name);
        let mut connection = Connection::open(self.user)?;
        match self.by_name(&mut connection, "StopUnit", "replace") {
            Ok(job) => {
                connection.job(job.first().map_or("", String::as_str)).doing_why(doing)?;
                // Only one that has failed is still there.
                let _ = self.by_name(&mut connection, "ResetFailedUnit", "");
                Ok(())
            }
            Err(failure) if failure.is(".NoSuchUnit") => Ok(()),
            Err(failure) => Err(failure.into_error(doing())),
        }
    }

    /// Puts a process into the unit.
    pub(super) fn attach(&self, pid: i32) -> Result<()> {
        let mut body = Body::default();
        body.string(&self.name);
        body.string("");
        body.value(&Value::Uint32s(vec![pid.cast_unsigned()]));
        let mut connection = Connection::open(self.user)?;
        connection.call("AttachProcessesToUnit", "ssau", body).map(drop).map_err(|failure| {
            failure.into_error(format!("move pid {pid} into unit {:?} of systemd", self.name))
        })
    }

    /// A call with the unit's name, and another string if there is one.
    fn by_name(
        &self,
        connection: &mut Connection,
        member: &str,
        mode: &str,
    ) -> std::result::Result<Vec<String>, Failure> {
        let mut body = Body::default();
        body.string(&self.name);
        if mode.is_empty() {
            return connection.call(member, "s", body);
        }
        body.string(mode);
        connection.call(member, "ss", body)
    }
}

/// Says what was being done when waiting failed.
trait DoingWhy<T> {
    fn doing_why(self, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T> DoingWhy<T> for Result<T> {
    fn doing_why(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::Broken { what: doing(), why: error.to_string() })
    }
}

/// The cgroup of the user's manager: the one we are in, or where systemd has it.
fn own_manager(own: &str) -> String {
    let uid = user_outside();
    let name = format!("/user@{uid}.service");
    match own.find(&name) {
        Some(at) => own[..at + name.len()].to_owned(),
        None => format!("/user.slice/user-{uid}.slice{name}"),
    }
}

/// Who we are outside the user namespace that we may be in.
fn user_outside() -> u32 {
    let uid = geteuid().as_raw();
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let outside = map.lines().find_map(|line| {
        let mut numbers = line.split_ascii_whitespace().map_while(|word| word.parse::<u32>().ok());
        let (inside, outside, count) = (numbers.next()?, numbers.next()?, numbers.next()?);
        let above = uid.checked_sub(inside)?;
        (above < count).then_some(outside.wrapping_add(above))
    });
    outside.unwrap_or(uid)
}

/// Makes the writes agree with what systemd makes of the same limits: it would
/// otherwise change them the next time that it is reloaded.
pub(super) fn round(writes: &mut [Write<'_>]) {
    for write in writes.iter_mut().filter(|write| write.file == "cpu.max") {
        if let Some(rounded) = unit::rounded_cpu_max(&write.value) {
            write.value = rounded.into();
        }
    }
}

/// Whether systemd, which has a property for it, sets the file to something
/// else: without a quota it writes the default period.
pub(super) fn forgets(write: &Write<'_>) -> bool {
    write.file == "cpu.max" && write.value.starts_with("max ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_manager_is_above_us_or_where_it_always_is() {
        let uid = geteuid().as_raw();
        let usual = format!("/user.slice/user-{uid}.slice/user@{uid}.service");
        assert_eq!(own_manager("/user.slice/x/session-1.scope"), usual);
        assert_eq!(
            own_manager(&format!("/a/user@{uid}.service/app.slice/b")),
            format!("/a/user@{uid}.service")
        );
    }
}
