//! Steps that mount a new file system instance, by the fd-based calls only: fsopen, fsconfig, fsmount, move_mount.

use crate::attributes::{READONLY, apply};
use crate::copy_up;
use crate::op::{MountAttr, NO_SLOT, Propagation, Slot};
use crate::report::Part;
use crate::root::{self, Make, Name};
use crate::stat;
use crate::step::{At, Done, Init, fail};
use crate::sys::{self, Answer, Fd};
use crate::sys_mount;
use crate::sys_tree;
use crate::wire::List;
use core::ffi::CStr;

/// What to mount.
#[derive(Clone, Copy)]
pub struct New {
    /// Type of file system.
    pub fstype: &'static CStr,
    /// Source; empty for none.
    pub source: &'static CStr,
    /// Keys and values.
    pub options: List<'static, (&'static CStr, &'static CStr)>,
    /// Attributes of the mount.
    pub attributes: MountAttr,
}

/// What a new mount gets besides.
#[derive(Clone, Copy)]
pub struct Extras {
    /// A user namespace for its id map, or none.
    pub id_map: Slot,
    /// Whether it begins with a copy of what it covers.
    pub copy_up: bool,
    /// Propagation changes in order, once it is attached.
    pub propagation: List<'static, Propagation>,
}

/// Mounts `new` at `target`.
pub fn mount(init: &mut Init, target: &'static CStr, new: New, extras: Extras) -> Done {
    // What is trusted later for what it is must not be put elsewhere by a link of the image's.
    let trusted = new.fstype == c"proc" || new.fstype == c"sysfs";
    let extra = if trusted { sys::RESOLVE_NO_SYMLINKS } else { 0 };
    let (point, existed) = root::mount_point(init, target, Make::Directory, extra)?;
    let inherited = if existed {
        inherited_mode(point, &new)?
    } else {
        None
    };
    let tree = if extras.copy_up {
        copied(point, &new, inherited.as_ref())?
    } else {
        create(&new, inherited.as_ref())?
    };
    if extras.id_map != NO_SLOT {
        sys_tree::id_map(tree, init.fd(extras.id_map)?, false).at(Part::IdMapTree)?;
    }
    root::mount_on(tree, point)?;
    root::propagate(tree, extras.propagation)?;
    sys::close(tree);
    sys::close(point);
    Ok(())
}

/// A new instance with a copy of what is at `point`. It is written to before it becomes read-only.
fn copied(point: Fd, new: &New, mode: Option<&[u8; 6]>) -> Done<Fd> {
    let writable = New {
        attributes: MountAttr(new.attributes.0 & !READONLY),
        ..*new
    };
    let tree = create(&writable, mode)?;
    let owned = !new
        .options
        .iter()
        .any(|(key, _)| key == c"uid" || key == c"gid");
    copy_up::copy(point, tree, owned)?;
    let readonly = MountAttr(new.attributes.0 & READONLY);
    apply(tree, readonly, MountAttr(0), false)?;
    Ok(tree)
}

/// A detached mount of a new instance.
pub fn create(new: &New, mode: Option<&[u8; 6]>) -> Done<Fd> {
    let context = sys_mount::fsopen(new.fstype).at(Part::Fsopen)?;
    if !new.source.is_empty() {
        sys_mount::fsconfig_string(context, c"source", new.source).at(Part::Fsconfig)?;
    }
    let label = parameters(context, new)?;
    if let Some(text) = mode {
        let text = CStr::from_bytes_until_nul(text).unwrap_or(c"755");
        sys_mount::fsconfig_string(context, c"mode", text).at(Part::Fsconfig)?;
    }
    sys_mount::fsconfig_create(context).at(Part::FsconfigCreate)?;
    let tree = sys_mount::fsmount(context, new.attributes.0).at(Part::Fsmount)?;
    sys::close(context);
    if let Some(label) = label {
        set_label(tree, label)?;
    }
    Ok(tree)
}

/// Sets all parameters but a label that this file system takes otherwise, which is the answer.
fn parameters(context: Fd, new: &New) -> Done<Option<&'static CStr>> {
    let mut label = None;
    for (index, (key, value)) in new.options.iter().enumerate() {
        if key == c"context" && new.fstype == c"mqueue" {
            label = Some(value);
        } else if let Err(errno) = parameter(context, key, value) {
            return fail(Part::Fsconfig, errno, index as u64 + 1);
        }
    }
    Ok(label)
}

