//! What service managers and engines hand over, where something goes wrong: nothing of another container is touched, and nothing
//! is left that the caller was told does not exist.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use oci_runtime_integration::bundle::script;
use oci_runtime_integration::case::{Case, case, case_with, text};
use oci_runtime_integration::runtime::{Finished, Running, binary, eventually, only_ocirun, spawn};

fn with_manager(case: &Case, manager: &Path, args: &[&str]) -> Running {
    let mut command = case.command(args);
    command.env("NOTIFY_SOCKET", manager);
    spawn(command, &case.path("output"), Stdio::null())
}

fn notify_directory(case: &Case) -> PathBuf {
    case.path("state").join(format!("notify:{}", case.id))
}

#[test]
fn a_container_keeps_its_notify_socket_when_its_id_is_used_again() {
    if !only_ocirun("the directory is a detail of its own") {
        return;
    }
    let Some(case) = case() else { return };
    let path = case.path("manager.sock");
    let manager = UnixDatagram::bind(&path).expect("the manager's socket");
    manager
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a time limit");
    let (bundle, pid_file) = (text(&case.bundle()), text(&case.path("pid")));
    let create = [
        "create",
        "--bundle",
        &bundle,
        "--pid-file",
        &pid_file,
        &case.id,
    ];
    with_manager(&case, &path, &create).wait().ok();
    let init = case.init_from_pid_file();
    let directory = notify_directory(&case);
    let run = ["run", "--bundle", &bundle, &case.id];

    with_manager(&case, &path, &create)
        .wait()
        .failed(1, &["exist"]);
    assert!(directory.is_dir(), "after another create");
    with_manager(&case, &path, &run)
        .wait()
        .failed(1, &["exist"]);
    assert!(directory.is_dir(), "after a run");
    case.runtime(&run).failed(1, &["exist"]);
    assert!(directory.is_dir(), "after a run without a manager");

    let starting = with_manager(&case, &path, &["start", &case.id]);
    case.await_payload(init);
    let socket = directory.join("notify.sock");
    let inode = || fs::metadata(&socket).map(|found| found.ino()).ok();
    let first = eventually("the socket", inode);
    with_manager(&case, &path, &["start", &case.id])
        .wait()
        .failed(1, &[]);
    assert_eq!(inode(), Some(first), "after another start");

    let payload = UnixDatagram::unbound().expect("a socket");
    payload.send_to(b"READY=1", &socket).expect("ready");
    for expected in ["READY=1\n", &format!("MAINPID={init}\n"), "BARRIER=1"] {
        let mut bytes = [0; 64];
        let length = manager.recv(&mut bytes).expect("a message");
        assert_eq!(String::from_utf8_lossy(&bytes[..length]), expected);
    }
    starting.wait().ok();
    case.runtime(&["delete", "--force", &case.id]).ok();
}

#[test]
fn an_id_that_can_be_none_makes_no_directory() {
    if !only_ocirun("the directory is a detail of its own") {
        return;
    }
    let Some(case) = case() else { return };
    let path = case.path("manager.sock");
    let _manager = UnixDatagram::bind(&path).expect("the manager's socket");
    let bundle = text(&case.bundle());
    for verb in ["create", "run"] {
        with_manager(
            &case,
            &path,
            &[verb, "--bundle", &bundle, "x/../../escaped"],
        )
        .wait()
        .failed(1, &["invalid"]);
    }
    assert!(!case.path("escaped").exists());
    let left = fs::read_dir(case.path("state")).map_or(0, Iterator::count);
    assert_eq!(left, 0);
}

/// Somebody who waits for a pidfd and loses patience.
fn impatient(path: &Path) {
    let listener = UnixListener::bind(path).expect("a socket");
    thread::spawn(move || listener.incoming().for_each(drop));
}

#[test]
fn what_hands_over_no_pidfd_leaves_no_process() {
    let Some(case) = case() else { return };
    let path = text(&case.path("pidfd.sock"));
    impatient(Path::new(&path));
    case.try_create(&["--pidfd-socket", &path])
        .failed(1, &["pidfd"]);
    case.assert_clean();

    let (bundle, pid_file) = (text(&case.bundle()), text(&case.path("pid")));
    for more in [&[][..], &["--detach"]] {
        let mut args = vec!["run", "--pidfd-socket", &path, "--bundle", &bundle];
        args.extend(["--pid-file", &pid_file]);
        args.extend(more);
        args.push(&case.id);
        case.runtime(&args).failed(1, &["pidfd"]);
        case.assert_clean();
    }

    let init = case.create();
    case.runtime(&["start", &case.id]).ok();
    case.await_payload(init);
    let detach = ["--detach", "--pidfd-socket", &path];
    for flags in [&detach[..], &detach[1..]] {
        case.exec(flags, &["/bin/sleep", "1000"])
            .failed(255, &["pidfd"]);
    }
    let processes = case.runtime(&["ps", "--format", "json", &case.id]).ok();
    assert_eq!(processes.stdout.trim(), format!("[{init}]"));
}

#[test]
fn a_recording_follows_no_link_that_somebody_has_planted() {
    if !only_ocirun("recording is its own") {
        return;
    }
    let Some(case) = case_with(|c| script(c, "true")) else {
        return;
    };
    fs::write(case.path("precious"), "precious").expect("a file");
    let script = "ln -s precious .profile.json.$$; exec $R run --seccomp-record profile.json --bundle $B $ID";
    let mut command = std::process::Command::new("sh");
    let runtime = format!(
        "{} --root {}",
        binary().display(),
        text(&case.path("state"))
    );
    command.args(["-c", script]).env("R", runtime);
    command.env("B", case.bundle()).env("ID", &case.id);
    command.current_dir(case.path(""));
    spawn(command, &case.path("output"), Stdio::null())
        .wait()
        .ok();
    let kept = fs::read_to_string(case.path("precious")).expect("a file");
    assert_eq!(kept, "precious");
    let profile = fs::symlink_metadata(case.path("profile.json")).expect("the profile");
    assert!(profile.is_file());
}

/// It has begun, and whoever reads the exit status must not take it for one that has not.
#[test]
fn a_manager_that_is_not_there_is_not_waited_for() {
    let table = [
        ("nobody", "missing.sock"),
        ("nobody any more", "left.sock"),
        ("no socket", "file"),
    ];
    for (name, file) in table {
        for detached in [true, false] {
            eprintln!("{name}, detached: {detached}");
            let Some(case) = case() else { return };
            let path = case.path(file);
            match file {
                "left.sock" => drop(UnixDatagram::bind(&path).expect("a socket")),
                "file" => fs::write(&path, "").expect("a file"),
                _ => {}
            }
            let begun = begin_with(&case, &path, detached);
            let text = begun.stderr.clone();
            begun.ok();
            assert!(
                text.contains("level=warning") && text.contains(file),
                "{text}"
            );
            assert_eq!(case.status(), "running");
            case.runtime(&["delete", "--force", &case.id]).ok();
        }
    }
}

/// `run --detach`, or `create` and `start`.
fn begin_with(case: &Case, manager: &Path, detached: bool) -> Finished {
    let (bundle, pid_file) = (text(&case.bundle()), text(&case.path("pid")));
    let verb: &[&str] = match detached {
        true => &["run", "--detach"],
        false => &["create"],
    };
    let flags = ["--bundle", &bundle, "--pid-file", &pid_file, &case.id];
    let made = with_manager(case, manager, &[verb, &flags].concat()).wait();
    case.init_from_pid_file();
    if detached {
        return made;
    }
    made.ok();
    with_manager(case, manager, &["start", &case.id]).wait()
}
