//! What can go wrong here, apart from what the library tells.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

/// Why a command was not carried out.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line makes no sense.
    Misuse(Misuse),
    /// The library's own error.
    Runtime(oci_runtime::Error),
    /// A signal, before the container or process was there.
    Interrupted {
        signal: i32,
        error: oci_runtime::Error,
    },
    /// A file.
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A stream.
    Io {
        action: &'static str,
        source: io::Error,
    },
    /// A system call.
    Os { action: &'static str, errno: Errno },
    /// A document that cannot be read.
    Parse {
        path: PathBuf,
        source: oci_runtime::spec::ParseError,
    },
    /// A seccomp profile that does not compile.
    Profile {
        path: PathBuf,
        pointer: String,
        kind: oci_runtime_seccomp::ErrorKind,
    },
    /// A configuration without a seccomp profile.
    NoProfile(PathBuf),
    /// No profile has a name for the machine's architecture.
    NoArchitecture,
    /// `seccomp explain` of a call that no architecture of the profile has.
    UnknownSyscall(String),
    /// `seccomp explain` with an argument that is no number.
    NotANumber(String),
    /// `spec` where there is a configuration already.
    Exists(PathBuf),
    /// A value that cannot be written as JSON.
    Json(serde_json::Error),
    /// A terminal, nobody to stay with it, and nowhere to send it.
    ConsoleNeeded,
    /// Somewhere to send a terminal, and none to send.
    ConsoleUnused,
    /// The container had a terminal to send, and it did not come.
    ConsoleLost,
    /// A description of the process in a file, and another one on the command line.
    TwoProcesses { also: &'static str },
    /// A flag of `exec` whose value can be none.
    Flag {
        flag: &'static str,
        value: String,
        reason: &'static str,
    },
    /// What came of the value of a flag.
    Value {
        flag: &'static str,
        value: String,
        failure: Box<Failure>,
    },
    /// A number of the caller's file descriptors that is not open.
    PreservedFd { fd: i32, count: u32 },
    /// `--root /`.
    RootIsRoot,
    /// `kill`.
    UnknownSignal(String),
    /// `--regex`.
    Pattern { pattern: String, reason: String },
    /// An architecture whose calls no profile can name.
    NoRecording,
    /// `ps` with options that leave its PID column out.
    NoPidColumn,
}

/// A command line that makes no sense.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Misuse {
    UnknownVerb(String),
    NotBuiltIn(&'static str),
    UnknownFlag {
        flag: String,
    },
    NeedsValue {
        flag: &'static str,
    },
    BadValue {
        flag: &'static str,
        value: String,
        reason: &'static str,
    },
    Choice {
        flag: &'static str,
        value: String,
        words: &'static [&'static str],
    },
    Word {
        what: &'static str,
        value: String,
        words: &'static [&'static str],
    },
    Count {
        verb: &'static str,
        usage: &'static str,
        found: usize,
    },
}

