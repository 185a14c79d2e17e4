//! What the payload's process is: ids, capabilities, limits, environment, working directory,
//! keyring; all read from the host.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use oci_runtime_integration::bundle::{self, args, script};
use oci_runtime_integration::case::{case, case_with};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{eventually, read};
use serde_json::{Value, json};

/// The sets of capabilities(7): the name in config.json and the field in `/proc/PID/status`.
const SETS: [(&str, &str); 5] = [
    ("bounding", "CapBnd"),
    ("permitted", "CapPrm"),
    ("effective", "CapEff"),
    ("inheritable", "CapInh"),
    ("ambient", "CapAmb"),
];

const CHOWN: u64 = 1;
const KILL: u64 = 1 << 5;
const SETPCAP: u64 = 1 << 8;

#[test]
fn ids_groups_and_umask_are_exactly_those_given() {
    let Some(case) = case_with(|c| {
        c["process"]["user"] =
            json!({"uid": 1234, "gid": 5678, "additionalGids": [10, 20, 70_000], "umask": 0o37});
    }) else {
        return;
    };
    let init = case.start();
    assert_eq!(host::status(init, "Uid"), "1234 1234 1234 1234");
    assert_eq!(host::status(init, "Gid"), "5678 5678 5678 5678");
    assert_eq!(host::status(init, "Groups"), "10 20 70000");
    assert_eq!(host::status(init, "Umask"), "0037");
    assert_eq!(host::status(init, "Threads"), "1");
}

#[test]
fn groups_of_the_caller_are_dropped() {
    let Some(case) = case() else { return };
    let bundle = case.bundle().display().to_string();
    let pid_file = case.path("pid").display().to_string();
    let create = case.command(&["create", "-b", &bundle, "--pid-file", &pid_file, &case.id]);
    let mut command = std::process::Command::new("setpriv");
    command
        .args(["--groups", "4,24,30"])
        .arg(create.get_program())
        .args(create.get_args());
    let stdin = std::process::Stdio::null();
    oci_runtime_integration::runtime::spawn(command, &case.path("output"), stdin)
        .wait()
        .ok();
    let init = case.init_from_pid_file();
    case.runtime(&["start", &case.id]).ok();
    case.await_payload(init);
    assert_eq!(host::status(init, "Groups"), "");
}

#[test]
fn the_umask_is_0022_unless_given() {
    let Some(case) = case() else { return };
    let init = case.start();
    assert_eq!(host::status(init, "Umask"), "0022");
}

fn sets(of: [&[&str]; 5]) -> Value {
    let pairs = SETS.iter().zip(of);
    pairs
        .map(|((name, _), caps)| ((*name).to_owned(), json!(caps)))
        .collect()
}

/// A filter that lets everything pass but these.
fn refusing(calls: &[&str]) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": calls, "action": "SCMP_ACT_ERRNO"}]})
}

/// While a created container waits, what installing its filter will take is permitted and not in force.
#[test]
fn a_waiting_container_has_no_privilege_in_force_that_its_program_lacks() {
    let Some(case) = case_with(|c| {
        c["process"]["user"]["uid"] = json!(1000);
        c["process"]["noNewPrivileges"] = json!(false);
        c["linux"]["seccomp"] = refusing(&["reboot"]);
    }) else {
        return;
    };
    let init = case.create();
    let kept = ["CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb"];
    let admin = 1 << 21;
    let waiting = kept.map(|set| host::capabilities(init, set));
    assert_eq!(waiting[1] & admin, admin);
    for (set, value) in kept
        .iter()
        .zip(waiting)
        .filter(|(set, _)| **set != "CapPrm")
    {
        assert_eq!(value & admin, 0, "{set}");
    }
    assert_eq!(host::status(init, "Seccomp"), "0");
    case.runtime(&["start", &case.id]).ok();
    eventually("the filter", || {
        (host::status(init, "Seccomp") == "2").then_some(())
    });
    for set in ["CapPrm", "CapEff"] {
        assert_eq!(host::capabilities(init, set), 0, "{set}");
    }
}

