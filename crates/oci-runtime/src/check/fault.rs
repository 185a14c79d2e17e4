//! What can be wrong with a configuration, in words. Each variant keeps the values it speaks of; the place is the
//! pointer's to tell.

use super::sysctl_name::NameFault;
use crate::id_map::NoMap;
use crate::ranges::RangeFault;

/// What is wrong with one value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "the message of each variant is its documentation"
)]
pub enum Fault {
    #[error("is required")]
    Missing,
    #[error("contains a NUL byte")]
    Nul,
    #[error("{0:?} is not an absolute path")]
    RelativePath(String),

    #[error("{0:?} is not a version of the form 1.2.3")]
    NotAVersion(String),
    #[error("version {0} of the specification is not supported, only 1.x is")]
    Version(String),

    #[error(
        "{0:?} is no name of a network device: those have 1 to 15 bytes without '/', ':', '%' and white space"
    )]
    DeviceName(String),
    #[error("{0:?} is the name of another device already")]
    DuplicateDevice(String),
    #[error("no resctrl file system is mounted")]
    NoResctrl,
    #[error(
        "{0:?} is no name of a class of service: a directory of resctrl, or \"/\" for resctrl itself"
    )]
    NotAClass(String),
    #[error("{0:?} is not one line that begins with \"MB:\"")]
    BandwidthSchema(String),

    #[error("network devices can be moved by root only")]
    NetDevicesRootless,

    #[error("{0:?} has no '='")]
    EnvWithoutValue(String),
    #[error("{0:?} has no name before the '='")]
    EnvWithoutName(String),
    #[error("{0} is not a valid id")]
    InvalidId(u32),
    #[error("id {0} is not mapped into the user namespace")]
    UnmappedId(u32),
    #[error("{0} is not between -1000 and 1000")]
    OomScoreAdj(i32),
    #[error("{0} is more than a terminal can have (65535)")]
    ConsoleSize(u64),
    #[error("there is no resource limit {0:?}")]
    UnknownRlimit(String),
    #[error("{0} is given twice")]
    DuplicateRlimit(String),
    #[error("soft limit {soft} is above hard limit {hard}")]
    RlimitOrder { soft: u64, hard: u64 },
    #[error("{0:#o} is more than the permission bits of a mode (0o777)")]
    Umask(u32),
    #[error("the caller itself lacks {0}, it is left out")]
    NotGrantable(String),
    #[error("{0:?} is not a name of a capability, which look like CAP_KILL")]
    NotACapability(String),
    #[error("this kernel does not know {0}, it is left out")]
    UnknownCapability(String),
    #[error("{0} is not permitted, so it cannot be effective")]
    EffectiveNotPermitted(String),
    #[error("{0} is not both permitted and inheritable, so it cannot be ambient; it is left out")]
    AmbientNotInheritable(String),

    #[error("there is no {0} {1:?}")]
    NoSuch(&'static str, String),
    #[error("{0} is not between {1} and {2}")]
    OutOfRange(i32, i32, i32),
    #[error("only {0} can have it")]
    OnlyOf(&'static str),
    #[error("{0} has none, it is without effect")]
    WithoutEffect(String),
    #[error("{0}")]
    Ranges(RangeFault),
    #[error("{0} is not enabled on this machine")]
    ModuleOff(&'static str),
    #[error("{0} needs nodes")]
    NeedsNodes(&'static str),
    #[error("{0} takes no nodes")]
    RefusesNodes(&'static str),
    #[error("{0} needs nodes that it could be about")]
    FlagWithoutNodes(String),
    #[error("MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other")]
    StaticAndRelative,

    #[error("the root directory of the host cannot be a container's")]
    HostRoot,
    #[error("nothing but proc itself can be mounted on {0}")]
    OverProc(String),
    #[error("{0:?} needs a new {1} namespace, or one to join")]
    NeedsNamespace(String, &'static str),
    #[error("{0} bytes are more than the kernel takes (64)")]
    NameTooLong(usize),

    #[error("the root of the container cannot be mounted over")]
    MountOverRoot,
    #[error("the root of the container cannot be covered; /root/readonly makes it read-only")]
    CoverRoot,
    #[error("{0:?} is relative; it is taken as relative to the root of the container")]
    RelativeDestination(String),
    #[error("a mount that is not a bind mount needs a type")]
    MountWithoutType,
    #[error("a bind mount needs a source")]
    BindWithoutSource,
    #[error("{0:?} is not an option of a bind mount")]
    BindWithData(String),
    #[error("{0:?} is not an option of a cgroup mount")]
    NotOfCgroup(String),
    #[error("option {0:?} has no effect")]
    OptionWithoutEffect(String),
    #[error("{0} is only for bind mounts")]
    OnlyForBind(&'static str),
    #[error("{0} is only for a new tmpfs")]
    OnlyForTmpfs(&'static str),
    #[error("{0} and {1} exclude one another")]
    Exclusive(&'static str, &'static str),
    #[error("{0} bytes are more than the kernel takes here (255)")]
    ParameterTooLong(usize),
    #[error("{0} cannot have its ids mapped")]
    NotIdMapped(&'static str),
    #[error("{0}")]
    IdMap(NoMap),

    #[error("there is no namespace {0:?}")]
    UnknownNamespace(String),
    #[error("namespace {0:?} is given twice")]
    DuplicateNamespace(String),
    #[error("a container needs a mount namespace of its own or one to join")]
    NoMountNamespace,
    #[error("id mappings need a user namespace")]
    MappingsWithoutNamespace,
    #[error("a new user namespace needs mappings")]
    NamespaceWithoutMappings,
    #[error("a mapping needs a size")]
    EmptyMapping,
    #[error("a mapping of {size} ids from {first} goes beyond the highest id (4294967294)")]
    MappingOverflow { first: u32, size: u32 },
    #[error("overlaps with mapping {0}")]
    MappingOverlap(usize),
    #[error("{0} mappings are more than the kernel takes (340)")]
    TooManyMappings(usize),
    #[error("{0} groups are more than a process can have (65536)")]
    TooManyGroups(usize),
    #[error("time offsets need a new time namespace")]
    OffsetsWithoutNamespace,
    #[error("there is no clock {0:?} with an offset, only monotonic and boottime")]
    UnknownClock(String),
    #[error("{0} nanoseconds are a second or more")]
    Nanoseconds(u32),

    #[error("{0}")]
    SysctlName(NameFault),
    #[error("sysctl {0:?} belongs to no namespace, so it would change the host")]
    SysctlOfHost(String),
    #[error("sysctl {name:?} needs a {namespace} namespace other than the host's")]
    SysctlNeedsNamespace {
        name: String,
        namespace: &'static str,
    },
    #[error("the host name is set by `hostname`, not by a sysctl")]
    SysctlHostname,

    #[error("there is no device type {0:?}, only c, u, b and p")]
    UnknownDeviceType(String),
    #[error("{major}:{minor} is not a device number")]
    DeviceNumber { major: i64, minor: i64 },
    #[error("{0:#o} is not a file mode")]
    FileMode(u32),
    #[error("there is no propagation {0:?}")]
    UnknownPropagation(String),

    #[error("is needed by SCMP_ACT_NOTIFY, for somebody has to answer")]
    NoListener,
    #[error("is for whoever listens at listenerPath, which is not given")]
    MetadataWithoutListener,
    #[error("{0} bytes are more than the path of a socket can have (107)")]
    SocketPathTooLong(usize),

    #[error("{0} s is no time that a hook could take")]
    Timeout(i64),
}
