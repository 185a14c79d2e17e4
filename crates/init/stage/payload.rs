//! The last steps: find the program, close what is not its own, become it.

use crate::diagnosis;
use crate::op::Slot;
use crate::report::{Kind, Part};
use crate::root;
use crate::stat;
use crate::step::{At, Done, Fail, Init, NOTHING, fail};
use crate::sys::{self, Errno, Fd};
use crate::wire::List;
use core::ffi::CStr;

/// Finds the program as execvp(3) would, as the payload's user: a name with a slash is a path, others are searched for.
pub fn lookup(init: &mut Init, name: &CStr, search: &CStr, explain: bool) -> Done {
    let bytes = name.to_bytes();
    if bytes.contains(&b'/') {
        set_exe(init, &[bytes])?;
        return executable(exe(init)).inspect_err(|why| {
            if explain {
                init.finding = diagnosis::of_path(exe(init), why.part);
            }
        });
    }
    let mut refused = None;
    for directory in search.to_bytes().split(|byte| *byte == b':') {
        let directory = if directory.is_empty() {
            b"."
        } else {
            directory
        };
        if set_exe(init, &[directory, b"/", bytes]).is_err() {
            continue;
        }
        match executable(exe(init)) {
            Ok(()) => {
                // What stood in the way of another file is no reason for what may come.
                init.finding = None;
                return Ok(());
            }
            Err(why) if why.errno == sys::EACCES => {
                if explain {
                    init.finding = diagnosis::of_path(exe(init), why.part);
                }
                refused = Some(why);
            }
            Err(_) => {}
        }
    }
    Err(refused.unwrap_or(Fail {
        part: Part::NotInPath,
        errno: sys::ENOENT,
        value: 0,
    }))
}

/// Whether `path` is something that execve(2) may be tried on.
fn executable(path: &CStr) -> Done {
    let found = stat::stat(sys::AT_FDCWD, path).at(Part::StatExe)?;
    if found.mode & sys::S_IFMT == sys::S_IFDIR {
        return fail(Part::IsDirectory, sys::EISDIR, 0);
    }
    sys::faccess_exec(path).at(Part::Faccessat).map(drop)
}

fn set_exe(init: &mut Init, parts: &[&[u8]]) -> Done {
    let mut length = 0;
    for part in parts {
        let Some(place) = init.exe.get_mut(length..length + part.len()) else {
            return fail(Part::StatExe, sys::ENAMETOOLONG, 0);
        };
        place.copy_from_slice(part);
        length += part.len();
    }
    match init.exe.get_mut(length) {
        Some(end) => *end = 0,
        None => return fail(Part::StatExe, sys::ENAMETOOLONG, 0),
    }
    Ok(())
}

fn exe(init: &Init) -> &CStr {
    CStr::from_bytes_until_nul(&init.exe).unwrap_or(c"")
}

/// Fills HOME from /etc/passwd of the container, which may be anything: it is read only if it is a regular file, and
/// no further than a megabyte.
pub fn home(init: &mut Init, uid: u32) -> Done {
    init.home[..7].copy_from_slice(b"HOME=/\0");
    let flags = sys::O_RDONLY | sys::O_NONBLOCK | sys::O_NOCTTY;
    // A path-only fd first: opening a FIFO or device can already do something.
    let Ok(place) = root::resolve(init, c"etc/passwd", sys::O_PATH, 0)? else {
        return Ok(());
    };
    let regular =
        stat::stat(place, c"").is_ok_and(|found| found.mode & sys::S_IFMT == sys::S_IFREG);
    sys::close(place);
    if !regular {
        return Ok(());
    }
    if let Ok(file) = root::resolve(init, c"etc/passwd", flags, 0)? {
        scan_passwd(init, file, uid);
        sys::close(file);
    }
    Ok(())
}

