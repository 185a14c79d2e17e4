//! What the container sees as its files: the root and the mounts on top of it (config.md, "Root" and "Mounts").

use serde::{Deserialize, Serialize};

use super::absent::{absent, nullable};
use super::{IdMapping, Str};

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
