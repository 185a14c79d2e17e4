//! Mounts that are to be read-only and had to stay writable until what is inside of them was made.

use oci_runtime_init::op::{List, MountAttr, Op};

use super::mounts::{Prepared, READONLY, bind, is_cgroup, is_parent};
use super::text::{below_root, normal};
use crate::error::Result;
use crate::plan::Plan;
use crate::pointer::pointer;
use crate::spec::Spec;

/// What had to stay writable for mounts inside of it becomes read-only. /dev waits for its devices: [`super::devices`]
/// come after this, so it is done by [`dev`].
pub(super) fn parents(plan: &mut Plan, spec: &Spec<'_>, mounts: &[Prepared<'_>]) -> Result<()> {
    close(plan, spec, mounts, |place| place != "/dev")
}

/// Makes a /dev that was asked for as read-only so, once its devices are made.
pub(super) fn dev(plan: &mut Plan, spec: &Spec<'_>, mounts: &[Prepared<'_>]) -> Result<()> {
    close(plan, spec, mounts, |place| place == "/dev")
}

fn close(
    plan: &mut Plan,
    spec: &Spec<'_>,
    mounts: &[Prepared<'_>],
    which: impl Fn(&str) -> bool,
) -> Result<()> {
    for (index, (mount, Prepared { options, .. })) in spec.mounts.iter().zip(mounts).enumerate() {
        let new = bind(mount, options).is_none() && !is_cgroup(mount) && !options.remount;
        let due = new && options.attr_set & READONLY != 0 && is_parent(spec, index);
        if due && which(&normal(&mount.destination)) {
            let origin = pointer(&["mounts".into(), index.into(), "options".into()]);
            let target = below_root(&origin, &mount.destination)?;
            plan.inner(
                origin,
                Op::Remount {
                    target: &target,
                    options: List::Items(&[]),
                    set: MountAttr(READONLY),
                    clear: MountAttr(0),
                    propagation: List::Items(&[]),
                },
            );
        }
    }
    Ok(())
}
