//! Carrying out a plan: the parent lane, and the conversation with the other two.
//!
//! The parent starts `init`, which waits for its plan; performs its own steps up to the first one of `init` (systemd makes a
//! cgroup around a process that exists, so there is one by then); and hands over the plan with the slots. From then on it is led by reports: a `Yielded` or `Ready` names a step, and the parent's steps that follow that one in the plan
//! are due. Whatever goes wrong, the new process is killed and waited for before the error is returned.

mod channel;
mod memfd;
mod schedule;
mod slots;
mod spawn;

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use oci_runtime_cgroups::Paths;
use oci_runtime_init::report::{Kind, Report};

use crate::error::{Cause, Error, Result};
use crate::explain::explain;
use crate::interrupt::Interrupts;
use crate::plan::{ParentOp, Plan};
use crate::recorder::Recorder;
use crate::sys;

use channel::Channel;
pub(crate) use schedule::schedule;
pub(crate) use slots::Inputs;

/// The container's first process, or one that joined it.
#[derive(Debug)]
pub(crate) struct Child {
    /// Its pid in the caller's pid namespace.
    pub pid: i32,
    /// A handle that cannot come to mean another process.
    pub pidfd: OwnedFd,
    /// The listener of the filter that it has just installed, until a step of the parent lane takes it.
    pub listener: Option<OwnedFd>,
    /// Whoever notes its system calls.
    pub recorder: Option<Recorder>,
}

impl Child {
    fn new(pid: i32, pidfd: OwnedFd) -> Child {
        Child {
            pid,
            pidfd,
            listener: None,
            recorder: None,
        }
    }

    /// The listener that it has just told of.
    pub(crate) fn take_listener(&mut self) -> Result<OwnedFd> {
        let missing = || Error::call("take the listener", self.pid.to_string(), Errno::EBADF);
        self.listener.take().ok_or_else(missing)
    }

    /// Has its calls noted from here on.
    pub(crate) fn record(&mut self, always: &[&str]) -> Result<()> {
        let listener = self.take_listener()?;
        self.recorder = Some(Recorder::new(listener, always));
        Ok(())
    }
}

/// A plan that was carried out as far as `Ready`.
#[derive(Debug)]
pub(crate) struct Launched {
    /// The new process.
    pub child: Child,
    channel: Channel,
}

/// When a step was done: its number and the time of CLOCK_MONOTONIC in nanoseconds.
pub(crate) type Trace = Vec<(u16, u64)>;

/// Does a step of the parent lane.
pub(crate) type Perform<'p> = dyn FnMut(&ParentOp, &mut Child) -> Result<()> + 'p;

/// Carries out `plan` up to `Ready`, or until an interruption. `perform` does a step of the parent lane; it gets the new process
/// once there is one.
pub(crate) fn launch(
    plan: &Plan,
    inputs: &Inputs<'_>,
    scratch: &Path,
    interrupts: &Interrupts<'_>,
    perform: &mut Perform<'_>,
) -> Result<(Launched, Trace)> {
    let (channel, mut outer) = start(scratch)?;
    let handed_over = perform_from(plan, 0, Some(&mut outer), perform)
        .and_then(|()| hand_over(plan, inputs, &channel));
    if let Err(error) = handed_over {
        // With nobody left to talk to, it exits.
        drop(channel);
        reap(outer.pidfd.as_fd());
        return Err(error);
    }
    let mut child = None;
    let mut trace = Trace::new();
    let outcome = converse(plan, &channel, interrupts, &mut child, &mut trace, perform);
    match outcome {
        Ok(()) => {
            reap(outer.pidfd.as_fd());
            match child {
                Some(child) => Ok((Launched { child, channel }, trace)),
                None => Err(died("it was being started", None, None)),
            }
        }
        Err(error) => {
            if child.is_none() {
                child = stop(&outer, &channel);
            }
            let status = abandon(child.as_ref());
            // The outer lane may still listen; that nobody is left to talk to it makes it exit.
            drop(channel);
            let status = status.or_else(|| reap_silent(&outer));
            let outer = reap(outer.pidfd.as_fd());
            Err(match error {
                Ended::Error(error) => error,
                Ended::Silent => match interrupts.look() {
                    Ok(()) => silent(outer, status, inputs.cgroup),
                    // Whoever has deleted it has ended it, too.
                    Err(stopped) => stopped.into(),
                },
            })
        }
    }
}

/// Why a conversation ended early.
enum Ended {
    Error(Error),
    /// Nobody is left at the other end, and nobody said why.
    Silent,
}

