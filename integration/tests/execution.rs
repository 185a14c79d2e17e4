//! How the payload is scheduled: policy, priority of input and output, processors; all read from the host.

use std::fs;
use std::path::Path;

use oci_runtime_integration::bundle::{self, push};
use oci_runtime_integration::case::{Case, case, case_with, text};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{only_ocirun, read, spawn, tool};
use serde_json::{Value, json};

/// What sched_getattr(2) answers.
#[derive(Debug, PartialEq)]
struct Scheduled {
    policy: i64,
    flags: i64,
    nice: i64,
    priority: i64,
    /// Runtime, deadline and period in nanoseconds.
    times: [i64; 3],
    /// Lower and upper utilization clamp.
    clamps: [i64; 2],
}

/// Asks the kernel: no tool shows all of it.
#[track_caller]
fn scheduled(pid: i32) -> Scheduled {
    let number = match std::env::consts::ARCH {
        "aarch64" => "275",
        _ => "315",
    };
    let ask = "my $attr = pack('LLQlLQQQLL', 56, (0) x 9); \
        syscall($ARGV[0] + 0, $ARGV[1] + 0, $attr, 56, 0) == 0 or die \"$!\"; \
        print join(' ', unpack('LLQlLQQQLL', $attr))";
    let answer = tool("perl", &["-e", ask, number, &pid.to_string()]);
    let fields: Vec<i64> = answer
        .split(' ')
        .map(|field| field.parse().expect("a number"))
        .collect();
    Scheduled {
        policy: fields[1],
        flags: fields[2],
        nice: fields[3],
        priority: fields[4],
        times: [fields[5], fields[6], fields[7]],
        clamps: [fields[8], fields[9]],
    }
}

/// Policy, flags, nice, priority and times. The kernel shows a slice as the runtime of other policies than the deadline one.
fn without_clamps(pid: i32) -> (i64, i64, i64, i64, [i64; 3]) {
    let Scheduled {
        policy,
        flags,
        nice,
        priority,
        times,
        ..
    } = scheduled(pid);
    let times = if policy == 6 { times } else { [0; 3] };
    (policy, flags, nice, priority, times)
}

/// On cgroup v1 a group has no real-time at all unless it is given some.
fn give_real_time(config: &mut Value) {
    if Path::new("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").exists() {
        config["linux"]["resources"]["cpu"] =
            json!({"realtimeRuntime": 50_000, "realtimePeriod": 1_000_000});
    }
}

const MS: i64 = 1_000_000;

/// A scheduler, and what the kernel has of it.
type Row = (Value, (i64, i64, i64, i64, [i64; 3]));

