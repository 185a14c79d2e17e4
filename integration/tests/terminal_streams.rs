//! A terminal for the payload, and something else at the caller's end: pipes, /dev/null, and readers who do not read.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use oci_runtime_integration::bundle::{args, script};
use oci_runtime_integration::case::{self, Case};
use oci_runtime_integration::console::Terminal;
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{eventually, only_ocirun, wait_child};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The longest that one of these may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Writes more than any buffer holds, and ends at SIGTERM.
const FLOOD: &str = "trap 'exit 6' TERM; echo ready; yes & while :; do sleep 0.05; done";

/// Peers give no terminal to a payload whose caller has none, or none that takes what comes.
fn case_with(edit: impl FnOnce(&mut Value)) -> Option<Case> {
    only_ocirun("a terminal with something else at the caller's end")
        .then(|| case::case_with(edit))
        .flatten()
}

fn case_on_a_terminal(edit: impl FnOnce(&mut Value)) -> Option<Case> {
    case_with(|c| {
        c["process"]["terminal"] = true.into();
        edit(c);
    })
}

fn pipes(mut command: Command, stdin: Stdio) -> Child {
    let command = command.stdin(stdin).stdout(Stdio::piped());
    command.spawn().expect("the runtime")
}

/// Everything on stdout, and the exit code.
fn collect(mut child: Child) -> (Vec<u8>, Option<i32>) {
    let mut stdout = child.stdout.take().expect("stdout");
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).expect("read stdout");
        bytes
    });
    let code = wait_child(&mut child, LIMIT);
    (reader.join().expect("the reader"), code)
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("kill the runtime");
}

/// The payload has ended and its output waits for a reader: the runtime stays until it is told twice.
fn stays_until_told_twice(case: &Case, child: &mut Child) {
    signal(child, Signal::TERM);
    eventually("the end of the payload", || {
        (case.status() == "stopped").then_some(())
    });
    thread::sleep(Duration::from_millis(300));
    assert_eq!(child.try_wait().expect("wait"), None, "output is left");
    signal(child, Signal::TERM);
    assert_eq!(wait_child(child, LIMIT), Some(6));
}

#[test]
fn a_burst_arrives_whole_at_a_slow_reader() {
    const SIZE: usize = 10 << 20;
    let burst = "dd if=/dev/zero bs=64k count=160 2>/dev/null; echo END";
    let Some(case) = case_on_a_terminal(|c| script(c, burst)) else {
        return;
    };
    let child = pipes(case.command(&["run", &case.id]), Stdio::null());
    thread::sleep(Duration::from_millis(500));
    let (bytes, code) = collect(child);
    assert_eq!((bytes.len(), code), (SIZE + 5, Some(0)));
    assert!(bytes[..SIZE].iter().all(|byte| *byte == 0));
    assert_eq!(&bytes[SIZE..], b"END\r\n");
    case.assert_clean();
}

#[test]
fn a_reader_who_does_not_read_holds_up_the_output_and_not_the_signals() {
    let Some(case) = case_on_a_terminal(|c| script(c, FLOOD)) else {
        return;
    };
    let mut child = pipes(case.command(&["run", &case.id]), Stdio::null());
    let mut stdout = child.stdout.take().expect("stdout");
    let mut line = [0; 7];
    stdout.read_exact(&mut line).expect("the first line");
    assert_eq!(&line, b"ready\r\n");
    thread::sleep(Duration::from_millis(300));
    stays_until_told_twice(&case, &mut child);
    case.assert_clean();
}

#[test]
fn a_terminal_that_nobody_reads_holds_up_the_output_and_not_the_signals() {
    let Some(case) = case_on_a_terminal(|c| script(c, FLOOD)) else {
        return;
    };
    let mut terminal = Terminal::new(24, 80);
    let before = terminal.modes().local_modes;
    let mut child = terminal.run(&case.command(&["run", &case.id]));
    terminal.says("ready");
    thread::sleep(Duration::from_millis(300));
    stays_until_told_twice(&case, &mut child);
    assert_eq!(terminal.modes().local_modes, before, "modes restored");
    case.assert_clean();
}

#[test]
fn a_run_that_ends_late_leaves_another_container_by_its_id_alone() {
    let Some(case) = case_on_a_terminal(|c| script(c, FLOOD)) else {
        return;
    };
    let mut terminal = Terminal::new(24, 80);
    let mut child = terminal.run(&case.command(&["run", &case.id]));
    terminal.says("ready");
    thread::sleep(Duration::from_millis(300));
    signal(&child, Signal::TERM);
    eventually("the end of the payload", || {
        (case.status() == "stopped").then_some(())
    });
    case.runtime(&["delete", &case.id]).ok();
    case.configure(|_| ());
    let init = case.start();
    signal(&child, Signal::TERM);
    assert_eq!(wait_child(&mut child, LIMIT), Some(6));
    assert_eq!(
        (case.status().as_str(), host::alive(init)),
        ("running", true)
    );
}

#[test]
fn a_reader_who_leaves_takes_the_terminal_away() {
    let Some(case) = case_on_a_terminal(|c| args(c, &["yes"])) else {
        return;
    };
    let mut child = pipes(case.command(&["run", &case.id]), Stdio::null());
    let mut stdout = child.stdout.take().expect("stdout");
    stdout.read_exact(&mut [0; 100]).expect("some output");
    drop(stdout);
    // The payload gets SIGHUP, which a first process may outlive, and then an error when it writes.
    let code = wait_child(&mut child, LIMIT);
    assert!(matches!(code, Some(1 | 129)), "{code:?}");
    case.assert_clean();
}

