//! Hooks: each kind in its namespaces, at its moment, with the state on stdin and no environment but its own.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;
use std::time::Instant;

use oci_runtime_integration::bundle::{push, script};
use oci_runtime_integration::case::{Case, case, text};
use oci_runtime_integration::host;
use oci_runtime_integration::rootfs;
use oci_runtime_integration::runtime::{binary, eventually, only_ocirun};
use serde_json::{Value, json};

const KINDS: [&str; 6] = [
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
];

/// A hook that runs a script of the host's shell, or of the container's where it runs there.
fn hook(kind: &str, commands: &str) -> Value {
    let path = if kind == "startContainer" {
        "/bin/sh"
    } else {
        "/bin/busybox"
    };
    let name = if kind == "startContainer" {
        "sh"
    } else {
        "busybox"
    };
    let args = if kind == "startContainer" {
        vec![name, "-c", commands]
    } else {
        vec![name, "sh", "-c", commands]
    };
    json!({"path": path, "args": args, "env": ["ONLY=this", "PATH=/bin:/usr/bin"]})
}

/// Has `directory` of the case under /out of the container too, and adds hooks that write there.
fn configure(case: &Case, hooks: &[(&str, Value)]) {
    let out = case.path("out");
    fs::create_dir_all(&out).expect("a directory for what hooks write");
    case.configure(|c| {
        push(
            c,
            "/mounts",
            json!({"destination": "/tmp", "type": "bind", "source": text(&out),
            "options": ["bind"]}),
        );
        c["annotations"] = json!({"org.example.a": "b \"c\""});
        c["hooks"] = json!({});
        for (kind, hook) in hooks {
            if c["hooks"][kind].is_null() {
                c["hooks"][kind] = json!([]);
            }
            push(c, &format!("/hooks/{kind}"), hook.clone());
        }
    });
}

/// What a recording hook writes: state, environment, and namespaces, each to its own file.
fn recorder(case: &Case, kind: &str) -> Value {
    let out = if kind == "startContainer" {
        "/tmp".to_owned()
    } else {
        text(&case.path("out"))
    };
    let commands = format!(
        "cat > {out}/{kind}.state; env > {out}/{kind}.env; for n in mnt pid net uts; do readlink /proc/self/ns/$n; done \
         > {out}/{kind}.ns; echo {kind} >> {out}/order; ls -d /bin/busybox > {out}/{kind}.root"
    );
    hook(kind, &commands)
}

fn out(case: &Case, name: &str) -> String {
    fs::read_to_string(case.path("out").join(name)).unwrap_or_default()
}

#[test]
fn every_kind_runs_once_in_its_place_and_order() {
    let Some(case) = case() else { return };
    if !only_ocirun("the state of some hooks differs") {
        return;
    }
    let hooks: Vec<_> = KINDS
        .iter()
        .map(|kind| (*kind, recorder(&case, kind)))
        .collect();
    configure(&case, &hooks);
    let init = case.create();
    assert_eq!(
        out(&case, "order"),
        "prestart\ncreateRuntime\ncreateContainer\n"
    );
    case.runtime(&["start", &case.id]).ok();
    assert_eq!(out(&case, "order").lines().count(), 5);
    let own: Vec<String> = ["mnt", "pid", "net", "uts"]
        .map(|n| host::namespace(std::process::id() as i32, n))
        .to_vec();
    let theirs: Vec<String> = ["mnt", "pid", "net", "uts"]
        .map(|n| host::namespace(init, n))
        .to_vec();
    for kind in ["prestart", "createRuntime", "poststart"] {
        assert_eq!(
            out(&case, &format!("{kind}.ns"))
                .lines()
                .collect::<Vec<_>>(),
            own,
            "{kind}"
        );
    }
    case.destroy();
    assert_eq!(out(&case, "order").lines().collect::<Vec<_>>(), KINDS);
    // /proc of the host does not know a process of the container's pid namespace: only what is not "self" is compared.
    let inner = out(&case, "startContainer.ns");
    assert_eq!(inner.lines().collect::<Vec<_>>(), theirs, "startContainer");
    for kind in KINDS {
        check_state(&case, kind, init);
        let mut env: Vec<String> = out(&case, &format!("{kind}.env"))
            .lines()
            .map(str::to_owned)
            .collect();
        // The shell adds these itself.
        env.retain(|line| {
            !["PWD=", "SHLVL=", "OLDPWD="]
                .iter()
                .any(|name| line.starts_with(name))
        });
        env.sort();
        assert_eq!(env, ["ONLY=this", "PATH=/bin:/usr/bin"], "{kind}");
    }
}

