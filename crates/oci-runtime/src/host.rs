//! The machine a container is to run on, read once before anything is decided: what [`check`](crate::check) and
//! lowering know of the world besides `config.json`. It is plain data, so that both can be tested with a machine that
//! does not exist.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bitflags::bitflags;
use nix::unistd::{AccessFlags, access};
use oci_runtime_cgroups::{Bus, Layout};

use crate::spec::{Namespace, Process, Spec};

/// The oldest kernel that has all the calls this library is built on.
pub const KERNEL_FLOOR: (u32, u32) = (5, 14);

/// What the runtime knows of its machine and of itself.
#[derive(Debug, Clone)]
pub struct Host {
    /// Version of the kernel, such as (6, 18).
    pub kernel: (u32, u32),
    /// Name of the processor architecture as Rust spells it, such as `x86_64`.
    pub arch: &'static str,
    /// Where the control groups are and which.
    pub cgroups: Layout,
    /// Whether the caller may make a cgroup where one belongs without a path. Only looked at where it matters, see
    /// [`Host::look_at`].
    pub may_make_cgroups: bool,
    /// Number of the highest capability the kernel has.
    pub last_capability: u8,
    /// Effective user id of the caller.
    pub euid: u32,
    /// Effective group id of the caller.
    pub egid: u32,
    /// The caller's effective user id as it is outside of the caller's user namespace: that by which the machine's services,
    /// systemd among them, know the caller.
    pub outer_euid: u32,
    /// Whether the caller has CAP_SYS_ADMIN, in whatever user namespace: else it has to make one to be of any use.
    pub privileged: bool,
    /// Whether the caller is in the first user namespace of the machine.
    pub initial_user_namespace: bool,
    /// Namespaces that `config.json` joins by path and that turn out to be the caller's own. Only looked at where
    /// it matters, see [`Host::look_at`].
    pub own_namespaces: Namespaces,
    /// Capabilities that the process can be given, bit *n* for number *n*: the caller's permitted ones, and all of them in a
    /// user namespace other than the caller's.
    pub grantable: u64,
    /// Security modules that are on. Only looked at where the process asks for a label.
    pub modules: SecurityModules,
    /// Where the resctrl file system is. Only looked for where it matters, see [`Host::look_at`].
    pub resctrl: Option<PathBuf>,
    /// Whether the kernel shows its memory, as /proc/kcore.
    pub kcore: bool,
}

bitflags! {
    /// Kinds of namespaces.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub struct Namespaces: u8 {
        /// `network`
        const NETWORK = 1;
        /// `ipc`
        const IPC = 1 << 1;
        /// `uts`
        const UTS = 1 << 2;
        /// `user`
        const USER = 1 << 3;
    }
}

/// Linux security modules that give processes labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SecurityModules {
    /// Whether AppArmor is on.
    pub apparmor: bool,
    /// Whether AppArmor confines the caller.
    pub confined: bool,
    /// Whether SELinux is on.
    pub selinux: bool,
}

