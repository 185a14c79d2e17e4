//! The process as the program finds it, made into one that it can work in. The program is entered below Rust's own start-up,
//! which would do a part of this, and besides read the address space and make a stack for signals.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, IntoRawFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::failure::Failure;
use crate::sys;

/// Opens what is missing of the three standard streams, ignores SIGPIPE, does not ignore SIGCHLD, by which children would
/// vanish with their status, and keeps whatever the caller has left open away
/// from the container.
pub(crate) fn prepare() -> Result<(), Failure> {
    for _ in 0..closed_streams()? {
        // The lowest fd that is free is the one that is missing.
        let null = OpenOptions::new().read(true).write(true).open("/dev/null");
        let null = null.map_err(|source| Failure::File {
            action: "open",
            path: "/dev/null".into(),
            source,
        })?;
        let _ = null.into_raw_fd();
    }
    sys::ignore_sigpipe();
    sys::default_sigchld();
    sys::close_on_exec_from(3);
    Ok(())
}

/// How many of the standard streams are closed. A file that took the place of one would be written to by whoever takes it
/// for that stream.
fn closed_streams() -> Result<usize, Failure> {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let streams = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let mut streams = streams.map(|stream| PollFd::new(stream, PollFlags::empty()));
    loop {
        match poll(&mut streams, PollTimeout::ZERO) {
            Ok(_) => break,
            Err(Errno::EINTR) => {}
            Err(errno) => {
                return Err(Failure::Os {
                    action: "look at the standard streams",
                    errno,
                });
            }
        }
    }
    let is_closed = |stream: &&PollFd<'_>| {
        let events = stream.revents();
        events.is_some_and(|events| events.contains(PollFlags::POLLNVAL))
    };
    Ok(streams.iter().filter(is_closed).count())
}
