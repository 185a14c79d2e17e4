//! What a verb gets to work with.

use std::os::fd::BorrowedFd;
use std::path::Path;

use crate::arguments::Arguments;
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

    /// The fds that the process keeps: as many as asked for, from 3 on.
    pub fn preserved_fds(&self) -> Result<Vec<BorrowedFd<'static>>, Failure> {
        let Some(text) = self.arguments.text("preserve-fds") else {
            return Ok(Vec::new());
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
        let count: u16 = digits
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(bad)?;
        let fds = 3..3 + i32::from(count);
        fds.map(|fd| {
            sys::inherited(fd).map_err(|_| Failure::PreservedFd {
                fd,
                count: count.into(),
            })
        })
        .collect()
    }
}
