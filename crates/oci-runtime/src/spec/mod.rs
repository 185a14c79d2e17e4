//! `config.json` of the OCI runtime specification 1.3, as plain structs that borrow their text from the file.
//!
//! The types hold what a file may say, not what makes sense: names of namespaces, limits, capabilities or actions stay
//! strings here, and [`check`](crate::check) judges them, so that every complaint can name the place. A field that is
//! missing, `null` or empty is one and the same (`""`, an empty list, `None`), because the programs that write these
//! files do not tell them apart. Unknown fields are passed over.

mod example;
mod hooks;
mod linux;
mod parse;
mod process;
mod str;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use oci_runtime_cgroups::Resources;
pub use oci_runtime_seccomp::Profile;
use serde::{Deserialize, Deserializer, Serialize};

pub use self::example::OCI_VERSION;
pub use self::hooks::{Hook, Hooks};
pub use self::linux::{
    Device, IdMapping, IntelRdt, Linux, MemoryPolicy, Namespace, NetDevice, Personality, TimeOffset,
};
pub use self::parse::{ParseError, parse, parse_as};

pub use self::process::{
    Capabilities, ConsoleSize, ExecCpuAffinity, IoPriority, Process, Rlimit, Scheduler, User,
};
pub use self::str::Str;

/// A whole `config.json` (config.md).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spec<'a> {
    /// Version of the specification that the bundle follows, such as `1.3.0`.
    #[serde(borrow)]
    pub oci_version: Str<'a>,
    /// The program to run. Only `start` needs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Process<'a>>,
    /// The root filesystem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<Root<'a>>,
    /// Host name in the container's UTS namespace.
    #[serde(skip_serializing_if = "absent")]
    pub hostname: Str<'a>,
    /// NIS domain name in the container's UTS namespace.
    #[serde(skip_serializing_if = "absent")]
    pub domainname: Str<'a>,
    /// Mounts besides the root, in order.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub mounts: Vec<Mount<'a>>,
    /// Programs to run at points of the container's life.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub hooks: Hooks<'a>,
    /// Free-form metadata.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub annotations: BTreeMap<Str<'a>, Str<'a>>,
    /// All that only Linux has.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub linux: Linux<'a>,
}

/// The root filesystem (config.md, "Root").
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Root<'a> {
    /// Where it is on the host; a relative path is relative to the bundle.
    #[serde(borrow)]
    pub path: Str<'a>,
    /// Whether the container must not write to it.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub readonly: bool,
}

/// One mount (config.md, "Mounts").
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Mount<'a> {
    /// Where it goes, a path in the container.
    #[serde(borrow)]
    pub destination: Str<'a>,
    /// Type of the filesystem; empty or `none` for a bind mount.
    #[serde(rename = "type", skip_serializing_if = "absent")]
    pub kind: Str<'a>,
    /// A path on the host for a bind mount, else whatever the filesystem takes.
    #[serde(skip_serializing_if = "absent")]
    pub source: Str<'a>,
    /// Options as in fstab(5), one a string; see [`mount_options`](crate::mount_options).
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub options: Vec<Str<'a>>,
    /// User ids as this mount alone shows them (an idmapped mount).
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub uid_mappings: Vec<IdMapping>,
    /// Group ids as this mount alone shows them.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub gid_mappings: Vec<IdMapping>,
}

/// Reads a value for which `null` means its default.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Whether a value says nothing and need not be written.
fn absent<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
