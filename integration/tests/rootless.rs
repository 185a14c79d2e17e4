//! What an ordinary user can do, without privileges on the machine, without cgroups and without systemd: by the runtime alone, and
//! as root of a user namespace, which is how engines run it for their users. With systemd see `systemd_user.rs`.

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use oci_runtime_integration::bundle::{self, without_namespace};
use oci_runtime_integration::case::{Case, case};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{Finished, binary, read, spawn, tool};
use serde_json::{Value, json};

/// Nobody's id on any machine.
const USER: u32 = 55_555;

struct Mine {
    case: Case,
    directory: PathBuf,
}

/// A bundle and a runtime that the user can reach wherever the sources are.
fn mine(edit: impl FnOnce(&mut Value)) -> Option<Mine> {
    let case = case()?;
    let root = case.own_rootfs();
    let directory = case.path("user");
    fs::create_dir(&directory).expect("a directory");
    let ocirun = binary().display().to_string();
    tool(
        "cp",
        &[&ocirun, &directory.join("ocirun").display().to_string()],
    );
    let mut config = bundle::config(&case.id, &root, "");
    config["linux"]
        .as_object_mut()
        .expect("linux")
        .remove("cgroupsPath");
    // Groups other than 0 do not exist.
    config["mounts"][2]["options"] = json!(["nosuid", "noexec", "newinstance", "ptmxmode=0666"]);
    edit(&mut config);
    fs::write(directory.join("config.json"), config.to_string()).expect("config.json");
    chown(&directory, Some(USER), Some(USER)).expect("the user's directory");
    Some(Mine { case, directory })
}

impl Mine {
    /// The runtime in a user namespace of its own.
    fn runtime(&self, args: &[&str]) -> Finished {
        self.runtime_by(&["unshare", "--user", "--map-root-user", "--mount"], args)
    }

    /// The runtime in the user namespace of a process, as an engine has one for all its commands.
    fn runtime_beside(&self, pid: i32, args: &[&str]) -> Finished {
        let pid = pid.to_string();
        let enter = [
            "nsenter",
            "--target",
            &pid,
            "--user",
            "--preserve-credentials",
        ];
        self.runtime_by(&enter, args)
    }

    fn runtime_by(&self, words: &[&str], args: &[&str]) -> Finished {
        let id = USER.to_string();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
        command
            .args(words)
            .args(["./ocirun", "--root", "state"])
            .args(args);
        command.current_dir(&self.directory);
        spawn(command, &self.case.path("output"), Stdio::null()).wait()
    }

    /// The runtime as the user has it.
    fn plain(&self, args: &[&str]) -> Finished {
        self.runtime_by(&[], args)
    }

    fn start(&self) -> i32 {
        let id = &self.case.id;
        self.runtime(&["create", "--pid-file", "pid", id]).ok();
        self.runtime(&["start", id]).ok();
        let init = read(self.directory.join("pid")).parse().expect("a pid");
        self.case.await_payload(init);
        init
    }
}

#[test]
fn a_container_needs_no_privilege_on_the_machine() {
    let Some(mine) = mine(|_| ()) else { return };
    let init = mine.start();
    let ids = format!("{USER} {USER} {USER} {USER}");
    assert_eq!(host::status(init, "Uid"), ids);
    assert_eq!(host::status(init, "Groups"), "");
    // Nobody can make a node there: it is the machine's.
    for node in ["null", "zero", "full", "random", "urandom", "tty"] {
        let mount = host::mount(init, &format!("/dev/{node}"));
        assert_eq!(mount.root.trim_start_matches('/'), node);
        assert!(mount.has("nosuid") && mount.has("noexec"), "{mount:?}");
    }
    assert_eq!(
        host::cgroups(init),
        host::cgroups(std::process::id().cast_signed())
    );
    let id = &mine.case.id;
    let script = "id -u; hostname; echo x > /dev/null && echo written";
    let said = mine.runtime_beside(init, &["exec", id, "sh", "-c", script]);
    assert_eq!(said.ok().stdout, "0\ncase\nwritten\n");
    // Another user namespace of the same user has no privileges over the container.
    let said = mine.runtime(&["exec", id, "true"]);
    said.failed(255, &["permission denied"]);
    mine.runtime(&["kill", id, "KILL"]).ok();
    host::reap(init);
    mine.runtime(&["delete", id]).ok();
    assert!(!mine.directory.join("state").join(id).exists());
}

#[test]
fn the_payload_has_what_containers_have() {
    let Some(mine) = mine(|config| {
        bundle::script(
            config,
            "id -u; echo x > /dev/null && head -c2 /dev/zero | wc -c; tr -s ' ' < /proc/self/uid_map; \
             touch /dev/shm/f && echo made; hostname",
        );
    }) else {
        return;
    };
    let said = mine.runtime(&["run", &mine.case.id]).ok().stdout;
    assert_eq!(said, format!("0\n2\n 0 {USER} 1\nmade\ncase\n"));
}

#[test]
fn limits_and_places_that_nobody_delegated_are_refused() {
    let limit = json!({"memory": {"limit": 64 << 20}});
    let Some(mine) = mine(|config| config["linux"]["resources"] = limit) else {
        return;
    };
    let said = mine.runtime(&["run", &mine.case.id]);
    said.failed(1, &["/linux/resources"]);
    let Some(placed) = self::mine(|config| {
        config["linux"]["cgroupsPath"] = "/rootless/place".into();
    }) else {
        return;
    };
    let said = placed.runtime(&["run", &placed.case.id]);
    said.failed(1, &["/linux/cgroupsPath", "Permission denied"]);
}

