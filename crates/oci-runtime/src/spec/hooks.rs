//! Programs that the runtime runs at six points of a container's life (config.md, "POSIX-platform Hooks").

use serde::{Deserialize, Serialize};

use super::Str;
use super::absent::{absent, nullable};

/// The six lists, each run in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Hooks<'a> {
    /// As `createRuntime`, before it; deprecated.
    #[serde(borrow, deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub prestart: Vec<Hook<'a>>,
    /// In the runtime's namespaces, once the container's exist and before the root changes.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub create_runtime: Vec<Hook<'a>>,
    /// In the container's namespaces, before the root changes.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub create_container: Vec<Hook<'a>>,
    /// In the container, after `start` and before the program.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub start_container: Vec<Hook<'a>>,
    /// In the runtime's namespaces, once the program runs.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub poststart: Vec<Hook<'a>>,
    /// In the runtime's namespaces, once the container is deleted.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub poststop: Vec<Hook<'a>>,
}

/// One program.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hook<'a> {
    /// Its file, an absolute path.
    #[serde(borrow)]
    pub path: Str<'a>,
    /// Its arguments, the name it is called by first, as for execv(3).
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub args: Vec<Str<'a>>,
    /// Its whole environment, `NAME=value` each.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub env: Vec<Str<'a>>,
    /// Seconds after which it is killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
}
