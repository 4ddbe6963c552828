//! Mount options: one table from a word to what it does.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md#linux-mount-options>

use crate::sys::mount::{
    MOUNT_ATTR_ATIME, MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_RDONLY,
    MOUNT_ATTR_STRICTATIME, MountFlags, MountPropagationFlags,
};

/// What one option word does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Nothing; it is the default.
    None,
    /// Sets a flag of the mount.
    Set(u64),
    /// Clears a flag of the mount.
    Clear(u64),
    /// Sets how access times are kept; the kernel has one of three ways.
    Atime(u64),
    /// Takes one of those ways back, if it is the one in force.
    NotAtime(u64),
    /// The same four on a whole tree of mounts.
    TreeSet(u64),
    TreeClear(u64),
    TreeAtime(u64),
    TreeNotAtime(u64),
    /// Sets a flag of the file system.
    Fs(MountFlags),
    /// Clears a flag of the file system.
    NotFs(MountFlags),
    Propagation(MountPropagationFlags),
    Bind,
    BindTree,
    Remount,
    CopyUp,
    IdMap,
    IdMapTree,
}

use Effect as E;

/// `MS_NOUSER`-like flag that rustix has no name for: `MS_I_VERSION`.
const I_VERSION: MountFlags = MountFlags::from_bits_retain(1 << 23);

/// Sorted by name; `features` lists the names.
const TABLE: &[(&str, Effect)] = &[
    ("async", E::NotFs(MountFlags::SYNCHRONOUS)),
    ("atime", E::NotAtime(MOUNT_ATTR_NOATIME)),
    ("bind", E::Bind),
    ("defaults", E::None),
    ("dev", E::Clear(MOUNT_ATTR_NODEV)),
    ("diratime", E::Clear(MOUNT_ATTR_NODIRATIME)),
    ("dirsync", E::Fs(MountFlags::DIRSYNC)),
    ("exec", E::Clear(MOUNT_ATTR_NOEXEC)),
    ("idmap", E::IdMap),
    ("iversion", E::Fs(I_VERSION)),
    ("lazytime", E::Fs(MountFlags::LAZYTIME)),
    ("loud", E::NotFs(MountFlags::SILENT)),
    ("mand", E::Fs(MountFlags::PERMIT_MANDATORY_FILE_LOCKING)),
    ("noatime", E::Atime(MOUNT_ATTR_NOATIME)),
    ("nodev", E::Set(MOUNT_ATTR_NODEV)),
    ("nodiratime", E::Set(MOUNT_ATTR_NODIRATIME)),
    ("noexec", E::Set(MOUNT_ATTR_NOEXEC)),
    ("noiversion", E::NotFs(I_VERSION)),
    ("nolazytime", E::NotFs(MountFlags::LAZYTIME)),
    ("nomand", E::NotFs(MountFlags::PERMIT_MANDATORY_FILE_LOCKING)),
    ("norelatime", E::None),
    ("nostrictatime", E::NotAtime(MOUNT_ATTR_STRICTATIME)),
    ("nosuid", E::Set(MOUNT_ATTR_NOSUID)),
    ("nosymfollow", E::Set(MOUNT_ATTR_NOSYMFOLLOW)),
    ("private", E::Propagation(MountPropagationFlags::PRIVATE)),
    ("ratime", E::TreeNotAtime(MOUNT_ATTR_NOATIME)),
    ("rbind", E::BindTree),
    ("rdev", E::TreeClear(MOUNT_ATTR_NODEV)),
    ("rdiratime", E::TreeClear(MOUNT_ATTR_NODIRATIME)),
    ("relatime", E::Atime(0)),
    ("remount", E::Remount),
    ("rexec", E::TreeClear(MOUNT_ATTR_NOEXEC)),
    ("ridmap", E::IdMapTree),
    ("rnoatime", E::TreeAtime(MOUNT_ATTR_NOATIME)),
    ("rnodev", E::TreeSet(MOUNT_ATTR_NODEV)),
    ("rnodiratime", E::TreeSet(MOUNT_ATTR_NODIRATIME)),
    ("rnoexec", E::TreeSet(MOUNT_ATTR_NOEXEC)),
    ("rnorelatime", E::None),
    ("rnostrictatime", E::TreeNotAtime(MOUNT_ATTR_STRICTATIME)),
    ("rnosuid", E::TreeSet(MOUNT_ATTR_NOSUID)),
    ("rnosymfollow", E::TreeSet(MOUNT_ATTR_NOSYMFOLLOW)),
    ("ro", E::Set(MOUNT_ATTR_RDONLY)),
    ("rprivate", E::Propagation(MountPropagationFlags::PRIVATE.union(MountPropagationFlags::REC))),
    ("rrelatime", E::TreeAtime(0)),
    ("rro", E::TreeSet(MOUNT_ATTR_RDONLY)),
    ("rrw", E::TreeClear(MOUNT_ATTR_RDONLY)),
    ("rshared", E::Propagation(MountPropagationFlags::SHARED.union(MountPropagationFlags::REC))),
    ("rslave", E::Propagation(MountPropagationFlags::DOWNSTREAM.union(MountPropagationFlags::REC))),
    ("rstrictatime", E::TreeAtime(MOUNT_ATTR_STRICTATIME)),
    ("rsuid", E::TreeClear(MOUNT_ATTR_NOSUID)),
    ("rsymfollow", E::TreeClear(MOUNT_ATTR_NOSYMFOLLOW)),
    (
        "runbindable",
        E::Propagation(MountPropagationFlags::UNBINDABLE.union(MountPropagationFlags::REC)),
    ),
    ("rw", E::Clear(MOUNT_ATTR_RDONLY)),
    ("shared", E::Propagation(MountPropagationFlags::SHARED)),
    ("silent", E::Fs(MountFlags::SILENT)),
    ("slave", E::Propagation(MountPropagationFlags::DOWNSTREAM)),
    ("strictatime", E::Atime(MOUNT_ATTR_STRICTATIME)),
    ("suid", E::Clear(MOUNT_ATTR_NOSUID)),
    ("symfollow", E::Clear(MOUNT_ATTR_NOSYMFOLLOW)),
    ("sync", E::Fs(MountFlags::SYNCHRONOUS)),
    ("tmpcopyup", E::CopyUp),
    ("unbindable", E::Propagation(MountPropagationFlags::UNBINDABLE)),
];

