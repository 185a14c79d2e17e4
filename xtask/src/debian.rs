//! What the commands need from Debian, and how it gets there: packages that are installed already cost one `dpkg-query`
//! and no network; package lists are fetched only when an installation fails without.

use std::process::{Command, Stdio};

use crate::command::{read, spawn_error};
use crate::error::{Error, Result};
use crate::workspace::need_root;

/// A package and what it is for.
pub struct Package {
    pub name: &'static str,
    pub why: &'static str,
}

/// What `build` needs.
pub const BUILD: &[Package] = &[
    Package {
        name: "gcc",
        why: "links the binary, compiles the bench's limit",
    },
    Package {
        name: "libc6-dev",
        why: "the static C library",
    },
];

/// What `demo` needs besides.
pub const DEMO: &[Package] = &[Package {
    name: "busybox-static",
    why: "the programs of the root file system",
}];

/// What `test` and `bench` need besides.
pub const TEST: &[Package] = &[
    Package {
        name: "busybox-static",
        why: "the programs of the root file systems",
    },
    Package {
        name: "binutils",
        why: "readelf on the embedded init",
    },
    Package {
        name: "runc",
        why: "the behaviour to agree with",
    },
    Package {
        name: "crun",
        why: "the runtime to be faster than",
    },
    Package {
        name: "containerd",
        why: "the engine above us",
    },
    Package {
        name: "containernetworking-plugins",
        why: "networks of its pods",
    },
    Package {
        name: "protobuf-compiler",
        why: "writes and reads the messages of Kubernetes' interface to it",
    },
    Package {
        name: "curl",
        why: "carries them",
    },
    Package {
        name: "docker.io",
        why: "another engine above us",
    },
    Package {
        name: "docker-compose",
        why: "drives several of its containers",
    },
    Package {
        name: "podman",
        why: "one more engine above us",
    },
    Package {
        name: "buildah",
        why: "builds with us",
    },
    Package {
        name: "catatonit",
        why: "the first process of podman's pods",
    },
    Package {
        name: "umoci",
        why: "makes OCI images",
    },
    Package {
        name: "skopeo",
        why: "copies OCI images",
    },
    Package {
        name: "debootstrap",
        why: "makes a Debian root file system",
    },
    Package {
        name: "strace",
        why: "counts system calls",
    },
    Package {
        name: "jq",
        why: "edits config.json in tests",
    },
    Package {
        name: "iproute2",
        why: "makes network namespaces",
    },
    Package {
        name: "libseccomp-dev",
        why: "the filter compiler to agree with",
    },
    Package {
        name: "pkg-config",
        why: "finds libseccomp",
    },
    Package {
        name: "ca-certificates",
        why: "lets cargo and debootstrap fetch",
    },
];

/// What `conformance` needs: Go, what the validation suite imports, and tools to fetch it with.
pub const CONFORMANCE: &[Package] = &[
    Package {
        name: "golang-go",
        why: "builds the validation suite",
    },
    Package {
        name: "golang-github-opencontainers-runtime-tools-dev",
        why: "depends on what the validation suite imports",
    },
    Package {
        name: "golang-github-google-uuid-dev",
        why: "is imported by the validation suite",
    },
    Package {
        name: "debian-archive-keyring",
        why: "verifies its source",
    },
    Package {
        name: "xz-utils",
        why: "unpacks its source",
    },
];

/// Installs what is missing of `packages`; needs root and network only when something is.
pub fn install(packages: &[&[Package]]) -> Result<()> {
    let missing = missing(packages)?;
    if missing.is_empty() {
        return Ok(());
    }
    for package in &missing {
        println!("installing {} ({})", package.name, package.why);
    }
    let names: Vec<String> = missing
        .iter()
        .map(|package| package.name.to_owned())
        .collect();
    need_root("install Debian packages")
        .and_then(|()| apt_get_install(&names))
        .map_err(|error| Error::Packages {
            missing: names,
            reason: error.to_string(),
        })
}

/// The packages that are not installed, in the order of the tables.
fn missing<'a>(packages: &[&'a [Package]]) -> Result<Vec<&'a Package>> {
    let wanted = || packages.iter().flat_map(|table| table.iter());
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status} ${Package}\n"]);
    query
        .args(wanted().map(|package| package.name))
        .stdin(Stdio::null());
    // dpkg-query exits with 1 when it does not know a package, and still lists the others.
    let output = query.output().map_err(spawn_error(&query))?;
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut missing: Vec<&Package> = Vec::new();
    for package in wanted() {
        let installed = listed
            .lines()
            .any(|line| line.split_once(' ') == Some(("installed", package.name)));
        if !installed && !missing.iter().any(|other| other.name == package.name) {
            missing.push(package);
        }
    }
    Ok(missing)
}

fn apt_get_install(names: &[String]) -> Result<()> {
    let install = || {
        let mut command = apt_get();
        command
            .args(["install", "-y", "--no-install-recommends"])
            .args(names);
        read(&mut command)
    };
    if install().is_ok() {
        return Ok(());
    }
    println!("fetching the package lists");
    read(apt_get().arg("update"))?;
    install().map(drop)
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq");
    command
}
