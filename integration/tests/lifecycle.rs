//! The verbs create, state, start, kill, delete and list, and who owns the init they make.

use std::fs;
use std::time::Duration;

use oci_runtime_integration::bundle::{self, args, script};
use oci_runtime_integration::case::{Case, case, case_with, text};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{eventually, is_ocirun, only_ocirun, read};
use rustix::process::Signal;
use serde_json::Value;

/// Appends each signal to stdout, one a line, for as long as it lives.
const SIGNAL_LOG: &str = "for s in HUP INT TERM USR1 USR2; do trap \"echo $s\" $s; done; \
    echo ready; while :; do sleep 0.02; done";

#[test]
fn a_container_goes_through_created_running_stopped() {
    let Some(case) = case_with(|c| script(c, "echo $$ > /tmp/x; exec sleep 7200")) else {
        return;
    };
    let init = case.create();
    let state = case.state();
    assert_eq!(state["id"], case.id);
    assert_eq!(state["status"], "created");
    assert_eq!(state["pid"], init);
    assert_eq!(state["bundle"], text(&case.bundle()));
    assert_eq!(state["annotations"]["org.example.case"], case.id);
    assert!(
        state["ociVersion"]
            .as_str()
            .is_some_and(|v| v.starts_with("1."))
    );
    assert!(state["created"].as_str().is_some_and(|t| t.contains('T')));
    let before = host::strings(init, "cmdline");
    assert!(
        !before.iter().any(|a| a == "sleep"),
        "payload ran at create: {before:?}"
    );

    case.runtime(&["start", &case.id]).ok();
    eventually("the payload", || {
        (host::strings(init, "cmdline") == bundle::IDLE).then_some(())
    });
    assert_eq!(case.status(), "running");
    assert_eq!(case.state()["pid"], init, "start must keep the init");

    let status = case.kill(init).expect("the init is our child");
    assert_eq!(status.terminating_signal(), Some(Signal::KILL.as_raw()));
    let state = case.state();
    assert_eq!(state["status"], "stopped");
    assert_eq!(state["pid"].as_i64().unwrap_or(0), 0);

    case.runtime(&["delete", &case.id]).ok();
    case.assert_clean();
    case.runtime(&["state", &case.id])
        .failed(1, &["does not exist"]);
}

#[test]
fn the_pid_file_is_digits_and_nothing_else() {
    let Some(case) = case() else { return };
    let init = case.create();
    let bytes = fs::read(case.path("pid")).expect("the pid file");
    assert_eq!(bytes, init.to_string().as_bytes());
    let names = fs::read_dir(case.path("")).expect("its directory");
    let names: Vec<_> = names.flatten().map(|e| e.file_name()).collect();
    assert!(
        !names.iter().any(|n| n.to_string_lossy().contains(".pid")),
        "a temporary pid file is left: {names:?}"
    );
}

#[test]
fn the_exit_status_reaches_the_subreaper() {
    let Some(case) = case_with(|c| script(c, "exit 42")) else {
        return;
    };
    let init = case.create();
    assert_eq!(host::status(init, "PPid"), std::process::id().to_string());
    case.runtime(&["start", &case.id]).ok();
    let status = case.reap(init).expect("the init is our child");
    assert_eq!(status.exit_status(), Some(42));
}

#[test]
fn create_leaves_no_other_process_behind() {
    let Some(case) = case() else { return };
    let init = case.create();
    let children: Vec<i32> = host::pids()
        .into_iter()
        .filter(|pid| {
            let path = host::proc_path(*pid, "cgroup");
            fs::read_to_string(path).is_ok_and(|c| c.contains(&format!("{}\n", case.cgroup)))
        })
        .collect();
    assert_eq!(children, [init], "more than the init in the cgroup");
}

