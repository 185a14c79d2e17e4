//! `delete`: ends what still runs where that is allowed, then removes the cgroup, and the state last.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use log::warn;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use oci_runtime_cgroups::Paths;
use oci_runtime_cgroups::systemd::{self, Unit};

use crate::cgroup;
use crate::error::{Cause, Error, Kind, Result};
use crate::hooks;
use crate::host::Host;
use crate::interrupt::Interrupts;
use crate::process::Process;
use crate::signal;
use crate::spec::{self, Spec};
use crate::state::{State, StateDirectory, StateRoot, Status};
use crate::sys;

/// How long a killed process may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Deletes a container that has stopped or was never started; with `force` also one that runs or whose state is damaged, and
/// then one that does not exist is no error.
///
/// # Errors
/// The container runs, its state cannot be read, or something of it cannot be removed.
pub fn delete(root: &StateRoot, id: &str, force: bool) -> Result<()> {
    delete_any(root, id, None, force, &Interrupts::default())
}

/// As [`delete`] for the container whose first process was `process`. Somebody else may have deleted it, and may even have made
/// another one by that id since: that one is left alone, and neither is an error.
///
/// Once `interrupt` is readable each poststop hook has ten seconds left, and is killed then; the container is gone by that time.
///
/// # Errors
/// As [`delete`], and [`Kind::Interrupted`].
pub fn delete_of(
    root: &StateRoot,
    id: &str,
    process: &Process,
    force: bool,
    interrupt: Option<BorrowedFd<'_>>,
) -> Result<()> {
    let interrupts = Interrupts::of_caller(interrupt);
    match delete_any(root, id, Some(process.pid()), force, &interrupts) {
        Err(error) if error.kind() == Kind::NotFound => Ok(()),
        other => other,
    }
}

fn delete_any(
    root: &StateRoot,
    id: &str,
    only: Option<i32>,
    force: bool,
    interrupts: &Interrupts<'_>,
) -> Result<()> {
    match delete_existing(root, id, only, force, interrupts) {
        Err(error) if force && error.kind() == Kind::NotFound => Ok(()),
        other => other,
    }
}

fn delete_existing(
    root: &StateRoot,
    id: &str,
    only: Option<i32>,
    force: bool,
    interrupts: &Interrupts<'_>,
) -> Result<()> {
    let mut directory = root.open(id)?;
    match (force, only) {
        (true, None) => lock_by_force(&mut directory)?,
        // Whoever works on it may have made it anew.
        _ => directory.lock()?,
    }
    let error = match directory.load::<State>() {
        Ok(Some(state)) if only.is_some_and(|pid| pid != state.init_process_pid) => return Ok(()),
        Ok(Some(state)) => return delete_known(root, &directory, &state, force, interrupts),
        // A creation that was killed before it had written anything has made nothing else.
        Ok(None) => return directory.remove(),
        Err(error) => error,
    };
    match error.damage() {
        Some(_) if force => delete_damaged(&directory, id),
        Some((path, reason)) => Err(Cause::Damaged {
            path: path.to_owned(),
            reason: format!(
                "{reason}; what the container runs cannot be told from it, so nothing was ended or removed (use --force to \
                 end what is in the cgroup of the kept configuration, and to remove the state)"
            ),
        }
        .into()),
        // What cannot be read now may be read later.
        None => Err(error),
    }
}

fn delete_known(
    root: &StateRoot,
    directory: &StateDirectory,
    state: &State,
    force: bool,
    interrupts: &Interrupts<'_>,
) -> Result<()> {
    let refuse = |status: &str| {
        let attempt = format!(
            "cannot delete container {} that is not stopped: {status}",
            state.id
        );
        Err(Cause::Status { attempt }.into())
    };
    let status = state.status(directory)?;
    match status {
        Status::Running | Status::Paused if !force => return refuse(status.as_str()),
        Status::Creating if !force => return refuse("creating (use --force)"),
        Status::Stopped | Status::Creating => {}
        Status::Created | Status::Running | Status::Paused => end(state, force)?,
    }
    match directory.has_config()? {
        true if force && status == Status::Stopped && state.is_taken_over(root)? => {}
        true if force => force_cgroup(&state.cgroup_paths, state.systemd_unit.as_ref())?,
        true => clear_cgroup(root, directory, state)?,
        false => remove_empty(&state.cgroup_paths)?,
    }
    if let Some(class) = &state.resctrl {
        class.remove();
    }
    directory.remove()?;
    let told = state.for_hooks(Status::Stopped, None);
    hooks::run_all(&state.poststop, told, interrupts, hooks::GRACE)
}

