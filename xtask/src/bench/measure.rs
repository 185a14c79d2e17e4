//! The measurements. What is timed is a program from `posix_spawn` to its end, by CLOCK_MONOTONIC, with its output to
//! /dev/null and nothing else done in between. The bench is the subreaper of the containers, as an engine's shim is, so
//! the end of a container is waited for, not polled.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::contender::{Contender, MOUNTS, Payload};
use super::statistics::slope;
use super::{host, watched};
use crate::command::line;
use crate::error::{Error, Result, io_error};

/// What is measured, in the order of the report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Subject {
    Run,
    Lifecycle,
    Exec,
    Mounts,
    Memory,
}

/// Results by contender, in their order.
pub enum Table {
    /// Seconds (of `Mounts`: for each mount): for every contender the rounds, all of the same number.
    Times {
        subject: Subject,
        columns: Vec<Vec<f64>>,
    },
    /// Of the waiting first process.
    Memory(Vec<Memory>),
}

/// Bytes.
#[derive(Clone, Copy)]
pub struct Memory {
    /// The most that was resident (VmHWM in proc_pid_status(5)).
    pub peak: u64,
    /// What is resident, shared pages counted in parts (Pss in proc_pid_smaps(5)).
    pub proportional: u64,
}

/// Nothing that is measured takes as long unless it hangs.
const LONGEST: Duration = Duration::from_secs(30);

/// So many rounds are repeated because somebody hung in them.
const REPEATED: usize = 10;

/// Not counted: caches fill, the kernel allocates.
const WARM_UP: usize = 3;

pub fn measure(
    subject: Subject,
    contenders: &[Contender],
    rounds: usize,
    pause: Duration,
) -> Result<Table> {
    let once: fn(&Contender) -> Result<f64> = match subject {
        Subject::Run => |contender| cleared(contender, time(contender, contender.run())),
        Subject::Lifecycle => |contender| cleared(contender, lifecycle(contender)),
        Subject::Exec => |contender| Ok(time(contender, contender.exec())?.as_secs_f64()),
        Subject::Mounts => each_mount,
        Subject::Memory => {
            return Ok(Table::Memory(
                contenders.iter().map(memory).collect::<Result<_>>()?,
            ));
        }
    };
    if subject == Subject::Exec {
        for contender in contenders {
            time(contender, contender.create(Payload::Stays))?;
            time(contender, contender.start())?;
        }
    }
    // A round of it is four containers, and thousands of mounts.
    let rounds = match subject {
        Subject::Mounts => rounds.div_ceil(5),
        _ => rounds,
    };
    let columns = in_rounds(once, contenders, rounds, pause);
    if subject == Subject::Exec {
        for contender in contenders {
            end(contender)?;
        }
    }
    Ok(Table::Times {
        subject,
        columns: columns?,
    })
}

/// Every contender once a round, each round in another order.
fn in_rounds(
    once: fn(&Contender) -> Result<f64>,
    contenders: &[Contender],
    rounds: usize,
    pause: Duration,
) -> Result<Vec<Vec<f64>>> {
    let mut columns = vec![Vec::with_capacity(rounds); contenders.len()];
    let mut order: Vec<usize> = (0..contenders.len()).collect();
    let mut random = 0x9e37_79b9_7f4a_7c15;
    let (mut round, mut repeated) = (0, 0);
    while round < rounds + WARM_UP {
        shuffle(&mut order, &mut random);
        let mut times = vec![0.0; contenders.len()];
        let done = order.iter().copied().try_for_each(|index| {
            times[index] = once(&contenders[index])?;
            reap_strays();
            std::thread::sleep(pause);
            Ok(())
        });
        match done {
            Err(error @ Error::Hung { .. }) if repeated < REPEATED => {
                println!("{error}: killed, and the round repeated");
                repeated += 1;
                continue;
            }
            other => other?,
        }
        if round >= WARM_UP {
            for (column, took) in columns.iter_mut().zip(times) {
                column.push(took);
            }
        }
        round += 1;
    }
    Ok(columns)
}

/// Takes a contender through everything once, to see that it can.
pub fn try_out(contender: &Contender) -> Result<()> {
    nix::sys::prctl::set_child_subreaper(true).map_err(|errno| Error::Errno {
        call: "PR_SET_CHILD_SUBREAPER",
        errno,
    })?;
    time(contender, contender.run())?;
    lifecycle(contender)?;
    memory(contender)?;
    Ok(())
}

