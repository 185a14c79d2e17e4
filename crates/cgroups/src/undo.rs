//! Taking back a write: what a cgroup file held before, in the form that it takes.
//!
//! Most files hold one value. Some hold a line for each device and take one such line at a time; a device that has no
//! line is without a limit. The device lists of v1 are opposites of each other.

use crate::files::{is_gone, read_records, write_text};
use std::path::{Path, PathBuf};

/// What to write, and where, so that a file is as it was before `value` was written to it.
pub(crate) struct Former {
    file: PathBuf,
    value: String,
    /// `None` where it cannot be told, or cannot be written.
    back: Option<(PathBuf, String)>,
}

impl Former {
    /// What `file` holds now, before it gets `value`.
    pub(crate) fn of(file: &Path, value: &str) -> Former {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let back = match opposite(&name) {
            Some(_) if value == "a" => None,
            Some(other) => Some((file.with_file_name(other), value.to_owned())),
            None => read_records(file)
                .ok()
                .and_then(|text| former(&name, &text, value))
                .map(|text| (file.to_path_buf(), text)),
        };
        Former {
            file: file.to_path_buf(),
            value: value.to_owned(),
            back,
        }
    }
}

/// Writes back what the files held, the last one first. Answers those that keep their new value.
pub(crate) fn take_back(formers: Vec<Former>) -> Vec<(PathBuf, String)> {
    let mut left: Vec<Former> = formers.into_iter().rev().collect();
    // Two settings of a pair may have to go in the other order than they came: so a second time.
    for _ in 0..2 {
        left.retain(|former| !is_back(former));
    }
    left.into_iter().map(|f| (f.file, f.value)).collect()
}

fn is_back(former: &Former) -> bool {
    match &former.back {
        Some((file, value)) => match write_text(file, value) {
            Ok(()) => true,
            Err(e) => is_gone(&e),
        },
        None => !former.file.exists(),
    }
}

fn opposite(name: &str) -> Option<&'static str> {
    match name {
        "devices.allow" => Some("devices.deny"),
        "devices.deny" => Some("devices.allow"),
        _ => None,
    }
}

/// Files with a line for each device, and what a device has that has no line.
const KEYED: [(&str, &str); 10] = [
    ("blkio.throttle.read_bps_device", "0"),
    ("blkio.throttle.write_bps_device", "0"),
    ("blkio.throttle.read_iops_device", "0"),
    ("blkio.throttle.write_iops_device", "0"),
    ("blkio.bfq.weight_device", "0"),
    ("io.max", "rbps=max wbps=max riops=max wiops=max"),
    ("io.bfq.weight", "default"),
    ("io.weight", "default"),
    ("net_prio.ifpriomap", "0"),
    ("rdma.max", "hca_handle=max hca_object=max"),
];

/// The value that takes `value` back, for a file `name` that holds `text`.
fn former(name: &str, text: &str, value: &str) -> Option<String> {
    let line = |key: &str| {
        let of_key = |line: &&str| line.split(' ').next() == Some(key);
        text.lines().find(of_key).map(str::to_owned)
    };
    if name == "memory.oom_control" {
        let disabled = line("oom_kill_disable")?;
        return disabled.split(' ').nth(1).map(str::to_owned);
    }
    // What was handed down is no limit, and may be used by another cgroup by now.
    if name == "cgroup.subtree_control" {
        return Some(String::from("\n"));
    }
    if let Some((_, without)) = KEYED.iter().find(|(keyed, _)| *keyed == name) {
        return match value.split_once(' ') {
            Some((key, _)) => line(key).or_else(|| Some(format!("{key} {without}"))),
            None => line("default").or_else(|| Some(text.trim_end().to_owned())),
        };
    }
    match text.trim_end() {
        // An empty list is written as an empty line: a write of nothing would reach no file.
        "" => Some(String::from("\n")),
        one if !one.contains('\n') => Some(one.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_taken_back_in_the_form_that_they_take() {
        for (name, text, value, expected) in [
            ("pids.max", "max\n", "5", Some("max")),
            ("cpu.max", "50000 100000\n", "max", Some("50000 100000")),
            ("cpuset.cpus", "\n", "0", Some("\n")),
            (
                "io.max",
                "8:0 rbps=1 wbps=max\n",
                "8:0 rbps=7",
                Some("8:0 rbps=1 wbps=max"),
            ),
            (
                "io.max",
                "",
                "8:16 rbps=7",
                Some("8:16 rbps=max wbps=max riops=max wiops=max"),
            ),
            (
                "io.weight",
                "default 100\n8:0 50\n",
                "200",
                Some("default 100"),
            ),
            (
                "io.weight",
                "default 100\n8:0 50\n",
                "8:0 200",
                Some("8:0 50"),
            ),
            ("blkio.throttle.read_bps_device", "", "8:0 7", Some("8:0 0")),
            (
                "memory.oom_control",
                "oom_kill_disable 1\nunder_oom 0\n",
                "0",
                Some("1"),
            ),
            ("some.file", "a 1\nb 2\n", "c", None),
        ] {
            assert_eq!(
                former(name, text, value).as_deref(),
                expected,
                "{name} {value}"
            );
        }
        let deny = Former::of(Path::new("/none/devices.allow"), "c 1:3 r");
        assert_eq!(
            deny.back,
            Some(("/none/devices.deny".into(), "c 1:3 r".into()))
        );
        assert_eq!(Former::of(Path::new("/none/devices.deny"), "a").back, None);
    }
}
