//! One test's own corner of the host. A case is made at the start of a test, offers the verbs of
//! the runtime with its own `--root`, and is checked for residue when it goes out of scope.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Signal, WaitStatus};
use serde_json::Value;
use tempfile::TempDir;

use crate::bundle;
use crate::cgroup;
use crate::host;
use crate::residue::{self, Marks};
use crate::rootfs;
use crate::runtime::{Finished, Running, binary, eventually, is_ocirun, read, scaled, spawn};

/// How long the last of a container may take to vanish once its runtime says that it has.
const SETTLE: Duration = Duration::from_secs(2);

/// A test's state directory, bundle, container id and cgroup path.
#[derive(Debug)]
pub struct Case {
    /// The container id, unique on this host.
    pub id: String,
    /// The cgroup path, unique on this host.
    pub cgroup: String,
    directory: TempDir,
    mounts: BTreeSet<String>,
    bundle_entries: RefCell<BTreeSet<PathBuf>>,
    inits: RefCell<Vec<i32>>,
    execs: RefCell<Vec<i32>>,
}

/// Makes a case with the default configuration; nothing when not root, which is said on stderr.
pub fn case() -> Option<Case> {
    case_with(|_| ())
}

/// Makes a case with an edited configuration; nothing when not root, which is said on stderr.
///
/// # Panics
/// When the runtime under test does not exist or the bundle cannot be written.
pub fn case_with(edit: impl FnOnce(&mut Value)) -> Option<Case> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: this test needs root");
        return None;
    }
    let program = binary();
    assert!(
        program.exists(),
        "{} is missing: build it with --release, or name another by OCIRUN",
        program.display()
    );
    host::become_subreaper();
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let id = format!("case-{}-{n}", std::process::id());
    let directory = tempfile::Builder::new().prefix("oci-").tempdir();
    let directory = directory.expect("a directory for the case");
    let open = fs::Permissions::from_mode(0o755);
    // Containers with a user namespace walk through it.
    fs::set_permissions(directory.path(), open).expect("mode of the case's directory");
    for name in ["bundle", "state", "output"] {
        fs::create_dir(directory.path().join(name)).expect("directory of the case");
    }
    let case = Case {
        cgroup: format!("/{id}"),
        id,
        directory,
        mounts: residue::host_mounts(),
        bundle_entries: RefCell::default(),
        inits: RefCell::default(),
        execs: RefCell::default(),
    };
    case.configure(edit);
    Some(case)
}

impl Case {
    /// A path in the case's own directory, for whatever a test needs beside the bundle.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The bundle.
    pub fn bundle(&self) -> PathBuf {
        self.path("bundle")
    }

