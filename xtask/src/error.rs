//! What can go wrong in a command of xtask. Every variant keeps what was attempted; the text says what to do about it
//! where that is known.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// The result of everything in xtask that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed command of xtask.
#[derive(Debug)]
pub enum Error {
    /// The first argument names no command.
    UnknownCommand,
    /// The arguments do not parse.
    Usage(lexopt::Error),
    /// An option was given a value outside of its list.
    UnknownValue {
        option: &'static str,
        value: String,
        known: String,
    },
    /// The command needs root for what follows.
    NeedsRoot { to: &'static str },
    /// A file or directory could not be made, read, written or removed.
    Io {
        attempted: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A program could not be started at all.
    Spawn { program: String, source: io::Error },
    /// A program ran and failed; `output` is what it said, as far as it was captured.
    Failed {
        command: String,
        status: ExitStatus,
        output: String,
    },
    /// A program did not end within this time, and was killed.
    Hung {
        command: String,
        longest: std::time::Duration,
    },
    /// Debian packages are missing and could not be installed.
    Packages {
        missing: Vec<String>,
        reason: String,
    },
    /// A program was built but is not what was ordered.
    NotStatic { path: PathBuf, reason: &'static str },
    /// The output of a program lacks something that has to be in it.
    Unexpected { what: String, found: String },
    /// A call on this process itself failed.
    Errno {
        call: &'static str,
        errno: nix::errno::Errno,
    },
    /// Ended by this signal.
    Interrupted(nix::sys::signal::Signal),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCommand => write!(f, "no such command; `cargo xtask help` lists them"),
            Self::Usage(source) => write!(f, "{source}; see --help"),
            Self::UnknownValue {
                option,
                value,
                known,
            } => {
                write!(f, "{option} {value}: no such value; there are: {known}")
            }
            Self::NeedsRoot { to } => write!(f, "must run as root to {to}"),
            Self::Io {
                attempted,
                path,
                source,
            } => write!(f, "cannot {attempted} {}: {source}", path.display()),
            Self::Spawn { program, source } => write!(f, "cannot start `{program}`: {source}"),
            Self::Failed {
                command,
                status,
                output,
            } => {
                write!(f, "`{command}` failed: {status}")?;
                match output.trim_end() {
                    "" => Ok(()),
                    text => write!(f, "\n{text}"),
                }
            }
            Self::Hung { command, longest } => {
                write!(f, "`{command}` did not end within {longest:?}")
            }
            Self::Packages { missing, reason } => write!(
                f,
                "these Debian packages are missing: {}\n{reason}\nInstall them (as root, with network): apt-get install -y {}",
                missing.join(" "),
                missing.join(" ")
            ),
            Self::NotStatic { path, reason } => write!(
                f,
                "{} is not a static, non-PIE executable: it {reason}. The static C library (package libc6-dev) may be missing",
                path.display()
            ),
            Self::Unexpected { what, found } => write!(f, "{what}; found: {found}"),
            Self::Errno { call, errno } => write!(f, "{call}: {errno}"),
            Self::Interrupted(signal) => write!(f, "interrupted by {signal}"),
        }
    }
}

impl From<lexopt::Error> for Error {
    fn from(source: lexopt::Error) -> Self {
        Self::Usage(source)
    }
}

/// `.map_err(io_error("read", path))`: an [`Error::Io`] with its path.
pub fn io_error(
    attempted: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(io::Error) -> Error {
    let path = path.into();
    move |source| Error::Io {
        attempted,
        path,
        source,
    }
}
