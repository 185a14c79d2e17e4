//! Names of resource limits and the numbers the kernel knows them by, see setrlimit(2).

/// The 16 limits, in the order of their numbers where those agree (asm-generic/resource.h).
pub const RLIMITS: &[(&str, u32)] = &[
    ("RLIMIT_CPU", libc::RLIMIT_CPU),
    ("RLIMIT_FSIZE", libc::RLIMIT_FSIZE),
    ("RLIMIT_DATA", libc::RLIMIT_DATA),
    ("RLIMIT_STACK", libc::RLIMIT_STACK),
    ("RLIMIT_CORE", libc::RLIMIT_CORE),
    ("RLIMIT_RSS", libc::RLIMIT_RSS),
    ("RLIMIT_NPROC", libc::RLIMIT_NPROC),
    ("RLIMIT_NOFILE", libc::RLIMIT_NOFILE),
    ("RLIMIT_MEMLOCK", libc::RLIMIT_MEMLOCK),
    ("RLIMIT_AS", libc::RLIMIT_AS),
    ("RLIMIT_LOCKS", libc::RLIMIT_LOCKS),
    ("RLIMIT_SIGPENDING", libc::RLIMIT_SIGPENDING),
    ("RLIMIT_MSGQUEUE", libc::RLIMIT_MSGQUEUE),
    ("RLIMIT_NICE", libc::RLIMIT_NICE),
    ("RLIMIT_RTPRIO", libc::RLIMIT_RTPRIO),
    ("RLIMIT_RTTIME", libc::RLIMIT_RTTIME),
];

/// The number of a limit; `None` if there is none of that name.
pub fn number(name: &str) -> Option<u32> {
    RLIMITS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_have_their_numbers() {
        let cases = [
            ("RLIMIT_CPU", Some(0)),
            ("RLIMIT_NOFILE", Some(7)),
            ("RLIMIT_RTTIME", Some(15)),
            ("NOFILE", None),
            ("rlimit_nofile", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(number(name), expected, "{name}");
        }
    }

    #[test]
    fn every_number_occurs_once() {
        let numbers: BTreeSet<u32> = RLIMITS.iter().map(|(_, number)| *number).collect();
        assert_eq!(numbers, (0..16).collect());
    }
}
