//! `run`: create and start in one, and in the foreground to its end.

use nix::sys::prctl::set_child_subreaper;
use oci_runtime::spec::Spec;
use oci_runtime::{Bundle, Create, Error, Process, Recorder, StateRoot, delete_of, oom_kills};

use crate::activation;
use crate::call::Call;
use crate::console::{Console, console};
use crate::create::{options, terminal, unmake};
use crate::failure::Failure;
use crate::foreground::{Orphans, attend, block_signals};
use crate::interruption::Interruption;
use crate::notify::{self, Listener, Notify};
use crate::pidfd::{PidfdSocket, hand_over, pidfd_socket};
use crate::record::recording;

/// `run ID`.
pub(crate) fn run(call: &Call) -> Result<u8, Failure> {
    recording(&call.arguments)?;
    let id = call.arguments.id();
    let bundle = call.open_bundle()?;
    let mut spec = bundle.spec()?;
    let detached = call.arguments.switch("detach");
    let console = console(
        terminal(&spec),
        detached,
        call.arguments.text("console-socket"),
    )?;
    let pidfd = pidfd_socket(&call.arguments)?;
    // What came before has made nothing that would have to be taken back.
    let interruption = Interruption::hold()?;
    activation::tell(&mut spec);
    let beside = Beside {
        pidfd,
        interruption,
        listener: listen(call, &id, &mut spec)?,
    };
    let result = if detached {
        leave(call, &bundle, &spec, &console, beside)
    } else {
        stay(call, &bundle, spec, console, beside)
    };
    match &result {
        Err(failure) => notify::give_up(failure, &call.root, &id),
        Ok(_) if !detached => notify::clear_away(&call.root, &id),
        Ok(_) => {}
    }
    result
}

/// Who else has to do with the container.
struct Beside {
    /// Somebody who waits for its pidfd.
    pidfd: Option<PidfdSocket>,
    /// Whoever wants an end of us.
    interruption: Interruption,
    /// A service manager, at second hand.
    listener: Option<Listener>,
}

/// The program may be ready as soon as it has begun, so the socket comes before it.
fn listen(call: &Call, id: &str, spec: &mut Spec<'_>) -> Result<Option<Listener>, Failure> {
    let Some(notify) = Notify::of_new(&call.root, id) else {
        return Ok(None);
    };
    notify.prepare(spec)?;
    notify.listen()
}

fn leave(
    call: &Call,
    bundle: &Bundle,
    spec: &Spec<'_>,
    console: &Console,
    beside: Beside,
) -> Result<u8, Failure> {
    let id = call.arguments.id();
    let preserved = call.handed_fds()?;
    let options = Create {
        interrupt: Some(beside.interruption.as_fd()),
        ..options(call, bundle, spec, &preserved, console)
    };
    let process = oci_runtime::run(&call.root, &id, &options);
    let process = process.map_err(|error| beside.interruption.explain(error))?;
    hand_over(beside.pidfd, &process, "standard", || {
        unmake(&process, &call.root, &id, &beside.interruption)
    })?;
    if let Some(listener) = beside.listener {
        // Nothing is taken back any more: whoever waits for the program to be ready may be ended.
        beside.interruption.release()?;
        listener.pass_on(&call.root, &id, process.pid());
    }
    Ok(0)
}

fn stay(
    call: &Call,
    bundle: &Bundle,
    mut spec: Spec<'_>,
    console: Console,
    beside: Beside,
) -> Result<u8, Failure> {
    let arguments = &call.arguments;
    let id = arguments.id();
    let preserved = call.handed_fds()?;
    let orphans = if arguments.switch("no-subreaper") {
        Orphans::Leave
    } else {
        Orphans::Reap
    };
    let signals = block_signals(orphans)?;
    if orphans == Orphans::Reap {
        set_child_subreaper(true).map_err(|errno| Failure::Os {
            action: "become a subreaper",
            errno,
        })?;
    }
    let mut has_size = false;
    if let Some(process) = &mut spec.process {
        has_size = process.console_size.is_some();
        console.give_size(process);
    }
    let options = Create {
        interrupt: Some(beside.interruption.as_fd()),
        ..options(call, bundle, &spec, &preserved, &console)
    };
    let recording = recording(arguments)?;
    let started = start(&call.root, &id, &options, recording.is_some());
    let (process, mut recorder) = started.map_err(|error| beside.interruption.explain(error))?;
    hand_over(beside.pidfd, &process, "standard", || {
        unmake(&process, &call.root, &id, &beside.interruption)
    })?;
    if let Some(listener) = beside.listener {
        pass_on(listener, &call.root, &id, process.pid());
    }
    let attended = attend(&process, &signals, console, has_size, recorder.as_mut());
    let saved = match (&recording, &recorder) {
        (Some(recording), Some(recorder)) => recording.save(recorder),
        _ => Ok(()),
    };
    if !matches!(attended, Ok(0)) {
        tell_of_oom(&call.root, &id);
    }
    if arguments.switch("keep") {
        saved?;
        return attended;
    }
    // What has come up to now was for the program; from here on it is for us.
    beside.interruption.forget();
    let interrupt = Some(beside.interruption.as_fd());
    // It has ended, unless we could not stay to see it.
    let deleted = delete_of(&call.root, &id, &process, attended.is_err(), interrupt)
        .map_err(|error| beside.interruption.explain(error));
    let status = attended?;
    deleted?;
    saved?;
    Ok(status)
}

/// Beside all else that we do for the program. It ends with us at the latest.
fn pass_on(listener: Listener, root: &StateRoot, id: &str, pid: i32) {
    let (root, id) = (root.clone(), id.to_owned());
    std::thread::spawn(move || listener.pass_on(&root, &id, pid));
}

fn start(
    root: &StateRoot,
    id: &str,
    options: &Create<'_>,
    record: bool,
) -> Result<(Process, Option<Recorder>), Error> {
    if record {
        let (process, recorder) = oci_runtime::record(root, id, options)?;
        return Ok((process, Some(recorder)));
    }
    Ok((oci_runtime::run(root, id, options)?, None))
}

/// An exit status alone does not tell why: a shell's 137 may be anybody's SIGKILL.
fn tell_of_oom(root: &StateRoot, id: &str) {
    if let Ok(Some(count @ 1..)) = oom_kills(root, id) {
        log::warn!(
            "container was OOM-killed: {count} of its processes, because memory ran out (memory limit too low?)"
        );
    }
}
