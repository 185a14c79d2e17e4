//! Architectures. A filter sees which one a call was made for as an `AUDIT_ARCH_*` value; a profile names them
//! `SCMP_ARCH_*`. One kernel serves several: x86_64 also runs x86 and x32 programs, each with its own numbers.

use crate::tables;

/// The bit that tells an x32 call from an x86_64 call: both have the same `AUDIT_ARCH_X86_64`.
pub const X32_SYSCALL_BIT: u32 = 0x4000_0000;

macro_rules! architectures {
    ($($variant:ident $name:literal $machine:literal $bits:ident $endian:ident $column:ident,)*) => {
        /// An architecture that the runtime-spec names (config-linux.md, seccomp, `architectures`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Arch {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Arch {
            /// Every architecture, in the order of the enumeration.
            pub const ALL: &[Arch] = &[$(Arch::$variant,)*];

            pub(crate) const fn row(self) -> Row {
                match self {
                    $(Arch::$variant => Row {
                        name: $name,
                        audit: $machine | Bits::$bits.audit() | Endian::$endian.audit(),
                        bits: Bits::$bits,
                        endian: Endian::$endian,
                        column: tables::$column,
                    },)*
                }
            }
        }
    };
}

// The third column is the ELF machine number, of which AUDIT_ARCH_* is made (linux/audit.h).
architectures! {
    X86_64      "SCMP_ARCH_X86_64"      62  B64  Little X86_64,
    X86         "SCMP_ARCH_X86"         3   B32  Little X86,
    X32         "SCMP_ARCH_X32"         62  X32  Little X32,
    Aarch64     "SCMP_ARCH_AARCH64"     183 B64  Little AARCH64,
    Arm         "SCMP_ARCH_ARM"         40  B32  Little ARM,
    Riscv64     "SCMP_ARCH_RISCV64"     243 B64  Little RISCV64,
    Loongarch64 "SCMP_ARCH_LOONGARCH64" 258 B64  Little LOONGARCH64,
    S390x       "SCMP_ARCH_S390X"       22  B64  Big    S390X,
    S390        "SCMP_ARCH_S390"        22  B32  Big    S390,
    Ppc64le     "SCMP_ARCH_PPC64LE"     21  B64  Little PPC64,
    Ppc64       "SCMP_ARCH_PPC64"       21  B64  Big    PPC64,
    Ppc         "SCMP_ARCH_PPC"         20  B32  Big    PPC,
    Mips        "SCMP_ARCH_MIPS"        8   B32  Big    MIPS,
    Mipsel      "SCMP_ARCH_MIPSEL"      8   B32  Little MIPS,
    Mips64      "SCMP_ARCH_MIPS64"      8   B64  Big    MIPS64,
    Mipsel64    "SCMP_ARCH_MIPSEL64"    8   B64  Little MIPS64,
    Mips64n32   "SCMP_ARCH_MIPS64N32"   8   N32  Big    MIPS64N32,
    Mipsel64n32 "SCMP_ARCH_MIPSEL64N32" 8   N32  Little MIPS64N32,
    Parisc64    "SCMP_ARCH_PARISC64"    15  B64  Big    PARISC64,
    Parisc      "SCMP_ARCH_PARISC"      15  B32  Big    PARISC,
    M68k        "SCMP_ARCH_M68K"        4   B32  Big    M68K,
    Sh          "SCMP_ARCH_SH"          42  B32  Little SH,
    Sheb        "SCMP_ARCH_SHEB"        42  B32  Big    SH,
}

impl Arch {
    /// The architecture this code was compiled for; `None` where no profile can name it.
    pub const fn native() -> Option<Arch> {
        NATIVE
    }

    /// The architecture of a name such as `SCMP_ARCH_X86_64`.
    pub fn from_name(name: &str) -> Option<Arch> {
        Arch::ALL.iter().copied().find(|arch| arch.name() == name)
    }

    /// The name in a profile.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The value of `seccomp_data.arch` for calls of this architecture. X32 has that of X86_64.
    pub const fn audit(self) -> u32 {
        self.row().audit
    }

