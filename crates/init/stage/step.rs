//! What the steps of a plan have in common: the state they share, and how one fails.

use crate::op::{MAX_SLOTS, Slot};
use crate::report::{Finding, Kind, MAX_SIZE, Part, Report};
use crate::sys::{self, Errno, Fd};
use crate::wire::Header;

/// Why a step failed.
pub struct Fail {
    pub part: Part,
    pub errno: Errno,
    pub value: u64,
}

/// The result of a step or of a part of one.
pub type Done<T = ()> = Result<T, Fail>;

/// Names the part of a step that an errno belongs to.
pub trait At<T> {
    /// Turns an errno into a failure of `part`.
    fn at(self, part: Part) -> Done<T>;
}

impl<T> At<T> for Result<T, Errno> {
    fn at(self, part: Part) -> Done<T> {
        self.map_err(|errno| Fail {
            part,
            errno,
            value: 0,
        })
    }
}

/// A failure of `part` that no system call has reported.
pub fn fail<T>(part: Part, errno: Errno, value: u64) -> Done<T> {
    Err(Fail { part, errno, value })
}

/// What the steps of a plan leave for one another.
pub struct Init {
    /// Where reports go: the socket to the parent, later the FIFO to `start`.
    pub channel: Fd,
    pub header: Header,
    pub slots: [Fd; MAX_SLOTS],
    /// The container's root; 0 until a step has needed it.
    pub root: Fd,
    /// The directory of the last mount point, if another one there was to follow; 0 without.
    pub directory: Fd,
    /// An attached empty read-only directory to cover others with; 0 until one was needed.
    pub empty: Fd,
    /// Whether the caller's /dev/null has been attached, and so can be cloned.
    pub null_attached: bool,
    /// Whether the wait for `start` is over.
    pub gated: bool,
    /// The listener of a filter, until somebody has been told of it; 0 without one.
    pub listener: Fd,
    /// The caller's limit of open files, raised while the container is set up; `None` once the plan has set its own.
    pub nofile: Option<[u64; 2]>,
    /// Room for the payload's arguments and environment, made before a filter could forbid it.
    pub strings: Option<&'static mut [*const u8]>,
    /// Whether the caller's extra fds have their numbers.
    pub preserved_placed: bool,
    /// `HOME=…` and a NUL, when the environment lacks it.
    pub home: [u8; 256],
    /// Path of the payload's program and a NUL.
    pub exe: [u8; 4097],
    /// What was found out about the failure of the payload's program.
    pub finding: Option<Finding>,
}

/// In a slot: the fd is of a directory. Such numbers no fd has.
pub const DIRECTORY: Fd = 1 << 30;

impl Init {
    /// The fd in `slot`.
    pub fn fd(&self, slot: Slot) -> Done<Fd> {
        match self.slots.get(usize::from(slot.0)) {
            Some(&fd) if fd > 0 => Ok(fd & !DIRECTORY),
            _ => fail(Part::Decode, sys::EPROTO, u64::from(slot.0)),
        }
    }

    /// Whether the tree in `slot` is known to be a directory.
    pub fn is_directory(&self, slot: Slot) -> bool {
        let found = self.slots.get(usize::from(slot.0));
        found.is_some_and(|fd| fd & DIRECTORY != 0)
    }

    /// Tells whoever waits, over a socket or a FIFO. write(2) is the one call that no filter may ask a supervisor about.
    pub fn report(&self, kind: Kind, step: u16, why: Fail) -> Done {
        let report = Report {
            kind,
            step,
            part: why.part,
            errno: why.errno.0,
            value: why.value,
            finding: self.finding,
        };
        let mut room = [0; MAX_SIZE];
        sys::write(self.channel, report.encode(&mut room))
            .at(Part::Write)
            .map(drop)
    }
}

/// No failure.
pub const NOTHING: Fail = Fail {
    part: Part::None,
    errno: Errno(0),
    value: 0,
};
