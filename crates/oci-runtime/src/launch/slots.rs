//! Opening what a plan refers to by number: from here on it is pinned, whatever happens to the paths.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open as nix_open};
use nix::sys::stat::Mode;
use oci_runtime_cgroups::Paths;

use crate::error::{Error, Result};
use crate::plan::{Plan, Source};
use crate::sys;

/// What slots are opened from, besides paths.
#[derive(Debug, Default)]
pub(crate) struct Inputs<'a> {
    /// The payload's standard streams.
    pub stdio: Option<[BorrowedFd<'a>; 3]>,
    /// Further fds that the payload gets, from 3 on.
    pub preserved: &'a [BorrowedFd<'a>],
    /// Where the terminal's master goes.
    pub console: Option<BorrowedFd<'a>>,
    /// Where a socket of the container's network namespace goes.
    pub net: Option<BorrowedFd<'a>>,
    /// The FIFOs of `start`: the gate, and the way back.
    pub gate: Option<[BorrowedFd<'a>; 2]>,
    /// The process to join.
    pub pidfd: Option<BorrowedFd<'a>>,
    /// The container's cgroup.
    pub cgroup: Option<&'a Paths>,
}

/// An fd for a slot: opened here, or the caller's own.
pub(super) enum Opened<'a> {
    Ours(OwnedFd),
    Callers(BorrowedFd<'a>),
}

impl Opened<'_> {
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Opened::Ours(fd) => fd.as_fd(),
            Opened::Callers(fd) => *fd,
        }
    }
}

/// Opens every slot of the parent's.
pub(super) fn open<'a>(plan: &Plan, inputs: &Inputs<'a>) -> Result<Vec<Opened<'a>>> {
    plan.slots()
        .iter()
        .map(|slot| {
            open_one(&slot.source, inputs).map_err(|error| error.asked_for_by(&slot.origin))
        })
        .collect()
}

fn open_one<'a>(source: &Source, inputs: &Inputs<'a>) -> Result<Opened<'a>> {
    let missing = |what: &str| Error::call("open a slot", what, Errno::EBADF);
    let callers = |fd: Option<BorrowedFd<'a>>, what: &str| {
        fd.map(Opened::Callers).ok_or_else(|| missing(what))
    };
    match source {
        Source::Preserved(index) => callers(
            inputs.preserved.get(usize::from(*index)).copied(),
            "a preserved fd",
        ),
        Source::Stdio(stream) => callers(
            inputs
                .stdio
                .map(|streams| streams[usize::from(*stream).min(2)]),
            "a standard stream",
        ),
        Source::ConsoleSocket => callers(inputs.console, "the console socket"),
        Source::NetSocket => callers(inputs.net, "the socket for the network"),
        Source::Pidfd => callers(inputs.pidfd, "the container's process"),
        Source::Rootfs(path) => rootfs(path).map(Opened::Ours),
        Source::Gate => callers(inputs.gate.map(|[gate, _]| gate), "the gate"),
        Source::GateReport => callers(inputs.gate.map(|[_, report]| report), "the way back"),
        Source::Namespace(path, kind) => namespace(path, *kind).map(Opened::Ours),
        Source::CgroupDirectory => {
            let paths = inputs.cgroup.ok_or_else(|| missing("the cgroup"))?;
            Ok(Opened::Ours(oci_runtime_cgroups::open_v2_dir(paths)?))
        }
    }
}

/// A detached clone of the tree at `path`. The directory itself must not be a link: whoever fills it could have put one there.
fn rootfs(path: &Path) -> Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let directory = nix_open(path, flags, Mode::empty()).map_err(|errno| {
        let link = errno == Errno::ENOTDIR
            && path
                .symlink_metadata()
                .is_ok_and(|found| found.is_symlink());
        let action = if link {
            "the rootfs must not be a symbolic link: open"
        } else {
            "open the rootfs"
        };
        Error::file(action, path, io::Error::from(errno))
    })?;
    sys::open_tree_clone(directory.as_fd())
        .map_err(|errno| Error::call("open_tree", path.display().to_string(), errno))
}

/// A namespace of the kind that was asked for, and of no other.
fn namespace(path: &Path, kind: u64) -> Result<OwnedFd> {
    let flags = libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(|source| Error::file("open the namespace", path, source))?;
    match sys::namespace_type(file.as_fd()) {
        Ok(found) if found == kind => Ok(file.into()),
        Ok(_) => Err(Error::file(
            "the namespace is of another type:",
            path,
            Errno::EINVAL.into(),
        )),
        Err(errno) => Err(Error::file("not a namespace:", path, errno.into())),
    }
}
