//! The guest's root file system and kernel, from Debian's packages and nothing else. Making them takes a minute and the
//! network; so the *recipe*, all that decides what comes out, is kept beside them as text, and they are made anew only
//! when it differs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::guest::Disks;
use crate::command::{check, read};
use crate::error::{Error, Result, io_error};
use crate::rootfs::replace;

const SUITE: &str = "trixie";

/// Besides what is essential. The engines at the end are those that the integration tests use.
const PACKAGES: &[&str] = &[
    "systemd-sysv",
    "dbus",
    "kmod",
    "apparmor",
    "procps",
    "iproute2",
    "busybox-static",
    "jq",
    "strace",
    "containerd",
    "umoci",
    "podman",
    "crun",
    "runc",
    "passt",
    "uidmap",
    "libpam-systemd",
    "dbus-user-session",
    "catatonit",
    "docker.io",
    "docker-cli",
    "curl",
    "protobuf-compiler",
    "containernetworking-plugins",
];

/// Those whose versions are of interest; they are kept beside the image.
const ENGINES: &[&str] = &[
    "podman",
    "conmon",
    "crun",
    "runc",
    "passt",
    "containerd",
    "docker.io",
];

/// An ordinary user with ids for a user namespace, for what is done by one. The devices are open to all users in every system
/// with udev, which is not here.
const USER: &str = r#"chroot "$1" useradd --create-home --shell /bin/sh rootless"#;
const DEVICES: &str = "z /dev/net/tun 0666 - - -\nz /dev/fuse 0666 - - -\n";

/// Unpacks the kernel that the empty package `linux-image-cloud-amd64` stands for. It is not installed, because its
/// dependencies would make an initramfs: the disk's driver is built in, so that none is needed.
const KERNEL: &str = r#"set -e
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
work=$(mktemp -d)
cd "$work"
apt-cache depends --important linux-image-cloud-amd64 | while read -r relation package; do
    if [ "$relation" = Depends: ]; then apt-get -qq -o APT::Sandbox::User=root download "$package"; fi
done
dpkg-deb --extract linux-image-*.deb "$1"
chroot "$1" depmod "$(ls "$1/usr/lib/modules")"
rm -r "$work""#;

/// What to leave out of every package.
const LEFT_OUT: &[&str] = &[
    "/usr/share/man/*",
    "/usr/share/doc/*",
    "/usr/share/locale/*",
];

/// The one thing that is done after the boot. It starts when the system is up, owns the serial port, and takes the
/// machine down with it.
const UNIT: &str = "\
[Unit]
Description=What the second disk says
Requires=dbus.socket
After=dbus.socket
SuccessAction=poweroff-immediate
FailureAction=poweroff-immediate

[Service]
Type=exec
TTYPath=/dev/ttyS0
StandardInput=tty-force
StandardOutput=tty
StandardError=tty
Environment=HOME=/root TERM=dumb
ExecStartPre=/sbin/modprobe virtio_blk
ExecStartPre=/bin/sh -c 'mkdir -p /payload && tar -C /payload -xf /dev/vda'
ExecStart=/bin/sh /payload/run.sh
TimeoutStartSec=infinity
";

const FILES: &[(&str, &str)] = &[
    ("etc/systemd/system/payload.service", UNIT),
    ("etc/machine-id", "6f63692d72756e74696d652d6775657374\n"),
    ("etc/hostname", "guest\n"),
    ("etc/fstab", ""),
    ("etc/tmpfiles.d/devices.conf", DEVICES),
];

/// Units that only cost time in a machine that lives for minutes.
const MASKED: &[&str] = &[
    "ldconfig.service",
    "systemd-binfmt.service",
    "systemd-firstboot.service",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-journal-flush.service",
    "systemd-machine-id-commit.service",
    "systemd-network-generator.service",
    "systemd-pcrmachine.service",
    "systemd-pstore.service",
    "systemd-random-seed.service",
    "systemd-sysusers.service",
    "systemd-tpm2-setup-early.service",
    "systemd-tpm2-setup.service",
    "systemd-update-done.service",
];

/// The size of the disk in bytes; the file is sparse.
const SIZE: u64 = 4 << 30;

