//! The library in a program with threads: all of them make containers at once, and their process stays as it was.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use oci_runtime::{
    Bundle, Create, Exec, Exit, Kind, Result, StateRoot, Status, create, delete, exec, kill, run,
    start, state,
};
use oci_runtime_integration::bundle::script;
use oci_runtime_integration::case::{Case, case_with, text};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{eventually, only_ocirun, read};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{WaitOptions, dumpable_behavior, wait};
use serde_json::json;

/// What is compared belongs to the whole process, so these tests go one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the kernel keeps for the calling thread and its process and a runtime could be tempted to change.
fn self_portrait() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let fields = [
        "Umask",
        "Uid",
        "Gid",
        "Groups",
        "NStgid",
        "SigBlk",
        "SigIgn",
        "SigCgt",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NoNewPrivs",
        "Seccomp",
        "Cpus_allowed",
    ];
    let status = fs::read_to_string("/proc/thread-self/status").expect("status");
    for line in status.lines() {
        let (field, value) = line.split_once(':').expect("a field");
        if fields.contains(&field) {
            all.insert(field.to_owned(), value.trim().to_owned());
        }
    }
    assert_eq!(all.len(), fields.len());
    for file in ["cgroup", "limits", "oom_score_adj", "attr/exec"] {
        // The last one cannot be read without a security module.
        let content = fs::read_to_string(format!("/proc/thread-self/{file}")).unwrap_or_default();
        all.insert(file.to_owned(), content);
    }
    let namespaces = fs::read_dir("/proc/thread-self/ns").expect("namespaces");
    let paths = namespaces.map(|entry| entry.expect("a namespace").path());
    for path in paths.chain([
        "/proc/thread-self/cwd".into(),
        "/proc/thread-self/root".into(),
    ]) {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let link = fs::read_link(&path).expect("a link");
        all.insert(name.unwrap_or_default(), link.display().to_string());
    }
    let environment: Vec<_> = std::env::vars_os().collect();
    all.insert("environ".to_owned(), format!("{environment:?}"));
    let dumpable = dumpable_behavior().expect("dumpable");
    all.insert("dumpable".to_owned(), format!("{dumpable:?}"));
    all
}

/// All that is open but `init`, which is kept for the next container, once.
fn descriptors() -> BTreeMap<i32, String> {
    let mut all = host::descriptors(std::process::id() as i32);
    let before = all.len();
    all.retain(|_, file| !file.contains("memfd:oci-init"));
    assert!(before - all.len() <= 1, "init is kept once");
    all
}

/// The numbers of what a program inherits, and of the directory that it reads them from.
fn inherited() -> String {
    let ls = Command::new("ls").arg("/proc/self/fd").output();
    String::from_utf8_lossy(&ls.expect("ls").stdout).into_owned()
}

/// One container after the other.
fn live(id: &str, root: &StateRoot, bundle: &Path, stdio: [BorrowedFd<'_>; 3]) -> Result<()> {
    let bundle = Bundle::open(bundle)?;
    let spec = bundle.spec()?;
    for _ in 0..3 {
        let process = run(root, id, &Create::new(&bundle, &spec, stdio))?;
        poll(&mut [PollFd::new(&process.pidfd(), PollFlags::IN)], None).expect("poll");
        assert_eq!(process.wait()?, Exit::Code(7));
        delete(root, id, false)?;
    }
    let mut idle = spec.clone();
    idle.process.as_mut().expect("a process").args = vec!["sleep".into(), "7205".into()];
    let init = create(root, id, &Create::new(&bundle, &idle, stdio))?;
    start(root, id)?;
    let joined = exec(root, id, &Exec::new(stdio), &|spec| {
        let mut process = spec.process.clone().expect("a process");
        process.args = vec!["sh".into(), "-c".into(), "exit 8".into()];
        Ok(process)
    })?;
    assert_eq!(joined.wait()?, Exit::Code(8));
    assert_eq!(state(root, id)?.status, Status::Running);
    kill(root, id, 9)?;
    assert_eq!(init.wait()?, Exit::Signal(9));
    delete(root, id, false)
}

#[test]
fn threads_make_containers_and_their_process_stays_as_it_was() {
    let _alone = alone();
    let cases: Option<Vec<Case>> = (0..4).map(|_| case_with(|c| script(c, "exit 7"))).collect();
    let Some(cases) = cases else { return };
    if !only_ocirun("is no library") {
        return;
    }
    let null = File::options().read(true).write(true).open("/dev/null");
    let null = null.expect("/dev/null");
    let (before, open, inherits) = (self_portrait(), descriptors(), inherited());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let witness = scope.spawn(|| {
            let mut looked = 0;
            while !done.load(Ordering::Relaxed) || looked == 0 {
                assert_eq!(self_portrait(), before, "not even for a moment");
                assert_eq!(inherited(), inherits, "what is started meanwhile");
                looked += 1;
            }
        });
        let lives: Vec<_> = cases
            .iter()
            .map(|case| {
                let (null, id, bundle) = (&null, &case.id, case.bundle());
                let root = StateRoot::new(case.path("state"));
                scope.spawn(move || {
                    let before = self_portrait();
                    live(id, &root, &bundle, [null.as_fd(); 3]).expect("a container's life");
                    assert_eq!(self_portrait(), before);
                })
            })
            .collect();
        let ends: Vec<_> = lives.into_iter().map(|thread| thread.join()).collect();
        done.store(true, Ordering::Relaxed);
        witness.join().expect("the witness");
        assert!(ends.iter().all(|end| end.is_ok()));
    });
    assert_eq!(self_portrait(), before);
    assert_eq!(descriptors(), open, "all that was opened is closed");
}

