//! What must hold when something goes wrong half-way: a command that is killed, a system call that fails, a state file
//! that is damaged, a cgroup that two containers share. Nothing may hang, no process may be lost sight of, and none may
//! be killed that belongs to another container. Faults come from strace(1), so each is at a known place.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use oci_runtime_integration::bundle::{script, without_namespace};
use oci_runtime_integration::case::{Case, case, case_with, text};
use oci_runtime_integration::cgroup;
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{eventually, only_ocirun, read, spawn};
use rustix::fs::SealFlags;

/// A case for what only our runtime promises.
fn ours(edit: impl FnOnce(&mut serde_json::Value)) -> Option<Case> {
    only_ocirun("a promise of its own").then(|| case_with(edit))?
}

fn plain(_: &mut serde_json::Value) {}

#[test]
fn a_damaged_state_is_no_reason_to_forget_what_runs() {
    let Some(case) = ours(plain) else { return };
    let init = case.start();
    let state = case.path("state").join(&case.id).join("state.json");
    for damage in [Some("{}"), Some(""), Some("{\"id\":"), None] {
        match damage {
            Some(bytes) => fs::write(&state, bytes).expect("damage the state"),
            None => fs::remove_file(&state).expect("remove the state"),
        }
        case.runtime(&["delete", &case.id])
            .failed(1, &["is damaged", "--force"]);
        assert!(host::alive(init), "killed with {damage:?}");
        assert!(state.parent().is_some_and(|d| d.exists()), "{damage:?}");
    }
    case.runtime(&["delete", "--force", &case.id]).ok();
    assert!(!host::alive(init), "nothing knows of it any more");
    case.reap(init);
    case.assert_clean();
}

/// How a file is opened is the C library's choice, and not every architecture has both calls.
const OPEN: &str = "?open,openat";

#[test]
fn a_state_that_cannot_be_read_now_is_kept() {
    let Some(case) = ours(plain) else { return };
    let init = case.start();
    let state = case.path("state").join(&case.id).join("state.json");
    for flags in [&["delete"][..], &["delete", "--force"]] {
        for fault in ["error=EMFILE", "error=EIO"] {
            let args = [flags, &[case.id.as_str()]].concat();
            let run = case.runtime_with_fault(OPEN, fault, Some(&state), &args);
            assert_eq!(run.code, 1, "{flags:?} {fault} {}", run.stderr);
            assert!(state.exists() && host::alive(init), "{flags:?} {fault}");
        }
    }
    assert_eq!(case.status(), "running");
}

#[test]
fn a_process_that_cannot_be_looked_at_now_has_not_stopped() {
    let Some(case) = ours(plain) else { return };
    let init = case.start();
    let stat = host::proc_path(init, "stat");
    let args = ["delete", case.id.as_str()];
    let run = case.runtime_with_fault(OPEN, "error=EMFILE", Some(&stat), &args);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(host::alive(init));
    assert_eq!(case.status(), "running");
}

#[test]
fn deleting_a_container_that_never_got_its_cgroup_spares_the_one_who_has_it() {
    let Some(case) = ours(plain) else { return };
    let init = case.start();
    let second = format!("{}-2", case.id);
    let bundle = text(&case.bundle());
    let create = ["create", "--bundle", &bundle, &second];
    // The FIFOs of the gate are made after the first state was saved, and before the cgroup.
    let run = case.runtime_with_fault("mknod,mknodat", "signal=KILL", None, &create);
    assert_eq!(run.code, -9, "{}", run.stderr);
    assert!(case.path("state").join(&second).join("state.json").exists());

    case.runtime(&["kill", "--all", &second, "KILL"]);
    assert!(
        host::alive(init),
        "kill --all of the second killed the first"
    );
    case.runtime(&["delete", "--force", &second]).ok();
    assert!(host::alive(init), "delete of the second killed the first");
    assert_eq!(case.status(), "running");
    assert!(!case.path("state").join(&second).exists());
}

/// Whether a cgroup may hold processes and have one below it that does. On v2 only where no controller is handed down.
fn cgroups_nest() -> bool {
    let nest = !std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    if !nest {
        eprintln!("not run: cgroup v2 keeps processes and controllers for children apart");
    }
    nest
}

/// Creates and starts one more container, in a cgroup below the case's own. Answers its id and pid.
fn nested(case: &Case) -> (String, i32) {
    let id = format!("{}-2", case.id);
    let path = format!("{}/child", case.cgroup);
    case.configure(|c| c["linux"]["cgroupsPath"] = path.into());
    let (bundle, pid_file) = (text(&case.bundle()), text(&case.path("pid")));
    case.runtime(&["create", "-b", &bundle, "--pid-file", &pid_file, &id])
        .ok();
    let init = case.init_from_pid_file();
    case.runtime(&["start", &id]).ok();
    (id, init)
}

