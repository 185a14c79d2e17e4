//! `linux.sysctl`: kernel parameters of the container's namespaces, read from inside of these by a process of the host's; and
//! those of the host as before.

use std::process::Command;

use oci_runtime_integration::bundle::push;
use oci_runtime_integration::case::case_with;
use oci_runtime_integration::runtime::read;
use serde_json::json;

/// A parameter, a value that nobody has by default, and the namespace that it belongs to.
const PARAMETERS: [(&str, &str, &str); 7] = [
    ("net.ipv4.ip_forward", "1", "net"),
    ("net/ipv4/conf/lo/forwarding", "1", "net"),
    ("net.core.somaxconn", "1234", "net"),
    ("kernel.shm_rmid_forced", "1", "ipc"),
    ("kernel.msgmax", "12345", "ipc"),
    ("fs.mqueue.msg_max", "77", "ipc"),
    ("kernel.domainname", "sysctl.example", "uts"),
];

fn file(name: &str) -> String {
    let separators = if name.contains('/') { "/" } else { "." };
    format!("/proc/sys/{}", name.replace(separators, "/"))
}

/// What the namespace of `pid` has.
fn inside(pid: i32, namespace: &str, file: &str) -> String {
    let output = Command::new("nsenter")
        .args([
            &format!("--{namespace}=/proc/{pid}/ns/{namespace}"),
            "--",
            "cat",
            file,
        ])
        .output()
        .expect("nsenter (Debian's package util-linux)");
    assert!(output.status.success(), "{file}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn parameters_of_the_container_s_namespaces_are_set_and_the_host_s_are_not() {
    let Some(case) = case_with(|c| {
        for (name, value, _) in PARAMETERS {
            c["linux"]["sysctl"][name] = json!(value);
        }
    }) else {
        return;
    };
    let before = PARAMETERS.map(|(name, ..)| read(file(name)));
    let init = case.create();
    for (name, value, namespace) in PARAMETERS {
        assert_eq!(inside(init, namespace, &file(name)), value, "{name}");
    }
    assert_eq!(PARAMETERS.map(|(name, ..)| read(file(name))), before);
}

#[test]
fn a_user_namespace_s_parameters_are_set_in_it() {
    let Some(case) = case_with(|c| {
        push(c, "/linux/namespaces", json!({"type": "user"}));
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
        c["linux"]["uidMappings"] = map.clone();
        c["linux"]["gidMappings"] = map;
        c["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    }) else {
        return;
    };
    let init = case.create();
    assert_eq!(inside(init, "net", "/proc/sys/net/ipv4/ip_forward"), "1");
}