#[test]
fn a_creation_is_interrupted_by_another_thread() {
    let _alone = alone();
    let Some(case) = case_with(|_| ()) else {
        return;
    };
    if !only_ocirun("is no library") {
        return;
    }
    let file = case.path("hooked");
    let commands = format!("echo > {}; exec busybox sleep 7206", text(&file));
    let hook = json!({"path": "/bin/busybox", "args": ["busybox", "sh", "-c", commands], "env": ["PATH=/bin"]});
    case.configure(|c| c["hooks"] = json!({"createRuntime": [hook]}));
    let open = descriptors();
    {
        let root = StateRoot::new(case.path("state"));
        let bundle = Bundle::open(&case.bundle()).expect("the bundle");
        let spec = bundle.spec().expect("its configuration");
        let null = File::options().read(true).write(true).open("/dev/null");
        let null = null.expect("/dev/null");
        let (interrupt, mut interrupter) = std::io::pipe().expect("a pipe");
        let made = thread::scope(|scope| {
            scope.spawn(|| {
                eventually("the hook", || file.exists().then_some(()));
                interrupter.write_all(b"x").expect("a byte");
            });
            let options = Create {
                interrupt: Some(interrupt.as_fd()),
                ..Create::new(&bundle, &spec, [null.as_fd(); 3])
            };
            create(&root, &case.id, &options)
        });
        let error = made.expect_err("an interruption");
        assert_eq!(error.kind(), Kind::Interrupted, "{error}");
        let gone = state(&root, &case.id).expect_err("no container");
        assert_eq!(gone.kind(), Kind::NotFound);
    }
    assert_eq!(descriptors(), open);
    case.assert_clean();
}

/// As an init or a supervisor has one: then it is that thread which gets to know how containers ended.
#[test]
fn beside_a_thread_that_reaps_whatever_ends_containers_are_made() {
    let _alone = alone();
    let Some(case) = case_with(|c| script(c, "exit 7")) else {
        return;
    };
    if !only_ocirun("is no library") {
        return;
    }
    let null = File::options().read(true).write(true).open("/dev/null");
    let null = null.expect("/dev/null");
    let root = StateRoot::new(case.path("state"));
    let bundle = Bundle::open(&case.bundle()).expect("the bundle");
    let spec = bundle.spec().expect("its configuration");
    let done = AtomicBool::new(false);
    let (reaped, made) = thread::scope(|scope| {
        let reaper = scope.spawn(|| {
            let mut reaped = BTreeMap::new();
            while !done.load(Ordering::Relaxed) {
                while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
                    reaped.insert(pid.as_raw_nonzero().get(), status.exit_status());
                }
                thread::sleep(Duration::from_millis(1));
            }
            reaped
        });
        let life = || -> Result<i32> {
            let process = run(
                &root,
                &case.id,
                &Create::new(&bundle, &spec, [null.as_fd(); 3]),
            )?;
            poll(&mut [PollFd::new(&process.pidfd(), PollFlags::IN)], None).expect("poll");
            delete(&root, &case.id, false)?;
            Ok(process.pid())
        };
        let made: Result<Vec<i32>> = (0..10).map(|_| life()).collect();
        thread::sleep(Duration::from_millis(20));
        done.store(true, Ordering::Relaxed);
        (reaper.join().expect("the reaper"), made)
    });
    for pid in made.expect("ten containers") {
        assert_eq!(reaped.get(&pid), Some(&Some(7)), "{pid} of {reaped:?}");
    }
}

/// It is compiled there, as a documentation test.
#[test]
fn the_readme_s_example_is_that_of_the_documentation() {
    let _alone = alone();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = read(workspace.join("README.md"));
    let example = readme.split("```rust\n").nth(1).expect("an example");
    let example = example.split("```").next().unwrap_or_default();
    let source = read(workspace.join("crates/oci-runtime/src/lib.rs"));
    let shown = |line: &&str| !line.starts_with("# ");
    let lines = source.lines().filter_map(|line| line.strip_prefix("//!"));
    let lines = lines.map(|line| line.strip_prefix(' ').unwrap_or(line));
    let documentation: Vec<_> = lines.filter(shown).collect();
    assert!(documentation.join("\n").contains(example), "{example}");
}
