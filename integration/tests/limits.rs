//! Limits as an independent reader finds them, and as they act.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use cgroups_rs::blkio::BlkIoController;
use cgroups_rs::cpu::CpuController;
use cgroups_rs::cpuset::CpuSetController;
use cgroups_rs::memory::MemController;
use cgroups_rs::pid::PidController;
use cgroups_rs::{Cgroup, MaxValue, hierarchies};
use oci_runtime_integration::bundle::script;
use oci_runtime_integration::case::{Case, case, case_with};
use oci_runtime_integration::cgroup::{self, v1_value};
use oci_runtime_integration::runtime::{eventually, only_ocirun, read, tool};
use serde_json::{Value, json};

fn has(controllers: &[&str]) -> bool {
    let missing = controllers.iter().find(|name| !cgroup::has(name));
    if let Some(name) = missing {
        eprintln!("not run: this host has no controller {name}");
    }
    missing.is_none()
}

/// The whole disk that holds `path`, as MAJOR and MINOR; nothing where there is none, as for an overlay.
fn disk(path: &std::path::Path) -> Option<(u64, u64)> {
    let device = fs::metadata(path).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let own = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    let whole = match own.join("partition").exists() {
        true => own.parent()?.to_path_buf(),
        false => own,
    };
    let text = read(whole.join("dev"));
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[test]
fn an_independent_reader_finds_every_limit() {
    if !has(&["memory", "cpu", "cpuset", "pids"]) {
        return;
    }
    let Some(case) = case_with(|c| {
        let resources = &mut c["linux"]["resources"];
        resources["memory"] = json!({"limit": 96 << 20, "reservation": 48 << 20});
        resources["cpu"] =
            json!({"shares": 512, "quota": 30_000, "period": 60_000, "cpus": "0", "mems": "0"});
        resources["pids"] = json!({"limit": 37});
    }) else {
        return;
    };
    case.create();
    let v2 = hierarchies::is_cgroup2_unified_mode();
    let reader = Cgroup::load(hierarchies::auto(), case.cgroup.trim_start_matches('/'));
    let memory = reader
        .controller_of::<MemController>()
        .expect("memory")
        .memory_stat();
    assert_eq!(
        (memory.limit_in_bytes, memory.soft_limit_in_bytes),
        (96 << 20, 48 << 20)
    );
    let cpu = reader.controller_of::<CpuController>().expect("cpu");
    assert_eq!(cpu.shares().ok(), Some(if v2 { 59 } else { 512 }));
    assert_eq!(
        (cpu.cfs_quota().ok(), cpu.cfs_period().ok()),
        (Some(30_000), Some(60_000))
    );
    let cpuset = reader
        .controller_of::<CpuSetController>()
        .expect("cpuset")
        .cpuset();
    assert_eq!((cpuset.cpus, cpuset.mems), (vec![(0, 0)], vec![(0, 0)]));
    let pids = reader.controller_of::<PidController>().expect("pids");
    assert_eq!(pids.get_pid_max().ok(), Some(MaxValue::Value(37)));
}

#[test]
fn an_independent_reader_finds_throttles_and_weights() {
    let Some(case) = case() else { return };
    let (Some((major, minor)), true) = (disk(&case.path("")), has(&["blkio"])) else {
        eprintln!("not run: no block device below the case's directory, or no v1 controller blkio");
        return;
    };
    let rate = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
    case.configure(|c| {
        c["linux"]["resources"]["blockIO"] = json!({"weight": 300,
            "throttleReadBpsDevice": rate(1 << 20), "throttleWriteBpsDevice": rate(2 << 20),
            "throttleReadIOPSDevice": rate(100), "throttleWriteIOPSDevice": rate(200)});
    });
    case.create();
    let reader = Cgroup::load(hierarchies::auto(), case.cgroup.trim_start_matches('/'));
    let blkio = reader
        .controller_of::<BlkIoController>()
        .expect("blkio")
        .blkio();
    let throttle = blkio.throttle;
    for (list, expected) in [
        (throttle.read_bps_device, 1 << 20),
        (throttle.write_bps_device, 2 << 20),
        (throttle.read_iops_device, 100),
        (throttle.write_iops_device, 200),
    ] {
        let found: Vec<_> = list
            .iter()
            .map(|d| (d.major as u64, d.minor as u64, d.data))
            .collect();
        assert_eq!(found, [(major, minor, expected)]);
    }
    let weight = ["blkio.bfq.weight", "blkio.weight"].map(|file| {
        let directory = cgroup::v1("blkio", &case.cgroup).expect("blkio");
        fs::read_to_string(directory.join(file)).unwrap_or_default()
    });
    assert!(weight.iter().any(|text| text.trim() == "300"), "{weight:?}");
}

/// The number that follows `name` in `cpu.stat`.
fn cpu_stat(case: &Case, name: &str) -> u64 {
    let stat = match cgroup::v1("cpu", "/") {
        Some(_) => v1_value("cpu", &case.cgroup, "cpu.stat"),
        None => cgroup::v2_value(&case.cgroup, "cpu.stat"),
    };
    let line = stat.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

#[test]
fn a_quota_of_a_tenth_is_a_tenth() {
    if !has(&["cpu"]) {
        return;
    }
    let Some(case) = case_with(|c| {
        c["linux"]["resources"]["cpu"] = json!({"quota": 10_000, "period": 100_000});
        script(c, "while :; do :; done");
    }) else {
        return;
    };
    let init = case.start();
    let used = || {
        let stat = read(format!("/proc/{init}/stat"));
        let rest = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.to_owned())
            .expect("a name");
        let ticks: u64 = rest
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|n| n.parse::<u64>().expect("ticks"))
            .sum();
        Duration::from_millis(ticks * 10)
    };
    let (start, before) = (Instant::now(), used());
    std::thread::sleep(Duration::from_secs(2));
    let (used, passed) = (used() - before, start.elapsed());
    // A period more at either end, and the clock that time is counted with.
    assert!(
        used < passed.mul_f64(0.1) + Duration::from_millis(60),
        "{used:?} of {passed:?}"
    );
    assert!(cpu_stat(&case, "nr_throttled") > 0);
    if only_ocirun("says it otherwise") {
        let said = case.runtime(&["events", "--stats", &case.id]).ok().stdout;
        let event: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        let throttling = &event["data"]["cpu"]["throttling"];
        assert!(
            throttling["throttledPeriods"]
                .as_u64()
                .is_some_and(|periods| periods > 0),
            "{said}"
        );
    }
}