fn check_state(case: &Case, kind: &str, init: i32) {
    let state: Value =
        serde_json::from_str(&out(case, &format!("{kind}.state"))).expect("the state is JSON");
    let (status, pid) = match kind {
        "prestart" | "createRuntime" => ("creating", json!(init)),
        "createContainer" => ("creating", json!(1)),
        "startContainer" => ("created", json!(1)),
        "poststart" => ("running", json!(init)),
        _ => ("stopped", Value::Null),
    };
    assert_eq!(state["status"], status, "{kind}");
    assert_eq!(state["pid"], pid, "{kind}");
    assert_eq!(state["id"], case.id, "{kind}");
    assert_eq!(state["bundle"], text(&case.bundle()), "{kind}");
    assert_eq!(state["annotations"]["org.example.a"], "b \"c\"", "{kind}");
}

#[test]
fn a_failing_hook_ends_the_creation_with_its_status_and_stderr() {
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let Some(case) = case() else { return };
        configure(
            &case,
            &[
                (kind, hook(kind, "echo because >&2; exit 3")),
                ("poststop", recorder(&case, "poststop")),
            ],
        );
        let create = case.try_create(&[]);
        assert_eq!(create.code, 1, "{kind}: {create:?}");
        assert!(
            create.stderr.contains("exit status 3")
                && create.stderr.contains("because")
                && !create.stderr.contains("EPROTO"),
            "{kind}: {create:?}"
        );
        if only_ocirun("says it otherwise") {
            assert!(
                create.stderr.contains(&format!("/hooks/{kind}/0")),
                "{kind}: {create:?}"
            );
        }
        case.assert_clean();
    }
}

#[test]
fn a_failing_start_container_hook_is_an_error_of_start() {
    let Some(case) = case() else { return };
    if !only_ocirun("does not tell start") {
        return;
    }
    configure(
        &case,
        &[("startContainer", hook("startContainer", "exit 9"))],
    );
    let init = case.create();
    let start = case.runtime(&["start", &case.id]);
    assert_eq!(start.code, 1, "{start:?}");
    assert!(
        start.stderr.contains("exit status 9") && start.stderr.contains("/hooks/startContainer/0"),
        "{start:?}"
    );
    eventually("the end of the container", || {
        (case.status() == "stopped").then_some(())
    });
    case.reap(init);
}

#[test]
fn failures_after_the_start_are_only_warnings() {
    let Some(case) = case() else { return };
    if !only_ocirun("kills the container") {
        return;
    }
    configure(
        &case,
        &[
            ("poststart", hook("poststart", "exit 1")),
            ("poststart", recorder(&case, "poststart")),
            ("poststop", json!({"path": "/no/such/hook"})),
            ("poststop", recorder(&case, "poststop")),
        ],
    );
    case.start();
    assert_eq!(case.status(), "running");
    case.destroy();
    assert_eq!(out(&case, "order"), "poststart\npoststop\n");
}

#[test]
fn a_hook_that_takes_too_long_is_killed_with_its_group() {
    for kind in ["createRuntime", "createContainer"] {
        let Some(case) = case() else { return };
        let pids = text(&case.path("out/pids"));
        let mut slow = hook(
            kind,
            &format!("sleep 731 & echo $! > {pids}; trap '' TERM; sleep 731"),
        );
        slow["timeout"] = json!(1);
        configure(&case, &[(kind, slow)]);
        let begin = Instant::now();
        let create = case.try_create(&[]);
        assert_eq!(create.code, 1, "{kind}: {create:?}");
        let took = begin.elapsed().as_secs();
        assert!((1..30).contains(&took), "{kind} took {took} s");
        eventually("the end of the hook's own child", || {
            let sleeps = host::pids().into_iter().any(|pid| {
                fs::read(format!("/proc/{pid}/cmdline"))
                    .unwrap_or_default()
                    .starts_with(b"sleep\x00731")
            });
            (!sleeps).then_some(())
        });
        case.assert_clean();
    }
}

/// Neither a large state that nobody reads nor a lot on stderr may block; and a daemon that a hook leaves is its own affair.
#[test]
fn a_hook_may_ignore_its_stdin_and_talk_a_lot() {
    let Some(case) = case() else { return };
    for kind in ["createRuntime", "createContainer"] {
        let talk = "exec <&-; dd if=/dev/zero bs=1k count=300 2>/dev/null >&2; true";
        configure(&case, &[(kind, hook(kind, talk))]);
        case.create();
        case.destroy();
    }
}

