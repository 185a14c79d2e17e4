//! From the texts of the kernel to numbers. `None` is a text that no kernel writes.

use super::schema::{BlkioEntry, Psi, PsiData};
use std::collections::BTreeMap;

/// One number; `max` is the greatest one.
pub(super) fn number(text: &str) -> Option<u64> {
    match text.trim_end() {
        "max" => Some(u64::MAX),
        digits => digits.parse().ok(),
    }
}

/// One number that may be negative.
pub(super) fn signed(text: &str) -> Option<i64> {
    text.trim_end().parse().ok()
}

/// Numbers in one line.
pub(super) fn numbers(text: &str) -> Option<Vec<u64>> {
    text.split_whitespace()
        .map(|word| word.parse().ok())
        .collect()
}

/// Lines of a name and a number.
pub(super) fn pairs(text: &str) -> Option<BTreeMap<String, u64>> {
    text.lines()
        .map(|line| {
            let (name, value) = line.split_once(' ')?;
            Some((name.to_owned(), number(value)?))
        })
        .collect()
}

/// A list of CPUs or memory nodes: `0-3,7`.
pub(super) fn list(text: &str) -> Option<Vec<u16>> {
    let mut all = Vec::new();
    for part in text.trim_end().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        if last < first {
            return None;
        }
        all.extend(first..=last);
    }
    Some(all)
}

/// `cpuacct.usage_all`: a heading `cpu user system`, then a line for each CPU. Answers user times and system times.
pub(super) fn usage_all(text: &str) -> Option<(Vec<u64>, Vec<u64>)> {
    let mut lines = text.lines();
    if lines.next()?.split(' ').ne(["cpu", "user", "system"]) {
        return None;
    }
    let (mut user, mut system) = (Vec::new(), Vec::new());
    for line in lines {
        let row = numbers(line)?;
        user.push(*row.get(1)?);
        system.push(*row.get(2)?);
    }
    Some((user, system))
}

/// A file of blkio, v1: `8:0 Read 4096`, or without an operation `8:0 4096`; the sums at the end are left out.
pub(super) fn blkio(text: &str) -> Option<Vec<BlkioEntry>> {
    text.lines()
        .filter(|line| !line.starts_with("Total"))
        .map(|line| {
            let (device, rest) = line.split_once(' ')?;
            let (op, value) = rest.rsplit_once(' ').unwrap_or(("", rest));
            let (major, minor) = device_number(device)?;
            Some(BlkioEntry {
                major,
                minor,
                op: op.to_owned(),
                value: value.parse().ok()?,
            })
        })
        .collect()
}

/// What `io.stat` has that v1 has too: its key, whether it counts bytes, the operation.
const IO_STAT: [(&str, bool, &str); 4] = [
    ("rbytes", true, "Read"),
    ("wbytes", true, "Write"),
    ("rios", false, "Read"),
    ("wios", false, "Write"),
];

/// `io.stat`, v2: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`. Answers bytes and operations. A device without
/// numbers has a line of its own and nothing behind it.
pub(super) fn io_stat(text: &str) -> Option<(Vec<BlkioEntry>, Vec<BlkioEntry>)> {
    let (mut bytes, mut operations) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some((major, minor)) = device_number(words.next()?) else {
            continue;
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let Some((_, counts_bytes, op)) = IO_STAT.iter().find(|(name, ..)| *name == key) else {
                continue;
            };
            let list = match counts_bytes {
                true => &mut bytes,
                false => &mut operations,
            };
            list.push(BlkioEntry {
                major,
                minor,
                op: (*op).to_owned(),
                value: value.parse().ok()?,
            });
        }
    }
    Some((bytes, operations))
}

fn device_number(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A `*.pressure` file: `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and a line `full`, which the CPU's has only since
/// Linux 5.13.
pub(super) fn psi(text: &str) -> Option<Psi> {
    let mut psi = Psi::default();
    for line in text.lines() {
        let (kind, rest) = line.split_once(' ')?;
        let data = match kind {
            "some" => &mut psi.some,
            "full" => &mut psi.full,
            _ => continue,
        };
        *data = psi_data(rest)?;
    }
    Some(psi)
}

fn psi_data(text: &str) -> Option<PsiData> {
    let mut data = PsiData::default();
    for (key, value) in text.split(' ').filter_map(|word| word.split_once('=')) {
        match key {
            "avg10" => data.avg10 = value.parse().ok()?,
            "avg60" => data.avg60 = value.parse().ok()?,
            "avg300" => data.avg300 = value.parse().ok()?,
            "total" => data.total = value.parse().ok()?,
            _ => {}
        }
    }
    Some(data)
}
