//! Ending a creation that does not come to an end by itself: by `delete --force`, and by a signal to the command that is at it.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oci_runtime_integration::bundle::{push, script};
use oci_runtime_integration::case::{Case, case, text};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{Running, eventually, only_ocirun, read, scaled, spawn};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A hook, and one more process of it, that never end.
fn endless(kind: &str, case: &Case) -> Value {
    let (path, out) = match kind {
        "startContainer" => ("/bin/busybox", "/tmp".to_owned()),
        _ => ("/bin/busybox", text(&case.path("out"))),
    };
    let commands = format!("{SLEEP} & echo > {out}/hook; {SLEEP}");
    json!({"path": path, "args": ["busybox", "sh", "-c", commands], "env": [format!("CASE={}", case.id)]})
}

const SLEEP: &str = "/bin/busybox sleep 7204";

fn configure(case: &Case, kind: &str) {
    let out = case.path("out");
    fs::create_dir_all(&out).expect("a directory for what hooks write");
    case.configure(|c| {
        let bind = json!({"destination": "/tmp", "type": "bind", "source": text(&out), "options": ["bind"]});
        push(c, "/mounts", bind);
        let stop = format!("echo >> {}/stopped", text(&out));
        c["hooks"] = json!({
            "poststop": [{"path": "/bin/busybox", "args": ["busybox", "sh", "-c", stop]}],
            kind: [endless(kind, case)],
        });
    });
}

/// A hook that waits for a word.
fn patient(case: &Case) -> Value {
    let out = text(&case.path("out"));
    fs::create_dir_all(&out).expect("a directory for what hooks write");
    let commands = format!("echo > {out}/hook; until [ -e {out}/go ]; do sleep 0.01; done");
    json!({"createRuntime": [{"path": "/bin/busybox", "args": ["busybox", "sh", "-c", commands]}]})
}

/// The hook's processes, by their environment.
fn hooks(case: &Case) -> Vec<i32> {
    let mark = format!("CASE={}", case.id);
    let has = |pid: &i32| {
        let environ = fs::read(host::proc_path(*pid, "environ")).unwrap_or_default();
        environ
            .split(|byte| *byte == 0)
            .any(|entry| entry == mark.as_bytes())
    };
    host::pids().into_iter().filter(has).collect()
}

#[track_caller]
fn await_hook(case: &Case) {
    let file = case.path("out/hook");
    eventually("the hook", || file.exists().then_some(()));
    fs::remove_file(file).expect("what the hook wrote");
    assert!(!hooks(case).is_empty());
}

#[track_caller]
fn nothing_is_left(case: &Case) {
    eventually("the end of the hook's processes", || {
        hooks(case).is_empty().then_some(())
    });
    case.assert_clean();
}

#[track_caller]
fn took_less_than(begin: Instant, limit: u64) {
    let took = begin.elapsed();
    assert!(took < scaled(Duration::from_secs(limit)), "took {took:?}");
}

/// The command, with no signal ignored, whatever the caller of the tests ignores.
fn begin(case: &Case, verb: &[&str]) -> Running {
    let bundle = text(&case.bundle());
    let runtime = case.command(&[verb, &["--bundle", &bundle, &case.id]].concat());
    let mut command = Command::new("env");
    command.arg("--default-signal").arg(runtime.get_program());
    command.args(runtime.get_args());
    spawn(command, &case.path("output"), Stdio::null())
}

const VERBS: [&[&str]; 3] = [&["create"], &["run"], &["run", "--detach"]];

#[test]
fn a_creation_whose_hook_hangs_is_deleted_by_force() {
    for (kind, verb) in [
        ("prestart", VERBS[0]),
        ("createRuntime", VERBS[0]),
        ("createRuntime", VERBS[1]),
    ] {
        let Some(case) = case() else { return };
        if !only_ocirun("waits for ever") {
            return;
        }
        configure(&case, kind);
        let creation = begin(&case, verb);
        await_hook(&case);
        assert_eq!(case.status(), "creating");
        if kind == "prestart" {
            let plain = case.runtime(&["delete", &case.id]);
            plain.failed(1, &["another command"]);
        }
        let begin = Instant::now();
        case.runtime(&["delete", "--force", &case.id]).ok();
        took_less_than(begin, 8);
        creation.wait().failed(
            1,
            &[
                "was deleted while it was being created",
                &format!("/hooks/{kind}/0"),
            ],
        );
        nothing_is_left(&case);
        assert!(
            case.path("out/stopped").exists(),
            "{kind}: who was told of its beginning is told of its end"
        );
        case.runtime(&["state", &case.id])
            .failed(1, &["does not exist"]);
    }
}

