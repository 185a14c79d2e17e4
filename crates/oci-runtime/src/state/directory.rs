//! The directory of one container, and the root that holds all of them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::Flock;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Cause, Error, Kind, Result};
use crate::lock;

/// The directory below which every container has its own.
#[derive(Debug, Clone)]
pub struct StateRoot(PathBuf);

impl StateRoot {
    /// The root at `path`, which is made when the first container is.
    pub fn new(path: impl Into<PathBuf>) -> StateRoot {
        StateRoot(path.into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes the directory of a new container and locks it.
    pub(crate) fn create(&self, id: &str) -> Result<StateDirectory> {
        let path = self.path_of(id)?;
        self.make()?;
        loop {
            match DirBuilder::new().mode(0o711).create(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    return Err(Cause::Exists { id: id.to_owned() }.into());
                }
                Err(error) => return Err(Error::file("make the state directory", &path, error)),
            }
            let mut directory = StateDirectory {
                path: path.clone(),
                id: id.to_owned(),
                lock: None,
            };
            match directory.lock() {
                // Somebody has deleted what was nothing yet.
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) => return Err(error),
                // And somebody else has made one anew. It is whose who locks it first, and that one puts a state there.
                Ok(()) if directory.path.join(STATE).exists() => {
                    return Err(Cause::Exists { id: id.to_owned() }.into());
                }
                Ok(()) => return Ok(directory),
            }
        }
    }

    /// The directory of a container that exists, not locked.
    pub(crate) fn open(&self, id: &str) -> Result<StateDirectory> {
        let path = self.path_of(id)?;
        match path.metadata() {
            Ok(found) if found.is_dir() => Ok(StateDirectory {
                path,
                id: id.to_owned(),
                lock: None,
            }),
            Ok(_) => Err(Cause::NotFound { id: id.to_owned() }.into()),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(Cause::NotFound { id: id.to_owned() }.into())
            }
            Err(error) => Err(Error::file("open the state directory", &path, error)),
        }
    }

    /// The ids of all containers, sorted.
    pub(crate) fn ids(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::file("list the state root", &self.0, error)),
        };
        let mut ids: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| check_id(name).is_ok())
            .collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// A lock of the root itself, for what containers have to settle among themselves.
    pub(crate) fn lock(&self) -> Result<Flock<File>> {
        let failed = |error| Error::file("lock the state root", &self.0, error);
        let file = File::open(&self.0).map_err(failed)?;
        let lock = lock::within(file, PATIENCE).map_err(|errno| failed(errno.into()))?;
        lock.ok_or_else(|| failed(Errno::EWOULDBLOCK.into()))
    }

    /// Judges an id by its form alone.
    pub(crate) fn check(&self, id: &str) -> Result<()> {
        check_id(id).map_err(|reason| {
            Cause::Id {
                id: id.to_owned(),
                reason,
            }
            .into()
        })
    }

    /// The absolute path that a container's directory has or would have.
    pub(crate) fn place(&self, id: &str) -> Result<PathBuf> {
        let path = self.path_of(id)?;
        std::path::absolute(&path).map_err(|error| Error::file("find the place of", &path, error))
    }

    fn path_of(&self, id: &str) -> Result<PathBuf> {
        self.check(id)?;
        Ok(self.0.join(id))
    }

    /// Makes the root if it is missing. One that others can write to would let them plant states.
    fn make(&self) -> Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)
            .map_err(|error| Error::file("make the state root", &self.0, error))?;
        let found = self
            .0
            .metadata()
            .map_err(|error| Error::file("look at the state root", &self.0, error))?;
        let sticky = found.mode() & 0o1000 != 0;
        if found.mode() & 0o022 != 0 && !sticky {
            let error = io::Error::other("others may write to it");
            return Err(Error::file("use the state root", &self.0, error));
        }
        Ok(())
    }
}

