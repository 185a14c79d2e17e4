//! Lowering without a kernel: golden plans of configurations as engines send them, and the order of steps for any other.

mod cgroup;
mod corpus;
mod devices;
mod labels;
mod mutated;

mod exec;
mod execution;
mod speed;

use std::path::{Path, PathBuf};

use oci_runtime_cgroups::Layout;
use proptest::prelude::*;

use super::{Request, create};
use crate::cgroup::CgroupManager;
use crate::host::{Host, Namespaces, SecurityModules};
use crate::plan::{Lane, Plan};
use crate::spec::{self, Spec};

const HYBRID: (&str, &str) = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
     32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
     35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
     36 31 0:33 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n\
     37 31 0:34 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n\
     38 31 0:35 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n\
     39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
     40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
     41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
    "8:pids:/\n7:cpuset:/\n6:freezer:/\n5:devices:/\n4:memory:/\n2:cpu,cpuacct:/\n1:name=systemd:/\n0::/\n",
);

const UNIFIED: (&str, &str) = (
    "30 23 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
    "0::/init\n",
);

fn host((mountinfo, own): (&str, &str)) -> Host {
    Host {
        kernel: (6, 1),
        arch: "x86_64",
        cgroups: Layout::parse(mountinfo, own, "cpuset cpu io memory hugetlb pids")
            .expect("a layout"),
        last_capability: 40,
        euid: 0,
        egid: 0,
        privileged: true,
        may_make_cgroups: true,
        outer_euid: 0,
        initial_user_namespace: true,
        own_namespaces: Namespaces::empty(),
        grantable: u64::MAX,
        modules: SecurityModules {
            apparmor: true,
            confined: false,
            selinux: true,
        },
        resctrl: None,
        kcore: true,
    }
}

fn request(gate: bool) -> Request<'static> {
    Request {
        id: "golden",
        bundle: Path::new("/bundle"),
        state: Path::new("/run/ocirun/golden"),
        gate,
        preserve_fds: 0,
        keyring: true,
        cgroup_manager: CgroupManager::Cgroupfs,
        record: false,
    }
}

fn lower(json: &str, layout: (&str, &str), gate: bool) -> Plan {
    let spec = spec::parse(json.as_bytes()).expect("it parses");
    create(&spec, &host(layout), request(gate))
        .expect("it lowers")
        .plan
}

/// Compares with a file; `UPDATE_GOLDEN=1` writes it instead.
fn golden(name: &str, plan: &Plan) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("src/lower/golden")
        .join(format!("{name}.txt"));
    let found = plan.to_text();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &found).expect("it can be written");
    }
    let pinned = std::fs::read_to_string(&path).unwrap_or_default();
    for (line, (found, pinned)) in found.lines().zip(pinned.lines()).enumerate() {
        assert_eq!(
            found, pinned,
            "{name}, line {line}: is the new plan what you want? then UPDATE_GOLDEN=1"
        );
    }
    let count = |text: &str| text.lines().count();
    assert_eq!(count(&found), count(&pinned), "{name}: number of steps");
}

fn example() -> String {
    let mut spec = Spec::example();
    if let Some(process) = &mut spec.process {
        process.terminal = true;
    }
    serde_json::to_string(&spec).expect("it serialises")
}

#[test]
fn golden_plans() {
    golden("example-hybrid", &lower(&example(), HYBRID, true));
    golden("example-v2", &lower(&example(), UNIFIED, true));
    golden(
        "containerd-v2",
        &lower(
            include_str!("../spec/fixtures/containerd.json"),
            UNIFIED,
            true,
        ),
    );
    // Its profile is cut short, so that it fits with noNewPrivileges only.
    let podman = include_str!("../spec/fixtures/podman.json").replacen(
        "\"cwd\"",
        "\"noNewPrivileges\": true, \"cwd\"",
        1,
    );
    golden("podman-userns-hybrid", &lower(&podman, HYBRID, true));
    golden("joins-and-clocks", &lower(JOINS, UNIFIED, false));
}

