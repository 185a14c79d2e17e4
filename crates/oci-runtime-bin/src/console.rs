//! Who gets the container's terminal: a socket that the caller named, or we ourselves.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use oci_runtime::spec::Process;

use crate::failure::Failure;
use crate::terminal::callers_size;

/// Where the master goes.
#[derive(Debug)]
pub(crate) enum Console {
    /// There is no terminal.
    None,
    /// To a socket of the caller's.
    Theirs(UnixStream),
    /// To us: our end of a pair, and the one that the library gets.
    Ours(UnixStream, UnixStream),
}

/// Decides by what is asked for. A detached process with a terminal outlives us, so somebody else has to take it.
pub(crate) fn console(
    terminal: bool,
    detached: bool,
    path: Option<&OsStr>,
) -> Result<Console, Failure> {
    match (terminal, detached, path) {
        (true, true, None) => Err(Failure::ConsoleNeeded),
        (true, true, Some(path)) => connect(path).map(Console::Theirs),
        (_, _, Some(_)) => Err(Failure::ConsoleUnused),
        (false, _, None) => Ok(Console::None),
        (true, false, None) => {
            let (ours, library) = UnixStream::pair().map_err(|source| Failure::Io {
                action: "make a socket pair",
                source,
            })?;
            Ok(Console::Ours(ours, library))
        }
    }
}

fn connect(path: &OsStr) -> Result<UnixStream, Failure> {
    UnixStream::connect(path).map_err(|source| Failure::File {
        action: "connect to the console socket",
        path: path.into(),
        source,
    })
}

impl Console {
    /// What the library is given.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Console::None => None,
            Console::Theirs(socket) | Console::Ours(_, socket) => Some(socket.as_fd()),
        }
    }

    /// Has the terminal begin with the size of the caller's, where the configuration names none and we stand between the two.
    pub fn give_size(&self, process: &mut Process<'_>) {
        if matches!(self, Console::Ours(..)) && process.console_size.is_none() {
            process.console_size = callers_size();
        }
    }
}
