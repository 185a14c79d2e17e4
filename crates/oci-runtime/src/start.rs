//! `start`: opens the gate that a created container's program waits behind, and sees it begin.

use std::io::{Read, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use oci_runtime_init::report::{Report, SIZE};

use crate::error::{Cause, Error, Result};
use crate::explain::explain_described;
use crate::hooks;
use crate::state::{State, StateDirectory, StateRoot, Status};

/// Starts the program of a created container, and returns when it has begun.
///
/// # Errors
/// The container is not created, or its program could not be executed; then it has stopped.
pub fn start(root: &StateRoot, id: &str) -> Result<()> {
    let mut directory = root.open(id)?;
    directory.lock()?;
    let state: State = directory
        .load()?
        .ok_or_else(|| Cause::NotFound { id: id.to_owned() })?;
    let refusal = match state.status(&directory) {
        Status::Created => None,
        Status::Creating => Some("cannot start a container that is still being created"),
        Status::Running | Status::Paused => Some("cannot start an already running container"),
        Status::Stopped => Some("cannot start a container that has stopped"),
    };
    match refusal {
        Some(attempt) => Err(Cause::Status {
            attempt: attempt.to_owned(),
        }
        .into()),
        None => {
            open_gate(&directory, &state)?;
            let pid = Some(state.init_process_pid);
            hooks::run_all(&state.poststart, state.for_hooks(Status::Running, pid));
            Ok(())
        }
    }
}

fn open_gate(directory: &StateDirectory, state: &State) -> Result<()> {
    // First the way back, then the gate: a report cannot come before there is somebody to read it.
    let mut report = std::fs::File::from(directory.open_report_reader()?);
    let Some(mut gate) = directory.open_gate_writer()? else {
        return Err(Cause::Status {
            attempt: "cannot start a container that has stopped".to_owned(),
        }
        .into());
    };
    gate.write_all(b"s")
        .map_err(|error| Error::file("open the gate of", directory.path(), error))?;
    let mut bytes = [0; SIZE];
    let count = loop {
        wait_readable(&report)?;
        match report.read(&mut bytes) {
            Ok(count) => break count,
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::Interrupted | std::io::ErrorKind::WouldBlock
                ) => {}
            Err(error) => return Err(Error::file("read the report of", directory.path(), error)),
        }
    };
    directory.remove_gate()?;
    // Nothing to read and nobody left to write: execve(2) has closed the other end.
    match Report::decode(&bytes[..count]) {
        None => Ok(()),
        Some(report) => Err(explain(state, report)),
    }
}

fn wait_readable(file: &std::fs::File) -> Result<()> {
    loop {
        let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::call("poll", "the report", errno)),
        }
    }
}

fn explain(state: &State, report: Report) -> Error {
    match state
        .after_gate
        .iter()
        .find(|step| step.number == report.step)
    {
        Some(step) => explain_described(step, report),
        None => Error::call(
            "start",
            format!("step {}", report.step),
            Errno::from_raw(report.errno),
        ),
    }
}
