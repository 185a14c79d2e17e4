//! What can go wrong, with the arguments of what was tried.
//!
//! One error type serves the whole crate. A refusal of the configuration carries the JSON pointer below
//! `/linux/resources`; a refusal of the kernel carries the file or directory, the value and the errno.

use crate::dbus::Bus;
use nix::errno::Errno;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `cgroupsPath` or the container id cannot name a cgroup.
    #[error("{value:?} cannot name a cgroup: {reason}")]
    Path {
        /// The path or id as given.
        value: String,
        /// Why.
        reason: &'static str,
    },
    /// No cgroup hierarchy is mounted, or the calling process is outside of what is mounted.
    #[error("cgroups cannot be used: {reason}{}", Where(mount_point))]
    Layout {
        /// What is missing.
        reason: &'static str,
        /// The mount concerned, if one is.
        mount_point: Option<PathBuf>,
    },
    /// A setting has a value that means nothing.
    #[error("/linux/resources{pointer}: {value}: {reason}")]
    Invalid {
        /// JSON pointer below `/linux/resources`.
        pointer: String,
        /// The value as given.
        value: String,
        /// Why.
        reason: &'static str,
    },
    /// A setting that this mode of cgroups cannot express and that must not be dropped.
    #[error("/linux/resources{pointer} cannot be applied: {reason}")]
    Unsupported {
        /// JSON pointer below `/linux/resources`.
        pointer: String,
        /// Why.
        reason: &'static str,
    },
    /// A setting needs a controller that this host does not offer.
    #[error(
        "/linux/resources{pointer} needs the cgroup controller {controller}, which is not available"
    )]
    Controller {
        /// JSON pointer below `/linux/resources`.
        pointer: String,
        /// Name of the controller.
        controller: &'static str,
    },
    /// A memory limit lies below what is in use and `checkBeforeUpdate` is set.
    #[error(
        "/linux/resources{pointer}: {limit} is below the {usage} bytes that {file:?} reports in use"
    )]
    Usage {
        /// JSON pointer below `/linux/resources`.
        pointer: String,
        /// The file that gives the usage.
        file: PathBuf,
        /// Bytes in use.
        usage: u64,
        /// The limit asked for.
        limit: u64,
    },
    /// A value was not accepted by a cgroup file.
    #[error("write {value:?} to {file:?}{}: {}", At(pointer), Name(*errno))]
    Write {
        /// The file.
        file: PathBuf,
        /// What was written.
        value: String,
        /// JSON pointer below `/linux/resources`; empty where no setting asked for it.
        pointer: String,
        /// The errno.
        errno: i32,
    },
    /// A change of several limits was refused half-way.
    #[error("{cause}; {}", Left(left))]
    Update {
        /// What was refused.
        cause: Box<Error>,
        /// Files that have their new value and could not be given back the old one.
        left: Vec<(PathBuf, String)>,
    },
    /// A system call on a cgroup directory or file failed.
    #[error("{call} {path:?}: {}", Name(*errno))]
    Io {
        /// `mkdir`, `rmdir`, `open`, `read`, `bpf(BPF_PROG_LOAD)`, ...
        call: &'static str,
        /// The directory or file.
        path: PathBuf,
        /// The errno.
        errno: i32,
    },
    /// A file of the kernel holds something unexpected.
    #[error("{path:?} holds {text:?}, which is not what cgroup files hold")]
    Format {
        /// The file.
        path: PathBuf,
        /// Its text, or the line concerned.
        text: String,
    },
    /// The cgroup exists and is not empty, or is frozen.
    #[error("the cgroup {dir:?} exists already and {}", Occupied(pids))]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// Processes in it; empty if it is frozen.
        pids: Vec<i32>,
    },
    /// The cgroup exists, and somebody is about to put processes there.
    #[error("the cgroup {dir:?} exists already and {by} is to have it")]
    Claimed {
        /// The directory.
        dir: PathBuf,
        /// Who, in words.
        by: String,
    },
    /// The cgroup could not be removed in time.
    #[error("the cgroup {dir:?} cannot be removed: {}: processes {pids:?}", Name(*errno))]
    Busy {
        /// The directory that remains.
        dir: PathBuf,
        /// Processes that live in it or below.
        pids: Vec<i32>,
        /// What the last rmdir(2) gave.
        errno: i32,
    },
    /// The bus of systemd cannot be reached.
    #[error(
        "{}: the {bus} at {address:?} cannot be connected to: {}; {}",
        unanswered(*errno),
        Name(*errno),
        advice(*bus)
    )]
    Bus {
        /// Which.
        bus: Bus,
        /// Its address.
        address: String,
        /// Why.
        errno: i32,
    },
    /// The bus does not let the caller in.
    #[error("the bus at {address:?} refuses the connection: {answer:?}")]
    BusRefusal {
        /// Its address.
        address: String,
        /// What it says.
        answer: String,
    },
    /// The conversation with the bus ended early.
    #[error("the connection to the bus at {address:?} failed: {}", Name(*errno))]
    BusBroken {
        /// Its address.
        address: String,
        /// ETIMEDOUT where no answer came, EBADMSG where it made no sense.
        errno: i32,
    },
    /// The caller wanted an end while the bus or systemd was waited for.
    #[error("the conversation with the bus at {address:?} was interrupted")]
    BusInterrupted {
        /// Its address.
        address: String,
    },
    /// systemd refuses a call.
    #[error("systemd refuses {method} for the unit {unit}: {message} ({error})")]
    Systemd {
        /// Name of the method.
        method: String,
        /// Name of the unit.
        unit: String,
        /// Name of the error.
        error: String,
        /// Its text.
        message: String,
    },
    /// systemd accepted a call and failed to do it.
    #[error("systemd did not do {method} for the unit {unit}: the job ended as {result:?}")]
    Job {
        /// Name of the method.
        method: String,
        /// Name of the unit.
        unit: String,
        /// `canceled`, `timeout`, `failed`, `dependency`, `skipped`.
        result: String,
    },
    /// A unit of that name exists and is in use.
    #[error("the unit {unit} exists already and is in use: processes {pids:?}")]
    UnitInUse {
        /// Name of the unit.
        unit: String,
        /// Processes in its cgroup.
        pids: Vec<i32>,
    },
    /// systemd has made the unit's cgroup in another place than where it has its units by convention.
    #[error(
        "the unit {unit} has not the cgroup {expected:?} as expected{}",
        Where(found)
    )]
    Place {
        /// Name of the unit.
        unit: String,
        /// The directory that was expected.
        expected: PathBuf,
        /// The directory of its process, if it can be seen from here.
        found: Option<PathBuf>,
    },
    /// An annotation cannot be a property of a unit.
    #[error("annotation {annotation}: {value:?}: {reason}")]
    Property {
        /// Name of the annotation.
        annotation: String,
        /// Its value.
        value: String,
        /// Why.
        reason: &'static str,
    },
    /// The kernel did not finish in time.
    #[error("{dir:?} did not become {state} in time")]
    Timeout {
        /// The directory.
        dir: PathBuf,
        /// What was waited for: `frozen`, `empty`.
        state: &'static str,
    },
}

