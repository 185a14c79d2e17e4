//! Text of the configuration as system calls and steps want it.

use std::ffi::CString;

use crate::error::{Error, LowerProblem, Result};

/// A string for a system call; `origin` says where a NUL in it comes from.
pub(super) fn c(origin: &str, text: impl Into<Vec<u8>>) -> Result<CString> {
    CString::new(text).map_err(|_| Error::lower(origin, LowerProblem::Nul))
}

/// A path of the container's as the steps want it: relative, and normal.
pub(super) fn below_root(origin: &str, path: &str) -> Result<CString> {
    let mut below = normal(path);
    below.remove(0);
    c(origin, below)
}

/// A path of the container's with single slashes before names. `..` takes away the name before it, as it is written; at the root
/// it stays there.
pub(super) fn normal(path: &str) -> String {
    // Each name with a slash before it, and a place for the NUL.
    let mut normal = String::with_capacity(path.len() + 2);
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => normal.truncate(normal.rfind('/').unwrap_or(0)),
            name => {
                normal.push('/');
                normal.push_str(name);
            }
        }
    }
    if normal.is_empty() {
        normal.push('/');
    }
    normal
}
