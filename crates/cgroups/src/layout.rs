//! What the host has: the mounted hierarchies, read once.
//!
//! A *hierarchy* is one tree of cgroups. Each v1 hierarchy carries some controllers or only a name (`name=systemd`);
//! the v2 hierarchy carries every controller that v1 does not hold. The kernel tells which exist in
//! `/proc/self/cgroup` and where they are mounted in `/proc/self/mountinfo`; parsing both is pure, so that any host can
//! be a test case. See cgroups(7).

use crate::error::{Error, Result};
use crate::files::{read_records, read_value};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// Which generations of cgroups the host uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Only v1 hierarchies.
    V1,
    /// v1 hierarchies, and the v2 one beside them.
    Hybrid,
    /// The v2 hierarchy alone.
    V2,
}

/// One mounted tree of cgroups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hierarchy {
    /// Whether it is the v2 hierarchy.
    pub v2: bool,
    /// v1: controllers, or `name=...`; v2: the contents of `cgroup.controllers` at the mount point.
    pub controllers: Vec<String>,
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// Which cgroup of the hierarchy the mount shows, seen from the caller's cgroup namespace.
    pub root: PathBuf,
    /// The caller's own cgroup, seen from its cgroup namespace.
    pub own: PathBuf,
}

/// All the hierarchies that the calling process can use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Which generations are in use.
    pub mode: Mode,
    /// In the order of `/proc/self/cgroup`.
    pub hierarchies: Vec<Hierarchy>,
}

/// Where distributions mount cgroups; of several mounts of one hierarchy, one below this directory is used.
const STANDARD: &str = "/sys/fs/cgroup";

impl Layout {
    /// Reads the layout of the calling process: three small files, no directory walk.
    pub fn read() -> Result<Layout> {
        let mut layout = Layout::parse(
            &read_records(Path::new("/proc/self/mountinfo"))?,
            &read_value(Path::new("/proc/self/cgroup"))?,
            "",
        )?;
        if let Some(unified) = layout.hierarchies.iter_mut().find(|h| h.v2) {
            let file = unified.mount_point.join("cgroup.controllers");
            unified.controllers = words(&read_value(&file)?);
        }
        Ok(layout)
    }

    /// The layout that these texts describe: `/proc/self/mountinfo`, `/proc/self/cgroup`, and `cgroup.controllers` at
    /// the mount point of the v2 hierarchy (empty if there is none).
    ///
    /// A hierarchy that is not mounted is left out. Where a v2 mount covers `/sys/fs/cgroup` itself the mode is
    /// [`Mode::V2`], whatever v1 hierarchies someone mounted elsewhere.
    pub fn parse(mountinfo: &str, self_cgroup: &str, v2_controllers: &str) -> Result<Layout> {
        let mounts: Vec<Mount> = mountinfo.lines().filter_map(cgroup_mount).collect();
        let mut hierarchies = Vec::new();
        for line in self_cgroup.lines() {
            if let Some(hierarchy) = hierarchy(line, &mounts, v2_controllers)? {
                hierarchies.push(hierarchy);
            }
        }
        let unified_root = |h: &Hierarchy| h.v2 && h.mount_point == Path::new(STANDARD);
        if hierarchies.iter().any(unified_root) {
            hierarchies.retain(|h| h.v2);
        }
        let (v1, v2) = (
            hierarchies.iter().any(|h| !h.v2),
            hierarchies.iter().any(|h| h.v2),
        );
        let mode = match (v1, v2) {
            (true, true) => Mode::Hybrid,
            (true, false) => Mode::V1,
            (false, true) => Mode::V2,
            (false, false) => {
                return Err(Error::Layout {
                    reason: "no cgroup hierarchy is mounted",
                    mount_point: None,
                });
            }
        };
        Ok(Layout { mode, hierarchies })
    }

    /// The v2 hierarchy, if it is mounted.
    pub fn unified(&self) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|h| h.v2)
    }
}

impl Hierarchy {
    /// The directory of the caller's own cgroup, or an error where the mount does not show it.
    pub fn own_dir(&self) -> Result<PathBuf> {
        let outside = || Error::Layout {
            reason: "the cgroup of the calling process lies outside of the mount",
            mount_point: Some(self.mount_point.clone()),
        };
        let below = self.own.strip_prefix(&self.root).map_err(|_| outside())?;
        if below
            .components()
            .any(|c| !matches!(c, Component::Normal(_)))
        {
            return Err(outside());
        }
        Ok(self.mount_point.join(below))
    }
}

struct Mount {
    v2: bool,
    root: PathBuf,
    mount_point: PathBuf,
    options: Vec<String>,
}

/// The cgroup mount of one line of mountinfo, if it is one. See proc_pid_mountinfo(5).
fn cgroup_mount(line: &str) -> Option<Mount> {
    let (front, back) = line.split_once(" - ")?;
    let mut back = back.split(' ');
    let v2 = match back.next()? {
        "cgroup" => false,
        "cgroup2" => true,
        _ => return None,
    };
    let options = back.nth(1)?;
    let mut front = front.split(' ').skip(3);
    Some(Mount {
        v2,
        root: unescape(front.next()?),
        mount_point: unescape(front.next()?),
        options: options.split(',').map(str::to_owned).collect(),
    })
}

/// The hierarchy of one line of `/proc/self/cgroup`, `ID:CONTROLLERS:PATH`, if it is mounted.
fn hierarchy(line: &str, mounts: &[Mount], v2_controllers: &str) -> Result<Option<Hierarchy>> {
    let mut fields = line.splitn(3, ':');
    let (Some(id), Some(names), Some(own)) = (fields.next(), fields.next(), fields.next()) else {
        return Err(Error::Format {
            path: PathBuf::from("/proc/self/cgroup"),
            text: line.to_owned(),
        });
    };
    let v2 = id == "0" && names.is_empty();
    let names: Vec<&str> = names.split(',').collect();
    let fits =
        |m: &&Mount| m.v2 == v2 && (v2 || names.iter().all(|n| m.options.iter().any(|o| o == n)));
    let Some(mount) = best(mounts.iter().filter(fits)) else {
        return Ok(None);
    };
    Ok(Some(Hierarchy {
        v2,
        controllers: if v2 {
            words(v2_controllers)
        } else {
            names.iter().map(|n| (*n).to_owned()).collect()
        },
        mount_point: mount.mount_point.clone(),
        root: mount.root.clone(),
        own: PathBuf::from(own),
    }))
}

/// Of several mounts of one hierarchy: one in the standard place, else the first; of two where one is on the other's mount
/// point or above it the later one, which covers the other.
fn best<'a>(mounts: impl Iterator<Item = &'a Mount>) -> Option<&'a Mount> {
    let mut found: Option<&Mount> = None;
    for mount in mounts {
        let better = match found {
            None => true,
            Some(f) => {
                f.mount_point.starts_with(&mount.mount_point)
                    || (!f.mount_point.starts_with(STANDARD)
                        && mount.mount_point.starts_with(STANDARD))
            }
        };
        if better {
            found = Some(mount);
        }
    }
    found
}

/// Undoes the octal escapes of mountinfo (`\040` for a space).
fn unescape(field: &str) -> PathBuf {
    let bytes = field.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        if let [
            b'\\',
            a @ b'0'..=b'3',
            b @ b'0'..=b'7',
            c @ b'0'..=b'7',
            after @ ..,
        ] = rest
        {
            plain.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
            rest = after;
        } else {
            plain.push(*first);
            rest = tail;
        }
    }
    PathBuf::from(OsString::from_vec(plain))
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}
