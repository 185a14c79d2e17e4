//! Everything at once: verbs at random, on a few containers, from several processes. Each has to end in time and to say what it has
//! done; nothing may be left in the end, whatever came between what.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use oci_runtime_integration::bundle::without_namespace;
use oci_runtime_integration::case::{Case, case, text};
use oci_runtime_integration::cgroup;
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{
    Running, binary, eventually, only_ocirun, read, scaled, spawn,
};
use rustix::process::Signal;
use serde_json::{Value, json};

/// How many containers there are to fight for, and how many fight.
const CONTAINERS: u64 = 3;
const WORKERS: u64 = 6;

/// How long any of them may take: `delete --force` waits for a process to die for 10 s.
const LIMIT: Duration = Duration::from_secs(15);

/// Numbers that look random, the same ones every time (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }
}

/// Where the containers are fought for.
struct Arena {
    id: String,
    directory: PathBuf,
}

impl Arena {
    /// A bundle for each container, with its own cgroup; and hooks that tell of its beginning and its end.
    fn new(case: &Case) -> Arena {
        let arena = Arena {
            id: case.id.clone(),
            directory: case.path(""),
        };
        for number in 0..CONTAINERS {
            let config = read(case.bundle().join("config.json"));
            let mut config: Value = serde_json::from_str(&config).expect("the configuration");
            let tell = |what: &str| {
                let line = format!("echo {number} >> {}", text(&case.path(what)));
                json!([{"path": "/bin/busybox", "args": ["busybox", "sh", "-c", line]}])
            };
            config["linux"]["cgroupsPath"] = json!(format!("{}/{number}", case.cgroup));
            config["hooks"] = json!({"createRuntime": tell("begun"), "poststop": tell("ended")});
            if number == 0 {
                // What is in it does not end with its first process.
                without_namespace(&mut config, "pid");
            }
            let bundle = arena.bundle(number);
            fs::create_dir(&bundle).expect("a bundle");
            fs::write(bundle.join("config.json"), config.to_string()).expect("its configuration");
        }
        arena
    }

    fn bundle(&self, number: u64) -> PathBuf {
        self.directory.join(format!("bundle-{number}"))
    }

    fn begin(&self, words: &[&str], number: u64) -> Running {
        let mut command = Command::new(binary());
        command.arg("--root").arg(self.directory.join("state"));
        for word in words {
            match *word {
                "ID" => command.arg(format!("{}-{number}", self.id)),
                "BUNDLE" => command.arg(self.bundle(number)),
                word => command.arg(word),
            };
        }
        spawn(command, &self.directory.join("output"), Stdio::null())
    }

    /// Does something, to its end. A signal to it may come in between, if there are `accidents`.
    fn act(&self, random: &mut Random, accidents: bool, said: &mut Said) {
        let (number, verb) = (
            random.below(CONTAINERS),
            random.below(VERBS.len() as u64 + 2),
        );
        let foreground: &[&str] = &["run", "-b", "BUNDLE", "ID"];
        let words = VERBS.get(verb as usize).copied().unwrap_or(foreground);
        let begin = Instant::now();
        let running = self.begin(words, number);
        let mut signal = None;
        if words == foreground {
            thread::sleep(Duration::from_millis(random.below(60)));
            running.signal(Signal::TERM);
            // The program takes no notice, if it has begun.
            let mut over = false;
            while !over {
                thread::sleep(Duration::from_millis(20));
                over = !host::alive(running.pid());
                if !over {
                    self.begin(&["delete", "--force", "ID"], number).wait();
                }
            }
        } else if accidents && random.below(4) == 0 {
            thread::sleep(Duration::from_micros(random.below(20_000)));
            signal = Some([Signal::KILL, Signal::TERM][random.below(2) as usize]);
            signal.into_iter().for_each(|signal| running.signal(signal));
        }
        let run = running.wait();
        let took = begin.elapsed();
        assert!(took < scaled(LIMIT), "{words:?} took {took:?}: {run:?}");
        assert!(!run.stderr.contains("panicked"), "{words:?}: {run:?}");
        let told = run.stderr.lines().filter(|line| line.contains("level="));
        for line in told {
            let known = ANSWERS.iter().any(|answer| line.contains(answer));
            assert!(known, "{words:?} {signal:?}: {line}{}", others(line));
            let line = line.split_once("level=").map_or(line, |(_, line)| line);
            let plain: String = line.chars().filter(|c| !c.is_ascii_digit()).collect();
            *said
                .entry(format!("{} {signal:?}: {plain}", words[0]))
                .or_default() += 1;
        }
    }
}

/// Of processes that are named where none should be, what they are.
fn others(line: &str) -> String {
    let Some((_, list)) = line.split_once("processes [") else {
        return String::new();
    };
    let pids = list.split(|c: char| !c.is_ascii_digit());
    let tell = |pid: i32| {
        let files = ["comm", "stat", "wchan", "syscall", "cgroup"];
        let said = files.map(|file| fs::read_to_string(host::proc_path(pid, file)));
        format!("\n{pid}: {said:?}")
    };
    pids.filter_map(|pid| pid.parse().ok()).map(tell).collect()
}

/// What is an answer: that something is not there, not so far, not any more, or was ended while it was at it. Whatever else fails
/// is a race that nobody has thought of.
const ANSWERS: [&str; 12] = [
    "does not exist",
    "already exists",
    "not running",
    "cannot start a",
    "cannot delete container",
    "cannot exec in a",
    "not paused",
    "cannot pause",
    "was deleted while it was being created",
    "ended without a report",
    "interrupted by signal",
    "another command works on the container",
];

