//! The failure of a hook that the calling process ran.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::errno::Errno;

use super::errno::describe;
use crate::interrupt::Interruption;

/// Why a hook counts as failed.
#[derive(Debug)]
pub(crate) enum HookFailure {
    /// It could not be started or waited for.
    Start(Errno),
    /// It ended with another status than 0.
    Status {
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote on stderr.
        stderr: String,
    },
    /// It took too long and was killed.
    Timeout(Duration),
    /// It was killed because the creation has to end.
    Interrupted(Interruption),
}

impl fmt::Display for HookFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HookFailure::Start(errno) => write!(f, "cannot be run: {}", describe(*errno)),
            HookFailure::Interrupted(who) => write!(f, "was killed: {who}"),
            HookFailure::Timeout(timeout) => {
                write!(
                    f,
                    "was killed because it took longer than its timeout of {} s",
                    timeout.as_secs()
                )
            }
            HookFailure::Status { status, stderr } => {
                match (status.code(), status.signal()) {
                    (Some(code), _) => write!(f, "exit status {code}")?,
                    (None, signal) => write!(f, "killed by signal {}", signal.unwrap_or(0))?,
                }
                // One line in the log, whatever the hook wrote.
                let lines: Vec<&str> = stderr.lines().collect();
                if lines.is_empty() {
                    Ok(())
                } else {
                    write!(f, ", stderr: {}", lines.join("; "))
                }
            }
        }
    }
}
