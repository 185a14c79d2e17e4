//! `linux.intelRdt` against a tree that looks like resctrl: machines that have it are few. What the kernel does by itself, the
//! files of a new group and their end with it, the test does here; while it does, strace(1) holds the runtime up.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use oci_runtime_integration::case::{Case, case_with, text};
use oci_runtime_integration::cgroup;
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{Finished, Running, eventually, only_ocirun, read, spawn};
use serde_json::{Value, json};

/// A tree of its own, in which groups get their files while it lives.
struct Tree {
    root: PathBuf,
    end: Arc<AtomicBool>,
    keeper: Option<JoinHandle<()>>,
}

const SHARED: &str = "    MB:0=100;1=100\n    L3:0=fffff;1=fffff\n";

impl Tree {
    fn new(case: &Case) -> Tree {
        let root = case.path("resctrl");
        fs::create_dir_all(root.join("info")).expect("the tree");
        fs::write(root.join("info/last_cmd_status"), "ok\n").expect("a file");
        fill(&root);
        let end = Arc::new(AtomicBool::new(false));
        let (top, over) = (root.clone(), Arc::clone(&end));
        let keeper = std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                classes(&top).iter().for_each(|class| fill(class));
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Tree {
            root,
            end,
            keeper: Some(keeper),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Runs a verb of the runtime, which sees this tree as resctrl and is slow in making directories there.
    #[track_caller]
    fn runtime<S: AsRef<str>>(&self, case: &Case, args: &[S]) -> Finished {
        self.spawn(case, args, 100, None).wait()
    }

    #[track_caller]
    fn spawn<S: AsRef<str>>(
        &self,
        case: &Case,
        args: &[S],
        millis: u32,
        only: Option<&Path>,
    ) -> Running {
        let inner = case.command(args);
        let mut command = Command::new("strace");
        command.args(["-qq", "-o", "/dev/null", "-e", "trace=mkdir,mkdirat"]);
        command.args([
            "-e",
            &format!("inject=mkdir,mkdirat:delay_exit={millis}000"),
        ]);
        only.iter().for_each(|path| {
            command.arg("-P").arg(path);
        });
        command.arg(inner.get_program()).args(inner.get_args());
        command.env("OCIRUN_RESCTRL", &self.root);
        command.current_dir(case.bundle());
        spawn(command, &case.path("output"), Stdio::null())
    }

    #[track_caller]
    fn create(&self, case: &Case) -> Finished {
        self.runtime(case, &case.words_of_create(&[]))
    }

    /// As the kernel: a group's files do not stand in the way of its end.
    fn stop_filling(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(keeper) = self.keeper.take() {
            keeper.join().expect("the keeper of the tree");
        }
    }

    fn empty(&mut self, group: &Path) {
        self.stop_filling();
        for name in ["tasks", "schemata"] {
            let _ = fs::remove_file(group.join(name));
        }
        let _ = fs::remove_dir(group.join("mon_groups"));
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.stop_filling();
    }
}

/// All groups, of both kinds.
fn classes(root: &Path) -> Vec<PathBuf> {
    let below = |path: &Path| {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
            .filter(|path| !path.ends_with("info") && !path.ends_with("mon_groups"))
            .collect::<Vec<_>>()
    };
    let mut all = below(root);
    all.push(root.to_owned());
    let monitoring: Vec<_> = all
        .iter()
        .flat_map(|class| below(&class.join("mon_groups")))
        .collect();
    all.extend(monitoring);
    all
}

/// What the kernel puts into a new group.
fn fill(group: &Path) {
    let monitors = group
        .parent()
        .is_some_and(|parent| parent.ends_with("mon_groups"));
    if !monitors {
        let _ = fs::create_dir(group.join("mon_groups"));
        if !group.join("schemata").exists() {
            let _ = fs::write(group.join("schemata"), SHARED);
        }
    }
    if !group.join("tasks").exists() {
        let _ = fs::write(group.join("tasks"), "");
    }
}

#[track_caller]
fn whole(path: PathBuf) -> String {
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn with(asked: Value) -> Option<(Case, Tree)> {
    if !only_ocirun("finds no such tree") {
        return None;
    }
    let case = case_with(|c| c["linux"]["intelRdt"] = asked)?;
    let tree = Tree::new(&case);
    Some((case, tree))
}

#[test]
fn a_new_class_gets_its_schemata_and_the_container() {
    let Some((case, tree)) = with(json!({
        "closID": "gold", "l3CacheSchema": "L3:0=7f0;1=1f\nMB:0=10", "memBwSchema": "MB:0=20;1=70"
    })) else {
        return;
    };
    tree.create(&case).ok();
    let init = case.init_from_pid_file();
    assert_eq!(
        whole(tree.path("gold/schemata")),
        "L3:0=7f0;1=1f\nMB:0=20;1=70\n"
    );
    assert_eq!(whole(tree.path("gold/tasks")), init.to_string());
    assert_eq!(whole(tree.path("tasks")), "");
    assert_eq!(whole(tree.path("schemata")), SHARED);
    case.kill(init);
    case.destroy();
    assert!(
        tree.path("gold").is_dir(),
        "a class that has a name is not the container's"
    );
}

#[test]
fn schemata_are_written_last_and_whole() {
    let Some((case, tree)) = with(json!({
        "closID": "gold", "l3CacheSchema": "L3:0=f", "schemata": ["L2:0=1", "MB:0=30"]
    })) else {
        return;
    };
    tree.create(&case).ok();
    case.init_from_pid_file();
    assert_eq!(whole(tree.path("gold/schemata")), "L2:0=1\nMB:0=30\n");
}

#[test]
fn without_a_name_the_class_is_the_container_s_and_goes_with_it() {
    let Some((case, mut tree)) = with(json!({"l3CacheSchema": "L3:0=f"})) else {
        return;
    };
    tree.create(&case).ok();
    let init = case.init_from_pid_file();
    let class = tree.path(&case.id);
    assert_eq!(whole(class.join("tasks")), init.to_string());
    assert_eq!(whole(class.join("schemata")), "L3:0=f\n");
    case.kill(init);
    tree.empty(&class);
    case.destroy();
    assert!(!class.exists(), "the class is left");
}

#[test]
fn a_class_that_is_there_is_joined_and_left() {
    let Some((case, mut tree)) = with(json!({"closID": "silver", "enableMonitoring": true})) else {
        return;
    };
    fs::create_dir(tree.path("silver")).expect("a class");
    fs::write(tree.path("silver/schemata"), "MB:0=70\n").expect("its schemata");
    fill(&tree.path("silver"));
    tree.create(&case).ok();
    let init = case.init_from_pid_file();
    let group = tree.path("silver/mon_groups").join(&case.id);
    assert_eq!(whole(tree.path("silver/tasks")), init.to_string());
    assert_eq!(whole(group.join("tasks")), init.to_string());
    assert_eq!(whole(tree.path("silver/schemata")), "MB:0=70\n");
    // What is executed in the container is where its first process is.
    case.runtime(&["start", &case.id]).ok();
    let exec = case.exec_detached(&[], &["sleep", "7200"]);
    assert_eq!(whole(tree.path("silver/tasks")), exec.to_string());
    assert_eq!(whole(group.join("tasks")), exec.to_string());
    case.kill(init);
    tree.empty(&group);
    case.destroy();
    assert!(!group.exists(), "the group for monitoring is left");
    assert!(tree.path("silver").is_dir());
}

#[test]
fn update_writes_other_lines() {
    let Some((case, tree)) = with(json!({"closID": "gold", "l3CacheSchema": "L3:0=f"})) else {
        return;
    };
    tree.create(&case).ok();
    let init = case.init_from_pid_file();
    let flags = ["--l3-cache-schema", "L3:0=ff", "--mem-bw-schema=MB:0=20"];
    case.runtime(&[&["update"], &flags[..], &[&case.id]].concat())
        .ok();
    assert_eq!(whole(tree.path("gold/schemata")), "L3:0=ff\nMB:0=20\n");
    case.kill(init);

    let Some(without) = case_with(|_| {}) else {
        return;
    };
    without.start();
    without
        .runtime(&["update", "--l3-cache-schema", "L3:0=ff", &without.id])
        .failed(1, &["without linux.intelRdt"]);
}

#[test]
fn the_root_is_a_class_too() {
    let Some((case, tree)) = with(json!({"closID": "/", "enableMonitoring": true})) else {
        return;
    };
    tree.create(&case).ok();
    let init = case.init_from_pid_file();
    assert_eq!(whole(tree.path("tasks")), init.to_string());
    let group = tree.path("mon_groups").join(&case.id);
    assert_eq!(whole(group.join("tasks")), init.to_string());
    assert_eq!(whole(tree.path("schemata")), SHARED);
}

#[test]
fn schemas_must_be_those_of_a_class_that_is_there() {
    let same =
        json!({"closID": "old", "l3CacheSchema": "L3:0=FFFFF;1=fffff", "memBwSchema": "MB:1=100"});
    let other = json!({"closID": "old", "l3CacheSchema": "L3:0=ff"});
    for (asked, fits) in [(same, true), (other, false)] {
        let Some((case, tree)) = with(asked) else {
            return;
        };
        fs::create_dir(tree.path("old")).expect("a class");
        fill(&tree.path("old"));
        let create = tree.create(&case);
        if fits {
            create.ok();
            case.init_from_pid_file();
        } else {
            create.failed(1, &["/linux/intelRdt", "L3:0=ff", "old/schemata"]);
            case.assert_clean();
        }
        assert_eq!(whole(tree.path("old/schemata")), SHARED);
    }
}

/// Whoever comes first makes the class; to the others it is one that is there, with all that it shares out.
#[test]
fn creations_at_once_agree_on_a_class() {
    let asked = |mask: &str| json!({"closID": "gold", "l3CacheSchema": format!("L3:0={mask}")});
    for masks in [["f"; 6], ["f", "ff", "f", "ff", "f", "ff"]] {
        let Some((case, tree)) = with(asked("f")) else {
            return;
        };
        let create = |mask: &&str, number: usize| {
            let bundle = case.path(&format!("bundle-{number}"));
            fs::create_dir(&bundle).expect("a bundle");
            let shared = read(case.bundle().join("config.json"));
            let mut config: Value = serde_json::from_str(&shared).expect("a configuration");
            config["linux"]["intelRdt"] = asked(mask);
            config["linux"]["cgroupsPath"] = json!(format!("{}/{number}", case.cgroup));
            fs::write(bundle.join("config.json"), config.to_string()).expect("a configuration");
            let (pid_file, bundle) = (text(&bundle.join("pid")), text(&bundle));
            let id = format!("{}-{number}", case.id);
            let flags = ["create", "--bundle", &bundle, "--pid-file", &pid_file, &id];
            // Long enough for the others to come between the directory and what is written to it.
            let millis = if number == 0 { 700 } else { 1 };
            let creation = tree.spawn(&case, &flags, millis, Some(&tree.path("gold")));
            eventually("the class", || {
                tree.path("gold/schemata").exists().then_some(())
            });
            creation
        };
        let numbered = masks.iter().enumerate();
        let creations: Vec<_> = numbered.map(|(n, mask)| (*mask, create(mask, n))).collect();
        let ended: Vec<_> = creations
            .into_iter()
            .map(|(mask, creation)| (mask, creation.wait()))
            .collect();
        let schemata = whole(tree.path("gold/schemata"));
        let mut inits = Vec::new();
        for (number, (mask, creation)) in ended.into_iter().enumerate() {
            if schemata == format!("L3:0={mask}\n") {
                creation.ok();
                let pid = read(case.path(&format!("bundle-{number}/pid")));
                inits.push(pid.parse::<i32>().expect("a pid"));
            } else {
                let line = format!("L3:0={mask}");
                creation.failed(1, &["/linux/intelRdt", &line, "gold/schemata"]);
            }
        }
        case.destroy();
        for pid in inits {
            host::reap(pid);
        }
        cgroup::remove(&case.cgroup);
    }
}

#[test]
fn what_resctrl_has_not_is_an_error_and_leaves_nothing() {
    let table = [
        (
            "no such class",
            json!({"closID": "nosuch"}),
            &["/linux/intelRdt", "no such file"][..],
        ),
        (
            "a name that leads out",
            json!({"closID": "../x"}),
            &["/linux/intelRdt/closID"],
        ),
        (
            "no bandwidth",
            json!({"memBwSchema": "L3:0=1"}),
            &["/linux/intelRdt/memBwSchema"],
        ),
    ];
    for (name, asked, texts) in table {
        eprintln!("{name}");
        let Some((case, tree)) = with(asked) else {
            return;
        };
        tree.create(&case).failed(1, texts);
        case.assert_clean();
        assert_eq!(classes(&tree.root).len(), 1, "{name}: a class is left");
    }
    // Without the tree there is no resctrl at all on most machines.
    let mounts = read("/proc/self/mountinfo");
    if mounts.contains(" - resctrl ") {
        eprintln!("not run: this machine has resctrl");
        return;
    }
    let Some((case, _tree)) = with(json!({})) else {
        return;
    };
    case.try_create(&[])
        .failed(1, &["/linux/intelRdt", "no resctrl"]);
    case.assert_clean();
}
