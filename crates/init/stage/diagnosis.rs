//! Why a program cannot be executed: what the kernel tells by errno alone, found out after the fact.
//!
//! All of it is done as the payload's user in the payload's root, on a program that has just been refused, so there is nothing to
//! gain from what it reads, and nothing depends on it but the words of an error.

use crate::report::{Finding, Found, Part};
use crate::stat;
use crate::sys::{self, Errno, Fd};
use core::ffi::CStr;

/// What is wrong with a path that stat(2) or access(2) has refused.
pub fn of_path(path: &CStr, part: Part) -> Option<Finding> {
    match part {
        Part::StatExe => parents(path.to_bytes()),
        Part::Faccessat => permission(path),
        _ => None,
    }
}

/// What is wrong with a program that execve(2) has refused.
pub fn of_program(path: &CStr, errno: Errno) -> Option<Finding> {
    if !matches!(errno, sys::ENOENT | sys::ENOEXEC | sys::EACCES) {
        return None;
    }
    let file = sys::open(path, sys::O_RDONLY | sys::O_NONBLOCK | sys::O_NOCTTY).ok()?;
    let found = of_file(file, errno);
    sys::close(file);
    found
}

/// The first directory on the way that cannot be passed.
fn parents(path: &[u8]) -> Option<Finding> {
    let slashes = (1..path.len()).filter(|at| path[*at] == b'/');
    slashes.map(|at| &path[..at]).find_map(|directory| {
        let about = |found| Some(Finding::new(found, directory));
        match with_path(directory, |path| stat::stat(sys::AT_FDCWD, path))? {
            Err(sys::ENOENT) => about(Found::ParentMissing),
            Err(_) => None,
            Ok(stat) if stat.mode & sys::S_IFMT != sys::S_IFDIR => about(Found::ParentNotDirectory),
            Ok(_) => match with_path(directory, sys::faccess_exec)? {
                Err(sys::EACCES) => about(Found::ParentClosed),
                _ => None,
            },
        }
    })
}

fn permission(path: &CStr) -> Option<Finding> {
    let about = |found| Some(Finding::new(found, b""));
    let stat = stat::stat(sys::AT_FDCWD, path).ok()?;
    if stat.mode & 0o111 == 0 {
        return about(Found::NoExecuteBit);
    }
    let file = sys::open(path, sys::O_PATH).ok()?;
    let noexec = stat::is_noexec(file);
    sys::close(file);
    about(if noexec {
        Found::Noexec
    } else {
        Found::NotForUser
    })
}

fn of_file(file: Fd, errno: Errno) -> Option<Finding> {
    let mut head = [0; 512];
    let length = sys::read(file, &mut head).ok()?;
    let head = &head[..length];
    match head {
        [] => Some(Finding::new(Found::Empty, b"")),
        [b'#', b'!', line @ ..] => script(line),
        [0x7f, b'E', b'L', b'F', ..] if errno == sys::ENOENT => loader(file, head),
        [0x7f, b'E', b'L', b'F', ..] => machine(head),
        [0xef, 0xbb, 0xbf, b'#', b'!', ..] => Some(Finding::new(Found::ByteOrderMark, b"")),
        [first, ..] if errno == sys::ENOEXEC && (first.is_ascii_graphic() || *first == b'\n') => {
            Some(Finding::new(Found::NoInterpreterLine, b""))
        }
        _ => None,
    }
}

/// The kernel takes the first word after `#!`, and everything up to the line feed belongs to a word.
fn script(line: &[u8]) -> Option<Finding> {
    let line = line.split(|byte| *byte == b'\n').next()?.trim_ascii_start();
    let word = line
        .split(|byte| matches!(byte, b' ' | b'\t'))
        .next()
        .filter(|word| !word.is_empty())?;
    if let Some(name) = word.strip_suffix(b"\r") {
        return Some(Finding::new(Found::CarriageReturn, name));
    }
    match with_path(word, sys::faccess_exec)? {
        Err(sys::ENOENT | sys::ENOTDIR) => {
            Some(Finding::new(Found::ScriptInterpreterMissing, word))
        }
        Err(sys::EACCES) => Some(Finding::new(Found::ScriptInterpreterClosed, word)),
        _ => None,
    }
}

/// The path in the program header `PT_INTERP` (elf(5)), where nothing is.
fn loader(file: Fd, head: &[u8]) -> Option<Finding> {
    const PT_INTERP: u64 = 3;
    let wide = head.get(4) == Some(&2);
    let field = |bytes: &[u8], narrow: [usize; 2], broad: [usize; 2]| {
        let [at, size] = if wide { broad } else { narrow };
        little_endian(bytes.get(at..at + size)?)
    };
    let table = field(head, [28, 4], [32, 8])?;
    let size = field(head, [42, 2], [54, 2])?;
    let count = field(head, [44, 2], [56, 2])?.min(64);
    let mut path = [0; Finding::MAX_TEXT];
    for index in 0..count {
        let mut header = [0; 56];
        let place = table.checked_add(index.checked_mul(size)?)?;
        sys::pread(file, &mut header, place).ok()?;
        if little_endian(&header[..4])? != PT_INTERP {
            continue;
        }
        let place = field(&header, [4, 4], [8, 8])?;
        let length = sys::pread(file, &mut path, place).ok()?;
        let path = path[..length].split(|byte| *byte == 0).next()?;
        let missing = matches!(
            with_path(path, sys::faccess_exec)?,
            Err(sys::ENOENT | sys::ENOTDIR)
        );
        return missing.then(|| Finding::new(Found::LoaderMissing, path));
    }
    None
}

/// `e_machine`, which is the same place in files of either width.
fn machine(head: &[u8]) -> Option<Finding> {
    let bytes = [*head.get(18)?, *head.get(19)?];
    let big_endian = head.get(5) == Some(&2);
    let number = if big_endian {
        u16::from_be_bytes(bytes)
    } else {
        u16::from_le_bytes(bytes)
    };
    if number == sys::ELF_MACHINE && head.get(5) == Some(&1) {
        return None;
    }
    let mut digits = [0; 5];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    Some(Finding::new(Found::Machine, &digits))
}

fn little_endian(bytes: &[u8]) -> Option<u64> {
    let mut wide = [0; 8];
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(u64::from_le_bytes(wide))
}

/// `None` for what is too long for a path or has a NUL in it.
fn with_path<T>(path: &[u8], use_it: impl FnOnce(&CStr) -> T) -> Option<T> {
    let mut room = [0; 4097];
    room.get_mut(..path.len())?.copy_from_slice(path);
    CStr::from_bytes_with_nul(room.get(..path.len() + 1)?)
        .ok()
        .map(use_it)
}
