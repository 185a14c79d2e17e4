//! What is kept of a container between commands: one directory below the state root, named by its id.
//!
//! | file | holds |
//! |---|---|
//! | `state.json` | [`State`]; replaced as a whole, so a reader never sees half of it |
//! | `config.json` | the configuration that the container was created with; the bundle's may change. Written once the cgroup is the container's own: without it, what is at `cgroup_paths` is another's |
//! | `exec.fifo` | the gate that `start` opens; the first process holds it until it becomes the payload |
//! | `report.fifo` | where the first process tells `start` why the payload did not run |
//! | `deletion.fifo` | where `delete` by force tells a creation to give up; while there is somebody for it to wait for |
//!
//! The directory comes into being before anything else does and goes last, so whatever a killed command leaves can be found
//! and deleted. Its lock belongs to the command that changes the container.

mod directory;
mod process;

use std::collections::BTreeMap;
use std::path::PathBuf;

use oci_runtime_cgroups::Paths;
use oci_runtime_cgroups::systemd::Unit;
use serde::{Deserialize, Serialize};

use crate::error::{Cause, Described, Kind, Result};
use crate::hooks::{Hook, HookState};
use crate::resctrl::Membership;

pub(crate) use directory::StateDirectory;
pub use directory::StateRoot;
pub(crate) use process::start_time;

/// The contents of `state.json`. Names that other programs look for are runc's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The container's id.
    pub id: String,
    /// Pid of the first process in the runtime's pid namespace; 0 while there is none.
    pub init_process_pid: i32,
    /// When it started, in clock ticks after boot (field 22 of proc_pid_stat(5)): a pid alone may be another process's by now.
    pub init_process_start: u64,
    /// When the container was created, RFC 3339.
    pub created: String,
    /// `ociVersion` of the configuration.
    pub oci_version: String,
    /// Absolute path of the bundle.
    pub bundle: PathBuf,
    /// Absolute path of the root filesystem.
    pub rootfs: PathBuf,
    /// User id of the creator.
    pub owner: u32,
    /// The configuration's annotations.
    pub annotations: BTreeMap<String, String>,
    /// The container's directory in each cgroup hierarchy.
    pub cgroup_paths: Paths,
    /// Whether a directory of it was there before the creation, which then has it only once it has kept the configuration.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cgroup_found: bool,
    /// The unit that the cgroup is of, where systemd made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub systemd_unit: Option<Unit>,
    /// Its class of service, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resctrl: Option<Membership>,
    /// `CLONE_NEW*` flags of the namespaces that the configuration names.
    pub namespaces: u64,
    /// What the first process still has to do after the gate, to explain a failure of it.
    pub after_gate: Vec<Described>,
    /// Hooks for when the program runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub poststart: Vec<Hook>,
    /// Hooks for when the container is deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub poststop: Vec<Hook>,
}

/// Where a container is in its life (runtime.md, "State").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// `create` is at work, or was killed at it.
    Creating,
    /// Set up; the program waits for `start`.
    Created,
    /// The program runs.
    Running,
    /// The program is frozen.
    Paused,
    /// The program has ended.
    Stopped,
}

impl Status {
    /// The specification's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        }
    }
}

/// What is known of a container, as `state` prints it (runtime.md, "State").
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Version of the specification that the configuration follows.
    pub oci_version: String,
    /// Its id.
    pub id: String,
    /// Pid of its first process; 0 when there is none.
    pub pid: i32,
    /// Where it is in its life.
    #[serde(serialize_with = "status")]
    pub status: Status,
    /// Absolute path of the bundle.
    pub bundle: PathBuf,
    /// Absolute path of the root filesystem.
    pub rootfs: PathBuf,
    /// When it was created, RFC 3339.
    pub created: String,
    /// The configuration's annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Name of the user who created it, `#uid` without one; empty where it was not asked for.
    pub owner: String,
    /// User id of the creator.
    #[serde(skip)]
    pub owner_uid: u32,
}

