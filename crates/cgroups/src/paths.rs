//! Where a container's cgroup lies: one directory in each hierarchy.
//!
//! `linux.cgroupsPath` names a place relative to every hierarchy at once. An absolute path counts from the mount point.
//! A relative one counts from the caller's own cgroup on v1, and from the parent of that on v2, where the caller's own
//! cgroup holds processes and so cannot hand controllers down. Without a path, the container id is the relative path.

use crate::error::{Error, Result};
use crate::layout::{Hierarchy, Layout, Mode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// The directories of one container: controller (or `name=...`; the empty name for v2) to absolute path.
///
/// Serialises as that map, the form of `cgroup_paths` in state.json. Controllers mounted together share one directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Paths(pub BTreeMap<String, PathBuf>);

impl Paths {
    /// The directory of a v1 controller or named hierarchy, or with the empty name of the v2 hierarchy.
    pub fn dir(&self, controller: &str) -> Option<&Path> {
        self.0.get(controller).map(PathBuf::as_path)
    }

    /// The directory in the v2 hierarchy, on hybrid and v2.
    pub fn unified(&self) -> Option<&Path> {
        self.dir("")
    }

    /// Whether all that exists is the v2 hierarchy.
    pub fn is_v2_only(&self) -> bool {
        self.0.len() == 1 && self.0.contains_key("")
    }

    /// The directories below the container's own that `asked` names, each as `PATH` for every hierarchy or, on v1, as
    /// `CONTROLLER[,CONTROLLER...]:PATH` for those of the controllers; where nothing is named, the container's own. Paths are
    /// relative to the container's, also with a slash before them, and never lead out of it. Pure: whether they exist is not asked.
    pub fn below(&self, asked: &[impl AsRef<str>]) -> Result<Paths> {
        let mut below = self.clone();
        let mut named: Vec<&Path> = Vec::new();
        for text in asked.iter().map(AsRef::as_ref) {
            let refuse = |reason| Error::Path {
                value: text.to_owned(),
                reason,
            };
            let Some((controllers, path)) = text.split_once(':') else {
                if asked.len() != 1 {
                    return Err(refuse(
                        "without a controller before it, it can only be the only one",
                    ));
                }
                return Ok(Paths(self.each_below(&parts(text)?)));
            };
            let inner = parts(path)
                .map_err(|_| refuse("it contains a component . or .., or a NUL byte"))?;
            for controller in controllers.split(',') {
                let dir = self.v1_dir(controller).ok_or_else(|| {
                    refuse("it names a controller without a v1 hierarchy of its own here")
                })?;
                if named.contains(&dir) {
                    return Err(refuse("its hierarchy is named already"));
                }
                named.push(dir);
                let same = self.0.iter().filter(|(_, other)| *other == dir);
                below
                    .0
                    .extend(same.map(|(key, dir)| (key.clone(), dir.join(&inner))));
            }
        }
        Ok(below)
    }

    fn each_below(&self, inner: &Path) -> BTreeMap<String, PathBuf> {
        let each = self.0.iter();
        each.map(|(key, dir)| (key.clone(), dir.join(inner)))
            .collect()
    }

    /// By the name of a controller, or of a hierarchy without one (`name=systemd`, also without the `name=`).
    fn v1_dir(&self, name: &str) -> Option<&Path> {
        let named = || self.dir(&format!("name={name}"));
        self.dir(name).filter(|_| !name.is_empty()).or_else(named)
    }

    /// Every directory once, in the order of the controllers' names.
    pub fn dirs(&self) -> Vec<&Path> {
        let mut dirs: Vec<&Path> = Vec::with_capacity(self.0.len());
        for dir in self.0.values() {
            if !dirs.contains(&dir.as_path()) {
                dirs.push(dir);
            }
        }
        dirs
    }
}

/// The directories for `cgroups_path` (`linux.cgroupsPath`), or for the container `id` where that is absent or empty.
///
/// Pure. Repeated and trailing slashes are dropped; `.` and `..` are refused, so that the result lies in the tree of
/// cgroups whatever the configuration says. The root of a hierarchy itself is refused too.
pub fn resolve(layout: &Layout, cgroups_path: Option<&str>, id: &str) -> Result<Paths> {
    let asked = cgroups_path.filter(|p| !p.is_empty()).unwrap_or(id);
    let inner = inner_path(asked)?;
    let absolute = asked.starts_with('/') && cgroups_path.is_some();
    let mut paths = BTreeMap::new();
    for hierarchy in &layout.hierarchies {
        let dir = match absolute {
            true => hierarchy.mount_point.join(&inner),
            false => relative_base(layout.mode, hierarchy)?.join(&inner),
        };
        if hierarchy.v2 {
            paths.insert(String::new(), dir);
        } else {
            let each = hierarchy.controllers.iter();
            paths.extend(each.map(|c| (c.clone(), dir.clone())));
        }
    }
    Ok(Paths(paths))
}

/// The components of `asked` without a leading slash; there is at least one.
fn inner_path(asked: &str) -> Result<PathBuf> {
    match parts(asked)? {
        inner if inner.as_os_str().is_empty() => Err(Error::Path {
            value: asked.to_owned(),
            reason: "it names the root of the hierarchy",
        }),
        inner => Ok(inner),
    }
}

fn parts(asked: &str) -> Result<PathBuf> {
    let refuse = |reason| Error::Path {
        value: asked.to_owned(),
        reason,
    };
    if asked.bytes().any(|b| b == 0 || b == b'\n') {
        return Err(refuse("it contains a NUL byte or a line feed"));
    }
    let mut inner = PathBuf::new();
    for part in asked.split('/').filter(|part| !part.is_empty()) {
        match Path::new(part).components().next() {
            Some(Component::Normal(name)) => inner.push(name),
            _ => return Err(refuse("it contains a component . or ..")),
        }
    }
    Ok(inner)
}

fn relative_base(mode: Mode, hierarchy: &Hierarchy) -> Result<PathBuf> {
    let own = hierarchy.own_dir()?;
    if mode != Mode::V2 || own == hierarchy.mount_point {
        return Ok(own);
    }
    Ok(own.parent().map(Path::to_path_buf).unwrap_or(own))
}