/// Who takes a listener, and when; `no_new_privs` decides.
fn notifying(no_new_privs: bool) -> String {
    format!(
        r#"{{"ociVersion":"1.3.0","process":{{"args":["x"],"cwd":"/","noNewPrivileges":{no_new_privs}}},"root":{{"path":"r"}},
        "linux":{{"namespaces":[{{"type":"mount"}}],"seccomp":{{"defaultAction":"SCMP_ACT_ALLOW",
        "listenerPath":"/run/agent.sock","listenerMetadata":"m",
        "syscalls":[{{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}},{{"names":["reboot"],"action":"SCMP_ACT_ERRNO"}}]}}}}}}"#
    )
}

#[test]
fn golden_plans_of_listeners() {
    golden("notify-early", &lower(&notifying(false), UNIFIED, true));
    golden(
        "notify-before-ready",
        &lower(&notifying(true), UNIFIED, true),
    );
    for (name, no_new_privs) in [("record-early", false), ("record-before-ready", true)] {
        let json = notifying(no_new_privs).replace("NOTIFY", "LOG");
        golden(name, &recording(&json).expect("it lowers"));
    }
    let refused = recording(&notifying(true)).expect_err("two listeners");
    assert!(refused.contains("one listener at most"), "{refused}");
}

fn recording(json: &str) -> Result<Plan, String> {
    let spec = spec::parse(json.as_bytes()).expect("it parses");
    let request = Request {
        record: true,
        ..request(false)
    };
    create(&spec, &host(UNIFIED), request)
        .map(|lowered| lowered.plan)
        .map_err(|error| error.to_string())
}

/// Every namespace joined but two, a time namespace with offsets, low limits, a bind mount and a shared root.
const JOINS: &str = r#"{
    "ociVersion": "1.3.0",
    "process": {
        "user": {"uid": 1000, "gid": 1000, "umask": 63, "additionalGids": [5, 6]},
        "args": ["/bin/app", "-v"], "env": ["A=1", "HOME=/h", "A=2"], "cwd": "/w",
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 16, "hard": 16}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}],
        "oomScoreAdj": 500
    },
    "root": {"path": "rootfs", "readonly": true},
    "hostname": "h", "domainname": "d",
    "hooks": {
        "prestart": [{"path": "/bin/a", "args": ["a", "b"], "env": ["X=1"], "timeout": 5}],
        "createContainer": [{"path": "/bin/c"}], "startContainer": [{"path": "/bin/s", "timeout": 1}],
        "poststop": [{"path": "/bin/p"}]
    },
    "annotations": {"a": "b"},
    "mounts": [
        {"destination": "/dev", "type": "tmpfs", "options": ["ro", "mode=755"]},
        {"destination": "/data//x/", "source": "data", "options": ["rbind", "rro", "rslave"]},
        {"destination": "/file", "type": "bind", "source": "/etc/hosts", "options": ["ro", "nosuid", "noatime"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro"]}
    ],
    "linux": {
        "namespaces": [
            {"type": "mount"}, {"type": "time"},
            {"type": "user", "path": "/proc/1/ns/user"}, {"type": "network", "path": "/run/netns/a"},
            {"type": "pid", "path": "/proc/1/ns/pid"}, {"type": "ipc", "path": "/proc/1/ns/ipc"},
            {"type": "uts", "path": "/proc/1/ns/uts"}
        ],
        "timeOffsets": {"boottime": {"secs": 10, "nanosecs": 5}},
        "sysctl": {"net.ipv4.ip_forward": "1"},
        "rootfsPropagation": "rshared",
        "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"],
        "cgroupsPath": "/a/b"
    }
}"#;

