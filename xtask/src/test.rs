//! `cargo xtask test`: every check that has to pass, as a table of steps, and at the end one line that counts them.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use crate::command::spawn_error;
use crate::error::{Error, Result};
use crate::tally::{Tally, test_result};
use crate::{build, conformance, debian, source, vm, workspace};

pub const HELP: &str = "\
Usage: cargo xtask test [--only STEP]... [--no-install]

Runs every check that has to pass, all of them even when one fails, and ends with one line that counts.

  --only STEP    only this step (may be given more than once):
                 install fmt lengths circles clippy build demo unit integration conformance vm package
  --no-install   do not install Debian packages that are missing

Installing needs root and, when a package is missing, network. The integration tests need root and the
release binary; another runtime is tested instead when OCIRUN=/its/absolute/path is set.
";

struct Step {
    name: &'static str,
    says: &'static str,
    run: fn() -> Result<Tally>,
}

const STEPS: &[Step] = &[
    Step {
        name: "install",
        says: "the Debian packages that the tests need",
        run: install,
    },
    Step {
        name: "fmt",
        says: "rustfmt changes nothing, in the freestanding program neither",
        run: format,
    },
    Step {
        name: "lengths",
        says: "no file over 500 lines without its tests",
        run: lengths,
    },
    Step {
        name: "circles",
        says: "no file imports in a circle",
        run: circles,
    },
    Step {
        name: "clippy",
        says: "cargo clippy, warnings are errors",
        run: clippy,
    },
    Step {
        name: "build",
        says: "the static release binary",
        run: release,
    },
    Step {
        name: "demo",
        says: "the README's other command",
        run: demo,
    },
    Step {
        name: "unit",
        says: "unit, golden, property and documentation tests",
        run: unit,
    },
    Step {
        name: "integration",
        says: "the release binary on this kernel",
        run: integration,
    },
    Step {
        name: "conformance",
        says: "the validation suite of the OCI runtime-tools, as far as it is expected to pass",
        run: conformance::test,
    },
    Step {
        name: "vm",
        says: "the tests of cgroup v2, systemd and security modules, in a guest that has them",
        run: vm::step,
    },
    Step {
        name: "package",
        says: "cargo package of the library and what it is made of",
        run: package,
    },
];

/// The freestanding program is no module of a package, so cargo does not know its files.
fn format() -> Result<Tally> {
    let mut tally = once(cargo(&["fmt", "--all", "--check"]))?;
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--check", "--edition", "2024", "crates/init/stage/main.rs"]);
    rustfmt.current_dir(workspace::root());
    tally += once(rustfmt)?;
    Ok(tally)
}

fn demo() -> Result<Tally> {
    once(cargo(&["xtask", "demo"]))
}

/// What is published, dependencies first.
const PUBLISHED: &[&str] = &[
    "oci-runtime-init",
    "oci-runtime-seccomp",
    "oci-runtime-cgroups",
    "oci-runtime",
    "oci-runtime-bin",
];

