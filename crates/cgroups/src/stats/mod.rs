//! What a cgroup uses: numbers as return values.
//!
//! Reading goes controller by controller, from whichever generation holds it; what the host does not tell is zero or
//! missing. The structures serialise to the `data` of `events` as runc has it, where sums that v2 keeps apart (memory and
//! swap) are put together as v1 does. Texts become numbers in pure functions, so that any kernel's text can be a test.

mod parse;
mod read;
mod schema;
mod v1;
mod v2;

use crate::error::Result;
use crate::paths::Paths;

pub use schema::*;

/// What the container's cgroup uses now. A controller that the host does not have leaves its part as it is by default.
pub fn stats(paths: &Paths) -> Result<Stats> {
    let mut stats = Stats::default();
    v1::read(&mut stats, paths)?;
    if let Some(dir) = paths.unified() {
        v2::read(&mut stats, paths, dir)?;
    }
    Ok(stats)
}

#[cfg(test)]
mod tests;
