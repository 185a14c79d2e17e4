//! The directories: made, entered and removed.
//!
//! A container's cgroup is one directory in each hierarchy. They are made before anything runs in them, and removed
//! when nothing does. Processes are never moved out to make a directory removable: whoever lives there is named.

use crate::error::{Error, Result, errno_of};
use crate::files::{self, is_gone, read_value, write_text};
use crate::freezer;
use crate::layout::{Hierarchy, Layout, Mode};
use crate::paths::Paths;
use crate::processes::processes_of;
use crate::walk::walk;
use nix::fcntl::OFlag;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long [`remove`] waits for processes to be gone, in all.
const PATIENCE: Duration = Duration::from_secs(2);

/// The directories that one [`create`] made, outer before inner.
#[derive(Debug, Default)]
#[must_use = "on failure later, undo removes exactly what was made"]
pub struct Created {
    /// Absolute paths.
    pub dirs: Vec<PathBuf>,
}

impl Created {
    /// Removes what was made and nothing else, and reports the first directory that processes keep. A directory with
    /// others in it stays: another container was put below it in the meantime.
    pub fn undo(self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut result = Ok(());
        for dir in self.dirs.iter().rev() {
            result = result.and(remove_alone(dir, deadline));
        }
        result
    }
}

fn remove_alone(dir: &Path, deadline: Instant) -> Result<()> {
    retry_until(deadline, dir, || Ok(rmdir(dir)? || has_children(dir)?))
}

/// Makes the directory in every hierarchy. On failure nothing that was made remains.
///
/// A cgroup that exists is taken over if it is empty and not frozen. On v1 an empty cpuset gets the CPUs and memory nodes
/// of its parent, without which no process could enter it. On v2 the controllers are handed down to it.
pub fn create(layout: &Layout, paths: &Paths) -> Result<Created> {
    create_unless(layout, paths, &|| None)
}

/// As [`create`], but a cgroup that exists is only taken over if nobody claims it: `claimed` names who is about to put
/// processes there.
///
/// Of two that make a cgroup at once, one finds it: so whoever tells of its intention before it comes here, in a way that
/// the other's `claimed` looks for, has what it made to itself.
pub fn create_unless(
    layout: &Layout,
    paths: &Paths,
    claimed: &dyn Fn() -> Option<String>,
) -> Result<Created> {
    let mut created = Created::default();
    match create_each(layout, paths, claimed, &mut created) {
        Ok(()) => Ok(created),
        Err(cause) => {
            // The cause is what the caller needs; a directory that remains is empty.
            let _ = created.undo();
            Err(cause)
        }
    }
}

fn create_each(
    layout: &Layout,
    paths: &Paths,
    claimed: &dyn Fn() -> Option<String>,
    created: &mut Created,
) -> Result<()> {
    // Whose the first one is, all are: the others of two that come at once are made by either.
    let mut is_first = true;
    for hierarchy in &layout.hierarchies {
        let Some(dir) = paths.dir(key(hierarchy)) else {
            continue;
        };
        let mut found = make(dir, created)?;
        if found == Found::Existing && is_first {
            refuse_claimed(dir, claimed)?;
            // Somebody who has just given up has removed it.
            found = make(dir, created)?;
        }
        if found == Found::Existing {
            // Not before: the process of one that claims it no longer is there by now.
            refuse_occupied(dir)?;
        }
        is_first = false;
        if hierarchy.controllers.iter().any(|c| c == "cpuset") && !hierarchy.v2 {
            fill_cpuset(found, dir, &hierarchy.mount_point)?;
        }
        if layout.mode == Mode::V2 {
            hand_down(hierarchy, dir)?;
        }
    }
    // In a frozen cgroup, its own doing or that of one above, a new process would wait for ever.
    if freezer::is_frozen(paths)? {
        let freezer = paths.dir("freezer").or(paths.unified());
        return Err(Error::InUse {
            dir: freezer.map(Path::to_path_buf).unwrap_or_default(),
            pids: Vec::new(),
        });
    }
    Ok(())
}

