//! Idmapped mounts: ids of files shown as others, by the maps of a user namespace (mount_setattr(2), "ID-mapped mounts").
//!
//! The kernel takes the maps from a namespace and keeps them; nobody has to live in it. So it is made by a process that
//! does nothing but wait: the outer lane, which has the caller's privileges, writes its maps and keeps the namespace by its fd.

use crate::caller;
use crate::child;
use crate::op::Slot;
use crate::report::Part;
use crate::step::{At, Done, Init};
use crate::sys::{self, Fd};
use crate::sys_tree;
use core::ffi::CStr;

/// Makes a user namespace with these maps; an empty one is left unwritten.
pub fn namespace(init: &mut Init, uid_map: &CStr, gid_map: &CStr, slot: Slot) -> Done {
    let [wait, keep] = child::pipe().at(Part::Pipe)?;
    let (pid, pidfd) = waiting_process(wait, keep)?;
    let made = write_maps(pid, uid_map, gid_map)
        .and_then(|()| sys::open(path(pid, b"ns/user", &mut [0; 32]), sys::O_RDONLY))
        .at(Part::IdMapNamespace);
    sys::close(keep);
    sys::close(wait);
    let _ = child::wait(pidfd);
    sys::close(pidfd);
    caller::put(init, slot, made?)
}

/// A process in a new user namespace that ends when all ends of the pipe but its own are closed.
fn waiting_process(wait: Fd, keep: Fd) -> Done<(i32, Fd)> {
    const CLONE_NEWUSER: u64 = 0x1000_0000;
    // Whose memory is nobody's to look at, its files in /proc are the host root's; so it is lifted for this one.
    sys::set_dumpable(true).at(Part::PrctlDumpable)?;
    let forked = child::fork_into(CLONE_NEWUSER);
    if let Ok(None) = forked {
        sys::close(keep);
        let _ = sys::read(wait, &mut [0]);
        sys::exit(0);
    }
    sys::set_dumpable(false).at(Part::PrctlDumpable)?;
    match forked.at(Part::IdMapNamespace)? {
        Some(process) => Ok(process),
        None => sys::exit(0),
    }
}

/// One write for a whole map, as the kernel wants it.
fn write_maps(pid: i32, uid_map: &CStr, gid_map: &CStr) -> Result<(), sys::Errno> {
    for (name, map) in [(&b"uid_map"[..], uid_map), (b"gid_map", gid_map)] {
        if !map.is_empty() {
            let file = sys::open(path(pid, name, &mut [0; 32]), sys::O_WRONLY)?;
            let written = sys::write(file, map.to_bytes());
            sys::close(file);
            written?;
        }
    }
    Ok(())
}

/// Enters a user namespace in which the caller's own ids are all that there are.
pub fn enter(uid_map: &CStr, gid_map: &CStr) -> Done {
    const NEW_USER_AND_MOUNT: u64 = 0x1002_0000;
    sys::unshare(NEW_USER_AND_MOUNT).at(Part::Unshare)?;
    // Else our own files in /proc are the machine's root's.
    sys::set_dumpable(true).at(Part::PrctlDumpable)?;
    for (file, text) in [
        // Who could drop a group could reach what is kept from its members; so the kernel wants that given up before.
        (c"/proc/self/setgroups", c"deny"),
        (c"/proc/self/uid_map", uid_map),
        (c"/proc/self/gid_map", gid_map),
    ] {
        let file = sys::open(file, sys::O_WRONLY).at(Part::IdMapNamespace)?;
        let written = sys::write(file, text.to_bytes());
        sys::close(file);
        written.at(Part::IdMapNamespace)?;
    }
    sys::set_dumpable(false).at(Part::PrctlDumpable).map(drop)
}

/// `/proc/PID/name`, in the caller's procfs.
fn path<'b>(pid: i32, name: &[u8], buffer: &'b mut [u8; 32]) -> &'b CStr {
    let mut digits = [0; 10];
    let digits = caller::decimal(pid.unsigned_abs(), &mut digits);
    let mut end = 0;
    for part in [&b"/proc/"[..], digits, b"/", name] {
        buffer[end..end + part.len()].copy_from_slice(part);
        end += part.len();
    }
    CStr::from_bytes_until_nul(buffer).unwrap_or(c"")
}

/// Maps the ids of a tree.
pub fn tree(init: &mut Init, slot: Slot, namespace: Slot, recursive: bool) -> Done {
    let (tree, namespace) = (init.fd(slot)?, init.fd(namespace)?);
    sys_tree::id_map(tree, namespace, recursive)
        .at(Part::IdMapTree)
        .map(drop)
}