#[test]
fn without_input_there_is_output() {
    let Some(case) = case_on_a_terminal(|c| script(c, "echo hi; tty; exit 3")) else {
        return;
    };
    let run = case.run();
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (3, "hi\r\n/dev/pts/0\r\n"),
        "{}",
        run.stderr
    );
    case.assert_clean();
}

#[test]
fn the_end_of_a_pipe_ends_the_input_even_in_the_middle_of_a_line() {
    let Some(case) = case_on_a_terminal(|c| args(c, &["cat"])) else {
        return;
    };
    let mut child = pipes(case.command(&["run", &case.id]), Stdio::piped());
    let mut stdin = child.stdin.take().expect("stdin");
    stdin.write_all(b"one\ntwo").expect("write to stdin");
    drop(stdin);
    let (bytes, code) = collect(child);
    let text = String::from_utf8_lossy(&bytes);
    // Each is there twice: the terminal echoes what cat repeats.
    let count = |word| text.matches(word).count();
    assert_eq!(
        (count("one"), count("two"), code),
        (2, 2, Some(0)),
        "{text:?}"
    );
}

#[test]
fn output_goes_on_when_the_input_has_ended() {
    let lines = "read x; echo got $x; sleep 0.3; echo later; exit 8";
    let Some(case) = case_on_a_terminal(|c| script(c, lines)) else {
        return;
    };
    let mut child = pipes(case.command(&["run", &case.id]), Stdio::piped());
    let mut stdin = child.stdin.take().expect("stdin");
    stdin.write_all(b"it\n").expect("write to stdin");
    drop(stdin);
    let (bytes, code) = collect(child);
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.ends_with("got it\r\nlater\r\n"), "{text:?}");
    assert_eq!(code, Some(8));
}

#[test]
fn input_that_nobody_reads_does_no_harm() {
    let Some(case) = case_with(|_| ()) else {
        return;
    };
    case.start();
    let command = case.command(&["exec", "-t", &case.id, "sh", "-c", "sleep 0.5; exit 9"]);
    let mut child = pipes(command, Stdio::piped());
    let mut stdin = child.stdin.take().expect("stdin");
    let writer = thread::spawn(move || stdin.write_all(&b"x\n".repeat(2 << 20)));
    let (_, code) = collect(child);
    assert_eq!(code, Some(9));
    let written = writer.join().expect("the writer");
    assert!(written.is_err(), "more than the buffers hold was taken");
}

#[test]
fn a_job_in_the_background_does_not_keep_exec() {
    let Some(case) = case_with(|_| ()) else {
        return;
    };
    case.start();
    let left = "trap '' HUP; sleep 7200 & echo z";
    let run = case.exec(&["-t"], &["sh", "-c", left]).ok();
    assert_eq!(run.stdout, "z\r\n");
}

#[test]
fn a_terminal_that_was_closed_can_be_opened_again() {
    let Some(case) = case_with(|_| ()) else {
        return;
    };
    case.start();
    let again = "T=$(tty); exec >/dev/null 2>&1 </dev/null; sleep 0.3; echo again >$T";
    let run = case.exec(&["-t"], &["sh", "-c", again]).ok();
    assert_eq!(run.stdout, "again\r\n");
}

#[test]
fn a_signal_to_the_runtime_reaches_a_payload_on_a_terminal() {
    let catcher = "trap 'echo GOT; exit 4' TERM; echo ready; while :; do sleep 0.05; done";
    let Some(case) = case_on_a_terminal(|c| script(c, catcher)) else {
        return;
    };
    let mut terminal = Terminal::new(24, 80);
    let before = terminal.modes().local_modes;
    let mut child = terminal.run(&case.command(&["run", &case.id]));
    terminal.says("ready");
    signal(&child, Signal::TERM);
    terminal.says("GOT");
    assert_eq!(wait_child(&mut child, LIMIT), Some(4));
    assert_eq!(terminal.modes().local_modes, before, "modes restored");
    case.assert_clean();
}

#[test]
fn a_terminal_begins_with_the_size_of_the_caller_s() {
    let Some(case) = case_on_a_terminal(|c| args(c, &["stty", "size"])) else {
        return;
    };
    // Many times, since a size that came a moment too late would be seen only by a quick payload.
    for _ in 0..20 {
        let run = case.command(&["run", &case.id]);
        assert_eq!(first_line_on(33, 111, &run), "33 111");
    }
    case.configure(|_| ());
    case.start();
    for _ in 0..20 {
        let exec = case.command(&["exec", "-t", &case.id, "stty", "size"]);
        assert_eq!(first_line_on(34, 112, &exec), "34 112");
    }
}

/// What `command` says on a terminal of this size.
fn first_line_on(rows: u16, columns: u16, command: &Command) -> String {
    let mut terminal = Terminal::new(rows, columns);
    let mut child = terminal.run(command);
    let said = terminal.says("\r\n").to_owned();
    assert_eq!(wait_child(&mut child, LIMIT), Some(0), "{said:?}");
    said.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_size_in_the_configuration_counts_more_than_the_caller_s() {
    let sized = |c: &mut Value| {
        c["process"]["consoleSize"] = serde_json::json!({"height": 41, "width": 141});
        script(c, "sleep 0.2; stty size; echo end");
    };
    let Some(case) = case_on_a_terminal(sized) else {
        return;
    };
    let mut terminal = Terminal::new(24, 80);
    let mut child = terminal.run(&case.command(&["run", &case.id]));
    let said = terminal.says("end").to_owned();
    assert!(said.starts_with("41 141\r\n"), "{said:?}");
    assert_eq!(wait_child(&mut child, LIMIT), Some(0));
}
