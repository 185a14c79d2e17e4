//! The kernel's error numbers in words.

use nix::errno::Errno;

/// The text of strerror(3), in lower case as Go and so the engines write it, with the name that man pages use.
pub(crate) fn describe(errno: Errno) -> String {
    format!("{} ({errno:?})", lower_case(errno))
}

/// The text of strerror(3) in lower case.
pub(crate) fn lower_case(errno: Errno) -> String {
    errno.desc().to_lowercase()
}
