//! Capability sets: from the specification's lists of names to the bit masks the kernel takes, bit *n* for capability
//! *n* of capabilities(7).

use caps::Capability;

use crate::spec::{Capabilities, Str};

/// The five sets of a process as bit masks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Masks {
    /// The most that execve(2) may grant.
    pub bounding: u64,
    /// What the kernel checks.
    pub effective: u64,
    /// What files with inheritable capabilities may add.
    pub inheritable: u64,
    /// What may be made effective.
    pub permitted: u64,
    /// What is kept over execve(2) of an ordinary program.
    pub ambient: u64,
}

/// The masks of a process on a kernel whose highest capability is `last`, for a caller that can give those in `grantable`.
///
/// Names that this kernel does not know are left out. So is what the caller cannot give, but for the bounding set, which gives
/// nothing; and what the kernel would refuse to raise in the ambient set: all that is not both permitted and inheritable
/// (capabilities(7)). [`check`](crate::check) warns of each.
pub fn masks(sets: &Capabilities<'_>, last: u8, grantable: u64) -> Masks {
    let given = |names: &[Str<'_>]| mask(names, last) & grantable;
    let (permitted, inheritable) = (given(&sets.permitted), given(&sets.inheritable));
    Masks {
        bounding: mask(&sets.bounding, last),
        effective: given(&sets.effective),
        inheritable,
        permitted,
        ambient: mask(&sets.ambient, last) & permitted & inheritable,
    }
}

/// The mask of one list of names, without those the kernel does not know.
pub fn mask(names: &[Str<'_>], last: u8) -> u64 {
    names
        .iter()
        .filter_map(|name| number(name))
        .filter(|number| *number <= last)
        .fold(0, |mask, number| mask | 1 << number)
}

/// The number of a capability; `None` if there is none of that name.
pub fn number(name: &str) -> Option<u8> {
    name.parse::<Capability>()
        .ok()
        .map(|capability| capability.index())
}

/// Whether a name has the form of one, `CAP_` and then capitals, digits or underscores: a kernel to come may know it.
pub fn is_well_formed(name: &str) -> bool {
    name.strip_prefix("CAP_").is_some_and(|rest| {
        !rest.is_empty()
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    })
}

/// All names, in the order of their numbers.
pub fn names() -> Vec<String> {
    let mut all: Vec<Capability> = caps::all().into_iter().collect();
    all.sort_by_key(Capability::index);
    all.iter().map(Capability::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_kernels_numbers() {
        let cases = [
            ("CAP_CHOWN", Some(0)),
            ("CAP_SYS_ADMIN", Some(21)),
            ("CAP_CHECKPOINT_RESTORE", Some(40)),
            ("CAP_FUTURE", None),
            ("chown", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(number(name), expected, "{name}");
        }
        let numbers: Vec<Option<u8>> = names().iter().map(|name| number(name)).collect();
        assert_eq!(numbers, (0..=40).map(Some).collect::<Vec<_>>());
    }

    #[test]
    fn form_is_told_from_knowledge() {
        let cases = [
            ("CAP_FUTURE_2", true),
            ("CAP_KILL", true),
            ("CAP_", false),
            ("KILL", false),
            ("cap_kill", false),
            ("CAP_KILL ", false),
            ("", false),
        ];
        for (name, expected) in cases {
            assert_eq!(is_well_formed(name), expected, "{name:?}");
        }
    }

    #[test]
    fn masks_hold_what_the_kernel_accepts() {
        let list = |names: &[&'static str]| {
            names
                .iter()
                .map(|&name| Str::from(name))
                .collect::<Vec<_>>()
        };
        let sets = Capabilities {
            bounding: list(&[
                "CAP_CHOWN",
                "CAP_KILL",
                "CAP_FUTURE",
                "CAP_CHECKPOINT_RESTORE",
            ]),
            effective: list(&["CAP_CHOWN", "CAP_CHOWN"]),
            inheritable: list(&["CAP_KILL"]),
            permitted: list(&["CAP_CHOWN", "CAP_KILL"]),
            ambient: list(&["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"]),
        };
        let expected = Masks {
            bounding: 1 | 1 << 5,
            effective: 1,
            inheritable: 1 << 5,
            permitted: 1 | 1 << 5,
            ambient: 1 << 5,
        };
        assert_eq!(masks(&sets, 39, u64::MAX), expected);
        assert_eq!(masks(&sets, 40, 0).bounding, 1 | 1 << 5 | 1 << 40);
        let without_kill = Masks {
            bounding: 1 | 1 << 5,
            effective: 1,
            permitted: 1,
            ..Masks::default()
        };
        assert_eq!(masks(&sets, 39, !(1 << 5)), without_kill);
        let none = Capabilities::default();
        assert_eq!(masks(&none, 40, u64::MAX), Masks::default());
    }
}