#[test]
fn the_five_capability_sets_are_exact() {
    let all: &[&str] = &["CAP_CHOWN", "CAP_KILL", "CAP_SETPCAP"];
    let few: &[&str] = &["CAP_KILL"];
    let none: &[&str] = &[];
    let every = CHOWN | KILL | SETPCAP;
    // For a user that is not root, execve keeps only what is ambient; for root it raises all that
    // is in the bounding set, unless no_new_privs forbids to gain any.
    let table = [
        (0, [all, few, few, none, none], [every, every, every, 0, 0]),
        (0, [none, none, none, none, none], [0; 5]),
        (
            0,
            [all, all, all, few, none],
            [every, every, every, KILL, 0],
        ),
        (1000, [all, all, all, none, none], [every, 0, 0, 0, 0]),
        (
            1000,
            [all, all, all, few, few],
            [every, KILL, KILL, KILL, KILL],
        ),
        (1000, [all, all, all, few, none], [every, 0, 0, KILL, 0]),
    ];
    // A filter without no_new_privs takes CAP_SYS_ADMIN to install; the payload has none of it.
    for (nnp, filtered) in [(true, false), (false, false), (false, true)] {
        for (uid, given, expected) in &table {
            let Some(case) = case_with(|c| {
                if filtered {
                    c["linux"]["seccomp"] =
                        refusing(&["capset", "setresuid", "prctl", "faccessat2"]);
                }
                c["process"]["user"]["uid"] = json!(uid);
                c["process"]["noNewPrivileges"] = json!(nnp);
                c["process"]["capabilities"] = sets(*given);
            }) else {
                return;
            };
            let init = case.start();
            let gains = nnp && given[0].len() > given[1].len();
            let expected = if gains {
                &[every, KILL, KILL, 0, 0]
            } else {
                expected
            };
            for ((name, field), value) in SETS.iter().zip(expected) {
                let got = host::capabilities(init, field);
                assert_eq!(
                    got, *value,
                    "{name} of uid {uid} given {given:?}, nnp {nnp}"
                );
            }
            assert_eq!(host::status(init, "NoNewPrivs"), u8::from(nnp).to_string());
            let mode = if filtered { "2" } else { "0" };
            assert_eq!(host::status(init, "Seccomp"), mode);
        }
    }
}

#[test]
fn without_capabilities_there_are_none() {
    let Some(case) = case_with(|c| {
        c["process"]
            .as_object_mut()
            .expect("an object")
            .remove("capabilities");
    }) else {
        return;
    };
    let init = case.start();
    for (name, field) in SETS {
        assert_eq!(host::capabilities(init, field), 0, "{name}");
    }
}

#[test]
fn every_kind_of_rlimit_is_set() {
    let table: [(&str, &str, u64, u64); 16] = [
        ("RLIMIT_AS", "Max address space", 1 << 33, 1 << 34),
        ("RLIMIT_CORE", "Max core file size", 0, 4096),
        ("RLIMIT_CPU", "Max cpu time", 1000, 2000),
        ("RLIMIT_DATA", "Max data size", 1 << 32, 1 << 33),
        ("RLIMIT_FSIZE", "Max file size", 1 << 20, 1 << 21),
        ("RLIMIT_LOCKS", "Max file locks", 100, 200),
        ("RLIMIT_MEMLOCK", "Max locked memory", 4096, 8192),
        ("RLIMIT_MSGQUEUE", "Max msgqueue size", 1000, 2000),
        ("RLIMIT_NICE", "Max nice priority", 0, 0),
        ("RLIMIT_NOFILE", "Max open files", 333, 444),
        ("RLIMIT_NPROC", "Max processes", 1000, 1001),
        ("RLIMIT_RSS", "Max resident set", 1 << 30, 1 << 31),
        ("RLIMIT_RTPRIO", "Max realtime priority", 0, 0),
        ("RLIMIT_RTTIME", "Max realtime timeout", 300_000, 400_000),
        ("RLIMIT_SIGPENDING", "Max pending signals", 50, 60),
        ("RLIMIT_STACK", "Max stack size", 1 << 22, 1 << 23),
    ];
    let Some(case) = case_with(|c| {
        let list =
            table.map(|(kind, _, soft, hard)| json!({"type": kind, "soft": soft, "hard": hard}));
        c["process"]["rlimits"] = json!(list);
    }) else {
        return;
    };
    let init = case.start();
    let limits = host::limits(init);
    for (kind, name, soft, hard) in table {
        assert_eq!(limits[name], (soft.to_string(), hard.to_string()), "{kind}");
    }
}

