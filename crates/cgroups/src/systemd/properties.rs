//! What systemd is told of a unit: what it is, and the limits that it knows by name.
//!
//! The limits are found by the files that they are written to, so that all the arithmetic is done in one place: whatever is
//! lowered to `memory.max`, or written there by `unified`, is `MemoryMax`.

use super::annotations::put;
use super::devices::allowed;
use super::name::Asked;
use super::unit::Property;
use crate::dbus::Value;
use crate::layout::Mode;
use crate::limits::write::{Limits, OnRefusal};
use crate::paths::Paths;

/// systemd's word for no limit.
const INFINITY: u64 = u64::MAX;

/// Makes the properties for the contents of a file; none where systemd has no word for them.
type Translate = fn(&str) -> Option<Vec<(&'static str, Value)>>;

/// Files of v2, which systemd writes itself: what it was told is not written again.
const V2: &[(&str, Translate)] = &[
    ("memory.max", |text| limit("MemoryMax", text)),
    ("memory.high", |text| limit("MemoryHigh", text)),
    ("memory.low", |text| limit("MemoryLow", text)),
    ("memory.min", |text| limit("MemoryMin", text)),
    ("memory.swap.max", |text| limit("MemorySwapMax", text)),
    ("cpu.weight", |text| number("CPUWeight", text)),
    ("cpu.max", cpu_max),
    ("cpuset.cpus", |text| list("AllowedCPUs", text)),
    ("cpuset.mems", |text| list("AllowedMemoryNodes", text)),
    ("io.weight", io_weight),
    ("pids.max", |text| limit("TasksMax", text)),
];

/// Files of v1. systemd writes some of them only if it uses their hierarchy, so they are written all the same.
const V1: &[(&str, Translate)] = &[
    ("memory.limit_in_bytes", |text| {
        limit("MemoryLimit", if text == "-1" { "max" } else { text })
    }),
    ("cpu.shares", |text| number("CPUShares", text)),
    ("blkio.weight", |text| number("BlockIOWeight", text)),
    ("pids.max", |text| limit("TasksMax", text)),
];

/// Divides limits into those that systemd knows by name, and the rest, which is to be written. `paths` are the unit's.
pub fn divide(limits: &Limits, paths: &Paths) -> (Vec<Property>, Limits) {
    let mut properties = Vec::new();
    let mut rest = limits.clone();
    rest.writes.clear();
    // On hybrid, systemd has all controllers of v2 nowhere.
    let v2 = paths.is_v2_only();
    let table = if v2 { V2 } else { V1 };
    for write in &limits.writes {
        // Where there are two files for a setting systemd has a word for the second, and may not know of the first.
        let (file, value, second) = match &write.on_refusal {
            OnRefusal::Instead { file, value } => (file, value, true),
            _ => (&write.file, &write.value, false),
        };
        let name = file.file_name().unwrap_or_default();
        let row = table.iter().find(|(file, _)| name == *file);
        let known = row.and_then(|(_, translate)| translate(value));
        if known.is_none() || second || !v2 {
            rest.writes.push(write.clone());
        }
        for (name, value) in known.into_iter().flatten() {
            put(&mut properties, name, value);
        }
    }
    properties.extend(allowed(limits));
    (properties, rest)
}

/// What makes the unit, before its limits.
pub fn of_unit(asked: &Asked, id: &str, mode: Mode) -> Vec<Property> {
    let mut properties = Vec::new();
    let mut add = |name, value| put(&mut properties, name, value);
    add("Description", Value::text(format!("OCI container {id}")));
    match asked.unit.is_slice() {
        // Its name says what it is part of; that slice has to be there.
        true if asked.slice.is_empty() => {}
        true => add("Wants", Value::texts([asked.slice.as_str()])),
        false => {
            let slice = match asked.slice.as_str() {
                "" => "-.slice",
                slice => slice,
            };
            add("Slice", Value::text(slice));
            // The cgroup's files and what is below it are ours.
            add("Delegate", Value::Bool(true));
        }
    }
    // No order against the targets of boot and shutdown: whoever manages containers manages their end.
    add("DefaultDependencies", Value::Bool(false));
    // A unit that has failed is not kept.
    add("CollectMode", Value::text("inactive-or-failed"));
    for accounting in ["MemoryAccounting", "CPUAccounting", "TasksAccounting"] {
        add(accounting, Value::Bool(true));
    }
    let io = match mode {
        Mode::V2 => "IOAccounting",
        Mode::V1 | Mode::Hybrid => "BlockIOAccounting",
    };
    add(io, Value::Bool(true));
    properties
}

fn number(name: &'static str, text: &str) -> Option<Vec<(&'static str, Value)>> {
    Some(vec![(name, Value::U64(text.parse().ok()?))])
}

fn limit(name: &'static str, text: &str) -> Option<Vec<(&'static str, Value)>> {
    match text {
        "max" => Some(vec![(name, Value::U64(INFINITY))]),
        _ => number(name, text),
    }
}

/// `QUOTA PERIOD`, or `QUOTA` alone. systemd counts by the second and rounds down when it makes the quota of it, so here it is
/// rounded up: with a period of at most a second, which the kernel asks for, the same quota comes out.
fn cpu_max(text: &str) -> Option<Vec<(&'static str, Value)>> {
    let mut words = text.split(' ');
    let quota = words.next()?;
    let period = words.next().map(str::parse::<u64>).transpose().ok()?;
    let per_second = match quota {
        "max" => INFINITY,
        quota => {
            let quota: u64 = quota.parse().ok()?;
            let period = period.unwrap_or(100_000).max(1);
            quota.checked_mul(1_000_000)?.div_ceil(period)
        }
    };
    let mut properties = vec![("CPUQuotaPerSecUSec", Value::U64(per_second))];
    properties.extend(period.map(|period| ("CPUQuotaPeriodUSec", Value::U64(period))));
    Some(properties)
}

/// Only the weight of all devices: a device would have to be told by a path, and may have none.
fn io_weight(text: &str) -> Option<Vec<(&'static str, Value)>> {
    number("IOWeight", text.strip_prefix("default ").unwrap_or(text))
}

/// A list such as `0-2,7` as a set of bits, the first in the lowest of the first byte.
fn list(name: &'static str, text: &str) -> Option<Vec<(&'static str, Value)>> {
    let mut bits: Vec<u8> = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if last >= 1 << 16 {
            return None;
        }
        for bit in first..=last {
            if bits.len() <= bit / 8 {
                bits.resize(bit / 8 + 1, 0);
            }
            bits[bit / 8] |= 1 << (bit % 8);
        }
    }
    let bytes = bits.into_iter().map(Value::Byte).collect();
    Some(vec![(name, Value::Array("y".to_owned(), bytes))])
}
