//! The agent of a filter: hands it the listener and says whose it is (config-linux.md, "The Container Process State").

use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, sendmsg,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::hooks::HookState;
use crate::interrupt::Interrupts;
use crate::spec::OCI_VERSION;

const ORIGIN: &str = "/linux/seccomp/listenerPath";

/// How long an agent may take to accept the connection, and then what is sent over it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long until a full queue is tried again. Nothing tells that there is room.
const AGAIN: Duration = Duration::from_millis(5);

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
/// Nobody listens there, or does not take it; or the creation is to end.
pub(crate) fn send(
    path: &Path,
    metadata: Option<&str>,
    listener: BorrowedFd<'_>,
    pid: i32,
    state: HookState<'_>,
    interrupts: &Interrupts<'_>,
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
    let end = Instant::now() + PATIENCE;
    let agent = loop {
        match dial(path) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < end => {
                interrupts.wait([], Some(AGAIN)).map(|[]| ())?;
            }
            dialled => break dialled.map_err(failed("connect to the seccomp agent at"))?,
        }
    };
    send_all(agent.as_fd(), &text, listener).map_err(failed("send to the seccomp agent at"))
}

/// Does not wait for the connection, but for what is sent over it.
fn dial(path: &Path) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let agent = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(agent.as_raw_fd(), &UnixAddr::new(path)?)?;
    fcntl(&agent, FcntlArg::F_SETFL(OFlag::empty()))?;
    let patience = TimeVal::seconds(PATIENCE.as_secs().cast_signed());
    setsockopt(&agent, sockopt::SendTimeout, &patience)?;
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