/// Makes the kernel and the root disk in `directory`, unless those of the same recipe are there.
pub fn make_unless_kept(directory: &Path, disks: &Disks) -> Result<()> {
    let kept = directory.join("recipe");
    let recipe = recipe();
    if fs::read_to_string(&kept).is_ok_and(|text| text == recipe) {
        return Ok(());
    }
    println!("making the guest's root file system (once, from the network)");
    let root = directory.join("root");
    // A recipe without its image must not be taken for one with it.
    match fs::remove_file(&kept) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(io_error("remove", kept)(error));
        }
        _ => {}
    }
    replace(&root)?;
    bootstrap(&root)?;
    adapt(&root)?;
    let versions = directory.join("versions");
    fs::write(&versions, engines(&root)?).map_err(io_error("write", &versions))?;
    take_kernel(&root, &disks.kernel)?;
    disk(&root, &disks.root)?;
    fs::remove_dir_all(&root).map_err(io_error("remove", &root))?;
    fs::write(&kept, recipe).map_err(io_error("write", &kept))
}

fn recipe() -> String {
    let files = FILES.iter().map(|(name, text)| format!("{name}\n{text}"));
    let lists = [PACKAGES, LEFT_OUT, MASKED].map(|list| list.join(" "));
    let hooks = [KERNEL, USER].map(str::to_owned);
    let parts = [SUITE.to_owned(), SIZE.to_string()]
        .into_iter()
        .chain(hooks);
    let parts = parts.chain(lists).chain(files);
    parts.collect::<Vec<_>>().join("\n")
}

fn bootstrap(root: &Path) -> Result<()> {
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--quiet", "--variant=essential", "--mode=root"])
        .arg("--aptopt=APT::Install-Recommends \"false\"")
        .args(
            LEFT_OUT
                .iter()
                .map(|path| format!("--dpkgopt=path-exclude={path}")),
        )
        .arg(format!("--include={}", PACKAGES.join(",")))
        .arg(format!("--customize-hook={KERNEL}"))
        .arg(format!("--customize-hook={USER}"))
        .arg(SUITE)
        .arg(root);
    check(&mut command)
}

/// A line for each engine's package and its version.
fn engines(root: &Path) -> Result<String> {
    let mut command = Command::new("dpkg-query");
    command.arg(format!("--admindir={}/var/lib/dpkg", root.display()));
    command.args(["--show", "--showformat=${Package} ${Version}\\n"]);
    read(command.args(ENGINES))
}

/// From a system that a person would install to one that runs the payload.
fn adapt(root: &Path) -> Result<()> {
    for (name, text) in FILES {
        let path = root.join(name);
        fs::write(&path, text).map_err(io_error("write", &path))?;
    }
    for name in MASKED {
        let path = root.join("etc/systemd/system").join(name);
        symlink("/dev/null", &path).map_err(io_error("link", &path))?;
    }
    // systemd asks whether /usr is newer than these, and would do all its first-time work.
    for name in ["etc/.updated", "var/.updated"] {
        let path = root.join(name);
        fs::write(&path, "").map_err(io_error("write", &path))?;
    }
    without_profiles(&root.join("etc/apparmor.d"))
}

/// Compiling Debian's profiles would take longer than the boot. What they include stays, for those that tests bring.
fn without_profiles(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory).map_err(io_error("read", directory))? {
        let path = entry.map_err(io_error("read", directory))?.path();
        if path.is_file() {
            fs::remove_file(&path).map_err(io_error("remove", &path))?;
        }
    }
    Ok(())
}

fn take_kernel(root: &Path, kernel: &Path) -> Result<()> {
    let boot = root.join("boot");
    for entry in fs::read_dir(&boot).map_err(io_error("read", &boot))? {
        let path = entry.map_err(io_error("read", &boot))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("vmlinuz-") {
            return fs::copy(&path, kernel)
                .map(drop)
                .map_err(io_error("copy", &path));
        }
    }
    Err(Error::Unexpected {
        what: "a kernel in the unpacked package".to_owned(),
        found: format!("none in {}", boot.display()),
    })
}

fn disk(root: &Path, disk: &Path) -> Result<()> {
    let file = fs::File::create(disk).map_err(io_error("make", disk))?;
    file.set_len(SIZE).map_err(io_error("size", disk))?;
    let mut command = Command::new("/sbin/mke2fs");
    command.args(["-q", "-t", "ext4", "-d"]);
    check(command.arg(root).arg(disk))
}
