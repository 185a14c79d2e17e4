//! Every flag of every command, as the command's own help has them: one whose value is no good is an error that names the flag
//! and the value. A flag without a row here fails the test.

use oci_runtime_integration::case::{Case, case, case_with, text};
use oci_runtime_integration::runtime::only_ocirun;
use serde_json::json;

/// Command, flag, and values that it cannot have: by their form, out of range, a word that means nothing, or a file that is not
/// there or is of no use. `HERE` is the case's directory.
const ROWS: &[(&str, &str, &[&str])] = &[
    ("", "root", &["/", "/dev/null"]),
    ("", "log", &["/nonexistent/log", "/"]),
    ("", "log-format", &["xml", "JSON"]),
    ("", "rootless", &["perhaps", "2"]),
    // Nothing is done with it.
    ("", "criu", &[]),
    ("", "cgroup-manager", &["systemf", "Systemd"]),
    (
        "create",
        "bundle",
        &["/nonexistent", "/dev/null", "HERE/state"],
    ),
    ("create", "config", &["/nonexistent", "/", "/dev/null"]),
    ("create", "console-socket", &["/nonexistent", "/dev/null"]),
    ("create", "pidfd-socket", &["/nonexistent", "/dev/null"]),
    ("create", "pid-file", &["/nonexistent/pid", "/dev/null/pid"]),
    ("create", "preserve-fds", &["x", "-1", "1.5", "90", "70000"]),
    (
        "run",
        "bundle",
        &["/nonexistent", "/dev/null", "HERE/state"],
    ),
    ("run", "config", &["/nonexistent", "/", "/dev/null"]),
    ("run", "console-socket", &["/nonexistent", "/dev/null"]),
    ("run", "pidfd-socket", &["/nonexistent", "/dev/null"]),
    ("run", "pid-file", &["/nonexistent/pid", "/dev/null/pid"]),
    ("run", "preserve-fds", &["x", "-1", "90"]),
    (
        "run",
        "seccomp-record",
        &["/nonexistent/profile", "/", "/etc/passwd"],
    ),
    ("exec", "console-socket", &["/nonexistent", "/dev/null"]),
    ("exec", "pidfd-socket", &["/nonexistent", "/dev/null"]),
    ("exec", "cwd", &["relative", "/nonexistent"]),
    ("exec", "env", &["NAME"]),
    ("exec", "user", &["root", "-1", "0:x", "4294967295"]),
    ("exec", "additional-gids", &["wheel", "-1", "4294967296"]),
    (
        "exec",
        "process",
        &["/nonexistent", "/", "/etc/passwd", "HERE/process"],
    ),
    ("exec", "pid-file", &["/nonexistent/pid", "/dev/null/pid"]),
    ("exec", "process-label", &["no:such:label"]),
    ("exec", "apparmor", &["no-such-profile"]),
    ("exec", "cap", &["kill", "CAP_"]),
    ("exec", "preserve-fds", &["x", "-1", "90"]),
    (
        "exec",
        "cgroup",
        &["nonexistent", "../up", "nothing:nonexistent"],
    ),
    (
        "exec",
        "seccomp-record",
        &["/nonexistent/profile", "/", "/etc/passwd"],
    ),
    ("list", "format", &["xml"]),
    ("ps", "format", &["xml"]),
    ("events", "interval", &["x", "0s", "-1s", "5"]),
    ("update", "resources", &["/nonexistent", "/", "/etc/passwd"]),
    ("update", "blkio-weight", &["x", "-1", "5", "70000"]),
    ("update", "cpu-period", &["x", "-1", "5"]),
    ("update", "cpu-quota", &["x", "1.5", "5"]),
    ("update", "cpu-burst", &["x", "-1"]),
    ("update", "cpu-share", &["x", "-1"]),
    ("update", "cpu-rt-period", &["x", "-1"]),
    ("update", "cpu-rt-runtime", &["x", "1.5"]),
    ("update", "cpuset-cpus", &["x", "70000"]),
    ("update", "cpuset-mems", &["x", "70000"]),
    ("update", "cpu-idle", &["x", "7", "-1"]),
    ("update", "memory", &["x", "-5", "1", "9999999999t"]),
    ("update", "memory-reservation", &["x", "-5", "1.2.3"]),
    ("update", "memory-swap", &["x", "-5"]),
    ("update", "pids-limit", &["x", "1.5"]),
    ("update", "l3-cache-schema", &["x"]),
    ("update", "mem-bw-schema", &["x"]),
    // These two are not shown.
    ("update", "kernel-memory", &["x", "-5"]),
    ("update", "kernel-memory-tcp", &["x", "-5"]),
    ("spec", "bundle", &["/nonexistent", "/dev/null"]),
    (
        "plan",
        "bundle",
        &["/nonexistent", "/dev/null", "HERE/state"],
    ),
    ("plan", "format", &["xml", "bpf"]),
    ("seccomp", "format", &["xml"]),
];

