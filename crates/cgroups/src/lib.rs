//! Control groups for OCI containers on Linux: limits as data, one writer; v1, hybrid and v2 by the cgroup file systems.
//!
//! # Terminology
//!
//! - A *cgroup* is a directory of a cgroup file system. It holds processes, and files that limit them: cgroups(7).
//! - A *controller* limits one resource: `memory`, `cpu`, `pids`, ...
//! - A *hierarchy* is one tree of cgroups. v1 has several, each with some controllers or only a name; v2 has one for all
//!   controllers. A host is [v1, hybrid or v2](Mode) by what is mounted.
//! - The [`Layout`] is what the host has: the hierarchies, where they are mounted, and where the caller itself is in each.
//!   It is read once, and everything else takes it as an argument.
//! - The [`Paths`] of a container are its directories, one in each hierarchy. [`resolve`] finds them from
//!   `linux.cgroupsPath`; they are kept in the container's state, and all later operations need nothing else.
//! - [`Resources`] are `linux.resources` of config.json. [`writes`] lowers them to [`Limits`]: an ordered list of
//!   [`Write`]s, each a file, a value and the JSON pointer of its setting. [`apply()`] is the only code that carries them out.
//!
//! # The life of a cgroup
//!
//! [`create`] the directories, [`apply()`] the limits, [`attach`] the process (or start it there: [`open_v2_dir`]). Then
//! [`freeze`], [`thaw`], [`processes()`], [`kill_all`], [`stats()`] and an [`OomWatch`] as needed; [`update`] for limits that
//! change, lowered by [`writes_for_update`] from what is [`Present`]; at last [`remove`]. When a step between `create` and
//! the first process fails, [`Created::undo`] takes back exactly what was made.
//!
//! ```no_run
//! use oci_runtime_cgroups::{Layout, Resources, Pids, apply, attach, create, resolve, writes};
//!
//! # fn main() -> oci_runtime_cgroups::Result<()> {
//! let layout = Layout::read()?;
//! let paths = resolve(&layout, Some("/containers/web"), "web")?;
//! let resources = Resources {
//!     pids: Some(Pids { limit: Some(100) }),
//!     ..Resources::default()
//! };
//!
//! // Pure: this is what a dry run prints.
//! let limits = writes(&resources, &layout, &paths)?;
//! for write in &limits.writes {
//!     println!("{} = {}", write.file.display(), write.value);
//! }
//!
//! let created = create(&layout, &paths)?;
//! let started = apply(&limits).and_then(|()| attach(&paths, 4711));
//! if started.is_err() {
//!     created.undo()?;
//! }
//! started
//! # }
//! ```
//!
//! # What to know
//!
//! - The kernel floor is Linux 5.14.
//! - A number of 0 for a limit of memory, CPU or weight is the same as none, because engines send it for what they do not
//!   set. `pids.limit` is the exception: 0 means 1.
//! - A setting that the host cannot express is an error with its JSON pointer, or one of [`Limits::warnings`] where
//!   leaving it out weakens nothing that any kernel of today would enforce in that mode.
//! - [`writes`] always limits devices, to [`DEFAULT_DEVICES`], /dev/net/tun where no rule is about it, and the configuration's rules; nodes that a container is given
//!   in `linux.devices` have to be among the rules. Where the caller may not limit devices (in a user namespace), it
//!   can use [`writes_for_update`], which touches nothing that is not given.
//! - Only [`freeze`], [`kill_all`] and [`remove`] wait, and each at most two seconds for the kernel.

mod apply;
mod bpf;
mod dbus;
mod delegate;
mod device_program;
mod device_rule;
mod error;
mod files;
mod freezer;
mod layout;
mod limits;
mod oom;
mod paths;
mod place;
mod processes;
mod resources;
mod stats;
pub mod systemd;
mod tree;
mod undo;
mod walk;

pub use apply::{apply, update};
pub use dbus::{Bus, Value};
pub use delegate::delegate;
pub use device_program::DeviceProgram;
pub use device_rule::{Kind, MKNOD, READ, Rule, WRITE};
pub use error::{Error, ErrorKind, Result};
pub use freezer::{freeze, is_frozen, kill_all, thaw};
pub use layout::{Hierarchy, Layout, Mode};
pub use limits::present::Present;
pub use limits::write::{Check, Limits, OnRefusal, Origin, Warning, Write};
pub use limits::{
    DEFAULT_DEVICES, io_weight, weight_from_shares, writes, writes_but_devices, writes_for_update,
};
pub use oom::{OomWatch, oom_kills};
pub use paths::{Paths, resolve};
pub use place::paths_of;
pub use processes::processes;
pub use resources::*;
pub use stats::*;
pub use tree::{Created, attach, create, create_unless, open_v2_dir, remove};