/// How long another command may go on with a container that is to be deleted by force.
const GRACE: Duration = Duration::from_secs(1);

/// How often it is told to give up.
const TRIES: usize = 15;

/// A hook that hangs holds the command up that holds the lock.
fn lock_by_force(directory: &mut StateDirectory) -> Result<()> {
    for _ in 0..TRIES {
        if directory.lock_within(GRACE)? {
            return Ok(());
        }
        interrupt(directory)?;
    }
    directory.lock()
}

/// Ends what another command waits for, so that it gives the container up.
fn interrupt(directory: &StateDirectory) -> Result<()> {
    directory.announce_deletion()?;
    let Some(state) = directory.load::<State>()? else {
        return Ok(());
    };
    if let Some(pidfd) = signal::open(&state)? {
        // One that is gone by now is as good.
        let _ = sys::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL);
    }
    match directory.has_config()? {
        true => kill_all(&state.cgroup_paths),
        false => Ok(()),
    }
}

/// Kills the first process and waits until it is gone; with its pid namespace all others go too.
fn end(state: &State, force: bool) -> Result<()> {
    let Some(pidfd) = signal::open(state)? else {
        return Ok(());
    };
    send_sigkill(pidfd.as_fd(), state.init_process_pid)?;
    // A frozen process does not die before it is thawed.
    if force {
        kill_all(&state.cgroup_paths)?;
    }
    wait(pidfd.as_fd(), state.init_process_pid)
}

fn send_sigkill(pidfd: BorrowedFd<'_>, pid: i32) -> Result<()> {
    match sys::pidfd_send_signal(pidfd, libc::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(Error::call(
            "pidfd_send_signal",
            format!("{pid}, SIGKILL"),
            errno,
        )),
    }
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

/// Removes the container's cgroup, and before that ends what runs on there of the container: without a pid namespace of its
/// own it may have outlived the first process. Nothing else is touched: below the cgroup there may be other containers, and
/// one that came later may have taken it over.
fn clear_cgroup(root: &StateRoot, directory: &StateDirectory, state: &State) -> Result<()> {
    let paths = &state.cgroup_paths;
    // A scope that has ended leaves its name to others.
    let unit = match &state.systemd_unit {
        Some(unit) if !state.is_taken_over(root)? => Some(unit),
        _ => None,
    };
    if let Some(own) = own(paths)
        // What can be removed has no process in it.
        && fs::remove_dir(own).is_err()
        && !processes_in(own)?.is_empty()
        && !has_own_pid_namespace(directory)?
        && !state.shares_cgroup(root, true)?
    {
        kill_processes_in(own, paths)?;
    }
    cgroup::remove(paths, unit)
}

/// The directory that knows all processes of the cgroup.
fn own(paths: &Paths) -> Option<&Path> {
    paths.unified().or(paths.dirs().first().copied())
}

/// Kills what is in the cgroup itself, and waits for it.
pub(crate) fn kill_processes_in_own(paths: &Paths) -> Result<()> {
    own(paths).map_or(Ok(()), |own| kill_processes_in(own, paths))
}

/// Removes the cgroup, and before that ends all that runs there.
fn force_cgroup(paths: &Paths, unit: Option<&Unit>) -> Result<()> {
    if !oci_runtime_cgroups::processes(paths)?.is_empty() {
        kill_all(paths)?;
    }
    cgroup::remove(paths, unit)
}

/// Whether the end of the first process was the end of all others.
fn has_own_pid_namespace(directory: &StateDirectory) -> Result<bool> {
    let bytes = directory.load_config()?;
    let spec = parse(directory, &bytes)?;
    Ok(spec.linux.owns_pid_namespace())
}

fn parse<'s>(directory: &StateDirectory, bytes: &'s [u8]) -> Result<Spec<'s>> {
    spec::parse(bytes).map_err(|source| {
        Cause::Parse {
            path: directory.config_path(),
            source,
        }
        .into()
    })
}

