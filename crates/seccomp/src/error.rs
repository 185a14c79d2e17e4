//! What is wrong with a profile, and what is merely odd about it. Both say where, as a JSON pointer (RFC 6901)
//! relative to the profile: `/syscalls/3/args/0/op`.

use std::fmt;

use crate::action::Action;
use crate::arch::Arch;

/// Why a profile cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{kind}", Place(pointer))]
pub struct Error {
    pointer: String,
    kind: ErrorKind,
}

/// The kinds of [`Error`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The profile has rules but no default action.
    #[error("a profile needs a default action")]
    NoDefaultAction,
    /// No such action.
    #[error("unknown action {0:?}")]
    UnknownAction(String),
    /// No such comparison.
    #[error("unknown operator {0:?}")]
    UnknownOperator(String),
    /// No such architecture.
    #[error("unknown architecture {0:?}")]
    UnknownArchitecture(String),
    /// No such flag.
    #[error("unknown flag {0:?}")]
    UnknownFlag(String),
    /// The name of a system call is empty.
    #[error("the name of a system call is empty")]
    EmptyName,
    /// An errno is given to an action that has none.
    #[error("action {0:?} takes no errno")]
    ErrnoNotTaken(Action),
    /// An errno, or a message for a tracer, that the kernel cannot return.
    #[error("errno {value} is larger than {limit}")]
    ErrnoTooLarge {
        /// What was asked for.
        value: u32,
        /// The most the action can carry.
        limit: u16,
    },
    /// A call has six arguments.
    #[error("no argument {0}: system calls have arguments 0 to 5")]
    NoSuchArgument(u32),
    /// Everything would wait for a listener that nothing can hand over.
    #[error(
        "SCMP_ACT_NOTIFY cannot be the default action: it would stop the calls that hand over the listener"
    )]
    NotifyByDefault,
    /// The listener's own number could not be reported.
    #[error(
        "SCMP_ACT_NOTIFY cannot be used for write: it would stop the call that hands over the listener"
    )]
    NotifyOnWrite,
    /// More instructions than the kernel takes (`BPF_MAXINSNS`).
    #[error("the filter needs more than {limit} instructions")]
    TooLarge {
        /// What the kernel takes.
        limit: usize,
    },
}

impl Error {
    pub(crate) fn new(pointer: impl Into<String>, kind: ErrorKind) -> Error {
        Error {
            pointer: pointer.into(),
            kind,
        }
    }

    /// Where in the profile; empty for the profile as a whole.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// What is wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }
}

/// A part of a profile that has no effect, or not the one it seems to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where in the profile.
    pub pointer: String,
    /// What is odd.
    pub kind: WarningKind,
}

/// The kinds of [`Warning`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WarningKind {
    /// No architecture has this call; the name is ignored.
    #[error("unknown system call {0:?} is ignored")]
    UnknownSyscall(String),
    /// The byte order of the architecture is not the machine's, so it never makes a call here.
    #[error("{0:?} is ignored: it has another byte order than this machine")]
    ForeignByteOrder(Arch),
    /// An unconditional rule for the same call takes precedence.
    #[error(
        "the rule for {0:?} has no effect: the call also has a rule without conditions, or an earlier one"
    )]
    Shadowed(String),
    /// The multiplexed form of a call passes its arguments in memory, where a filter cannot look.
    #[error(
        "on {arch:?} conditions on {name:?} cannot be checked when it is called through a multiplexer: {action:?}"
    )]
    Multiplexed {
        /// The call.
        name: String,
        /// The architecture.
        arch: Arch,
        /// What a multiplexed call gets.
        action: Action,
    },
    /// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV` without a rule that notifies; the kernel would refuse the flag.
    #[error("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV is left out: no rule has SCMP_ACT_NOTIFY")]
    WaitWithoutNotify,
}

impl fmt::Display for Warning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", Place(&self.pointer), self.kind)
    }
}

struct Place<'a>(&'a str);

impl fmt::Display for Place<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(out, "{}: ", self.0)
    }
}
