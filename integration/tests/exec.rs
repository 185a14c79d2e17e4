//! `exec`: a further process in a running container, by arguments and by a process file.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use oci_runtime_integration::bundle::{self, push};
use oci_runtime_integration::case::{Case, case, case_with, text};
use oci_runtime_integration::host::{self, NAMESPACES};
use oci_runtime_integration::runtime::{Running, eventually, only_ocirun, read, spawn};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Executes `process` in the container and leaves it running; its pid.
#[track_caller]
fn exec_process(case: &Case, process: &Value) -> i32 {
    let file = process_file(case, process);
    let pid_file = text(&case.path("exec-pid"));
    let exec = ["exec", "--process", &file, "--detach", "--pid-file"];
    case.runtime(&[&exec[..], &[pid_file.as_str(), &case.id]].concat())
        .ok();
    case.exec_from_pid_file()
}

fn process_file(case: &Case, process: &Value) -> String {
    let path = case.path("process.json");
    fs::write(&path, process.to_string()).expect("the process file");
    text(&path)
}

fn idle_process() -> Value {
    json!({
        "user": {"uid": 0, "gid": 0},
        "args": bundle::IDLE,
        "env": ["PATH=/bin", "OWN=yes"],
        "cwd": "/"
    })
}

#[test]
fn output_and_exit_code_are_the_process_s() {
    let Some(case) = case() else { return };
    case.start();
    let run = case.exec(&[], &["sh", "-c", "echo out; echo err >&2; exit 23"]);
    assert_eq!(
        (run.code, run.stdout.as_str(), run.stderr.as_str()),
        (23, "out\n", "err\n")
    );
    assert_eq!(case.exec(&[], &["sh", "-c", "kill -TERM $$"]).code, 143);
    assert_eq!(case.exec(&[], &["sh", "-c", "kill -KILL $$"]).code, 137);
}

#[test]
fn flags_of_the_command_are_not_the_runtime_s() {
    let Some(case) = case() else { return };
    case.start();
    let run = case.exec(&[], &["echo", "-n", "--detach", "-t"]).ok();
    assert_eq!(run.stdout, "--detach -t");
}

#[test]
fn stdin_is_passed_on() {
    let Some(case) = case() else { return };
    case.start();
    fs::write(case.path("input"), "typed\n").expect("the input");
    let input = fs::File::open(case.path("input")).expect("the input");
    let command = case.command(&["exec", &case.id, "cat"]);
    let run = spawn(command, &case.path("output"), Stdio::from(input))
        .wait()
        .ok();
    assert_eq!(run.stdout, "typed\n");
}

#[test]
fn it_shares_all_namespaces_cgroups_and_the_root_of_init() {
    let Some(case) = case() else { return };
    let init = case.start();
    let pid = case.exec_detached(&[], &bundle::IDLE);
    for (_, file) in NAMESPACES {
        assert_eq!(
            host::namespace(pid, file),
            host::namespace(init, file),
            "{file}"
        );
    }
    assert_eq!(host::cgroups(pid), host::cgroups(init));
    assert_eq!(host::mounts(pid), host::mounts(init));
    assert_eq!(host::link(pid, "cwd"), host::link(init, "cwd"));
    assert_eq!(host::status(pid, "NSpid").split(' ').count(), 2);
}

#[test]
fn detached_it_belongs_to_the_subreaper() {
    let Some(case) = case() else { return };
    case.start();
    let pid = case.exec_detached(&[], &["sh", "-c", "sleep 0.2; exit 9"]);
    let bytes = fs::read(case.path("exec-pid")).expect("the pid file");
    assert_eq!(bytes, pid.to_string().as_bytes());
    assert_eq!(host::status(pid, "PPid"), std::process::id().to_string());
    let status = case.reap(pid).expect("the process is our child");
    assert_eq!(status.exit_status(), Some(9));
}

