//! `exec`: one more process in a running container.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;

use crate::agent;
use crate::check;
use crate::create::{complain, count, log_trace};
use crate::error::{Cause, Error, Kind, Result};
use crate::host::Host;
use crate::interrupt::Interrupts;
use crate::launch::{Child, Inputs, abandon, launch, schedule};
use crate::lower::{self, Join};
use crate::plan::ParentOp;
use crate::process::{Process, write_pid_file};
use crate::recorder::Recorder;
use crate::signal;
use crate::spec::{self, Process as ProcessSpec, Spec};
use crate::state::{State, StateRoot, Status};

/// How a process is to join a container.
#[derive(Debug, Clone)]
pub struct Exec<'a> {
    /// Its standard streams where it has no terminal.
    pub stdio: [BorrowedFd<'a>; 3],
    /// A connected socket that gets the terminal's master as `SCM_RIGHTS`; needed with `terminal`.
    pub console: Option<BorrowedFd<'a>>,
    /// Further file descriptors that it gets, from 3 on.
    pub preserve_fds: &'a [BorrowedFd<'a>],
    /// Whether it gets the container's session keyring.
    pub keyring: bool,
    /// A file for its pid: decimal digits and nothing else.
    pub pid_file: Option<&'a Path>,
    /// Whether a paused container is joined all the same; the process then waits until it is resumed.
    pub ignore_paused: bool,
    /// Cgroups below the container's that it goes to: `PATH`, or on v1 `CONTROLLER[,CONTROLLER...]:PATH`; the container's own
    /// where nothing is named.
    pub cgroup: &'a [String],
    /// Readable when the process is not to begin after all; it is not read. Nothing looks at it once the process has begun.
    pub interrupt: Option<BorrowedFd<'a>>,
    /// Whether to log, at debug level, when each step was done.
    pub trace: bool,
}

