//! `delete`: ends what still runs where that is allowed, then removes the cgroup, and the state last.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::{Cause, Error, Kind, Result};
use crate::hooks;
use crate::signal;
use crate::state::{State, StateDirectory, StateRoot, Status};
use crate::sys;

/// How long a killed process may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Deletes a container that has stopped or was never started; with `force` also one that runs, and then one that does not
/// exist is no error.
///
/// # Errors
/// The container runs, or something of it cannot be removed.
pub fn delete(root: &StateRoot, id: &str, force: bool) -> Result<()> {
    match delete_existing(root, id, force) {
        Err(error) if force && error.kind() == Kind::NotFound => Ok(()),
        other => other,
    }
}

fn delete_existing(root: &StateRoot, id: &str, force: bool) -> Result<()> {
    let mut directory = root.open(id)?;
    directory.lock()?;
    let state: State = match directory.load() {
        Ok(Some(state)) => state,
        // A creation that was killed before it had written anything has made nothing else.
        Ok(None) => return directory.remove(),
        Err(error) => {
            directory.remove()?;
            return Err(error);
        }
    };
    let status = state.status(&directory);
    match status {
        Status::Running | Status::Paused if !force => {
            let attempt = format!(
                "cannot delete container {id} that is not stopped: {}",
                status.as_str()
            );
            return Err(Cause::Status { attempt }.into());
        }
        Status::Creating if !force => {
            let attempt =
                format!("cannot delete container {id} that is not stopped: creating (use --force)");
            return Err(Cause::Status { attempt }.into());
        }
        Status::Stopped | Status::Creating => {}
        Status::Created | Status::Running | Status::Paused => end(&state)?,
    }
    remove(&directory, &state)
}

/// Kills the first process and waits until it is gone; with its pid namespace all others go too.
fn end(state: &State) -> Result<()> {
    let Some(pidfd) = signal::open(state)? else {
        return Ok(());
    };
    match sys::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => {
            return Err(Error::call(
                "pidfd_send_signal",
                state.init_process_pid.to_string(),
                errno,
            ));
        }
    }
    // A frozen process does not die before it is thawed.
    oci_runtime_cgroups::kill_all(&state.cgroup_paths)?;
    wait(pidfd.as_fd(), state.init_process_pid)
}

fn wait(pidfd: BorrowedFd<'_>, pid: i32) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(pidfd, PollFlags::POLLIN)], timeout) {
            Ok(0) => {
                let attempt = format!(
                    "container init {pid} is still running {} s after SIGKILL",
                    PATIENCE.as_secs()
                );
                return Err(Cause::Status { attempt }.into());
            }
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::call("poll", pid.to_string(), errno)),
        }
    }
}

/// Without a pid namespace of its own, processes of the container may have outlived the first one.
fn remove(directory: &StateDirectory, state: &State) -> Result<()> {
    if !oci_runtime_cgroups::processes(&state.cgroup_paths)?.is_empty() {
        oci_runtime_cgroups::kill_all(&state.cgroup_paths)?;
    }
    oci_runtime_cgroups::remove(&state.cgroup_paths)?;
    directory.remove()?;
    hooks::run_all(&state.poststop, state.for_hooks(Status::Stopped, None));
    Ok(())
}