/// The phases of a container's life; security rests on their order.
const PHASES: &[(u8, &[&str])] = &[
    (
        0,
        &[
            "CreateCgroup",
            "StartUnit",
            "ApplyLimits",
            "DelegateCgroup",
            "MakeClass",
        ],
    ),
    (
        1,
        &[
            "OomScoreAdj",
            "Rlimit",
            "RaiseLimit",
            "OpenCgroup",
            "UserNamespace",
            "OpenTree",
            "IdMapNamespace",
            "IdMapTree",
        ],
    ),
    (2, &["TimeNamespace", "LockTrees"]),
    (3, &["Join"]),
    (4, &["Spawn"]),
    (5, &["Hello", "Yield"]),
    (6, &["IdMaps"]),
    (7, &["BecomeRoot"]),
    (
        8,
        &[
            "TakeTrees",
            "JoinCgroup",
            "Affinity",
            "CgroupNamespace",
            "Loopback",
            "NetSocket",
            "NetDevices",
            "JoinClass",
        ],
    ),
    (9, &["Session"]),
    (10, &["Keyring"]),
    (11, &["Propagation"]),
    (12, &["AttachRoot"]),
    (
        13,
        &["MountFs", "MountBind", "Remount", "Symlink", "Device"],
    ),
    (14, &["Pivot"]),
    (16, &["Console", "Stdio"]),
    (17, &["Sysctl"]),
    (18, &["Hostname"]),
    (18, &["Domainname"]),
    (19, &["Mask"]),
    (20, &["Readonly"]),
    (21, &["ReadonlyRoot"]),
    (21, &["RootPropagation"]),
    (22, &["Scheduler", "IoPriority"]),
    (22, &["Personality", "MemoryPolicy", "LsmLabel"]),
    (23, &["Cwd"]),
    (24, &["Home"]),
    (27, &["Ids"]),
    (29, &["Caps"]),
    (30, &["NoNewPrivs"]),
    (31, &["LookupExe"]),
    (33, &["Ready", "SaveState"]),
    (34, &["AwaitStart"]),
    (35, &["CloseFds"]),
    (37, &["Exec"]),
];

/// The phase of a step: hooks have their moments, limits that could hinder come late, and the filter has its place.
fn phase(name: &str, lane: Lane, origin: &str, [filter, limits]: [u8; 2]) -> u8 {
    match (name, lane) {
        _ if origin.starts_with("/hooks/startContainer") => 34,
        _ if origin.starts_with("/hooks") => 13,
        ("Yield", _) if origin.is_empty() => 33,
        ("Yield", _) if origin.starts_with("/process") => 22,
        ("Join", Lane::Inner) => 8,
        ("Yield", _) if matches!(origin, "/linux/netDevices" | "/linux/intelRdt") => 8,
        ("Rlimit", Lane::Inner) => limits,
        ("OpenFiles", _) | ("Umask", _) => 25,
        ("Seccomp" | "SendListener", _) => filter,
        ("Yield", _) if origin == "/linux/seccomp" => filter,
        _ => {
            PHASES
                .iter()
                .find(|(_, names)| names.contains(&name))
                .unwrap_or_else(|| panic!("{name} has no phase"))
                .0
        }
    }
}

fn assert_order(plan: &Plan, no_new_privs: bool) {
    let listens = plan.to_text().contains("SendListener");
    let filter = match (no_new_privs, listens) {
        (false, true) => 26,
        (true, true) => 32,
        (_, false) => 36,
    };
    let mut origins = plan.steps().iter().map(|step| &*step.origin);
    let hooked = origins.any(|origin| origin.starts_with("/hooks/startContainer"));
    let limits = if hooked { 34 } else { 25 };
    let phases: Vec<(u8, String)> = plan
        .steps()
        .iter()
        .map(|step| {
            let line = plan.describe(step);
            (
                phase(
                    line.split(' ').next().unwrap_or(""),
                    step.lane,
                    &step.origin,
                    [filter, limits],
                ),
                line,
            )
        })
        .collect();
    for pair in phases.windows(2) {
        assert!(
            pair[0].0 <= pair[1].0,
            "{} comes before {}",
            pair[0].1,
            pair[1].1
        );
    }
    for once in [4, 12, 14, 27, 29, 31, 35, 37] {
        assert_eq!(
            phases.iter().filter(|(phase, _)| *phase == once).count(),
            1,
            "phase {once}"
        );
    }
}

