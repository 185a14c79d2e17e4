//! Recording (`--seccomp-record`): the profile that comes out allows what was done, so that it can be done again, and nothing
//! that was not.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use oci_runtime_integration::bundle::{self, push, script};
use oci_runtime_integration::case::{Case, case, text};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{Finished, only_ocirun, read};
use serde_json::{Value, json};

fn recordable() -> Option<Case> {
    let case = case()?;
    only_ocirun("records no calls").then_some(case)
}

fn with_tmp(config: &mut Value) {
    push(
        config,
        "/mounts",
        json!({"destination": "/tmp", "type": "tmpfs", "source": "t"}),
    );
}

fn record(case: &Case, profile: &Path) -> Finished {
    let (bundle, profile) = (text(&case.bundle()), text(profile));
    case.runtime(&[
        "run",
        "--bundle",
        &bundle,
        "--seccomp-record",
        &profile,
        &case.id,
    ])
}

fn load(profile: &Path) -> Value {
    serde_json::from_str(&read(profile)).expect("the profile is JSON")
}

fn names(profile: &Value) -> BTreeSet<String> {
    let names = profile["syscalls"][0]["names"].as_array().expect("names");
    let names = names.iter().map(|name| name.as_str().expect("a name"));
    names.map(str::to_owned).collect()
}

/// Forks, pipes, files, a socket that is connected to, a signal that is handled, and a wait.
const MANY_THINGS: &str =
    "mkdir /tmp/d && echo a | cat > /tmp/d/f && ln -s f /tmp/d/l && cat /tmp/d/l
    (nc -l -p 4321 -s 127.0.0.1 > /tmp/heard &) ; sleep 0.3
    echo over the net | nc -w 1 127.0.0.1 4321; sleep 0.3; cat /tmp/heard
    trap 'echo caught' USR1; (sleep 0.1; kill -USR1 $$) & wait; wait
    rm -r /tmp/d && echo done";

#[test]
fn what_was_recorded_can_be_done_again_and_nothing_else() {
    let Some(case) = recordable() else { return };
    let profile = case.path("profile.json");
    for no_new_privileges in [true, false] {
        let _ = fs::remove_file(&profile);
        let edit = |c: &mut Value, what: &str| {
            with_tmp(c);
            c["process"]["noNewPrivileges"] = json!(no_new_privileges);
            script(c, what);
        };
        case.configure(|c| edit(c, MANY_THINGS));
        let recorded = record(&case, &profile).ok();
        assert!(recorded.stdout.ends_with("done\n"), "{recorded:?}");

        let found = load(&profile);
        assert_eq!(found["defaultAction"], "SCMP_ACT_ERRNO");
        let list = names(&found);
        for call in [
            "clone",
            "execve",
            "socket",
            "connect",
            "rt_sigreturn",
            "wait4",
            "exit_group",
        ] {
            assert!(list.contains(call), "{call} in {list:?}");
        }
        // What sets the container up is the runtime's affair, and done before the filter.
        for call in [
            "mount",
            "ptrace",
            "sethostname",
            "setns",
            "seccomp",
            "capset",
        ] {
            assert!(!list.contains(call), "{call} in {list:?}");
        }
        let order: Vec<_> = found["syscalls"][0]["names"]
            .as_array()
            .expect("names")
            .clone();
        assert!(order.is_sorted_by_key(Value::to_string), "{order:?}");

        case.configure(|c| {
            edit(c, MANY_THINGS);
            c["linux"]["seccomp"] = found.clone();
        });
        assert_eq!(case.run().ok().stdout, recorded.stdout);

        case.configure(|c| {
            edit(c, "ln /bin/busybox /tmp/x 2>&1; chmod 700 /tmp 2>&1");
            c["linux"]["seccomp"] = found.clone();
        });
        let denied = case.run();
        assert!(
            denied
                .stdout
                .contains("chmod: /tmp: Operation not permitted"),
            "{denied:?}"
        );
    }
}

