//! Steps that change the mount table with trees that exist: bind mounts, masks, read-only paths.
//!
//! A mount gets its attributes while it is detached and is attached fd to fd, so there is no moment at which it is
//! there without them and no second look-up that could lead elsewhere. Propagation alone comes after that.

use crate::attributes::{READONLY, apply};
use crate::filesystem::{self, New};
use crate::op::{MountAttr, Propagation, Slot};
use crate::report::Part;
use crate::root::{self, Component, Make, Name};
use crate::stat;
use crate::step::{At, Done, Init, fail};
use crate::sys::{self, Fd};
use crate::sys_mount;
use crate::wire::List;
use core::ffi::CStr;

/// What a bind mount changes on the tree that it attaches.
#[derive(Clone, Copy)]
pub struct Changes {
    /// Attributes to set on the top.
    pub set: MountAttr,
    /// Attributes to clear on the top.
    pub clear: MountAttr,
    /// Attributes to set everywhere.
    pub set_recursive: MountAttr,
    /// Attributes to clear everywhere.
    pub clear_recursive: MountAttr,
    /// Propagation changes in order, once it is attached.
    pub propagation: List<'static, Propagation>,
}

/// How a bind mount comes to its place.
#[derive(Clone, Copy)]
pub struct Point {
    /// Where the tree is a symbolic link: makes such a link, and mounts nothing.
    pub copy: bool,
    /// Where the mount point is one: covers it.
    pub nofollow: bool,
    /// The step before has its mount point in the same directory.
    pub beside_previous: bool,
    /// The next step has.
    pub beside_next: bool,
}

/// Attaches the tree of `slot` at `target`.
pub fn bind(init: &mut Init, target: &CStr, slot: Slot, point: Point, changes: Changes) -> Done {
    let tree = init.fd(slot)?;
    if point.copy && stat::kind(tree)? == sys::S_IFLNK {
        return copy_link(init, tree, target);
    }
    apply(tree, changes.set_recursive, changes.clear_recursive, true)?;
    apply(tree, changes.set, changes.clear, false)?;
    let beside = point.beside_previous || point.beside_next;
    if !(beside && init.is_directory(slot) && attach_beside(init, tree, target, point)?) {
        let make = Make::Like(tree);
        let place = if point.nofollow {
            root::mount_point_itself(init, target, make)?
        } else {
            root::mount_point(init, target, make, 0)?.0
        };
        root::mount_on(tree, place)?;
        sys::close(place);
    }
    root::propagate(tree, changes.propagation)?;
    sys::close(tree);
    Ok(())
}

/// Attaches a directory by its name in the directory of its neighbours, which is looked up once for all of them. The kernel
/// follows no link there, nor does it attach a directory on anything else. What does not succeed is done the long way.
fn attach_beside(init: &mut Init, tree: Fd, target: &CStr, point: Point) -> Done<bool> {
    let bytes = target.to_bytes();
    let name = bytes
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |at| at + 1);
    if init.directory == 0 || !point.beside_previous {
        leave_directory(init);
        init.directory = neighbours(init, &bytes[..name])?;
    }
    let attached = init.directory != 0
        && sys_mount::move_mount_to(tree, init.directory, &target[name..]).is_ok();
    if !attached || !point.beside_next {
        // A link may lead to the directory itself: it is covered then, and has to be looked up again.
        leave_directory(init);
    }
    Ok(attached)
}

/// The directory at `path`; 0 if there is none without links.
#[inline(never)]
fn neighbours(init: &mut Init, path: &[u8]) -> Done<Fd> {
    let mut directory = Name::default();
    directory.set(path)?;
    let found = root::resolve(
        init,
        directory.as_cstr(),
        sys::O_PATH,
        sys::RESOLVE_NO_SYMLINKS,
    )?;
    Ok(found.unwrap_or(0))
}

fn leave_directory(init: &mut Init) {
    if init.directory != 0 {
        sys::close(init.directory);
        init.directory = 0;
    }
}

/// Makes the link that `tree` is at `target`; one that is there must lead to the same. Where it leads is the container's to
/// resolve.
#[inline(never)]
fn copy_link(init: &mut Init, tree: Fd, target: &CStr) -> Done {
    let mut name = Component::default();
    let parent = root::parent(init, target, &mut name)?;
    let mut text = Name::default();
    root::read_link(tree, c"", &mut text)?;
    match sys::symlinkat(text.as_cstr(), parent, name.as_cstr()) {
        Ok(_) => {}
        Err(sys::EEXIST) => {
            let mut found = Name::default();
            let is_link = root::read_link(parent, name.as_cstr(), &mut found).is_ok();
            if !is_link || !same(&found, &text) {
                return fail(Part::WrongNode, sys::EEXIST, 0);
            }
        }
        Err(errno) => return fail(Part::Symlinkat, errno, 0),
    }
    sys::close(parent);
    sys::close(tree);
    Ok(())
}

