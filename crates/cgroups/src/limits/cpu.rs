//! `cpu`: weight, bandwidth, idle policy, real time, and placement (the controller cpuset).

use super::lowering::{Home, Lowering, set};
use super::write::OnRefusal;
use crate::error::{Error, Result};
use crate::resources::Cpu;
use std::path::Path;

/// The period that the kernel has by default, in microseconds.
const DEFAULT_PERIOD: u64 = 100_000;

pub(super) fn lower(lowering: &mut Lowering<'_>, cpu: &Cpu) -> Result<()> {
    let cpu = &checked(cpu)?;
    if let Some(origin) = first_setting(cpu) {
        match lowering.home("cpu", "cpu", origin)? {
            Home::V1(dir) => v1(lowering, dir, cpu)?,
            Home::V2(dir) => v2(lowering, dir, cpu)?,
        }
    }
    // v2 has no real-time bandwidth by cgroup; its tasks stay under the global one.
    placement(lowering, cpu)
}

/// The weight of v2, 1 to 10000, for the shares of v1, 2 to 262144.
///
/// A curve through (2, 1), (1024, 100) and (262144, 10000), quadratic in the logarithm, so that the defaults of the two
/// generations correspond. Shares outside of their range count as its ends.
pub fn weight_from_shares(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            (10f64.powf(exponent).ceil() as u64).clamp(1, 10_000)
        }
    }
}

/// The settings with zeros and empty lists dropped, or what is wrong with them.
fn checked(cpu: &Cpu) -> Result<Cpu> {
    let cpu = Cpu {
        shares: set(cpu.shares),
        quota: set(cpu.quota),
        burst: cpu.burst,
        period: set(cpu.period),
        realtime_runtime: set(cpu.realtime_runtime),
        realtime_period: set(cpu.realtime_period),
        cpus: cpu.cpus.clone().filter(|list| !list.is_empty()),
        mems: cpu.mems.clone().filter(|list| !list.is_empty()),
        idle: cpu.idle,
    };
    if let Some(idle) = cpu.idle.filter(|i| !matches!(i, 0 | 1)) {
        return Err(Error::invalid("/cpu/idle", idle, "idle is 0 or 1"));
    }
    Ok(cpu)
}

/// The pointer of one setting that needs the controller cpu.
fn first_setting(cpu: &Cpu) -> Option<&'static str> {
    [
        (cpu.shares.is_some(), "/cpu/shares"),
        (cpu.quota.is_some(), "/cpu/quota"),
        (cpu.burst.is_some(), "/cpu/burst"),
        (cpu.period.is_some(), "/cpu/period"),
        (cpu.idle.is_some(), "/cpu/idle"),
        (cpu.realtime_runtime.is_some(), "/cpu/realtimeRuntime"),
        (cpu.realtime_period.is_some(), "/cpu/realtimePeriod"),
    ]
    .into_iter()
    .find_map(|(is_set, pointer)| is_set.then_some(pointer))
}

/// The shares to set, unless the idle policy makes the kernel refuse any.
fn effective_shares(lowering: &mut Lowering<'_>, cpu: &Cpu) -> Option<u64> {
    if cpu.shares.is_some() && cpu.idle == Some(1) {
        lowering.warn("/cpu/shares", "an idle cgroup has a fixed weight");
        return None;
    }
    cpu.shares
}

