//! An ordinary user who has logged in: the session that PAM and logind make has a runtime directory, a bus, and on it a systemd
//! of the user's own, whose cgroups are delegated. Machines do not have such a user by themselves; the guest has.

use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::runtime::{Finished, eventually, read, scaled, tool};

/// The user's name.
pub const USER: &str = "rootless";

/// How long one script may take, on a machine of ordinary speed.
const LIMIT: Duration = Duration::from_secs(30);

/// A login shell that waits for lines.
#[derive(Debug)]
pub struct Login {
    shell: Child,
    lines: ChildStdin,
    directory: PathBuf,
    count: Cell<usize>,
}

/// Whether there is the user, with a systemd; says on stderr if not. It is to be asked before a case is made: the user's
/// runtime directory is a mount, which stays.
pub fn is_here() -> bool {
    let Some(uid) = uid().filter(|_| Path::new("/run/systemd/system").exists()) else {
        eprintln!("not run: this host has no systemd or no user {USER}");
        return false;
    };
    // The user's systemd stays when a session ends, and the next one has it at once.
    tool("loginctl", &["enable-linger", USER]);
    eventually("the user's bus", || {
        let bus = format!("/run/user/{uid}/bus");
        Path::new(&bus).exists().then_some(())
    });
    true
}

/// Logs the user in, with `directory` made for scripts and their output.
///
/// # Panics
/// When PAM lets nobody in.
pub fn login(directory: &Path) -> Login {
    fs::create_dir_all(directory).expect("a directory");
    chown(directory, uid(), uid()).expect("the user's directory");
    let mut shell = Command::new("runuser")
        .args(["--login", USER, "--command", "exec sh"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("runuser (Debian's package util-linux)");
    let lines = shell.stdin.take().expect("a pipe");
    let login = Login {
        shell,
        lines,
        directory: directory.to_owned(),
        count: Cell::new(0),
    };
    eventually("the user's systemd", || {
        let running = login.run("systemctl --user is-active default.target");
        (running.code == 0).then_some(())
    });
    login
}

/// The user's id, if there is such a user.
pub fn uid() -> Option<u32> {
    let users = read("/etc/passwd");
    let mut fields = users.lines().map(|line| line.split(':'));
    let mut user = fields.find(|fields| fields.clone().next() == Some(USER))?;
    user.nth(2)?.parse().ok()
}

impl Login {
    /// Runs a script of sh(1) to its end, in the directory for scripts.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn run(&self, script: &str) -> Finished {
        let count = self.count.replace(self.count.get() + 1);
        let file = |kind: &str| self.directory.join(format!("{count}.{kind}"));
        fs::write(file("sh"), script).expect("a script");
        let line = format!(
            "cd {}; sh {count}.sh > {count}.out 2> {count}.err < /dev/null; echo $? > {count}.part; mv {count}.part {count}.code",
            self.directory.display()
        );
        writeln!(&self.lines, "{line}").expect("a shell that reads");
        let end = Instant::now() + scaled(LIMIT);
        while !file("code").exists() {
            assert!(Instant::now() < end, "no end of {script:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Finished {
            code: read(file("code")).parse().expect("an exit status"),
            stdout: text(&file("out")),
            stderr: text(&file("err")),
        }
    }
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).expect("output")).into_owned()
}

impl Drop for Login {
    fn drop(&mut self) {
        // The end of its input would do; a script that hangs does not see it.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
