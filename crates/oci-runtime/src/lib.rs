//! A low-level OCI runtime as a library.
//!
//! A bundle is compiled, not interpreted: `config.json` is parsed into a [`spec::Spec`], checked against the
//! [`host::Host`] by [`check::check`], and lowered into a flat, ordered list of typed steps that small executors carry
//! out. Nothing downstream of lowering sees the specification again.

mod agent;
mod bundle;
mod cgroup;
mod create;
mod delete;
mod error;
mod events;
mod exec;
mod explain;
mod features;
mod hooks;
mod id_map;
mod interrupt;
mod launch;
mod list;
mod lock;
mod lower;
mod net;
mod pause;
mod plan;
mod process;
mod recorder;
mod resctrl;
mod signal;
mod start;
mod state;
mod sys;
mod update;

pub mod capabilities;
pub mod check;
pub mod host;
pub mod memory_policy;
pub mod mount_options;
pub mod personality;
pub mod pointer;
pub mod ranges;
pub mod rlimits;
pub mod scheduling;
pub mod spec;

pub use bundle::Bundle;
pub use cgroup::CgroupManager;
pub use create::{Create, create, own_stdio, plan, record, run};
pub use delete::{delete, delete_of};
pub use error::{Error, Kind, Result, StepFailure};
pub use events::{Event, Stats, Watch, oom_kills, stats, watch};
pub use exec::{Describe, Exec, exec, exec_recorded};
pub use features::features;
pub use hooks::Hook;
pub use list::{list, state};
pub use net::NetDevice;
pub use oci_runtime_cgroups as cgroups;
pub use pause::{pause, processes, resume};
pub use plan::{Lane, ParentOp, Parents, Plan, Source, Step};
pub use process::{Exit, Process};
pub use recorder::Recorder;
pub use resctrl::ResctrlClass;
pub use signal::{kill, kill_all};
pub use start::start;
pub use state::{Container, StateRoot, Status};
pub use update::{update, update_schemata};
