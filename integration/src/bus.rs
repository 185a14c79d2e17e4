//! A bus with a systemd on it that is not there: a socket where a thread says what systemd would say, makes the cgroup of a
//! scope as systemd would, and remembers what it was asked. It reads all that the client has to say before it answers anything,
//! so that a client which waits for one answer before its next question never gets one.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::cgroup;

/// How the systemd behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Manners {
    /// Does what it is asked.
    Obliging,
    /// Knows the unit already, until it is told to stop it.
    Stale,
    /// Accepts a job and fails to do it.
    Failing,
    /// Refuses.
    Forbidding,
    /// Does not let anybody in.
    Closed,
}

/// The bus.
#[derive(Debug)]
pub struct Bus {
    socket: PathBuf,
    calls: Arc<Mutex<Vec<Call>>>,
}

/// What it was asked.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which connection it came by, from 0 on.
    pub connection: usize,
    /// Name of the method.
    pub member: String,
    /// The arguments as they came.
    pub body: Vec<u8>,
}

impl Call {
    /// What follows `name` as a property of type `signature`, or nothing.
    fn property(&self, name: &str, signature: &str) -> Option<Vec<u8>> {
        let length = u8::try_from(signature.len()).expect("a short signature");
        let mark = [name.as_bytes(), &[0, length], signature.as_bytes(), &[0]].concat();
        let at = self.body.windows(mark.len()).position(|w| w == mark)?;
        let end = (at + mark.len()).next_multiple_of(4);
        self.body.get(end..).map(<[u8]>::to_vec)
    }

    /// A property of type `s`.
    pub fn text(&self, name: &str) -> Option<String> {
        let bytes = self.property(name, "s")?;
        Some(String::from_utf8_lossy(&bytes[4..4 + word(&bytes, 0)]).into_owned())
    }

    /// The first number of a property of type `au`.
    pub fn first(&self, name: &str) -> Option<usize> {
        Some(word(&self.property(name, "au")?, 4))
    }

    /// The first argument, if it is text.
    pub fn argument(&self) -> String {
        String::from_utf8_lossy(&self.body[4..4 + word(&self.body, 0)]).into_owned()
    }
}

/// Opens the bus at `socket`.
///
/// # Panics
/// When it cannot listen there.
pub fn open(socket: PathBuf, manners: Manners) -> Bus {
    let listener = UnixListener::bind(&socket).expect("listen");
    let calls = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&calls);
    std::thread::spawn(move || {
        let mut manners = manners;
        for (connection, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            serve(stream, connection, &heard, &mut manners);
        }
    });
    Bus { socket, calls }
}

impl Bus {
    /// Its address, for `DBUS_SYSTEM_BUS_ADDRESS`.
    pub fn address(&self) -> String {
        format!("unix:path={}", self.socket.display())
    }

    /// All that it was asked up to now.
    pub fn calls(&self) -> Vec<Call> {
        let calls = self.calls.lock();
        calls.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The names of the methods that were called by one connection.
    pub fn members(&self, connection: usize) -> Vec<String> {
        let calls = self.calls();
        let of = calls.iter().filter(|call| call.connection == connection);
        of.map(|call| call.member.clone()).collect()
    }
}

/// The directory of a unit in the hierarchy in which systemd has its own.
///
/// # Panics
/// When this host has none.
pub fn directory(unit: &str) -> PathBuf {
    let all = cgroup::hierarchies();
    let named = all
        .iter()
        .find(|h| h.controllers.iter().any(|c| c == "name=systemd"));
    let own = named.or(all.iter().find(|h| h.controllers.is_empty()));
    own.expect("a hierarchy for systemd").point.join(unit)
}

fn serve(
    mut stream: UnixStream,
    connection: usize,
    heard: &Mutex<Vec<Call>>,
    manners: &mut Manners,
) {
    let mut serial = 0;
    let mut greeted = false;
    let mut bytes = Vec::new();
    let mut buffer = [0; 65536];
    let _ = stream.set_read_timeout(Some(Duration::from_millis(50)));
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                bytes.extend(&buffer[..count]);
                continue;
            }
            // Nothing more to hear: now it is our turn.
            Err(_) if bytes.is_empty() => continue,
            Err(_) => {}
        }
        if !greeted {
            let end = bytes.windows(7).position(|w| w == b"BEGIN\r\n");
            let end = end.expect("the handshake comes whole") + 7;
            assert_eq!(bytes[..end], *b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n");
            bytes.drain(..end);
            greeted = true;
            if *manners == Manners::Closed {
                let _ = stream.write_all(b"REJECTED EXTERNAL\r\n");
                return;
            }
            let _ = stream.write_all(b"DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n");
        }
        while bytes.len() >= 16 {
            let fields_end = (16 + word(&bytes, 12)).next_multiple_of(8);
            let end = fields_end + word(&bytes, 4);
            let message: Vec<u8> = bytes.drain(..end).collect();
            let call = Call {
                connection,
                member: field(&message[..fields_end], 3),
                body: message[fields_end..].to_vec(),
            };
            let mut say = |kind: u8, reply: usize, more: &[(u8, &str)], body: &[u8]| {
                serial += 1;
                let _ = stream.write_all(&answer(kind, serial, reply, more, body));
            };
            respond(&call, word(&message, 8), manners, &mut say);
            heard
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(call);
        }
    }
}

