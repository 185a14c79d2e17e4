//! `NOTIFY_SOCKET`: a service manager's readiness protocol (sd_notify(3)) through the wall of the container.
//!
//! The payload gets a socket of ours, bound in a directory beside the container's state and mounted at `/run/notify`. Whoever
//! begins the payload listens until it says `READY=1`, and passes that on with the pid that is the service's on this side.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, sendmsg,
    setsockopt, socket, sockopt,
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
    /// Waits until the payload is ready and passes it on; comes back without when the container has ended, or nobody is there to be
    /// told. The container runs, whatever becomes of this; what goes wrong is no more than a warning.
    pub fn pass_on(&self, root: &StateRoot, id: &str, pid: i32) {
        if let Err(failure) = self.try_to_pass_on(root, id, pid) {
            log::warn!("the service manager is not told that the container is ready: {failure}");
        }
    }

    fn try_to_pass_on(&self, root: &StateRoot, id: &str, pid: i32) -> Result<(), Failure> {
        let not_told = |source| Failure::File {
            action: "notify",
            path: self.manager.clone().into(),
            source,
        };
        let manager = dial(&self.manager).map_err(not_told)?;
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
                return tell(&manager, pid, PATIENCE).map_err(not_told);
            }
        }
    }

    fn readable(&self, patience: Duration) -> Result<bool, Failure> {
        wait(self.socket.as_fd(), patience).map_err(|source| Failure::Io {
            action: "wait for the notify socket",
            source,
        })
    }
}

/// How often to look whether the container still lives.
const POLL: Duration = Duration::from_millis(100);
/// As long as sd_notify_barrier(3) is commonly waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// The barrier is done when the manager has closed the pipe's end that goes with it: then it has seen what came before.
fn tell(manager: &OwnedFd, pid: i32, patience: Duration) -> io::Result<()> {
    let end = Instant::now() + patience;
    send(manager, b"READY=1\n", None, end)?;
    let main = format!("MAINPID={pid}\n");
    send(manager, main.as_bytes(), None, end)?;
    let (seen, barrier) = io::pipe()?;
    send(manager, b"BARRIER=1", Some(barrier.into()), end)?;
    match wait(seen.as_fd(), left(end))? {
        true => Ok(()),
        false => Err(silent()),
    }
}

fn silent() -> io::Error {
    let words = "the service manager does not answer";
    io::Error::new(io::ErrorKind::TimedOut, words)
}

fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

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

/// A socket for what the manager is told, if there is somebody at the other end.
fn dial(manager: &OsStr) -> io::Result<OwnedFd> {
    let (flags, kind) = (SockFlag::SOCK_CLOEXEC, SockType::Datagram);
    let socket = socket(AddressFamily::Unix, kind, flags, None)?;
    connect(socket.as_raw_fd(), &address(manager)?)?;
    Ok(socket)
}

/// Waits for room at the other end, whose queue may be full.
fn send(to: &OwnedFd, bytes: &[u8], fd: Option<OwnedFd>, end: Instant) -> io::Result<()> {
    let fds: Vec<_> = fd.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&fds)];
    let control = if fds.is_empty() { &[] } else { &rights[..] };
    // Without a time to wait it would be for ever.
    let patience = left(end).as_millis().max(1);
    let limit = TimeVal::milliseconds(i64::try_from(patience).unwrap_or(i64::MAX));
    setsockopt(to, sockopt::SendTimeout, &limit)?;
    let flags = MsgFlags::MSG_NOSIGNAL;
    match sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(bytes)], control, flags, None) {
        Ok(_) => Ok(()),
        Err(Errno::EAGAIN) => Err(silent()),
        Err(errno) => Err(errno.into()),
    }
}

fn wait(fd: std::os::fd::BorrowedFd<'_>, patience: Duration) -> io::Result<bool> {
    let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, timeout) {
        Ok(count) => Ok(count > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_that_does_not_read_holds_nobody_up() {
        let name = format!("@oci-notify-test-{}", std::process::id());
        let named = address(name.as_ref()).expect("a name");
        let (flags, kind) = (SockFlag::SOCK_CLOEXEC, SockType::Datagram);
        let manager = socket(AddressFamily::Unix, kind, flags, None).expect("a socket");
        let refused = dial(name.as_ref()).expect_err("nobody is there");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        nix::sys::socket::bind(manager.as_raw_fd(), &named).expect("its name");
        let socket = dial(name.as_ref()).expect("a manager");
        // The barrier is waited for in vain; and its queue is far from as long.
        for _ in 0..100 {
            let told = tell(&socket, 1, Duration::from_millis(3));
            assert_eq!(told.expect_err("silence").kind(), io::ErrorKind::TimedOut);
        }
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