/// Kills what is in the cgroup `directory` itself, and leaves alone what is below. [`oci_runtime_cgroups::remove`] names who
/// is there after all.
fn kill_processes_in(directory: &Path, paths: &Paths) -> Result<()> {
    refuse_root(directory)?;
    let end = Instant::now() + PATIENCE;
    loop {
        let pids = processes_in(directory)?;
        if pids.is_empty() || Instant::now() >= end {
            return Ok(());
        }
        for pid in pids {
            kill_member(directory, pid)?;
        }
        if oci_runtime_cgroups::is_frozen(paths)? {
            oci_runtime_cgroups::thaw(paths)?;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Kills `pid` if it is in `directory` still while we hold a handle on it: before, it may have come to mean another process.
fn kill_member(directory: &Path, pid: i32) -> Result<()> {
    let pidfd = match sys::pidfd_open(pid) {
        Ok(pidfd) => pidfd,
        Err(Errno::ESRCH) => return Ok(()),
        Err(errno) => return Err(Error::call("pidfd_open", pid.to_string(), errno)),
    };
    match processes_in(directory)?.contains(&pid) {
        true => send_sigkill(pidfd.as_fd(), pid),
        false => Ok(()),
    }
}

/// The processes of one cgroup, without those below it; none when it is gone.
fn processes_in(directory: &Path) -> Result<Vec<i32>> {
    let file = directory.join("cgroup.procs");
    match fs::read_to_string(&file) {
        // One outside of our pid namespace reads as 0.
        Ok(text) => Ok(text
            .lines()
            .filter_map(|line| line.parse().ok())
            .filter(|pid| *pid > 0)
            .collect()),
        Err(error) if is_gone(&error) => Ok(Vec::new()),
        Err(error) => Err(Error::file("read", &file, error)),
    }
}

fn kill_all(paths: &Paths) -> Result<()> {
    paths.dirs().into_iter().try_for_each(refuse_root)?;
    Ok(oci_runtime_cgroups::kill_all(paths)?)
}

/// No container has the root of a hierarchy, whatever a state file says: all that runs on the machine may be in there.
fn refuse_root(directory: &Path) -> Result<()> {
    let device = |path: &Path| match path.metadata() {
        Ok(found) => Ok(Some(found.dev())),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(Error::file("look at the cgroup", path, error)),
    };
    let above = directory.parent().map(device).transpose()?.flatten();
    match device(directory)? {
        // The mount point lies in another filesystem.
        Some(own) if above != Some(own) => Err(Error::file(
            "no cgroup of a container:",
            directory,
            Errno::EINVAL.into(),
        )),
        _ => Ok(()),
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}

/// Of a creation that was killed before the cgroup was its own: another container's may be there, and only what is empty
/// can be left of ours.
fn remove_empty(paths: &Paths) -> Result<()> {
    for directory in paths.dirs() {
        match fs::remove_dir(directory) {
            Err(error)
                if !is_gone(&error)
                    && !matches!(error.raw_os_error(), Some(libc::EBUSY | libc::ENOTEMPTY)) =>
            {
                return Err(Error::file("remove the cgroup", directory, error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Without a state, the kept configuration still names the cgroup, as it did when the container was created. A relative path
/// counts from the caller's cgroup; from elsewhere nothing will be found.
fn delete_damaged(directory: &StateDirectory, id: &str) -> Result<()> {
    if directory.has_config()? {
        let bytes = directory.load_config()?;
        match parse(directory, &bytes) {
            Ok(spec) => {
                force_cgroup_of(&spec, id)?;
            }
            Err(error) => warn!("{id}: whether something of it runs on is not known: {error}"),
        }
    }
    directory.remove()
}

/// The configuration does not say who has made the cgroup, but a path for systemd has another form than one for the file systems.
fn force_cgroup_of(spec: &Spec<'_>, id: &str) -> Result<()> {
    let host = Host::read()?;
    let layout = &host.cgroups;
    let path = Some(&*spec.linux.cgroups_path);
    let paths = oci_runtime_cgroups::resolve(layout, path, id)?;
    force_cgroup(&paths, None)?;
    let Ok(asked) = systemd::asked(path, id, host.bus()) else {
        return Ok(());
    };
    let paths = systemd::resolve(layout, &asked, host.outer_euid)?;
    match paths.dirs().into_iter().any(Path::exists) {
        true => force_cgroup(&paths, Some(&asked.unit)),
        false => Ok(()),
    }
}