/// A hook that ends is no reason to fail, however many follow.
#[test]
fn a_creation_with_many_hooks_is_deleted_by_force_between_them() {
    let Some(case) = case() else { return };
    if !only_ocirun("has its own ways") {
        return;
    }
    configure(&case, "createRuntime");
    let count = text(&case.path("out/count"));
    let hook = json!({"path": "/bin/busybox", "args": ["busybox", "sh", "-c", format!("echo >> {count}; sleep 0.02")]});
    case.configure(|c| c["hooks"] = json!({"createRuntime": vec![hook; 600]}));
    let creation = begin(&case, &["create"]);
    eventually("the first hooks", || {
        let text = fs::read_to_string(&count).unwrap_or_default();
        (text.lines().count() > 10).then_some(())
    });
    case.runtime(&["delete", "--force", &case.id]).ok();
    creation
        .wait()
        .failed(1, &["was deleted while it was being created"]);
    let ran = fs::read_to_string(&count)
        .expect("the count")
        .lines()
        .count();
    assert!(ran < 600, "all hooks ran");
    nothing_is_left(&case);
}

#[test]
fn a_signal_ends_a_creation_whose_hook_hangs() {
    let table = [
        ("createRuntime", VERBS[0], Signal::TERM),
        ("createRuntime", VERBS[1], Signal::TERM),
        ("prestart", VERBS[1], Signal::INT),
        ("createRuntime", VERBS[2], Signal::INT),
        ("createContainer", VERBS[0], Signal::HUP),
        ("createContainer", VERBS[1], Signal::TERM),
        ("startContainer", VERBS[1], Signal::QUIT),
        ("startContainer", VERBS[2], Signal::TERM),
    ];
    for (kind, verb, signal) in table {
        let Some(case) = case() else { return };
        if !only_ocirun("leaves something behind") {
            return;
        }
        configure(&case, kind);
        let creation = begin(&case, verb);
        await_hook(&case);
        let begin = Instant::now();
        creation.signal(signal);
        let code = 128 + signal.as_raw();
        creation.wait().failed(code, &["interrupted by signal"]);
        took_less_than(begin, 8);
        eprintln!("{kind} {verb:?} {signal:?}");
        nothing_is_left(&case);
    }
}

#[test]
fn a_signal_ends_a_hook_that_hangs_once_the_program_has_begun() {
    let table = [
        ("poststart", VERBS[1], Signal::TERM),
        ("poststart", VERBS[2], Signal::INT),
        ("poststop", VERBS[1], Signal::INT),
    ];
    for (kind, verb, signal) in table {
        let Some(case) = case() else { return };
        if !only_ocirun("waits for ever") {
            return;
        }
        configure(&case, kind);
        let pid_file = text(&case.path("pid"));
        let run = begin(&case, &[verb, &["--pid-file", &pid_file]].concat());
        if kind == "poststop" {
            eventually("the program", || {
                let pid = fs::read_to_string(&pid_file).ok()?.parse().ok()?;
                host::signal(pid, Signal::KILL);
                Some(())
            });
        }
        await_hook(&case);
        let begin = Instant::now();
        run.signal(signal);
        let words = ["interrupted by signal", &format!("/hooks/{kind}/0")];
        run.wait().failed(128 + signal.as_raw(), &words);
        // Who tells of an end may be on the way to it.
        let grace = if kind == "poststop" { 10 } else { 0 };
        took_less_than(begin, 8 + grace);
        eprintln!("{kind} {verb:?} {signal:?}");
        nothing_is_left(&case);
        let told = case.path("out/stopped").exists();
        assert_eq!(told, kind != "poststop", "the end of what has begun");
        case.runtime(&["state", &case.id])
            .failed(1, &["does not exist"]);
    }
}

