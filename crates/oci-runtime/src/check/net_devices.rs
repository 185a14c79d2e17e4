//! Checks of the network devices that the container gets, by the kernel's rules for their names (`dev_valid_name`).

use super::Fault;
use super::problem::Problems;
use crate::host::{Host, Namespaces};
use crate::pointer::at;
use crate::spec::Spec;

/// The longest name (IFNAMSIZ, without the NUL).
const NAME_MAX: usize = 15;

pub(super) fn check(problems: &mut Problems, spec: &Spec<'_>, host: &Host) {
    let devices = &spec.linux.net_devices;
    let Some((first, _)) = devices.first_key_value() else {
        return;
    };
    let network = spec.linux.namespace("network");
    if network.is_none() || host.own_namespaces.contains(Namespaces::NETWORK) {
        let fault = Fault::NeedsNamespace(first.to_string(), "network");
        problems.error(at!["linux", "netDevices"], fault);
    }
    if host.euid != 0 {
        problems.error(at!["linux", "netDevices"], Fault::NetDevicesRootless);
    }
    let mut targets = Vec::new();
    for (name, device) in devices {
        if !is_name(name) {
            let fault = Fault::DeviceName(name.to_string());
            problems.error(at!["linux", "netDevices", &**name], fault);
        }
        let target = device.target(name);
        if !device.name.is_empty() && !is_name(target) && !is_template(target) {
            let fault = Fault::DeviceName(target.to_owned());
            problems.error(at!["linux", "netDevices", &**name, "name"], fault);
        }
        if targets.contains(&target) && !is_template(target) {
            let fault = Fault::DuplicateDevice(target.to_owned());
            problems.error(at!["linux", "netDevices", &**name], fault);
        }
        targets.push(target);
    }
}

fn is_name(name: &str) -> bool {
    let forbidden = |byte: u8| matches!(byte, b'/' | b':' | b'%' | 0) || is_space(byte);
    (1..=NAME_MAX).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.bytes().any(forbidden)
}

/// What the kernel's isspace() takes for one, in Latin-1.
fn is_space(byte: u8) -> bool {
    matches!(byte, 9..=13 | b' ' | 0xa0)
}

/// A name with one `%d`, for which the kernel puts the lowest number that is free.
fn is_template(name: &str) -> bool {
    name.split_once("%d")
        .is_some_and(|(before, after)| is_name(&format!("{before}0{after}")))
}
