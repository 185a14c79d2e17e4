//! Where containers are kept, and which global flags can be obeyed.

use std::env;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use oci_runtime::CgroupManager;

use crate::arguments::Arguments;
use crate::blame;
use crate::failure::{Failure, Misuse};

/// The state root: `--root`, or a directory that the caller may write to.
pub(crate) fn of(globals: &Arguments) -> Result<PathBuf, Failure> {
    let Some(given) = globals.text("root") else {
        return default();
    };
    let path = std::path::absolute(given).map_err(|source| Failure::File {
        action: "find the state root",
        path: given.into(),
        source,
    })?;
    if path == Path::new("/") {
        Err(blame::value(Failure::RootIsRoot, "root", globals))
    } else {
        Ok(path)
    }
}

/// Refuses what is not there.
pub(crate) fn judge(globals: &Arguments) -> Result<(), Misuse> {
    globals.choice("rootless", &["auto", "true", "false"])?;
    Ok(())
}

/// Who makes cgroups, in the words of crun and of runc; the former can say more, and so counts where both are there.
pub(crate) fn cgroup_manager(globals: &Arguments) -> Result<CgroupManager, Misuse> {
    let named = globals.choice("cgroup-manager", &["cgroupfs", "systemd", "disabled"])?;
    Ok(match named {
        "systemd" => CgroupManager::Systemd,
        "disabled" => CgroupManager::Disabled,
        _ if globals.switch("systemd-cgroup") && globals.text("cgroup-manager").is_none() => {
            CgroupManager::Systemd
        }
        _ => CgroupManager::Cgroupfs,
    })
}

fn default() -> Result<PathBuf, Failure> {
    match env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty() && is_a_users_own()) {
        None => Ok("/run/runc".into()),
        Some(runtime) => {
            let path = Path::new(&runtime).join("runc");
            make_sticky(&path).map_err(|source| Failure::File {
                action: "make the state root",
                path: path.clone(),
                source,
            })?;
            Ok(path)
        }
    }
}

/// Whether `XDG_RUNTIME_DIR` is meant for us: not for root, unless root is only so in a user namespace.
fn is_a_users_own() -> bool {
    if !geteuid().is_root() {
        return true;
    }
    if env::var_os("USER").is_some_and(|user| user == "root") {
        return false;
    }
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// The sticky bit keeps the directory from being cleaned away (XDG Base Directory Specification).
fn make_sticky(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o1700))
}
