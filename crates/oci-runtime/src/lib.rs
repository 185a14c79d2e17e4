//! A low-level OCI runtime as a library.
//!
//! A bundle is compiled, not interpreted: `config.json` is parsed into a [`spec::Spec`], checked against the
//! [`host::Host`] by [`check::check`], and lowered into a flat, ordered list of typed steps that small executors carry
//! out. Nothing downstream of lowering sees the specification again. [`plan()`] answers that list without doing anything.
//!
//! # A container's life
//!
//! ```no_run
//! use oci_runtime::{Bundle, Create, StateRoot, delete, own_stdio, run};
//!
//! # fn main() -> oci_runtime::Result<()> {
//! let root = StateRoot::new("/run/my-program");
//! let bundle = Bundle::open("bundle".as_ref())?;
//! let process = run(&root, "one", &Create::new(&bundle, &bundle.spec()?, own_stdio()))?;
//! let exit = process.wait()?;
//! delete(&root, "one", false)?;
//! # println!("{}", exit.code());
//! # Ok(())
//! # }
//! ```
//!
//! [`create()`] instead of [`run`] makes a container that waits for [`start()`]; then [`exec()`], [`pause()`], [`update()`], [`stats`]
//! and the others find it by its [`StateRoot`] and id, from any process. One more program in it:
//!
//! ```no_run
//! # use oci_runtime::{Exec, StateRoot, own_stdio, exec};
//! # fn main() -> oci_runtime::Result<()> {
//! # let root = StateRoot::new("/run/my-program");
//! let process = exec(&root, "one", &Exec::new(own_stdio()), &|spec| {
//!     let mut process = spec.process.clone().unwrap_or_default();
//!     process.args = vec!["ls".into(), "/".into()];
//!     Ok(process)
//! })?;
//! # process.wait().map(drop)
//! # }
//! ```
//!
//! # In a program with threads
//!
//! Every function may be called from any thread, and from several at once; commands on one container take turns by a lock in its
//! directory. No Rust code runs in a forked copy of the caller. Nothing of the calling process changes, not even for a moment: not its
//! working directory, umask, environment, signal handlers and masks, ids and capabilities, namespaces or cgroup. Every file
//! descriptor is close-on-exec from birth, so that what another thread starts inherits none. One stays open for good: the memory file of
//! the first program of every container.
//!
//! Every function blocks: mostly for milliseconds, but hooks, seccomp agents and systemd are waited for. In an asynchronous program
//! call them where blocking is allowed, such as tokio's `spawn_blocking`. A [`Process`] is `Send` and `Sync`, and its
//! [`pidfd`](Process::pidfd) is readable once it has ended: any event loop can wait for that, and [`Process::wait`] then answers at once.
//! [`Create::interrupt`] and [`Exec::interrupt`] end a call that waits:
//!
//! ```no_run
//! use std::io::Write;
//! use std::os::fd::AsFd;
//! use oci_runtime::{Bundle, Create, Kind, StateRoot, own_stdio, run};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (interrupt, mut interrupter) = std::io::pipe()?;
//! std::thread::spawn(move || {
//!     std::thread::sleep(std::time::Duration::from_secs(10));
//!     interrupter.write_all(b"x") // closing it has the same effect
//! });
//! let root = StateRoot::new("/run/my-program");
//! let bundle = Bundle::open("bundle".as_ref())?;
//! let spec = bundle.spec()?;
//! let options = Create {
//!     interrupt: Some(interrupt.as_fd()),
//!     ..Create::new(&bundle, &spec, own_stdio())
//! };
//! match run(&root, "one", &options) {
//!     Ok(process) => drop(process.wait()?),
//!     Err(error) if error.kind() == Kind::Interrupted => println!("gave up; nothing is left of it"),
//!     Err(error) => return Err(error.into()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Containers are children of the calling process, and their end is signalled to it by `SIGCHLD`. Where a thread of the program reaps
//! whatever ends, that thread gets their statuses and [`Process::wait`] an error; all else works. Containers outlive the program.
//!
//! # What it reads and writes
//!
//! Of the environment: `OCIRUN_RESCTRL`, a directory in place of where resctrl is mounted; with [`CgroupManager::Systemd`] also
//! `DBUS_SYSTEM_BUS_ADDRESS`, `DBUS_SESSION_BUS_ADDRESS` and `XDG_RUNTIME_DIR`, by which the bus is found. Warnings go to the crate
//! `log`, errors are returned: with [`Error::kind`] for programs and, for people, a text that names the step, the system call and the property.

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
