//! Kernel parameters a container may set: only those that belong to one of its own namespaces.

use super::Fault;
use super::problem::Problems;
use super::sysctl_name::path;
use crate::host::{Host, Namespaces};
use crate::pointer::at;
use crate::spec::Spec;

/// Parameters by their path, and the namespace they belong to. A path that ends in `/` stands for all below it.
const PARAMETERS: &[(&str, &str)] = &[
    ("fs/mqueue/", "ipc"),
    ("kernel/domainname", "uts"),
    ("kernel/msgmax", "ipc"),
    ("kernel/msgmnb", "ipc"),
    ("kernel/msgmni", "ipc"),
    ("kernel/sem", "ipc"),
    ("kernel/shm_rmid_forced", "ipc"),
    ("kernel/shmall", "ipc"),
    ("kernel/shmmax", "ipc"),
    ("kernel/shmmni", "ipc"),
    ("net/", "network"),
    ("user/", "user"),
];

pub(super) fn check(problems: &mut Problems, spec: &Spec<'_>, host: &Host) {
    for (name, value) in &spec.linux.sysctl {
        let place = at!["linux", "sysctl", &**name];
        if let Err(fault) = allowed(name, spec, host) {
            problems.error(place, fault);
        }
        problems.no_nul(place, value);
    }
}

fn allowed(name: &str, spec: &Spec<'_>, host: &Host) -> Result<(), Fault> {
    let path = path(name).map_err(Fault::SysctlName)?;
    if path == "kernel/hostname" {
        return Err(Fault::SysctlHostname);
    }
    let row = PARAMETERS
        .iter()
        .find(|(known, _)| match known.strip_suffix('/') {
            Some(_) => path.starts_with(known),
            None => path == *known,
        });
    let Some((_, namespace)) = row else {
        return Err(Fault::SysctlOfHost(name.to_owned()));
    };
    let own = spec
        .linux
        .namespace(namespace)
        .is_some_and(|joined| joined.path.is_empty() || !is_hosts(namespace, host));
    if own {
        Ok(())
    } else {
        Err(Fault::SysctlNeedsNamespace {
            name: name.to_owned(),
            namespace,
        })
    }
}

/// Whether the namespace that is joined by path is the one the runtime is in itself.
fn is_hosts(namespace: &str, host: &Host) -> bool {
    Namespaces::named(namespace).is_some_and(|kind| host.own_namespaces.contains(kind))
}