impl From<Error> for Ended {
    fn from(error: Error) -> Ended {
        Ended::Error(error)
    }
}

/// Starts `init`: the outer lane, which waits for its plan.
fn start(scratch: &Path) -> Result<(Channel, Child)> {
    let init = memfd::init(scratch)?;
    let (channel, far_end) = Channel::pair()?;
    let (pid, pidfd) = spawn::spawn(init.as_fd(), far_end.as_fd())
        .map_err(|errno| Error::call("clone3", "CLONE_VM|CLONE_VFORK|CLONE_PIDFD", errno))?;
    Ok((channel, Child::new(pid, pidfd)))
}

/// Opens what the plan refers to, and gives both to `init`.
fn hand_over(plan: &Plan, inputs: &Inputs<'_>, channel: &Channel) -> Result<()> {
    let slots = slots::open(plan, inputs)?;
    let code = memfd::plan(plan)?;
    let fds: Vec<BorrowedFd<'_>> = std::iter::once(code.as_fd())
        .chain(slots.iter().map(slots::Opened::as_fd))
        .collect();
    channel.send_plan(&fds)
}

fn converse(
    plan: &Plan,
    channel: &Channel,
    interrupts: &Interrupts<'_>,
    child: &mut Option<Child>,
    trace: &mut Trace,
    perform: &mut Perform<'_>,
) -> Result<(), Ended> {
    loop {
        attend(
            channel,
            interrupts,
            child.as_mut().and_then(|child| child.recorder.as_mut()),
        )?;
        let Some((report, pid)) = channel.receive()? else {
            return Err(Ended::Silent);
        };
        // The outer lane reports nothing but failures and its trace.
        if report.kind == Kind::Hello {
            *child = Some(identify(channel, pid)?);
        }
        let due = usize::from(report.step) + 1;
        match report.kind {
            Kind::Failed => return Err(explain(plan, report).into()),
            Kind::Traced => trace.push((report.step, report.value)),
            Kind::Hello | Kind::Begun => {}
            Kind::Yielded => {
                take_listener(child.as_mut(), report)?;
                perform_from(plan, due, child.as_mut(), perform)?;
                channel.go()?;
            }
            Kind::Ready => return Ok(perform_from(plan, due, child.as_mut(), perform)?),
        }
    }
}

/// The sender is our child and has not been waited for, so its pid means it, also where there is no handle to be had.
fn identify(channel: &Channel, pid: i32) -> Result<Child> {
    match sys::pidfd_open(pid) {
        Ok(pidfd) => Ok(Child::new(pid, pidfd)),
        Err(errno) => {
            channel.hang_up();
            end_child(Pid::from_raw(pid));
            Err(Error::call("pidfd_open", pid.to_string(), errno))
        }
    }
}

/// Ends and reaps a child that we have no handle of. It may stand behind its gate by now, where it would never learn that we
/// have hung up. One that somebody else has reaped is not killed: its pid may be another's.
fn end_child(pid: Pid) {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    if waitid(Id::Pid(pid), look).is_ok() {
        let _ = kill(pid, Signal::SIGKILL);
    }
    wait(|| waitpid(pid, None));
}

/// Ends the outer lane, which may be at work. If it has made the first process by then that one speaks, or has ended too.
fn stop(outer: &Child, channel: &Channel) -> Option<Child> {
    let _ = sys::pidfd_send_signal(outer.pidfd.as_fd(), libc::SIGKILL);
    while let Ok(Some((report, pid))) = channel.receive() {
        if report.kind == Kind::Hello {
            return identify(channel, pid).ok();
        }
    }
    None
}

/// Reaps a first process that has ended without a word. The outer lane has named itself after it, and is not reaped yet itself.
fn reap_silent(outer: &Child) -> Option<WaitStatus> {
    let name = fs::read_to_string(format!("/proc/{}/comm", outer.pid)).ok()?;
    let pid = Pid::from_raw(name.trim_end().parse().ok()?);
    wait(|| waitpid(pid, None))
}

/// Waits until there is a report to receive, and lets the calls of a process go on meanwhile that is being recorded. The end of
/// the channel comes before the first call of the payload, so the channel is looked at again when a call is there.
fn attend(
    channel: &Channel,
    interrupts: &Interrupts<'_>,
    recorder: Option<&mut Recorder>,
) -> Result<()> {
    let Some(recorder) = recorder else {
        if !interrupts.is_empty() {
            interrupts.wait([channel.as_fd()], None)?;
        }
        return Ok(());
    };
    loop {
        let [report, call] = interrupts.wait([channel.as_fd(), recorder.as_fd()], None)?;
        if report || interrupts.wait([channel.as_fd()], Some(Duration::ZERO))? == [true] {
            return Ok(());
        }
        if call {
            recorder.serve()?;
        }
    }
}