#[test]
fn a_hook_gets_no_descriptor_of_the_runtime() {
    let Some(case) = case() else { return };
    let list = text(&case.path("out/fds"));
    for kind in ["createRuntime", "createContainer"] {
        configure(
            &case,
            &[(kind, hook(kind, &format!("ls /proc/self/fd > {list}")))],
        );
        case.create();
        // Beside stdio only the descriptor that ls itself reads the directory by.
        assert_eq!(out(&case, "fds"), "0\n1\n2\n3\n", "{kind}");
        assert!(case.path("out/fds").metadata().expect("the list").size() > 0);
        case.destroy();
    }
}

#[test]
fn the_payload_does_not_run_before_start_container_hooks() {
    let Some(case) = case() else { return };
    configure(
        &case,
        &[(
            "startContainer",
            hook("startContainer", "sleep 0.1; echo hook >> /tmp/order"),
        )],
    );
    case.configure(|c| {
        push(c, "/mounts", json!({"destination": "/tmp", "type": "bind", "source": text(&case.path("out")), "options": ["bind"]}));
        c["hooks"] = json!({"startContainer": [hook("startContainer", "sleep 0.1; echo hook >> /tmp/order")]});
        script(c, "echo payload >> /tmp/order");
    });
    case.run().ok();
    assert_eq!(out(&case, "order"), "hook\npayload\n");
}

/// Tools that add to a container from a hook, as those for graphics cards do, look for its root where the bundle has it: in its
/// mount namespace, with its mounts in place.
#[test]
fn hooks_find_the_root_with_its_mounts_where_the_bundle_has_it() {
    let Some(case) = case() else { return };
    let root = text(&case.own_rootfs());
    let found = text(&case.path("out/found"));
    let look = format!(
        "grep -c ' {root}/proc ' /proc/self/mountinfo > {found}; mount -t tmpfs added {root}/tmp"
    );
    configure(
        &case,
        &[("createContainer", hook("createContainer", &look))],
    );
    case.configure(|c| {
        c["root"]["path"] = json!("rootfs");
        c["hooks"] = json!({"createContainer": [hook("createContainer", &look)]});
    });
    let init = case.start();
    assert_eq!(out(&case, "found").trim(), "1");
    let mounts = fs::read_to_string(host::proc_path(init, "mountinfo")).expect("mountinfo");
    assert!(
        mounts
            .lines()
            .any(|line| line.contains(" /tmp ") && line.contains(" added ")),
        "{mounts}"
    );
}

/// Engines' hooks name files beside config.json by what they are called there, wherever the runtime itself was called.
#[test]
fn hooks_of_the_runtime_s_namespaces_work_in_the_bundle() {
    let Some(case) = case() else { return };
    if !only_ocirun("runc deletes, and crun has hooks of the container, elsewhere") {
        return;
    }
    let write_place = |kind: &str| {
        let out = match kind {
            "startContainer" => "/tmp".to_owned(),
            _ => text(&case.path("out")),
        };
        hook(kind, &format!("pwd > {out}/{kind}.cwd"))
    };
    let hooks = KINDS.map(|kind| (kind, write_place(kind)));
    configure(&case, &hooks);
    let elsewhere = |words: &[String]| {
        let mut command = case.command(words);
        let status = command.current_dir("/").stdout(Stdio::null()).status();
        assert!(status.expect("the runtime").success(), "{words:?}");
    };
    elsewhere(&case.words_of_create(&[]));
    let init = case.init_from_pid_file();
    elsewhere(&["start".to_owned(), case.id.clone()]);
    case.await_payload(init);
    case.kill(init);
    elsewhere(&["delete".to_owned(), case.id.clone()]);
    let root = text(rootfs::shared());
    for kind in KINDS {
        let expected = match kind {
            "createContainer" => root.clone(),
            "startContainer" => "/".to_owned(),
            _ => text(&case.bundle()),
        };
        assert_eq!(
            out(&case, &format!("{kind}.cwd")).trim(),
            expected,
            "{kind}"
        );
    }
}