type Say<'a> = &'a mut dyn FnMut(u8, usize, &[(u8, &str)], &[u8]);

const RETURN: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;

fn respond(call: &Call, serial: usize, manners: &mut Manners, say: Say<'_>) {
    let refuse = |say: Say<'_>, name: &str| {
        say(ERROR, serial, &[(4, name), (8, "s")], &text("because"));
    };
    match call.member.as_str() {
        "StartTransientUnit" => match *manners {
            Manners::Stale => refuse(say, "org.freedesktop.systemd1.UnitExists"),
            Manners::Forbidding => refuse(say, "org.freedesktop.DBus.Error.AccessDenied"),
            Manners::Failing => job(call, serial, "failed", say),
            _ => {
                make_scope(call);
                job(call, serial, "done", say);
            }
        },
        "StopUnit" => {
            if *manners == Manners::Stale {
                *manners = Manners::Obliging;
            }
            let _ = fs::remove_dir(directory(&call.argument()));
            job(call, serial, "done", say);
        }
        "SetUnitProperties" => say(RETURN, serial, &[], &[]),
        _ => {}
    }
}

/// A job that has ended before its beginning is told, as happens; and one of somebody else's.
fn job(call: &Call, serial: usize, result: &str, say: Say<'_>) {
    let mut removed = |job: &str, result: &str| {
        let mut body = 7u32.to_le_bytes().to_vec();
        for argument in [job, call.argument().as_str(), result] {
            body.resize(body.len().next_multiple_of(4), 0);
            body.extend(text(argument));
        }
        say(SIGNAL, 0, &[(3, "JobRemoved"), (8, "uoss")], &body);
    };
    removed("/job/1", "canceled");
    removed("/job/2", result);
    say(RETURN, serial, &[(8, "o")], &text("/job/2"));
}

fn make_scope(call: &Call) {
    let Some(pid) = call.first("PIDs") else {
        return;
    };
    let directory = directory(&call.argument());
    fs::create_dir(&directory).expect("make the cgroup of the scope");
    enter(&directory, pid);
}

fn enter(directory: &Path, pid: usize) {
    fs::write(directory.join("cgroup.procs"), pid.to_string()).expect("move the process");
}

fn word(bytes: &[u8], at: usize) -> usize {
    let word: [u8; 4] = bytes[at..at + 4].try_into().expect("four bytes");
    u32::from_le_bytes(word) as usize
}

fn text(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("a short text");
    [&length.to_le_bytes()[..], text.as_bytes(), &[0]].concat()
}

/// A header field that is text.
fn field(header: &[u8], code: u8) -> String {
    let mut at = 16;
    while at + 8 <= header.len() {
        // Signatures of one letter here, and texts of four bytes of length; `g` alone has one.
        let (found, kind) = (header[at], header[at + 2]);
        let (start, length) = match kind {
            b'g' => (at + 5, usize::from(header[at + 4])),
            _ => (at + 8, word(header, at + 4)),
        };
        if found == code {
            return String::from_utf8_lossy(&header[start..start + length]).into_owned();
        }
        at = (start + length + 1).next_multiple_of(8);
    }
    String::new()
}

fn answer(kind: u8, serial: u32, reply: usize, more: &[(u8, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![b'l', kind, 1, 1];
    bytes.extend((body.len() as u32).to_le_bytes());
    bytes.extend(serial.to_le_bytes());
    bytes.extend([0; 4]);
    if reply > 0 {
        bytes.extend([5, 1, b'u', 0]);
        bytes.extend((reply as u32).to_le_bytes());
    }
    for (code, value) in more {
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        match code {
            8 => {
                bytes.extend([8, 1, b'g', 0, value.len() as u8]);
                bytes.extend(value.as_bytes());
                bytes.push(0);
            }
            _ => {
                bytes.extend([*code, 1, b's', 0]);
                bytes.extend(text(value));
            }
        }
    }
    let fields = (bytes.len() - 16) as u32;
    bytes[12..16].copy_from_slice(&fields.to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.extend(body);
    bytes
}
