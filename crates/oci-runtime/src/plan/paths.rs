//! The paths that steps resolve below the container's root, told apart from those that mean something else. One table, for
//! whoever wants to know that no plan leads out.

use std::ffi::CStr;

use oci_runtime_init::op::Op;

use super::Plan;

impl Plan {
    /// Every path that a step resolves below the container's root, with the number of the step. They are relative, without
    /// `.`, `..` and empty components: what a link of the image's makes of them is the business of openat2(2).
    pub fn paths_below_root(&self) -> Vec<(usize, &CStr)> {
        let steps = self.steps().iter().enumerate();
        steps
            .filter_map(|(number, step)| Some((number, below_root(&self.op(step)?)?)))
            .collect()
    }
}

fn below_root<'p>(op: &Op<'p>) -> Option<&'p CStr> {
    match *op {
        Op::MountFs { target, .. } | Op::MountBind { target, .. } | Op::Remount { target, .. } => {
            Some(target)
        }
        Op::Symlink { path, .. }
        | Op::Device { path, .. }
        | Op::Mask { path, .. }
        | Op::Readonly { path }
        // Below /proc/sys, by the same rules.
        | Op::Sysctl { path, .. } => Some(path),
        // A hook's program and the working directory are resolved by the kernel in a root that is the container's by then.
        _ => None,
    }
}
