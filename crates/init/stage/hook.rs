//! Running a program of the configuration's hooks: the container's state on its stdin, its own process group, an end to
//! its time, and nothing of ours in its hands.

use crate::caller;
use crate::child;
use crate::payload::RLIMIT_NOFILE;
use crate::report::Part;
use crate::step::{At, Done, Init, fail};
use crate::sys::{self, Errno, Fd};
use crate::wire::List;
use core::ffi::CStr;

/// What to execute.
pub struct Program {
    /// Absolute path.
    pub path: &'static CStr,
    /// Arguments, the name first.
    pub args: List<'static, &'static CStr>,
    /// The whole environment.
    pub env: List<'static, &'static CStr>,
}

/// Runs `program` to its end; any status but 0 is a failure.
pub fn run(init: &Init, program: &Program, timeout: u32, state: &[&CStr; 2]) -> Done {
    let stdin = state_file(state)?;
    let [report, child_report] = child::pipe().at(Part::Pipe)?;
    let args = strings(program.args)?;
    let env = strings(program.env)?;
    let Some((pid, pidfd)) = child::fork().at(Part::Clone3)? else {
        if let Some([soft, hard]) = init.nofile {
            // Raised for our own sake only.
            let _ = sys::prlimit(RLIMIT_NOFILE, soft, hard);
        }
        become_program(program.path, args, env, stdin, child_report);
    };
    sys::close(child_report);
    let waited = wait(pid, pidfd, timeout);
    let mut errno = [0; 4];
    let failed_exec = sys::read(report, &mut errno).is_ok_and(|count| count == errno.len());
    for fd in [stdin, report, pidfd] {
        sys::close(fd);
    }
    match waited? {
        _ if failed_exec => fail(Part::Execve, Errno(i32::from_ne_bytes(errno)), 0),
        0 => Ok(()),
        status => fail(Part::HookStatus, sys::EPROTO, status),
    }
}

/// A file, not a pipe: a hook that does not read its stdin can neither block us nor make us fail.
fn state_file(state: &[&CStr; 2]) -> Done<Fd> {
    let file = child::memfd(c"state").at(Part::MemfdCreate)?;
    let mut digits = [0; 10];
    let pid = caller::decimal(child::getpid(), &mut digits);
    let mut offset = 0;
    for part in [state[0].to_bytes(), pid, state[1].to_bytes()] {
        child::pwrite(file, part, offset).at(Part::Write)?;
        offset += part.len();
    }
    Ok(file)
}

fn strings(list: List<'static, &'static CStr>) -> Done<&'static [*const u8]> {
    let pointers = sys::pointers(list.len() + 1).at(Part::Mmap)?;
    list.iter()
        .zip(&mut *pointers)
        .for_each(|(string, place)| *place = string.as_ptr().cast());
    Ok(pointers)
}

/// The new process: leads a group, reads the state, writes where our errors go, and has no other fd of ours.
fn become_program(
    path: &CStr,
    args: &'static [*const u8],
    env: &'static [*const u8],
    stdin: Fd,
    report: Fd,
) -> ! {
    sys::umask(0o022);
    let prepared = child::setpgid()
        .and_then(|_| sys::dup3(stdin, 0))
        .and_then(|_| sys::dup3(2, 1))
        .and_then(|_| child::cloexec_from(3));
    let errno = match prepared {
        Ok(_) => sys::execve(path, args, env),
        Err(errno) => errno,
    };
    let _ = sys::write(report, &errno.0.to_ne_bytes());
    sys::exit(127)
}

/// Its status, 128 and the signal where it was killed by one.
fn wait(pid: i32, pidfd: Fd, timeout: u32) -> Done<u64> {
    let in_time = child::poll_ended(pidfd, timeout).at(Part::Wait)?;
    if !in_time {
        // The whole group: what the hook has started must not go on without it.
        child::kill_group(pid);
    }
    let (code, status) = child::wait(pidfd).at(Part::Wait)?;
    const CLD_EXITED: i32 = 1;
    const ETIMEDOUT: Errno = Errno(110);
    match (in_time, code) {
        (false, _) => fail(Part::HookTimeout, ETIMEDOUT, u64::from(timeout)),
        (true, CLD_EXITED) => Ok(status as u64),
        (true, _) => Ok(128 + status as u64),
    }
}