#[test]
fn the_caller_s_network_can_be_kept() {
    let Some(mine) = mine(|config| {
        without_namespace(config, "network");
        without_namespace(config, "cgroup");
        let sys = json!({"destination": "/sys", "type": "none", "source": "/sys",
            "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]});
        config["mounts"][5] = sys;
        bundle::script(
            config,
            "ls /sys/class/net | wc -l; echo x > /sys/kernel/uevent_helper",
        );
    }) else {
        return;
    };
    let said = mine.runtime(&["run", &mine.case.id]);
    assert!(said.stdout.trim() != "0", "{said:?}");
    assert_ne!(said.code, 0, "{said:?}");
}

/// The configuration that a user without an engine begins with.
fn own_namespace(config: &mut Value) {
    let map = json!([{"containerID": 0, "hostID": USER, "size": 1}]);
    config["linux"]["uidMappings"] = map.clone();
    config["linux"]["gidMappings"] = map;
    bundle::push(config, "/linux/namespaces", json!({"type": "user"}));
}

#[test]
fn without_an_engine_a_container_has_a_whole_life() {
    let Some(mine) = mine(own_namespace) else {
        return;
    };
    let id = &mine.case.id;
    mine.plain(&["create", "--pid-file", "pid", id]).ok();
    let init: i32 = read(mine.directory.join("pid")).parse().expect("a pid");
    mine.plain(&["start", id]).ok();
    mine.case.await_payload(init);
    assert_eq!(
        host::status(init, "Uid"),
        format!("{USER} {USER} {USER} {USER}")
    );
    let map = read(host::proc_path(init, "uid_map"));
    let numbers: Vec<_> = map.split_whitespace().collect();
    assert_eq!(numbers, ["0", &USER.to_string(), "1"]);
    assert_eq!(read(host::proc_path(init, "setgroups")), "deny");
    let own = std::process::id().cast_signed();
    for (_, kind) in host::NAMESPACES.iter().filter(|(name, _)| *name != "time") {
        assert_ne!(
            host::namespace(init, kind),
            host::namespace(own, kind),
            "{kind}"
        );
    }
    // All of them are the container's: it is root there, and only there.
    let script = "id -u; echo $$; hostname other && hostname; mkdir /dev/shm/d && echo made";
    let said = mine.plain(&["exec", "--cap", "CAP_SYS_ADMIN", id, "sh", "-c", script]);
    let said = said.ok().stdout;
    assert!(
        said.starts_with("0\n") && said.ends_with("other\nmade\n"),
        "{said}"
    );
    assert_ne!(read("/proc/sys/kernel/hostname"), "other");
    assert!(mine.plain(&["list"]).ok().stdout.contains("running"));
    mine.plain(&["kill", id, "KILL"]).ok();
    host::reap(init);
    mine.plain(&["delete", id]).ok();
    assert!(!mine.directory.join("state").join(id).exists());
}

#[test]
fn the_example_of_spec_rootless_runs() {
    let Some(mine) = mine(|_| ()) else { return };
    fs::remove_file(mine.directory.join("config.json")).expect("removed");
    mine.plain(&["spec", "--rootless"]).ok();
    let file = mine.directory.join("config.json");
    let mut config: Value = serde_json::from_str(&read(&file)).expect("JSON");
    config["process"]["terminal"] = false.into();
    config["root"]["path"] = mine.case.own_rootfs().display().to_string().into();
    bundle::script(&mut config, "id -u; exit 7");
    fs::write(&file, config.to_string()).expect("config.json");
    let said = mine.plain(&["run", &mine.case.id]).failed(7, &[]);
    assert_eq!(said.stdout, "0\n");
}

#[test]
fn ids_of_others_are_refused_with_a_way_out() {
    let Some(mine) = mine(|config| {
        own_namespace(config);
        config["linux"]["uidMappings"][0]["size"] = 2.into();
    }) else {
        return;
    };
    let said = mine.plain(&["run", &mine.case.id]);
    said.failed(1, &["/linux/uidMappings", "55555", "podman unshare"]);
}

/// What the machine's root has made read-only or covered for the user stays so for the user's containers.
#[test]
fn locked_mounts_stay_locked() {
    let Some(mine) = mine(|config| {
        own_namespace(config);
        let all = json!(["CAP_SYS_ADMIN"]);
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = all.clone();
        }
        bundle::script(
            config,
            "cat /mnt/secret/f; mount -o remount,bind,rw /mnt && echo x > /mnt/written; umount /mnt/secret; cat /mnt/secret/f; \
             mount -t tmpfs mine /opt && echo mounted",
        );
    }) else {
        return;
    };
    let tree = mine.directory.join("tree");
    fs::create_dir_all(tree.join("secret")).expect("directories");
    fs::write(tree.join("secret/f"), "secret\n").expect("a file");
    chown(&tree, Some(USER), Some(USER)).expect("the user's");
    let file = mine.directory.join("config.json");
    let mut config: Value = serde_json::from_str(&read(&file)).expect("JSON");
    bundle::push(
        &mut config,
        "/mounts",
        json!({"destination": "/mnt", "type": "bind", "source": tree, "options": ["rbind"]}),
    );
    fs::write(&file, config.to_string()).expect("config.json");
    let cover = "mount --bind tree tree && mount -t tmpfs cover tree/secret && mount -o remount,bind,ro tree && exec \"$@\"";
    let id = USER.to_string();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", cover, "sh"]);
    command.args(["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"]);
    command.args(["./ocirun", "--root", "state", "run", &mine.case.id]);
    command.current_dir(&mine.directory);
    let said = spawn(command, &mine.case.path("output"), Stdio::null()).wait();
    assert!(!said.stdout.contains("secret\n"), "{said:?}");
    assert!(!tree.join("written").exists(), "{said:?}");
    assert!(said.stdout.ends_with("mounted\n"), "{said:?}");
}
