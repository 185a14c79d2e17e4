//! What can go wrong, from the kernel's errno in the container's first process to a sentence for a person.
//!
//! An [`Error`] keeps what was attempted, with which arguments, and why it failed; [`Error::kind`] sorts it for
//! programs. The opening words of some texts are matched by engines (they decide between exit codes 126 and 127, or
//! between "gone" and "broken" by them), so those follow runc's wording to the letter; the explanation comes after.

mod errno;
mod exe;
mod failure;
mod hook;

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::check::Problem;
use crate::host::HostError;
use crate::interrupt::{Interruption, Stopped};
use crate::spec::ParseError;

use errno::describe;
pub(crate) use exe::{Refusal, not_executed, not_found};
pub(crate) use failure::Described;
pub use failure::StepFailure;
pub(crate) use hook::HookFailure;

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<Cause>);

/// What sort of failure an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// config.json, or another input file, is missing, malformed or asks for what cannot be.
    InvalidConfig,
    /// The container's id has a form that is not allowed.
    InvalidId,
    /// There is a container with that id already.
    AlreadyExists,
    /// There is no container with that id.
    NotFound,
    /// The container does not run.
    NotRunning,
    /// The container is in a state in which that cannot be done.
    WrongStatus,
    /// The program to run is not there or cannot be executed.
    Executable,
    /// The machine lacks something that is needed.
    Unsupported,
    /// The creation was ended before it was done: by its caller, or because the container was deleted by force.
    Interrupted,
    /// A system call failed.
    Os,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    #[error("{}: {source}", path.display())]
    Parse { path: PathBuf, source: ParseError },
    #[error("invalid config.json: {}", list(.0))]
    Config(Vec<Problem>),
    #[error("invalid config.json: {}", placed(pointer, problem))]
    Lower {
        pointer: String,
        problem: LowerProblem,
    },
    #[error(transparent)]
    Host(#[from] HostError),
    #[error("invalid container ID format: {id:?}: {reason}")]
    Id { id: String, reason: &'static str },
    #[error("container with given ID already exists: {id}")]
    Exists { id: String },
    #[error("container does not exist: {id}")]
    NotFound { id: String },
    #[error("container not running: {id} is {status}")]
    NotRunning { id: String, status: &'static str },
    #[error("{attempt}")]
    Status { attempt: String },
    #[error("{action} {}: {}", path.display(), text(source))]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{pointer}: {error}")]
    Input { pointer: String, error: Error },
    #[error("{} does not have {line:?}, and another's class is not changed", file.display())]
    Resctrl { file: PathBuf, line: String },
    #[error("{} is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("the container was made by another runtime, as {} shows; that one has to be asked", path.display())]
    Foreign { path: PathBuf },
    #[error("unable to start container process: {0}")]
    Interrupted(Interruption),
    #[error("unable to start container process: {0}")]
    Step(StepFailure),
    #[error("{origin}: hook {path}: {failure}")]
    Hook {
        origin: String,
        path: String,
        failure: HookFailure,
    },
    #[error("unable to start container process: {0}")]
    Executable(Refusal),
    #[error(
        "unable to start container process: container init ended without a report while {stage}{hint}"
    )]
    Died {
        stage: &'static str,
        hint: &'static str,
    },
    #[error(transparent)]
    Cgroup(#[from] oci_runtime_cgroups::Error),
    #[error("{call}({arguments}): {}", describe(*errno))]
    Call {
        call: &'static str,
        arguments: String,
        errno: Errno,
    },
    #[error("{0}")]
    Unsupported(&'static str),
}

impl From<Stopped> for Error {
    fn from(stopped: Stopped) -> Error {
        match stopped {
            Stopped::By(who) => Cause::Interrupted(who).into(),
            Stopped::Poll(errno) => Error::call("poll", "for the creation to go on", errno),
        }
    }
}

/// What lowering itself finds: values that pass the checks and still have no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LowerProblem {
    #[error("is missing")]
    Missing,
    #[error("contains a NUL byte")]
    Nul,
    #[error(
        "the plan would need more than {} file descriptors",
        oci_runtime_init::op::MAX_SLOTS
    )]
    TooManySlots,
    #[error("the plan would have more than {} steps", u16::MAX)]
    TooManySteps,
    #[error("{0}")]
    IdMap(crate::id_map::NoMap),
    #[error("{0}")]
    Seccomp(oci_runtime_seccomp::Error),
    #[error("{0}")]
    Cgroup(oci_runtime_cgroups::Error),
    #[error("a limit needs a cgroup, and the cgroup manager is \"disabled\" or may make none here")]
    NoCgroup,
    #[error(
        "without privileges only the caller's own id ({0}) can be mapped; as root of a user namespace \
         (`unshare --map-auto`, `podman unshare`) all that it has"
    )]
    OwnIdOnly(u32),
    #[error("the filter would stop the runtime's own last steps: {call} must be allowed{when}")]
    FilterTooStrict {
        call: &'static str,
        when: &'static str,
    },
    #[error(
        "calls cannot be recorded under a filter with SCMP_ACT_NOTIFY: a process has one listener at most"
    )]
    TwoListeners,
    #[error("{0} is an architecture without seccomp filters here")]
    Architecture(&'static str),
}

