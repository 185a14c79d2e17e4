//! What a running cgroup has now, as far as changing one setting of it takes another one into account.
//!
//! A file of v2 can hold two settings, and one setting can be the sum of two files; the device list of v1 is changed entry
//! by entry. Where only one half is given, the other half is what the kernel has at the moment, which need not be what some
//! configuration once asked for.

use crate::device_rule::{Kind, MKNOD, READ, Rule, WRITE};
use crate::error::{Error, Result};
use crate::files::{is_gone, read_records, read_value};
use crate::paths::Paths;
use crate::resources::Resources;
use std::path::Path;

/// What the files of a running cgroup say. `None` is what was not asked for or is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Present {
    /// v2, `memory.max` in bytes; -1 is no limit.
    pub memory_max: Option<i64>,
    /// v2, the first word of `cpu.max` in microseconds; -1 is no limit.
    pub cpu_quota: Option<i64>,
    /// Whether `cpu.idle` is 1.
    pub cpu_idle: bool,
    /// v1, `devices.list`.
    pub devices: Option<Vec<Rule>>,
}

impl Present {
    /// Reads what changing `resources` needs to know: nothing, mostly.
    pub fn read(resources: &Resources, paths: &Paths) -> Result<Present> {
        let mut present = Present::default();
        if let Some(dir) = paths.unified() {
            if resources.memory.as_ref().is_some_and(|m| m.swap.is_some()) {
                present.memory_max = first_word(&dir.join("memory.max"))?;
            }
            if resources.cpu.as_ref().is_some_and(|c| c.period.is_some()) {
                present.cpu_quota = first_word(&dir.join("cpu.max"))?;
            }
        }
        if let (Some(dir), Some(_)) = (
            paths.dir("cpu").or(paths.unified()),
            resources.cpu.as_ref().and_then(|cpu| cpu.idle),
        ) {
            present.cpu_idle = first_word(&dir.join("cpu.idle"))? == Some(1);
        }
        if let (Some(dir), Some(_)) = (paths.dir("devices"), &resources.devices) {
            present.devices = Some(device_list(&read_records(&dir.join("devices.list"))?)?);
        }
        Ok(present)
    }
}

/// The number that a file begins with, -1 for `max`; none without the file.
fn first_word(file: &Path) -> Result<Option<i64>> {
    let text = match read_value(file) {
        Err(e) if is_gone(&e) => return Ok(None),
        text => text?,
    };
    match text.split(' ').next() {
        Some("max") => Ok(Some(-1)),
        Some(word) if word.parse::<i64>().is_ok() => Ok(word.parse().ok()),
        _ => Err(Error::Format {
            path: file.to_path_buf(),
            text,
        }),
    }
}

/// The entries of `devices.list`: `c 1:3 rwm`. See cgroup-v1/devices.rst of the kernel.
pub(super) fn device_list(text: &str) -> Result<Vec<Rule>> {
    let bad = |line: &str| Error::Format {
        path: "devices.list".into(),
        text: line.to_owned(),
    };
    text.lines()
        .map(|line| entry(line).ok_or_else(|| bad(line)))
        .collect()
}

fn entry(line: &str) -> Option<Rule> {
    let mut words = line.split(' ');
    let kind = match words.next()? {
        "a" => Kind::All,
        "b" => Kind::Block,
        "c" => Kind::Char,
        _ => return None,
    };
    let (major, minor) = words.next()?.split_once(':')?;
    let number = |text: &str| match text {
        "*" => Some(None),
        digits => digits.parse().ok().map(Some),
    };
    let letter = |letter| match letter {
        'm' => Some(MKNOD),
        'r' => Some(READ),
        'w' => Some(WRITE),
        _ => None,
    };
    let access = words
        .next()?
        .chars()
        .try_fold(0, |bits, l| Some(bits | letter(l)?))?;
    Some(Rule {
        allow: true,
        kind,
        major: number(major)?,
        minor: number(minor)?,
        access,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_lists_are_read_as_they_are_written() {
        let text = "a *:* rwm\nc 1:3 rwm\nb *:* m\nc 136:* rw\n";
        let rules = device_list(text).expect("a list");
        let written: String = rules.iter().map(|rule| format!("{rule}\n")).collect();
        assert_eq!(written, text);
        for bad in ["x 1:3 r", "c 1 r", "c 1:3", "c 1:3 q", "c x:3 r"] {
            assert!(device_list(bad).is_err(), "{bad}");
        }
    }
}
