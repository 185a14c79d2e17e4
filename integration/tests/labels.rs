//! Labels of security modules, read from the host. Where a module is off, that is said, and the rest is left out.

use std::fs;
use std::path::PathBuf;

use oci_runtime_integration::bundle::{self, push, script};
use oci_runtime_integration::case::{Case, case_with, text};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{eventually, read, tool};
use serde_json::{Value, json};

/// Profiles in the kernel, for as long as this lives.
struct Profiles {
    file: PathBuf,
}

impl Profiles {
    /// Loads profiles of these names, each of which denies writing to /dev/shm/denied; nothing where AppArmor is off.
    fn load(case: &Case, names: &[&str]) -> Option<Profiles> {
        let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled");
        if enabled.unwrap_or_default().trim() != "Y" {
            eprintln!("not run: AppArmor is off on this machine");
            return None;
        }
        let profile = |name: &&str| {
            format!(
                "profile {name} flags=(attach_disconnected,mediate_deleted) {{\n\
                 file, capability, network, mount, umount, signal, ptrace, unix, dbus,\n\
                 deny /dev/shm/denied w,\n}}\n"
            )
        };
        let file = case.path("profiles");
        fs::write(&file, names.iter().map(profile).collect::<String>()).expect("the profiles");
        tool("apparmor_parser", &["-K", "-r", &text(&file)]);
        Some(Profiles { file })
    }
}

impl Drop for Profiles {
    fn drop(&mut self) {
        tool("apparmor_parser", &["-R", &text(&self.file)]);
    }
}

/// The profile of a process and its mode.
#[track_caller]
fn profile(pid: i32) -> String {
    read(host::proc_path(pid, "attr/apparmor/current"))
}

/// A name that no other test has.
fn name(case: &Case, which: &str) -> String {
    format!("{}-{which}", case.id)
}

fn confine(case: &Case, profile: &str, more: impl FnOnce(&mut Value)) {
    case.configure(|c| {
        c["process"]["apparmorProfile"] = profile.into();
        more(c);
    });
}

#[test]
fn the_profile_is_in_force_for_the_payload_and_for_exec() {
    let Some(case) = case_with(|_| ()) else {
        return;
    };
    let (first, second) = (name(&case, "first"), name(&case, "second"));
    let Some(_profiles) = Profiles::load(&case, &[&first, &second]) else {
        return;
    };
    for no_new_privileges in [true, false] {
        confine(&case, &first, |c| {
            c["process"]["noNewPrivileges"] = no_new_privileges.into();
        });
        let init = case.create();
        assert_eq!(profile(init), "unconfined", "not before execve");
        case.runtime(&["start", &case.id]).ok();
        case.await_payload(init);
        assert_eq!(profile(init), format!("{first} (enforce)"));
        let same = case.exec_detached(&[], &bundle::IDLE);
        assert_eq!(profile(same), format!("{first} (enforce)"));
        let other = case.exec_detached(&["--apparmor", &second], &bundle::IDLE);
        assert_eq!(profile(other), format!("{second} (enforce)"));
        case.exec(&["--apparmor", "no-such-profile"], &["true"])
            .failed(255, &["/process/apparmorProfile", "(ENOENT)"]);
        case.destroy();
    }
}

#[test]
fn the_profile_denies_what_it_says_and_nothing_else() {
    let Some(case) = case_with(|_| ()) else {
        return;
    };
    let only = name(&case, "only");
    let Some(_profiles) = Profiles::load(&case, &[&only]) else {
        return;
    };
    let attempt = "echo a > /dev/shm/allowed && echo allowed; echo b 2>/dev/null > /dev/shm/denied || echo denied";
    confine(&case, &only, |c| script(c, attempt));
    assert_eq!(case.run().ok().stdout, "allowed\ndenied\n");
    case.configure(|c| script(c, attempt));
    assert_eq!(case.run().ok().stdout, "allowed\n");
}