fn same(one: &Name, other: &Name) -> bool {
    let bytes = other.as_cstr().to_bytes().iter();
    one.as_cstr().to_bytes().iter().eq(bytes)
}

/// Changes what is mounted at `target` already.
pub fn remount(
    init: &mut Init,
    target: &CStr,
    options: List<'static, (&'static CStr, &'static CStr)>,
    [set, clear]: [MountAttr; 2],
    propagation: List<'static, Propagation>,
) -> Done {
    let mounted = root::open(init, target, sys::O_PATH)?;
    if options.iter().next().is_some() {
        filesystem::reconfigure(mounted, options)?;
    }
    apply(mounted, set, clear, false)?;
    root::propagate(mounted, propagation)?;
    sys::close(mounted);
    Ok(())
}

/// Makes the root mount itself read-only, not what is mounted below it.
pub fn readonly_root(init: &mut Init) -> Done {
    let root = root::fd(init)?;
    apply(root, MountAttr(READONLY), MountAttr(0), false)
}

/// Binds `path` on itself, read-only.
pub fn readonly(init: &mut Init, path: &CStr) -> Done {
    let Some(point) = open_if_there(init, path)? else {
        return Ok(());
    };
    let tree = clone(point)?;
    apply(tree, MountAttr(READONLY), MountAttr(0), false)?;
    attach(tree, point)
}

/// Covers `path`: a directory with an empty one, anything else with /dev/null.
pub fn mask(init: &mut Init, path: &CStr, null: Slot) -> Done {
    let Some(point) = open_if_there(init, path)? else {
        return Ok(());
    };
    if stat::kind(point)? == sys::S_IFDIR {
        mask_directory(init, point)
    } else {
        mask_file(init, point, null)
    }
}

/// The first empty directory is mounted, the next ones are clones of it: only what is attached can be cloned before Linux 6.15.
fn mask_directory(init: &mut Init, point: Fd) -> Done {
    if init.empty != 0 {
        return attach(clone(init.empty)?, point);
    }
    let empty = New {
        fstype: c"tmpfs",
        source: c"tmpfs",
        options: List::Items(&[
            (c"nr_blocks", c"1"),
            (c"nr_inodes", c"2"),
            (c"mode", c"0555"),
            (c"ro", c""),
        ]),
        attributes: MountAttr(0xf),
    };
    init.empty = filesystem::create(&empty, None)?;
    sys_mount::move_mount(init.empty, point).at(Part::MoveMount)?;
    sys::close(point);
    Ok(())
}

/// Masks with the caller's /dev/null: the container's could be anything. It is verified all the same.
fn mask_file(init: &mut Init, point: Fd, slot: Slot) -> Done {
    let null = init.fd(slot)?;
    if init.null_attached {
        return attach(clone(null)?, point);
    }
    let found = stat::stat(null, c"").at(Part::Stat)?;
    if (found.mode & sys::S_IFMT, found.major, found.minor) != (sys::S_IFCHR, 1, 3) {
        return fail(Part::WrongNode, sys::ENODEV, u64::from(found.mode));
    }
    const NOSUID_NOEXEC_READONLY: u64 = 0xb;
    apply(null, MountAttr(NOSUID_NOEXEC_READONLY), MountAttr(0), false)?;
    sys_mount::move_mount(null, point).at(Part::MoveMount)?;
    sys::close(point);
    init.null_attached = true;
    Ok(())
}

/// Only a missing path needs no protection; every other failure to reach it is one.
fn open_if_there(init: &mut Init, path: &CStr) -> Done<Option<Fd>> {
    match root::resolve(init, path, sys::O_PATH, 0)? {
        Ok(fd) => Ok(Some(fd)),
        Err(sys::ENOENT | sys::ENOTDIR) => Ok(None),
        Err(errno) => fail(Part::Openat2, errno, 0),
    }
}

fn clone(mounted: Fd) -> Done<Fd> {
    let flags = sys_mount::OPEN_TREE_CLONE | sys::AT_EMPTY_PATH | sys::AT_RECURSIVE;
    sys_mount::open_tree(mounted, c"", flags).at(Part::OpenTree)
}

fn attach(tree: Fd, point: Fd) -> Done {
    sys_mount::move_mount(tree, point).at(Part::MoveMount)?;
    sys::close(tree);
    sys::close(point);
    Ok(())
}