/// An engine may have removed the bundle by the time that the container is deleted.
#[test]
fn without_a_bundle_the_last_hooks_run_all_the_same() {
    let Some(case) = case() else { return };
    let place = text(&case.path("out"));
    configure(
        &case,
        &[(
            "poststop",
            hook("poststop", &format!("echo ran > {place}/ran")),
        )],
    );
    let init = case.start();
    case.kill(init);
    fs::rename(case.bundle(), case.path("moved")).expect("the bundle goes");
    let mut delete = case.command(&["delete", case.id.as_str()]);
    let deleted = delete.current_dir("/").status();
    fs::rename(case.path("moved"), case.bundle()).expect("the bundle is back");
    assert!(deleted.expect("the runtime").success());
    assert_eq!(out(&case, "ran"), "ran\n");
}

/// The end of the first process is not the beginning of its program.
#[test]
fn a_container_that_is_killed_in_its_hook_was_not_started() {
    let Some(case) = case() else { return };
    if !only_ocirun("takes it for a start") {
        return;
    }
    let begun = text(&case.path("out/begun"));
    configure(
        &case,
        &[
            (
                "startContainer",
                hook("startContainer", "echo > /tmp/hook; sleep 60"),
            ),
            ("poststart", hook("poststart", &format!("echo > {begun}"))),
        ],
    );
    let init = case.create();
    let starting = case.spawn(&["start", &case.id]);
    eventually("the hook", || case.path("out/hook").exists().then_some(()));
    case.runtime(&["kill", &case.id, "KILL"]).ok();
    let start = starting.wait();
    assert_eq!(start.code, 1, "{start:?}");
    assert!(!case.path("out/begun").exists(), "poststart hooks ran");
    case.reap(init);
}

#[test]
fn a_container_whose_hook_hangs_can_be_deleted_by_force() {
    let Some(case) = case() else { return };
    if !only_ocirun("waits for ever") {
        return;
    }
    configure(
        &case,
        &[(
            "startContainer",
            hook("startContainer", "echo > /tmp/hook; exec sleep 7203"),
        )],
    );
    let init = case.create();
    let starting = case.spawn(&["start", &case.id]);
    eventually("the hook", || case.path("out/hook").exists().then_some(()));
    case.runtime(&["delete", "--force", &case.id]).ok();
    assert_eq!(starting.wait().code, 1);
    case.reap(init);
    case.assert_clean();
}

#[test]
fn a_caller_that_ignores_its_children_gets_its_hooks_run_all_the_same() {
    let Some(case) = case() else { return };
    configure(&case, &[("createRuntime", hook("createRuntime", "true"))]);
    case.configure(|c| {
        c["hooks"] = json!({"createRuntime": [hook("createRuntime", "true")]});
        script(c, "exit 7");
    });
    let run = format!(
        "trap '' CHLD; exec {} --root {} run --bundle {} {}",
        text(&binary()),
        text(&case.path("state")),
        text(&case.bundle()),
        case.id
    );
    let output = std::process::Command::new("sh")
        .args(["-ec", &run])
        .output()
        .expect("sh");
    assert_eq!(output.status.code(), Some(7), "{output:?}");
}

/// The limits are the payload's: a hook that writes a file, or starts programs, does so before they are set.
#[test]
fn limits_of_the_payload_do_not_bind_its_hooks() {
    let Some(case) = case() else { return };
    if !only_ocirun("sets them before") {
        return;
    }
    let commands = "echo written > /tmp/written && (echo forked | cat > /tmp/forked)";
    fs::create_dir_all(case.path("out")).expect("a directory for what hooks write");
    case.configure(|c| {
        let bind = json!({"destination": "/tmp", "type": "bind", "source": text(&case.path("out")), "options": ["bind"]});
        push(c, "/mounts", bind);
        c["hooks"] = json!({"startContainer": [hook("startContainer", commands)]});
        c["process"]["rlimits"] = json!([
            {"type": "RLIMIT_FSIZE", "soft": 0, "hard": 0},
            {"type": "RLIMIT_NOFILE", "soft": 5, "hard": 5},
            {"type": "RLIMIT_NPROC", "soft": 1, "hard": 1},
        ]);
    });
    let init = case.start();
    assert_eq!(out(&case, "written"), "written\n");
    assert_eq!(out(&case, "forked"), "forked\n");
    for (name, value) in [
        ("Max file size", "0"),
        ("Max open files", "5"),
        ("Max processes", "1"),
    ] {
        let found = &host::limits(init)[name];
        assert_eq!(*found, (value.to_owned(), value.to_owned()), "{name}");
    }
}