#[test]
fn the_profile_is_in_force_in_a_user_namespace() {
    let Some(case) = case_with(|_| ()) else {
        return;
    };
    let only = name(&case, "only");
    let Some(_profiles) = Profiles::load(&case, &[&only]) else {
        return;
    };
    confine(&case, &only, |c| {
        push(c, "/linux/namespaces", json!({"type": "user"}));
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        c["linux"]["uidMappings"] = map.clone();
        c["linux"]["gidMappings"] = map;
        c["process"]["user"] = json!({"uid": 5, "gid": 5});
    });
    let init = case.start();
    assert_eq!(profile(init), format!("{only} (enforce)"));
    let joined = case.exec_detached(&[], &bundle::IDLE);
    assert_eq!(profile(joined), format!("{only} (enforce)"));
}

/// What stands at /proc in the container must not matter (CVE-2019-16884, CVE-2023-28642).
#[test]
fn nothing_in_the_container_can_stand_in_for_the_attribute() {
    let Some(case) = case_with(|_| ()) else {
        return;
    };
    let only = name(&case, "only");
    let Some(_profiles) = Profiles::load(&case, &[&only]) else {
        return;
    };
    let root = case.own_rootfs();
    fs::create_dir_all(root.join("proc/self/attr/apparmor")).expect("a false /proc");
    fs::write(root.join("proc/self/attr/apparmor/exec"), "").expect("a false attribute");
    confine(&case, &only, |c| {
        c["root"] = json!({"path": "rootfs"});
        c["linux"]["maskedPaths"] = json!([]);
        c["linux"]["readonlyPaths"] = json!([]);
        c["mounts"].as_array_mut().expect("mounts").remove(0);
    });
    let init = case.create();
    case.runtime(&["start", &case.id]).ok();
    eventually("the profile", || {
        (profile(init) == format!("{only} (enforce)")).then_some(())
    });
    let file = root.join("proc/self/attr/apparmor/exec");
    assert_eq!(read(file), "", "the false attribute was written to");
}

#[test]
fn a_profile_that_is_not_loaded_is_an_error_and_unconfined_is_none() {
    let Some(case) = case_with(|_| ()) else {
        return;
    };
    let only = name(&case, "only");
    let Some(_profiles) = Profiles::load(&case, &[&only]) else {
        return;
    };
    confine(&case, "no-such-profile", |_| ());
    case.try_create(&[])
        .failed(1, &["/process/apparmorProfile", "(ENOENT)"]);
    case.assert_clean();
    confine(&case, "unconfined", |_| ());
    assert_eq!(profile(case.start()), "unconfined");
}

/// Without a policy the kernel knows its initial labels, and takes none of them at execve: then what is to come is all there is to
/// see.
#[test]
fn the_label_of_selinux_is_in_force() {
    let Some(case) = case_with(|_| ()) else {
        return;
    };
    let filesystems = read("/proc/filesystems");
    if !filesystems
        .lines()
        .any(|line| line.ends_with("\tselinuxfs"))
    {
        eprintln!("not run: SELinux is off on this machine");
        return;
    }
    let attribute = |pid: i32, name: &str| {
        let text = read(host::proc_path(pid, &format!("attr/{name}")));
        text.trim_end_matches('\0').to_owned()
    };
    let me = i32::try_from(std::process::id()).expect("a pid");
    let own = attribute(me, "current");
    let policy = own.contains(':');
    let label = if policy { own.as_str() } else { "unlabeled" };
    case.configure(|c| c["process"]["selinuxLabel"] = label.into());
    let init = case.create();
    assert_eq!(attribute(init, "exec"), label);
    assert_eq!(attribute(init, "keycreate"), "", "it was for the keyring");
    case.runtime(&["start", &case.id]).ok();
    case.await_payload(init);
    let joined = case.exec_detached(&["--process-label", label], &bundle::IDLE);
    if policy {
        assert_eq!(attribute(init, "current"), label);
        assert_eq!(attribute(joined, "current"), label);
        case.exec(&["--process-label", "no such label"], &["true"])
            .failed(255, &["/process/selinuxLabel", "(EINVAL)"]);
    } else {
        eprintln!("left out: no policy of SELinux is loaded");
    }
}
