//! `create` and `run`: from a bundle on disk to a container, or to an error that leaves nothing behind.

mod attempt;

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::bundle::Bundle;
use crate::cgroup::CgroupManager;
use crate::check::{self, Problem, Severity};
use crate::delete::delete_of;
use crate::error::{Cause, Described, Error, Kind, Result};
use crate::explain::describe_step;
use crate::hooks;
use crate::host::Host;
use crate::interrupt::Interrupts;
use crate::launch::{Child, Inputs, Launched, Trace, abandon, launch};
use crate::lower::{self, Lowered, Request};
use crate::net;
use crate::plan::{ParentOp, Plan, Source};
use crate::process::{Process, write_pid_file};
use crate::recorder::Recorder;
use crate::spec::{self, Spec};
use crate::state::{State, StateRoot, Status};
use log::{debug, warn};

use attempt::Attempt;

/// How a container is to be made.
#[derive(Debug, Clone)]
pub struct Create<'a> {
    /// The bundle.
    pub bundle: &'a Bundle,
    /// What [`Bundle::spec`] answers. What the caller changes in it, such as a size for the terminal, holds for the new
    /// container; [`exec`](crate::exec()) starts again from `config.json`.
    pub spec: &'a Spec<'a>,
    /// The payload's standard streams where it has no terminal.
    pub stdio: [BorrowedFd<'a>; 3],
    /// A connected socket that gets the terminal's master as `SCM_RIGHTS`; needed with `process.terminal`.
    pub console: Option<BorrowedFd<'a>>,
    /// Further file descriptors that the payload gets, from 3 on.
    pub preserve_fds: &'a [BorrowedFd<'a>],
    /// Whether the payload gets a session keyring of its own.
    pub keyring: bool,
    /// A file for the pid: decimal digits and nothing else.
    pub pid_file: Option<&'a Path>,
    /// Who makes the cgroup.
    pub cgroup_manager: CgroupManager,
    /// Readable when there is to be no container after all; it is not read. Nothing looks at it once the creation is done, to which
    /// poststart hooks belong where the program begins at once.
    pub interrupt: Option<BorrowedFd<'a>>,
    /// Whether to log, at debug level, when each step was done.
    pub trace: bool,
}

impl<'a> Create<'a> {
    /// A container of `bundle` with these streams and a keyring of its own.
    pub fn new(bundle: &'a Bundle, spec: &'a Spec<'a>, stdio: [BorrowedFd<'a>; 3]) -> Create<'a> {
        Create {
            bundle,
            spec,
            stdio,
            console: None,
            preserve_fds: &[],
            keyring: true,
            pid_file: None,
            cgroup_manager: CgroupManager::default(),
            interrupt: None,
            trace: false,
        }
    }
}

/// Makes a container whose program waits for [`start`](crate::start()).
///
/// The answer is its first process: a child of the caller, or of the caller's subreaper once the caller has exited.
///
/// # Errors
/// Whatever stands in the way; then there is no container, and nothing is left of it.
pub fn create(root: &StateRoot, id: &str, options: &Create<'_>) -> Result<Process> {
    make(root, id, options, How::Create).map(|(process, _)| process)
}

/// Makes a container and starts its program at once.
///
/// # Errors
/// As [`create`], and when the program cannot be executed.
pub fn run(root: &StateRoot, id: &str, options: &Create<'_>) -> Result<Process> {
    make(root, id, options, How::Run).map(|(process, _)| process)
}

/// As [`run`], and records the system calls of the container's processes from the first one of its program on. They wait until
/// they are [served](Recorder::serve), so the caller has to do that whenever the recorder is readable.
///
/// # Errors
/// As [`run`]; and when the container's own filter has `SCMP_ACT_NOTIFY`.
pub fn record(root: &StateRoot, id: &str, options: &Create<'_>) -> Result<(Process, Recorder)> {
    match make(root, id, options, How::Record)? {
        (process, Some(recorder)) => Ok((process, recorder)),
        (_, None) => Err(Error::call("record", id, nix::errno::Errno::ENODATA)),
    }
}

/// What becomes of the program of a new container.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// It waits for `start`.
    Create,
    /// It begins at once.
    Run,
    /// It begins at once, and its calls are recorded.
    Record,
}

/// The plan of a bundle, without carrying anything out: what [`create`] would do now and here.
///
/// # Errors
/// What is wrong with the configuration.
pub fn plan(
    root: &StateRoot,
    id: &str,
    bundle: &Bundle,
    spec: &Spec<'_>,
    cgroup_manager: CgroupManager,
) -> Result<Plan> {
    let host = look(spec)?;
    let state = root.place(id)?;
    let request = Request {
        id,
        bundle: bundle.path(),
        state: &state,
        gate: true,
        preserve_fds: 0,
        keyring: true,
        cgroup_manager,
        record: false,
    };
    let lowered = lower::create(spec, &host, request)?;
    lowered
        .warnings
        .iter()
        .for_each(|warning| warn!("{warning}"));
    Ok(lowered.plan)
}

