//! What profiles may say, for the `features` command.
//! <https://github.com/opencontainers/runtime-spec/blob/v1.3.0/features-linux.md#seccomp>

use super::action::{Action, Operator};
use super::arch::Arch;
use super::policy::flag_requests;

/// The words that profiles may use, each list in byte order.
#[derive(Debug)]
pub(crate) struct Features {
    pub(crate) actions: Vec<&'static str>,
    pub(crate) operators: Vec<&'static str>,
    pub(crate) archs: Vec<&'static str>,
    /// Flags, each with the bits to ask the kernel for
    /// (`sys::seccomp::knows_flags`) to find out whether it supports it.
    pub(crate) flags: Vec<(&'static str, u32)>,
}

/// All that the compiler knows.
pub(crate) fn features() -> Features {
    fn sorted<T: Ord>(words: impl Iterator<Item = T>) -> Vec<T> {
        let mut words: Vec<_> = words.collect();
        words.sort_unstable();
        words
    }
    Features {
        actions: sorted(Action::names()),
        operators: sorted(Operator::names()),
        archs: sorted(Arch::ALL.into_iter().map(Arch::name)),
        flags: sorted(flag_requests()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// runc's `features` has these; `archs` has some more here.
    #[test]
    fn what_runc_knows_is_known() {
        let known = features();
        assert_eq!((known.actions.len(), known.operators.len(), known.flags.len()), (9, 7, 4));
        assert_eq!(known.actions[0], "SCMP_ACT_ALLOW");
        assert_eq!(known.operators[0], "SCMP_CMP_EQ");
        for arch in "AARCH64 ARM LOONGARCH64 MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC \
                     PPC64 PPC64LE RISCV64 S390 S390X X32 X86 X86_64"
            .split_whitespace()
        {
            assert!(known.archs.contains(&format!("SCMP_ARCH_{arch}").as_str()), "{arch}");
        }
        // The kernel takes the last one together with a listener only.
        let bits: Vec<_> = known.flags.iter().map(|(_, bits)| *bits).collect();
        assert_eq!(bits, [1 << 1, 1 << 2, 0, 1 << 5 | 1 << 3]);
    }
}
