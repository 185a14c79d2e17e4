use super::*;
use crate::{Mode, Write};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn layout(mode: Mode) -> Layout {
    let v1 = "30 24 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
31 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 24 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
33 24 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
34 24 0:30 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices
35 24 0:31 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio
36 24 0:32 / /sys/fs/cgroup/net_cls,net_prio rw - cgroup cgroup rw,net_cls,net_prio
37 24 0:33 / /sys/fs/cgroup/rdma rw - cgroup cgroup rw,rdma\n";
    let v1_own = "8:memory:/\n7:cpu,cpuacct:/\n6:cpuset:/\n5:pids:/\n4:devices:/\n3:blkio:/\n\
                  2:net_cls,net_prio:/\n1:rdma:/\n";
    let hybrid = "40 24 0:40 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    let v2 = "40 24 0:40 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    let all = "cpuset cpu io memory hugetlb pids rdma misc";
    match mode {
        Mode::V1 => Layout::parse(v1, v1_own, ""),
        Mode::Hybrid => Layout::parse(
            &format!("{v1}{hybrid}"),
            &format!("{v1_own}0::/\n"),
            "hugetlb",
        ),
        Mode::V2 => Layout::parse(v2, "0::/\n", all),
    }
    .expect("a layout")
}

fn lower(mode: Mode, json: &str) -> Result<Limits> {
    let layout = layout(mode);
    let resources: Resources = serde_json::from_str(json).expect("resources");
    let paths = crate::resolve(&layout, Some("/c/x"), "x").expect("paths");
    let mut lowering = Lowering::new(&layout, &paths);
    all_but_devices(&mut lowering, &resources)?;
    Ok(lowering.limits)
}

/// Every write as `file=value`, files without their directory.
fn lines(mode: Mode, json: &str) -> Vec<String> {
    let limits = lower(mode, json).unwrap_or_else(|e| panic!("{mode:?} {json}: {e}"));
    let line = |w: &Write| {
        let file = w.file.file_name().expect("a file").to_string_lossy();
        format!("{file}={}", w.value)
    };
    limits.writes.iter().map(line).collect()
}

