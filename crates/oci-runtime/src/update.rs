//! `update`: other limits for a container that exists.
//!
//! Only what is given is changed, in the kernel and in the configuration that is kept. The kernel comes first: a limit that it
//! refuses is not kept, and those written before it are taken back.

use log::warn;
use oci_runtime_cgroups::{Layout, Present, Resources, systemd, writes_for_update};
use serde_json::{Value, json};

use crate::error::{Cause, Error, Result};
use crate::state::{State, StateDirectory, StateRoot, Status};

/// Changes the limits of a container. What `resources` leaves out stays as it is; `devices`, where they are given, take the
/// place of all rules that the container had.
///
/// # Errors
/// The container does not run, or a limit cannot be what is asked for; then none is changed, or the error says which.
pub fn update(root: &StateRoot, id: &str, resources: &Resources) -> Result<()> {
    let (directory, state) = alive(root, id)?;
    let paths = &state.cgroup_paths;
    let present = Present::read(resources, paths)?;
    let mut wanted = resources.clone();
    if present.cpu_idle {
        give_shares_back(&mut wanted, &directory)?;
    }
    let limits = writes_for_update(&wanted, &Layout::read()?, paths, &present)?;
    for warning in &limits.warnings {
        warn!("/linux/resources{}: {}", warning.origin, warning.reason);
    }
    match &state.systemd_unit {
        Some(unit) => systemd::update(unit, paths, &limits)?,
        None => oci_runtime_cgroups::update(&limits)?,
    }
    keep(&directory, resources)
}

/// Writes lines of schemata (`L3:0=f`, `MB:0=20;1=70`) to the container's class in resctrl, all of them or none. A class that
/// has a name of its own is shared with whoever else is in it.
///
/// # Errors
/// The container does not run or was made without `linux.intelRdt`, or the kernel refuses the lines.
pub fn update_schemata(root: &StateRoot, id: &str, lines: &[String]) -> Result<()> {
    let (_directory, state) = alive(root, id)?;
    match &state.resctrl {
        Some(class) => class.share_out(lines),
        None => Err(Cause::Unsupported(
            "the container has no class in resctrl: it was made without linux.intelRdt",
        )
        .into()),
    }
}

/// The container, locked, if there is something in it to limit.
fn alive(root: &StateRoot, id: &str) -> Result<(StateDirectory, State)> {
    let (directory, state) = root.locked(id)?;
    match state.status(&directory)? {
        Status::Created | Status::Running | Status::Paused => Ok((directory, state)),
        status @ (Status::Stopped | Status::Creating) => Err(Cause::NotRunning {
            id: id.to_owned(),
            status: status.as_str(),
        }
        .into()),
    }
}

/// A cgroup that is idle no longer gets the default weight from the kernel, whatever it had before. What the configuration asks
/// for, or an earlier change did, holds again.
fn give_shares_back(resources: &mut Resources, directory: &StateDirectory) -> Result<()> {
    if let Some(cpu) = &mut resources.cpu
        && cpu.idle == Some(0)
        && cpu.shares.unwrap_or(0) == 0
    {
        let kept = kept(directory)?;
        cpu.shares = kept
            .pointer("/linux/resources/cpu/shares")
            .and_then(Value::as_u64);
    }
    Ok(())
}

/// Records the new limits in the kept configuration, for the commands that read it later.
fn keep(directory: &StateDirectory, resources: &Resources) -> Result<()> {
    let mut config = kept(directory)?;
    let resources = serde_json::to_value(resources).map_err(damaged(directory))?;
    merge(&mut config, &json!({"linux": {"resources": resources}}), "");
    directory.replace_config(&serde_json::to_vec(&config).map_err(damaged(directory))?)
}

fn kept(directory: &StateDirectory) -> Result<Value> {
    serde_json::from_slice(&directory.load_config()?).map_err(damaged(directory))
}

fn damaged(directory: &StateDirectory) -> impl Fn(serde_json::Error) -> Error {
    |error| {
        Cause::Damaged {
            path: directory.config_path(),
            reason: error.to_string(),
        }
        .into()
    }
}