#[test]
fn a_fork_bomb_stops_at_the_limit() {
    if !has(&["pids"]) {
        return;
    }
    let Some(case) = case_with(|c| {
        c["linux"]["resources"]["pids"] = json!({"limit": 24});
        // A shell ends where it cannot fork: the first process is none of those that do.
        script(
            c,
            "f() { f | f & sleep 1; }; (while :; do f; done) 2> /dev/null & exec sleep 1000",
        );
    }) else {
        return;
    };
    let init = case.start();
    let value = |file: &str| match cgroup::v1("pids", "/") {
        Some(_) => v1_value("pids", &case.cgroup, file),
        None => cgroup::v2_value(&case.cgroup, file),
    };
    eventually("forks that were refused", || {
        let refused = value("pids.events");
        let count = refused
            .lines()
            .find_map(|line| line.strip_prefix("max "))?
            .trim()
            .parse::<u64>()
            .ok()?;
        assert!(
            value("pids.current")
                .parse::<u64>()
                .is_ok_and(|tasks| tasks <= 24)
        );
        (count > 0).then_some(())
    });
    case.kill(init);
    case.runtime(&["delete", &case.id]).ok();
    case.assert_clean();
}

#[test]
fn reading_from_a_disk_is_held_back() {
    const SIZE: usize = 3 << 20;
    let Some(case) = case() else { return };
    let root = case.own_rootfs();
    fs::write(root.join("data"), vec![7; SIZE]).expect("a file");
    rustix::fs::sync();
    let (Some((major, minor)), true) = (disk(&root), cgroup::has("blkio") || cgroup::has("io"))
    else {
        eprintln!(
            "not run: no block device below the root filesystem, or no controller of block I/O"
        );
        return;
    };
    let run = |rate: Option<u64>| {
        case.configure(|c| {
            c["root"]["path"] = "rootfs".into();
            script(c, "dd if=/data of=/dev/null bs=64k iflag=direct 2>&1");
            if let Some(rate) = rate {
                let list = json!([{"major": major, "minor": minor, "rate": rate}]);
                c["linux"]["resources"]["blockIO"] = json!({"throttleReadBpsDevice": list});
            }
        });
        let start = Instant::now();
        let said = case.run();
        (said, start.elapsed())
    };
    let (said, _) = run(None);
    if said.code != 0 {
        eprintln!("not run: nothing can be read past the page cache here: {said:?}");
        return;
    }
    let (said, held_back) = run(Some(1 << 20));
    assert_eq!(said.code, 0, "{said:?}");
    // Three seconds' worth, of which the first slice passes at once.
    assert!(held_back > Duration::from_millis(1800), "{held_back:?}");
}

