//! A small but real root file system: Debian's static busybox with a link for every program in it, the account files,
//! and the directories that mounts go to.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::read;
use crate::error::{Error, Result, io_error};

const DIRECTORIES: &[(&str, u32)] = &[
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("var", 0o755),
];

const FILES: &[(&str, &str)] = &[
    (
        "etc/group",
        "root:x:0:\ntty:x:5:\nusers:x:100:\nnogroup:x:65534:\n",
    ),
    ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("etc/nsswitch.conf", "hosts: files dns\n"),
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:100:user:/home:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    ),
];

/// Makes the root file system in `directory`, in place of what is there.
pub fn make(directory: &Path) -> Result<()> {
    let busybox = find_busybox()?;
    replace(directory)?;
    for (name, mode) in DIRECTORIES {
        let path = directory.join(name);
        fs::create_dir(&path).map_err(io_error("make", &path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode))
            .map_err(io_error("set the mode of", &path))?;
    }
    for (name, text) in FILES {
        let path = directory.join(name);
        fs::write(&path, text).map_err(io_error("write", &path))?;
    }
    let copy = directory.join("bin/busybox");
    fs::copy(&busybox, &copy).map_err(io_error("copy busybox to", &copy))?;
    for applet in read(Command::new(&busybox).arg("--list"))?
        .lines()
        .filter(|applet| *applet != "busybox")
    {
        let path = directory.join("bin").join(applet);
        symlink("busybox", &path).map_err(io_error("link", &path))?;
    }
    Ok(())
}

/// An empty directory at `path`, whatever was there.
pub fn replace(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(io_error("remove", path)(error));
        }
        _ => {}
    }
    fs::create_dir_all(path).map_err(io_error("make", path))
}

/// Debian's static busybox: /bin is /usr/bin nowadays, but was not always.
fn find_busybox() -> Result<PathBuf> {
    let places = ["/usr/bin/busybox", "/bin/busybox"];
    places
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .ok_or_else(|| Error::Packages {
            missing: vec!["busybox-static".to_owned()],
            reason: format!("there is no {}", places.join(" and no ")),
        })
}
