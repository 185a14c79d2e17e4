//! The whole of `config.json` (config.md): what every platform has, and the `linux` object with the rest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::absent::{absent, nullable};
use super::{Hooks, Linux, Mount, Process, Root, Str};

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
