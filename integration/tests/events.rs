//! `events`: numbers as the kernel has them, in runc's schema; being told that memory runs out; and `run`, which says so too.

use std::collections::BTreeSet;
use std::process::Command;

use oci_runtime_integration::bundle::script;
use oci_runtime_integration::case::{Case, case, case_with, text};
use oci_runtime_integration::cgroup::{self, v1_value};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{eventually, only_ocirun, read, tool};
use serde_json::{Value, json};

fn json_of(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{line:?}: {e}"))
}

#[track_caller]
fn stats(case: &Case) -> Value {
    let said = case.runtime(&["events", "--stats", &case.id]).ok().stdout;
    assert_eq!(said.lines().count(), 1, "{said}");
    json_of(&said)
}

fn limited() -> Option<Case> {
    for controller in ["memory", "pids"] {
        if !cgroup::has(controller) {
            eprintln!("not run: this host has no controller {controller}");
            return None;
        }
    }
    case_with(|c| {
        c["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
        c["linux"]["resources"]["pids"] = json!({"limit": 20});
    })
}

#[test]
fn statistics_are_what_the_files_say() {
    let Some(case) = limited() else { return };
    case.start();
    let event = stats(&case);
    assert_eq!(
        (&event["type"], &event["id"]),
        (&json!("stats"), &json!(case.id))
    );
    let data = &event["data"];
    assert_eq!(data["pids"], json!({"current": 1, "limit": 20}));
    assert_eq!(data["memory"]["usage"]["limit"], 64 << 20);
    assert!(
        data["memory"]["usage"]["usage"]
            .as_u64()
            .is_some_and(|bytes| bytes > 0),
        "{data}"
    );
    let raw = data["memory"]["raw"].as_object().expect("memory.stat");
    let stat = match cgroup::v1("memory", "/") {
        Some(_) => v1_value("memory", &case.cgroup, "memory.stat"),
        None => cgroup::v2_value(&case.cgroup, "memory.stat"),
    };
    let names: BTreeSet<&str> = stat
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(
        raw.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        names
    );
    let total = data["cpu"]["usage"]["total"].as_u64();
    assert!(total.is_some_and(|nanoseconds| nanoseconds > 0), "{data}");
    if cgroup::v1("cpuacct", "/").is_some() {
        let now: u64 = v1_value("cpuacct", &case.cgroup, "cpuacct.usage")
            .parse()
            .expect("a number");
        assert!(total.is_some_and(|before| before <= now));
        assert!(
            data["cpuset"]["cpus"]
                .as_array()
                .is_some_and(|cpus| !cpus.is_empty())
        );
    }
    // A paused container has used something too.
    case.runtime(&["pause", &case.id]).ok();
    stats(&case);
    case.runtime(&["resume", &case.id]).ok();
}

#[test]
fn pressure_is_told_where_the_kernel_tells_it() {
    let Some(case) = case() else { return };
    let v2 = cgroup::hierarchies()
        .into_iter()
        .find(|h| h.controllers.is_empty());
    let Some(v2) = v2.filter(|_| only_ocirun("needs v2 for it")) else {
        eprintln!("not run: this host has no cgroup2 hierarchy");
        return;
    };
    case.start();
    let directory = v2.point.join(case.cgroup.trim_start_matches('/'));
    let data = &stats(&case)["data"];
    for (member, file) in [
        ("cpu", "cpu.pressure"),
        ("memory", "memory.pressure"),
        ("blkio", "io.pressure"),
    ] {
        let told = std::fs::read_to_string(directory.join(file)).is_ok();
        let psi = &data[member]["psi"];
        assert_eq!(psi.is_object(), told, "{member}: {psi}");
        if told {
            for (kind, number) in [("some", "avg10"), ("full", "avg300"), ("some", "total")] {
                assert!(psi[kind][number].is_number(), "{psi}");
            }
        }
    }
}

/// Every member by its place, those of devices, CPUs and page sizes left out.
fn places(value: &Value, place: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) if !place.ends_with("/raw") && !place.ends_with("/hugetlb") => {
            for (name, member) in members {
                places(member, &format!("{place}/{name}"), found);
            }
        }
        _ => {
            found.insert(place.to_owned());
        }
    }
}