/// Configuration, its lines on v1, its lines on v2.
const TABLE: &[(&str, &[&str], &[&str])] = &[
    ("{}", &[], &[]),
    (
        r#"{"memory":{"limit":1000}}"#,
        &["memory.limit_in_bytes=1000"],
        &["memory.max=1000"],
    ),
    (
        r#"{"memory":{"limit":1000,"swap":3000,"reservation":500}}"#,
        &[
            "memory.limit_in_bytes=1000",
            "memory.memsw.limit_in_bytes=3000",
            "memory.soft_limit_in_bytes=500",
        ],
        &["memory.swap.max=2000", "memory.max=1000", "memory.low=500"],
    ),
    (
        r#"{"memory":{"limit":1000,"swap":1000}}"#,
        &[
            "memory.limit_in_bytes=1000",
            "memory.memsw.limit_in_bytes=1000",
        ],
        &["memory.swap.max=0", "memory.max=1000"],
    ),
    (
        r#"{"memory":{"limit":-1}}"#,
        &["memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=-1"],
        &["memory.swap.max=max", "memory.max=max"],
    ),
    (
        r#"{"memory":{"limit":0,"swap":0,"reservation":0}}"#,
        &[],
        &[],
    ),
    (
        r#"{"memory":{"swappiness":10,"disableOOMKiller":true,"kernelTCP":77}}"#,
        &[
            "memory.swappiness=10",
            "memory.kmem.tcp.limit_in_bytes=77",
            "memory.oom_control=1",
        ],
        &[],
    ),
    (
        r#"{"blockIO":{"leafWeight":10,"weightDevice":[{"major":8,"minor":0,"leafWeight":20}],
            "throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":1}],
            "throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":2}]}}"#,
        &[
            "blkio.leaf_weight=10",
            "blkio.leaf_weight_device=8:0 20",
            "blkio.throttle.write_bps_device=8:0 2",
            "blkio.throttle.read_iops_device=8:0 1",
        ],
        &["io.max=8:0 wbps=2", "io.max=8:0 riops=1"],
    ),
    (
        r#"{"cpu":{"shares":1024,"quota":50000,"period":100000,"burst":1000}}"#,
        &[
            "cpu.shares=1024",
            "cpu.cfs_period_us=100000",
            "cpu.cfs_burst_us=1000",
            "cpu.cfs_quota_us=50000",
        ],
        &[
            "cpu.weight=100",
            "cpu.max.burst=1000",
            "cpu.max=50000 100000",
        ],
    ),
    (
        r#"{"cpu":{"quota":-1}}"#,
        &["cpu.cfs_quota_us=-1"],
        &["cpu.max=max 100000"],
    ),
    (
        r#"{"cpu":{"period":20000}}"#,
        &["cpu.cfs_period_us=20000"],
        &["cpu.max=max 20000"],
    ),
    (
        r#"{"cpu":{"idle":1,"shares":1024}}"#,
        &["cpu.idle=1"],
        &["cpu.idle=1"],
    ),
    (
        r#"{"cpu":{"realtimePeriod":1000000,"realtimeRuntime":950000}}"#,
        &["cpu.rt_period_us=1000000", "cpu.rt_runtime_us=950000"],
        &[],
    ),
    (
        r#"{"cpu":{"cpus":"0-1","mems":"0"}}"#,
        &["cpuset.cpus=0-1", "cpuset.mems=0"],
        &["cpuset.cpus=0-1", "cpuset.mems=0"],
    ),
    (r#"{"pids":{"limit":5}}"#, &["pids.max=5"], &["pids.max=5"]),
    (r#"{"pids":{"limit":0}}"#, &["pids.max=1"], &["pids.max=1"]),
    (
        r#"{"pids":{"limit":-1}}"#,
        &["pids.max=max"],
        &["pids.max=max"],
    ),
    (r#"{"pids":{}}"#, &[], &[]),
    (
        r#"{"blockIO":{"weight":500,"weightDevice":[{"major":8,"minor":0,"weight":10}]}}"#,
        &["blkio.bfq.weight=500", "blkio.bfq.weight_device=8:0 10"],
        &["io.bfq.weight=500", "io.bfq.weight=8:0 10"],
    ),
    (
        r#"{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":7}],
            "throttleWriteIOPSDevice":[{"major":8,"minor":16,"rate":0}]}}"#,
        &[
            "blkio.throttle.read_bps_device=8:0 7",
            "blkio.throttle.write_iops_device=8:16 0",
        ],
        &["io.max=8:0 rbps=7", "io.max=8:16 wiops=max"],
    ),
    (
        r#"{"network":{"classID":1048577,"priorities":[{"name":"eth0","priority":5}]}}"#,
        &["net_cls.classid=1048577", "net_prio.ifpriomap=eth0 5"],
        &[],
    ),
    (
        r#"{"rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":100}}}"#,
        &["rdma.max=mlx5_1 hca_handle=3 hca_object=100"],
        &["rdma.max=mlx5_1 hca_handle=3 hca_object=100"],
    ),
];

#[test]
fn every_setting_has_its_files() {
    for (json, v1, v2) in TABLE {
        assert_eq!(lines(Mode::V1, json), *v1, "v1 {json}");
        assert_eq!(lines(Mode::Hybrid, json), *v1, "hybrid {json}");
        assert_eq!(lines(Mode::V2, json), *v2, "v2 {json}");
    }
}