/// Broad classes of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration is at fault.
    Config,
    /// The host lacks what the configuration needs.
    Unavailable,
    /// The kernel refused for lack of permission.
    Permission,
    /// The cgroup is not there (any more).
    NotFound,
    /// Something still lives in the cgroup, or did not finish in time.
    Busy,
    /// Any other refusal of the kernel.
    Kernel,
    /// The caller wanted an end.
    Interrupted,
}

impl Error {
    /// The class of this error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Path { .. }
            | Error::Invalid { .. }
            | Error::Unsupported { .. }
            | Error::Property { .. } => ErrorKind::Config,
            Error::Layout { .. }
            | Error::Controller { .. }
            | Error::Bus { .. }
            | Error::BusRefusal { .. }
            | Error::BusBroken { .. }
            | Error::Systemd { .. }
            | Error::Job { .. }
            | Error::Place { .. } => ErrorKind::Unavailable,
            Error::UnitInUse { .. } => ErrorKind::Busy,
            Error::BusInterrupted { .. } => ErrorKind::Interrupted,
            Error::Usage { .. }
            | Error::InUse { .. }
            | Error::Claimed { .. }
            | Error::Busy { .. }
            | Error::Timeout { .. } => ErrorKind::Busy,
            Error::Format { .. } => ErrorKind::Kernel,
            Error::Update { cause, .. } => cause.kind(),
            Error::Write { errno, .. } | Error::Io { errno, .. } => match *errno {
                libc::EPERM | libc::EACCES | libc::EROFS => ErrorKind::Permission,
                libc::ENOENT | libc::ENODEV => ErrorKind::NotFound,
                libc::EBUSY => ErrorKind::Busy,
                _ => ErrorKind::Kernel,
            },
        }
    }

    /// The errno of the failed system call, if one failed.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Error::Write { errno, .. } | Error::Io { errno, .. } | Error::Busy { errno, .. } => {
                Some(*errno)
            }
            Error::Update { cause, .. } => cause.errno(),
            _ => None,
        }
    }

    /// JSON pointer below `/linux/resources` of the setting at fault, if one is.
    pub fn pointer(&self) -> Option<&str> {
        match self {
            Error::Invalid { pointer, .. }
            | Error::Unsupported { pointer, .. }
            | Error::Controller { pointer, .. }
            | Error::Usage { pointer, .. } => Some(pointer),
            Error::Write { pointer, .. } if !pointer.is_empty() => Some(pointer),
            Error::Update { cause, .. } => cause.pointer(),
            _ => None,
        }
    }

    pub(crate) fn io(call: &'static str, path: &Path, error: &io::Error) -> Self {
        Error::Io {
            call,
            path: path.to_path_buf(),
            errno: errno_of(error),
        }
    }

    pub(crate) fn invalid(
        pointer: impl Into<String>,
        value: impl fmt::Display,
        reason: &'static str,
    ) -> Self {
        Error::Invalid {
            pointer: pointer.into(),
            value: value.to_string(),
            reason,
        }
    }

    pub(crate) fn unsupported(pointer: impl Into<String>, reason: &'static str) -> Self {
        Error::Unsupported {
            pointer: pointer.into(),
            reason,
        }
    }
}

