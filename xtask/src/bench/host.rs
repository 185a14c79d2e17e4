//! The host as the bench needs it: a mount namespace of its own, without the empty cgroup2 tree of a hybrid host (crun
//! takes such a host for something else and refuses), the same for all contenders and entered once; and the parent of
//! the contenders' cgroups in every hierarchy.

use std::fs;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use crate::error::{Error, Result, io_error};

/// The cgroup above those of the contenders.
pub const PARENT: &str = "/ocirun-bench";

/// The cgroup hierarchies of this host.
pub struct Host {
    /// Mount points: one for each v1 controller, or the one of v2.
    pub hierarchies: Vec<PathBuf>,
    unified: bool,
}

/// Enters a private mount namespace and looks around in it.
pub fn enter() -> Result<Host> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(|errno| Error::Errno {
        call: "unshare(CLONE_NEWNS)",
        errno,
    })?;
    mount_call(
        None,
        Path::new("/"),
        None,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
    )?;
    let all = hierarchies()?;
    if all.len() > 1 {
        for (path, _) in all.iter().filter(|(_, kind)| kind == "cgroup2") {
            umount2(path, MntFlags::MNT_DETACH).map_err(|errno| Error::Errno {
                call: "umount of cgroup2",
                errno,
            })?;
            // What is below is the host's tmpfs, in which crun would make directories that nobody removes.
            mount_tmpfs(path)?;
        }
    }
    let remaining = hierarchies()?;
    let unified = remaining.iter().any(|(_, kind)| kind == "cgroup2");
    Ok(Host {
        hierarchies: remaining.into_iter().map(|(path, _)| path).collect(),
        unified,
    })
}

impl Host {
    /// Makes the parent cgroup ready for children with limits.
    pub fn make_parent_cgroups(&self) -> Result<()> {
        for hierarchy in &self.hierarchies {
            let parent = below(hierarchy);
            fs::create_dir_all(&parent).map_err(io_error("make", &parent))?;
            if self.unified {
                for group in [hierarchy, &parent] {
                    write(&group.join("cgroup.subtree_control"), "+cpu +memory +pids")?;
                }
            } else if hierarchy.ends_with("cpuset") {
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    let path = hierarchy.join(file);
                    let value = fs::read_to_string(&path).map_err(io_error("read", &path))?;
                    write(&parent.join(file), value.trim())?;
                }
            }
        }
        Ok(())
    }
}

/// Ends what is left in the contenders' cgroups and removes them and their parent. A cgroup that is not there is fine.
pub fn remove_parent_cgroups() {
    for (hierarchy, _) in hierarchies().unwrap_or_default() {
        let parent = below(&hierarchy);
        for child in fs::read_dir(&parent)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|child| child.path().is_dir())
        {
            remove(&child.path());
        }
        remove(&parent);
    }
}

/// Ends what is in the cgroup of this path and removes it, in every hierarchy.
pub fn end_cgroups(path: &str) {
    for (hierarchy, _) in hierarchies().unwrap_or_default() {
        remove(&hierarchy.join(path.trim_start_matches('/')));
    }
}

/// Kills what is in the cgroup and removes it, waiting a little for the last process to be gone.
fn remove(cgroup: &Path) {
    for _ in 0..100 {
        for pid in fs::read_to_string(cgroup.join("cgroup.procs"))
            .unwrap_or_default()
            .lines()
        {
            if let Ok(pid) = pid.parse() {
                let _ = nix::sys::signal::kill(
                    nix::unistd::Pid::from_raw(pid),
                    nix::sys::signal::Signal::SIGKILL,
                );
            }
        }
        match fs::remove_dir(cgroup) {
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {}
            _ => return,
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

fn below(hierarchy: &Path) -> PathBuf {
    hierarchy.join(PARENT.trim_start_matches('/'))
}

/// The mount points of cgroup file systems, with their types; the last mount at a place is the one in sight.
fn hierarchies() -> Result<Vec<(PathBuf, String)>> {
    let path = Path::new("/proc/self/mountinfo");
    let text = fs::read_to_string(path).map_err(io_error("read", path))?;
    let mut mounts: Vec<(PathBuf, String)> = Vec::new();
    for line in text.lines() {
        // proc_pid_mountinfo(5): the mount point is field 5, the type the first one behind the dash.
        let (Some(point), Some((_, behind))) = (line.split(' ').nth(4), line.split_once(" - "))
        else {
            continue;
        };
        mounts.retain(|(other, _)| other != Path::new(point));
        mounts.push((
            point.into(),
            behind.split(' ').next().unwrap_or_default().to_owned(),
        ));
    }
    mounts.retain(|(_, kind)| kind.starts_with("cgroup"));
    Ok(mounts)
}

fn write(path: &Path, value: &str) -> Result<()> {
    fs::write(path, value).map_err(io_error("write", path))
}

/// For states, which are on a tmpfs (that of /run) wherever engines run; and to cover what is at `path`.
pub fn mount_tmpfs(path: &Path) -> Result<()> {
    mount_call(Some("none"), path, Some("tmpfs"), MsFlags::empty())
}

fn mount_call(
    source: Option<&str>,
    target: &Path,
    kind: Option<&str>,
    flags: MsFlags,
) -> Result<()> {
    mount(source, target, kind, flags, None::<&str>).map_err(|errno| Error::Errno {
        call: "mount",
        errno,
    })
}
