//! From `linux.resources` to the files of a cgroup and what to write there.
//!
//! All of it is pure: what is wrong in the document is told before anything
//! is made, and what a document asks of the kernel can be shown without
//! asking it. [`super::limits`] does the writing.
//!
//! Values are converted, and files come in an order, as engines know them
//! from runc.

mod check;
mod v1;
mod v2;

use std::borrow::Cow;

use crate::spec::{Cpu, Memory, Resources};

pub(crate) use {v1::v1, v2::v2};

/// One write into a file of a cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Write<'a> {
    /// The controller that the file belongs to: on v1 the hierarchy in which
    /// the directory is, on v2 one that must be enabled above the cgroup. It
    /// is `cgroup` for v2 files that are always there.
    pub(crate) controller: &'a str,
    /// Name of the file in the cgroup's directory.
    pub(crate) file: Cow<'a, str>,
    /// Written in one go.
    pub(crate) value: Cow<'a, str>,
    /// JSON path of the field that asks for it.
    pub(crate) field: String,
    /// What it means if there is no such file.
    pub(crate) missing: Missing,
    /// Whether, if the kernel finds the value invalid, it is to be written
    /// again after the next file that is not marked so: the two bound each
    /// other, and which order works depends on what the cgroup has.
    pub(crate) again: bool,
    /// The write is refused unless `memory.current` is less than this.
    pub(crate) usage_below: Option<u64>,
}

/// What it means that a cgroup lacks a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The limit cannot be set, an error.
    Fails,
    /// There is nothing to limit.
    Ignored,
    /// The limit is set by this file.
    Instead { file: &'static str, value: String },
}

/// The fields that have no effect on any kernel of today and are accepted
/// for the engines that still write them; worth a warning each.
pub(crate) fn ignored(resources: &Resources) -> impl Iterator<Item = &'static str> {
    let memory = resources.memory.as_ref();
    let set = |get: fn(&Memory) -> Option<i64>| memory.and_then(get).is_some();
    let kernel = set(|m| m.kernel).then_some("memory.kernel");
    let tcp = set(|m| m.kernel_tcp).then_some("memory.kernelTCP");
    kernel.into_iter().chain(tcp)
}

/// The writes so far, and where the fields are.
struct Writes<'a> {
    /// JSON path of the resources; empty if they are a document of their own.
    base: &'a str,
    list: Vec<Write<'a>>,
}

impl<'a> Writes<'a> {
    fn new(base: &'a str) -> Self {
        Self { base, list: Vec::new() }
    }

    /// Appends the write of a number.
    fn push_number(
        &mut self,
        controller: &'a str,
        file: impl Into<Cow<'a, str>>,
        value: impl Copy + ToString,
        field: &str,
    ) -> &mut Write<'a> {
        self.push(controller, file, value.to_string(), field)
    }

    /// Appends a write; what is special about it is set on what is returned.
    fn push(
        &mut self,
        controller: &'a str,
        file: impl Into<Cow<'a, str>>,
        value: impl Into<Cow<'a, str>>,
        field: &str,
    ) -> &mut Write<'a> {
        let (file, value) = (file.into(), value.into());
        let (field, missing) = (path(self.base, field), Missing::Fails);
        let write =
            Write { controller, file, value, field, missing, again: false, usage_below: None };
        let place = self.list.len();
        self.list.push(write);
        &mut self.list[place]
    }
}

/// The JSON path of a field below `base`.
fn path(base: &str, field: &str) -> String {
    if base.is_empty() { field.to_owned() } else { format!("{base}.{field}") }
}

/// A number of the document of which 0 stands for "not set".
fn set<T: Copy + Default + PartialEq>(value: Option<T>) -> Option<T> {
    value.filter(|v| *v != T::default())
}

/// A list of CPUs or memory nodes, if there is one.
fn list(value: Option<&String>) -> Option<&str> {
    value.map(String::as_str).filter(|list| !list.is_empty())
}

/// What `memory.swappiness` is to be; see [`Memory::swappiness`].
fn swappiness(memory: &Memory) -> Option<u64> {
    memory.swappiness.filter(|&n| n != u64::MAX)
}

/// `pids.max`, the same on v1 and v2. The kernel knows 0 too; 1 lets as few
/// tasks in, and is what runc writes because systemd has no `TasksMax=0`.
fn pids_max(limit: i64) -> String {
    if limit < 0 { "max".to_owned() } else { limit.max(1).to_string() }
}

/// What it means that a kernel is too old for a file, if what is to be
/// written there is what holds without it.
fn missing_default(default: bool) -> Missing {
    if default { Missing::Ignored } else { Missing::Fails }
}

/// `cpu.idle` (Linux 5.15), the same on v1 and v2.
fn push_idle(writes: &mut Writes<'_>, cpu: &Cpu) {
    if let Some(idle) = cpu.idle {
        writes.push_number("cpu", "cpu.idle", idle, "cpu.idle").missing =
            missing_default(idle == 0);
    }
}

/// The lines for `rdma.max`, the same on v1 and v2.
fn push_rdma(writes: &mut Writes<'_>, resources: &Resources) {
    /// The kernel reads numbers up to this, which it takes for no limit.
    const NO_LIMIT: u32 = i32::MAX.cast_unsigned();
    for (device, limits) in &resources.rdma {
        let limit = |key, n: Option<u32>| match n {
            None => String::new(),
            Some(n) if n >= NO_LIMIT => format!(" {key}=max"),
            Some(n) => format!(" {key}={n}"),
        };
        let handles = limit("hca_handle", limits.hca_handles);
        let objects = limit("hca_object", limits.hca_objects);
        let line = format!("{device}{handles}{objects}");
        writes.push("rdma", "rdma.max", line, &format!("rdma[{device:?}]"));
    }
}

/// The huge page limits. The files for reservations are newer (Linux 5.7)
/// and keep a task from being killed at the limit.
fn push_hugepages<'a>(writes: &mut Writes<'a>, resources: &'a Resources, suffix: &str) {
    for (i, limit) in resources.hugepage_limits.iter().enumerate() {
        let (Some(size), Some(bytes)) = (&limit.page_size, limit.limit) else { continue };
        let field = format!("hugepageLimits[{i}].limit");
        writes.push_number("hugetlb", format!("hugetlb.{size}.{suffix}"), bytes, &field);
        writes
            .push_number("hugetlb", format!("hugetlb.{size}.rsvd.{suffix}"), bytes, &field)
            .missing = Missing::Ignored;
    }
}

#[cfg(test)]
mod tests;