/// The errno behind `error`; EIO for the few errors that std makes up itself (a path with a NUL byte is one).
pub(crate) fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// The first is what runc says, and what its users look for.
fn unanswered(errno: i32) -> &'static str {
    match errno {
        libc::ENOENT | libc::ECONNREFUSED => {
            "systemd not running on this host, cannot use systemd cgroups manager"
        }
        _ => "systemd cannot be asked for a cgroup",
    }
}

fn advice(bus: Bus) -> &'static str {
    match bus {
        Bus::System => {
            "start dbus, name its socket in DBUS_SYSTEM_BUS_ADDRESS, or use --cgroup-manager cgroupfs"
        }
        Bus::User => {
            "log in with a session of systemd, name the socket in DBUS_SESSION_BUS_ADDRESS, or use --cgroup-manager cgroupfs"
        }
    }
}

/// `ENOENT: No such file or directory`.
struct Name(i32);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Errno::from_raw(self.0), f)
    }
}

struct At<'a>(&'a str);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => Ok(()),
            pointer => write!(f, " (/linux/resources{pointer})"),
        }
    }
}

struct Where<'a>(&'a Option<PathBuf>);

impl fmt::Display for Where<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(mount_point) => write!(f, " ({mount_point:?})"),
            None => Ok(()),
        }
    }
}

struct Occupied<'a>(&'a [i32]);

impl fmt::Display for Occupied<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("is frozen"),
            pids => write!(f, "is not empty: processes {pids:?}"),
        }
    }
}

struct Left<'a>(&'a [(PathBuf, String)]);

impl fmt::Display for Left<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no limit was changed");
        }
        f.write_str("these were changed before and stay so:")?;
        for (file, value) in self.0 {
            write!(f, " {value:?} in {file:?}")?;
        }
        Ok(())
    }
}
