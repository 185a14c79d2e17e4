//! rtnetlink(7): requests with their attributes, a socket that carries them, and the answers taken apart. Only what moving a
//! device needs. A socket belongs to the network namespace that it was opened in, whoever holds it.

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recvfrom, send, socket,
};

/// `RTM_NEWLINK`: a link, or a change of one.
pub(super) const NEW_LINK: u16 = 16;
/// `RTM_GETLINK`.
pub(super) const GET_LINK: u16 = 18;
/// `RTM_NEWADDR`: an address, or a new one.
pub(super) const NEW_ADDRESS: u16 = 20;
/// `RTM_GETADDR`.
pub(super) const GET_ADDRESS: u16 = 22;

const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
/// `NLM_F_DUMP`: all there are.
pub(super) const DUMP: u16 = 0x300;
/// `NLM_F_CREATE | NLM_F_EXCL`: one that is not there yet.
pub(super) const CREATE: u16 = 0x600;

const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Where a message has the number of the request that it answers.
const SERIAL: usize = 8;
/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;

/// A request, in the making.
pub(super) struct Request(Vec<u8>);

impl Request {
    /// One of a kind, with the fixed part that goes with it (`struct ifinfomsg`, `struct ifaddrmsg`).
    pub(super) fn new(kind: u16, flags: u16, fixed: &[u8]) -> Request {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((REQUEST | ACK | flags).to_ne_bytes());
        // The number comes last, and the kernel knows who asks.
        bytes.resize(HEADER, 0);
        bytes.extend(fixed);
        Request(bytes)
    }

    /// Appends an attribute.
    pub(super) fn with(mut self, kind: u16, value: &[u8]) -> Request {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// Appends a string with its NUL.
    pub(super) fn with_name(self, kind: u16, name: &str) -> Request {
        self.with(kind, &[name.as_bytes(), &[0]].concat())
    }

    fn finish(mut self, serial: u32) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0[SERIAL..SERIAL + 4].copy_from_slice(&serial.to_ne_bytes());
        self.0
    }
}

/// A socket of one network namespace.
#[derive(Debug)]
pub(super) struct Rtnetlink {
    socket: OwnedFd,
    /// How many requests were made.
    serial: Cell<u32>,
}

impl Rtnetlink {
    /// One of the caller's namespace.
    pub(super) fn open() -> Result<Rtnetlink, Errno> {
        let protocol = SockProtocol::NetlinkRoute;
        socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            protocol,
        )
        .map(Rtnetlink::from)
    }

    /// Asks the kernel; answers the bodies of its messages, each without its header.
    pub(super) fn ask(&self, request: Request) -> Result<Vec<Vec<u8>>, Errno> {
        // Answers to a request that was given up may still come.
        let serial = self.serial.get().wrapping_add(1);
        self.serial.set(serial);
        let fd = self.socket.as_raw_fd();
        send(fd, &request.finish(serial), MsgFlags::MSG_NOSIGNAL)?;
        let mut answers = Vec::new();
        // The kernel fills no more than 32 KiB at once.
        let mut buffer = vec![0; 1 << 16];
        loop {
            let (count, sender) = match recvfrom::<NetlinkAddr>(fd, &mut buffer) {
                Err(Errno::EINTR) => continue,
                other => other?,
            };
            // Whoever rules the namespace can send here too; the kernel is the one whose port is 0.
            if sender.is_none_or(|sender| sender.pid() != 0) {
                continue;
            }
            let received = buffer.get(..count).unwrap_or_default();
            if take_apart(received, serial, &mut answers)? {
                return Ok(answers);
            }
        }
    }
}

impl From<OwnedFd> for Rtnetlink {
    fn from(fd: OwnedFd) -> Rtnetlink {
        Rtnetlink {
            socket: fd,
            serial: Cell::new(0),
        }
    }
}

