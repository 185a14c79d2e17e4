//! Network devices that change their namespace (config-linux.md, "Network Devices").
//!
//! The kernel takes a device down when it moves and drops its addresses. So they are read before, the device is moved under
//! a name that nobody has, and on the other side it gets the name that was asked for, the addresses that were given to stay, and
//! is set up. Each side is worked on through a socket of its own namespace: the caller's, and one that the container's first process
//! has opened and sent. No thread changes its namespace, and the way back is the same with the sides exchanged.

mod rtnetlink;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use crate::error::{Error, Result};
use crate::sys;
use rtnetlink::{
    CREATE, DUMP, GET_ADDRESS, GET_LINK, NEW_ADDRESS, NEW_LINK, Request, Rtnetlink, attributes,
    number,
};

/// A device to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetDevice {
    /// JSON pointer to it.
    pub origin: String,
    /// Its name in the caller's namespace.
    pub name: String,
    /// Its name in the container's; may hold a `%d` for a number that the kernel chooses.
    pub target: String,
}

/// Both sides, and what has been moved.
#[derive(Debug)]
pub(crate) struct Moves {
    ours: Rtnetlink,
    theirs: Rtnetlink,
    moved: Vec<Moved>,
}

/// A device that is in the container's namespace, or on the way.
#[derive(Debug)]
struct Moved {
    device: NetDevice,
    /// Its index there, once that is known.
    index: Option<u32>,
    link: Link,
}

/// What a device is like, as far as a move changes it.
#[derive(Debug)]
struct Link {
    index: u32,
    up: bool,
    addresses: Vec<Address>,
}

/// The fixed part and the attributes of an address, but for its device.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    /// `struct ifaddrmsg` without the index: family, prefix length, flags, scope.
    head: [u8; 4],
    attributes: Vec<(u16, Vec<u8>)>,
}

/// The way by which a socket comes from the container: the end to receive from, and the one that goes into the plan.
pub(crate) fn way() -> Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)
        .map_err(|errno| Error::call("socketpair", "AF_UNIX, SOCK_SEQPACKET", errno))
}

impl Moves {
    /// Moves nothing yet. A socket of the container's namespace has been sent over `way`.
    pub(crate) fn new(way: Option<BorrowedFd<'_>>) -> Result<Moves> {
        let theirs = way
            .ok_or(Errno::EBADF)
            .and_then(sys::receive_fd)
            .map_err(|errno| Error::call("recvmsg", "a socket of the container", errno))?;
        let ours = Rtnetlink::open()
            .map_err(|errno| Error::call("socket", "AF_NETLINK, NETLINK_ROUTE", errno))?;
        Ok(Moves {
            ours,
            theirs: Rtnetlink::from(theirs),
            moved: Vec::new(),
        })
    }

    /// Moves a device into the container's namespace.
    ///
    /// # Errors
    /// There is no such device, it cannot be moved, or its new name is taken. What was moved by then stays noted for
    /// [`Moves::undo`].
    pub(crate) fn take(&mut self, device: &NetDevice) -> Result<()> {
        self.take_one(device).map_err(|(call, errno)| {
            Error::call(call, &device.name, errno).asked_for_by(&device.origin)
        })
    }

    fn take_one(&mut self, device: &NetDevice) -> Result<(), Failed> {
        let link = look(&self.ours, &device.name)?;
        if find(&self.theirs, &device.target).is_ok() {
            return Err((RENAME, Errno::EEXIST));
        }
        // Noted before it is gone: whatever fails from here on, it is looked for.
        self.moved.push(Moved {
            device: device.clone(),
            index: None,
            link,
        });
        match self.moved.last_mut() {
            Some(moved) => {
                let index = send_over(&self.ours, &self.theirs, moved.link.index)?;
                moved.index = Some(index);
                rename(&self.theirs, index, &device.target)?;
                dress(&self.theirs, index, &moved.link, true)
            }
            None => Ok(()),
        }
    }

    /// Brings everything back: the container will not be.
    ///
    /// # Errors
    /// The last device of which something could not be brought back.
    pub(crate) fn undo(self) -> Result<()> {
        let mut outcome = Ok(());
        for moved in self.moved.iter().rev() {
            if let Err((call, errno)) = self.bring_back(moved) {
                outcome = Err(Error::call(call, &moved.device.name, errno));
            }
        }
        outcome
    }

