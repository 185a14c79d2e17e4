//! Checks of the root, of the names of the machine, of device nodes, and of what is masked or read-only.

use super::Fault;
use super::problem::Problems;
use crate::mount_options::propagation;
use crate::pointer::{Part, at};
use crate::spec::{Device, Spec};

pub(super) fn check(problems: &mut Problems, spec: &Spec<'_>) {
    root(problems, spec);
    names(problems, spec);
    for (index, device) in spec.linux.devices.iter().enumerate() {
        check_device(problems, index, device);
    }
    let form = &spec.linux.rootfs_propagation;
    if !form.is_empty() && propagation(form).is_none() {
        problems.error(
            at!["linux", "rootfsPropagation"],
            Fault::UnknownPropagation(form.to_string()),
        );
    }
    for (list, paths) in [
        ("maskedPaths", &spec.linux.masked_paths),
        ("readonlyPaths", &spec.linux.readonly_paths),
    ] {
        for (index, path) in paths.iter().enumerate() {
            absolute(problems, at!["linux", list, index], path);
            // What is attached there, no path leads to.
            if path.starts_with('/') && is_top(path) {
                problems.error(at!["linux", list, index], Fault::CoverRoot);
            }
        }
    }
    problems.no_nul(at!["linux", "cgroupsPath"], &spec.linux.cgroups_path);
}

/// Whether a path names the top of whatever it is resolved in, as far as its text tells.
pub(super) fn is_top(path: &str) -> bool {
    let mut depth = 0_usize;
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => depth = depth.saturating_sub(1),
            _ => depth += 1,
        }
    }
    depth == 0
}

fn root(problems: &mut Problems, spec: &Spec<'_>) {
    match &spec.root {
        None => problems.error(at!["root"], Fault::Missing),
        Some(root) if root.path.is_empty() => problems.error(at!["root", "path"], Fault::Missing),
        Some(root) if root.path.starts_with('/') && is_top(&root.path) => {
            problems.error(at!["root", "path"], Fault::HostRoot);
        }
        Some(root) => problems.no_nul(at!["root", "path"], &root.path),
    }
}

/// The kernel's limit on both names (__NEW_UTS_LEN).
const NAME_MAX: usize = 64;

fn names(problems: &mut Problems, spec: &Spec<'_>) {
    for (member, name) in [
        ("hostname", &spec.hostname),
        ("domainname", &spec.domainname),
    ] {
        if name.is_empty() {
            continue;
        }
        if spec.linux.namespace("uts").is_none() {
            problems.error(at![member], Fault::NeedsNamespace(name.to_string(), "uts"));
        }
        if name.len() > NAME_MAX {
            problems.error(at![member], Fault::NameTooLong(name.len()));
        }
        problems.no_nul(at![member], name);
    }
}

/// Device numbers are 12 and 20 bits wide in the kernel (linux/kdev_t.h). A mode may hold the bits of the file type
/// too, as stat(2) gives it: engines pass on what they found.
fn check_device(problems: &mut Problems, index: usize, device: &Device<'_>) {
    absolute(
        problems,
        at!["linux", "devices", index, "path"],
        &device.path,
    );
    match &*device.kind {
        "p" => {}
        "c" | "u" | "b" => {
            if !(0..1 << 12).contains(&device.major) || !(0..1 << 20).contains(&device.minor) {
                let fault = Fault::DeviceNumber {
                    major: device.major,
                    minor: device.minor,
                };
                problems.error(at!["linux", "devices", index], fault);
            }
        }
        other => {
            problems.error(
                at!["linux", "devices", index, "type"],
                Fault::UnknownDeviceType(other.into()),
            );
        }
    }
    if let Some(mode) = device.file_mode.filter(|mode| *mode > 0o177_777) {
        problems.error(
            at!["linux", "devices", index, "fileMode"],
            Fault::FileMode(mode),
        );
    }
    for (name, id) in [("uid", device.uid), ("gid", device.gid)] {
        if id == Some(u32::MAX) {
            problems.error(
                at!["linux", "devices", index, name],
                Fault::InvalidId(u32::MAX),
            );
        }
    }
}

fn absolute(problems: &mut Problems, place: &[Part<'_>], path: &str) {
    if path.is_empty() {
        problems.error(place, Fault::Missing);
    } else if !path.starts_with('/') {
        problems.error(place, Fault::RelativePath(path.into()));
    }
    problems.no_nul(place, path);
}
