//! `pause` and `resume`: freezing all processes of a container and thawing them; and who they are.

use log::warn;

use crate::error::{Cause, Result};
use crate::state::{State, StateRoot, Status};

/// Freezes every process of a container.
///
/// # Errors
/// The container does not run, which is also said of one that is paused already, or cannot be frozen; then it is thawed again.
pub fn pause(root: &StateRoot, id: &str) -> Result<()> {
    let (directory, state) = root.locked(id)?;
    match state.status(&directory)? {
        Status::Created | Status::Running => {}
        status @ (Status::Paused | Status::Stopped | Status::Creating) => {
            return Err(Cause::NotRunning {
                id: id.to_owned(),
                status: status.as_str(),
            }
            .into());
        }
    }
    let frozen = oci_runtime_cgroups::freeze(&state.cgroup_paths);
    if frozen.is_err()
        && let Err(error) = oci_runtime_cgroups::thaw(&state.cgroup_paths)
    {
        warn!("cannot thaw what could not be frozen as a whole: {error}");
    }
    Ok(frozen?)
}

/// Thaws every process of a paused container.
///
/// # Errors
/// The container is not paused.
pub fn resume(root: &StateRoot, id: &str) -> Result<()> {
    let (directory, state) = root.locked(id)?;
    match state.status(&directory)? {
        Status::Paused => Ok(oci_runtime_cgroups::thaw(&state.cgroup_paths)?),
        status => {
            let attempt = format!("container not paused: {id} is {}", status.as_str());
            Err(Cause::Status { attempt }.into())
        }
    }
}

/// The pids of all processes in the container's cgroup, as the caller sees them, in order.
///
/// # Errors
/// There is no such container, or its cgroup cannot be read.
pub fn processes(root: &StateRoot, id: &str) -> Result<Vec<i32>> {
    let directory = root.open(id)?;
    let state: State = directory
        .load()?
        .ok_or_else(|| Cause::NotFound { id: id.to_owned() })?;
    // Of one that has ended, others may have the cgroup by now.
    if state.status(&directory)? == Status::Stopped && state.is_taken_over(root)? {
        return Ok(Vec::new());
    }
    let mut pids = oci_runtime_cgroups::processes(&state.cgroup_paths)?;
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}