impl Error {
    /// What sort of failure this is.
    pub fn kind(&self) -> Kind {
        match &*self.0 {
            Cause::Parse { .. } | Cause::Config(_) | Cause::Lower { .. } => Kind::InvalidConfig,
            Cause::Input { .. } | Cause::Resctrl { .. } => Kind::InvalidConfig,
            Cause::Id { .. } => Kind::InvalidId,
            Cause::Exists { .. } => Kind::AlreadyExists,
            Cause::NotFound { .. } => Kind::NotFound,
            Cause::NotRunning { .. } => Kind::NotRunning,
            Cause::Status { .. } => Kind::WrongStatus,
            Cause::Executable(_) => Kind::Executable,
            Cause::Interrupted(_)
            | Cause::Hook {
                failure: HookFailure::Interrupted(_),
                ..
            } => Kind::Interrupted,
            Cause::Host(_) | Cause::Unsupported(_) => Kind::Unsupported,
            Cause::File { .. } | Cause::Damaged { .. } | Cause::Foreign { .. } => Kind::Os,
            Cause::Step(_)
            | Cause::Hook { .. }
            | Cause::Died { .. }
            | Cause::Cgroup(_)
            | Cause::Call { .. } => Kind::Os,
        }
    }

    /// The failed step of the container's own set-up, when that is what this is.
    pub fn step(&self) -> Option<&StepFailure> {
        match &*self.0 {
            Cause::Step(failure) => Some(failure),
            _ => None,
        }
    }

    /// JSON pointers of the properties at fault, as far as they are known; those of a process that joins a container count from the
    /// process.
    pub fn pointers(&self) -> Vec<String> {
        match &*self.0 {
            Cause::Config(problems) => problems.iter().map(|p| p.pointer.clone()).collect(),
            Cause::Lower { pointer, .. } | Cause::Input { pointer, .. } => vec![pointer.clone()],
            Cause::Hook { origin, .. } => vec![origin.clone()],
            Cause::Step(failure) if !failure.pointer.is_empty() => vec![failure.pointer.clone()],
            Cause::Cgroup(error) => error
                .pointer()
                .map(|pointer| format!("/linux/resources{pointer}"))
                .into_iter()
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The file that could not be used or makes no sense, when that is what this is.
    pub fn path(&self) -> Option<&Path> {
        match &*self.0 {
            Cause::File { path, .. } | Cause::Parse { path, .. } => Some(path),
            _ => None,
        }
    }

    /// The damaged file and what is wrong with it, when that is what this is.
    pub(crate) fn damage(&self) -> Option<(&Path, &str)> {
        match &*self.0 {
            Cause::Damaged { path, reason } => Some((path, reason)),
            _ => None,
        }
    }

    pub(crate) fn file(action: &'static str, path: &Path, source: io::Error) -> Error {
        Cause::File {
            action,
            path: path.to_owned(),
            source,
        }
        .into()
    }

    /// The same failure, with the place of config.json that led to it.
    pub(crate) fn asked_for_by(self, pointer: &str) -> Error {
        if pointer.is_empty() {
            return self;
        }
        Cause::Input {
            pointer: pointer.to_owned(),
            error: self,
        }
        .into()
    }

    pub(crate) fn call(call: &'static str, arguments: impl Into<String>, errno: Errno) -> Error {
        Cause::Call {
            call,
            arguments: arguments.into(),
            errno,
        }
        .into()
    }

    pub(crate) fn lower(pointer: impl Into<String>, problem: LowerProblem) -> Error {
        Cause::Lower {
            pointer: pointer.into(),
            problem,
        }
        .into()
    }
}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Error {
        Error(Box::new(cause))
    }
}

impl From<StepFailure> for Error {
    fn from(failure: StepFailure) -> Error {
        Cause::Step(failure).into()
    }
}

impl From<HostError> for Error {
    fn from(error: HostError) -> Error {
        Cause::Host(error).into()
    }
}

impl From<oci_runtime_cgroups::Error> for Error {
    fn from(error: oci_runtime_cgroups::Error) -> Error {
        Cause::Cgroup(error).into()
    }
}

fn text(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => describe(Errno::from_raw(number)),
        None => error.to_string(),
    }
}

/// A problem with its place, which what comes from the other compilers tells too: the whole of it, or from where their part begins.
fn placed(pointer: &str, problem: &LowerProblem) -> String {
    let text = problem.to_string();
    match text.split_once(": ") {
        _ if text.starts_with(pointer) => text,
        Some((place, rest)) if place.starts_with('/') && pointer.ends_with(place) => {
            format!("{pointer}: {rest}")
        }
        _ => format!("{pointer}: {text}"),
    }
}

fn list(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("; ")
}
