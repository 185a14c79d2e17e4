//! `run`: in the foreground with stdio, exit code and signals; detached; kept.

use std::fs::{self, File};
use std::process::Stdio;

use oci_runtime_integration::bundle::{args, script};
use oci_runtime_integration::case::{Case, case, case_with, text};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{Running, eventually, only_ocirun, spawn};
use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;

const CATCHER: &str = "trap 'exit 11' USR1; trap 'exit 12' TERM; trap 'exit 13' HUP; \
    trap 'exit 14' INT; echo ready; while :; do sleep 0.02; done";

fn start_run(case: &Case, flags: &[&str]) -> Running {
    let bundle = text(&case.bundle());
    let all = [&["run", "--bundle", &bundle], flags, &[case.id.as_str()]].concat();
    case.spawn(&all)
}

#[test]
fn stdout_stderr_and_exit_code_are_the_payloads() {
    let Some(case) = case_with(|c| script(c, "echo out; echo err >&2; exit 42")) else {
        return;
    };
    let run = case.run();
    assert_eq!(
        (run.code, run.stdout.as_str(), run.stderr.as_str()),
        (42, "out\n", "err\n")
    );
    case.assert_clean();
}

#[test]
fn stdin_is_passed_on_to_its_end() {
    let Some(case) = case_with(|c| args(c, &["wc", "-c"])) else {
        return;
    };
    let size = 300_000;
    fs::write(case.path("input"), vec![b'x'; size]).expect("the input");
    let input = File::open(case.path("input")).expect("the input");
    let bundle = text(&case.bundle());
    let command = case.command(&["run", "--bundle", &bundle, &case.id]);
    let run = spawn(command, &case.path("output"), Stdio::from(input))
        .wait()
        .ok();
    assert_eq!(run.stdout.trim(), size.to_string());
}

#[test]
fn a_large_output_arrives_whole() {
    let Some(case) = case_with(|c| script(c, "dd if=/dev/zero bs=64k count=64 2>/dev/null")) else {
        return;
    };
    assert_eq!(case.run().ok().stdout.len(), 64 * 64 * 1024);
}

#[test]
fn signals_sent_to_the_runtime_reach_the_payload() {
    let table = [
        (Signal::USR1, 11),
        (Signal::TERM, 12),
        (Signal::HUP, 13),
        (Signal::INT, 14),
    ];
    for (signal, code) in table {
        let Some(case) = case_with(|c| script(c, CATCHER)) else {
            return;
        };
        let running = start_run(&case, &[]);
        running.says("ready");
        running.signal(signal);
        assert_eq!(running.wait().code, code);
    }
}

#[test]
fn a_signalled_payload_gives_128_and_the_signal() {
    for (signal, code) in [("KILL", 137), ("ABRT", 134)] {
        // Without a pid namespace the default actions of all signals apply to the payload.
        let Some(case) = case_with(|c| {
            oci_runtime_integration::bundle::without_namespace(c, "pid");
            script(c, "echo ready; exec sleep 7200");
        }) else {
            return;
        };
        let running = start_run(&case, &[]);
        running.says("ready");
        case.runtime(&["kill", &case.id, signal]).ok();
        assert_eq!(running.wait().code, code);
        case.assert_clean();
    }
}

#[test]
fn detached_returns_while_the_payload_runs() {
    let Some(case) = case_with(|c| script(c, "echo out; exec sleep 7200")) else {
        return;
    };
    let pid_file = text(&case.path("pid"));
    let running = start_run(&case, &["--detach", "--pid-file", &pid_file]);
    let runtime = running.pid();
    running.wait().ok();
    let init = case.init_from_pid_file();
    assert!(!host::alive(runtime));
    assert!(host::alive(init));
    assert_eq!(host::status(init, "PPid"), std::process::id().to_string());
    assert_eq!(case.status(), "running");
    case.kill(init);
    case.runtime(&["delete", &case.id]).ok();
    case.assert_clean();
}

