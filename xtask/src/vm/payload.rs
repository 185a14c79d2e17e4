//! What the guest is given: the release binary, the test executables and a script, packed by tar onto a disk of their own.
//! The executables are dynamic; they may be built against an older C library than the guest's, never a newer one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::guest::END;
use crate::command::{check, line, read, spawn_error};
use crate::error::{Error, Result, io_error};
use crate::workspace;

/// The packages whose tests need a kernel.
const TESTED: &[&str] = &["oci-runtime-cgroups", "oci-runtime-integration"];

/// Tests that cannot be in a guest: they fetch a Debian over the network.
const LEFT_OUT: &[&str] = &["debian_"];

/// The script's beginning. The guest's /tmp is a tmpfs without device nodes, which no test wants to know about.
const ENVIRONMENT: &str = "\
cd /payload
export OCIRUN=/payload/ocirun CARGO_TARGET_DIR=/payload/target TMPDIR=/payload/tmp
export OCI_TIME_FACTOR=10 PATH=/usr/sbin:/usr/bin:/sbin:/bin
mkdir -p target tmp
";

/// Waits until the serial port has sent everything.
const DRAIN: &str = "stty < /dev/ttyS0 > /dev/null\n";

struct Executable {
    name: String,
    path: PathBuf,
}

/// The binary that is tested.
pub fn ocirun() -> PathBuf {
    std::env::var_os("OCIRUN").map_or_else(workspace::ocirun, Into::into)
}

/// Builds the tests, and packs those that `filters` name (all where there are none) with a script that runs them.
pub fn tests(staging: &Path, archive: &Path, filters: &[String]) -> Result<()> {
    let executables = executables()?;
    let script = script(&executables, filters)?;
    pack(staging, archive, &executables, &script)
}

/// Packs a script that gives a shell to whoever sits before the terminal, and the tests to try.
pub fn shell(staging: &Path, archive: &Path) -> Result<()> {
    let terminal = terminal(&host_terminal());
    let script = format!("{ENVIRONMENT}{terminal}bash -i\n{DRAIN}exit 0\n");
    pack(staging, archive, &executables()?, &script)
}

/// What stty(1) and the environment say of our own terminal: rows, columns, kind. A serial port knows nothing of the one behind it.
fn host_terminal() -> String {
    let mut stty = Command::new("stty");
    stty.arg("size").stdin(Stdio::inherit());
    let size = stty.output();
    let size = size.map(|output| output.stdout).unwrap_or_default();
    let kind = std::env::var("TERM").unwrap_or_default();
    format!("{} {kind}", String::from_utf8_lossy(&size).trim())
}

/// Lines that tell it to the guest's, if it is all there.
fn terminal(words: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-+.".contains(c);
    match words.split(' ').collect::<Vec<_>>()[..] {
        [rows, columns, kind]
            if [rows, columns, kind]
                .iter()
                .all(|word| !word.is_empty() && word.chars().all(plain)) =>
        {
            format!("stty rows {rows} cols {columns}\nexport TERM={kind}\n")
        }
        _ => String::new(),
    }
}

/// Lines that run each wanted executable once for each filter, and count those that fail.
fn script(executables: &[Executable], filters: &[String]) -> Result<String> {
    let mut lines = format!("{ENVIRONMENT}failed=0\n");
    let skip: String = LEFT_OUT
        .iter()
        .map(|name| format!(" --skip {name}"))
        .collect();
    let mut run = |name: &str, tests: &str| {
        lines += &format!(
            "echo; echo '==> {name} {tests}'\n\
             setsid --wait ./{name} --test-threads=2{skip} {tests} < /dev/null 2>&1 || failed=$((failed + 1))\n"
        );
    };
    if filters.is_empty() {
        executables
            .iter()
            .for_each(|executable| run(&executable.name, ""));
    }
    for filter in filters {
        let (name, tests) = filter.split_once("::").unwrap_or((filter, ""));
        if !executables.iter().any(|executable| executable.name == name) {
            let names = executables.iter().map(|executable| executable.name.clone());
            return Err(Error::UnknownValue {
                option: "--only",
                value: filter.clone(),
                known: names.collect::<Vec<_>>().join(" "),
            });
        }
        run(name, tests);
    }
    Ok(format!("{lines}echo; echo \"{END}$failed\"\n{DRAIN}"))
}