/// The machine cannot be read, or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The kernel is too old.
    #[error("kernel {release} is too old: Linux {}.{} or newer is needed", KERNEL_FLOOR.0, KERNEL_FLOOR.1)]
    KernelTooOld {
        /// Its release.
        release: String,
    },
    /// The kernel's release does not begin with two numbers.
    #[error("kernel release {release:?} does not begin with two numbers")]
    KernelRelease {
        /// What uname(2) says.
        release: String,
    },
    /// A file of the kernel holds something unexpected.
    #[error("{path} holds {text:?} where a number is expected")]
    NotANumber {
        /// Its path.
        path: &'static str,
        /// What is in it.
        text: String,
    },
    /// A file of the kernel cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Its path.
        path: &'static str,
        /// Why.
        source: io::Error,
    },
    /// uname(2) failed.
    #[error("uname failed")]
    Uname(#[source] io::Error),
    /// capget(2) failed.
    #[error("cannot read the caller's capabilities")]
    Capabilities(#[source] caps::errors::CapsError),
    /// The control groups cannot be told.
    #[error("cannot find the control groups")]
    Cgroups(#[source] oci_runtime_cgroups::Error),
}

impl Host {
    /// Reads the machine this runs on.
    ///
    /// # Errors
    /// The kernel is below [`KERNEL_FLOOR`], or /proc does not tell what it should.
    pub fn read() -> Result<Host, HostError> {
        let release = release()?;
        let grantable = permitted()?;
        let euid = nix::unistd::geteuid().as_raw();
        let initial_user_namespace = inode(USER_NAMESPACE)? == INITIAL_USER_NAMESPACE;
        Ok(Host {
            kernel: supported(&release)?,
            arch: std::env::consts::ARCH,
            cgroups: Layout::read().map_err(HostError::Cgroups)?,
            may_make_cgroups: true,
            last_capability: last_capability()?,
            euid,
            egid: nix::unistd::getegid().as_raw(),
            outer_euid: match initial_user_namespace {
                true => euid,
                false => outer(&read(UID_MAP)?, euid),
            },
            privileged: grantable & caps::Capability::CAP_SYS_ADMIN.bitmask() != 0,
            initial_user_namespace,
            own_namespaces: Namespaces::empty(),
            grantable,
            modules: SecurityModules::default(),
            resctrl: None,
            kcore: Path::new("/proc/kcore").exists(),
        })
    }

    /// Where the caller's systemd is found. Root of a user namespace is a user to the machine's.
    pub(crate) fn bus(&self) -> Bus {
        match self.euid == 0 && self.initial_user_namespace {
            true => Bus::System,
            false => Bus::User,
        }
    }

    /// Whether the caller has a say about devices: the machine's root alone has.
    pub(crate) fn rules_devices(&self) -> bool {
        self.privileged && self.initial_user_namespace
    }

    /// Fills in what only this process makes worth a system call: with a label, which security modules are on. In a user
    /// namespace other than the caller's, which has its own capabilities, all can be given.
    pub fn look_at_process(&mut self, process: &Process<'_>, other_user_namespace: bool) {
        if other_user_namespace {
            self.grantable = u64::MAX;
        }
        if !process.apparmor_profile.is_empty() || !process.selinux_label.is_empty() {
            self.modules = SecurityModules::read();
        }
    }

    /// Fills in what only this configuration makes worth a system call: what its process does, and with sysctls or network devices, which
    /// of the namespaces it joins by path are the caller's own; and without a path of a cgroup, whether an unprivileged caller can have one.
    /// A path that cannot be followed is left to the one who opens it.
    pub fn look_at(&mut self, spec: &Spec<'_>) {
        if let Some(process) = &spec.process {
            self.look_at_process(process, spec.linux.namespace("user").is_some());
        }
        if !spec.linux.mount_label.is_empty() {
            self.modules = SecurityModules::read();
        }
        if spec.linux.intel_rdt.is_some() {
            self.resctrl = resctrl();
        }
        if spec.linux.cgroups_path.is_empty() && self.bus() == Bus::User {
            self.may_make_cgroups = may_make_cgroups(&self.cgroups);
        }
        if spec.linux.sysctl.is_empty() && spec.linux.net_devices.is_empty() {
            return;
        }
        self.own_namespaces = spec
            .linux
            .namespaces
            .iter()
            .filter(|namespace| !namespace.path.is_empty())
            .filter_map(own_namespace)
            .collect();
    }
}

impl SecurityModules {
    /// Reads which modules are on, by what is there without securityfs too: a parameter of AppArmor's, and the file system
    /// that SELinux has where it is on.
    pub fn read() -> SecurityModules {
        let file = |path| fs::read_to_string(path).unwrap_or_default();
        Self::parse(
            &file("/sys/module/apparmor/parameters/enabled"),
            &file("/proc/thread-self/attr/apparmor/current"),
            &file("/proc/filesystems"),
        )
    }

    fn parse(enabled: &str, current: &str, filesystems: &str) -> SecurityModules {
        let apparmor = enabled.trim_end() == "Y";
        SecurityModules {
            apparmor,
            confined: apparmor && !matches!(current.trim_end(), "" | "unconfined"),
            selinux: filesystems
                .lines()
                .any(|line| line.split('\t').nth(1) == Some("selinuxfs")),
        }
    }
}

impl Namespaces {
    /// The kind that the specification calls so, of those that sysctls belong to.
    pub fn named(kind: &str) -> Option<Namespaces> {
        NAMESPACES
            .iter()
            .find(|(name, _, _)| *name == kind)
            .map(|(_, kind, _)| *kind)
    }
}

/// The inode that the kernel gives to its first user namespace (PROC_USER_INIT_INO). Looking at the id map instead
/// would take a nested namespace with an identity map for it.
const INITIAL_USER_NAMESPACE: u64 = 0xEFFF_FFFD;
const USER_NAMESPACE: &str = "/proc/self/ns/user";
const UID_MAP: &str = "/proc/self/uid_map";
const LAST_CAPABILITY: &str = "/proc/sys/kernel/cap_last_cap";

const NAMESPACES: &[(&str, Namespaces, &str)] = &[
    ("network", Namespaces::NETWORK, "/proc/self/ns/net"),
    ("ipc", Namespaces::IPC, "/proc/self/ns/ipc"),
    ("uts", Namespaces::UTS, "/proc/self/ns/uts"),
    ("user", Namespaces::USER, USER_NAMESPACE),
];

/// Whether all directories that a cgroup is made in without a path can be written to.
fn may_make_cgroups(layout: &Layout) -> bool {
    let Ok(paths) = oci_runtime_cgroups::resolve(layout, None, "any") else {
        return false;
    };
    let parents = paths.dirs().into_iter().filter_map(Path::parent);
    let mut found = parents.map(|parent| access(parent, AccessFlags::W_OK).is_ok());
    found.all(|writable| writable)
}

fn own_namespace(namespace: &Namespace<'_>) -> Option<Namespaces> {
    let (_, kind, own) = NAMESPACES
        .iter()
        .find(|(name, _, _)| namespace.kind == *name)?;
    let (own, joined) = (
        fs::metadata(own).ok()?,
        fs::metadata(&*namespace.path).ok()?,
    );
    (own.dev() == joined.dev() && own.ino() == joined.ino()).then_some(*kind)
}

fn permitted() -> Result<u64, HostError> {
    let set = caps::read(None, caps::CapSet::Permitted).map_err(HostError::Capabilities)?;
    Ok(set.iter().fold(0, |all, one| all | one.bitmask()))
}

/// Names the directory instead of the mount table. Whoever sets the caller's environment could as well run other programs as
/// the caller, so it opens no way that was closed; it serves machines whose resctrl is shown elsewhere, and tests.
const RESCTRL: &str = "OCIRUN_RESCTRL";

/// Where resctrl is mounted, if it is.
fn resctrl() -> Option<PathBuf> {
    if let Some(directory) = std::env::var_os(RESCTRL) {
        return Some(PathBuf::from(directory));
    }
    let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
    resctrl_in(&table)
}

/// The last one counts: it covers those before it.
fn resctrl_in(mountinfo: &str) -> Option<PathBuf> {
    let mut points = mountinfo.lines().filter_map(|line| {
        let (mount, system) = line.split_once(" - ")?;
        system.starts_with("resctrl ").then_some(())?;
        // Blanks in it are octal; a mount point that has one is nobody's idea of resctrl.
        mount.split(' ').nth(4).map(PathBuf::from)
    });
    points.next_back()
}

fn release() -> Result<String, HostError> {
    let names = nix::sys::utsname::uname().map_err(|errno| HostError::Uname(errno.into()))?;
    Ok(names.release().to_string_lossy().into_owned())
}

/// The version in a kernel's release, if it is one that can be used.
fn supported(release: &str) -> Result<(u32, u32), HostError> {
    let version = version(release).ok_or_else(|| HostError::KernelRelease {
        release: release.to_owned(),
    })?;
    if version < KERNEL_FLOOR {
        return Err(HostError::KernelTooOld {
            release: release.to_owned(),
        });
    }
    Ok(version)
}

/// `6.18.44-fc` gives (6, 18).
fn version(release: &str) -> Option<(u32, u32)> {
    let (major, rest) = release.split_once('.')?;
    let end = rest
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(rest.len());
    Some((major.parse().ok()?, rest[..end].parse().ok()?))
}

fn last_capability() -> Result<u8, HostError> {
    // One read gives all of a file that the kernel makes up, and there is no second one to see its end.
    let mut buffer = [0; 16];
    let length = File::open(LAST_CAPABILITY)
        .and_then(|mut file| file.read(&mut buffer))
        .map_err(|source| HostError::Read {
            path: LAST_CAPABILITY,
            source,
        })?;
    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
    // The kernel keeps a set in 64 bits, so no capability has a higher number.
    match text.trim_end().parse() {
        Ok(last @ 0..=63) => Ok(last),
        _ => Err(HostError::NotANumber {
            path: LAST_CAPABILITY,
            text,
        }),
    }
}

/// What the parent of a user namespace with this map calls `id`. One that is not mapped has the same name everywhere, that of
/// nobody.
fn outer(map: &str, id: u32) -> u32 {
    let found = map.lines().find_map(|line| {
        let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
        let (inside, outside, count): (u32, u32, u32) =
            (numbers.next()??, numbers.next()??, numbers.next()??);
        let offset = id.checked_sub(inside)?;
        (offset < count).then(|| outside.checked_add(offset))?
    });
    found.unwrap_or(id)
}

fn read(path: &'static str) -> Result<String, HostError> {
    fs::read_to_string(path).map_err(|source| HostError::Read { path, source })
}

fn inode(path: &'static str) -> Result<u64, HostError> {
    fs::metadata(path)
        .map(|metadata| metadata.ino())
        .map_err(|source| HostError::Read { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_read_and_judged() {
        let usable = [
            ("5.14.0", (5, 14)),
            ("6.18.44-fc-v595", (6, 18)),
            ("7.0-rc1", (7, 0)),
            ("10.2+", (10, 2)),
        ];
        for (release, expected) in usable {
            assert_eq!(supported(release).unwrap(), expected, "{release}");
        }
        for release in ["5.13.19", "4.18.0-553.el8", "3.10"] {
            let error = supported(release).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("kernel {release} is too old: Linux 5.14 or newer is needed")
            );
        }
        for release in ["", "6", "six.one", "6.x", ".1"] {
            assert!(
                matches!(supported(release), Err(HostError::KernelRelease { .. })),
                "{release}"
            );
        }
    }

    #[test]
    fn security_modules_are_known_by_what_the_kernel_shows() {
        let filesystems = "nodev\tproc\n\text4\nnodev\tselinuxfs\n";
        let cases = [
            (("Y\n", "unconfined\n", ""), (true, false, false)),
            (("Y\n", "lxc (enforce)\n", ""), (true, true, false)),
            (("N\n", "", "nodev\tproc\n"), (false, false, false)),
            (("", "", filesystems), (false, false, true)),
            (("", "", "nodev\tselinuxfs2\n"), (false, false, false)),
        ];
        for ((enabled, current, filesystems), (apparmor, confined, selinux)) in cases {
            assert_eq!(
                SecurityModules::parse(enabled, current, filesystems),
                SecurityModules {
                    apparmor,
                    confined,
                    selinux
                },
                "{enabled:?} {current:?} {filesystems:?}"
            );
        }
    }

    #[test]
    fn resctrl_is_found_by_its_type() {
        let table = "30 23 0:27 / /sys/fs/cgroup rw - cgroup2 resctrl rw\n\
             31 23 0:28 / /old rw shared:5 - resctrl resctrl rw\n\
             32 23 0:29 / /sys/fs/resctrl rw,relatime shared:6 - resctrl resctrl rw,mba_MBps\n";
        assert_eq!(resctrl_in(table), Some(PathBuf::from("/sys/fs/resctrl")));
        assert_eq!(
            resctrl_in("30 23 0:27 / /resctrl rw - tmpfs resctrl rw\n"),
            None
        );
    }

    #[test]
    fn ids_have_another_name_outside() {
        let map = "         0       1000          1\n         1     100000      65536\n";
        for (inside, outside) in [(0, 1000), (1, 100_000), (65536, 165_535), (65537, 65537)] {
            assert_eq!(outer(map, inside), outside, "{inside}");
        }
        assert_eq!(outer("0 0 4294967295\n", 7), 7);
        assert_eq!(outer("", 65534), 65534);
    }

    #[test]
    fn this_machine_can_be_read() {
        let host = Host::read().unwrap();
        assert!(host.kernel >= KERNEL_FLOOR);
        assert!(host.last_capability >= 40);
        let map = fs::read_to_string("/proc/self/uid_map").unwrap();
        let whole = map.split_whitespace().eq(["0", "0", "4294967295"]);
        assert!(whole || !host.initial_user_namespace, "{map}");
    }

    #[test]
    fn own_namespaces_are_known_by_identity_not_by_name() {
        let mut host = Host::read().unwrap();
        let json = format!(
            r#"{{"linux": {{"sysctl": {{"net.a": "1"}}, "namespaces": [
                {{"type": "network", "path": "/proc/{}/ns/net"}}, {{"type": "ipc", "path": "/proc/self/ns/uts"}},
                {{"type": "uts", "path": "/nowhere"}}, {{"type": "user"}}]}}}}"#,
            std::process::id()
        );
        let mut spec = crate::spec::parse(json.as_bytes()).unwrap();
        host.look_at(&spec);
        assert_eq!(host.own_namespaces, Namespaces::NETWORK);
        spec.linux.sysctl.clear();
        host.own_namespaces = Namespaces::empty();
        host.look_at(&spec);
        assert_eq!(host.own_namespaces, Namespaces::empty());
    }
}
