//! What the specification has and this version does not carry out. A container that asks for it is refused with the
//! place, because to leave it out in silence would be to run something else. To carry out one more is to take out its
//! row.

use super::Fault;
use super::problem::Problems;
use crate::pointer::{Part, at};
use crate::spec::{Mount, Spec};

// Rows: the name of a member, and whether it is asked for.
type OfSpec = (&'static str, fn(&Spec<'_>) -> bool);
type OfMount = (&'static str, fn(&Mount<'_>) -> bool);

/// Members of `linux`.
const LINUX: &[OfSpec] = &[("mountLabel", |spec| !spec.linux.mount_label.is_empty())];

/// Members of each mount.
const MOUNT: &[OfMount] = &[
    ("uidMappings", |mount| !mount.uid_mappings.is_empty()),
    ("gidMappings", |mount| !mount.gid_mappings.is_empty()),
];

/// Options of mounts, up to a `=`.
const MOUNT_OPTIONS: &[&str] = &[
    "copy-symlink",
    "dest-nofollow",
    "idmap",
    "remount",
    "ridmap",
    "src-nofollow",
    "tmpcopyup",
];

/// Whether a mount option of the table is refused all the same.
pub fn is_refused_option(name: &str) -> bool {
    MOUNT_OPTIONS.contains(&name)
}

pub(super) fn check(problems: &mut Problems, spec: &Spec<'_>) {
    refuse(
        problems,
        &["linux".into()],
        LINUX
            .iter()
            .filter(|(_, asked)| asked(spec))
            .map(|(name, _)| *name),
    );
    for (index, mount) in spec.mounts.iter().enumerate() {
        refuse(
            problems,
            at!["mounts", index],
            MOUNT
                .iter()
                .filter(|(_, asked)| asked(mount))
                .map(|(name, _)| *name),
        );
        mount_options(problems, index, mount);
    }
}

fn refuse<'n>(problems: &mut Problems, place: &[Part<'_>], members: impl Iterator<Item = &'n str>) {
    for member in members {
        problems.error(&[place, at![member]].concat(), Fault::Unsupported);
    }
}

fn mount_options(problems: &mut Problems, index: usize, mount: &Mount<'_>) {
    for (place, option) in mount.options.iter().enumerate() {
        let name = option.split('=').next().unwrap_or_default();
        if is_refused_option(name) {
            problems.error(at!["mounts", index, "options", place], Fault::Unsupported);
        }
    }
}
