//! `pause`, `resume` and `ps`, read back from the freezer and from /proc.

use std::fs;
use std::path::Path;
use std::time::Duration;

use oci_runtime_integration::bundle::script;
use oci_runtime_integration::case::{Case, case, case_with};
use oci_runtime_integration::cgroup;
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{eventually, only_ocirun};
use rustix::process::Signal;

/// What the kernel says of the container's cgroup.
fn frozen(case: &Case) -> bool {
    match cgroup::v1("freezer", &case.cgroup) {
        Some(directory) => {
            fs::read_to_string(directory.join("freezer.state"))
                .expect("the state")
                .trim()
                == "FROZEN"
        }
        None => cgroup::v2_value(&case.cgroup, "cgroup.events").contains("frozen 1"),
    }
}

/// The payload counts; whether it does so now is told by its progress.
fn counts(pid: i32) -> bool {
    let ticks = |pid: i32| {
        let stat = fs::read_to_string(host::proc_path(pid, "stat")).expect("stat");
        let rest = stat.rsplit_once(')').expect("a name").1.to_owned();
        let fields: Vec<u64> = rest
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|n| n.parse().expect("a number"))
            .collect();
        fields[0] + fields[1]
    };
    let before = ticks(pid);
    std::thread::sleep(Duration::from_millis(300));
    ticks(pid) > before
}

#[test]
fn a_paused_container_stands_still_until_it_is_resumed() {
    let Some(case) = case_with(|c| script(c, "while :; do :; done")) else {
        return;
    };
    let init = case.start();
    assert!(counts(init));
    case.runtime(&["pause", &case.id]).ok();
    assert!(frozen(&case) && !counts(init));
    assert_eq!(case.status(), "paused");
    case.runtime(&["exec", &case.id, "true"])
        .failed(255, &["cannot exec in a paused container"]);
    case.runtime(&["delete", &case.id])
        .failed(1, &["that is not stopped: paused"]);
    case.runtime(&["resume", &case.id]).ok();
    assert!(!frozen(&case) && counts(init));
    assert_eq!(case.status(), "running");
}

#[test]
fn what_cannot_be_paused_or_resumed_says_so() {
    let Some(case) = case() else { return };
    let init = case.start();
    case.runtime(&["resume", &case.id])
        .failed(1, &["container not paused"]);
    case.runtime(&["pause", &case.id]).ok();
    case.runtime(&["pause", &case.id])
        .failed(1, &["container not running", "paused"]);
    assert_eq!(case.status(), "paused");
    case.runtime(&["resume", &case.id]).ok();
    case.kill(init);
    case.runtime(&["pause", &case.id])
        .failed(1, &["container not running"]);
    case.runtime(&["pause", "no-such-id"])
        .failed(1, &["container does not exist"]);
}

#[test]
fn a_paused_container_can_be_killed_and_deleted() {
    let Some(case) = case() else { return };
    let init = case.start();
    case.runtime(&["pause", &case.id]).ok();
    case.runtime(&["kill", &case.id, "KILL"]).ok();
    let status = case.reap(init).expect("it is our child");
    assert_eq!(status.terminating_signal(), Some(Signal::KILL.as_raw()));
    case.destroy();
    let Some(case) = self::case() else { return };
    case.start();
    case.runtime(&["pause", &case.id]).ok();
    case.destroy();
    case.assert_clean();
}

#[test]
fn ps_lists_the_processes_of_the_container_and_no_others() {
    let Some(case) = case_with(|c| script(c, "sleep 7201 & exec sleep 7200")) else {
        return;
    };
    let init = case.start();
    let expected = eventually("both processes", || {
        let children =
            fs::read_to_string(host::proc_path(init, &format!("task/{init}/children"))).ok()?;
        let child: i32 = children.split_whitespace().next()?.parse().ok()?;
        Some(vec![init.min(child), init.max(child)])
    });
    let json = case
        .runtime(&["ps", "--format", "json", &case.id])
        .ok()
        .stdout;
    let found: Vec<i32> = serde_json::from_str(&json).expect("an array of pids");
    assert_eq!(found, expected);
    if !Path::new("/usr/bin/ps").exists() && !Path::new("/bin/ps").exists() {
        eprintln!("not run: no ps(1) here");
        return;
    }
    let table = case.runtime(&["ps", &case.id]).ok().stdout;
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(
        table.starts_with("UID") && table.contains("sleep 7201"),
        "{table}"
    );
    if only_ocirun("says it otherwise") {
        case.runtime(&["ps", &case.id, "-o", "comm"])
            .failed(1, &["PID"]);
    }
}
