//! The program a container runs and the credentials and limits it runs with (config.md, "Process"). The same object,
//! alone, is what `exec --process` reads.

use serde::{Deserialize, Serialize};

use super::Str;
use super::absent::{absent, nullable};

/// The `process` object.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Process<'a> {
    /// Whether the process gets a pseudo-terminal.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub terminal: bool,
    /// Size of that terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_size: Option<ConsoleSize>,
    /// Ids of the process.
    #[serde(deserialize_with = "nullable")]
    pub user: User,
    /// The program and its arguments.
    #[serde(borrow, deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub args: Vec<Str<'a>>,
    /// The environment, `NAME=value` each.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub env: Vec<Str<'a>>,
    /// Working directory, an absolute path in the container.
    pub cwd: Str<'a>,
    /// The five capability sets. `None` leaves the process none at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities<'a>>,
    /// Resource limits.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub rlimits: Vec<Rlimit<'a>>,
    /// Whether execve(2) may no longer grant privileges (PR_SET_NO_NEW_PRIVS).
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub no_new_privileges: bool,
    /// AppArmor profile to run under.
    #[serde(skip_serializing_if = "absent")]
    pub apparmor_profile: Str<'a>,
    /// Value for /proc/PID/oom_score_adj, -1000 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i32>,
    /// SELinux label to run under.
    #[serde(skip_serializing_if = "absent")]
    pub selinux_label: Str<'a>,
    /// Scheduling policy, see sched_setattr(2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<Scheduler<'a>>,
    /// Priority of its input and output, see ioprio_set(2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_priority: Option<IoPriority<'a>>,
    /// Processors that `exec` runs on.
    #[serde(rename = "execCPUAffinity", skip_serializing_if = "Option::is_none")]
    pub exec_cpu_affinity: Option<ExecCpuAffinity<'a>>,
}

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsoleSize {
    /// Rows.
    #[serde(deserialize_with = "nullable")]
    pub height: u64,
    /// Columns.
    #[serde(deserialize_with = "nullable")]
    pub width: u64,
}

/// Ids of the process, as the container sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct User {
    /// User id.
    #[serde(deserialize_with = "nullable")]
    pub uid: u32,
    /// Primary group id.
    #[serde(deserialize_with = "nullable")]
    pub gid: u32,
    /// File mode creation mask, see umask(2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    /// Supplementary groups: these and no others.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub additional_gids: Vec<u32>,
}

/// Names of capabilities by set, see capabilities(7).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities<'a> {
    /// The most that execve(2) may grant.
    #[serde(borrow, deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub bounding: Vec<Str<'a>>,
    /// What the kernel checks.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub effective: Vec<Str<'a>>,
    /// What files with inheritable capabilities may add.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub inheritable: Vec<Str<'a>>,
    /// What may be made effective.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub permitted: Vec<Str<'a>>,
    /// What is kept over execve(2) of an ordinary program.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub ambient: Vec<Str<'a>>,
}

/// One resource limit, see setrlimit(2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rlimit<'a> {
    /// Its name, such as `RLIMIT_NOFILE`.
    #[serde(borrow, rename = "type")]
    pub kind: Str<'a>,
    /// The ceiling; the largest number means no limit.
    #[serde(deserialize_with = "nullable")]
    pub hard: u64,
    /// The value in force.
    #[serde(deserialize_with = "nullable")]
    pub soft: u64,
}

/// Scheduling attributes, see sched_setattr(2).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scheduler<'a> {
    /// `SCHED_OTHER`, `SCHED_FIFO` and so on.
    #[serde(borrow)]
    pub policy: Str<'a>,
    /// Nice value of the time-sharing policies.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub nice: i32,
    /// Static priority of the real-time policies.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub priority: i32,
    /// `SCHED_FLAG_...` names.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub flags: Vec<Str<'a>>,
    /// Nanoseconds a deadline task may run each period.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub runtime: u64,
    /// Nanoseconds from a period's start by which they must be done.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub deadline: u64,
    /// Length of a period in nanoseconds.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub period: u64,
}

/// Priority of input and output, see ioprio_set(2).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IoPriority<'a> {
    /// `IOPRIO_CLASS_RT`, `IOPRIO_CLASS_BE` or `IOPRIO_CLASS_IDLE`.
    #[serde(borrow)]
    pub class: Str<'a>,
    /// Level within the class, 0 (first served) to 7.
    #[serde(deserialize_with = "nullable")]
    pub priority: i32,
}

/// Processors of a process that `exec` adds, as lists like `0-3,7`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecCpuAffinity<'a> {
    /// Before it is moved to the container's cgroup.
    #[serde(borrow, skip_serializing_if = "absent")]
    pub initial: Str<'a>,
    /// After that.
    #[serde(rename = "final", skip_serializing_if = "absent")]
    pub last: Str<'a>,
}
