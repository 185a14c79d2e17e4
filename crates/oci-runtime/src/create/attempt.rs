//! A container in the making: the parent lane's own steps, and the way back.

use std::cell::Cell;
use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use log::warn;
use nix::fcntl::Flock;
use oci_runtime_cgroups::{Created, Paths, systemd};

use crate::agent;
use crate::cgroup;
use crate::delete::kill_processes_in_own;
use crate::error::{Error, Result};
use crate::hooks;
use crate::host::Host;
use crate::interrupt::Interrupts;
use crate::launch::{Child, schedule};
use crate::net::Moves;
use crate::plan::ParentOp;
use crate::resctrl;
use crate::state::{State, StateDirectory, StateRoot, Status, start_time};

/// What there is of it.
pub(super) struct Attempt {
    pub root: StateRoot,
    pub directory: StateDirectory,
    pub state: State,
    pub host: Host,
    pub cgroup: Option<(Created, Paths)>,
    /// The lock of those that have found their cgroup made, until it is known whose it is.
    pub turn: Option<Flock<File>>,
    /// Network devices that are the container's by now.
    pub moves: Option<Moves>,
    /// Whether hooks have run.
    pub hooked: bool,
    /// Whether all of its processes end with its first one.
    pub pid_namespace: bool,
}

impl Attempt {
    /// `child` is the process of the outer lane until there is the one of the inner lane.
    pub fn perform(
        &mut self,
        op: &ParentOp,
        child: &mut Child,
        way: Option<BorrowedFd<'_>>,
        interrupts: &Interrupts<'_>,
    ) -> Result<()> {
        match op {
            ParentOp::CreateCgroup { paths } => {
                let turn = Cell::new(Ok(None));
                let claimed = || match self.take_turn() {
                    Ok(lock) => {
                        turn.set(Ok(Some(lock)));
                        self.claimed()
                    }
                    Err(error) => {
                        turn.set(Err(error));
                        Some("nobody knows who".to_owned())
                    }
                };
                let created =
                    oci_runtime_cgroups::create_unless(&self.host.cgroups, paths, &claimed);
                self.turn = turn.into_inner()?;
                self.state.cgroup_found = self.turn.is_some();
                let created = created
                    .map_err(|error| Error::from(error).asked_for_by("/linux/cgroupsPath"))?;
                self.cgroup = Some((created, paths.clone()));
                Ok(())
            }
            ParentOp::StartUnit {
                unit,
                properties,
                paths,
            } => {
                let layout = &self.host.cgroups;
                let pid = child.pid.unsigned_abs();
                let fds = interrupts.fds();
                let created = systemd::start(layout, paths, unit, properties, pid, &fds);
                if let Err(oci_runtime_cgroups::Error::BusInterrupted { .. }) = &created {
                    interrupts.look()?;
                }
                let created = created?;
                self.cgroup = Some((created, paths.clone()));
                Ok(())
            }
            ParentOp::DelegateCgroup {
                directory,
                uid,
                gid,
            } => Ok(oci_runtime_cgroups::delegate(directory, *uid, *gid)?),
            ParentOp::ApplyLimits { limits } => Ok(oci_runtime_cgroups::apply(limits)?),
            ParentOp::IdMaps { uid_map, gid_map } => {
                write_map(child.pid, "uid_map", uid_map)
                    .map_err(|error| error.asked_for_by("/linux/uidMappings"))?;
                write_map(child.pid, "gid_map", gid_map)
                    .map_err(|error| error.asked_for_by("/linux/gidMappings"))
            }
            ParentOp::Hooks { hooks } => {
                self.hooked = true;
                let state = self.state.for_hooks(Status::Creating, Some(child.pid));
                hooks::run(hooks, state, interrupts)
            }
            ParentOp::NetDevices { devices } => {
                let moves = self.moves.insert(Moves::new(way)?);
                devices.iter().try_for_each(|device| moves.take(device))
            }
            ParentOp::SendListener { path, metadata } => {
                let state = self.state.for_hooks(Status::Creating, Some(child.pid));
                let pid = child.pid;
                let listener = child.take_listener()?;
                let listener = listener.as_fd();
                agent::send(path, metadata.as_deref(), listener, pid, state, interrupts)
            }
            ParentOp::RecordCalls { always } => child.record(always),
            ParentOp::Scheduler { .. } | ParentOp::IoPriority { .. } => schedule(op, child.pid),
            ParentOp::MakeClass { class } => {
                let made =
                    resctrl::make(class).map_err(|error| error.asked_for_by("/linux/intelRdt"))?;
                self.state.resctrl = Some(made);
                // Whoever kills us now can have it removed.
                self.directory.save(&self.state)
            }
            ParentOp::JoinClass => self.state.join_class(child.pid),
            ParentOp::SaveState => {
                self.state.init_process_pid = child.pid;
                self.state.init_process_start = start_time(child.pid)?.unwrap_or(0);
                self.directory.save(&self.state)?;
                match interrupts.deletion {
                    // From here on there is a process to end.
                    Some(_) => self.directory.remove_deletion(),
                    None => Ok(()),
                }
            }
        }
    }