    /// Whether arguments are compared as 64 bits. Where they are not, only the lower half of argument and value count,
    /// as in libseccomp; this includes x32 and MIPS n32.
    pub const fn compares_64_bits(self) -> bool {
        matches!(self.row().bits, Bits::B64)
    }

    /// Whether the lower half of an argument comes second in `seccomp_data`.
    pub const fn is_big_endian(self) -> bool {
        matches!(self.row().endian, Endian::Big)
    }
}

/// What the compiler knows of an architecture.
pub(crate) struct Row {
    name: &'static str,
    audit: u32,
    bits: Bits,
    endian: Endian,
    pub(crate) column: usize,
}

enum Bits {
    B64,
    B32,
    X32,
    N32,
}

impl Bits {
    const fn audit(&self) -> u32 {
        const AUDIT_ARCH_64BIT: u32 = 0x8000_0000;
        const AUDIT_ARCH_CONVENTION_MIPS64_N32: u32 = 0x2000_0000;
        match self {
            Bits::B64 | Bits::X32 => AUDIT_ARCH_64BIT,
            Bits::B32 => 0,
            Bits::N32 => AUDIT_ARCH_64BIT | AUDIT_ARCH_CONVENTION_MIPS64_N32,
        }
    }
}

enum Endian {
    Little,
    Big,
}

impl Endian {
    const fn audit(&self) -> u32 {
        const AUDIT_ARCH_LE: u32 = 0x4000_0000;
        match self {
            Endian::Little => AUDIT_ARCH_LE,
            Endian::Big => 0,
        }
    }
}

macro_rules! native {
    ($($arch:expr => $condition:meta,)*) => {
        $(#[cfg($condition)] const NATIVE: Option<Arch> = Some($arch);)*
        #[cfg(not(any($($condition),*)))] const NATIVE: Option<Arch> = None;
    };
}

native! {
    Arch::X86_64 => all(target_arch = "x86_64", target_pointer_width = "64"),
    Arch::X32 => all(target_arch = "x86_64", target_pointer_width = "32"),
    Arch::X86 => target_arch = "x86",
    Arch::Aarch64 => all(target_arch = "aarch64", target_endian = "little"),
    Arch::Arm => all(target_arch = "arm", target_endian = "little"),
    Arch::Riscv64 => target_arch = "riscv64",
    Arch::Loongarch64 => target_arch = "loongarch64",
    Arch::S390x => target_arch = "s390x",
    Arch::Ppc64le => all(target_arch = "powerpc64", target_endian = "little"),
    Arch::Ppc64 => all(target_arch = "powerpc64", target_endian = "big"),
    Arch::Ppc => target_arch = "powerpc",
    Arch::Mips => all(target_arch = "mips", target_endian = "big"),
    Arch::Mipsel => all(target_arch = "mips", target_endian = "little"),
    Arch::Mips64 => all(target_arch = "mips64", target_endian = "big"),
    Arch::Mipsel64 => all(target_arch = "mips64", target_endian = "little"),
    Arch::M68k => target_arch = "m68k",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audit_values_are_the_kernels() {
        let expected = [
            (Arch::X86_64, 0xc000_003e),
            (Arch::X86, 0x4000_0003),
            (Arch::X32, 0xc000_003e),
            (Arch::Aarch64, 0xc000_00b7),
            (Arch::Arm, 0x4000_0028),
            (Arch::Riscv64, 0xc000_00f3),
            (Arch::Loongarch64, 0xc000_0102),
            (Arch::S390x, 0x8000_0016),
            (Arch::S390, 0x0000_0016),
            (Arch::Ppc64le, 0xc000_0015),
            (Arch::Mipsel64n32, 0xe000_0008),
            (Arch::Parisc64, 0x8000_000f),
            (Arch::Sh, 0x4000_002a),
        ];
        for (arch, audit) in expected {
            assert_eq!(arch.audit(), audit, "{arch:?}");
        }
    }

    #[test]
    fn names_lead_back() {
        for arch in Arch::ALL {
            assert_eq!(Arch::from_name(arch.name()), Some(*arch));
        }
        assert_eq!(Arch::from_name("SCMP_ARCH_VAX"), None);
    }
}
