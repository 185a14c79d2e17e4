//! Signals that would end us while we are at something that has to be taken back: they are blocked and make an fd readable
//! that the library looks at. Once that is done, whoever called us gets the status that a shell has for the signal.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use oci_runtime::{Error, Kind};

use crate::failure::Failure;
use crate::sys;

/// What ends a process that does nothing about it, and is sent in order to.
const ENDING: [Signal; 4] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
];

/// The signals that end us, on hold.
#[derive(Debug)]
pub(crate) struct Interruption(SignalFd, SigSet);

impl Interruption {
    /// Holds them back from now on, but for those that the caller has us ignore: they end nothing.
    pub fn hold() -> Result<Interruption, Failure> {
        let mut signals = SigSet::empty();
        let counting = |signal: &Signal| !sys::is_ignored(*signal as i32);
        ENDING
            .into_iter()
            .filter(counting)
            .for_each(|signal| signals.add(signal));
        let failed = |action| move |errno| Failure::Os { action, errno };
        signals.thread_block().map_err(failed("block signals"))?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        SignalFd::with_flags(&signals, flags)
            .map_err(failed("make a signalfd"))
            .map(|fd| Interruption(fd, signals))
    }

    /// Readable when there was one.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Takes away those that have come.
    pub fn forget(&self) {
        while let Ok(Some(_)) = self.0.read_signal() {}
    }

    /// Lets them end us again, and the ones that have come too.
    pub fn release(self) -> Result<(), Failure> {
        let failed = |errno| Failure::Os {
            action: "unblock signals",
            errno,
        };
        self.1.thread_unblock().map_err(failed)
    }

    /// Finds the signal to a failure that it has led to.
    pub fn explain(&self, error: Error) -> Failure {
        if error.kind() != Kind::Interrupted {
            return error.into();
        }
        match self.0.read_signal() {
            Ok(Some(found)) => Failure::Interrupted {
                signal: found.ssi_signo.cast_signed(),
                error,
            },
            // The container was deleted.
            _ => error.into(),
        }
    }
}