/// Makes what is missing of a cgroup that somebody else has made, and in which a process may live already.
pub(crate) fn adopt(layout: &Layout, paths: &Paths) -> Result<Created> {
    let mut created = Created::default();
    match adopt_each(layout, paths, &mut created) {
        Ok(()) => Ok(created),
        Err(cause) => {
            // The cause is what the caller needs; a directory that remains is empty.
            let _ = created.undo();
            Err(cause)
        }
    }
}

fn adopt_each(layout: &Layout, paths: &Paths, created: &mut Created) -> Result<()> {
    for hierarchy in &layout.hierarchies {
        let Some(dir) = paths.dir(key(hierarchy)) else {
            continue;
        };
        let found = make(dir, created)?;
        if hierarchy.controllers.iter().any(|c| c == "cpuset") && !hierarchy.v2 {
            fill_cpuset(found, dir, &hierarchy.mount_point)?;
        }
        if layout.mode == Mode::V2 {
            hand_down(hierarchy, dir)?;
        }
    }
    Ok(())
}

/// What a hierarchy's directory is found by.
fn key(hierarchy: &Hierarchy) -> &str {
    match hierarchy.v2 {
        true => "",
        false => hierarchy.controllers.first().map_or("", String::as_str),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Found {
    New,
    Existing,
}

/// How often a directory is tried whose parent vanishes with the cgroup that it was made for.
const TRIES: usize = 16;

/// mkdir, and the missing parents before it.
fn make(dir: &Path, created: &mut Created) -> Result<Found> {
    let mkdir = || DirBuilder::new().mode(0o755).create(dir);
    let mut result = mkdir();
    for _ in 0..TRIES {
        match (&result, dir.parent()) {
            (Err(e), Some(parent)) if errno_of(e) == libc::ENOENT => make(parent, created)?,
            _ => break,
        };
        result = mkdir();
    }
    match result {
        Ok(()) => {
            created.dirs.push(dir.to_path_buf());
            Ok(Found::New)
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(Found::Existing),
        Err(e) => Err(Error::io("mkdir", dir, &e)),
    }
}

fn refuse_claimed(dir: &Path, claimed: &dyn Fn() -> Option<String>) -> Result<()> {
    match claimed() {
        Some(by) => Err(Error::Claimed {
            dir: dir.to_path_buf(),
            by,
        }),
        None => Ok(()),
    }
}

fn refuse_occupied(dir: &Path) -> Result<()> {
    match processes_of(dir)? {
        pids if pids.is_empty() => Ok(()),
        pids => Err(Error::InUse {
            dir: dir.to_path_buf(),
            pids,
        }),
    }
}

/// Gives an empty cpuset the CPUs and memory nodes of its parent. `top` is the mount point, which always has some.
fn fill_cpuset(found: Found, dir: &Path, top: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        match found {
            // A new one is empty or, with cgroup.clone_children, has what its parent has: no need to ask.
            Found::New => inherit(dir, top, file)?,
            Found::Existing => own_or_inherited(dir, top, file)?,
        };
    }
    Ok(())
}

fn inherit(dir: &Path, top: &Path, file: &str) -> Result<String> {
    let list = own_or_inherited(dir.parent().unwrap_or(top), top, file)?;
    write_text(&dir.join(file), &list)?;
    Ok(list)
}

fn own_or_inherited(dir: &Path, top: &Path, file: &str) -> Result<String> {
    let own = read_value(&dir.join(file))?;
    match own.is_empty() && dir != top {
        true => inherit(dir, top, file),
        false => Ok(own),
    }
}

/// Enables every controller of the v2 hierarchy for `dir` in its ancestors, as far as they let.
///
/// A controller that an ancestor does not have, or cannot hand down because processes live in it, is not an error
/// here: it is one when a limit needs it, and then the error names the file of that limit.
fn hand_down(hierarchy: &Hierarchy, dir: &Path) -> Result<()> {
    let Some(parent) = dir.parent() else {
        return Ok(());
    };
    if missing(hierarchy, parent)?.is_empty() {
        return Ok(());
    }
    let above = parent.ancestors();
    let above: Vec<&Path> = above
        .take_while(|a| a.starts_with(&hierarchy.mount_point))
        .collect();
    for ancestor in above.into_iter().rev() {
        let wanted = missing(hierarchy, ancestor)?;
        let file = ancestor.join("cgroup.subtree_control");
        if wanted.is_empty() || write_text(&file, &wanted.join(" ")).is_ok() {
            continue;
        }
        // All or nothing is the kernel's rule for one write, so one by one gets the others.
        for one in &wanted {
            let _ = write_text(&file, one);
        }
    }
    Ok(())
}

/// What `cgroup.subtree_control` of `dir` lacks, each as `+name`.
fn missing(hierarchy: &Hierarchy, dir: &Path) -> Result<Vec<String>> {
    let enabled = read_value(&dir.join("cgroup.subtree_control"))?;
    let lacks = |c: &&String| !enabled.split(' ').any(|e| e == *c);
    let controllers = hierarchy.controllers.iter().filter(lacks);
    Ok(controllers.map(|c| format!("+{c}")).collect())
}

/// Moves the process `pid` to every directory.
pub fn attach(paths: &Paths, pid: i32) -> Result<()> {
    let pid = pid.to_string();
    for dir in paths.dirs() {
        write_text(&dir.join("cgroup.procs"), &pid)?;
    }
    Ok(())
}

/// A descriptor of the v2 directory for CLONE_INTO_CGROUP of clone3(2), close-on-exec. On hybrid, [`attach`] has to
/// follow for the other hierarchies; on v1 there is none.
pub fn open_v2_dir(paths: &Paths) -> Result<OwnedFd> {
    let Some(dir) = paths.unified() else {
        return Err(Error::Layout {
            reason: "there is no v2 hierarchy",
            mount_point: None,
        });
    };
    files::open(dir, OFlag::O_PATH | OFlag::O_DIRECTORY)
        .map(OwnedFd::from)
        .map_err(|e| Error::io("open", dir, &e))
}

/// Removes the container's directories, those below included. Waits a bounded time for processes that are dying; what
/// is gone already is fine. Every hierarchy is tried, and the first that remained is the error.
pub fn remove(paths: &Paths) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut result = Ok(());
    for dir in paths.dirs() {
        result = result.and(remove_tree(dir, deadline));
    }
    result
}

fn remove_tree(dir: &Path, deadline: Instant) -> Result<()> {
    retry_until(deadline, dir, || {
        if rmdir(dir)? {
            return Ok(true);
        }
        if !has_children(dir)? {
            return Ok(false);
        }
        remove_children(dir)?;
        rmdir(dir)
    })
}

/// Tries with growing pauses until `done`; at the deadline, names who lives in `dir`.
fn retry_until(
    deadline: Instant,
    dir: &Path,
    mut done: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let mut pause = Duration::from_millis(1);
    while !done()? {
        if Instant::now() >= deadline {
            return Err(Error::Busy {
                dir: dir.to_path_buf(),
                pids: processes_of(dir).unwrap_or_default(),
                errno: libc::EBUSY,
            });
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
    Ok(())
}

/// Removes what is empty below `dir`, inner before outer.
fn remove_children(dir: &Path) -> Result<()> {
    let mut nodes = Vec::new();
    walk(dir, |node| {
        nodes.push(node.clone());
        Ok(())
    })?;
    for node in nodes.iter().skip(1).rev() {
        rmdir(&node.path)?;
    }
    Ok(())
}

/// By the count of links, which is two and one more for each directory below.
fn has_children(dir: &Path) -> Result<bool> {
    match fs::metadata(dir).map_err(|e| Error::io("stat", dir, &e)) {
        Ok(metadata) => Ok(metadata.nlink() > 2),
        Err(e) if is_gone(&e) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Whether the directory is gone; not if something lives in it.
fn rmdir(dir: &Path) -> Result<bool> {
    match fs::remove_dir(dir).map_err(|e| Error::io("rmdir", dir, &e)) {
        Ok(()) => Ok(true),
        Err(e) if is_gone(&e) => Ok(true),
        Err(e) if e.errno() == Some(libc::EBUSY) => Ok(false),
        Err(e) => Err(e),
    }
}
