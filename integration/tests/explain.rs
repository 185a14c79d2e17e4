//! A program that cannot be executed: the words that engines look for, and after them what is the matter.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use oci_runtime_integration::bundle::{args, push};
use oci_runtime_integration::case::{Case, case, case_with};
use oci_runtime_integration::runtime::{only_ocirun, tool};
use serde_json::{Value, json};

/// A program and why it cannot be executed.
struct Refused {
    program: &'static str,
    make: fn(&Path),
    /// By which the words must begin, after the runtime's own prefix.
    words: &'static str,
    /// What explains them.
    explained: &'static str,
}

/// Refused by `create`, which looks the program up.
const MISSING: &[Refused] = &[
    Refused {
        program: "/nowhere/deep/program",
        make: |_| {},
        words: "exec: \"/nowhere/deep/program\": stat /nowhere/deep/program: no such file or directory",
        explained: "the directory /nowhere is missing",
    },
    Refused {
        program: "/etc/passwd/program",
        make: |_| {},
        words: "exec: \"/etc/passwd/program\": stat /etc/passwd/program: not a directory",
        explained: "/etc/passwd is not a directory",
    },
    Refused {
        program: "/opt/closed/program",
        make: |root| {
            directory(&root.join("opt/closed"), 0o700);
            file(&root.join("opt/closed/program"), b"#!/bin/sh\n", 0o755);
        },
        words: "exec: \"/opt/closed/program\": stat /opt/closed/program: permission denied",
        explained: "no search permission for the directory /opt/closed",
    },
    Refused {
        program: "/opt/plain",
        make: |root| file(&root.join("opt/plain"), b"#!/bin/sh\n", 0o644),
        words: "exec: \"/opt/plain\": permission denied",
        explained: "no execute bit",
    },
    Refused {
        program: "/opt/others",
        make: |root| file(&root.join("opt/others"), b"#!/bin/sh\n", 0o700),
        words: "exec: \"/opt/others\": permission denied",
        explained: "not the container's user",
    },
    Refused {
        program: "/opt/noexec/program",
        make: |root| directory(&root.join("opt/noexec"), 0o755),
        words: "exec: \"/opt/noexec/program\": permission denied",
        explained: "a mount with the option noexec",
    },
    Refused {
        program: "/opt",
        make: |_| {},
        words: "exec: \"/opt\": is a directory",
        explained: "",
    },
    Refused {
        program: "nonexistent",
        make: |_| {},
        words: "exec: \"nonexistent\": executable file not found in $PATH",
        explained: "",
    },
];

/// Refused by `execve`, so by `start`, `run` and `exec`.
const BROKEN: &[Refused] = &[
    Refused {
        program: "/opt/script",
        make: |root| file(&root.join("opt/script"), b"#! /bin/bashful -e\n", 0o755),
        words: "exec /opt/script: no such file or directory",
        explained: "names the interpreter /bin/bashful, which is missing",
    },
    Refused {
        program: "/opt/dos",
        make: |root| file(&root.join("opt/dos"), b"#!/bin/sh\r\nexit 0\r\n", 0o755),
        words: "exec /opt/dos: no such file or directory",
        explained: "CR LF",
    },
    Refused {
        program: "/opt/closed-interpreter",
        make: |root| {
            file(&root.join("opt/sh"), b"", 0o600);
            file(&root.join("opt/closed-interpreter"), b"#!/opt/sh\n", 0o755);
        },
        words: "exec /opt/closed-interpreter: permission denied",
        explained: "the interpreter /opt/sh, which the container's user cannot execute",
    },
    Refused {
        program: "/opt/dynamic",
        make: |root| {
            // By a process of its own, so that nothing holds it open for writing.
            tool(
                "cp",
                &["/bin/true", &root.join("opt/dynamic").display().to_string()],
            );
        },
        words: "exec /opt/dynamic: no such file or directory",
        explained: "the C library glibc, which this root filesystem lacks",
    },
    Refused {
        program: "/opt/foreign",
        make: |root| {
            let mut elf = fs::read("/bin/true").expect("a program");
            let foreign: u16 = if cfg!(target_arch = "aarch64") {
                62
            } else {
                183
            };
            elf[18..20].copy_from_slice(&foreign.to_le_bytes());
            file(&root.join("opt/foreign"), &elf, 0o755);
        },
        words: "exec /opt/foreign: exec format error",
        explained: "the program was built for",
    },
    Refused {
        program: "/opt/empty",
        make: |root| file(&root.join("opt/empty"), b"", 0o755),
        words: "exec /opt/empty: exec format error",
        explained: "the file is empty",
    },
    Refused {
        program: "/opt/marked",
        make: |root| file(&root.join("opt/marked"), b"\xef\xbb\xbf#!/bin/sh\n", 0o755),
        words: "exec /opt/marked: exec format error",
        explained: "byte order mark",
    },
    Refused {
        program: "/opt/bare",
        make: |root| file(&root.join("opt/bare"), b"exit 0\n", 0o755),
        words: "exec /opt/bare: exec format error",
        explained: "a first line with its interpreter",
    },
];

#[test]
fn create_explains_what_it_does_not_find() {
    let Some(case) = prepared(MISSING) else {
        return;
    };
    for row in MISSING {
        case.configure(|c| as_user(c, row.program));
        let said = case.try_create(&[]).failed(1, &[row.words]);
        explains(row, &said.stderr, row.explained);
        case.assert_clean();
    }
}

