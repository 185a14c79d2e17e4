//! Configurations, ids and arguments that cannot be carried out: each is refused with a message
//! that names the fault, and leaves nothing behind.

use std::fs;
use std::os::unix::fs::symlink;

use oci_runtime_integration::bundle::push;
use oci_runtime_integration::case::{Case, case, case_with, text};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::only_ocirun;
use serde_json::{Value, json};

/// Both verbs that read a configuration must refuse it, with one of the texts where ocirun is.
#[track_caller]
fn refused(case: &Case, texts: &[&str]) {
    let bundle = text(&case.bundle());
    for verb in ["create", "run"] {
        let failed = case.runtime(&[verb, "--bundle", &bundle, &case.id]);
        assert!(!failed.stderr.is_empty(), "{verb} says nothing");
        assert!(!failed.stderr.contains("panicked"), "{}", failed.stderr);
        let texts = if only_ocirun("has other words") {
            texts
        } else {
            &[]
        };
        failed.failed(1, texts);
        case.assert_clean();
    }
}

#[test]
fn json_that_does_not_parse_names_line_and_column() {
    let Some(case) = case() else { return };
    let table = [
        (
            "{\n  \"ociVersion\": \"1.0.2\",\n  \"process\": }",
            "line 3, column 14",
        ),
        ("", "line 1, column 0"),
        ("{\"ociVersion\": \"1.0.2\"", "line 1, column 22"),
        ("[1, 2", "line 1, column"),
        ("{\n\"process\": {\"args\": \"sh\"}}", "line 2, column"),
        ("{\"process\": {\"user\": {\"uid\": -1}}}", "line 1, column"),
        ("\u{0}\u{1}\u{2}", "line 1, column 1"),
    ];
    for (config, place) in table {
        case.write_config(config);
        refused(&case, &["config.json", place]);
    }
}

#[test]
fn a_bundle_without_config_or_without_anything_is_named() {
    let Some(case) = case() else { return };
    fs::remove_file(case.bundle().join("config.json")).expect("remove config.json");
    case.note_bundle();
    refused(&case, &["config.json", "no such file or directory"]);
    let absent = text(&case.path("absent"));
    let failed = case.runtime(&["create", "--bundle", &absent, &case.id]);
    failed.failed(1, &["no such file or directory"]);
    case.assert_clean();
}

