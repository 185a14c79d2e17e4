//! `NOTIFY_SOCKET`: a service manager's readiness protocol (sd_notify(3)) through the wall of the container.
//!
//! The payload gets a socket of ours, bound in a directory beside the container's state and mounted at `/run/notify`. Whoever
//! begins the payload listens until it says `READY=1`, and passes that on with the pid that is the service's on this side.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, IoSlice, PipeReader};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, setsockopt,
    socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use oci_runtime::spec::{Mount, Spec};
use oci_runtime::{Kind, StateRoot, Status};

use crate::failure::Failure;

/// Where the directory is in the container.
const INSIDE: &str = "/run/notify";
const SOCKET: &str = "notify.sock";

/// The service manager's socket and ours.
#[derive(Debug)]
pub(crate) struct Notify {
    manager: OsString,
    directory: PathBuf,
}

/// A socket that the payload writes to.
#[derive(Debug)]
pub(crate) struct Listener {
    manager: OsString,
    socket: UnixDatagram,
}

impl Notify {
    /// What the caller's environment asks for, for a new container. Where there is one by that id, or can be none, nothing:
    /// whoever makes it says so, and the directory may be another's.
    pub fn of_new(root: &StateRoot, id: &str) -> Option<Notify> {
        let notify = Notify::from_environment(root, id)?;
        let absent = |error: oci_runtime::Error| error.kind() == Kind::NotFound;
        oci_runtime::state(root, id)
            .is_err_and(absent)
            .then_some(notify)
    }

    /// The same for one that is about to be started; another start may be waiting at the socket of one that runs.
    pub fn of_created(root: &StateRoot, id: &str) -> Option<Notify> {
        let notify = Notify::from_environment(root, id)?;
        oci_runtime::state(root, id)
            .is_ok_and(|found| found.status == Status::Created)
            .then_some(notify)
    }

    fn from_environment(root: &StateRoot, id: &str) -> Option<Notify> {
        let manager = env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty())?;
        Some(Notify {
            manager,
            directory: directory(root, id),
        })
    }

    /// Makes the directory and has the container see it.
    pub fn prepare(&self, spec: &mut Spec<'_>) -> Result<(), Failure> {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(self.directory.parent().unwrap_or(Path::new("/")))
            .and_then(|()| {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o755)
                    .create(&self.directory)
            });
        made.map_err(|source| self.failed("make the directory of the notify socket", source))?;
        let source = self.directory.to_string_lossy().into_owned();
        spec.mounts.push(Mount {
            destination: INSIDE.into(),
            kind: "bind".into(),
            source: source.into(),
            options: ["bind", "nosuid", "noexec", "nodev", "ro"]
                .map(Into::into)
                .into(),
            ..Mount::default()
        });
        if let Some(process) = &mut spec.process {
            process
                .env
                .push(format!("NOTIFY_SOCKET={INSIDE}/{SOCKET}").into());
        }
        Ok(())
    }

    /// Binds the socket where the payload finds it; nothing where the container was made without the directory.
    pub fn listen(&self) -> Result<Option<Listener>, Failure> {
        if !self.directory.is_dir() {
            return Ok(None);
        }
        let path = self.directory.join(SOCKET);
        // One that an earlier command has left.
        let _ = fs::remove_file(&path);
        let bound = UnixDatagram::bind(&path).and_then(|socket| {
            // Whoever the payload's user is.
            fs::set_permissions(&path, Permissions::from_mode(0o777))?;
            Ok(socket)
        });
        let socket = bound.map_err(|source| self.failed("bind the notify socket in", source))?;
        Ok(Some(Listener {
            manager: self.manager.clone(),
            socket,
        }))
    }

    fn failed(&self, action: &'static str, source: io::Error) -> Failure {
        Failure::File {
            action,
            path: self.directory.clone(),
            source,
        }
    }
}

/// Removes what a container had of this that could not be made or kept. Another one by its id keeps its own.
pub(crate) fn give_up(failure: &Failure, root: &StateRoot, id: &str) {
    let others = [Kind::AlreadyExists, Kind::InvalidId];
    match failure {
        Failure::Runtime(error) if others.contains(&error.kind()) => {}
        _ => clear_away(root, id),
    }
}

/// Removes what a container had of this, if it had it.
pub(crate) fn clear_away(root: &StateRoot, id: &str) {
    let directory = directory(root, id);
    let _ = fs::remove_file(directory.join(SOCKET));
    let _ = fs::remove_dir(&directory);
}

/// No id has a colon, so this is no container's state.
fn directory(root: &StateRoot, id: &str) -> PathBuf {
    root.path().join(format!("notify:{id}"))
}

