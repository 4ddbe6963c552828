//! System call numbers by name, for all architectures.
//!
//! One hash look-up finds a name's row, which has its numbers on every
//! architecture. The names are one string and the index is made by the
//! compiler, so that the table costs the program no relocations at its start.

use super::arch::Arch;
use super::rows::{COLUMNS, NO, ROWS};

/// Private calls of arm (`__ARM_NR_BASE`) have this bit in the rows.
const ARM_PRIVATE: u16 = 0x8000;
const ARM_PRIVATE_BASE: u32 = 0x000f_0000;

const SLOTS: usize = 2048;
const EMPTY: u16 = u16::MAX;

static NAMES: [u8; names_len()] = names();
static ENDS: [u16; ROWS.len()] = ends();
static NUMBERS: [[u16; COLUMNS.len()]; ROWS.len()] = numbers();
static INDEX: [u16; SLOTS] = index();

/// A system call's name, known to at least one architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row(u16);

impl Row {
    /// The row of `name`.
    pub(crate) fn find(name: &str) -> Option<Self> {
        let mut slot = hash(name.as_bytes());
        loop {
            match INDEX[slot] {
                EMPTY => return None,
                row if Self(row).bytes() == name.as_bytes() => return Some(Self(row)),
                _ => slot = (slot + 1) % SLOTS,
            }
        }
    }

    /// The number of the call on `arch`, where it has one.
    pub(crate) fn number(self, arch: Arch) -> Option<u32> {
        match NUMBERS[usize::from(self.0)][COLUMN[arch as usize]] {
            NO => None,
            n if n & ARM_PRIVATE != 0 => Some(ARM_PRIVATE_BASE + u32::from(n & !ARM_PRIVATE)),
            n => Some(arch.base() + u32::from(n)),
        }
    }

    /// The call that has `number` on `arch`. Looks through all rows: for people,
    /// not for the compiler.
    pub(crate) fn of_number(arch: Arch, number: u32) -> Option<Self> {
        Self::all().find(|row| row.number(arch) == Some(number))
    }

    fn bytes(self) -> &'static [u8] {
        let row = usize::from(self.0);
        let start = if row == 0 { 0 } else { ENDS[row - 1] };
        &NAMES[usize::from(start)..usize::from(ENDS[row])]
    }

    /// The call's name.
    pub(crate) fn name(self) -> &'static str {
        str::from_utf8(self.bytes()).unwrap_or_default()
    }

    /// All names, in byte order.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..).take(ROWS.len()).map(Self)
    }
}

/// The column of each architecture, by `Arch as usize`.
const COLUMN: [usize; Arch::ALL.len()] = {
    let mut columns = [0; Arch::ALL.len()];
    let mut i = 0;
    while i < columns.len() {
        let name = Arch::ALL[i].column().as_bytes();
        while !same(COLUMNS[columns[i]].as_bytes(), name) {
            columns[i] += 1;
        }
        i += 1;
    }
    columns
};

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

