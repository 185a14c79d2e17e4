//! Cleaning up after any end. A command that leaves things in the kernel (containers, cgroups) runs as a child of the
//! process that was called, which waits for the child or a signal, passes the signal on, and then tidies up.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::command::spawn_error;
use crate::error::{Error, Result};

/// Set in the environment of the child.
const INNER: &str = "XTASK_SUPERVISED";

/// Runs `body` in a child process and `tidy` after it, however it ended. `name` and `arguments` are the command's own:
/// the child is this program called once more.
pub fn supervised(
    name: &str,
    arguments: Vec<OsString>,
    body: fn(Vec<OsString>) -> Result<ExitCode>,
    tidy: fn(),
) -> Result<ExitCode> {
    if std::env::var_os(INNER).is_some() {
        signals().thread_unblock().map_err(|errno| Error::Errno {
            call: "sigprocmask",
            errno,
        })?;
        return body(arguments);
    }
    signals().thread_block().map_err(|errno| Error::Errno {
        call: "sigprocmask",
        errno,
    })?;
    let program = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
    let mut command = Command::new(program);
    command.arg(name).args(arguments).env(INNER, "1");
    let child = command.spawn().map_err(spawn_error(&command))?;
    let ended = wait(Pid::from_raw(child.id() as i32));
    tidy();
    ended
}

/// What the supervisor waits for.
fn signals() -> SigSet {
    SigSet::from_iter([
        Signal::SIGCHLD,
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
    ])
}

fn wait(child: Pid) -> Result<ExitCode> {
    loop {
        let signal = signals().wait().map_err(|errno| Error::Errno {
            call: "sigwait",
            errno,
        })?;
        if signal != Signal::SIGCHLD {
            // The child may have ended by itself meanwhile, or got the signal from the terminal as we did.
            let _ = kill(child, signal);
            continue;
        }
        match waitpid(child, Some(WaitPidFlag::WNOHANG)).map_err(|errno| Error::Errno {
            call: "waitpid",
            errno,
        })? {
            WaitStatus::Exited(_, code) => return Ok(ExitCode::from(code as u8)),
            WaitStatus::Signaled(_, signal, _) => return Err(Error::Interrupted(signal)),
            _ => {}
        }
    }
}
