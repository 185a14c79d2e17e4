//! The container's root and the only resolution of paths below it.
//!
//! A rootfs is hostile ground: any name in it may be a symbolic link to the caller's files. So a path is never used by
//! name: openat2(2) resolves it with the root as `/` and without magic links, and everything after works on the fd.

use crate::op::{Propagation, Slot};
use crate::report::Part;
use crate::stat;
use crate::step::{At, Done, Init, fail};
use crate::sys::{self, Errno, Fd};
use crate::sys_mount;
use crate::sys_tree;
use crate::wire::List;
use core::ffi::CStr;
use core::ops::Range;

/// Attaches the root's tree. Over `/`, no path of the caller has to be reachable with the container's ids, and the caller's own
/// root stays underneath until pivot; hooks expect it where the configuration says it is.
pub fn attach(init: &mut Init, slot: Slot, path: &CStr, propagation: Propagation) -> Done {
    let tree = init.fd(slot)?;
    if propagation.0 != 0 {
        change_propagation(tree, propagation.0)?;
    }
    let flags = sys::O_PATH | sys::O_DIRECTORY | sys::O_NOFOLLOW;
    let place = if path.is_empty() {
        Err(sys::ENOENT)
    } else {
        sys::open(path, flags)
    };
    sys_mount::move_mount(tree, place.unwrap_or(sys::AT_FDCWD)).at(Part::MoveMount)?;
    if let Ok(place) = place {
        sys::close(place);
        // Hooks in the container's namespaces begin in it.
        sys::fchdir(tree).at(Part::Chdir)?;
    }
    init.root = tree;
    Ok(())
}

/// Stacks the caller's root on ours and detaches it, so that no path leads to it (pivot_root(2), notes).
pub fn pivot(init: &mut Init) -> Done {
    sys::fchdir(init.root).at(Part::Chdir)?;
    sys_mount::pivot_root(c".", c".").at(Part::PivotRoot)?;
    // The caller's tree was made private or a slave at the start, so this unmounting stays in this namespace.
    sys_mount::umount_detach(c".").at(Part::Umount)?;
    sys::chdir(c"/").at(Part::Chdir).map(drop)
}

/// Gives what has been attached its own propagation. Not earlier: in a shared mount everything becomes shared when it is attached,
/// and what is unbindable cannot be.
pub fn propagate(tree: Fd, changes: List<'static, Propagation>) -> Done {
    changes
        .iter()
        .try_for_each(|flags| change_propagation(tree, flags.0))
}

/// Changes propagation; `MS_REC` goes to the mounts below too.
pub fn change_propagation(tree: Fd, flags: u64) -> Done {
    sys_mount::mount_setattr(
        tree,
        flags & sys_mount::MS_REC != 0,
        0,
        0,
        flags & !sys_mount::MS_REC,
    )
    .at(Part::MountSetattr)
    .map(drop)
}

/// The root's fd; of a container that was joined, its `/`.
pub fn fd(init: &mut Init) -> Done<Fd> {
    if init.root == 0 {
        init.root = sys::open(c"/", sys::O_PATH | sys::O_DIRECTORY).at(Part::Open)?;
    }
    Ok(init.root)
}

/// Resolves `path` with the root as `/`. `extra` may forbid more (`RESOLVE_NO_SYMLINKS`, `RESOLVE_NO_XDEV`).
pub fn resolve(init: &mut Init, path: &CStr, flags: u64, extra: u64) -> Done<Result<Fd, Errno>> {
    Ok(openat2(
        fd(init)?,
        path,
        flags,
        sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_MAGICLINKS | extra,
    ))
}

/// Resolves a `path` that must exist.
pub fn open(init: &mut Init, path: &CStr, flags: u64) -> Done<Fd> {
    resolve(init, path, flags, 0)?.at(Part::Openat2)
}

/// openat2(2), repeated for a while when a rename somewhere made the kernel unsure about `..`.
fn openat2(directory: Fd, path: &CStr, flags: u64, resolve: u64) -> Result<Fd, Errno> {
    let path = if path.is_empty() { c"." } else { path };
    let mut tries = 64;
    loop {
        match sys::openat2(directory, path, flags, resolve) {
            Err(sys::EAGAIN | sys::EINTR) if tries > 0 => tries -= 1,
            other => return other,
        }
    }
}

/// What a mount point or node is looked up for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Make {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A directory if the tree of this fd is one, and else a file; it is looked at only where something is missing.
    Like(Fd),
}

impl Make {
    fn is_directory(self) -> Done<bool> {
        Ok(match self {
            Make::Directory => true,
            Make::File => false,
            Make::Like(tree) => stat::kind(tree)? == sys::S_IFDIR,
        })
    }
}

