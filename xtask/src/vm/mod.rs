//! `cargo xtask vm`: the integration tests on a kernel and an init that this host may not have. A *guest* is a Debian with
//! systemd and cgroup v2 alone, booted by qemu. Its root file system is the [`image`], made
//! from Debian's packages once; what is tested comes in as the [`payload`], a tar archive on a second disk. The guest
//! writes to the first serial port and powers itself off; [`guest`] listens, and ends it when it takes too long.

mod guest;
mod image;
mod payload;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::debian::{self, Package};
use crate::error::{Error, Result};
use crate::rootfs::replace;
use crate::tally::Tally;
use crate::{build, workspace};

pub const HELP: &str = "\
Usage: cargo xtask vm [--only FILTER]... [--time-limit SECONDS] [--kvm] [--no-install]
       cargo xtask vm --shell [--kvm] [--no-install]

Boots a Debian with systemd and cgroup v2 in qemu and runs the integration tests of the release binary in it, as root.

  --only FILTER    only the tests of one executable, or some of them: cgroups, cgroups::memory
                   (may be given more than once)
  --time-limit S   end the guest after this many seconds; 1800 unless given
  --shell          no tests but a shell, in which /payload has everything; `exit` powers the guest off
  --kvm            use /dev/kvm; without it the processor is emulated, which works everywhere and is several times slower
  --no-install     do not install Debian packages that are missing

Needs root, cargo xtask build, and for the first time network: the root file system is made from Debian's packages and
kept in target/vm until their list changes. The tests that fetch a Debian (debian_...) are left out.
";

/// What the host needs.
pub const HOST: &[Package] = &[
    Package {
        name: "qemu-system-x86",
        why: "is the machine",
    },
    Package {
        name: "mmdebstrap",
        why: "makes the guest's root file system",
    },
    Package {
        name: "debian-archive-keyring",
        why: "says which packages are Debian's",
    },
    Package {
        name: "binutils",
        why: "strips the test executables",
    },
    Package {
        name: "e2fsprogs",
        why: "makes the guest's disk",
    },
];

/// What the arguments ask for.
struct Request {
    filters: Vec<String>,
    time_limit: Duration,
    accelerator: &'static str,
    shell: bool,
    install: bool,
}

/// What only the guest can tell, or tells otherwise than a host with v1 hierarchies: it takes minutes, and the whole suite would
/// take much longer.
const IN_TEST: &[&str] = &[
    "systemd",
    "cgroup_managers",
    "delegation",
    "cgroups",
    "limits",
    "update",
    "kernel",
    "labels",
    "pause",
    "process",
    "placement",
    "systemd_user",
    "podman_rootless::daily_use",
    "cri_systemd::every_pod",
    "docker::with_systemd_daily",
];

/// How long the guest may take as a step of `cargo xtask test`.
const TEST_LIMIT: Duration = Duration::from_secs(900);

/// The part of the tests that is a step of `cargo xtask test`.
pub fn step() -> Result<Tally> {
    workspace::need_root("make a file system with its owners")?;
    let request = Request {
        filters: IN_TEST.iter().map(|name| (*name).to_owned()).collect(),
        time_limit: TEST_LIMIT,
        accelerator: guest::TRANSLATOR,
        shell: false,
        install: false,
    };
    let (staging, disks) = prepare()?;
    test(&request, &staging, &disks)
}

pub fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let request = parse(arguments)?;
    workspace::need_root("make a file system with its owners")?;
    if request.install {
        debian::install(&[HOST])?;
    }
    let (staging, disks) = prepare()?;
    if request.shell {
        payload::shell(&staging, &disks.payload)?;
        return guest::interact(&disks, request.accelerator);
    }
    Ok(exit_code(test(&request, &staging, &disks)?))
}

/// Makes what the guest is started from, but for the payload; answers where that is put together.
fn prepare() -> Result<(PathBuf, guest::Disks)> {
    build::need_built(&payload::ocirun())?;
    guest::need_qemu()?;
    let directory = workspace::target().join("vm");
    let disks = guest::Disks {
        kernel: directory.join("vmlinuz"),
        root: directory.join("root.img"),
        payload: directory.join("payload.tar"),
    };
    image::make_unless_kept(&directory, &disks)?;
    let staging = directory.join("payload");
    replace(&staging)?;
    Ok((staging, disks))
}

fn test(request: &Request, staging: &Path, disks: &guest::Disks) -> Result<Tally> {
    payload::tests(staging, &disks.payload, &request.filters)?;
    let start = Instant::now();
    let tally = guest::listen(disks, request.accelerator, request.time_limit)?;
    println!(
        "\nxtask vm: {} in {:.1} s of the guest",
        tally.text(),
        start.elapsed().as_secs_f64()
    );
    Ok(tally)
}

fn exit_code(tally: Tally) -> ExitCode {
    match tally.failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn parse(arguments: Vec<OsString>) -> Result<Request> {
    let mut request = Request {
        filters: Vec::new(),
        time_limit: Duration::from_secs(1800),
        accelerator: guest::TRANSLATOR,
        shell: false,
        install: true,
    };
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("only") => {
                let filter = parser.value()?.to_string_lossy().into_owned();
                request.filters.push(check_filter(filter)?);
            }
            lexopt::Arg::Long("time-limit") => {
                use lexopt::ValueExt;
                request.time_limit = Duration::from_secs(parser.value()?.parse()?);
            }
            lexopt::Arg::Long("kvm") => request.accelerator = guest::KVM,
            lexopt::Arg::Long("shell") => request.shell = true,
            lexopt::Arg::Long("no-install") => request.install = false,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(request)
}

/// A filter becomes a word of the guest's script, and so may only be what a path of Rust is.
fn check_filter(filter: String) -> Result<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    match !filter.is_empty() && filter.chars().all(plain) {
        true => Ok(filter),
        false => Err(Error::UnknownValue {
            option: "--only",
            value: filter,
            known: "names of test executables, and paths of tests in them".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Request> {
        parse(arguments.iter().map(OsString::from).collect())
    }

    #[test]
    fn arguments_are_understood_or_refused() {
        let request = parsed(&["--only", "exec", "--only=cgroups::memory", "--time-limit=9"]);
        let request = request.unwrap();
        assert_eq!(request.filters, ["exec", "cgroups::memory"]);
        assert_eq!(request.time_limit, Duration::from_secs(9));
        assert!(request.install && !request.shell);
        assert_eq!(request.accelerator, guest::TRANSLATOR);
        let request = parsed(&["--shell", "--no-install", "--kvm"]).unwrap();
        assert!(request.shell && !request.install);
        assert_eq!(request.accelerator, guest::KVM);
        for bad in [
            "--only=",
            "--only=a b",
            "--only=$(id)",
            "--time-limit=x",
            "-x",
        ] {
            assert!(parsed(&[bad]).is_err(), "{bad}");
        }
    }
}
