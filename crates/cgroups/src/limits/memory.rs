//! `memory`. On v1 `memory.memsw` limits memory and swap together, on v2 `memory.swap.max` limits swap alone, so v2
//! gets the difference. See cgroup-v1/memory.rst and cgroup-v2.rst of the kernel.

use super::lowering::{Home, Lowering, set};
use super::write::{Check, OnRefusal};
use crate::error::{Error, Result};
use crate::resources::Memory;
use std::path::Path;

pub(super) fn lower(lowering: &mut Lowering<'_>, memory: &Memory) -> Result<()> {
    let memory = &checked(lowering, memory)?;
    warn_about_what_is_gone(lowering, memory);
    let Some(origin) = first_setting(lowering, memory) else {
        return Ok(());
    };
    match lowering.home("memory", "memory", origin)? {
        Home::V1(dir) => v1(lowering, dir, memory),
        Home::V2(dir) => v2(lowering, dir, memory),
    }
}

/// The settings with zeros dropped, or what is wrong with them.
fn checked(lowering: &Lowering<'_>, memory: &Memory) -> Result<Memory> {
    let mut memory = memory.clone();
    for (value, pointer) in [
        (&mut memory.limit, "/memory/limit"),
        (&mut memory.reservation, "/memory/reservation"),
        (&mut memory.swap, "/memory/swap"),
        (&mut memory.kernel_tcp, "/memory/kernelTCP"),
    ] {
        *value = set(*value);
        if let Some(bytes) = value.filter(|v| *v < -1) {
            return Err(Error::invalid(pointer, bytes, "a size is -1 or positive"));
        }
    }
    // v1 takes the limit of both alone where there is a limit of memory already, and judges by itself.
    let judged_by_kernel = lowering.present.is_some() && lowering.v1_dir("memory").is_some();
    if let Some(swap) = memory.swap.filter(|s| *s > 0) {
        match effective_limit(lowering, &memory) {
            None if judged_by_kernel => {}
            None | Some(-1) => {
                let reason = "a limit of memory and swap needs a limit of memory";
                return Err(Error::invalid("/memory/swap", swap, reason));
            }
            Some(limit) if swap < limit => {
                let reason = "memory and swap together cannot be less than /memory/limit";
                return Err(Error::invalid("/memory/swap", swap, reason));
            }
            Some(_) => {}
        }
    }
    // Without this, lifting the memory limit would leave the limit of both in force.
    if memory.limit == Some(-1) && memory.swap.is_none() {
        memory.swap = Some(-1);
    }
    if let Some(value) = memory.swappiness.filter(|s| *s > 100) {
        let reason = "swappiness is 0 to 100";
        return Err(Error::invalid("/memory/swappiness", value, reason));
    }
    Ok(memory)
}

/// The limit of memory: the one asked for, else the one that a running cgroup has.
fn effective_limit(lowering: &Lowering<'_>, memory: &Memory) -> Option<i64> {
    let present = || lowering.present.and_then(|present| present.memory_max);
    memory.limit.or_else(present)
}

