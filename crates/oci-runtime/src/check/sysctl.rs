//! Kernel parameters a container may set: only those that belong to one of its own namespaces. A parameter's name
//! becomes a path below /proc/sys once, in [`path`]; nothing else takes it apart, so that what was allowed is what is
//! written.

use super::{Fault, Problems};
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

/// The path below /proc/sys of a parameter, both spellings of sysctl(8) understood: where the first separator is a
/// dot, dots separate and a slash stands for a dot; else slashes separate. `net.ipv4.conf.eth0/1.forwarding` and
/// `net/ipv4/conf/eth0.1/forwarding` are the same.
///
/// # Errors
/// The name has fewer than two parts, an empty part, `.` or `..`, a blank or a control character.
pub fn path(name: &str) -> Result<String, NameFault> {
    let dotted = name
        .find(['.', '/'])
        .is_some_and(|first| name.as_bytes()[first] == b'.');
    let path: String = if dotted {
        name.chars().map(swapped).collect()
    } else {
        name.to_owned()
    };
    if !path.contains('/') {
        return Err(NameFault::OnePart(name.to_owned()));
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(NameFault::Part(name.to_owned()));
    }
    if path
        .chars()
        .any(|character| character.is_control() || character.is_whitespace())
    {
        return Err(NameFault::Character(name.to_owned()));
    }
    Ok(path)
}

/// Why a name cannot be a parameter's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// There is no directory in it.
    #[error("{0:?} is not a sysctl, which look like net.ipv4.ip_forward")]
    OnePart(String),
    /// A part of it would lead elsewhere or nowhere.
    #[error("sysctl {0:?} has an empty part, '.' or '..' in it")]
    Part(String),
    /// It has a character that no parameter has.
    #[error("sysctl {0:?} has a blank or a control character in it")]
    Character(String),
}

fn swapped(character: char) -> char {
    match character {
        '.' => '/',
        '/' => '.',
        other => other,
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
