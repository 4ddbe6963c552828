//! The steps of the container's init, by number.

use crate::link::wire::{MAX_TEXT, Message};
use crate::sys::Errno;

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// One step of [`super::sequence`]; its number goes over the wire.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u16)]
        pub(crate) enum Step { $($(#[$doc])* $name,)* }

        impl Step {
            const ALL: &[Self] = &[$(Self::$name,)*];

            /// A stable name for the JSON log.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

steps! {
    Cgroup = "cgroup",
    ParentDeath = "parent-death",
    Session = "session",
    Affinity = "affinity",
    KeyLabel = "key-label",
    Keyring = "keyring",
    OomScoreAdj = "oom-score-adj",
    /// Waits until the parent has written the ids of the user namespace.
    UserNamespace = "user-namespace",
    BecomeRoot = "become-root",
    Unshare = "unshare",
    TimeOffsets = "time-offsets",
    SteppingStone = "stepping-stone",
    JoinNamespace = "join-namespace",
    CgroupNamespace = "cgroup-namespace",
    Loopback = "loopback",
    /// Sent when the namespaces are there; the parent answers.
    NetDevices = "net-devices",
    Hostname = "hostname",
    Domainname = "domainname",
    Sysctl = "sysctl",
    Propagation = "propagation",
    Rootfs = "rootfs",
    MountTarget = "mount-target",
    Mount = "mount",
    CopyUp = "copy-up",
    Dev = "dev",
    Device = "device",
    DevLink = "dev-link",
    /// Sent when the mounts are made; the parent answers.
    Mounted = "mounted",
    CreateContainer = "create-container-hook",
    Cwd = "cwd",
    Null = "null",
    Mask = "mask",
    ReadonlyPath = "readonly-path",
    Readonly = "readonly",
    Console = "console",
    Pivot = "pivot-root",
    RootPropagation = "root-propagation",
    /// Waits until the parent has written down who we are.
    Recorded = "recorded",
    Scheduler = "scheduler",
    IoPriority = "io-priority",
    Personality = "personality",
    MemoryPolicy = "memory-policy",
    ApparmorProfile = "apparmor-profile",
    SelinuxLabel = "selinux-label",
    Rlimit = "rlimit",
    NoNewPrivileges = "no-new-privileges",
    Bounding = "bounding",
    Groups = "groups",
    Ids = "ids",
    Capabilities = "capabilities",
    Ambient = "ambient",
    Chdir = "chdir",
    OutsideRoot = "outside-root",
    Home = "home",
    LookUp = "look-up",
    Descriptors = "descriptors",
    /// The item is the number of the listener; the parent takes it and answers.
    Listener = "seccomp-listener",
    /// Sent when all is done but the program itself.
    Created = "created",
    Start = "start",
    StartContainer = "start-container-hook",
    /// Sent right before `execve`.
    Executing = "executing",
    Seccomp = "seccomp",
    Exec = "exec",
}

impl Step {
    /// The step of a message; `None` for a number that is none.
    pub(crate) fn of(message: Message) -> Option<Self> {
        Self::ALL.get(usize::from(message.step)).copied()
    }
}

/// What a step said of its failure, without the heap.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text {
    bytes: [u8; MAX_TEXT],
    len: usize,
}

impl Text {
    pub(crate) const EMPTY: Self = Self { bytes: [0; MAX_TEXT], len: 0 };

    /// Lets `fill` write into the buffer; it returns how much it wrote.
    pub(crate) fn fill(fill: impl FnOnce(&mut [u8]) -> usize) -> Self {
        let mut text = Self::EMPTY;
        text.len = fill(&mut text.bytes).min(MAX_TEXT);
        text
    }

    /// `text`, as much of it as there is room for.
    pub(crate) fn new(text: &[u8]) -> Self {
        Self::fill(|bytes| {
            let len = text.len().min(bytes.len());
            bytes[..len].copy_from_slice(&text[..len]);
            len
        })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// A step that failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure {
    pub(crate) step: Step,
    pub(crate) item: u16,
    /// An errno, or below 0 the wait status of a hook.
    pub(crate) errno: i32,
    pub(crate) text: Text,
}

/// What the init's functions return.
pub(crate) type Done<T = ()> = std::result::Result<T, Failure>;

/// Says at which step a system call failed.
pub(crate) fn at<T>(step: Step, item: usize, result: crate::sys::Result<T>) -> Done<T> {
    result.map_err(|errno| failure(step, item, errno))
}

/// The failure of `step` with `errno`.
pub(crate) fn failure(step: Step, item: usize, errno: Errno) -> Failure {
    let item = u16::try_from(item).unwrap_or(u16::MAX);
    Failure { step, item, errno: errno.raw_os_error(), text: Text::EMPTY }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_their_numbers() {
        for (number, step) in Step::ALL.iter().enumerate() {
            assert_eq!(usize::from(*step as u16), number);
        }
    }
}