    /// Writes config.json anew: the default, edited.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn configure(&self, edit: impl FnOnce(&mut Value)) {
        let mut config = bundle::config(&self.id, rootfs::shared(), &self.cgroup);
        edit(&mut config);
        self.write_config(&config.to_string());
    }

    /// Writes config.json as text.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_config(&self, text: &str) {
        fs::write(self.bundle().join("config.json"), text).expect("write config.json");
        self.note_bundle();
    }

    /// Gives the bundle a root filesystem of its own, writable, and returns its path. The
    /// configuration must name it: `/root/path` is `rootfs`.
    pub fn own_rootfs(&self) -> PathBuf {
        let root = self.bundle().join("rootfs");
        if !root.exists() {
            rootfs::make(&root);
        }
        self.note_bundle();
        root
    }

    /// Takes the bundle's present entries as those that may be there at the end.
    pub fn note_bundle(&self) {
        *self.bundle_entries.borrow_mut() = self.list_bundle();
    }

    fn list_bundle(&self) -> BTreeSet<PathBuf> {
        let entries = fs::read_dir(self.bundle()).expect("the bundle").flatten();
        entries.map(|entry| entry.path()).collect()
    }

    /// The command of the runtime with this case's `--root` and then `args`.
    pub fn command<S: AsRef<str>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(binary());
        command.arg("--root").arg(self.path("state"));
        command.args(args.iter().map(AsRef::as_ref));
        command.current_dir(self.bundle());
        command
    }

    /// Starts the runtime and does not wait.
    #[track_caller]
    pub fn spawn<S: AsRef<str>>(&self, args: &[S]) -> Running {
        spawn(self.command(args), &self.path("output"), Stdio::null())
    }

    /// Runs the runtime to its end.
    #[track_caller]
    pub fn runtime<S: AsRef<str>>(&self, args: &[S]) -> Finished {
        self.spawn(args).wait()
    }

    /// Runs the runtime to its end under strace(1), which injects `fault` (what may follow the call in its
    /// `--inject`) into every system call `call` of the runtime itself, or only into those on `path`.
    #[track_caller]
    pub fn runtime_with_fault<S: AsRef<str>>(
        &self,
        call: &str,
        fault: &str,
        path: Option<&Path>,
        args: &[S],
    ) -> Finished {
        let traced = self.command(args);
        let mut command = Command::new("strace");
        command.args(["-qq", "-o", "/dev/null"]);
        command.args(["-e", &format!("trace={call}")]);
        command.args(["-e", &format!("inject={call}:{fault}")]);
        path.iter().for_each(|path| {
            command.arg("-P").arg(path);
        });
        command.arg(traced.get_program()).args(traced.get_args());
        command.current_dir(self.bundle());
        spawn(command, &self.path("output"), Stdio::null()).wait()
    }

    /// The words of `create`, with the bundle, a pid file and further `flags`.
    pub fn words_of_create(&self, flags: &[&str]) -> Vec<String> {
        let (bundle, pid_file) = (text(&self.bundle()), text(&self.path("pid")));
        let all = ["create", "--bundle", &bundle, "--pid-file", &pid_file];
        let all = all.iter().chain(flags).copied().chain([self.id.as_str()]);
        all.map(str::to_owned).collect()
    }

    /// `create`, as in [`Case::words_of_create`].
    #[track_caller]
    pub fn try_create(&self, flags: &[&str]) -> Finished {
        self.runtime(&self.words_of_create(flags))
    }

    /// Creates the container; returns the pid of its init.
    ///
    /// # Panics
    /// When that fails.
    #[track_caller]
    pub fn create(&self) -> i32 {
        self.try_create(&[]).ok();
        self.init_from_pid_file()
    }

    /// Creates and starts the container; returns the pid of its init once it has become the payload.
    ///
    /// # Panics
    /// When that fails.
    #[track_caller]
    pub fn start(&self) -> i32 {
        let waiting = self.create();
        self.runtime(&["start", &self.id]).ok();
        self.await_payload(waiting);
        waiting
    }

    /// Waits until `pid` carries the mark of the payload's environment.
    #[track_caller]
    pub fn await_payload(&self, pid: i32) {
        let mark = format!("{}={}", bundle::MARK, self.id);
        eventually("the payload", || {
            host::strings(pid, "environ").contains(&mark).then_some(())
        });
    }

    /// Runs the payload in the foreground.
    #[track_caller]
    pub fn run(&self) -> Finished {
        let bundle = self.bundle().display().to_string();
        self.runtime(&["run", "--bundle", &bundle, &self.id])
    }

    /// `exec` with `flags` and then the command `args`.
    #[track_caller]
    pub fn exec(&self, flags: &[&str], args: &[&str]) -> Finished {
        let all = [&["exec"], flags, &[self.id.as_str()], args].concat();
        self.runtime(&all)
    }

    /// `exec --detach`; returns the pid of the process.
    ///
    /// # Panics
    /// When that fails.
    #[track_caller]
    pub fn exec_detached(&self, flags: &[&str], args: &[&str]) -> i32 {
        let pid_file = self.path("exec-pid").display().to_string();
        let flags = [&["--detach", "--pid-file", &pid_file], flags].concat();
        self.exec(&flags, args).ok();
        self.exec_from_pid_file()
    }

    /// The pid in the pid file of an `exec`; it is waited for at the end of the case.
    ///
    /// # Panics
    /// When there is no number in it.
    #[track_caller]
    pub fn exec_from_pid_file(&self) -> i32 {
        let pid = read(self.path("exec-pid")).parse().expect("a pid");
        self.execs.borrow_mut().push(pid);
        if !is_ocirun() {
            // A peer may return a moment before execve has; ours must not.
            eventually("the exec'd program", || {
                let words = host::strings(pid, "cmdline");
                (words.get(1).map(String::as_str) != Some("init")).then_some(())
            });
        }
        pid
    }

    /// The state as JSON.
    ///
    /// # Panics
    /// When the runtime does not give it.
    #[track_caller]
    pub fn state(&self) -> Value {
        let text = self.runtime(&["state", &self.id]).ok().stdout;
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("state {text:?}: {e}"))
    }

    /// The status alone.
    #[track_caller]
    pub fn status(&self) -> String {
        self.state()["status"].as_str().unwrap_or("?").to_owned()
    }

    /// The pid that the pid file has; it is waited for at the end of the case.
    ///
    /// # Panics
    /// When there is no number in it.
    #[track_caller]
    pub fn init_from_pid_file(&self) -> i32 {
        let pid = read(self.path("pid"))
            .parse()
            .expect("a pid in the pid file");
        self.inits.borrow_mut().push(pid);
        pid
    }

    /// Ends the init with SIGKILL through the runtime and waits for it.
    #[track_caller]
    pub fn kill(&self, init: i32) -> Option<WaitStatus> {
        self.runtime(&["kill", &self.id, "KILL"]).ok();
        self.reap(init)
    }

    /// Waits for the end of `pid`. The other processes of `exec` are waited for along the way,
    /// because a pid namespace ends only when all that is in it has been waited for.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn reap(&self, pid: i32) -> Option<WaitStatus> {
        for list in [&self.inits, &self.execs] {
            list.borrow_mut().retain(|other| *other != pid);
        }
        eventually(&format!("the end of {pid}"), || {
            self.execs
                .borrow_mut()
                .retain(|exec| host::ended(*exec).is_none());
            host::ended(pid)
        })
    }

    /// Deletes by force whatever the state directory still has, and waits for the processes.
    #[track_caller]
    pub fn destroy(&self) {
        for pid in self.execs.take() {
            host::signal(pid, Signal::KILL);
            host::reap(pid);
        }
        let entries = fs::read_dir(self.path("state")).into_iter().flatten();
        for entry in entries.flatten() {
            let id = entry.file_name().to_string_lossy().into_owned();
            self.runtime(&["delete", "--force", &id]).ok();
        }
        for pid in self.inits.take() {
            host::signal(pid, Signal::KILL);
            host::reap(pid);
        }
    }

    /// Everything the case has left, in words.
    pub fn residue(&self) -> Vec<String> {
        let mut found = residue::find(&self.marks(), &self.mounts);
        let new = self.list_bundle();
        let new = new
            .difference(&self.bundle_entries.borrow())
            .cloned()
            .collect::<Vec<_>>();
        found.extend(new.iter().map(|e| format!("in the bundle {}", e.display())));
        found
    }

    fn marks(&self) -> Marks {
        Marks {
            id: self.id.clone(),
            cgroup: self.cgroup.clone(),
            state: self.path("state").display().to_string(),
        }
    }

    /// Requires that nothing is left, without deleting anything itself.
    ///
    /// # Panics
    /// When something is.
    #[track_caller]
    pub fn assert_clean(&self) {
        let end = Instant::now() + scaled(SETTLE);
        loop {
            let found = self.residue();
            if found.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "left behind: {found:#?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tidy(self);
        } else {
            self.destroy();
            self.assert_clean();
        }
    }
}

/// Ends what a failed test has left, as well as can be: the failure itself is reported already.
fn tidy(case: &Case) {
    for pid in case.execs.take().into_iter().chain(case.inits.take()) {
        host::signal(pid, Signal::KILL);
        let end = Instant::now() + scaled(SETTLE);
        while host::ended(pid).is_none() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(3));
        }
    }
    let entries = fs::read_dir(case.path("state")).into_iter().flatten();
    for entry in entries.flatten() {
        let id = entry.file_name().to_string_lossy().into_owned();
        let _ = case.command(&["delete", "--force", &id]).output();
    }
    cgroup::remove(&case.cgroup);
}

/// The bundle's path as an argument.
pub fn text(path: &Path) -> String {
    path.display().to_string()
}
