use oci_runtime_cgroups::{Layout, Mode};
use serde_json::{Value, json};

use super::*;
use crate::host::Namespaces;
use crate::spec::parse;

/// A machine that needs none.
fn host() -> Host {
    Host {
        kernel: (6, 1),
        arch: "x86_64",
        cgroups: Layout {
            mode: Mode::V2,
            hierarchies: Vec::new(),
        },
        last_capability: 40,
        euid: 0,
        egid: 0,
        initial_user_namespace: true,
        own_namespaces: Namespaces::empty(),
    }
}

/// The example, changed: each pointer gets its value, `null` takes it away.
fn example(changes: &[(&str, Value)]) -> String {
    let mut spec = serde_json::to_value(Spec::example()).unwrap();
    for (pointer, value) in changes {
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        match spec
            .pointer_mut(parent)
            .unwrap_or_else(|| panic!("{parent}"))
        {
            Value::Object(members) => {
                members.insert(member.replace("~1", "/"), value.clone());
            }
            Value::Array(items) if member == "-" => items.push(value.clone()),
            Value::Array(items) => items[member.parse::<usize>().unwrap()] = value.clone(),
            other => panic!("{other} has no members"),
        }
    }
    spec.to_string()
}

/// Problems as lines: `E /pointer: message` or `W ...`.
fn problems_on(host: &Host, json: &str) -> Vec<String> {
    let line = |problem: &Problem| {
        let letter = if problem.severity == Severity::Error {
            'E'
        } else {
            'W'
        };
        format!("{letter} {problem}")
    };
    check(&parse(json.as_bytes()).unwrap(), host)
        .iter()
        .map(line)
        .collect()
}