#[test]
fn deleting_a_stopped_container_spares_another_one_below_its_cgroup() {
    if !cgroups_nest() {
        return;
    }
    let Some(case) = ours(plain) else { return };
    let outer = case.start();
    let (id, inner) = nested(&case);
    case.kill(outer);
    case.runtime(&["delete", &case.id])
        .failed(1, &[&inner.to_string()]);
    assert!(host::alive(inner), "delete of the outer killed the inner");
    case.runtime(&["delete", "--force", &id]).ok();
    case.reap(inner);
    case.runtime(&["delete", &case.id]).ok();
    case.assert_clean();
}

#[test]
fn deleting_a_container_that_was_not_started_spares_another_one_below_its_cgroup() {
    if !cgroups_nest() {
        return;
    }
    let Some(case) = ours(plain) else { return };
    let outer = case.create();
    let (id, inner) = nested(&case);
    let run = case.runtime(&["delete", &case.id]);
    assert!(host::alive(inner), "delete of the outer killed the inner");
    run.failed(1, &[&inner.to_string()]);
    case.reap(outer);
    case.runtime(&["delete", "--force", &id]).ok();
    case.reap(inner);
    case.runtime(&["delete", &case.id]).ok();
    case.assert_clean();
}

#[test]
fn what_outlives_the_first_process_goes_with_the_container_and_nobody_else() {
    if !cgroups_nest() {
        return;
    }
    let Some(case) = ours(|c| {
        without_namespace(c, "pid");
        script(c, "sleep 7201 & exec sleep 7200");
    }) else {
        return;
    };
    let outer = case.start();
    let left = eventually("the second process", || {
        let words = |pid: &i32| fs::read(host::proc_path(*pid, "cmdline")).unwrap_or_default();
        let ours = |pid: &i32| {
            fs::read_to_string(host::proc_path(*pid, "cgroup"))
                .is_ok_and(|text| text.contains(&format!("{}\n", case.cgroup)))
        };
        let mut pids = host::pids().into_iter();
        pids.find(|pid| words(pid) == b"sleep\x007201\0" && ours(pid))
    });
    let (id, inner) = nested(&case);
    case.kill(outer);
    assert!(host::alive(left), "no pid namespace ends it");
    case.runtime(&["delete", &case.id])
        .failed(1, &[&inner.to_string()]);
    assert!(!host::alive(left), "delete left a process of its own");
    assert!(host::alive(inner), "delete of the outer killed the inner");
    host::reap(left);
    case.runtime(&["delete", "--force", &id]).ok();
    case.reap(inner);
    case.runtime(&["delete", &case.id]).ok();
    case.assert_clean();
}

#[test]
fn deleting_a_stopped_container_spares_the_one_who_has_taken_its_cgroup() {
    let Some(case) = ours(|c| without_namespace(c, "pid")) else {
        return;
    };
    let first = case.start();
    case.kill(first);
    let id = format!("{}-2", case.id);
    let (bundle, pid_file) = (text(&case.bundle()), text(&case.path("pid")));
    case.runtime(&["create", "-b", &bundle, "--pid-file", &pid_file, &id])
        .ok();
    let second = case.init_from_pid_file();
    let run = case.runtime(&["delete", &case.id]);
    assert!(host::alive(second), "delete of the first killed the second");
    run.failed(1, &[&second.to_string()]);
    case.runtime(&["delete", "--force", &id]).ok();
    case.reap(second);
    case.runtime(&["delete", &case.id]).ok();
    case.assert_clean();
}

#[test]
fn a_traced_creation_is_started_like_any_other() {
    let Some(case) = ours(plain) else { return };
    let (bundle, pid_file) = (text(&case.bundle()), text(&case.path("pid")));
    let create = [
        "--debug",
        "create",
        "-b",
        &bundle,
        "--pid-file",
        &pid_file,
        &case.id,
    ];
    case.runtime(&create).ok();
    let init = case.init_from_pid_file();
    case.runtime(&["start", &case.id]).ok();
    case.await_payload(init);
    assert_eq!(case.status(), "running");
}

#[test]
fn a_start_that_was_killed_leaves_a_container_that_runs() {
    let Some(case) = ours(plain) else { return };
    let init = case.create();
    let directory = case.path("state").join(&case.id);
    let report = directory.join("report.fifo");
    let start = ["start", case.id.as_str()];
    let run = case.runtime_with_fault("read", "signal=KILL", Some(&report), &start);
    assert_eq!(run.code, -9, "{}", run.stderr);
    case.await_payload(init);
    assert_eq!(case.status(), "running");
    case.runtime(&["delete", &case.id])
        .failed(1, &["that is not stopped: running"]);
    case.runtime(&start)
        .failed(1, &["cannot start an already running container"]);
    assert!(host::alive(init));
    case.runtime(&["delete", "--force", &case.id]).ok();
    case.reap(init);
    case.assert_clean();
}

#[test]
fn a_plan_that_cannot_be_sent_is_an_error_and_not_a_wait() {
    let Some(case) = ours(plain) else { return };
    let bundle = text(&case.bundle());
    for fault in ["ETOOMANYREFS", "ENOBUFS", "EINVAL"] {
        let create = ["create", "--bundle", &bundle, &case.id];
        let run = case.runtime_with_fault("sendmsg", &format!("error={fault}"), None, &create);
        run.failed(1, &["sendmsg(the plan)", fault]);
        case.assert_clean();
    }
    case.start();
    let exec = ["exec", &case.id, "true"];
    case.runtime_with_fault("sendmsg", "error=ETOOMANYREFS", None, &exec)
        .failed(255, &["sendmsg(the plan)"]);
}

