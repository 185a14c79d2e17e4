//! Bytes between the caller's standard streams and the master of the container's terminal.
//!
//! Each direction has one small buffer, and reads only when it is empty: a side that does not take what comes stops the other
//! one, and never us. The caller's streams are shared with other programs, so they are not made non-blocking; instead no more
//! is written than what poll(2) promises to fit, or a terminal is opened once more.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::unistd::{read, write};

use crate::terminal::end_of_input;

/// One page: poll(2) calls a pipe writable when that much fits (pipe(7), `PIPE_BUF`), and a terminal gives no more at once.
const PAGE: usize = 4096;

/// What one terminal can hold between its two ends, and more: that much at most is still to come when its process has ended.
const LEFT_BEHIND: usize = 256 * 1024;

/// Who can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The caller's standard input.
    Input,
    /// The container's terminal.
    Master,
    /// The caller's standard output.
    Output,
}

/// Both directions.
#[derive(Debug)]
pub(crate) struct Relay {
    /// `None` once nobody looks at the output any more.
    master: Option<OwnedFd>,
    stdin: io::Stdin,
    stdin_open: bool,
    stdout: Stdout,
    to_master: Vec<u8>,
    to_stdout: Vec<u8>,
    line_begun: bool,
    hung_up: bool,
    after_end: usize,
}

#[derive(Debug)]
enum Stdout {
    Shared(io::Stdout),
    Reopened(File),
}

impl Relay {
    /// Between the standard streams and `master`, which must not block.
    pub fn new(master: OwnedFd) -> Relay {
        Relay {
            master: Some(master),
            stdin: io::stdin(),
            stdin_open: true,
            stdout: stdout(),
            to_master: Vec::new(),
            to_stdout: Vec::new(),
            line_begun: false,
            hung_up: false,
            after_end: LEFT_BEHIND,
        }
    }

    /// The container's terminal.
    pub fn master(&self) -> Option<BorrowedFd<'_>> {
        self.master.as_ref().map(AsFd::as_fd)
    }

    /// Whom to wait for, and what for; after the end of the process, only for what is left of its output.
    pub fn interests(&self, ended: bool) -> Vec<(End, BorrowedFd<'_>, PollFlags)> {
        let mut interests = Vec::with_capacity(3);
        if !self.to_stdout.is_empty() {
            interests.push((End::Output, self.stdout.as_fd(), PollFlags::POLLOUT));
        }
        let Some(master) = self.master().filter(|_| !ended) else {
            return interests;
        };
        if self.stdin_open && self.to_master.is_empty() {
            interests.push((End::Input, self.stdin.as_fd(), PollFlags::POLLIN));
        }
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, self.to_stdout.is_empty());
        flags.set(PollFlags::POLLOUT, !self.to_master.is_empty());
        if !flags.is_empty() && !self.hung_up {
            interests.push((End::Master, master, flags));
        }
        interests
    }

    /// Whether the terminal has nobody at its other end at the moment. Somebody may open it again, so look after a while.
    pub fn is_hung_up(&self) -> bool {
        self.hung_up
    }

    /// Looks again.
    pub fn look_again(&mut self) {
        self.hung_up = false;
    }

    /// Does what an end is ready for.
    pub fn act(&mut self, end: End, ready: PollFlags) {
        match end {
            End::Input => self.read_stdin(),
            End::Output => self.write_stdout(),
            End::Master => {
                if !self.to_master.is_empty() {
                    self.write_master();
                }
                if self.to_stdout.is_empty()
                    && ready.intersects(PollFlags::POLLIN | PollFlags::POLLHUP)
                {
                    self.read_master();
                }
            }
        }
    }

    /// Whether all output of a process that has ended is where it belongs; reads on if not.
    pub fn is_drained(&mut self) -> bool {
        if !self.to_stdout.is_empty() {
            return false;
        }
        if self.after_end > 0 {
            self.read_master();
        }
        self.after_end = self.after_end.saturating_sub(self.to_stdout.len());
        self.to_stdout.is_empty()
    }

    fn read_stdin(&mut self) {
        let mut bytes = [0; PAGE];
        match read(&self.stdin, &mut bytes) {
            Ok(0) => self.end_input(),
            Ok(count) => {
                self.to_master.extend_from_slice(&bytes[..count]);
                self.line_begun = self.to_master.last() != Some(&b'\n');
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // The caller's terminal has gone, or is not ours to read.
            Err(_) => self.stdin_open = false,
        }
    }

    /// A terminal cannot be closed for writing; a reader of lines is told by a character.
    fn end_input(&mut self) {
        self.stdin_open = false;
        if let Some(master) = &self.master
            && let Ok(bytes) = end_of_input(master.as_fd(), self.line_begun)
        {
            self.to_master = bytes;
        }
    }

    fn write_master(&mut self) {
        let Some(master) = &self.master else { return };
        match write(master, &self.to_master) {
            Ok(count) => drop(self.to_master.drain(..count)),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => self.hung_up = true,
        }
    }

    fn read_master(&mut self) {
        let Some(master) = &self.master else { return };
        let mut bytes = [0; PAGE];
        match read(master, &mut bytes) {
            Ok(0) => self.hung_up = true,
            Ok(count) => self.to_stdout.extend_from_slice(&bytes[..count]),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // EIO: every process has closed the terminal.
            Err(_) => self.hung_up = true,
        }
    }

    fn write_stdout(&mut self) {
        match write(self.stdout.as_fd(), &self.to_stdout) {
            Ok(count) => drop(self.to_stdout.drain(..count)),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => {
                // Nobody looks any more: what a terminal that goes away means to its processes is SIGHUP.
                self.to_stdout.clear();
                self.master = None;
            }
        }
    }
}

impl Stdout {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stdout::Shared(stdout) => stdout.as_fd(),
            Stdout::Reopened(file) => file.as_fd(),
        }
    }
}

/// A terminal promises no amount when it is writable, so it is opened once more without blocking.
fn stdout() -> Stdout {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return Stdout::Shared(stdout);
    }
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    match OpenOptions::new()
        .write(true)
        .custom_flags(flags)
        .open("/proc/self/fd/1")
    {
        Ok(file) => Stdout::Reopened(file),
        Err(_) => Stdout::Shared(stdout),
    }
}