fn schedulers() -> Vec<Row> {
    let own = i64::from(rustix::process::nice(0).unwrap_or(0));
    let times =
        json!({"policy": "SCHED_DEADLINE", "runtime": MS, "deadline": 5 * MS, "period": 9 * MS});
    let mut flagged = times.clone();
    flagged["flags"] = json!([
        "SCHED_FLAG_RESET_ON_FORK",
        "SCHED_FLAG_RECLAIM",
        "SCHED_FLAG_DL_OVERRUN"
    ]);
    let deadline = [MS, 5 * MS, 9 * MS];
    vec![
        (
            json!({"policy": "SCHED_OTHER", "nice": 7}),
            (0, 0, 7, 0, [0; 3]),
        ),
        (
            json!({"policy": "SCHED_OTHER", "nice": -20}),
            (0, 0, -20, 0, [0; 3]),
        ),
        (
            json!({"policy": "SCHED_BATCH", "nice": 19}),
            (3, 0, 19, 0, [0; 3]),
        ),
        (json!({"policy": "SCHED_IDLE"}), (5, 0, own, 0, [0; 3])),
        (
            json!({"policy": "SCHED_FIFO", "priority": 1}),
            (1, 0, 0, 1, [0; 3]),
        ),
        (
            json!({"policy": "SCHED_RR", "priority": 99}),
            (2, 0, 0, 99, [0; 3]),
        ),
        (times, (6, 0, 0, 0, deadline)),
        (flagged, (6, 7, 0, 0, deadline)),
        (
            json!({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RESET_ON_FORK"]}),
            (0, 1, 0, 0, [0; 3]),
        ),
        (
            json!({"policy": "SCHED_BATCH", "nice": 4, "flags": ["SCHED_FLAG_KEEP_POLICY"]}),
            (0, 0, 4, 0, [0; 3]),
        ),
        // To the kernel the policy is one of the parameters.
        (
            json!({"policy": "SCHED_BATCH", "nice": 4, "flags": ["SCHED_FLAG_KEEP_PARAMS"]}),
            (0, 0, own, 0, [0; 3]),
        ),
    ]
}

#[test]
fn every_scheduling_policy_and_flag_is_in_force() {
    for (scheduler, expected) in schedulers() {
        let Some(case) = case_with(|c| {
            give_real_time(c);
            c["process"]["scheduler"] = scheduler.clone();
        }) else {
            return;
        };
        let init = case.start();
        assert_eq!(without_clamps(init), expected, "{scheduler}");
    }
}

#[test]
fn utilization_clamps_are_set_or_refused_by_the_kernel() {
    for (flag, index) in [("MIN", 0), ("MAX", 1)] {
        let Some(case) = case_with(|c| {
            c["process"]["scheduler"] = json!({"policy": "SCHED_OTHER", "flags": [format!("SCHED_FLAG_UTIL_CLAMP_{flag}")]});
        }) else {
            return;
        };
        let created = case.try_create(&[]);
        if created.code == 0 {
            let init = case.init_from_pid_file();
            assert_eq!(scheduled(init).clamps[index], 0, "{flag}");
        } else {
            created.failed(1, &["/process/scheduler", "(EOPNOTSUPP)"]);
            case.assert_clean();
        }
    }
}

#[test]
fn a_policy_that_the_kernel_does_not_have_is_its_error() {
    let refused = [
        (json!({"policy": "SCHED_ISO"}), "(EINVAL)"),
        (json!({"policy": "SCHED_FIFO"}), "(EINVAL)"),
        (
            json!({"policy": "SCHED_DEADLINE", "runtime": 2 * MS, "deadline": MS, "period": MS}),
            "(EINVAL)",
        ),
        (
            json!({"policy": "SCHED_DEADLINE", "runtime": 500, "deadline": MS, "period": MS}),
            "(EINVAL)",
        ),
    ];
    for (scheduler, errno) in refused {
        let Some(case) = case_with(|c| {
            give_real_time(c);
            c["process"]["scheduler"] = scheduler.clone();
        }) else {
            return;
        };
        eprintln!("{scheduler}");
        case.try_create(&[])
            .failed(1, &["/process/scheduler", "sched_setattr", errno]);
        case.assert_clean();
    }
}

#[test]
fn a_user_namespace_is_no_hindrance_to_priorities() {
    let Some(case) = case_with(|c| {
        push(c, "/linux/namespaces", json!({"type": "user"}));
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        c["linux"]["uidMappings"] = map.clone();
        c["linux"]["gidMappings"] = map;
        c["process"]["user"] = json!({"uid": 7, "gid": 7});
        c["process"]["scheduler"] = json!({"policy": "SCHED_OTHER", "nice": -7});
        c["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_RT", "priority": 3});
    }) else {
        return;
    };
    let init = case.start();
    assert_eq!(host::status(init, "Uid"), ["100007"; 4].join(" "));
    assert_eq!(scheduled(init).nice, -7);
    assert_eq!(ionice(init), "realtime: prio 3");
}

#[track_caller]
fn ionice(pid: i32) -> String {
    tool("ionice", &["-p", &pid.to_string()])
        .trim_end()
        .to_owned()
}

#[test]
fn every_class_of_input_and_output_is_in_force() {
    for (class, priority, expected) in [
        ("IOPRIO_CLASS_RT", 0, "realtime: prio 0"),
        ("IOPRIO_CLASS_RT", 7, "realtime: prio 7"),
        ("IOPRIO_CLASS_BE", 2, "best-effort: prio 2"),
        ("IOPRIO_CLASS_IDLE", 0, "idle"),
    ] {
        let Some(case) = case_with(|c| {
            c["process"]["ioPriority"] = json!({"class": class, "priority": priority});
        }) else {
            return;
        };
        let init = case.start();
        assert_eq!(ionice(init), expected, "{class} {priority}");
    }
}

/// Starts `process` in the container; returns its pid.
#[track_caller]
fn exec_process(case: &Case, process: &Value) -> i32 {
    let file = case.path("process.json");
    fs::write(&file, process.to_string()).expect("the process file");
    let (file, pid_file) = (text(&file), text(&case.path("exec-pid")));
    let flags = ["exec", "-p", &file, "--detach", "--pid-file", &pid_file];
    case.runtime(&[&flags[..], &[&case.id]].concat()).ok();
    case.exec_from_pid_file()
}

fn idle() -> Value {
    json!({"args": bundle::IDLE, "env": ["PATH=/bin"], "cwd": "/"})
}

#[test]
fn exec_takes_the_scheduler_of_its_process_or_of_the_configuration() {
    let Some(case) = case_with(|c| {
        c["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 3});
        c["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 6});
    }) else {
        return;
    };
    case.start();
    let same = case.exec_detached(&[], &bundle::IDLE);
    assert_eq!(without_clamps(same), (3, 0, 3, 0, [0; 3]));
    assert_eq!(ionice(same), "best-effort: prio 6");
    let mut process = idle();
    process["scheduler"] = json!({"policy": "SCHED_OTHER", "nice": -2});
    process["ioPriority"] = json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0});
    let other = exec_process(&case, &process);
    assert_eq!(without_clamps(other), (0, 0, -2, 0, [0; 3]));
    assert_eq!(ionice(other), "idle");
    let iso = "{\"args\": [\"true\"], \"cwd\": \"/\", \"scheduler\": {\"policy\": \"SCHED_ISO\"}}";
    fs::write(case.path("process.json"), iso).expect("the process file");
    let file = text(&case.path("process.json"));
    case.runtime(&["exec", "-p", &file, &case.id])
        .failed(255, &["/process/scheduler", "(EINVAL)"]);
    assert_eq!(case.status(), "running");
}

/// The processors that this process may run on, as the kernel lists them.
fn own_cpus() -> String {
    let me = i32::try_from(std::process::id()).expect("a pid");
    host::status(me, "Cpus_allowed_list")
}

/// Whether there are the processors 0 and 1.
fn two_cpus() -> bool {
    let two = own_cpus().starts_with("0-") || own_cpus().starts_with("0,1");
    if !two {
        eprintln!("not run: this test needs the processors 0 and 1");
    }
    two
}

#[test]
fn the_final_affinity_of_exec_is_in_force_and_the_container_s_without_it() {
    let Some(case) = case_with(|c| {
        c["process"]["execCPUAffinity"] = json!({"initial": "0", "final": "1"});
    }) else {
        return;
    };
    if !two_cpus() {
        return;
    }
    let all = own_cpus();
    let init = case.start();
    let cpus = |pid| host::status(pid, "Cpus_allowed_list");
    assert_eq!(cpus(init), all, "it is not about the first process");
    let from_configuration = case.exec_detached(&[], &bundle::IDLE);
    assert_eq!(cpus(from_configuration), "1");
    let table = [
        (json!({"final": "0"}), "0"),
        (json!({"initial": "1", "final": "0-1"}), "0-1"),
        (json!({"initial": "1"}), all.as_str()),
        (json!({}), all.as_str()),
    ];
    for (affinity, expected) in table {
        let mut process = idle();
        process["execCPUAffinity"] = affinity.clone();
        assert_eq!(cpus(exec_process(&case, &process)), expected, "{affinity}");
    }
}

#[test]
fn the_initial_affinity_of_exec_comes_before_the_process_and_the_final_one_in_it() {
    let Some(case) = case() else { return };
    if !two_cpus() || !only_ocirun("binds itself elsewhere") {
        return;
    }
    case.start();
    let mut process = idle();
    process["args"] = json!(["true"]);
    process["execCPUAffinity"] = json!({"initial": "1", "final": "0"});
    let file = case.path("process.json");
    fs::write(&file, process.to_string()).expect("the process file");
    let traced = case.command(&["exec", "-p", &text(&file), &case.id]);
    let record = case.path("trace");
    let mut command = std::process::Command::new("strace");
    command.args(["-f", "-qq", "-e", "trace=sched_setaffinity,clone3,setns"]);
    command.arg("-o").arg(&record);
    command.arg(traced.get_program()).args(traced.get_args());
    let stdin = std::process::Stdio::null();
    spawn(command, &case.path("output"), stdin).wait().ok();
    let trace = read(&record);
    let calls: Vec<(&str, &str)> = trace
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(pid, call)| (pid, call.trim_start()))
        .collect();
    let bound = |cpu: &str| {
        let call = format!("sched_setaffinity(0, 1024, [{cpu}");
        calls
            .iter()
            .position(|(_, found)| found.starts_with(&call))
            .unwrap_or_else(|| panic!("not bound to {cpu}: {trace}"))
    };
    let (initial, last) = (bound("1"), bound("0"));
    let joined = calls
        .iter()
        .position(|(_, call)| call.starts_with("setns("))
        .expect("namespaces are joined");
    assert!(initial < joined && joined < last, "{trace}");
    assert_ne!(calls[initial].0, calls[last].0, "{trace}");
}

#[test]
fn processors_that_are_not_there_are_refused_by_the_kernel() {
    let Some(case) = case() else { return };
    case.start();
    for name in ["initial", "final"] {
        let mut process = idle();
        process["execCPUAffinity"][name] = json!("8000");
        fs::write(case.path("process.json"), process.to_string()).expect("the process file");
        let file = text(&case.path("process.json"));
        let place = format!("/process/execCPUAffinity/{name}");
        case.runtime(&["exec", "-p", &file, &case.id])
            .failed(255, &[&place, "sched_setaffinity", "(EINVAL)"]);
    }
}