#[test]
fn signals_are_spelled_in_many_ways() {
    let Some(case) = case_with(|c| script(c, SIGNAL_LOG)) else {
        return;
    };
    let running = {
        let bundle = text(&case.bundle());
        case.spawn(&["run", "--bundle", &bundle, &case.id])
    };
    running.says("ready");
    let spellings = [
        ("TERM", "TERM"),
        ("SIGTERM", "TERM"),
        ("15", "TERM"),
        ("term", "TERM"),
        ("sigusr1", "USR1"),
        ("SigUsr2", "USR2"),
        ("1", "HUP"),
        ("INT", "INT"),
        ("", "TERM"),
    ];
    let mut expected = String::from("ready\n");
    for (spelling, name) in spellings {
        case.runtime(&["kill", &case.id, spelling]).ok();
        expected.push_str(&format!("{name}\n"));
        running.says(&expected);
    }
    case.runtime(&["kill", &case.id]).ok();
    expected.push_str("TERM\n");
    running.says(&expected);
    case.runtime(&["kill", &case.id, "0"]).ok();
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(running.stdout(), expected, "signal 0 must reach nobody");
    case.runtime(&["kill", &case.id, "NOSUCH"])
        .failed(1, &["unknown signal \"NOSUCH\""]);
    case.runtime(&["kill", "--all", &case.id, "KILL"]).ok();
    assert_eq!(running.wait().code, 137);
}

#[test]
fn a_signal_for_all_reaches_every_process() {
    let both = "sh -c \"trap 'echo child' USR1; echo up; while :; do sleep 0.05; done\" & \
                trap 'echo first' USR1; echo up; while :; do sleep 0.05; done";
    let Some(case) = case_with(|c| script(c, both)) else {
        return;
    };
    let bundle = text(&case.bundle());
    let running = case.spawn(&["run", "--bundle", &bundle, &case.id]);
    running.says("up\nup\n");
    case.runtime(&["kill", "--all", &case.id, "USR1"]).ok();
    running.says("child\n");
    running.says("first\n");
    case.runtime(&["pause", &case.id]).ok();
    case.runtime(&["kill", "--all", &case.id, "USR1"]).ok();
    assert_eq!(case.status(), "paused");
    case.runtime(&["resume", &case.id]).ok();
    eventually("the second signal of both", || {
        let said = running.stdout();
        let twice = |word| said.matches(word).count() == 2;
        (twice("child") && twice("first")).then_some(())
    });
    case.runtime(&["kill", &case.id, "USR1"]).ok();
    eventually("the signal of the first alone", || {
        (running.stdout().matches("first").count() == 3).then_some(())
    });
    assert_eq!(running.stdout().matches("child").count(), 2);
    case.runtime(&["kill", "--all", &case.id, "KILL"]).ok();
    assert_eq!(running.wait().code, 137);
}

#[test]
fn kill_reaches_a_container_that_was_never_started() {
    let Some(case) = case() else { return };
    let init = case.create();
    case.kill(init);
    assert_eq!(case.status(), "stopped");
    case.runtime(&["delete", &case.id]).ok();
    case.assert_clean();
}

#[test]
fn a_container_that_was_never_started_ends_by_what_ends_programs() {
    for (signal, number) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
        let Some(case) = case() else { return };
        let init = case.create();
        case.runtime(&["kill", &case.id, "USR1"]).ok();
        assert_eq!(case.status(), "created");
        case.runtime(&["kill", &case.id, signal]).ok();
        let status = case.reap(init).expect("it is our child");
        if is_ocirun() {
            assert_eq!(status.exit_status(), Some(128 + number), "{signal}");
        }
        assert_eq!(case.status(), "stopped");
        case.runtime(&["start", &case.id])
            .failed(1, &["cannot start a container that has stopped"]);
        case.runtime(&["delete", &case.id]).ok();
        case.assert_clean();
    }
    // What has been started decides for itself.
    let Some(case) = case() else { return };
    let payload = case.start();
    assert_eq!(host::status(payload, "SigCgt"), "0000000000000000");
    case.runtime(&["kill", &case.id, "TERM"]).ok();
    assert_eq!(case.status(), "running");
    case.kill(payload);
}

#[test]
fn start_works_once() {
    let Some(case) = case() else { return };
    let init = case.start();
    case.runtime(&["start", &case.id])
        .failed(1, &["cannot start an already running container"]);
    case.kill(init);
    case.runtime(&["start", &case.id])
        .failed(1, &["cannot start a container that has stopped"]);
}

