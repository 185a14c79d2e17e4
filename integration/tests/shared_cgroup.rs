//! Two containers that are to have one cgroup: it is the one's who was first, and the other's failure costs it nothing.

use std::fs;
use std::path::PathBuf;

use oci_runtime_integration::bundle::{args, without_namespace};
use oci_runtime_integration::case::{Case, case, text};
use oci_runtime_integration::cgroup;
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{Finished, Running, only_ocirun, read};
use serde_json::Value;

/// How often two creations are let loose on each other.
const ROUNDS: usize = 25;

/// A second bundle with the case's cgroup.
fn second(case: &Case, edit: impl FnOnce(&mut Value)) -> PathBuf {
    let config = read(case.bundle().join("config.json"));
    let mut config: Value = serde_json::from_str(&config).expect("the configuration");
    edit(&mut config);
    let bundle = case.path("second");
    fs::create_dir_all(&bundle).expect("a bundle");
    fs::write(bundle.join("config.json"), config.to_string()).expect("its configuration");
    bundle
}

/// `create` of container `id`, which is not waited for.
fn begin(case: &Case, bundle: &str, id: &str) -> Running {
    let pid_file = text(&case.path(id));
    case.spawn(&["create", "--bundle", bundle, "--pid-file", &pid_file, id])
}

/// What has become of container `id`: the pid of the one that was made, and what was said.
fn made(case: &Case, id: &str, said: Finished) -> Option<i32> {
    if said.code == 0 {
        return Some(read(case.path(id)).parse().expect("a pid"));
    }
    let known = ["exists already and", "no-such-program"];
    assert!(
        known.iter().any(|word| said.stderr.contains(word)),
        "{said:?}"
    );
    None
}

/// Two creations at once, over and over. Whoever was made lives, in the cgroup, and is alone there.
fn contend(case: &Case, prepare: fn(&Case), edit: impl Fn(&mut Value)) -> [usize; 2] {
    let bundles = [text(&case.bundle()), text(&second(case, edit))];
    let ids = [format!("{}-0", case.id), format!("{}-1", case.id)];
    let mut count = [0; 2];
    for round in 0..ROUNDS {
        prepare(case);
        // Neither is always the first to be started.
        let order = [round % 2, 1 - round % 2];
        let running = order.map(|n| (n, begin(case, &bundles[n], &ids[n])));
        let pids = running.map(|(n, running)| (n, made(case, &ids[n], running.wait())));
        let made: Vec<(usize, i32)> = pids
            .iter()
            .filter_map(|(n, pid)| Some((*n, (*pid)?)))
            .collect();
        assert!(made.len() < 2, "both have the cgroup in round {round}");
        for (n, pid) in made {
            count[n] += 1;
            assert!(host::alive(pid), "{pid} was killed in round {round}");
            assert!(!cgroup::existing(&case.cgroup).is_empty());
            for (controllers, path) in host::cgroups(pid) {
                assert!(
                    controllers.is_empty() || path == case.cgroup,
                    "{controllers}: {path}"
                );
            }
            case.runtime(&["delete", "--force", &ids[n]]).ok();
            host::reap(pid);
        }
        assert!(
            cgroup::existing(&case.cgroup).is_empty(),
            "left in round {round}"
        );
    }
    count
}

#[test]
fn of_two_at_once_one_gets_the_cgroup() {
    let Some(case) = case().filter(|_| only_ocirun("lets both have it")) else {
        return;
    };
    let count = contend(&case, |_| (), |_| ());
    assert_eq!(count[0] + count[1], ROUNDS, "{count:?}");
}

/// As somebody may prepare it, or leave it behind.
#[test]
fn of_two_at_once_one_gets_a_cgroup_that_is_there() {
    let Some(case) = case().filter(|_| only_ocirun("lets both have it")) else {
        return;
    };
    let prepare = |case: &Case| {
        for hierarchy in cgroup::hierarchies() {
            let directory = hierarchy.point.join(case.cgroup.trim_start_matches('/'));
            fs::create_dir(directory).expect("an empty cgroup");
        }
    };
    let count = contend(&case, prepare, |_| ());
    assert_eq!(count[0] + count[1], ROUNDS, "{count:?}");
}

#[test]
fn one_that_fails_leaves_the_other_alone() {
    let Some(case) = case().filter(|_| only_ocirun("lets both have it")) else {
        return;
    };
    let [good, bad] = contend(&case, |_| (), |c| args(c, &["/no-such-program"]));
    assert!(good > 0 && bad == 0, "{good} and {bad}");
}

#[test]
fn without_a_pid_namespace_too() {
    let Some(case) = case().filter(|_| only_ocirun("lets both have it")) else {
        return;
    };
    let [good, bad] = contend(
        &case,
        |_| (),
        |c| {
            args(c, &["/no-such-program"]);
            without_namespace(c, "pid");
        },
    );
    assert!(good > 0 && bad == 0, "{good} and {bad}");
}

#[test]
fn a_living_container_s_cgroup_is_refused_and_left_alone() {
    let Some(case) = case() else { return };
    let init = case.start();
    let other = format!("{}-2", case.id);
    let said = begin(&case, &text(&case.bundle()), &other).wait();
    said.failed(1, &["/linux/cgroupsPath", &init.to_string()]);
    case.runtime(&["pause", &case.id]).ok();
    let said = begin(&case, &text(&case.bundle()), &other).wait();
    said.failed(1, &["/linux/cgroupsPath"]);
    assert_eq!(case.status(), "paused");
    case.runtime(&["resume", &case.id]).ok();
    assert_eq!(case.status(), "running");
    assert!(host::alive(init));
    assert!(!case.path("state").join(&other).exists());
}

#[test]
fn a_stopped_one_is_killed_and_deleted_without_who_has_its_cgroup_now() {
    let Some(case) = case().filter(|_| only_ocirun("kills both")) else {
        return;
    };
    let first = case.start();
    case.kill(first);
    case.configure(|c| without_namespace(c, "pid"));
    let id = format!("{}-2", case.id);
    let said = begin(&case, &text(&case.bundle()), &id).wait();
    let second = made(&case, &id, said).expect("the cgroup is empty");
    let listed = case.runtime(&["ps", "--format", "json", &case.id]).ok();
    assert!(!listed.stdout.contains(&second.to_string()), "{listed:?}");
    for signal in ["TERM", "KILL"] {
        case.runtime(&["kill", "--all", &case.id, signal]).ok();
        assert!(host::alive(second), "{signal} to the first reached it");
    }
    case.runtime(&["delete", "--force", &case.id]).ok();
    assert!(!case.path("state").join(&case.id).exists());
    assert!(host::alive(second), "the second was killed with the first");
    assert!(!cgroup::existing(&case.cgroup).is_empty());
    case.runtime(&["delete", "--force", &id]).ok();
    host::reap(second);
    case.assert_clean();
}