#[test]
fn recordings_of_several_runs_add_up() {
    let Some(case) = recordable() else { return };
    let profile = case.path("profile.json");
    let mut found = Vec::new();
    for what in [
        "mkdir /tmp/a; true",
        "chmod 700 /tmp; true",
        "mkdir /tmp/a; true",
    ] {
        case.configure(|c| {
            with_tmp(c);
            script(c, what);
        });
        record(&case, &profile).ok();
        found.push(names(&load(&profile)));
    }
    assert!(
        found[0].contains("mkdir") && !found[0].contains("chmod"),
        "{found:?}"
    );
    assert!(
        found[1].contains("mkdir") && found[1].contains("chmod"),
        "{found:?}"
    );
    assert_eq!(found[2], found[1]);
    case.configure(|c| {
        with_tmp(c);
        c["linux"]["seccomp"] = load(&profile);
        script(c, "mkdir /tmp/a && chmod 700 /tmp && ls /");
    });
    // To list a directory was no part of either.
    let run = case.run();
    assert!(run.code != 0 && run.stderr.contains("ls: "), "{run:?}");
}

#[test]
fn the_files_that_cannot_be_added_to_are_refused_before_anything_runs() {
    let Some(case) = recordable() else { return };
    let profile = case.path("profile.json");
    case.configure(|c| script(c, "echo RAN"));
    for (content, why) in [
        ("", "EOF"),
        ("[]", "it has more in it than a recorded profile"),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#,
            "/defaultAction: only a list of allowed calls",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_KILL"}]}"#,
            "/syscalls/0/action: only a list",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "comment": "mine"}"#,
            "it has more in it than a recorded profile",
        ),
    ] {
        fs::write(&profile, content).expect("write the profile");
        let run = record(&case, &profile).failed(1, &["profile.json", why]);
        assert_eq!(run.stdout, "");
        assert_eq!(read(&profile), content);
    }
    let missing = case.path("missing/profile.json");
    let detached = [
        "run",
        "--detach",
        "--seccomp-record",
        &text(&missing),
        &case.id,
    ];
    case.runtime(&detached)
        .failed(1, &["--seccomp-record", "--detach"]);
}

#[test]
fn the_recording_keeps_what_the_payload_ended_with() {
    let Some(case) = recordable() else { return };
    let profile = case.path("profile.json");
    case.configure(|c| {
        with_tmp(c);
        script(c, "mkdir /tmp/a; exit 7");
    });
    assert_eq!(record(&case, &profile).code, 7);
    assert!(names(&load(&profile)).contains("mkdir"));
    // A program that is not there makes no profile, and nobody waits for it.
    fs::remove_file(&profile).expect("the profile");
    case.configure(|c| c["process"]["args"] = json!(["/bin/not-there"]));
    record(&case, &profile).failed(1, &["/bin/not-there"]);
    assert!(!profile.exists());
    case.assert_clean();
}

#[test]
fn under_a_filter_of_its_own_what_that_denies_is_not_recorded() {
    let Some(case) = recordable() else { return };
    let profile = case.path("profile.json");
    for no_new_privileges in [true, false] {
        let _ = fs::remove_file(&profile);
        case.configure(|c| {
            with_tmp(c);
            c["process"]["noNewPrivileges"] = json!(no_new_privileges);
            c["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["chmod", "fchmodat"], "action": "SCMP_ACT_ERRNO"}]});
            script(c, "mkdir /tmp/a; chmod 700 /tmp; true");
        });
        let run = record(&case, &profile).ok();
        assert!(
            run.stderr.contains("chmod: /tmp: Operation not permitted"),
            "{run:?}"
        );
        let list = names(&load(&profile));
        assert!(
            list.contains("mkdir") && !list.contains("chmod"),
            "{list:?}"
        );
        // Installing that filter was the runtime's affair.
        assert!(!list.contains("seccomp"), "{list:?}");
    }
    case.configure(|c| {
        c["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/nobody",
            "syscalls": [{"names": ["chmod"], "action": "SCMP_ACT_NOTIFY"}]});
    });
    record(&case, &profile).failed(1, &["/linux/seccomp", "one listener at most"]);
}

