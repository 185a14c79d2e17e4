//! What the kernel says about a process, read from the host's `/proc`. Nothing here trusts the
//! runtime: a test compares these answers with what its config.json asked for.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, waitpid};

use crate::runtime::{eventually, read};

/// The eight kinds of namespace: the name in config.json and the file in `/proc/PID/ns`.
pub const NAMESPACES: [(&str, &str); 8] = [
    ("pid", "pid"),
    ("network", "net"),
    ("mount", "mnt"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("user", "user"),
    ("cgroup", "cgroup"),
    ("time", "time"),
];

/// One line of mountinfo, `proc_pid_mountinfo(5)`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mount {
    /// What of the filesystem forms the root of this mount.
    pub root: String,
    /// Where it is mounted, as the process sees it.
    pub point: String,
    /// Options of the mount.
    pub options: Vec<String>,
    /// Optional fields: `shared:N`, `master:N`, `unbindable`.
    pub propagation: Vec<String>,
    /// Type of the filesystem.
    pub fstype: String,
    /// Source, as given by who mounted it.
    pub source: String,
    /// Options of the superblock.
    pub super_options: Vec<String>,
}

impl Mount {
    /// Whether the mount has `option`.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|o| o == option)
    }
}

/// The path of a file of `/proc/PID`.
pub fn proc_path(pid: i32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}

/// A field of `/proc/PID/status`, its blanks turned into single spaces.
///
/// # Panics
/// When the process or the field does not exist.
#[track_caller]
pub fn status(pid: i32, field: &str) -> String {
    let text = read(proc_path(pid, "status"));
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| *name == field)
        .map(|(_, value)| value.split_whitespace().collect::<Vec<_>>().join(" "))
        .unwrap_or_else(|| panic!("no {field} in the status of {pid}"))
}

/// The capability set `field` (as `CapEff`) of a process.
///
/// # Panics
/// When it cannot be read.
#[track_caller]
pub fn capabilities(pid: i32, field: &str) -> u64 {
    u64::from_str_radix(&status(pid, field), 16).expect("a hexadecimal capability set")
}

/// The identity of a namespace: the link's text, as `net:[4026531840]`.
///
/// # Panics
/// When the process does not exist.
#[track_caller]
pub fn namespace(pid: i32, file: &str) -> String {
    link(pid, &format!("ns/{file}"))
}

/// The text of a symbolic link of `/proc/PID`.
///
/// # Panics
/// When it cannot be read.
#[track_caller]
pub fn link(pid: i32, file: &str) -> String {
    let path = proc_path(pid, file);
    let target = fs::read_link(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    target.to_string_lossy().into_owned()
}

/// The mounts a process sees, in the kernel's order.
///
/// # Panics
/// When the process does not exist or a line is not understood.
#[track_caller]
pub fn mounts(pid: i32) -> Vec<Mount> {
    read(proc_path(pid, "mountinfo"))
        .lines()
        .map(|line| parse_mount(line).unwrap_or_else(|| panic!("mountinfo line {line:?}")))
        .collect()
}

/// The mount that is visible at `point`: the last one there.
///
/// # Panics
/// When there is none.
#[track_caller]
pub fn mount(pid: i32, point: &str) -> Mount {
    let all = mounts(pid);
    let found = all.iter().rfind(|mount| mount.point == point);
    found
        .unwrap_or_else(|| panic!("nothing mounted at {point}: {all:#?}"))
        .clone()
}

fn parse_mount(line: &str) -> Option<Mount> {
    let (head, tail) = line.split_once(" - ")?;
    let head: Vec<&str> = head.split(' ').collect();
    let mut tail = tail.split(' ');
    let list = |text: &str| text.split(',').map(str::to_owned).collect();
    Some(Mount {
        root: (*head.get(3)?).to_owned(),
        point: (*head.get(4)?).to_owned(),
        options: list(head.get(5)?),
        propagation: head.iter().skip(6).map(|s| (*s).to_owned()).collect(),
        fstype: tail.next()?.to_owned(),
        source: tail.next()?.to_owned(),
        super_options: list(tail.next()?),
    })
}

/// Soft and hard limit by the name that `/proc/PID/limits` has for them.
///
/// # Panics
/// When the process does not exist.
#[track_caller]
pub fn limits(pid: i32) -> BTreeMap<String, (String, String)> {
    read(proc_path(pid, "limits"))
        .lines()
        .skip(1)
        .map(|line| {
            // The name is a column of fixed width and has blanks in it.
            let (name, values) = line.split_at(26);
            let mut values = values.split_whitespace().map(str::to_owned);
            let soft = values.next().expect("a soft limit");
            let hard = values.next().expect("a hard limit");
            (name.trim().to_owned(), (soft, hard))
        })
        .collect()
}

/// The strings of a NUL-separated file (`environ`, `cmdline`).
///
/// # Panics
/// When the process does not exist.
#[track_caller]
pub fn strings(pid: i32, file: &str) -> Vec<String> {
    let bytes = fs::read(proc_path(pid, file)).expect("a file of /proc");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// The cgroup of a process in each hierarchy: controllers (empty for cgroup2) to path.
///
/// # Panics
/// When the process does not exist.
#[track_caller]
pub fn cgroups(pid: i32) -> BTreeMap<String, String> {
    read(proc_path(pid, "cgroup"))
        .lines()
        .map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let controllers = fields.next().expect("controllers").to_owned();
            (controllers, fields.next().expect("a path").to_owned())
        })
        .collect()
}

/// The open descriptors of a process and what each leads to.
///
/// # Panics
/// When the process does not exist.
#[track_caller]
pub fn descriptors(pid: i32) -> BTreeMap<i32, String> {
    fs::read_dir(proc_path(pid, "fd"))
        .expect("the descriptors of a process")
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let number = entry.file_name().to_string_lossy().parse().ok()?;
            let target = fs::read_link(entry.path()).ok()?;
            Some((number, target.to_string_lossy().into_owned()))
        })
        .collect()
}

/// Every numeric entry of `/proc`.
pub fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries
        .filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
        .collect()
}

/// Whether a process exists and is no zombie.
pub fn alive(pid: i32) -> bool {
    let Ok(stat) = fs::read_to_string(proc_path(pid, "stat")) else {
        return false;
    };
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    !state.is_none_or(|rest| rest.starts_with(['Z', 'X']))
}

/// Makes orphans of the runtime children of this process, as an engine's shim does.
pub fn become_subreaper() {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .expect("PR_SET_CHILD_SUBREAPER");
}

/// Waits until a process that was re-parented to this one has ended, and takes its wait status.
/// Nothing where it is another's child: then its disappearance is awaited.
///
/// # Panics
/// When it does not end in time.
#[track_caller]
pub fn reap(pid: i32) -> Option<WaitStatus> {
    eventually(&format!("the end of {pid}"), || ended(pid))
}

/// [`reap`] without waiting: nothing while the process lives.
pub fn ended(pid: i32) -> Option<Option<WaitStatus>> {
    match waitpid(Pid::from_raw(pid), WaitOptions::NOHANG) {
        Ok(Some((_, status))) => Some(Some(status)),
        Ok(None) => None,
        Err(_) => (!alive(pid)).then_some(None),
    }
}

/// Sends a signal; a process that is gone already is no error.
pub fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}