impl AsFd for Rtnetlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Collects the bodies in `bytes` that answer the request `serial`; whether the last of them was there.
fn take_apart(mut bytes: &[u8], serial: u32, answers: &mut Vec<Vec<u8>>) -> Result<bool, Errno> {
    while let (Some(length), Some(kind)) = (number(bytes, 0), half(bytes, 4)) {
        let length = usize::try_from(length).map_err(|_| Errno::EBADMSG)?;
        let body = bytes.get(HEADER..length).ok_or(Errno::EBADMSG)?;
        match kind {
            _ if number(bytes, SERIAL) != Some(serial) => {}
            ERROR => {
                let errno = number(body, 0).ok_or(Errno::EBADMSG)?.cast_signed();
                return match errno {
                    0 => Ok(true),
                    errno => Err(Errno::from_raw(-errno)),
                };
            }
            DONE => return Ok(true),
            _ => answers.push(body.to_vec()),
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// The attributes behind the fixed part of a body.
pub(super) fn attributes(body: &[u8], fixed: usize) -> Vec<(u16, &[u8])> {
    /// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER` are no part of the kind.
    const KIND: u16 = 0x3fff;
    let mut found = Vec::new();
    let mut rest = body.get(fixed..).unwrap_or_default();
    while let (Some(length), Some(kind)) = (half(rest, 0), half(rest, 2)) {
        let length = usize::from(length);
        let Some(value) = rest.get(4..length) else {
            break;
        };
        found.push((kind & KIND, value));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// Four bytes at an offset, as the machine has its numbers.
pub(super) fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?;
    Some(u16::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_is_what_rtnetlink_describes() {
        let bytes = Request::new(GET_LINK, 0, &[0; 16])
            .with_name(3, "eth0")
            .with(28, &7u32.to_ne_bytes())
            .finish(9);
        // Header, fixed part, five bytes padded to eight, four bytes.
        assert_eq!(bytes.len(), 16 + 16 + 4 + 8 + 4 + 4);
        assert_eq!(number(&bytes, 0), Some(bytes.len() as u32));
        assert_eq!(half(&bytes, 4), Some(GET_LINK));
        assert_eq!(number(&bytes, SERIAL), Some(9));
        assert_eq!(
            attributes(&bytes, 32),
            [(3, &b"eth0\0"[..]), (28, &7u32.to_ne_bytes()[..])]
        );
    }

    #[test]
    fn the_kernel_answers_and_refuses() {
        let socket = Rtnetlink::open().expect("a socket");
        let all = socket.ask(Request::new(GET_LINK, DUMP, &[0; 16]));
        assert!(!all.expect("the links").is_empty(), "not even lo");
        let one = Request::new(GET_LINK, 0, &[0; 16]).with_name(3, "no-such-device");
        assert_eq!(socket.ask(one).expect_err("nobody has it"), Errno::ENODEV);
    }

    #[test]
    fn an_answer_that_was_not_waited_for_is_none_to_the_next_request() {
        let socket = Rtnetlink::open().expect("a socket");
        let given_up = Request::new(GET_LINK, DUMP, &[0; 16]).finish(u32::MAX);
        send(socket.socket.as_raw_fd(), &given_up, MsgFlags::empty()).expect("sent");
        let one = Request::new(GET_LINK, 0, &[0; 16]).with_name(3, "no-such-device");
        assert_eq!(socket.ask(one).expect_err("nobody has it"), Errno::ENODEV);
    }

    #[test]
    fn what_others_send_is_no_answer() {
        use nix::sys::socket::{getsockname, sendto};
        let socket = Rtnetlink::open().expect("a socket");
        let lo = || Request::new(GET_LINK, 0, &[0; 16]).with_name(3, "lo");
        socket.ask(lo()).expect("lo");
        let port = getsockname::<NetlinkAddr>(socket.socket.as_raw_fd()).expect("its port");
        let other = Rtnetlink::open().expect("a socket");
        let planted = Request::new(NEW_LINK, 0, &[7; 16]).finish(2);
        let fd = other.socket.as_raw_fd();
        match sendto(fd, &planted, &port, MsgFlags::empty()) {
            Err(Errno::EPERM) => return eprintln!("needs CAP_NET_ADMIN"),
            sent => sent.expect("sent"),
        };
        let answers = socket.ask(lo()).expect("lo again");
        let indices: Vec<_> = answers.iter().map(|body| number(body, 4)).collect();
        assert_eq!(indices, [Some(1)]);
    }

    proptest! {
        #[test]
        fn any_answer_is_taken_apart_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut answers = Vec::new();
            let _ = take_apart(&bytes, 0, &mut answers);
            attributes(&bytes, 8);
        }
    }
}
