//! The one socket between the parent and `init`: messages keep their bounds, and the kernel stamps the sender's pid.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, Shutdown, SockFlag, SockType,
    UnixCredentials, recvmsg, send, sendmsg, setsockopt, shutdown, socketpair, sockopt,
};
use oci_runtime_init::report::{MAX_SIZE, Report};

use crate::error::{Error, Result};

/// The parent's end.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

impl Channel {
    /// Both ends, close-on-exec. The far one is none of the standard streams' numbers: `init` takes those for what they say.
    pub(super) fn pair() -> Result<(Channel, OwnedFd)> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)
            .map_err(|errno| Error::call("socketpair", "AF_UNIX, SOCK_SEQPACKET", errno))?;
        setsockopt(&ours, sockopt::PassCred, &true)
            .map_err(|errno| Error::call("setsockopt", "SO_PASSCRED", errno))?;
        Ok((Channel(ours), above_stdio(theirs)?))
    }

    /// Ends the conversation: whoever is at the other end learns it at its next word.
    pub(super) fn hang_up(&self) {
        // What there is to close is closed then.
        let _ = shutdown(self.0.as_raw_fd(), Shutdown::Both);
    }

    /// Hands over the plan and the slots.
    pub(super) fn send_plan(&self, fds: &[BorrowedFd<'_>]) -> Result<()> {
        let numbers: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&numbers)];
        let flags = MsgFlags::MSG_NOSIGNAL;
        match sendmsg::<()>(
            self.0.as_raw_fd(),
            &[IoSlice::new(b"p")],
            &rights,
            flags,
            None,
        ) {
            // Receiving will tell why nobody is there.
            Ok(_) | Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            Err(errno) => Err(Error::call("sendmsg", "the plan", errno)),
        }
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
        let mut bytes = [0; MAX_SIZE];
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

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A caller without some of its standard streams gets their numbers for whatever it opens. A clone never does.
fn above_stdio(fd: OwnedFd) -> Result<OwnedFd> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    fd.try_clone().map_err(|error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EMFILE));
        Error::call("fcntl", "F_DUPFD_CLOEXEC", errno)
    })
}

fn sender(messages: nix::sys::socket::CmsgIterator<'_>) -> Option<i32> {
    messages.into_iter().find_map(|message| match message {
        ControlMessageOwned::ScmCredentials(credentials) => Some(credentials.pid()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// In a process of its own, which has lost its standard streams: how it ends is all that it can say.
    #[test]
    fn the_far_end_is_no_standard_stream() {
        const ALONE: &str = "CHANNEL_TEST_ALONE";
        if std::env::var_os(ALONE).is_some() {
            (0..3).for_each(|stream| nix::unistd::close(stream).expect("a standard stream"));
            let (ours, theirs) = Channel::pair().expect("a channel");
            let numbers = [ours.0.as_raw_fd(), theirs.as_raw_fd()];
            std::process::exit(if numbers[0] < 3 && numbers[1] > 2 {
                42
            } else {
                43
            });
        }
        let mut alone = Command::new(std::env::current_exe().expect("this test"));
        alone
            .args([
                "--exact",
                "launch::channel::tests::the_far_end_is_no_standard_stream",
            ])
            .arg("--test-threads=1")
            .env(ALONE, "")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        assert_eq!(alone.status().expect("it runs").code(), Some(42));
    }
}
