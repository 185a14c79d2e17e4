use serde_json::json;

use super::*;

#[test]
fn names_of_network_devices() {
    let good = json!({"eth0": {}, "veth1": {"name": "eth1"}, "a.b-c_d": {"name": "vlan%d"},
        "fifteen-bytes-1": {"name": "vlan%d"}});
    assert_all(&[(&[("/linux/netDevices", good)], &[])]);
    for name in [
        "",
        ".",
        "..",
        "a/b",
        "a b",
        "a:b",
        "sixteen-bytes-12",
        "a%d",
        "a\u{0}b",
    ] {
        let json = example(&[("/linux/netDevices", json!({name: {"name": "x"}}))]);
        let found = problems_on(&host(), &json);
        let place = crate::pointer::pointer(&["linux".into(), "netDevices".into(), name.into()]);
        assert_eq!(found.len(), 1, "{name:?}: {found:?}");
        assert!(found[0].starts_with(&format!("E {place}: ")), "{found:?}");
    }
    for target in [".", "a/b", "%s", "a%d%d", "%", "a%dbbbbbbbbbbbbbbbb"] {
        let json = example(&[("/linux/netDevices", json!({"eth0": {"name": target}}))]);
        let found = problems_on(&host(), &json);
        assert_eq!(found.len(), 1, "{target:?}: {found:?}");
        assert!(
            found[0].starts_with("E /linux/netDevices/eth0/name: "),
            "{found:?}"
        );
    }
}

#[test]
fn network_devices_need_a_namespace_and_a_name_of_their_own() {
    let two = json!({"a": {"name": "c"}, "b": {"name": "c"}});
    let no_network = json!([{"type": "mount"}, {"type": "uts"}]);
    assert_all(&[
        (
            &[("/linux/netDevices", two)],
            &["E /linux/netDevices/b: \"c\" is the name of another device already"],
        ),
        (
            &[("/linux/netDevices", json!({"a": {"name": "b"}, "b": {}}))],
            &["E /linux/netDevices/b: \"b\" is the name of another device already"],
        ),
        (
            &[
                ("/linux/netDevices", json!({"a": {}})),
                ("/linux/namespaces", no_network),
            ],
            &["E /linux/netDevices: \"a\" needs a new network namespace, or one to join"],
        ),
    ]);
    let json = example(&[("/linux/netDevices", json!({"a": {}}))]);
    let ours = Host {
        own_namespaces: Namespaces::NETWORK,
        ..host()
    };
    assert_eq!(
        problems_on(&ours, &json),
        ["E /linux/netDevices: \"a\" needs a new network namespace, or one to join"]
    );
    let rootless = Host { euid: 7, ..host() };
    assert_eq!(
        problems_on(&rootless, &json),
        ["E /linux/netDevices: network devices can be moved by root only"]
    );
}
