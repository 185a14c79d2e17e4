//! Ranges of ids and what they are on the host: of a user namespace (config-linux.md, "User namespace mappings") and of
//! a single mount.

use serde::{Deserialize, Serialize};

use super::absent::nullable;

/// A range of ids and what it is on the host, see user_namespaces(7).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IdMapping {
    /// First id in the container.
    #[serde(rename = "containerID", deserialize_with = "nullable")]
    pub container_id: u32,
    /// First id on the host.
    #[serde(rename = "hostID", deserialize_with = "nullable")]
    pub host_id: u32,
    /// How many ids follow one another.
    #[serde(deserialize_with = "nullable")]
    pub size: u32,
}
