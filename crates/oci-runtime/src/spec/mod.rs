//! `config.json` of the OCI runtime specification 1.3, as plain structs that borrow their text from the file.
//!
//! The types hold what a file may say, not what makes sense: names of namespaces, limits, capabilities or actions stay
//! strings here, and [`check`](crate::check) judges them, so that every complaint can name the place. A field that is
//! missing, `null` or empty is one and the same (`""`, an empty list, `None`), because the programs that write these
//! files do not tell them apart. Unknown fields are passed over.

mod absent;
mod config;
mod example;
mod filesystem;
mod hooks;
mod id_mapping;
mod linux;
mod parse;
mod process;
mod properties;
mod str;
mod strict;
#[cfg(test)]
mod tests;

pub(crate) use self::absent::said;
pub use oci_runtime_cgroups::Resources;
pub use oci_runtime_seccomp::Profile;

pub use self::config::Spec;
pub use self::example::OCI_VERSION;
pub use self::filesystem::{Mount, Root};
pub use self::hooks::{Hook, Hooks};
pub use self::id_mapping::IdMapping;
pub use self::linux::{
    Device, IntelRdt, Linux, MemoryPolicy, Namespace, NetDevice, Personality, TimeOffset,
};
pub use self::parse::{ParseError, parse, parse_as};
pub use self::process::{
    Capabilities, ConsoleSize, ExecCpuAffinity, IoPriority, Process, Rlimit, Scheduler, User,
};
pub use self::properties::properties;
pub use self::str::Str;
