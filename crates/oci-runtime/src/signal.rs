//! `kill`: a signal for the container's first process, and for no other one that may have got its pid.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;

use crate::error::{Cause, Error, Result};
use crate::state::{State, StateRoot, Status, start_time};
use crate::sys;

/// Sends `signal` to the first process of a container; 0 only looks whether it is there.
///
/// # Errors
/// There is no such container, or it does not run.
pub fn kill(root: &StateRoot, id: &str, signal: i32) -> Result<()> {
    let directory = root.open(id)?;
    let state: State = directory
        .load()?
        .ok_or_else(|| Cause::NotFound { id: id.to_owned() })?;
    let not_running = |status: Status| {
        Error::from(Cause::NotRunning {
            id: id.to_owned(),
            status: status.as_str(),
        })
    };
    match state.status(&directory)? {
        status @ (Status::Stopped | Status::Creating) => Err(not_running(status)),
        status @ (Status::Created | Status::Running | Status::Paused) => {
            let pidfd = open(&state)?.ok_or_else(|| not_running(Status::Stopped))?;
            match sys::pidfd_send_signal(pidfd.as_fd(), signal) {
                Err(Errno::ESRCH) => Err(not_running(Status::Stopped)),
                Err(errno) => Err(Error::call(
                    "pidfd_send_signal",
                    format!("{}, {signal}", state.init_process_pid),
                    errno,
                )),
                Ok(()) if signal == libc::SIGKILL => Ok(let_die(&state, status)?),
                Ok(()) => Ok(()),
            }
        }
    }
}

/// On cgroup v1 a frozen process does not die before it is thawed. What it was before counts: the signal may have woken it for a
/// moment, and then its cgroup does not look frozen.
fn let_die(state: &State, before: Status) -> Result<(), oci_runtime_cgroups::Error> {
    let frozen = before == Status::Paused
        || oci_runtime_cgroups::is_frozen(&state.cgroup_paths).unwrap_or(false);
    if frozen {
        oci_runtime_cgroups::thaw(&state.cgroup_paths)
    } else {
        Ok(())
    }
}

/// Sends `signal` to every process in the container's cgroup. A container that has none left is no error.
///
/// # Errors
/// There is no such container, its cgroup is not made yet, or it cannot be used.
pub fn kill_all(root: &StateRoot, id: &str, signal: i32) -> Result<()> {
    let directory = root.open(id)?;
    let state: State = directory
        .load()?
        .ok_or_else(|| Cause::NotFound { id: id.to_owned() })?;
    if !directory.has_config()? {
        return Err(Cause::NotRunning {
            id: id.to_owned(),
            status: Status::Creating.as_str(),
        }
        .into());
    }
    // Of one that has ended, others may have the cgroup by now.
    if state.status(&directory)? == Status::Stopped && state.is_taken_over(root)? {
        return Ok(());
    }
    match signal {
        libc::SIGKILL => Ok(oci_runtime_cgroups::kill_all(&state.cgroup_paths)?),
        _ => signal_all(&state, signal),
    }
}

/// All stand still meanwhile, so that none is made that gets no signal. Where they cannot be frozen, it is for those that are there.
fn signal_all(state: &State, signal: i32) -> Result<()> {
    let paths = &state.cgroup_paths;
    let paused = oci_runtime_cgroups::is_frozen(paths).unwrap_or(false);
    let frozen = !paused && oci_runtime_cgroups::freeze(paths).is_ok();
    let pids = oci_runtime_cgroups::processes(paths);
    let sent = pids
        .map_err(Error::from)
        .and_then(|pids| send_all(&pids, signal));
    if frozen {
        oci_runtime_cgroups::thaw(paths)?;
    }
    sent
}

fn send_all(pids: &[i32], signal: i32) -> Result<()> {
    for pid in pids {
        let sent =
            sys::pidfd_open(*pid).and_then(|pidfd| sys::pidfd_send_signal(pidfd.as_fd(), signal));
        match sent {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => {
                let arguments = format!("{pid}, {signal}");
                return Err(Error::call("pidfd_send_signal", arguments, errno));
            }
        }
    }
    Ok(())
}

/// A handle on the first process; `None` when it has ended, or is not known yet. The start time is compared while the handle is held, so
/// what it means cannot change any more.
pub(crate) fn open(state: &State) -> Result<Option<OwnedFd>> {
    let pid = state.init_process_pid;
    if pid == 0 {
        return Ok(None);
    }
    let pidfd = match sys::pidfd_open(pid) {
        Ok(pidfd) => pidfd,
        Err(Errno::ESRCH) => return Ok(None),
        Err(errno) => return Err(Error::call("pidfd_open", pid.to_string(), errno)),
    };
    Ok((start_time(pid)? == Some(state.init_process_start)).then_some(pidfd))
}
