//! The same containers on hosts of each kind: with v1 hierarchies alone, with cgroup2 beside them (hybrid), and with
//! cgroup2 alone. What a host does not have cannot be had; but what it has can be hidden. Each test runs its body in a
//! process of its own, which has a mount namespace where hierarchies are unmounted or covered, and a cgroup of its own,
//! so that paths relative to the caller differ from absolute ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use oci_runtime_integration::bundle::{self, push, script};
use oci_runtime_integration::case::{Case, case, case_with};
use oci_runtime_integration::cgroup::{self, Hierarchy};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::read;
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    V1,
    Hybrid,
    V2,
}

macro_rules! in_each_mode {
    ($($module:ident $mode:ident: $($body:ident)*;)*) => {$(
        mod $module {
            $(#[test]
            fn $body() {
                let name = concat!(stringify!($module), "::", stringify!($body));
                super::within(super::Mode::$mode, name, super::$body);
            })*
        }
    )*};
}

in_each_mode! {
    v1 V1: life relative_path no_path devices own_view hosts_view;
    hybrid Hybrid: life relative_path no_path devices own_view hosts_view;
    v2 V2: life relative_path no_path devices own_view hosts_view;
}

/// Set for the process that runs a body.
const INNER: &str = "OCI_MODE";

/// Where a host of cgroup2 alone has it.
const STANDARD: &str = "/sys/fs/cgroup";

/// Runs the test `name` once more in a process that sees a host of `mode`; there, runs `body`.
fn within(mode: Mode, name: &str, body: fn(Mode)) {
    if std::env::var_os(INNER).is_some() {
        body(mode);
        return;
    }
    let Some(mounts) = pretend(mode) else {
        eprintln!("not run: this host cannot be shown as {mode:?}");
        return;
    };
    let callers = callers_cgroups(name);
    let enter = callers
        .iter()
        .map(|directory| format!("echo $$ > '{}/cgroup.procs'; ", directory.display()));
    let steps = format!("{}{mounts} exec \"$0\" \"$@\"", enter.collect::<String>());
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-ec", &steps])
        .arg(std::env::current_exe().expect("this executable"))
        .args(["--exact", name, "--nocapture"])
        .env(INNER, format!("{mode:?}"))
        .output()
        .expect("unshare (Debian's package util-linux)");
    let left: Vec<_> = callers
        .iter()
        .filter_map(|directory| fs::remove_dir(directory).err())
        .collect();
    let text = [output.stdout, output.stderr].concat();
    // Indented, so that its results are not taken for those of this program.
    let text = String::from_utf8_lossy(&text).replace('\n', "\n    ");
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
    assert!(left.is_empty(), "cgroups of the caller: {left:?}");
}

/// Commands that make the host look like `mode`; nothing where it lacks what that needs, or this is not root.
fn pretend(mode: Mode) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let all = cgroup::hierarchies();
    let (v2, v1): (Vec<_>, Vec<_>) = all.into_iter().partition(|h| h.controllers.is_empty());
    let unified = v2.first().map(|hierarchy| hierarchy.point.display());
    match (mode, unified, v1.is_empty()) {
        (Mode::V1, None, false) | (Mode::Hybrid, Some(_), false) | (Mode::V2, Some(_), true) => {
            Some(String::new())
        }
        (Mode::V1, Some(point), false) => Some(format!("umount '{point}';")),
        (Mode::V2, Some(point), false) => Some(format!("mount --bind '{point}' {STANDARD};")),
        _ => None,
    }
}

/// A child of this process's own cgroup in each hierarchy, for the process that runs a body.
fn callers_cgroups(name: &str) -> Vec<PathBuf> {
    let name = format!("caller-{}-{}", std::process::id(), name.replace("::", "-"));
    let own = host::cgroups(std::process::id().cast_signed());
    let directories = cgroup::hierarchies().into_iter().map(|hierarchy| {
        let parent = below(&hierarchy, path_in(&own, &hierarchy));
        let directory = parent.join(&name);
        fs::create_dir(&directory).expect("a cgroup for the caller");
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if !hierarchy.controllers.is_empty() && parent.join(file).exists() {
                fs::write(directory.join(file), read(parent.join(file))).expect("a cpuset");
            }
        }
        directory
    });
    directories.collect()
}

/// Of the answer of [`host::cgroups`], the path in `hierarchy`.
fn path_in<'a>(
    cgroups: &'a std::collections::BTreeMap<String, String>,
    hierarchy: &Hierarchy,
) -> &'a str {
    let controller = hierarchy.controllers.first().map_or("", String::as_str);
    let found = cgroups
        .iter()
        .find(|(names, _)| names.split(',').any(|name| name == controller));
    found.expect("the hierarchy's line in /proc/PID/cgroup").1
}

