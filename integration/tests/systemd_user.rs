//! The systemd driver on the bus of an ordinary user, in a user namespace as engines make one: what the user's systemd knows, and
//! what the kernel shows outside. Only the guest has such a user.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use oci_runtime_integration::bundle::{self, push};
use oci_runtime_integration::case::{Case, case};
use oci_runtime_integration::login::{Login, is_here, login, uid};
use oci_runtime_integration::runtime::{Finished, binary, read};
use oci_runtime_integration::{cgroup, host, rootfs};
use serde_json::{Value, json};

/// A container of the user's.
struct Mine {
    case: Case,
    login: Login,
    directory: PathBuf,
}

/// Nothing where nobody can log in, which is said.
fn mine(edit: impl FnOnce(&mut Value)) -> Option<Mine> {
    if !is_here() {
        return None;
    }
    let case = case()?;
    let directory = case.path("login");
    let login = login(&directory);
    let mut config = bundle::config(&case.id, rootfs::shared(), "");
    config["linux"]["cgroupsPath"] = format!("user.slice:oci:{}", case.id).into();
    edit(&mut config);
    let file = directory.join("config.json");
    fs::write(&file, config.to_string()).expect("config.json");
    chown(&file, uid(), uid()).expect("the user's file");
    Some(Mine {
        case,
        login,
        directory,
    })
}

impl Mine {
    /// A command of the runtime, by root of a new user namespace of the user's.
    fn command(&self, words: &str) -> String {
        format!(
            "unshare --user --map-root-user --map-auto --mount {} --root state --systemd-cgroup {words}",
            binary().canonicalize().expect("the runtime").display()
        )
    }

    fn runtime(&self, words: &str) -> Finished {
        self.login.run(&self.command(words))
    }

    /// The same in the user namespace of a process, as an engine has one for all its commands.
    fn beside(&self, pid: i32, words: &str) -> Finished {
        let enter = format!("nsenter --target {pid} --user --preserve-credentials");
        let command = self.command(words);
        let (_, command) = command.split_once("--mount").expect("what unshare is told");
        self.login.run(&format!("{enter} {command}"))
    }

    fn id(&self) -> &str {
        &self.case.id
    }

    fn unit(&self) -> String {
        format!("oci-{}.scope", self.case.id)
    }

    /// Creates and starts it, and answers its first process.
    fn start(&self) -> i32 {
        let id = self.id();
        self.runtime(&format!("create --bundle . --pid-file pid {id}"))
            .ok();
        self.runtime(&format!("start {id}")).ok();
        read(self.directory.join("pid")).parse().expect("a pid")
    }

    #[track_caller]
    fn property(&self, name: &str) -> String {
        let unit = self.unit();
        let line = format!("systemctl --user show --value --property {name} {unit}");
        self.login.run(&line).ok().stdout.trim().to_owned()
    }
}

/// The cgroup of a process.
fn place(pid: i32) -> String {
    let text = read(host::proc_path(pid, "cgroup"));
    let own = text.lines().find_map(|line| line.strip_prefix("0::"));
    own.expect("a cgroup of v2").to_owned()
}

#[test]
fn a_user_s_container_is_a_scope_of_the_user_s_systemd() {
    let Some(mine) = mine(|config| {
        let resources = &mut config["linux"]["resources"];
        resources["memory"] = json!({"limit": 64 << 20, "swap": 96 << 20});
        resources["cpu"] = json!({"quota": 50000, "period": 100_000});
        resources["pids"] = json!({"limit": 33});
        resources["unified"] = json!({"memory.oom.group": "1"});
        push(
            config,
            "/mounts",
            json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}),
        );
    }) else {
        return;
    };
    let init = mine.start();
    let uid = uid().expect("a user");
    let expected = format!(
        "/user.slice/user-{uid}.slice/user@{uid}.service/user.slice/{}",
        mine.unit()
    );
    assert_eq!(place(init), expected);
    assert_eq!(
        host::status(init, "Uid"),
        format!("{uid} {uid} {uid} {uid}")
    );
    let written = |files: &[(&str, &str)]| {
        for (file, value) in files {
            assert_eq!(cgroup::v2_value(&expected, file), *value, "{file}");
        }
    };
    written(&[
        ("memory.max", "67108864"),
        ("memory.swap.max", "33554432"),
        ("memory.oom.group", "1"),
        ("cpu.max", "50000 100000"),
        ("pids.max", "33"),
    ]);
    for (name, value) in [
        ("ActiveState", "active"),
        ("Delegate", "yes"),
        ("MemoryMax", "67108864"),
        ("TasksMax", "33"),
    ] {
        assert_eq!(mine.property(name), value, "{name}");
    }
    let id = mine.id();
    mine.beside(
        init,
        &format!("update --memory 50331648 --pids-limit 20 {id}"),
    )
    .ok();
    mine.login.run("systemctl --user daemon-reload").ok();
    written(&[("memory.max", "50331648"), ("pids.max", "20")]);
    // From a session's cgroup, which is the machine's, nobody but its root may move a process. That it works from one of
    // the user's is shown with Podman.
    mine.beside(init, &format!("exec {id} true"))
        .failed(255, &["permission denied"]);
    for (verb, state) in [("pause", "paused"), ("resume", "running")] {
        mine.beside(init, &format!("{verb} {id}")).ok();
        let said = mine.beside(init, &format!("state {id}")).ok().stdout;
        let said: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(said["status"], state);
    }
    mine.beside(init, &format!("kill {id} KILL")).ok();
    mine.runtime(&format!("delete --force {id}")).ok();
    assert_eq!(mine.property("LoadState"), "not-found");
    assert!(!cgroup_of(&expected).exists());
    assert!(!mine.directory.join("state").join(id).exists());
}

fn cgroup_of(place: &str) -> PathBuf {
    Path::new("/sys/fs/cgroup").join(place.trim_start_matches('/'))
}

#[test]
fn without_a_bus_the_error_says_where_it_was_looked_for() {
    let Some(mine) = mine(|_| ()) else { return };
    let create = mine.command(&format!("create --bundle . {}", mine.id()));
    for (before, place) in [
        (
            "DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere/bus",
            "/nowhere/bus",
        ),
        (
            "XDG_RUNTIME_DIR=/nowhere DBUS_SESSION_BUS_ADDRESS=",
            "/nowhere/bus",
        ),
    ] {
        let said = mine.login.run(&format!("export {before}\n{create}"));
        said.failed(1, &["user bus", place, "No such file or directory"]);
        assert!(!mine.directory.join("state").join(mine.id()).exists());
    }
}