fn status<S: serde::Serializer>(status: &Status, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(status.as_str())
}

impl StateRoot {
    /// A container that exists, with its directory locked.
    pub(crate) fn locked(&self, id: &str) -> Result<(StateDirectory, State)> {
        let mut directory = self.open(id)?;
        directory.lock()?;
        let state = directory
            .load()?
            .ok_or_else(|| Cause::NotFound { id: id.to_owned() })?;
        Ok((directory, state))
    }
}

impl State {
    /// Whether `start` has something to execute.
    pub(crate) fn has_program(&self) -> bool {
        self.after_gate.iter().any(|step| step.op == "Exec")
    }

    /// What hooks are told of the container.
    pub(crate) fn for_hooks(&self, status: Status, pid: Option<i32>) -> HookState<'_> {
        HookState {
            oci_version: &self.oci_version,
            id: &self.id,
            status: status.as_str(),
            pid,
            bundle: &self.bundle,
            annotations: &self.annotations,
        }
    }

    /// Whether the cgroup of a container of which nothing lives is known to be another's by now, which will remove it.
    ///
    /// # Errors
    /// The kernel could not be asked.
    pub(crate) fn is_taken_over(&self, root: &StateRoot) -> Result<bool> {
        let processes = oci_runtime_cgroups::processes(&self.cgroup_paths)?;
        Ok(!processes.is_empty() && self.shares_cgroup(root, false)?)
    }

    /// Whether another container has the same cgroup; `unknown` is the answer for one whose state cannot be read.
    ///
    /// # Errors
    /// There is no telling which containers there are.
    pub(crate) fn shares_cgroup(&self, root: &StateRoot, unknown: bool) -> Result<bool> {
        let has_it = |id: &String| {
            let other = root
                .open(id)
                .and_then(|directory| directory.load::<State>());
            match other {
                Ok(other) => other.is_some_and(|other| other.cgroup_paths == self.cgroup_paths),
                Err(error) => unknown && error.kind() != Kind::NotFound,
            }
        };
        let ids = root.ids()?;
        Ok(ids.iter().filter(|id| **id != self.id).any(has_it))
    }

    /// Makes a process a member of the container's class of service.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn join_class(&self, pid: i32) -> Result<()> {
        match &self.resctrl {
            Some(class) => class
                .join(pid)
                .map_err(|error| error.asked_for_by("/linux/intelRdt")),
            None => Ok(()),
        }
    }

    /// The container as it is now.
    ///
    /// # Errors
    /// The kernel could not be asked.
    pub(crate) fn look(&self, directory: &StateDirectory) -> Result<Container> {
        let status = self.status(directory)?;
        let gone = matches!(status, Status::Stopped | Status::Creating);
        Ok(Container {
            oci_version: self.oci_version.clone(),
            id: self.id.clone(),
            pid: if gone { 0 } else { self.init_process_pid },
            status,
            bundle: self.bundle.clone(),
            rootfs: self.rootfs.clone(),
            created: self.created.clone(),
            annotations: self.annotations.clone(),
            owner: String::new(),
            owner_uid: self.owner,
        })
    }

    /// Where the container is in its life, by what the kernel says. One that is frozen before its program has begun is
    /// paused too: nothing can be done with it before it is thawed.
    ///
    /// # Errors
    /// The kernel could not be asked. Then nothing is known: neither that the container runs nor that it does not.
    pub(crate) fn status(&self, directory: &StateDirectory) -> Result<Status> {
        if self.init_process_pid == 0 {
            return Ok(Status::Creating);
        }
        if !process::lives(self.init_process_pid, self.init_process_start)? {
            return Ok(Status::Stopped);
        }
        // Where nothing can freeze, nothing is frozen: that is no error there.
        if oci_runtime_cgroups::is_frozen(&self.cgroup_paths)? {
            return Ok(Status::Paused);
        }
        Ok(match directory.is_gate_held()? {
            true => Status::Created,
            false => Status::Running,
        })
    }
}
