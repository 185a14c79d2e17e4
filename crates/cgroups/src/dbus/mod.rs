//! A client of D-Bus, as small as one question to one service needs it to be. It says all that it has to say, from the
//! handshake to the last call, in one send(2), and then reads: the answers come in the order of the calls, and signals that were
//! asked for in between. No thread, no state beside the socket. See the D-Bus specification,
//! <https://dbus.freedesktop.org/doc/dbus-specification.html>.

mod address;
mod message;
mod value;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, setsockopt, socket,
    sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::error::{Error, Result};

pub use address::Bus;
pub(crate) use message::{Call, Kind, Message};
pub use value::Value;

/// How long a conversation may take in all; services that have to be started first take their time.
const PATIENCE: Duration = Duration::from_secs(30);

/// No message that is asked for here comes near; a length beyond it is no length.
const LONGEST: usize = 1 << 20;

/// The first byte is there for the credentials that the kernel sends along. An empty identity means these: they are right
/// even where the ids of the caller's user namespace are not those of the bus.
const HANDSHAKE: &[u8] = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";

const HELLO: Call<'static> = Call {
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
    member: "Hello",
    arguments: Vec::new(),
    answered: false,
};

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection<'i> {
    socket: OwnedFd,
    address: String,
    /// What was received and not taken yet.
    received: Vec<u8>,
    serial: u32,
    wait: Wait<'i>,
}

/// For how long others are waited for.
#[derive(Debug, Clone, Copy)]
struct Wait<'i> {
    end: Instant,
    /// Who can end it before: whoever has something to read.
    interrupts: &'i [BorrowedFd<'i>],
}

impl<'i> Connection<'i> {
    /// Connects to `bus` and makes `calls`. Their serial numbers are 2, 3, ...: the first is Hello's. It is given up when one of
    /// `interrupts` is readable.
    pub(crate) fn open(
        bus: Bus,
        calls: &[Call<'_>],
        interrupts: &'i [BorrowedFd<'i>],
    ) -> Result<Connection<'i>> {
        let end = Instant::now() + PATIENCE;
        Connection::open_within(bus, address::of(bus), calls, Wait { end, interrupts })
    }

    fn open_within(
        bus: Bus,
        address: String,
        calls: &[Call<'_>],
        wait: Wait<'i>,
    ) -> Result<Connection<'i>> {
        let socket = address::sockets(&address)
            .and_then(|sockets| connect_any(&sockets, wait))
            .map_err(|errno| match errno {
                INTERRUPTED => Error::BusInterrupted {
                    address: address.clone(),
                },
                errno => Error::Bus {
                    bus,
                    address: address.clone(),
                    errno: errno as i32,
                },
            })?;
        let mut connection = Connection {
            socket,
            address,
            received: Vec::new(),
            serial: 0,
            wait,
        };
        let mut bytes = HANDSHAKE.to_vec();
        connection.encode(&HELLO, &mut bytes);
        calls
            .iter()
            .for_each(|call| connection.encode(call, &mut bytes));
        connection.send(&bytes)?;
        connection.accepted()?;
        Ok(connection)
    }

    /// Makes one more call; answers its serial number.
    pub(crate) fn call(&mut self, call: &Call<'_>) -> Result<u32> {
        let mut bytes = Vec::new();
        self.encode(call, &mut bytes);
        self.send(&bytes)?;
        Ok(self.serial)
    }

    fn encode(&mut self, call: &Call<'_>, bytes: &mut Vec<u8>) {
        self.serial += 1;
        bytes.extend(call.encode(self.serial));
    }

    /// The next message, whatever it is.
    pub(crate) fn receive(&mut self) -> Result<Message> {
        loop {
            match message::length(&self.received) {
                Some(length) if length > LONGEST => return Err(self.strange()),
                Some(length) if self.received.len() >= length => {
                    let rest = self.received.split_off(length);
                    let bytes = std::mem::replace(&mut self.received, rest);
                    return Message::decode(&bytes).ok_or_else(|| self.strange());
                }
                _ => self.read()?,
            }
        }
    }

    /// Reads what the server says to the handshake: `DATA`, because it was not told who we are at once, and `OK`.
    fn accepted(&mut self) -> Result<()> {
        loop {
            let Some(end) = self.received.iter().position(|byte| *byte == b'\n') else {
                if self.received.len() > 4096 {
                    return Err(self.strange());
                }
                self.read()?;
                continue;
            };
            let rest = self.received.split_off(end + 1);
            let line = std::mem::replace(&mut self.received, rest);
            let line = String::from_utf8_lossy(&line);
            match line.split_whitespace().next() {
                Some("DATA") => {}
                Some("OK") => return Ok(()),
                _ => {
                    return Err(Error::BusRefusal {
                        address: self.address.clone(),
                        answer: line.trim_end().to_owned(),
                    });
                }
            }
        }
    }

    fn send(&self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let sent = limit(&self.socket, self.wait.end)
                .and_then(|()| send(self.socket.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL));
            match sent {
                Ok(sent) => bytes = &bytes[sent..],
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(self.broken(timed_out(errno))),
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<()> {
        let mut buffer = [0; 4096];
        loop {
            let received = self
                .wait
                .readable(&self.socket)
                .and_then(|()| recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()));
            match received {
                Ok(0) => return Err(self.broken(Errno::ECONNRESET)),
                Ok(count) => {
                    self.received.extend_from_slice(&buffer[..count]);
                    return Ok(());
                }
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(self.broken(timed_out(errno))),
            }
        }
    }

    fn broken(&self, errno: Errno) -> Error {
        let address = self.address.clone();
        match errno {
            INTERRUPTED => Error::BusInterrupted { address },
            errno => Error::BusBroken {
                address,
                errno: errno as i32,
            },
        }
    }

    fn strange(&self) -> Error {
        self.broken(Errno::EBADMSG)
    }
}