/// Takes a copy of the listener that the child waits with. Sending it itself would take sendmsg(2), which its filter may
/// ask about or forbid.
fn take_listener(child: Option<&mut Child>, report: Report) -> Result<()> {
    let (Some(child), Ok(number @ 1..)) = (child, i32::try_from(report.value)) else {
        return Ok(());
    };
    let taken = sys::pidfd_getfd(child.pidfd.as_fd(), number)
        .map_err(|errno| Error::call("pidfd_getfd", format!("{}, {number}", child.pid), errno))?;
    child.listener = Some(taken);
    Ok(())
}

/// Performs the parent's steps from step `first` up to the next one that is not the parent's.
fn perform_from(
    plan: &Plan,
    first: usize,
    mut child: Option<&mut Child>,
    perform: &mut Perform<'_>,
) -> Result<()> {
    let due = plan.steps().get(first..).unwrap_or_default();
    let missing = || Error::call("perform a step", "without a process", Errno::ESRCH);
    due.iter()
        .map_while(|step| plan.parent_op(step))
        .try_for_each(|op| perform(op, child.as_deref_mut().ok_or_else(missing)?))
}

impl Launched {
    /// Waits until the payload runs: its execve(2) closes the other end of the channel.
    ///
    /// # Errors
    /// The step that failed between `Ready` and the payload, or an interruption.
    pub(crate) fn await_exec(mut self, plan: &Plan, interrupts: &Interrupts<'_>) -> Result<Child> {
        let mut begun = false;
        let outcome = loop {
            let told = attend(&self.channel, interrupts, self.child.recorder.as_mut());
            match told.and_then(|()| self.channel.receive()) {
                Ok(None) if begun => break Ok(()),
                Ok(None) => break Err(died("its program was about to begin", None, None)),
                Ok(Some((report, _))) => match report.kind {
                    Kind::Failed => break Err(explain(plan, report)),
                    Kind::Begun => begun = true,
                    _ => {}
                },
                Err(error) => break Err(error),
            }
        };
        match outcome {
            Ok(()) => {
                self.child.recorder.iter_mut().for_each(Recorder::begin);
                Ok(self.child)
            }
            Err(error) => {
                abandon(Some(&self.child));
                Err(error)
            }
        }
    }
}

/// Kills and reaps a process that will not become a container.
pub(crate) fn abandon(child: Option<&Child>) -> Option<WaitStatus> {
    let child = child?;
    // One that is gone by itself is as good.
    let _ = sys::pidfd_send_signal(child.pidfd.as_fd(), libc::SIGKILL);
    reap(child.pidfd.as_fd())
}

/// Waits for one that has exited or is about to.
fn reap(pidfd: BorrowedFd<'_>) -> Option<WaitStatus> {
    wait(|| waitid(Id::PIDFd(pidfd), WaitPidFlag::WEXITED))
}

/// A caller that ignores or reaps its children leaves nothing to wait for.
fn wait(call: impl Fn() -> nix::Result<WaitStatus>) -> Option<WaitStatus> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other.ok(),
        }
    }
}

fn silent(outer: Option<WaitStatus>, inner: Option<WaitStatus>, cgroup: Option<&Paths>) -> Error {
    match (outer, inner) {
        (Some(WaitStatus::Exited(_, status)), _) if status >= spawn::EXEC_FAILED => {
            let errno = Errno::from_raw(status - spawn::EXEC_FAILED);
            Error::call("execveat", "oci-init", errno)
        }
        (_, inner) => died("the container was being set up", inner, cgroup),
    }
}

fn died(stage: &'static str, status: Option<WaitStatus>, cgroup: Option<&Paths>) -> Error {
    // The kernel is not the only one who kills; on most machines it counts when it does.
    let kills = cgroup.and_then(|paths| oci_runtime_cgroups::oom_kills(paths).ok().flatten());
    let hint = match status {
        Some(WaitStatus::Signaled(_, nix::sys::signal::Signal::SIGKILL, _)) if kills != Some(0) => {
            ": container init was OOM-killed (memory limit too low?)"
        }
        _ => "",
    };
    Cause::Died { stage, hint }.into()
}
