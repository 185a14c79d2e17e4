//! What a container must not be able to undo, and what setting one up must not depend on; each with its twin that works.

use std::fs;
use std::process::Command;

use oci_runtime_integration::bundle::{args, push, script};
use oci_runtime_integration::case::{Case, case, case_with, text};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{binary, only_ocirun, tool};
use serde_json::{Value, json};

/// Runs `ocirun run` of the case in a private mount namespace, after `commands` there.
fn run_after(case: &Case, commands: &str) -> (i32, String) {
    let run = format!(
        "{commands}\nexec {} --root {} run --bundle {} {}",
        text(&binary()),
        text(&case.path("state")),
        text(&case.bundle()),
        case.id
    );
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-ec", &run])
        .output()
        .expect("unshare");
    let both = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&both).into_owned(),
    )
}

fn map_root_to_100000(c: &mut Value) {
    push(c, "/linux/namespaces", json!({"type": "user"}));
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    c["linux"]["uidMappings"] = map.clone();
    c["linux"]["gidMappings"] = map;
    for set in ["bounding", "effective", "permitted"] {
        c["process"]["capabilities"][set] = json!(["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"]);
    }
}

/// The container's root may have CAP_SYS_ADMIN in its user namespace; the host's own mount flags and covers still hold.
#[test]
fn a_user_namespace_cannot_undo_mounts_of_the_host() {
    let Some(case) = case() else { return };
    let source = case.path("source");
    fs::create_dir(&source).expect("the source");
    let prepare = format!(
        "mount -t tmpfs -o mode=0777 t {s}; mkdir {s}/sub; echo hidden > {s}/sub/secret; mount -t tmpfs -o mode=0777 t {s}/sub; \
         echo shown > {s}/sub/shown; mount -o remount,bind,ro,nosuid,nodev {s}",
        s = text(&source)
    );
    case.configure(|c| {
        map_root_to_100000(c);
        push(c, "/mounts", json!({"destination": "/tmp", "type": "bind", "source": text(&source), "options": ["rbind"]}));
        script(c, "cat /tmp/sub/shown; echo w > /tmp/sub/written && echo below-writable; \
            mount -o remount,bind,rw /tmp && echo REMOUNTED; touch /tmp/x && echo WRITTEN; \
            umount /tmp/sub && echo UNCOVERED; cat /tmp/sub/secret; true");
    });
    let (code, said) = run_after(&case, &prepare);
    assert_eq!(code, 0, "{said}");
    for attempt in ["REMOUNTED", "WRITTEN", "UNCOVERED", "hidden"] {
        assert!(!said.contains(attempt), "{attempt}: {said}");
    }
    // The twin: what the host lets be seen and written can be.
    assert!(
        said.contains("shown") && said.contains("below-writable"),
        "{said}"
    );
}