/// No call here gives it.
const INTERRUPTED: Errno = Errno::ECANCELED;

impl Wait<'_> {
    /// Until `socket` has something to read.
    fn readable(&self, socket: &OwnedFd) -> Result<(), Errno> {
        let left = self.end.saturating_duration_since(Instant::now());
        let all = [socket.as_fd()]
            .into_iter()
            .chain(self.interrupts.iter().copied());
        let mut all: Vec<_> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut all, left)? {
            0 => Err(Errno::ETIMEDOUT),
            _ if all[0].any() == Some(true) => Ok(()),
            _ => Err(INTERRUPTED),
        }
    }

    fn look(&self) -> Result<(), Errno> {
        let mut all: Vec<_> = self
            .interrupts
            .iter()
            .map(|fd| PollFd::new(*fd, PollFlags::POLLIN))
            .collect();
        match poll(&mut all, PollTimeout::ZERO) {
            Ok(0) | Err(Errno::EINTR) => Ok(()),
            Ok(_) => Err(INTERRUPTED),
            Err(errno) => Err(errno),
        }
    }
}

/// The first of these sockets that can be connected to.
fn connect_any(sockets: &[UnixAddr], wait: Wait<'_>) -> Result<OwnedFd, Errno> {
    let mut failure = Errno::EINVAL;
    for address in sockets {
        match connect_one(address, wait) {
            Ok(socket) => return Ok(socket),
            Err(INTERRUPTED) => return Err(INTERRUPTED),
            Err(errno) => failure = errno,
        }
    }
    Err(failure)
}

/// How often somebody is looked at who can end a wait that is no poll(2).
const LOOK_AGAIN: Duration = Duration::from_millis(50);

fn connect_one(address: &UnixAddr, wait: Wait<'_>) -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    loop {
        wait.look()?;
        // Holds for connect(2) too, whose queue may be full.
        let end = wait.end.min(Instant::now() + LOOK_AGAIN);
        limit(&socket, end)?;
        match connect(socket.as_raw_fd(), address) {
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) if Instant::now() < wait.end => {}
            result => return result.map(|()| socket).map_err(timed_out),
        }
    }
}

