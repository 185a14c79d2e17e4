//! Running the suite's programs: several at a time (they mostly wait), each in a time limit, and what each made of its runtime.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::process::{Child, ExitStatus};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::go::Suite;
use super::runtime::{Place, Runtime};
use super::tap::{self, Said};
use crate::command::spawn_error;
use crate::error::{Error, Result, io_error};

const LIMIT: Duration = Duration::from_secs(300);
const AT_A_TIME: usize = 4;

/// These make their assertion by the exit status and say nothing when it holds.
const SILENT: &[&str] = &["process_capabilities_fail", "process_rlimits_fail"];

/// What a program made of its runtime.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    Passed,
    /// With what was said.
    Failed(String),
}

impl Verdict {
    pub fn passed(&self) -> bool {
        *self == Verdict::Passed
    }

    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Passed => "ok",
            Verdict::Failed(_) => "FAIL",
        }
    }
}

/// The verdicts of the programs on `runtime`, in their order.
pub fn run_all(suite: &Suite, runtime: &Runtime, names: &[String]) -> Result<Vec<Verdict>> {
    let place = runtime.prepare()?;
    let next = AtomicUsize::new(0);
    // All of these use the same cgroups.
    let cgroups = Mutex::new(());
    let verdicts = Mutex::new(Vec::new());
    let work = || {
        while let index = next.fetch_add(1, Ordering::Relaxed)
            && let Some(name) = names.get(index)
        {
            let alone = in_cgroups(name).then(|| cgroups.lock());
            let verdict = run(suite, &place, name);
            drop(alone);
            if let Ok(mut verdicts) = verdicts.lock() {
                verdicts.push((index, verdict));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(work);
        }
    });
    let mut verdicts = verdicts.into_inner().unwrap_or_default();
    place.tidy();
    verdicts.sort_by_key(|(index, _)| *index);
    verdicts.into_iter().map(|(_, verdict)| verdict).collect()
}

fn in_cgroups(name: &str) -> bool {
    name.starts_with("linux_cgroups_") || name.ends_with("_resources")
}

fn run(suite: &Suite, place: &Place, name: &str) -> Result<Verdict> {
    let output = |kind: &str| place.file(&format!("{name}.{kind}"));
    let create = |kind: &str| {
        let path = output(kind);
        File::create(&path).map_err(io_error("make", path))
    };
    let mut command = place.enter(&suite.program(name));
    command
        .current_dir(&suite.source)
        .env("RUNTIME", place.runtime())
        .env("TMPDIR", place.bundles())
        .stdout(create("tap")?)
        .stderr(create("err")?)
        .process_group(0);
    let mut child = command.spawn().map_err(spawn_error(&command))?;
    let status = wait(&mut child)?;
    let text = |kind: &str| {
        let path = output(kind);
        let bytes = fs::read(&path).map_err(io_error("read", path))?;
        Ok::<_, Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let (said, complaint) = (tap::parse(&text("tap")?), text("err")?);
    let verdict = judge(status, &said, SILENT.contains(&name));
    Ok(match verdict {
        Verdict::Failed(why) => Verdict::Failed(format!("{why}\n{complaint}")),
        Verdict::Passed => Verdict::Passed,
    })
}

/// The exit status, or nothing when the time was up and the program was killed.
fn wait(child: &mut Child) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        let ended = child
            .try_wait()
            .map_err(io_error("wait for", "a program of the suite"))?;
        if ended.is_some() {
            return Ok(ended);
        }
        thread::sleep(Duration::from_millis(20));
    }
    // It may have ended meanwhile.
    let _ = killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
    let _ = child.wait();
    Ok(None)
}

/// Some programs exit with 0 whatever they find; others end without a word where something fails that they do not test.
fn judge(status: Option<ExitStatus>, said: &Said, silent: bool) -> Verdict {
    let made = said.passed + said.failed.len();
    let failed = |why: String| Verdict::Failed(why);
    match status {
        None => failed(format!("not done after {} s", LIMIT.as_secs())),
        _ if !said.failed.is_empty() => failed(said.failed.join("\n")),
        Some(status) if !status.success() => failed(status.to_string()),
        _ if made == 0 && !said.errors.is_empty() => failed(said.errors.join("\n")),
        _ if silent && made == 0 => Verdict::Passed,
        _ => match said.planned {
            None => failed("no plan: it did not come to its end".to_owned()),
            Some(planned) if planned != made => {
                failed(format!("{planned} assertions planned, {made} made"))
            }
            Some(_) => Verdict::Passed,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn a_program_passes_by_its_end_and_its_words() {
        let judge = |code: i32, text: &str, silent: bool| {
            judge(
                Some(ExitStatus::from_raw(code << 8)),
                &tap::parse(text),
                silent,
            )
            .passed()
        };
        assert!(judge(0, "ok 1 - a\n1..1\n", false));
        assert!(judge(0, "1..0\n", false));
        assert!(judge(0, "", true));
        assert!(!judge(0, "", false));
        assert!(!judge(1, "ok 1 - a\n1..1\n", false));
        assert!(!judge(0, "ok 1 - a\n1..2\n", false));
        assert!(!judge(0, "not ok 1 - a\n1..1\n", false));
        assert!(!judge(
            0,
            "  ---\n  {\"error\":\"e\"}\n  ...\n1..0\n",
            false
        ));
    }

    #[test]
    fn time_runs_out_for_none() {
        assert!(!super::judge(None, &tap::parse("ok 1 - a\n1..1\n"), false).passed());
    }
}