#[test]
fn it_has_the_attributes_of_the_configuration() {
    let Some(case) = case_with(|c| {
        c["process"]["cwd"] = "/tmp".into();
        c["process"]["noNewPrivileges"] = true.into();
        push(c, "/process/env", json!("FROM=config"));
        c["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 512, "hard": 600}]);
    }) else {
        return;
    };
    let init = case.start();
    let pid = case.exec_detached(&[], &bundle::IDLE);
    for field in [
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NoNewPrivs",
        "Uid",
        "Gid",
    ] {
        assert_eq!(
            host::status(pid, field),
            host::status(init, field),
            "{field}"
        );
    }
    assert_eq!(host::status(pid, "Groups"), host::status(init, "Groups"));
    assert_eq!(
        host::limits(pid)["Max open files"],
        ("512".into(), "600".into())
    );
    assert_eq!(host::link(pid, "cwd"), host::link(init, "cwd"));
    assert!(host::strings(pid, "environ").contains(&"FROM=config".to_owned()));
}

#[test]
fn a_working_directory_that_is_missing_is_named_in_runc_s_words() {
    let Some(case) = case() else { return };
    case.start();
    for (directory, errno) in [
        ("/none", "no such file or directory"),
        ("/etc/passwd", "not a directory"),
    ] {
        let words = format!(
            "exec failed: unable to start container process: chdir to cwd ({directory:?}) set in config.json failed: {errno}"
        );
        let refused = case.exec(&["--cwd", directory], &["pwd"]);
        refused.failed(255, &[&words]);
    }
    assert_eq!(
        case.exec(&["--cwd", "/tmp"], &["pwd"]).ok().stdout,
        "/tmp\n"
    );
}

#[test]
fn flags_change_user_cwd_environment_and_capabilities() {
    let Some(case) = case() else { return };
    case.start();
    let flags = [
        "-u",
        "1000:1001",
        "-g",
        "77",
        "--cwd",
        "/tmp",
        "-e",
        "ONE=1",
        "-e",
        "TWO=2",
        "--cap",
        "CAP_SYS_NICE",
    ];
    let pid = case.exec_detached(&flags, &bundle::IDLE);
    assert_eq!(host::status(pid, "Uid"), "1000 1000 1000 1000");
    assert_eq!(host::status(pid, "Gid"), "1001 1001 1001 1001");
    assert_eq!(host::status(pid, "Groups"), "77");
    assert!(host::link(pid, "cwd").ends_with("/tmp"));
    let environ = host::strings(pid, "environ");
    assert!(environ.contains(&"ONE=1".to_owned()) && environ.contains(&"TWO=2".to_owned()));
    let nice = 1 << 23;
    assert_eq!(host::capabilities(pid, "CapBnd") & nice, nice);
    assert_eq!(
        host::capabilities(pid, "CapInh"),
        0,
        "--cap must not make any inheritable"
    );
}

#[test]
fn a_process_file_says_everything() {
    let Some(case) = case() else { return };
    case.start();
    let mut process = idle_process();
    process["user"] = json!({"uid": 7, "gid": 8, "additionalGids": [9, 10], "umask": 0o27});
    process["cwd"] = "/etc".into();
    process["noNewPrivileges"] = true.into();
    process["oomScoreAdj"] = 300.into();
    process["capabilities"] = json!({
        "bounding": ["CAP_KILL", "CAP_CHOWN"], "permitted": ["CAP_KILL"],
        "effective": ["CAP_KILL"], "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"]
    });
    process["rlimits"] = json!([{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}]);
    let pid = exec_process(&case, &process);
    assert_eq!(host::status(pid, "Uid"), "7 7 7 7");
    assert_eq!(host::status(pid, "Gid"), "8 8 8 8");
    assert_eq!(host::status(pid, "Groups"), "9 10");
    assert_eq!(host::status(pid, "NoNewPrivs"), "1");
    assert!(host::link(pid, "cwd").ends_with("/etc"));
    assert_eq!(host::capabilities(pid, "CapBnd"), 0b10_0001);
    for set in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
        assert_eq!(host::capabilities(pid, set), 0b10_0000, "{set}");
    }
    assert_eq!(
        host::limits(pid)["Max core file size"],
        ("1".into(), "2".into())
    );
    assert!(host::strings(pid, "environ").contains(&"OWN=yes".to_owned()));
    if only_ocirun("exec leaves umask and oom score as they are") {
        assert_eq!(host::status(pid, "Umask"), "0027");
        assert_eq!(read(host::proc_path(pid, "oom_score_adj")), "300");
    }
}

/// A file that says nothing of capabilities asks for the container's; one that says that there are none, for none.
#[test]
fn a_process_file_without_capabilities_has_the_container_s() {
    let Some(case) = case() else { return };
    let init = case.start();
    let own =
        json!({"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"]});
    for (capabilities, expected) in [
        (Value::Null, host::capabilities(init, "CapBnd")),
        (own, 0b10_0000),
        (json!({}), 0),
    ] {
        let mut process = idle_process();
        process["capabilities"] = capabilities;
        let pid = exec_process(&case, &process);
        for set in ["CapBnd", "CapPrm", "CapEff"] {
            assert_eq!(host::capabilities(pid, set), expected, "{set}: {process}");
        }
    }
}

#[test]
fn a_process_file_runs_in_the_foreground_too() {
    let Some(case) = case() else { return };
    case.start();
    let mut process = idle_process();
    process["args"] = json!(["sh", "-c", "echo $OWN; exit 4"]);
    let file = process_file(&case, &process);
    let run = case.runtime(&["exec", "-p", &file, &case.id]);
    assert_eq!((run.code, run.stdout.as_str()), (4, "yes\n"));
}

