//! Staying with a process to its end: its signals, its terminal, its exit status.
//!
//! One thread waits in one poll(2) for all of it. Every signal is blocked and read from a signalfd, so that none can end us
//! with the caller's terminal in raw mode, and each goes on to the process.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use oci_runtime::{Process, Recorder};

use crate::console::Console;
use crate::failure::Failure;
use crate::relay::{End, Relay};
use crate::terminal::{Raw, copy_size, receive};

/// What becomes of processes that lose their parent, and get us for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Orphans {
    /// We wait for them, or they would stay zombies.
    Reap,
    /// They are not ours.
    Leave,
}

/// Blocks all signals; from now on those that matter are read. The others would only wake us: SIGPIPE and SIGURG tell
/// something of our own, and SIGCHLD is of use where there are orphans to wait for.
pub(crate) fn block_signals(orphans: Orphans) -> Result<SignalFd, Failure> {
    let mut signals = SigSet::all();
    signals.thread_block().map_err(|errno| Failure::Os {
        action: "block signals",
        errno,
    })?;
    signals.remove(Signal::SIGPIPE);
    signals.remove(Signal::SIGURG);
    if orphans == Orphans::Leave {
        signals.remove(Signal::SIGCHLD);
    }
    SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).map_err(
        |errno| Failure::Os {
            action: "make a signalfd",
            errno,
        },
    )
}

/// Stays with `process` until it has ended and its output is delivered, and answers the exit status that shells would give.
/// When we cannot stay, the process does not either. `recorder` lets its calls go on, if they are recorded.
pub(crate) fn attend(
    process: &Process,
    signals: &SignalFd,
    console: Console,
    has_size: bool,
    recorder: Option<&mut Recorder>,
) -> Result<u8, Failure> {
    let status = stay(process, signals, console, has_size, recorder);
    if status.is_err() {
        forward(process, libc::SIGKILL);
    }
    status
}

fn stay(
    process: &Process,
    signals: &SignalFd,
    console: Console,
    has_size: bool,
    recorder: Option<&mut Recorder>,
) -> Result<u8, Failure> {
    let mut relay = match console {
        Console::Ours(ours, _) => Some(Relay::new(receive(&ours)?)),
        Console::None | Console::Theirs(_) => None,
    };
    let raw = if relay.is_some() { Raw::enter()? } else { None };
    if let Some(master) = relay.as_ref().and_then(Relay::master).filter(|_| !has_size) {
        copy_size(master);
    }
    let watched = watch(process, signals, relay.as_mut(), recorder);
    drop(raw);
    watched?;
    // Between 0 and 255: what the kernel reports of a process, or a signal's number and 128.
    Ok(process.wait()?.code() as u8)
}

enum Event {
    Signal,
    Ended,
    /// A call waits to be recorded; `false` when nobody is left to make one.
    Call(bool),
    Stream(End, PollFlags),
}

fn watch(
    process: &Process,
    signals: &SignalFd,
    mut relay: Option<&mut Relay>,
    mut recorder: Option<&mut Recorder>,
) -> Result<(), Failure> {
    let mut ended = false;
    loop {
        if ended && relay.as_mut().is_none_or(|relay| relay.is_drained()) {
            return Ok(());
        }
        let events = wait(
            process,
            signals,
            relay.as_deref(),
            recorder.as_deref(),
            ended,
        )?;
        if let Some(relay) = relay.as_mut().filter(|_| events.is_empty()) {
            relay.look_again();
        }
        let draining = ended;
        for event in events {
            match (event, relay.as_mut()) {
                (Event::Ended, None) => return Ok(()),
                (Event::Ended, Some(_)) => ended = true,
                (Event::Stream(end, ready), Some(relay)) => relay.act(end, ready),
                (Event::Stream(..), None) => {}
                (Event::Call(true), _) => recorder.iter_mut().try_for_each(|r| r.serve())?,
                (Event::Call(false), _) => recorder = None,
                (Event::Signal, relay) => {
                    let relay = relay.map(|relay| &**relay);
                    if take_signal(process, signals, relay)? && draining {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// How often a terminal that nobody has open is looked at, in milliseconds.
const LOOK_AGAIN: u8 = 50;

/// What is ready; nothing when it is time to look again.
fn wait(
    process: &Process,
    signals: &SignalFd,
    relay: Option<&Relay>,
    recorder: Option<&Recorder>,
    ended: bool,
) -> Result<Vec<Event>, Failure> {
    let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    if !ended {
        fds.push(PollFd::new(process.pidfd(), PollFlags::POLLIN));
    }
    let calls = fds.len();
    fds.extend(recorder.map(|recorder| PollFd::new(recorder.as_fd(), PollFlags::POLLIN)));
    let own = fds.len();
    let interests = relay
        .map(|relay| relay.interests(ended))
        .unwrap_or_default();
    fds.extend(
        interests
            .iter()
            .map(|(_, fd, flags)| PollFd::new(*fd, *flags)),
    );
    let hung_up = relay.is_some_and(Relay::is_hung_up);
    let timeout = if hung_up {
        PollTimeout::from(LOOK_AGAIN)
    } else {
        PollTimeout::NONE
    };
    match poll(&mut fds, timeout) {
        Ok(_) => {}
        Err(Errno::EINTR | Errno::EAGAIN) => {}
        Err(errno) => {
            return Err(Failure::Os {
                action: "poll",
                errno,
            });
        }
    }
    let happened = |place: usize| {
        fds.get(place)
            .and_then(PollFd::revents)
            .filter(|flags| !flags.is_empty())
    };
    let mut events = Vec::with_capacity(fds.len());
    // The end first: nothing has to be passed on after it.
    events.extend(happened(1).filter(|_| !ended).map(|_| Event::Ended));
    events.extend(happened(0).map(|_| Event::Signal));
    if recorder.is_some() {
        let call = |flags: PollFlags| Event::Call(flags.contains(PollFlags::POLLIN));
        events.extend(happened(calls).map(call));
    }
    for (place, (end, ..)) in interests.iter().enumerate() {
        events.extend(happened(own + place).map(|ready| Event::Stream(*end, ready)));
    }
    Ok(events)
}

/// Passes on one signal; poll(2) tells of the next. Answers whether it would have ended us.
fn take_signal(
    process: &Process,
    signals: &SignalFd,
    relay: Option<&Relay>,
) -> Result<bool, Failure> {
    let information = match signals.read_signal() {
        Ok(Some(information)) => information,
        Ok(None) | Err(Errno::EINTR) => return Ok(false),
        Err(errno) => {
            return Err(Failure::Os {
                action: "read the signalfd",
                errno,
            });
        }
    };
    let signal = information.ssi_signo.cast_signed();
    match (signal, relay.and_then(Relay::master)) {
        (libc::SIGCHLD, _) => reap(process),
        (libc::SIGWINCH, Some(master)) => copy_size(master),
        _ => forward(process, signal),
    }
    Ok([libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM].contains(&signal))
}

/// A process that has just ended needs no signal any more.
pub(crate) fn forward(process: &Process, signal: i32) {
    if let Err(error) = process.signal(signal) {
        log::debug!("cannot pass on signal {signal}: {error}");
    }
}

/// Waits for whatever has ended but for the process itself, whose status is asked for later.
fn reap(process: &Process) {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while let Ok(status) = waitid(Id::All, look) {
        let Some(pid) = status.pid().filter(|pid| pid.as_raw() != process.pid()) else {
            return;
        };
        let _ = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG);
    }
}
