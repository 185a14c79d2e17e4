//! flock(2) with an end: a lock that others hold for long is not waited for any longer than that.

use std::fs::File;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Between two tries. The kernel waits for ever or not at all.
const AGAIN: Duration = Duration::from_millis(2);

/// The one lock of `file`, once nobody else has it; `None` when that takes longer than `patience`.
///
/// # Errors
/// The file system has no locks.
pub(crate) fn within(mut file: File, patience: Duration) -> Result<Option<Flock<File>>, Errno> {
    let end = Instant::now() + patience;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Some(lock)),
            Err((_, Errno::EWOULDBLOCK)) if Instant::now() >= end => return Ok(None),
            Err((same, Errno::EWOULDBLOCK)) => {
                file = same;
                std::thread::sleep(AGAIN);
            }
            Err((_, errno)) => return Err(errno),
        }
    }
}
