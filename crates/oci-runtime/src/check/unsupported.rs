//! What the specification has and this version does not carry out. A container that asks for it is refused with the
//! place, because to leave it out in silence would be to run something else. To carry out one more is to take out its
//! row.

use super::Fault;
use super::problem::Problems;
use crate::pointer::{Part, at};
use crate::spec::Spec;

// Rows: the name of a member, and whether it is asked for.
type OfSpec = (&'static str, fn(&Spec<'_>) -> bool);

/// Members of `linux`.
const LINUX: &[OfSpec] = &[("mountLabel", |spec| !spec.linux.mount_label.is_empty())];

pub(super) fn check(problems: &mut Problems, spec: &Spec<'_>) {
    refuse(
        problems,
        &["linux".into()],
        LINUX
            .iter()
            .filter(|(_, asked)| asked(spec))
            .map(|(name, _)| *name),
    );
}

fn refuse<'n>(problems: &mut Problems, place: &[Part<'_>], members: impl Iterator<Item = &'n str>) {
    for member in members {
        problems.error(&[place, at![member]].concat(), Fault::Unsupported);
    }
}
