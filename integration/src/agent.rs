//! A seccomp agent: who is asked about the calls of a container with `SCMP_ACT_NOTIFY`. It listens on a socket, takes the
//! container process state and the listener that a runtime sends there, and answers every call by a function of the
//! test's, until the last process with the filter has ended.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Setter, Updater, ioctl, opcode};
use serde_json::Value;

use crate::console::receive_fd;
use crate::runtime::{PATIENCE, scaled};

/// A call that waits (`struct seccomp_notif`, seccomp_unotify(2)).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Call {
    id: u64,
    /// The thread that makes it, as this process sees it.
    pub pid: u32,
    flags: u32,
    /// Its number.
    pub nr: i32,
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    instruction_pointer: u64,
    /// Its arguments.
    pub args: [u64; 6],
}

/// What becomes of a call.
#[derive(Debug)]
pub enum Answer {
    /// The kernel makes it.
    Continue,
    /// It fails with this errno.
    Errno(i32),
    /// It succeeds with a new fd of the caller's, a copy of this one.
    Fd(OwnedFd),
    /// Nobody will answer it, nor any other.
    HangUp,
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
struct Response {
    id: u64,
    val: i64,
    error: i32,
    flags: u32,
}

/// `struct seccomp_notif_addfd`.
#[repr(C)]
struct AddFd {
    id: u64,
    flags: u32,
    srcfd: u32,
    newfd: u32,
    newfd_flags: u32,
}

const RECV: Opcode = opcode::read_write::<Call>(b'!', 0);
const SEND: Opcode = opcode::read_write::<Response>(b'!', 1);
const ADDFD: Opcode = opcode::write::<AddFd>(b'!', 3);

impl Call {
    /// The text that an argument points to in the memory of its process.
    ///
    /// # Panics
    /// When that cannot be read.
    pub fn text(&self, argument: usize) -> String {
        let memory = File::open(format!("/proc/{}/mem", self.pid)).expect("memory of the caller");
        let mut bytes = [0; 256];
        let count = memory.read_at(&mut bytes, self.args[argument]);
        let bytes = &bytes[..count.expect("read the caller's memory")];
        let end = bytes.iter().position(|byte| *byte == 0);
        String::from_utf8_lossy(&bytes[..end.expect("a NUL")]).into_owned()
    }
}

/// An agent, and what it was sent.
#[derive(Debug)]
pub struct Agent {
    /// Its socket.
    pub path: PathBuf,
    states: Receiver<Value>,
}

impl Agent {
    /// The next container process state.
    ///
    /// # Panics
    /// When none comes.
    #[track_caller]
    pub fn state(&self) -> Value {
        let state = self.states.recv_timeout(scaled(PATIENCE));
        state.expect("a container process state")
    }

    /// Requires that nothing more was sent.
    ///
    /// # Panics
    /// When there was.
    #[track_caller]
    pub fn assert_quiet(&self) {
        if let Ok(state) = self.states.try_recv() {
            panic!("sent: {state}");
        }
    }
}

/// Starts an agent at `path`. Each connection gets a thread, for as long as there is a process to answer.
///
/// # Panics
/// When it cannot listen there.
pub fn agent(path: &Path, answer: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Agent {
    let socket = UnixListener::bind(path).expect("the agent's socket");
    let (told, states) = channel();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in socket.incoming() {
            let (told, answer) = (told.clone(), Arc::clone(&answer));
            let stream = stream.expect("a connection to the agent");
            std::thread::spawn(move || attend(stream, &told, &*answer));
        }
    });
    Agent {
        path: path.to_owned(),
        states,
    }
}

fn attend(stream: UnixStream, told: &Sender<Value>, answer: &dyn Fn(&Call) -> Answer) {
    let (state, listener) = receive(stream);
    // The test may have seen enough.
    let _ = told.send(state);
    while waits(&listener) {
        // Who called may be gone by now.
        let Ok(call) = receive_call(&listener) else {
            continue;
        };
        match answer(&call) {
            Answer::Continue => respond(&listener, &call, 0, 1),
            Answer::Errno(errno) => respond(&listener, &call, -errno, 0),
            Answer::Fd(fd) => inject(&listener, &call, &fd),
            Answer::HangUp => return,
        }
    }
}

/// The state and the one fd that comes with its first byte; the end of the connection is the end of the state.
fn receive(mut stream: UnixStream) -> (Value, OwnedFd) {
    let (listener, mut text) = receive_fd(&stream);
    stream
        .read_to_end(&mut text)
        .expect("the rest of the state");
    (serde_json::from_slice(&text).expect("a state"), listener)
}

/// Waits for a call; `false` when nobody is left to make one.
fn waits(listener: &OwnedFd) -> bool {
    loop {
        let mut fds = [PollFd::new(listener, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) => return fds[0].revents().contains(PollFlags::IN),
            Err(Errno::INTR) => {}
            Err(errno) => panic!("poll: {errno}"),
        }
    }
}

fn receive_call(listener: &OwnedFd) -> Result<Call, Errno> {
    let mut call = Call::default();
    // SAFETY: the request fills one `Call`.
    unsafe { ioctl(listener, Updater::<RECV, Call>::new(&mut call)) }.map(|()| call)
}

fn respond(listener: &OwnedFd, call: &Call, error: i32, flags: u32) {
    let mut response = Response {
        id: call.id,
        val: 0,
        error,
        flags,
    };
    // SAFETY: the request reads one `Response`. Who called may have been killed meanwhile.
    let _ = unsafe { ioctl(listener, Updater::<SEND, Response>::new(&mut response)) };
}

fn inject(listener: &OwnedFd, call: &Call, fd: &OwnedFd) {
    const SECCOMP_ADDFD_FLAG_SEND: u32 = 2;
    let add = AddFd {
        id: call.id,
        flags: SECCOMP_ADDFD_FLAG_SEND,
        srcfd: fd.as_raw_fd().cast_unsigned(),
        newfd: 0,
        newfd_flags: 0,
    };
    // SAFETY: the request reads one `AddFd`.
    let added = unsafe { ioctl(listener, Setter::<ADDFD, AddFd>::new(add)) };
    added.expect("SECCOMP_IOCTL_NOTIF_ADDFD");
}
