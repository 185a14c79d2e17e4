//! Checks of the list of mounts.

use super::Fault;
use super::paths::is_top;
use super::problem::Problems;
use crate::mount_options::{self, MountOptions, has_no_acl_parameter, is_acl};
use crate::pointer::at;
use crate::spec::Mount;

pub(super) fn check(problems: &mut Problems, mounts: &[Mount<'_>]) {
    for (index, mount) in mounts.iter().enumerate() {
        let options = &mount_options::parse(&mount.options);
        destination(problems, index, &mount.destination);
        if !options.remount {
            over_proc(problems, index, mount, is_bind(mount, options));
        }
        if is_bind(mount, options) {
            check_bind(problems, index, mount, options);
        } else if options.remount {
            // What is mounted there has a type.
        } else if mount.kind.is_empty() || mount.kind == "none" {
            problems.error(at!["mounts", index, "type"], Fault::MountWithoutType);
        }
        for (name, text) in [("type", &mount.kind), ("source", &mount.source)] {
            problems.no_nul(at!["mounts", index, name], text);
        }
        check_options(problems, index, mount, options);
    }
}

/// The type alone makes a bind mount too.
pub(super) fn is_bind(mount: &Mount<'_>, options: &MountOptions<'_>) -> bool {
    options.bind.is_some() || mount.kind == "bind"
}

fn destination(problems: &mut Problems, index: usize, path: &str) {
    let place = at!["mounts", index, "destination"];
    if path.is_empty() {
        problems.error(place, Fault::Missing);
    } else if is_top(path) {
        problems.error(place, Fault::MountOverRoot);
    } else if !path.starts_with('/') {
        problems.warning(place, Fault::RelativeDestination(path.into()));
    }
    problems.no_nul(place, path);
}

/// Files of proc(5) that others may stand in for, as runc has them: what a container asks of the machine as a whole.
const REPLACEABLE: &[&str] = &[
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/sys/crypto/fips_enabled",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/uptime",
];

/// Masked and read-only paths and kernel parameters mean nothing where /proc is something else.
fn over_proc(problems: &mut Problems, index: usize, mount: &Mount<'_>, bind: bool) {
    if !mount.destination.contains("proc") {
        return;
    }
    let parts = mount
        .destination
        .split('/')
        .filter(|part| !matches!(*part, "" | "."));
    let path = parts.fold(String::new(), |mut path, part| {
        if part == ".." {
            path.truncate(path.rfind('/').unwrap_or(0));
            return path;
        }
        path + "/" + part
    });
    let is_proc = if bind {
        mount.source.starts_with("/proc")
    } else {
        mount.kind == "proc"
    };
    let covers = path == "/proc" && !is_proc;
    let inside = path.starts_with("/proc/") && !REPLACEABLE.contains(&path.as_str());
    if covers || inside {
        problems.error(at!["mounts", index, "destination"], Fault::OverProc(path));
    }
}

fn check_bind(
    problems: &mut Problems,
    index: usize,
    mount: &Mount<'_>,
    options: &MountOptions<'_>,
) {
    if mount.source.is_empty() && !options.remount {
        problems.error(at!["mounts", index, "source"], Fault::BindWithoutSource);
    }
    for (key, value) in &options.data {
        let place = at!["mounts", index, "options", place_of(mount, key)];
        match value {
            // A parameter of a file system, which mount(2) ignores: the file system is there already.
            _ if is_acl(key) => problems.warning(place, Fault::OptionWithoutEffect((*key).into())),
            Some(_) => problems.warning(place, Fault::OptionWithoutEffect((*key).into())),
            // A word may be a misspelt flag, and a flag may be a matter of security.
            None => problems.error(place, Fault::BindWithData((*key).into())),
        }
    }
    // The superblock is not the container's to change. `ro` is an attribute of the mount as well.
    for flag in options.sb_flags.iter().filter(|flag| **flag != "ro") {
        let fault = Fault::OptionWithoutEffect((*flag).into());
        problems.warning(
            at!["mounts", index, "options", place_of(mount, flag)],
            fault,
        );
    }
}

fn check_options(
    problems: &mut Problems,
    index: usize,
    mount: &Mount<'_>,
    options: &MountOptions<'_>,
) {
    for (place, option) in mount.options.iter().enumerate() {
        problems.no_nul(at!["mounts", index, "options", place], option);
    }
    let no_acl = options.data.iter().map(|(key, _)| *key);
    let no_acl = no_acl.filter(|key| *key == "noacl" && has_no_acl_parameter(&mount.kind));
    for name in options.without_effect.iter().copied().chain(no_acl) {
        let fault = Fault::OptionWithoutEffect(name.into());
        problems.warning(
            at!["mounts", index, "options", place_of(mount, name)],
            fault,
        );
    }
}

/// Where an option stands in the list, told by its name.
pub(super) fn place_of(mount: &Mount<'_>, name: &str) -> usize {
    let named = |option: &&str| option.split('=').next() == Some(name);
    let recursive = |option: &&str| option.strip_prefix('r') == Some(name);
    let mut options = mount.options.iter().map(|option| &**option);
    options
        .position(|option| named(&option) || recursive(&option))
        .unwrap_or_default()
}
