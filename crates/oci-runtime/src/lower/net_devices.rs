//! Network devices that the container gets: the first process hands the parent a socket of its namespace, the parent moves them.

use oci_runtime_init::op::{NO_SLOT, Op, Slot};

use crate::net::NetDevice;
use crate::plan::{ParentOp, Plan, Source};
use crate::pointer::pointer;
use crate::spec::Linux;

const ORIGIN: &str = "/linux/netDevices";

/// Where that socket is sent.
pub(super) fn slot(plan: &mut Plan, linux: &Linux<'_>) -> Slot {
    if linux.net_devices.is_empty() {
        return NO_SLOT;
    }
    plan.slot(ORIGIN, Source::NetSocket)
}

/// Moves the devices, in the order of their names.
pub(super) fn take(plan: &mut Plan, linux: &Linux<'_>, slot: Slot) {
    if linux.net_devices.is_empty() {
        return;
    }
    let device = |(name, device): (&crate::spec::Str<'_>, &crate::spec::NetDevice<'_>)| NetDevice {
        origin: pointer(&["linux".into(), "netDevices".into(), (&**name).into()]),
        name: name.to_string(),
        target: device.target(name).to_owned(),
    };
    let devices = linux.net_devices.iter().map(device).collect();
    plan.inner(ORIGIN, Op::NetSocket { slot });
    plan.inner(ORIGIN, Op::Yield {});
    plan.parent(ORIGIN, ParentOp::NetDevices { devices });
}
