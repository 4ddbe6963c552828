//! The architectures that a profile can name.

/// An ABI with system call numbers of its own: a `SCMP_ARCH_*` of the spec.
/// <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#seccomp>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Arch {
    X86,
    X86_64,
    X32,
    Arm,
    Aarch64,
    Loongarch64,
    M68k,
    Mips,
    Mips64,
    Mips64n32,
    Mipsel,
    Mipsel64,
    Mipsel64n32,
    Parisc,
    Parisc64,
    Ppc,
    Ppc64,
    Ppc64le,
    Riscv64,
    S390,
    S390x,
    Sh,
    Sheb,
}

/// Bit of a system call number that makes it one of x32.
pub(crate) const X32_BIT: u32 = 0x4000_0000;

/// What sets an architecture apart, for this compiler.
struct Traits {
    /// Its name in profiles.
    name: &'static str,
    /// `AUDIT_ARCH_*` of linux/audit.h: ELF machine and flags for 64 bits
    /// (bit 31), little endian (bit 30) and MIPS n32 (bit 29).
    token: u32,
    /// Its column of the system call table.
    column: &'static str,
    /// Size of a register as a filter compares it.
    bits: u32,
    /// What its system call numbers count from.
    base: u32,
}

const LE: u32 = 0x4000_0000;
const LE64: u32 = 0xC000_0000;
const BE64: u32 = 0x8000_0000;
const N32: u32 = 0x2000_0000;

const EM_386: u32 = 3;
const EM_68K: u32 = 4;
const EM_MIPS: u32 = 8;
const EM_PARISC: u32 = 15;
const EM_PPC: u32 = 20;
const EM_PPC64: u32 = 21;
const EM_S390: u32 = 22;
const EM_ARM: u32 = 40;
const EM_SH: u32 = 42;
const EM_X86_64: u32 = 62;
const EM_AARCH64: u32 = 183;
const EM_RISCV: u32 = 243;
const EM_LOONGARCH: u32 = 258;

const fn traits(
    name: &'static str,
    token: u32,
    column: &'static str,
    bits: u32,
    base: u32,
) -> Traits {
    Traits { name, token, column, bits, base }
}

impl Arch {
    /// All of them, in the order of their declaration.
    pub(crate) const ALL: [Self; 23] = [
        Self::X86,
        Self::X86_64,
        Self::X32,
        Self::Arm,
        Self::Aarch64,
        Self::Loongarch64,
        Self::M68k,
        Self::Mips,
        Self::Mips64,
        Self::Mips64n32,
        Self::Mipsel,
        Self::Mipsel64,
        Self::Mipsel64n32,
        Self::Parisc,
        Self::Parisc64,
        Self::Ppc,
        Self::Ppc64,
        Self::Ppc64le,
        Self::Riscv64,
        Self::S390,
        Self::S390x,
        Self::Sh,
        Self::Sheb,
    ];

