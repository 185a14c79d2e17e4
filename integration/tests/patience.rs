//! For how long others are waited for that say nothing: service managers are commonly given half a minute. These tests do nothing
//! but wait, so they have a file where they do it at the same time.

use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::Stdio;
use std::time::{Duration, Instant};

use oci_runtime_integration::case::{case, case_with, text};
use oci_runtime_integration::runtime::{eventually, scaled, spawn};

/// Half a minute, and what all the rest may take.
#[track_caller]
fn is_half_a_minute(begin: Instant) {
    let took = begin.elapsed();
    assert!(took > Duration::from_secs(20), "gave up after {took:?}");
    assert!(took < scaled(Duration::from_secs(40)), "took {took:?}");
}

/// All that it has to be told is waited for together.
#[test]
fn a_manager_that_does_not_read_is_waited_for_once() {
    let Some(case) = case() else { return };
    let path = case.path("manager.sock");
    let manager = UnixDatagram::bind(&path).expect("the manager's socket");
    let (bundle, pid_file) = (text(&case.bundle()), text(&case.path("pid")));
    let run = ["run", "--detach", "--bundle", &bundle];
    let mut command = case.command(&[&run[..], &["--pid-file", &pid_file, &case.id]].concat());
    command.env("NOTIFY_SOCKET", &path);
    let running = spawn(command, &case.path("output"), Stdio::null());
    let socket = case
        .path("state")
        .join(format!("notify:{}/notify.sock", case.id));
    let payload = UnixDatagram::unbound().expect("a socket");
    eventually("a place to be ready at", || {
        payload.send_to(b"STATUS=up", &socket).ok()
    });
    // Its queue is full but for two messages: the third waits, and so would the barrier.
    let other = UnixDatagram::unbound().expect("a socket");
    other.set_nonblocking(true).expect("not blocking");
    while other.send_to(b"STATUS=busy", &path).is_ok() {}
    for _ in 0..2 {
        manager.recv(&mut [0; 64]).expect("a message");
    }
    let begin = Instant::now();
    payload.send_to(b"READY=1", &socket).expect("ready");
    let run = running.wait();
    is_half_a_minute(begin);
    let text = run.stderr.clone();
    run.ok();
    assert!(
        text.contains("level=warning") && text.contains("manager.sock"),
        "{text}"
    );
    case.init_from_pid_file();
    assert_eq!(case.status(), "running");
    case.runtime(&["delete", "--force", &case.id]).ok();
}

#[test]
fn a_bus_that_says_nothing_is_given_up() {
    let Some(case) = case_with(|c| c["linux"]["cgroupsPath"] = "-.slice:oci:patience".into())
    else {
        return;
    };
    let socket = case.path("bus");
    let _listener = UnixListener::bind(&socket).expect("listen");
    let mut command = case.command(&["--systemd-cgroup", "create", &case.id]);
    command.env(
        "DBUS_SYSTEM_BUS_ADDRESS",
        format!("unix:path={}", text(&socket)),
    );
    let begin = Instant::now();
    let create = spawn(command, &case.path("output"), Stdio::null()).wait();
    create.failed(1, &["ETIMEDOUT"]);
    is_half_a_minute(begin);
}
