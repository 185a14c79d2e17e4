//! Who lives in a cgroup: the processes of a directory and of all directories below it.

use crate::error::{Error, Result};
use crate::files::{is_gone, read_records};
use crate::paths::Paths;
use crate::walk::walk;
use std::path::Path;

/// The processes of the container, those in cgroups below its own included, in ascending order; none if the cgroup is
/// gone. A process outside of the caller's pid namespace has no number there and is left out.
pub fn processes(paths: &Paths) -> Result<Vec<i32>> {
    let dirs = paths.dirs();
    match paths.unified().or(dirs.first().copied()) {
        Some(dir) => processes_of(dir),
        None => Ok(Vec::new()),
    }
}

/// The processes in `dir` and below.
pub(crate) fn processes_of(dir: &Path) -> Result<Vec<i32>> {
    let mut pids = Vec::new();
    walk(dir, |node| {
        let file = node.path.join("cgroup.procs");
        let text = match read_records(&file) {
            Err(e) if is_gone(&e) => return Ok(()),
            text => text?,
        };
        for line in text.lines() {
            let pid: i32 = line.parse().map_err(|_| Error::Format {
                path: file.clone(),
                text: line.to_owned(),
            })?;
            pids.extend((pid > 0).then_some(pid));
        }
        Ok(())
    })?;
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}
