//! Messages with file descriptors: sendmsg(2) and recvmsg(2) with `SCM_RIGHTS`.

use crate::sys::{Answer, Errno, Fd, call, nr, retry};

#[repr(C)]
struct Iovec {
    base: *mut u8,
    length: usize,
}

#[repr(C)]
struct Msghdr {
    name: usize,
    name_length: u64,
    iov: *mut Iovec,
    iov_length: usize,
    control: *mut u8,
    control_length: usize,
    flags: u64,
}

const SOL_SOCKET: u32 = 1;
const SCM_RIGHTS: u32 = 1;
/// The most fds that one message can carry (`SCM_MAX_FD`).
pub const MAX_FDS: usize = 253;

#[repr(C, align(8))]
struct Control {
    length: usize,
    level: u32,
    kind: u32,
    fds: [Fd; MAX_FDS + 1],
}

/// Receives one message; its fds, close-on-exec, go to `fds`. Answers the bytes and the number of fds.
pub fn recvmsg(
    socket: Fd,
    into: &mut [u8],
    fds: &mut [Fd; MAX_FDS],
) -> Result<(usize, usize), Errno> {
    const MSG_CMSG_CLOEXEC: u32 = 0x4000_0000;
    const HEADER: usize = 16;
    let mut iov = Iovec {
        base: into.as_mut_ptr(),
        length: into.len(),
    };
    let mut control = Control {
        length: 0,
        level: 0,
        kind: 0,
        fds: [0; MAX_FDS + 1],
    };
    let mut message = Msghdr {
        name: 0,
        name_length: 0,
        iov: &raw mut iov,
        iov_length: 1,
        control: (&raw mut control).cast(),
        control_length: size_of::<Control>(),
        flags: 0,
    };
    let count = retry(|| call!(nr::RECVMSG, socket, &raw mut message, MSG_CMSG_CLOEXEC))?;
    if message.control_length < HEADER || (control.level, control.kind) != (SOL_SOCKET, SCM_RIGHTS)
    {
        return Ok((count, 0));
    }
    let received = (control.length.saturating_sub(HEADER) / size_of::<Fd>()).min(MAX_FDS);
    fds[..received].copy_from_slice(&control.fds[..received]);
    Ok((count, received))
}

/// Sends one message, with an fd when given, never raising SIGPIPE.
pub fn sendmsg(socket: Fd, bytes: &[u8], fd: Option<Fd>) -> Answer {
    const MSG_NOSIGNAL: u32 = 0x4000;
    let mut iov = Iovec {
        base: bytes.as_ptr().cast_mut(),
        length: bytes.len(),
    };
    let mut control = Control {
        length: 20,
        level: SOL_SOCKET,
        kind: SCM_RIGHTS,
        fds: [0; MAX_FDS + 1],
    };
    control.fds[0] = fd.unwrap_or(0);
    let message = Msghdr {
        name: 0,
        name_length: 0,
        iov: &raw mut iov,
        iov_length: 1,
        control: if fd.is_some() {
            (&raw mut control).cast()
        } else {
            core::ptr::null_mut()
        },
        control_length: if fd.is_some() { 24 } else { 0 },
        flags: 0,
    };
    retry(|| call!(nr::SENDMSG, socket, &raw const message, MSG_NOSIGNAL))
}