#[test]
fn oom_score_adj_is_raised() {
    let Some(case) = case_with(|c| c["process"]["oomScoreAdj"] = json!(321)) else {
        return;
    };
    let own = read("/proc/self/oom_score_adj");
    let init = case.start();
    assert_eq!(read(host::proc_path(init, "oom_score_adj")), "321");
    assert_eq!(
        read("/proc/self/oom_score_adj"),
        own,
        "the caller keeps its own"
    );
}

#[test]
fn oom_score_adj_is_the_caller_s_where_none_is_given() {
    let Some(case) = case() else { return };
    let init = case.start();
    assert_eq!(
        read(host::proc_path(init, "oom_score_adj")),
        read("/proc/self/oom_score_adj")
    );
}

#[test]
fn no_new_privileges_is_set_or_not() {
    for given in [json!(true), json!(false), Value::Null] {
        let Some(case) = case_with(|c| c["process"]["noNewPrivileges"] = given.clone()) else {
            return;
        };
        let init = case.start();
        let expected = if given == true { "1" } else { "0" };
        assert_eq!(host::status(init, "NoNewPrivs"), expected, "{given}");
    }
}

#[test]
fn the_environment_is_exactly_the_given_one_and_home() {
    let table = [(0, "/root"), (1000, "/home/user"), (4242, "/")];
    for (uid, home) in table {
        let Some(case) = case_with(|c| {
            c["process"]["user"]["uid"] = json!(uid);
            c["process"]["env"] = json!(["PATH=/bin", "A=1", "B=x=y", "EMPTY="]);
        }) else {
            return;
        };
        let init = case.create();
        case.runtime(&["start", &case.id]).ok();
        let mut environ = eventually("the payload", || {
            let environ = host::strings(init, "environ");
            environ.contains(&"B=x=y".to_owned()).then_some(environ)
        });
        environ.sort();
        let home = format!("HOME={home}");
        assert_eq!(
            environ,
            ["A=1", "B=x=y", "EMPTY=", &home, "PATH=/bin"],
            "uid {uid}"
        );
    }
}

#[test]
fn a_given_home_stays_and_the_last_of_duplicates_wins() {
    let Some(case) = case_with(|c| {
        c["process"]["env"] = json!(["PATH=/bin", "HOME=/given", "D=1", "D=2"]);
        script(c, "echo $HOME $D");
    }) else {
        return;
    };
    assert_eq!(case.run().ok().stdout, "/given 2\n");
}

#[test]
fn the_command_is_looked_up_in_path() {
    let Some(case) = case_with(|c| c["root"]["path"] = "rootfs".into()) else {
        return;
    };
    let root = case.own_rootfs();
    let scripts = [
        ("opt/first", "opt/first/it", 0o644),
        ("opt/second", "opt/second/it", 0o755),
    ];
    for (directory, file, mode) in scripts {
        fs::create_dir(root.join(directory)).expect("a directory");
        fs::write(root.join(file), "#!/bin/sh\necho $0\n").expect("a script");
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(root.join(file), mode).expect("its mode");
    }
    case.configure(|c| {
        c["root"]["path"] = "rootfs".into();
        c["process"]["env"] = json!(["PATH=/none:/opt/first:/opt/second:/bin"]);
        args(c, &["it"]);
    });
    assert_eq!(case.run().ok().stdout, "/opt/second/it\n");
}

