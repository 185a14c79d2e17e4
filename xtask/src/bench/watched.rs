//! Programs that may hang, timed: one that takes too long is killed, and that is its result.

use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::command::{line, spawn_error};
use crate::error::{Error, Result};

/// How long `command` takes from posix_spawn to its end, by CLOCK_MONOTONIC, and how it ended. After `longest` it is killed,
/// and the error is [`Error::Hung`].
pub fn timed(command: &mut Command, longest: Duration) -> Result<(Duration, ExitStatus)> {
    let pid = Arc::new(AtomicI32::new(0));
    let (ended, end) = channel::<()>();
    // It is there and waits before time is taken.
    let watcher = thread::spawn({
        let pid = Arc::clone(&pid);
        move || {
            let late = end.recv_timeout(longest) == Err(RecvTimeoutError::Timeout);
            let pid = pid.load(Ordering::SeqCst);
            if late && pid > 0 {
                // Not waited for yet, so this pid is nobody else's.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            late
        }
    });
    let start = Instant::now();
    let child = command.spawn();
    let waited = child.as_ref().ok().map(|child| {
        pid.store(child.id() as i32, Ordering::SeqCst);
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        waitid(Id::Pid(Pid::from_raw(child.id() as i32)), flags)
    });
    let took = start.elapsed();
    drop(ended);
    let late = watcher.join().unwrap_or(false);
    let mut child = child.map_err(spawn_error(command))?;
    let status = child.wait().map_err(spawn_error(command))?;
    match waited {
        Some(Err(errno)) => Err(Error::Errno {
            call: "waitid",
            errno,
        }),
        _ if late => Err(Error::Hung {
            command: line(command),
            longest,
        }),
        _ => Ok((took, status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_that_of_the_program() {
        let (took, status) =
            timed(Command::new("sleep").arg("0.05"), Duration::from_secs(60)).unwrap();
        assert!(took >= Duration::from_millis(50) && status.success());
    }

    #[test]
    fn what_hangs_is_ended_and_named() {
        let start = Instant::now();
        let answer = timed(Command::new("sleep").arg("1000"), Duration::from_millis(50));
        let error = answer.unwrap_err();
        assert!(matches!(error, Error::Hung { .. }), "{error}");
        assert!(error.to_string().contains("`sleep 1000`"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(500));
    }

    #[test]
    fn what_cannot_be_started_is_an_error() {
        let answer = timed(&mut Command::new("/nowhere"), Duration::from_secs(60));
        assert!(matches!(answer, Err(Error::Spawn { .. })));
    }
}