/// One signal is enough, whatever hangs after it.
#[test]
fn hooks_that_follow_an_interruption_have_ten_seconds() {
    let Some(case) = case() else { return };
    if !only_ocirun("waits for ever") {
        return;
    }
    for kind in ["createRuntime", "poststart"] {
        configure(&case, kind);
        let mut config: Value =
            serde_json::from_str(&read(case.bundle().join("config.json"))).expect("JSON");
        config["hooks"]["poststop"] = json!([endless("poststop", &case)]);
        case.write_config(&config.to_string());
        let run = begin(&case, &["run"]);
        await_hook(&case);
        let begin = Instant::now();
        run.signal(Signal::TERM);
        await_hook(&case);
        run.wait()
            .failed(143, &["interrupted by signal 15", "/hooks/poststop/0"]);
        assert!(begin.elapsed() > Duration::from_secs(9));
        took_less_than(begin, 20);
        nothing_is_left(&case);
    }
}

/// Such as one from the terminal, which ends the program too.
#[test]
fn a_signal_from_before_the_program_s_end_ends_no_poststop_hook() {
    let Some(case) = case() else { return };
    if !only_ocirun("hands it on to nobody") {
        return;
    }
    let out = text(&case.path("out"));
    fs::create_dir_all(&out).expect("a directory for what hooks write");
    let commands = format!("sleep 0.3; echo > {out}/stopped");
    let hook = json!({"path": "/bin/busybox", "args": ["busybox", "sh", "-c", commands], "env": ["PATH=/bin"]});
    case.configure(|c| {
        script(c, "echo ready; exec sleep 7207");
        c["hooks"] = json!({"poststop": [hook]});
    });
    let pid_file = text(&case.path("pid"));
    let run = begin(&case, &["run", "--pid-file", &pid_file]);
    run.says("ready");
    let pid = eventually("the pid", || fs::read_to_string(&pid_file).ok());
    run.signal(Signal::STOP);
    host::signal(pid.parse().expect("a pid"), Signal::KILL);
    run.signal(Signal::INT);
    run.signal(Signal::CONT);
    assert_eq!(run.wait().code, 137);
    assert!(case.path("out/stopped").exists());
}

/// The bus takes a connection and says nothing, or takes none.
#[test]
fn a_wait_for_systemd_is_ended_by_a_signal_and_by_deletion() {
    for (queue, by_signal) in [
        ("free", true),
        ("full", true),
        ("free", false),
        ("full", false),
    ] {
        let Some(case) = case() else { return };
        if !only_ocirun("waits for half a minute") {
            return;
        }
        case.configure(|c| c["linux"]["cgroupsPath"] = "-.slice:oci:interrupted".into());
        let path = case.path("bus");
        let address = format!("unix:path={}", text(&path));
        let (bound, full) = match queue {
            "free" => (Some(UnixListener::bind(&path).expect("listen")), Vec::new()),
            _ => (None, deaf(&path)),
        };
        let bundle = text(&case.bundle());
        let runtime = case.command(&["--systemd-cgroup", "create", "--bundle", &bundle, &case.id]);
        let mut command = Command::new("env");
        command.arg("--default-signal").arg(runtime.get_program());
        command.args(runtime.get_args());
        command.env("DBUS_SYSTEM_BUS_ADDRESS", address);
        let create = spawn(command, &case.path("output"), Stdio::null());
        await_connect(&create);
        let begin = Instant::now();
        if by_signal {
            create.signal(Signal::TERM);
            create.wait().failed(143, &["interrupted by signal 15"]);
        } else {
            case.runtime(&["delete", "--force", &case.id]).ok();
            create
                .wait()
                .failed(1, &["was deleted while it was being created"]);
        }
        took_less_than(begin, 8);
        drop((bound, full));
        case.assert_clean();
    }
}