#[test]
fn more_preserved_descriptors_than_a_message_carries_are_refused() {
    let Some(case) = ours(plain) else { return };
    case.start();
    let exec = |count: usize| {
        let count_text = count.to_string();
        let args = ["exec", "--preserve-fds", &count_text, &case.id, "true"];
        let runtime = case.command(&args);
        let open = "for ((fd = 3; fd < 3 + $0; fd++)); do eval \"exec $fd</dev/null\"; done; \
            exec \"$@\"";
        let mut bash = Command::new("bash");
        bash.args(["-c", open, &count_text]);
        bash.arg(runtime.get_program()).args(runtime.get_args());
        spawn(bash, &case.path("output"), Stdio::null()).wait()
    };
    exec(199).ok();
    exec(200).failed(255, &["more than 199 preserved file descriptors"]);
    exec(299).failed(255, &["more than 199 preserved file descriptors"]);
}

#[test]
fn a_frozen_container_is_not_started_but_paused() {
    let Some(case) = ours(plain) else { return };
    let init = case.create();
    cgroup::freeze(&case.cgroup);
    assert_eq!(case.status(), "paused");
    case.runtime(&["start", &case.id]).failed(1, &["paused"]);
    case.runtime(&["delete", &case.id])
        .failed(1, &["that is not stopped: paused"]);
    cgroup::thaw(&case.cgroup);
    assert_eq!(case.status(), "created");
    case.runtime(&["start", &case.id]).ok();
    case.await_payload(init);
}

#[test]
fn a_pid_file_overwrites_nothing_but_itself() {
    let Some(case) = ours(plain) else { return };
    let victim = case.path("victim");
    fs::write(&victim, "precious").expect("a file to lose");
    symlink(&victim, case.path(".pid")).expect("a link where the new pid file goes");
    symlink(&victim, case.path("pid")).expect("a link in the pid file's place");
    let init = case.create();
    assert_eq!(read(&victim), "precious");
    assert_eq!(read(case.path("pid")), init.to_string());
    assert!(case.path(".pid").symlink_metadata().is_err());
    let kind = case.path("pid").symlink_metadata().expect("the pid file");
    assert!(kind.is_file());
}

#[test]
fn a_process_without_a_handle_is_reaped_all_the_same() {
    let Some(case) = ours(plain) else { return };
    let bundle = text(&case.bundle());
    let create = ["create", "--bundle", &bundle, &case.id];
    // At once, and when it stands behind its gate already.
    for fault in ["error=EMFILE", "error=EMFILE:delay_enter=200000"] {
        case.runtime_with_fault("pidfd_open", fault, None, &create)
            .failed(1, &["pidfd_open"]);
        case.assert_clean();
    }
}

#[test]
fn a_wait_that_is_interrupted_goes_on() {
    let Some(case) = ours(plain) else { return };
    let bundle = text(&case.bundle());
    let pid_file = text(&case.path("missing/pid"));
    let create = ["create", "-b", &bundle, "--pid-file", &pid_file, &case.id];
    // Every other call, from the first one on.
    case.runtime_with_fault("waitid", "error=EINTR:when=1+2", None, &create)
        .failed(1, &["write the pid file"]);
    case.assert_clean();
}

#[test]
fn nobody_can_change_the_program_that_waits() {
    let Some(case) = case() else { return };
    let init = case.create();
    if !only_ocirun("a sealed first program") {
        return;
    }
    let program = File::open(host::proc_path(init, "exe")).expect("the program");
    let seals = rustix::fs::fcntl_get_seals(&program).expect("a memory file");
    let expected = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    assert!(seals.contains(expected), "{seals:?}");
    // F_SEAL_EXEC is younger than the oldest kernel that we support.
    if kernel() >= (6, 3) {
        assert!(seals.contains(SealFlags::EXEC), "{seals:?}");
    }
}

/// Major and minor version of the running kernel.
fn kernel() -> (u32, u32) {
    let release = read("/proc/sys/kernel/osrelease");
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next().and_then(|digits| digits.parse().ok());
    (number().expect("major"), number().expect("minor"))
}

#[test]
fn executable_memory_may_be_forbidden() {
    let Some(case) = ours(|c| script(c, "echo ran")) else {
        return;
    };
    if kernel() < (6, 3) {
        eprintln!("not run: this kernel has no vm.memfd_noexec");
        return;
    }
    let runtime = case.command(&["run", &case.id]);
    let mut inside = Command::new("unshare");
    let forbid = "echo 2 > /proc/sys/vm/memfd_noexec && exec \"$0\" \"$@\"";
    inside.args(["--pid", "--fork", "--mount-proc", "sh", "-c", forbid]);
    inside.arg(runtime.get_program()).args(runtime.get_args());
    inside.current_dir(case.bundle());
    let run = spawn(inside, &case.path("output"), Stdio::null()).wait();
    assert_eq!(run.ok().stdout, "ran\n");
}