#[test]
fn a_stopped_container_cannot_be_killed_or_entered() {
    let Some(case) = case() else { return };
    let init = case.start();
    case.kill(init);
    case.runtime(&["kill", &case.id, "TERM"])
        .failed(1, &["container not running"]);
    case.runtime(&["kill", "--all", &case.id, "KILL"]).ok();
    case.runtime(&["kill", "--all", &case.id, "TERM"]).ok();
    case.exec(&[], &["true"])
        .failed(255, &["cannot exec in a stopped container"]);
}

#[test]
fn delete_refuses_what_runs_unless_forced() {
    let Some(case) = case() else { return };
    let init = case.start();
    let refusal = format!(
        "cannot delete container {} that is not stopped: running",
        case.id
    );
    case.runtime(&["delete", &case.id]).failed(1, &[&refusal]);
    assert!(host::alive(init));
    case.runtime(&["delete", "--force", &case.id]).ok();
    assert!(!host::alive(init));
    case.reap(init);
    case.assert_clean();
}

#[test]
fn an_unknown_id_does_not_exist() {
    let Some(case) = case() else { return };
    for verb in ["state", "start", "kill", "delete"] {
        let run = case.runtime(&[verb, "nobody"]);
        assert_eq!(run.stdout, "", "{verb}");
        run.failed(1, &["container does not exist"]);
    }
    case.exec(&[], &["true"])
        .failed(255, &["exec failed: container does not exist"]);
    let forced = case.runtime(&["delete", "--force", "nobody"]).ok();
    assert_eq!(
        (forced.stdout, forced.stderr),
        (String::new(), String::new())
    );
    case.assert_clean();
}

#[test]
fn an_id_is_taken_once() {
    let Some(case) = case() else { return };
    let init = case.create();
    case.try_create(&[])
        .failed(1, &["container with given ID already exists"]);
    assert_eq!(case.status(), "created", "the first one must not suffer");
    assert_eq!(case.state()["pid"], init);
    assert!(host::alive(init));
}

#[test]
fn list_shows_all_containers_in_three_forms() {
    let Some(case) = case() else { return };
    let none = case.runtime(&["list", "-f", "json"]).ok().stdout;
    assert_eq!(none, "null\n");
    assert_eq!(case.runtime(&["list", "-q"]).ok().stdout, "");
    let first = case.start();
    let second = format!("{}-2", case.id);
    case.configure(|c| c["linux"]["cgroupsPath"] = format!("{}-2", case.cgroup).into());
    let bundle = text(&case.bundle());
    let pid_file = text(&case.path("pid"));
    let create = ["create", "-b", &bundle, "--pid-file", &pid_file, &second];
    case.runtime(&create).ok();
    let second_init = case.init_from_pid_file();

    listed_as_ids(&case, &second);
    listed_as_json(&case, first, &second, second_init);
    let table = case.runtime(&["list"]).ok().stdout;
    let words: Vec<Vec<&str>> = table
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert_eq!(
        words[0],
        ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    );
    assert_eq!(words.len(), 3);
    let row = words.iter().find(|w| w[0] == case.id).expect("a row");
    assert_eq!(row[1..4], [first.to_string().as_str(), "running", &bundle]);
    assert_eq!(row.last(), Some(&"root"));
}

fn listed_as_ids(case: &Case, second: &str) {
    let quiet = case.runtime(&["list", "--quiet"]).ok().stdout;
    let mut ids: Vec<&str> = quiet.lines().collect();
    ids.sort_unstable();
    assert_eq!(ids, [case.id.as_str(), second]);
}

fn listed_as_json(case: &Case, first: i32, second: &str, second_init: i32) {
    let json = case.runtime(&["list", "--format", "json"]).ok().stdout;
    assert_eq!(json.find('\n'), Some(json.len() - 1), "one whole line");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let mut rows: Vec<(String, String, i64)> = json
        .as_array()
        .expect("an array")
        .iter()
        .map(|c| {
            (
                c["id"].to_string(),
                c["status"].to_string(),
                c["pid"].as_i64().unwrap_or(0),
            )
        })
        .collect();
    rows.sort();
    assert_eq!(
        rows[0],
        (
            format!("\"{}\"", case.id),
            "\"running\"".into(),
            first.into()
        )
    );
    assert_eq!(
        rows[1],
        (
            format!("\"{second}\""),
            "\"created\"".into(),
            second_init.into()
        )
    );
    assert!(json[0]["bundle"].is_string() && json[0]["created"].is_string());
}