/// Members for which 0 or an empty text means that nothing is asked for.
const NONE_IF_ZERO: [&str; 15] = [
    "/linux/resources/blockIO/leafWeight",
    "/linux/resources/blockIO/weight",
    "/linux/resources/cpu/cpus",
    "/linux/resources/cpu/mems",
    "/linux/resources/cpu/period",
    "/linux/resources/cpu/quota",
    "/linux/resources/cpu/realtimePeriod",
    "/linux/resources/cpu/realtimeRuntime",
    "/linux/resources/cpu/shares",
    "/linux/resources/memory/kernel",
    "/linux/resources/memory/kernelTCP",
    "/linux/resources/memory/limit",
    "/linux/resources/memory/reservation",
    "/linux/resources/memory/swap",
    "/linux/resources/network/classID",
];

/// Puts what `change` has into `kept`, at the place `pointer`.
fn merge(kept: &mut Value, change: &Value, pointer: &str) {
    match (kept, change) {
        (_, Value::Null) => {}
        (_, change) if NONE_IF_ZERO.contains(&pointer) && (*change == json!(0) || change == "") => {
        }
        (Value::Object(kept), Value::Object(change)) => {
            for (name, value) in change {
                let slot = kept.entry(name).or_insert(Value::Null);
                merge(slot, value, &format!("{pointer}/{name}"));
                if slot.is_null() {
                    kept.remove(name);
                }
            }
        }
        (kept @ Value::Null, Value::Object(_)) => {
            *kept = json!({});
            merge(kept, change, pointer);
        }
        (Value::Array(kept), Value::Array(change)) if pointer != "/linux/resources/devices" => {
            for entry in change {
                match kept.iter_mut().find(|other| is_same(other, entry)) {
                    Some(other) => *other = entry.clone(),
                    None => kept.push(entry.clone()),
                }
            }
        }
        (kept, change) => *kept = change.clone(),
    }
}

/// Whether two entries of a list are about the same device, page size or interface.
fn is_same(one: &Value, other: &Value) -> bool {
    ["major", "minor", "pageSize", "name"]
        .iter()
        .all(|key| one.get(key) == other.get(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept_after(kept: Value, change: Value) -> Value {
        let resources: Resources = serde_json::from_value(change).expect("resources");
        let change = serde_json::to_value(&resources).expect("JSON");
        let mut config = json!({"x": 1, "linux": {"resources": kept}});
        merge(&mut config, &json!({"linux": {"resources": change}}), "");
        assert_eq!(config["x"], 1);
        config["linux"]["resources"].clone()
    }

    #[test]
    fn the_kept_configuration_gets_what_is_given_and_keeps_the_rest() {
        let device = |minor, rate| json!({"major": 8, "minor": minor, "rate": rate});
        let list = |list: &[Value]| json!({"blockIO": {"throttleReadBpsDevice": list}});
        let rule =
            |minor| json!({"allow": true, "type": "c", "major": 1, "minor": minor, "access": "r"});
        for (kept, change, expected) in [
            (
                json!({"memory": {"limit": 1}}),
                json!({"pids": {"limit": 0}}),
                json!({"memory": {"limit": 1}, "pids": {"limit": 0}}),
            ),
            (
                json!({"memory": {"limit": 1, "swap": 2}}),
                json!({"memory": {"limit": 0, "swap": 5}}),
                json!({"memory": {"limit": 1, "swap": 5}}),
            ),
            (
                json!({"cpu": {"cpus": "0"}}),
                json!({"cpu": {"cpus": "", "idle": 0}}),
                json!({"cpu": {"cpus": "0", "idle": 0}}),
            ),
            (
                list(&[device(0, 1), device(16, 2)]),
                list(&[device(16, 9), device(32, 3)]),
                list(&[device(0, 1), device(16, 9), device(32, 3)]),
            ),
            (
                json!({"devices": [rule(3), rule(5)]}),
                json!({"devices": [rule(7)]}),
                json!({"devices": [rule(7)]}),
            ),
            (
                json!({"unified": {"a.b": "1"}}),
                json!({"unified": {"c.d": "2"}}),
                json!({"unified": {"a.b": "1", "c.d": "2"}}),
            ),
            (
                Value::Null,
                json!({"cpu": {"shares": 7}}),
                json!({"cpu": {"shares": 7}}),
            ),
        ] {
            assert_eq!(kept_after(kept, change), expected);
        }
    }
}