fn below(hierarchy: &Hierarchy, path: &str) -> PathBuf {
    hierarchy.point.join(path.trim_start_matches('/'))
}

fn own_cgroups() -> std::collections::BTreeMap<String, String> {
    host::cgroups(std::process::id().cast_signed())
}

/// The hierarchies, checked to be those of `mode`.
fn hierarchies(mode: Mode) -> Vec<Hierarchy> {
    let all = cgroup::hierarchies();
    let v2 = all.iter().filter(|h| h.controllers.is_empty()).count();
    let expected = match mode {
        Mode::V1 => v2 == 0 && !all.is_empty(),
        Mode::Hybrid => v2 == 1 && all.len() > 1,
        Mode::V2 => v2 == 1 && all.len() == 1 && all[0].point == Path::new(STANDARD),
    };
    assert!(expected, "{mode:?}: {all:?}");
    all
}

/// Requires `pid` to be in the cgroup that `place` gives for the caller's own in each hierarchy of `mode`, and in the
/// caller's own where the runtime saw no hierarchy.
#[track_caller]
fn assert_member(mode: Mode, pid: i32, place: &dyn Fn(&str) -> String) {
    let seen = hierarchies(mode);
    let own = own_cgroups();
    for (controllers, path) in host::cgroups(pid) {
        let first = controllers.split(',').next().unwrap_or_default();
        let used = seen.iter().any(|h| match first.is_empty() {
            true => h.controllers.is_empty(),
            false => h.controllers.iter().any(|name| name == first),
        });
        let expected = match used {
            true => place(&own[&controllers]),
            false => own[&controllers].clone(),
        };
        assert_eq!(path, expected, "{controllers:?} of {pid}");
    }
}

/// From `create` to `delete`: who is where, and which directories there are.
fn whole_life(mode: Mode, case: &Case, place: &dyn Fn(&str) -> String) {
    let own = own_cgroups();
    let directories: Vec<PathBuf> = hierarchies(mode)
        .iter()
        .map(|hierarchy| below(hierarchy, &place(path_in(&own, hierarchy))))
        .collect();
    let there = || {
        let found = directories.iter().filter(|directory| directory.is_dir());
        found.cloned().collect::<Vec<_>>()
    };
    assert_eq!(there(), Vec::<PathBuf>::new(), "before create");
    let init = case.create();
    assert_eq!(there(), directories, "after create");
    assert_member(mode, init, place);
    case.runtime(&["start", &case.id]).ok();
    case.await_payload(init);
    assert_member(mode, init, place);
    let second = case.exec_detached(&[], &bundle::IDLE);
    assert_member(mode, second, place);
    case.kill(init);
    case.runtime(&["delete", &case.id]).ok();
    assert_eq!(there(), Vec::<PathBuf>::new(), "after delete");
    assert_eq!(own_cgroups(), own, "the caller was moved");
}

fn life(mode: Mode) {
    let (file, pointer, value, expected) = match mode {
        Mode::V1 | Mode::Hybrid => ("pids.max", "pids", json!({"limit": 17}), "17"),
        Mode::V2 => {
            let pages = json!([{"pageSize": "2MB", "limit": 4 << 20}]);
            ("hugetlb.2MB.max", "hugepageLimits", pages, "4194304")
        }
    };
    let case = case_with(|c| c["linux"]["resources"][pointer] = value).expect("root");
    let init = case.start();
    let written: Vec<String> = cgroup::existing(&case.cgroup)
        .iter()
        .filter_map(|directory| fs::read_to_string(directory.join(file)).ok())
        .collect();
    assert_eq!(written, [format!("{expected}\n")], "{file}");
    case.kill(init);
    case.runtime(&["delete", &case.id]).ok();
    case.assert_clean();
    whole_life(mode, &case, &|_| case.cgroup.clone());
}

/// A relative path counts from the caller's cgroup on v1; on v2 from its parent, because the caller's own holds processes.
fn relative_to(mode: Mode, own: &str, path: &str) -> String {
    let base = match mode {
        Mode::V1 | Mode::Hybrid => own,
        Mode::V2 => own.rsplit_once('/').expect("an absolute path").0,
    };
    format!("{}/{path}", base.trim_end_matches('/'))
}

fn relative_path(mode: Mode) {
    let case = case().expect("root");
    let path = format!("{}-relative", case.id);
    case.configure(|c| c["linux"]["cgroupsPath"] = path.clone().into());
    whole_life(mode, &case, &|own| relative_to(mode, own, &path));
}

fn no_path(mode: Mode) {
    let case = case_with(without_path).expect("root");
    whole_life(mode, &case, &|own| relative_to(mode, own, &case.id));
}

fn without_path(config: &mut Value) {
    let linux = config["linux"].as_object_mut().expect("an object");
    linux.remove("cgroupsPath");
}

