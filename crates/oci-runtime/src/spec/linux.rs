//! What only Linux has (config-linux.md): namespaces, id maps, devices, cgroups, seccomp and the rest.

use std::collections::BTreeMap;

use oci_runtime_cgroups::Resources;
use oci_runtime_seccomp::Profile;
use serde::{Deserialize, Serialize};

use super::absent::{absent, nullable};
use super::{IdMapping, Str};

/// The `linux` object.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Linux<'a> {
    /// User ids of a new user namespace.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub uid_mappings: Vec<IdMapping>,
    /// Group ids of a new user namespace.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub gid_mappings: Vec<IdMapping>,
    /// Kernel parameters by name, see sysctl(8).
    #[serde(borrow, deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub sysctl: BTreeMap<Str<'a>, Str<'a>>,
    /// Limits of the container's cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// The container's cgroup: a path below the mount of each hierarchy, or `slice:prefix:name` for systemd.
    #[serde(skip_serializing_if = "absent")]
    pub cgroups_path: Str<'a>,
    /// Namespaces to make or join.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub namespaces: Vec<Namespace<'a>>,
    /// Device nodes besides the default ones.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub devices: Vec<Device<'a>>,
    /// Network devices to move into the container, by their name on the host.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub net_devices: BTreeMap<Str<'a>, NetDevice<'a>>,
    /// System call filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<Profile<'a>>,
    /// Propagation of the root mount: `private`, `shared`, `slave` or `unbindable`, also with an `r` before it.
    #[serde(skip_serializing_if = "absent")]
    pub rootfs_propagation: Str<'a>,
    /// Paths the container cannot read.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub masked_paths: Vec<Str<'a>>,
    /// Paths the container cannot write.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub readonly_paths: Vec<Str<'a>>,
    /// SELinux label of the container's mounts.
    #[serde(skip_serializing_if = "absent")]
    pub mount_label: Str<'a>,
    /// Cache and memory bandwidth allocation of Intel processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intel_rdt: Option<IntelRdt<'a>>,
    /// Execution domain, see personality(2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub personality: Option<Personality<'a>>,
    /// NUMA policy, see set_mempolicy(2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_policy: Option<MemoryPolicy<'a>>,
    /// Offsets of the clocks of a new time namespace, by clock (`monotonic`, `boottime`).
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub time_offsets: BTreeMap<Str<'a>, TimeOffset>,
}

impl<'a> Linux<'a> {
    /// The namespace of a kind, if the container has one of its own or joins one.
    pub fn namespace(&self, kind: &str) -> Option<&Namespace<'a>> {
        self.namespaces
            .iter()
            .find(|namespace| namespace.kind == *kind)
    }

    /// Whether the end of the first process is that of all others.
    pub(crate) fn owns_pid_namespace(&self) -> bool {
        let pid = self.namespace("pid");
        pid.is_some_and(|namespace| namespace.path.is_empty())
    }
}

/// A namespace to make, or to join when it has a path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespace<'a> {
    /// `pid`, `network`, `mount`, `ipc`, `uts`, `user`, `cgroup` or `time`.
    #[serde(borrow, rename = "type")]
    pub kind: Str<'a>,
    /// Absolute path of the namespace to join; empty for a new one.
    #[serde(skip_serializing_if = "absent")]
    pub path: Str<'a>,
}

/// A device node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Device<'a> {
    /// Absolute path in the container.
    #[serde(borrow)]
    pub path: Str<'a>,
    /// `c` or `u` (character), `b` (block) or `p` (fifo).
    #[serde(rename = "type")]
    pub kind: Str<'a>,
    /// Major number.
    #[serde(deserialize_with = "nullable")]
    pub major: i64,
    /// Minor number.
    #[serde(deserialize_with = "nullable")]
    pub minor: i64,
    /// Permission bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_mode: Option<u32>,
    /// Owner, as the container sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group, as the container sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
}

/// A network device to move into the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetDevice<'a> {
    /// Its name there; empty keeps the one it has.
    #[serde(borrow, skip_serializing_if = "absent")]
    pub name: Str<'a>,
}

impl NetDevice<'_> {
    /// Its name in the container, when on the host it is `name`.
    pub fn target<'n>(&'n self, name: &'n str) -> &'n str {
        if self.name.is_empty() {
            name
        } else {
            &self.name
        }
    }
}

/// Resource director of Intel processors (config-linux.md, "IntelRdt").
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IntelRdt<'a> {
    /// Class of service.
    #[serde(borrow, rename = "closID", skip_serializing_if = "absent")]
    pub clos_id: Str<'a>,
    /// Lines for the schemata file.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub schemata: Vec<Str<'a>>,
    /// L3 cache lines of the schemata file.
    #[serde(skip_serializing_if = "absent")]
    pub l3_cache_schema: Str<'a>,
    /// Memory bandwidth line of the schemata file.
    #[serde(skip_serializing_if = "absent")]
    pub mem_bw_schema: Str<'a>,
    /// Whether the container gets a monitoring group.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub enable_monitoring: bool,
    /// Cache monitoring, as versions before 1.3 had it.
    #[serde(
        rename = "enableCMT",
        deserialize_with = "nullable",
        skip_serializing_if = "absent"
    )]
    pub enable_cmt: bool,
    /// Bandwidth monitoring, as versions before 1.3 had it.
    #[serde(
        rename = "enableMBM",
        deserialize_with = "nullable",
        skip_serializing_if = "absent"
    )]
    pub enable_mbm: bool,
}

/// Execution domain, see personality(2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Personality<'a> {
    /// `LINUX` or `LINUX32`.
    #[serde(borrow)]
    pub domain: Str<'a>,
    /// Further flags.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub flags: Vec<Str<'a>>,
}

/// NUMA policy, see set_mempolicy(2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryPolicy<'a> {
    /// `MPOL_BIND` and the like.
    #[serde(borrow)]
    pub mode: Str<'a>,
    /// Nodes, as a list like `0-3,7`.
    #[serde(skip_serializing_if = "absent")]
    pub nodes: Str<'a>,
    /// `MPOL_F_...` names.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub flags: Vec<Str<'a>>,
}

/// How far a clock of a time namespace is from the host's, see time_namespaces(7).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TimeOffset {
    /// Whole seconds.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub secs: i64,
    /// Nanoseconds on top, below one second.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "absent")]
    pub nanosecs: u32,
}
