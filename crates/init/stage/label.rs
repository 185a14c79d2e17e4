//! Labels of security modules. A process tells its own by writing to files of `/proc/PID/attr`, and in a container anything may
//! be mounted there (CVE-2019-16884, CVE-2025-52881): it is done through a procfs that is attached nowhere.

use crate::child;
use crate::filesystem;
use crate::report::Part;
use crate::stat;
use crate::step::{At, Done, fail};
use crate::sys;
use crate::{caller, sys::Fd};
use core::ffi::CStr;

const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// Writes `text` to `file` of our own attributes.
pub fn set(file: &CStr, text: &CStr) -> Done {
    let proc = filesystem::private_proc()?;
    let strict = sys::RESOLVE_BENEATH | sys::RESOLVE_NO_SYMLINKS | sys::RESOLVE_NO_XDEV;
    let mut path = [0; 16];
    let flags = sys::O_PATH | sys::O_DIRECTORY;
    let directory: Fd =
        sys::openat2(proc, attributes(&mut path), flags, strict).at(Part::Openat2)?;
    let file = sys::openat2(directory, file, sys::O_WRONLY, strict).at(Part::Openat2)?;
    let magic = stat::fstatfs_magic(file).at(Part::Stat)?;
    if magic != PROC_SUPER_MAGIC {
        return fail(Part::WrongPlace, sys::EINVAL, magic);
    }
    let bytes = text.to_bytes();
    // The kernel passes over a write of nothing; a newline alone takes a label back.
    let bytes = if bytes.is_empty() { b"\n" } else { bytes };
    let written = sys::write(file, bytes).at(Part::Write)?;
    for fd in [file, directory, proc] {
        sys::close(fd);
    }
    if written != bytes.len() {
        return fail(Part::Write, sys::EINVAL, written as u64);
    }
    Ok(())
}

/// `PID/attr`: the link `self` would have to be followed.
fn attributes(buffer: &mut [u8; 16]) -> &CStr {
    let mut digits = [0; 10];
    let pid = caller::decimal(child::getpid(), &mut digits);
    buffer[..pid.len()].copy_from_slice(pid);
    buffer[pid.len()..pid.len() + 5].copy_from_slice(b"/attr");
    CStr::from_bytes_until_nul(buffer).unwrap_or(c"")
}