/// The options that `features` lists; id-mapped mounts are told there apart.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLE
        .iter()
        .filter(|(_, effect)| !matches!(effect, E::IdMap | E::IdMapTree))
        .map(|(name, _)| *name)
}

/// Flags to set on and to clear from a mount (`mount_setattr(2)`).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attr {
    pub(crate) set: u64,
    pub(crate) clear: u64,
}

impl Attr {
    fn set(&mut self, flag: u64) {
        self.set |= flag;
        self.clear &= !flag;
    }

    fn clear(&mut self, flag: u64) {
        self.set &= !flag;
        self.clear |= flag;
    }

    /// The kernel wants all of the access-time bits cleared with any change.
    fn atime(&mut self, value: u64) {
        self.set = self.set & !MOUNT_ATTR_ATIME | value;
        self.clear |= MOUNT_ATTR_ATIME;
    }

    fn not_atime(&mut self, value: u64) {
        let chosen = self.clear & MOUNT_ATTR_ATIME != 0;
        if !chosen || self.set & MOUNT_ATTR_ATIME == value {
            // Back to the kernel's default, relatime. There is no fourth way,
            // so `norelatime` alone does nothing, as with mount(8).
            self.atime(0);
        }
    }

    /// Whether there is anything to do.
    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// All options of one mount, folded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Folded {
    /// Flags of the mount itself.
    pub(crate) attr: Attr,
    /// Flags of the mount and all below it.
    pub(crate) tree: Attr,
    /// Flags of the file system.
    pub(crate) fs: u32,
    /// `bind` (not recursive) or `rbind`.
    pub(crate) bind: Option<bool>,
    pub(crate) remount: bool,
    pub(crate) copy_up: bool,
    /// `idmap` (not recursive) or `ridmap`.
    pub(crate) id_map: Option<bool>,
    /// Each is applied, in order.
    pub(crate) propagation: Vec<u32>,
    /// Everything else: for the file system.
    pub(crate) data: Vec<String>,
}