#[test]
fn hooks_run_before_the_filter_and_do_not_count() {
    let Some(case) = recordable() else { return };
    let profile = case.path("profile.json");
    for no_new_privileges in [true, false] {
        let _ = fs::remove_file(&profile);
        let edit = |c: &mut Value| {
            with_tmp(c);
            c["process"]["noNewPrivileges"] = json!(no_new_privileges);
            c["hooks"] = json!({"startContainer": [
                {"path": "/bin/chmod", "args": ["chmod", "755", "/tmp"]}]});
            script(c, "mkdir /tmp/a");
        };
        case.configure(edit);
        record(&case, &profile).ok();
        assert!(!names(&load(&profile)).contains("chmod"));
        case.configure(|c| {
            edit(c);
            c["linux"]["seccomp"] = load(&profile);
        });
        case.run().ok();
    }
}

#[test]
fn exec_records_too() {
    let Some(case) = recordable() else { return };
    let profile = case.path("profile.json");
    case.configure(with_tmp);
    let init = case.start();
    let exec = case.exec(&["--seccomp-record", &text(&profile)], &["mkdir", "/tmp/a"]);
    assert_eq!(exec.code, 0, "{exec:?}");
    let list = names(&load(&profile));
    assert!(
        list.contains("mkdir") && !list.contains("setns"),
        "{list:?}"
    );
    // The container itself has no filter.
    assert_eq!(host::status(init, "Seccomp"), "0");
}

#[test]
fn a_recorded_container_can_be_killed_and_signalled() {
    let Some(case) = recordable() else { return };
    let profile = case.path("profile.json");
    case.configure(|c| {
        script(
            c,
            "trap 'exit 3' TERM; echo ready; while true; do sleep 0.05; done",
        )
    });
    let (bundle, file) = (text(&case.bundle()), text(&profile));
    let running = case.spawn(&[
        "run",
        "--bundle",
        &bundle,
        "--seccomp-record",
        &file,
        &case.id,
    ]);
    running.says("ready");
    running.signal(rustix::process::Signal::TERM);
    assert_eq!(running.wait().code, 3);
    assert!(names(&load(&profile)).contains("rt_sigaction"));

    let pid_file = text(&case.path("pid"));
    let running = case.spawn(&[
        "run",
        "--bundle",
        &bundle,
        "--pid-file",
        &pid_file,
        "--seccomp-record",
        &file,
        &case.id,
    ]);
    running.says("ready");
    let init = case.init_from_pid_file();
    running.signal(rustix::process::Signal::KILL);
    running.wait();
    // Nobody answers any more, and still it does not stay behind as one that waits for ever.
    case.runtime(&["delete", "--force", &case.id]).ok();
    case.reap(init);
}

/// Runs what records, and then the same under the profile, which must say the same.
#[track_caller]
fn record_and_repeat(case: &Case, edit: &dyn Fn(&mut Value)) -> Value {
    let profile = case.path("profile.json");
    case.configure(edit);
    let recorded = record(case, &profile).ok();
    let found = load(&profile);
    case.configure(|c| {
        edit(c);
        c["linux"]["seccomp"] = found.clone();
    });
    assert_eq!(case.run().ok().stdout, recorded.stdout);
    found
}