/// Ids become file names and parts of messages: `[A-Za-z0-9_+.-]`, as runc has it, at most 255 of them.
fn check_id(id: &str) -> Result<(), &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+.-".contains(&byte);
    match id {
        "" => Err("it is empty"),
        "." | ".." => Err("it is the name of a directory"),
        _ if id.len() > 255 => Err("it is longer than a file name may be"),
        _ if id.starts_with('-') => Err("it begins like an option"),
        _ if !id.bytes().all(allowed) => Err("only letters, digits and _ + . - are allowed"),
        _ => Ok(()),
    }
}

/// The directory of one container; locked where a command changes the container.
#[derive(Debug)]
pub(crate) struct StateDirectory {
    path: PathBuf,
    id: String,
    lock: Option<Flock<File>>,
}

/// How long a command waits for another one to finish with the container.
const PATIENCE: Duration = Duration::from_secs(10);

impl StateDirectory {
    /// Waits for the lock. The container may be gone by the time we have it.
    pub(crate) fn lock(&mut self) -> Result<()> {
        if self.lock_within(PATIENCE)? {
            return Ok(());
        }
        let action = "another command works on the container, wait for the lock of";
        Err(Error::file(action, &self.path, Errno::EWOULDBLOCK.into()))
    }

    /// The same for as long as `patience` lasts; whether we have it.
    pub(crate) fn lock_within(&mut self, patience: Duration) -> Result<bool> {
        let file = File::open(&self.path).map_err(|error| self.vanished(error))?;
        let lock = lock::within(file, patience)
            .map_err(|errno| Error::file("lock", &self.path, errno.into()))?;
        let Some(lock) = lock else {
            return Ok(false);
        };
        let linked = self.path.metadata().map_err(|error| self.vanished(error))?;
        let locked = lock.metadata().map_err(|error| self.vanished(error))?;
        if (linked.dev(), linked.ino()) != (locked.dev(), locked.ino()) {
            return Err(Cause::NotFound {
                id: self.id.clone(),
            }
            .into());
        }
        self.lock = Some(lock);
        Ok(true)
    }

    fn vanished(&self, error: io::Error) -> Error {
        match error.kind() {
            ErrorKind::NotFound => Cause::NotFound {
                id: self.id.clone(),
            }
            .into(),
            _ => Error::file("open the state directory", &self.path, error),
        }
    }

