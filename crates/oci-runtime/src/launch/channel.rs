//! The one socket between the parent and `init`: messages keep their bounds, and the kernel stamps the sender's pid.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
    UnixCredentials, recvmsg, send, sendmsg, setsockopt, socketpair, sockopt,
};
use oci_runtime_init::report::{Report, SIZE};

use crate::error::{Error, Result};

/// The parent's end.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

impl Channel {
    /// Both ends, close-on-exec.
    pub(super) fn pair() -> Result<(Channel, OwnedFd)> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)
            .map_err(|errno| Error::call("socketpair", "AF_UNIX, SOCK_SEQPACKET", errno))?;
        setsockopt(&ours, sockopt::PassCred, &true)
            .map_err(|errno| Error::call("setsockopt", "SO_PASSCRED", errno))?;
        Ok((Channel(ours), theirs))
    }

    /// Hands over the plan and the slots.
    pub(super) fn send_plan(&self, fds: &[BorrowedFd<'_>]) -> Result<()> {
        let numbers: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&numbers)];
        let flags = MsgFlags::MSG_NOSIGNAL;
        sendmsg::<()>(
            self.0.as_raw_fd(),
            &[IoSlice::new(b"p")],
            &rights,
            flags,
            None,
        )
        .map(drop)
        .map_err(|errno| Error::call("sendmsg", "the plan", errno))
    }

    /// Lets `init` go on.
    pub(super) fn go(&self) -> Result<()> {
        match send(self.0.as_raw_fd(), b"g", MsgFlags::MSG_NOSIGNAL) {
            // Receiving will tell why nobody is there.
            Ok(_) | Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            Err(errno) => Err(Error::call("send", "go", errno)),
        }
    }

    /// The next report and its sender's pid; `None` when the other end is closed.
    pub(super) fn receive(&self) -> Result<Option<(Report, i32)>> {
        let mut bytes = [0; SIZE];
        let mut control = nix::cmsg_space!(UnixCredentials);
        let (count, pid) = loop {
            let mut parts = [IoSliceMut::new(&mut bytes)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            match recvmsg::<()>(self.0.as_raw_fd(), &mut parts, Some(&mut control), flags) {
                Ok(message) => break (message.bytes, message.cmsgs().ok().and_then(sender)),
                Err(Errno::EINTR) => {}
                Err(Errno::ECONNRESET) => return Ok(None),
                Err(errno) => return Err(Error::call("recvmsg", "a report", errno)),
            }
        };
        match (count, Report::decode(&bytes[..count]), pid) {
            (0, ..) => Ok(None),
            (_, Some(report), Some(pid)) => Ok(Some((report, pid))),
            _ => Err(Error::call(
                "recvmsg",
                format!("a report of {count} bytes"),
                Errno::EBADMSG,
            )),
        }
    }
}

fn sender(messages: nix::sys::socket::CmsgIterator<'_>) -> Option<i32> {
    messages.into_iter().find_map(|message| match message {
        ControlMessageOwned::ScmCredentials(credentials) => Some(credentials.pid()),
        _ => None,
    })
}