#[test]
fn calls_of_threads_are_recorded() {
    const THREAD: &str = "threads->create(sub { mkdir '/tmp/made' })->join; print -d '/tmp/made' ? \"made\\n\" : \"not\\n\"";
    let tried = Command::new("/usr/bin/perl")
        .args(["-Mthreads", "-e", "1"])
        .output();
    if !tried.is_ok_and(|output| output.status.success()) || !Path::new("/usr/lib").is_dir() {
        eprintln!("not run: this machine has no perl with threads");
        return;
    }
    let Some(case) = recordable() else { return };
    let root = case.own_rootfs();
    for name in ["lib", "lib64"] {
        symlink(format!("usr/{name}"), root.join(name)).expect("a link into /usr");
    }
    let found = record_and_repeat(&case, &|c| {
        with_tmp(c);
        c["root"] = json!({"path": "rootfs"});
        push(
            c,
            "/mounts",
            json!({"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]}),
        );
        bundle::args(c, &["/usr/bin/perl", "-Mthreads", "-e", THREAD]);
    });
    let list = names(&found);
    assert!(list.contains("mkdir"), "{list:?}");
    assert!(
        list.contains("clone3") || list.contains("clone"),
        "{list:?}"
    );
}

/// A program of 32 bits, by hand: it writes a word, makes `/tmp/x`, and ends.
#[cfg(target_arch = "x86_64")]
fn of_32_bits() -> Vec<u8> {
    const BASE: u32 = 0x0804_8000;
    const HEADERS: u32 = 52 + 32;
    const CODE: u32 = 48;
    let text = BASE + HEADERS + CODE;
    let path = text + 5;
    let mut file = Vec::new();
    let mut put = |bytes: &[u8]| file.extend_from_slice(bytes);
    let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|w| w.to_le_bytes()).collect() };
    // ELF header: 32 bits, little-endian, executable, i386.
    put(b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0");
    put(&words(&[1, BASE + HEADERS, 52, 0, 0]));
    put(b"\x34\0\x20\0\x01\0\0\0\0\0\0\0");
    // One segment, the whole file, to be read and executed.
    put(&words(&[1, 0, BASE, BASE, 256, 256, 5, 4096]));
    // mov eax/ebx/ecx/edx, N; int 0x80: write(1, text, 5), mkdir(path, 0777), exit(0).
    let load = |register: u8, value: u32| [&[register][..], &value.to_le_bytes()].concat();
    for (register, value) in [(0xb8, 4), (0xbb, 1), (0xb9, text), (0xba, 5)] {
        put(&load(register, value));
    }
    put(b"\xcd\x80");
    for (register, value) in [(0xb8, 39), (0xbb, path), (0xb9, 0o777)] {
        put(&load(register, value));
    }
    put(b"\xcd\x80");
    put(&load(0xb8, 1));
    put(b"\x31\xdb\xcd\x80");
    put(b"i386\n/tmp/x\0");
    file.resize(256, 0);
    file
}

#[cfg(target_arch = "x86_64")]
#[test]
fn calls_of_another_architecture_are_recorded_with_it() {
    let Some(case) = recordable() else { return };
    let program = case.path("programs").join("of_32_bits");
    fs::create_dir(case.path("programs")).expect("a directory");
    fs::write(&program, of_32_bits()).expect("the program");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("its mode");
    let edit = |c: &mut Value| {
        with_tmp(c);
        let source = text(&case.path("programs"));
        push(
            c,
            "/mounts",
            json!({"destination": "/mnt", "type": "bind", "source": source, "options": ["rbind", "ro"]}),
        );
        script(c, "/mnt/of_32_bits; ls -d /tmp/x");
    };
    case.configure(edit);
    if !case.run().stdout.contains("i386") {
        eprintln!("not run: this kernel runs no programs of 32 bits");
        return;
    }
    let found = record_and_repeat(&case, &edit);
    assert_eq!(
        found["architectures"],
        json!(["SCMP_ARCH_X86", "SCMP_ARCH_X86_64"])
    );
    assert!(names(&found).contains("mkdir"));
    // Without the architecture the same calls are none.
    case.configure(|c| {
        edit(c);
        c["linux"]["seccomp"] = found.clone();
        c["linux"]["seccomp"]["architectures"] = json!(["SCMP_ARCH_X86_64"]);
    });
    let run = case.run();
    assert!(run.code != 0 && !run.stdout.contains("i386"), "{run:?}");
}
