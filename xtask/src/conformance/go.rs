//! Building the suite with Debian's Go and Debian's packages of what it imports; the one import that Debian has no package of,
//! a printer of the Test Anything Protocol, is `tap.go` here.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::read;
use crate::error::{Error, Result, io_error};

const PRINTER: &str = include_str!("tap.go");
/// Where Debian keeps the sources of Go packages.
const GOCODE: &str = "/usr/share/gocode";
const IMPORTED_AS: &str = "src/github.com/opencontainers/runtime-tools";
const PRINTER_AS: &str = "src/github.com/mndrix/tap-go";

/// The suite, ready to run: its programs expect to be started in the directory of its source.
pub struct Suite {
    pub source: PathBuf,
    programs: PathBuf,
}

impl Suite {
    /// The programs' names, in order; those that are wanted if any are named.
    pub fn programs(&self, only: &[String]) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.programs).map_err(io_error("read", &self.programs))?;
        let mut names: Vec<String> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        if let Some(value) = only.iter().find(|name| !names.contains(name)) {
            return Err(Error::UnknownValue {
                option: "--only",
                value: value.clone(),
                known: names.join(" "),
            });
        }
        names.retain(|name| only.is_empty() || only.contains(name));
        Ok(names)
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }
}

/// Builds what is not built, or was built with another printer.
pub fn build(source: PathBuf) -> Result<Suite> {
    let go = source.join("build");
    let suite = Suite {
        programs: go.join("programs"),
        source,
    };
    let built = go.join("built-with.go");
    if fs::read_to_string(&built).is_ok_and(|text| text == PRINTER) {
        return Ok(suite);
    }
    println!("building the validation suite");
    crate::rootfs::replace(&go)?;
    let (tools, printer) = (go.join(IMPORTED_AS), go.join(PRINTER_AS));
    for path in [&suite.programs, &printer, &parent(&tools)] {
        fs::create_dir_all(path).map_err(io_error("make", path))?;
    }
    symlink(&suite.source, &tools).map_err(io_error("link", &tools))?;
    let file = printer.join("tap.go");
    fs::write(&file, PRINTER).map_err(io_error("write", &file))?;
    // Its containers hold nothing but busybox: the program that looks around in them has to be static.
    let output = suite.source.join("runtimetest");
    read(go_build(&go).arg(&output).arg("./cmd/runtimetest"))?;
    read(
        go_build(&go)
            .arg(suite.programs.join(""))
            .arg("./validation/..."),
    )?;
    fs::write(&built, PRINTER).map_err(io_error("write", &built))?;
    Ok(suite)
}

fn go_build(go: &Path) -> Command {
    let mut command = Command::new("go");
    command
        .current_dir(go.join(IMPORTED_AS))
        .env("GO111MODULE", "off")
        .env("GOFLAGS", "")
        .env("CGO_ENABLED", "0")
        .env("GOCACHE", go.join("cache"))
        .env("GOPATH", format!("{}:{GOCODE}", go.display()))
        .env("PWD", go.join(IMPORTED_AS))
        .args(["build", "-o"]);
    command
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_path_buf()
}