impl Listener {
    /// Waits until the payload is ready and passes it on; comes back without when the container has ended.
    pub fn pass_on(&self, root: &StateRoot, id: &str, pid: i32) -> Result<(), Failure> {
        let ended =
            || oci_runtime::state(root, id).map_or(true, |found| found.status == Status::Stopped);
        loop {
            if !self.readable(POLL)? {
                if ended() {
                    return Ok(());
                }
                continue;
            }
            let mut message = [0; 4096];
            let length = self
                .socket
                .recv(&mut message)
                .map_err(|source| Failure::Io {
                    action: "read the notify socket",
                    source,
                })?;
            if is_ready(&message[..length]) {
                return self.tell(pid).map_err(|source| Failure::File {
                    action: "notify",
                    path: self.manager.clone().into(),
                    source,
                });
            }
        }
    }

    fn readable(&self, patience: Duration) -> Result<bool, Failure> {
        wait(self.socket.as_fd(), patience).map_err(|source| Failure::Io {
            action: "wait for the notify socket",
            source,
        })
    }

    /// The barrier is done when the manager has closed the pipe's end that goes with it: then it has seen what came before.
    fn tell(&self, pid: i32) -> io::Result<()> {
        let address = address(&self.manager)?;
        let socket = patient_socket(BARRIER)?;
        send(&socket, &address, b"READY=1\n", None)?;
        send(
            &socket,
            &address,
            format!("MAINPID={pid}\n").as_bytes(),
            None,
        )?;
        let (seen, barrier) = io::pipe()?;
        send(&socket, &address, b"BARRIER=1", Some(barrier.into()))?;
        await_end(&seen)
    }
}

/// How often to look whether the container still lives.
const POLL: Duration = Duration::from_millis(100);
/// As long as sd_notify_barrier(3) is commonly waited for.
const BARRIER: Duration = Duration::from_secs(30);

fn is_ready(message: &[u8]) -> bool {
    message
        .split(|byte| *byte == b'\n')
        .any(|line| line == b"READY=1")
}

/// A path, or with `@` a name in the abstract namespace.
fn address(manager: &OsStr) -> io::Result<UnixAddr> {
    Ok(match manager.as_bytes().strip_prefix(b"@") {
        Some(name) => UnixAddr::new_abstract(name)?,
        None => UnixAddr::new(Path::new(manager))?,
    })
}

/// A socket that waits no longer for room at the other end, whose queue may be full.
fn patient_socket(patience: Duration) -> io::Result<OwnedFd> {
    let (flags, kind) = (SockFlag::SOCK_CLOEXEC, SockType::Datagram);
    let socket = socket(AddressFamily::Unix, kind, flags, None)?;
    let limit = TimeVal::milliseconds(patience.as_millis() as i64);
    setsockopt(&socket, sockopt::SendTimeout, &limit)?;
    Ok(socket)
}

fn send(socket: &OwnedFd, to: &UnixAddr, bytes: &[u8], fd: Option<OwnedFd>) -> io::Result<()> {
    let fds: Vec<_> = fd.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&fds)];
    let control = if fds.is_empty() { &[] } else { &rights[..] };
    let flags = MsgFlags::MSG_NOSIGNAL;
    sendmsg(
        socket.as_raw_fd(),
        &[IoSlice::new(bytes)],
        control,
        flags,
        Some(to),
    )?;
    Ok(())
}

fn await_end(pipe: &PipeReader) -> io::Result<()> {
    match wait(pipe.as_fd(), BARRIER)? {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the service manager has not answered for 30 seconds",
        )),
    }
}

fn wait(fd: std::os::fd::BorrowedFd<'_>, patience: Duration) -> io::Result<bool> {
    let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, timeout) {
        Ok(count) => Ok(count > 0),
        Err(nix::errno::Errno::EINTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_that_does_not_read_holds_nobody_up() {
        let name = format!("oci-notify-test-{}", std::process::id());
        let address = UnixAddr::new_abstract(name.as_bytes()).expect("a name");
        let manager = socket(
            AddressFamily::Unix,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            None,
        );
        let manager = manager.expect("a socket");
        nix::sys::socket::bind(manager.as_raw_fd(), &address).expect("its name");
        let socket = patient_socket(Duration::from_millis(10)).expect("a socket");
        // Its queue is far from as long.
        let full = (0..100_000).find_map(|_| send(&socket, &address, b"READY=1\n", None).err());
        assert_eq!(full.expect("an end").kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn ready_is_a_line_of_its_own() {
        for (message, expected) in [
            (&b"READY=1"[..], true),
            (b"STATUS=up\nREADY=1\n", true),
            (b"READY=10", false),
            (b"STATUS=READY=1", false),
            (b"", false),
        ] {
            assert_eq!(is_ready(message), expected, "{message:?}");
        }
    }
}