/// Looks for the first line whose third field is `uid`. A line longer than the buffer is skipped.
#[inline(never)]
fn scan_passwd(init: &mut Init, file: Fd, uid: u32) {
    const MEGABYTE: usize = 1 << 20;
    let mut buffer = [0u8; 4096];
    let (mut filled, mut total, mut skipping) = (0, 0, false);
    while total < MEGABYTE {
        let Ok(count) = sys::read(file, &mut buffer[filled..]) else {
            return;
        };
        filled += count;
        total += count;
        let mut start = 0;
        while let Some(length) = buffer[start..filled].iter().position(|byte| *byte == b'\n') {
            let line = &buffer[start..start + length];
            if !core::mem::take(&mut skipping) && take_home(init, line, uid) {
                return;
            }
            start += length + 1;
        }
        if count == 0 {
            if !skipping {
                take_home(init, &buffer[start..filled], uid);
            }
            return;
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
        if filled == buffer.len() {
            (filled, skipping) = (0, true);
        }
    }
}

fn take_home(init: &mut Init, line: &[u8], uid: u32) -> bool {
    let mut fields = line.split(|byte| *byte == b':');
    let (Some(id), Some(_gid), Some(_name), Some(home)) =
        (fields.nth(2), fields.next(), fields.next(), fields.next())
    else {
        return false;
    };
    if decimal(id) != Some(uid) {
        return false;
    }
    let fits = home.len() < init.home.len() - 5;
    if fits && !home.is_empty() && !home.contains(&0) {
        init.home[5..5 + home.len()].copy_from_slice(home);
        init.home[5 + home.len()] = 0;
    }
    true
}

fn decimal(digits: &[u8]) -> Option<u32> {
    let mut value: u32 = 0;
    for digit in digits {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    (!digits.is_empty()).then_some(value)
}

/// Closes every fd but stdio, the caller's extra ones and the channel. That one is close-on-exec: it must live until
/// execve(2) has succeeded, and its end is how the other side knows.
pub fn close_fds(init: &mut Init, step: u16) -> Done {
    close_all_but(init, init.channel)?;
    // The last word before the end of the channel: without it, that end is the end of the process.
    init.report(Kind::Begun, step, NOTHING)
}

/// The extra fds first: a number above the limit could not be taken any more.
pub fn open_files(init: &mut Init) -> Done {
    place_preserved(init)?;
    match init.nofile.take() {
        Some([soft, hard]) => sys::prlimit(RLIMIT_NOFILE, soft, hard)
            .at(Part::Prlimit)
            .map(drop),
        None => Ok(()),
    }
}

/// `RLIMIT_NOFILE` of getrlimit(2).
pub const RLIMIT_NOFILE: u32 = 7;

/// The same, sparing also `other`.
pub fn close_all_but(init: &mut Init, other: Fd) -> Done {
    place_preserved(init)?;
    let mut first = 3 + u32::from(init.header.preserve_fds);
    let channel = init.channel;
    for spared in [channel.min(other) as u32, channel.max(other) as u32] {
        if spared > first {
            sys::close_range(first, spared - 1).at(Part::CloseRange)?;
        }
        first = spared + 1;
    }
    sys::close_range(first, u32::MAX)
        .at(Part::CloseRange)
        .map(drop)
}

/// Gives the caller's extra fds their numbers from 3 on. What is there by now is of no more use.
fn place_preserved(init: &mut Init) -> Done {
    if core::mem::replace(&mut init.preserved_placed, true) {
        return Ok(());
    }
    for index in 0..init.header.preserve_fds {
        let fd = init.fd(Slot(index))?;
        sys::dup3(fd, 3 + i32::from(index)).at(Part::Dup)?;
    }
    Ok(())
}

/// Becomes the payload.
pub fn exec(
    init: &mut Init,
    args: List<'static, &'static CStr>,
    env: List<'static, &'static CStr>,
    explain: bool,
) -> Done {
    let room = init.strings.take().unwrap_or_default();
    let Some((arg_pointers, env_pointers)) = room.split_at_mut_checked(args.len() + 1) else {
        return fail(Part::Execve, sys::E2BIG, 0);
    };
    if env_pointers.len() < env.len() + 2 {
        return fail(Part::Execve, sys::E2BIG, 0);
    }
    args.iter()
        .zip(&mut *arg_pointers)
        .for_each(|(string, place)| *place = string.as_ptr().cast());
    env.iter()
        .zip(&mut *env_pointers)
        .for_each(|(string, place)| *place = string.as_ptr().cast());
    if init.home[0] != 0 {
        env_pointers[env.len()] = init.home.as_ptr();
    }
    let errno: Errno = sys::execve(exe(init), arg_pointers, env_pointers);
    if explain {
        init.finding = diagnosis::of_program(exe(init), errno);
    }
    fail(Part::Execve, errno, 0)
}
