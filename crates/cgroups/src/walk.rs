//! Visiting a cgroup and all below it, however deep they are.
//!
//! A container that may make cgroups can nest them deeper than a path can be long. So there is no recursion here, and
//! where a path becomes long it starts anew from a descriptor, as `/proc/self/fd/N/name`.

use crate::error::{Error, Result};
use crate::files::is_gone;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Where a path starts anew; with one more name of 255 bytes and a file's it stays below PATH_MAX.
const LONG: usize = 2048;

/// One directory of the walk.
#[derive(Clone)]
pub(crate) struct Node {
    /// Good for as long as the node lives.
    pub(crate) path: PathBuf,
    base: Option<Rc<OwnedFd>>,
}

/// Calls `visit` for `dir` and every directory below it, outer before inner. What goes away meanwhile is left out.
pub(crate) fn walk(dir: &Path, mut visit: impl FnMut(&Node) -> Result<()>) -> Result<()> {
    let mut pending = vec![Node {
        path: dir.to_path_buf(),
        base: None,
    }];
    while let Some(node) = pending.pop() {
        visit(&node)?;
        match children(&node, &mut pending) {
            Err(e) if is_gone(&e) => {}
            result => result?,
        }
    }
    Ok(())
}

fn children(node: &Node, found: &mut Vec<Node>) -> Result<()> {
    let fail = |call| move |e: io::Error| Error::io(call, &node.path, &e);
    let mut parent = None;
    for entry in fs::read_dir(&node.path).map_err(fail("readdir"))? {
        let entry = entry.map_err(fail("readdir"))?;
        if !entry.file_type().map_err(fail("readdir"))?.is_dir() {
            continue;
        }
        let parent = match &parent {
            Some(parent) => parent,
            None => &*parent.insert(node.shortened().map_err(fail("open"))?),
        };
        found.push(parent.child(&entry.file_name()));
    }
    Ok(())
}

impl Node {
    fn shortened(&self) -> io::Result<Node> {
        if self.path.as_os_str().len() < LONG {
            return Ok(self.clone());
        }
        let dir = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW)
            .open(&self.path)?;
        Ok(Node {
            path: PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())),
            base: Some(Rc::new(OwnedFd::from(dir))),
        })
    }

    fn child(&self, name: &OsStr) -> Node {
        Node {
            path: self.path.join(name),
            base: self.base.clone(),
        }
    }
}