/// Settings; the controller, its file in v1 and what its first line says; the file of cgroup2 and what that says, none where
/// cgroup2 has no such setting.
type Row = (
    Value,
    (&'static str, &'static str, &'static str),
    Option<(&'static str, &'static str)>,
);

fn rows() -> Vec<Row> {
    vec![
        (
            json!({"memory": {"swappiness": 10}}),
            ("memory", "memory.swappiness", "10"),
            None,
        ),
        (
            json!({"memory": {"disableOOMKiller": true}}),
            ("memory", "memory.oom_control", "oom_kill_disable 1"),
            None,
        ),
        (
            json!({"memory": {"kernelTCP": 1 << 20}}),
            ("memory", "memory.kmem.tcp.limit_in_bytes", "1048576"),
            None,
        ),
        (
            json!({"cpu": {"quota": 50_000, "burst": 10_000}}),
            ("cpu", "cpu.cfs_burst_us", "10000"),
            Some(("cpu.max.burst", "10000")),
        ),
        (
            json!({"cpu": {"idle": 1}}),
            ("cpu", "cpu.idle", "1"),
            Some(("cpu.idle", "1")),
        ),
        (
            json!({"cpu": {"realtimePeriod": 500_000, "realtimeRuntime": 1000}}),
            ("cpu", "cpu.rt_runtime_us", "1000"),
            None,
        ),
        (
            json!({"cpu": {"realtimePeriod": 500_000}}),
            ("cpu", "cpu.rt_period_us", "500000"),
            None,
        ),
        (
            json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4 << 20}]}),
            ("hugetlb", "hugetlb.2MB.limit_in_bytes", "4194304"),
            Some(("hugetlb.2MB.max", "4194304")),
        ),
    ]
}

#[test]
fn what_only_some_hosts_have_is_written_or_warned_about() {
    let Some(case) = case().filter(|_| only_ocirun("ignores some")) else {
        return;
    };
    for (resources, (controller, v1_file, v1_text), v2) in rows() {
        if cgroup::v1("cpu", "/").is_some_and(|dir| !dir.join("cpu.rt_runtime_us").exists())
            && v1_file.contains("cpu.rt")
        {
            eprintln!("not run: this kernel has no real-time bandwidth of cgroups");
            continue;
        }
        if !cgroup::has(controller) {
            eprintln!("not run for {resources}: no controller {controller}");
            continue;
        }
        case.configure(|c| {
            for (name, value) in resources.as_object().expect("an object") {
                c["linux"]["resources"][name] = value.clone();
            }
        });
        let created = case.try_create(&[]).ok();
        let init = case.init_from_pid_file();
        let found = match (cgroup::v1(controller, "/"), v2) {
            (Some(_), _) => Some((v1_value(controller, &case.cgroup, v1_file), v1_text)),
            (None, Some((file, text))) => Some((cgroup::v2_value(&case.cgroup, file), text)),
            (None, None) => None,
        };
        match found {
            Some((found, text)) => assert_eq!(found.lines().next(), Some(text), "{resources}"),
            None => assert!(created.stderr.contains("/linux/resources"), "{created:?}"),
        }
        case.kill(init);
        case.runtime(&["delete", &case.id]).ok();
    }
}