fn devices(_mode: Mode) {
    let case = case_with(|c| {
        c["linux"]["devices"] = json!([
            {"path": "/dev/loop", "type": "b", "major": 7, "minor": 0, "fileMode": 0o666},
            {"path": "/dev/mem", "type": "c", "major": 1, "minor": 1, "fileMode": 0o666},
            {"path": "/dev/odd", "type": "c", "major": 240, "minor": 11, "fileMode": 0o666}
        ]);
        let rule = json!({"allow": true, "type": "c", "major": 240, "minor": 11, "access": "r"});
        push(c, "/linux/resources/devices", rule);
    });
    let case = case.expect("root");
    case.start();
    let text = "for d in loop mem; do head -c 1 /dev/$d > /dev/null || echo no $d; done 2>&1; \
        (exec 3< /dev/odd) 2>&1; (exec 3> /dev/odd) 2>&1; head -c 3 /dev/zero | wc -c";
    // An exec'd process is under the same rules; no driver has the number of /dev/odd.
    let run = case.exec(&[], &["sh", "-c", text]).ok();
    let refused = |name: &str| format!("/dev/{name}: Operation not permitted");
    for name in ["loop", "mem"] {
        assert!(run.stdout.contains(&refused(name)), "{run:?}");
    }
    let odd = run.stdout.lines().filter(|line| line.contains("/dev/odd"));
    let odd: Vec<&str> = odd.collect();
    assert!(odd[0].ends_with("No such device or address"), "{run:?}");
    assert!(odd[1].ends_with("Operation not permitted"), "{run:?}");
    assert!(run.stdout.ends_with("\n3\n"), "{run:?}");
    let fresh = self::case_with(|c| script(c, "head -c 1 /dev/zero | wc -c; true < /dev/full"));
    assert_eq!(fresh.expect("root").run().ok().stdout, "1\n");
}

fn own_view(mode: Mode) {
    let case = case_with(with_cgroup_mount).expect("root");
    assert_view(mode, &case, "/");
}

fn hosts_view(mode: Mode) {
    let case = case_with(|c| {
        with_cgroup_mount(c);
        bundle::without_namespace(c, "cgroup");
    });
    let case = case.expect("root");
    assert_view(mode, &case, &case.cgroup);
}

fn with_cgroup_mount(config: &mut Value) {
    let mount = json!({
        "destination": STANDARD, "type": "cgroup", "source": "cgroup",
        "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]
    });
    push(config, "/mounts", mount);
}

/// Requires the mounts of the container to show its own cgroup, in each hierarchy, not writable; `path` is what its processes
/// take for their cgroup. They show nothing else but for the host's view of v2, which is the whole: there `path` is below it.
fn assert_view(mode: Mode, case: &Case, path: &str) {
    let seen = hierarchies(mode);
    let init = case.start();
    let inside = host::mounts(init);
    let inside: Vec<_> = inside
        .iter()
        .filter(|mount| mount.fstype.starts_with("cgroup"))
        .collect();
    assert_eq!(inside.len(), seen.len(), "{inside:#?}");
    for hierarchy in &seen {
        let point = match mode {
            Mode::V2 => STANDARD.to_owned(),
            _ => hierarchy.point.display().to_string(),
        };
        let mount = inside.iter().find(|mount| mount.point == point);
        let mount = mount.unwrap_or_else(|| panic!("no {point} in {inside:#?}"));
        let fstype = match hierarchy.controllers.is_empty() {
            true => "cgroup2",
            false => "cgroup",
        };
        let (root, own) = match mode {
            Mode::V2 if path != "/" => ("/", format!("{point}{path}")),
            _ => (case.cgroup.as_str(), point.clone()),
        };
        assert_eq!((mount.fstype.as_str(), mount.root.as_str()), (fstype, root));
        for option in ["ro", "nosuid", "nodev", "noexec"] {
            assert!(mount.has(option), "{option} of {point}: {mount:?}");
        }
        let text = format!("cat {own}/cgroup.procs; echo 1 > {own}/cgroup.procs");
        let run = case.exec(&[], &["sh", "-c", &text]);
        assert!(run.stdout.lines().any(|pid| pid == "1"), "{point}: {run:?}");
        assert!(run.stderr.contains("Read-only"), "{point}: {run:?}");
    }
    let lines = case.exec(&[], &["cat", "/proc/self/cgroup"]).ok().stdout;
    let believed = lines.lines().map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let names = fields.next().unwrap_or_default().to_owned();
        (names, fields.next().unwrap_or_default().to_owned())
    });
    let believed = believed.collect();
    for hierarchy in &seen {
        assert_eq!(path_in(&believed, hierarchy), path, "{lines}");
    }
}