    /// The architecture that minke is built for.
    pub(crate) const fn native() -> Option<Self> {
        Some(if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
            Self::X86_64
        } else if cfg!(target_arch = "aarch64") {
            Self::Aarch64
        } else if cfg!(target_arch = "x86") {
            Self::X86
        } else if cfg!(target_arch = "arm") {
            Self::Arm
        } else if cfg!(target_arch = "riscv64") {
            Self::Riscv64
        } else if cfg!(target_arch = "s390x") {
            Self::S390x
        } else if cfg!(target_arch = "loongarch64") {
            Self::Loongarch64
        } else if cfg!(all(target_arch = "powerpc64", target_endian = "little")) {
            Self::Ppc64le
        } else if cfg!(all(target_arch = "powerpc64", target_endian = "big")) {
            Self::Ppc64
        } else if cfg!(all(target_arch = "mips64", target_endian = "little")) {
            Self::Mipsel64
        } else if cfg!(all(target_arch = "mips64", target_endian = "big")) {
            Self::Mips64
        } else {
            return None;
        })
    }

    const fn traits(self) -> Traits {
        match self {
            Self::X86 => traits("SCMP_ARCH_X86", EM_386 | LE, "x86", 32, 0),
            Self::X86_64 => traits("SCMP_ARCH_X86_64", EM_X86_64 | LE64, "x86_64", 64, 0),
            Self::X32 => traits("SCMP_ARCH_X32", EM_X86_64 | LE64, "x32", 32, X32_BIT),
            Self::Arm => traits("SCMP_ARCH_ARM", EM_ARM | LE, "arm", 32, 0),
            Self::Aarch64 => traits("SCMP_ARCH_AARCH64", EM_AARCH64 | LE64, "aarch64", 64, 0),
            Self::Loongarch64 => {
                traits("SCMP_ARCH_LOONGARCH64", EM_LOONGARCH | LE64, "loongarch64", 64, 0)
            }
            Self::M68k => traits("SCMP_ARCH_M68K", EM_68K, "m68k", 32, 0),
            Self::Mips => traits("SCMP_ARCH_MIPS", EM_MIPS, "mips", 32, 4000),
            Self::Mips64 => traits("SCMP_ARCH_MIPS64", EM_MIPS | BE64, "mips64", 64, 5000),
            Self::Mips64n32 => {
                traits("SCMP_ARCH_MIPS64N32", EM_MIPS | BE64 | N32, "mips64n32", 32, 6000)
            }
            Self::Mipsel => traits("SCMP_ARCH_MIPSEL", EM_MIPS | LE, "mips", 32, 4000),
            Self::Mipsel64 => traits("SCMP_ARCH_MIPSEL64", EM_MIPS | LE64, "mips64", 64, 5000),
            Self::Mipsel64n32 => {
                traits("SCMP_ARCH_MIPSEL64N32", EM_MIPS | LE64 | N32, "mips64n32", 32, 6000)
            }
            Self::Parisc => traits("SCMP_ARCH_PARISC", EM_PARISC, "parisc", 32, 0),
            Self::Parisc64 => traits("SCMP_ARCH_PARISC64", EM_PARISC | BE64, "parisc64", 64, 0),
            Self::Ppc => traits("SCMP_ARCH_PPC", EM_PPC, "ppc", 32, 0),
            Self::Ppc64 => traits("SCMP_ARCH_PPC64", EM_PPC64 | BE64, "ppc64", 64, 0),
            Self::Ppc64le => traits("SCMP_ARCH_PPC64LE", EM_PPC64 | LE64, "ppc64", 64, 0),
            Self::Riscv64 => traits("SCMP_ARCH_RISCV64", EM_RISCV | LE64, "riscv64", 64, 0),
            Self::S390 => traits("SCMP_ARCH_S390", EM_S390, "s390", 32, 0),
            Self::S390x => traits("SCMP_ARCH_S390X", EM_S390 | BE64, "s390x", 64, 0),
            Self::Sh => traits("SCMP_ARCH_SH", EM_SH | LE, "sh", 32, 0),
            Self::Sheb => traits("SCMP_ARCH_SHEB", EM_SH, "sh", 32, 0),
        }
    }

    /// Its name in profiles, `SCMP_ARCH_*`.
    pub(crate) const fn name(self) -> &'static str {
        self.traits().name
    }

    /// The architecture of that name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|arch| arch.name() == name)
    }

    /// What `seccomp_data.arch` holds for its calls; `x86_64` and x32 share one.
    pub(crate) const fn token(self) -> u32 {
        self.traits().token
    }

    /// Its column of the system call table.
    pub(super) const fn column(self) -> &'static str {
        self.traits().column
    }

    /// What its system call numbers count from.
    pub(crate) const fn base(self) -> u32 {
        self.traits().base
    }

    /// Whether a filter compares whole 64-bit arguments.
    pub(crate) const fn is_64_bit(self) -> bool {
        self.traits().bits == 64
    }

    /// Whether the low word of an argument comes second.
    pub(crate) const fn is_big_endian(self) -> bool {
        self.token() & LE == 0
    }

    /// Whether `socketcall` and `ipc` stand for the calls of sockets and of
    /// System V IPC here, besides or instead of calls of their own.
    pub(crate) const fn multiplexes(self) -> bool {
        matches!(
            self,
            Self::X86
                | Self::M68k
                | Self::Mips
                | Self::Mipsel
                | Self::Ppc
                | Self::Ppc64
                | Self::Ppc64le
                | Self::S390
                | Self::S390x
                | Self::Sh
                | Self::Sheb
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `AUDIT_ARCH_*` as linux/audit.h works them out.
    #[test]
    fn tokens_are_those_of_the_kernel() {
        for (name, token) in [
            ("SCMP_ARCH_X86", 0x4000_0003),
            ("SCMP_ARCH_X86_64", 0xC000_003E),
            ("SCMP_ARCH_X32", 0xC000_003E),
            ("SCMP_ARCH_ARM", 0x4000_0028),
            ("SCMP_ARCH_AARCH64", 0xC000_00B7),
            ("SCMP_ARCH_MIPS", 0x0000_0008),
            ("SCMP_ARCH_MIPS64", 0x8000_0008),
            ("SCMP_ARCH_MIPS64N32", 0xA000_0008),
            ("SCMP_ARCH_MIPSEL", 0x4000_0008),
            ("SCMP_ARCH_MIPSEL64", 0xC000_0008),
            ("SCMP_ARCH_MIPSEL64N32", 0xE000_0008),
            ("SCMP_ARCH_PPC", 0x0000_0014),
            ("SCMP_ARCH_PPC64", 0x8000_0015),
            ("SCMP_ARCH_PPC64LE", 0xC000_0015),
            ("SCMP_ARCH_S390", 0x0000_0016),
            ("SCMP_ARCH_S390X", 0x8000_0016),
            ("SCMP_ARCH_RISCV64", 0xC000_00F3),
            ("SCMP_ARCH_LOONGARCH64", 0xC000_0102),
            ("SCMP_ARCH_PARISC", 0x0000_000F),
            ("SCMP_ARCH_PARISC64", 0x8000_000F),
            ("SCMP_ARCH_M68K", 0x0000_0004),
            ("SCMP_ARCH_SH", 0x4000_002A),
            ("SCMP_ARCH_SHEB", 0x0000_002A),
        ] {
            assert_eq!(Arch::from_name(name).map(Arch::token), Some(token), "{name}");
        }
    }

    /// As libseccomp has them: x32 and n32 have 64-bit registers, but arguments
    /// of 32 bits.
    #[test]
    fn word_sizes_and_byte_orders_are_those_of_the_abis() {
        let narrow = "X86 X32 ARM M68K MIPS MIPS64N32 MIPSEL MIPSEL64N32 PARISC PPC S390 SH SHEB";
        let big = "M68K MIPS MIPS64 MIPS64N32 PARISC PARISC64 PPC PPC64 S390 S390X SHEB";
        for arch in Arch::ALL {
            let is_in =
                |list: &str| list.split(' ').any(|name| format!("SCMP_ARCH_{name}") == arch.name());
            assert_eq!(arch.is_64_bit(), !is_in(narrow), "{arch:?}");
            assert_eq!(arch.is_big_endian(), is_in(big), "{arch:?}");
        }
    }

    #[test]
    fn only_a_whole_name_is_a_name() {
        assert_eq!(Arch::from_name("SCMP_ARCH_X86_64 "), None);
        assert_eq!(Arch::from_name("X86_64"), None);
        assert_eq!(Arch::from_name(""), None);
    }
}
