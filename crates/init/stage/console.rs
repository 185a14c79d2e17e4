//! Steps that give the payload its standard streams: a terminal of its own, or the caller's streams.

use crate::message;
use crate::op::Slot;
use crate::report::Part;
use crate::root::{self, Make};
use crate::stat;
use crate::step::{At, Done, Init, fail};
use crate::sys::{self, Fd};
use crate::sys_mount;

/// Columns and rows.
#[derive(Clone, Copy)]
pub struct Size {
    /// Columns; 0 keeps the kernel's.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// Makes a pseudo-terminal in the container's devpts(5) and sends its master away.
pub fn open(init: &mut Init, slot: Slot, size: Size, mount: bool, uid: u32) -> Done {
    const TIOCSCTTY: u32 = 0x540e;
    let master = open_master(init)?;
    let slave = open_slave(master, size)?;
    own(slave, uid)?;
    if mount {
        bind_on_console(init, slave)?;
    }
    let socket = init.fd(slot)?;
    message::sendmsg(socket, b"/dev/ptmx", Some(master)).at(Part::Sendmsg)?;
    sys::close(socket);
    sys::close(master);
    sys::ioctl_int(slave, TIOCSCTTY, 0).at(Part::IoctlSctty)?;
    for stream in 0..3 {
        sys::dup3(slave, stream).at(Part::Dup)?;
    }
    sys::close(slave);
    Ok(())
}

/// The image could have put anything at that name: only the multiplexer of a devpts will do.
fn open_master(init: &mut Init) -> Done<Fd> {
    const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;
    let path = root::open(init, c"dev/pts/ptmx", sys::O_PATH)?;
    let found = stat::stat(path, c"").at(Part::Stat)?;
    let magic = stat::fstatfs_magic(path).at(Part::Stat)?;
    sys::close(path);
    if (found.mode & sys::S_IFMT, found.major, found.minor, magic)
        != (sys::S_IFCHR, 5, 2, DEVPTS_SUPER_MAGIC)
    {
        return fail(Part::WrongPlace, sys::ENODEV, magic);
    }
    let master = root::open(init, c"dev/pts/ptmx", sys::O_RDWR | sys::O_NOCTTY)?;
    if stat::fstatfs_magic(master).at(Part::Stat)? != DEVPTS_SUPER_MAGIC {
        return fail(Part::WrongPlace, sys::ENODEV, 0);
    }
    Ok(master)
}

/// The kernel hands out the other end by itself: no name is looked up.
fn open_slave(master: Fd, size: Size) -> Done<Fd> {
    const TIOCSPTLCK: u32 = 0x4004_5431;
    const TIOCGPTPEER: u32 = 0x5441;
    const TIOCSWINSZ: u32 = 0x5414;
    let mut unlocked = [0u8; 4];
    sys::ioctl_bytes(master, TIOCSPTLCK, &mut unlocked).at(Part::IoctlPtLock)?;
    let flags = sys::O_RDWR | sys::O_NOCTTY | sys::O_CLOEXEC;
    let slave = sys::ioctl_int(master, TIOCGPTPEER, flags as usize).at(Part::IoctlPtPeer)? as Fd;
    if (size.width, size.height) != (0, 0) {
        let mut rows_then_columns = [0u8; 8];
        rows_then_columns[..2].copy_from_slice(&size.height.to_ne_bytes());
        rows_then_columns[2..4].copy_from_slice(&size.width.to_ne_bytes());
        sys::ioctl_bytes(slave, TIOCSWINSZ, &mut rows_then_columns).at(Part::IoctlWinsize)?;
    }
    Ok(slave)
}

/// /dev/console is the terminal itself, bound from its fd.
fn bind_on_console(init: &mut Init, slave: Fd) -> Done {
    let (point, _) = root::mount_point(init, c"dev/console", Make::File, sys::RESOLVE_NO_SYMLINKS)?;
    let flags = sys_mount::OPEN_TREE_CLONE | sys::AT_EMPTY_PATH;
    let tree = sys_mount::open_tree(slave, c"", flags).at(Part::OpenTree)?;
    sys_mount::move_mount(tree, point).at(Part::MoveMount)?;
    sys::close(tree);
    sys::close(point);
    Ok(())
}

/// Makes slots the standard streams, and the payload's user their owner: it may reopen them by way of /dev/stderr.
pub fn stdio(init: &mut Init, slots: [Slot; 3], uid: u32) -> Done {
    for (stream, slot) in slots.into_iter().enumerate() {
        sys::dup3(init.fd(slot)?, stream as Fd).at(Part::Dup)?;
        own(stream as Fd, uid)?;
    }
    for slot in slots {
        sys::close(init.fd(slot)?);
    }
    Ok(())
}

/// Never /dev/null, which is everybody's; and no matter where the file system has owners of its own ideas.
fn own(fd: Fd, uid: u32) -> Done {
    let found = stat::stat(fd, c"").at(Part::Stat)?;
    let null = (found.mode & sys::S_IFMT, found.major, found.minor) == (sys::S_IFCHR, 1, 3);
    if null || found.uid == uid {
        return Ok(());
    }
    const EROFS: sys::Errno = sys::Errno(30);
    match sys::fchown(fd, uid, u32::MAX) {
        Ok(_) | Err(sys::EPERM | sys::EINVAL | EROFS | sys::EACCES) => Ok(()),
        Err(errno) => fail(Part::Fchownat, errno, 0),
    }
}