/// Has the next call wait no longer than until `end`.
fn limit(socket: &OwnedFd, end: Instant) -> Result<(), Errno> {
    let left = end.saturating_duration_since(Instant::now());
    // A limit of nothing would be none.
    let Ok(microseconds @ 1..) = i64::try_from(left.as_micros()) else {
        return Err(Errno::ETIMEDOUT);
    };
    let left = TimeVal::microseconds(microseconds);
    setsockopt(socket, sockopt::ReceiveTimeout, &left)?;
    setsockopt(socket, sockopt::SendTimeout, &left)
}

/// What SO_RCVTIMEO and SO_SNDTIMEO give.
fn timed_out(errno: Errno) -> Errno {
    match errno {
        Errno::EAGAIN => Errno::ETIMEDOUT,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{Backlog, accept, bind, listen};

    const SHORT: Duration = Duration::from_millis(200);

    fn bus(name: &str) -> (OwnedFd, String) {
        let name = format!("oci-bus-test-{name}-{}", std::process::id());
        let flags = SockFlag::SOCK_CLOEXEC;
        let bus = socket(AddressFamily::Unix, SockType::Stream, flags, None).expect("a socket");
        let address = UnixAddr::new_abstract(name.as_bytes()).expect("a name");
        bind(bus.as_raw_fd(), &address).expect("its name");
        listen(&bus, Backlog::new(0).expect("a number")).expect("a bus");
        (bus, format!("unix:abstract={name}"))
    }

    fn until(patience: Duration) -> Wait<'static> {
        let end = Instant::now() + patience;
        Wait {
            end,
            interrupts: &[],
        }
    }

    /// How a conversation on that bus ends, and after how long.
    fn talk(address: &str) -> (Errno, Duration) {
        let begin = Instant::now();
        let opened = Connection::open_within(Bus::System, address.to_owned(), &[], until(SHORT));
        let errno = match opened.map(drop) {
            Err(Error::Bus { errno, .. } | Error::BusBroken { errno, .. }) => errno,
            other => panic!("{other:?}"),
        };
        (Errno::from_raw(errno), begin.elapsed())
    }

    #[test]
    fn a_bus_that_says_nothing_is_waited_for_once() {
        let (_silent, address) = bus("silent");
        // The first is in its queue, the second does not get there.
        for place in ["in the queue", "before it"] {
            let begun = until(Duration::ZERO);
            let held = Connection::open_within(Bus::System, address.clone(), &[], begun);
            assert!(held.is_err());
            let (errno, took) = talk(&address);
            assert_eq!(errno, Errno::ETIMEDOUT, "{place}");
            assert!(took < 2 * SHORT, "{place} {took:?}");
        }
    }

    #[test]
    fn a_bus_that_says_nothing_is_given_up_at_once_when_the_caller_wants_it() {
        let (_silent, address) = bus("interrupted");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        // Closing it is as good as a word.
        drop(writer);
        let interrupts = [reader.as_fd()];
        let wait = Wait {
            end: Instant::now() + PATIENCE,
            interrupts: &interrupts,
        };
        let opened = Connection::open_within(Bus::System, address.clone(), &[], wait);
        assert_eq!(opened.map(drop), Err(Error::BusInterrupted { address }));
        assert!(Instant::now() < wait.end - PATIENCE / 2);
    }

    /// An answer that never ends is no answer, however steadily it comes.
    #[test]
    fn a_bus_that_says_little_is_waited_for_once() {
        let (slow, address) = bus("slow");
        let slow = std::thread::spawn(move || {
            let taken = accept(slow.as_raw_fd()).expect("a client");
            while send(taken, b"x", MsgFlags::MSG_NOSIGNAL).is_ok() {
                std::thread::sleep(SHORT / 10);
            }
        });
        let (errno, took) = talk(&address);
        assert_eq!(errno, Errno::ETIMEDOUT);
        assert!(took < 2 * SHORT, "{took:?}");
        slow.join().expect("the bus");
    }
}
