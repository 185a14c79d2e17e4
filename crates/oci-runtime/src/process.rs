//! A process of a container, held by a handle that cannot come to mean another one.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};

use crate::error::{Error, Result};
use crate::launch::Child;
use crate::recorder::Recorder;
use crate::sys;

/// A container's first process, or one that `exec` started.
#[derive(Debug)]
pub struct Process {
    pid: i32,
    pidfd: OwnedFd,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// The status that shells give: a signal counts from 128.
    pub fn code(self) -> i32 {
        match self {
            Exit::Code(code) => code,
            Exit::Signal(signal) => 128 + signal,
        }
    }
}

impl Process {
    /// Its pid in the caller's pid namespace.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Its pidfd, readable once it has ended (pidfd_open(2)).
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// The process is gone, or must not be signalled.
    pub fn signal(&self, signal: i32) -> Result<()> {
        sys::pidfd_send_signal(self.pidfd.as_fd(), signal).map_err(|errno| {
            Error::call(
                "pidfd_send_signal",
                format!("{}, {signal}", self.pid),
                errno,
            )
        })
    }

    /// Waits for its end. Only its parent can: the process that made it.
    ///
    /// # Errors
    /// It is not the caller's child, or was waited for already.
    pub fn wait(&self) -> Result<Exit> {
        loop {
            match waitid(Id::PIDFd(self.pidfd.as_fd()), WaitPidFlag::WEXITED) {
                Ok(WaitStatus::Exited(_, code)) => return Ok(Exit::Code(code)),
                Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(Exit::Signal(signal as i32)),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::call("waitid", self.pid.to_string(), errno)),
            }
        }
    }
}

impl From<Child> for (Process, Option<Recorder>) {
    fn from(child: Child) -> Self {
        let process = Process {
            pid: child.pid,
            pidfd: child.pidfd,
        };
        (process, child.recorder)
    }
}

/// Writes a pid as engines read it: digits without a newline, and never half of it. The directory may be anybody's to write
/// to, so the new file is one that was not there before, and no link leads us to another.
pub(crate) fn write_pid_file(path: &Path, pid: i32) -> Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    let new = path.with_file_name(name);
    let stale = match fs::remove_file(&new) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    };
    stale
        .and_then(|()| File::create_new(&new))
        .and_then(|mut file| file.write_all(pid.to_string().as_bytes()))
        .and_then(|()| fs::rename(&new, path))
        .map_err(|error| {
            let _ = fs::remove_file(&new);
            Error::file("write the pid file", path, error)
        })
}