#[test]
fn the_pid_file_is_there_during_a_foreground_run() {
    let Some(case) = case_with(|c| script(c, CATCHER)) else {
        return;
    };
    let pid_file = text(&case.path("pid"));
    let running = start_run(&case, &["--pid-file", &pid_file]);
    running.says("ready");
    let init: i32 = eventually("the pid file", || {
        let text = fs::read_to_string(&pid_file).ok()?;
        text.parse().ok()
    });
    assert_eq!(case.state()["pid"], init);
    assert_eq!(host::status(init, "PPid"), running.pid().to_string());
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code, 12);
}

#[test]
fn keep_leaves_a_stopped_container() {
    let Some(case) = case_with(|c| script(c, "exit 3")) else {
        return;
    };
    assert_eq!(start_run(&case, &["--keep"]).wait().code, 3);
    assert_eq!(case.status(), "stopped");
    case.runtime(&["delete", &case.id]).ok();
    case.assert_clean();
}

#[test]
fn without_keep_nothing_is_left_even_of_a_failed_run() {
    let Some(case) = case_with(|c| args(c, &["nonesuch"])) else {
        return;
    };
    case.run().failed(
        1,
        &["exec: \"nonesuch\": executable file not found in $PATH"],
    );
    case.assert_clean();
}

/// Whoever stays to the end deletes what it has made, and not what has come by that name since.
#[test]
fn a_container_that_was_made_anew_meanwhile_stays() {
    let Some(case) = case() else { return };
    if !only_ocirun("is not asked for as much") {
        return;
    }
    for status in ["created", "running", "stopped"] {
        let pid_file = text(&case.path(&format!("first-{status}")));
        let run = start_run(&case, &["--pid-file", &pid_file]);
        let first = eventually("the pid file", || {
            fs::read_to_string(&pid_file).ok()?.parse().ok()
        });
        case.await_payload(first);
        // Until the payload is reported to be there, and a moment longer, the container is the command's.
        let state = fs::File::open(case.path("state").join(&case.id)).expect("its directory");
        eventually("the end of the creation", || {
            flock(&state, FlockOperation::NonBlockingLockExclusive).ok()
        });
        drop(state);
        run.signal(Signal::STOP);
        case.runtime(&["delete", "--force", &case.id]).ok();
        let second = if status == "created" {
            case.create()
        } else {
            case.start()
        };
        if status == "stopped" {
            case.runtime(&["kill", &case.id, "KILL"]).ok();
            eventually("its end", || (case.status() == "stopped").then_some(()));
        }
        run.signal(Signal::CONT);
        assert_eq!(run.wait().code, 137, "{status}");
        assert_eq!(case.status(), status);
        case.runtime(&["delete", "--force", &case.id]).ok();
        case.reap(second);
    }
}

#[test]
fn a_payload_that_exits_at_once_is_not_lost() {
    let Some(case) = case_with(|c| script(c, "exit 5")) else {
        return;
    };
    for _ in 0..20 {
        assert_eq!(case.run().code, 5);
    }
    case.assert_clean();
}

#[test]
fn processes_left_in_the_background_end_with_the_container() {
    let Some(case) = case_with(|c| script(c, "sleep 7200 & exit 0")) else {
        return;
    };
    case.run().ok();
    case.assert_clean();
}

#[test]
fn standard_streams_closed_by_the_caller_do_no_harm() {
    let Some(case) = case_with(|c| script(c, "exit 6")) else {
        return;
    };
    let run = case.command(&["run", &case.id]);
    let line = format!(
        "exec {} {} <&- >&- 2>&-",
        run.get_program().to_string_lossy(),
        run.get_args()
            .map(|a| a.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    );
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &line]).current_dir(case.bundle());
    assert_eq!(
        spawn(shell, &case.path("output"), Stdio::null())
            .wait()
            .code,
        6
    );
}

#[test]
fn a_bundle_may_be_given_in_any_spelling() {
    let Some(case) = case() else { return };
    let bundle = text(&case.bundle());
    case.configure(|c| script(c, "exit 0"));
    for flags in [
        vec!["run", "--bundle", &bundle],
        vec!["run", &format!("--bundle={bundle}")],
        vec!["run", "-b", &bundle],
        vec!["run", "-bundle", &bundle],
    ] {
        let args = [flags, vec![case.id.as_str()]].concat();
        case.runtime(&args).ok();
    }
}
