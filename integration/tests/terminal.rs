//! Terminals: by console socket, and proxied to the caller's own.

use std::os::unix::net::UnixListener;
use std::time::Duration;

use oci_runtime_integration::bundle::{args, script};
use oci_runtime_integration::case::{Case, case, case_with, text};
use oci_runtime_integration::console::{Terminal, receive};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{eventually, wait_child};
use rustix::termios::{LocalModes, Termios};
use serde_json::{Value, json};

/// Prints its size at once and upon each SIGWINCH; leaves at `quit`.
const SIZES: &str = "trap 'stty size' WINCH; stty size; echo ready; \
    while :; do read -t 1 line && case $line in quit) exit 21;; *) echo \"<$line>\";; esac; done";

fn with_terminal(config: &mut Value) {
    config["process"]["terminal"] = true.into();
    config["process"]["consoleSize"] = json!({"height": 33, "width": 101});
}

fn tty_number(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(host::proc_path(pid, "stat")).expect("a stat line");
    let (_, rest) = stat.rsplit_once(") ").expect("a stat line");
    rest.split(' ')
        .nth(4)
        .and_then(|n| n.parse().ok())
        .expect("a terminal number")
}

fn local_modes(modes: &Termios) -> LocalModes {
    modes.local_modes & (LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
}

#[test]
fn the_console_socket_gets_the_master_with_the_given_size() {
    let Some(case) = case_with(|c| {
        with_terminal(c);
        script(c, "tty; stty size; read x; echo got $x; exec sleep 7200");
    }) else {
        return;
    };
    let socket = case.path("console.sock");
    let listener = UnixListener::bind(&socket).expect("a console socket");
    case.try_create(&["--console-socket", &text(&socket)]).ok();
    let init = case.init_from_pid_file();
    let (master, name) = receive(&listener);
    assert!(
        name.contains("ptmx") || name.contains("pts"),
        "name {name:?}"
    );
    let mut terminal = Terminal::of_master(master);
    assert_eq!(terminal.size(), (33, 101));
    case.runtime(&["start", &case.id]).ok();
    terminal.says("/dev/pts/0");
    terminal.says("33 101");
    terminal.types("hello\n");
    terminal.says("got hello");
    assert_eq!(
        tty_number(init) >> 8 & 0xfff,
        136,
        "a Unix98 pty controls the payload"
    );
    for fd in 0..3 {
        assert_eq!(host::descriptors(init)[&fd], "/dev/pts/0");
    }
    let console = host::mount(init, "/dev/console");
    assert_eq!(
        (console.fstype.as_str(), console.root.as_str()),
        ("devpts", "/0")
    );
}

#[test]
fn exec_has_a_console_socket_of_its_own() {
    let Some(case) = case() else { return };
    case.start();
    let socket = case.path("console.sock");
    let listener = UnixListener::bind(&socket).expect("a console socket");
    let socket = text(&socket);
    let flags = ["--tty", "--console-socket", &socket];
    let pid = case.exec_detached(
        &flags,
        &["sh", "-c", "tty; read x; echo got $x; exec sleep 99"],
    );
    let (master, _) = receive(&listener);
    let mut terminal = Terminal::of_master(master);
    terminal.says("/dev/pts/0");
    terminal.types("it\n");
    terminal.says("got it");
    assert_ne!(tty_number(pid), 0);
}

#[test]
fn a_terminal_without_a_socket_is_refused_when_detached() {
    let Some(case) = case_with(with_terminal) else {
        return;
    };
    case.try_create(&[]).failed(1, &["console"]);
    case.assert_clean();
}

#[test]
fn a_console_socket_without_a_terminal_is_refused() {
    let Some(case) = case() else { return };
    let socket = case.path("console.sock");
    let _listener = UnixListener::bind(&socket).expect("a console socket");
    case.try_create(&["--console-socket", &text(&socket)])
        .failed(1, &["console"]);
    case.assert_clean();
}

#[test]
fn a_console_socket_that_nobody_listens_to_fails() {
    let Some(case) = case_with(with_terminal) else {
        return;
    };
    let absent = text(&case.path("absent.sock"));
    case.try_create(&["--console-socket", &absent])
        .failed(1, &[]);
    case.assert_clean();
}

#[test]
fn a_foreground_run_proxies_the_caller_s_terminal() {
    let Some(case) = case_with(|c| {
        c["process"]["terminal"] = true.into();
        script(c, SIZES);
    }) else {
        return;
    };
    proxied(&case, &["run", &case.id]);
    case.assert_clean();
}

#[test]
fn a_foreground_exec_proxies_the_caller_s_terminal() {
    let Some(case) = case() else { return };
    case.start();
    proxied(&case, &["exec", "-t", &case.id, "sh", "-c", SIZES]);
}

fn proxied(case: &Case, args: &[&str]) {
    let mut terminal = Terminal::new(24, 80);
    let before = terminal.modes();
    let mut child = terminal.run(&case.command(args));
    terminal.says("ready");
    assert!(terminal.says("24 80").contains("24 80"));
    let raw = terminal.modes();
    assert!(
        local_modes(&raw).is_empty(),
        "raw while it runs: {:?}",
        raw.local_modes
    );
    terminal.resize(51, 133);
    terminal.says("51 133");
    terminal.types("word\n");
    terminal.says("<word>");
    terminal.types("quit\n");
    let code = wait_child(&mut child, Duration::from_secs(20));
    assert_eq!(code, Some(21));
    let after = terminal.modes();
    assert_eq!(local_modes(&after), local_modes(&before), "modes restored");
    assert_eq!(after.input_modes, before.input_modes);
    assert_eq!(after.output_modes, before.output_modes);
}

#[test]
fn the_terminal_is_restored_when_the_payload_is_killed_or_missing() {
    let Some(case) = case_with(|c| {
        c["process"]["terminal"] = true.into();
        script(c, "echo ready; exec sleep 7200");
    }) else {
        return;
    };
    let mut terminal = Terminal::new(24, 80);
    let before = local_modes(&terminal.modes());
    let mut child = terminal.run(&case.command(&["run", &case.id]));
    terminal.says("ready");
    eventually("raw mode", || {
        local_modes(&terminal.modes()).is_empty().then_some(())
    });
    case.runtime(&["kill", &case.id, "KILL"]).ok();
    assert_eq!(wait_child(&mut child, Duration::from_secs(20)), Some(137));
    assert_eq!(local_modes(&terminal.modes()), before);

    case.configure(|c| {
        c["process"]["terminal"] = true.into();
        args(c, &["nonesuch"]);
    });
    let mut child = terminal.run(&case.command(&["run", &case.id]));
    assert_eq!(wait_child(&mut child, Duration::from_secs(20)), Some(1));
    terminal.says("executable file not found in $PATH");
    assert_eq!(local_modes(&terminal.modes()), before);
    case.assert_clean();
}

#[test]
fn control_c_reaches_the_payload_as_a_signal() {
    let Some(case) = case_with(|c| {
        c["process"]["terminal"] = true.into();
        script(
            c,
            "trap 'exit 31' INT; echo ready; while :; do sleep 0.05; done",
        );
    }) else {
        return;
    };
    let mut terminal = Terminal::new(24, 80);
    let mut child = terminal.run(&case.command(&["run", &case.id]));
    terminal.says("ready");
    terminal.types("\x03");
    assert_eq!(wait_child(&mut child, Duration::from_secs(20)), Some(31));
}
