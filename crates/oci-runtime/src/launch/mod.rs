//! Carrying out a plan: the parent lane, and the conversation with the other two.
//!
//! The parent starts `init`, which waits for its plan; performs its own steps up to the first one of `init` (systemd makes a
//! cgroup around a process that exists, so there is one by then); and hands over the plan with the slots. From then on it is led by reports: a `Yielded` or `Ready` names a step, and the parent's steps that follow that one in the plan
//! are due. Whatever goes wrong, the new process is killed and waited for before the error is returned.

mod channel;
mod memfd;
mod slots;
mod spawn;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use oci_runtime_init::report::Kind;

use crate::error::{Cause, Error, Result};
use crate::explain::explain;
use crate::plan::{ParentOp, Plan};
use crate::sys;

use channel::Channel;
pub(crate) use slots::Inputs;

/// The container's first process, or one that joined it.
#[derive(Debug)]
pub(crate) struct Child {
    /// Its pid in the caller's pid namespace.
    pub pid: i32,
    /// A handle that cannot come to mean another process.
    pub pidfd: OwnedFd,
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

/// Carries out `plan` up to `Ready`. `perform` does a step of the parent lane; it gets the new process once there is one.
pub(crate) fn launch(
    plan: &Plan,
    inputs: &Inputs<'_>,
    scratch: &Path,
    perform: &mut dyn FnMut(&ParentOp, &Child) -> Result<()>,
) -> Result<(Launched, Trace)> {
    let (channel, outer) = start(scratch)?;
    let handed_over = perform_from(plan, 0, Some(&outer), perform)
        .and_then(|()| hand_over(plan, inputs, &channel));
    if let Err(error) = handed_over {
        // With nobody left to talk to, it exits.
        drop(channel);
        reap(outer.pidfd.as_fd());
        return Err(error);
    }
    let mut child = None;
    let mut trace = Trace::new();
    match converse(plan, &channel, &mut child, &mut trace, perform) {
        Ok(()) => {
            reap(outer.pidfd.as_fd());
            match child {
                Some(child) => Ok((Launched { child, channel }, trace)),
                None => Err(died("it was being started", None)),
            }
        }
        Err(error) => {
            let status = abandon(child.as_ref());
            // The outer lane may still listen; that nobody is left to talk to it makes it exit.
            drop(channel);
            let outer = reap(outer.pidfd.as_fd());
            Err(match error {
                Ended::Error(error) => error,
                Ended::Silent => silent(outer, status),
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
    Ok((channel, Child { pid, pidfd }))
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
    child: &mut Option<Child>,
    trace: &mut Trace,
    perform: &mut dyn FnMut(&ParentOp, &Child) -> Result<()>,
) -> Result<(), Ended> {
    loop {
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
                perform_from(plan, due, child.as_ref(), perform)?;
                channel.go()?;
            }
            Kind::Ready => return Ok(perform_from(plan, due, child.as_ref(), perform)?),
        }
    }
}

/// The sender is our child and has not been waited for, so its pid means it. Without a handle it is not killed: it exits
/// when it has nobody to report to.
fn identify(channel: &Channel, pid: i32) -> Result<Child> {
    match sys::pidfd_open(pid) {
        Ok(pidfd) => Ok(Child { pid, pidfd }),
        Err(errno) => {
            channel.hang_up();
            wait(|| waitpid(Pid::from_raw(pid), None));
            Err(Error::call("pidfd_open", pid.to_string(), errno))
        }
    }
}

/// Performs the parent's steps from step `first` up to the next one that is not the parent's.
fn perform_from(
    plan: &Plan,
    first: usize,
    child: Option<&Child>,
    perform: &mut dyn FnMut(&ParentOp, &Child) -> Result<()>,
) -> Result<()> {
    let due = plan.steps().get(first..).unwrap_or_default();
    let missing = || Error::call("perform a step", "without a process", Errno::ESRCH);
    due.iter()
        .map_while(|step| plan.parent_op(step))
        .try_for_each(|op| perform(op, child.ok_or_else(missing)?))
}

impl Launched {
    /// Waits until the payload runs: its execve(2) closes the other end of the channel.
    ///
    /// # Errors
    /// The step that failed between `Ready` and the payload.
    pub(crate) fn await_exec(self, plan: &Plan) -> Result<Child> {
        let mut begun = false;
        let outcome = loop {
            match self.channel.receive() {
                Ok(None) if begun => break Ok(()),
                Ok(None) => break Err(died("its program was about to begin", None)),
                Ok(Some((report, _))) => match report.kind {
                    Kind::Failed => break Err(explain(plan, report)),
                    Kind::Begun => begun = true,
                    _ => {}
                },
                Err(error) => break Err(error),
            }
        };
        match outcome {
            Ok(()) => Ok(self.child),
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

fn silent(outer: Option<WaitStatus>, inner: Option<WaitStatus>) -> Error {
    match (outer, inner) {
        (Some(WaitStatus::Exited(_, status)), _) if status >= spawn::EXEC_FAILED => {
            let errno = Errno::from_raw(status - spawn::EXEC_FAILED);
            Error::call("execveat", "oci-init", errno)
        }
        (_, inner) => died("the container was being set up", inner),
    }
}

fn died(stage: &'static str, status: Option<WaitStatus>) -> Error {
    let hint = match status {
        Some(WaitStatus::Signaled(_, nix::sys::signal::Signal::SIGKILL, _)) => {
            ": container init was OOM-killed (memory limit too low?)"
        }
        _ => "",
    };
    Cause::Died { stage, hint }.into()
}
