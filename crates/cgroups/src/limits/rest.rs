//! `pids`, `hugepageLimits`, `network`, `rdma` and `unified`.

use super::lowering::{Home, Lowering};
use super::write::OnRefusal;
use crate::error::{Error, Result};
use crate::layout::Mode;
use crate::resources::{HugepageLimit, Network, Pids, Rdma};
use std::collections::BTreeMap;

pub(super) fn pids(lowering: &mut Lowering<'_>, pids: &Pids) -> Result<()> {
    let Some(limit) = pids.limit else {
        return Ok(());
    };
    let value = match limit {
        ..0 => "max".to_owned(),
        // One task is there anyhow; with 0 not even the kernel could tell the difference.
        0 => "1".to_owned(),
        limit => limit.to_string(),
    };
    let (Home::V1(dir) | Home::V2(dir)) = lowering.home("pids", "pids", "/pids/limit")?;
    lowering.push(dir, "pids.max", value, "/pids/limit");
    Ok(())
}

pub(super) fn hugepages(lowering: &mut Lowering<'_>, limits: &[HugepageLimit]) -> Result<()> {
    for (index, limit) in limits.iter().enumerate() {
        let pointer = format!("/hugepageLimits/{index}");
        let size = limit.page_size.as_str();
        if !is_page_size(size) {
            let reason = "a page size is a number followed by KB, MB or GB";
            return Err(Error::invalid(pointer + "/pageSize", size, reason));
        }
        let (dir, suffix) = match lowering.home("hugetlb", "hugetlb", pointer.clone())? {
            Home::V1(dir) => (dir, "limit_in_bytes"),
            Home::V2(dir) => (dir, "max"),
        };
        let file = format!("hugetlb.{size}.{suffix}");
        lowering.push(dir, &file, limit.limit, pointer.clone());
        // Reserved pages are accounted apart since Linux 5.7, so that mmap fails in place of a SIGBUS later.
        let file = format!("hugetlb.{size}.rsvd.{suffix}");
        lowering.push_or(dir, &file, limit.limit, pointer, OnRefusal::SkipIfMissing);
    }
    Ok(())
}

/// The size becomes part of a file name, so nothing but the kernel's own form is let through.
fn is_page_size(size: &str) -> bool {
    let digits = size.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = &size[digits.len()..];
    let is_number = !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    !digits.is_empty() && is_number && matches!(unit, "KB" | "MB" | "GB")
}

pub(super) fn network(lowering: &mut Lowering<'_>, network: &Network) -> Result<()> {
    let priorities = network.priorities.as_deref().unwrap_or_default();
    if lowering.mode() == Mode::V2 {
        let reason = "v2 has no classes or priorities of network traffic";
        if network.class_id.is_some_and(|id| id != 0) {
            lowering.warn("/network/classID", reason);
        }
        if !priorities.is_empty() {
            lowering.warn("/network/priorities", reason);
        }
        return Ok(());
    }
    if let Some(class_id) = network.class_id.filter(|id| *id != 0) {
        let pointer = "/network/classID";
        let (Home::V1(dir) | Home::V2(dir)) = lowering.home("net_cls", "net_cls", pointer)?;
        lowering.push(dir, "net_cls.classid", class_id, pointer);
    }
    for (index, entry) in priorities.iter().enumerate() {
        let pointer = format!("/network/priorities/{index}");
        if !is_word(&entry.name) {
            let reason = "this is no name of a network interface";
            return Err(Error::invalid(pointer + "/name", &entry.name, reason));
        }
        let home = lowering.home("net_prio", "net_prio", pointer.clone())?;
        let (Home::V1(dir) | Home::V2(dir)) = home;
        let value = format!("{} {}", entry.name, entry.priority);
        lowering.push(dir, "net_prio.ifpriomap", value, pointer);
    }
    Ok(())
}

pub(super) fn rdma(lowering: &mut Lowering<'_>, limits: &BTreeMap<String, Rdma>) -> Result<()> {
    for (device, limit) in limits {
        let pointer = format!("/rdma/{}", device.replace('~', "~0").replace('/', "~1"));
        if !is_word(device) {
            let reason = "this is no name of an RDMA device";
            return Err(Error::invalid(pointer, device, reason));
        }
        let mut value = device.clone();
        for (key, number) in [
            ("hca_handle", limit.hca_handles),
            ("hca_object", limit.hca_objects),
        ] {
            if let Some(number) = number {
                value += &format!(" {key}={number}");
            }
        }
        if value.len() == device.len() {
            let reason = "neither hcaHandles nor hcaObjects is given";
            return Err(Error::invalid(pointer, device, reason));
        }
        let (Home::V1(dir) | Home::V2(dir)) = lowering.home("rdma", "rdma", pointer.clone())?;
        lowering.push(dir, "rdma.max", value, pointer);
    }
    Ok(())
}

fn is_word(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic())
}

/// Files of the v2 core that move or kill processes or shape the tree: no limits, and never the configuration's.
const NO_LIMITS: [&str; 6] = [
    "cgroup.freeze",
    "cgroup.kill",
    "cgroup.procs",
    "cgroup.subtree_control",
    "cgroup.threads",
    "cgroup.type",
];

pub(super) fn unified(
    lowering: &mut Lowering<'_>,
    settings: &BTreeMap<String, String>,
) -> Result<()> {
    if settings.is_empty() {
        return Ok(());
    }
    let dir = match lowering.unified_dir() {
        Some(dir) if lowering.mode() == Mode::V2 => dir,
        _ => {
            let reason = "only a host with nothing but v2 takes unified settings";
            return Err(Error::unsupported("/unified", reason));
        }
    };
    for (file, value) in settings {
        let pointer = format!("/unified/{}", file.replace('~', "~0").replace('/', "~1"));
        if !is_unified_key(file) || NO_LIMITS.contains(&file.as_str()) {
            let reason = "this is no file of a v2 controller's settings";
            return Err(Error::invalid(pointer, format!("{file:?}"), reason));
        }
        lowering.push(dir, file, value, pointer);
    }
    Ok(())
}

/// `^[a-z0-9_]+\.[A-Za-z0-9_.]+$`
fn is_unified_key(key: &str) -> bool {
    let Some((controller, setting)) = key.split_once('.') else {
        return false;
    };
    let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let any = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
    !controller.is_empty()
        && controller.bytes().all(lower)
        && !setting.is_empty()
        && setting.bytes().all(any)
}
