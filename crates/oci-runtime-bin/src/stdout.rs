//! The answer of a verb, on standard output.

use std::io::{self, Write};

use crate::failure::Failure;

/// Writes to standard output. A reader that has gone is an error like any other.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|source| Failure::Io {
            action: "write to standard output",
            source,
        })
}
