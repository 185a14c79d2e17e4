//! Names of memory policies and their flags, and the numbers the kernel knows them by (set_mempolicy(2)).

use crate::spec::MemoryPolicy;

/// A mode, and what it does with nodes.
#[derive(Debug)]
pub struct Mode {
    /// Its name.
    pub name: &'static str,
    /// `MPOL_*` of linux/mempolicy.h.
    pub number: u32,
    /// Whether it needs nodes.
    pub nodes: Nodes,
}

/// Whether a mode takes nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nodes {
    /// At least one.
    Needed,
    /// Some or none.
    Optional,
    /// None.
    Refused,
}

/// The modes of the specification.
pub const MODES: &[Mode] = &[
    mode("MPOL_DEFAULT", 0, Nodes::Refused),
    mode("MPOL_PREFERRED", 1, Nodes::Optional),
    mode("MPOL_BIND", 2, Nodes::Needed),
    mode("MPOL_INTERLEAVE", 3, Nodes::Needed),
    mode("MPOL_LOCAL", 4, Nodes::Refused),
    mode("MPOL_PREFERRED_MANY", 5, Nodes::Needed),
    mode("MPOL_WEIGHTED_INTERLEAVE", 6, Nodes::Needed),
];

/// The flags of the specification, which go with the mode into one number.
pub const FLAGS: &[(&str, u32)] = &[
    ("MPOL_F_NUMA_BALANCING", 1 << 13),
    ("MPOL_F_RELATIVE_NODES", 1 << 14),
    ("MPOL_F_STATIC_NODES", 1 << 15),
];

/// The highest node that a kernel can have.
pub const LAST_NODE: u32 = 1023;

const fn mode(name: &'static str, number: u32, nodes: Nodes) -> Mode {
    Mode {
        name,
        number,
        nodes,
    }
}

/// The mode of that name.
pub fn find(name: &str) -> Option<&'static Mode> {
    MODES.iter().find(|mode| mode.name == name)
}

/// Mode and flags of a policy that was checked, in one number.
pub fn number(policy: &MemoryPolicy<'_>) -> u32 {
    let bit = |name: &str| {
        FLAGS
            .iter()
            .find(|(known, _)| *known == name)
            .map_or(0, |(_, bit)| *bit)
    };
    let mode = find(&policy.mode).map_or(0, |mode| mode.number);
    policy.flags.iter().fold(mode, |set, flag| set | bit(flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_and_flags_are_one_number() {
        let numbers: Vec<u32> = MODES.iter().map(|mode| mode.number).collect();
        assert_eq!(numbers, (0..7).collect::<Vec<_>>());
        let policy = MemoryPolicy {
            mode: "MPOL_BIND".into(),
            flags: vec!["MPOL_F_STATIC_NODES".into(), "MPOL_F_NUMA_BALANCING".into()],
            ..MemoryPolicy::default()
        };
        assert_eq!(number(&policy), 0xa002);
    }
}