/// The fd of a mount point; what is missing of its path is made. Answers also whether it was there.
pub fn mount_point(init: &mut Init, path: &CStr, make: Make, extra: u64) -> Done<(Fd, bool)> {
    // A path without any link is the common case, and needs no look at where it has led.
    let no_links = extra | sys::RESOLVE_NO_SYMLINKS;
    let first = match resolve(init, path, sys::O_PATH, no_links)? {
        Ok(fd) => return Ok((fd, true)),
        Err(sys::ELOOP) => resolve(init, path, sys::O_PATH, extra)?,
        Err(sys::ENOENT) => match last_component(init, path, make)? {
            Some(fd) => return Ok((fd, false)),
            None => Err(sys::ENOENT),
        },
        Err(errno) => Err(errno),
    };
    let found = match first {
        Ok(fd) => (fd, true),
        Err(sys::ENOENT) => {
            let made = create(init, path, make)?;
            if extra == 0 {
                (made, false)
            } else {
                sys::close(made);
                (
                    resolve(init, path, sys::O_PATH, extra)?.at(Part::Openat2)?,
                    false,
                )
            }
        }
        Err(errno) => return fail(Part::Openat2, errno, 0),
    };
    Ok((not_by_link_in_proc(init, path, found.0)?, found.1))
}

/// Makes the last component of `path` in a directory that is there and reached without any link, which is all that most
/// mount points lack. `None` where it takes more, or fails: the long way tells why.
#[inline(never)]
fn last_component(init: &mut Init, path: &CStr, make: Make) -> Done<Option<Fd>> {
    let Some((directory, start)) = split(path) else {
        return Ok(None);
    };
    let mut place = Name::default();
    place.set(directory)?;
    let flags = sys::O_PATH | sys::O_DIRECTORY;
    let Ok(parent) = resolve(init, place.as_cstr(), flags, sys::RESOLVE_NO_SYMLINKS)? else {
        return Ok(None);
    };
    let name = &path[start..];
    let (made, flags) = match make.is_directory()? {
        true => (sys::mkdirat(parent, name, 0o755), sys::O_DIRECTORY),
        false => (sys::mknodat(parent, name, sys::S_IFREG | 0o644, 0), 0),
    };
    let made = made.and_then(|_| {
        openat2(
            parent,
            name,
            flags | sys::O_PATH | sys::O_NOFOLLOW,
            ONE_NAME,
        )
    });
    sys::close(parent);
    match made {
        // Somebody else may have put a link there since.
        Ok(fd) if flags == 0 && is_link(fd)? => {
            sys::close(fd);
            Ok(None)
        }
        made => Ok(made.ok()),
    }
}

/// The bytes before the last component of `path`, and where that begins; `None` if it is none to be made.
fn split(path: &CStr) -> Option<(&[u8], usize)> {
    let bytes = path.to_bytes();
    let cut = bytes.iter().rposition(|byte| *byte == b'/');
    let (directory, start) = match cut {
        Some(at) => (&bytes[..at], at + 1),
        None => (&b""[..], 0),
    };
    let last = &bytes[start..];
    (!matches!(last, b"" | b"." | b"..")).then_some((directory, start))
}

/// The fd of a mount point that is not followed where it is a symbolic link.
pub fn mount_point_itself(init: &mut Init, path: &CStr, make: Make) -> Done<Fd> {
    let found = match resolve(init, path, sys::O_PATH | sys::O_NOFOLLOW, 0)? {
        Ok(fd) => fd,
        Err(sys::ENOENT) => create(init, path, make)?,
        Err(errno) => return fail(Part::Openat2, errno, 0),
    };
    not_by_link_in_proc(init, path, found)
}

/// Attaches `tree` at `point`. Where only one of them is a directory, that is the reason: move_mount(2) has no errno of its own
/// for it, but mount(2) has, whose words engines look for.
pub fn mount_on(tree: Fd, point: Fd) -> Done {
    let directory = |fd| stat::kind(fd).map(|kind| kind == sys::S_IFDIR);
    match sys_mount::move_mount(tree, point) {
        Err(sys::EINVAL) if directory(tree)? != directory(point)? => {
            fail(Part::MoveMount, sys::ENOTDIR, 0)
        }
        answer => answer.at(Part::MoveMount).map(drop),
    }
}

