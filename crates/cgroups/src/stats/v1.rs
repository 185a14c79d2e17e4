//! The files of v1. See the folder cgroup-v1 of the kernel's admin guide.

use super::parse::{blkio, list, number, numbers, pairs, signed, usage_all};
use super::read::{optional, page_sizes, parsed};
use super::schema::{
    BlkioEntry, BlkioStats, CpuStats, CpusetStats, HugetlbStats, MemoryEntry, MemoryStats,
    PidsStats, Stats,
};
use crate::error::Result;
use crate::paths::Paths;
use std::collections::BTreeMap;
use std::path::Path;

/// Fills in what v1 hierarchies hold.
pub(super) fn read(stats: &mut Stats, paths: &Paths) -> Result<()> {
    if let Some(dir) = paths.dir("cpuacct") {
        cpu_usage(&mut stats.cpu, dir)?;
    }
    if let Some(dir) = paths.dir("cpu") {
        throttling(&mut stats.cpu, dir)?;
    }
    if let Some(dir) = paths.dir("cpuset") {
        stats.cpuset = cpuset(dir)?;
    }
    if let Some(dir) = paths.dir("memory") {
        stats.memory = memory(dir)?;
    }
    if let Some(dir) = paths.dir("pids") {
        stats.pids = pids(dir)?;
    }
    if let Some(dir) = paths.dir("blkio") {
        block_io(&mut stats.blkio, dir)?;
    }
    if let Some(dir) = paths.dir("hugetlb") {
        stats.hugetlb = hugetlb(dir)?;
    }
    Ok(())
}

/// The kernel gives times in units of 1/100 s, whatever its own clock is (USER_HZ).
const TICK: u64 = 10_000_000;

fn cpu_usage(cpu: &mut CpuStats, dir: &Path) -> Result<()> {
    let usage = &mut cpu.usage;
    usage.total = parsed(dir, "cpuacct.usage", number)?;
    usage.percpu = parsed(dir, "cpuacct.usage_percpu", numbers)?;
    (usage.percpu_user, usage.percpu_kernel) = parsed(dir, "cpuacct.usage_all", usage_all)?;
    let ticks = parsed(dir, "cpuacct.stat", pairs)?;
    let time = |name: &str| {
        ticks
            .get(name)
            .map_or(0, |count| count.saturating_mul(TICK))
    };
    (usage.user, usage.kernel) = (time("user"), time("system"));
    Ok(())
}

fn throttling(cpu: &mut CpuStats, dir: &Path) -> Result<()> {
    let numbers = parsed(dir, "cpu.stat", pairs)?;
    let number = |name: &str| numbers.get(name).copied().unwrap_or(0);
    cpu.throttling.periods = number("nr_periods");
    cpu.throttling.throttled_periods = number("nr_throttled");
    cpu.throttling.throttled_time = number("throttled_time");
    Ok(())
}

fn cpuset(dir: &Path) -> Result<CpusetStats> {
    let flag = |name: &str| parsed(dir, &format!("cpuset.{name}"), number);
    Ok(CpusetStats {
        cpus: parsed(dir, "cpuset.cpus", list)?,
        cpu_exclusive: flag("cpu_exclusive")?,
        mems: parsed(dir, "cpuset.mems", list)?,
        mem_hardwall: flag("mem_hardwall")?,
        mem_exclusive: flag("mem_exclusive")?,
        memory_migrate: flag("memory_migrate")?,
        memory_spread_page: flag("memory_spread_page")?,
        memory_spread_slab: flag("memory_spread_slab")?,
        memory_pressure: flag("memory_pressure")?,
        sched_load_balance: flag("sched_load_balance")?,
        sched_relax_domain_level: parsed(dir, "cpuset.sched_relax_domain_level", signed)?,
    })
}

