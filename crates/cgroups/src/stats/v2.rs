//! The files of v2. See cgroup-v2.rst of the kernel.

use super::parse::{io_stat, number, pairs, psi};
use super::read::{optional, page_sizes, parsed};
use super::schema::{CpuStats, HugetlbStats, MemoryEntry, MemoryStats, PidsStats, Stats};
use super::v1::limit_or_zero;
use crate::error::Result;
use crate::paths::Paths;
use std::collections::BTreeMap;
use std::path::Path;

/// Fills in what no v1 hierarchy holds. Pressure is told by v2 alone, on hybrid hosts too.
pub(super) fn read(stats: &mut Stats, paths: &Paths, dir: &Path) -> Result<()> {
    let v1_has = |controller| paths.dir(controller).is_some();
    if !v1_has("cpu") && !v1_has("cpuacct") {
        cpu(&mut stats.cpu, dir)?;
    }
    if !v1_has("memory") {
        stats.memory = memory(dir)?;
    }
    if !v1_has("pids") {
        stats.pids = PidsStats {
            current: parsed(dir, "pids.current", number)?,
            limit: parsed(dir, "pids.max", limit_or_zero)?,
        };
    }
    if !v1_has("blkio") {
        let (bytes, operations) = parsed(dir, "io.stat", io_stat)?;
        stats.blkio.io_service_bytes_recursive = bytes;
        stats.blkio.io_serviced_recursive = operations;
    }
    if !v1_has("hugetlb") {
        stats.hugetlb = hugetlb(dir)?;
    }
    let pressure = |file| parsed(dir, file, |text| psi(text).map(Some));
    stats.cpu.psi = pressure("cpu.pressure")?;
    stats.memory.psi = pressure("memory.pressure")?;
    stats.blkio.psi = pressure("io.pressure")?;
    Ok(())
}

fn cpu(cpu: &mut CpuStats, dir: &Path) -> Result<()> {
    let numbers = parsed(dir, "cpu.stat", pairs)?;
    let number = |name: &str| numbers.get(name).copied().unwrap_or(0);
    let nanoseconds = |name: &str| number(name).saturating_mul(1000);
    cpu.usage.total = nanoseconds("usage_usec");
    cpu.usage.user = nanoseconds("user_usec");
    cpu.usage.kernel = nanoseconds("system_usec");
    cpu.throttling.periods = number("nr_periods");
    cpu.throttling.throttled_periods = number("nr_throttled");
    cpu.throttling.throttled_time = nanoseconds("throttled_usec");
    Ok(())
}

fn memory(dir: &Path) -> Result<MemoryStats> {
    let raw: BTreeMap<String, u64> = parsed(dir, "memory.stat", pairs)?;
    let usage = memory_entry(dir, "memory")?;
    let swap = memory_entry(dir, "memory.swap")?;
    Ok(MemoryStats {
        cache: raw.get("file").copied().unwrap_or(0),
        usage,
        swap: with_swap(usage, swap),
        raw,
        ..MemoryStats::default()
    })
}

fn memory_entry(dir: &Path, prefix: &str) -> Result<MemoryEntry> {
    let value = |name: &str| parsed(dir, &format!("{prefix}.{name}"), number);
    Ok(MemoryEntry {
        limit: value("max")?,
        usage: value("current")?,
        max: value("peak")?,
        failcnt: 0,
    })
}

/// Memory and swap together. The peaks of the two were not at the same time, so there is none of both.
pub(super) fn with_swap(memory: MemoryEntry, swap: MemoryEntry) -> MemoryEntry {
    MemoryEntry {
        limit: memory.limit.saturating_add(swap.limit),
        usage: memory.usage.saturating_add(swap.usage),
        max: 0,
        failcnt: 0,
    }
}

fn hugetlb(dir: &Path) -> Result<BTreeMap<String, HugetlbStats>> {
    let mut all = BTreeMap::new();
    for size in page_sizes(dir, ".current")? {
        let reserved = format!("hugetlb.{size}.rsvd.current");
        let current = match optional(dir, &reserved)? {
            Some(_) => reserved,
            None => format!("hugetlb.{size}.current"),
        };
        let events = parsed(dir, &format!("hugetlb.{size}.events"), pairs)?;
        let stats = HugetlbStats {
            usage: parsed(dir, &current, number)?,
            max: 0,
            failcnt: events.get("max").copied().unwrap_or(0),
        };
        all.insert(size, stats);
    }
    Ok(all)
}
