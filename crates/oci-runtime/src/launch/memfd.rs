//! Sealed memory files: the program `init`, made once a process, and the plan, made for each launch.
//!
//! `init` is the only executable of ours that a container can ever reach, and nobody can write to it: not through
//! /proc/PID/exe, not with any capability.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::OnceLock;

use nix::errno::Errno;

use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::sys;

static INIT: OnceLock<OwnedFd> = OnceLock::new();

/// The program as an open file. `fallback` is a directory for it where the system forbids executable memory files.
pub(super) fn init(fallback: &Path) -> Result<&'static OwnedFd> {
    if let Some(made) = INIT.get() {
        return Ok(made);
    }
    let made = make_init(fallback)?;
    Ok(INIT.get_or_init(|| made))
}

fn make_init(fallback: &Path) -> Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let made = match sys::memfd_create(c"oci-init", flags | libc::MFD_EXEC) {
        // Linux before 6.3 knows no such flag; its memory files are executable.
        Err(Errno::EINVAL) => sys::memfd_create(c"oci-init", flags),
        other => other,
    };
    match made {
        Ok(memfd) => fill(memfd, &[oci_runtime_init::ELF])
            .map_err(|errno| Error::call("memfd_create", "oci-init", errno)),
        // vm.memfd_noexec=2 (sysctl/vm.rst).
        Err(Errno::EACCES) => unnamed_file(fallback)
            .map_err(|source| Error::file("make an executable file in", fallback, source)),
        Err(errno) => Err(Error::call("memfd_create", "oci-init", errno)),
    }
}

/// A file without a name, opened again for reading only: a file that is open for writing cannot be executed.
fn unnamed_file(directory: &Path) -> std::io::Result<OwnedFd> {
    let flags = libc::O_TMPFILE | libc::O_CLOEXEC;
    let mut writer = OpenOptions::new()
        .write(true)
        .custom_flags(flags)
        .mode(0o500)
        .open(directory)?;
    writer.write_all(oci_runtime_init::ELF)?;
    let reader = File::open(format!("/proc/self/fd/{}", writer.as_raw_fd()))?;
    drop(writer);
    Ok(reader.into())
}

/// The encoded plan, sealed.
pub(super) fn plan(plan: &Plan) -> Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    sys::memfd_create(c"oci-plan", flags)
        .and_then(|memfd| fill(memfd, &[&plan.header(), plan.code()]))
        .map_err(|errno| Error::call("memfd_create", "oci-plan", errno))
}

fn fill(memfd: OwnedFd, parts: &[&[u8]]) -> Result<OwnedFd, Errno> {
    let mut file = File::from(memfd);
    for part in parts {
        file.write_all(part)
            .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    }
    let memfd = OwnedFd::from(file);
    sys::seal(memfd.as_fd())?;
    Ok(memfd)
}