    /// Lets other commands change the container.
    pub(crate) fn unlock(&mut self) {
        self.lock = None;
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads `state.json`; `None` when there is none yet. It is the first file here, so with another one it is missing.
    pub(crate) fn load<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let path = self.path.join(STATE);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
                if is_another_runtimes(&bytes) {
                    return Cause::Foreign { path }.into();
                }
                Cause::Damaged {
                    path,
                    reason: error.to_string(),
                }
                .into()
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => match self.has_config()? {
                false => Ok(None),
                true => Err(Cause::Damaged {
                    path,
                    reason: "it is missing".to_owned(),
                }
                .into()),
            },
            Err(error) => Err(Error::file("read", &path, error)),
        }
    }

    /// Replaces `state.json`.
    pub(crate) fn save(&self, state: &impl Serialize) -> Result<()> {
        let path = self.path.join(STATE);
        let bytes = serde_json::to_vec(state)
            .map_err(|error| Error::file("write", &path, io::Error::other(error)))?;
        let new = self.path.join(NEW_STATE);
        write_new(&new, &bytes)?;
        fs::rename(&new, &path).map_err(|error| Error::file("replace", &path, error))
    }

    /// Keeps the configuration as it was, and with that records that the container has its cgroup: no other file is
    /// needed for it.
    pub(crate) fn save_config(&self, bytes: &[u8]) -> Result<()> {
        write_new(&self.path.join(CONFIG), bytes)
    }

    /// Keeps another configuration instead. There is one at every moment.
    pub(crate) fn replace_config(&self, bytes: &[u8]) -> Result<()> {
        let path = self.path.join(CONFIG);
        let new = self.path.join(NEW_CONFIG);
        write_new(&new, bytes)?;
        fs::rename(&new, &path).map_err(|error| Error::file("replace", &path, error))
    }

    /// The configuration that the container was created with, and what was changed of it since.
    pub(crate) fn load_config(&self) -> Result<Vec<u8>> {
        let path = self.path.join(CONFIG);
        fs::read(&path).map_err(|error| Error::file("read", &path, error))
    }

    /// Whether the creation has come as far as [`StateDirectory::save_config`].
    pub(crate) fn has_config(&self) -> Result<bool> {
        let path = self.path.join(CONFIG);
        match path.symlink_metadata() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::file("look at", &path, error)),
        }
    }

    /// Path of the kept configuration.
    pub(crate) fn config_path(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// Makes the two FIFOs between the first process and `start`.
    pub(crate) fn make_gate(&self) -> Result<()> {
        for name in [GATE, GATE_REPORT] {
            let path = self.path.join(name);
            mkfifo(&path, Mode::from_bits_truncate(0o600))
                .map_err(|errno| Error::file("make the FIFO", &path, errno.into()))?;
        }
        Ok(())
    }

    /// Makes the FIFO by which a creation learns that its container is being deleted. It reads as ready from then on.
    pub(crate) fn make_deletion(&self) -> Result<OwnedFd> {
        let path = self.path.join(DELETION);
        mkfifo(&path, Mode::from_bits_truncate(0o600))
            .map_err(|errno| Error::file("make the FIFO", &path, errno.into()))?;
        self.open_fifo(DELETION, OpenOptions::new().read(true).write(true))
    }

    /// Tells the creation, if there is one that can be told.
    pub(crate) fn announce_deletion(&self) -> Result<()> {
        match self.open_both_ends(DELETION)? {
            None => Ok(()),
            Some(mut fifo) => match fifo.write_all(b"d") {
                // It has been told often enough.
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
                other => other.map_err(|error| {
                    Error::file("write to the FIFO", &self.path.join(DELETION), error)
                }),
            },
        }
    }

    /// What only a creation has.
    pub(crate) fn remove_deletion(&self) -> Result<()> {
        self.remove_files(&[DELETION])
    }

    /// Whether the first process still has the gate open, which it has until it becomes the payload. The file alone says
    /// nothing: a `start` that was killed has not removed it.
    pub(crate) fn is_gate_held(&self) -> Result<bool> {
        // fifo(7): without a reader this end cannot be opened.
        self.open_if_there(GATE, OpenOptions::new().write(true))
            .map(|end| end.is_some())
    }

    /// Both FIFOs for the first process, the gate first. It holds both ends of each: so the gate never reads as closed,
    /// and the other can be opened without a reader.
    pub(crate) fn open_fifos(&self) -> Result<[OwnedFd; 2]> {
        let open = |name| self.open_fifo(name, OpenOptions::new().read(true).write(true));
        Ok([open(GATE)?, open(GATE_REPORT)?])
    }

    /// The gate for `start`; `None` when nobody waits behind it.
    pub(crate) fn open_gate(&self) -> Result<Option<File>> {
        match self.is_gate_held()? {
            true => self.open_both_ends(GATE),
            false => Ok(None),
        }
    }

    /// To write to. With a reader of our own there is no SIGPIPE, whoever ends meanwhile: in a program that has not given
    /// that signal another meaning it would be the program's end.
    fn open_both_ends(&self, name: &str) -> Result<Option<File>> {
        self.open_if_there(name, OpenOptions::new().read(true).write(true))
    }

    /// Does not wait for the other end.
    fn open_if_there(&self, name: &str, options: &mut OpenOptions) -> Result<Option<File>> {
        let path = self.path.join(name);
        match options.custom_flags(libc::O_NONBLOCK).open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENXIO | libc::ENOENT)) => {
                Ok(None)
            }
            Err(error) => Err(Error::file("open the FIFO", &path, error)),
        }
    }

    /// The other FIFO for `start`, not blocking.
    pub(crate) fn open_report_reader(&self) -> Result<OwnedFd> {
        self.open_fifo(
            GATE_REPORT,
            OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK),
        )
    }

    fn open_fifo(&self, name: &str, options: &OpenOptions) -> Result<OwnedFd> {
        let path = self.path.join(name);
        let file = options
            .open(&path)
            .map_err(|error| Error::file("open the FIFO", &path, error))?;
        Ok(file.into())
    }

    /// The gate is open: what is left of it goes.
    pub(crate) fn remove_gate(&self) -> Result<()> {
        self.remove_files(&[GATE, GATE_REPORT])
    }

    /// Removes the directory with the files that we put there, and nothing else: never what somebody mounted there.
    pub(crate) fn remove(&self) -> Result<()> {
        self.remove_files(&FILES)?;
        match fs::remove_dir(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::file("remove the state directory", &self.path, error))
            }
            _ => Ok(()),
        }
    }

    fn remove_files(&self, names: &[&str]) -> Result<()> {
        for name in names {
            let path = self.path.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(Error::file("remove", &path, error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// runc keeps the whole configuration in its state, in words of its own. What is another runtime's is neither shown nor
/// touched: the two share the root's default place.
fn is_another_runtimes(state: &[u8]) -> bool {
    let state: serde_json::Value = serde_json::from_slice(state).unwrap_or_default();
    state.get("config").is_some() && state.get("oci_version").is_none()
}

const STATE: &str = "state.json";
const NEW_STATE: &str = ".state.json";
const CONFIG: &str = "config.json";
const NEW_CONFIG: &str = ".config.json";
const GATE: &str = "exec.fifo";
const GATE_REPORT: &str = "report.fifo";
const DELETION: &str = "deletion.fifo";
/// All there can be, in the order in which they go.
const FILES: [&str; 7] = [
    GATE,
    GATE_REPORT,
    DELETION,
    NEW_CONFIG,
    CONFIG,
    NEW_STATE,
    STATE,
];

fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(path)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(|error| Error::file("write", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{SigSet, Signal};

    #[test]
    fn ids_are_checked_by_their_form() {
        for good in ["a", "A-b_c+d.e", "0", "a".repeat(255).as_str(), ".a", "..a"] {
            assert_eq!(check_id(good), Ok(()), "{good}");
        }
        let long = "a".repeat(256);
        for bad in [
            "", ".", "..", "a/b", "../x", "/", "a\0b", "a\nb", "-a", "ü", "a b", &long,
        ] {
            assert!(check_id(bad).is_err(), "{bad:?}");
        }
    }

    /// The signal is blocked, so that it would be found waiting, even where it is ignored.
    #[test]
    fn no_word_to_a_process_that_has_just_ended_raises_sigpipe() {
        let place = std::env::temp_dir().join(format!("ocirun-gate-{}", std::process::id()));
        let root = StateRoot::new(&place);
        let directory = root.create("a").expect("the container's directory");
        SigSet::from(Signal::SIGPIPE)
            .thread_block()
            .expect("blocked");
        directory.make_gate().expect("the gate");
        assert!(directory.open_gate().expect("the gate").is_none());
        let ends = directory.open_fifos().expect("both FIFOs");
        let mut gate = directory
            .open_gate()
            .expect("the gate")
            .expect("it is held");
        drop(ends);
        let _ = gate.write_all(b"s");
        drop(gate);
        assert!(!directory.is_gate_held().expect("the gate"));
        directory.announce_deletion().expect("no creation");
        drop(directory.make_deletion().expect("the FIFO"));
        directory.announce_deletion().expect("no creation any more");
        let status = fs::read_to_string("/proc/thread-self/status").expect("status");
        for field in ["SigPnd:\t0000000000000000", "ShdPnd:\t0000000000000000"] {
            assert!(status.contains(field), "{status}");
        }
        fs::remove_dir_all(&place).expect("remove it");
    }
}
