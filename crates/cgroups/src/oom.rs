//! Running out of memory: being told of it, and asking afterwards.
//!
//! v1 tells through an eventfd that is registered for `memory.oom_control`; v2 counts in `memory.events`, whose changes
//! inotify tells. Both are file descriptors to be waited for together with others: nothing here waits.

use crate::error::{Error, Result};
use crate::files::{is_gone, read_records, write_text};
use crate::paths::Paths;
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// Tells when a container runs out of memory.
#[derive(Debug)]
pub struct OomWatch(Source);

#[derive(Debug)]
enum Source {
    V1 {
        event: EventFd,
        dir: PathBuf,
    },
    V2 {
        inotify: Inotify,
        dir: PathBuf,
        kills: u64,
    },
}

impl OomWatch {
    /// Begins to watch; `None` where no controller limits memory.
    pub fn new(paths: &Paths) -> Result<Option<OomWatch>> {
        let source = match (paths.dir("memory"), paths.unified()) {
            (Some(dir), _) => v1(dir)?,
            (None, Some(dir)) if dir.join("memory.events").exists() => v2(dir)?,
            _ => return Ok(None),
        };
        Ok(Some(OomWatch(source)))
    }

    /// Whether memory has run out since the last call. To be asked when the descriptor is readable; it is so for other
    /// reasons too, the removal of the cgroup among them.
    pub fn take(&mut self) -> Result<bool> {
        match &mut self.0 {
            Source::V1 { event, dir } => {
                let count = match event.read() {
                    Ok(count) => count,
                    Err(Errno::EAGAIN | Errno::EINTR) => 0,
                    Err(errno) => return Err(fail("read", dir, errno)),
                };
                Ok(count > 0 && dir.exists())
            }
            Source::V2 {
                inotify,
                dir,
                kills,
            } => {
                match inotify.read_events() {
                    Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => {}
                    Err(errno) => return Err(fail("read", dir, errno)),
                }
                let now = count(dir, "memory.events")?.unwrap_or(*kills);
                Ok(std::mem::replace(kills, now) < now)
            }
        }
    }
}

/// Readable when there may be something to [`OomWatch::take`].
impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Source::V1 { event, .. } => event.as_fd(),
            Source::V2 { inotify, .. } => inotify.as_fd(),
        }
    }
}

fn v1(dir: &Path) -> Result<Source> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    let event = EventFd::from_flags(flags).map_err(|errno| fail("eventfd", dir, errno))?;
    let file = dir.join("memory.oom_control");
    let control = File::open(&file).map_err(|e| Error::io("open", &file, &e))?;
    let line = format!("{} {}", event.as_fd().as_raw_fd(), control.as_raw_fd());
    write_text(&dir.join("cgroup.event_control"), &line)?;
    Ok(Source::V1 {
        event,
        dir: dir.to_path_buf(),
    })
}

fn v2(dir: &Path) -> Result<Source> {
    let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
    let inotify = Inotify::init(flags).map_err(|errno| fail("inotify_init", dir, errno))?;
    let file = dir.join("memory.events");
    inotify
        .add_watch(&file, AddWatchFlags::IN_MODIFY)
        .map_err(|errno| fail("inotify_add_watch", &file, errno))?;
    Ok(Source::V2 {
        inotify,
        dir: dir.to_path_buf(),
        kills: count(dir, "memory.events")?.unwrap_or(0),
    })
}

/// How many processes of the container the kernel has killed because memory ran out; `None` where it does not tell.
pub fn oom_kills(paths: &Paths) -> Result<Option<u64>> {
    match (paths.dir("memory"), paths.unified()) {
        (Some(dir), _) => count(dir, "memory.oom_control"),
        (None, Some(dir)) => count(dir, "memory.events"),
        (None, None) => Ok(None),
    }
}

/// The number in the line `oom_kill N`; v1 has it since Linux 4.13.
fn count(dir: &Path, file: &str) -> Result<Option<u64>> {
    let text = match read_records(&dir.join(file)) {
        Err(e) if is_gone(&e) => return Ok(None),
        text => text?,
    };
    let mut counts = text
        .lines()
        .filter_map(|line| line.strip_prefix("oom_kill "));
    Ok(counts.next().and_then(|number| number.parse().ok()))
}

fn fail(call: &'static str, path: &Path, errno: Errno) -> Error {
    Error::Io {
        call,
        path: path.to_path_buf(),
        errno: errno as i32,
    }
}