#[test]
fn a_weight_of_a_device_reaches_its_scheduler() {
    let Some(case) = case().filter(|_| only_ocirun("has another file")) else {
        return;
    };
    let image = case.path("disk");
    fs::File::create(&image)
        .and_then(|file| file.set_len(8 << 20))
        .expect("an image");
    let image = image.display().to_string();
    let attached = std::process::Command::new("losetup")
        .args(["--find", "--show", &image])
        .output();
    let device = match attached {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        other => {
            eprintln!("not run: no loop device: {other:?}");
            return;
        }
    };
    let sys = std::path::PathBuf::from(device.replace("/dev/", "/sys/block/"));
    let number = read(sys.join("dev"));
    if fs::write(sys.join("queue/scheduler"), "bfq").is_ok() && cgroup::v1("blkio", "/").is_some() {
        let (major, minor) = number.split_once(':').expect("MAJOR:MINOR");
        let (major, minor): (i64, i64) = (
            major.parse().expect("a number"),
            minor.parse().expect("a number"),
        );
        case.configure(|c| {
            let list = json!([{"major": major, "minor": minor, "weight": 300}]);
            c["linux"]["resources"]["blockIO"] = json!({"weightDevice": list});
        });
        let init = case.create();
        let found = v1_value("blkio", &case.cgroup, "blkio.bfq.weight_device");
        case.kill(init);
        case.runtime(&["delete", &case.id]).ok();
        tool("losetup", &["--detach", &device]);
        assert!(
            found.lines().any(|line| line == format!("{number} 300")),
            "{found}"
        );
    } else {
        eprintln!("not run: no scheduler BFQ, or no v1 controller blkio");
        tool("losetup", &["--detach", &device]);
    }
}

#[test]
fn a_setting_without_its_controller_or_file_is_refused_by_its_place() {
    let Some(case) = case().filter(|_| only_ocirun("passes some over")) else {
        return;
    };
    let settings = [
        (
            "net_cls",
            "network/classID",
            json!({"network": {"classID": 7}}),
        ),
        (
            "net_prio",
            "network/priorities/0",
            json!({"network": {"priorities": [{"name": "lo", "priority": 1}]}}),
        ),
        (
            "rdma",
            "rdma/mlx5_0",
            json!({"rdma": {"mlx5_0": {"hcaHandles": 3, "hcaObjects": 9}}}),
        ),
        (
            "",
            "blockIO/leafWeight",
            json!({"blockIO": {"leafWeight": 100}}),
        ),
    ];
    for (controller, pointer, resources) in settings {
        let v2_alone = cgroup::v1("memory", "/").is_none();
        let is_expected = match controller {
            "" => {
                cgroup::v1("blkio", "/").is_some_and(|dir| !dir.join("blkio.leaf_weight").exists())
            }
            "rdma" => !cgroup::has("rdma"),
            _ => !v2_alone && !cgroup::has(controller),
        };
        if !is_expected {
            eprintln!("not run for {pointer}: this host has what it takes, or only warns");
            continue;
        }
        case.configure(|c| {
            for (name, value) in resources.as_object().expect("an object") {
                c["linux"]["resources"][name] = value.clone();
            }
        });
        let refused = case.try_create(&[]);
        assert!(
            refused.code == 1 && refused.stderr.contains(pointer),
            "{refused:?}"
        );
        case.assert_clean();
    }
}

#[test]
fn a_device_that_the_host_lacks_is_named() {
    if !cgroup::has("rdma") {
        eprintln!("not run: this host has no controller rdma");
        return;
    }
    let Some(case) = case_with(|c| {
        c["linux"]["resources"]["rdma"] = json!({"no-such-hca": {"hcaHandles": 3}});
    }) else {
        return;
    };
    let refused = case.try_create(&[]);
    refused.failed(
        1,
        &["rdma.max", "no-such-hca", "/linux/resources/rdma", "ENODEV"],
    );
    case.assert_clean();
}
