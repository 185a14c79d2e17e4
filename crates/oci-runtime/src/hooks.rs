//! Hooks in the runtime's own namespaces: prestart, createRuntime, poststart, poststop (config.md, "POSIX-platform Hooks").
//! Those inside of the container are steps of `init`.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use log::warn;
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::error::{Cause, Error, HookFailure, Result};
use crate::interrupt::{Interrupts, Stopped};
use crate::sys;

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// JSON pointer to it.
    pub origin: String,
    /// Absolute path.
    pub path: String,
    /// Arguments, the name first.
    pub args: Vec<String>,
    /// The whole environment.
    pub env: Vec<String>,
    /// After how long its process group is killed.
    pub timeout: Option<Duration>,
}

/// The container as hooks get it on stdin (runtime.md, "State").
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HookState<'a> {
    pub oci_version: &'a str,
    pub id: &'a str,
    pub status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    pub bundle: &'a std::path::Path,
    pub annotations: &'a std::collections::BTreeMap<String, String>,
}

/// Runs hooks in order.
///
/// # Errors
/// The first one that fails; the others are not run. One that runs when the creation has to end is killed.
pub(crate) fn run(hooks: &[Hook], state: HookState<'_>, interrupts: &Interrupts<'_>) -> Result<()> {
    hooks.iter().try_for_each(|hook| {
        interrupts.look()?;
        run_one(hook, state, interrupts, Duration::ZERO).map_err(|failure| failed(hook, failure))
    })
}

/// How long a hook may go on that tells of an end when its caller wants to have done with it: somebody may rely on it.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// Runs hooks in order, whether they fail or not: too late to undo anything. When the caller wants an end, each has `grace` left.
///
/// # Errors
/// One that was killed because the caller wanted an end.
pub(crate) fn run_all(
    hooks: &[Hook],
    state: HookState<'_>,
    interrupts: &Interrupts<'_>,
    grace: Duration,
) -> Result<()> {
    let mut result = Ok(());
    for hook in hooks {
        match run_one(hook, state, interrupts, grace) {
            Ok(()) => {}
            Err(failure @ HookFailure::Interrupted(_)) => {
                result = result.and(Err(failed(hook, failure)));
            }
            Err(failure) => warn!("{}: hook {}: {failure}", hook.origin, hook.path),
        }
    }
    result
}

fn failed(hook: &Hook, failure: HookFailure) -> Error {
    Cause::Hook {
        origin: hook.origin.clone(),
        path: hook.path.clone(),
        failure,
    }
    .into()
}

fn run_one(
    hook: &Hook,
    state: HookState<'_>,
    interrupts: &Interrupts<'_>,
    grace: Duration,
) -> Result<(), HookFailure> {
    let mut command = Command::new(&hook.path);
    if let Some((name, arguments)) = hook.args.split_first() {
        command.arg0(name).args(arguments);
    }
    let environment = hook.env.iter().filter_map(|entry| entry.split_once('='));
    command.env_clear().envs(environment).process_group(0);
    // What they name beside config.json is found there; an engine may have removed it before poststop.
    if state.bundle.is_dir() {
        command.current_dir(state.bundle);
    }
    let text = serde_json::to_vec(&state).map_err(|error| os(error.into()))?;
    let stderr = memory_file(b"")?;
    command
        .stdin(memory_file(&text)?)
        .stdout(Stdio::null())
        .stderr(stderr.try_clone().map_err(os)?);
    let mut child = command.spawn().map_err(os)?;
    let status = wait(&mut child, hook.timeout, interrupts, grace)?;
    if status.success() {
        return Ok(());
    }
    Err(HookFailure::Status {
        status,
        stderr: tail(stderr),
    })
}

fn os(error: std::io::Error) -> HookFailure {
    HookFailure::Start(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
}

/// A file in memory with `bytes`. Not a pipe: a hook that does not read its stdin or writes a lot to stderr can neither
/// block nor make us fail, and a daemon that it leaves behind holds nothing that is waited for.
fn memory_file(bytes: &[u8]) -> Result<File, HookFailure> {
    let memfd = sys::memfd_create(c"hook", libc::MFD_CLOEXEC).map_err(HookFailure::Start)?;
    let mut file = File::from(memfd);
    file.write_all(bytes)
        .and_then(|()| file.rewind())
        .map_err(os)?;
    Ok(file)
}

/// Waits for its end, and makes one when the time is over or the caller wants it.
fn wait(
    child: &mut Child,
    timeout: Option<Duration>,
    interrupts: &Interrupts<'_>,
    grace: Duration,
) -> Result<ExitStatus, HookFailure> {
    if timeout.is_some() || !interrupts.is_empty() {
        let pid = child.id().cast_signed();
        let pidfd = sys::pidfd_open(pid).map_err(HookFailure::Start)?;
        let failure = match (interrupts.wait([pidfd.as_fd()], timeout), timeout) {
            (Ok([false]), Some(timeout)) => Some(HookFailure::Timeout(timeout)),
            (Ok(_), _) => None,
            (Err(Stopped::By(who)), _) => {
                match Interrupts::default().wait([pidfd.as_fd()], Some(grace)) {
                    Ok([true]) => None,
                    _ => Some(HookFailure::Interrupted(who)),
                }
            }
            (Err(Stopped::Poll(errno)), _) => Some(HookFailure::Start(errno)),
        };
        if let Some(failure) = failure {
            // The whole group: what the hook has started must not go on without it.
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
            let _ = child.wait();
            return Err(failure);
        }
    }
    child.wait().map_err(os)
}

/// The end of what it wrote on stderr.
fn tail(mut stderr: File) -> String {
    const ENOUGH: u64 = 4096;
    let length = stderr.metadata().map_or(0, |found| found.len());
    let mut bytes = Vec::new();
    let start = SeekFrom::Start(length.saturating_sub(ENOUGH));
    // Without the text the failure is still told by its status.
    let _ = stderr
        .seek(start)
        .and_then(|_| stderr.take(ENOUGH).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).trim().to_owned()
}
