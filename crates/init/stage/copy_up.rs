//! A new tmpfs that begins with a copy of what it covers (`tmpcopyup`).
//!
//! What is copied belongs to the image and so is hostile: a link is copied as a link, nothing is opened but directories and
//! regular files, and nothing is looked up but single names below an open directory. The copy is not attached yet, so nobody else
//! can reach into it. What other file systems hold, mounted inside, is not copied.

use crate::devices::makedev;
use crate::report::Part;
use crate::root::{self, Name};
use crate::stat::{self, Stat};
use crate::step::{At, Done, fail};
use crate::sys::{self, Fd};
use crate::sys_tree;
use core::ffi::CStr;

/// Directories in one another: each level takes some of the stack, and all of them together less than execve(2) gives in any case.
const DEEPEST: u32 = 128;

/// What was read last of a directory. There is one for all levels.
type Entries = [u8; 2048];

/// Copies what is in the directory `from` into the detached tree `to`, and its owner where that is `owned` by nobody else's wish.
pub fn copy(from: Fd, to: Fd, owned: bool) -> Done {
    let flags = sys::O_RDONLY | sys::O_DIRECTORY;
    let source = sys::openat2(from, c".", flags, STRICT).at(Part::CopyUp)?;
    if owned {
        let found = stat::stat(source, c"").at(Part::Stat)?;
        sys::fchown(to, found.uid, found.gid).at(Part::Fchownat)?;
    }
    directory(source, to, DEEPEST, &mut [0; 2048])?;
    sys::close(source);
    Ok(())
}

/// Of one name: no link is followed, and no mount is entered.
const STRICT: u64 = sys::RESOLVE_BENEATH | sys::RESOLVE_NO_SYMLINKS | sys::RESOLVE_NO_XDEV;

/// `from` is open for reading, `to` at least by its path.
fn directory(from: Fd, to: Fd, levels: u32, entries: &mut Entries) -> Done {
    if levels == 0 {
        return fail(Part::TooDeep, sys::ELOOP, u64::from(DEEPEST));
    }
    loop {
        let length = sys_tree::getdents64(from, entries).at(Part::CopyUp)?;
        if length == 0 {
            return Ok(());
        }
        let mut rest = entries.get(..length).unwrap_or_default();
        while let Some((name, offset, others)) = entry(rest) {
            rest = others;
            if name == c"." || name == c".." {
                continue;
            }
            let Some(inner) = one(from, to, name)? else {
                continue;
            };
            directory(inner.source, inner.made, levels - 1, entries)?;
            finish(&inner)?;
            // What was read of this one is overwritten.
            sys_tree::resume_after(from, offset).at(Part::CopyUp)?;
            break;
        }
    }
}

/// struct linux_dirent64: inode, offset, length, type, name.
fn entry(bytes: &[u8]) -> Option<(&CStr, u64, &[u8])> {
    let offset = u64::from_le_bytes(*bytes.get(8..)?.first_chunk()?);
    let length = u16::from_le_bytes(*bytes.get(16..)?.first_chunk()?);
    let (entry, others) = bytes.split_at_checked(usize::from(length))?;
    let name = CStr::from_bytes_until_nul(entry.get(19..)?).ok()?;
    Some((name, offset, others))
}

/// A file and its copy, both open.
struct Pair {
    source: Fd,
    made: Fd,
    found: Stat,
}

/// Copies one name; a directory as an empty one, with what is in it left to do. On no stack but its own: what it takes is not taken
/// at each level.
#[inline(never)]
fn one(from: Fd, to: Fd, name: &CStr) -> Done<Option<Pair>> {
    let source = match sys::openat2(from, name, sys::O_PATH | sys::O_NOFOLLOW, STRICT) {
        Ok(fd) => fd,
        // Mounted on, or gone in the meantime.
        Err(sys::EXDEV | sys::ENOENT) => return Ok(None),
        Err(errno) => return fail(Part::CopyUp, errno, 0),
    };
    let found = stat::stat(source, c"").at(Part::Stat)?;
    let mut inner = None;
    match found.mode & sys::S_IFMT {
        sys::S_IFDIR => {
            sys::mkdirat(to, name, 0o700).at(Part::Mkdirat)?;
            let flags = sys::O_RDONLY | sys::O_DIRECTORY;
            inner = Some(Pair {
                source: sys::openat2(from, name, flags, STRICT).at(Part::CopyUp)?,
                made: sys::openat2(to, name, flags, STRICT).at(Part::CopyUp)?,
                found,
            });
        }
        sys::S_IFREG => file(from, to, name)?,
        sys::S_IFLNK => link(source, to, name, &found)?,
        _ => node(to, name, &found)?,
    }
    sys::close(source);
    Ok(inner)
}