#[test]
fn arguments_arrive_unchanged() {
    let words = [
        "sh",
        "-c",
        "exec sleep 7200",
        "",
        "a b",
        "\"quoted\"",
        "tab\there",
        "ü",
    ];
    let Some(case) = case_with(|c| args(c, &["sleep", "7200"])) else {
        return;
    };
    case.configure(|c| {
        args(
            c,
            &["sh", "-c", "while :; do sleep 1; done", "", "a b", "ü\t\""],
        )
    });
    let init = case.start();
    let expected = ["sh", "-c", "while :; do sleep 1; done", "", "a b", "ü\t\""];
    assert_eq!(host::strings(init, "cmdline"), expected);
    drop(case);
    let Some(case) = case_with(|c| args(c, &["printf", "%s|", words[3], words[4], words[6]]))
    else {
        return;
    };
    assert_eq!(case.run().ok().stdout, "|a b|tab\there|");
}

#[test]
fn a_missing_cwd_is_made_inside() {
    let Some(case) = case_with(|c| c["root"]["path"] = "rootfs".into()) else {
        return;
    };
    let root = case.own_rootfs();
    case.configure(|c| {
        c["root"] = json!({"path": "rootfs"});
        c["process"]["cwd"] = "/new/deep/place".into();
    });
    let init = case.start();
    assert!(host::link(init, "cwd").ends_with("/new/deep/place"));
    let made = fs::metadata(root.join("new/deep/place")).expect("the directory");
    assert!(made.is_dir() && made.uid() == 0);
}

#[test]
fn a_cwd_that_only_the_user_may_enter_works() {
    let Some(case) = case_with(|c| c["root"]["path"] = "rootfs".into()) else {
        return;
    };
    let home = case.own_rootfs().join("home/user");
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).expect("its mode");
    std::os::unix::fs::chown(&home, Some(1000), Some(1000)).expect("its owner");
    case.configure(|c| {
        c["root"]["path"] = "rootfs".into();
        c["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        c["process"]["cwd"] = "/home/user".into();
    });
    let init = case.start();
    assert!(host::link(init, "cwd").ends_with("/home/user"));
}

#[test]
fn a_session_keyring_is_new() {
    let Some(case) = case_with(|c| {
        c["linux"]["maskedPaths"] = json!([]);
        script(c, "cat /proc/keys");
    }) else {
        return;
    };
    let name = format!("_ses.{}", case.id);
    let inside = case.run().ok().stdout;
    assert!(inside.contains(&name), "no keyring {name} in {inside}");
}

#[test]
fn the_session_is_the_payload_s_own() {
    let Some(case) = case() else { return };
    let init = case.start();
    let stat = read(host::proc_path(init, "stat"));
    let (_, rest) = stat.rsplit_once(") ").expect("a stat line");
    let fields: Vec<&str> = rest.split(' ').collect();
    // Fields 4 to 7 of proc_pid_stat(5): parent, process group, session, terminal.
    assert_eq!(fields[2], init.to_string(), "process group");
    assert_eq!(fields[3], init.to_string(), "session");
    assert_eq!(fields[4], "0", "terminal");
}

#[test]
fn signals_are_neither_blocked_nor_ignored() {
    let Some(case) = case() else { return };
    let init = case.start();
    for field in ["SigBlk", "SigIgn"] {
        let set = u64::from_str_radix(&host::status(init, field), 16).expect("a signal set");
        // Real-time signals may be ignored by whoever started the tests.
        assert_eq!(set & 0x7fff_ffff, 0, "{field} {set:x}");
    }
}

#[test]
fn a_script_without_a_loader_line_is_an_exec_format_error() {
    let Some(case) = case_with(|c| c["root"]["path"] = "rootfs".into()) else {
        return;
    };
    let file = case.own_rootfs().join("bin/odd");
    fs::write(&file, "\x01\x02 no program\n").expect("the file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("its mode");
    case.configure(|c| {
        c["root"]["path"] = "rootfs".into();
        args(c, &["odd"]);
    });
    case.run().failed(1, &["exec format error"]);
    case.assert_clean();
}

#[test]
fn the_default_payload_is_found_by_its_mark() {
    let Some(case) = case() else { return };
    let init = case.start();
    assert_eq!(host::strings(init, "cmdline"), bundle::IDLE);
    let residue = case.residue();
    for kind in ["process ", "cgroup ", "state "] {
        assert!(
            residue.iter().any(|r| r.starts_with(kind)),
            "the oracle is blind to {kind}"
        );
    }
}
