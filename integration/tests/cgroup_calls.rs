//! How many system calls a container's cgroup costs, from its making to its removal, counted by strace(1).

use std::fs;
use std::process::{Command, Stdio};

use oci_runtime_integration::bundle::args;
use oci_runtime_integration::case::{Case, case, text};
use oci_runtime_integration::cgroup;
use oci_runtime_integration::runtime::{binary, only_ocirun, spawn};
use serde_json::json;

/// What strace shows of `run`: the calls that name a file of cgroupfs, or work on a descriptor of one, and those of bpf(2).
fn calls(case: &Case, wrapper: &[&str]) -> Vec<String> {
    let trace = text(&case.path("trace"));
    let program = text(&binary());
    let (root, bundle) = (text(&case.path("state")), text(&case.bundle()));
    let run = [
        "strace", "-f", "-y", "-qq", "-o", &trace, &program, "--root", &root, "run", "--bundle",
        &bundle, &case.id,
    ];
    let words: Vec<&str> = wrapper.iter().copied().chain(run).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    spawn(command, &case.path("output"), Stdio::null())
        .wait()
        .ok();
    let trace = fs::read_to_string(trace).expect("the trace");
    let ours = |line: &&str| {
        // With assertions compiled in, std looks at every descriptor once more before it closes it.
        let is_check = line.contains("F_GETFD");
        let is_ours = line.contains("/sys/fs/cgroup/") || line.contains("bpf");
        // The second half of a line that another process broke off.
        let is_rest = line.contains("resumed>");
        // One message carries all descriptors of a plan.
        let is_message = line.contains("sendmsg(") || line.contains("recvmsg(");
        is_ours && !is_rest && !is_check && !is_message && !line.contains("cgroup.controllers")
    };
    trace.lines().filter(ours).map(str::to_owned).collect()
}

fn can_trace() -> bool {
    let found = Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .status();
    if found.is_err() {
        eprintln!("not run: no strace(1) here");
    }
    found.is_ok() && only_ocirun("makes more of them")
}

#[test]
fn on_v1_a_cgroup_costs_at_most_a_hundred_calls() {
    let Some(case) = case().filter(|_| can_trace()) else {
        return;
    };
    let hierarchies = cgroup::hierarchies().len();
    if cgroup::v1("memory", "/").is_none() || hierarchies > 10 {
        eprintln!(
            "not run: {hierarchies} hierarchies, and the count is for nine of v1 and one of v2"
        );
        return;
    }
    case.configure(|c| {
        args(c, &["true"]);
        c["linux"]["resources"]["memory"] = json!({"limit": 96 << 20});
        c["linux"]["resources"]["cpu"] = json!({"shares": 512, "quota": 30_000});
        c["linux"]["resources"]["pids"] = json!({"limit": 37});
    });
    let calls = calls(&case, &[]);
    eprintln!(
        "{} calls for {hierarchies} hierarchies and four limits",
        calls.len()
    );
    assert!(calls.len() <= 100, "{}:\n{}", calls.len(), calls.join("\n"));
    assert!(
        calls.len() >= 5 * hierarchies,
        "not all were seen:\n{}",
        calls.join("\n")
    );
}

/// Each limit is one write, for which its file has to be opened and closed; the device rules are a program that is loaded and
/// attached.
#[test]
fn on_v2_a_cgroup_costs_at_most_twelve_calls_and_the_limits() {
    let Some(case) = case().filter(|_| can_trace()) else {
        return;
    };
    // A hybrid host becomes one of v2 alone where nothing else is to be seen.
    let cover = "mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup && exec \"$@\"";
    let alone = ["unshare", "--mount", "sh", "-c", cover, "sh"];
    let wrapper: &[&str] = match cgroup::v1("memory", "/") {
        Some(_) if std::path::Path::new("/sys/fs/cgroup/unified/cgroup.procs").exists() => &alone,
        Some(_) => {
            eprintln!("not run: this host has no v2 hierarchy");
            return;
        }
        None => &[],
    };
    let count = |limits: serde_json::Value| {
        case.configure(|c| {
            args(c, &["true"]);
            c["linux"]["resources"]["unified"] = limits;
        });
        calls(&case, wrapper)
    };
    let none = count(json!({}));
    let two = count(json!({"cgroup.max.depth": "7", "cgroup.max.descendants": "9"}));
    eprintln!(
        "{} calls without a limit, {} with two",
        none.len(),
        two.len()
    );
    let of_program = |line: &&String| line.contains("bpf");
    let program = none.iter().filter(of_program).count();
    // Loaded, attached, closed; and the directory is opened and closed for it.
    assert_eq!(program, 3, "{}", none.join("\n"));
    assert!(
        none.len() - (program + 2) <= 12,
        "{}:\n{}",
        none.len(),
        none.join("\n")
    );
    assert_eq!(two.len(), none.len() + 2 * 3, "{}", two.join("\n"));
    let writes = |calls: &[String]| calls.iter().filter(|line| line.contains(" write(")).count();
    assert_eq!(writes(&two), writes(&none) + 2);
    assert!(
        none.iter().any(|line| line.contains("BPF_PROG_ATTACH")),
        "{}",
        none.join("\n")
    );
}