/// Builds the tests; cargo says in JSON where they are. In the order of their names.
fn executables() -> Result<Vec<Executable>> {
    let mut cargo = Command::new(workspace::cargo());
    cargo.current_dir(workspace::root()).stdin(Stdio::null());
    cargo.args([
        "test",
        "--no-run",
        "--lib",
        "--tests",
        "--message-format=json-render-diagnostics",
    ]);
    cargo.args(TESTED.iter().flat_map(|name| ["--package", name]));
    let output = cargo
        .stderr(Stdio::inherit())
        .output()
        .map_err(spawn_error(&cargo))?;
    if !output.status.success() {
        // It has said why; the rest of its messages are for programs.
        return Err(Error::Failed {
            command: line(&cargo),
            status: output.status,
            output: String::new(),
        });
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut found: Vec<Executable> = text.lines().filter_map(executable).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The test executable that one message of cargo is about.
fn executable(message: &str) -> Option<Executable> {
    let message: Value = serde_json::from_str(message).ok()?;
    let path = message["executable"].as_str()?;
    message["profile"]["test"].as_bool()?.then_some(())?;
    Some(Executable {
        name: message["target"]["name"].as_str()?.to_owned(),
        path: path.into(),
    })
}

fn pack(staging: &Path, archive: &Path, executables: &[Executable], script: &str) -> Result<()> {
    for executable in executables {
        // What only a debugger wants is most of them.
        let mut strip = Command::new("strip");
        strip.args(["--strip-debug", "-o"]);
        strip.arg(staging.join(&executable.name));
        check(strip.arg(&executable.path))?;
    }
    let run = staging.join("run.sh");
    fs::write(&run, script).map_err(io_error("write", &run))?;
    let to = staging.join("ocirun");
    fs::copy(ocirun(), &to).map_err(io_error("copy ocirun to", &to))?;
    // A disk has whole sectors; tar's default of 20 blocks of 512 bytes does.
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(staging).arg("-cf").arg(archive).arg(".");
    read(&mut tar).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_test_executables_are_taken_from_cargo_s_messages() {
        let test = r#"{"target":{"name":"exec"},"profile":{"test":true},"executable":"/t/exec-1"}"#;
        let found = executable(test).unwrap();
        assert_eq!(
            (found.name.as_str(), found.path),
            ("exec", "/t/exec-1".into())
        );
        for other in [
            r#"{"target":{"name":"ocirun"},"profile":{"test":false},"executable":"/t/ocirun"}"#,
            r#"{"target":{"name":"serde"},"profile":{"test":false},"executable":null}"#,
            r#"{"reason":"build-finished","success":true}"#,
            "running",
        ] {
            assert!(executable(other).is_none(), "{other}");
        }
    }

    #[test]
    fn the_guest_s_terminal_is_like_ours_where_we_have_one() {
        let lines = "stty rows 24 cols 80\nexport TERM=xterm-256color\n";
        assert_eq!(terminal("24 80 xterm-256color"), lines);
        for words in ["", " ", "24 80 ", " dumb", "24 80 $(id)", "24 80 a b"] {
            assert_eq!(terminal(words), "", "{words}");
        }
    }

    #[test]
    fn filters_choose_executables_and_tests() {
        let executables = ["exec", "run"].map(|name| Executable {
            name: name.to_owned(),
            path: PathBuf::new(),
        });
        let runs = |filters: &[&str]| -> Result<Vec<String>> {
            let filters: Vec<String> = filters.iter().map(|f| (*f).to_owned()).collect();
            let text = script(&executables, &filters)?;
            let echoed = text
                .lines()
                .filter_map(|line| line.strip_prefix("echo; echo '==> "));
            Ok(echoed
                .map(|line| line.trim_end_matches([' ', '\'']).to_owned())
                .collect())
        };
        assert_eq!(runs(&[]).unwrap(), ["exec", "run"]);
        assert_eq!(
            runs(&["exec::stdin", "run"]).unwrap(),
            ["exec stdin", "run"]
        );
        assert!(runs(&["nothing"]).is_err());
    }
}
