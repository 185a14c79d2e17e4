//! Terminals, from both ends: the socket on which a runtime hands over the master of a container's
//! pty, and a pty of the test's own on which a foreground runtime is run as if by a person. The
//! controlling terminal is set by `setsid --ctty` and sizes by `stty`, so that no code runs between
//! fork and exec of this threaded program.

use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcgetwinsize, tcsetwinsize};

use crate::runtime::eventually;

/// What came over a console socket: the master and the name in the payload.
pub fn receive(listener: &UnixListener) -> (OwnedFd, String) {
    listener.set_nonblocking(true).expect("nonblocking");
    let (stream, _) = eventually("a connection to the console socket", || {
        listener.accept().ok()
    });
    stream.set_nonblocking(false).expect("blocking");
    let (fd, name) = receive_fd(&stream);
    (fd, String::from_utf8_lossy(&name).into_owned())
}

/// The one fd of the next message, and its text.
///
/// # Panics
/// When no message comes, or another number of them.
#[track_caller]
pub fn receive_fd(stream: &UnixStream) -> (OwnedFd, Vec<u8>) {
    let mut payload = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut payload)];
    let message = recvmsg(stream, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC);
    let length = message.expect("a message with a descriptor").bytes;
    let fds: Vec<OwnedFd> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        })
        .flatten()
        .collect();
    let [fd] = fds.try_into().expect("one descriptor");
    (fd, payload[..length].to_vec())
}

/// A pty held by the test, with whatever came out of it so far.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    slave: File,
    output: String,
}

impl Terminal {
    /// Makes a pty of the given size.
    ///
    /// # Panics
    /// When the host has none left.
    pub fn new(rows: u16, columns: u16) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("a pty");
        grantpt(&master)
            .and_then(|()| unlockpt(&master))
            .expect("unlock the pty");
        let name = ptsname(&master, Vec::new()).expect("name of the pty");
        let name = name.into_string().expect("a plain name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(Path::new(&name), flags, rustix::fs::Mode::empty());
        let terminal = Self {
            master: master.into(),
            slave: slave.expect("open the pty's slave").into(),
            output: String::new(),
        };
        terminal.resize(rows, columns);
        terminal
    }

    /// Takes over a master that a runtime has sent; `slave` stands in for it where only the
    /// master's side is asked.
    pub fn of_master(master: OwnedFd) -> Self {
        let master = File::from(master);
        let slave = master.try_clone().expect("duplicate the master");
        Self {
            master,
            slave,
            output: String::new(),
        }
    }

    /// Sets the size, upon which the kernel signals the foreground process group.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.master, size).expect("TIOCSWINSZ");
    }

    /// Rows and columns.
    pub fn size(&self) -> (u16, u16) {
        size_of(&self.master)
    }

    /// The modes of the terminal.
    pub fn modes(&self) -> Termios {
        tcgetattr(&self.slave).expect("TCGETS")
    }

    /// Runs `command` with this as its controlling terminal and stdio.
    pub fn run(&self, command: &Command) -> Child {
        let slave = || Stdio::from(self.slave.try_clone().expect("duplicate the slave"));
        let mut outer = Command::new("setsid");
        outer
            .arg("--ctty")
            .arg(command.get_program())
            .args(command.get_args());
        if let Some(directory) = command.get_current_dir() {
            outer.current_dir(directory);
        }
        outer.stdin(slave()).stdout(slave()).stderr(slave());
        outer.spawn().expect("setsid (Debian's package util-linux)")
    }

    /// Types `text`.
    pub fn types(&mut self, text: &str) {
        self.master
            .write_all(text.as_bytes())
            .expect("write to the pty");
    }

    /// Waits until the output contains `needle`, and returns all of it.
    #[track_caller]
    pub fn says(&mut self, needle: &str) -> &str {
        fcntl_setfl(&self.master, OFlags::NONBLOCK).expect("nonblocking");
        eventually(&format!("{needle:?} on the terminal"), || {
            let mut chunk = [0; 4096];
            if let Ok(n) = self.master.read(&mut chunk) {
                self.output.push_str(&String::from_utf8_lossy(&chunk[..n]));
            }
            self.output.contains(needle).then_some(())
        });
        fcntl_setfl(&self.master, OFlags::empty()).expect("blocking");
        &self.output
    }
}

/// Rows and columns of a terminal.
pub fn size_of(terminal: impl AsFd) -> (u16, u16) {
    let size = tcgetwinsize(terminal).expect("TIOCGWINSZ");
    (size.ws_row, size.ws_col)
}
