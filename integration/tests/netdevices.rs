//! `linux.netDevices`: devices that the container gets, with their addresses, under the names asked for. The runtime is run in a
//! network namespace of the test's own, so that the host's is left alone.

use std::process::{Child, Command, Stdio};

use oci_runtime_integration::bundle::push;
use oci_runtime_integration::case::{Case, case_with};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{Finished, eventually, only_ocirun, spawn};
use serde_json::{Value, json};

/// A network namespace with a pair of devices `ve0` and `ve1`; gone when it goes out of scope.
struct Network(Child);

impl Network {
    fn new() -> Network {
        let own = host::namespace(std::process::id().cast_signed(), "net");
        let child = Command::new("unshare")
            .args(["--net", "sleep", "7200"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("unshare (Debian's package util-linux)");
        let network = Network(child);
        eventually("a network namespace", || {
            let found = std::fs::read_link(host::proc_path(network.pid(), "ns/net")).ok()?;
            (found.to_string_lossy() != own).then_some(())
        });
        network.ip("link add ve0 type veth peer name ve1");
        network
    }

    fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }

    fn ip(&self, command: &str) {
        ip(self.pid(), command);
    }

    /// Runs a verb of the runtime in the namespace, behind the command `before`.
    #[track_caller]
    fn runtime(&self, case: &Case, before: &[&str], args: &[String]) -> Finished {
        let inner = case.command(args);
        let mut command = Command::new("nsenter");
        command.args([&format!("--net=/proc/{}/ns/net", self.pid()), "--"]);
        command.args(before);
        command.arg(inner.get_program()).args(inner.get_args());
        command.current_dir(case.bundle());
        spawn(command, &case.path("output"), Stdio::null()).wait()
    }

    #[track_caller]
    fn create(&self, case: &Case) -> Finished {
        self.create_behind(case, &[])
    }

    /// The same, while strace(1) has one system call fail, before or after it has had its effect.
    #[track_caller]
    fn create_with_fault(&self, case: &Case, call: &str, fault: &str) -> Finished {
        let (trace, inject) = (format!("trace={call}"), format!("inject={call}:{fault}"));
        let strace = [
            "strace",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            &trace,
            "-e",
            &inject,
        ];
        self.create_behind(case, &strace)
    }

    #[track_caller]
    fn create_behind(&self, case: &Case, before: &[&str]) -> Finished {
        self.runtime(case, before, &case.words_of_create(&[]))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// ip(8) in the network namespace of `pid`.
#[track_caller]
fn ip(pid: i32, command: &str) -> String {
    let output = Command::new("nsenter")
        .args([&format!("--net=/proc/{pid}/ns/net"), "--", "ip"])
        .args(command.split(' '))
        .output()
        .expect("nsenter and ip (Debian's packages util-linux and iproute2)");
    assert!(output.status.success(), "ip {command}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// What ip(8) tells of a device in the network namespace of `pid`; nothing when there is none.
fn device(pid: i32, name: &str) -> Option<Value> {
    let all: Value = serde_json::from_str(&ip(pid, "-j addr show")).expect("JSON");
    let all = all.as_array().expect("a list").clone();
    all.into_iter().find(|device| device["ifname"] == name)
}

/// Addresses but for those that the kernel makes, each with its prefix length.
fn addresses(device: &Value) -> Vec<String> {
    let list = device["addr_info"].as_array().expect("a list");
    let given = list.iter().filter(|address| {
        !address["local"]
            .as_str()
            .unwrap_or_default()
            .starts_with("fe80")
    });
    let mut all: Vec<String> = given
        .map(|address| {
            format!(
                "{}/{}",
                address["local"].as_str().unwrap_or("?"),
                address["prefixlen"]
            )
        })
        .collect();
    all.sort();
    all
}

fn is_up(device: &Value) -> bool {
    let flags = device["flags"].as_array().expect("a list");
    flags.iter().any(|flag| flag == "UP")
}

const GIVEN: [&str; 3] = ["10.1.2.3/24", "10.1.2.4/24", "fd00::5/64"];

/// Three addresses that stay, and two that do not: one is good on the link only, one expires.
fn give_addresses(network: &Network) {
    for address in GIVEN {
        network.ip(&format!("addr add {address} dev ve0"));
    }
    network.ip("addr add 10.9.9.9/32 dev ve0 scope link");
    network.ip("addr add 10.8.8.8/32 dev ve0 valid_lft 1000 preferred_lft 1000");
}

#[test]
fn a_device_moves_with_its_addresses_and_gets_its_name() {
    let Some(case) = case_with(|c| c["linux"]["netDevices"] = json!({"ve0": {"name": "eth0"}}))
    else {
        return;
    };
    let network = Network::new();
    network.ip("link set ve0 mtu 1400 address 02:00:00:00:00:17 up");
    give_addresses(&network);
    network.create(&case).ok();
    let init = case.init_from_pid_file();
    let found = device(init, "eth0").expect("the device in the container");
    assert!(is_up(&found), "{found}");
    assert_eq!(found["mtu"], 1400);
    assert_eq!(found["address"], "02:00:00:00:00:17");
    assert_eq!(addresses(&found), GIVEN, "{found}");
    assert_eq!(device(init, "ve0"), None);
    assert_eq!(device(network.pid(), "ve0"), None);
    assert!(device(network.pid(), "ve1").is_some(), "its peer stays");
    // It is of use: the other end answers.
    network.ip("addr add 10.1.2.99/24 dev ve1");
    network.ip("link set ve1 up");
    let ping = Command::new("nsenter")
        .args([
            &format!("--net=/proc/{init}/ns/net"),
            "--",
            "cat",
            "/proc/net/route",
        ])
        .output()
        .expect("nsenter");
    let routes = String::from_utf8_lossy(&ping.stdout).into_owned();
    assert!(routes.contains("eth0\t0002010A"), "{routes}");
}

/// A machine that has run for long has made many devices.
#[test]
fn a_device_moves_however_high_its_number_is() {
    let devices = json!({"far": {"name": "eth0"}});
    let Some(case) = case_with(|c| c["linux"]["netDevices"] = devices) else {
        return;
    };
    let network = Network::new();
    network.ip("link add far index 2147483646 type veth peer name near");
    network.create(&case).ok();
    assert!(device(case.init_from_pid_file(), "eth0").is_some());
}

#[test]
fn a_device_keeps_its_name_unless_another_is_asked_for() {
    let Some(case) = case_with(|c| c["linux"]["netDevices"] = json!({"ve0": {}})) else {
        return;
    };
    let network = Network::new();
    network.create(&case).ok();
    let init = case.init_from_pid_file();
    assert!(
        is_up(&device(init, "ve0").expect("the device")),
        "down before, up in there"
    );
    // The namespace ends with its last process, and with it what is virtual in it.
    case.kill(init);
    case.destroy();
    eventually("the end of the device and its peer", || {
        device(network.pid(), "ve1").is_none().then_some(())
    });
}

#[test]
fn the_kernel_chooses_a_number_for_a_template() {
    if !only_ocirun("has no such names") {
        return;
    }
    let devices = json!({"ve0": {"name": "net%d"}, "ve1": {"name": "net%d"}});
    let Some(case) = case_with(|c| c["linux"]["netDevices"] = devices) else {
        return;
    };
    let network = Network::new();
    network.create(&case).ok();
    let init = case.init_from_pid_file();
    assert!(device(init, "net0").is_some() && device(init, "net1").is_some());
}

#[test]
fn a_user_namespace_s_container_gets_devices_too() {
    let Some(case) = case_with(|c| {
        push(c, "/linux/namespaces", json!({"type": "user"}));
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
        c["linux"]["uidMappings"] = map.clone();
        c["linux"]["gidMappings"] = map;
        c["linux"]["netDevices"] = json!({"ve0": {"name": "eth0"}});
    }) else {
        return;
    };
    let network = Network::new();
    network.ip("addr add 10.1.2.3/24 dev ve0");
    network.create(&case).ok();
    let init = case.init_from_pid_file();
    let found = device(init, "eth0").expect("the device in the container");
    assert_eq!(addresses(&found), ["10.1.2.3/24"]);
}

/// A container that fails after its devices have moved gives them back as they were.
#[test]
fn a_failed_creation_gives_devices_back() {
    if !only_ocirun("lets them end with the namespace") {
        return;
    }
    let Some(case) = case_with(|c| {
        c["linux"]["netDevices"] = json!({"ve0": {"name": "eth0"}});
        push(
            c,
            "/mounts",
            json!({"destination": "/mnt", "type": "nosuchfs"}),
        );
    }) else {
        return;
    };
    let network = Network::new();
    network.ip("link set ve0 up");
    for address in GIVEN {
        network.ip(&format!("addr add {address} dev ve0"));
    }
    network.create(&case).failed(1, &["/mounts/6"]);
    let found = device(network.pid(), "ve0").expect("the device is back");
    assert!(is_up(&found), "{found}");
    assert_eq!(addresses(&found), GIVEN, "{found}");
    case.assert_clean();
}

/// The kernel may have done what it was asked, and cannot say so.
#[test]
fn a_device_is_never_lost_by_an_answer() {
    never_lost("recvfrom");
}

#[test]
fn a_device_is_never_lost_by_a_question() {
    never_lost("sendto");
}

/// Wherever the conversation with the kernel breaks off.
fn never_lost(call: &str) {
    if !only_ocirun("has its own conversation") {
        return;
    }
    // More than there are.
    for number in 1..=45 {
        let Some(case) = case_with(|c| {
            c["linux"]["netDevices"] = json!({"ve0": {"name": "eth0"}, "ve1": {"name": "x%d"}});
            // Without the fault it fails later, when the devices have moved.
            let mount = json!({"destination": "/mnt", "type": "nosuchfs"});
            push(c, "/mounts", mount);
        }) else {
            return;
        };
        let network = Network::new();
        network.ip("link set ve0 up");
        network.ip("addr add 10.1.2.3/24 dev ve0");
        network.ip("addr add 10.1.3.3/24 dev ve1");
        let fault = format!("error=ENOBUFS:when={number}");
        let create = network.create_with_fault(&case, call, &fault);
        assert_eq!(create.code, 1, "{create:?}");
        for (name, address, up) in [("ve0", "10.1.2.3/24", true), ("ve1", "10.1.3.3/24", false)] {
            let found = device(network.pid(), name)
                .unwrap_or_else(|| panic!("{call} {fault}: {name} is lost: {create:?}"));
            assert_eq!(addresses(&found), [address], "{call} {fault}: {found}");
            assert_eq!(is_up(&found), up, "{call} {fault}: {found}");
        }
        case.assert_clean();
    }
}

#[test]
fn devices_that_cannot_be_moved_are_named_and_others_stay() {
    let table = [
        (
            "missing",
            json!({"ve0": {}, "nosuch": {}}),
            "/linux/netDevices/nosuch",
            "no such device",
        ),
        (
            "lo",
            json!({"ve0": {}, "lo": {"name": "lo1"}}),
            "/linux/netDevices/lo",
            "invalid argument",
        ),
        (
            "taken",
            json!({"ve0": {"name": "lo"}}),
            "/linux/netDevices/ve0",
            "file exists",
        ),
    ];
    for (name, devices, pointer, reason) in table {
        eprintln!("{name}");
        let Some(case) = case_with(|c| c["linux"]["netDevices"] = devices) else {
            return;
        };
        let network = Network::new();
        network.ip("addr add 10.1.2.3/24 dev ve0");
        let texts: &[&str] = if only_ocirun("has other words") {
            &[pointer, reason]
        } else {
            &[]
        };
        network.create(&case).failed(1, texts);
        case.assert_clean();
        if only_ocirun("does not give them back") {
            let found = device(network.pid(), "ve0").expect("the other device is back");
            assert_eq!(addresses(&found), ["10.1.2.3/24"]);
        }
    }
}

#[test]
fn devices_join_a_namespace_that_is_there() {
    let there = Network::new();
    let Some(case) = case_with(|c| {
        c["linux"]["netDevices"] = json!({"ve0": {"name": "c"}});
        let list = c["linux"]["namespaces"].as_array_mut().expect("a list");
        list.iter_mut()
            .filter(|namespace| namespace["type"] == "network")
            .for_each(|namespace| {
                namespace["path"] = json!(format!("/proc/{}/ns/net", there.pid()))
            });
    }) else {
        return;
    };
    let network = Network::new();
    network.create(&case).ok();
    case.init_from_pid_file();
    assert!(device(there.pid(), "c").is_some_and(|found| is_up(&found)));
    // Its own devices are as before.
    assert!(device(there.pid(), "ve0").is_some_and(|found| !is_up(&found)));
}