/// Changes to the example, and the problems they make.
type Case<'a> = (&'a [(&'a str, Value)], &'a [&'a str]);

fn assert_all(cases: &[Case<'_>]) {
    for (changes, expected) in cases {
        let json = example(changes);
        assert_eq!(problems_on(&host(), &json), *expected, "{changes:?}");
    }
}

#[test]
fn the_example_has_no_problem() {
    assert_all(&[(&[], &[])]);
}

#[test]
fn version() {
    assert_all(&[
        (&[("/ociVersion", json!("1.0.2-dev"))], &[]),
        (&[("/ociVersion", json!("1.99.0+x"))], &[]),
        (
            &[("/ociVersion", json!(""))],
            &["E /ociVersion: is required"],
        ),
        (
            &[("/ociVersion", json!("2.0.0"))],
            &["E /ociVersion: version 2.0.0 of the specification is not supported, only 1.x is"],
        ),
        (
            &[("/ociVersion", json!("1.3"))],
            &["E /ociVersion: \"1.3\" is not a version of the form 1.2.3"],
        ),
        (
            &[("/ociVersion", json!("v1.3.0"))],
            &["E /ociVersion: \"v1.3.0\" is not a version of the form 1.2.3"],
        ),
    ]);
}

#[test]
fn process() {
    assert_all(&[
        (&[("/process", json!(null))], &["E /process: is required"]),
        (
            &[("/process/args", json!([]))],
            &["E /process/args: is required"],
        ),
        (
            &[("/process/args", json!(["", "x"]))],
            &["E /process/args/0: is required"],
        ),
        (
            &[("/process/args", json!(["a", "b\0c"]))],
            &["E /process/args/1: contains a NUL byte"],
        ),
        (
            &[("/process/env", json!(["A=", "B", "=c", "D=\0"]))],
            &[
                "E /process/env/1: \"B\" has no '='",
                "E /process/env/2: \"=c\" has no name before the '='",
                "E /process/env/3: contains a NUL byte",
            ],
        ),
        (
            &[("/process/cwd", json!(""))],
            &["E /process/cwd: is required"],
        ),
        (
            &[("/process/cwd", json!("tmp"))],
            &["E /process/cwd: \"tmp\" is not an absolute path"],
        ),
        (
            &[(
                "/process/user",
                json!({"uid": 4294967295u32, "gid": 0, "additionalGids": [1, 4294967295u32]}),
            )],
            &[
                "E /process/user/uid: 4294967295 is not a valid id",
                "E /process/user/additionalGids/1: 4294967295 is not a valid id",
            ],
        ),
        (&[("/process/oomScoreAdj", json!(-1000))], &[]),
        (
            &[("/process/oomScoreAdj", json!(1001))],
            &["E /process/oomScoreAdj: 1001 is not between -1000 and 1000"],
        ),
        (
            &[(
                "/process/consoleSize",
                json!({"height": 65536, "width": 65535}),
            )],
            &["E /process/consoleSize/height: 65536 is more than a terminal can have (65535)"],
        ),
        (
            &[
                ("/process/terminal", json!(false)),
                ("/process/consoleSize", json!({"height": 65536})),
            ],
            &[],
        ),
    ]);
}

#[test]
fn rlimits() {
    let list = json!([
        {"type": "RLIMIT_CPU", "soft": 1, "hard": 2}, {"type": "RLIMIT_CPU", "soft": 1, "hard": 2},
        {"type": "RLIMIT_CORE", "soft": 2, "hard": 1}, {"type": "nofile", "soft": 1, "hard": 1}
    ]);
    assert_all(&[(
        &[("/process/rlimits", list)],
        &[
            "E /process/rlimits/1/type: RLIMIT_CPU is given twice",
            "E /process/rlimits/2/soft: soft limit 2 is above hard limit 1",
            "E /process/rlimits/3/type: there is no resource limit \"nofile\"",
        ],
    )]);
}

#[test]
fn capabilities() {
    let sets = json!({
        "bounding": ["KILL", "CAP_FUTURE", "CAP_KILL"], "permitted": ["CAP_KILL"], "inheritable": ["CAP_CHOWN"],
        "effective": ["CAP_KILL", "CAP_CHOWN"], "ambient": ["CAP_KILL"]
    });
    assert_all(&[(
        &[("/process/capabilities", sets)],
        &[
            "E /process/capabilities/bounding/0: \"KILL\" is not a name of a capability, which look like CAP_KILL",
            "W /process/capabilities/bounding/1: this kernel does not know CAP_FUTURE, it is left out",
            "E /process/capabilities/effective/1: CAP_CHOWN is not permitted, so it cannot be effective",
            "W /process/capabilities/ambient/0: CAP_KILL is not both permitted and inheritable, so it cannot be \
             ambient; it is left out",
        ],
    )]);
    let old = Host {
        last_capability: 38,
        ..host()
    };
    let json = example(&[(
        "/process/capabilities",
        json!({"bounding": ["CAP_BPF", "CAP_PERFMON"]}),
    )]);
    let expected =
        ["W /process/capabilities/bounding/0: this kernel does not know CAP_BPF, it is left out"];
    assert_eq!(problems_on(&old, &json), expected);
}

#[test]
fn root_and_names() {
    let without_uts = json!([{"type": "mount"}]);
    let joined_uts = json!([{"type": "mount"}, {"type": "uts", "path": "/run/uts"}]);
    assert_all(&[
        (&[("/root", json!(null))], &["E /root: is required"]),
        (&[("/root/path", json!(""))], &["E /root/path: is required"]),
        (
            &[("/root/path", json!("/"))],
            &["E /root/path: the root directory of the host cannot be a container's"],
        ),
        (
            &[("/root/path", json!("/x/.././/"))],
            &["E /root/path: the root directory of the host cannot be a container's"],
        ),
        (&[("/root/path", json!("."))], &[]),
        (
            &[
                ("/linux/namespaces", without_uts),
                ("/domainname", json!("d")),
            ],
            &[
                "E /hostname: \"ocirun\" needs a new uts namespace, or one to join",
                "E /domainname: \"d\" needs a new uts namespace, or one to join",
            ],
        ),
        (&[("/linux/namespaces", joined_uts)], &[]),
        (
            &[("/hostname", json!("h".repeat(65)))],
            &["E /hostname: 65 bytes are more than the kernel takes (64)"],
        ),
    ]);
}

#[test]
fn mounts() {
    let at = |value: Value| [("/mounts/-", value)];
    let bind = |options: Value| {
        at(json!({"destination": "/d", "type": "bind", "source": "/s", "options": options}))
    };
    assert_all(&[
        (&bind(json!(["rbind", "ro", "rprivate", "nosuid"])), &[]),
        (
            &at(json!({"destination": "/d", "source": "/s", "options": ["bind"]})),
            &[],
        ),
        (
            &at(json!({"type": "tmpfs"})),
            &["E /mounts/7/destination: is required"],
        ),
        (
            &at(json!({"destination": "d", "type": "tmpfs"})),
            &[
                "W /mounts/7/destination: \"d\" is relative; it is taken as relative to the root of the container",
            ],
        ),
        (
            &at(json!({"destination": "/d/..", "type": "tmpfs"})),
            &["E /mounts/7/destination: the root of the container cannot be mounted over"],
        ),
        (
            &at(json!({"destination": "/d"})),
            &["E /mounts/7/type: a mount that is not a bind mount needs a type"],
        ),
        (
            &at(json!({"destination": "/d", "type": "bind"})),
            &["E /mounts/7/source: a bind mount needs a source"],
        ),
        (
            &bind(json!(["ro", "bind", "size=1k", "rsync"])),
            &[
                "E /mounts/7/options/2: \"size\" is not an option of a bind mount",
                "W /mounts/7/options/3: option \"sync\" has no effect",
            ],
        ),
        (
            &at(json!({"destination": "/d", "type": "tmpfs", "options": ["size=1\0"]})),
            &["E /mounts/7/options/0: contains a NUL byte"],
        ),
        (
            &at(json!({"destination": "/d", "type": "tmpfs", "options": ["mode=1", "silent"]})),
            &["W /mounts/7/options/1: option \"silent\" has no effect"],
        ),
    ]);
}

#[test]
fn namespaces() {
    let list = json!([
        {"type": "pid"}, {"type": "pid", "path": "/p"}, {"type": "net"}, {"type": "uts", "path": "ns/uts"}
    ]);
    let time = |path: &str| ("/linux/namespaces/-", json!({"type": "time", "path": path}));
    let offsets = (
        "/linux/timeOffsets",
        json!({"monotonic": {"secs": -5}, "boottime": {"nanosecs": 999_999_999}}),
    );
    let no_namespace = "E /linux/timeOffsets: time offsets need a new time namespace";
    assert_all(&[
        (
            &[("/linux/namespaces", list)],
            &[
                "E /linux/namespaces/1/type: namespace \"pid\" is given twice",
                "E /linux/namespaces/2/type: there is no namespace \"net\"",
                "E /linux/namespaces/3/path: \"ns/uts\" is not an absolute path",
                "E /linux/namespaces: a container needs a mount namespace of its own or one to join",
            ],
        ),
        (&[time(""), offsets.clone()], &[]),
        (&[time("/t"), offsets.clone()], &[no_namespace]),
        (&[offsets], &[no_namespace]),
        (
            &[
                time(""),
                (
                    "/linux/timeOffsets",
                    json!({"real~/time": {"nanosecs": 1_000_000_000}}),
                ),
            ],
            &[
                "E /linux/timeOffsets/real~0~1time: there is no clock \"real~/time\" with an offset, only monotonic \
                 and boottime",
                "E /linux/timeOffsets/real~0~1time/nanosecs: 1000000000 nanoseconds are a second or more",
            ],
        ),
    ]);
}

#[test]
fn id_mappings() {
    let user = |path: &str| ("/linux/namespaces/-", json!({"type": "user", "path": path}));
    let maps = |list: Value| {
        [
            user(""),
            ("/linux/uidMappings", list.clone()),
            ("/linux/gidMappings", list),
        ]
    };
    let only_uids = |list: Value| {
        [
            user("/u"),
            ("/linux/uidMappings", list),
            ("/linux/gidMappings", json!([{"size": 1}])),
        ]
    };
    let range = |container: u32, host: u32, size: u32| json!({"containerID": container, "hostID": host, "size": size});
    assert_all(&[
        (
            &maps(json!([range(0, 1000, 1), range(1, 100_000, 65536)])),
            &[],
        ),
        (&maps(json!([range(0, 0, u32::MAX)])), &[]),
        (&[user("/u")], &[]),
        (
            &[user("")],
            &[
                "E /linux/uidMappings: a new user namespace needs mappings",
                "E /linux/gidMappings: a new user namespace needs mappings",
            ],
        ),
        (
            &[("/linux/gidMappings", json!([range(0, 0, 1)]))],
            &["E /linux/gidMappings: id mappings need a user namespace"],
        ),
        (
            &only_uids(json!([
                range(0, 0, 10),
                range(20, 9, 1),
                range(5, 50, 1),
                range(30, 60, 0)
            ])),
            &[
                "E /linux/uidMappings/1: overlaps with mapping 0",
                "E /linux/uidMappings/2: overlaps with mapping 0",
                "E /linux/uidMappings/3/size: a mapping needs a size",
            ],
        ),
        (
            &only_uids(json!([range(1, 0, u32::MAX)])),
            &[
                "E /linux/uidMappings/0: a mapping of 4294967295 ids from 1 goes beyond the highest id (4294967294)",
            ],
        ),
        (
            &[
                user(""),
                ("/linux/uidMappings", json!([range(0, 9, 2)])),
                ("/linux/gidMappings", json!([range(0, 9, 2)])),
                (
                    "/process/user",
                    json!({"uid": 2, "gid": 1, "additionalGids": [0, 5]}),
                ),
            ],
            &[
                "E /process/user/uid: id 2 is not mapped into the user namespace",
                "E /process/user/additionalGids/1: id 5 is not mapped into the user namespace",
            ],
        ),
    ]);
    let many: Vec<Value> = (0..341).map(|id| range(id, id, 1)).collect();
    assert_all(&[(
        &only_uids(many.into()),
        &["E /linux/uidMappings: 341 mappings are more than the kernel takes (340)"],
    )]);
}

#[test]
fn sysctl_paths() {
    let good = [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
        (
            "net.ipv4.conf.eth0/1.forwarding",
            "net/ipv4/conf/eth0.1/forwarding",
        ),
        (
            "net/ipv4/conf/eth0.1/forwarding",
            "net/ipv4/conf/eth0.1/forwarding",
        ),
    ];
    for (name, expected) in good {
        assert_eq!(sysctl_path(name).as_deref(), Ok(expected));
    }
    let bad = [
        "",
        "net",
        "/net/a",
        "net..a",
        "net//a",
        "net.a.",
        "net/../kernel/x",
        "net/./x",
        "net.//.kernel",
        "net.a b",
        "net.a\0",
        "net.a\n",
        "../x",
        ".net.a",
    ];
    for name in bad {
        assert!(sysctl_path(name).is_err(), "{name:?}");
    }
}

#[test]
fn sysctls() {
    let set = |name: &str| ("/linux/sysctl", json!({name: "1"}));
    let namespaces = |list: Value| ("/linux/namespaces", list);
    let host_side = "/linux/sysctl/";
    for name in [
        "kernel.panic",
        "kernel.msgmaxx",
        "vm.swappiness",
        "kernel.sem.x",
        "fs.mqueue",
        "netx.a",
        "kernel.sysrq",
    ] {
        let expected = format!(
            "E {host_side}{name}: sysctl {name:?} belongs to no namespace, so it would change the host"
        );
        assert_eq!(problems_on(&host(), &example(&[set(name)])), [expected]);
    }
    for name in [
        "kernel.sem",
        "kernel/shm_rmid_forced",
        "fs.mqueue.msg_max",
        "net.core.somaxconn",
        "kernel.domainname",
    ] {
        assert_eq!(
            problems_on(&host(), &example(&[set(name)])),
            [""; 0],
            "{name}"
        );
    }
    let bare = namespaces(json!([{"type": "mount"}, {"type": "uts"}]));
    let missing = [
        ("kernel.sem", "ipc"),
        ("net.core.x", "network"),
        ("user.max_user_namespaces", "user"),
    ];
    for (name, namespace) in missing {
        let expected = format!(
            "E {host_side}{name}: sysctl {name:?} needs a {namespace} namespace other than the host's"
        );
        assert_eq!(
            problems_on(&host(), &example(&[bare.clone(), set(name)])),
            [expected]
        );
    }
    assert_all(&[
        (
            &[set("kernel.hostname")],
            &[
                "E /linux/sysctl/kernel.hostname: the host name is set by `hostname`, not by a sysctl",
            ],
        ),
        (
            &[set("net/../kernel/panic")],
            &[
                "E /linux/sysctl/net~1..~1kernel~1panic: sysctl \"net/../kernel/panic\" has an empty part, '.' or '..' in it",
            ],
        ),
        (
            &[("/linux/sysctl", json!({"net.a": "1\0"}))],
            &["E /linux/sysctl/net.a: contains a NUL byte"],
        ),
    ]);
}

#[test]
fn sysctls_of_joined_namespaces() {
    let json = example(&[
        (
            "/linux/namespaces/1",
            json!({"type": "network", "path": "/run/netns/a"}),
        ),
        ("/linux/sysctl", json!({"net.a": "1"})),
    ]);
    assert_eq!(problems_on(&host(), &json), [""; 0]);
    let same = Host {
        own_namespaces: Namespaces::NETWORK,
        ..host()
    };
    let expected =
        ["E /linux/sysctl/net.a: sysctl \"net.a\" needs a network namespace other than the host's"];
    assert_eq!(problems_on(&same, &json), expected);
}

#[test]
fn linux_paths_and_devices() {
    let device = |kind: &str, major: i64, mode: u32| json!([{"path": "/dev/x", "type": kind, "major": major, "minor": 3, "fileMode": mode}]);
    assert_all(&[
        (&[("/linux/devices", device("c", 4, 0o020_666))], &[]),
        (&[("/linux/devices", device("p", -1, 0o600))], &[]),
        (
            &[("/linux/devices", device("x", 4, 0o666))],
            &["E /linux/devices/0/type: there is no device type \"x\", only c, u, b and p"],
        ),
        (
            &[("/linux/devices", device("b", -1, 0o666))],
            &["E /linux/devices/0: -1:3 is not a device number"],
        ),
        (
            &[("/linux/devices", device("u", 4, 0o1_000_000))],
            &["E /linux/devices/0/fileMode: 0o1000000 is not a file mode"],
        ),
        (
            &[(
                "/linux/devices",
                json!([{"path": "x", "type": "p", "uid": u32::MAX}]),
            )],
            &[
                "E /linux/devices/0/path: \"x\" is not an absolute path",
                "E /linux/devices/0/uid: 4294967295 is not a valid id",
            ],
        ),
        (&[("/linux/rootfsPropagation", json!("rslave"))], &[]),
        (
            &[("/linux/rootfsPropagation", json!("ro"))],
            &["E /linux/rootfsPropagation: there is no propagation \"ro\""],
        ),
        (
            &[("/linux/maskedPaths", json!(["/a", "b"]))],
            &["E /linux/maskedPaths/1: \"b\" is not an absolute path"],
        ),
        (
            &[("/linux/readonlyPaths", json!([""]))],
            &["E /linux/readonlyPaths/0: is required"],
        ),
    ]);
}

#[test]
fn what_is_not_carried_out_is_refused_at_its_place() {
    let everything = include_str!("../spec/fixtures/everything.json");
    let refused: Vec<String> = check(&parse(everything.as_bytes()).unwrap(), &host())
        .into_iter()
        .filter(|problem| problem.fault == Fault::Unsupported)
        .map(|problem| problem.pointer)
        .collect();
    let expected = [
        "/process/apparmorProfile",
        "/process/selinuxLabel",
        "/process/scheduler",
        "/process/ioPriority",
        "/process/execCPUAffinity",
        "/hooks/prestart",
        "/hooks/createRuntime",
        "/hooks/createContainer",
        "/hooks/startContainer",
        "/hooks/poststart",
        "/hooks/poststop",
        "/linux/netDevices",
        "/linux/mountLabel",
        "/linux/intelRdt",
        "/linux/personality",
        "/linux/memoryPolicy",
        "/mounts/0/uidMappings",
        "/mounts/0/gidMappings",
        "/mounts/0/options/1",
        "/linux/seccomp/listenerPath",
        "/linux/seccomp/listenerMetadata",
    ];
    assert_eq!(refused, expected);
}

#[test]
fn empty_values_ask_for_nothing() {
    assert_all(&[(
        &[
            ("/process/apparmorProfile", json!("")),
            ("/process/selinuxLabel", json!("")),
            ("/process/scheduler", json!({})),
            ("/process/execCPUAffinity", json!({"initial": ""})),
            ("/hooks", json!({"prestart": [], "poststop": null})),
            ("/linux/netDevices", json!({})),
            ("/linux/mountLabel", json!("")),
            ("/linux/intelRdt", json!({"closID": ""})),
            (
                "/linux/seccomp",
                json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": ""}),
            ),
            ("/mounts/0/uidMappings", json!([])),
        ],
        &[],
    )]);
}

#[test]
fn unsupported_options_and_actions() {
    let options = json!(["mode=1", "tmpcopyup", "idmap=uids=0-0-1", "remount"]);
    let seccomp = json!({"defaultAction": "SCMP_ACT_NOTIFY", "syscalls": [
        {"names": ["a"], "action": "SCMP_ACT_ALLOW"}, {"names": ["b"], "action": "SCMP_ACT_NOTIFY"}]});
    assert_all(&[
        (
            &[("/mounts/1/options", options)],
            &[
                "E /mounts/1/options/1: is not carried out by this version",
                "E /mounts/1/options/2: is not carried out by this version",
                "E /mounts/1/options/3: is not carried out by this version",
            ],
        ),
        (
            &[("/linux/seccomp", seccomp)],
            &[
                "E /linux/seccomp/defaultAction: is not carried out by this version",
                "E /linux/seccomp/syscalls/1/action: is not carried out by this version",
            ],
        ),
    ]);
}

#[test]
fn a_process_alone_has_pointers_of_its_own() {
    let process = Process {
        cwd: "x".into(),
        apparmor_profile: "p".into(),
        ..Process::default()
    };
    let found: Vec<String> = check_process(&process, &host())
        .into_iter()
        .map(|problem| problem.pointer)
        .collect();
    assert_eq!(found, ["/args", "/cwd", "/apparmorProfile"]);
}

#[test]
fn configurations_of_engines_are_accepted() {
    let cases = [
        (include_str!("../spec/fixtures/containerd.json"), vec![]),
        (include_str!("../spec/fixtures/podman.json"), vec![]),
        (
            include_str!("../spec/fixtures/docker.json"),
            vec!["E /hooks/prestart: is not carried out by this version"],
        ),
    ];
    for (json, expected) in cases {
        assert_eq!(problems_on(&host(), json), expected);
    }
}
