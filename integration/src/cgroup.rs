//! The host's cgroup hierarchies as a test needs them: where a path of config.json is in each, and
//! what a file there says. Works on v1, hybrid and v2 hosts, because it asks mountinfo.

use std::fs;
use std::path::{Path, PathBuf};

use crate::host;
use crate::runtime::{eventually, read, tool};

/// Where a host of v2 alone has it.
const STANDARD: &str = "/sys/fs/cgroup";

/// One mounted hierarchy.
#[derive(Clone, Debug)]
pub struct Hierarchy {
    /// Where the host has it.
    pub point: PathBuf,
    /// Its controllers (v1, `name=systemd` among them); empty for cgroup2.
    pub controllers: Vec<String>,
}

/// All hierarchies of the host that no later mount covers.
pub fn hierarchies() -> Vec<Hierarchy> {
    let own = host::mounts(std::process::id().cast_signed());
    let mut found: Vec<Hierarchy> = Vec::new();
    for mount in own.iter().filter(|m| m.fstype.starts_with("cgroup")) {
        let point = PathBuf::from(&mount.point);
        found.retain(|earlier| !earlier.point.starts_with(&point));
        let controllers = match mount.fstype.as_str() {
            "cgroup" => controllers(&mount.super_options),
            _ => Vec::new(),
        };
        found.push(Hierarchy { point, controllers });
    }
    found
}

fn controllers(super_options: &[String]) -> Vec<String> {
    const NOT_CONTROLLERS: [&str; 5] = ["rw", "ro", "xattr", "clone_children", "noprefix"];
    let names = super_options.iter().filter(|name| {
        !NOT_CONTROLLERS.contains(&name.as_str()) && !name.starts_with("release_agent=")
    });
    names.cloned().collect()
}

/// The directory of `path` in the v1 hierarchy of `controller`, if the host has one.
pub fn v1(controller: &str, path: &str) -> Option<PathBuf> {
    let all = hierarchies();
    let found = all
        .iter()
        .find(|h| h.controllers.iter().any(|c| c == controller))?;
    Some(below(&found.point, path))
}

/// What a file says of the cgroup `path` in the v1 hierarchy of `controller`.
///
/// # Panics
/// When there is no such hierarchy or file.
#[track_caller]
pub fn v1_value(controller: &str, path: &str, file: &str) -> String {
    let directory = v1(controller, path)
        .unwrap_or_else(|| panic!("this host has no v1 hierarchy with {controller}"));
    read(directory.join(file))
}

/// What a file says of the cgroup `path` in the cgroup2 hierarchy.
///
/// # Panics
/// When there is no such hierarchy or file.
#[track_caller]
pub fn v2_value(path: &str, file: &str) -> String {
    let point = v2().expect("this host has no cgroup2 hierarchy");
    read(below(&point, path).join(file))
}

/// Whether some hierarchy of the host has `controller`.
pub fn has(controller: &str) -> bool {
    let in_v2 = |point: PathBuf| {
        let all = read(point.join("cgroup.controllers"));
        all.split(' ').any(|name| name == controller)
    };
    v1(controller, "/").is_some() || v2().is_some_and(in_v2)
}

fn v2() -> Option<PathBuf> {
    let mut all = hierarchies().into_iter();
    all.find(|h| h.controllers.is_empty()).map(|h| h.point)
}

/// The options with which a host of v2 alone has mounted it. They are the hierarchy's, not the mount's: whoever mounts it once more
/// in the first cgroup namespace gives it others.
///
/// # Panics
/// When there is no such mount.
#[track_caller]
pub fn v2_options() -> String {
    let mounts = read("/proc/mounts");
    let mut fields = mounts.lines().map(|line| line.split(' '));
    let options = fields.find_map(|mut f| (f.nth(1)? == STANDARD).then(|| f.nth(1))?);
    options.expect("a mount of cgroup2").to_owned()
}

/// Gives the hierarchy such options again.
///
/// # Panics
/// When the kernel refuses.
#[track_caller]
pub fn restore_v2_options(options: &str) {
    tool("mount", &["-o", &format!("remount,{options}"), STANDARD]);
}

/// Stops all that runs in the cgroup `path`, by whichever freezer the host has, and waits until it stands still.
///
/// # Panics
/// When it does not.
#[track_caller]
pub fn freeze(path: &str) {
    match v1("freezer", path) {
        Some(directory) => {
            set(&directory.join("freezer.state"), "FROZEN");
            eventually("a frozen cgroup", || {
                (read(directory.join("freezer.state")) == "FROZEN").then_some(())
            });
        }
        None => {
            let directory = below(&v2().expect("a cgroup2 hierarchy"), path);
            set(&directory.join("cgroup.freeze"), "1");
            eventually("a frozen cgroup", || {
                let events = read(directory.join("cgroup.events"));
                events.lines().any(|line| line == "frozen 1").then_some(())
            });
        }
    }
}

/// Lets it run again.
///
/// # Panics
/// When the kernel refuses.
#[track_caller]
pub fn thaw(path: &str) {
    match v1("freezer", path) {
        Some(directory) => set(&directory.join("freezer.state"), "THAWED"),
        None => {
            let directory = below(&v2().expect("a cgroup2 hierarchy"), path);
            set(&directory.join("cgroup.freeze"), "0");
        }
    }
}

#[track_caller]
fn set(file: &Path, value: &str) {
    fs::write(file, value).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
}

/// The directories of `path` and of `path-*` (further containers of one case) that exist, over all
/// hierarchies.
pub fn existing(path: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for hierarchy in hierarchies() {
        let directory = below(&hierarchy.point, path);
        let name = directory.file_name().unwrap_or_default().to_os_string();
        let name = name.to_string_lossy();
        let siblings = directory.parent().map(fs::read_dir);
        for entry in siblings.into_iter().flatten().flatten().flatten() {
            let other = entry.file_name();
            let rest = other.to_string_lossy();
            let rest = rest.strip_prefix(&*name);
            if entry.path().is_dir() && rest.is_some_and(|r| r.is_empty() || r.starts_with('-')) {
                found.push(entry.path());
            }
        }
    }
    found
}

/// Removes the cgroup `path` and what is below it, everywhere. For tidying up after a failed case;
/// errors are left for the next reader of the hierarchy to find.
pub fn remove(path: &str) {
    for directory in existing(path) {
        remove_tree(&directory);
    }
}

fn remove_tree(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.path().is_dir() {
            remove_tree(&entry.path());
        }
    }
    let _ = fs::remove_dir(directory);
}

fn below(point: &Path, path: &str) -> PathBuf {
    point.join(path.trim_start_matches('/'))
}