impl<'a> Exec<'a> {
    /// A process with these streams and the container's keyring, in the container's own cgroup.
    pub fn new(stdio: [BorrowedFd<'a>; 3]) -> Exec<'a> {
        Exec {
            stdio,
            console: None,
            preserve_fds: &[],
            keyring: true,
            pid_file: None,
            ignore_paused: false,
            cgroup: &[],
            interrupt: None,
            trace: false,
        }
    }
}

/// Makes the process of `exec` out of the configuration that the container was created with.
pub type Describe<'d> = &'d dyn for<'s> Fn(&Spec<'s>) -> Result<ProcessSpec<'s>>;

/// Starts a process in a running container, and returns when it has begun. `describe` gets the configuration that the container was
/// created with, and answers the process.
///
/// # Errors
/// The container does not run, the process could not be started, or an interruption.
pub fn exec(
    root: &StateRoot,
    id: &str,
    options: &Exec<'_>,
    describe: Describe<'_>,
) -> Result<Process> {
    join(root, id, options, describe, false).map(|(process, _)| process)
}

/// As [`exec`], and records the system calls of the process and of what it starts; see [`record`](crate::record()).
///
/// # Errors
/// As [`exec`]; and when the container has a filter with `SCMP_ACT_NOTIFY`.
pub fn exec_recorded(
    root: &StateRoot,
    id: &str,
    options: &Exec<'_>,
    describe: Describe<'_>,
) -> Result<(Process, Recorder)> {
    match join(root, id, options, describe, true)? {
        (process, Some(recorder)) => Ok((process, recorder)),
        (_, None) => Err(Error::call("record", id, nix::errno::Errno::ENODATA)),
    }
}

fn join(
    root: &StateRoot,
    id: &str,
    options: &Exec<'_>,
    describe: Describe<'_>,
    record: bool,
) -> Result<(Process, Option<Recorder>)> {
    let directory = root.open(id)?;
    let state: State = directory
        .load()?
        .ok_or_else(|| Cause::NotFound { id: id.to_owned() })?;
    let status = state.status(&directory)?;
    refuse(status, options.ignore_paused)?;
    let config = directory.load_config()?;
    let spec = spec::parse(&config).map_err(|source| Cause::Parse {
        path: directory.config_path(),
        source,
    })?;
    let process = describe(&spec)?;
    let mut host = Host::read()?;
    host.look_at_process(&process, state.namespaces & libc::CLONE_NEWUSER as u64 != 0);
    complain(check::check_process(&process, &host))?;
    if process.terminal && options.console.is_none() {
        return Err(Cause::Unsupported("a terminal needs a console socket to be sent to").into());
    }
    let pidfd = signal::open(&state)?.ok_or_else(|| stopped("stopped"))?;
    let cgroup = state.cgroup_paths.below(options.cgroup);
    let cgroup = cgroup.map_err(|error| Error::from(error).asked_for_by("/linux/cgroupsPath"))?;
    let join = Join {
        id,
        pid: state.init_process_pid,
        namespaces: state.namespaces,
        cgroup: &cgroup,
        resctrl: state.resctrl.is_some(),
        preserve_fds: count(options.preserve_fds.len())?,
        keyring: options.keyring,
        record,
    };
    let (mut plan, warnings) = lower::exec(&spec, &process, &host, join)?;
    warnings.iter().for_each(|warning| log::warn!("{warning}"));
    plan.trace = options.trace;

    let inputs = Inputs {
        stdio: Some(options.stdio),
        preserved: options.preserve_fds,
        console: options.console,
        net: None,
        gate: None,
        pidfd: Some(pidfd.as_fd()),
        cgroup: Some(&cgroup),
    };
    let interrupts = Interrupts {
        caller: options.interrupt,
        deletion: None,
    };
    let mut perform = |op: &ParentOp, child: &mut Child| match op {
        ParentOp::SendListener { path, metadata } => {
            let container = state.for_hooks(status, Some(state.init_process_pid));
            let (pid, listener) = (child.pid, child.take_listener()?);
            let listener = listener.as_fd();
            agent::send(
                path,
                metadata.as_deref(),
                listener,
                pid,
                container,
                &interrupts,
            )
        }
        ParentOp::RecordCalls { always } => child.record(always),
        ParentOp::JoinClass => state.join_class(child.pid),
        // All other steps are init's own, or about this.
        other => schedule(other, child.pid),
    };
    let told = |error| or_stopped(error, state.init_process_pid, pidfd.as_fd());
    let mut attempt = |inputs| launch(&plan, inputs, directory.path(), &interrupts, &mut perform);
    let (launched, trace) = match attempt(&inputs) {
        Err(error) if options.cgroup.is_empty() && has_handed_down(&error) => {
            let own = oci_runtime_cgroups::paths_of(&host.cgroups, state.init_process_pid)?;
            attempt(&Inputs {
                cgroup: Some(&own),
                ..inputs
            })?
        }
        attempted => attempted.map_err(told)?,
    };
    log_trace(&plan, &trace);
    if let Some(path) = options.pid_file
        && let Err(error) = write_pid_file(path, launched.child.pid)
    {
        abandon(Some(&launched.child));
        return Err(error);
    }
    let started = launched.await_exec(&plan, &interrupts);
    if let (Err(_), Some(path)) = (&started, options.pid_file) {
        let _ = fs::remove_file(path);
    }
    started.map(Into::into).map_err(told)
}

/// On v2 a payload that manages cgroups itself, as systemd does, leaves none of its processes in the container's own, and the
/// kernel lets nobody else in. Then the place to be is where the first process is.
fn has_handed_down(error: &Error) -> bool {
    error
        .step()
        .is_some_and(|step| step.op == "Spawn" && step.errno == Errno::EBUSY)
}

/// The container may have ended by now, and then that is what there is to say.
fn or_stopped(error: Error, pid: i32, pidfd: BorrowedFd<'_>) -> Error {
    if error.kind() == Kind::Interrupted {
        return error;
    }
    match ends(pid, pidfd, &error) {
        Ok(true) => stopped("stopped"),
        Ok(false) => error,
        Err(other) => other,
    }
}

/// Whether the container's first process has ended or is about to: its namespaces go first, and its pidfd tells of its end only
/// once all others of the pid namespace have been reaped.
fn ends(pid: i32, pidfd: BorrowedFd<'_>, error: &Error) -> Result<bool> {
    let patience = match (error.kind(), error.step()) {
        (Kind::Os, None) => Duration::from_millis(200),
        _ => Duration::ZERO,
    };
    if has_left_its_namespaces(pid) {
        return Ok(true);
    }
    let [ended] = Interrupts::default().wait([pidfd], Some(patience))?;
    Ok(ended || has_left_its_namespaces(pid))
}

/// Where the pid is another's by now, the pidfd tells.
fn has_left_its_namespaces(pid: i32) -> bool {
    let link = fs::read_link(format!("/proc/{pid}/ns/mnt"));
    link.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

fn refuse(status: Status, ignore_paused: bool) -> Result<()> {
    match status {
        Status::Created | Status::Running => Ok(()),
        Status::Paused if ignore_paused => Ok(()),
        Status::Paused => Err(Cause::Status {
            attempt: "cannot exec in a paused container (use --ignore-paused to override)"
                .to_owned(),
        }
        .into()),
        Status::Stopped => Err(stopped("stopped")),
        Status::Creating => Err(stopped("half-created")),
    }
}

fn stopped(what: &str) -> Error {
    Cause::Status {
        attempt: format!("cannot exec in a {what} container"),
    }
    .into()
}
