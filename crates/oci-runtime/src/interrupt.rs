//! What ends a creation, or a wait for hooks later on, before it has come to an end by itself: the caller, by a file descriptor of its own, and
//! `delete` by force, by a FIFO in the container's directory. Wherever the parent lane waits for somebody else, for `init`, a hook or
//! an agent, it waits for these too; so nobody's pid has to be known, and whoever waits takes back what it has made itself.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Who can end a creation.
#[derive(Debug, Default)]
pub(crate) struct Interrupts<'a> {
    /// The caller's: readable when it wants an end.
    pub caller: Option<BorrowedFd<'a>>,
    /// The FIFO: readable when the container is being deleted.
    pub deletion: Option<OwnedFd>,
}

/// Who has ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Interruption {
    #[error("it was interrupted")]
    Caller,
    #[error("the container was deleted while it was being created")]
    Deletion,
}

/// Why a wait is over without what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// The creation is to end.
    By(Interruption),
    /// poll(2) itself failed.
    Poll(Errno),
}

impl Interrupts<'_> {
    /// What is left once no state directory is there to be deleted from, or none is ours.
    pub(crate) fn of_caller(caller: Option<BorrowedFd<'_>>) -> Interrupts<'_> {
        Interrupts {
            caller,
            deletion: None,
        }
    }

    /// Whether nobody can.
    pub(crate) fn is_empty(&self) -> bool {
        self.caller.is_none() && self.deletion.is_none()
    }

    /// Which of `fds` are ready, once one is or the time is over. What has happened comes before an interruption: a program that
    /// has begun, for one, gets the signals that are sent to whoever began it.
    ///
    /// # Errors
    /// The creation is to end.
    pub(crate) fn wait<const N: usize>(
        &self,
        fds: [BorrowedFd<'_>; N],
        limit: Option<Duration>,
    ) -> Result<[bool; N], Stopped> {
        let end = limit.map(|limit| Instant::now() + limit);
        let sources = [
            (
                self.deletion.as_ref().map(AsFd::as_fd),
                Interruption::Deletion,
            ),
            (self.caller, Interruption::Caller),
        ];
        let sources = sources.into_iter().filter_map(|(fd, who)| Some((fd?, who)));
        let (interrupts, who): (Vec<_>, Vec<_>) = sources.unzip();
        let mut polled: Vec<_> = fds
            .into_iter()
            .chain(interrupts)
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            match poll(&mut polled, left.map_or(PollTimeout::NONE, rounded_up)) {
                Ok(_) => break,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Stopped::Poll(errno)),
            }
        }
        let ready: Vec<_> = polled
            .iter()
            .map(|fd| fd.any().unwrap_or_default())
            .collect();
        let (ready, interrupts) = ready.split_at(N);
        match who.into_iter().zip(interrupts).find(|(_, ready)| **ready) {
            Some((who, _)) if !ready.contains(&true) => Err(Stopped::By(who)),
            _ => Ok(std::array::from_fn(|place| ready[place])),
        }
    }

    /// Readable when the creation is to end, for whoever waits elsewhere.
    pub(crate) fn fds(&self) -> Vec<BorrowedFd<'_>> {
        let deletion = self.deletion.as_ref().map(AsFd::as_fd);
        deletion.into_iter().chain(self.caller).collect()
    }

    /// # Errors
    /// The creation is to end.
    pub(crate) fn look(&self) -> Result<(), Stopped> {
        self.wait([], Some(Duration::ZERO)).map(|[]| ())
    }
}

/// What is left of a millisecond is waited for as a whole one.
fn rounded_up(left: Duration) -> PollTimeout {
    PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_is_waited_for_comes_before_an_interruption() {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let (silent, _open) = std::io::pipe().expect("a pipe");
        let limit = Some(Duration::from_millis(1));
        let nobody = Interrupts::default();
        let caller = Interrupts {
            caller: Some(reader.as_fd()),
            deletion: None,
        };
        assert_eq!(nobody.wait([silent.as_fd()], limit).ok(), Some([false]));
        assert_eq!(caller.wait([silent.as_fd()], limit).ok(), Some([false]));
        caller.look().expect("nothing yet");
        writer.write_all(b"x").expect("a byte");
        assert_eq!(
            nobody.wait([reader.as_fd(), silent.as_fd()], None).ok(),
            Some([true, false])
        );
        for _ in 0..2 {
            let waited = caller.wait([silent.as_fd()], None);
            assert_eq!(waited, Err(Stopped::By(Interruption::Caller)));
        }
        let both = Interrupts {
            deletion: Some(reader.try_clone().expect("a copy").into()),
            ..caller
        };
        let waited = both.wait([reader.as_fd()], None);
        assert_eq!(waited, Ok([true]));
        let waited = both.wait([silent.as_fd()], None);
        assert_eq!(waited, Err(Stopped::By(Interruption::Deletion)));
    }
}
