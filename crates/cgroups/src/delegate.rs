//! Giving a cgroup away: its user may then make cgroups below it and move processes in there, and change none of its limits.
//! The kernel lists the files that this takes; see "Delegation" of cgroup-v2.rst.

use crate::error::{Error, Result, errno_of};
use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

const LIST: &str = "/sys/kernel/cgroup/delegate";

/// Where the kernel has no list.
const FALLBACK: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

/// Makes `uid` the owner of the v2 directory `dir` and of those files in it that are for whoever uses it, and `gid` their group:
/// where both are of a user namespace, its root has power over them.
pub fn delegate(dir: &Path, uid: u32, gid: u32) -> Result<()> {
    let list = fs::read_to_string(LIST);
    let list = list.as_deref().unwrap_or(FALLBACK);
    give(dir, uid, gid)?;
    for name in list.lines().filter(|name| !name.is_empty()) {
        match give(&dir.join(name), uid, gid) {
            // The file of a controller that was not handed down.
            Err(e) if e.errno() == Some(libc::ENOENT) => {}
            result => result?,
        }
    }
    Ok(())
}

fn give(path: &Path, uid: u32, gid: u32) -> Result<()> {
    chown(path, Some(uid), Some(gid)).map_err(|e| Error::Io {
        call: "chown",
        path: path.to_path_buf(),
        errno: errno_of(&e),
    })
}