fn subset(all: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(all, 0..=all.len())
}

prop_compose! {
    fn mount()(
        destination in "/[a-z]{1,6}(/[a-z]{1,4}){0,2}",
        kind in proptest::sample::select(&["tmpfs", "proc", "bind", "none", "sysfs", "cgroup", "mqueue"]),
        options in subset(&["ro", "nosuid", "nodev", "rbind", "rprivate", "noatime", "rro", "shared", "size=4k"]),
    ) -> serde_json::Value {
        serde_json::json!({"destination": destination, "type": kind, "source": "src", "options": options})
    }
}

prop_compose! {
    fn config()(
        mounts in proptest::collection::vec(mount(), 0..12),
        namespaces in subset(&["pid", "network", "ipc", "uts", "user", "cgroup", "time"]),
        joined in proptest::sample::subsequence(&["pid", "network", "ipc", "uts", "user"], 0..=2),
        no_new_privs in any::<bool>(),
        seccomp in any::<bool>(),
        action in proptest::sample::select(&["SCMP_ACT_ERRNO", "SCMP_ACT_NOTIFY"]),
        terminal in any::<bool>(),
        nofile in proptest::option::of(1u64..100_000),
        propagation in proptest::option::of(proptest::sample::select(&["private", "rshared", "slave", "unbindable"])),
        masked in proptest::collection::vec("/[a-z]{1,8}", 0..4),
        labelled in any::<bool>(),
        hooks in subset(&["prestart", "createRuntime", "createContainer", "startContainer", "poststop"]),
    ) -> (serde_json::Value, bool) {
        let mut list = vec![serde_json::json!({"type": "mount"})];
        for kind in namespaces {
            let path = if joined.contains(&kind) { "/proc/1/ns/x" } else { "" };
            list.push(serde_json::json!({"type": kind, "path": path}));
        }
        let limits: Vec<_> = nofile
            .map(|value| serde_json::json!({"type": "RLIMIT_NOFILE", "soft": value, "hard": value}))
            .into_iter()
            .collect();
        let filter = seccomp.then(|| serde_json::json!({"defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": "/run/agent", "syscalls": [{"names": ["reboot"], "action": action}]}));
        let hook = |kind: &str| (kind.to_owned(), serde_json::json!([{"path": "/bin/hook", "timeout": 3}]));
        let hooks: serde_json::Map<_, _> = hooks.into_iter().map(hook).collect();
        let config = serde_json::json!({
            "ociVersion": "1.3.0", "hooks": hooks,
            "process": {"args": ["x"], "cwd": "/", "env": [], "terminal": terminal,
                "noNewPrivileges": no_new_privs, "rlimits": limits, "oomScoreAdj": 10,
                "apparmorProfile": if labelled { "p" } else { "" },
                "ioPriority": {"class": if labelled { "" } else { "IOPRIO_CLASS_BE" }},
                "scheduler": {"policy": if seccomp { "SCHED_RR" } else { "" }}},
            "root": {"path": "r", "readonly": seccomp},
            "mounts": mounts,
            "hostname": "h",
            "linux": {"namespaces": list, "seccomp": filter, "rootfsPropagation": propagation,
                "personality": {"domain": if terminal { "LINUX" } else { "" }},
                "memoryPolicy": {"mode": if labelled { "MPOL_LOCAL" } else { "" }},
                "maskedPaths": masked, "readonlyPaths": masked}
        });
        (config, no_new_privs)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn phases_never_go_back((config, no_new_privs) in config(), gate in any::<bool>(), v2 in any::<bool>()) {
        let plan = lower(&config.to_string(), if v2 { UNIFIED } else { HYBRID }, gate);
        assert_order(&plan, no_new_privs);
    }

    /// What init gets is what was meant: every step decodes to itself, and nothing is left over.
    #[test]
    fn the_encoded_plan_is_the_plan((config, _) in config()) {
        use oci_runtime_init::op::Step;
        use oci_runtime_init::wire::{Reader, Wire};
        let plan = lower(&config.to_string(), HYBRID, true);
        let mut reader = Reader::new(plan.code());
        for (number, step) in plan.steps().iter().enumerate().filter(|(_, step)| step.lane != Lane::Parent) {
            let decoded = Step::get(&mut reader).expect("a step");
            prop_assert_eq!(usize::from(decoded.number), number);
            prop_assert_eq!(decoded.op.name(), plan.op(step).expect("an operation").name());
        }
        prop_assert!(reader.is_empty());
    }

    /// No path of a step below the root leads out of it by its own form.
    #[test]
    fn targets_are_relative_and_normal(path in "[/.a-z]{0,24}") {
        let target = super::text::below_root("", &path).expect("no NUL");
        let text = target.to_str().expect("ASCII");
        prop_assert!(!text.starts_with('/') && !text.ends_with('/') && !text.contains("//"), "{text}");
        prop_assert!(text.split('/').all(|part| !matches!(part, "." | "..")), "{text}");
    }
}

#[test]
fn a_nul_is_refused_with_its_place() {
    let json = JOINS.replace("\"hostname\": \"h\"", "\"hostname\": \"a\\u0000b\"");
    let spec = spec::parse(json.as_bytes()).expect("it parses");
    let error = create(&spec, &host(HYBRID), request(true)).expect_err("it must not lower");
    assert_eq!(
        error.to_string(),
        "invalid config.json: /hostname: contains a NUL byte"
    );
}

#[test]
fn a_filter_that_stops_the_runtime_is_refused_by_the_call() {
    let strict = |nnp: bool, calls: &str| {
        let json = format!(
            r#"{{"ociVersion":"1.3.0","process":{{"args":["x"],"cwd":"/","noNewPrivileges":{nnp}}},"root":{{"path":"r"}},
            "linux":{{"namespaces":[{{"type":"mount"}}],"seccomp":{{"defaultAction":"SCMP_ACT_ERRNO",
            "syscalls":[{{"names":[{calls}],"action":"SCMP_ACT_ALLOW"}}]}}}}}}"#
        );
        let spec = spec::parse(json.as_bytes()).expect("it parses");
        create(&spec, &host(HYBRID), request(true))
            .map(drop)
            .map_err(|error| error.to_string())
    };
    for nnp in [true, false] {
        assert_eq!(strict(nnp, "\"execve\""), Ok(()));
        let refused = strict(nnp, "\"read\"").expect_err("execve is missing");
        assert!(
            refused.contains("/linux/seccomp") && refused.contains("execve must be allowed"),
            "{refused}"
        );
    }
    let refused =
        lower_with_listener("\"execve\", \"write\", \"read\"").expect_err("more is missing");
    assert!(
        refused.contains("close_range must be allowed, because with a listener"),
        "{refused}"
    );
    let all = "\"execve\", \"write\", \"read\", \"close_range\"";
    assert_eq!(lower_with_listener(all), Ok(()));
}

/// With no_new_privs and a filter that allows `calls` and asks about mkdir, and about execve in any case.
fn lower_with_listener(calls: &str) -> Result<(), String> {
    let json = format!(
        r#"{{"ociVersion":"1.3.0","process":{{"args":["x"],"cwd":"/","noNewPrivileges":true}},"root":{{"path":"r"}},
        "linux":{{"namespaces":[{{"type":"mount"}}],"seccomp":{{"defaultAction":"SCMP_ACT_ERRNO","listenerPath":"/a",
        "syscalls":[{{"names":["mkdir","execve"],"action":"SCMP_ACT_NOTIFY"}},{{"names":[{calls}],"action":"SCMP_ACT_ALLOW"}}]}}}}}}"#
    );
    let spec = spec::parse(json.as_bytes()).expect("it parses");
    create(&spec, &host(HYBRID), request(true))
        .map(drop)
        .map_err(|error| error.to_string())
}