#[test]
fn what_has_no_effect_is_a_warning() {
    for (mode, json, origin) in [
        (
            Mode::V2,
            r#"{"memory":{"swappiness":10}}"#,
            "/memory/swappiness",
        ),
        (
            Mode::V2,
            r#"{"memory":{"disableOOMKiller":true}}"#,
            "/memory/disableOOMKiller",
        ),
        (Mode::V1, r#"{"memory":{"kernel":10}}"#, "/memory/kernel"),
        (
            Mode::V2,
            r#"{"memory":{"kernelTCP":10}}"#,
            "/memory/kernelTCP",
        ),
        (
            Mode::V2,
            r#"{"cpu":{"realtimeRuntime":10}}"#,
            "/cpu/realtimeRuntime",
        ),
        (
            Mode::V2,
            r#"{"cpu":{"realtimePeriod":10}}"#,
            "/cpu/realtimePeriod",
        ),
        (Mode::V1, r#"{"cpu":{"idle":1,"shares":3}}"#, "/cpu/shares"),
        (
            Mode::V2,
            r#"{"blockIO":{"leafWeight":10}}"#,
            "/blockIO/leafWeight",
        ),
        (
            Mode::V2,
            r#"{"network":{"classID":10}}"#,
            "/network/classID",
        ),
    ] {
        let limits = lower(mode, json).expect(json);
        let origins: Vec<_> = limits.warnings.iter().map(|w| w.origin.as_ref()).collect();
        assert_eq!(origins, [origin], "{json}");
    }
}

#[test]
fn what_cannot_be_is_an_error_with_its_pointer() {
    for (mode, json, pointer) in [
        (
            Mode::V2,
            r#"{"memory":{"limit":1000,"swap":999}}"#,
            "/memory/swap",
        ),
        (Mode::V1, r#"{"memory":{"swap":999}}"#, "/memory/swap"),
        (
            Mode::V2,
            r#"{"memory":{"limit":-1,"swap":999}}"#,
            "/memory/swap",
        ),
        (Mode::V2, r#"{"memory":{"limit":-2}}"#, "/memory/limit"),
        (
            Mode::V1,
            r#"{"memory":{"swappiness":101}}"#,
            "/memory/swappiness",
        ),
        (Mode::V1, r#"{"cpu":{"shares":1}}"#, "/cpu/shares"),
        (Mode::V1, r#"{"cpu":{"idle":2}}"#, "/cpu/idle"),
        (Mode::V1, r#"{"cpu":{"cpus":"0\n1"}}"#, "/cpu/cpus"),
        (Mode::V1, r#"{"blockIO":{"weight":9}}"#, "/blockIO/weight"),
        (Mode::V1, r#"{"unified":{"memory.max":"1"}}"#, "/unified"),
        (
            Mode::Hybrid,
            r#"{"unified":{"memory.max":"1"}}"#,
            "/unified",
        ),
        (
            Mode::V2,
            r#"{"unified":{"../cgroup.procs":"0"}}"#,
            "/unified/..~1cgroup.procs",
        ),
        (
            Mode::V2,
            r#"{"unified":{"memory.max\n":"1"}}"#,
            "/unified/memory.max\n",
        ),
        (Mode::V2, r#"{"unified":{"memory":"1"}}"#, "/unified/memory"),
        (
            Mode::V2,
            r#"{"unified":{"cgroup.procs":"0"}}"#,
            "/unified/cgroup.procs",
        ),
        (
            Mode::V1,
            r#"{"hugepageLimits":[{"pageSize":"2MB","limit":1}]}"#,
            "/hugepageLimits/0",
        ),
        (
            Mode::V2,
            r#"{"rdma":{"a b":{"hcaHandles":1}}}"#,
            "/rdma/a b",
        ),
    ] {
        let error = lower(mode, json).expect_err(json);
        assert_eq!(error.pointer(), Some(pointer), "{json}: {error}");
    }
}

#[test]
fn page_sizes_never_leave_the_directory() {
    for size in [
        "../../x", "", "MB", "2mb", "02MB", "2MB/..", "2 MB", "2MB\n", "2XMB", "x2MB",
    ] {
        let json = serde_json::json!({"hugepageLimits": [{"pageSize": size, "limit": 1}]});
        let error = lower(Mode::V2, &json.to_string()).expect_err(size);
        assert_eq!(error.pointer(), Some("/hugepageLimits/0/pageSize"));
    }
    let json = r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}"#;
    let v2 = ["hugetlb.2MB.max=4194304", "hugetlb.2MB.rsvd.max=4194304"];
    assert_eq!(lines(Mode::V2, json), v2);
    // On hybrid, the controller is on the v2 side and has to be handed down first.
    let limits = lower(Mode::Hybrid, json).expect(json);
    let files: Vec<_> = limits
        .writes
        .iter()
        .map(|w| w.file.to_str().unwrap_or_default())
        .collect();
    assert_eq!(
        files,
        [
            "/sys/fs/cgroup/unified/cgroup.subtree_control",
            "/sys/fs/cgroup/unified/c/cgroup.subtree_control",
            "/sys/fs/cgroup/unified/c/x/hugetlb.2MB.max",
            "/sys/fs/cgroup/unified/c/x/hugetlb.2MB.rsvd.max",
        ]
    );
}

#[test]
fn unified_settings_come_last_and_as_they_are() {
    let json = r#"{"memory":{"limit":5},"unified":{"memory.max":"max","io.max":"8:0 rbps=1"}}"#;
    let expected = ["memory.max=5", "io.max=8:0 rbps=1", "memory.max=max"];
    assert_eq!(lines(Mode::V2, json), expected);
}

#[test]
fn device_rules_are_lines_on_v1_and_a_program_on_v2() {
    let json = r#"{"devices":[{"allow":false,"access":"rwm"},
        {"allow":true,"type":"c","major":10,"minor":200,"access":"rw"}]}"#;
    let resources: Resources = serde_json::from_str(json).expect("resources");
    for mode in [Mode::V1, Mode::Hybrid] {
        let layout = layout(mode);
        let paths = crate::resolve(&layout, Some("/c/x"), "x").expect("paths");
        let limits = writes(&resources, &layout, &paths).expect("limits");
        assert_eq!(limits.device_program, None);
        let line = |w: &Write| (w.file.to_string_lossy().into_owned(), w.value.clone());
        let list: Vec<_> = limits.writes.iter().map(line).collect();
        let file = |f: &str| format!("/sys/fs/cgroup/devices/c/x/devices.{f}");
        assert_eq!(list[0], (file("deny"), "a".to_owned()));
        // mknod is allowed for all, and one entry has to cover the whole request.
        assert_eq!(list[1], (file("allow"), "c 10:200 rw".to_owned()));
        assert_eq!(list.len(), 2 + crate::DEFAULT_DEVICES.len());
    }
    let layout = layout(Mode::V2);
    let paths = crate::resolve(&layout, Some("/c/x"), "x").expect("paths");
    let limits = writes(&resources, &layout, &paths).expect("limits");
    assert_eq!(limits.writes, []);
    let json = serde_json::to_value(&limits).expect("json");
    assert_eq!(json["device_program"]["dir"], "/sys/fs/cgroup/c/x");
    assert_eq!(json["device_program"]["rules"][0], "deny a *:* rwm");
    assert_eq!(json["device_program"]["rules"][1], "allow c 10:200 rw");
}

#[test]
fn resources_survive_serde_with_every_field() {
    let all = serde_json::json!({
        "devices": [{"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}],
        "memory": {"limit": 1, "reservation": 2, "swap": 3, "kernel": 4, "kernelTCP": 5, "swappiness": 6,
            "disableOOMKiller": true, "useHierarchy": true, "checkBeforeUpdate": true},
        "cpu": {"shares": 1, "quota": 2, "burst": 3, "period": 4, "realtimeRuntime": 5, "realtimePeriod": 6,
            "cpus": "0", "mems": "0", "idle": 1},
        "pids": {"limit": 1},
        "blockIO": {"weight": 10, "leafWeight": 11,
            "weightDevice": [{"major": 8, "minor": 0, "weight": 12, "leafWeight": 13}],
            "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}],
            "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 2}],
            "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 3}],
            "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 4}]},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 1}],
        "network": {"classID": 1, "priorities": [{"name": "eth0", "priority": 2}]},
        "rdma": {"mlx": {"hcaHandles": 1, "hcaObjects": 2}},
        "unified": {"memory.high": "1"}
    });
    let resources: Resources = serde_json::from_value(all.clone()).expect("resources");
    assert_eq!(serde_json::to_value(&resources).expect("json"), all);
    let odd = r#"{"future":1,"memory":null,"pids":{"limit":null,"x":2},"rdma":{}}"#;
    let odd: Resources = serde_json::from_str(odd).expect("unknown and null fields");
    assert_eq!(odd.pids, Some(crate::Pids { limit: None }));
    assert_eq!(odd.rdma, Some(BTreeMap::new()));
}

#[test]
fn weights_meet_the_fixed_points() {
    for (shares, weight) in [
        (0, 1),
        (2, 1),
        (1024, 100),
        (262_144, 10_000),
        (u64::MAX, 10_000),
    ] {
        assert_eq!(weight_from_shares(shares), weight, "{shares}");
    }
    assert_eq!((io_weight(10), io_weight(1000)), (1, 10_000));
}

proptest! {
    #[test]
    fn weights_are_in_range_and_grow(shares in 0u64..300_000) {
        let weight = weight_from_shares(shares);
        prop_assert!((1..=10_000).contains(&weight));
        prop_assert!(weight <= weight_from_shares(shares + 1));
    }
}

/// What is written where only one of a pair is given, and the other is what the cgroup has.
#[test]
fn an_update_touches_only_what_is_given() {
    let present = Present {
        memory_max: Some(1000),
        cpu_quota: Some(5000),
        ..Present::default()
    };
    for (json, v1, v2) in [
        (r#"{"cpu":{"quota":7}}"#, "cpu.cfs_quota_us=7", "cpu.max=7"),
        (
            r#"{"cpu":{"quota":-1}}"#,
            "cpu.cfs_quota_us=-1",
            "cpu.max=max",
        ),
        (
            r#"{"cpu":{"period":9}}"#,
            "cpu.cfs_period_us=9",
            "cpu.max=5000 9",
        ),
        (
            r#"{"memory":{"limit":7}}"#,
            "memory.limit_in_bytes=7",
            "memory.max=7",
        ),
        (
            r#"{"memory":{"swap":1500}}"#,
            "memory.memsw.limit_in_bytes=1500",
            "memory.swap.max=500",
        ),
        (r#"{"pids":{"limit":-1}}"#, "pids.max=max", "pids.max=max"),
    ] {
        for (mode, expected) in [(Mode::V1, v1), (Mode::V2, v2)] {
            let present = match mode {
                Mode::V2 => present.clone(),
                _ => Present::default(),
            };
            let layout = layout(mode);
            let resources: Resources = serde_json::from_str(json).expect("resources");
            let paths = crate::resolve(&layout, Some("/c/x"), "x").expect("paths");
            let limits = writes_for_update(&resources, &layout, &paths, &present).expect(json);
            let line = |w: &Write| {
                let file = w.file.file_name().expect("a file").to_string_lossy();
                format!("{file}={}", w.value)
            };
            let lines: Vec<_> = limits.writes.iter().map(line).collect();
            assert_eq!(lines, [expected], "{mode:?} {json}");
            assert_eq!(limits.device_program, None);
        }
    }
    // Without a limit of memory there is nothing to take from the sum.
    let layout = layout(Mode::V2);
    let paths = crate::resolve(&layout, Some("/c/x"), "x").expect("paths");
    let resources = serde_json::from_str(r#"{"memory":{"swap":1500}}"#).expect("resources");
    for memory_max in [None, Some(-1), Some(1501)] {
        let present = Present {
            memory_max,
            ..Present::default()
        };
        let limits = writes_for_update(&resources, &layout, &paths, &present);
        let pointer = limits.map_err(|e| e.pointer().map(str::to_owned));
        let expected = Err(Some("/memory/swap".to_owned()));
        assert_eq!(pointer, expected, "{memory_max:?}");
    }
}
