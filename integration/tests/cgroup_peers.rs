//! The same container by this runtime, by runc and by crun: what each leaves in the files of all controllers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use oci_runtime_integration::case::{Case, case, text};
use oci_runtime_integration::cgroup;
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{only_ocirun, read};
use serde_json::{Value, json};

/// Every setting of a cgroup that the kernel shows: hierarchy and file, and the value.
type Settings = BTreeMap<String, String>;

/// The one that can only be read, and is written by two others.
const DEVICES: &str = "devices.list";

/// Files that can be written and are no settings: who is in the cgroup.
const MEMBERS: [&str; 4] = [
    "cgroup.event_control",
    "cgroup.procs",
    "cgroup.threads",
    "tasks",
];

/// Ends of the names of counters, which are written to set them back.
const COUNTERS: [&str; 4] = [
    "failcnt",
    "max_usage_in_bytes",
    "cpuacct.usage",
    ".pressure",
];

fn is_setting(file: &str, mode: u32) -> bool {
    let is_counter = COUNTERS.iter().any(|end| file.ends_with(end));
    mode & 0o200 != 0 && !MEMBERS.contains(&file) && !is_counter
}

fn settings(path: &str) -> Settings {
    let mut found = Settings::new();
    for hierarchy in cgroup::hierarchies() {
        let directory = hierarchy.point.join(path.trim_start_matches('/'));
        let name = hierarchy.controllers.join(",");
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            let mode = entry.metadata().expect("metadata").permissions().mode();
            if is_setting(&file, mode) || file == DEVICES {
                let text = fs::read_to_string(entry.path()).unwrap_or_default();
                let mut lines: Vec<&str> = text.trim_end().lines().collect();
                lines.sort_unstable();
                found.insert(format!("{name}/{file}"), lines.join("\n"));
            }
        }
    }
    found
}

fn configure(case: &Case, path: &str, resources: &Value) {
    case.configure(|c| {
        c["linux"]["cgroupsPath"] = path.into();
        c["linux"]["resources"] = resources.clone();
    });
}

/// What all three know.
fn resources() -> Value {
    json!({
        "devices": [{"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"}],
        "memory": {"limit": 96 << 20, "reservation": 48 << 20, "swap": 128 << 20, "swappiness": 30},
        "cpu": {"shares": 512, "quota": 30_000, "period": 60_000, "cpus": "0", "mems": "0"},
        "pids": {"limit": 37}
    })
}

/// The files that differ, as `FILE: ours, theirs`.
fn differences(ours: &Settings, theirs: &Settings) -> BTreeSet<String> {
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let differs = |name: &&&String| ours.get(**name) != theirs.get(**name);
    names
        .iter()
        .filter(differs)
        .map(|name| (**name).clone())
        .collect()
}

/// The settings that `command`, followed by a verb, gives a container; nothing where it does not work here.
fn of_peer(case: &Case, name: &str, command: &[&str], resources: &Value) -> Option<Settings> {
    let id = format!("{}-{name}", case.id);
    let path = format!("/{id}");
    configure(case, &path, resources);
    let root = text(&case.path(name));
    let verb = |words: &[&str]| {
        let log = fs::File::create(case.path(&format!("{}.log", words[0]))).expect("a file");
        let mut all = Command::new(command[0]);
        all.args(&command[1..]).args(["--root", &root]).args(words);
        let errors = log.try_clone().expect("a file");
        let status = all.stdin(Stdio::null()).stdout(log).stderr(errors).status();
        status.is_ok_and(|status| status.success())
    };
    let pid_file = case.path("peer.pid");
    let created = verb(&[
        "create",
        "--bundle",
        &text(&case.bundle()),
        "--pid-file",
        &text(&pid_file),
        &id,
    ]);
    let found = created.then(|| settings(&path));
    verb(&["delete", "--force", &id]);
    if created {
        host::reap(read(pid_file).parse().expect("a pid"));
    }
    if found.is_none() {
        // Some leave a cgroup behind when they fail.
        cgroup::remove(&path);
        let log = fs::read_to_string(case.path("create.log")).unwrap_or_default();
        eprintln!("not run for {name}: {log}");
    }
    found
}

fn ours(case: &Case, resources: &Value) -> Settings {
    configure(case, &case.cgroup, resources);
    let init = case.create();
    let found = settings(&case.cgroup);
    case.kill(init);
    case.runtime(&["delete", &case.id]).ok();
    found
}

/// Requires the same values, and that no more devices are allowed than the peer allows and network tunnels; what it may
/// allow beyond is `more`.
#[track_caller]
fn assert_same(ours: &Settings, theirs: &Settings, more: &[&str]) {
    let list = format!("devices/{DEVICES}");
    let told = |name: &String| {
        format!(
            "{name}:\n ours {:?}\n theirs {:?}",
            ours.get(name),
            theirs.get(name)
        )
    };
    let found = differences(ours, theirs);
    let unexpected: Vec<String> = found
        .iter()
        .filter(|name| **name != list)
        .map(told)
        .collect();
    assert!(
        unexpected.is_empty() && ours.len() > 20,
        "{}",
        unexpected.join("\n")
    );
    let lines = |settings: &Settings| -> BTreeSet<String> {
        let text = settings.get(&list).map_or("", String::as_str);
        text.lines().map(str::to_owned).collect()
    };
    let (ours, mut theirs) = (lines(ours), lines(theirs));
    theirs.insert("c 10:200 rwm".to_owned());
    let beyond: Vec<&String> = theirs.difference(&ours).collect();
    assert!(
        ours.is_subset(&theirs) && beyond.iter().all(|rule| more.contains(&rule.as_str())),
        "ours {ours:?}, theirs {theirs:?}"
    );
}

fn can_compare() -> bool {
    if cgroup::v1("memory", "/").is_none() {
        eprintln!("not run: the peers are compared on v1");
    }
    only_ocirun("compares it with others") && cgroup::v1("memory", "/").is_some()
}

#[test]
fn runc_writes_the_same_values() {
    let Some(case) = case().filter(|_| can_compare()) else {
        return;
    };
    let mut resources = resources();
    resources["blockIO"] = json!({"weight": 300});
    let ours = ours(&case, &resources);
    let Some(runc) = of_peer(&case, "runc", &["runc"], &resources) else {
        return;
    };
    assert_same(&ours, &runc, &[]);
}

/// Without the hierarchy that has no controllers of v1.
fn v1_of(settings: Settings) -> Settings {
    settings
        .into_iter()
        .filter(|(name, _)| !name.starts_with('/'))
        .collect()
}

#[test]
fn crun_writes_the_same_values() {
    let Some(case) = case().filter(|_| can_compare()) else {
        return;
    };
    // It knows the files of one scheduler only, which kernels of today do not have.
    let resources = resources();
    let ours = ours(&case, &resources);
    // It refuses a hybrid host, so it gets to see none.
    let alone = "umount /sys/fs/cgroup/unified 2> /dev/null; exec crun \"$@\"";
    let command: &[&str] = match Path::new("/sys/fs/cgroup/unified").exists() {
        true => &["unshare", "--mount", "sh", "-c", alone, "crun"],
        false => &["crun"],
    };
    let Some(crun) = of_peer(&case, "crun", command, &resources) else {
        return;
    };
    // The console of the host.
    assert_same(&v1_of(ours), &v1_of(crun), &["c 5:1 rwm"]);
}
