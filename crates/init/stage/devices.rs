//! Steps that make device nodes, links and the loopback interface.

use crate::message;
use crate::op::Slot;
use crate::report::Part;
use crate::root::{self, Component};
use crate::stat;
use crate::step::{At, Done, Init, fail};
use crate::sys::{self, Fd};
use core::ffi::CStr;

/// A node to be.
#[derive(Clone, Copy)]
pub struct Node {
    /// Type and permissions.
    pub mode: u32,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Makes `node` at `path`; one that is there must be the same.
pub fn node(init: &mut Init, path: &CStr, node: Node) -> Done {
    let mut name = Component::default();
    let parent = root::parent(init, path, &mut name)?;
    let made = match sys::mknodat(
        parent,
        name.as_cstr(),
        node.mode,
        makedev(node.major, node.minor),
    ) {
        Ok(_) => true,
        Err(sys::EEXIST) => false,
        Err(errno) => return fail(Part::Mknodat, errno, 0),
    };
    // What was made just now is what was asked for.
    if !made || (node.uid, node.gid) != (0, 0) {
        let flags = sys::O_PATH | sys::O_NOFOLLOW;
        let strict = sys::RESOLVE_BENEATH | sys::RESOLVE_NO_SYMLINKS;
        let fd = sys::openat2(parent, name.as_cstr(), flags, strict).at(Part::Openat2)?;
        verify(fd, node)?;
        if made {
            sys::fchown(fd, node.uid, node.gid).at(Part::Fchownat)?;
        }
        sys::close(fd);
    }
    sys::close(parent);
    Ok(())
}

/// A node is what its type and number say, not what its name says.
fn verify(fd: Fd, node: Node) -> Done {
    let found = stat::stat(fd, c"").at(Part::Stat)?;
    let kind = node.mode & sys::S_IFMT;
    let numbered = kind == sys::S_IFCHR || kind == sys::S_IFBLK;
    let same = found.mode & sys::S_IFMT == kind
        && (!numbered || (found.major, found.minor) == (node.major, node.minor));
    if same {
        Ok(())
    } else {
        fail(Part::WrongNode, sys::EEXIST, u64::from(found.mode))
    }
}

/// The kernel's huge encoding of a device number.
pub fn makedev(major: u32, minor: u32) -> u64 {
    let (major, minor) = (u64::from(major), u64::from(minor));
    (minor & 0xff) | (major & 0xfff) << 8 | (minor & !0xff) << 12
}

/// Makes a symbolic link; the file system keeps what is there unless it is to be replaced.
pub fn symlink(init: &mut Init, path: &CStr, target: &CStr, replace: bool) -> Done {
    let mut name = Component::default();
    let parent = root::parent(init, path, &mut name)?;
    if replace {
        match sys::unlinkat(parent, name.as_cstr()) {
            Ok(_) | Err(sys::ENOENT) => {}
            Err(errno) => return fail(Part::Unlinkat, errno, 0),
        }
    }
    match sys::symlinkat(target, parent, name.as_cstr()) {
        Ok(_) | Err(sys::EEXIST) => {}
        Err(errno) => return fail(Part::Symlinkat, errno, 0),
    }
    sys::close(parent);
    Ok(())
}

/// Opens a socket where it counts and gives it away: whoever has it need not come here.
pub fn net_socket(init: &Init, slot: Slot) -> Done {
    let way = init.fd(slot)?;
    const AF_NETLINK: i32 = 16;
    const SOCK_RAW: i32 = 3;
    let socket = sys::socket(AF_NETLINK, SOCK_RAW).at(Part::Socket)?;
    message::sendmsg(way, b"n", Some(socket)).at(Part::Sendmsg)?;
    sys::close(socket);
    sys::close(way);
    Ok(())
}

/// Brings `lo` up: a new network namespace has it, down (netdevice(7)).
pub fn loopback() -> Done {
    const SIOCGIFFLAGS: u32 = 0x8913;
    const SIOCSIFFLAGS: u32 = 0x8914;
    const IFF_UP: u8 = 1;
    const AF_INET: i32 = 2;
    const SOCK_DGRAM: i32 = 2;
    let socket = sys::socket(AF_INET, SOCK_DGRAM).at(Part::Socket)?;
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    sys::ioctl_bytes(socket, SIOCGIFFLAGS, &mut request).at(Part::IoctlInterface)?;
    request[16] |= IFF_UP;
    sys::ioctl_bytes(socket, SIOCSIFFLAGS, &mut request).at(Part::IoctlInterface)?;
    sys::close(socket);
    Ok(())
}