/// A fault made by editing the default configuration, and what the message must contain.
type Fault = (&'static str, fn(&mut Value), &'static [&'static str]);

const FAULTS: [Fault; 15] = [
    (
        "empty args",
        |c| c["process"]["args"] = json!([]),
        &["/process/args"],
    ),
    (
        "no args",
        |c| remove(c, "/process", "args"),
        &["/process/args"],
    ),
    ("no root", |c| remove(c, "", "root"), &["/root"]),
    (
        "missing rootfs",
        |c| c["root"]["path"] = "absent".into(),
        &["/root/path", "absent"],
    ),
    (
        "rootfs is /",
        |c| c["root"]["path"] = "/".into(),
        &["/root/path"],
    ),
    (
        "unknown namespace",
        |c| namespace(c, json!({"type": "space"})),
        &["space"],
    ),
    (
        "namespace twice",
        |c| namespace(c, json!({"type": "pid"})),
        &["/linux/namespaces"],
    ),
    (
        "relative namespace path",
        |c| c["linux"]["namespaces"][0]["path"] = "proc/1/ns/pid".into(),
        &["/linux/namespaces/0/path"],
    ),
    (
        "missing namespace path",
        |c| c["linux"]["namespaces"][0]["path"] = "/no/such/ns".into(),
        &["/linux/namespaces/0", "/no/such/ns"],
    ),
    (
        "namespace of another type",
        |c| c["linux"]["namespaces"][0]["path"] = "/proc/self/ns/net".into(),
        &["/linux/namespaces/0"],
    ),
    (
        "relative cwd",
        |c| c["process"]["cwd"] = "tmp".into(),
        &["/process/cwd"],
    ),
    (
        "env without =",
        |c| push(c, "/process/env", "BROKEN".into()),
        &["/process/env"],
    ),
    (
        "unknown rlimit",
        |c| c["process"]["rlimits"] = json!([{"type": "RLIMIT_X", "soft": 1, "hard": 1}]),
        &["/process/rlimits/0"],
    ),
    (
        "missing bind source",
        |c| {
            push(
                c,
                "/mounts",
                json!({"destination": "/mnt", "source": "/no/such",
            "type": "bind", "options": ["bind"]}),
            )
        },
        &["/mounts/6", "/no/such"],
    ),
    (
        "unknown filesystem",
        |c| {
            push(
                c,
                "/mounts",
                json!({"destination": "/mnt", "source": "x", "type": "nosuchfs"}),
            )
        },
        &["/mounts/6"],
    ),
];

fn remove(config: &mut Value, pointer: &str, key: &str) {
    let object = config.pointer_mut(pointer).and_then(Value::as_object_mut);
    object.expect("an object").remove(key);
}

fn namespace(config: &mut Value, value: Value) {
    push(config, "/linux/namespaces", value);
}

#[test]
fn faults_of_the_configuration_are_named_by_their_pointer() {
    for (name, edit, texts) in FAULTS {
        if ["env without =", "namespace of another type"].contains(&name)
            && !only_ocirun("takes it")
        {
            continue;
        }
        eprintln!("{name}");
        let Some(case) = case_with(edit) else { return };
        refused(&case, texts);
    }
}

#[test]
fn a_link_as_root_filesystem_is_refused() {
    let Some(case) = case_with(|c| c["root"]["path"] = "link".into()) else {
        return;
    };
    let shared = oci_runtime_integration::rootfs::shared();
    symlink(shared, case.bundle().join("link")).expect("a link");
    case.note_bundle();
    if only_ocirun("follows it") {
        refused(&case, &["/root/path"]);
    }
}

#[test]
fn a_file_as_root_filesystem_is_refused() {
    let Some(case) = case_with(|c| c["root"]["path"] = "file".into()) else {
        return;
    };
    fs::write(case.bundle().join("file"), "no directory").expect("a file");
    case.note_bundle();
    refused(&case, &["/root/path", "not a directory"]);
}

#[test]
fn a_mount_target_that_cannot_be_made_is_named() {
    let Some(case) = case_with(|c| {
        push(
            c,
            "/mounts",
            json!({
                "destination": "/mnt/file/below", "type": "tmpfs", "source": "tmpfs"
            }),
        );
    }) else {
        return;
    };
    refused(&case, &["/mounts/6", "/mnt/file/below", "not a directory"]);
    let rootfs = case.own_rootfs();
    symlink("loop", rootfs.join("loop")).expect("a link to itself");
    case.configure(|c| {
        c["root"]["path"] = "rootfs".into();
        push(
            c,
            "/mounts",
            json!({
                "destination": "/loop/below", "type": "tmpfs", "source": "tmpfs"
            }),
        );
    });
    refused(&case, &["/mounts/6", "/loop/below"]);
}

#[test]
fn ids_that_are_no_names_are_refused_before_any_file_is_touched() {
    let Some(case) = case() else { return };
    let long = "a".repeat(256);
    let ids = [
        "", ".", "..", "a/b", "../x", "a b", "a\nb", "ü", "a:b", "/", "a\tb", &long,
    ];
    let bundle = text(&case.bundle());
    let canary = case.path("state-canary");
    fs::create_dir(&canary).expect("a directory beside the state");
    for id in ids {
        let peer_takes = id.len() > 200 && !only_ocirun("has no limit of its own");
        if peer_takes {
            continue;
        }
        for verb in ["create", "run", "start", "state", "kill", "delete", "exec"] {
            let args: Vec<&str> = match verb {
                "create" | "run" => vec![verb, "--bundle", &bundle, "--", id],
                "exec" => vec![verb, "--", id, "true"],
                _ => vec![verb, "--", id],
            };
            let failed = case.runtime(&args);
            let code = if verb == "exec" { 255 } else { 1 };
            assert!(
                [code, 1].contains(&failed.code),
                "{verb} {id:?}: {failed:?}"
            );
            assert!(
                failed.stderr.len() + failed.stdout.len() > 0,
                "{verb} {id:?} is silent"
            );
            if only_ocirun("has other words for some of them") && !id.is_empty() {
                failed.failed(code, &["invalid container ID format"]);
            }
        }
        case.assert_clean();
    }
    assert!(canary.is_dir());
}

#[test]
fn ids_with_all_allowed_characters_work() {
    let Some(case) = case() else { return };
    let id = format!("{}-Az_0+9.x", case.id);
    let bundle = text(&case.bundle());
    let pid_file = text(&case.path("pid"));
    case.runtime(&["create", "-b", &bundle, "--pid-file", &pid_file, &id])
        .ok();
    case.init_from_pid_file();
    let state = case.runtime(&["state", &id]).ok().stdout;
    assert!(state.contains(&id), "{state}");
}

#[test]
fn usage_errors_say_so() {
    let Some(case) = case() else { return };
    let table: [&[&str]; 6] = [
        &["create"],
        &["state"],
        &["state", "a", "b"],
        &["create", "--no-such-flag", "x"],
        &["kill"],
        &["list", "--format", "yaml"],
    ];
    for args in table {
        let failed = case.runtime(args);
        assert_eq!(failed.code, 1, "{args:?}: {failed:?}");
        assert!(!failed.stderr.is_empty(), "{args:?} is silent");
    }
    case.assert_clean();
}

/// Words that come first, a flag, and a value that it cannot have.
const BAD_FLAGS: &[(&str, &str, &str)] = &[
    ("update", "--memory", "much"),
    ("update", "--memory-swap", "-7"),
    ("update", "--memory-reservation", "1kk"),
    ("update", "--cpu-period", "-7"),
    ("update", "--cpu-quota", "half"),
    ("update", "--cpu-burst", "x"),
    ("update", "--cpu-share", "99999999999999999999"),
    ("update", "--cpu-rt-period", "x"),
    ("update", "--cpu-rt-runtime", "x"),
    ("update", "--cpu-idle", "x"),
    ("update", "--cpuset-cpus", "all"),
    ("update", "--cpuset-mems", "all"),
    ("update", "--pids-limit", "x"),
    ("update", "--blkio-weight", "heavy"),
    ("exec", "--user", "root"),
    ("exec", "--additional-gids", "wheel"),
    ("exec", "--cwd", "tmp"),
    ("exec", "--env", "novalue"),
    ("exec", "--cap", "kill"),
    ("exec", "--preserve-fds", "x"),
    ("exec", "--tty", "maybe"),
    ("ps", "--format", "yaml"),
    ("list", "--format", "yaml"),
    ("events", "--interval", "often"),
    ("delete", "--force", "maybe"),
    ("kill", "--all", "maybe"),
    ("--rootless=perhaps list", "", "perhaps"),
    ("--log-format=xml list", "", "xml"),
    ("--cgroup-manager=none list", "", "none"),
];

#[test]
fn a_bad_value_is_told_with_its_flag() {
    let Some(case) = case() else { return };
    let init = case.start();
    for (words, flag, value) in BAD_FLAGS {
        let spelled = format!("{flag}={value}");
        let mut args: Vec<&str> = words.split(' ').collect();
        args.extend((!flag.is_empty()).then_some(&*spelled));
        match *words {
            "exec" => args.extend([&*case.id, "true"]),
            "update" | "ps" | "events" | "delete" | "kill" => args.push(&case.id),
            _ => {}
        }
        let failed = case.runtime(&args);
        let may = failed.code == 1 || *words == "exec" && failed.code == 255;
        assert!(may, "{args:?}: {failed:?}");
        assert!(failed.stderr.contains(value), "{args:?}: {}", failed.stderr);
        if only_ocirun("others do not always name the flag") {
            let flag = match flag.is_empty() {
                true => words.split('=').next().unwrap_or_default(),
                false => flag,
            };
            assert!(failed.stderr.contains(flag), "{args:?}: {}", failed.stderr);
        }
    }
    assert!(host::alive(init));
}

/// A property's pointer and an edit that asks for it.
type NotYet = (&'static str, fn(&mut Value));

/// Properties that are left for later: each must be refused by its pointer, never dropped.
const NOT_YET: [NotYet; 2] = [
    ("/linux/intelRdt", |c| {
        c["linux"]["intelRdt"] = json!({"closID": "x", "l3CacheSchema": "L3:0=1"})
    }),
    ("/linux/mountLabel", |c| {
        c["linux"]["mountLabel"] = json!("a:b:c:d")
    }),
];

#[test]
fn what_is_not_done_yet_is_refused_by_its_pointer() {
    if !only_ocirun("this is about what ocirun lacks") {
        return;
    }
    for (pointer, edit) in NOT_YET {
        let Some(case) = case_with(edit) else { return };
        refused(&case, &[pointer]);
    }
}

#[test]
fn exec_with_a_bad_process_file_gives_255() {
    let Some(case) = case() else { return };
    case.start();
    let file = case.path("process.json");
    let name = text(&file);
    case.runtime(&["exec", "--process", &name, &case.id])
        .failed(255, &["no such file"]);
    let bad = [
        "{\"args\": }",
        "{}",
        "{\"args\": [], \"cwd\": \"/\"}",
        "{\"args\": [\"true\"], \"cwd\": \"/\", \"rlimits\": [{\"type\": \"X\", \"soft\": 1, \"hard\": 1}]}",
    ];
    for content in bad {
        fs::write(&file, content).expect("the process file");
        let failed = case.runtime(&["exec", "--process", &name, &case.id]);
        assert_eq!(failed.code, 255, "{content}: {failed:?}");
        assert!(!failed.stderr.is_empty(), "{content}");
    }
    assert_eq!(case.status(), "running");
}

#[test]
fn a_pid_file_that_cannot_be_written_undoes_the_create() {
    let Some(case) = case() else { return };
    let bundle = text(&case.bundle());
    let pid_file = text(&case.path("no/such/place/pid"));
    let create = [
        "create",
        "--bundle",
        &bundle,
        "--pid-file",
        &pid_file,
        &case.id,
    ];
    case.runtime(&create)
        .failed(1, &["no such file or directory"]);
    case.assert_clean();
}
