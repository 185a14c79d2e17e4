//! Checks of the memory policy, by the kernel's own rules (set_mempolicy(2)) as far as they are about the policy alone.

use super::Fault;
use super::problem::Problems;
use crate::memory_policy::{FLAGS, LAST_NODE, Mode, Nodes, find};
use crate::pointer::at;
use crate::ranges;
use crate::spec::{Linux, MemoryPolicy, said};

pub(super) fn check(problems: &mut Problems, linux: &Linux<'_>) {
    let Some(policy) = said(&linux.memory_policy) else {
        return;
    };
    let place = at!["linux", "memoryPolicy", "mode"];
    match find(&policy.mode) {
        Some(mode) => nodes(problems, policy, mode),
        None if policy.mode.is_empty() => problems.error(place, Fault::Missing),
        None => {
            let fault = Fault::NoSuch("memory policy", policy.mode.to_string());
            problems.error(place, fault);
        }
    }
    flags(problems, policy);
}

fn nodes(problems: &mut Problems, policy: &MemoryPolicy<'_>, mode: &Mode) {
    let place = at!["linux", "memoryPolicy", "nodes"];
    let given = !policy.nodes.is_empty();
    match mode.nodes {
        Nodes::Needed if !given => problems.error(place, Fault::NeedsNodes(mode.name)),
        Nodes::Refused if given => problems.error(place, Fault::RefusesNodes(mode.name)),
        _ if given => {
            if let Err(fault) = ranges::parse(&policy.nodes, LAST_NODE) {
                problems.error(place, Fault::Ranges(fault));
            }
        }
        _ => {}
    }
}

fn flags(problems: &mut Problems, policy: &MemoryPolicy<'_>) {
    let has = |name: &str| policy.flags.iter().any(|flag| *flag == *name);
    for (index, flag) in policy.flags.iter().enumerate() {
        let place = at!["linux", "memoryPolicy", "flags", index];
        if !FLAGS.iter().any(|(name, _)| flag == name) {
            let fault = Fault::NoSuch("flag of a memory policy", flag.to_string());
            problems.error(place, fault);
        } else if policy.nodes.is_empty() {
            // With the default policy the kernel would take them and do nothing.
            problems.error(place, Fault::FlagWithoutNodes(flag.to_string()));
        }
    }
    if has("MPOL_F_STATIC_NODES") && has("MPOL_F_RELATIVE_NODES") {
        problems.error(
            at!["linux", "memoryPolicy", "flags"],
            Fault::StaticAndRelative,
        );
    }
}