#[test]
fn run_explains_what_cannot_be_executed() {
    let Some(case) = prepared(BROKEN) else { return };
    for row in BROKEN {
        case.configure(|c| as_user(c, row.program));
        let said = case.run().failed(1, &[row.words]);
        explains(row, &said.stderr, row.explained);
        case.assert_clean();
    }
}

#[test]
fn start_explains_what_cannot_be_executed() {
    if !only_ocirun("others find out when nobody listens any more") {
        return;
    }
    let Some(case) = prepared(BROKEN) else { return };
    for row in BROKEN {
        case.configure(|c| as_user(c, row.program));
        case.create();
        let said = case
            .runtime(&["start", &case.id])
            .failed(1, &[row.words, row.explained]);
        explains(row, &said.stderr, row.explained);
        case.destroy();
    }
}

#[test]
fn exec_explains_both() {
    let Some(case) = prepared(MISSING) else {
        return;
    };
    for row in BROKEN {
        (row.make)(&case.path("bundle/rootfs"));
    }
    case.start();
    for row in MISSING.iter().chain(BROKEN) {
        let said = case.exec(&[], &[row.program]).failed(255, &[row.words]);
        explains(row, &said.stderr, row.explained);
    }
}

/// A filter that forbids to look: the errno is told all the same, and nothing is killed for looking.
#[test]
fn under_a_strict_filter_the_errno_is_all() {
    let Some(case) = prepared(BROKEN) else { return };
    let row = &BROKEN[0];
    case.configure(|c| {
        as_user(c, row.program);
        c["process"]["noNewPrivileges"] = true.into();
        c["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["openat", "pread64"], "action": "SCMP_ACT_KILL_PROCESS"}],
        });
    });
    let said = case.run().failed(1, &[row.words]);
    assert!(!said.stderr.contains("bashful"), "{}", said.stderr);
    case.assert_clean();
}

/// Nor is what was found out about another file of that name, which came before in PATH.
#[test]
fn another_file_s_fault_explains_nothing() {
    let Some(case) = case() else { return };
    let root = case.own_rootfs();
    directory(&root.join("opt/a"), 0o755);
    directory(&root.join("opt/b"), 0o755);
    file(&root.join("opt/a/program"), b"#!/bin/sh\n", 0o644);
    file(&root.join("opt/b/program"), b"#!/bin/nosuch\n", 0o755);
    case.configure(|c| {
        c["root"]["path"] = "rootfs".into();
        args(c, &["program"]);
        c["process"]["env"] = json!(["PATH=/opt/a:/opt/b"]);
        c["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["openat"], "action": "SCMP_ACT_KILL_PROCESS"}],
        });
    });
    let said = case
        .run()
        .failed(1, &["exec program: no such file or directory"]);
    assert!(!said.stderr.contains("execute bit"), "{}", said.stderr);
}

/// The twin: what can be executed is.
#[test]
fn scripts_run() {
    let Some(case) = case() else { return };
    let root = case.own_rootfs();
    file(
        &root.join("opt/script"),
        b"#!/bin/sh -e\necho it runs\n",
        0o755,
    );
    symlink("script", root.join("opt/link")).expect("a link");
    case.configure(|c| {
        c["root"]["path"] = "rootfs".into();
        args(c, &["/opt/link"]);
    });
    assert_eq!(case.run().ok().stdout, "it runs\n");
}

#[test]
fn too_many_arguments_are_explained() {
    let Some(case) = case_with(|c| {
        let long = "x".repeat(200_000);
        args(c, &["/bin/true", &long]);
    }) else {
        return;
    };
    let said = case.run().failed(1, &["argument list too long"]);
    if only_ocirun("the explanation is our own") {
        assert!(said.stderr.contains("128 KiB"), "{}", said.stderr);
    }
    case.assert_clean();
}

/// A container with all the programs of a table; its own program is one that runs.
fn prepared(rows: &[Refused]) -> Option<Case> {
    let case = case()?;
    let root = case.own_rootfs();
    rows.iter().for_each(|row| (row.make)(&root));
    case.configure(|c| as_user(c, IDLE));
    Some(case)
}

/// Of a user, so that permissions count.
fn as_user(config: &mut Value, program: &str) {
    if program != IDLE {
        args(config, &[program]);
    }
    config["root"]["path"] = "rootfs".into();
    config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    config["process"]["capabilities"] = json!({});
    push(
        config,
        "/mounts",
        json!({"destination": "/opt/noexec/program", "type": "bind", "source": "/bin/true",
               "options": ["bind", "noexec"]}),
    );
}

/// What the default configuration runs.
const IDLE: &str = "";

fn explains(row: &Refused, said: &str, words: &str) {
    if only_ocirun("the explanation is our own") {
        assert!(
            said.contains(words),
            "{}: {said:?} lacks {words:?}",
            row.program
        );
    }
}

fn directory(path: &Path, mode: u32) {
    fs::create_dir_all(path).expect("a directory");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode");
}

fn file(path: &Path, content: &[u8], mode: u32) {
    // The copy is made by another process: nothing of ours holds it open for writing when it is executed.
    let draft = path.with_extension("draft");
    fs::write(&draft, content).expect("a file");
    fs::set_permissions(&draft, fs::Permissions::from_mode(mode)).expect("its mode");
    tool(
        "cp",
        &[
            "-p",
            &draft.display().to_string(),
            &path.display().to_string(),
        ],
    );
}