fn v1(lowering: &mut Lowering<'_>, dir: &Path, cpu: &Cpu) -> Result<()> {
    if let Some(idle) = cpu.idle {
        lowering.push(dir, "cpu.idle", idle, "/cpu/idle");
    }
    if let Some(shares) = effective_shares(lowering, cpu) {
        // The kernel would clamp it without a word.
        if !(2..=262_144).contains(&shares) {
            let reason = "shares are 2 to 262144";
            return Err(Error::invalid("/cpu/shares", shares, reason));
        }
        lowering.push(dir, "cpu.shares", shares, "/cpu/shares");
    }
    // Period and burst are judged together with the quota of the moment, which may be the old one.
    let before_quota = || match cpu.quota {
        Some(_) => OnRefusal::RetryLast,
        None => OnRefusal::Fail,
    };
    if let Some(period) = cpu.period {
        let file = "cpu.cfs_period_us";
        lowering.push_or(dir, file, period, "/cpu/period", before_quota());
    }
    if let Some(burst) = cpu.burst {
        let file = "cpu.cfs_burst_us";
        lowering.push_or(dir, file, burst, "/cpu/burst", before_quota());
    }
    if let Some(quota) = cpu.quota {
        lowering.push(dir, "cpu.cfs_quota_us", quota.max(-1), "/cpu/quota");
    }
    if let Some(period) = cpu.realtime_period {
        let (file, pointer) = ("cpu.rt_period_us", "/cpu/realtimePeriod");
        let order = match cpu.realtime_runtime {
            Some(_) => OnRefusal::RetryLast,
            None => OnRefusal::Fail,
        };
        lowering.push_or(dir, file, period, pointer, order);
    }
    if let Some(runtime) = cpu.realtime_runtime {
        lowering.push(dir, "cpu.rt_runtime_us", runtime, "/cpu/realtimeRuntime");
    }
    Ok(())
}

fn v2(lowering: &mut Lowering<'_>, dir: &Path, cpu: &Cpu) -> Result<()> {
    if let Some(idle) = cpu.idle {
        lowering.push(dir, "cpu.idle", idle, "/cpu/idle");
    }
    if let Some(shares) = effective_shares(lowering, cpu) {
        let weight = weight_from_shares(shares);
        lowering.push(dir, "cpu.weight", weight, "/cpu/shares");
    }
    if let Some(burst) = cpu.burst {
        let order = match cpu.quota {
            Some(_) => OnRefusal::RetryLast,
            None => OnRefusal::Fail,
        };
        lowering.push_or(dir, "cpu.max.burst", burst, "/cpu/burst", order);
    }
    if cpu.quota.is_some() || cpu.period.is_some() {
        let present = lowering.present.and_then(|present| present.cpu_quota);
        let quota = match cpu.quota.or(present) {
            Some(quota) if quota > 0 => quota.to_string(),
            _ => "max".to_owned(),
        };
        let value = match (cpu.period, lowering.present) {
            (Some(period), _) => format!("{quota} {period}"),
            // One word alone leaves the period as it is.
            (None, Some(_)) => quota,
            (None, None) => format!("{quota} {DEFAULT_PERIOD}"),
        };
        let pointer = match cpu.quota {
            Some(_) => "/cpu/quota",
            None => "/cpu/period",
        };
        lowering.push(dir, "cpu.max", value, pointer);
    }
    let reason = "v2 has no real-time bandwidth of a cgroup";
    if cpu.realtime_runtime.is_some() {
        lowering.warn("/cpu/realtimeRuntime", reason);
    }
    if cpu.realtime_period.is_some() {
        lowering.warn("/cpu/realtimePeriod", reason);
    }
    Ok(())
}

/// The files have the same names in both generations.
fn placement(lowering: &mut Lowering<'_>, cpu: &Cpu) -> Result<()> {
    for (list, file, pointer) in [
        (&cpu.cpus, "cpuset.cpus", "/cpu/cpus"),
        (&cpu.mems, "cpuset.mems", "/cpu/mems"),
    ] {
        let Some(list) = list else { continue };
        if !list
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b',' | b'-' | b':' | b'/' | b' '))
        {
            return Err(Error::invalid(pointer, list, "this is no list of numbers"));
        }
        let (Home::V1(dir) | Home::V2(dir)) = lowering.home("cpuset", "cpuset", pointer)?;
        lowering.push(dir, file, list, pointer);
    }
    Ok(())
}
