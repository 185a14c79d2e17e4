//! What service managers, engines and people at a shell expect of a runtime beside its verbs: socket activation, readiness,
//! pidfds, containers by pattern, completions and manuals, and another runtime's containers in the same place.

use std::fs;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use oci_runtime_integration::bundle::script;
use oci_runtime_integration::case::{Case, case, case_with, text};
use oci_runtime_integration::console::receive;
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{
    Finished, binary, eventually, only_ocirun, read, spawn, tool,
};
use serde_json::json;

/// Runs `script` in a shell where `$R` is the runtime with this case's root, and `$B` and `$ID` say which container.
fn shell(case: &Case, script: &str) -> Finished {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command.env(
        "R",
        format!(
            "{} --root {}",
            binary().display(),
            text(&case.path("state"))
        ),
    );
    command.env("B", case.bundle()).env("ID", &case.id);
    command.current_dir(case.path(""));
    spawn(command, &case.path("output"), Stdio::null()).wait()
}

#[test]
fn sockets_of_a_service_manager_go_to_the_payload() {
    let Some(case) =
        case_with(|c| script(c, "echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES; cat <&4"))
    else {
        return;
    };
    fs::write(case.path("handed"), "through the fd\n").expect("a file");
    let said = shell(
        &case,
        "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=a:b exec $R run --bundle $B $ID 3</dev/null 4<handed",
    );
    assert_eq!(said.ok().stdout, "2 1 a:b\nthrough the fd\n");
}

/// The twin: sockets for somebody else are nobody's here.
#[test]
fn sockets_of_another_process_stay_out() {
    let Some(case) = case_with(|c| script(c, "echo \"[$LISTEN_FDS]\"; ls /proc/self/fd")) else {
        return;
    };
    let said = shell(
        &case,
        "LISTEN_PID=1 LISTEN_FDS=1 exec $R run --bundle $B $ID 3</dev/null",
    );
    // ls has its own fd 3, for the directory, and no other.
    assert_eq!(said.ok().stdout, "[]\n0\n1\n2\n3\n");
}

#[test]
fn preserved_fds_come_after_the_sockets() {
    let Some(case) = case_with(|c| script(c, "cat <&3 <&3; cat <&4")) else {
        return;
    };
    fs::write(case.path("one"), "one\n").expect("a file");
    fs::write(case.path("two"), "two\n").expect("a file");
    let said = shell(
        &case,
        "LISTEN_PID=$$ LISTEN_FDS=1 exec $R run --preserve-fds 1 --bundle $B $ID 3<one 4<two",
    );
    assert_eq!(said.ok().stdout, "one\ntwo\n");
}

/// Reads what the service manager gets until the barrier, which ends as the last fd to it is closed.
fn manager(socket: UnixDatagram) -> thread::JoinHandle<Vec<String>> {
    socket
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a time limit");
    thread::spawn(move || {
        let mut messages = Vec::new();
        loop {
            let mut bytes = [0; 256];
            // Without room for its fd the kernel closes it, which is what ends the barrier.
            let length = socket.recv(&mut bytes).expect("a message");
            let message = String::from_utf8_lossy(&bytes[..length]).trim().to_owned();
            let last = message == "BARRIER=1";
            messages.push(message);
            if last {
                return messages;
            }
        }
    })
}

/// Says so in the container's stead, where the container would: through its own view of the socket.
fn say_ready(pid: i32) {
    let path = format!("/proc/{pid}/root/run/notify/notify.sock");
    let socket = UnixDatagram::unbound().expect("a socket");
    eventually("the notify socket", || {
        socket.send_to(b"STATUS=half\n", &path).ok()
    });
    thread::sleep(Duration::from_millis(50));
    socket
        .send_to(b"STATUS=up\nREADY=1\n", &path)
        .expect("ready");
}

