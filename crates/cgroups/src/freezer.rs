//! Stopping and killing all processes of a container at once.
//!
//! v1 has a controller for it, freezer; v2 has the files `cgroup.freeze` and `cgroup.kill` in every cgroup. On hybrid
//! the v1 controller freezes. Whatever goes wrong, nothing is left frozen that was not frozen before.

use crate::error::{Error, Result};
use crate::files::{is_gone, read_value, write_text};
use crate::paths::Paths;
use crate::processes::processes_of;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long [`freeze`] and [`kill_all`] wait for the kernel.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often a v1 cgroup that does not come to rest is let go and stopped again.
const TRIES_BEFORE_THAW: u32 = 20;

/// Stops every process of the container and waits until they stand still. On failure they run on.
pub fn freeze(paths: &Paths) -> Result<()> {
    let freezer = Freezer::of(paths)?;
    let frozen = freezer.freeze();
    if frozen.is_err() {
        // The cause is what the caller needs, and a cgroup that is gone needs no thawing.
        let _ = freezer.thaw();
    }
    frozen
}

/// Lets every process of the container run again.
pub fn thaw(paths: &Paths) -> Result<()> {
    Freezer::of(paths)?.thaw()
}

/// Whether the container's cgroup, or one above it, is frozen; false if it is gone, or where nothing can freeze.
pub fn is_frozen(paths: &Paths) -> Result<bool> {
    match Freezer::of(paths).and_then(|freezer| freezer.is_frozen()) {
        Err(Error::Controller { .. }) => Ok(false),
        Err(e) if is_gone(&e) => Ok(false),
        result => result,
    }
}

/// Sends SIGKILL to every process of the container, frozen ones included, and to those that they make meanwhile.
///
/// The processes are dying, not necessarily gone, when this returns; [`crate::remove`] waits for them. A cgroup that is
/// gone is fine.
pub fn kill_all(paths: &Paths) -> Result<()> {
    let killed = match paths.unified() {
        Some(dir) => write_text(&dir.join("cgroup.kill"), "1").is_ok(),
        None => false,
    };
    if paths.is_v2_only() && killed {
        return Ok(());
    }
    // Whatever stands in the way of cgroup.kill, such as a threaded cgroup, does not stand in the way of signals.
    let v1 = paths.dir("freezer").or(paths.dirs().first().copied());
    match v1 {
        Some(dir) => kill_in_rounds(paths, dir),
        None => Ok(()),
    }
}

/// Kills in rounds: a round sees every process that existed when all stood still, so the second finds none that is new.
fn kill_in_rounds(paths: &Paths, dir: &Path) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut killed: Vec<i32> = Vec::new();
    loop {
        let living = processes_of(dir)?;
        // A frozen process dies only when it is let go, so one round is made even where all were killed before.
        if living.iter().all(|pid| killed.contains(pid)) {
            return thaw_if_possible(paths);
        }
        if Instant::now() >= deadline {
            return Err(Error::Timeout {
                dir: dir.to_path_buf(),
                state: "empty",
            });
        }
        // Without a freezer, or where it does not come to rest, more rounds do it.
        let _ = freeze(paths);
        let signalled = signal_all(dir, &mut killed);
        thaw_if_possible(paths).and(signalled)?;
        sleep(Duration::from_millis(1));
    }
}

fn signal_all(dir: &Path, killed: &mut Vec<i32>) -> Result<()> {
    for pid in processes_of(dir)? {
        match kill(Pid::from_raw(pid), Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => killed.push(pid),
            Err(errno) => {
                return Err(Error::Io {
                    call: "kill",
                    path: dir.to_path_buf(),
                    errno: errno as i32,
                });
            }
        }
    }
    Ok(())
}

fn thaw_if_possible(paths: &Paths) -> Result<()> {
    match thaw(paths) {
        Err(Error::Controller { .. }) => Ok(()),
        Err(e) if is_gone(&e) => Ok(()),
        result => result,
    }
}

enum Freezer<'a> {
    V1(&'a Path),
    V2(&'a Path),
}

impl<'a> Freezer<'a> {
    fn of(paths: &'a Paths) -> Result<Self> {
        match (paths.dir("freezer"), paths.unified()) {
            (Some(dir), _) => Ok(Freezer::V1(dir)),
            (None, Some(dir)) => Ok(Freezer::V2(dir)),
            (None, None) => Err(Error::Controller {
                pointer: String::new(),
                controller: "freezer",
            }),
        }
    }

    fn freeze(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = Duration::from_micros(50);
        self.stop()?;
        for tries in 1.. {
            if self.stands_still()? {
                return Ok(());
            }
            if Instant::now() >= deadline {
                break;
            }
            sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
            self.stop_again(tries)?;
        }
        Err(Error::Timeout {
            dir: self.dir().to_path_buf(),
            state: "frozen",
        })
    }

    fn stop(&self) -> Result<()> {
        match self {
            Freezer::V1(dir) => write_text(&dir.join("freezer.state"), "FROZEN"),
            Freezer::V2(dir) => write_text(&dir.join("cgroup.freeze"), "1"),
        }
    }

    /// v1 misses processes that are just being made, and can wait for ever on a vfork: it has to be told again.
    fn stop_again(&self, tries: u32) -> Result<()> {
        if let Freezer::V1(_) = self {
            if tries.is_multiple_of(TRIES_BEFORE_THAW) {
                self.thaw()?;
                sleep(Duration::from_millis(1));
            }
            self.stop()?;
        }
        Ok(())
    }

    fn thaw(&self) -> Result<()> {
        match self {
            Freezer::V1(dir) => write_text(&dir.join("freezer.state"), "THAWED"),
            Freezer::V2(dir) => write_text(&dir.join("cgroup.freeze"), "0"),
        }
    }

    fn stands_still(&self) -> Result<bool> {
        match self {
            Freezer::V1(dir) => Ok(read_value(&dir.join("freezer.state"))? == "FROZEN"),
            Freezer::V2(dir) => {
                let events = read_value(&dir.join("cgroup.events"))?;
                Ok(events.lines().any(|line| line == "frozen 1"))
            }
        }
    }

    fn is_frozen(&self) -> Result<bool> {
        match self {
            Freezer::V1(dir) => Ok(read_value(&dir.join("freezer.state"))? != "THAWED"),
            Freezer::V2(_) => self.stands_still(),
        }
    }

    fn dir(&self) -> &Path {
        match self {
            Freezer::V1(dir) | Freezer::V2(dir) => dir,
        }
    }
}
