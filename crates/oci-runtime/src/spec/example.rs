//! The configuration that `ocirun spec` writes: a shell in an otherwise empty bundle, isolated in all but its user ids,
//! with three capabilities.

mod tables;

use std::collections::BTreeMap;

use oci_runtime_cgroups::{DeviceRule, Resources};

use super::{
    Capabilities, Hooks, IdMapping, Linux, Mount, Namespace, Process, Rlimit, Root, Spec, Str, User,
};

use tables::{MOUNTS, READONLY_PATHS, Row};

/// Version of the specification that this library implements.
pub const OCI_VERSION: &str = "1.3.0";

impl Spec<'static> {
    /// A configuration to begin with.
    pub fn example() -> Self {
        Spec {
            oci_version: OCI_VERSION.into(),
            process: Some(process()),
            root: Some(Root {
                path: "rootfs".into(),
                readonly: true,
            }),
            hostname: "ocirun".into(),
            domainname: Str::default(),
            mounts: MOUNTS.iter().map(mount).collect(),
            hooks: Hooks::default(),
            annotations: BTreeMap::new(),
            linux: linux(),
        }
    }

    /// One for a user without privileges: a user namespace in which `uid` and `gid` are root and nobody else exists. The
    /// network and the devices under `/sys` are the caller's, and limits need a cgroup that the caller may write to.
    pub fn rootless_example(uid: u32, gid: u32) -> Self {
        let mut spec = Spec::example();
        let namespaces = &mut spec.linux.namespaces;
        namespaces.retain(|namespace| &*namespace.kind != "network");
        namespaces.push(Namespace {
            kind: "user".into(),
            path: Str::default(),
        });
        let only = |host_id| {
            vec![IdMapping {
                container_id: 0,
                host_id,
                size: 1,
            }]
        };
        spec.linux.uid_mappings = only(uid);
        spec.linux.gid_mappings = only(gid);
        spec.linux.resources = None;
        for mount in &mut spec.mounts {
            // Groups other than 0 do not exist.
            mount.options.retain(|option| !option.starts_with("gid="));
        }
        spec.mounts.retain(|mount| &*mount.kind != "cgroup");
        if let Some(sys) = spec.mounts.iter_mut().find(|mount| &*mount.kind == "sysfs") {
            // Mounting sysfs takes a network namespace of one's own.
            sys.kind = "none".into();
            sys.source = "/sys".into();
            sys.options = texts(&["rbind", "nosuid", "noexec", "nodev", "ro"]);
        }
        spec
    }
}

/// Inheritable and ambient stay empty: a set that outlives execve of other programs is not for a default.
const CAPABILITIES: &[&str] = &["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

const NAMESPACES: &[&str] = &["pid", "network", "ipc", "uts", "mount", "cgroup"];

/// What tells of, or reaches, the host's hardware and keys.
const MASKED_PATHS: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

fn process() -> Process<'static> {
    Process {
        terminal: true,
        user: User::default(),
        args: texts(&["sh"]),
        env: texts(&[
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "TERM=xterm",
        ]),
        cwd: "/".into(),
        capabilities: Some(Capabilities {
            bounding: texts(CAPABILITIES),
            effective: texts(CAPABILITIES),
            permitted: texts(CAPABILITIES),
            ..Capabilities::default()
        }),
        rlimits: vec![Rlimit {
            kind: "RLIMIT_NOFILE".into(),
            hard: 1024,
            soft: 1024,
        }],
        no_new_privileges: true,
        ..Process::default()
    }
}

fn mount(&(destination, kind, source, options): &Row) -> Mount<'static> {
    Mount {
        destination: destination.into(),
        kind: kind.into(),
        source: source.into(),
        options: texts(options),
        ..Mount::default()
    }
}

fn linux() -> Linux<'static> {
    Linux {
        namespaces: NAMESPACES
            .iter()
            .map(|&kind| Namespace {
                kind: kind.into(),
                path: Str::default(),
            })
            .collect(),
        resources: Some(Resources {
            devices: Some(vec![no_device()]),
            ..Resources::default()
        }),
        masked_paths: texts(MASKED_PATHS),
        readonly_paths: texts(READONLY_PATHS),
        ..Linux::default()
    }
}

/// No device at all, but for the ones that every container has.
fn no_device() -> DeviceRule {
    DeviceRule {
        allow: false,
        access: Some("rwm".into()),
        ..DeviceRule::default()
    }
}

fn texts(list: &[&'static str]) -> Vec<Str<'static>> {
    list.iter().map(|&text| text.into()).collect()
}
