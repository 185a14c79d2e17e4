//! Recording: every system call of a container is told to whoever started it, noted, and let go on.
//!
//! The filter that tells of calls has one fd at its end, the listener. A call waits until it is answered there, so whoever
//! holds a [`Recorder`] has to attend to it: [`serve`](Recorder::serve) each time the fd is readable. Nothing here starts a
//! thread. When the recorder is dropped, calls of what is left of the container fail with `ENOSYS`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use oci_runtime_seccomp::{Calls, SeccompData};

use crate::error::{Error, Result};
use crate::sys;

/// The calls that a container makes, while it makes them.
#[derive(Debug)]
pub struct Recorder {
    listener: OwnedFd,
    calls: Calls,
    /// While `init` has not become the payload. Its calls, and those of the hooks that it runs, come before any other filter.
    setting_up: bool,
}

impl Recorder {
    /// Takes up the calls that come over `listener`. Those of `init` are the runtime's own until it is the payload; a
    /// profile needs the ones of `always`.
    pub(crate) fn new(listener: OwnedFd, always: &[&str]) -> Recorder {
        // A kernel that cannot is only slower.
        let _ = sys::seccomp_wake_up_at_once(listener.as_fd());
        let mut calls = Calls::default();
        always.iter().for_each(|name| calls.note_name(name));
        Recorder {
            listener,
            calls,
            setting_up: true,
        }
    }

    /// The payload runs: from now on everything counts.
    pub(crate) fn begin(&mut self) {
        self.setting_up = false;
    }

    /// The calls up to now.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Notes the call that has waited longest, and lets it go on. To be used when the listener is readable: waits otherwise.
    ///
    /// # Errors
    /// The kernel does not answer as it should.
    pub fn serve(&mut self) -> Result<()> {
        let waiting = match sys::seccomp_receive(self.listener.as_fd()) {
            Ok(waiting) => waiting,
            // Who called is gone, or was interrupted and calls again.
            Err(Errno::ENOENT | Errno::EINTR) => return Ok(()),
            Err(errno) => return Err(Error::call("ioctl", "SECCOMP_IOCTL_NOTIF_RECV", errno)),
        };
        if !self.setting_up {
            self.calls.note(&SeccompData {
                nr: waiting.data.nr.cast_unsigned(),
                arch: waiting.data.arch,
                instruction_pointer: waiting.data.instruction_pointer,
                args: waiting.data.args,
            });
        }
        match sys::seccomp_continue(self.listener.as_fd(), waiting.id) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(Error::call("ioctl", "SECCOMP_IOCTL_NOTIF_SEND", errno)),
        }
    }
}

impl AsFd for Recorder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}
