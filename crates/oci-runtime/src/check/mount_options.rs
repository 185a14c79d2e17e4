//! Checks of what mounts ask for beyond mounting: options that only some kinds of mount can have, id maps, and values that are too
//! long for fsconfig(2).

use super::Fault;
use super::id_maps::{check_map, faults};
use super::mounts::{is_bind, place_of};
use super::problem::Problems;
use crate::host::Host;
use crate::id_map::{self, IdMap};
use crate::mount_options::{self, Extras, MountOptions};
use crate::pointer::at;
use crate::spec::{Linux, Mount, Spec};

pub(super) fn check(problems: &mut Problems, spec: &Spec<'_>, host: &Host) {
    label(problems, &spec.linux, host);
    for (index, mount) in spec.mounts.iter().enumerate() {
        let options = &mount_options::parse(&mount.options);
        extras(problems, index, mount, options);
        id_map(problems, index, mount, options, &spec.linux);
        if is_new_cgroup(mount, options) {
            of_cgroup(problems, index, mount, options);
        } else if !is_bind(mount, options) {
            lengths(problems, index, mount, options, host);
        }
    }
}

fn extras(problems: &mut Problems, index: usize, mount: &Mount<'_>, options: &MountOptions<'_>) {
    let option = |problems: &mut Problems, name: &str, fault: Fault| {
        let place = place_of(mount, name);
        problems.error(at!["mounts", index, "options", place], fault);
    };
    let bind = is_bind(mount, options) && !options.remount;
    for (name, extra) in EXTRAS {
        if !options.extras.contains(*extra) {
            continue;
        }
        if *extra == Extras::TMPCOPYUP {
            if bind || options.remount || mount.kind != "tmpfs" {
                option(problems, name, Fault::OnlyForTmpfs(name));
            }
        } else if !bind {
            option(problems, name, Fault::OnlyForBind(name));
        } else if *extra != Extras::COPY_SYMLINK && options.extras.contains(Extras::COPY_SYMLINK) {
            option(problems, name, Fault::Exclusive("copy-symlink", name));
        }
    }
    if options.remount && (options.recursive_attr_set | options.recursive_attr_clr) != 0 {
        let fault = Fault::Exclusive("remount", "options of a whole tree");
        option(problems, "remount", fault);
    }
}

/// The label of new file systems is a parameter of theirs.
fn label(problems: &mut Problems, linux: &Linux<'_>, host: &Host) {
    let (place, label) = (at!["linux", "mountLabel"], &linux.mount_label);
    if label.is_empty() {
        return;
    }
    if !host.modules.selinux {
        problems.error(place, Fault::ModuleOff("SELinux"));
    }
    if label.len() > LONGEST {
        problems.error(place, Fault::ParameterTooLong(label.len()));
    }
    problems.no_nul(place, label);
}

/// Options that are not the kernel's.
const EXTRAS: &[(&str, Extras)] = &[
    ("tmpcopyup", Extras::TMPCOPYUP),
    ("copy-symlink", Extras::COPY_SYMLINK),
    ("src-nofollow", Extras::SRC_NOFOLLOW),
    ("dest-nofollow", Extras::DEST_NOFOLLOW),
];

fn id_map(
    problems: &mut Problems,
    index: usize,
    mount: &Mount<'_>,
    options: &MountOptions<'_>,
    linux: &Linux<'_>,
) {
    for (member, map) in [
        ("uidMappings", &mount.uid_mappings),
        ("gidMappings", &mount.gid_mappings),
    ] {
        check_map(problems, at!["mounts", index, member], map);
    }
    let option = ["idmap", "ridmap"].map(|name| place_of(mount, name));
    let option = option.into_iter().max().unwrap_or_default();
    let of_option = options.idmap.is_some() && mount.uid_mappings.is_empty();
    match id_map::of(mount, options, linux) {
        Err(("options", why)) => {
            problems.error(at!["mounts", index, "options", option], Fault::IdMap(why));
        }
        Err((member, why)) => problems.error(at!["mounts", index, member], Fault::IdMap(why)),
        Ok(Some(IdMap::Maps(uids, gids))) if of_option => {
            for (_, _, fault) in faults(&uids).into_iter().chain(faults(&gids)) {
                problems.error(at!["mounts", index, "options", option], fault);
            }
        }
        Ok(_) => {}
    }
    let asked = options.idmap.is_some() || !mount.uid_mappings.is_empty();
    let refused = match &*mount.kind {
        _ if options.remount => Some("what is mounted already"),
        _ if is_new_cgroup(mount, options) => Some("a cgroup mount"),
        _ => None,
    };
    if let Some(what) = refused.filter(|_| asked) {
        problems.error(at!["mounts", index], Fault::NotIdMapped(what));
    }
}

fn is_new_cgroup(mount: &Mount<'_>, options: &MountOptions<'_>) -> bool {
    let cgroup = matches!(&*mount.kind, "cgroup" | "cgroup2");
    cgroup && !options.remount && !is_bind(mount, options)
}

/// Parameters of the cgroup file systems that are words (cgroups(7), "Cgroup v2 mount options" of the kernel). They belong to a
/// hierarchy, which is the host's.
const OF_HIERARCHIES: &[&str] = &[
    "clone_children",
    "favordynmods",
    "memory_hugetlb_accounting",
    "memory_localevents",
    "memory_recursiveprot",
    "noprefix",
    "nsdelegate",
    "pids_localevents",
    "xattr",
];

/// The container sees the host's hierarchies: what is theirs has no effect, and what is nothing may be a misspelt flag.
fn of_cgroup(problems: &mut Problems, index: usize, mount: &Mount<'_>, options: &MountOptions<'_>) {
    let place = |name: &str| place_of(mount, name);
    for (key, value) in &options.data {
        let place = at!["mounts", index, "options", place(key)];
        match value.is_some() || OF_HIERARCHIES.contains(key) {
            true => problems.warning(place, Fault::OptionWithoutEffect((*key).into())),
            false => problems.error(place, Fault::NotOfCgroup((*key).into())),
        }
    }
    for flag in options.sb_flags.iter().filter(|flag| **flag != "ro") {
        let fault = Fault::OptionWithoutEffect((*flag).into());
        problems.warning(at!["mounts", index, "options", place(flag)], fault);
    }
}

/// The most bytes of a parameter's name or value in fsconfig(2).
const LONGEST: usize = 255;

/// Parameters of overlay that are paths: layers can be given one by one since Linux 6.8, and any of them as an open directory
/// instead of as a path since Linux 6.13.
const OVERLAY: &[&str] = &["lowerdir", "upperdir", "workdir"];

fn lengths(
    problems: &mut Problems,
    index: usize,
    mount: &Mount<'_>,
    options: &MountOptions<'_>,
    host: &Host,
) {
    let (source, kind) = (mount.source.len(), &*mount.kind);
    if source > LONGEST && !options.remount {
        problems.error(
            at!["mounts", index, "source"],
            Fault::ParameterTooLong(source),
        );
    }
    for (key, value) in &options.data {
        let value = value.unwrap_or_default();
        let longest = if kind == "overlay" && OVERLAY.contains(key) && host.kernel >= (6, 13) {
            0
        } else if kind == "overlay" && *key == "lowerdir" && host.kernel >= (6, 8) {
            value.split(':').map(str::len).max().unwrap_or_default()
        } else {
            value.len()
        };
        let longest = longest.max(key.len());
        if longest > LONGEST {
            problems.error(
                at!["mounts", index, "options", place_of(mount, key)],
                Fault::ParameterTooLong(longest),
            );
        }
    }
}