#[test]
fn readiness_passes_through_start() {
    let Some(case) = case() else { return };
    let path = case.path("manager.sock");
    let messages = manager(UnixDatagram::bind(&path).expect("the manager's socket"));
    let with_socket = |args: &[&str]| {
        let mut command = case.command(args);
        command.env("NOTIFY_SOCKET", &path);
        spawn(command, &case.path("output"), Stdio::null())
    };
    let create = case.words_of_create(&[]);
    let create: Vec<_> = create.iter().map(String::as_str).collect();
    with_socket(&create).wait().ok();
    let init = case.init_from_pid_file();
    let starting = with_socket(&["start", &case.id]);
    case.await_payload(init);
    let environment = host::strings(init, "environ");
    assert!(
        environment.contains(&"NOTIFY_SOCKET=/run/notify/notify.sock".to_owned()),
        "{environment:?}"
    );
    say_ready(init);
    starting.wait().ok();
    assert_eq!(
        messages.join().expect("the manager"),
        [
            "READY=1".to_owned(),
            format!("MAINPID={init}"),
            "BARRIER=1".to_owned()
        ]
    );
    case.runtime(&["delete", "--force", &case.id]).ok();
    let left: Vec<_> = fs::read_dir(case.path("state"))
        .expect("the state root")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn readiness_passes_through_run() {
    let Some(case) = case() else { return };
    let path = case.path("manager.sock");
    let messages = manager(UnixDatagram::bind(&path).expect("the manager's socket"));
    let (bundle, pid_file) = (text(&case.bundle()), text(&case.path("pid")));
    let mut command = case.command(&[
        "run",
        "--bundle",
        &bundle,
        "--pid-file",
        &pid_file,
        &case.id,
    ]);
    command.env("NOTIFY_SOCKET", &path);
    let running = spawn(command, &case.path("output"), Stdio::null());
    let init = eventually("the pid file", || {
        fs::read_to_string(case.path("pid")).ok()?.parse().ok()
    });
    say_ready(init);
    let messages = messages.join().expect("the manager");
    assert_eq!(messages[1], format!("MAINPID={init}"));
    case.runtime(&["kill", &case.id, "KILL"]).ok();
    running.wait().failed(137, &[]);
    case.assert_clean();
}

#[test]
fn a_container_that_ends_without_being_ready_holds_nobody_up() {
    let Some(case) = case_with(|c| script(c, "exit 0")) else {
        return;
    };
    let path = case.path("manager.sock");
    let _manager = UnixDatagram::bind(&path).expect("the manager's socket");
    let bundle = text(&case.bundle());
    let pid_file = text(&case.path("pid"));
    let mut command = case.command(&[
        "run",
        "--detach",
        "--pid-file",
        &pid_file,
        "--bundle",
        &bundle,
        &case.id,
    ]);
    command.env("NOTIFY_SOCKET", &path);
    spawn(command, &case.path("output"), Stdio::null())
        .wait()
        .ok();
    case.init_from_pid_file();
    eventually("its end", || (case.status() == "stopped").then_some(()));
    case.runtime(&["delete", &case.id]).ok();
}

#[test]
fn a_pidfd_is_sent_for_each_process() {
    let Some(case) = case() else { return };
    let path = case.path("pidfd.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    case.try_create(&["--pidfd-socket", &text(&path)]).ok();
    let init = case.init_from_pid_file();
    let (pidfd, name) = receive(&listener);
    assert_eq!(name, "standard");
    assert_eq!(pid_of(&pidfd), init);
    case.runtime(&["start", &case.id]).ok();
    case.await_payload(init);

    let flags = ["--pidfd-socket", &text(&path)];
    let other = case.exec_detached(&flags, &["/bin/sleep", "1000"]);
    let (pidfd, name) = receive(&listener);
    assert_eq!(name, "setns");
    assert_eq!(pid_of(&pidfd), other);

    case.exec(&["--pidfd-socket", "/nowhere/socket"], &["/bin/true"])
        .failed(255, &["/nowhere/socket"]);
}

/// What the kernel says of the fd (pidfd_open(2), proc_pid_fdinfo(5)).
fn pid_of(fd: &std::os::fd::OwnedFd) -> i32 {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fdinfo/{}", fd.as_raw_fd());
    let information = read(path);
    let line = information
        .lines()
        .find_map(|line| line.strip_prefix("Pid:"));
    line.expect("a pidfd").trim().parse().expect("a pid")
}

#[test]
fn a_configuration_may_be_elsewhere() {
    if !only_ocirun("has no such flag") {
        return;
    }
    let Some(case) = case_with(|c| script(c, "echo elsewhere")) else {
        return;
    };
    let other = case.path("other.json");
    fs::rename(case.bundle().join("config.json"), &other).expect("moved");
    let bundle = text(&case.bundle());
    let run = [
        "run",
        "--bundle",
        &bundle,
        "--config",
        &text(&other),
        &case.id,
    ];
    assert_eq!(case.runtime(&run).ok().stdout, "elsewhere\n");
    fs::write(&other, "{").expect("written");
    case.runtime(&run).failed(1, &["other.json"]);
}

#[test]
fn containers_are_selected_by_a_pattern() {
    if !only_ocirun("has no such flag") {
        return;
    }
    let Some(case) = case() else { return };
    let init = case.start();
    case.runtime(&["kill", "--regex", "^no such id$", "KILL"])
        .ok();
    case.runtime(&["kill", "--regex", "(", "KILL"])
        .failed(1, &["invalid regular expression \"(\""]);
    let pattern = format!("^{}", &case.id[..case.id.len() - 1]);
    case.runtime(&["kill", "-r", &pattern, "KILL"]).ok();
    case.reap(init);
    case.runtime(&["delete", "--regex", &pattern]).ok();
    case.runtime(&["state", &case.id])
        .failed(1, &["does not exist"]);
}

/// runc keeps its containers where we do by default. Neither may take the other's for its own.
#[test]
fn another_runtimes_container_is_left_alone() {
    if !only_ocirun("that other runtime is the one under test") {
        return;
    }
    let Some(case) = case() else { return };
    let root = text(&case.path("state"));
    let bundle = text(&case.bundle());
    let lines = format!(
        "runc --root {root} create --pid-file {} --bundle {bundle} {} </dev/null >/dev/null 2>&1",
        text(&case.path("pid")),
        case.id
    );
    tool("sh", &["-c", &lines]);
    case.init_from_pid_file();
    for verb in [
        &["state"][..],
        &["start"],
        &["kill"],
        &["delete"],
        &["delete", "--force"],
    ] {
        let args = [verb, &[case.id.as_str()]].concat();
        case.runtime(&args).failed(1, &["made by another runtime"]);
    }
    case.try_create(&[]).failed(1, &["already exists"]);
    assert_eq!(case.runtime(&["list", "--quiet"]).ok().stdout, "");
    let state = tool("runc", &["--root", &root, "state", &case.id]);
    assert!(state.contains("\"status\": \"created\""), "{state}");
    tool("runc", &["--root", &root, "delete", "--force", &case.id]);
}

#[test]
fn without_a_root_containers_are_where_runc_has_them() {
    let Some(case) = case() else { return };
    let lines = format!(
        "mount -t tmpfs tmpfs /run && {runtime} create --pid-file {pid} --bundle {bundle} {id} </dev/null >/dev/null 2>&1; ls /run/runc; \
         {runtime} delete --force {id}",
        runtime = binary().display(),
        bundle = text(&case.bundle()),
        pid = text(&case.path("pid")),
        id = case.id
    );
    let listed = tool(
        "unshare",
        &["--mount", "--propagation", "private", "sh", "-c", &lines],
    );
    case.init_from_pid_file();
    assert_eq!(listed.trim(), case.id);
    let runtime_directory = case.path("run");
    fs::create_dir(&runtime_directory).expect("a directory");
    let lines = format!(
        "unshare --user --map-root-user --pid --fork env USER=somebody XDG_RUNTIME_DIR={} {} list --quiet",
        text(&runtime_directory),
        binary().display()
    );
    tool("sh", &["-c", &lines]);
    assert!(runtime_directory.join("runc").is_dir());
}

#[test]
fn a_half_written_state_never_breaks_list() {
    let Some(case) = case() else { return };
    let init = case.start();
    let state = case.path("state");
    for (id, file) in [
        ("empty", None),
        ("half", Some("{\"id\": \"ha")),
        ("null", Some("null")),
    ] {
        fs::create_dir(state.join(id)).expect("a directory");
        if let Some(text) = file {
            fs::write(state.join(id).join("state.json"), text).expect("a file");
        }
    }
    fs::write(state.join("file"), "").expect("a file");
    let listed = case.runtime(&["list", "--quiet"]).ok().stdout;
    assert!(listed.lines().any(|id| id == case.id), "{listed}");
    let listed = case.runtime(&["list", "--format", "json"]).ok().stdout;
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    let ids = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["id"]);
    assert!(ids.eq([&json!(case.id)]), "{listed}");
    case.kill(init);
    fs::remove_file(state.join("file")).expect("removed");
}

/// Every verb and every flag that the help shows.
fn shown(case: &Case) -> Vec<(String, Vec<String>)> {
    let flags = |help: &str| {
        let words = help
            .lines()
            .filter(|line| line.starts_with("  "))
            .filter_map(|line| line.split_once("--"));
        let names = words.map(|(_, rest)| rest.split(' ').next().unwrap_or_default().to_owned());
        names.collect::<Vec<_>>()
    };
    let help = case.runtime(&["--help"]).ok().stdout;
    let commands = help.split("Commands:\n").nth(1).expect("commands");
    let (commands, globals) = commands.split_once("\n\n").expect("flags");
    let lines = commands
        .lines()
        .filter(|line| !line.contains("not built in"));
    let verbs = lines.map(|line| line.split_whitespace().next().expect("a verb").to_owned());
    let mut shown = vec![(String::new(), flags(globals))];
    for verb in verbs {
        let help = case.runtime(&[&verb, "--help"]).ok().stdout;
        let help = help.split("Flags:\n").nth(1).unwrap_or_default().to_owned();
        shown.push((verb, flags(&help)));
    }
    shown
}

#[test]
fn completions_know_every_verb_and_flag() {
    if !only_ocirun("makes its own") {
        return;
    }
    let Some(case) = case() else { return };
    let scripts =
        ["bash", "zsh", "fish"].map(|shell| case.runtime(&["completion", shell]).ok().stdout);
    for (verb, flags) in shown(&case) {
        for script in &scripts {
            assert!(script.contains(&verb), "{verb}");
            for flag in &flags {
                assert!(script.contains(flag.as_str()), "{verb} --{flag}");
            }
        }
    }
    case.runtime(&["completion", "tcsh"])
        .failed(1, &["\"tcsh\"", "bash or zsh or fish"]);

    // The one shell that is everywhere here does what it is told.
    let script = case.path("completion.bash");
    fs::write(&script, &scripts[0]).expect("the script");
    let lines = format!(
        ". {}; COMP_WORDS=(ocirun --root /x dele); COMP_CWORD=3; _ocirun; echo \"${{COMPREPLY[@]}}\"; \
         COMP_WORDS=(ocirun delete --fo); COMP_CWORD=2; _ocirun; echo \"${{COMPREPLY[@]}}\"",
        text(&script)
    );
    assert_eq!(tool("bash", &["-c", &lines]), "delete\n--force\n");
}

#[test]
fn the_manual_has_every_verb_and_flag() {
    if !only_ocirun("has its own") {
        return;
    }
    let Some(case) = case() else { return };
    for (verb, flags) in shown(&case) {
        let mut args = vec!["man"];
        args.extend(Some(verb.as_str()).filter(|verb| !verb.is_empty()));
        let page = case.runtime(&args).ok().stdout;
        assert!(page.starts_with(".TH "), "{page}");
        for flag in flags {
            let escaped = flag.replace('-', "\\-");
            assert!(
                page.contains(&format!("\\-\\-{escaped}")),
                "{verb} --{flag}"
            );
        }
        for section in ["SIGNALS", "ENVIRONMENT", "FILES", "EXIT STATUS"] {
            let there = page.contains(&format!(".SH {section}\n"));
            assert_eq!(there, verb.is_empty(), "{verb} {section}");
        }
        // Nothing that roff would take for a request of its own.
        let known = [".TH", ".SH", ".TP", ".B ", ".I ", ".BR"];
        for line in page.lines().filter(|line| line.starts_with(['.', '\''])) {
            assert!(
                known.iter().any(|request| line.starts_with(request)),
                "{line}"
            );
        }
    }
}

#[test]
fn spec_writes_a_configuration_for_a_user() {
    let Some(case) = case() else { return };
    let config = case.bundle().join("config.json");
    fs::remove_file(&config).expect("remove config.json");
    case.runtime(&["spec", "--rootless"]).ok();
    let mut written: serde_json::Value = serde_json::from_str(&read(&config)).expect("JSON");
    let kinds: Vec<_> = written["linux"]["namespaces"]
        .as_array()
        .expect("namespaces")
        .iter()
        .map(|namespace| namespace["type"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert!(
        kinds.contains(&"user".to_owned()) && !kinds.contains(&"network".to_owned()),
        "{kinds:?}"
    );
    written["process"]["terminal"] = false.into();
    written["root"]["path"] = text(oci_runtime_integration::rootfs::shared()).into();
    written["linux"]["cgroupsPath"] = case.cgroup.clone().into();
    script(
        &mut written,
        "cat /proc/self/uid_map; ls /sys/kernel >/dev/null && echo sys",
    );
    case.write_config(&written.to_string());
    let said = case.run().ok().stdout;
    let words: Vec<_> = said.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "1", "sys"]);
}
