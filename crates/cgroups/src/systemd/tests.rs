use proptest::prelude::*;

use super::*;
use crate::dbus::Bus;
use crate::limits::writes;
use crate::paths;
use crate::resources::Resources;

const V1: (&str, &str) = (
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
     36 31 0:33 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n\
     37 31 0:34 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n",
    "3:cpu:/\n2:memory:/\n1:devices:/\n",
);
const V2: (&str, &str) = (
    "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
    "0::/\n",
);

fn divided((mountinfo, own): (&str, &str), resources: &str) -> (Vec<Property>, Vec<String>) {
    let controllers = "cpuset cpu io memory hugetlb pids";
    let layout = Layout::parse(mountinfo, own, controllers).unwrap();
    let paths = paths::resolve(&layout, Some("/a.slice/x.scope"), "x").unwrap();
    let resources: Resources = serde_json::from_str(resources).unwrap();
    let limits = writes(&resources, &layout, &paths).unwrap();
    let (properties, rest) = divide(&limits, &paths);
    assert_eq!(rest.device_program, limits.device_program);
    let name = |write: &crate::Write| {
        let name = write.file.file_name().unwrap().to_string_lossy();
        format!("{name}={}", write.value)
    };
    (properties, rest.writes.iter().map(name).collect())
}

fn text(properties: &[Property]) -> Vec<String> {
    let line = |property: &Property| {
        let value = serde_json::to_string(&property.value).unwrap();
        format!("{} {} {value}", property.name, property.value.signature())
    };
    properties.iter().map(line).collect()
}

const DEVICES: &str = r#"DeviceAllow a(ss) [["/dev/char/10:200","rw"],["char-*","m"],["block-*","m"],["/dev/char/1:3","rwm"],["/dev/char/1:5","rwm"],["/dev/char/1:7","rwm"],["/dev/char/1:8","rwm"],["/dev/char/1:9","rwm"],["/dev/char/5:0","rwm"],["/dev/char/5:2","rwm"],["char-136","rwm"]]"#;

#[test]
fn systemd_is_told_what_it_knows_and_the_rest_is_written() {
    let resources = r#"{
        "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 200, "access": "rw"}],
        "memory": {"limit": 1048576, "swap": 2097152, "reservation": 4096},
        "cpu": {"shares": 1024, "quota": 33333, "period": 30000, "burst": 10, "cpus": "0-2,9", "mems": "0"},
        "pids": {"limit": 50}, "blockIO": {"weight": 100},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}],
        "unified": {"memory.high": "max", "memory.oom.group": "1"}
    }"#;
    let (properties, rest) = divided(V2, resources);
    let expected = [
        "MemoryMax t 1048576",
        "MemorySwapMax t 1048576",
        "MemoryLow t 4096",
        "CPUWeight t 100",
        "CPUQuotaPerSecUSec t 1111100",
        "CPUQuotaPeriodUSec t 30000",
        "AllowedCPUs ay [7,2]",
        "AllowedMemoryNodes ay [1]",
        "TasksMax t 50",
        "IOWeight t 910",
        "MemoryHigh t 18446744073709551615",
        "DeviceAllow a(ss) []",
        "DevicePolicy s \"strict\"",
        DEVICES,
    ];
    let mut found = text(&properties);
    let mut expected: Vec<String> = expected.map(str::to_owned).to_vec();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    for line in [
        "cpu.max.burst=10",
        "memory.oom.group=1",
        "io.bfq.weight=100",
    ] {
        assert!(rest.contains(&line.to_owned()), "{line}: {rest:?}");
    }
    let known = [
        "memory.max=",
        "memory.swap.max=",
        "cpu.max=",
        "pids.max=",
        "cpuset.",
    ];
    for known in known {
        assert!(!rest.iter().any(|line| line.starts_with(known)), "{rest:?}");
    }
}

#[test]
fn all_is_written_on_v1() {
    let resources = r#"{"memory": {"limit": 1048576}, "cpu": {"shares": 512},
        "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 200, "access": "rw"}]}"#;
    let (properties, rest) = divided(V1, resources);
    let found = text(&properties);
    for line in [
        "MemoryLimit t 1048576",
        "CPUShares t 512",
        "DevicePolicy s \"strict\"",
        DEVICES,
    ] {
        assert!(found.contains(&line.to_owned()), "{line}: {found:?}");
    }
    for line in [
        "memory.limit_in_bytes=1048576",
        "cpu.shares=512",
        "devices.deny=a",
    ] {
        assert!(rest.contains(&line.to_owned()), "{line}: {rest:?}");
    }
}

#[test]
fn who_may_use_all_devices_may_also_by_what_systemd_knows() {
    for layout in [V1, V2] {
        let all = r#"{"devices": [{"allow": true, "access": "rwm"}]}"#;
        let (properties, _) = divided(layout, all);
        let expected = ["DeviceAllow a(ss) []", "DevicePolicy s \"auto\""];
        assert_eq!(text(&properties), expected);
    }
}

proptest! {
    /// systemd makes of them `CPUQuotaPerSecUSec * CPUQuotaPeriodUSec / 1 s`, rounded down.
    #[test]
    fn quotas_survive_the_way_there_and_back(quota in 1000u64..10_000_000, period in 1000u64..=1_000_000) {
        let resources = format!(r#"{{"cpu": {{"quota": {quota}, "period": {period}}}}}"#);
        let (properties, _) = divided(V2, &resources);
        let number = |name: &str| match properties.iter().find(|p| p.name == name).map(|p| &p.value) {
            Some(Value::U64(number)) => *number,
            other => panic!("{name}: {other:?}"),
        };
        prop_assert_eq!(number("CPUQuotaPeriodUSec"), period);
        prop_assert_eq!(number("CPUQuotaPerSecUSec") * period / 1_000_000, quota);
    }
}

#[test]
fn a_unit_says_what_it_is() {
    let unit = |path| {
        let asked = asked(Some(path), "id", Bus::System).unwrap();
        text(&of_unit(&asked, "id", crate::Mode::V2))
    };
    let scope = unit("a.slice:p:x");
    for line in [
        "Slice s \"a.slice\"",
        "Delegate b true",
        "IOAccounting b true",
    ] {
        assert!(scope.contains(&line.to_owned()), "{line}: {scope:?}");
    }
    assert!(unit("-.slice:p:x").contains(&"Slice s \"-.slice\"".to_owned()));
    let slice = unit("a.slice:p:x.slice");
    assert!(
        slice.contains(&"Wants as [\"a.slice\"]".to_owned()),
        "{slice:?}"
    );
    assert!(!slice.iter().any(|line| line.starts_with("Delegate")));
}
