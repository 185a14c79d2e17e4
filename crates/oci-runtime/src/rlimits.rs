//! Names of resource limits and the numbers the kernel knows them by, see setrlimit(2).

/// The 16 limits, each at the place that is its number (asm-generic/resource.h, which x86_64 and aarch64 have in common).
const RLIMITS: [&str; 16] = [
    "RLIMIT_CPU",
    "RLIMIT_FSIZE",
    "RLIMIT_DATA",
    "RLIMIT_STACK",
    "RLIMIT_CORE",
    "RLIMIT_RSS",
    "RLIMIT_NPROC",
    "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_AS",
    "RLIMIT_LOCKS",
    "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
];

/// The number of a limit; `None` if there is none of that name.
pub fn number(name: &str) -> Option<u32> {
    let place = RLIMITS.iter().position(|known| *known == name)?;
    u32::try_from(place).ok()
}

#[cfg(test)]
mod tests {
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
    fn the_numbers_are_those_of_the_c_library() {
        let some = [
            ("RLIMIT_CPU", libc::RLIMIT_CPU),
            ("RLIMIT_CORE", libc::RLIMIT_CORE),
            ("RLIMIT_NOFILE", libc::RLIMIT_NOFILE),
            ("RLIMIT_AS", libc::RLIMIT_AS),
            ("RLIMIT_MSGQUEUE", libc::RLIMIT_MSGQUEUE),
            ("RLIMIT_RTTIME", libc::RLIMIT_RTTIME),
        ];
        for (name, expected) in some {
            assert_eq!(
                number(name).map(i64::from),
                Some(i64::from(expected)),
                "{name}"
            );
        }
    }
}