fn make(
    root: &StateRoot,
    id: &str,
    options: &Create<'_>,
    how: How,
) -> Result<(Process, Option<Recorder>)> {
    let gate = how == How::Create;
    root.check(id)?;
    let spec = options.spec;
    let host = look(spec)?;
    let terminal = spec
        .process
        .as_ref()
        .is_some_and(|process| process.terminal);
    if terminal && options.console.is_none() {
        return Err(Cause::Unsupported(
            "process.terminal needs a console socket to send the terminal to",
        )
        .into());
    }
    let preserve_fds = count(options.preserve_fds.len())?;
    let place = root.place(id)?;
    let request = Request {
        id,
        bundle: options.bundle.path(),
        state: &place,
        gate,
        preserve_fds,
        keyring: options.keyring,
        cgroup_manager: options.cgroup_manager,
        record: how == How::Record,
    };
    let mut lowered = lower::create(spec, &host, request)?;
    lowered
        .warnings
        .iter()
        .for_each(|warning| warn!("{warning}"));
    lowered.plan.trace = options.trace;

    let directory = root.create(id)?;
    let state = first_state(id, spec, options.bundle.path(), &lowered);
    let mut attempt = Attempt {
        root: root.clone(),
        directory,
        state,
        host,
        cgroup: None,
        turn: None,
        moves: None,
        hooked: false,
        pid_namespace: spec.linux.owns_pid_namespace(),
    };
    let brought_up = bring_up(&mut attempt, &lowered, options, gate);
    match &brought_up {
        Err(_) => attempt.clear_away(&Interrupts::of_caller(options.interrupt)),
        Ok((process, _)) if !gate => tell_of_start(attempt, process, options)?,
        Ok(_) => {}
    }
    brought_up
}

/// Runs the poststart hooks. Interrupted, there is to be no container, though it has begun.
fn tell_of_start(mut attempt: Attempt, process: &Process, options: &Create<'_>) -> Result<()> {
    // What follows changes nothing of the container, and may itself want to.
    attempt.directory.unlock();
    let Attempt { root, state, .. } = attempt;
    let told = state.for_hooks(Status::Running, Some(process.pid()));
    let interrupts = Interrupts::of_caller(options.interrupt);
    let told = hooks::run_all(&state.poststart, told, &interrupts, Duration::ZERO);
    told.inspect_err(|_| {
        let deleted = delete_of(&root, &state.id, process, true, options.interrupt);
        let gone = match &deleted {
            Ok(()) => true,
            Err(error) => error.kind() == Kind::Interrupted,
        };
        if let Err(error) = deleted {
            warn!("while the container was deleted again: {error}");
        }
        if gone {
            // Somebody else may have waited for it.
            drop(process.wait());
        }
        options.pid_file.map(fs::remove_file);
    })
}

/// The number of preserved fds; the kernel would not pass more.
pub(crate) fn count(preserved: usize) -> Result<u16> {
    match u16::try_from(preserved) {
        Ok(count) if count < 200 => Ok(count),
        _ => Err(
            Cause::Unsupported("more than 199 preserved file descriptors are not supported").into(),
        ),
    }
}

/// The host as far as the configuration concerns it, if the two go together.
fn look(spec: &Spec<'_>) -> Result<Host> {
    let mut host = Host::read()?;
    host.look_at(spec);
    complain(check::check(spec, &host))?;
    Ok(host)
}

/// Warnings go to the log, errors back to the caller, all of them.
pub(crate) fn complain(problems: Vec<Problem>) -> Result<()> {
    let (errors, warnings): (Vec<_>, Vec<_>) = problems
        .into_iter()
        .partition(|problem| problem.severity == Severity::Error);
    warnings.iter().for_each(|warning| warn!("{warning}"));
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Cause::Config(errors).into())
    }
}

fn first_state(id: &str, spec: &Spec<'_>, bundle: &Path, lowered: &Lowered) -> State {
    let text = |text: &spec::Str<'_>| text.to_string();
    State {
        id: id.to_owned(),
        init_process_pid: 0,
        init_process_start: 0,
        created: humantime::format_rfc3339_nanos(SystemTime::now()).to_string(),
        oci_version: text(&spec.oci_version),
        bundle: bundle.to_owned(),
        rootfs: lowered.rootfs.clone(),
        owner: nix::unistd::getuid().as_raw(),
        annotations: spec
            .annotations
            .iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect(),
        cgroup_paths: lowered.cgroup.clone(),
        cgroup_found: false,
        systemd_unit: lowered.unit.clone(),
        resctrl: None,
        namespaces: lowered.namespaces,
        after_gate: after_gate(&lowered.plan),
        poststart: lowered.poststart.clone(),
        poststop: lowered.poststop.clone(),
    }
}

