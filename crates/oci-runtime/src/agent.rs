//! The agent of a filter: hands it the listener and says whose it is (config-linux.md, "The Container Process State").

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, sendmsg,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::hooks::HookState;
use crate::spec::OCI_VERSION;

const ORIGIN: &str = "/linux/seccomp/listenerPath";

/// How long an agent may take to accept the connection and what is sent over it.
const PATIENCE_SECONDS: i64 = 10;

/// The container process state.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerProcessState<'a> {
    oci_version: &'a str,
    fds: [&'a str; 1],
    pid: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a str>,
    state: HookState<'a>,
}

/// Sends `listener`, which process `pid` of the container in `state` waits at, to the agent at `path`.
///
/// # Errors
/// Nobody listens there, or does not take it.
pub(crate) fn send(
    path: &Path,
    metadata: Option<&str>,
    listener: BorrowedFd<'_>,
    pid: i32,
    state: HookState<'_>,
) -> Result<()> {
    let state = ContainerProcessState {
        oci_version: OCI_VERSION,
        fds: ["seccompFd"],
        pid,
        metadata,
        state,
    };
    let failed = |action: &'static str| {
        move |error: io::Error| Error::file(action, path, error).asked_for_by(ORIGIN)
    };
    let text = serde_json::to_vec(&state)
        .map_err(|error| failed("describe the process to the seccomp agent at")(error.into()))?;
    let agent = dial(path).map_err(failed("connect to the seccomp agent at"))?;
    send_all(agent.as_fd(), &text, listener).map_err(failed("send to the seccomp agent at"))
}

fn dial(path: &Path) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let agent = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    // Holds for connect(2) too, whose queue may be full.
    setsockopt(
        &agent,
        sockopt::SendTimeout,
        &TimeVal::seconds(PATIENCE_SECONDS),
    )?;
    connect(agent.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(agent)
}

/// The listener goes with the first byte, as it has to if a message is too much for one call.
fn send_all(agent: BorrowedFd<'_>, mut text: &[u8], listener: BorrowedFd<'_>) -> io::Result<()> {
    let numbers = [listener.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&numbers)];
    let mut rights = &rights[..];
    while !text.is_empty() {
        let flags = MsgFlags::MSG_NOSIGNAL;
        match sendmsg::<()>(
            agent.as_raw_fd(),
            &[IoSlice::new(text)],
            rights,
            flags,
            None,
        ) {
            Ok(count) => {
                text = text.get(count..).unwrap_or_default();
                rights = &[];
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