/// What was said, and how often.
type Said = BTreeMap<String, u32>;

/// What a worker may do, but for `run` in the foreground; `ID` and `BUNDLE` stand for those of a container.
const VERBS: [&[&str]; 22] = [
    &["create", "-b", "BUNDLE", "ID"],
    &["create", "-b", "BUNDLE", "ID"],
    &["create", "-b", "BUNDLE", "ID"],
    &["run", "-d", "-b", "BUNDLE", "ID"],
    &["run", "-d", "-b", "BUNDLE", "ID"],
    &["start", "ID"],
    &["start", "ID"],
    &["start", "ID"],
    &["kill", "ID", "KILL"],
    &["kill", "--all", "ID", "KILL"],
    &["delete", "ID"],
    &["delete", "ID"],
    &["delete", "--force", "ID"],
    &["delete", "--force", "ID"],
    &["exec", "ID", "true"],
    &["exec", "-d", "ID", "sleep", "7200"],
    &["pause", "ID"],
    &["resume", "ID"],
    &["update", "--pids-limit", "100", "ID"],
    &["state", "ID"],
    &["events", "--stats", "ID"],
    &["list"],
];

/// Waits for what has become ours because its own parent has ended, as an init or an engine would: a pid namespace cannot end before.
/// The verbs themselves are waited for by those who have begun them.
fn reap_until(over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        reap_once();
        thread::sleep(Duration::from_millis(3));
    }
}

fn reap_once() {
    let path = binary();
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    // proc_pid_comm(5) has no more of it.
    let own: String = file.chars().take(15).collect();
    let tasks = fs::read_dir("/proc/self/task")
        .expect("our threads")
        .flatten();
    for task in tasks {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for pid in children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
        {
            if host::alive(pid) {
                continue;
            }
            // Only now: one that is being started has not got its name yet. Whose name cannot be read is left for the next time.
            let name = fs::read_to_string(host::proc_path(pid, "comm")).unwrap_or_default();
            if !["", "strace", &own].contains(&name.trim()) {
                host::ended(pid);
            }
        }
    }
}

fn fight(accidents: bool) {
    // Another number is another fight.
    let seed = std::env::var("OCI_STRESS").map_or(1, |text| text.parse().expect("a number"));
    let Some(case) = case() else { return };
    if !only_ocirun("is not asked for as much") {
        return;
    }
    let arena = Arena::new(&case);
    let over = AtomicBool::new(false);
    let mut said = Said::new();
    thread::scope(|scope| {
        scope.spawn(|| reap_until(&over));
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let arena = &arena;
                scope.spawn(move || {
                    let mut random = Random((seed * WORKERS + worker + 1) << 20);
                    let mut said = Said::new();
                    for _ in 0..ROUNDS {
                        arena.act(&mut random, accidents, &mut said);
                    }
                    said
                })
            })
            .collect();
        let ended: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        for number in 0..CONTAINERS {
            let deleted = arena.begin(&["delete", "--force", "ID"], number).wait();
            assert_eq!((deleted.code, deleted.stderr.as_str()), (0, ""));
        }
        thread::sleep(Duration::from_millis(100));
        over.store(true, Ordering::Relaxed);
        for lines in ended {
            for (line, count) in lines.expect("a worker") {
                *said.entry(line).or_default() += count;
            }
        }
    });
    for (line, count) in &said {
        eprintln!("{count:4} {line}");
    }
    for directory in cgroup::existing(&case.cgroup) {
        // The parent of those of the containers, which nobody was told to remove.
        fs::remove_dir(directory).expect("an empty cgroup");
    }
    case.assert_clean();
    let count =
        |what: &str| fs::read_to_string(case.path(what)).map_or(0, |text| text.lines().count());
    let (begun, ended) = (count("begun"), count("ended"));
    eprintln!("{begun} begun, {ended} ended");
    assert!(begun > 0);
    // Who is told of a beginning is told of the end, but by one who is killed.
    assert!(accidents || ended >= begun, "{begun} begun, {ended} ended");
}

/// How often each worker acts.
const ROUNDS: u32 = 60;

#[test]
fn verbs_at_random_leave_nothing() {
    fight(false);
}

#[test]
fn verbs_that_are_killed_at_random_leave_nothing() {
    fight(true);
}

/// Between a directory and its lock there is a moment in which it may become another creation's.
#[test]
fn a_container_that_was_made_anew_is_not_taken_over() {
    let Some(case) = case() else { return };
    if !only_ocirun("has no such moment") {
        return;
    }
    let place = case.path("state").join(&case.id);
    let bundle = text(&case.bundle());
    let inner = case.command(&["create", "--bundle", &bundle, &case.id]);
    let mut slow = Command::new("strace");
    slow.args(["-qq", "-o", "/dev/null", "-e", "trace=mkdir,mkdirat"]);
    slow.args(["-e", "inject=mkdir,mkdirat:delay_exit=1000000", "-P"]);
    slow.arg(&place).arg(inner.get_program());
    slow.args(inner.get_args()).current_dir(case.bundle());
    let first = spawn(slow, &case.path("output"), Stdio::null());
    eventually("its directory", || place.exists().then_some(()));
    case.runtime(&["delete", &case.id]).ok();
    let second = case.create();
    first.wait().failed(1, &["already exists"]);
    assert_eq!(case.status(), "created");
    assert_eq!(case.state()["pid"], second);
    case.runtime(&["start", &case.id]).ok();
    case.await_payload(second);
}
