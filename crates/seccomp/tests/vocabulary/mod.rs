//! What random profiles are made of.

/// How an argument is compared, without `SCMP_CMP_`.
pub const OPERATORS: &[&str] = &["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];

/// Calls that are one call on one architecture and another on the next, that only some have, or that nobody has.
pub const NAMES: &[&str] = &[
    "read",
    "open",
    "close",
    "socket",
    "bind",
    "connect",
    "send",
    "sendto",
    "socketcall",
    "ipc",
    "shmat",
    "semop",
    "ioctl",
    "personality",
    "prctl",
    "clone",
    "openat2",
    "futex_time64",
    "set_tls",
    "cacheflush",
    "readv",
    "reed",
    "arm_sync_file_range",
    "sync_file_range2",
];
