//! Sealed memory files: the program `init`, made once a process, and the plan, made for each launch.
//!
//! `init` is the only executable of ours that a container can ever reach, and nobody can write to it: not through
//! /proc/PID/exe, not with any capability. Where the system forbids executable memory files it is an ordinary one, which
//! nothing seals; so that no container can leave something in it for the next, each launch gets one of its own.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::OnceLock;

use nix::errno::Errno;

use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::sys;

static INIT: OnceLock<OwnedFd> = OnceLock::new();

/// The program as an open file.
#[derive(Debug)]
pub(super) enum Init {
    /// Sealed, for every launch.
    Sealed(&'static OwnedFd),
    /// For one launch.
    Unnamed(OwnedFd),
}

impl AsFd for Init {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Init::Sealed(fd) => fd.as_fd(),
            Init::Unnamed(fd) => fd.as_fd(),
        }
    }
}

/// The program. `fallback` is a directory for it where the system forbids executable memory files.
pub(super) fn init(fallback: &Path) -> Result<Init> {
    if let Some(made) = INIT.get() {
        return Ok(Init::Sealed(made));
    }

    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let made = match sys::memfd_create(c"oci-init", flags | libc::MFD_EXEC) {
        // Linux before 6.3 knows no such flag; its memory files are executable.
        Err(Errno::EINVAL) => sys::memfd_create(c"oci-init", flags),
        other => other,
    };
    match made {
        Ok(memfd) => {
            let made = fill(memfd, &[oci_runtime_init::ELF])
                .map_err(|errno| Error::call("memfd_create", "oci-init", errno))?;
            Ok(Init::Sealed(INIT.get_or_init(|| made)))
        }
        // vm.memfd_noexec=2 (sysctl/vm.rst).
        Err(Errno::EACCES) => unnamed_file(fallback)
            .map(Init::Unnamed)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;
    use std::process::Command;

    fn inode(init: &Init) -> (u64, u64) {
        let file = File::from(init.as_fd().try_clone_to_owned().expect("a clone"));
        let found = file.metadata().expect("its metadata");
        (found.dev(), found.ino())
    }

    #[test]
    fn the_sealed_program_is_made_once() {
        let directory = std::env::temp_dir();
        let twice = [(); 2].map(|()| init(&directory).expect("the program"));
        if let [Init::Sealed(_), Init::Sealed(_)] = &twice {
            assert_eq!(inode(&twice[0]), inode(&twice[1]));
        }
    }

    /// In a pid namespace of its own, where executable memory is forbidden: the setting belongs to that namespace.
    #[test]
    fn a_program_without_seals_serves_one_launch() {
        const ALONE: &str = "MEMFD_TEST_ALONE";
        if std::env::var_os(ALONE).is_some() {
            let directory = std::env::temp_dir();
            let twice = [(); 2].map(|()| init(&directory).expect("the program"));
            assert!(
                matches!(twice, [Init::Unnamed(_), Init::Unnamed(_)]),
                "{twice:?}"
            );
            assert_ne!(inode(&twice[0]), inode(&twice[1]));
            println!("two files");
            return;
        }
        let setting = Path::new("/proc/sys/vm/memfd_noexec");
        if !nix::unistd::geteuid().is_root() || !setting.exists() {
            eprintln!("not run: needs root and Linux 6.3");
            return;
        }
        let forbid = "echo 2 > /proc/sys/vm/memfd_noexec && exec \"$0\" \"$@\"";
        let output = Command::new("unshare")
            .args(["--pid", "--fork", "--mount-proc", "sh", "-c", forbid])
            .arg(std::env::current_exe().expect("this test"))
            .args([
                "--exact",
                "launch::memfd::tests::a_program_without_seals_serves_one_launch",
            ])
            .arg("--nocapture")
            .env(ALONE, "")
            .output()
            .expect("unshare");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("two files"),
            "{output:?}"
        );
    }
}
