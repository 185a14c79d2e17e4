//! The two terminals of a process in the foreground: the container's, whose master we hold, and the caller's, where there
//! is one.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::termios::{
    LocalFlags, SetArg, SpecialCharacterIndices, Termios, cfmakeraw, tcgetattr, tcsetattr,
};
use oci_runtime::spec::ConsoleSize;

use crate::failure::Failure;
use crate::sys;

/// Takes the master that the container has sent, and makes it non-blocking: it is ours alone.
pub(crate) fn receive(socket: &UnixStream) -> Result<OwnedFd, Failure> {
    let fail = |errno| Failure::Os {
        action: "receive the container's terminal",
        errno,
    };
    let master = sys::receive_fd(socket.as_fd())
        .map_err(fail)?
        .ok_or(Failure::ConsoleLost)?;
    fcntl(
        &master,
        FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK),
    )
    .map_err(fail)?;
    Ok(master)
}

/// The size of the caller's terminal in characters, if the caller has one.
pub(crate) fn callers_size() -> Option<ConsoleSize> {
    window_size().map(|size| ConsoleSize {
        height: size.ws_row.into(),
        width: size.ws_col.into(),
    })
}

/// Gives the container's terminal the size of the caller's, if the caller has one. The same size again signals nobody.
pub(crate) fn copy_size(master: BorrowedFd<'_>) {
    if let Some(size) = window_size()
        && let Err(errno) = sys::set_window_size(master, &size)
    {
        log::warn!("cannot set the size of the terminal: {errno}");
    }
}

fn window_size() -> Option<libc::winsize> {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let size = sys::window_size(stdin.as_fd()).or_else(|_| sys::window_size(stdout.as_fd()));
    size.ok()
}

/// The caller's terminal in raw mode, for as long as this lives: the container's terminal does the editing.
#[derive(Debug)]
pub(crate) struct Raw(Termios);

impl Raw {
    /// Switches standard input, if it is a terminal.
    pub fn enter() -> Result<Option<Raw>, Failure> {
        let stdin = io::stdin();
        let saved = match tcgetattr(&stdin) {
            Ok(saved) => saved,
            Err(_) => return Ok(None),
        };
        let mut raw = saved.clone();
        cfmakeraw(&mut raw);
        tcsetattr(&stdin, SetArg::TCSANOW, &raw).map_err(|errno| Failure::Os {
            action: "put the terminal into raw mode",
            errno,
        })?;
        Ok(Some(Raw(saved)))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal may be gone, and then there is nothing to restore.
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.0);
    }
}

/// What ends the input of a reader on the container's terminal: nothing at all when it reads single characters.
pub(crate) fn end_of_input(master: BorrowedFd<'_>, line_begun: bool) -> Result<Vec<u8>, Errno> {
    let modes = tcgetattr(master)?;
    if !modes.local_flags.contains(LocalFlags::ICANON) {
        return Ok(Vec::new());
    }
    let end = modes.control_chars[SpecialCharacterIndices::VEOF as usize];
    // In the middle of a line the first one only passes that on.
    Ok(vec![end; if line_begun { 2 } else { 1 }])
}