fn file(from: Fd, to: Fd, name: &CStr) -> Done {
    let flags = sys::O_RDONLY | sys::O_NONBLOCK | sys::O_NOCTTY;
    let source = sys::openat2(from, name, flags, STRICT).at(Part::CopyUp)?;
    let found = stat::stat(source, c"").at(Part::Stat)?;
    if found.mode & sys::S_IFMT != sys::S_IFREG {
        return fail(Part::WrongNode, sys::EINVAL, u64::from(found.mode));
    }
    let made = sys_tree::create_new(to, name).at(Part::CopyUp)?;
    while sys::retry(|| sys_tree::sendfile(made, source)).at(Part::CopyUp)? > 0 {}
    finish(&Pair {
        source,
        made,
        found,
    })
}

fn link(source: Fd, to: Fd, name: &CStr, found: &Stat) -> Done {
    let mut target = Name::default();
    root::read_link(source, c"", &mut target)?;
    sys::symlinkat(target.as_cstr(), to, name).at(Part::Symlinkat)?;
    own(to, name, found)
}

fn node(to: Fd, name: &CStr, found: &Stat) -> Done {
    let number = makedev(found.major, found.minor);
    sys::mknodat(to, name, found.mode, number).at(Part::Mknodat)?;
    own(to, name, found)
}

fn own(to: Fd, name: &CStr, found: &Stat) -> Done {
    let made = sys::openat2(to, name, sys::O_PATH | sys::O_NOFOLLOW, STRICT).at(Part::CopyUp)?;
    sys::fchown(made, found.uid, found.gid).at(Part::Fchownat)?;
    sys_tree::set_times(made, &found.times).at(Part::CopyUp)?;
    sys::close(made);
    Ok(())
}

/// Owner, mode, extended attributes and times, in this order: each takes away of the next when it comes later. A directory changes
/// with each name in it, so its turn is after them. Closes both.
#[inline(never)]
fn finish(pair: &Pair) -> Done {
    let (source, made, found) = (pair.source, pair.made, &pair.found);
    sys::fchown(made, found.uid, found.gid).at(Part::Fchownat)?;
    sys_tree::fchmod(made, found.mode & 0o7777).at(Part::CopyUp)?;
    extended_attributes(source, made)?;
    sys_tree::set_times(made, &found.times).at(Part::CopyUp)?;
    sys::close(source);
    sys::close(made);
    Ok(())
}

/// Those that the new file system can hold. Labels of security modules are given by them, not copied.
fn extended_attributes(source: Fd, made: Fd) -> Done {
    let mut names = [0; 1024];
    let length = match sys_tree::flistxattr(source, &mut names) {
        Ok(length) => length,
        Err(sys::EOPNOTSUPP) => return Ok(()),
        Err(errno) => return fail(Part::CopyUp, errno, 0),
    };
    let mut value = [0; 4096];
    for name in names[..length].split_inclusive(|byte| *byte == 0) {
        let name = CStr::from_bytes_until_nul(name).unwrap_or(c"");
        let label = name.to_bytes().starts_with(b"security.") && name != c"security.capability";
        if label {
            continue;
        }
        let length = sys_tree::fgetxattr(source, name, &mut value).at(Part::CopyUp)?;
        match sys_tree::fsetxattr(made, name, &value[..length]) {
            Ok(_) | Err(sys::EOPNOTSUPP) => {}
            Err(errno) => return fail(Part::Fsetxattr, errno, 0),
        }
    }
    Ok(())
}