#[test]
fn a_filter_cannot_change_the_umask_that_was_asked_for() {
    let Some(case) = case_with(|c| {
        c["process"]["user"]["umask"] = json!(0o077);
        c["process"]["noNewPrivileges"] = json!(false);
        c["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["umask"], "action": "SCMP_ACT_ERRNO"}]});
    }) else {
        return;
    };
    let init = case.start();
    assert_eq!(host::status(init, "Umask"), "0077");
    assert_eq!(host::status(init, "Seccomp"), "2");
}

#[test]
fn exec_does_not_make_a_working_directory() {
    let Some(case) = case() else { return };
    case.configure(|c| {
        push(
            c,
            "/mounts",
            json!({"destination": "/tmp", "type": "tmpfs", "source": "t"}),
        )
    });
    let init = case.start();
    let exec = case.exec(&["--cwd", "/tmp/absent/x"], &["true"]);
    assert_eq!(exec.code, 255, "{exec:?}");
    assert!(
        exec.stderr.contains("no such file or directory"),
        "{exec:?}"
    );
    assert!(!host::proc_path(init, "root/tmp/absent").exists());
    // The twin: a new container's is made.
    drop(case);
    let Some(case) = case_with(|c| {
        push(
            c,
            "/mounts",
            json!({"destination": "/tmp", "type": "tmpfs", "source": "t"}),
        );
        c["process"]["cwd"] = json!("/tmp/absent/x");
    }) else {
        return;
    };
    let init = case.start();
    assert_eq!(
        fs::read_link(host::proc_path(init, "cwd")).expect("cwd"),
        std::path::Path::new("/tmp/absent/x")
    );
}

#[test]
fn a_dev_of_the_host_gets_no_new_nodes() {
    let Some(case) = case() else { return };
    if !only_ocirun("wants /dev/null in it") {
        return;
    }
    let dev = case.path("dev");
    fs::create_dir(&dev).expect("a directory");
    case.configure(|c| {
        let mounts = c["mounts"].as_array_mut().expect("mounts");
        mounts.retain(|mount| !mount["destination"].as_str().expect("text").starts_with("/dev"));
        mounts.push(json!({"destination": "/dev", "type": "bind", "source": text(&dev), "options": ["bind"]}));
        c["linux"]["devices"] = json!([{"path": "/dev/newnull", "type": "c", "major": 1, "minor": 3}]);
        // Not what is masked with the host's /dev/null, but what needs one of its own.
        args(c, &["sleep", "7200"]);
    });
    case.start();
    assert_eq!(fs::read_dir(&dev).expect("it").count(), 0);
}

#[test]
fn many_mounts_fit_into_a_small_limit_of_open_files() {
    let Some(case) = case() else { return };
    case.configure(|c| {
        push(c, "/mounts", json!({"destination": "/tmp", "type": "tmpfs", "source": "t"}));
        for number in 0..150 {
            let deep = format!("/tmp/m/a/b/c/d{number}/e");
            push(c, "/mounts", json!({"destination": deep, "type": "tmpfs", "source": "t"}));
            push(c, "/mounts", json!({"destination": format!("/tmp/f{number}"), "type": "bind", "source": "/etc/passwd",
                "options": ["bind"]}));
        }
        c["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 16, "hard": 20}]);
    });
    let init = case.start();
    let limits = fs::read_to_string(host::proc_path(init, "limits")).expect("limits");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .expect("the limit");
    assert_eq!(
        line.split_whitespace().collect::<Vec<_>>()[3..5],
        ["16", "20"]
    );
    let mounts = fs::read_to_string(host::proc_path(init, "mountinfo")).expect("mountinfo");
    assert_eq!(
        mounts
            .lines()
            .filter(|line| line.contains("/tmp/m/a/b/c/d"))
            .count(),
        150
    );
    assert_eq!(
        mounts
            .lines()
            .filter(|line| line.contains(" /tmp/f"))
            .count(),
        150
    );
}

#[test]
fn the_callers_limit_of_open_files_is_the_payloads_too() {
    let Some(case) = case() else { return };
    let create = format!(
        "ulimit -Sn 77; exec {} --root {} run --bundle {} {}",
        text(&binary()),
        text(&case.path("state")),
        text(&case.bundle()),
        case.id
    );
    case.configure(|c| {
        c["process"]["rlimits"] = json!([]);
        script(c, "ulimit -Sn");
    });
    let output = Command::new("sh")
        .args(["-ec", &create])
        .output()
        .expect("sh");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "77",
        "{output:?}"
    );
}

#[test]
fn any_number_of_groups_is_set() {
    let groups: Vec<u32> = (1..1500).map(|number| number * 3).collect();
    let Some(case) = case_with(|c| c["process"]["user"]["additionalGids"] = json!(groups)) else {
        return;
    };
    let init = case.start();
    let status = host::status(init, "Groups");
    let found: Vec<u32> = status
        .split_whitespace()
        .map(|group| group.parse().expect("a number"))
        .collect();
    assert_eq!(found, groups);
}

#[test]
fn an_empty_home_is_filled() {
    let Some(case) = case_with(|c| {
        push(c, "/process/env", json!("HOME="));
        script(c, "echo \"[$HOME]\"; env | grep -c ^HOME=");
    }) else {
        return;
    };
    let said = case.run().ok().stdout;
    assert!(!said.contains("[]") && said.ends_with("1\n"), "{said}");
}

#[test]
fn the_callers_processors_do_not_bind_the_container() {
    let Some(case) = case() else { return };
    if !only_ocirun("keeps the caller's in old versions") {
        return;
    }
    let all = tool("sh", &["-c", "grep Cpus_allowed_list /proc/1/status"]);
    case.configure(|c| script(c, "grep Cpus_allowed_list /proc/self/status"));
    let run = format!(
        "exec taskset -c 0 {} --root {} run --bundle {} {}",
        text(&binary()),
        text(&case.path("state")),
        text(&case.bundle()),
        case.id
    );
    let output = Command::new("sh").args(["-ec", &run]).output().expect("sh");
    assert_eq!(String::from_utf8_lossy(&output.stdout), all, "{output:?}");
}

#[test]
fn a_volume_on_a_read_only_file_system_may_be_asked_for_as_writable() {
    let Some(case) = case() else { return };
    let source = case.path("source");
    fs::create_dir(&source).expect("the source");
    let prepare = format!(
        "mount -t tmpfs t {s}; touch {s}/there; mount -o remount,bind,ro,noexec {s}",
        s = text(&source)
    );
    case.configure(|c| {
        map_root_to_100000(c);
        push(c, "/mounts", json!({"destination": "/tmp", "type": "bind", "source": text(&source), "options": ["rbind", "rw", "exec"]}));
        script(c, "ls /tmp; touch /tmp/x && echo WRITTEN; true");
    });
    let (code, said) = run_after(&case, &prepare);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("there") && !said.contains("WRITTEN"),
        "{said}"
    );
}

#[test]
fn a_filter_need_not_allow_what_the_runtime_does_for_its_own_sake() {
    let Some(case) = case() else { return };
    case.configure(|c| {
        c["process"]["noNewPrivileges"] = json!(false);
        c["process"]["rlimits"] = json!([]);
        c["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["prlimit64", "setrlimit", "dup3", "umask", "capset", "prctl", "setgroups", "setresuid",
                "setresgid", "faccessat2", "close_range", "sendmsg", "statx"], "action": "SCMP_ACT_ERRNO"}]});
        script(c, "echo begun");
    });
    let run = format!(
        "ulimit -Sn 77; exec {} --root {} run --bundle {} {}",
        text(&binary()),
        text(&case.path("state")),
        text(&case.bundle()),
        case.id
    );
    let output = Command::new("sh").args(["-ec", &run]).output().expect("sh");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "begun\n",
        "{output:?}"
    );
}
