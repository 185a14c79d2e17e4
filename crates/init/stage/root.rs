//! The container's root and the only resolution of paths below it.
//!
//! A rootfs is hostile ground: any name in it may be a symbolic link to the caller's files. So a path is never used by
//! name: openat2(2) resolves it with the root as `/` and without magic links, and everything after works on the fd.

use crate::op::{Propagation, Slot};
use crate::report::Part;
use crate::step::{At, Done, Init, fail};
use crate::sys::{self, Errno, Fd};
use core::ffi::CStr;

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
    sys::move_mount(tree, place.unwrap_or(sys::AT_FDCWD)).at(Part::MoveMount)?;
    if let Ok(place) = place {
        sys::close(place);
    }
    init.root = tree;
    Ok(())
}

/// Stacks the caller's root on ours and detaches it, so that no path leads to it (pivot_root(2), notes).
pub fn pivot(init: &mut Init) -> Done {
    sys::fchdir(init.root).at(Part::Chdir)?;
    sys::pivot_root(c".", c".").at(Part::PivotRoot)?;
    // The caller's tree was made private or a slave at the start, so this unmounting stays in this namespace.
    sys::umount_detach(c".").at(Part::Umount)?;
    sys::chdir(c"/").at(Part::Chdir).map(drop)
}

/// Changes propagation; `MS_REC` goes to the mounts below too.
pub fn change_propagation(tree: Fd, flags: u64) -> Done {
    const MS_REC: u64 = 0x4000;
    sys::mount_setattr(tree, flags & MS_REC != 0, 0, 0, flags & !MS_REC)
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
}

/// The fd of a mount point; what is missing of its path is made. Answers also whether it was there.
pub fn mount_point(init: &mut Init, path: &CStr, make: Make, extra: u64) -> Done<(Fd, bool)> {
    match resolve(init, path, sys::O_PATH, extra)? {
        Ok(fd) => Ok((fd, true)),
        Err(sys::ENOENT) => create(init, path, make).map(|fd| (fd, false)),
        Err(errno) => fail(Part::Openat2, errno, 0),
    }
}

fn create(init: &mut Init, path: &CStr, make: Make) -> Done<Fd> {
    if make == Make::Directory {
        return directories(init, path.to_bytes());
    }
    let mut name = Name::default();
    let parent = parent(init, path, &mut name)?;
    match sys::mknodat(parent, name.as_cstr(), sys::S_IFREG | 0o644, 0) {
        Ok(_) | Err(sys::EEXIST) => {}
        Err(errno) => return fail(Part::Mknodat, errno, 0),
    }
    let flags = sys::O_PATH | sys::O_NOFOLLOW;
    let strict = sys::RESOLVE_BENEATH | sys::RESOLVE_NO_SYMLINKS;
    let file = openat2(parent, name.as_cstr(), flags, strict).at(Part::Openat2);
    sys::close(parent);
    file
}

/// The directory that `path` is in, made if missing, and its last component.
pub fn parent(init: &mut Init, path: &CStr, name: &mut Name) -> Done<Fd> {
    let bytes = path.to_bytes();
    let cut = bytes.iter().rposition(|byte| *byte == b'/');
    let (directory, last) = match cut {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (&b""[..], bytes),
    };
    if matches!(last, b"" | b"." | b"..") {
        return fail(Part::WrongPlace, sys::EINVAL, 0);
    }
    name.set(last)?;
    directories(init, directory)
}

/// The fd of a directory; each missing component is made, 0755, in a parent held by fd.
fn directories(init: &mut Init, path: &[u8]) -> Done<Fd> {
    let flags = sys::O_PATH | sys::O_DIRECTORY;
    let mut prefix = Name::default();
    prefix.set(path)?;
    if let Ok(fd) = resolve(init, prefix.as_cstr(), flags, 0)? {
        return Ok(fd);
    }
    let mut parent = fd(init)?;
    let mut start = 0;
    while start < path.len() {
        let end = path[start..]
            .iter()
            .position(|byte| *byte == b'/')
            .map_or(path.len(), |at| start + at);
        let component = &path[start..end];
        start = end + 1;
        if matches!(component, b"" | b".") {
            continue;
        }
        prefix.set(&path[..end])?;
        let next = match resolve(init, prefix.as_cstr(), flags, 0)? {
            Ok(fd) => fd,
            Err(sys::ENOENT) if component != b".." => make_directory(parent, component)?,
            Err(errno) => return fail(Part::Openat2, errno, 0),
        };
        if parent != init.root {
            sys::close(parent);
        }
        parent = next;
    }
    // The caller closes what it gets; the root stays.
    if parent == init.root {
        sys::dup_from(parent, 3).at(Part::Dup)
    } else {
        Ok(parent)
    }
}

fn make_directory(parent: Fd, component: &[u8]) -> Done<Fd> {
    let mut name = Name::default();
    name.set(component)?;
    match sys::mkdirat(parent, name.as_cstr(), 0o755) {
        // Another container on the same rootfs may have been faster; a dangling link is found out by opening.
        Ok(_) | Err(sys::EEXIST) => {}
        Err(errno) => return fail(Part::Mkdirat, errno, 0),
    }
    let flags = sys::O_PATH | sys::O_DIRECTORY | sys::O_NOFOLLOW;
    openat2(
        parent,
        name.as_cstr(),
        flags,
        sys::RESOLVE_BENEATH | sys::RESOLVE_NO_SYMLINKS,
    )
    .at(Part::Openat2)
}

/// Changes to `path`, made if missing where that is wanted, and makes sure that it is inside.
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

/// A path or name with its NUL, in place of an allocation.
pub struct Name([u8; 4096]);

impl Default for Name {
    fn default() -> Name {
        Name([0; 4096])
    }
}

impl Name {
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