#[test]
fn the_bundle_may_be_the_working_directory() {
    let Some(case) = case_with(|c| script(c, "echo here")) else {
        return;
    };
    assert_eq!(case.runtime(&["run", &case.id]).ok().stdout, "here\n");
}

#[test]
fn a_relative_root_is_below_the_bundle() {
    let Some(case) = case_with(|c| c["root"]["path"] = "rootfs".into()) else {
        return;
    };
    fs::write(case.own_rootfs().join("mark"), "own").expect("a mark");
    let init = case.start();
    assert_eq!(read(host::proc_path(init, "root/mark")), "own");
}

#[test]
fn a_log_file_gets_one_json_line_and_stderr_the_same_text() {
    let Some(case) = case_with(|c| args(c, &["/no/such/program"])) else {
        return;
    };
    let log = text(&case.path("log.json"));
    let bundle = text(&case.bundle());
    let flags = [
        "--log",
        &log,
        "--log-format",
        "json",
        "create",
        "--bundle",
        &bundle,
        &case.id,
    ];
    let failed = case.runtime(&flags);
    let lines = read(case.path("log.json"));
    assert_eq!(lines.lines().count(), 1, "{lines}");
    let line: Value = serde_json::from_str(&lines).expect("one JSON object");
    assert_eq!(line["level"], "error");
    let message = line["msg"].as_str().expect("msg");
    let expected = "exec: \"/no/such/program\": stat /no/such/program: no such file or directory";
    assert!(message.contains(expected), "{message}");
    assert!(
        line["time"]
            .as_str()
            .is_some_and(|t| t.len() >= 20 && t.as_bytes()[10] == b'T')
    );
    failed.failed(1, &[message]);
    case.assert_clean();
}

#[test]
fn a_caller_that_is_killed_during_create_leaves_what_delete_can_remove() {
    let Some(case) = case() else { return };
    if !only_ocirun("leaves cgroups behind when killed") {
        return;
    }
    for delay in (0..24).map(|n| Duration::from_micros(n * 400)) {
        killed_create(&case, delay);
    }
}

fn killed_create(case: &Case, delay: Duration) {
    let bundle = text(&case.bundle());
    let running = case.spawn(&["create", "--bundle", &bundle, &case.id]);
    std::thread::sleep(delay);
    running.signal(Signal::KILL);
    running.wait();
    case.runtime(&["delete", "--force", &case.id]).ok();
    eventually("the orphans of a killed create", || {
        reap_orphans(case).is_none().then_some(())
    });
    case.assert_clean();
}

/// Takes the status of those of our children that have ended in the case's cgroup; returns one that still lives.
fn reap_orphans(case: &Case) -> Option<i32> {
    host::pids()
        .into_iter()
        .filter(|pid| {
            // A zombie's cgroup may be gone already: the kernel then adds a word to its path.
            let cgroup = fs::read_to_string(host::proc_path(*pid, "cgroup")).unwrap_or_default();
            cgroup.contains(&case.cgroup)
        })
        .find(|pid| {
            let alive = host::alive(*pid);
            if !alive {
                host::reap(*pid);
            }
            alive
        })
}

#[test]
fn without_a_process_there_is_a_container_that_cannot_be_started() {
    let Some(case) = case_with(|c| {
        c.as_object_mut().expect("an object").remove("process");
    }) else {
        return;
    };
    let init = case.create();
    assert_eq!(case.status(), "created");
    let start = case.runtime(&["start", &case.id]);
    assert_eq!(start.code, 1);
    assert!(
        start.stderr.contains("without a process"),
        "{}",
        start.stderr
    );
    assert_eq!(case.status(), "created");
    assert!(host::alive(init));
    case.runtime(&["delete", "--force", &case.id]).ok();
    case.reap(init);
    case.assert_clean();
    // What runs at once cannot do without.
    let run = case.run();
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("/process"), "{}", run.stderr);
    case.assert_clean();
}
