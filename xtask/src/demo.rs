//! `cargo xtask demo`: from nothing to a container and back, one verb at a time, on a bundle that the reader keeps.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::command::{failed, line, read, spawn_error, timed};
use crate::error::{Error, Result, io_error};
use crate::supervise::supervised;
use crate::{build, debian, rootfs, workspace};

pub const HELP: &str = "\
Usage: cargo xtask demo

Installs what it needs from Debian (busybox-static, and gcc and libc6-dev to build), builds ocirun, makes a
bundle in target/demo, prints its plan, and takes a container through create, state, start, exec, kill and
delete, with the time of each. Needs root. May be interrupted and repeated; the bundle stays for your own trials.

OCIRUN=/absolute/path in the environment shows another binary instead of building one.
";

const ID: &str = "ocirun-demo";

/// What the container runs: it says who it is, then waits until it is asked to end.
const PROGRAM: &str = r#"["sh", "-c", "trap 'echo bye; exit 0' TERM; echo hello from pid $$ on $(hostname); sleep 1000 & wait"]"#;

pub fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    if let Some(argument) = lexopt::Parser::from_args(arguments.clone()).next()? {
        return Err(argument.unexpected().into());
    }
    workspace::need_root(
        "make containers with all their namespaces and cgroups: sudo cargo xtask demo",
    )?;
    supervised("demo", arguments, |_| demo(), remove_container)
}

fn demo() -> Result<ExitCode> {
    debian::install(&[debian::BUILD, debian::DEMO])?;
    heading("build");
    let (ocirun, took) = binary()?;
    println!("{}  ({:.1} s)", short(&ocirun), took.as_secs_f64());
    remove_container();
    heading("bundle");
    let bundle = bundle(&ocirun)?;
    heading("plan: what will be done, step by step; nothing is done yet");
    let (plan, took) = timed(
        Command::new(&ocirun)
            .arg("plan")
            .arg("--bundle")
            .arg(&bundle),
    )?;
    println!("{}\n({})", plan.trim_end(), milliseconds(took));
    lifecycle(&ocirun, &bundle)?;
    offer(&ocirun, &bundle)?;
    Ok(ExitCode::SUCCESS)
}

fn binary() -> Result<(PathBuf, Duration)> {
    let start = Instant::now();
    let path = match std::env::var_os("OCIRUN") {
        Some(path) => path.into(),
        None => build::build()?,
    };
    Ok((path, start.elapsed()))
}

/// target/demo: a root file system, and the default config.json with another program and no terminal.
fn bundle(ocirun: &Path) -> Result<PathBuf> {
    let bundle = bundle_path();
    rootfs::replace(&bundle)?;
    rootfs::make(&bundle.join("rootfs"))?;
    read(Command::new(ocirun).arg("spec").current_dir(&bundle))?;
    edit_config(&bundle, PROGRAM, false)?;
    println!(
        "{}: rootfs/ (busybox), config.json (from `ocirun spec`)",
        short(&bundle)
    );
    Ok(bundle)
}

fn bundle_path() -> PathBuf {
    workspace::target().join("demo")
}

/// Replaces `process.args` and `process.terminal`, the first of their names in what `ocirun spec` writes.
fn edit_config(bundle: &Path, args: &str, terminal: bool) -> Result<()> {
    let path = bundle.join("config.json");
    let text = fs::read_to_string(&path).map_err(io_error("read", &path))?;
    let terminal = terminal.to_string();
    let edited = replace_value(&text, "args", args)
        .and_then(|text| replace_value(&text, "terminal", &terminal));
    let edited = edited.ok_or_else(|| Error::Unexpected {
        what: format!(
            "{} has no process.args or no process.terminal",
            path.display()
        ),
        found: text,
    })?;
    fs::write(&path, edited).map_err(io_error("write", &path))
}

/// `text` with another value for the first member of this name: a list of strings or a word.
fn replace_value(text: &str, name: &str, value: &str) -> Option<String> {
    let key = format!("\"{name}\":");
    let key_end = text.find(&key)? + key.len();
    let start = key_end + text[key_end..].find(|c: char| !c.is_whitespace())?;
    let length = match text[start..].starts_with('[') {
        true => list_end(&text[start..])?,
        false => text[start..].find([',', '\n', '}'])?,
    };
    Some([&text[..start], value, &text[start + length..]].concat())
}