/// Only what would have ended the command does; the rest is for the program, which is not there yet.
#[test]
fn other_signals_wait_for_the_program() {
    let Some(case) = case() else { return };
    case.configure(|c| {
        c["hooks"] = patient(&case);
        // The shell begins with the signals that its parent has blocked.
        script(
            c,
            "trap 'exit 11' USR1; echo ready; while :; do sleep 0.02; done",
        );
    });
    let run = begin(&case, &["run"]);
    eventually("the hook", || case.path("out/hook").exists().then_some(()));
    run.signal(Signal::WINCH);
    run.signal(Signal::CONT);
    fs::write(case.path("out/go"), "").expect("the word");
    run.says("ready");
    run.signal(Signal::USR1);
    assert_eq!(run.wait().code, 11);
}

/// As nohup(1) has it.
#[test]
fn a_signal_that_the_caller_ignores_ends_nothing() {
    let Some(case) = case() else { return };
    case.configure(|c| c["hooks"] = patient(&case));
    let create = case.command(&case.words_of_create(&[]));
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]);
    shell.arg(create.get_program()).args(create.get_args());
    let create = spawn(shell, &case.path("output"), Stdio::null());
    eventually("the hook", || case.path("out/hook").exists().then_some(()));
    create.signal(Signal::HUP);
    std::thread::sleep(Duration::from_millis(100));
    fs::write(case.path("out/go"), "").expect("the word");
    create.wait().ok();
    case.init_from_pid_file();
    assert_eq!(case.status(), "created");
}

/// A socket that somebody listens at who takes no connection, and whose queue is full.
fn deaf(path: &std::path::Path) -> Vec<OwnedFd> {
    let address = SocketAddrUnix::new(path).expect("an address");
    let socket = || {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .expect("a socket")
    };
    let listener = socket();
    rustix::net::bind(&listener, &address).expect("its name");
    rustix::net::listen(&listener, 0).expect("listen");
    let mut sockets = vec![listener];
    loop {
        let next = socket();
        if rustix::net::connect(&next, &address).is_err() {
            return sockets;
        }
        sockets.push(next);
    }
}

#[track_caller]
fn await_connect(running: &Running) {
    // __x64_sys_connect sleeps in there, and poll(2) where the queue is asked again and again.
    eventually("the wait for the agent", || {
        let call = fs::read_to_string(host::proc_path(running.pid(), "syscall")).ok()?;
        let number: i64 = call.split(' ').next()?.parse().ok()?;
        [libc_connect(), libc_poll()]
            .contains(&number)
            .then_some(())
    });
}

fn libc_connect() -> i64 {
    if cfg!(target_arch = "x86_64") {
        42
    } else {
        203
    }
}

fn libc_poll() -> i64 {
    if cfg!(target_arch = "x86_64") { 7 } else { 73 }
}

#[test]
fn a_signal_ends_the_wait_for_a_terminal_s_taker() {
    for verb in [VERBS[0], VERBS[2]] {
        let Some(case) = case() else { return };
        case.configure(|c| c["process"]["terminal"] = json!(true));
        let path = case.path("console.sock");
        let sockets = deaf(&path);
        let socket = text(&path);
        let command = [verb, &["--console-socket", &socket]].concat();
        let creation = begin(&case, &command);
        await_connect(&creation);
        creation.signal(Signal::TERM);
        let code = creation.wait().code;
        assert!([143, -15].contains(&code), "{code}");
        case.assert_clean();
        assert!(sockets[0].as_raw_fd() > 2);
    }
}

#[test]
fn a_signal_ends_the_wait_for_an_agent_of_seccomp() {
    let Some(case) = case() else { return };
    if !only_ocirun("waits for ever") {
        return;
    }
    let path = case.path("agent.sock");
    let sockets = deaf(&path);
    case.configure(|c| {
        c["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": text(&path),
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
        });
    });
    let creation = begin(&case, &["create"]);
    await_connect(&creation);
    let begin = Instant::now();
    creation.signal(Signal::TERM);
    creation.wait().failed(143, &["interrupted by signal"]);
    took_less_than(begin, 5);
    case.assert_clean();
    drop(sockets);
}