    /// A device may have come as far as its new name, and may not even have left.
    fn bring_back(&self, moved: &Moved) -> Result<(), Failed> {
        let Moved { device, link, .. } = moved;
        let there = twice(|| match moved.index {
            Some(index) => unless_missing(find_by_index(&self.theirs, index)),
            None => {
                let passing = passing_name(std::process::id(), link.index);
                unless_missing(find(&self.theirs, &passing))
            }
        })?;
        let Some(there) = there else {
            return twice(|| find_by_index(&self.ours, link.index).map(drop));
        };
        let there = index_of(&there)?;
        let index = twice(|| send_over(&self.theirs, &self.ours, there))?;
        // Without its name it is of use all the same.
        let named = twice(|| rename(&self.ours, index, &device.name));
        twice(|| dress(&self.ours, index, link, link.up)).and(named)
    }
}

/// Nobody is left to try a third time.
fn twice<T>(attempt: impl Fn() -> Result<T, Failed>) -> Result<T, Failed> {
    attempt().or_else(|_| attempt())
}

/// The request that failed, in rtnetlink's words.
type Failed = (&'static str, Errno);

const LOOK: &str = "RTM_GETLINK";
const MOVE: &str = "RTM_NEWLINK with IFLA_NET_NS_FD";
const RENAME: &str = "RTM_NEWLINK with IFLA_IFNAME";

/// `IFLA_IFNAME`.
const NAME: u16 = 3;
/// `IFLA_NET_NS_FD`.
const NET_NS_FD: u16 = 28;
/// `IFF_UP`.
const UP: u32 = 1;
/// Length of `struct ifaddrmsg`.
const ADDRESS_HEAD: usize = 8;

/// `struct ifinfomsg`: nothing, type, index, flags, which of them.
fn link_head(index: u32, flags: u32) -> [u8; 16] {
    let mut head = [0; 16];
    head[4..8].copy_from_slice(&index.to_ne_bytes());
    head[8..12].copy_from_slice(&flags.to_ne_bytes());
    head[12..].copy_from_slice(&flags.to_ne_bytes());
    head
}

/// The body of the message about a device.
fn find(socket: &Rtnetlink, name: &str) -> Result<Vec<u8>, Failed> {
    let request = Request::new(GET_LINK, 0, &link_head(0, 0)).with_name(NAME, name);
    first(socket, request)
}

fn find_by_index(socket: &Rtnetlink, index: u32) -> Result<Vec<u8>, Failed> {
    first(socket, Request::new(GET_LINK, 0, &link_head(index, 0)))
}

fn unless_missing(found: Result<Vec<u8>, Failed>) -> Result<Option<Vec<u8>>, Failed> {
    match found {
        Err((_, Errno::ENODEV)) => Ok(None),
        other => other.map(Some),
    }
}

fn index_of(body: &[u8]) -> Result<u32, Failed> {
    number(body, 4).ok_or((LOOK, Errno::EBADMSG))
}

fn first(socket: &Rtnetlink, request: Request) -> Result<Vec<u8>, Failed> {
    let answers = socket.ask(request).map_err(|errno| (LOOK, errno))?;
    answers.into_iter().next().ok_or((LOOK, Errno::ENODEV))
}

fn look(socket: &Rtnetlink, name: &str) -> Result<Link, Failed> {
    let body = find(socket, name)?;
    let index = index_of(&body)?;
    let flags = number(&body, 8).ok_or((LOOK, Errno::EBADMSG))?;
    let request = Request::new(GET_ADDRESS, DUMP, &[0; ADDRESS_HEAD]);
    let all = socket
        .ask(request)
        .map_err(|errno| ("RTM_GETADDR", errno))?;
    Ok(Link {
        index,
        up: flags & UP != 0,
        addresses: all.iter().filter_map(|body| lasting(body, index)).collect(),
    })
}

/// An address of the device, if it was given to stay and is good outside of the device's own network: others come by
/// themselves, or mean nothing elsewhere.
fn lasting(body: &[u8], device: u32) -> Option<Address> {
    /// `IFA_ADDRESS`, `IFA_LOCAL`, `IFA_BROADCAST`, `IFA_RT_PRIORITY`, `IFA_PROTO`: not the label, which begins with the old
    /// name of the device, and not the times, of which a permanent one has none.
    const KEPT: [u16; 5] = [1, 2, 4, 9, 11];
    const FLAGS: u16 = 8;
    const PERMANENT: u32 = 0x80;
    /// `IFA_F_NODAD`, `HOMEADDRESS`, `MANAGETEMPADDR`, `NOPREFIXROUTE`, `MCAUTOJOIN`: what its giver chose. The others say how the
    /// kernel gets on with it.
    const CHOSEN: u32 = 0x2 | 0x10 | 0x100 | 0x200 | 0x400;
    const UNIVERSE: u8 = 0;
    let [family, prefix, short_flags, scope] = *body.first_chunk::<4>()?;
    let all = attributes(body, ADDRESS_HEAD);
    let flags = all.iter().find(|(kind, _)| *kind == FLAGS);
    let flags = flags
        .and_then(|(_, value)| number(value, 0))
        .unwrap_or(u32::from(short_flags));
    if number(body, 4)? != device || scope != UNIVERSE || flags & PERMANENT == 0 {
        return None;
    }
    let mut kept: Vec<_> = all
        .iter()
        .filter(|(kind, _)| KEPT.contains(kind))
        .map(|(kind, value)| (*kind, value.to_vec()))
        .collect();
    kept.push((FLAGS, (flags & CHOSEN).to_ne_bytes().to_vec()));
    Some(Address {
        head: [family, prefix, 0, scope],
        attributes: kept,
    })
}

/// Moves a device from one side to the other; answers its index there. Under a name of ours, because the kernel renames it only
/// after the move, when it is too late to fail.
fn send_over(from: &Rtnetlink, to: &Rtnetlink, index: u32) -> Result<u32, Failed> {
    let name = passing_name(std::process::id(), index);
    let namespace = sys::namespace_of(to.as_fd()).map_err(|errno| ("SIOCGSKNS", errno))?;
    let request = Request::new(NEW_LINK, 0, &link_head(index, 0))
        .with(NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes())
        .with_name(NAME, &name);
    let moved = from.ask(request);
    // What the kernel says may be lost, or be about what comes after the move: what counts is where the device is.
    match (find(to, &name), moved) {
        (Ok(body), _) => index_of(&body),
        (Err(_), Err(errno)) => Err((MOVE, errno)),
        (Err(failed), Ok(_)) => Err(failed),
    }
}

/// A name that no other has, of at most 15 bytes: the kernel's pids have 22 bits, its indices 31.
fn passing_name(pid: u32, index: u32) -> String {
    format!("{pid:x}.{index:x}")
}

fn rename(side: &Rtnetlink, index: u32, name: &str) -> Result<(), Failed> {
    let request = Request::new(NEW_LINK, 0, &link_head(index, 0)).with_name(NAME, name);
    side.ask(request).map(drop).map_err(|errno| (RENAME, errno))
}

/// Gives a device that has been moved its addresses, and life.
fn dress(side: &Rtnetlink, index: u32, link: &Link, up: bool) -> Result<(), Failed> {
    for address in &link.addresses {
        let mut head = [0; ADDRESS_HEAD];
        head[..4].copy_from_slice(&address.head);
        head[4..].copy_from_slice(&index.to_ne_bytes());
        let request = address.attributes.iter().fold(
            Request::new(NEW_ADDRESS, CREATE, &head),
            |request, (kind, value)| request.with(*kind, value),
        );
        match side.ask(request) {
            // An earlier try has given it.
            Ok(_) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(("RTM_NEWADDR", errno)),
        }
    }
    if up {
        let request = Request::new(NEW_LINK, 0, &link_head(index, UP));
        side.ask(request)
            .map_err(|errno| ("RTM_NEWLINK with IFF_UP", errno))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address as the kernel tells of it: family, prefix length, flags, scope, index, and IFA_LOCAL, IFA_LABEL, IFA_FLAGS.
    fn told(scope: u8, flags: u32) -> Vec<u8> {
        let mut body = vec![2, 24, flags as u8, scope];
        body.extend(7u32.to_ne_bytes());
        body.extend([8, 0, 2, 0, 10, 1, 2, 3]);
        body.extend([9, 0, 3, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0]);
        body.extend([8, 0, 8, 0]);
        body.extend(flags.to_ne_bytes());
        if cfg!(target_endian = "big") {
            body.clear();
        }
        body
    }

    #[test]
    fn a_name_on_the_way_is_never_too_long() {
        let longest = passing_name(1 << 22, i32::MAX as u32);
        assert!(longest.len() <= 15, "{longest}");
    }

    #[test]
    fn only_addresses_that_were_given_to_stay_are_kept() {
        if cfg!(target_endian = "big") {
            return;
        }
        let kept = lasting(&told(0, 0x80 | 0x200 | 0x1), 7).expect("it stays");
        assert_eq!(kept.head, [2, 24, 0, 0]);
        assert_eq!(
            kept.attributes,
            [(2, vec![10, 1, 2, 3]), (8, 0x200u32.to_ne_bytes().to_vec())]
        );
        assert_eq!(lasting(&told(0, 0x80), 8), None, "of another device");
        assert_eq!(lasting(&told(253, 0x80), 7), None, "of the link");
        assert_eq!(lasting(&told(0, 0), 7), None, "it expires");
        assert_eq!(lasting(&told(0, 0x80)[..5], 7), None);
    }
}