/// The flags that a help text shows, and whether each takes a value.
fn shown(help: &str) -> Vec<(String, bool)> {
    let flags = help.split("\nFlags:\n").nth(1).unwrap_or_default();
    let lines = flags.lines().take_while(|line| !line.is_empty());
    let flag = |line: &str| {
        let said = line.split_once("--").expect("a flag").1;
        // The help comes behind 24 letters, or right after what is longer.
        let column = said.get(..24).unwrap_or(said).trim_end();
        let name = said.split(' ').next().unwrap_or_default();
        (name.to_owned(), column.contains(' '))
    };
    lines.map(flag).collect()
}

/// The verbs that an overview shows, without those that say that they are not there yet.
fn verbs(overview: &str) -> Vec<String> {
    let (_, list) = overview.split_once("\nCommands:\n").expect("commands");
    let lines = list.lines().take_while(|line| !line.is_empty());
    let built = lines.filter(|line| !line.ends_with("(not built in yet)"));
    built
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// What follows the flag.
fn rest(verb: &str, flag: &str, case: &Case) -> Vec<String> {
    let words: &[&str] = match (verb, flag) {
        ("", _) => &["create", "ID-new"],
        ("create" | "run", _) => &["ID-new"],
        ("exec", "process") => &["ID"],
        ("exec", "console-socket") => &["--tty", "--detach", "ID", "true"],
        ("exec", _) => &["ID", "true"],
        ("kill" | "delete" | "events" | "update" | "ps", _) => &["ID"],
        ("seccomp", _) => &["explain", "HERE/bundle/config.json"],
        _ => &[],
    };
    let fill = |word: &&str| {
        word.replace("ID", &case.id)
            .replace("HERE", &text(&case.path("")))
    };
    words.iter().map(fill).collect()
}

fn refused(case: &Case, verb: &str, flag: &str, value: &str) {
    let given = format!("--{flag}={value}");
    let verb_words = if verb.is_empty() {
        vec![]
    } else {
        vec![verb.to_owned()]
    };
    let words = [verb_words, vec![given], rest(verb, flag, case)].concat();
    let run = case.runtime(&words);
    let says = format!("invalid value {value:?} for flag --{flag}");
    let plain = run.stderr.replace("\\\"", "\"");
    assert!(run.code != 0 && plain.contains(&says), "{words:?}: {run:?}");
}

#[test]
fn a_bad_value_of_any_flag_is_told_with_the_flag() {
    let Some(case) = case() else { return };
    if !only_ocirun("has words of its own") {
        return;
    }
    case.start();
    // Of a process, and with something that cannot be.
    let process =
        json!({"cwd": "/", "args": ["true"], "user": {"uid": 0, "gid": 0, "umask": 70000}});
    std::fs::write(case.path("process"), process.to_string()).expect("a process");
    let terminal = case_with(|c| c["process"]["terminal"] = json!(true));
    let (Some(terminal), Some(other)) = (terminal, case_with(|_| ())) else {
        return;
    };
    for (verb, flag, values) in ROWS {
        for value in *values {
            let value = value.replace("HERE/", &text(&case.path("")));
            match (*verb, *flag) {
                // It is asked for where there is one to send.
                ("create", "console-socket") => refused(&terminal, verb, flag, &value),
                ("run", "console-socket") => {
                    let words = ["run", "--detach", "--console-socket", &value, "ID-new"];
                    let says = format!("invalid value {value:?} for flag --console-socket");
                    terminal.runtime(&words).failed(1, &[&says]);
                }
                ("create" | "run", _) => refused(&other, verb, flag, &value),
                _ => refused(&case, verb, flag, &value),
            }
        }
    }
    assert_eq!(case.status(), "running");
}

#[test]
fn every_flag_is_judged() {
    let Some(case) = case() else { return };
    if !only_ocirun("has flags of its own") {
        return;
    }
    let overview = case.runtime(&["--help"]).ok().stdout;
    let mut all = vec![(String::new(), shown(&overview))];
    for verb in verbs(&overview) {
        let help = case.runtime(&[&verb, "--help"]).ok().stdout;
        all.push((verb, shown(&help)));
    }
    assert!(all.len() > 15, "{all:?}");
    for (verb, flags) in &all {
        for (flag, takes_value) in flags {
            let has_row = ROWS.iter().any(|row| (row.0, row.1) == (verb, flag));
            assert_eq!(has_row, *takes_value, "rows of {verb:?} --{flag}");
            if !takes_value {
                refused(&case, verb, flag, "perhaps");
            }
        }
    }
}