/// The steps that fail, if they do, when the plan is gone.
fn after_gate(plan: &Plan) -> Vec<Described> {
    let numbered = plan.steps().iter().enumerate();
    let last =
        numbered.skip_while(|(_, step)| plan.op(step).is_none_or(|op| op.name() != "AwaitStart"));
    last.map(|(number, step)| describe_step(plan, number as u16, step))
        .collect()
}

fn bring_up(
    attempt: &mut Attempt,
    lowered: &Lowered,
    options: &Create<'_>,
    gate: bool,
) -> Result<(Process, Option<Recorder>)> {
    attempt.directory.save(&attempt.state)?;
    if gate {
        attempt.directory.make_gate()?;
    }
    let fifos = if gate {
        attempt.directory.open_fifos().map(Some)?
    } else {
        None
    };
    let interrupts = Interrupts {
        caller: options.interrupt,
        deletion: if waits_for_others(&lowered.plan) {
            Some(attempt.directory.make_deletion()?)
        } else {
            None
        },
    };
    let way = if lowered.plan.asks_for(&Source::NetSocket) {
        Some(net::way()?)
    } else {
        None
    };
    let inputs = Inputs {
        stdio: Some(options.stdio),
        preserved: options.preserve_fds,
        console: options.console,
        net: way.as_ref().map(|(_, far)| far.as_fd()),
        gate: fifos
            .as_ref()
            .map(|fifos| fifos.each_ref().map(AsFd::as_fd)),
        pidfd: None,
        cgroup: Some(&lowered.cgroup),
    };
    let scratch = attempt.directory.path().to_owned();
    if lowered.cgroup.0.is_empty() {
        attempt.directory.save_config(options.bundle.config())?;
    }
    let mut perform = |op: &ParentOp, child: &mut Child| {
        let way = way.as_ref().map(|(near, _)| near.as_fd());
        attempt.perform(op, child, way, &interrupts)?;
        match op {
            // Not before: `delete` takes it for the sign that the cgroup is this container's.
            ParentOp::CreateCgroup { .. } | ParentOp::StartUnit { .. } => {
                attempt.directory.save_config(options.bundle.config())?;
                attempt.turn = None;
                Ok(())
            }
            _ => Ok(()),
        }
    };
    let (launched, trace) = launch(&lowered.plan, &inputs, &scratch, &interrupts, &mut perform)?;
    log_trace(&lowered.plan, &trace);
    finish(launched, &lowered.plan, options.pid_file, &interrupts, gate)
}

/// Whether somebody can hold the parent lane up. Whoever is in the container's cgroup can be ended without asking us.
fn waits_for_others(plan: &Plan) -> bool {
    plan.steps().iter().any(|step| {
        matches!(
            plan.parent_op(step),
            Some(
                ParentOp::Hooks { .. } | ParentOp::SendListener { .. } | ParentOp::StartUnit { .. }
            )
        )
    })
}

/// Publishes the pid once all is well, and where nobody waits for `start` sees the program begin.
fn finish(
    launched: Launched,
    plan: &Plan,
    pid_file: Option<&Path>,
    interrupts: &Interrupts<'_>,
    gate: bool,
) -> Result<(Process, Option<Recorder>)> {
    if let Some(path) = pid_file
        && let Err(error) = write_pid_file(path, launched.child.pid)
    {
        abandon(Some(&launched.child));
        return Err(error);
    }
    if gate {
        return Ok(launched.child.into());
    }
    let begun = launched.await_exec(plan, interrupts);
    if let (Err(_), Some(path)) = (&begun, pid_file) {
        let _ = fs::remove_file(path);
    }
    begun.map(Into::into)
}

/// Tells when each step was done, counted from the first.
pub(crate) fn log_trace(plan: &Plan, trace: &Trace) {
    let Some((_, start)) = trace.first() else {
        return;
    };
    for (number, time) in trace {
        if let Some(step) = plan.steps().get(usize::from(*number)) {
            debug!(
                "{:6} us: step {number}: {}",
                (time - start) / 1000,
                plan.describe(step)
            );
        }
    }
}

/// The caller's own standard streams.
pub fn own_stdio() -> [BorrowedFd<'static>; 3] {
    use std::sync::LazyLock;
    static STREAMS: LazyLock<(std::io::Stdin, std::io::Stdout, std::io::Stderr)> =
        LazyLock::new(|| (std::io::stdin(), std::io::stdout(), std::io::stderr()));
    [STREAMS.0.as_fd(), STREAMS.1.as_fd(), STREAMS.2.as_fd()]
}
