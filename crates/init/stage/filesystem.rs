//! Steps that mount a new file system instance, by the fd-based calls only: fsopen, fsconfig, fsmount, move_mount.

use crate::op::{MountAttr, Propagation};
use crate::report::Part;
use crate::root::{self, Make, Name};
use crate::stat;
use crate::step::{At, Done, Init, fail};
use crate::sys::{self, Answer, Fd};
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

/// Mounts `new` at `target`.
pub fn mount(
    init: &mut Init,
    target: &'static CStr,
    new: New,
    propagation: List<'static, Propagation>,
) -> Done {
    // What is trusted later for what it is must not be put elsewhere by a link of the image's.
    let trusted = new.fstype == c"proc" || new.fstype == c"sysfs";
    let extra = if trusted { sys::RESOLVE_NO_SYMLINKS } else { 0 };
    let (point, existed) = root::mount_point(init, target, Make::Directory, extra)?;
    let inherited = if existed {
        inherited_mode(point, &new)?
    } else {
        None
    };
    let tree = create(&new, inherited.as_ref())?;
    propagation
        .iter()
        .try_for_each(|flags| root::change_propagation(tree, flags.0))?;
    sys::move_mount(tree, point).at(Part::MoveMount)?;
    sys::close(tree);
    sys::close(point);
    Ok(())
}

/// A detached mount of a new instance.
pub fn create(new: &New, mode: Option<&[u8; 6]>) -> Done<Fd> {
    let context = sys::fsopen(new.fstype).at(Part::Fsopen)?;
    if !new.source.is_empty() {
        sys::fsconfig_string(context, c"source", new.source).at(Part::Fsconfig)?;
    }
    for (index, (key, value)) in new.options.iter().enumerate() {
        if let Err(errno) = parameter(context, key, value) {
            return fail(Part::Fsconfig, errno, index as u64 + 1);
        }
    }
    if let Some(text) = mode {
        let text = CStr::from_bytes_until_nul(text).unwrap_or(c"755");
        sys::fsconfig_string(context, c"mode", text).at(Part::Fsconfig)?;
    }
    sys::fsconfig_create(context).at(Part::FsconfigCreate)?;
    let tree = sys::fsmount(context, new.attributes.0).at(Part::Fsmount)?;
    sys::close(context);
    Ok(tree)
}

/// One parameter. The kernel takes no more than this many bytes of a value; the layers of an overlay can come one by one
/// (Linux 6.8), as they have to where images have many.
fn parameter(context: Fd, key: &CStr, value: &CStr) -> Answer {
    const LONGEST: usize = 255;
    if value.is_empty() {
        return sys::fsconfig_flag(context, key);
    }
    if key != c"lowerdir" || value.count_bytes() <= LONGEST {
        return sys::fsconfig_string(context, key, value);
    }
    let mut layer = Name::default();
    for path in value.to_bytes().split(|byte| *byte == b':') {
        layer.set(path).map_err(|why| why.errno)?;
        sys::fsconfig_string(context, c"lowerdir+", layer.as_cstr())?;
    }
    Ok(0)
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