/// Folds the words of a mount; the last of clashing ones wins.
pub(crate) fn fold(options: &[String]) -> Folded {
    let mut folded = Folded::default();
    for option in options {
        match TABLE.binary_search_by_key(&option.as_str(), |(name, _)| name) {
            Ok(at) => apply(&mut folded, TABLE[at].1),
            Err(_) if option.is_empty() => {}
            Err(_) => folded.data.push(option.clone()),
        }
    }
    folded
}

fn apply(folded: &mut Folded, effect: Effect) {
    match effect {
        E::None => {}
        E::Set(flag) => folded.attr.set(flag),
        E::Clear(flag) => folded.attr.clear(flag),
        E::Atime(value) => folded.attr.atime(value),
        E::NotAtime(value) => folded.attr.not_atime(value),
        E::TreeSet(flag) => folded.tree.set(flag),
        E::TreeClear(flag) => folded.tree.clear(flag),
        E::TreeAtime(value) => folded.tree.atime(value),
        E::TreeNotAtime(value) => folded.tree.not_atime(value),
        E::Fs(flag) => folded.fs |= flag.bits(),
        E::NotFs(flag) => folded.fs &= !flag.bits(),
        E::Propagation(flags) => folded.propagation.push(flags.bits()),
        E::Bind => folded.bind = Some(false),
        E::BindTree => folded.bind = Some(true),
        E::Remount => folded.remount = true,
        E::CopyUp => folded.copy_up = true,
        E::IdMap => folded.id_map = Some(false),
        E::IdMapTree => folded.id_map = Some(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(options: &str) -> Folded {
        fold(&options.split(',').map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn table_is_sorted() {
        assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn last_of_clashing_options_wins_and_clears_are_remembered() {
        assert_eq!(folded("ro,rw").attr, Attr { set: 0, clear: MOUNT_ATTR_RDONLY });
        assert_eq!(folded("rw,ro").attr, Attr { set: MOUNT_ATTR_RDONLY, clear: 0 });
        assert_eq!(folded("exec").attr, Attr { set: 0, clear: MOUNT_ATTR_NOEXEC });
    }

    #[test]
    fn access_times_are_one_choice() {
        let strict = Attr { set: MOUNT_ATTR_STRICTATIME, clear: MOUNT_ATTR_ATIME };
        assert_eq!(folded("noatime,strictatime").attr, strict);
        assert_eq!(
            folded("rnoatime").tree,
            Attr { set: MOUNT_ATTR_NOATIME, clear: MOUNT_ATTR_ATIME }
        );
        assert_eq!(
            folded("strictatime,nostrictatime").attr,
            Attr { set: 0, clear: MOUNT_ATTR_ATIME }
        );
    }

    #[test]
    fn unknown_words_are_for_the_file_system() {
        let f = folded("size=64k,nosuid,mode=755");
        assert_eq!(f.data, ["size=64k", "mode=755"]);
        assert_eq!(f.attr.set, MOUNT_ATTR_NOSUID);
    }

    #[test]
    fn propagation_never_touches_the_recursion_of_a_bind() {
        let f = folded("rbind,rprivate,shared");
        assert_eq!(f.bind, Some(true));
        let recursive = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        assert_eq!(f.propagation, [recursive.bits(), MountPropagationFlags::SHARED.bits()]);
    }
}
