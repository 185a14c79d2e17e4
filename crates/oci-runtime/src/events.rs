//! What a container uses, and when it runs out of memory: asked once, or watched to its end.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use oci_runtime_cgroups::{OomWatch, Paths};
use serde::Serialize;

use crate::error::{Cause, Error, Result};
use crate::signal;
use crate::state::{State, StateRoot, Status};

/// What a container uses. Serialises to the `data` of runc's `events`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// What its cgroup counts.
    #[serde(flatten)]
    pub cgroup: oci_runtime_cgroups::Stats,
    /// Intel RDT: member of runc's schema and its text.
    pub intel_rdt: BTreeMap<String, String>,
    /// Always null: no network interface is of the runtime's making.
    pub network_interfaces: (),
}

/// What a container uses now. A paused one can be asked too.
///
/// # Errors
/// The container does not run, or the kernel does not tell.
pub fn stats(root: &StateRoot, id: &str) -> Result<Stats> {
    stats_of(&living(root, id)?.cgroup_paths).or_else(|error| {
        // It may have ended by now, and then that is what there is to say.
        living(root, id)?;
        Err(error)
    })
}

fn stats_of(paths: &Paths) -> Result<Stats> {
    Ok(Stats {
        cgroup: oci_runtime_cgroups::stats(paths)?,
        ..Stats::default()
    })
}

/// How many processes of a container the kernel has killed because its memory ran out; `None` where it does not count them.
///
/// # Errors
/// There is no such container.
pub fn oom_kills(root: &StateRoot, id: &str) -> Result<Option<u64>> {
    let state = load(root, id)?;
    Ok(oci_runtime_cgroups::oom_kills(&state.cgroup_paths)?)
}

/// A container that is being watched. Nothing happens behind the caller: all waiting is in [`Watch::wait`].
#[derive(Debug)]
pub struct Watch {
    paths: Paths,
    process: OwnedFd,
    oom: Option<OomWatch>,
}

/// Why a [`Watch::wait`] is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Memory has run out.
    Oom,
    /// The first process has ended.
    Ended,
    /// It is time.
    Time,
}

/// Begins to watch a container.
///
/// # Errors
/// The container does not run, or the kernel does not tell.
pub fn watch(root: &StateRoot, id: &str) -> Result<Watch> {
    let state = living(root, id)?;
    let stopped = || not_running(id, Status::Stopped);
    let process = signal::open(&state)?.ok_or_else(stopped)?;
    let mut watch = Watch {
        paths: state.cgroup_paths,
        process,
        oom: None,
    };
    let oom = OomWatch::new(&watch.paths).map_err(Error::from);
    watch.oom = watch.unless_ended(oom)?.ok_or_else(stopped)?;
    Ok(watch)
}

impl Watch {
    /// Whether the host can tell that memory runs out.
    pub fn tells_oom(&self) -> bool {
        self.oom.is_some()
    }

    /// What the container uses now; `None` when it has ended and its cgroup is gone, as far as it was to be asked.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn stats(&self) -> Result<Option<Stats>> {
        self.unless_ended(stats_of(&self.paths))
    }

    /// The cgroup of a container that has ended can be removed by anybody at any time: then an error is none.
    fn unless_ended<T>(&self, asked: Result<T>) -> Result<Option<T>> {
        match asked {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => match self.poll(PollTimeout::ZERO)? {
                (_, true) => Ok(None),
                (_, false) => Err(error),
            },
        }
    }

    /// Waits for the next event, at most until `time`. That memory ran out is told before the end that it may have caused.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn wait(&mut self, time: Instant) -> Result<Event> {
        loop {
            let left = time.saturating_duration_since(Instant::now());
            // Not too early: what is left of a millisecond is waited for as a whole one.
            let left = left + std::time::Duration::from_micros(999);
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let (oom, ended) = self.poll(timeout)?;
            if oom && let Some(watch) = &mut self.oom {
                let taken = watch.take().map_err(Error::from);
                if self.unless_ended(taken)? == Some(true) {
                    return Ok(Event::Oom);
                }
            }
            if ended {
                return Ok(Event::Ended);
            }
            if Instant::now() >= time {
                return Ok(Event::Time);
            }
        }
    }

    fn poll(&self, timeout: PollTimeout) -> Result<(bool, bool)> {
        let mut fds = vec![PollFd::new(self.process.as_fd(), PollFlags::POLLIN)];
        fds.extend(
            self.oom
                .iter()
                .map(|oom| PollFd::new(oom.as_fd(), PollFlags::POLLIN)),
        );
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::call("poll", "a watched container", errno)),
        }
        let ready = |place: usize| {
            let flags = fds.get(place).and_then(PollFd::revents);
            flags.is_some_and(|flags| !flags.is_empty())
        };
        Ok((ready(1), ready(0)))
    }
}

fn living(root: &StateRoot, id: &str) -> Result<State> {
    let directory = root.open(id)?;
    let state = load(root, id)?;
    match state.status(&directory)? {
        Status::Created | Status::Running | Status::Paused => Ok(state),
        status @ (Status::Stopped | Status::Creating) => Err(not_running(id, status)),
    }
}

fn load(root: &StateRoot, id: &str) -> Result<State> {
    let missing = || Cause::NotFound { id: id.to_owned() };
    Ok(root.open(id)?.load()?.ok_or_else(missing)?)
}

fn not_running(id: &str, status: Status) -> Error {
    Cause::NotRunning {
        id: id.to_owned(),
        status: status.as_str(),
    }
    .into()
}
