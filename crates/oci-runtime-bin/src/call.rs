//! What a verb gets to work with.

use std::os::fd::BorrowedFd;
use std::path::Path;

use oci_runtime::Bundle;

use crate::activation::listen_fds;
use crate::arguments::Arguments;
use crate::blame;
use crate::failure::{Failure, Misuse};
use crate::sys;

/// One use of a verb.
#[derive(Debug)]
pub(crate) struct Call {
    /// Where containers are kept.
    pub root: oci_runtime::StateRoot,
    /// Whether every step is to be told.
    pub debug: bool,
    /// Who makes the cgroup of a new container.
    pub cgroup_manager: oci_runtime::CgroupManager,
    /// The verb's own flags and arguments.
    pub arguments: Arguments,
}

impl Call {
    /// The bundle's directory: the current one without a word.
    pub fn bundle(&self) -> &Path {
        Path::new(self.arguments.text("bundle").unwrap_or(".".as_ref()))
    }

    /// The bundle with its configuration, or the one of `--config`.
    pub fn open_bundle(&self) -> Result<Bundle, Failure> {
        let opened = match self.arguments.text("config") {
            None => Bundle::open(self.bundle()),
            Some(file) => Bundle::with_config(self.bundle(), Path::new(file)),
        };
        Ok(opened?)
    }

    /// The fds that a container keeps: the sockets that a service manager hands over, and as many as asked for after them.
    pub fn handed_fds(&self) -> Result<Vec<BorrowedFd<'static>>, Failure> {
        self.fds(u32::from(listen_fds()) + u32::from(self.asked_fds()?))
    }

    /// The fds that the process keeps: as many as asked for, from 3 on.
    pub fn preserved_fds(&self) -> Result<Vec<BorrowedFd<'static>>, Failure> {
        self.fds(self.asked_fds()?.into())
    }

    fn fds(&self, count: u32) -> Result<Vec<BorrowedFd<'static>>, Failure> {
        let fds = 3..3 + count.cast_signed();
        fds.map(|fd| sys::inherited(fd).map_err(|_| Failure::PreservedFd { fd, count }))
            .collect::<Result<_, _>>()
            .map_err(|failure| blame::value(failure, "preserve-fds", &self.arguments))
    }

    fn asked_fds(&self) -> Result<u16, Failure> {
        let Some(text) = self.arguments.text("preserve-fds") else {
            return Ok(0);
        };
        let bad = || {
            Misuse::bad(
                "preserve-fds",
                text,
                "it is not a number of file descriptors",
            )
        };
        let digits = text
            .to_str()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        digits
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| bad().into())
    }
}
