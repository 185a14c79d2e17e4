//! Runs the runtime under test. Output goes to files and not to pipes, because a detached
//! container inherits the stdio of its runtime: a pipe would be held open for the payload's whole
//! life. Each run has a time limit, after which it is ended by its pid and the test fails.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The longest a single run of the runtime may take, on a machine of ordinary speed.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The longest that [`eventually`] waits, on a machine of ordinary speed.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// `limit` times the whole number in the environment's `OCI_TIME_FACTOR`, which says how much slower than ordinary
/// this machine is; an emulated processor is.
///
/// # Panics
/// When there is something else in it.
pub fn scaled(limit: Duration) -> Duration {
    match std::env::var("OCI_TIME_FACTOR") {
        Ok(text) => {
            limit
                * text
                    .parse::<u32>()
                    .expect("OCI_TIME_FACTOR is a whole number")
        }
        Err(_) => limit,
    }
}

/// What is left of a run that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit code, or minus the number of the signal that ended the runtime itself.
    pub code: i32,
    /// All of its stdout, invalid UTF-8 replaced.
    pub stdout: String,
    /// All of its stderr, invalid UTF-8 replaced.
    pub stderr: String,
}

impl Finished {
    /// Requires exit code 0.
    ///
    /// # Panics
    /// When the code was another, with all that the run printed.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(
            self.code, 0,
            "stdout: {} stderr: {}",
            self.stdout, self.stderr
        );
        self
    }

    /// Requires `code` and every one of `texts` on stderr.
    ///
    /// # Panics
    /// When the code differs or a text is missing.
    #[track_caller]
    pub fn failed(self, code: i32, texts: &[&str]) -> Self {
        assert_eq!(
            self.code, code,
            "stdout: {} stderr: {}",
            self.stdout, self.stderr
        );
        let plain = self.stderr.replace("\\\"", "\"");
        for text in texts {
            assert!(plain.contains(text), "no {text:?} in {:?}", self.stderr);
        }
        self
    }
}

/// A run that has not been waited for.
#[derive(Debug)]
pub struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Running {
    /// The runtime's own pid.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Sends `signal` to the runtime.
    ///
    /// # Panics
    /// When the kernel refuses.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("kill the runtime");
    }

    /// The stdout up to now.
    pub fn stdout(&self) -> String {
        text(&self.out)
    }

    /// The stderr up to now.
    pub fn stderr(&self) -> String {
        text(&self.err)
    }

    /// Waits until stdout contains `needle`.
    ///
    /// # Panics
    /// After [`PATIENCE`], [`scaled`].
    #[track_caller]
    pub fn says(&self, needle: &str) {
        eventually(&format!("{needle:?} on stdout"), || {
            self.stdout().contains(needle).then_some(())
        });
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// After [`LIMIT`], [`scaled`], having ended the runtime.
    #[track_caller]
    pub fn wait(mut self) -> Finished {
        let status = wait_child(&mut self.child, LIMIT);
        let Some(code) = status else {
            panic!(
                "no end after {LIMIT:?}, scaled; stdout: {} stderr: {}",
                self.stdout(),
                self.stderr()
            );
        };
        Finished {
            code,
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }
}

/// The executable under test: the environment's `OCIRUN`, else the workspace's release build.
pub fn binary() -> PathBuf {
    match std::env::var_os("OCIRUN") {
        Some(path) => PathBuf::from(path),
        None => target_dir().join("release/ocirun"),
    }
}

/// Cargo's target directory, where what is dear to make is kept between runs.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
    }
}

/// Whether the runtime under test is ours. The suite can be pointed at a peer in order to validate
/// the tests themselves; the few that state more than the peer does ask this first.
pub fn is_ocirun() -> bool {
    binary().file_name().is_some_and(|name| name == "ocirun")
}

/// [`is_ocirun`], and says on stderr why the rest is left out where it is not.
pub fn only_ocirun(why: &str) -> bool {
    if !is_ocirun() {
        eprintln!("left out for {}: {why}", binary().display());
    }
    is_ocirun()
}

/// Starts `program` with stdout and stderr in files of `directory`.
///
/// # Panics
/// When it cannot be executed.
#[track_caller]
pub fn spawn(mut command: Command, directory: &Path, stdin: Stdio) -> Running {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let out = directory.join(format!("{n}.out"));
    let err = directory.join(format!("{n}.err"));
    command
        .stdin(stdin)
        .stdout(File::create(&out).expect("file for stdout"))
        .stderr(File::create(&err).expect("file for stderr"));
    let child = command
        .spawn()
        .unwrap_or_else(|e| panic!("{:?}: {e}", command.get_program()));
    Running { child, out, err }
}

/// Waits for `child`; ends it and returns nothing after `limit`, [`scaled`].
pub fn wait_child(child: &mut Child, limit: Duration) -> Option<i32> {
    let end = Instant::now() + scaled(limit);
    let mut pause = Duration::from_micros(500);
    loop {
        if let Some(status) = child.try_wait().expect("wait for a child") {
            return Some(
                status
                    .code()
                    .unwrap_or_else(|| -status.signal().unwrap_or(0)),
            );
        }
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// Asks `question` until it answers.
///
/// # Panics
/// After [`PATIENCE`], [`scaled`], naming `what`.
#[track_caller]
pub fn eventually<T>(what: &str, mut question: impl FnMut() -> Option<T>) -> T {
    let patience = scaled(PATIENCE);
    let end = Instant::now() + patience;
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(Instant::now() < end, "waited {patience:?} for {what}");
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Runs a tool of the host to its end.
///
/// # Panics
/// When it fails.
#[track_caller]
pub fn tool(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text(path: &Path) -> String {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .expect("read back a run's output");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The whole of a small file, without the blanks at its end.
///
/// # Panics
/// When it cannot be read.
#[track_caller]
pub fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.trim_end().to_owned()
}
