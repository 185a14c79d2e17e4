//! The outer lane: what must happen in the caller's namespaces and with the caller's privileges.

use crate::op::{NO_SLOT, Namespaces, Propagation, Slot};
use crate::payload::RLIMIT_NOFILE;
use crate::report::Part;
use crate::root::{self, Name};
use crate::step::{At, DIRECTORY, Done, Init, fail};
use crate::sys::{self, Fd};
use crate::sys_mount;
use core::ffi::CStr;

/// Writes oom_score_adj; /proc is the caller's here, no container has touched it.
pub fn oom_score_adj(value: i32) -> Done {
    let mut text = [b'-'; 11];
    let mut digits = [0; 10];
    let digits = decimal(value.unsigned_abs(), &mut digits);
    text[1..=digits.len()].copy_from_slice(digits);
    let start = usize::from(value >= 0);
    write_proc(c"/proc/self/oom_score_adj", &text[start..=digits.len()])
}

/// The digits of `value`, at the end of `buffer`.
pub fn decimal(value: u32, buffer: &mut [u8; 10]) -> &[u8] {
    let mut at = buffer.len();
    let mut rest = value;
    loop {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 || at == 0 {
            return &buffer[at..];
        }
    }
}

/// Sets a limit, and leaves it alone where it is as asked already: setting needs a privilege even then.
pub fn rlimit(init: &mut Init, resource: u32, soft: u64, hard: u64) -> Done {
    if resource == RLIMIT_NOFILE {
        init.nofile = None;
    }
    if sys::getrlimit(resource).at(Part::Prlimit)? == [soft, hard] {
        return Ok(());
    }
    sys::prlimit(resource, soft, hard)
        .at(Part::Prlimit)
        .map(drop)
}

/// As many open files as may be, while a plan with many mounts needs them.
pub fn raise_open_files(init: &mut Init) {
    if let Ok([soft, hard]) = sys::getrlimit(RLIMIT_NOFILE)
        && soft < hard
        && sys::prlimit(RLIMIT_NOFILE, hard, hard).is_ok()
    {
        init.nofile = Some([soft, hard]);
    }
}

/// Raises only: what is higher already is lowered where it is set.
pub fn raise_limit(resource: u32, hard: u64) -> Done {
    let [soft, found] = sys::getrlimit(resource).at(Part::Prlimit)?;
    if hard <= found {
        return Ok(());
    }
    sys::prlimit(resource, soft, hard)
        .at(Part::Prlimit)
        .map(drop)
}

/// Clones the tree at `path` into `slot`. With a slash at its end only a directory is found, which saves the look at what it is;
/// what is none is found without.
pub fn open_tree(
    init: &mut Init,
    path: &CStr,
    [recursive, nofollow, directory]: [bool; 3],
    propagation: Propagation,
    slot: Slot,
) -> Done {
    let mut flags = sys_mount::OPEN_TREE_CLONE;
    if recursive {
        flags |= sys::AT_RECURSIVE;
    }
    if nofollow {
        flags |= sys::AT_SYMLINK_NOFOLLOW;
    }
    if !directory {
        let tree = clone(path, flags, propagation)?;
        return put(init, slot, tree);
    }
    if let Ok(tree) = clone(path, flags, propagation) {
        return put(init, slot, tree | DIRECTORY);
    }
    put(init, slot, clone_file(path, flags, propagation)?)
}

/// Without the slash at its end that only directories can have.
#[inline(never)]
fn clone_file(path: &CStr, flags: u32, propagation: Propagation) -> Done<Fd> {
    let length = path.count_bytes().saturating_sub(1);
    let mut file = Name::default();
    file.set(&path.to_bytes()[..length])?;
    clone(file.as_cstr(), flags, propagation)
}

/// Linux 6.15 changes the propagation in the same call.
fn clone(path: &CStr, flags: u32, propagation: Propagation) -> Done<Fd> {
    if propagation.0 == 0 {
        return sys_mount::open_tree(sys::AT_FDCWD, path, flags).at(Part::OpenTree);
    }
    if let Ok(tree) = sys_mount::open_tree_attr(path, flags, propagation.0) {
        return Ok(tree);
    }
    let tree = sys_mount::open_tree(sys::AT_FDCWD, path, flags).at(Part::OpenTree)?;
    root::change_propagation(tree, propagation.0)?;
    Ok(tree)
}

/// Opens a `tasks` file here, where the caller's paths and privileges hold.
pub fn open_cgroup(init: &mut Init, path: &CStr, slot: Slot) -> Done {
    let fd = sys::open(path, sys::O_WRONLY).at(Part::Open)?;
    put(init, slot, fd)
}

/// A lone thread that moves itself does not have to wait for every fork in the system, as one that is moved by another does.
pub fn join_cgroup(init: &Init, slot: Slot) -> Done {
    let fd = init.fd(slot)?;
    sys::write(fd, b"0").at(Part::Write)?;
    sys::close(fd);
    Ok(())
}

/// Fills a slot.
pub fn put(init: &mut Init, slot: Slot, fd: Fd) -> Done {
    match init.slots.get_mut(usize::from(slot.0)) {
        Some(place) => *place = fd,
        None => return fail(Part::Decode, sys::EPROTO, u64::from(slot.0)),
    }
    Ok(())
}

/// Enters the namespaces of a slot. The caller's supplementary groups stay behind: in a user namespace in which
/// setgroups(2) is denied they could never be given up.
pub fn join(init: &Init, slot: Slot, namespaces: Namespaces) -> Done {
    const CLONE_NEWUSER: u64 = 0x1000_0000;
    if namespaces.0 & CLONE_NEWUSER != 0 {
        match sys::setgroups(0, &[]) {
            Ok(_) | Err(sys::EPERM) => {}
            Err(errno) => return fail(Part::Setgroups, errno, 0),
        }
    }
    sys::setns(init.fd(slot)?, namespaces.0)
        .at(Part::Setns)
        .map(drop)
}

/// Offsets can only be written while no process has entered the namespace: unshare(2) makes it for children only.
pub fn time_namespace(offsets: &CStr) -> Done {
    const CLONE_NEWTIME: u64 = 0x80;
    sys::unshare(CLONE_NEWTIME).at(Part::Unshare)?;
    if offsets.is_empty() {
        return Ok(());
    }
    write_proc(c"/proc/self/timens_offsets", offsets.to_bytes())
}

/// The only fork. The new process is the caller's child as we are, so that the caller can wait for it.
pub fn spawn(init: &Init, namespaces: Namespaces, cgroup: Slot) -> Done {
    let cgroup = if cgroup == NO_SLOT {
        None
    } else {
        Some(init.fd(cgroup)?)
    };
    match sys::clone3_parent(namespaces.0, cgroup).at(Part::Clone3)? {
        0 => Ok(()),
        pid => {
            name_after(pid as u32);
            sys::exit(0)
        }
    }
}

/// Where the new process dies before its first word, in a pid namespace that ends for one, the caller finds its pid here.
fn name_after(pid: u32) {
    const PR_SET_NAME: u32 = 15;
    let mut digits = [0; 10];
    let digits = decimal(pid, &mut digits);
    let mut name = [0u8; 16];
    name[..digits.len()].copy_from_slice(digits);
    let _ = sys::prctl(PR_SET_NAME, name.as_ptr() as u64, 0);
}

/// Writes to a file of the caller's procfs.
pub fn write_proc(path: &CStr, bytes: &[u8]) -> Done {
    let fd = sys::open(path, sys::O_WRONLY).at(Part::Open)?;
    let written = sys::write(fd, bytes).at(Part::Write);
    sys::close(fd);
    written.map(drop)
}
