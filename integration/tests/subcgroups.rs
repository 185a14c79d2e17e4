//! `exec --cgroup`, containers that have cgroups below their own, and the end of all that is in them.

use std::fs;
use std::path::PathBuf;

use oci_runtime_integration::bundle::IDLE;
use oci_runtime_integration::case::{Case, case};
use oci_runtime_integration::cgroup;
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::only_ocirun;

/// Makes the cgroup `name` below the container's in every hierarchy.
fn make(case: &Case, name: &str) -> Vec<PathBuf> {
    let made: Vec<PathBuf> = cgroup::existing(&case.cgroup)
        .iter()
        .map(|dir| dir.join(name))
        .collect();
    for directory in &made {
        fs::create_dir_all(directory).expect("a cgroup");
        for file in ["cpuset.cpus", "cpuset.mems"] {
            // Nothing can enter an empty cpuset of v1.
            let parent = directory.parent().expect("the container's");
            if parent.join("tasks").exists()
                && let Ok(list) = fs::read_to_string(parent.join(file))
            {
                fs::write(directory.join(file), list).expect("a cpuset");
            }
        }
    }
    made
}

/// The places of a process, hierarchies without controllers left out where there are others.
fn places(pid: i32) -> Vec<(String, String)> {
    host::cgroups(pid).into_iter().collect()
}

#[test]
fn a_process_goes_to_the_cgroup_it_is_told() {
    let Some(case) = case() else { return };
    case.start();
    make(&case, "sub");
    let below = format!("{}/sub", case.cgroup);
    for path in ["sub", "/sub", "sub/"] {
        let pid = case.exec_detached(&["--cgroup", path], &IDLE);
        for (controllers, place) in places(pid) {
            // Peers leave the hierarchy without controllers of a hybrid host as it is.
            if only_ocirun("leaves some") || !controllers.is_empty() {
                assert_eq!(place, below, "{path} {controllers}");
            }
        }
    }
    let pid = case.exec_detached(&["--cgroup", "/"], &IDLE);
    assert!(
        places(pid)
            .iter()
            .all(|(c, place)| c.is_empty() || *place == case.cgroup)
    );
}

#[test]
fn on_v1_controllers_can_have_cgroups_of_their_own() {
    let Some(case) = case() else { return };
    if cgroup::v1("memory", "/").is_none() || cgroup::v1("pids", "/").is_none() {
        eprintln!("not run: this host has no v1 hierarchies of memory and pids");
        return;
    }
    case.start();
    make(&case, "sub");
    let pid = case.exec_detached(&["--cgroup", "memory,pids:sub", "--cgroup", "cpu:/"], &IDLE);
    for (controllers, place) in places(pid) {
        let expected = match controllers.as_str() {
            "memory" | "pids" => format!("{}/sub", case.cgroup),
            _ => case.cgroup.clone(),
        };
        if !controllers.is_empty() {
            assert_eq!(place, expected, "{controllers}");
        }
    }
}

#[test]
fn no_path_leads_out_of_the_container() {
    let Some(case) = case() else { return };
    case.start();
    make(&case, "sub");
    for bad in [
        "..",
        "/..",
        "sub/../..",
        "sub/..",
        "memory:..",
        ":sub",
        "no-such-controller:sub",
    ] {
        let said = case.exec(&["--cgroup", bad], &["true"]);
        assert_eq!(said.code, 255, "{bad}: {said:?}");
    }
    let missing = case.exec(&["--cgroup", "missing"], &["true"]);
    assert_eq!(missing.code, 255, "{missing:?}");
    assert!(missing.stderr.contains("missing"), "{missing:?}");
    let twice = case.exec(&["--cgroup", "sub", "--cgroup", "sub"], &["true"]);
    assert_eq!(twice.code, 255, "{twice:?}");
}

/// systemd and container engines inside of a container do so.
#[test]
fn a_container_that_has_moved_below_its_cgroup_is_followed() {
    if !only_ocirun("does so on v2 hosts only") {
        return;
    }
    let Some(case) = case() else { return };
    let v2 = cgroup::hierarchies()
        .into_iter()
        .find(|h| h.controllers.is_empty());
    let Some(v2) = v2 else {
        eprintln!("not run: this host has no cgroup2 hierarchy");
        return;
    };
    let init = case.start();
    let own = v2.point.join(case.cgroup.trim_start_matches('/'));
    let offered = fs::read_to_string(own.join("cgroup.controllers")).unwrap_or_default();
    let Some(controller) = offered.split_whitespace().next() else {
        eprintln!("not run: no controller of cgroup2 reaches the container");
        return;
    };
    let inner = own.join("init.scope");
    fs::create_dir(&inner).expect("a cgroup");
    fs::write(inner.join("cgroup.procs"), init.to_string()).expect("move the first process");
    fs::write(own.join("cgroup.subtree_control"), format!("+{controller}")).expect("hand down");
    let pid = case.exec_detached(&[], &IDLE);
    let place = host::cgroups(pid).remove("").expect("cgroup2");
    assert_eq!(place, format!("{}/init.scope", case.cgroup));
}

/// Kernels refuse `cgroup.kill` in threaded cgroups, and to those who may only signal.
#[test]
fn all_processes_are_killed_without_cgroup_kill() {
    let Some(case) = case().filter(|_| only_ocirun("does not use it")) else {
        return;
    };
    let v2 = cgroup::hierarchies()
        .into_iter()
        .find(|h| h.controllers.is_empty());
    let Some(v2) = v2 else {
        eprintln!("not run: this host has no cgroup2 hierarchy");
        return;
    };
    if std::process::Command::new("strace")
        .arg("-V")
        .output()
        .is_err()
    {
        eprintln!("not run: no strace(1) to make cgroup.kill fail");
        return;
    }
    let init = case.start();
    let child = case.exec_detached(&[], &IDLE);
    let file = v2
        .point
        .join(case.cgroup.trim_start_matches('/'))
        .join("cgroup.kill");
    let args = ["kill", "--all", &case.id, "KILL"];
    for call in ["openat", "write"] {
        let said = case.runtime_with_fault(call, "error=EOPNOTSUPP", Some(&file), &args);
        assert_eq!(said.code, 0, "{call}: {said:?}");
    }
    case.reap(init);
    assert!(!host::alive(child));
    case.runtime(&["delete", &case.id]).ok();
    case.assert_clean();
}