#[test]
fn the_schema_is_that_of_runc() {
    let Some(case) = limited() else { return };
    if !only_ocirun("compares the two") || Command::new("runc").arg("--version").output().is_err() {
        eprintln!("not run: no runc to compare with");
        return;
    }
    case.start();
    let (mut ours, mut theirs) = (BTreeSet::new(), BTreeSet::new());
    places(&stats(&case), "", &mut ours);
    let id = format!("{}-runc", case.id);
    case.configure(|c| {
        c["linux"]["cgroupsPath"] = format!("/{id}").into();
        c["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
        c["linux"]["resources"]["pids"] = json!({"limit": 20});
    });
    let (root, bundle) = (text(&case.path("runc")), text(&case.bundle()));
    let runc = |args: &[&str]| tool("runc", &[&["--root", &root], args].concat());
    let output = std::fs::File::create(case.path("runc.out")).expect("a file");
    let pid_file = case.path("runc.pid");
    let created = Command::new("runc")
        .args(["--root", &root, "create", "--bundle", &bundle])
        .args(["--pid-file", &text(&pid_file), &id])
        .stdin(std::process::Stdio::null())
        .stdout(output.try_clone().expect("a file"))
        .stderr(output)
        .status();
    assert!(created.is_ok_and(|status| status.success()), "runc create");
    runc(&["start", &id]);
    let said = runc(&["events", "--stats", &id]);
    runc(&["delete", "--force", &id]);
    host::reap(read(pid_file).parse().expect("a pid"));
    places(&json_of(&said), "", &mut theirs);
    let missing: Vec<_> = theirs
        .difference(&ours)
        .filter(|place| !optional(place))
        .collect();
    assert!(missing.is_empty(), "runc has also {missing:?}");
    let more: Vec<_> = ours
        .difference(&theirs)
        .filter(|place| !optional(place))
        .collect();
    assert!(more.is_empty(), "runc has no {more:?}");
}

/// What is there or not as the numbers are, and pressure, which older ones do not tell.
fn optional(place: &str) -> bool {
    let ends = ["/cache", "/max", "/usage", "/failcnt", "/total"];
    place.contains("/psi/")
        || place.contains("/blkio")
        || ends.iter().any(|end| place.ends_with(end))
}

#[test]
fn events_come_at_intervals_until_the_container_has_ended() {
    let Some(case) = case() else { return };
    let init = case.start();
    let watching = case.spawn(&["events", "--interval", "100ms", &case.id]);
    eventually("three lines", || {
        (watching.stdout().lines().count() >= 3).then_some(())
    });
    for line in watching.stdout().lines().take(3) {
        assert_eq!(json_of(line)["type"], "stats");
    }
    if !only_ocirun("stays until the cgroup is gone") {
        case.kill(init);
        case.runtime(&["delete", &case.id]).ok();
    } else {
        case.kill(init);
    }
    watching.wait().ok();
}

/// Whoever watches asks for numbers when they vanish, again and again.
#[test]
fn a_container_that_is_deleted_while_it_is_asked_ends_its_events() {
    if !only_ocirun("stays until the cgroup is gone") {
        return;
    }
    let Some(case) = case() else { return };
    for _ in 0..40 {
        let init = case.start();
        let watching: Vec<_> = (0..3)
            .map(|_| case.spawn(&["events", "--interval", "100us", &case.id]))
            .collect();
        for watch in &watching {
            watch.says("stats");
        }
        case.runtime(&["delete", "--force", &case.id]).ok();
        for watch in watching {
            watch.wait().ok();
        }
        case.reap(init);
    }
}

#[test]
fn it_is_told_that_memory_has_run_out() {
    if !cgroup::has("memory") {
        eprintln!("not run: this host has no memory controller");
        return;
    }
    let Some(case) = case_with(|c| {
        c["linux"]["resources"]["memory"] = json!({"limit": 24 << 20, "swap": 24 << 20});
        script(
            c,
            "until [ -e /proc/1/root/tmp/never ]; do sleep 7200; done",
        );
    }) else {
        return;
    };
    let init = case.start();
    let watching = case.spawn(&["events", "--interval", "1h", &case.id]);
    // It watches once it has the descriptors for it; before, there is nothing to see.
    eventually("a watch", || {
        let fds = std::fs::read_dir(format!("/proc/{}/fd", watching.pid())).ok()?;
        let links = fds
            .flatten()
            .filter_map(|fd| std::fs::read_link(fd.path()).ok());
        let names: Vec<String> = links.map(|link| link.display().to_string()).collect();
        let pidfd = names
            .iter()
            .any(|name| name.contains("pidfd") || name.contains("eventfd"));
        let watch = names
            .iter()
            .any(|name| name.contains("eventfd") || name.contains("inotify"));
        (pidfd && watch).then_some(())
    });
    std::thread::sleep(std::time::Duration::from_millis(100));
    let hungry = "head -c 200000000 /dev/zero | tail | wc -c";
    let said = case.exec(&[], &["sh", "-c", hungry]).stdout;
    assert!(!said.contains("200000000"), "{said}");
    watching.says("\"type\":\"oom\"");
    let line = watching
        .stdout()
        .lines()
        .next()
        .map(json_of)
        .expect("a line");
    assert_eq!(line, json!({"type": "oom", "id": case.id}));
    case.kill(init);
    if only_ocirun("stays until the cgroup is gone") {
        watching.wait().ok();
    } else {
        case.runtime(&["delete", &case.id]).ok();
        watching.wait();
    }
}

#[test]
fn run_says_that_memory_ran_out() {
    if !cgroup::has("memory") || !only_ocirun("says nothing") {
        return;
    }
    let Some(case) = case_with(|c| {
        c["linux"]["resources"]["memory"] = json!({"limit": 24 << 20, "swap": 24 << 20});
        script(c, "exec tail /dev/zero");
    }) else {
        return;
    };
    let run = case.run();
    assert_eq!(run.code, 137, "{run:?}");
    assert!(run.stderr.contains("OOM-killed"), "{run:?}");
    // One that only fails is not told to have run out of memory.
    case.configure(|c| script(c, "exit 3"));
    let run = case.run();
    assert_eq!((run.code, run.stderr.as_str()), (3, ""));
}

#[test]
fn what_cannot_be_watched_says_so() {
    let Some(case) = case() else { return };
    case.runtime(&["events", "--stats", "no-such-id"])
        .failed(1, &["container does not exist"]);
    let init = case.start();
    case.runtime(&["events", "--interval", "0s", &case.id])
        .failed(1, &["interval"]);
    case.runtime(&["events", "--interval", "soon", &case.id])
        .failed(1, &["interval"]);
    case.kill(init);
    for flags in [&["--stats"][..], &[]] {
        let args = [&["events"], flags, &[case.id.as_str()]].concat();
        case.runtime(&args).failed(1, &["not running"]);
    }
}

#[test]
fn a_limit_that_is_too_low_to_begin_with_is_named() {
    if !cgroup::has("memory") || !only_ocirun("says it otherwise") {
        return;
    }
    let Some(case) = case_with(|c| {
        c["linux"]["resources"]["memory"] = json!({"limit": 20 << 10});
    }) else {
        return;
    };
    let refused = case.try_create(&[]).failed(1, &[]);
    // On v2 the process is born in its cgroup, and may not be born at all.
    let says = |text| refused.stderr.contains(text);
    assert!(
        says("container init was OOM-killed (memory limit too low?)") || says("ENOMEM"),
        "{refused:?}"
    );
    case.assert_clean();
}