/// create, start and delete; what the program itself takes in between is not counted.
fn lifecycle(contender: &Contender) -> Result<Duration> {
    let created = time(contender, contender.create(Payload::Ends))?;
    let pid = pid(contender)?;
    let started = time(contender, contender.start())?;
    wait_for(pid)?;
    Ok(created + started + time(contender, contender.delete())?)
}

/// What one more mount takes: the slope of `run` over their number.
fn each_mount(contender: &Contender) -> Result<f64> {
    let mut points = Vec::with_capacity(MOUNTS.len());
    for count in MOUNTS {
        let took = time(contender, contender.run_with_mounts(count));
        points.push((count as f64, cleared(contender, took)?));
        reap_strays();
    }
    Ok(slope(&points))
}

/// In seconds; what a runtime left that was killed or failed is removed.
fn cleared(contender: &Contender, took: Result<Duration>) -> Result<f64> {
    let seconds = took.map(|took| took.as_secs_f64());
    seconds.inspect_err(|_| {
        host::end_cgroups(&contender.cgroup());
        let _ = time(contender, contender.delete());
    })
}

/// Creates a container and looks at its first process.
fn memory(contender: &Contender) -> Result<Memory> {
    time(contender, contender.create(Payload::Stays))?;
    let pid = pid(contender)?;
    let peak = kilobytes(pid, "status", "VmHWM:");
    let proportional = kilobytes(pid, "smaps_rollup", "Pss:");
    end(contender)?;
    Ok(Memory {
        peak: peak? * 1024,
        proportional: proportional? * 1024,
    })
}

/// Ends and removes the container.
fn end(contender: &Contender) -> Result<()> {
    let pid = pid(contender)?;
    // It is our child, so this pid is nobody else's.
    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
    wait_for(pid)?;
    time(contender, contender.delete()).map(drop)
}

/// How long the program takes. What it says goes to a file, which is read only when it fails: a pipe would stay open as
/// long as the container.
fn time(contender: &Contender, command: Command) -> Result<Duration> {
    measured(command, &contender.messages())
}

fn measured(mut command: Command, messages: &Path) -> Result<Duration> {
    let file = fs::File::create(messages).map_err(io_error("make", messages))?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(file);
    let (took, status) = watched::timed(&mut command, LONGEST)?;
    if status.success() {
        return Ok(took);
    }
    let text = fs::read_to_string(messages).map_err(io_error("read", messages))?;
    let first: Vec<&str> = text.lines().take(3).collect();
    Err(Error::Failed {
        command: line(&command),
        status,
        output: first.join("\n"),
    })
}

fn pid(contender: &Contender) -> Result<Pid> {
    let path = contender.pid_file();
    let text = fs::read_to_string(&path).map_err(io_error("read", &path))?;
    let number = text.trim().parse();
    let number = number.map_err(|_| Error::Unexpected {
        what: format!("no pid in {}", path.display()),
        found: text,
    })?;
    Ok(Pid::from_raw(number))
}

fn wait_for(pid: Pid) -> Result<()> {
    waitpid(pid, None).map(drop).map_err(|errno| Error::Errno {
        call: "waitpid",
        errno,
    })
}

/// Helpers of a runtime that outlived it are our children now; containers that still run stay.
fn reap_strays() {
    while let Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) =
        waitpid(None, Some(WaitPidFlag::WNOHANG))
    {}
}

fn kilobytes(pid: Pid, file: &str, field: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/{file}");
    let text = fs::read_to_string(&path).map_err(io_error("read", &path))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let value = line
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|value| value.parse().ok());
    value.ok_or_else(|| Error::Unexpected {
        what: format!("no {field} in {path}"),
        found: text,
    })
}

/// Fisher-Yates with xorshift: the same orders every time.
fn shuffle(order: &mut [usize], random: &mut u64) {
    for last in (1..order.len()).rev() {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        order.swap(last, (*random % (last as u64 + 1)) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_change_and_lose_nobody() {
        let mut random = 1;
        let mut order = vec![0, 1, 2, 3];
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            shuffle(&mut order, &mut random);
            let mut sorted = order.clone();
            sorted.sort();
            assert_eq!(sorted, [0, 1, 2, 3]);
            seen.insert(order.clone());
        }
        assert_eq!(seen.len(), 24);
    }

    #[test]
    fn a_program_that_fails_shows_what_it_said() {
        let messages = std::env::temp_dir().join(format!("xtask-messages-{}", std::process::id()));
        let mut command = Command::new("sh");
        command.args(["-c", "echo broken >&2; exit 3"]);
        let error = measured(command, &messages).unwrap_err().to_string();
        fs::remove_file(&messages).unwrap();
        assert!(
            error.contains("exit status: 3") && error.contains("broken"),
            "{error}"
        );
    }
}