fn memory(dir: &Path) -> Result<MemoryStats> {
    let raw: BTreeMap<String, u64> = parsed(dir, "memory.stat", pairs)?;
    Ok(MemoryStats {
        cache: raw.get("cache").copied().unwrap_or(0),
        usage: memory_entry(dir, "memory")?,
        swap: memory_entry(dir, "memory.memsw")?,
        kernel: memory_entry(dir, "memory.kmem")?,
        kernel_tcp: memory_entry(dir, "memory.kmem.tcp")?,
        raw,
        psi: None,
    })
}

fn memory_entry(dir: &Path, prefix: &str) -> Result<MemoryEntry> {
    let value = |name: &str| parsed(dir, &format!("{prefix}.{name}"), number);
    Ok(MemoryEntry {
        limit: value("limit_in_bytes")?,
        usage: value("usage_in_bytes")?,
        max: value("max_usage_in_bytes")?,
        failcnt: value("failcnt")?,
    })
}

fn pids(dir: &Path) -> Result<PidsStats> {
    Ok(PidsStats {
        current: parsed(dir, "pids.current", number)?,
        limit: parsed(dir, "pids.max", limit_or_zero)?,
    })
}

/// Without a limit, 0.
pub(super) fn limit_or_zero(text: &str) -> Option<u64> {
    number(text).map(|limit| if limit == u64::MAX { 0 } else { limit })
}

/// Files and where their numbers go.
type Table = [(&'static str, fn(&mut BlkioStats) -> &mut Vec<BlkioEntry>)];

/// Those of the scheduler BFQ; most of them only in kernels that are built to debug it.
const BFQ: &Table = &[
    ("blkio.bfq.io_service_bytes_recursive", |b| {
        &mut b.io_service_bytes_recursive
    }),
    ("blkio.bfq.io_serviced_recursive", |b| {
        &mut b.io_serviced_recursive
    }),
    ("blkio.bfq.io_queued_recursive", |b| {
        &mut b.io_queue_recursive
    }),
    ("blkio.bfq.io_service_time_recursive", |b| {
        &mut b.io_service_time_recursive
    }),
    ("blkio.bfq.io_wait_time_recursive", |b| {
        &mut b.io_wait_time_recursive
    }),
    ("blkio.bfq.io_merged_recursive", |b| {
        &mut b.io_merged_recursive
    }),
    ("blkio.bfq.time_recursive", |b| &mut b.io_time_recursive),
    ("blkio.bfq.sectors_recursive", |b| &mut b.sectors_recursive),
];

/// Those of the throttling layer, for devices that BFQ does not schedule.
const THROTTLE: &Table = &[
    ("blkio.throttle.io_service_bytes_recursive", |b| {
        &mut b.io_service_bytes_recursive
    }),
    ("blkio.throttle.io_serviced_recursive", |b| {
        &mut b.io_serviced_recursive
    }),
];

fn block_io(stats: &mut BlkioStats, dir: &Path) -> Result<()> {
    for table in [BFQ, THROTTLE] {
        for (file, place) in table {
            *place(stats) = parsed(dir, file, blkio)?;
        }
        if !stats.io_serviced_recursive.is_empty() {
            break;
        }
    }
    Ok(())
}

fn hugetlb(dir: &Path) -> Result<BTreeMap<String, HugetlbStats>> {
    let mut all = BTreeMap::new();
    for size in page_sizes(dir, ".usage_in_bytes")? {
        let reserved = format!("hugetlb.{size}.rsvd");
        let prefix = match optional(dir, &format!("{reserved}.usage_in_bytes"))? {
            Some(_) => reserved,
            None => format!("hugetlb.{size}"),
        };
        let value = |name: &str| parsed(dir, &format!("{prefix}.{name}"), number);
        let stats = HugetlbStats {
            usage: value("usage_in_bytes")?,
            max: value("max_usage_in_bytes")?,
            failcnt: value("failcnt")?,
        };
        all.insert(size, stats);
    }
    Ok(all)
}