/// The pointer of one setting that needs the controller.
fn first_setting(lowering: &Lowering<'_>, memory: &Memory) -> Option<&'static str> {
    [
        (memory.limit.is_some(), "/memory/limit"),
        (memory.swap.is_some(), "/memory/swap"),
        (memory.reservation.is_some(), "/memory/reservation"),
        (memory.swappiness.is_some(), "/memory/swappiness"),
        (
            memory.disable_oom_killer == Some(true),
            "/memory/disableOOMKiller",
        ),
        (
            lowering.v1_dir("memory").is_some() && set(memory.kernel_tcp).is_some(),
            "/memory/kernelTCP",
        ),
    ]
    .into_iter()
    .find_map(|(is_set, pointer)| is_set.then_some(pointer))
}

fn warn_about_what_is_gone(lowering: &mut Lowering<'_>, memory: &Memory) {
    if set(memory.kernel).is_some() {
        let reason = "the kernel has no separate limit of kernel memory any more";
        lowering.warn("/memory/kernel", reason);
    }
    if set(memory.kernel_tcp).is_some() && lowering.v1_dir("memory").is_none() {
        lowering.warn(
            "/memory/kernelTCP",
            "v2 has no separate limit of TCP buffers",
        );
    }
    if memory.use_hierarchy == Some(false) {
        lowering.warn("/memory/useHierarchy", "the kernel always accounts below");
    }
}

fn v1(lowering: &mut Lowering<'_>, dir: &Path, memory: &Memory) -> Result<()> {
    check_before(lowering, dir, "memory.usage_in_bytes", memory);
    if let Some(limit) = memory.limit {
        let (file, pointer) = ("memory.limit_in_bytes", "/memory/limit");
        // The limit of both is never below that of memory: which goes first depends on what was there.
        let order = match memory.swap {
            Some(_) => OnRefusal::RetryLast,
            None => OnRefusal::Fail,
        };
        lowering.push_or(dir, file, limit, pointer, order);
    }
    if let Some(swap) = memory.swap {
        let (file, pointer) = ("memory.memsw.limit_in_bytes", "/memory/swap");
        // Without swap accounting there is nothing to lift.
        let missing = match swap {
            -1 => OnRefusal::SkipIfMissing,
            _ => OnRefusal::Fail,
        };
        lowering.push_or(dir, file, swap, pointer, missing);
    }
    if let Some(reservation) = memory.reservation {
        let (file, pointer) = ("memory.soft_limit_in_bytes", "/memory/reservation");
        lowering.push(dir, file, reservation, pointer);
    }
    if let Some(swappiness) = memory.swappiness {
        lowering.push(dir, "memory.swappiness", swappiness, "/memory/swappiness");
    }
    if let Some(bytes) = set(memory.kernel_tcp) {
        let file = "memory.kmem.tcp.limit_in_bytes";
        lowering.push(dir, file, bytes, "/memory/kernelTCP");
    }
    if memory.disable_oom_killer == Some(true) {
        lowering.push(dir, "memory.oom_control", 1, "/memory/disableOOMKiller");
    }
    Ok(())
}

fn v2(lowering: &mut Lowering<'_>, dir: &Path, memory: &Memory) -> Result<()> {
    check_before(lowering, dir, "memory.current", memory);
    if let Some(swap) = memory.swap {
        let alone = match swap {
            -1 => -1,
            both => both - effective_limit(lowering, memory).unwrap_or(0),
        };
        // A kernel without swap has no such file, and then no swap to allow or forbid.
        let missing = match alone {
            -1 | 0 => OnRefusal::SkipIfMissing,
            _ => OnRefusal::Fail,
        };
        let value = bytes_or_max(alone);
        lowering.push_or(dir, "memory.swap.max", value, "/memory/swap", missing);
    }
    if let Some(limit) = memory.limit {
        lowering.push(dir, "memory.max", bytes_or_max(limit), "/memory/limit");
    }
    if let Some(reservation) = memory.reservation {
        let value = bytes_or_max(reservation);
        lowering.push(dir, "memory.low", value, "/memory/reservation");
    }
    if memory.swappiness.is_some() {
        lowering.warn("/memory/swappiness", "v2 has no swappiness of a cgroup");
    }
    if memory.disable_oom_killer == Some(true) {
        let reason = "v2 cannot switch the OOM killer off";
        lowering.warn("/memory/disableOOMKiller", reason);
    }
    Ok(())
}

fn check_before(lowering: &mut Lowering<'_>, dir: &Path, usage: &str, memory: &Memory) {
    if memory.check_before_update != Some(true) {
        return;
    }
    if let Some(at_most) = memory.limit.and_then(|l| u64::try_from(l).ok()) {
        lowering.limits.checks.push(Check {
            file: dir.join(usage),
            at_most,
            origin: "/memory/limit".into(),
        });
    }
}

fn bytes_or_max(bytes: i64) -> String {
    match bytes {
        -1 => "max".to_owned(),
        bytes => bytes.to_string(),
    }
}