/// Files of procfs are covered only by who names them: a link of the image's must not lead a mount there (CVE-2019-16884). What
/// is looked up without links is what is used: somebody else on the same root filesystem may have put a link there, and a
/// directory since.
fn not_by_link_in_proc(init: &mut Init, path: &CStr, found: Fd) -> Done<Fd> {
    const PROC_SUPER_MAGIC: u64 = 0x9fa0;
    if stat::fstatfs_magic(found).at(Part::Stat)? != PROC_SUPER_MAGIC {
        return Ok(found);
    }
    sys::close(found);
    match resolve(init, path, sys::O_PATH, sys::RESOLVE_NO_SYMLINKS)? {
        Ok(fd) => Ok(fd),
        Err(errno) => fail(Part::WrongPlace, errno, 0),
    }
}

/// How many links to nowhere are gone along, as many as the kernel follows of others.
const MAX_LINKS: u32 = 40;

/// Makes what is missing of `path`. A link that leads to nothing yet is gone along, inside the root, and there it is made.
fn create(init: &mut Init, path: &CStr, make: Make) -> Done<Fd> {
    match make.is_directory()? {
        true => directories(init, path.to_bytes()),
        false => file(init, path),
    }
}

#[inline(never)]
fn file(init: &mut Init, wanted: &CStr) -> Done<Fd> {
    let (mut path, mut name) = (Name::default(), Component::default());
    path.set(wanted.to_bytes())?;
    for _ in 0..MAX_LINKS {
        let parent = parent(init, path.as_cstr(), &mut name)?;
        match sys::mknodat(parent, name.as_cstr(), sys::S_IFREG | 0o644, 0) {
            Ok(_) | Err(sys::EEXIST) => {}
            Err(errno) => return fail(Part::Mknodat, errno, 0),
        }
        let flags = sys::O_PATH | sys::O_NOFOLLOW;
        match openat2(parent, name.as_cstr(), flags, ONE_NAME) {
            Ok(fd) if !is_link(fd)? => {
                sys::close(parent);
                return Ok(fd);
            }
            Ok(fd) => sys::close(fd),
            Err(errno) => return fail(Part::Openat2, errno, 0),
        }
        let end = path.as_cstr().count_bytes();
        let start = end - name.as_cstr().count_bytes();
        path.follow(parent, start..end)?;
        sys::close(parent);
        if let Ok(fd) = resolve(init, path.as_cstr(), sys::O_PATH, 0)? {
            return Ok(fd);
        }
    }
    fail(Part::Openat2, sys::ELOOP, 0)
}

/// Of a single name in an open directory.
const ONE_NAME: u64 = sys::RESOLVE_BENEATH | sys::RESOLVE_NO_SYMLINKS;

fn is_link(fd: Fd) -> Done<bool> {
    Ok(stat::kind(fd)? == sys::S_IFLNK)
}

/// Where a link leads by its own text.
pub fn read_link(directory: Fd, name: &CStr, target: &mut Name) -> Done {
    // The kernel has none as long as a path can be, so there is room for the NUL.
    let room = &mut target.0[..PATH - 1];
    let length = sys_tree::readlinkat(directory, name, room).at(Part::Readlinkat)?;
    target.0[length] = 0;
    Ok(())
}

/// The directory that `path` is in, made if missing, and its last component.
pub fn parent(init: &mut Init, path: &CStr, name: &mut Component) -> Done<Fd> {
    let Some((directory, start)) = split(path) else {
        return fail(Part::WrongPlace, sys::EINVAL, 0);
    };
    name.set(&path.to_bytes()[start..])?;
    directories(init, directory)
}

/// The fd of a directory; each missing component is made, 0755, in a parent held by fd.
fn directories(init: &mut Init, wanted: &[u8]) -> Done<Fd> {
    let flags = sys::O_PATH | sys::O_DIRECTORY;
    let mut path = Name::default();
    path.set(wanted)?;
    for _ in 0..MAX_LINKS {
        if let Ok(fd) = resolve(init, path.as_cstr(), flags, 0)? {
            return Ok(fd);
        }
        if let Some(fd) = walk(init, &mut path)? {
            return Ok(fd);
        }
    }
    fail(Part::Openat2, sys::ELOOP, 0)
}

