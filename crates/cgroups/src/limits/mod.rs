//! Limits as data: what to write to which file, and why.
//!
//! [`writes`] lowers `linux.resources` to an ordered list of [`Write`](write::Write)s, a few [`Check`](write::Check)s to
//! make before, and for v2 a device program. It is a pure function of the configuration, the layout and the directories,
//! so that a dry run shows exactly what [`crate::apply()`] will do. A setting that a mode cannot express becomes a warning
//! where nothing is weakened by leaving it out (or where every kernel of today lacks it), and an error otherwise.

mod cpu;
mod devices;
mod io;
mod lowering;
mod memory;
pub(crate) mod present;
mod rest;
pub(crate) mod write;

use crate::error::Result;
use crate::layout::Layout;
use crate::paths::Paths;
use crate::resources::Resources;
use lowering::Lowering;
use present::Present;
use write::Limits;

pub use cpu::weight_from_shares;
pub use devices::DEFAULT as DEFAULT_DEVICES;
pub use io::io_weight;

/// The limits of a new cgroup: all of `resources`, and the device rules even where there are none, because a container
/// reaches no device that is not allowed.
pub fn writes(resources: &Resources, layout: &Layout, paths: &Paths) -> Result<Limits> {
    let mut lowering = Lowering::new(layout, paths);
    devices::lower(
        &mut lowering,
        resources.devices.as_deref().unwrap_or_default(),
    )?;
    all_but_devices(&mut lowering, resources)?;
    Ok(lowering.limits)
}

/// The limits of a new cgroup but for device rules: for root of a user namespace, to whom the kernel gives no say about
/// devices, in v1 neither. Such a caller has no device that its own user on the outside has not, and can make none.
pub fn writes_but_devices(resources: &Resources, layout: &Layout, paths: &Paths) -> Result<Limits> {
    let mut lowering = Lowering::new(layout, paths);
    all_but_devices(&mut lowering, resources)?;
    Ok(lowering.limits)
}

/// The limits to change of a running cgroup: what `resources` has and nothing else. `devices`, where they are given, take
/// the place of all rules that were there before; [`DEFAULT_DEVICES`] are added to them again.
pub fn writes_for_update(
    resources: &Resources,
    layout: &Layout,
    paths: &Paths,
    present: &Present,
) -> Result<Limits> {
    let mut lowering = Lowering::new(layout, paths);
    lowering.present = Some(present);
    if let Some(rules) = &resources.devices {
        devices::lower_update(&mut lowering, rules)?;
    }
    all_but_devices(&mut lowering, resources)?;
    Ok(lowering.limits)
}

fn all_but_devices(lowering: &mut Lowering<'_>, resources: &Resources) -> Result<()> {
    if let Some(memory) = &resources.memory {
        memory::lower(lowering, memory)?;
    }
    if let Some(cpu) = &resources.cpu {
        cpu::lower(lowering, cpu)?;
    }
    if let Some(pids) = &resources.pids {
        rest::pids(lowering, pids)?;
    }
    if let Some(block_io) = &resources.block_io {
        io::lower(lowering, block_io)?;
    }
    if let Some(limits) = &resources.hugepage_limits {
        rest::hugepages(lowering, limits)?;
    }
    if let Some(network) = &resources.network {
        rest::network(lowering, network)?;
    }
    if let Some(rdma) = &resources.rdma {
        rest::rdma(lowering, rdma)?;
    }
    if let Some(unified) = &resources.unified {
        rest::unified(lowering, unified)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
