//! `--pidfd-socket`: a handle of the process for the caller, which cannot come to mean another process.

use std::io::IoSlice;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use oci_runtime::Process;

use crate::arguments::Arguments;
use crate::failure::Failure;

/// Somebody who waits for a pidfd.
#[derive(Debug)]
pub(crate) struct PidfdSocket(UnixStream);

/// Connects where the command line says, before anything is made.
pub(crate) fn pidfd_socket(arguments: &Arguments) -> Result<Option<PidfdSocket>, Failure> {
    let Some(path) = arguments.text("pidfd-socket") else {
        return Ok(None);
    };
    let connected = UnixStream::connect(path).map_err(|source| Failure::File {
        action: "connect to the pidfd socket",
        path: path.into(),
        source,
    });
    connected.map(PidfdSocket).map(Some)
}

/// Sends the pidfd where one is waited for. If that fails `undo` ends the process: for the caller there is none.
pub(crate) fn hand_over(
    socket: Option<PidfdSocket>,
    process: &Process,
    text: &str,
    undo: impl FnOnce(),
) -> Result<(), Failure> {
    let sent = socket.map_or(Ok(()), |socket| socket.send(process, text));
    if sent.is_err() {
        undo();
    }
    sent
}

impl PidfdSocket {
    /// Sends one message with the pidfd; its text says which process it is: `standard` for the first, `setns` for another.
    fn send(&self, process: &Process, text: &str) -> Result<(), Failure> {
        let fds = [process.pidfd().as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&fds)];
        let text = [IoSlice::new(text.as_bytes())];
        let flags = MsgFlags::MSG_NOSIGNAL;
        sendmsg::<()>(self.0.as_raw_fd(), &text, &rights, flags, None)
            .map(drop)
            .map_err(|errno| Failure::Os {
                action: "send the pidfd",
                errno,
            })
    }
}
