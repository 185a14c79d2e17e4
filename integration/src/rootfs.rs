//! Root filesystems for the containers. The default one is a single directory, made of the host's
//! static busybox, that all tests share: it is mounted read-only in every container, so nothing
//! can write to it. A test that needs a writable or a hostile tree takes a copy of its own.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::runtime::{target_dir, tool};

/// Directories of the tree and their modes; all that the default mounts need is among them.
const DIRECTORIES: [(&str, u32); 13] = [
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("home/user", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr", 0o755),
];

const FILES: [(&str, &str); 3] = [
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n",
    ),
    ("etc/group", "root:x:0:\nuser:x:1000:\n"),
    ("mnt/file", "of the root filesystem\n"),
];

/// The shared tree. Made once and kept in cargo's target directory.
///
/// # Panics
/// When busybox is missing or the tree cannot be written.
pub fn shared() -> &'static Path {
    static SHARED: OnceLock<PathBuf> = OnceLock::new();
    SHARED.get_or_init(|| {
        let kept = target_dir().join("integration/busybox");
        fs::create_dir_all(kept.parent().expect("a parent")).expect("directory for the tree");
        if !kept.exists() {
            let fresh = kept.with_extension(std::process::id().to_string());
            make(&fresh);
            // Another test process may have been faster; then its tree is as good.
            if fs::rename(&fresh, &kept).is_err() {
                fs::remove_dir_all(&fresh).expect("remove a spare tree");
            }
        }
        kept.canonicalize().expect("the tree's path")
    })
}

/// Makes a tree of its own at `root`, which must not exist.
///
/// # Panics
/// When busybox is missing or the tree cannot be written.
pub fn make(root: &Path) {
    fs::create_dir(root).expect("root of the tree");
    fs::set_permissions(root, fs::Permissions::from_mode(0o755)).expect("mode of the root");
    for (name, mode) in DIRECTORIES {
        let path = root.join(name);
        fs::create_dir(&path).expect("directory of the tree");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode of a directory");
    }
    for (name, content) in FILES {
        fs::write(root.join(name), content).expect("file of the tree");
    }
    symlink("../bin", root.join("usr/bin")).expect("usr/bin");
    // By a process of its own: a descriptor open for writing that another thread's fork inherits
    // would make the copy "busy" for execve.
    let busybox = busybox_of_host();
    let copy = root.join("bin/busybox");
    tool(
        "cp",
        &[&busybox.display().to_string(), &copy.display().to_string()],
    );
    for applet in applets(&busybox) {
        if applet != "busybox" {
            symlink("busybox", root.join("bin").join(applet)).expect("link of an applet");
        }
    }
}

fn busybox_of_host() -> PathBuf {
    ["/bin/busybox", "/usr/bin/busybox"]
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .expect("these tests need a static busybox (Debian's package busybox-static)")
}

fn applets(busybox: &Path) -> Vec<String> {
    let output = Command::new(busybox).arg("--list").output();
    let output = output.expect("run busybox");
    let names = String::from_utf8(output.stdout).expect("names of applets");
    names.lines().map(str::to_owned).collect()
}
