//! `start`: opens the gate that a created container's program waits behind, and sees it begin.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use oci_runtime_init::report::{Kind, MAX_SIZE, Report};

use crate::error::{Cause, Error, Result};
use crate::explain::explain_described;
use crate::hooks;
use crate::interrupt::Interrupts;
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
    let refusal = match state.status(&directory)? {
        Status::Created if !state.has_program() => {
            Some("cannot start a container without a process: its config.json had none")
        }
        Status::Created => None,
        Status::Creating => Some("cannot start a container that is still being created"),
        Status::Running => Some("cannot start an already running container"),
        // Its first process would not see the gate open, and we would wait for it with the container locked.
        Status::Paused => Some("cannot start a container in the paused state"),
        Status::Stopped => Some("cannot start a container that has stopped"),
    };
    match refusal {
        Some(attempt) => Err(Cause::Status {
            attempt: attempt.to_owned(),
        }
        .into()),
        None => {
            open_gate(&directory, &state)?;
            // What follows changes nothing of the container, and may itself want to.
            directory.unlock();
            let pid = Some(state.init_process_pid);
            let told = state.for_hooks(Status::Running, pid);
            hooks::run_all(&state.poststart, told, &Interrupts::default(), hooks::GRACE)
        }
    }
}

fn open_gate(directory: &StateDirectory, state: &State) -> Result<()> {
    // First the way back, then the gate: a report cannot come before there is somebody to read it.
    let mut report = File::from(directory.open_report_reader()?);
    let Some(mut gate) = directory.open_gate()? else {
        return Err(Cause::Status {
            attempt: "cannot start a container that has stopped".to_owned(),
        }
        .into());
    };
    gate.write_all(b"s")
        .map_err(|error| Error::file("open the gate of", directory.path(), error))?;
    // As long as this is open the gate counts as held.
    drop(gate);
    let failure = await_exec(directory, &mut report)?;
    directory.remove_gate()?;
    match failure {
        None => Ok(()),
        Some(report) => Err(explain(state, report)),
    }
}

/// The report of a failure, or nothing once execve(2) has closed the other end. Whatever else may be told is no failure.
fn await_exec(directory: &StateDirectory, fifo: &mut File) -> Result<Option<Report>> {
    let mut bytes = [0; 2 * MAX_SIZE];
    let mut filled = 0;
    let mut begun = false;
    loop {
        wait_readable(fifo)?;
        match fifo.read(&mut bytes[filled..]) {
            Ok(0) if begun => return Ok(None),
            Ok(0) => {
                return Err(Cause::Died {
                    stage: "its program was about to begin",
                    hint: "",
                }
                .into());
            }
            Ok(count) => filled += count,
            Err(error)
                if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            Err(error) => return Err(Error::file("read the report of", directory.path(), error)),
        }
        // Reports come one by one, but a read may get several.
        while let Some(length) = Report::length(&bytes[..filled]).filter(|length| *length <= filled)
        {
            match Report::decode(&bytes[..length]) {
                Some(report) if report.kind == Kind::Failed => return Ok(Some(report)),
                Some(report) if report.kind == Kind::Begun => begun = true,
                _ => {}
            }
            bytes.copy_within(length..filled, 0);
            filled -= length;
        }
    }
}

fn wait_readable(file: &File) -> Result<()> {
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