impl Misuse {
    pub fn bad(flag: &'static str, value: &OsStr, reason: &'static str) -> Misuse {
        Misuse::BadValue {
            flag,
            value: value.to_string_lossy().into_owned(),
            reason,
        }
    }
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misuse::UnknownVerb(name) => write!(f, "no such command: {name:?}"),
            Misuse::NotBuiltIn(verb) => write!(f, "the command {verb:?} is not built in yet"),
            Misuse::UnknownFlag { flag } => write!(f, "flag provided but not defined: -{flag}"),
            Misuse::NeedsValue { flag } => write!(f, "flag needs an argument: --{flag}"),
            Misuse::BadValue {
                flag,
                value,
                reason,
            } => {
                write!(f, "invalid value {value:?} for flag --{flag}: {reason}")
            }
            Misuse::Choice { flag, value, words } => {
                write!(
                    f,
                    "invalid value {value:?} for flag --{flag}: it must be {}",
                    words.join(" or ")
                )
            }
            Misuse::Word { what, value, words } => {
                write!(
                    f,
                    "invalid {what} {value:?}: it must be {}",
                    words.join(" or ")
                )
            }
            Misuse::Count {
                verb,
                usage: "",
                found,
            } => {
                write!(f, "{verb:?} takes no arguments, and got {found}")
            }
            Misuse::Count { verb, usage, found } => {
                write!(f, "{verb:?} takes the arguments {usage}, and got {found}")
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Misuse(misuse) => misuse.fmt(f),
            Failure::Runtime(error) => error.fmt(f),
            Failure::Interrupted { signal, error } => {
                write!(f, "interrupted by signal {signal}: {error}")
            }
            Failure::File {
                action,
                path,
                source,
            } => write!(f, "{action} {}: {}", path.display(), plain(source)),
            Failure::Io { action, source } => write!(f, "{action}: {}", plain(source)),
            Failure::Os { action, errno } => write!(f, "{action}: {}", named(*errno)),
            Failure::Parse { path, source } => write!(f, "{}: {source}", path.display()),
            Failure::Profile {
                path,
                pointer,
                kind,
            } => write!(f, "{}: {pointer}: {kind}", path.display()),
            Failure::NoProfile(path) => write!(f, "{}: it has no linux.seccomp", path.display()),
            Failure::NoArchitecture => {
                f.write_str("seccomp profiles have no name for the architecture of this machine")
            }
            Failure::UnknownSyscall(name) => {
                write!(
                    f,
                    "no architecture of the profile has a system call {name:?}"
                )
            }
            Failure::NotANumber(word) => {
                write!(
                    f,
                    "invalid argument {word:?}: it is not a number of 64 bits"
                )
            }
            Failure::Exists(path) => write!(f, "File {} exists. Remove it first", path.display()),
            Failure::Json(error) => write!(f, "write JSON: {error}"),
            Failure::ConsoleNeeded => f.write_str(
                "cannot allocate tty if runc will detach without setting console socket",
            ),
            Failure::ConsoleUnused => {
                f.write_str("cannot use console socket if runc will not detach or allocate tty")
            }
            Failure::ConsoleLost => f.write_str("the container's terminal was not handed over"),
            Failure::TwoProcesses { also } => {
                write!(
                    f,
                    "--process takes the whole process from the file, so {also} cannot be given"
                )
            }
            Failure::Flag {
                flag,
                value,
                reason,
            } => write!(f, "invalid value {value:?} for flag --{flag}: {reason}"),
            // The opening words are runc's, which engines look for.
            Failure::Value {
                flag,
                value,
                failure,
            } => write!(f, "{failure} (invalid value {value:?} for flag --{flag})"),
            Failure::PreservedFd { fd, count } => {
                write!(
                    f,
                    "unable to stat preserved-fd {fd} (of {count}): it is not open"
                )
            }
            Failure::RootIsRoot => f.write_str("--root must not be the root directory"),
            Failure::NoRecording => {
                f.write_str("the calls of this architecture cannot be recorded")
            }
            Failure::NoPidColumn => {
                f.write_str("ps gives no column PID to tell the container's processes by")
            }
            Failure::Pattern { pattern, reason } => {
                write!(
                    f,
                    "invalid regular expression {pattern:?} with --regex: {reason}"
                )
            }
            Failure::UnknownSignal(name) => write!(f, "unknown signal {name:?}"),
        }
    }
}

/// strerror(3) in lower case, as engines look for it, and the name that man pages use.
fn plain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => named(Errno::from_raw(number)),
        None => error.to_string(),
    }
}

fn named(errno: Errno) -> String {
    format!("{} ({errno:?})", errno.desc().to_lowercase())
}

impl From<Misuse> for Failure {
    fn from(misuse: Misuse) -> Failure {
        Failure::Misuse(misuse)
    }
}

impl From<oci_runtime::Error> for Failure {
    fn from(error: oci_runtime::Error) -> Failure {
        Failure::Runtime(error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Failure {
        Failure::Json(error)
    }
}