/// Past the bracket that closes the list at the start of `text`, and not one in a string.
fn list_end(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ']' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn lifecycle(ocirun: &Path, bundle: &Path) -> Result<()> {
    let log = bundle.join("output");
    let verb = |arguments: &[&str]| {
        let mut command = Command::new(ocirun);
        command.args(arguments);
        command
    };
    heading("create: everything is set up; the first process waits before its program");
    create(verb(&["create", "--bundle"]).arg(bundle).arg(ID), &log)?;
    heading("state");
    show(&mut verb(&["state", ID]))?;
    heading("start");
    show(&mut verb(&["start", ID]))?;
    wait_until("the program's greeting", || {
        Ok(output(&log)?.contains("hello"))
    })?;
    print!("{}", output(&log)?);
    heading("exec: another process in the same namespaces");
    show(&mut verb(&["exec", ID, "ps", "-o", "pid,user,args"]))?;
    heading("kill: TERM, on which the program says good-bye and ends");
    show(&mut verb(&["kill", ID, "TERM"]))?;
    wait_until("the end of the program", || {
        Ok(read(&mut verb(&["state", ID]))?.contains("\"stopped\""))
    })?;
    print!(
        "{}",
        output(&log)?
            .split_inclusive('\n')
            .skip(1)
            .collect::<String>()
    );
    heading("delete");
    show(&mut verb(&["delete", ID]))?;
    let gone = verb(&["state", ID]).stdin(Stdio::null()).output();
    let gone = gone.map_err(spawn_error(&verb(&["state", ID])))?;
    if gone.status.success() {
        return Err(Error::Unexpected {
            what: "the container is still there".into(),
            found: format!("{gone:?}"),
        });
    }
    println!(
        "state now says: {}",
        String::from_utf8_lossy(&gone.stderr).trim_end()
    );
    Ok(())
}

/// The container keeps the output of `create`, so that goes to a file; what create itself says is in it on failure.
fn create(command: &mut Command, log: &Path) -> Result<()> {
    let file = fs::File::create(log).map_err(io_error("make", log))?;
    let copy = file.try_clone().map_err(io_error("open", log))?;
    let start = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(copy)
        .status()
        .map_err(spawn_error(command))?;
    let took = start.elapsed();
    if !status.success() {
        return Err(Error::Failed {
            command: line(command),
            status,
            output: output(log)?,
        });
    }
    println!("$ {}  ({})", line(command), milliseconds(took));
    Ok(())
}

/// Runs a verb and shows the command line, its time, and what it said.
fn show(command: &mut Command) -> Result<()> {
    let start = Instant::now();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(spawn_error(command))?;
    let took = start.elapsed();
    if !output.status.success() {
        return Err(failed(command, &output));
    }
    println!("$ {}  ({})", line(command), milliseconds(took));
    let text = String::from_utf8_lossy(&output.stdout);
    if !text.is_empty() {
        println!("{}", text.trim_end());
    }
    Ok(())
}

fn output(log: &Path) -> Result<String> {
    fs::read_to_string(log).map_err(io_error("read", log))
}

fn wait_until(what: &str, done: impl Fn() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !done()? {
        if start.elapsed() > Duration::from_secs(10) {
            return Err(Error::Unexpected {
                what: format!("waited 10 s for {what}"),
                found: "nothing".into(),
            });
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Leaves the bundle with a shell in it.
fn offer(ocirun: &Path, bundle: &Path) -> Result<()> {
    edit_config(bundle, r#"["sh"]"#, true)?;
    heading("your turn, as root and in this directory: the bundle now runs a shell");
    let (ocirun, bundle) = (short(ocirun), short(bundle));
    for (command, what) in [
        (
            format!("run --bundle {bundle} mine"),
            "a shell in a container; `exit` ends it".to_owned(),
        ),
        (
            "exec mine ps".to_owned(),
            "meanwhile, in a second terminal".to_owned(),
        ),
        ("list".to_owned(), "what there is".to_owned()),
        (
            format!("plan --bundle {bundle}"),
            format!("change {bundle}/config.json and see what changes"),
        ),
    ] {
        println!("  {ocirun} {command}\n      # {what}");
    }
    Ok(())
}

/// Whatever an earlier run left, and however far this one got.
fn remove_container() {
    let ocirun = std::env::var_os("OCIRUN").map_or_else(workspace::ocirun, Into::into);
    if ocirun.exists() {
        // Deleting by force what is not there is no error; anything else will show when `create` finds the id in use.
        let _ = read(Command::new(ocirun).args(["delete", "--force", ID]));
    }
}

fn heading(text: &str) {
    println!("\n== {text}");
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

/// Relative to the workspace where it is below.
fn short(path: &Path) -> String {
    path.strip_prefix(workspace::root())
        .unwrap_or(path)
        .display()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_replaced_in_place() {
        let text =
            "{\n  \"terminal\": true,\n  \"args\": [\n    \"a]\\\"\"\n  ],\n  \"cwd\": \"/\"\n}";
        let edited = replace_value(text, "args", "[\"b\"]")
            .and_then(|t| replace_value(&t, "terminal", "false"));
        assert_eq!(
            edited.as_deref(),
            Some("{\n  \"terminal\": false,\n  \"args\": [\"b\"],\n  \"cwd\": \"/\"\n}")
        );
        assert_eq!(replace_value(text, "missing", "1"), None);
    }
}