/// FNV-1a, folded to a slot.
const fn hash(name: &[u8]) -> usize {
    let mut hash: u32 = 0x811c_9dc5;
    let mut i = 0;
    while i < name.len() {
        hash = (hash ^ name[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    ((hash >> 16) ^ hash) as usize % SLOTS
}

const fn names_len() -> usize {
    let mut len = 0;
    let mut row = 0;
    while row < ROWS.len() {
        len += ROWS[row].0.len();
        row += 1;
    }
    len
}

const fn names() -> [u8; names_len()] {
    let mut out = [0; names_len()];
    let (mut at, mut row) = (0, 0);
    while row < ROWS.len() {
        let name = ROWS[row].0.as_bytes();
        let mut i = 0;
        while i < name.len() {
            out[at] = name[i];
            at += 1;
            i += 1;
        }
        row += 1;
    }
    out
}

// `as` because `try_from` is not const; `names_len` is below 65536.
#[allow(clippy::cast_possible_truncation)]
const fn ends() -> [u16; ROWS.len()] {
    assert!(names_len() < u16::MAX as usize, "offsets need more than 16 bits");
    let mut out = [0; ROWS.len()];
    let (mut at, mut row) = (0, 0);
    while row < ROWS.len() {
        at += ROWS[row].0.len();
        out[row] = at as u16;
        row += 1;
    }
    out
}

// Runs in the compiler, whose stack is large enough.
#[allow(clippy::large_stack_arrays)]
const fn numbers() -> [[u16; COLUMNS.len()]; ROWS.len()] {
    let mut out = [[0; COLUMNS.len()]; ROWS.len()];
    let mut row = 0;
    while row < ROWS.len() {
        out[row] = ROWS[row].1;
        row += 1;
    }
    out
}

// `as` because `try_from` is not const; there are far fewer than 65535 rows.
#[allow(clippy::cast_possible_truncation)]
const fn index() -> [u16; SLOTS] {
    assert!(ROWS.len() < SLOTS / 2, "the index is too full");
    let mut out = [EMPTY; SLOTS];
    let mut row = 0;
    while row < ROWS.len() {
        let mut slot = hash(ROWS[row].0.as_bytes());
        while out[slot] != EMPTY {
            slot = (slot + 1) % SLOTS;
        }
        out[slot] = row as u16;
        row += 1;
    }
    out
}

/// The number by which `socketcall` or `ipc` knows a call, and which of the
/// two it is; linux/net.h and linux/ipc.h.
pub(crate) fn multiplexed(name: &str) -> Option<(&'static str, u8)> {
    let number = match name {
        "socket" | "semop" => 1,
        "bind" | "semget" => 2,
        "connect" | "semctl" => 3,
        "listen" | "semtimedop" => 4,
        "accept" => 5,
        "getsockname" => 6,
        "getpeername" => 7,
        "socketpair" => 8,
        "send" => 9,
        "recv" => 10,
        "sendto" | "msgsnd" => 11,
        "recvfrom" | "msgrcv" => 12,
        "shutdown" | "msgget" => 13,
        "setsockopt" | "msgctl" => 14,
        "getsockopt" => 15,
        "sendmsg" => 16,
        "recvmsg" => 17,
        "accept4" => 18,
        "recvmmsg" => 19,
        "sendmmsg" => 20,
        "shmat" => 21,
        "shmdt" => 22,
        "shmget" => 23,
        "shmctl" => 24,
        _ => return None,
    };
    let ipc = name.starts_with("sem") || name.starts_with("shm") || name.starts_with("msg");
    Some((if ipc { "ipc" } else { "socketcall" }, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(name: &str, arch: Arch) -> Option<u32> {
        Row::find(name).and_then(|row| row.number(arch))
    }

    /// Numbers from the kernel's asm/unistd headers.
    #[test]
    fn numbers_are_those_of_the_kernel() {
        for (name, arch, expected) in [
            ("read", Arch::X86_64, Some(0)),
            ("read", Arch::X86, Some(3)),
            ("read", Arch::X32, Some(0x4000_0000)),
            ("readv", Arch::X32, Some(0x4000_0000 + 515)),
            ("read", Arch::Mips, Some(4003)),
            ("read", Arch::Mipsel64, Some(5000)),
            ("read", Arch::Mips64n32, Some(6000)),
            ("read", Arch::Aarch64, Some(63)),
            ("read", Arch::S390x, Some(3)),
            ("clone3", Arch::Loongarch64, Some(435)),
            ("fork", Arch::Aarch64, None),
            ("set_tls", Arch::Arm, Some(0x000f_0005)),
            ("accept", Arch::X86, None),
            ("socket", Arch::X86, Some(359)),
            ("mseal", Arch::X86_64, Some(462)),
            ("file_setattr", Arch::Riscv64, Some(469)),
        ] {
            assert_eq!(number(name, arch), expected, "{name} on {arch:?}");
        }
    }

    #[test]
    fn every_name_is_found_and_no_other() {
        for row in Row::all() {
            assert_eq!(Row::find(row.name()), Some(row), "{}", row.name());
        }
        for name in ["", "rea", "readd", "READ", "read\0", "no_such_call", "ï"] {
            assert_eq!(Row::find(name), None, "{name:?}");
        }
    }

    #[test]
    fn no_two_names_share_a_number() {
        for arch in Arch::ALL {
            let mut numbers: Vec<_> = Row::all().filter_map(|row| row.number(arch)).collect();
            let all = numbers.len();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), all, "{arch:?}");
            assert!(all > 250, "{arch:?} has {all}");
        }
    }

    /// The multiplexers are there on each architecture that says so.
    #[test]
    fn multiplexers_have_numbers() {
        for arch in Arch::ALL.into_iter().filter(|arch| arch.multiplexes()) {
            assert_eq!(number("socketcall", arch), Some(arch.base() + 102), "{arch:?}");
            assert_eq!(number("ipc", arch), Some(arch.base() + 117), "{arch:?}");
        }
    }

    /// `SYS_*` of linux/net.h and the call numbers of linux/ipc.h.
    #[test]
    fn multiplexed_calls_have_the_kernels_numbers() {
        let socketcall = "socket bind connect listen accept getsockname getpeername socketpair \
                          send recv sendto recvfrom shutdown setsockopt getsockopt sendmsg \
                          recvmsg accept4 recvmmsg sendmmsg";
        for (number, name) in (1..).zip(socketcall.split(' ')) {
            assert_eq!(multiplexed(name), Some(("socketcall", number)), "{name}");
        }
        for (first, names) in [
            (1, "semop semget semctl semtimedop"),
            (11, "msgsnd msgrcv msgget msgctl"),
            (21, "shmat shmdt shmget shmctl"),
        ] {
            for (number, name) in (first..).zip(names.split(' ')) {
                assert_eq!(multiplexed(name), Some(("ipc", number)), "{name}");
            }
        }
        assert_eq!(multiplexed("read"), None);
    }
}
