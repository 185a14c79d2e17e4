//! The canary: a directory of the host, outside of every root filesystem, to which hostile images
//! lead. Whatever happens in a case, its whole listing (names, types, inodes, modes, owners, times,
//! content) must stay the same.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Names that runtimes make, open or mount upon in a container's /dev, /proc and /sys.
const FILES: [&str; 8] = [
    "marker",
    "ptmx",
    "null",
    "zero",
    "console",
    "core_pattern",
    "fd",
    "hostname",
];

/// A canary and its listing at the time it was made.
#[derive(Debug)]
pub struct Canary {
    /// Where it is.
    pub path: PathBuf,
    before: Vec<String>,
}

/// Makes a canary at `path`, which must not exist.
///
/// # Panics
/// When it cannot be made.
pub fn canary(path: PathBuf) -> Canary {
    fs::create_dir(&path).expect("the canary");
    for name in FILES {
        fs::write(path.join(name), format!("canary's {name}\n")).expect("file of the canary");
        let mode = fs::Permissions::from_mode(0o640);
        fs::set_permissions(path.join(name), mode).expect("mode of a canary's file");
    }
    for name in ["pts", "shm", "self", "sys"] {
        fs::create_dir(path.join(name)).expect("directory of the canary");
    }
    let before = list(&path);
    Canary { path, before }
}

impl Canary {
    /// Requires that nothing in the canary has changed.
    ///
    /// # Panics
    /// When something has.
    #[track_caller]
    pub fn assert_unharmed(&self) {
        assert_eq!(list(&self.path), self.before, "the canary has changed");
    }
}

fn list(path: &Path) -> Vec<String> {
    let data = fs::symlink_metadata(path).expect("an entry of the canary");
    let content = if data.is_file() {
        fs::read(path).expect("a file of the canary")
    } else {
        Vec::new()
    };
    let mut lines = vec![format!(
        "{} inode {} mode {:o} owner {}:{} rdev {} changed {}.{} {content:?}",
        path.display(),
        data.ino(),
        data.mode(),
        data.uid(),
        data.gid(),
        data.rdev(),
        data.ctime(),
        data.ctime_nsec()
    )];
    if data.is_dir() {
        let mut names: Vec<PathBuf> = fs::read_dir(path)
            .expect("a directory of the canary")
            .flatten()
            .map(|entry| entry.path())
            .collect();
        names.sort();
        lines.extend(names.iter().flat_map(|name| list(name)));
    }
    lines
}