/// Labels the root of a mount, for SELinux: mqueue takes no label as a parameter.
fn set_label(tree: Fd, label: &CStr) -> Done {
    let flags = sys::O_RDONLY | sys::O_DIRECTORY;
    let root = sys::openat2(tree, c".", flags, sys::RESOLVE_BENEATH).at(Part::Openat2)?;
    sys_tree::fsetxattr(root, c"security.selinux", label.to_bytes_with_nul())
        .at(Part::Fsetxattr)?;
    sys::close(root);
    Ok(())
}

/// Changes the superblock of what is mounted.
pub fn reconfigure(mounted: Fd, options: List<'static, (&'static CStr, &'static CStr)>) -> Done {
    let context = sys_tree::fspick(mounted).at(Part::Fspick)?;
    for (index, (key, value)) in options.iter().enumerate() {
        if let Err(errno) = parameter(context, key, value) {
            return fail(Part::Fsconfig, errno, index as u64 + 1);
        }
    }
    sys_tree::fsconfig_reconfigure(context).at(Part::FsconfigReconfigure)?;
    sys::close(context);
    Ok(())
}

/// The kernel takes no more than this many bytes of a value.
const LONGEST: usize = 255;

/// One parameter. The layers of an overlay can come one by one (Linux 6.8), as they have to where images have many.
fn parameter(context: Fd, key: &CStr, value: &CStr) -> Answer {
    if value.is_empty() {
        return sys_mount::fsconfig_flag(context, key);
    }
    if value.count_bytes() <= LONGEST {
        return sys_mount::fsconfig_string(context, key, value);
    }
    if key != c"lowerdir" {
        return long_path(context, key, value);
    }
    layers(context, value)
}

#[inline(never)]
fn layers(context: Fd, list: &CStr) -> Answer {
    let mut layer = Name::default();
    let mut key = c"lowerdir+";
    for path in list.to_bytes().split(|byte| *byte == b':') {
        // After a second colon come layers of data alone.
        if path.is_empty() {
            key = c"datadir+";
            continue;
        }
        layer.set(path).map_err(|why| why.errno)?;
        if path.len() <= LONGEST {
            sys_mount::fsconfig_string(context, key, layer.as_cstr())?;
        } else {
            long_path(context, key, layer.as_cstr())?;
        }
    }
    Ok(0)
}

/// The directory itself instead of its path (Linux 6.13).
fn long_path(context: Fd, key: &CStr, path: &CStr) -> Answer {
    let directory = sys::open(path, sys::O_PATH | sys::O_DIRECTORY)?;
    let answer = sys_tree::fsconfig_fd(context, key, directory);
    sys::close(directory);
    answer
}

/// A tmpfs without a mode takes that of the directory that it covers, so that /tmp stays sticky.
fn inherited_mode(point: Fd, new: &New) -> Done<Option<[u8; 6]>> {
    if new.fstype != c"tmpfs" || new.options.iter().any(|(key, _)| key == c"mode") {
        return Ok(None);
    }
    let mode = stat::stat(point, c"").at(Part::Stat)?.mode & 0o7777;
    let digit = |shift: u32| b'0' + ((mode >> shift) & 7) as u8;
    Ok(Some([b'0', digit(9), digit(6), digit(3), digit(0), 0]))
}

/// A procfs of our own that is attached nowhere: nothing can stand in its way.
pub fn private_proc() -> Done<Fd> {
    let private = New {
        fstype: c"proc",
        source: c"proc",
        options: List::Items(&[]),
        attributes: MountAttr(0xe),
    };
    create(&private, None)
}

/// Writes a kernel parameter.
pub fn sysctl(init: &mut Init, path: &CStr, value: &CStr) -> Done {
    let _ = &init;
    let proc = private_proc()?;
    let flags = sys::O_PATH | sys::O_DIRECTORY;
    let strict = sys::RESOLVE_BENEATH | sys::RESOLVE_NO_SYMLINKS | sys::RESOLVE_NO_XDEV;
    let directory = sys::openat2(proc, c"sys", flags, strict).at(Part::Openat2)?;
    let file = sys::openat2(directory, path, sys::O_WRONLY, strict).at(Part::Openat2)?;
    let bytes = value.to_bytes();
    let written = sys::write(file, bytes).at(Part::Write)?;
    for fd in [file, directory, proc] {
        sys::close(fd);
    }
    if written != bytes.len() {
        return fail(Part::Write, sys::EINVAL, written as u64);
    }
    Ok(())
}
