//! Names of execution domains and of their flags, and the numbers the kernel knows them by (personality(2)).

use crate::spec::Personality;

/// The domains of the specification.
pub const DOMAINS: &[(&str, u32)] = &[("LINUX", 0), ("LINUX32", 8)];

/// The flags of personality(2), of which the specification names none. One is missing: READ_IMPLIES_EXEC, which execve(2) of
/// a 64-bit program takes away again.
pub const FLAGS: &[(&str, u32)] = &[
    ("UNAME26", 0x002_0000),
    ("ADDR_NO_RANDOMIZE", 0x004_0000),
    ("FDPIC_FUNCPTRS", 0x008_0000),
    ("MMAP_PAGE_ZERO", 0x010_0000),
    ("ADDR_COMPAT_LAYOUT", 0x020_0000),
    ("ADDR_LIMIT_32BIT", 0x080_0000),
    ("SHORT_INODE", 0x100_0000),
    ("WHOLE_SECONDS", 0x200_0000),
    ("STICKY_TIMEOUTS", 0x400_0000),
    ("ADDR_LIMIT_3GB", 0x800_0000),
];

/// Domain and flags of a personality that was checked, in one number.
pub fn number(personality: &Personality<'_>) -> u32 {
    let find = |table: &[(&str, u32)], name: &str| {
        table
            .iter()
            .find(|(known, _)| *known == name)
            .map_or(0, |(_, number)| *number)
    };
    let domain = find(DOMAINS, &personality.domain);
    let flags = personality.flags.iter();
    flags.fold(domain, |set, flag| set | find(FLAGS, flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_and_flags_are_one_number() {
        let personality = Personality {
            domain: "LINUX32".into(),
            flags: vec!["UNAME26".into(), "ADDR_NO_RANDOMIZE".into()],
        };
        assert_eq!(number(&personality), 0x6_0008);
    }
}
