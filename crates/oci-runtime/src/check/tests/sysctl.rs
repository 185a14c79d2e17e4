use serde_json::{Value, json};

use super::{assert_all, example, host, problems_on};
use crate::check::sysctl_path;
use crate::host::Host;
use crate::host::Namespaces;

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