pub fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let steps = parse(arguments)?;
    let of_root = ["integration", "conformance"];
    if steps.iter().any(|step| of_root.contains(&step.name)) {
        workspace::need_root(
            "make containers (steps that need no root: --only fmt, clippy, unit, ...)",
        )?;
    }
    let mut total = Tally::default();
    let mut failures = Vec::new();
    for step in steps {
        println!("\n==> {}: {}", step.name, step.says);
        let start = Instant::now();
        let tally = (step.run)().unwrap_or_else(|error| {
            println!("{error}");
            Tally {
                failed: 1,
                ..Tally::default()
            }
        });
        if tally.failed > 0 {
            failures.push(step.name);
        }
        println!(
            "==> {}: {} in {:.1} s",
            step.name,
            tally.text(),
            start.elapsed().as_secs_f64()
        );
        total += tally;
    }
    if !failures.is_empty() {
        println!("\nfailed: {}", failures.join(" "));
    }
    println!("\nxtask test: {}", total.text());
    Ok(if total.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn parse(arguments: Vec<OsString>) -> Result<Vec<&'static Step>> {
    let mut only: Vec<&'static Step> = Vec::new();
    let mut without_install = false;
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("no-install") => without_install = true,
            lexopt::Arg::Long("only") => {
                let value = parser.value()?.to_string_lossy().into_owned();
                let known = || {
                    STEPS
                        .iter()
                        .map(|step| step.name)
                        .collect::<Vec<_>>()
                        .join(" ")
                };
                let step = STEPS.iter().find(|step| step.name == value);
                only.push(step.ok_or_else(|| Error::UnknownValue {
                    option: "--only",
                    value,
                    known: known(),
                })?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let wanted = |step: &&Step| {
        (only.is_empty() || only.iter().any(|one| one.name == step.name))
            && !(without_install && step.name == "install")
    };
    Ok(STEPS.iter().filter(wanted).collect())
}

fn install() -> Result<Tally> {
    debian::install(&[vm::HOST, debian::BUILD, debian::TEST]).map(|()| Tally {
        passed: 1,
        ..Tally::default()
    })
}

fn lengths() -> Result<Tally> {
    source::too_long(&workspace::root()).map(report)
}

fn circles() -> Result<Tally> {
    source::circles(&workspace::root()).map(report)
}

/// One test, which passes when there are no problems.
fn report(problems: Vec<String>) -> Tally {
    for problem in &problems {
        println!("{problem}");
    }
    match problems.len() as u64 {
        0 => Tally {
            passed: 1,
            ..Tally::default()
        },
        failed => Tally {
            failed,
            ..Tally::default()
        },
    }
}

fn clippy() -> Result<Tally> {
    once(cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

fn release() -> Result<Tally> {
    build::build().map(|_| Tally {
        passed: 1,
        ..Tally::default()
    })
}

fn unit() -> Result<Tally> {
    tests(cargo(&[
        "test",
        "--workspace",
        "--exclude",
        "oci-runtime-integration",
        "--no-fail-fast",
    ]))
}

fn integration() -> Result<Tally> {
    let binary = std::env::var_os("OCIRUN").map_or_else(workspace::ocirun, Into::into);
    build::need_built(&binary)?;
    let mut command = cargo(&[
        "test",
        "-p",
        "oci-runtime-integration",
        "--no-fail-fast",
        "--",
        "--test-threads=2",
    ]);
    command.env("OCIRUN", binary);
    tests(command)
}

/// On a work tree with changes of one's own `cargo package` would refuse; where the tree has to be as committed it may.
fn package() -> Result<Tally> {
    forget_unpacked();
    // What is built from there is kept just as long.
    let built = workspace::target().join("packages");
    let _ = std::fs::remove_dir_all(&built);
    let mut command = cargo(&["package", "--target-dir"]);
    command.arg(&built);
    for name in PUBLISHED {
        command.args(["-p", name]);
    }
    if std::env::var_os("CI").is_none() {
        command.arg("--allow-dirty");
    }
    once(command)
}

/// Packages that depend on one another are verified through a registry that cargo makes for the moment; but it keeps what it
/// has unpacked from there, by name and version, and would compare this version of ours with an earlier state of it.
fn forget_unpacked() {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let registries = home.and_then(|home| std::fs::read_dir(home.join("registry/src")).ok());
    for registry in registries.into_iter().flatten().flatten() {
        // Registries that are directories have no host in their names.
        if !registry.file_name().as_encoded_bytes().starts_with(b"-") {
            continue;
        }
        for name in PUBLISHED {
            let unpacked = format!("{name}-{}", env!("CARGO_PKG_VERSION"));
            // One that is not there is as good.
            let _ = std::fs::remove_dir_all(registry.path().join(unpacked));
        }
    }
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(workspace::cargo());
    command
        .current_dir(workspace::root())
        .args(arguments)
        .stdin(Stdio::null());
    command
}

/// A command that is one test.
fn once(mut command: Command) -> Result<Tally> {
    let status = command.status().map_err(spawn_error(&command))?;
    Ok(Tally {
        passed: status.success().into(),
        failed: (!status.success()).into(),
        skipped: 0,
    })
}

/// A `cargo test`: its `test result:` lines are summed up. Failing without a failed test (it does not build, a test
/// program died) is a failure too.
fn tests(mut command: Command) -> Result<Tally> {
    command.stdout(Stdio::piped());
    let mut child = command.spawn().map_err(spawn_error(&command))?;
    let mut total = Tally::default();
    for line in child
        .stdout
        .take()
        .into_iter()
        .flat_map(|stdout| BufReader::new(stdout).split(b'\n'))
    {
        let Ok(line) = line else { break };
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        total += test_result(&line).unwrap_or_default();
    }
    let status = child.wait().map_err(spawn_error(&command))?;
    if !status.success() && total.failed == 0 {
        total.failed = 1;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_counted_and_others_are_not() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s";
        assert_eq!(
            test_result(line),
            Some(Tally {
                passed: 12,
                failed: 3,
                skipped: 1
            })
        );
        assert_eq!(test_result("test lower::order ... ok"), None);
        assert_eq!(test_result("test result: ok"), None);
    }

    #[test]
    fn a_test_program_that_dies_is_a_failure() {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "echo 'test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured'; kill -9 $$",
        ]);
        assert_eq!(
            tests(command).unwrap(),
            Tally {
                passed: 2,
                failed: 1,
                skipped: 0
            }
        );
    }

    #[test]
    fn only_takes_known_steps() {
        let names = |arguments: &[&str]| -> Result<Vec<&str>> {
            Ok(parse(arguments.iter().map(OsString::from).collect())?
                .iter()
                .map(|step| step.name)
                .collect())
        };
        assert_eq!(
            names(&["--only", "fmt", "--only=unit"]).unwrap(),
            ["fmt", "unit"]
        );
        assert_eq!(names(&["--no-install"]).unwrap().len(), STEPS.len() - 1);
        assert!(names(&["--only", "nothing"]).is_err());
    }
}