    /// One after the other, those that find a cgroup made say so and look whose it is.
    fn take_turn(&self) -> Result<Flock<File>> {
        let lock = self.root.lock()?;
        let mut state = self.state.clone();
        state.cgroup_found = true;
        self.directory.save(&state)?;
        Ok(lock)
    }

    /// Another container in the making that is to have the same cgroup. Each has saved its state before it comes here. Of
    /// those that have found it only one that was here before can have it.
    fn claimed(&self) -> Option<String> {
        let ids = self.root.ids().ok()?;
        let same = |id: &String| {
            let directory = self.root.open(id).ok()?;
            let other: State = directory.load().ok()??;
            let same = other.init_process_pid == 0 && other.cgroup_paths == self.state.cgroup_paths;
            let claims = same && (!other.cgroup_found || directory.has_config().unwrap_or(true));
            claims.then(|| format!("container {id}, which is being created,"))
        };
        ids.iter().filter(|id| **id != self.state.id).find_map(same)
    }

    /// Takes back what was made. The error that led here is the one to return; what fails now is only told.
    pub fn clear_away(self, interrupts: &Interrupts<'_>) {
        if let Some(moves) = self.moves
            && let Err(error) = moves.undo()
        {
            warn!("cannot give a network device back: {error}");
        }
        if let Some((created, paths)) = self.cgroup {
            // Whoever has come there meanwhile, or below, is none of ours.
            if !self.pid_namespace
                && let Err(error) = kill_processes_in_own(&paths)
            {
                warn!("cannot end what is left in the cgroup: {error}");
            }
            // It may have ended by itself, and its name be another's.
            if let Some(unit) = &self.state.systemd_unit
                && !self.state.is_taken_over(&self.root).unwrap_or(false)
            {
                cgroup::stop_unit(unit);
            }
            if let Err(error) = created.undo() {
                warn!("cannot remove the cgroup: {error}");
            }
        }
        if let Some(class) = &self.state.resctrl {
            class.remove();
        }
        if let Err(error) = self.directory.remove() {
            warn!("{error}");
        }
        // Whoever was told of a container's beginning is told of its end.
        if self.hooked {
            let state = self.state.for_hooks(Status::Stopped, None);
            if let Err(error) =
                hooks::run_all(&self.state.poststop, state, interrupts, hooks::GRACE)
            {
                warn!("{error}");
            }
        }
    }
}

/// One write for the whole map, as the kernel wants it.
fn write_map(pid: i32, name: &str, lines: &str) -> Result<()> {
    let path = PathBuf::from(format!("/proc/{pid}/{name}"));
    fs::write(&path, lines).map_err(|error| Error::file("write the id map", &path, error))
}
