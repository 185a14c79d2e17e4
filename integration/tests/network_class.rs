//! The class and the priorities of a container's network traffic. Few hosts have these controllers mounted by now, so the test
//! mounts them for itself, in a mount namespace of its own.

use std::process::{Command, Stdio};

use oci_runtime_integration::case::{Case, case, text};
use oci_runtime_integration::cgroup;
use oci_runtime_integration::runtime::{Finished, binary, eventually, only_ocirun, read, spawn};
use serde_json::{Value, json};

/// All hierarchies of the host, and one more, in the place where they are looked for. `$1` is an empty directory.
const MOUNT: &str = "
mount -t tmpfs none $1 || exit 99
for h in /sys/fs/cgroup/*; do mkdir $1/${h##*/}; mount --bind $h $1/${h##*/}; done
mkdir $1/net_cls,net_prio
mount -t cgroup -o net_cls,net_prio none $1/net_cls,net_prio || exit 99
mount --rbind $1 /sys/fs/cgroup
shift
";

/// What `script` prints with that hierarchy; `$O` runs the runtime, `$N` is the container's directory in it. `None` where the
/// kernel has no such controllers, or has them in use elsewhere.
fn with_network_controllers(case: &Case, script: &str) -> Option<Finished> {
    if cgroup::v1("memory", "/").is_none() || cgroup::v1("net_cls", "/").is_some() {
        eprintln!("not run: the host's hierarchies are not those of v1, or it has this one");
        return None;
    }
    let place = case.path("hierarchies");
    std::fs::create_dir(&place).expect("a place for them");
    let root = text(&case.path("state"));
    let mut command = Command::new("unshare");
    let lines = format!("{MOUNT}\n{script}");
    command.args([
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        &lines,
        "sh",
    ]);
    command.arg(&place);
    command.env("O", format!("{} --root {root}", text(&binary())));
    command.env(
        "N",
        format!("/sys/fs/cgroup/net_cls,net_prio{}", case.cgroup),
    );
    command
        .env("B", case.bundle())
        .env("I", &case.id)
        .env("P", case.path("pid"));
    let finished = spawn(command, &case.path("output"), Stdio::null()).wait();
    if finished.code == 99 {
        eprintln!("not run: this kernel does not mount these controllers");
        return None;
    }
    Some(finished)
}

/// A hierarchy outlives its last mount if it has a cgroup then, of which the kernel takes leave late. It is in everybody's
/// /proc/PID/cgroup, and containerd reads no statistics where one of those is not mounted. Mounted once more, it goes, a
/// moment after that mount: who mounts it again too soon keeps it.
fn let_go(case: &Case) {
    const LINES: &str = "mount -t cgroup -o net_cls,net_prio none $1 && umount $1";
    let mut moments = 0;
    eventually("the end of the hierarchy", || {
        if !read("/proc/self/cgroup").contains("net_cls") {
            return Some(());
        }
        if moments % 100 == 0 {
            let mut command = Command::new("unshare");
            command.args(["--mount", "--propagation", "private", "sh", "-c", LINES]);
            command.arg("sh").arg(case.path("hierarchies"));
            command.status().expect("unshare");
        }
        moments += 1;
        None
    });
}

fn configure(case: &Case, network: Value) {
    case.configure(|c| {
        c["process"]["args"] = json!(["sleep", "1000"]);
        c["linux"]["resources"]["network"] = network;
    });
}

#[test]
fn class_and_priorities_are_those_of_the_configuration() {
    let Some(case) = case().filter(|_| only_ocirun("is compared elsewhere")) else {
        return;
    };
    configure(
        &case,
        json!({"classID": 1_048_577, "priorities": [{"name": "lo", "priority": 500}]}),
    );
    let script = "
        $O create --bundle $B --pid-file $P $I </dev/null >/dev/null || exit 1
        cat $N/net_cls.classid; grep '^lo ' $N/net_prio.ifpriomap; wc -l < $N/cgroup.procs
        $O delete --force $I; ls -d $N";
    let Some(found) = with_network_controllers(&case, script) else {
        return;
    };
    case.reap(case.init_from_pid_file());
    let_go(&case);
    assert_eq!(found.stdout, "1048577\nlo 500\n1\n", "{found:?}");
    assert!(
        found.stderr.contains("No such file"),
        "it is removed: {found:?}"
    );
}

#[test]
fn an_interface_that_is_not_there_is_an_error_that_names_it() {
    let Some(case) = case().filter(|_| only_ocirun("has other words")) else {
        return;
    };
    configure(
        &case,
        json!({"priorities": [{"name": "no-such-if", "priority": 1}]}),
    );
    let script = "$O create --bundle $B $I </dev/null >/dev/null; echo $?; ls -d $N";
    let Some(found) = with_network_controllers(&case, script) else {
        return;
    };
    let_go(&case);
    assert_ne!(found.stdout, "0\n", "{found:?}");
    for part in [
        "net_prio.ifpriomap",
        "no-such-if",
        "/linux/resources/network",
    ] {
        assert!(found.stderr.contains(part), "{part}: {found:?}");
    }
    assert!(
        found.stderr.contains("No such file"),
        "it is removed: {found:?}"
    );
}
