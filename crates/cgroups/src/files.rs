//! Reading and writing single cgroup files outside of the list of limits.

use crate::apply::write_once;
use crate::error::{Error, Result, errno_of};
use std::fs::{self, OpenOptions};
use std::path::Path;

/// The text of a small file, without the final line feed.
pub(crate) fn read_text(file: &Path) -> Result<String> {
    let mut text = fs::read_to_string(file).map_err(|e| Error::io("read", file, &e))?;
    text.truncate(text.trim_end().len());
    Ok(text)
}

/// The one number in a file.
pub(crate) fn read_number(file: &Path) -> Result<u64> {
    let text = read_text(file)?;
    text.parse().map_err(|_| Error::Format {
        path: file.to_path_buf(),
        text,
    })
}

/// One write(2) that no setting of the configuration asked for.
pub(crate) fn write_text(file: &Path, value: &str) -> Result<()> {
    let open = OpenOptions::new().write(true).open(file);
    open.and_then(|mut opened| write_once(&mut opened, value))
        .map_err(|e| Error::Write {
            file: file.to_path_buf(),
            value: value.to_owned(),
            pointer: String::new(),
            errno: errno_of(&e),
        })
}

/// Whether `error` only says that the cgroup went away: ENOENT for its path, ENODEV for a file opened before.
pub(crate) fn is_gone(error: &Error) -> bool {
    matches!(error.errno(), Some(libc::ENOENT | libc::ENODEV))
}