/// Makes each directory of `path`; `None` when a link to nowhere was met, whose text is in its place in `path` now.
fn walk(init: &mut Init, path: &mut Name) -> Done<Option<Fd>> {
    let flags = sys::O_PATH | sys::O_DIRECTORY;
    let mut parent = fd(init)?;
    let length = path.as_cstr().count_bytes();
    let mut start = 0;
    while start < length {
        let bytes = path.as_cstr().to_bytes();
        let end = bytes[start..]
            .iter()
            .position(|byte| *byte == b'/')
            .map_or(length, |at| start + at);
        let (from, component) = (start, &bytes[start..end]);
        start = end + 1;
        if matches!(component, b"" | b".") {
            continue;
        }
        let can_be_made = component != b"..";
        let next = match path.part(0..end, |prefix| resolve(init, prefix, flags, 0))? {
            Ok(fd) => Some(fd),
            Err(sys::ENOENT) if can_be_made => {
                path.part(from..end, |name| make_directory(parent, name))?
            }
            Err(errno) => return fail(Part::Openat2, errno, 0),
        };
        if next.is_none() {
            path.follow(parent, from..end)?;
        }
        if parent != init.root {
            sys::close(parent);
        }
        match next {
            Some(next) => parent = next,
            None => return Ok(None),
        }
    }
    // The caller closes what it gets; the root stays.
    if parent == init.root {
        sys::dup_from(parent, 3).at(Part::Dup).map(Some)
    } else {
        Ok(Some(parent))
    }
}

/// `None` where the name is a link.
fn make_directory(parent: Fd, name: &CStr) -> Done<Option<Fd>> {
    match sys::mkdirat(parent, name, 0o755) {
        // Another container on the same rootfs may have been faster.
        Ok(_) | Err(sys::EEXIST) => {}
        Err(errno) => return fail(Part::Mkdirat, errno, 0),
    }
    let flags = sys::O_PATH | sys::O_NOFOLLOW;
    let made = openat2(parent, name, flags, ONE_NAME).at(Part::Openat2)?;
    if is_link(made)? {
        sys::close(made);
        return Ok(None);
    }
    Ok(Some(made))
}

/// Changes to `path`, made if missing where that is wanted, and makes sure that it is inside.
#[inline(never)]
pub fn change_directory(init: &mut Init, path: &CStr, make: bool) -> Done {
    let flags = sys::O_PATH | sys::O_DIRECTORY;
    let fd = match resolve(init, path, flags, 0)? {
        Ok(fd) => fd,
        Err(sys::ENOENT) if make => directories(init, path.to_bytes())?,
        Err(errno) => return fail(Part::Openat2, errno, 0),
    };
    sys::fchdir(fd).at(Part::Chdir)?;
    sys::close(fd);
    let mut place = [0; 4096];
    sys::getcwd(&mut place).at(Part::Getcwd)?;
    // The kernel writes "(unreachable)" before a directory that is not below the root.
    if place[0] != b'/' {
        return fail(Part::WrongPlace, sys::ENOENT, 0);
    }
    Ok(())
}

/// The longest path and its NUL (`PATH_MAX`).
const PATH: usize = 4096;

/// A string with its NUL, in place of an allocation.
pub struct Text<const SIZE: usize>([u8; SIZE]);

/// A path.
pub type Name = Text<PATH>;

/// A name without a slash (`NAME_MAX` and a NUL).
pub type Component = Text<256>;

impl<const SIZE: usize> Default for Text<SIZE> {
    fn default() -> Self {
        Text([0; SIZE])
    }
}

impl<const SIZE: usize> Text<SIZE> {
    /// What `act` makes of a part of this path.
    fn part<T>(&mut self, part: Range<usize>, act: impl FnOnce(&CStr) -> T) -> T {
        let after = core::mem::replace(&mut self.0[part.end], 0);
        let answer = act(CStr::from_bytes_until_nul(&self.0[part.start..]).unwrap_or(c""));
        self.0[part.end] = after;
        answer
    }

    /// Puts the text of the link that a component of this path is, in `parent`, into its place.
    #[inline(never)]
    fn follow(&mut self, parent: Fd, component: Range<usize>) -> Done {
        let mut target = Name::default();
        self.part(component.clone(), |link| {
            read_link(parent, link, &mut target)
        })?;
        let target = target.as_cstr().to_bytes();
        let rest = component.end..self.as_cstr().count_bytes();
        // An absolute one begins at the root, any other one where the link is.
        let start = if target.starts_with(b"/") {
            0
        } else {
            component.start
        };
        let after = start + target.len();
        let end = after + rest.len();
        if end >= SIZE {
            return fail(Part::Openat2, sys::ENAMETOOLONG, end as u64);
        }
        self.0.copy_within(rest, after);
        self.0[start..after].copy_from_slice(target);
        self.0[end] = 0;
        Ok(())
    }

    /// Takes over `bytes`.
    pub fn set(&mut self, bytes: &[u8]) -> Done {
        let Some(place) = self.0.get_mut(..bytes.len() + 1) else {
            return fail(Part::Openat2, sys::ENAMETOOLONG, bytes.len() as u64);
        };
        place[..bytes.len()].copy_from_slice(bytes);
        place[bytes.len()] = 0;
        Ok(())
    }

    /// The string.
    pub fn as_cstr(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"")
    }
}
