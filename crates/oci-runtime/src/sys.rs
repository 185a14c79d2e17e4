//! The few system calls that no crate of ours wraps, as safe functions with the kernel's names.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use crate::scheduling::Attributes;

/// memfd_create(2).
pub(crate) fn memfd_create(name: &CStr, flags: u32) -> Result<OwnedFd, Errno> {
    // SAFETY: `name` is a string with a NUL that lives through the call.
    owned(unsafe { libc::syscall(libc::SYS_memfd_create, name.as_ptr(), flags) })
}

/// Seals a memfd against every change, of its mode too where the kernel can (Linux 6.3), and against further seals.
pub(crate) fn seal(memfd: BorrowedFd<'_>) -> Result<(), Errno> {
    const F_SEAL_EXEC: libc::c_int = 0x20;
    let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    let add = |seals: libc::c_int| {
        // SAFETY: plain numbers.
        Errno::result(unsafe { libc::fcntl(memfd.as_raw_fd(), libc::F_ADD_SEALS, seals) }).map(drop)
    };
    match add(seals | F_SEAL_EXEC) {
        Err(Errno::EINVAL) => add(seals),
        other => other,
    }
}

/// open_tree(2) of an open directory: a detached, recursive clone of the mount tree there.
pub(crate) fn open_tree_clone(directory: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags = libc::OPEN_TREE_CLONE
        | libc::OPEN_TREE_CLOEXEC
        | (libc::AT_EMPTY_PATH | libc::AT_RECURSIVE) as libc::c_uint;
    // SAFETY: the path is a string with a NUL.
    owned(unsafe {
        libc::syscall(
            libc::SYS_open_tree,
            directory.as_raw_fd(),
            c"".as_ptr(),
            flags,
        )
    })
}

/// pidfd_open(2). Only for a pid that cannot have been reused: a child's, or one whose identity is verified afterwards.
pub(crate) fn pidfd_open(pid: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: plain numbers.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// pidfd_send_signal(2).
pub(crate) fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    let information = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo is what kill(2) would make itself.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            information,
            0,
        )
    };
    Errno::result(result).map(drop)
}

/// The kind of a namespace fd as its `CLONE_NEW*` flag (ioctl_nsfs(2), `NS_GET_NSTYPE`).
pub(crate) fn namespace_type(namespace: BorrowedFd<'_>) -> Result<u64, Errno> {
    const NS_GET_NSTYPE: libc::Ioctl = 0xb703;
    // SAFETY: the request takes no argument.
    let kind = Errno::result(unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_NSTYPE) })?;
    Ok(u64::from(kind.cast_unsigned()))
}

/// The network namespace of a socket (socket ioctl `SIOCGSKNS`).
pub(crate) fn namespace_of(socket: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    const SIOCGSKNS: libc::Ioctl = 0x894c;
    // SAFETY: the request takes no argument.
    owned(libc::c_long::from(unsafe {
        libc::ioctl(socket.as_raw_fd(), SIOCGSKNS)
    }))
}

/// Receives one message and the file descriptor that came with it.
pub(crate) fn receive_fd(socket: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let mut byte = [0];
    let mut parts = [IoSliceMut::new(&mut byte)];
    let mut control = nix::cmsg_space!(RawFd);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    let rights = message.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
        _ => None,
    });
    let fd = rights.ok_or(Errno::EBADMSG)?;
    // SAFETY: recvmsg(2) has just made this fd, and there is room for one only, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// sched_setattr(2).
pub(crate) fn sched_setattr(pid: i32, attributes: &Attributes) -> Result<(), Errno> {
    #[repr(C)]
    struct SchedAttr {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
        util_min: u32,
        util_max: u32,
    }
    let attr = SchedAttr {
        size: size_of::<SchedAttr>() as u32,
        policy: attributes.policy,
        flags: attributes.flags,
        nice: attributes.nice,
        priority: attributes.priority,
        runtime: attributes.runtime,
        deadline: attributes.deadline,
        period: attributes.period,
        util_min: 0,
        util_max: 0,
    };
    // SAFETY: the structure lives through the call and says its own size.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, pid, &raw const attr, 0) };
    Errno::result(result).map(drop)
}

/// ioprio_set(2) of one process.
pub(crate) fn ioprio_set(pid: i32, priority: u32) -> Result<(), Errno> {
    const IOPRIO_WHO_PROCESS: i32 = 1;
    // SAFETY: plain numbers.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, priority) };
    Errno::result(result).map(drop)
}

fn owned(result: libc::c_long) -> Result<OwnedFd, Errno> {
    let fd = Errno::result(result)?;
    // SAFETY: the call has just made this fd, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// pidfd_getfd(2): a copy, close-on-exec, of an fd of another process.
pub(crate) fn pidfd_getfd(pidfd: BorrowedFd<'_>, fd: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: plain numbers.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0) })
}

/// The next call that waits for whoever holds the listener (seccomp_unotify(2), `SECCOMP_IOCTL_NOTIF_RECV`).
pub(crate) fn seccomp_receive(listener: BorrowedFd<'_>) -> Result<libc::seccomp_notif, Errno> {
    const SECCOMP_IOCTL_NOTIF_RECV: libc::Ioctl = 0xc050_2100_u32 as libc::Ioctl;
    // SAFETY: all of its fields are numbers. The kernel wants zeros.
    let mut notification: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    let at = &raw mut notification;
    // SAFETY: the request writes one `seccomp_notif`.
    Errno::result(unsafe { libc::ioctl(listener.as_raw_fd(), SECCOMP_IOCTL_NOTIF_RECV, at) })?;
    Ok(notification)
}

/// Has the kernel make a call that waits (`SECCOMP_IOCTL_NOTIF_SEND` with `SECCOMP_USER_NOTIF_FLAG_CONTINUE`).
pub(crate) fn seccomp_continue(listener: BorrowedFd<'_>, id: u64) -> Result<(), Errno> {
    const SECCOMP_IOCTL_NOTIF_SEND: libc::Ioctl = 0xc018_2101_u32 as libc::Ioctl;
    let response = libc::seccomp_notif_resp {
        id,
        val: 0,
        error: 0,
        flags: libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
    };
    let at = &raw const response;
    // SAFETY: the request reads one `seccomp_notif_resp`.
    Errno::result(unsafe { libc::ioctl(listener.as_raw_fd(), SECCOMP_IOCTL_NOTIF_SEND, at) })
        .map(drop)
}

/// Has the kernel hand the processor over directly between who calls and who answers (`SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`,
/// Linux 6.6).
pub(crate) fn seccomp_wake_up_at_once(listener: BorrowedFd<'_>) -> Result<(), Errno> {
    const SECCOMP_IOCTL_NOTIF_SET_FLAGS: libc::Ioctl = 0x4008_2104;
    const SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP: u64 = 1;
    let flags = SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP;
    // SAFETY: the request takes the flags themselves.
    Errno::result(unsafe {
        libc::ioctl(listener.as_raw_fd(), SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags)
    })
    .map(drop)
}