#[test]
fn a_command_that_is_not_there_gives_255_and_no_pid_file() {
    let Some(case) = case() else { return };
    case.start();
    let pid_file = text(&case.path("exec-pid"));
    let table = [
        (
            "nonesuch",
            "exec: \"nonesuch\": executable file not found in $PATH",
        ),
        (
            "/bin/nonesuch",
            "exec: \"/bin/nonesuch\": stat /bin/nonesuch: no such file or directory",
        ),
        ("/etc", "is a directory"),
        ("/etc/passwd", "permission denied"),
        ("/etc/passwd/x", "not a directory"),
    ];
    for (command, message) in table {
        if command == "/etc" && !only_ocirun("older ones say permission denied of a directory") {
            continue;
        }
        case.exec(&[], &[command])
            .failed(255, &["exec failed: ", message]);
        case.exec(&["--detach", "--pid-file", &pid_file], &[command])
            .failed(255, &[message]);
        assert!(
            !case.path("exec-pid").exists(),
            "{command}: a pid file is left"
        );
    }
    assert_eq!(case.status(), "running");
}

#[test]
fn it_needs_a_started_container_or_a_created_one() {
    let Some(case) = case() else { return };
    case.exec(&[], &["true"])
        .failed(255, &["exec failed: container does not exist"]);
    let init = case.create();
    case.exec(&[], &["true"]).ok();
    case.runtime(&["start", &case.id]).ok();
    case.await_payload(init);
    case.exec(&[], &["true"]).ok();
    case.kill(init);
    case.exec(&[], &["true"])
        .failed(255, &["cannot exec in a stopped container"]);
}

#[test]
fn the_user_is_numbers_and_never_a_name() {
    let Some(case) = case_with(|c| c["root"]["path"] = "rootfs".into()) else {
        return;
    };
    let hostile = "root:x:0:0::/:/bin/sh\n1000:x:0:0::/:/bin/sh\n1:x:0:0::/:/bin/sh\n";
    fs::write(case.own_rootfs().join("etc/passwd"), hostile).expect("a hostile passwd");
    case.start();
    for (user, uid, gid) in [("1000", 1000, 0), ("1", 1, 0), ("1:2", 1, 2), ("0", 0, 0)] {
        let pid = case.exec_detached(&["-u", user], &bundle::IDLE);
        assert_eq!(
            host::status(pid, "Uid"),
            [uid.to_string().as_str(); 4].join(" "),
            "{user}"
        );
        assert_eq!(
            host::status(pid, "Gid"),
            [gid.to_string().as_str(); 4].join(" "),
            "{user}"
        );
    }
    for user in [
        "user",
        "-1",
        "4294967296",
        " 1",
        "1 ",
        "0x10",
        "1:",
        "1:user",
        "",
    ] {
        if user.is_empty() && !only_ocirun("takes an empty user for none") {
            continue;
        }
        if matches!(user, "-1" | "4294967296") && !only_ocirun("checks the range late") {
            continue;
        }
        let run = case.exec(&["-u", user], &["id"]);
        assert_ne!(run.code, 0, "{user:?} was taken for {}", run.stdout);
    }
}

#[test]
fn a_process_outlives_no_container() {
    let Some(case) = case() else { return };
    let init = case.start();
    let pid = case.exec_detached(&[], &bundle::IDLE);
    case.kill(init);
    eventually("the end of the exec'd process", || {
        (!host::alive(pid)).then_some(())
    });
    case.reap(pid);
    case.runtime(&["delete", &case.id]).ok();
    case.assert_clean();
}

#[test]
fn many_at_once_all_answer() {
    let Some(case) = case() else { return };
    case.start();
    let script = |n: i32| format!("exit {n}");
    let all: Vec<_> = (1..=16)
        .map(|n| (n, case.spawn(&["exec", &case.id, "sh", "-c", &script(n)])))
        .collect();
    for (n, running) in all {
        assert_eq!(running.wait().code, n);
    }
}

/// Its namespaces go before its pid does, and what had joined it dies with it: all of that is the end of the container.
#[test]
fn an_exec_that_meets_the_end_of_the_container_says_so() {
    let Some(case) = case() else { return };
    if !only_ocirun("says what it met first") {
        return;
    }
    for round in 0..25 {
        let init = case.start();
        let words = ["exec", &case.id, "true"];
        let execs: Vec<_> = (0..3).map(|_| case.spawn(&words)).collect();
        thread::sleep(Duration::from_millis(round));
        host::signal(init, Signal::KILL);
        for exec in execs.into_iter().map(Running::wait) {
            let stopped = "cannot exec in a stopped container";
            let fine = matches!(exec.code, 0 | 137) || exec.stderr.contains(stopped);
            assert!(fine, "{exec:?}");
        }
        case.reap(init);
        case.runtime(&["delete", &case.id]).ok();
    }
}
