//! The oracle for what a container leaves behind. Before a case the host's mounts are noted; after
//! it they must be the same, and no process, cgroup, state or bundle file of the case may be left.
//! Each kind is looked for where the kernel keeps it, by the marks that every case puts on its
//! containers: the cgroup path, the state directory on the command line, a variable in the
//! environment.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::bundle::MARK;
use crate::cgroup;
use crate::host;
use crate::runtime::read;

/// The marks of a case.
#[derive(Clone, Debug)]
pub struct Marks {
    /// The value of the variable [`MARK`] in the payload's environment.
    pub id: String,
    /// The cgroup path, the same in each hierarchy.
    pub cgroup: String,
    /// The state directory given with `--root`.
    pub state: String,
}

/// The mounts of the host as whole lines, without the ids that say nothing about what is mounted.
pub fn host_mounts() -> BTreeSet<String> {
    read("/proc/self/mountinfo")
        .lines()
        .map(|line| line.splitn(3, ' ').nth(2).unwrap_or(line).to_owned())
        .collect()
}

/// All residue found now, in words; empty when the host is as it was.
pub fn find(marks: &Marks, mounts_before: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    let mounts = host_mounts();
    found.extend(
        mounts
            .difference(mounts_before)
            .map(|m| format!("mount {m}")),
    );
    found.extend(
        mounts_before
            .difference(&mounts)
            .map(|m| format!("mount gone {m}")),
    );
    found.extend(processes(marks));
    found.extend(entries(Path::new(&marks.state)).map(|e| format!("state {e}")));
    let cgroups = cgroup::existing(&marks.cgroup);
    found.extend(cgroups.iter().map(|c| format!("cgroup {}", c.display())));
    found
}

/// The processes that carry a mark.
pub fn processes(marks: &Marks) -> Vec<String> {
    let mut found = Vec::new();
    for pid in host::pids() {
        let file = |name| fs::read(host::proc_path(pid, name)).unwrap_or_default();
        let cmdline = file("cmdline");
        let marked = has(&file("cgroup"), marks.cgroup.as_bytes())
            || has(&cmdline, marks.state.as_bytes())
            || has(&file("environ"), format!("{MARK}={}", marks.id).as_bytes());
        if marked {
            let cmdline = String::from_utf8_lossy(&cmdline).replace('\0', " ");
            found.push(format!("process {pid} ({cmdline})"));
        }
    }
    found
}

fn entries(directory: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().display().to_string())
}

fn has(haystack: &[u8], needle: &[u8]) -> bool {
    // The mark must end where the name ends: "case-1" is not a mark of "case-10".
    haystack
        .windows(needle.len())
        .enumerate()
        .any(|(at, window)| {
            let next = haystack.get(at + needle.len());
            window == needle && !next.is_some_and(u8::is_ascii_alphanumeric)
        })
}
